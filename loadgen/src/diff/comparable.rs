//! What makes runs comparable: the same question on the same kind of machine.

use std::collections::BTreeSet;

use crate::report::Report;

/// What may differ between runs that are compared: whom they ask, where their bytes come from and
/// where the answers go.
const MAY_DIFFER: &[&str] = &["target", "seed", "output", "start-at"];

/// A difference says at most this many of its values.
const MOST_VALUES: usize = 3;

/// Something about a run, by name.
type Fact = (&'static str, fn(&Report) -> String);

/// All that `runs` differ in, each with the values that occur, such as `kernel (6.1 and 6.2)`.
pub(super) fn differences<'a>(runs: impl Iterator<Item = &'a Report> + Clone) -> Vec<String> {
    let keys: BTreeSet<&str> = runs
        .clone()
        .flat_map(|run| run.config.keys().map(String::as_str))
        .filter(|key| !MAY_DIFFER.contains(key))
        .collect();
    let machine: [Fact; 4] = [
        ("kernel", |run| run.machine.kernel.clone()),
        ("cpus", |run| run.machine.cpus.to_string()),
        ("number of targets", |run| targets(run).to_string()),
        ("merged reports", |run| run.merged.to_string()),
    ];
    let mut differences = Vec::new();
    for (name, value) in machine {
        differences.extend(difference(name, runs.clone().map(value)));
    }
    for key in keys {
        let value = |run: &Report| match run.config.get(key) {
            None | Some(serde_json::Value::Null) => "none".to_owned(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        differences.extend(difference(key, runs.clone().map(value)));
    }
    differences
}

fn targets(run: &Report) -> usize {
    run.target.split(',').count()
}

fn difference(name: &str, values: impl Iterator<Item = String>) -> Option<String> {
    let distinct: BTreeSet<String> = values.collect();
    if distinct.len() < 2 {
        return None;
    }
    let more = distinct.len().saturating_sub(MOST_VALUES);
    let mut said: Vec<String> = distinct.into_iter().take(MOST_VALUES).collect();
    if more > 0 {
        said.push(format!("{more} more"));
    }
    Some(format!("{name} ({})", said.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::synthetic;

    fn found(change: fn(&mut Report)) -> String {
        let one = synthetic::closed(3, &[vec![1_000_000; 3]]);
        let mut other = one.clone();
        change(&mut other);
        differences([&one, &other].into_iter()).join(", ")
    }

    #[test]
    fn every_key_counts_but_whom_is_asked_and_the_seed() {
        let set = |r: &mut Report, key: &str| drop(r.config.insert(key.to_owned(), 9.into()));
        assert_eq!(found(|_| ()), "");
        assert_eq!(found(|r| r.target = "other:7".to_owned()), "");
        assert_eq!(
            found(|r| drop(r.config.insert("seed".to_owned(), 9.into()))),
            ""
        );
        assert_eq!(
            found(|r| r.machine.kernel = "6.1".to_owned()),
            "kernel (6.1 and 6.18.0)"
        );
        assert_eq!(found(|r| r.machine.cpus = 64), "cpus (2 and 64)");
        assert_eq!(
            found(|r| r.target.push_str(",b:7")),
            "number of targets (1 and 2)"
        );
        for key in [
            "connections",
            "size",
            "protocol",
            "rate",
            "profile",
            "threads",
        ] {
            let one = synthetic::closed(3, &[vec![1_000_000; 3]]);
            let mut other = one.clone();
            set(&mut other, key);
            let said = differences([&one, &other].into_iter());
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].starts_with(key), "{said:?}");
        }
    }

    #[test]
    fn null_is_the_same_as_absent_and_many_values_are_cut_short() {
        assert_eq!(
            found(|r| drop(r.config.insert("rate".to_owned(), serde_json::Value::Null))),
            ""
        );
        let many = (1..=6).map(|n| n.to_string());
        let said = difference("size", many).unwrap();
        assert_eq!(said, "size (1 and 2 and 3 and 3 more)");
    }
}
