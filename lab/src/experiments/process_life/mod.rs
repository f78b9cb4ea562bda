//! The life of a process: asked for, known by the same numbers from both sides, joined, asked to end,
//! dead and not yet buried, or left behind by a parent that died.

mod endings;
mod left;
mod starts;
mod tasks;

use serde::Serialize;

use crate::bench::{Bench, Failure};
use crate::exhibit::Exhibit;
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::verdict::Ruling;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "process-life",
    chapter: Chapter::Processes,
    question: "What happens between the start of a process and the moment when nothing is left of it?",
    claim: "Starting asks, joining waits, TERM is a request; the dead stay until they are asked for, \
            and the living whose parent dies stay as somebody else's.",
    prediction: "Who starts goes on before at least one of 8 children has begun. Processes that are \
                 started together run at the same time, so tasks of 1, 2 and 3 units \
                 joined in turn take max(1, 2, 3) = 3 units and not 1 + 2 + 3 = 6. Less than 3 is \
                 impossible; that they ran at the same time is read off their own stamps, and a total \
                 nearer to 6 than to 3 is a doubt. Pid, parent and name are the kernel's, so both \
                 sides read the same. TERM can be caught: of three children one dies of it (15), one ends with code 0 when \
                 it has finished, one has to be killed (9). A dead child is state Z with no memory \
                 until its parent has read its exit code, then nothing. An orphan gets an ancestor \
                 of ours, or process 1, for its parent, and what it holds it goes on holding: here a port. \
                 The workers of a killed server all end, and its port is free.",
    method: "All are real processes. Children that wait for a word are looked at from both sides. \
             The three that are sent TERM say when it has arrived. waitid(2) with WNOWAIT waits for \
             five deaths without burying the dead, /proc is read, then they are joined. A parent that \
             passed a listener to its child is killed, the orphan is called at its port. The \
             server's process pool loses its master to KILL.",
    lesson: "Whoever starts processes has to join them, or a table fills with the dead; and whoever \
             starts servers has to see to it that they do not outlive him, since an orphan holds the \
             port that the next one needs. In the server that is the supervisor: it buries every \
             worker, climbs from TERM to KILL when one does not come, and each worker ends when the socket \
             pair to its master says end of file.",
    fault: Fault {
        what: "The three tasks are started one after the other, and the dead children are not joined.",
        symptom: "at most 1 of 3 tasks",
    },
    run,
};

/// The processes of this experiment.
pub(super) const PARTS: &[Part] = &[
    part("process-life.child", starts::child),
    part("process-life.listener", endings::listener),
    part("process-life.task", tasks::task),
    part("process-life.brief", left::brief),
    part("process-life.parent", left::parent),
    part("process-life.orphan", left::orphaned),
];

#[derive(Clone, Debug, Serialize)]
struct Figures {
    #[serde(skip)]
    own_pid: u32,
    starts: Vec<starts::Start>,
    endings: Vec<endings::Ending>,
    tasks: tasks::Tasks,
    zombies: left::Zombies,
    orphan: left::Orphan,
    pool: left::Pool,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let figures = Figures {
        own_pid: std::process::id(),
        starts: scene(bench, "start processes", starts::run)?,
        endings: scene(bench, "end processes", endings::run)?,
        tasks: scene(bench, "join three tasks", tasks::run)?,
        zombies: scene(bench, "look at dead children", left::zombies)?,
        orphan: scene(bench, "leave a child behind", left::orphan)?,
        pool: left::pool(bench)?,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: format!(
            "Tasks of 1, 2 and 3 units took {:.2} units together; {} dead children kept a number each \
             until they were joined, then {}.",
            figures.tasks.total_units(),
            figures.zombies.zombies,
            figures.zombies.left,
        ),
        exhibits: vec![
            Exhibit::Table(starts::table(&figures.starts)),
            Exhibit::Table(tasks::table(&figures.tasks)),
            Exhibit::Table(endings::table(&figures.endings)),
            Exhibit::Table(left::table(
                &figures.zombies,
                &figures.orphan,
                &figures.pool,
            )),
        ],
        figures: figures_of(&figures),
    })
}

/// One of the things that are looked at.
fn scene<T>(
    bench: &mut Bench,
    what: &str,
    look: impl FnOnce(&Bench) -> std::io::Result<T>,
) -> Result<T, Failure> {
    bench.go_on()?;
    bench.narrator.now(what);
    look(bench).map_err(Failure::system(what))
}

const fn part(name: &'static str, play: fn(&[String]) -> std::io::Result<u8>) -> Part {
    Part { name, play }
}

fn judge(figures: &Figures) -> Ruling {
    let mut objections = tasks::objections(&figures.tasks);
    objections.extend(left::objections(
        &figures.zombies,
        &figures.orphan,
        &figures.pool,
    ));
    objections.extend(starts::objections(&figures.starts, figures.own_pid));
    objections.extend(endings::objections(&figures.endings));
    Ruling::unless(
        objections,
        format!(
            "1, 2 and 3 units joined after {:.2}, TERM ended by signal, by itself and only by KILL, \
             {} zombies then {}, an orphan adopted by {} held its port, {} workers died with their master",
            figures.tasks.total_units(),
            figures.zombies.zombies,
            figures.zombies.left,
            figures.orphan.parent_after,
            figures.pool.workers,
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures() -> Figures {
        let (zombies, orphan, pool) = left::tests::left();
        Figures {
            own_pid: 7,
            starts: starts::tests::started(),
            endings: endings::tests::ended(),
            tasks: tasks::tests::apart(0.05),
            zombies,
            orphan,
            pool,
        }
    }

    #[test]
    fn what_is_predicted_holds() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
        assert!(
            ruling
                .reason
                .starts_with("1, 2 and 3 units joined after 3.10"),
            "{ruling:?}"
        );
    }

    #[test]
    fn each_scene_has_a_say() {
        let verdict = |change: fn(&mut Figures)| {
            let mut figures = figures();
            change(&mut figures);
            judge(&figures).verdict
        };
        let wrong = [
            verdict(|it| it.own_pid = 9),
            verdict(|it| it.endings.reverse()),
            verdict(|it| it.tasks = tasks::tests::apart(3.0)),
            verdict(|it| it.zombies.left = 5),
        ];
        assert_eq!(wrong, [Verdict::DoesNotHold; 4]);
    }
}
