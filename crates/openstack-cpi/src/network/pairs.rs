//! `allowed_address_pairs`: the addresses beside its own that a VM may use, above all a VRRP IP.
//!
//! One string means what it always meant: this address, on the default network, held by a reserved port.
//! Beyond it: a CIDR, an IPv6 address, a hash with `ip_address`, `mac_address` and `network`, and a list of these.

use serde_json::Value;

use super::address::{Range, parse_mac};
use crate::fields::{FieldError, Fields, Read, Warnings};
use crate::request::kind_of;

/// One pair as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairRequest {
    /// Where it stands, for errors.
    pub path: String,
    /// The address as it was written; it is sent so.
    pub ip_address: String,
    /// The same, understood.
    pub range: Range,
    /// The MAC that may use the address; Neutron takes the port's own if there is none.
    pub mac_address: Option<String>,
    /// The network it is for, by its name in the manifest.
    pub network: Option<String>,
    /// The old form, one string: it keeps its exact meaning.
    pub is_plain_string: bool,
}

/// Reads any of the forms.
pub fn read(path: &str, value: &Value, warnings: &Warnings) -> Read<Vec<PairRequest>> {
    match value {
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let pair = read_one(&format!("{path}[{index}]"), item, warnings)?;
                Ok(PairRequest { is_plain_string: false, ..pair })
            })
            .collect(),
        one => Ok(vec![read_one(path, one, warnings)?]),
    }
}

fn read_one(path: &str, value: &Value, warnings: &Warnings) -> Read<PairRequest> {
    match value {
        Value::String(text) => Ok(PairRequest {
            path: path.to_owned(),
            ip_address: text.clone(),
            range: read_range(path, text)?,
            mac_address: None,
            network: None,
            is_plain_string: true,
        }),
        Value::Object(_) => {
            let fields = Fields::of(path, value, warnings)?;
            let text = fields.string("ip_address")?.ok_or_else(|| {
                fields.error("ip_address", "missing key; a pair is an address and maybe a MAC")
            })?;
            let range = read_range(&fields.path_of("ip_address"), &text)?;
            let mac_address = match fields.string("mac_address")? {
                None => None,
                Some(mac) => Some(parse_mac(&mac).ok_or_else(|| {
                    fields.error("mac_address", format!("'{mac}' is no MAC address, like fa:16:3e:00:00:01"))
                })?),
            };
            let network = fields.string("network")?;
            fields.finish();
            Ok(PairRequest {
                path: path.to_owned(),
                ip_address: text,
                range,
                mac_address,
                network,
                is_plain_string: false,
            })
        }
        other => Err(FieldError::new(
            path,
            format!(
                "expected an address, a CIDR, a hash with ip_address, or a list of these, got {}",
                kind_of(other)
            ),
        )),
    }
}

fn read_range(path: &str, text: &str) -> Read<Range> {
    Range::parse(text).ok_or_else(|| {
        FieldError::new(path, format!("'{text}' is no IPv4 or IPv6 address, nor a CIDR like 10.0.0.0/28"))
    })
}
