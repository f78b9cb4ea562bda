//! `docs/truth.md` names a test for each mistake that load generators make. They exist.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The rows that concern a generator, and those of comparisons.
const ROWS: std::ops::RangeInclusive<u32> = 1..=30;

fn chapter() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/truth.md")).unwrap()
}

/// What stands between backticks and looks like the name of a test.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('_') && !text.contains(['/', ' ', '=']))
}

/// Adds every function that stands below `folder`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let names = text.split("fn ").skip(1);
            let names = names.filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_row_names_a_test() {
    let chapter = chapter();
    for row in ROWS {
        let start = format!("| {row} |");
        let line = chapter.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("no row {row}"));
        assert!(names(line).next().is_some(), "row {row} names no test");
    }
    let rows = chapter.lines().filter(|line| line.starts_with("| "));
    let without = rows.filter(|line| line.contains('`') && names(line).next().is_none());
    assert_eq!(without.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeSet::new();
    for folder in ["loadgen/src", "loadgen/tests", "lab/src"] {
        functions(&root.join(folder), &mut found);
    }
    let chapter = chapter();
    let missing = chapter.lines().flat_map(names);
    let missing: Vec<_> = missing.filter(|name| !found.contains(*name)).collect();
    assert_eq!(
        missing, [""; 0],
        "named in docs/truth.md and nowhere to be found"
    );
}
