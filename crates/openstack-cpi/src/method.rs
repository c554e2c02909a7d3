//! The methods of the protocol: names and numbers of arguments.

use std::ops::RangeInclusive;

use crate::error::{CpiError, Result};

macro_rules! methods {
    ($($variant:ident $name:literal $arity:expr;)*) => {
        /// A method the director may call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the method of its name in the CPI's protocol")]
        pub enum Method { $($variant,)* }

        impl Method {
            /// Every method.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// How many arguments it takes.
            pub const fn arity(self) -> RangeInclusive<usize> {
                match self { $(Self::$variant => $arity,)* }
            }
        }
    };
}

methods! {
    Info "info" 0..=0;
    Ping "ping" 0..=0;
    CurrentVmId "current_vm_id" 0..=0;
    CreateStemcell "create_stemcell" 2..=3;
    DeleteStemcell "delete_stemcell" 1..=1;
    CreateVm "create_vm" 3..=6;
    DeleteVm "delete_vm" 1..=1;
    HasVm "has_vm" 1..=1;
    RebootVm "reboot_vm" 1..=1;
    SetVmMetadata "set_vm_metadata" 2..=2;
    ConfigureNetworks "configure_networks" 2..=2;
    CalculateVmCloudProperties "calculate_vm_cloud_properties" 1..=1;
    CreateDisk "create_disk" 2..=3;
    DeleteDisk "delete_disk" 1..=1;
    HasDisk "has_disk" 1..=1;
    AttachDisk "attach_disk" 2..=2;
    DetachDisk "detach_disk" 2..=2;
    GetDisks "get_disks" 1..=1;
    ResizeDisk "resize_disk" 2..=2;
    UpdateDisk "update_disk" 3..=3;
    SetDiskMetadata "set_disk_metadata" 2..=2;
    SnapshotDisk "snapshot_disk" 1..=2;
    DeleteSnapshot "delete_snapshot" 1..=1;
    CreateNetwork "create_network" 1..=1;
    DeleteNetwork "delete_network" 1..=1;
}

impl Method {
    /// Finds a method by its name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.name() == name)
    }

    /// Refuses a wrong number of arguments in the words of the reference server.
    pub fn check_arity(self, given: usize) -> Result<()> {
        let arity = self.arity();
        if arity.contains(&given) {
            return Ok(());
        }
        let expected = if arity.start() == arity.end() {
            arity.start().to_string()
        } else {
            format!("{}..{}", arity.start(), arity.end())
        };
        Err(CpiError::argument(format_args!(
            "wrong number of arguments (given {given}, expected {expected})"
        )))
    }
}
