//! The page as a whole: well-formed, silent, small, and not to be fooled by names.

use super::*;
use crate::page::tags::tags;
use crate::report::{Interval, Latency, Life, Profile, Schedule, Tcp, sample};
use crate::samples::{Censored, Samples};

const HOSTILE: &str =
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u{1b}[2J\n=cmd()</td>";

fn waits(count: u64) -> Option<Latency> {
    let mut samples = Samples::new();
    (1..=count).for_each(|n| samples.record(n * 1_000));
    samples.summary(&Censored::default())
}

fn interval(second: u32) -> Interval {
    let waits = waits(100).unwrap();
    Interval {
        at_s: f64::from(second),
        length_s: 1.0,
        answered: 100,
        p50_us: waits.p50_us,
        p99_us: waits.p99_us,
        max_us: waits.max_us,
        failed: u64::from(second == 1),
        histogram: waits.histogram,
        response: None,
    }
}

/// A report with something in every part, and `name` wherever a name can stand.
fn full(name: &str) -> Report {
    let mut report = sample::starved();
    report.target = name.to_owned();
    report.config.insert(name.to_owned(), name.into());
    report.machine.kernel = name.to_owned();
    report.tool.version = name.to_owned();
    report.errors.insert(name.to_owned(), 1);
    report.examples.insert(name.to_owned(), name.to_owned());
    report.gates[0].name = name.to_owned();
    report.audit.checks[0].name = name.to_owned();
    report.audit.checks[0].detail = name.to_owned();
    report.latency.rtt = waits(10_000);
    report.latency.response = waits(10_000);
    report.intervals = (0..10).map(interval).collect();
    report.lives = (0..50).map(life).collect();
    report.profiles = vec![profile(name)];
    report.server = Some(sample::server(name));
    report.tcp = Some(Tcp {
        connections: 4,
        rtt_p50_us: 40.0,
        rtt_max_us: 90.0,
        retransmits: 0,
    });
    report.schedule = Some(Schedule {
        due: 100,
        offered_per_s: Some(10.0),
        rate_ratio: Some(1.0),
        ..Schedule::default()
    });
    report
}

fn life(number: u32) -> Life {
    Life {
        connected_s: Some(0.001),
        first_byte_s: (number < 4).then_some(0.002),
        ended_s: None,
        answered: 0,
    }
}

fn profile(name: &str) -> Profile {
    Profile {
        name: name.to_owned(),
        asked: 50,
        connected: 50,
        served: 4,
        starved: 46,
        answered: 100,
        rtt: waits(200),
    }
}

fn pages(name: &str) -> [String; 2] {
    let mut other = full(name);
    other.clients.asked = 4;
    other.schedule.as_mut().unwrap().offered_per_s = Some(20.0);
    [render(&full(name)), render_many(&[full(name), other])]
}

#[test]
fn every_part_is_on_the_page_in_the_order_that_people_read() {
    let [page, several] = pages("127.0.0.1:7007");
    let ids = |page: &str| -> String {
        let parts = page.split("<section id=\"").skip(1);
        let ids: Vec<&str> = parts.filter_map(|part| part.split('"').next()).collect();
        ids.join(" ")
    };
    insta::assert_snapshot!(ids(&page), @"waits clients percentiles time profiles server requests audit conditions");
    insta::assert_snapshot!(ids(&several), @"runs clients load percentiles conditions");
    assert!(page.contains("<h1>46 of 50 clients waited the whole run;"));
    assert!(page.contains("The line stops at 4 and stays flat"));
}

#[test]
fn the_page_is_well_formed_small_and_asks_nobody_for_anything() {
    for page in pages("127.0.0.1:7007") {
        let tags = tags(&page);
        for foreign in ["link", "img", "iframe", "object", "embed", "image", "use"] {
            assert!(!tags.iter().any(|tag| tag == foreign), "<{foreign}>");
        }
        for loading in ["src=", "href=", "url(http", "@import", "javascript:"] {
            assert!(!page.contains(loading), "{loading}");
        }
        assert!(!page.contains("NaN") && page.len() < 1 << 20);
    }
}

#[test]
fn no_name_becomes_markup() {
    for page in pages(HOSTILE) {
        let tags = tags(&page);
        assert!(!tags.iter().any(|tag| tag == "img"), "a name became a tag");
        assert_eq!(tags.iter().filter(|tag| *tag == "script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        assert!(!page.contains("<script>alert"));
        let block = page.split(r#"id="report">"#).nth(1).unwrap();
        let block = block.split("</script>").next().unwrap();
        let value: serde_json::Value = serde_json::from_str(block).unwrap();
        let first = value.get(0).unwrap_or(&value);
        assert_eq!(first["target"], HOSTILE);
    }
}

#[test]
fn an_almost_empty_report_makes_a_page_without_nonsense() {
    let mut report = sample::starved();
    report.latency = crate::report::Latencies::default();
    (report.rate_per_s, report.duration_s) = (None, 0.0);
    (report.clients.fairness, report.clients.effective) = (None, None);
    report.started_unix_s = 1e300;
    for page in [
        render(&report),
        render_many(&[]),
        render_many(&[report.clone(), report]),
    ] {
        tags(&page);
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{page}");
    }
}

#[test]
fn the_largest_report_makes_a_small_page() {
    let mut report = full("127.0.0.1:7007");
    let life = report.lives[0];
    report.lives = vec![life; crate::report::MOST_LIVES];
    report.intervals = (0..10).map(interval).cycle().take(2_000).collect();
    let page = render(&report);
    assert!(page.len() < 1 << 20, "{} bytes", page.len());
}
