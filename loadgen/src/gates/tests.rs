//! Each kind of promise, kept and broken, and the texts that are none.

use super::*;
use crate::report::synthetic;

/// A thousand round trips of 1 to 1000 us by three clients.
fn report() -> Report {
    synthetic::closed(3, &[(1..=1_000_u64).map(|us| us * 1_000).collect()])
}

fn gate(name: &str, report: &Report) -> (Option<f64>, Verdict) {
    let gate = name.parse::<Promise>().unwrap().evaluate(report);
    assert_eq!(gate.name, name, "names are read back");
    (gate.value, gate.verdict)
}

#[test]
fn figures_of_latencies_are_held_against_their_limits() {
    let report = report();
    for (name, value, verdict) in [
        ("p50<501us", 500.0, Verdict::Pass),
        ("p50<500us", 500.0, Verdict::Fail),
        ("connect.max<140us", 140.0, Verdict::Fail),
        ("rtt.p99<1ms", 990.0, Verdict::Pass),
        ("p25<1ms250us", 250.0, Verdict::Pass),
        ("mean<501us", 500.5, Verdict::Pass),
        ("max<1ms", 1_000.0, Verdict::Fail),
        ("connect.max<=140us", 140.0, Verdict::Pass),
        ("admission.max<1us", 200.0, Verdict::Fail),
    ] {
        let (found, judged) = gate(name, &report);
        let found = found.unwrap();
        assert!((found - value).abs() <= value / 1_000.0, "{name}: {found}");
        assert_eq!(judged, verdict, "{name}");
    }
}

#[test]
fn a_figure_that_does_not_exist_keeps_no_promise() {
    let mut report = report();
    for name in ["p99.9<1h", "p99.91<1h", "response.p50<1h", "lag.max<1h"] {
        assert_eq!(gate(name, &report), (None, Verdict::Fail), "{name}");
    }
    report.latency.rtt = synthetic::latency(&[1_000; 4], &[5_000_000_000; 46]);
    for name in ["mean<1h", "max<1h", "p50<1h", "p8.1<1h"] {
        assert_eq!(gate(name, &report), (None, Verdict::Fail), "{name}");
    }
    assert_eq!(gate("p8<1h", &report), (Some(1.0), Verdict::Pass));
}

#[test]
fn a_bare_figure_is_what_a_user_feels() {
    let open = synthetic::open(2, &[8_000_000; 1_000]);
    assert_eq!(gate("p99<5ms", &open), (Some(8_000.0), Verdict::Fail));
    assert_eq!(gate("rtt.p99<5ms", &open).1, Verdict::Pass);
    let mut silent = open.clone();
    silent.latency.response = None;
    assert_eq!(gate("p99<5ms", &silent), (None, Verdict::Fail));
}

#[test]
fn failures_and_clients_are_counted() {
    let mut report = report();
    report.requests.errors = 5;
    report.requests.timeouts = 5;
    let (value, verdict) = gate("max-error-rate 1%", &report);
    assert_eq!((value, verdict), (Some(10.0 / 1_010.0), Verdict::Pass));
    assert_eq!(gate("max-error-rate 0.009", &report).1, Verdict::Fail);
    assert_eq!(gate("min-served 100%", &report), (Some(3.0), Verdict::Pass));
    assert_eq!(gate("min-served 4", &report).1, Verdict::Fail);
    report.clients.served = 2;
    assert_eq!(gate("min-served 67%", &report).1, Verdict::Fail);
    assert_eq!(gate("min-served 66%", &report).1, Verdict::Pass);
    report.requests = crate::report::Requests::default();
    let nothing = gate("max-error-rate 100%", &report);
    assert_eq!(nothing, (None, Verdict::Fail), "nothing ended");
}

#[test]
fn the_default_comes_first_and_each_once() {
    let slo = Promise::latency("p99 < 2ms").unwrap();
    let gates = evaluate(&[slo.clone(), slo, Promise::one_served()], &report());
    let names: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
    assert_eq!(names, ["at-least-one-served", "p99<2ms"]);
}

#[test]
fn gates_of_a_kept_report_are_evaluated_anew() {
    let mut report = report();
    report.gates = evaluate(&[Promise::latency("p99<2ms").unwrap()], &report);
    report.gates[1].verdict = Verdict::Fail;
    report.gates.push(Gate {
        name: "from the future".to_owned(),
        ..report.gates[0].clone()
    });
    let more = Promise::latency("p50<1us").unwrap();
    let verdicts: Vec<_> = evaluate_again(&[more], &report)
        .into_iter()
        .map(|gate| gate.verdict)
        .collect();
    use Verdict::{Fail, Pass};
    assert_eq!(verdicts, [Pass, Pass, Fail, Fail]);
}

#[test]
fn what_is_no_promise_is_refused_with_the_form() {
    for text in [
        "",
        "p99",
        "p99<",
        "p99<2",
        "p99>2ms",
        "p0<1s",
        "p100<1s",
        "p99.9999<1s",
        "<1s",
        "rtt.<1s",
        "rtt.rtt.p9<1s",
        "foo.p99<1s",
        "p99<0s",
        "p99<-1s",
        "median<1s",
        "p99<<1s",
    ] {
        assert_eq!(Promise::latency(text), Err(BadPromise::Latency), "{text}");
    }
    for text in ["", "101%", "1.1", "-1%", "NaN", "1e-2", "%", "."] {
        assert!(Promise::error_rate(text).is_err(), "{text}");
    }
    for text in ["", "101%", "-1", "1.5", "NaN%", "99999999999"] {
        assert!(Promise::min_served(text).is_err(), "{text}");
    }
    assert!(!BadPromise::Latency.to_string().contains('\n'));
}

#[test]
fn a_failed_gate_says_its_figures_in_its_own_unit() {
    let mut report = report();
    report.requests.errors = 40;
    let said = |name: &str| sentence(&name.parse::<Promise>().unwrap().evaluate(&report));
    assert_eq!(said("p99<2us"), "p99<2us: 990us");
    assert_eq!(said("max-error-rate 1%"), "max-error-rate 1%: 3.846%");
    assert_eq!(said("min-served 9"), "min-served 9: 3, at least 9");
    assert_eq!(said("lag.p99<2us"), "lag.p99<2us: no such figure");
}
