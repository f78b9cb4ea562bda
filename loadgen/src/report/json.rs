//! The report for programs: one JSON document with a stable order of keys.

use super::Report;

/// The document, ending in a newline.
///
/// # Panics
///
/// Never: every key is a string, and what is no number becomes `null`.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("the document has only string keys");
    text.push('\n');
    text
}
