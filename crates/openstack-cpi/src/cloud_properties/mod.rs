//! `cloud_properties`, typed: what a manifest or a cloud-config may say about VMs, disks and stemcells.
//! Those of networks are read with the networks, in [`crate::network`].

pub mod disk;
pub mod stemcell;
pub mod vm;
