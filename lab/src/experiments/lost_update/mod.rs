//! Two who add to one number: what is lost when reading and writing are two steps, and what it costs to
//! make them one.

mod adding;
mod lines;

use serde::Serialize;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::stats::Spread;
use crate::verdict::Ruling;
use adding::{Round, TIMES, WORKERS, Way, Who};
use lines::{Lines, PRINTERS};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "lost-update",
    chapter: Chapter::Sharing,
    question: "Two add a million times each to the same number: what is the sum?",
    claim: "With load and store it is too small, with an atomic addition or under a mutex it is exact, \
            for threads as for processes; never is it too large.",
    prediction: "Every store writes one more than a value that was there, so N additions by each of 2 make \
                 at most 2N = 2,000,000. Whatever the other adds between a load and its store is \
                 overwritten: at worst all but 2 are lost (one loads 0 and stores 1 when the other has \
                 done all but one; the other loads that 1 and stores 2 when the first has done all). \
                 fetch_add leaves nothing between, a mutex lets nobody in between: \
                 exactly 2N. Lines printed under one mutex come in one block for each of 3 \
                 threads, 3 in all; without it in more.",
    method: "Two threads, and two processes over shared memory, run the same code on the same words: they \
             meet, add a million times each and time it; 20 times each gives the processor away in the \
             middle of an addition, as the scheduler may at any moment. Repeated; load and store until \
             something was lost, up to 20 times. Beside that one alone, for the cost, which is shown and \
             not judged. Three threads write 100 lines each into \
             one pipe and yield after each, with and without a mutex; the changes of thread are counted.",
    lesson: "Reading and writing in two steps is no addition. The atomic one is the cheapest that is right, \
             and enough for one number; a mutex is for what takes several steps, such as a block of \
             lines. Both cost most when several want them at once. In the server every counter on the board is \
             a fetch_add on a word in the worker's own slot, which other workers do not want, and the registry of \
             open connections is under a mutex.",
    fault: Fault {
        what: "The mutex is not taken, neither for adding nor for printing.",
        symptom: "mutex",
    },
    run,
};

/// The processes of this experiment.
pub(super) const PARTS: &[Part] = &[Part {
    name: "lost-update.adder",
    play: adding::adder,
}];

/// How often it is measured in the short form.
const ROUNDS: usize = 3;
/// How often something is tried that must go wrong for once.
const TRIES: usize = 20;

/// One way for one kind of workers.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    who: Who,
    way: Way,
    /// Of each round.
    sums: Vec<u64>,
    /// What an addition takes, for each of those who add at the same time.
    together_ns: Option<Spread>,
    /// The same of one who is alone.
    alone_ns: Option<Spread>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    processors: usize,
    workers: u32,
    additions_each: u64,
    rows: Vec<Row>,
    printers: usize,
    lines_with_mutex: Lines,
    lines_without: Lines,
}

impl Figures {
    fn expected(&self) -> u64 {
        self.additions_each * u64::from(self.workers)
    }

    fn row(&self, who: Who, way: Way) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| (row.who, row.way) == (who, way))
    }
}

impl Row {
    fn least(&self) -> u64 {
        self.sums.iter().copied().min().unwrap_or(0)
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut rows = Vec::new();
    for who in Who::ALL {
        for way in Way::ALL {
            bench
                .narrator
                .now(&format!("{} that add by {}", who.name(), way.name()));
            rows.push(row(bench, who, way)?);
        }
    }
    bench.narrator.now("threads that print");
    let print = |mutex| lines::print(mutex).map_err(Failure::system("print into a pipe"));
    let figures = Figures {
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        workers: WORKERS,
        additions_each: TIMES,
        rows,
        printers: PRINTERS,
        lines_with_mutex: print(!bench.faulted())?,
        lines_without: {
            let mut lines = print(false)?;
            for _ in 1..TRIES {
                if lines.blocks > PRINTERS {
                    break;
                }
                lines = print(false)?;
            }
            lines
        },
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Table(table(&figures)),
            Exhibit::Table(printed(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

fn name(who: Who, way: Way) -> String {
    format!("{}, {}", who.name(), way.name())
}

fn row(bench: &Bench, who: Who, way: Way) -> Result<Row, Failure> {
    let really = match way {
        Way::Mutex if bench.faulted() => Way::LoadStore,
        way => way,
    };
    let round = |workers| {
        bench.go_on()?;
        let round = adding::round(bench, who, really, workers);
        round.map_err(Failure::system("add to a shared number"))
    };
    let rounds = bench.repeats(ROUNDS);
    let expected = TIMES * u64::from(WORKERS);
    let (mut together, mut alone): (Vec<Round>, Vec<Round>) = (Vec::new(), Vec::new());
    for number in 0..rounds.max(TRIES) {
        let lost = together.iter().any(|it| it.sum < expected);
        if number >= rounds && (lost || really != Way::LoadStore) {
            break;
        }
        together.push(round(WORKERS)?);
        alone.push(round(1)?);
    }
    let ns = |rounds: &[Round]| Spread::of(rounds.iter().map(|it| it.ns_per_addition));
    Ok(Row {
        name: name(who, way),
        who,
        way,
        together_ns: ns(&together),
        alone_ns: ns(&alone),
        sums: together.iter().map(|it| it.sum).collect(),
    })
}

fn judge(figures: &Figures) -> Ruling {
    let mut objections: Vec<Ruling> = figures
        .rows
        .iter()
        .filter_map(|row| objection(row, figures))
        .collect();
    let Lines { lines, blocks } = figures.lines_with_mutex;
    if (lines, blocks) != (figures.printers * lines::EACH, figures.printers) {
        objections.push(Ruling::does_not_hold(format!(
            "{lines} lines under one mutex came in {blocks} blocks, not {}",
            figures.printers
        )));
    }
    if figures.lines_without.blocks <= figures.printers {
        objections.push(Ruling::inconclusive(
            "lines came in order without a mutex too; nothing was there to be kept apart",
        ));
    }
    let lost = |who| {
        figures
            .row(who, Way::LoadStore)
            .map_or(0, |it| figures.expected().saturating_sub(it.least()))
    };
    Ruling::unless(
        objections,
        format!(
            "load and store lost up to {} of {} additions of threads and {} of processes, fetch_add and \
             mutex none; {} blocks of lines under a mutex, {} without",
            lost(Who::Threads),
            figures.expected(),
            lost(Who::Processes),
            blocks,
            figures.lines_without.blocks,
        ),
    )
}

/// Why one row does not bear the claim out, if so.
fn objection(row: &Row, figures: &Figures) -> Option<Ruling> {
    let (name, expected) = (&row.name, figures.expected());
    let impossible = row.sums.iter().find(|sum| **sum > expected || **sum < 2);
    let wrong = row.sums.iter().find(|sum| **sum != expected);
    match (impossible, row.way, wrong) {
        (Some(sum), ..) => Some(Ruling::does_not_hold(format!(
            "{name}: the sum is {sum}, which is not from 2 to {expected}"
        ))),
        (None, Way::LoadStore, Some(_)) | (None, Way::FetchAdd | Way::Mutex, None) => None,
        (None, Way::LoadStore, None) => Some(Ruling::inconclusive(format!(
            "{name}: nothing was lost in {} rounds on {} processors; the two never met",
            row.sums.len(),
            figures.processors
        ))),
        (None, _, Some(sum)) => Some(Ruling::does_not_hold(format!(
            "{name}: the sum is {sum}, not {expected}"
        ))),
    }
}

fn headline(figures: &Figures) -> String {
    let row = |way| figures.row(Who::Threads, way);
    let sum = |way| row(way).map_or(0, Row::least);
    let ns = |way| {
        row(way)
            .and_then(|row| row.together_ns)
            .map_or(0.0, |ns| ns.median)
    };
    format!(
        "Two times {TIMES} made {} by load and store ({:.1} ns each), {} by fetch_add ({:.1} ns) and {} \
         under a mutex ({:.1} ns).",
        sum(Way::LoadStore),
        ns(Way::LoadStore),
        sum(Way::FetchAdd),
        ns(Way::FetchAdd),
        sum(Way::Mutex),
        ns(Way::Mutex),
    )
}

fn table(figures: &Figures) -> Table {
    let expected = figures.expected();
    let ns = |ns: Option<Spread>| Cell::or_dash(ns.map(|ns| format!("{:.1} ns", ns.median)));
    let row = |row: &Row| {
        let least = row.least();
        let tone = if least == expected {
            Tone::Good
        } else {
            Tone::Bad
        };
        let share = (expected - least.min(expected)) as f64 / expected as f64;
        vec![
            row.name.as_str().into(),
            Cell::toned(least.to_string(), tone),
            Cell::toned(format!("{:.1} %", share * 100.0), tone),
            row.sums.len().to_string().into(),
            ns(row.together_ns),
            ns(row.alone_ns),
        ]
    };
    Table {
        title: format!("Two who add {TIMES} times each"),
        caption: "The least sum of all rounds. An addition costs most when two want the same word at once."
            .into(),
        header: ["who, and how", "least sum", "lost", "rounds", "each of two", "one alone"]
            .map(str::to_owned)
            .to_vec(),
        rows: figures.rows.iter().map(row).collect(),
    }
}

fn printed(figures: &Figures) -> Table {
    let row = |name: &str, printed: Lines| {
        let tone = if printed.blocks == PRINTERS {
            Tone::Good
        } else {
            Tone::Bad
        };
        vec![
            name.into(),
            printed.lines.to_string().into(),
            Cell::toned(printed.blocks.to_string(), tone),
        ]
    };
    Table {
        title: format!("{PRINTERS} threads that print {} lines each", lines::EACH),
        caption: "A block is a run of lines of the same thread.".into(),
        header: ["", "lines", "blocks"].map(str::to_owned).to_vec(),
        rows: vec![
            row("under one mutex", figures.lines_with_mutex),
            row("without", figures.lines_without),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures() -> Figures {
        let row = |who, way| Row {
            name: name(who, way),
            who,
            way,
            sums: vec![
                2_000_000,
                if way == Way::LoadStore {
                    1_200_000
                } else {
                    2_000_000
                },
            ],
            together_ns: None,
            alone_ns: None,
        };
        Figures {
            processors: 2,
            workers: 2,
            additions_each: 1_000_000,
            rows: Who::ALL
                .into_iter()
                .flat_map(|who| Way::ALL.map(|way| row(who, way)))
                .collect(),
            printers: 3,
            lines_with_mutex: Lines {
                lines: 300,
                blocks: 3,
            },
            lines_without: Lines {
                lines: 300,
                blocks: 290,
            },
        }
    }

    fn verdict(change: impl FnOnce(&mut Figures)) -> Verdict {
        let mut figures = figures();
        change(&mut figures);
        judge(&figures).verdict
    }

    #[test]
    fn what_is_predicted_holds() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds);
        assert!(
            ruling
                .reason
                .contains("800000 of 2000000 additions of threads"),
            "{ruling:?}"
        );
    }

    #[test]
    fn a_sum_that_is_wrong_or_impossible_is_seen_in_every_row() {
        for index in 0..6 {
            let too_large = verdict(|it| it.rows[index].sums[0] = 2_000_001);
            let too_small = verdict(|it| it.rows[index].sums[0] = 1);
            assert_eq!([too_large, too_small], [Verdict::DoesNotHold; 2], "{index}");
            let lost = verdict(|it| it.rows[index].sums[0] = 1_999_999);
            let may_lose = figures().rows[index].way == Way::LoadStore;
            assert_eq!(lost == Verdict::Holds, may_lose, "{index}");
        }
    }

    #[test]
    fn lines_out_of_their_block_are_seen() {
        assert_eq!(
            verdict(|it| it.lines_with_mutex.blocks = 4),
            Verdict::DoesNotHold
        );
        assert_eq!(
            verdict(|it| it.lines_with_mutex.lines = 299),
            Verdict::DoesNotHold
        );
    }

    #[test]
    fn workers_that_never_met_prove_nothing() {
        assert_eq!(
            verdict(|it| it.rows[0].sums = vec![2_000_000; 20]),
            Verdict::Inconclusive
        );
        assert_eq!(
            verdict(|it| it.lines_without.blocks = 3),
            Verdict::Inconclusive
        );
    }
}
