//! Who goes when the main program goes: child processes that are bound to it in several ways, and
//! threads that were, or were not, waited for.

mod processes;
mod threads;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU32;

use serde::Serialize;
use server::{SharedFile, SharedSlice};

use crate::bench::{Bench, Failure};
use crate::exhibit::Exhibit;
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "daemon",
    chapter: Chapter::Processes,
    question: "What does a process wait for when it ends, and what does it take along?",
    claim: "It waits for nothing and takes its threads along; child processes stay, except those \
            that were bound to it before it died.",
    prediction: "Each worker does 10 of 20 steps, the main program ends, and then the way is open for \
                 the other 10. A child that asked the kernel for KILL at its parent's death \
                 (PDEATHSIG), or that ends at end of file on a socket pair, has done 10; one that is \
                 not bound does 20. PDEATHSIG is about a death to come, and about the thread that started \
                 the child: asked for when the parent is dead it does nothing (20), unless the child looks at \
                 its parent afterwards (10), and when the starting thread ends it kills in the middle \
                 of the parent's life (10). A thread that nobody joins goes on while main waits for another \
                 (15) and is cut off when main returns, without its destructors. These are orders of \
                 events, so the numbers are exact.",
    method: "Real processes that count their steps in shared memory. The main program ends twice: by \
             returning, and by KILL, which leaves it no last word. The second half begins only after \
             those who are bound are gone. In the other process main has nothing left to do after 10 \
             steps of a detached thread, lets it go on to 15, joins a second thread and returns; both are found \
             by their names in /proc.",
    lesson: "Nothing waits by itself: join what must be finished, and bind what must not outlive you \
             before there is anything to outlive. A worker of the server is bound three times: the socket \
             pair says end of file, PDEATHSIG comes from the kernel, and it looks at its parent \
             once that is set; workers are started by the main thread. A drain is the join of a \
             server: connections that are served are waited for up to --drain-timeout, and the \
             rest is cut off like a detached thread.",
    fault: Fault {
        what: "The child that should be bound by PDEATHSIG has not asked for it.",
        symptom: "lives on",
    },
    run,
};

/// The processes of this experiment.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "daemon.main",
        play: processes::main,
    },
    Part {
        name: "daemon.child",
        play: processes::child,
    },
    Part {
        name: "daemon.threads",
        play: threads::main,
    },
];

/// The steps of a whole piece of work, and those that are done before the main program ends.
const STEPS: u32 = 20;
const HALF: u32 = 10;

#[derive(Clone, Debug, Serialize)]
struct Figures {
    steps: u32,
    processes: Vec<processes::Outcome>,
    threads: threads::Outcome,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut outcomes = Vec::new();
    for end in processes::MainEnd::ALL {
        bench.go_on()?;
        bench
            .narrator
            .now(&format!("a main program that {}", end.name()));
        let outcome = processes::run(bench, end).map_err(Failure::system("let a process end"))?;
        outcomes.extend(outcome);
    }
    bench.narrator.now("a thread that nobody joins");
    let threads = threads::run(bench).map_err(Failure::system("let a thread end"))?;
    let figures = Figures {
        steps: STEPS,
        processes: outcomes,
        threads,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: format!(
            "When the main program ended, {} of {} children ended in mid-work and the others \
             finished; of its threads the one that was joined finished.",
            figures
                .processes
                .iter()
                .filter(|it| it.steps < STEPS)
                .count(),
            figures.processes.len(),
        ),
        exhibits: vec![
            Exhibit::Table(processes::table(&figures.processes)),
            Exhibit::Table(threads::table(&figures.threads)),
        ],
        figures: figures_of(&figures),
    })
}

/// New words for steps and marks, and the file that a process gets as its stdin to see them.
fn words(count: usize) -> io::Result<(SharedSlice<AtomicU32>, SharedFile)> {
    let file = SharedFile::create((count * size_of::<AtomicU32>()) as u64)?;
    Ok((file.slice(0, count)?, file))
}

/// The words that this process was given as its stdin.
fn given_words(count: usize) -> io::Result<SharedSlice<AtomicU32>> {
    let file = io::stdin().as_fd().try_clone_to_owned()?;
    SharedFile::from(file).slice(0, count)
}

fn judge(figures: &Figures) -> Ruling {
    let mut objections = processes::objections(&figures.processes);
    objections.extend(threads::objections(&figures.threads));
    let cut = figures
        .processes
        .iter()
        .filter(|it| it.steps < STEPS)
        .count();
    Ruling::unless(
        objections,
        format!(
            "{cut} bound children ended after {HALF} of {STEPS} steps, {} did all of them as orphans; a \
             detached thread ended at {} when main returned, the joined one did {}",
            figures.processes.len() - cut,
            figures.threads.detached_steps,
            figures.threads.joined_steps,
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    #[test]
    fn processes_and_threads_have_a_say() {
        let mut figures = Figures {
            steps: STEPS,
            processes: processes::tests::predicted(),
            threads: threads::tests::predicted(),
        };
        let ruling = judge(&figures);
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(
            ruling
                .reason
                .starts_with("8 bound children ended after 10 of 20 steps, 4 did all"),
            "{ruling:?}"
        );
        figures.threads.detached_steps = STEPS;
        assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold);
        figures.threads = threads::tests::predicted();
        figures.processes[0].steps = STEPS;
        assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold);
    }
}
