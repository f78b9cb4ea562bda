//! The numbers of a document by their path. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// What names an element of a list, in this order of preference; without one it is its place.
const NAMES: [&str; 5] = ["mode", "name", "subject", "method", "clients"];

/// The fields of a figure that was measured repeatedly: its middle and the ends of its range.
const REPEATED: [[&str; 3]; 2] = [["median", "min", "max"], ["middle", "low", "high"]];

/// A number, and its range where it was measured repeatedly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    /// The number, or the median.
    pub(super) value: f64,
    /// The smallest and the largest, if it was repeated.
    pub(super) range: Option<(f64, f64)>,
}

impl Figure {
    /// Whether the ranges do not touch. A number that was measured once has a range of nothing, so
    /// that it lies apart from any that differs: such a figure is told, and not judged.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let ends = |of: &Self| of.range.unwrap_or((of.value, of.value));
        let ((low, high), (other_low, other_high)) = (ends(self), ends(other));
        high < other_low || other_high < low
    }
}

/// All numbers in `value`; an object with the fields of [`REPEATED`] is one.
pub(super) fn of(value: &Value) -> BTreeMap<String, Figure> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect(value: &Value, path: String, found: &mut BTreeMap<String, Figure>) {
    match value {
        Value::Number(number) => {
            let value = number.as_f64();
            found.extend(value.map(|value| (path, Figure { value, range: None })));
        }
        Value::Object(fields) => {
            let number = |name: &&str| fields.get(*name)?.as_f64();
            let all = |names: &[&str; 3]| names.iter().map(number).collect::<Option<Vec<f64>>>();
            if let Some([value, min, max]) = REPEATED.iter().find_map(all).as_deref() {
                let (value, range) = (*value, Some((*min, *max)));
                found.insert(path, Figure { value, range });
                return;
            }
            for (name, inner) in fields {
                collect(inner, joined(&path, name), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = name(item).unwrap_or_else(|| index.to_string());
                collect(item, joined(&path, &name), found);
            }
        }
        _ => {}
    }
}

fn name(item: &Value) -> Option<String> {
    let named = NAMES.iter().filter_map(|key| item.get(key));
    named
        .filter_map(|value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .next()
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
