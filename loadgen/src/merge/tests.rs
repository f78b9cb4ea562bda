//! What a sum is: the same whatever the order, and the same as one big run.

use super::*;
use crate::report::{Life, Server, Verdict, synthetic};
use proptest::prelude::*;
use serde_json::json;

fn part(name: &str, report: Report) -> Part {
    Part {
        name: name.to_owned(),
        report,
    }
}

fn sum(reports: &[Report]) -> Report {
    let parts: Vec<_> = reports.iter().map(|r| part("x", r.clone())).collect();
    merge(&parts, Mixed::Refuse, &[]).unwrap()
}

fn two() -> (Report, Report) {
    let a = synthetic::closed(3, &[vec![1_000_000; 300], vec![2_000_000; 300]]);
    let b = synthetic::closed(1, &[vec![9_000_000; 500], vec![], vec![8_000_000; 700]]);
    (a, b)
}

fn server(pids: &[u32], cpu_s: f64) -> Option<Server> {
    Some(Server {
        pids: pids.to_vec(),
        command: "echo".to_owned(),
        cpu_s,
        cpu_us_per_request: None,
        rss_bytes: 1_000,
        threads: 2,
        voluntary_switches: 10,
        involuntary_switches: 1,
        backlog: Some(128),
        listen_overflows: 3,
        listen_drops: 3,
    })
}

#[test]
fn two_generators_add_up_to_one() {
    let (a, b) = two();
    let merged = sum(&[a, b]);
    assert_eq!(merged.merged, 2);
    assert_eq!((merged.clients.asked, merged.clients.served), (4, 4));
    assert_eq!(merged.requests.answered, 1_800);
    assert_eq!((merged.duration_s, merged.rate_per_s), (3.0, Some(600.0)));
    let answers: Vec<_> = merged.intervals.iter().map(|i| i.answered).collect();
    assert_eq!(answers, [800, 300, 700]);
    let rtt = merged.latency.rtt.unwrap();
    assert_eq!((rtt.count, rtt.max_us), (1_800, Some(9_000.0)));
    // The percentile of all, which is not the mean of the two.
    assert!((rtt.p50_us.unwrap() - 8_000.0).abs() < 8.0);
    assert_eq!(merged.profiles.len(), 1);
    assert_eq!(merged.profiles[0].answered, 1_800);
    assert_eq!(merged.config["connections"], 4);
}

#[test]
fn fairness_is_that_of_all_clients() {
    let (mut a, mut b) = two();
    // Three clients with 200 answers each, and one with 1200: (1800)^2 / (4 * (3 * 200^2 + 1200^2)).
    a.clients.fairness = Some(1.0);
    b.clients.fairness = Some(1.0);
    let fairness = sum(&[a.clone(), b.clone()]).clients.fairness.unwrap();
    assert!((fairness - 3_240_000.0 / (4.0 * 1_560_000.0)).abs() < 1e-12);
    // Who got no answer at all counts among the clients.
    b.requests.answered = 0;
    b.clients.fairness = None;
    let starved = sum(&[a, b]).clients;
    assert!((starved.fairness.unwrap() - 0.75).abs() < 1e-12);
    assert!((starved.effective.unwrap() - 3.0).abs() < 1e-12);
}

#[test]
fn one_server_seen_twice_is_counted_once() {
    let (mut a, mut b) = two();
    (a.server, b.server) = (server(&[7, 8], 2.0), server(&[7, 8], 2.0));
    let same = sum(&[a.clone(), b.clone()]).server.unwrap();
    assert_eq!((same.pids.as_slice(), same.cpu_s), ([7, 8].as_slice(), 2.0));
    assert_eq!(same.cpu_us_per_request, Some(2e6 / 1_800.0));
    assert_eq!((same.rss_bytes, same.threads), (1_000, 2));
    b.server = server(&[9], 1.0);
    let different = sum(&[a, b]).server.unwrap();
    assert_eq!((different.pids.len(), different.cpu_s), (3, 3.0));
    assert_eq!(
        (different.rss_bytes, different.listen_overflows),
        (2_000, 3)
    );
}

#[test]
fn the_worst_verdict_of_a_check_stands_and_every_detail_is_kept() {
    let (mut a, mut b) = two();
    a.audit.checks[0].detail = "first".to_owned();
    b.audit.checks[0].detail = "second".to_owned();
    b.audit.checks[0].verdict = Verdict::Fail;
    b.audit.verdict = Verdict::Fail;
    let audit = sum(&[b, a]).audit;
    assert_eq!((audit.verdict, audit.checks.len()), (Verdict::Fail, 1));
    assert_eq!(audit.checks[0].detail, "first | second");
}

#[test]
fn promises_are_held_against_the_sum() {
    let (mut a, b) = two();
    a.gates = gates::evaluate(&[Promise::latency("p50<3ms").unwrap()], &a);
    assert_eq!(a.gates[1].verdict, Verdict::Pass);
    let more = [Promise::min_served("100%").unwrap()];
    let merged = merge(&[part("a", a), part("b", b)], Mixed::Refuse, &more).unwrap();
    let said: Vec<_> = merged
        .gates
        .iter()
        .map(|g| (g.name.as_str(), g.verdict))
        .collect();
    assert_eq!(
        said,
        [
            ("at-least-one-served", Verdict::Pass),
            ("p50<3ms", Verdict::Fail),
            ("min-served 100%", Verdict::Pass),
        ]
    );
}

#[test]
fn clients_are_listed_only_when_all_are() {
    let (mut a, mut b) = two();
    let life = Life {
        connected_s: Some(0.1),
        first_byte_s: None,
        ended_s: None,
        answered: 0,
    };
    a.lives = vec![life; 3];
    assert!(sum(&[a.clone(), b.clone()]).lives.is_empty());
    b.lives = vec![life; 1];
    assert_eq!(sum(&[a.clone(), b.clone()]).lives.len(), 4);
    b.lives[0].answered = 1;
    b.started_unix_s -= 0.1;
    let lives = sum(&[a.clone(), b.clone()]).lives;
    assert_eq!(lives[0].answered, 1, "who began first is listed first");
    b.lives = vec![life; crate::report::MOST_LIVES];
    assert!(sum(&[a, b]).lives.is_empty());
}

#[test]
fn what_does_not_belong_together_is_refused_by_name() {
    let refusal = |change: fn(&mut Report)| {
        let (a, mut b) = two();
        change(&mut b);
        let parts = [part("a.json", a), part("b.json", b)];
        let why = merge(&parts, Mixed::Refuse, &[]).unwrap_err().to_string();
        assert!(why.contains("a.json") && why.contains("b.json"), "{why}");
        let forced = merge(&parts, Mixed::Add, &[]);
        if let Ok(sum) = &forced {
            let check = sum.audit.checks.last().unwrap();
            assert_eq!(
                (check.name.as_str(), sum.audit.verdict),
                ("merge-forced", Verdict::Warn)
            );
            assert!(why.starts_with(&check.detail), "{}", check.detail);
        }
        (why, forced.is_ok())
    };
    let (why, forced) = refusal(|r| drop(r.config.insert("size".to_owned(), 65.into())));
    insta::assert_snapshot!(why, @"a.json and b.json differ in size (64 and 65); use --force to merge them all the same");
    assert!(forced);
    let (why, forced) = refusal(|r| drop(r.config.insert("rate".to_owned(), json!("10k"))));
    insta::assert_snapshot!(why, @r#"a.json and b.json differ in rate (none and "10k"); use --force to merge them all the same"#);
    assert!(forced);
    let (why, forced) = refusal(|r| r.target = "elsewhere:1".to_owned());
    assert!(why.contains("differ in target (127.0.0.1:7007 and elsewhere:1)") && forced);
    let (why, forced) = refusal(|r| r.started_unix_s += 60.0);
    insta::assert_snapshot!(why, @"a.json and b.json began 60.0 s apart and their windows last 3.0 s, so they did not run at the same time; use --force to merge them all the same");
    assert!(forced);
    let (why, forced) = refusal(|r| r.schema += 1);
    insta::assert_snapshot!(why, @"a.json has schema 1 and b.json has schema 2; results of one version can be merged");
    assert!(!forced, "no force makes a key mean what it does not");
}

#[test]
fn each_generator_may_have_its_own_share_and_seed() {
    let (a, mut b) = two();
    b.config.insert("seed".to_owned(), 2.into());
    b.config.insert("shard".to_owned(), json!("1/2"));
    let merged = sum(&[a, b]);
    assert_eq!(merged.config["shard"], json!(["1/2", null]));
    assert!(merged.config["seed"].is_array());
}

#[test]
fn a_histogram_that_is_none_names_its_file() {
    let (a, mut b) = two();
    b.intervals[0].histogram = "HISTE".to_owned();
    let why = merge(&[part("a", a), part("b.json", b)], Mixed::Add, &[]).unwrap_err();
    assert!(
        why.to_string().starts_with("b.json holds a histogram"),
        "{why}"
    );
    assert!(matches!(
        merge(&[], Mixed::Add, &[]),
        Err(MergeError::Nothing)
    ));
}

#[test]
fn counts_that_a_file_exaggerates_do_not_wrap() {
    let (mut a, b) = two();
    a.requests.answered = u64::MAX;
    a.requests.errors = u64::MAX;
    a.clients.asked = u32::MAX;
    a.profiles[0].asked = u32::MAX;
    a.intervals[0].failed = u64::MAX;
    a.latency.rtt.as_mut().unwrap().censored = u64::MAX;
    a.errors.insert("reset".to_owned(), u64::MAX);
    let merged = sum(&[a.clone(), a, b]);
    assert_eq!(
        (merged.requests.answered, merged.clients.asked),
        (u64::MAX, u32::MAX)
    );
    assert_eq!(merged.errors["reset"], u64::MAX);
}

/// Everything in the document that is rounded on its way, rounded off.
fn figures(mut report: Report) -> serde_json::Value {
    report.lives.sort_by_key(|life| life.answered);
    report.config =
        serde_json::Map::from_iter(std::collections::BTreeMap::from_iter(report.config));
    let mut value = serde_json::to_value(report).unwrap();
    round(&mut value);
    value
}

fn round(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(list) => list.iter_mut().for_each(round),
        serde_json::Value::Object(map) => map.values_mut().for_each(round),
        serde_json::Value::Number(number) if number.is_f64() => {
            *value = json!(format!("{:.9e}", number.as_f64().unwrap()));
        }
        _ => {}
    }
}

fn any_report() -> impl Strategy<Value = Report> {
    let second = prop::collection::vec(1_000..1_u64 << 36, 0..30);
    let seconds = prop::collection::vec(second, 1..3);
    (
        seconds,
        1..9_u32,
        prop::collection::vec(1..1_u64 << 36, 0..4),
        0..3_u32,
        any::<bool>(),
    )
        .prop_map(|(seconds, clients, waiting, server_pid, listed)| {
            let mut report = synthetic::closed(clients, &seconds);
            let all = seconds.concat();
            report.latency.rtt = synthetic::latency(&all, &waiting);
            report.errors.insert("reset".to_owned(), u64::from(clients));
            report.server = server(&[server_pid], f64::from(server_pid)).filter(|_| server_pid > 0);
            report.config.insert("threads".to_owned(), clients.into());
            let life = |answered| Life {
                connected_s: None,
                first_byte_s: None,
                ended_s: None,
                answered,
            };
            if listed {
                report.lives = (0..u64::from(clients)).map(life).collect();
            }
            report
        })
}

proptest! {
    // Each case walks through hundreds of thousands of counters, unoptimised.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn neither_order_nor_grouping_changes_a_figure(
        a in any_report(), b in any_report(), c in any_report(),
    ) {
        let at_once = figures(sum(&[a.clone(), b.clone(), c.clone()]));
        let turned = figures(sum(&[c.clone(), a.clone(), b.clone()]));
        prop_assert_eq!(&at_once, &turned);
        let first_two = figures(sum(&[sum(&[a.clone(), b.clone()]), c.clone()]));
        prop_assert_eq!(&at_once, &first_two);
        let last_two = figures(sum(&[a, sum(&[b, c])]));
        prop_assert_eq!(&at_once, &last_two);
    }
}
