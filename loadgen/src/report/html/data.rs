//! The document inside its page, for programs: whole, unless the page would become too large.

use serde_json::Value;

use crate::report::Report;

/// What the document may take of the page, in bytes.
const MOST_BYTES: usize = 640 * 1024;

/// The largest parts, which are left out first, and what is said in their place.
const LARGE: [&str; 2] = ["intervals", "lives"];

/// One report.
pub(super) fn of_one(report: &Report) -> String {
    fit(&[report], MOST_BYTES).pop().unwrap_or_default()
}

/// Several reports as an array.
pub(super) fn of_many(reports: &[Report]) -> String {
    let all: Vec<&Report> = reports.iter().collect();
    format!("[{}]", fit(&all, MOST_BYTES).join(","))
}

/// The documents with the fewest parts left out so that all together have at most `bytes` bytes.
fn fit(reports: &[&Report], bytes: usize) -> Vec<String> {
    let mut documents = Vec::new();
    for left_out in 0..=LARGE.len() {
        documents = reports
            .iter()
            .map(|report| document(report, &LARGE[..left_out]))
            .collect();
        if documents.iter().map(String::len).sum::<usize>() <= bytes {
            break;
        }
    }
    documents
}

fn document(report: &Report, left_out: &[&str]) -> String {
    let mut document = serde_json::to_value(report).unwrap_or_default();
    if let Value::Object(keys) = &mut document {
        for key in left_out {
            keys.insert((*key).to_owned(), Value::Array(Vec::new()));
        }
        if !left_out.is_empty() {
            keys.insert("left_out".to_owned(), left_out.into());
        }
    }
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Life, sample};

    fn many() -> Report {
        let life = Life {
            connected_s: Some(0.1),
            first_byte_s: None,
            ended_s: None,
            answered: 0,
        };
        Report {
            lives: vec![life; 100],
            ..sample::starved()
        }
    }

    #[test]
    fn a_small_document_is_whole_and_can_be_read_back() {
        let read: Report = serde_json::from_str(&of_one(&many())).unwrap();
        assert_eq!(read, many());
        let all: Vec<Report> = serde_json::from_str(&of_many(&[many(), many()])).unwrap();
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn a_large_one_says_what_is_missing() {
        let text = fit(&[&many()], 4_000).pop().unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["left_out"], serde_json::json!(["intervals", "lives"]));
        assert!(text.len() <= 4_000 && value["rate_per_s"].is_number());
        assert!(serde_json::from_str::<Report>(&text).is_ok());
    }
}
