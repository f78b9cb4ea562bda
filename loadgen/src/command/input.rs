//! Results that were kept, read back: from a file, or all of a directory.

use std::fs;
use std::path::{Path, PathBuf};

use loadgen::report::{Report, SCHEMA};
use serde_json::Value;

/// A larger file is no result: the most clients and the longest run stay far below.
const MOST_BYTES: u64 = 1 << 30;

/// Reads the result in `file`.
///
/// # Errors
///
/// Why it is none, in one line that names the file.
pub(super) fn read(file: &Path) -> Result<Report, String> {
    let name = file.display();
    let cannot = |error| {
        format!("cannot read {name}: {error}; name a result that loadgen wrote with --format json")
    };
    let found = fs::metadata(file).map_err(cannot)?;
    if found.is_dir() {
        return Err(format!("{name} is a directory; name one of its files"));
    }
    if found.len() > MOST_BYTES {
        return Err(format!("{name} is too large for a result of loadgen"));
    }
    let bytes = fs::read(file).map_err(cannot)?;
    parse(&bytes).map_err(|why| format!("{name} {why}"))
}

/// Reads the results that `place` holds: one in a file, in a directory all of its `*.json` files in
/// the order of their names.
///
/// # Errors
///
/// Why there are none, or which file is none, in one line.
pub(super) fn read_all(place: &Path) -> Result<Vec<(PathBuf, Report)>, String> {
    if !place.is_dir() {
        return Ok(vec![(place.to_owned(), read(place)?)]);
    }
    let files = results_in(place)?;
    if files.is_empty() {
        let name = place.display();
        return Err(format!(
            "{name} holds no result: no file in it ends in .json"
        ));
    }
    files
        .into_iter()
        .map(|file| read(&file).map(|report| (file, report)))
        .collect()
}

/// Reads the results that all of `places` hold, each with the name that people know it by.
///
/// # Errors
///
/// As [`read_all`].
pub(super) fn read_places(places: &[PathBuf]) -> Result<Vec<(String, Report)>, String> {
    let mut all = Vec::new();
    for place in places {
        let found = read_all(place)?.into_iter();
        all.extend(found.map(|(file, report)| (file.display().to_string(), report)));
    }
    Ok(all)
}

fn results_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |error| format!("cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let file = entry.map_err(cannot)?.path();
        if file.extension().is_some_and(|ending| ending == "json") && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The result in `bytes`, or what they are instead.
fn parse(bytes: &[u8]) -> Result<Report, String> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty; a run writes its result there when it ends".to_owned());
    }
    let no_result = "is no result of loadgen --format json";
    let value: Value =
        serde_json::from_slice(bytes).map_err(|error| format!("{no_result}: {error}"))?;
    // The version first: another one may have other keys.
    match value.get("schema").and_then(Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        Some(schema) => {
            return Err(format!(
                "has schema {schema} and this version reads {SCHEMA}; use the version that wrote it"
            ));
        }
        None => return Err(format!("{no_result}: it has no schema number")),
    }
    serde_json::from_value(value).map_err(|error| format!("{no_result}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.json");
        fs::write(&file, bytes).unwrap();
        let why = read(&file).unwrap_err();
        assert!(why.starts_with(&file.display().to_string()), "{why}");
        assert!(!why.contains('\n'), "{why}");
        why[file.display().to_string().len()..].trim().to_owned()
    }

    #[test]
    fn garbage_is_called_what_it_is() {
        insta::assert_snapshot!(refusal(b" \n"), @"is empty; a run writes its result there when it ends");
        insta::assert_snapshot!(refusal(b"clients     50 asked"), @"is no result of loadgen --format json: expected value at line 1 column 1");
        insta::assert_snapshot!(refusal(b"\xff\xfe{}"), @"is no result of loadgen --format json: expected value at line 1 column 1");
        insta::assert_snapshot!(refusal(b"{\"schema\": 1"), @"is no result of loadgen --format json: EOF while parsing an object at line 1 column 12");
        insta::assert_snapshot!(refusal(b"[]"), @"is no result of loadgen --format json: it has no schema number");
        insta::assert_snapshot!(refusal(b"{\"schema\": \"1\"}"), @"is no result of loadgen --format json: it has no schema number");
        insta::assert_snapshot!(refusal(b"{\"schema\": 99}"), @"has schema 99 and this version reads 1; use the version that wrote it");
        insta::assert_snapshot!(refusal(b"{\"schema\": 1}"), @"is no result of loadgen --format json: missing field `tool`");
    }

    #[test]
    fn a_directory_without_results_says_what_it_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let why = read_all(folder.path()).unwrap_err();
        assert!(
            why.ends_with("holds no result: no file in it ends in .json"),
            "{why}"
        );
        assert!(read(folder.path()).unwrap_err().contains("is a directory"));
        fs::write(folder.path().join("a.json"), "x").unwrap();
        assert!(
            read_all(folder.path())
                .unwrap_err()
                .contains("a.json is no result")
        );
        let missing = read_all(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(
            missing.starts_with("cannot read /nowhere/at/all: No such file"),
            "{missing}"
        );
    }
}
