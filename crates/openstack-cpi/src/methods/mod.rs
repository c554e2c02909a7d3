//! The methods, and the way from a request to the one it names.

mod create_vm;
mod delete_vm;
mod disk;
mod disk_attachment;
mod network;
mod snapshot;
mod stemcell;
mod vm;
mod vm_sizing;

use serde_json::{Map, Value, json};

use crate::cloud::Cloud;
use crate::error::{CpiError, Result};
use crate::fields::Warnings;
use crate::method::Method;
use crate::request::kind_of;

/// What is answered to `info`: no request is made for it.
pub fn info() -> Value {
    json!({"api_version": 3, "stemcell_formats": ["openstack-raw", "openstack-qcow2", "openstack-light"]})
}

/// The arguments of a call.
pub struct Arguments<'a> {
    values: &'a [Value],
}

impl<'a> Arguments<'a> {
    /// Of a request.
    pub fn new(values: &'a [Value]) -> Self {
        Self { values }
    }

    /// One of them; null if there are fewer.
    pub fn value(&self, index: usize) -> &'a Value {
        self.values.get(index).unwrap_or(&Value::Null)
    }

    /// A string that has to be there.
    pub fn string(&self, index: usize, name: &str) -> Result<&'a str> {
        match self.value(index) {
            Value::String(text) if !text.is_empty() => Ok(text),
            Value::String(_) => {
                Err(CpiError::argument(format_args!("{name}: expected a string, got an empty one")))
            }
            other => {
                Err(CpiError::argument(format_args!("{name}: expected a string, got {}", kind_of(other))))
            }
        }
    }

    /// A hash that has to be there.
    pub fn map(&self, index: usize, name: &str) -> Result<&'a Map<String, Value>> {
        match self.value(index) {
            Value::Object(map) => Ok(map),
            other => Err(CpiError::argument(format_args!("{name}: expected a hash, got {}", kind_of(other)))),
        }
    }
}

/// Carries a request out.
pub fn call(cloud: &Cloud, method: Method, arguments: &[Value]) -> Result<Value> {
    let arguments = Arguments::new(arguments);
    let warnings = Warnings::default();
    let outcome = match method {
        Method::Info => Ok(info()),
        Method::Ping => vm::ping(cloud),
        Method::CurrentVmId => Err(CpiError::not_implemented(
            "'current_vm_id' is not implemented by Bosh::OpenStackCloud::Cloud",
        )),
        Method::ConfigureNetworks => {
            let names =
                arguments.map(1, "networks").map(|map| map.keys().cloned().collect::<Vec<_>>().join(", "));
            Err(CpiError::not_supported(format!(
                "network configuration change requires VM recreation: {}",
                names.unwrap_or_default()
            )))
        }
        Method::CreateStemcell => stemcell::create(cloud, &arguments, &warnings),
        Method::DeleteStemcell => stemcell::delete(cloud, &arguments),
        Method::CreateVm => create_vm::create(cloud, &arguments, &warnings),
        Method::DeleteVm => delete_vm::delete(cloud, &arguments),
        Method::HasVm => vm::has(cloud, &arguments),
        Method::RebootVm => vm::reboot(cloud, &arguments),
        Method::SetVmMetadata => vm::set_metadata(cloud, &arguments),
        Method::CalculateVmCloudProperties => vm_sizing::calculate(cloud, &arguments),
        Method::CreateDisk => disk::create(cloud, &arguments, &warnings),
        Method::DeleteDisk => disk::delete(cloud, &arguments),
        Method::HasDisk => disk::has(cloud, &arguments),
        Method::AttachDisk => disk_attachment::attach(cloud, &arguments),
        Method::DetachDisk => disk_attachment::detach(cloud, &arguments),
        Method::GetDisks => disk_attachment::list(cloud, &arguments),
        Method::ResizeDisk => disk::resize(cloud, &arguments),
        Method::UpdateDisk => disk::update(cloud, &arguments, &warnings),
        Method::SetDiskMetadata => disk::set_metadata(cloud, &arguments),
        Method::SnapshotDisk => snapshot::create(cloud, &arguments),
        Method::DeleteSnapshot => snapshot::delete(cloud, &arguments),
        Method::CreateNetwork => network::create(cloud, &arguments, &warnings),
        Method::DeleteNetwork => network::delete(cloud, &arguments),
    };
    for warning in warnings.into_vec() {
        cloud.progress.warn(warning);
    }
    match outcome {
        Ok(value) => {
            // Made to stay.
            drop(cloud.undo.take());
            Ok(value)
        }
        Err(error) => Err(undone(cloud, error)),
    }
}

/// Undoes what a failed call made; what stays behind is named in its error.
pub fn undone(cloud: &Cloud, error: CpiError) -> CpiError {
    match cloud.undo_all() {
        left if left.is_empty() => error,
        left => error.and(format_args!("\nCould not be removed and has to be by hand: {}", left.join(", "))),
    }
}

/// Joins a look-up's thread. A panic in it is answered elsewhere (see [`crate::process`]); what comes here of it is
/// an error like any other.
fn join<T>(handle: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    handle.join().unwrap_or_else(|_| Err(CpiError::unknown("a thread of the call panicked")))
}
