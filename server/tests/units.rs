//! The systemd units that are part of the documentation: systemd understands every line of them, and
//! finds the service well locked up.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{SERVER, tool};
use tempfile::TempDir;

/// Where the units are.
const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/systemd");
/// Where they say that the program is.
const INSTALLED: &str = "/usr/local/bin/server";
/// Tenths of systemd's exposure level, from 0 to 100; 20 and less is called OK.
const MOST_EXPOSED: &str = "15";

/// The units, with a program that is there.
fn units() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(UNITS).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace(INSTALLED, SERVER);
        fs::write(directory.path().join(path.file_name().unwrap()), text).unwrap();
    }
    directory
}

fn analyze(args: &[&str], unit: &Path) -> (bool, String) {
    let Some(tool) = tool("systemd-analyze") else {
        return (true, String::new());
    };
    let output = Command::new(tool).args(args).arg(unit).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn systemd_understands_every_line() {
    let units = units();
    for name in ["echolab.service", "echolab.socket"] {
        let (verified, said) = analyze(&["verify"], &units.path().join(name));
        assert!(verified && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn systemd_finds_the_service_well_locked_up() {
    let units = units();
    let args = ["security", "--offline=true", "--no-pager", "--threshold"];
    let unit = units.path().join("echolab.service");
    let (small, said) = analyze(&[&args[..], &[MOST_EXPOSED]].concat(), &unit);
    assert!(small, "{said}");
}
