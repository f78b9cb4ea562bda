//! The numbers of a document by their path. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

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
    /// Whether both were measured repeatedly, and their ranges do not touch.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let ranges = self.range.zip(other.range);
        ranges.is_some_and(|((low, high), (other_low, other_high))| {
            high < other_low || other_high < low
        })
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
            for (item, name) in items.iter().zip(names(items)) {
                collect(item, joined(&path, &name), found);
            }
        }
        _ => {}
    }
}

/// What the elements of a list are called, each its own: by as many of the texts that they begin
/// with as tell them apart, and otherwise by their place as well.
fn names(items: &[Value]) -> Vec<String> {
    let texts: Vec<Vec<&str>> = items.iter().map(leading_texts).collect();
    let of = |texts: &[&str], count: usize| texts[..count.min(texts.len())].join(", ");
    let is_unique = |name: &String, count: usize| {
        let namesakes = texts.iter().filter(|texts| of(texts, count) == *name);
        !name.is_empty() && namesakes.count() == 1
    };
    let name = |(place, texts): (usize, &Vec<&str>)| {
        let mut longer = (1..=texts.len()).map(|count| (of(texts, count), count));
        let unique = longer.find(|(name, count)| is_unique(name, *count));
        match (unique, texts.first()) {
            (Some((name, _)), _) => name,
            (None, Some(first)) => format!("{first} #{place}"),
            (None, None) => place.to_string(),
        }
    };
    texts.iter().enumerate().map(name).collect()
}

/// The texts that come before anything else.
fn leading_texts(item: &Value) -> Vec<&str> {
    let fields = item.as_object().into_iter().flatten();
    fields.map_while(|(_, value)| value.as_str()).collect()
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
