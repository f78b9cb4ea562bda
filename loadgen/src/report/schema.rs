//! The JSON schema of the document, made from the very types that are written.
//!
//! The copy in `docs/` is checked in so that its changes show in reviews; a test compares both.

use schemars::generate::SchemaSettings;

use super::Report;

/// The schema (JSON Schema 2020-12) of what `--format json` writes, ending in a newline.
///
/// # Panics
///
/// Never: a schema has only string keys.
#[must_use]
pub fn render() -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let schema = settings.into_generator().into_root_schema_for::<Report>();
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema has only string keys");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{json, synthetic};

    const COPY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/loadgen.schema.json");

    fn faults(document: &serde_json::Value) -> Vec<String> {
        let schema = serde_json::from_str(&render()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors = validator.iter_errors(document);
        errors.map(|error| error.to_string()).collect()
    }

    #[test]
    fn the_copy_in_docs_is_up_to_date() {
        let copy = std::fs::read_to_string(COPY).unwrap_or_default();
        assert!(
            copy == render(),
            "docs/loadgen.schema.json is old; refresh it with \
             `cargo run -p loadgen -- schema > docs/loadgen.schema.json`"
        );
    }

    #[test]
    fn reports_of_both_loops_validate() {
        for report in [
            synthetic::closed(3, &[vec![1_000; 20], vec![]]),
            synthetic::open(3, &[1_000; 2_000]),
        ] {
            let document = serde_json::from_str(&json::render(&report)).unwrap();
            assert_eq!(faults(&document), [""; 0]);
        }
    }

    #[test]
    fn what_is_no_report_does_not() {
        let report = synthetic::closed(3, &[vec![1_000; 20]]);
        let good: serde_json::Value = serde_json::from_str(&json::render(&report)).unwrap();
        for (place, wrong) in [
            ("/clients/served", serde_json::json!("4")),
            ("/audit/verdict", serde_json::json!("maybe")),
            ("/latency/rtt/count", serde_json::json!(-1)),
            ("/intervals", serde_json::json!(null)),
        ] {
            let mut document = good.clone();
            *document.pointer_mut(place).unwrap() = wrong;
            assert_ne!(faults(&document), [""; 0], "{place}");
        }
        let mut short = good;
        short.as_object_mut().unwrap().remove("gates");
        assert_ne!(faults(&short), [""; 0], "every key is there, null or not");
    }
}
