//! What a comparison says in words: verdicts, captions, and the sentence above them all.

use cli::units::{bytes, number};

use super::judge::{Conclusion, Effect, FEWEST_ROUNDS};
use super::table::rows_of;
use super::{Comparison, Figures, OFFERED_SHARE, Row, WARMUP};
use crate::stats::Interval;

/// How the verdict on one figure is found.
pub(super) type Verdict = fn(&Figures<Effect>) -> Effect;

/// What more and less of a figure is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    more: &'static str,
    less: &'static str,
    pub(super) more_is_better: bool,
}

pub(super) const RATE: Pair = Pair {
    more: "faster",
    less: "slower",
    more_is_better: true,
};
pub(super) const WAIT: Pair = Pair {
    more: "longer",
    less: "shorter",
    more_is_better: false,
};
pub(super) const COST: Pair = Pair {
    more: "more",
    less: "less",
    more_is_better: false,
};

/// A verdict: a word, and the ratio to the first server.
#[must_use]
pub(super) fn effect(effect: &Effect, words: Pair) -> String {
    let range = |ratio: Interval| format!("[{:.2}–{:.2}]", ratio.low, ratio.high);
    let full = |word: &str| match effect.ratio {
        Some(ratio) => format!("{word} ×{:.2} {}", ratio.middle, range(ratio)),
        None => word.to_owned(),
    };
    match effect.conclusion {
        Conclusion::Higher => full(words.more),
        Conclusion::Lower => full(words.less),
        Conclusion::NoDifference => {
            format!(
                "no difference {}",
                effect.ratio.map(range).unwrap_or_default()
            )
        }
        Conclusion::TooFewRounds => "too few rounds".to_owned(),
        Conclusion::NoFigure => "-".to_owned(),
        Conclusion::ControlDiffers => "not ranked: noise".to_owned(),
        Conclusion::GeneratorLimited => "not ranked: generator".to_owned(),
        Conclusion::NotComparable => "not ranked".to_owned(),
    }
}

/// `50 clients, 64 B`.
#[must_use]
pub(super) fn load(clients: u32, size_bytes: u32) -> String {
    let plural = if clients == 1 { "" } else { "s" };
    format!("{clients} client{plural}, {}", bytes(u64::from(size_bytes)))
}

/// The same, with the rate that all are asked for.
#[must_use]
pub(super) fn equal_load((clients, size_bytes, offered_per_s): (u32, u32, Option<f64>)) -> String {
    let rate =
        offered_per_s.map_or_else(String::new, |rate| format!(", {} requests/s", number(rate)));
    format!("{}{rate}", load(clients, size_bytes))
}

/// How all of it was measured.
#[must_use]
pub(super) fn method(comparison: &Comparison) -> String {
    let conditions = &comparison.conditions;
    let work = match conditions.work.as_str() {
        "" | "none" => String::new(),
        work => format!(" Every message costs {work}."),
    };
    let mut versions: Vec<&str> = conditions.versions.values().map(String::as_str).collect();
    versions.sort_unstable();
    versions.dedup();
    let versions = match versions.as_slice() {
        [] => String::new(),
        all => format!(" In other languages: {}.", all.join("; ")),
    };
    let rounds = comparison.repeats;
    let level = |of: fn(&[f64]) -> Option<Interval>| {
        of(&vec![0.0; rounds]).map_or(0.0, |interval| interval.level * 100.0)
    };
    let (medians, ratios) = (level(Interval::of_median), level(Interval::of_shift));
    let few = if rounds < FEWEST_ROUNDS {
        format!(" Differences need {FEWEST_ROUNDS} rounds (--repeats).")
    } else {
        String::new()
    };
    format!(
        "Medians of {rounds} rounds, in brackets their intervals (order statistics, {medians:.1} %); a round \
         has everybody once, in an order drawn anew, with a fresh server each, {} of warm-up and {} s \
         measured; {}. A verdict is on the ratios within the rounds (signed ranks, {ratios:.1} %), and a \
         difference exceeds what the first server shows beside itself.{few}{work}{versions}",
        cli::units::span(WARMUP),
        comparison.window_s,
        conditions.pinning
    )
}

/// What to see in the rates.
#[must_use]
pub(super) fn saturation(rows: &[&Row]) -> String {
    let limited = if rows.iter().any(|row| row.generator_limited) {
        " ≥: the load generator had no time left, so the server could do more."
    } else {
        ""
    };
    format!("{}{limited}", noise(rows, |figures| figures.rate_per_s))
}

/// What to see in the waits.
#[must_use]
pub(super) fn waits(rows: &[&Row]) -> String {
    let few = if rows
        .iter()
        .any(|row| row.comparable() && row.figures.p99_us.is_none())
    {
        " A p99 needs 1000 answers in each window (-d)."
    } else {
        ""
    };
    format!(
        "All are asked for {:.0} % of what the slowest reaches that serves everybody, at random moments \
         (Poisson), and waits count from the moment when a request was due.{few} {}",
        OFFERED_SHARE * 100.0,
        noise(rows, |figures| figures.p99_us)
    )
}

/// What to see in the costs.
#[must_use]
pub(super) fn costs(rows: &[&Row], comparison: &Comparison) -> String {
    let calls = match &comparison.conditions.uncounted {
        Some(why) => format!(" {}{}.", why[..1].to_uppercase(), &why[1..]),
        None if rows.iter().any(|row| row.syscalls_per_answer.is_some()) => {
            " System calls were counted by perf, in one run of its own.".to_owned()
        }
        None => String::new(),
    };
    format!(
        "Processor time, system calls and context switches of the server and its children for each \
         answer, read from outside. {}{calls}",
        noise(rows, |figures| figures.cpu_us_per_answer)
    )
}

/// How far the first server differs from itself.
fn noise(rows: &[&Row], of: Verdict) -> String {
    let control = rows.iter().find(|row| row.cell.control);
    let effect = control.and_then(|row| row.against_first.as_ref()).map(of);
    match effect {
        Some(
            effect @ Effect {
                ratio: Some(ratio),
                noise_floor: Some(floor),
                ..
            },
        ) => {
            let (middle, low, high) = (ratio.middle, ratio.low, ratio.high);
            let verdict = if effect.differs() {
                "so large a difference where there is none forbids any ranking".to_owned()
            } else {
                format!("differences below ×{floor:.3} mean nothing (three standard errors)")
            };
            format!("The first server beside itself: ×{middle:.3} [{low:.3}–{high:.3}]; {verdict}.")
        }
        _ => {
            "How far the first server differs from itself is not known, so nothing is ranked here."
                .to_owned()
        }
    }
}

/// What can be said in a few sentences.
#[must_use]
pub fn headline(comparison: &Comparison) -> String {
    if let Some(flaw) = &comparison.flaw {
        return format!("Nothing can be ranked: {flaw}.");
    }
    let mut said = Vec::new();
    let rows = &comparison.rows;
    let mut starved: Vec<String> = rows
        .iter()
        .filter(|row| !row.cell.control && row.served < row.asked)
        .map(|row| format!("{} ({}/{})", row.cell.subject, row.served, row.asked))
        .collect();
    starved.dedup();
    if starved.is_empty() {
        said.push("Every server served every client.".to_owned());
    } else {
        said.push(format!(
            "Never ranked, because they leave clients unserved: {}.",
            starved.join(", ")
        ));
    }
    let differing: Vec<String> = rows.iter().filter_map(differing_control).collect();
    if !differing.is_empty() {
        said.push(format!(
            "The first server differs from itself ({}), and there nothing can be ranked.",
            differing.join("; ")
        ));
    }
    said.extend(
        rows.iter()
            .filter(|row| row.cell.control)
            .filter_map(|control| {
                let kind = (
                    control.asked,
                    control.cell.size_bytes,
                    control.cell.offered_per_s,
                );
                verdicts(kind, &rows_of(comparison, kind))
            }),
    );
    said.join(" ")
}

/// The load and the figures in which the first server differs from itself.
fn differing_control(row: &Row) -> Option<String> {
    let effects = row.against_first.as_ref().filter(|_| row.cell.control)?;
    let figures = [
        ("rate", effects.rate_per_s, row.cell.offered_per_s.is_none()),
        ("p99", effects.p99_us, row.cell.offered_per_s.is_some()),
        (
            "CPU",
            effects.cpu_us_per_answer,
            row.cell.offered_per_s.is_some(),
        ),
    ];
    let differing: Vec<&str> = figures
        .into_iter()
        .filter(|(_, effect, shown)| *shown && effect.differs())
        .map(|(name, ..)| name)
        .collect();
    let load = equal_load((row.asked, row.cell.size_bytes, row.cell.offered_per_s));
    (!differing.is_empty()).then(|| format!("{load}: {}", differing.join(", ")))
}

/// Who is better and who is worse than the first under a load, in what ranks servers there.
fn verdicts(kind: (u32, u32, Option<f64>), rows: &[&Row]) -> Option<String> {
    let first = rows.first()?.cell.subject.as_str();
    let (figure, words, what): (Verdict, Pair, &str) = match kind.2 {
        None => (|figures| figures.rate_per_s, RATE, ""),
        Some(_) => (|figures| figures.cpu_us_per_answer, COST, " CPU"),
    };
    let who = |wanted: Conclusion| -> Vec<&str> {
        let others = rows.iter().filter(|row| !row.cell.control);
        let so = others.filter(|row| {
            row.against_first
                .as_ref()
                .is_some_and(|all| figure(all).conclusion == wanted)
        });
        so.map(|row| row.cell.subject.as_str()).collect()
    };
    let parts: Vec<String> = [
        (format!("{}{what}", words.more), who(Conclusion::Higher)),
        (format!("{}{what}", words.less), who(Conclusion::Lower)),
        (
            format!(
                "no difference{}",
                if what.is_empty() { "" } else { " in CPU" }
            ),
            who(Conclusion::NoDifference),
        ),
    ]
    .into_iter()
    .filter(|(_, who)| !who.is_empty())
    .map(|(word, who)| format!("{word}: {}", who.join(", ")))
    .collect();
    let load = equal_load(kind);
    (!parts.is_empty()).then(|| format!("Beside {first}, {load}: {}.", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::observation::tests::{cell, seen};

    fn rows(rates: [(f64, u32); 3]) -> Vec<Row> {
        let noise = [1.0, 1.01, 0.99, 1.0, 1.02];
        let all: Vec<_> = rates
            .map(|(rate, served)| noise.map(|noise| seen(served, rate * noise)).to_vec())
            .into();
        let names = ["async", "pool", "async (again)"];
        let mut rows: Vec<Row> = names
            .iter()
            .zip(&all)
            .filter_map(|(name, seen)| Row::of(cell(name), seen))
            .collect();
        rows[2].cell.control = true;
        let (first, again) = (rows[0].clone(), rows[2].clone());
        for index in [1, 2] {
            rows[index].judge(&all[index], (&first, &all[0]), (&again, &all[2]));
        }
        rows
    }

    fn said(rows: Vec<Row>) -> String {
        headline(&Comparison {
            rows,
            repeats: 5,
            ..Comparison::default()
        })
    }

    #[test]
    fn who_is_faster_and_who_is_never_ranked_is_said_first() {
        assert_eq!(
            said(rows([(100.0, 50), (150.0, 50), (100.0, 50)])),
            "Every server served every client. Beside async, 50 clients, 64 B: faster: pool."
        );
        assert_eq!(
            said(rows([(100.0, 50), (900.0, 4), (100.0, 50)])),
            "Never ranked, because they leave clients unserved: pool (4/50)."
        );
    }

    #[test]
    fn a_control_that_differs_is_said_and_a_flaw_ends_it() {
        let said_of_noise = said(rows([(100.0, 50), (150.0, 50), (120.0, 50)]));
        assert_eq!(
            said_of_noise,
            "Every server served every client. The first server differs from itself (50 clients, 64 B: rate), \
             and there nothing can be ranked."
        );
        let flawed = Comparison {
            flaw: Some("process 7 was measured twice".into()),
            rows: rows([(100.0, 50), (150.0, 50), (100.0, 50)]),
            ..Comparison::default()
        };
        assert_eq!(
            headline(&flawed),
            "Nothing can be ranked: process 7 was measured twice."
        );
    }

    #[test]
    fn verdicts_name_the_ratio_and_its_interval() {
        let ratio = Some(Interval {
            middle: 1.124,
            low: 1.08,
            high: 1.16,
            level: 0.9375,
        });
        let say = |conclusion, words| {
            effect(
                &Effect {
                    conclusion,
                    ratio,
                    noise_floor: None,
                },
                words,
            )
        };
        assert_eq!(say(Conclusion::Higher, RATE), "faster ×1.12 [1.08–1.16]");
        assert_eq!(say(Conclusion::Lower, COST), "less ×1.12 [1.08–1.16]");
        assert_eq!(
            say(Conclusion::NoDifference, WAIT),
            "no difference [1.08–1.16]"
        );
        assert_eq!(
            say(Conclusion::GeneratorLimited, RATE),
            "not ranked: generator"
        );
    }

    #[test]
    fn captions_tell_what_was_not_counted_and_how_few_rounds_there_are() {
        let mut comparison = Comparison {
            repeats: 3,
            ..Comparison::default()
        };
        comparison.conditions.uncounted =
            Some("system calls are not counted: perf is not installed".into());
        assert!(
            costs(&[], &comparison)
                .contains("System calls are not counted: perf is not installed.")
        );
        assert!(method(&comparison).contains("Differences need 5 rounds"));
    }
}
