//! A benchmark under way: rounds of ours and the reference, and the rows that come of them.

use std::time::{Duration, Instant};

use super::Plan;
use super::document::{Reference, Row, Settings};
use super::goal::{Figure, Goal, Task, Trial};
use super::judge::{Judgement, Round, Verdict};
use super::take::{Taken, Taker, Unfit};
use crate::bench::{Bench, Failure};
use crate::compare::order;
use crate::compare::pin::Pin;
use crate::compare::syscalls::Counter;
use crate::session::SessionError;
use crate::subject::Subject;

/// Rounds that are made again at most, for as many as are wanted, and a few in any case: now and then
/// another program takes the load generator's processor away, and that is not the server's fault.
const AGAIN_SHARE: usize = 4;
const AGAIN_FEW: usize = 2;
/// What [`Task::Half`] asks for, of what the slower one reaches.
const OFFERED_SHARE: f64 = 0.5;

/// See the module.
#[derive(Debug)]
pub(super) struct Sitting<'a> {
    taker: Taker<'a>,
    plan: &'a Plan,
    uncounted: Option<String>,
}

/// What the rounds of a trial yielded.
#[derive(Debug, Default)]
struct Rounds {
    /// Ours, then the reference and the same once more, if there is one.
    taken: Vec<Vec<Taken>>,
    /// Why rounds had to be made again.
    unfit: Vec<String>,
    /// Whether that was too often.
    given_up: bool,
}

impl<'a> Sitting<'a> {
    pub(super) fn new(
        bench: &'a mut Bench,
        plan: &'a Plan,
        pin: Option<&'a Pin>,
    ) -> Result<Self, SessionError> {
        let pinned = pin.map_or(Ok(()), Pin::take_to_load);
        pinned.map_err(|why| SessionError::Measure(Failure::system("pin the load")(why)))?;
        let counts = plan.goals.iter().any(|goal| goal.figure == Figure::Calls);
        let (counter, uncounted) = match counts.then(Counter::here) {
            Some(Ok(counter)) => (Some(counter), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let taker = Taker {
            bench,
            pin,
            counter,
            window: plan.window,
        };
        Ok(Self {
            taker,
            plan,
            uncounted,
        })
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.taker.bench.interrupt.signal().is_some()
    }

    /// The rows of goals that are measured together; `done` rows are there already. None when the user
    /// wants to end meanwhile.
    pub(super) fn rows(&mut self, goals: &[&Goal], done: usize) -> Vec<Row> {
        let Some(trial) = goals.first().map(|goal| goal.trial) else {
            return Vec::new();
        };
        let reference = trial.reference(&self.plan.given);
        let settings = self.settings(trial, reference.as_ref().ok().and_then(Option::as_ref));
        if let Some(rows) = self.known(goals, &settings) {
            return rows;
        }
        let all = self.plan.goals.len();
        let names: Vec<&str> = goals.iter().map(|goal| goal.name).collect();
        let progress = format!("[{}/{all}] {}", done + goals.len(), names.join(", "));
        self.taker.bench.narrator.say(&progress);
        let without = |verdict, why: String| {
            let row = |goal: &&Goal| Row {
                judgement: Judgement::none(verdict),
                remarks: vec![why.clone()],
                ..Row::of(goal, settings.clone())
            };
            goals.iter().map(row).collect()
        };
        let lack = match (trial.task, &self.uncounted) {
            (Task::Calls { .. }, Some(why)) => Err(why.clone()),
            _ => reference,
        };
        let begun = Instant::now();
        match lack.map(|reference| self.measure(trial, reference.as_ref())) {
            Err(why) => without(Verdict::Skipped, why),
            Ok(Err(Failure::Interrupted)) => Vec::new(),
            Ok(Err(failure)) => without(Verdict::NotMeasured, failure.to_string()),
            Ok(Ok(rounds)) => {
                let row = |goal: &&Goal| rounds.row(goal, settings.clone(), begun.elapsed());
                goals.iter().map(row).collect()
            }
        }
    }

    fn settings(&self, trial: Trial, reference: Option<&Subject>) -> Settings {
        Settings {
            own: trial.own.subject(&self.taker.bench.launcher).template(),
            reference: reference.map(|it| Reference {
                name: it.name.clone(),
                command: it.template(),
            }),
            pairs: self.plan.pairs,
            window_s: trial.task.window(self.plan.window).as_secs_f64(),
        }
    }

    /// The rows as they were measured before, if all of them were.
    fn known(&self, goals: &[&Goal], settings: &Settings) -> Option<Vec<Row>> {
        let known = self.plan.known.as_ref()?;
        let row = |goal: &&Goal| {
            let row = known.row(goal.name)?;
            row.answers(goal, settings).then(|| row.clone())
        };
        goals.iter().map(row).collect()
    }

    fn measure(&mut self, trial: Trial, reference: Option<&Subject>) -> Result<Rounds, Failure> {
        let own = trial.own.subject(&self.taker.bench.launcher);
        let mut sides = vec![&own];
        // The reference twice: what differs between the two is noise.
        sides.extend(reference.into_iter().chain(reference));
        let mut rounds = Rounds::default();
        let offered_per_s = match trial.task {
            Task::Half { clients } => match self.half_of_slower(&sides, clients)? {
                Ok(rate) => rate,
                Err(Unfit(why)) => {
                    rounds.give_up(why);
                    return Ok(rounds);
                }
            },
            _ => 0.0,
        };
        let most_again = self.plan.pairs / AGAIN_SHARE + AGAIN_FEW;
        let tries = self.plan.pairs + most_again;
        for order in order::of_rounds(self.taker.bench.seed, tries, sides.len()) {
            if rounds.taken.len() == self.plan.pairs {
                break;
            }
            // Within a round all have the same schedule and the same bytes, and each round has others.
            self.taker.bench.seed = self.taker.bench.seed.wrapping_add(1);
            match self.round(&sides, &order, trial.task, offered_per_s)? {
                Ok(taken) => rounds.taken.push(taken),
                Err(Unfit(why)) => rounds.unfit.push(why),
            }
        }
        rounds.given_up = rounds.taken.len() < self.plan.pairs;
        Ok(rounds)
    }

    /// Everybody once, in this order; the figures are in the order of the sides.
    fn round(
        &mut self,
        sides: &[&Subject],
        order: &[usize],
        task: Task,
        offered_per_s: f64,
    ) -> Result<Result<Vec<Taken>, Unfit>, Failure> {
        let mut taken: Vec<(usize, Taken)> = Vec::new();
        for &side in order {
            let Some(subject) = sides.get(side) else {
                continue;
            };
            match self.taker.take(subject, task, offered_per_s)? {
                Ok(figures) => taken.push((side, figures)),
                Err(Unfit(why)) => return Ok(Err(Unfit(format!("{}: {why}", subject.name)))),
            }
        }
        taken.sort_by_key(|(side, _)| *side);
        Ok(Ok(taken.into_iter().map(|(_, figures)| figures).collect()))
    }

    /// What all can answer without being busy all the time, from one run of each.
    fn half_of_slower(
        &mut self,
        sides: &[&Subject],
        clients: u32,
    ) -> Result<Result<f64, Unfit>, Failure> {
        let size = loadgen::DEFAULT_MESSAGE_BYTES.get();
        let task = Task::Busy { clients, size };
        let mut slowest = f64::INFINITY;
        for subject in sides.iter().take(2) {
            match self.taker.take(subject, task, 0.0)? {
                Ok(taken) => slowest = slowest.min(taken.get(Figure::Rate).unwrap_or(0.0)),
                Err(unfit) => return Ok(Err(unfit)),
            }
        }
        Ok(Ok((slowest * OFFERED_SHARE).max(1.0)))
    }
}

impl Rounds {
    fn give_up(&mut self, why: String) {
        self.unfit.push(why);
        self.given_up = true;
    }

    fn row(&self, goal: &Goal, settings: Settings, took: Duration) -> Row {
        let rounds: Option<Vec<Round>> = self
            .taken
            .iter()
            .map(|taken| round(taken, goal.figure))
            .collect();
        let mut remarks = self.remarks();
        let rounds = rounds.unwrap_or_default();
        let judgement = if self.given_up {
            Judgement::none(Verdict::NotMeasured)
        } else {
            Judgement::of(goal.relation, &rounds)
        };
        if !self.given_up && judgement.found.is_none() {
            remarks.push("a figure is missing, or not above 0".to_owned());
        }
        Row {
            judgement,
            remarks,
            rounds,
            took_s: took.as_secs_f64(),
            ..Row::of(goal, settings)
        }
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let limited = |taken: &&Vec<Taken>| taken.iter().any(|one| one.limited);
        let (limited, all) = (self.taken.iter().filter(limited).count(), self.taken.len());
        if limited > 0 {
            remarks.push(format!(
                "the load generator had no time left in {limited} of {all} rounds: the servers may \
                 differ by more"
            ));
        }
        if let Some(last) = self.unfit.last() {
            let times = self.unfit.len();
            remarks.push(format!("{times} rounds were not usable, such as {last}"));
        }
        remarks
    }
}

/// One figure of a round; none if one of them does not have it.
fn round(taken: &[Taken], figure: Figure) -> Option<Round> {
    let figures: Option<Vec<f64>> = taken.iter().map(|one| one.get(figure)).collect();
    match *figures?.as_slice() {
        [own] => Some(Round {
            own,
            reference: None,
        }),
        [own, first, again] => Some(Round {
            own,
            reference: Some([first, again]),
        }),
        _ => None,
    }
}
