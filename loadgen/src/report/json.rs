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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_keys_keep_their_order() {
        let text = render(&sample::starved());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        insta::assert_snapshot!(keys.join(" "), @"schema tool target config machine seed interrupted duration_s clients requests bytes mismatches rate_per_s latency intervals errors audit gates examples schedule profiles server tcp lives started_unix_s merged");
        let part = |key: &str| serde_json::to_string(&value[key]).unwrap();
        insta::assert_snapshot!(part("clients"), @r#"{"asked":50,"connected":50,"served":4,"starved":46,"lost":0,"fairness":0.08,"effective":4.0}"#);
        insta::assert_snapshot!(part("requests"), @r#"{"carried_in":50,"sent":951000,"answered":951000,"errors":0,"timeouts":0,"pending":50,"late":0,"unsent":0,"late_answers":4}"#);
        insta::assert_snapshot!(part("gates"), @r#"[{"name":"at-least-one-served","limit":1.0,"value":4.0,"verdict":"pass"}]"#);
        insta::assert_snapshot!(serde_json::to_string(&value["latency"]["admission"]).unwrap(), @r#"{"count":4,"censored":46,"censored_above_us":11000000.0,"mean_us":40.0,"p50_us":null,"p90_us":null,"p99_us":null,"p999_us":null,"max_us":null,"histogram":"HISTE"}"#);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let report = sample::starved();
        assert_eq!(
            serde_json::from_str::<Report>(&render(&report)).unwrap(),
            report
        );
    }

    #[test]
    fn a_hostile_name_stays_inside_its_string() {
        let mut report = sample::starved();
        report.target = "\"</script>\u{1b}[2J\n".to_owned();
        let text = render(&report);
        assert!(!text.contains('\u{1b}') && !text.contains("\"\"<"));
        assert_eq!(
            serde_json::from_str::<Report>(&text).unwrap().target,
            report.target
        );
    }
}
