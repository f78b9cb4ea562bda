//! What was measured, and what follows from it.

use serde::Serialize;
use server::{Inner, Mode};

use crate::stats::{Spread, quantile};
use crate::verdict::Ruling;

/// Clients that each of the servers had, and its workers.
const CLIENTS: u32 = super::CLIENTS.get();
/// The share of the workers that are runnable at least, where all of them may compute.
const RUNNABLE: f64 = 0.5;
/// What one thread at a time uses at most, with what runs outside of the lock and the error of a
/// short window.
const ONE: f64 = 1.15;
/// The share of the possible answers from which on a wait counts as nothing but the wait; sleepers
/// are woken late.
const EQUAL: f64 = 0.75;
/// More than all possible answers, at the edges of a window.
const TOO_MANY: f64 = 1.1;
/// A ping that waits for this share of a computation waits for the computation.
const STOPPED: f64 = 0.5;
/// One that waits for less than this does not.
const FREE: f64 = 0.25;
/// The quantile of the pings that is judged beside the median.
const TAIL: f64 = 0.9;

/// What the workers of a server reach together when they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reach {
    /// One processor at a time: one worker, or a lock that only one of them has.
    One,
    /// As many as there are workers, if the machine has them.
    All,
    /// One processor, though as many as there are workers want one.
    Confined,
    /// As many as event loops were dealt connections, which is chance.
    Dealt,
}

impl Reach {
    pub(super) fn of(mode: Mode) -> Self {
        match mode.inner() {
            Some(Inner::Sequential) => Self::One,
            Some(Inner::Epoll | Inner::IoUring) => Self::Dealt,
            _ => Self::All,
        }
    }
}

/// A server whose lines wait.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Waiting {
    pub(super) name: String,
    pub(super) served: u32,
    pub(super) rate_per_s: Option<f64>,
    #[serde(skip)]
    pub(super) invalid: Option<String>,
}

/// A server whose lines compute.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Computing {
    pub(super) name: String,
    pub(super) reach: Reach,
    /// Processors used.
    pub(super) cores: Option<f64>,
    /// Threads that had or wanted one, on average.
    pub(super) runnable: Option<f64>,
}

/// Pings beside a client that computes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pings {
    pub(super) mode: String,
    /// Whether one thread serves them both.
    pub(super) shares_thread: bool,
    pub(super) offloaded: bool,
    pub(super) waits_s: Option<Spread>,
    /// What one in ten waits for at least: the tail that others feel.
    pub(super) p90_s: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) processors: usize,
    /// Processors that others kept busy meanwhile, if enough to disturb.
    pub(super) others_cores: Option<f64>,
    pub(super) wait_s: f64,
    pub(super) compute_s: f64,
    /// Whether Python's pools took part.
    pub(super) python: bool,
    pub(super) waiting: Vec<Waiting>,
    pub(super) computing: Vec<Computing>,
    pub(super) pings: Vec<Pings>,
}

impl Waiting {
    /// The answers as a share of those that the waits alone allow.
    pub(super) fn share(&self, wait_s: f64) -> Option<f64> {
        let possible = f64::from(self.served) / wait_s;
        crate::stats::share(self.rate_per_s?, possible)
    }
}

impl Pings {
    pub(super) fn of(mode: Mode, shares_thread: bool, offloaded: bool, waits_s: &[f64]) -> Self {
        Self {
            mode: mode.name().to_owned(),
            shares_thread,
            offloaded,
            waits_s: Spread::of(waits_s.iter().copied()),
            p90_s: quantile(waits_s, TAIL),
        }
    }

    /// The median wait as a share of one computation.
    fn share(&self, compute_s: f64) -> Option<f64> {
        crate::stats::share(self.waits_s?.median, compute_s)
    }

    /// Where the computation is done.
    fn place(&self) -> &'static str {
        if self.offloaded {
            "offloaded"
        } else {
            "inline"
        }
    }
}

pub(super) fn judge(figures: &Figures) -> Ruling {
    if figures.processors < 2 {
        return Ruling::inconclusive("there is one processor: a lock makes no difference");
    }
    let waits = figures.waiting.iter();
    let waits = waits.filter_map(|one| late(one, figures));
    let computes = figures.computing.iter();
    let computes = computes.filter_map(|one| misses(one, figures));
    let pings = figures.pings.iter();
    let pings = pings.filter_map(|one| held_up(one, figures).or_else(|| tail(one, figures)));
    Ruling::unless(
        waits.chain(computes).chain(pings).collect(),
        reason(figures),
    )
}

/// A contradiction, unless others had the processors.
fn unless_disturbed(figures: &Figures, text: String) -> Ruling {
    Ruling::does_not_hold(text).beside(figures.others_cores)
}

/// A wait that costs more, or less, than itself.
fn late(one: &Waiting, figures: &Figures) -> Option<Ruling> {
    let name = &one.name;
    if let Some(why) = &one.invalid {
        return Some(Ruling::inconclusive(format!("{name}: {why}")));
    }
    let Some(share) = one.share(figures.wait_s) else {
        return Some(Ruling::inconclusive(format!("{name}: no rate")));
    };
    let text = format!(
        "{name}: {:.0} % of the answers that waiting alone allows",
        share * 100.0
    );
    if share > TOO_MANY {
        Some(Ruling::does_not_hold(text))
    } else if share < EQUAL {
        Some(unless_disturbed(figures, text))
    } else {
        None
    }
}

/// A server that uses another number of processors than it should.
fn misses(one: &Computing, figures: &Figures) -> Option<Ruling> {
    let name = &one.name;
    let (Some(cores), Some(runnable)) = (one.cores, one.runnable) else {
        return Some(Ruling::inconclusive(format!(
            "{name}: no CPU time was read"
        )));
    };
    let half = RUNNABLE * f64::from(CLIENTS);
    let wants = format!("{name}: {runnable:.1} of {CLIENTS} threads want to compute at once");
    match one.reach {
        Reach::One | Reach::Confined if cores > ONE => {
            let text = format!("{name} computed on {cores:.2} processors, not on 1");
            Some(Ruling::does_not_hold(text))
        }
        // Who waits for a lock looks after it from time to time, and wants a processor for that.
        Reach::One if runnable >= half => Some(unless_disturbed(figures, wants)),
        Reach::All | Reach::Confined if runnable < half => Some(Ruling::does_not_hold(wants)),
        _ => None,
    }
}

/// A ping that waits though it should not, or does not though it should.
fn held_up(one: &Pings, figures: &Figures) -> Option<Ruling> {
    let (mode, place) = (&one.mode, one.place());
    let Some(share) = one.share(figures.compute_s) else {
        return Some(Ruling::inconclusive(format!("{mode}, {place}: no pings")));
    };
    let text = format!(
        "{mode}, {place}: a ping waited for {:.0} % of a computation",
        share * 100.0
    );
    let stops = one.shares_thread && !one.offloaded;
    match (stops, share) {
        (true, FREE..STOPPED) | (false, FREE..STOPPED) => Some(Ruling::inconclusive(text)),
        (true, ..FREE) => Some(Ruling::does_not_hold(text)),
        (false, STOPPED..) => Some(Ruling::does_not_hold(text)),
        _ => None,
    }
}

/// A tail of pings that is held up though most are not.
fn tail(one: &Pings, figures: &Figures) -> Option<Ruling> {
    let share = crate::stats::share(one.p90_s?, figures.compute_s)?;
    let stops = one.shares_thread && !one.offloaded;
    (!stops && share >= STOPPED).then(|| {
        let text = format!(
            "{}, {}: one ping in ten waited for {:.0} % of a computation or more",
            one.mode,
            one.place(),
            share * 100.0
        );
        unless_disturbed(figures, text)
    })
}

fn reason(figures: &Figures) -> String {
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let shares = &mut figures
        .waiting
        .iter()
        .filter_map(|one| one.share(figures.wait_s));
    let all = figures
        .computing
        .iter()
        .filter(|one| one.reach == Reach::All);
    let lock = figures
        .computing
        .iter()
        .find(|one| figures.python && one.reach == Reach::One && one.name.starts_with("python"));
    let confined = figures
        .computing
        .iter()
        .find(|one| one.reach == Reach::Confined);
    let medians = |stops: bool| {
        let pings = figures.pings.iter();
        let pings = pings.filter(move |one| one.shares_thread && one.offloaded != stops);
        pings.filter_map(|one| Some(one.waits_s?.median * 1e3))
    };
    let offloaded = figures.pings.iter().filter(|one| one.offloaded);
    let tails = offloaded.filter_map(|one| Some(one.p90_s? * 1e3));
    format!(
        "waiting: at least {:.0} % of what {CLIENTS} clients can get in all {}; computing: {:.1} or \
         more of {CLIENTS} threads or processes want to at once, and use {:.2} processors where there \
         is one, {}; a ping beside it waits {:.0} ms or more on an event loop, {:.1} ms at most \
         offloaded (nine in ten {:.1} ms)",
        least(shares) * 100.0,
        figures.waiting.len(),
        least(&mut all.filter_map(|one| one.runnable)),
        confined.and_then(|one| one.cores).unwrap_or(0.0),
        lock.and_then(|one| one.cores).map_or_else(
            || "and of Python's lock nothing is said, since python3 is missing".to_owned(),
            |cores| format!("Python's threads use {cores:.1} processors")
        ),
        least(&mut medians(true)),
        medians(false).fold(0.0, f64::max),
        tails.fold(0.0, f64::max),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn waiting(name: &str, served: u32, rate: f64) -> Waiting {
        Waiting {
            name: name.into(),
            served,
            rate_per_s: Some(rate),
            invalid: None,
        }
    }

    fn computing(name: &str, reach: Reach, cores: f64, runnable: f64) -> Computing {
        Computing {
            name: name.into(),
            reach,
            cores: Some(cores),
            runnable: Some(runnable),
        }
    }

    fn figures() -> Figures {
        let pings =
            |mode, shares, offloaded, ms: f64| Pings::of(mode, shares, offloaded, &[ms / 1e3]);
        Figures {
            processors: 2,
            others_cores: None,
            wait_s: 0.05,
            compute_s: 0.05,
            python: true,
            waiting: vec![waiting("sequential", 1, 19.5), waiting("async", 8, 157.0)],
            computing: vec![
                computing("sequential", Reach::One, 1.0, 1.0),
                computing("thread-pool", Reach::All, 1.9, 7.8),
                computing("thread-pool, one processor", Reach::Confined, 1.0, 7.9),
                computing("epoll", Reach::Dealt, 1.0, 1.0),
                computing("python-thread-pool", Reach::One, 1.02, 1.4),
            ],
            pings: vec![
                pings(Mode::ThreadPerConnection, false, false, 0.2),
                pings(Mode::Async, true, false, 46.0),
                pings(Mode::Async, true, true, 0.3),
            ],
        }
    }

    #[test]
    fn the_rule_and_what_is_left_of_it_hold() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(
            ruling.reason.contains("Python's threads use 1.0"),
            "{ruling:?}"
        );
        let mut alone = figures();
        alone.python = false;
        alone.computing.pop();
        assert_eq!(judge(&alone).verdict, Verdict::Holds);
        assert!(judge(&alone).reason.contains("python3 is missing"));
    }

    #[test]
    fn waiting_that_costs_more_than_itself_contradicts_the_claim() {
        let mut slow = figures();
        slow.waiting[1].rate_per_s = Some(40.0);
        assert_eq!(judge(&slow).verdict, Verdict::DoesNotHold);
        slow.others_cores = Some(1.2);
        assert_eq!(judge(&slow).verdict, Verdict::Inconclusive);
        let mut fast = figures();
        fast.waiting[0].rate_per_s = Some(30.0);
        assert_eq!(judge(&fast).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn threads_that_wait_for_each_other_contradict_the_claim() {
        let mut one = figures();
        one.computing[1].runnable = Some(1.3);
        let text = "thread-pool: 1.3 of 8 threads want to compute at once";
        assert_eq!(judge(&one), Ruling::does_not_hold(text));
    }

    #[test]
    fn a_lock_that_lets_two_compute_contradicts_the_claim() {
        let mut free = figures();
        free.computing[4].cores = Some(1.8);
        assert_eq!(judge(&free).verdict, Verdict::DoesNotHold);
        // Where others have the processors it shows in how many want one.
        let mut free = figures();
        free.computing[4].runnable = Some(7.9);
        assert_eq!(judge(&free).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn a_lock_that_many_look_after_on_a_busy_machine_proves_nothing() {
        let mut busy = figures();
        busy.computing[4].runnable = Some(4.5);
        busy.others_cores = Some(1.0);
        assert_eq!(judge(&busy).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn a_missing_offload_contradicts_the_claim() {
        let mut missing = figures();
        missing.pings[2].waits_s = missing.pings[1].waits_s;
        assert_eq!(
            judge(&missing),
            Ruling::does_not_hold("async, offloaded: a ping waited for 92 % of a computation")
        );
    }

    #[test]
    fn one_processor_is_all_that_who_is_confined_to_it_uses_and_all_want_it() {
        let mut two = figures();
        two.computing[2].cores = Some(1.8);
        assert_eq!(judge(&two).verdict, Verdict::DoesNotHold);
        let mut one = figures();
        one.computing[2].runnable = Some(1.1);
        assert_eq!(judge(&one).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn a_tail_that_is_held_up_contradicts_the_claim_unless_others_had_the_processors() {
        let mut waits_s = vec![0.000_2; 8];
        waits_s.extend([0.045; 2]);
        let mut tail = figures();
        tail.pings[2] = Pings::of(Mode::Async, true, true, &waits_s);
        assert_eq!(judge(&tail).verdict, Verdict::DoesNotHold);
        tail.others_cores = Some(1.0);
        assert_eq!(judge(&tail).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn an_event_loop_that_is_not_stopped_contradicts_the_claim() {
        let mut free = figures();
        free.pings[1].waits_s = Spread::of([0.001]);
        assert_eq!(judge(&free).verdict, Verdict::DoesNotHold);
        free.pings[1].waits_s = Spread::of([0.02]);
        assert_eq!(judge(&free).verdict, Verdict::Inconclusive, "neither");
    }

    #[test]
    fn one_processor_or_no_figure_proves_nothing() {
        let mut single = figures();
        single.processors = 1;
        assert_eq!(judge(&single).verdict, Verdict::Inconclusive);
        let mut blind = figures();
        blind.computing[1].cores = None;
        assert_eq!(judge(&blind).verdict, Verdict::Inconclusive);
        let mut silent = figures();
        silent.waiting[1].rate_per_s = None;
        assert_eq!(judge(&silent).verdict, Verdict::Inconclusive);
    }
}
