//! The self-test for people.

use std::fmt::Write as _;

use cli::units::{micros, number};

use super::{Level, Noise, OpenLoop, SelfTest};
use crate::diff::Conclusion;
use crate::report::Verdict;

/// The self-test on one screen.
#[must_use]
pub fn render(found: &SelfTest) -> String {
    let machine = &found.machine;
    let mut text = format!(
        "loadgen {} on {} processors, kernel {}, against its own null echo\n\n",
        found.tool.version, machine.cpus, machine.kernel
    );
    let heads = [
        "clients",
        "threads",
        "rate/s",
        "per cpu-s",
        "rtt p50",
        "p99",
    ];
    text.push_str(&row(heads.map(str::to_owned)));
    for level in &found.ceiling {
        text.push_str(&row(cells(level)));
        if level.audit == Verdict::Fail {
            text.push_str("            INVALID, which is not kept: use a longer --duration\n");
        }
    }
    text.push('\n');
    if let Some(noise) = &found.noise {
        text.push_str(&sentence(noise));
    }
    if let Some(open) = &found.open_loop {
        text.push_str(&lag(open));
    }
    let step = found.clock.step_ns.map_or("-".to_owned(), nanos);
    let look = nanos(found.clock.look_ns);
    let _ = writeln!(text, "clock       steps of {step}, a look costs {look}");
    if found.interrupted {
        text.push_str("\ninterrupted: what is missing was not measured\n");
    }
    text
}

fn cells(level: &Level) -> [String; 6] {
    [
        level.connections.to_string(),
        level.threads.to_string(),
        number(level.rate_per_s),
        shown(level.answers_per_cpu_s, number),
        shown(level.rtt_p50_us, micros),
        shown(level.rtt_p99_us, micros),
    ]
}

fn row(cells: [String; 6]) -> String {
    let [clients, threads, rate, cpu, p50, p99] = cells;
    let row = format!("{clients:<12}{threads:<9}{rate:<10}{cpu:<11}{p50:<10}{p99}");
    format!("{}\n", row.trim_end())
}

fn sentence(noise: &Noise) -> String {
    let effect = noise.effect.as_ref();
    let verdict = match effect.map(|effect| (effect.conclusion, effect.ratio)) {
        Some((Conclusion::NoDifference, _)) => "`diff` says no difference, as it should".to_owned(),
        Some((Conclusion::Higher | Conclusion::Lower, Some(ratio))) => format!(
            "`diff` sees {:.1} % where there is no difference: make runs longer, or trust nothing \
             that is not much larger",
            (ratio - 1.0).abs() * 100.0
        ),
        _ => "too few figures for `diff`".to_owned(),
    };
    let spread = noise
        .spread
        .map_or("-".to_owned(), |s| format!("{:.1} %", s * 100.0));
    format!(
        "noise       {} equal runs of {} clients spread by {spread}; {verdict}\n",
        noise.rates_per_s.len(),
        noise.connections
    )
}

fn lag(open: &OpenLoop) -> String {
    format!(
        "open loop   at {}/s sends are late by p50 {}, p99 {}, max {}\n",
        number(open.rate_per_s),
        shown(open.lag_p50_us, micros),
        shown(open.lag_p99_us, micros),
        shown(open.lag_max_us, micros),
    )
}

fn shown(value: Option<f64>, unit: fn(f64) -> String) -> String {
    value.map_or("-".to_owned(), unit)
}

fn nanos(ns: f64) -> String {
    format!("{ns:.0}ns")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Machine, Tool};
    use crate::selftest::ClockFigures;

    #[test]
    fn one_screen() {
        let level = Level {
            connections: 50,
            threads: 2,
            rate_per_s: 91_234.0,
            answers_per_cpu_s: Some(80_000.0),
            rtt_p50_us: Some(400.0),
            rtt_p99_us: None,
            audit: Verdict::Pass,
        };
        let found = SelfTest {
            schema: 1,
            tool: Tool {
                version: "0.1.0".to_owned(),
            },
            machine: Machine {
                cpus: 2,
                kernel: "6.18.0".to_owned(),
            },
            interrupted: true,
            ceiling: vec![level],
            noise: Some(Noise {
                connections: 50,
                rates_per_s: vec![1.0; 6],
                spread: Some(0.042),
                effect: None,
            }),
            open_loop: None,
            clock: ClockFigures {
                step_ns: Some(20.0),
                look_ns: 24.6,
            },
        };
        insta::assert_snapshot!(render(&found), @"
        loadgen 0.1.0 on 2 processors, kernel 6.18.0, against its own null echo

        clients     threads  rate/s    per cpu-s  rtt p50   p99
        50          2        91.2k     80.0k      400us     -

        noise       6 equal runs of 50 clients spread by 4.2 %; too few figures for `diff`
        clock       steps of 20ns, a look costs 25ns

        interrupted: what is missing was not measured
        ");
    }
}
