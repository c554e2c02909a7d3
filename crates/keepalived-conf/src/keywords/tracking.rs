//! What is tracked, groups, and what groups and instances share.

use super::{Table, Value, full, no_effect, not_built, seconds, whole};

/// Words of `vrrp_script`.
pub const SCRIPT: Table = &[
    full(
        "script",
        Value::Words("\"PROGRAM ARGUMENTS\""),
        "required",
        "The program. It is not run by a shell; single quotes within the double ones hold blanks together.",
    )
    .differs(
        "keepalived drops arguments that stand outside the quotes; here they are passed, with a warning.",
    ),
    full("interval", seconds(0.01, 86400.0), "1", "From one run to the next."),
    full("timeout", seconds(0.01, 86400.0), "the interval", "A run that takes longer has failed."),
    full(
        "weight",
        Value::Words("-253..253 [reverse]"),
        "0",
        "Added to the priority: a positive one while it is well, a negative one while it is not. 0 faults the virtual router instead.",
    ),
    full("rise", whole(1, 1000, "runs"), "1", "So many successes in a row make it well."),
    full("fall", whole(1, 1000, "runs"), "1", "So many failures in a row make it unwell."),
    full("user", Value::Words("USER [GROUP]"), "`script_user`", "Whom it runs as."),
    full("init_fail", Value::Flag, "off", "It is unwell until it has been well."),
];

/// Words of `track_file` at the top.
pub const TRACK_FILE: Table = &[
    full(
        "file",
        Value::Text("PATH"),
        "required",
        "The file. Its number times the weight is added to the priority; with weight 0 a number other than 0 faults the virtual router.",
    ),
    full(
        "weight",
        Value::Words("-2147483647..2147483647 [reverse]"),
        "1",
        "What the number is multiplied by.",
    ),
    full(
        "init_file",
        Value::Words("[NUMBER] [overwrite]"),
        "off",
        "Writes the number (0 if none is given) at the start, if the file is missing.",
    )
    .differs("`overwrite` is not built: it is an error."),
];

/// Words of `vrrp_track_process`.
pub const TRACK_PROCESS: Table = &[
    full(
        "process",
        Value::Words("NAME [ARGUMENT ...]"),
        "required",
        "The process's name, and its arguments if they are to match. A quoted word is one element.",
    ),
    no_effect(
        "full_command",
        "The whole command line is matched.",
        "it is matched where arguments are given",
    ),
    not_built("param_match", "Arguments match in part.", "not built yet: give the arguments as they stand"),
    full("weight", Value::Words("-254..254 [reverse]"), "0", "As of `vrrp_script`.")
        .differs("keepalived's manual says the default is 1, its code has 0."),
    full("quorum", whole(1, 65535, "processes"), "1", "So many have to run."),
    full("quorum_max", whole(0, 65535, "processes"), "no limit", "So many may run."),
    full("delay", seconds(0.0, 3600.0), "0", "Both of the following."),
    full("fork_delay", seconds(0.0, 3600.0), "0", "How long it must run before it counts."),
    full(
        "terminate_delay",
        seconds(0.0, 3600.0),
        "0",
        "How long it must be gone before that counts: a reload of HAProxy takes a moment.",
    ),
];

/// Words that groups and instances share.
pub const SHARED: Table = &[
    full("track_script", Value::List("NAME [weight -254..254] [reverse]"), "none", "The scripts that count."),
    full("track_file", Value::List("NAME [weight -254..254] [reverse]"), "none", "The files that count."),
    full(
        "track_process",
        Value::List("NAME [weight -254..254] [reverse]"),
        "none",
        "The processes that count.",
    ),
    full(
        "track_interface",
        Value::List("INTERFACE [weight -254..254] [reverse]"),
        "none",
        "Other links that have to be up.",
    ),
    not_built("track_bfd", "BFD sessions that count.", "BFD is not built yet: lower advert_int instead"),
    full(
        "notify_master",
        Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"),
        "none",
        "Run on becoming Active.",
    ),
    full(
        "notify_backup",
        Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"),
        "none",
        "Run on becoming Backup.",
    ),
    full("notify_fault", Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"), "none", "Run on a fault."),
    full(
        "notify_stop",
        Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"),
        "none",
        "Run on the agent's stop.",
    ),
    full(
        "notify_deleted",
        Value::Words("[\"PROGRAM ARGUMENTS\" [USER [GROUP]]]"),
        "none",
        "Run when a reload removed the virtual router.",
    ),
    full(
        "notify_master_rx_lower_pri",
        Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"),
        "none",
        "Run when the Active hears a lower priority.",
    ),
    full(
        "notify",
        Value::Words("\"PROGRAM ARGUMENTS\" [USER [GROUP]]"),
        "none",
        "Run on each of them, with `INSTANCE|GROUP NAME STATE PRIORITY` behind its arguments.",
    ),
    no_effect(
        "notify_priority_changes",
        "Priority changes on the pipe.",
        "priority changes are in `standfast events`",
    ),
    no_effect(
        "smtp_alert",
        "Mail on transitions.",
        "no mail is sent; use notify scripts or `standfast events`",
    ),
];

/// Words of `vrrp_sync_group` beside [`SHARED`].
pub const SYNC_GROUP: Table = &[
    full("group", Value::List("INSTANCE"), "required", "The names of its virtual routers."),
    no_effect("global_tracking", "Deprecated in keepalived.", "track in the group"),
    not_built(
        "sync_group_tracking_weight",
        "Members keep their weights.",
        "not built: keepalived's own manual doubts it; track in the group",
    ),
];
