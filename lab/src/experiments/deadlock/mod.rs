//! Who waits for ever, found by a watchdog that names the holders; and what cures it.

mod graph;
mod scene;

use std::io;

use serde::Serialize;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::player::{LIMIT, Player};
use crate::sync::until;
use crate::usage::sleeping_threads;
use crate::verdict::Ruling;
use scene::{ADA, BOB, MEALS, POOL_THREAD, Report, Scene};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "deadlock",
    chapter: Chapter::Sharing,
    question: "When do threads wait for each other for ever, and who finds out?",
    claim: "Two threads that take two locks in opposite order stop for ever, and a watchdog that knows \
            who holds and who wants what names both; one order for all, or a try that gives back, cures \
            it. One lock is enough if it is taken twice, or given back less often than taken; and a job \
            that waits in a pool for a job of the same pool is the same trap.",
    prediction: "Somebody waits for ever if and only if the waits form a cycle, or lead to somebody who \
                 is gone. Ada has the left fork and Bob the right one before either asks for the other: a \
                 cycle of 2. In one order whoever has a fork waits for a higher one only, so no cycle can \
                 close: 200 meals. Giving back removes an edge of the cycle: 200 meals, after 2 vain tries \
                 at least. A plain lock taken twice: a cycle of 1. Re-entrant, taken twice: free for Bob \
                 after the second return, never after one. A pool of 1 whose job waits at a channel: job → \
                 result → job → worker → job; its own `join` does the other job meanwhile.",
    method: "Each scene is a process, because nobody gets out again; barriers put the threads where the \
             trap closes, so that it is no matter of luck. They note in a graph what they have and what \
             they want; the watchdog looks for a cycle. That they are asleep is seen from outside. Then \
             the process is killed: that is the only remedy from outside.",
    lesson: "Give locks an order, hold one at a time, and never wait in a pool for that pool. In the \
             server a connection that offloads its computing waits at a channel for *another* pool \
             (`--offload rayon`, offload.rs), and `--hang-timeout` is the watchdog: a worker that stands \
             still is killed and replaced.",
    fault: Fault {
        what: "In the run that is said to have opposite orders both threads take the locks in one order.",
        symptom: "watchdog found nothing",
    },
    run,
};

/// The process that gets stuck.
pub(super) const PARTS: &[Part] = &[Part {
    name: PART,
    play: scene::play,
}];

const PART: &str = "deadlock.scene";

/// What should come of one scene.
#[derive(Clone, Copy, Debug)]
struct Expected {
    /// What the watchdog should say, if anything.
    deadlock: Option<&'static str>,
    /// Threads that should be asleep for good.
    stuck: &'static [&'static str],
    done: u32,
    least_back_offs: u32,
}

/// One scene.
#[derive(Clone, Debug, Serialize)]
struct Row {
    scene: Scene,
    /// The watchdog's words.
    deadlock: Option<String>,
    /// Of the threads that should be stuck, those that are asleep.
    asleep: usize,
    done: u32,
    back_offs: u32,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    scenes: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut scenes = Vec::new();
    for scene in Scene::ALL {
        bench.go_on()?;
        bench.narrator.now(&format!("locks: {}", scene.name()));
        scenes.push(watch(bench, scene).map_err(Failure::system("watch a deadlock"))?);
    }
    let figures = Figures { scenes };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Table(table(&figures))],
        figures: figures_of(&figures),
    })
}

fn watch(bench: &Bench, scene: Scene) -> io::Result<Row> {
    let played = match scene {
        Scene::OppositeOrder if bench.faulted() => Scene::SameOrder,
        scene => scene,
    };
    let mut process = Player::start(bench.launcher.part(PART).arg(played.name()))?;
    let Report {
        deadlock,
        done,
        back_offs,
    } = process.says()?;
    let pid = process.pid();
    let asleep = || {
        let names = expected(scene).stuck.iter();
        names.map(|name| sleeping_threads(pid, name)).sum::<usize>()
    };
    if deadlock.is_some() {
        // Who says that he is going to wait may not have got there yet.
        let _ = until(LIMIT, || asleep() == expected(scene).stuck.len());
    }
    Ok(Row {
        scene,
        deadlock: deadlock.map(|deadlock| deadlock.to_string()),
        asleep: asleep(),
        done,
        back_offs,
    })
}

fn expected(scene: Scene) -> Expected {
    let done = |done| Expected {
        deadlock: None,
        stuck: &[],
        done,
        least_back_offs: 0,
    };
    let stuck = |deadlock, stuck| Expected {
        deadlock: Some(deadlock),
        stuck,
        ..done(0)
    };
    match scene {
        Scene::OppositeOrder => stuck(
            "Ada has the left fork and waits for the right fork, \
             Bob has the right fork and waits for the left fork",
            &[ADA, BOB],
        ),
        Scene::SameOrder => done(2 * MEALS),
        Scene::TryLock => Expected {
            least_back_offs: 2,
            ..done(2 * MEALS)
        },
        Scene::TakenTwice => stuck("Ada has the left fork and waits for the left fork", &[ADA]),
        Scene::Reentrant => done(2),
        Scene::GivenBackOnce => Expected {
            done: 1,
            ..stuck("Bob waits for the lock, which Ada took along", &[BOB])
        },
        Scene::ChannelInPool => stuck(
            "the inner job has the result and waits for the only worker, \
             the outer job has the only worker and waits for the result",
            &[POOL_THREAD],
        ),
        Scene::JoinInPool => done(3),
    }
}

fn judge(figures: &Figures) -> Ruling {
    if figures.scenes.is_empty() {
        return Ruling::inconclusive("no scene was played");
    }
    let objections = figures.scenes.iter().filter_map(objection).collect();
    let stuck = figures.scenes.iter().filter(|row| row.deadlock.is_some());
    let vain: u32 = figures.scenes.iter().map(|row| row.back_offs).sum();
    Ruling::unless(
        objections,
        format!(
            "{} of {} scenes stopped for ever and the watchdog named who holds what; the others were \
             done, with {vain} locks given back in vain",
            stuck.count(),
            figures.scenes.len(),
        ),
    )
}

/// What came of a scene that should not have, if anything.
fn objection(row: &Row) -> Option<Ruling> {
    let expected = expected(row.scene);
    let what = if row.deadlock.as_deref() != expected.deadlock {
        let found = row.deadlock.as_deref().unwrap_or("nothing");
        format!("the watchdog found {found}")
    } else if row.asleep != expected.stuck.len() {
        let stuck = expected.stuck.len();
        format!("{} of {stuck} threads were asleep", row.asleep)
    } else if row.done != expected.done {
        format!("{} were done, not {}", row.done, expected.done)
    } else if row.back_offs < expected.least_back_offs {
        format!("a lock was given back {} times", row.back_offs)
    } else {
        return None;
    };
    let scene = title(row.scene);
    Some(Ruling::does_not_hold(format!("{scene}: {what}")))
}

fn title(scene: Scene) -> &'static str {
    match scene {
        Scene::OppositeOrder => "two locks in opposite order",
        Scene::SameOrder => "… in one order",
        Scene::TryLock => "… given back when in vain",
        Scene::TakenTwice => "a plain lock taken twice",
        Scene::Reentrant => "a re-entrant one, back twice",
        Scene::GivenBackOnce => "… given back once",
        Scene::ChannelInPool => "a pool of 1, a job in a job",
        Scene::JoinInPool => "… by the pool's join",
    }
}

fn headline(figures: &Figures) -> String {
    let first = figures.scenes.first().and_then(|row| row.deadlock.as_ref());
    let said = first.map_or("nothing", String::as_str);
    format!("The watchdog says: {said}.")
}

fn table(figures: &Figures) -> Table {
    let row = |row: &Row| {
        let (tone, came) = match &row.deadlock {
            None => (Tone::Good, format!("{} done", row.done)),
            Some(_) => (Tone::Bad, format!("stuck, {} done", row.done)),
        };
        let asleep = row.deadlock.as_ref().map(|_| row.asleep.to_string());
        let in_vain = (row.back_offs > 0).then(|| row.back_offs.to_string());
        vec![
            title(row.scene).into(),
            Cell::toned(came, tone),
            Cell::or_dash(asleep),
            Cell::or_dash(in_vain),
        ]
    };
    let header = [
        "",
        "what came of it",
        "threads asleep",
        "given back in vain",
    ];
    Table {
        title: "Who waits for ever".into(),
        caption: "Each scene is a process of its own, whose threads are forced to where the trap \
                  closes. Those that are stuck are asleep until the process is killed."
            .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.scenes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    /// All scenes as predicted.
    fn figures() -> Figures {
        let row = |scene| {
            let expected = expected(scene);
            Row {
                scene,
                deadlock: expected.deadlock.map(str::to_owned),
                asleep: expected.stuck.len(),
                done: expected.done,
                back_offs: expected.least_back_offs,
            }
        };
        Figures {
            scenes: Scene::ALL.map(row).to_vec(),
        }
    }

    #[test]
    fn the_predicted_cycles_and_cures_hold() {
        assert_eq!(judge(&figures()).verdict, Verdict::Holds);
        let none = Figures { scenes: vec![] };
        assert_eq!(judge(&none).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn each_scene_can_turn_out_otherwise() {
        let changes: [fn(&mut Row); 4] = [
            |row| {
                row.deadlock = match row.deadlock {
                    Some(_) => None,
                    None => Some("Ada has it".into()),
                }
            },
            |row| row.asleep += 1,
            |row| row.done += 1,
            |row| row.back_offs = 0,
        ];
        for index in 0..Scene::ALL.len() {
            for (number, change) in changes.iter().enumerate() {
                let mut figures = figures();
                change(&mut figures.scenes[index]);
                let fails = number < 3 || figures.scenes[index].scene == Scene::TryLock;
                let expected = [Verdict::Holds, Verdict::DoesNotHold][usize::from(fails)];
                assert_eq!(judge(&figures).verdict, expected, "{index} {number}");
            }
        }
    }

    #[test]
    fn the_reason_names_the_scene_and_what_was_found() {
        let mut figures = figures();
        figures.scenes[0].deadlock = None;
        assert_eq!(
            judge(&figures).reason,
            "two locks in opposite order: the watchdog found nothing"
        );
    }
}
