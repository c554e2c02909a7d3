//! Wireshark's opinion of a capture.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::programs;
use crate::virtual_router::ChecksumForm;

/// Everything that Wireshark finds odd about the VRRP packets of a pcap file: a line each with the frame's
/// number and the complaint. `form` is what it shall expect of VRRPv3 over IPv4.
///
/// # Errors
/// If tshark cannot be run, or the file holds no VRRP packet at all.
pub fn complaints(pcap: &Path, form: ChecksumForm) -> Result<Vec<String>> {
    let pseudo_header = form == ChecksumForm::PseudoHeader;
    let output = Command::new(programs::find("tshark", "tshark")?)
        .args(["-r", &pcap.to_string_lossy(), "-Y", "vrrp", "-T", "fields", "-e", "frame.number"])
        .args(["-e", "vrrp.checksum.status", "-e", "_ws.expert.message", "-e", "ip.checksum.status"])
        .args(["-o", &format!("vrrp.v3_checksum_as_in_v2:{}", if pseudo_header { "FALSE" } else { "TRUE" })])
        .args(["-o", "ip.check_checksum:TRUE"])
        .env("HOME", "/nonexistent")
        .output()
        .context("cannot run tshark")?;
    ensure!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.lines().next().is_some(), "tshark sees no VRRP packet in {}", pcap.display());
    let complaint = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        // Status 1 is good.
        let good = fields.get(1) == Some(&"1")
            && fields.get(2).is_none_or(|expert| expert.is_empty())
            && fields.get(3).is_none_or(|ip| ip.is_empty() || *ip == "1");
        (!good).then(|| line.to_owned())
    };
    Ok(text.lines().filter_map(complaint).collect())
}
