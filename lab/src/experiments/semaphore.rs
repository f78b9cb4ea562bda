//! A semaphore over processes and over threads: never more than N inside, seen from outside; and what becomes of the
//! permit of one that is killed.
//!
//! The semaphore is the server's own [`Gate`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;
use server::Gate;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Bars, Exhibit};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::player::{LIMIT, Player};
use crate::sync::until;
use crate::usage;
use crate::verdict::Ruling;
use crate::words::Words;
use loadgen::svg::Bar;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "semaphore",
    chapter: Chapter::Sharing,
    question: "How many get past a semaphore of 5, and what if one of them is killed inside?",
    claim: "Of ten processes, as of ten threads, never more than 5 are inside, and 5 are as long as \
            anybody waits; a process that is killed inside takes its permit along until somebody gives it back.",
    prediction: "A semaphore is a number that starts at N: entering takes 1 and waits at 0, leaving \
                 gives 1. So inside = N − what is left ≤ N, and while somebody waits nothing is left: \
                 inside = N exactly. Nobody leaves for a dead process: after k deaths N − k get in, \
                 until k permits are written back. At the end all N are there again.",
    method: "Ten processes share one descriptor, an eventfd in semaphore mode, and each says when it \
             is inside; then ten threads do. They leave one by one when they are told to; after each step everybody is \
             counted as soon as all who are not inside are asleep, which the kernel tells. One of the \
             processes is killed inside; then its permit is returned.",
    lesson: "A permit is given back by code, and killed processes run none. The server's Gate is this \
             semaphore (`--max-connections` over all workers), and so its supervisor returns the \
             permits of every worker that it buries.",
    fault: Fault {
        what: "The semaphore holds one permit more than it says.",
        symptom: "were inside",
    },
    run,
};

/// The part that wants to be inside.
pub(super) const PARTS: &[Part] = &[Part {
    name: GUEST,
    play: guest,
}];

const GUEST: &str = "semaphore.guest";
/// Permits, as in the tutorial.
const PERMITS: u32 = 5;
/// Processes, and threads, as in the tutorial.
const GUESTS: usize = 10;

const WAITING: &str = "waiting";
const INSIDE: &str = "inside";
const LEAVE: &str = "leave";

/// What was seen after one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Step {
    after: String,
    /// How many should be inside.
    expected: u32,
    inside: u32,
    waiting: u32,
}

/// What was seen of guests of one kind.
#[derive(Clone, Debug, Serialize)]
struct Watched {
    guests: Kind,
    steps: Vec<Step>,
    /// Permits that could be taken when everybody had gone.
    permits_at_the_end: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    permits: u32,
    guests: u32,
    watched: Vec<Watched>,
}

/// Who wants to be inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Processes,
    Threads,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Threads => "threads",
        }
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let permits = PERMITS + u32::from(bench.faulted());
    let mut watched = Vec::new();
    for kind in [Kind::Processes, Kind::Threads] {
        let (who, all) = (kind.name(), GUESTS);
        bench
            .narrator
            .now(&format!("{all} {who}, {PERMITS} permits"));
        let seen = watch(bench, permits, kind).map_err(Failure::system("watch a semaphore"))?;
        watched.push(seen);
        bench.go_on()?;
    }
    let figures = Figures {
        permits: PERMITS,
        guests: count(GUESTS),
        watched,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: figures
            .watched
            .iter()
            .map(|seen| Exhibit::Bars(bars(seen)))
            .collect(),
        figures: figures_of(&figures),
    })
}

/// One that wants to be inside: like a worker of the server it hears the lab over a socket.
struct Guest {
    body: Body,
    words: Words,
}

/// What it is.
enum Body {
    Process(Player),
    /// By its name.
    Thread(JoinHandle<io::Result<()>>, String),
}

impl Guest {
    fn start(bench: &Bench, gate: &Gate, kind: Kind, number: usize) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let gate = gate.as_fd().try_clone_to_owned()?;
        let body = match kind {
            Kind::Processes => {
                let mut part = bench.launcher.part(GUEST);
                Body::Process(Player::of(part.stdin(OwnedFd::from(theirs)).stdout(gate))?)
            }
            Kind::Threads => {
                let name = format!("guest-{number}");
                let thread = Builder::new().name(name.clone());
                let visit = || visit(&Gate::from(gate), Words::over(theirs));
                Body::Thread(thread.spawn(visit)?, name)
            }
        };
        let mut words = Words::over(ours);
        words.expect()?;
        Ok(Self { body, words })
    }

    /// Whether it waits for something.
    fn sleeps(&self) -> bool {
        match &self.body {
            Body::Process(process) => usage::sleeps(process.pid()),
            Body::Thread(_, name) => usage::sleeping_threads(std::process::id(), name) == 1,
        }
    }

    /// Waits until it has ended.
    fn join(self) -> io::Result<()> {
        match self.body {
            Body::Process(mut process) => process.join().map(drop),
            Body::Thread(thread, _) => thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked"))),
        }
    }
}

/// Those who want to be inside, in the order in which they are told to leave.
struct House {
    gate: Gate,
    waiting: Vec<Guest>,
    inside: Vec<Guest>,
    steps: Vec<Step>,
}

fn watch(bench: &Bench, permits: u32, kind: Kind) -> io::Result<Watched> {
    let gate = Gate::new(permits)?;
    let waiting = (0..GUESTS).map(|number| Guest::start(bench, &gate, kind, number));
    let mut house = House {
        waiting: waiting.collect::<io::Result<_>>()?,
        gate,
        inside: Vec::new(),
        steps: Vec::new(),
    };
    house.count("all came", PERMITS)?;
    for _ in 0..2 {
        house.leave()?;
        house.count("one left", PERMITS)?;
    }
    // A thread cannot be killed alone.
    if kind == Kind::Processes {
        drop(house.inside.remove(0));
        house.count("one was killed inside", PERMITS - 1)?;
        house.gate.give_back(1);
        house.count("its permit was returned", PERMITS)?;
    }
    while !house.waiting.is_empty() {
        house.leave()?;
        house.count("one left", PERMITS)?;
    }
    while !house.inside.is_empty() {
        house.leave()?;
    }
    let mut left = Vec::new();
    while let Some(permit) = house.gate.try_enter()? {
        left.push(permit);
    }
    Ok(Watched {
        guests: kind,
        steps: house.steps,
        permits_at_the_end: count(left.len()),
    })
}

impl House {
    /// The one who has been inside for longest leaves, and is gone when this returns.
    fn leave(&mut self) -> io::Result<()> {
        let mut guest = self.inside.remove(0);
        guest.words.say(LEAVE)?;
        guest.join()
    }

    /// Counts who is inside once nobody is on the way.
    fn count(&mut self, after: &str, expected: u32) -> io::Result<()> {
        let mut heard = Ok(());
        let settled = until(LIMIT, || {
            // Those who sleep outside may have said that they are inside since they were last heard.
            let asleep = self.waiting.iter().all(Guest::sleeps);
            match self.let_in() {
                Ok(entered) => asleep && entered == 0,
                Err(error) => {
                    heard = Err(error);
                    true
                }
            }
        });
        heard?;
        settled?;
        self.steps.push(Step {
            after: after.to_owned(),
            expected,
            inside: count(self.inside.len()),
            waiting: count(self.waiting.len()),
        });
        Ok(())
    }

    /// Moves those who say that they are inside; tells how many they are.
    fn let_in(&mut self) -> io::Result<usize> {
        let before = self.inside.len();
        let mut outside = Vec::new();
        for mut guest in self.waiting.drain(..) {
            match guest.words.hear(Duration::ZERO)?.as_deref() {
                Some(INSIDE) => self.inside.push(guest),
                _ => outside.push(guest),
            }
        }
        self.waiting = outside;
        Ok(self.inside.len() - before)
    }
}

/// The part.
fn guest(_: &[String]) -> io::Result<u8> {
    let gate = Gate::from(io::stdout().as_fd().try_clone_to_owned()?);
    visit(&gate, Words::of_this_part()?)?;
    Ok(cli::exit::SUCCESS)
}

/// Waits at the gate, is inside until told to leave, and goes.
fn visit(gate: &Gate, mut words: Words) -> io::Result<()> {
    words.say(WAITING)?;
    let permit = loop {
        poll(&mut [PollFd::new(gate, PollFlags::IN)], None)?;
        // Everybody who waits is woken, and one of them is first.
        if let Some(permit) = gate.try_enter()? {
            break permit;
        }
    };
    words.say(INSIDE)?;
    words.listen()?;
    drop(permit);
    Ok(())
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

fn judge(figures: &Figures) -> Ruling {
    let objections = figures.watched.iter();
    let objections = objections
        .flat_map(|seen| objections_to(seen, figures.permits))
        .collect();
    let permits = figures.permits;
    let counts = figures.watched.iter().map(|seen| seen.steps.len());
    Ruling::unless(
        objections,
        format!(
            "{permits} of {} processes and of as many threads inside at {} counts, {} while a killed \
             one's permit was missing, and {permits} permits at the end",
            figures.guests,
            counts.sum::<usize>(),
            least_inside(figures),
        ),
    )
}

/// What speaks against guests of one kind.
fn objections_to(seen: &Watched, permits: u32) -> Vec<Ruling> {
    let who = seen.guests.name();
    let wrong = |step: &Step| {
        let Step {
            after,
            expected,
            inside,
            ..
        } = step;
        (inside != expected).then(|| {
            Ruling::does_not_hold(format!(
                "{inside} {who} were inside after {after}, not {expected}"
            ))
        })
    };
    let mut objections: Vec<Ruling> = seen.steps.iter().filter_map(wrong).collect();
    let left = seen.permits_at_the_end;
    if left != permits {
        let text = format!("{who}: {left} permits were left at the end, not {permits}");
        objections.push(Ruling::does_not_hold(text));
    }
    objections
}

/// How many were inside when the fewest were, while others waited.
fn least_inside(figures: &Figures) -> u32 {
    let steps = figures.watched.iter().flat_map(|seen| &seen.steps);
    let waited = steps.filter(|step| step.waiting > 0);
    waited.map(|step| step.inside).min().unwrap_or(0)
}

fn headline(figures: &Figures) -> String {
    let steps = figures.watched.iter().flat_map(|seen| &seen.steps);
    let most = steps.map(|step| step.inside).max().unwrap_or(0);
    format!(
        "Of {all} processes, as of {all} threads, at most {most} were inside at once, and {} from the \
         moment one was killed there until its permit was returned.",
        least_inside(figures),
        all = figures.guests,
    )
}

fn bars(seen: &Watched) -> Bars {
    let bar = |step: &Step| Bar {
        name: step.after.clone(),
        served: step.inside,
        waiting: step.waiting,
        note: String::new(),
    };
    let who = seen.guests.name();
    let caption = match seen.guests {
        Kind::Processes => {
            " The permit of the one that was killed is missing until it is returned."
        }
        Kind::Threads => "",
    };
    Bars {
        title: format!("Who is inside, of {GUESTS} {who}"),
        caption: format!("Blue {who} are inside, hatched ones are asleep at the gate.{caption}"),
        bars: seen.steps.iter().map(bar).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures() -> Figures {
        let step = |after: &str, inside| Step {
            after: after.to_owned(),
            expected: inside,
            inside,
            waiting: 3,
        };
        let watched = |guests, steps| Watched {
            guests,
            steps,
            permits_at_the_end: 5,
        };
        Figures {
            permits: 5,
            guests: 10,
            watched: vec![
                watched(
                    Kind::Processes,
                    vec![step("all came", 5), step("one was killed", 4)],
                ),
                watched(Kind::Threads, vec![step("all came", 5)]),
            ],
        }
    }

    #[test]
    fn exactly_as_many_as_there_are_permits_holds() {
        assert_eq!(judge(&figures()).verdict, Verdict::Holds);
        let headline = headline(&figures());
        assert!(headline.contains("at most 5") && headline.contains("and 4 from"));
    }

    #[test]
    fn one_more_or_one_fewer_does_not_hold() {
        let inside = |who: usize, step: usize, inside| {
            let mut figures = figures();
            figures.watched[who].steps[step].inside = inside;
            judge(&figures)
        };
        assert_eq!(
            inside(0, 0, 6),
            Ruling::does_not_hold("6 processes were inside after all came, not 5")
        );
        assert_eq!(
            inside(1, 0, 6),
            Ruling::does_not_hold("6 threads were inside after all came, not 5")
        );
        assert_eq!(inside(0, 0, 4).verdict, Verdict::DoesNotHold);
        assert_eq!(inside(0, 1, 5).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn a_permit_that_is_lost_or_won_does_not_hold() {
        for left in [4, 6] {
            for who in 0..2 {
                let mut figures = figures();
                figures.watched[who].permits_at_the_end = left;
                assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold);
            }
        }
    }
}
