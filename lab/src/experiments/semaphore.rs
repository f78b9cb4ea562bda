//! A semaphore over processes: never more than N inside, seen from outside; and what becomes of the
//! permit of one that is killed.
//!
//! The semaphore is the server's own [`Gate`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;
use server::Gate;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Bars, Exhibit};
use crate::experiment::{Chapter, Experiment, Finding, figures_of};
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
    claim: "Of ten processes never more than 5 are inside, and 5 are as long as anybody waits; a \
            process that is killed inside takes its permit along until somebody gives it back.",
    prediction: "A semaphore is a number that starts at N: entering takes 1 and waits at 0, leaving \
                 gives 1. So inside = N − what is left ≤ N, and while somebody waits nothing is left: \
                 inside = N exactly. Nobody leaves for a dead process: after k deaths N − k get in, \
                 until k permits are written back. At the end all N are there again.",
    method: "Ten processes share one descriptor, an eventfd in semaphore mode, and each says when it \
             is inside. They leave one by one when they are told to; after each step everybody is \
             counted as soon as all who are not inside are asleep, which the kernel tells. One is \
             killed inside; then its permit is returned.",
    lesson: "A permit is given back by code, and killed processes run none. The server's Gate is this \
             semaphore (`--max-connections` over all workers), and so its supervisor returns the \
             permits of every worker that it buries.",
    fault: "The semaphore holds one permit more than it says.",
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
/// Processes, as in the tutorial.
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

#[derive(Clone, Debug, Serialize)]
struct Figures {
    permits: u32,
    processes: u32,
    steps: Vec<Step>,
    /// Permits that could be taken when everybody had gone.
    permits_at_the_end: u32,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let permits = PERMITS + u32::from(bench.faulted());
    let figures = watch(bench, permits).map_err(Failure::system("watch a semaphore"))?;
    bench.go_on()?;
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Bars(bars(&figures))],
        figures: figures_of(&figures),
    })
}

/// A process that wants to be inside: like a worker of the server it hears the lab over a socket.
struct Guest {
    process: Player,
    words: Words,
}

impl Guest {
    fn start(bench: &Bench, gate: &Gate) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut part = bench.launcher.part(GUEST);
        part.stdin(OwnedFd::from(theirs))
            .stdout(gate.as_fd().try_clone_to_owned()?);
        let process = Player::of(&mut part)?;
        let mut words = Words::over(ours);
        words.expect()?;
        Ok(Self { process, words })
    }
}

/// Those who want to be inside, in the order in which they are told to leave.
struct House {
    gate: Gate,
    waiting: Vec<Guest>,
    inside: Vec<Guest>,
    steps: Vec<Step>,
}

fn watch(bench: &mut Bench, permits: u32) -> io::Result<Figures> {
    let gate = Gate::new(permits)?;
    let waiting = (0..GUESTS).map(|_| Guest::start(bench, &gate));
    let mut house = House {
        waiting: waiting.collect::<io::Result<_>>()?,
        gate,
        inside: Vec::new(),
        steps: Vec::new(),
    };
    bench.narrator.now("ten processes, five permits");
    house.count("ten processes came", PERMITS)?;
    for _ in 0..2 {
        house.leave()?;
        house.count("one left", PERMITS)?;
    }
    drop(house.inside.remove(0));
    house.count("one was killed inside", PERMITS - 1)?;
    house.gate.give_back(1);
    house.count("its permit was returned", PERMITS)?;
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
    Ok(Figures {
        permits: PERMITS,
        processes: count(GUESTS),
        steps: house.steps,
        permits_at_the_end: count(left.len()),
    })
}

impl House {
    /// The one who has been inside for longest leaves, and is gone when this returns.
    fn leave(&mut self) -> io::Result<()> {
        let mut guest = self.inside.remove(0);
        guest.words.say(LEAVE)?;
        guest.process.join()?;
        Ok(())
    }

    /// Counts who is inside once nobody is on the way.
    fn count(&mut self, after: &str, expected: u32) -> io::Result<()> {
        let mut heard = Ok(());
        let settled = until(LIMIT, || {
            // Those who sleep outside may have said that they are inside since they were last heard.
            let asleep = self.waiting.iter();
            let asleep = asleep.map(|guest| guest.process.pid()).all(usage::sleeps);
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

/// Waits at the gate, is inside until told to leave, and goes.
fn guest(_: &[String]) -> io::Result<u8> {
    let gate = Gate::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut words = Words::of_this_part()?;
    words.say(WAITING)?;
    let permit = loop {
        poll(&mut [PollFd::new(&gate, PollFlags::IN)], None)?;
        // Everybody who waits is woken, and one of them is first.
        if let Some(permit) = gate.try_enter()? {
            break permit;
        }
    };
    words.say(INSIDE)?;
    words.listen()?;
    drop(permit);
    Ok(cli::exit::SUCCESS)
}

fn count(many: usize) -> u32 {
    u32::try_from(many).unwrap_or(u32::MAX)
}

fn judge(figures: &Figures) -> Ruling {
    let wrong = |step: &Step| {
        let Step {
            after,
            expected,
            inside,
            ..
        } = step;
        (inside != expected).then(|| {
            Ruling::does_not_hold(format!(
                "{inside} were inside after {after}, not {expected}"
            ))
        })
    };
    let mut objections: Vec<Ruling> = figures.steps.iter().filter_map(wrong).collect();
    let (left, permits) = (figures.permits_at_the_end, figures.permits);
    if left != permits {
        let text = format!("{left} permits were left at the end, not {permits}");
        objections.push(Ruling::does_not_hold(text));
    }
    Ruling::unless(
        objections,
        format!(
            "{permits} of {} inside at {} counts, {} while a killed one's permit was missing, and \
             {left} permits at the end",
            figures.processes,
            figures.steps.len(),
            permits - 1,
        ),
    )
}

fn headline(figures: &Figures) -> String {
    let most = figures.steps.iter().map(|step| step.inside).max();
    format!(
        "Of {} processes at most {} were inside at once, and one fewer from the moment one was killed \
         there until its permit was returned.",
        figures.processes,
        most.unwrap_or(0)
    )
}

fn bars(figures: &Figures) -> Bars {
    let bar = |step: &Step| Bar {
        name: step.after.clone(),
        served: step.inside,
        waiting: step.waiting,
        note: String::new(),
    };
    Bars {
        title: "Who is inside".into(),
        caption:
            "Blue processes are inside, hatched ones are asleep at the gate. The permit of the \
                  one that was killed is missing until it is returned."
                .into(),
        bars: figures.steps.iter().map(bar).collect(),
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
        Figures {
            permits: 5,
            processes: 10,
            steps: vec![step("ten came", 5), step("one was killed", 4)],
            permits_at_the_end: 5,
        }
    }

    #[test]
    fn exactly_as_many_as_there_are_permits_holds() {
        assert_eq!(judge(&figures()).verdict, Verdict::Holds);
    }

    #[test]
    fn one_more_or_one_fewer_does_not_hold() {
        let inside = |index: usize, inside| {
            let mut figures = figures();
            figures.steps[index].inside = inside;
            judge(&figures)
        };
        assert_eq!(
            inside(0, 6),
            Ruling::does_not_hold("6 were inside after ten came, not 5")
        );
        assert_eq!(inside(0, 4).verdict, Verdict::DoesNotHold);
        assert_eq!(inside(1, 5).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn a_permit_that_is_lost_or_won_does_not_hold() {
        for left in [4, 6] {
            let mut figures = figures();
            figures.permits_at_the_end = left;
            assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold);
        }
    }
}
