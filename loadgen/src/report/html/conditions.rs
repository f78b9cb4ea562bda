//! Under what conditions a run took place: all that it takes to do it again.

use maud::{Markup, html};
use serde_json::Value;

use super::table::list;
use super::verdict;
use crate::report::Report;

/// Under which circumstances: what it takes to do it again.
pub(super) fn section(report: &Report) -> Markup {
    let mut entries = vec![
        ("Target", report.target.clone()),
        (
            "Generator's machine",
            format!(
                "{} processors, Linux {}",
                report.machine.cpus, report.machine.kernel
            ),
        ),
        ("Program", format!("loadgen {}", report.tool.version)),
        ("Seed", report.seed.to_string()),
        ("Window", format!("{:.3} s", report.duration_s)),
    ];
    entries.extend(verdict::date(report).map(|date| ("Begun", date)));
    html! {
        section id="conditions" {
            h2 { "Under what conditions?" }
            p { (command_line(report)) }
            (list(&entries))
            p class="kicker" {
                "The whole document, with its histograms, is in this file: the element with the id " code { "report" } "."
            }
        }
    }
}

/// The run as it can be typed again, broken between its flags only.
pub(super) fn command_line(report: &Report) -> Markup {
    html! { code { @for word in words(report) { span class="word" { (word) } " " } } }
}

/// The program with its target, and each flag with its value.
fn words(report: &Report) -> Vec<String> {
    let mut words = vec![format!("loadgen {}", quoted(&report.target))];
    for (flag, value) in &report.config {
        match value {
            Value::Array(values) => words.extend(values.iter().filter_map(|one| typed(flag, one))),
            value => words.extend(typed(flag, value)),
        }
    }
    words
}

fn typed(flag: &str, value: &Value) -> Option<String> {
    match (flag, value) {
        // The one flag that is a switch with a value.
        ("verify", Value::Bool(on)) => Some(format!("--verify {}", if *on { "on" } else { "off" })),
        (_, Value::Null | Value::Bool(false)) => None,
        (_, Value::Bool(true)) => Some(format!("--{flag}")),
        (_, Value::String(text)) => Some(format!("--{flag} {}", quoted(text))),
        (_, other) => Some(format!("--{flag} {}", quoted(&other.to_string()))),
    }
}

/// A word of a command line; quoted where a shell would not leave it alone.
fn quoted(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_.:/=,+%@".contains(c);
    if !text.is_empty() && text.chars().all(harmless) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use serde_json::json;

    #[test]
    fn the_command_line_can_be_typed_again() {
        let mut report = sample::starved();
        report.target = "unix:/tmp/it's".into();
        let config = json!({
            "connections": 50, "duration": "1m 30s", "requests": null, "once": true,
            "verify": false, "slo": ["p99<2ms", "rtt.p50<1ms"], "tui": false,
        });
        report.config = config.as_object().unwrap().clone();
        insta::assert_snapshot!(words(&report).join(" "), @r"loadgen 'unix:/tmp/it'\''s' --connections 50 --duration '1m 30s' --once --verify off --slo 'p99<2ms' --slo 'rtt.p50<1ms'");
    }
}
