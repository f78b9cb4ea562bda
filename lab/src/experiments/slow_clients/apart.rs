//! What belongs beside the main figures: each of the two limits alone, and normal clients alone.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;

use super::super::WORKERS;
use super::{NORMAL, SLOW, THINK, WINDOW};
use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Table};
use crate::load::{Load, Measured};
use crate::modes::{self, at_most};
use crate::subject::Subject;
use crate::verdict::Ruling;
use loadgen::Profile;

/// A pool, to which both limits are the same as to all others.
const MODE: &str = "thread-pool";
/// How long is watched, after the time that it may take until the normal ones are let in.
const WATCHED: Duration = Duration::from_millis(800);
/// Two turns of six slow clients on four places, each of which may be found out late.
const TURNS: Duration = Duration::from_millis(1_600);

/// A way to be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Slow {
    /// A byte of a line every 100 ms.
    Trickles,
    /// Nothing at all.
    Silent,
}

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Limit {
    MinRate,
    IdleTimeout,
}

/// Slow clients of one kind on a pool with one of the limits.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Trial {
    pub(super) slow: Slow,
    pub(super) limit: Limit,
    /// Normal clients that got a byte.
    pub(super) served: u32,
    #[serde(skip)]
    pub(super) invalid: Option<String>,
}

/// Normal clients without slow ones.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Alone {
    mode: String,
    p99_us: Option<f64>,
}

impl Slow {
    const ALL: [Self; 2] = [Self::Trickles, Self::Silent];

    fn profile(self) -> Profile {
        match self {
            Self::Trickles => Profile::SlowWrite,
            Self::Silent => Profile::Idle,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Trickles => "a byte every 100 ms",
            Self::Silent => "nothing at all",
        }
    }
}

impl Limit {
    const ALL: [Self; 2] = [Self::MinRate, Self::IdleTimeout];

    /// Silence is told from a byte every 100 ms with room for a client that is held up.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::MinRate => &["--min-rate", "100", "--min-rate-grace", "300ms"],
            Self::IdleTimeout => &["--idle-timeout", "500ms"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::MinRate => "--min-rate",
            Self::IdleTimeout => "--idle-timeout",
        }
    }
}

impl Trial {
    /// How many normal clients the limit lets in: all if it is about what these clients do, none
    /// otherwise, since they have all places.
    fn expected(&self) -> u32 {
        match (self.slow, self.limit) {
            (Slow::Trickles, Limit::MinRate) | (Slow::Silent, Limit::IdleTimeout) => {
                at_most(NORMAL.get(), WORKERS)
            }
            _ => 0,
        }
    }

    /// What speaks against it, if anything.
    pub(super) fn objection(&self) -> Option<Ruling> {
        let (slow, limit) = (self.slow.name(), self.limit.name());
        if let Some(why) = &self.invalid {
            let text = format!("{limit} alone against clients that send {slow}: {why}");
            return Some(Ruling::inconclusive(text));
        }
        let (served, expected) = (self.served, self.expected());
        (served != expected).then(|| {
            Ruling::does_not_hold(format!(
                "{limit} alone against clients that send {slow} let {served} normal ones in, not \
                 {expected}"
            ))
        })
    }
}

/// Each kind of slow clients against each limit, or against none where it is not switched on.
pub(super) fn trials(bench: &mut Bench) -> Result<Vec<Trial>, Failure> {
    let window = bench.window(WATCHED);
    let mut trials = Vec::new();
    for slow in Slow::ALL {
        let mut servers = Vec::new();
        for limit in Limit::ALL {
            let flags = if bench.faulted() { &[] } else { limit.flags() };
            let subject = Subject::own(MODE, WORKERS).with(flags);
            let name = format!("{MODE}, {}", limit.name());
            servers.push(bench.start(&subject.named(name))?);
        }
        let first = Load::busy(SLOW, window).of(&[(slow.profile(), NonZeroU32::MIN)]);
        let normal = Load::busy(NORMAL, window).after(TURNS).thinking(THINK);
        let measured = bench.load_all_beside(&servers, &first, &normal)?;
        let pairs = Limit::ALL.into_iter().zip(&measured);
        trials.extend(pairs.map(|(limit, measured)| Trial::of(slow, limit, measured)));
    }
    Ok(trials)
}

impl Trial {
    fn of(slow: Slow, limit: Limit, measured: &Measured) -> Self {
        Self {
            slow,
            limit,
            served: measured.report.clients.served,
            invalid: measured.invalid(),
        }
    }
}

/// Normal clients on every mode, without anybody beside them.
pub(super) fn alone(bench: &mut Bench) -> Result<Vec<Alone>, Failure> {
    let mut servers = Vec::new();
    for mode in modes::all() {
        servers.push(bench.start(&Subject::own(mode, WORKERS))?);
    }
    let normal = Load::busy(NORMAL, bench.window(WINDOW)).thinking(THINK);
    let measured = bench.load_all(&servers, &normal)?;
    let pairs = servers.iter().zip(&measured);
    let alone = pairs.map(|(server, measured)| Alone {
        mode: server.name.clone(),
        p99_us: super::side(measured).p99_us,
    });
    Ok(alone.collect())
}

/// What a mode's normal clients wait without slow ones.
pub(super) fn p99_us(alone: &[Alone], mode: &str) -> Option<f64> {
    alone.iter().find(|one| one.mode == mode)?.p99_us
}

/// Which limit is against whom.
pub(super) fn table(trials: &[Trial]) -> Table {
    let row = |trial: &Trial| {
        vec![
            trial.slow.name().into(),
            trial.limit.name().into(),
            Cell::served(trial.served, NORMAL.get()),
        ]
    };
    Table {
        title: format!("One limit alone, beside {SLOW} slow clients of one kind on a {MODE}"),
        caption: "Who trickles is never silent for long, and who is silent has begun no line that \
                  could be too slow: each limit is blind to what the other is for."
            .into(),
        header: ["slow clients send", "limit", "served"]
            .map(str::to_owned)
            .to_vec(),
        rows: trials.iter().map(row).collect(),
    }
}

/// As predicted.
#[cfg(test)]
pub(super) fn as_predicted() -> Vec<Trial> {
    let pairs = Slow::ALL
        .into_iter()
        .flat_map(|slow| Limit::ALL.map(|limit| (slow, limit)));
    let trial = |(slow, limit)| {
        let mut trial = Trial {
            slow,
            limit,
            served: 0,
            invalid: None,
        };
        trial.served = trial.expected();
        trial
    };
    pairs.map(trial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn each_limit_opens_for_its_own_kind_and_for_no_other() {
        let trials = as_predicted();
        let served: Vec<u32> = trials.iter().map(|trial| trial.served).collect();
        assert_eq!(served, [4, 0, 0, 4]);
        assert!(trials.iter().all(|trial| trial.objection().is_none()));
    }

    #[test]
    fn a_limit_that_does_another_thing_is_objected_to_and_an_invalid_run_proves_nothing() {
        for mut trial in as_predicted() {
            trial.served = 4 - trial.served;
            let ruling = trial.objection().unwrap();
            assert_eq!(ruling.verdict, Verdict::DoesNotHold, "{ruling:?}");
            trial.invalid = Some("bytes differ".into());
            let ruling = trial.objection().unwrap();
            assert_eq!(ruling.verdict, Verdict::Inconclusive, "{ruling:?}");
        }
    }
}
