//! FRR's vrrpd with the zebra it needs, and the macvlan that it expects its operator to make.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::User;

use crate::daemon::Daemon;
use crate::host::{Host, INTERFACE};
use crate::virtual_router::{Family, VirtualRouter};
use crate::{programs, wait};

#[derive(Debug)]
pub(crate) struct Frr {
    folder: PathBuf,
    _zebra: Daemon,
}

impl Frr {
    /// Makes the macvlan with the address, and starts zebra.
    pub(crate) fn prepare(host: &Host, vr: &VirtualRouter) -> Result<Self> {
        let (letter, generate) = match vr.family() {
            Family::Ipv4 => ("4", "none"),
            Family::Ipv6 => ("6", "random"),
        };
        let link = format!("vrrp{letter}-{}", vr.virtual_router_id());
        // The address generation mode cannot be given when the link is made.
        let mut lines = vec![
            format!("link add {link} link {INTERFACE} type macvlan mode bridge"),
            format!("link set {link} address {} addrgenmode {generate}", vr.virtual_mac()),
        ];
        lines.extend(vr.prefixed().map(|address| format!("address add {address} dev {link}")));
        lines.push(format!("link set {link} up"));
        host.ip(&lines.join("\n"))?;
        let folder = host.folder().join("frr");
        fs::create_dir_all(&folder)?;
        // FRR gives root up for its own user, whose folder this has to be.
        let user = User::from_name("frr")?.context("there is no user frr: apt-get install frr")?;
        std::os::unix::fs::chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .context("FRR needs real root: its user is not in here")?;
        fs::write(folder.join("zebra.conf"), "hostname r\n")?;
        fs::write(folder.join("vrrpd.conf"), vr.frr_conf())?;
        let zebra =
            Daemon::start(host, "zebra", programs::find("zebra", "frr")?, &arguments(&folder, "zebra"), &[])?;
        wait::until("zebra listens", Duration::from_secs(20), || folder.join("zserv.api").exists())?;
        Ok(Self { folder, _zebra: zebra })
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("vrrpd.conf")
    }

    pub(crate) fn start_vrrpd(&self, host: &Host) -> Result<Daemon> {
        Daemon::start(host, "router", programs::find("vrrpd", "frr")?, &arguments(&self.folder, "vrrpd"), &[])
    }
}

fn arguments(folder: &std::path::Path, name: &str) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["-P", "0", "--log", "stdout", "--vty_socket"].map(OsString::from).into();
    args.push(folder.into());
    for (option, file) in
        [("-z", "zserv.api".to_owned()), ("-i", format!("{name}-frr.pid")), ("-f", format!("{name}.conf"))]
    {
        args.push(option.into());
        args.push(folder.join(file).into());
    }
    args
}
