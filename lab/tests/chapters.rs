//! Two chapters name what proves each of their rows: `docs/truth.md` the mistakes of load generators,
//! `docs/faults.md` the faults of servers. What they name exists.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lab::soak::steps;

/// The rows of `docs/truth.md` that concern a generator, and those of comparisons.
const MISTAKES: std::ops::RangeInclusive<u32> = 1..=30;
/// Those of `docs/faults.md` that concern a server.
const FAULTS: std::ops::RangeInclusive<u32> = 1..=73;
/// Those of them that concern its admin endpoint; what is between is about other programs.
const OF_ADMIN: [u32; 4] = [76, 77, 78, 82];
/// Those of them that nothing can show, for which the chapter says why.
const UNSHOWN: [u32; 3] = [21, 47, 69];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chapter(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// What stands between backticks and looks like the name of a test.
fn tests_of(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('_') && !text.contains(['/', ' ', '=', ':']))
}

/// What stands between single asterisks, in the rows of a table.
fn steps_of(line: &str) -> impl Iterator<Item = &str> {
    let rows = line.strip_prefix("| ").unwrap_or_default();
    rows.split('*').skip(1).step_by(2)
}

/// The line of that row.
fn row(chapter: &str, number: u32) -> Option<&str> {
    let start = format!("| {number} |");
    chapter.lines().find(|line| line.starts_with(&start))
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

/// The tests that `chapter` names, and that are in none of the folders.
fn missing(chapter: &str, folders: &[&str]) -> Vec<String> {
    let mut found = BTreeSet::new();
    folders
        .iter()
        .for_each(|folder| functions(&root().join(folder), &mut found));
    let named = chapter.lines().flat_map(tests_of);
    let missing = named.filter(|name| !found.contains(*name));
    missing.map(str::to_owned).collect()
}

#[test]
fn every_mistake_of_a_load_generator_has_a_test_that_exists() {
    let chapter = chapter("truth.md");
    for number in MISTAKES {
        let line = row(&chapter, number).unwrap_or_else(|| panic!("no row {number}"));
        assert!(
            tests_of(line).next().is_some(),
            "row {number} names no test"
        );
    }
    let rows = chapter.lines().filter(|line| line.starts_with("| "));
    let without = rows.filter(|line| line.contains('`') && tests_of(line).next().is_none());
    assert_eq!(without.collect::<Vec<_>>(), [""; 0]);
    let folders = ["loadgen/src", "loadgen/tests", "lab/src"];
    assert_eq!(missing(&chapter, &folders), [""; 0]);
}

#[test]
fn every_fault_of_a_server_has_a_test_or_a_step_that_exists() {
    let chapter = chapter("faults.md");
    for number in FAULTS
        .chain(OF_ADMIN)
        .filter(|number| !UNSHOWN.contains(number))
    {
        let line = row(&chapter, number).unwrap_or_else(|| panic!("no row {number}"));
        let shown = tests_of(line).chain(steps_of(line)).next();
        assert!(shown.is_some(), "row {number} names nothing");
    }
    assert_eq!(missing(&chapter, &["server/src", "server/tests"]), [""; 0]);
    let named = chapter.lines().flat_map(steps_of);
    let unknown = named.filter(|name| steps::find(name).is_none());
    assert_eq!(unknown.collect::<Vec<_>>(), [""; 0]);
}

/// The ideas that `docs/course.md` finds again.
const IDEAS: std::ops::RangeInclusive<u32> = 1..=31;

#[test]
fn every_experiment_stands_in_the_course_and_every_idea_is_measured_by_one() {
    let chapter = chapter("course.md");
    for experiment in lab::experiments::ALL {
        let name = format!("`{}`", experiment.name);
        let row = format!("| {} |", experiment.chapter);
        let row = chapter.lines().find(|line| line.starts_with(&row));
        assert!(row.is_some_and(|row| row.contains(&name)), "{name}");
    }
    for number in IDEAS {
        let line = row(&chapter, number).unwrap_or_else(|| panic!("no idea {number}"));
        let measured_by = line.split(" | ").nth(2).unwrap();
        let names = measured_by.split('`').skip(1).step_by(2);
        let known = |name| lab::experiments::find(name).is_some();
        assert!(names.clone().next().is_some(), "nothing measures {number}");
        assert!(names.clone().all(known), "{number}: {measured_by}");
    }
}

#[test]
fn every_step_of_the_soak_is_named_and_told() {
    let (faults, soak) = (chapter("faults.md"), chapter("soak.md"));
    for step in steps::ALL {
        assert!(
            faults.contains(&format!("*{}*", step.name)),
            "{}",
            step.name
        );
        assert!(
            soak.contains(&format!("| `{}` |", step.name)),
            "{}",
            step.name
        );
    }
}
