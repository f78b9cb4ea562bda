//! Results that were kept, read back.

use std::fs;
use std::path::Path;

use loadgen::report::{Report, SCHEMA};

/// Reads the result in `file`.
///
/// # Errors
///
/// Why it is none, in one line that names the file.
pub(super) fn read(file: &Path) -> Result<Report, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {name}: {error}"))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| format!("{name} is no result of loadgen --format json: {error}"))?;
    if report.schema != SCHEMA {
        return Err(format!(
            "{name} has schema {} and this version reads {SCHEMA}; use the version that wrote it",
            report.schema
        ));
    }
    Ok(report)
}
