//! Known answers: what is the same is called the same, and an effect that is there is found.

use super::*;
use crate::report::synthetic;
use bootstrap::Splitmix;

/// A side of `runs` runs whose figures are `level` times lognormal noise.
fn side(name: &str, (level, noise): (f64, f64), runs: usize, random: &mut Splitmix) -> Side {
    let template = synthetic::closed(3, &[vec![1_000_000; 3], vec![1_000_000; 3]]);
    let run = |_| {
        let mut run = template.clone();
        run.rate_per_s = Some(10_000.0 * level * (noise * normal(random)).exp());
        let rtt = run.latency.rtt.as_mut().unwrap();
        rtt.p50_us = Some(300.0 * level * (noise * normal(random)).exp());
        run
    };
    Side {
        name: name.to_owned(),
        runs: (0..runs).map(run).collect(),
    }
}

/// A number from the standard normal distribution (Box and Muller).
fn normal(random: &mut Splitmix) -> f64 {
    let mut unit = || ((random.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    let (radius, angle) = (unit(), unit());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// How many of 100 trials come to `expected` in the rate.
fn trials(level: f64, noise: f64, runs: usize, expected: Conclusion) -> usize {
    let found = (0..100_u64).filter(|trial| {
        let mut random = Splitmix(0xD1FF_0000 + trial);
        let a = side("A", (1.0, noise), runs, &mut random);
        let b = side("B", (level, noise), runs, &mut random);
        conclude_rate(&a, &b) == expected
    });
    found.count()
}

fn conclude_rate(a: &Side, b: &Side) -> Conclusion {
    effect("rate_per_s", (rates(a), rates(b))).conclusion
}

#[test]
fn a_against_a_is_no_difference() {
    let same = trials(1.0, 0.05, 10, Conclusion::NoDifference);
    assert!(same >= 90, "{same} of 100");
}

#[test]
fn an_effect_of_three_times_the_noise_is_found() {
    for (level, expected) in [(1.05, Conclusion::Higher), (1.0 / 1.05, Conclusion::Lower)] {
        let found = trials(level, 0.05 / 3.0, 10, expected);
        assert!(found >= 90, "{found} of 100");
    }
}

#[test]
fn too_few_runs_say_nothing_but_the_seconds_of_one_run_do() {
    let mut random = Splitmix(1);
    let (two, many) = (
        side("A", (1.0, 0.0), 2, &mut random),
        side("B", (2.0, 0.0), 5, &mut random),
    );
    assert_eq!(conclude_rate(&two, &many), Conclusion::NotEnoughRuns);
    let one = |name: &str, answers: usize| Side {
        name: name.to_owned(),
        runs: vec![synthetic::closed(3, &vec![vec![1_000_000; answers]; 4])],
    };
    let diff = diff(&one("A", 20), &one("B", 30), Unlike::Refuse).unwrap();
    let rate = &diff.effects[0];
    assert_eq!(
        (rate.ratio, rate.conclusion),
        (Some(1.5), Conclusion::Higher)
    );
    assert_eq!((rate.a.of, rate.a.count), (Unit::Seconds, 4));
    let others = &diff.effects[1..];
    assert!(!others.is_empty());
    assert!(
        others
            .iter()
            .all(|e| e.conclusion == Conclusion::NotEnoughRuns)
    );
}

#[test]
fn a_figure_that_one_run_lacks_has_no_median() {
    let mut random = Splitmix(1);
    let a = side("A", (1.0, 0.01), 5, &mut random);
    let mut b = a.clone();
    b.runs[2].latency.rtt.as_mut().unwrap().p50_us = None;
    b.runs[3].rate_per_s = Some(0.0);
    let diff = diff(&a, &b, Unlike::Refuse).unwrap();
    let p50 = diff
        .effects
        .iter()
        .find(|e| e.figure == "rtt.p50_us")
        .unwrap();
    assert_eq!((p50.b.median, p50.conclusion), (None, Conclusion::NoFigure));
    assert_eq!(
        diff.effects[0].conclusion,
        Conclusion::NoFigure,
        "no ratio to a rate of 0"
    );
    // A closed loop has no responses, and nothing is said of them.
    assert!(
        diff.effects
            .iter()
            .all(|e| !e.figure.starts_with("response"))
    );
}

#[test]
fn unlike_runs_are_refused_by_key_unless_forced() {
    let mut random = Splitmix(1);
    let a = side("A", (1.0, 0.01), 3, &mut random);
    let mut b = a.clone();
    b.runs[1].config.insert("size".to_owned(), 128.into());
    b.runs[1].machine.kernel = "6.1".to_owned();
    let why = diff(&a, &b, Unlike::Refuse).unwrap_err().to_string();
    insta::assert_snapshot!(why, @"not comparable, they differ in kernel (6.1 and 6.18.0), size (128 and 64); use --force to compare them all the same");
    assert_eq!(diff(&a, &b, Unlike::Compare).unwrap().unlike.len(), 2);
    b.name = "B".to_owned();
    b.runs.clear();
    assert_eq!(
        diff(&a, &b, Unlike::Refuse),
        Err(DiffError::Empty("B".to_owned()))
    );
}

#[test]
fn people_read_what_differs_and_what_to_make_of_it() {
    let fixed = |name: &str, rates: [f64; 4]| Side {
        name: name.to_owned(),
        runs: rates
            .map(|rate| {
                let mut run = synthetic::closed(3, &[vec![1_000_000; 200]]);
                run.rate_per_s = Some(rate);
                run
            })
            .to_vec(),
    };
    let mut b = fixed("new\u{1b}[2J", [11_000.0, 11_050.0, 11_020.0, 11_010.0]);
    b.runs[0].clients.starved = 1;
    let a = fixed("old", [10_000.0, 10_010.0, 10_030.0, 10_020.0]);
    let text = render(&diff(&a, &b, Unlike::Refuse).unwrap());
    insta::assert_snapshot!(text, @r"
    A  old, 4 runs
    B  new\u{1b}[2J, 4 runs

                   A         B         B against A, 95 % interval
    req/s          10.0k     11.0k     +10.0 % [+9.8 %, +10.3 %]    higher
    rtt p50        1.00ms    1.00ms    +0.0 % [+0.0 %, +0.0 %]      no difference
    rtt p90        1.00ms    1.00ms    +0.0 % [+0.0 %, +0.0 %]      no difference
    admission p50  200us     200us     +0.0 % [+0.0 %, +0.0 %]      no difference

    warning: 1 of 4 runs of new\u{1b}[2J have starved clients, whose waits are in no percentile of rtt
    warning: 8 of 8 runs were at their own saturation, where latencies do not rank: compare at the same offered load, -R 5007, 7511 and 9013 (50, 75 and 90 % of what the weaker one reached)
    1 of 4 figures differ. By chance alone one of twenty would, and with only 3 runs a side one of eight.
    ");
}
