//! Producers and consumers with a queue between: a search through real files, what the length of the
//! queue tells, and the ways to end.

mod daemon;
mod library;
mod line;

use std::io;
use std::time::Duration;

use serde::Serialize;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Chart, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::verdict::Ruling;
use daemon::Daemon;
use library::Library;
use line::{Ending, Line, Outcome, ending};
use loadgen::svg::{Measure, Series};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "pipeline",
    chapter: Chapter::Passing,
    question: "How do those who read and those who search work together, and when are they done?",
    claim: "With a bounded queue between, readers and searchers of any number find what a plain search \
            finds; its length shows who is the bottleneck; and it ends cleanly by exactly one sentinel \
            for each consumer, after the last item, or by a queue that knows when all is done.",
    prediction: "Each file is put once and taken once, so the counts of 60 files, of which every third lacks \
                 the keyword, equal those of a plain search in every line. Whoever is faster waits: a queue of 8 before slow searchers is full (mean length \
                 ≥ 6), behind a slow reader empty (≤ 2). A sentinel sends one consumer home: with one too \
                 few of 3 one stays for ever, with one too many it is left over, and 5 texts put after \
                 them are never searched. A consumer that nobody joins has done 6 of 10 texts if the \
                 program ends then, and 10 of 10 if it waits for the queue.",
    method: "Texts written with the seed; 3 readers, 4 searchers. For the balance one side rests 10 ms \
             after each file, and the length is noted whenever a searcher comes. Who stays for ever is \
             asleep, says the kernel, while the queue is empty and nobody puts. The program with the \
             daemon consumer is a process, which is told when to search.",
    lesson: "Wait for the work and not for the workers. In the server the acceptor produces, workers \
             consume, and a drain is the join: it waits for what was accepted, up to a deadline, and \
             what it must cut is counted. A queue that is always full says where to add workers.",
    fault: Fault {
        what: "The searcher that gets the first file says that it is done, and leaves without searching it.",
        symptom: "other than the plain search",
    },
    run,
};

/// The program that ends while its consumer is at work.
pub(super) const PARTS: &[Part] = &[Part {
    name: daemon::PART,
    play: daemon::play,
}];

const FILES: usize = 60;
const CAPACITY: usize = 8;
const READERS: usize = 3;
const SEARCHERS: usize = 4;
/// How long the slower side rests after each file: many times what a file takes.
const REST: Duration = Duration::from_millis(10);
/// From this share of its room on a queue is called full, and empty up to the rest of it.
const FULL: f64 = 0.75;
/// Between that and half full a busy machine may be the reason; beyond half it is another bottleneck.
const HALF: f64 = 0.5;
/// Consumers, texts and late texts where sentinels end the work.
const ENDING: [usize; 3] = [3, 12, 5];

/// How the queue filled on one line.
#[derive(Clone, Debug, Serialize)]
struct Balance {
    lengths: Vec<usize>,
    mean: f64,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    files: usize,
    capacity: usize,
    /// The keyword's occurrences in all files, by the plain search.
    occurrences: usize,
    /// Files that contain it, by the plain search.
    files_with: usize,
    /// Answers that lines gave, one for each file of each line.
    answers: usize,
    /// Of them, those that are missing, or other than the plain search's.
    answers_wrong: usize,
    /// Texts that were put and not done when everybody had left, in all lines.
    unfinished: usize,
    slow_searchers: Balance,
    slow_readers: Balance,
    consumers: usize,
    texts_put_late: usize,
    one_each: Ending,
    one_too_few: Ending,
    one_too_many: Ending,
    too_early: Ending,
    daemon: Daemon,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    bench.narrator.now("readers, searchers and a queue");
    let figures = observe(bench).map_err(Failure::system("search files"))?;
    bench.go_on()?;
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Chart(chart(&figures)),
            Exhibit::Table(balance_table(&figures)),
            Exhibit::Table(endings_table(&figures)),
        ],
        figures: figures_of(&figures),
    })
}

fn observe(bench: &Bench) -> io::Result<Figures> {
    let library = Library::write(FILES, bench.seed)?;
    let plain = library.search()?;
    let balanced = Line {
        files: &library.files,
        capacity: CAPACITY,
        readers: (READERS, Duration::ZERO),
        searchers: (SEARCHERS, Duration::ZERO),
        deserted: bench.faulted(),
    };
    let willing = Line {
        deserted: false,
        ..balanced
    };
    let slow_searchers = Line {
        searchers: (1, REST),
        ..willing
    };
    let slow_readers = Line {
        readers: (1, REST),
        ..willing
    };
    let [first, full, empty] = [balanced.run()?, slow_searchers.run()?, slow_readers.run()?];
    let lines = [&first, &full, &empty];
    let wrong = |line: &Outcome| {
        let wrong = plain
            .iter()
            .filter(|(file, found)| line.answer.get(file) != Some(found));
        wrong.count()
    };
    let [consumers, texts, late] = ENDING;
    Ok(Figures {
        files: FILES,
        capacity: CAPACITY,
        occurrences: plain.values().sum(),
        files_with: plain.values().filter(|found| **found > 0).count(),
        answers: lines.len() * FILES,
        answers_wrong: lines.iter().map(|line| wrong(line)).sum(),
        unfinished: lines.iter().map(|line| line.unfinished).sum(),
        slow_searchers: balance(full.lengths),
        slow_readers: balance(empty.lengths),
        consumers,
        texts_put_late: late,
        one_each: ending(consumers, consumers, texts, 0),
        one_too_few: ending(consumers, consumers - 1, texts, 0),
        one_too_many: ending(consumers, consumers + 1, texts, 0),
        too_early: ending(consumers, consumers, texts, late),
        daemon: daemon::observe(&bench.launcher)?,
    })
}

fn balance(lengths: Vec<usize>) -> Balance {
    let sum: usize = lengths.iter().sum();
    Balance {
        mean: sum as f64 / lengths.len().max(1) as f64,
        lengths,
    }
}

fn judge(figures: &Figures) -> Ruling {
    let mut objections = Vec::new();
    let (wrong, unfinished) = (figures.answers_wrong, figures.unfinished);
    if wrong + unfinished > 0 {
        objections.push(Ruling::does_not_hold(format!(
            "{wrong} of {} answers are other than the plain search's, and {unfinished} texts are not done",
            figures.answers
        )));
    }
    objections.extend(objection_to_lengths(figures));
    objections.extend(objection_to_endings(figures));
    let Daemon {
        texts,
        before,
        joined,
        left,
    } = figures.daemon;
    if joined != texts || left != before {
        objections.push(Ruling::does_not_hold(format!(
            "a daemon consumer did {joined} of {texts} texts when it was waited for and {left}, not \
             {before}, when not"
        )));
    }
    Ruling::unless(
        objections,
        format!(
            "{} occurrences in {} of {} files, and none in the others, by a plain search and by {} lines; mean length {:.1} of {} before slow searchers and \
             {:.1} behind a slow reader; one sentinel too few left {} asleep; without a join {} of \
             {texts} texts were lost",
            figures.occurrences,
            figures.files_with,
            figures.files,
            figures.answers / figures.files.max(1),
            figures.slow_searchers.mean,
            figures.capacity,
            figures.slow_readers.mean,
            figures.one_too_few.stranded,
            texts.saturating_sub(left),
        ),
    )
}

/// Why the lengths of the queue do not tell the bottleneck, if so.
fn objection_to_lengths(figures: &Figures) -> Option<Ruling> {
    let room = figures.capacity as f64;
    let (full, empty) = (figures.slow_searchers.mean, figures.slow_readers.mean);
    // How far each is from where it should be, as a share of the room.
    let off = (1.0 - full / room).max(empty / room);
    let text = format!("mean lengths of {full:.1} and {empty:.1} in a queue of {room}");
    if off >= HALF {
        Some(Ruling::does_not_hold(format!(
            "{text} do not tell who is slower"
        )))
    } else if off > 1.0 - FULL {
        let text = format!("{text} are not clear; is the machine busy?");
        Some(Ruling::inconclusive(text))
    } else {
        None
    }
}

/// Why the endings are not as predicted, if so.
fn objection_to_endings(figures: &Figures) -> Option<Ruling> {
    let consumers = figures.consumers;
    let all_gone = Ending {
        gone: consumers,
        ..Ending::default()
    };
    let endings = [
        ("one sentinel each", figures.one_each, all_gone),
        (
            "one sentinel too few",
            figures.one_too_few,
            Ending {
                gone: consumers - 1,
                stranded: 1,
                ..all_gone
            },
        ),
        (
            "one sentinel too many",
            figures.one_too_many,
            Ending {
                sentinels_left: 1,
                ..all_gone
            },
        ),
        (
            "sentinels before the last texts",
            figures.too_early,
            Ending {
                texts_left: figures.texts_put_late,
                ..all_gone
            },
        ),
    ];
    let (name, ending, _) = endings
        .into_iter()
        .find(|(_, ending, predicted)| ending != predicted)?;
    Some(Ruling::does_not_hold(format!(
        "with {name} {} consumers went home, {} stayed, {} texts and {} sentinels were left",
        ending.gone, ending.stranded, ending.texts_left, ending.sentinels_left
    )))
}

fn headline(figures: &Figures) -> String {
    format!(
        "Readers and searchers found the keyword {} times in {} of {} files, as a plain search does; a \
         program that did not wait for them lost {} of {} texts.",
        figures.occurrences,
        figures.files_with,
        figures.files,
        figures.daemon.texts.saturating_sub(figures.daemon.left),
        figures.daemon.texts,
    )
}

fn chart(figures: &Figures) -> Chart {
    let series = |name: &str, balance: &Balance| {
        let point = |(index, length): (usize, &usize)| (index as f64, Some(*length as f64));
        Series {
            name: name.into(),
            points: balance.lengths.iter().enumerate().map(point).collect(),
            ..Series::default()
        }
    };
    Chart {
        title: "How many texts wait".into(),
        caption:
            "The length of the queue whenever a searcher comes, while there is something to read. \
                  Full: the searchers are the bottleneck. Empty: the readers are."
                .into(),
        x: ("visits of a searcher".into(), Measure::Amount),
        y: ("texts in the queue".into(), Measure::Amount),
        series: vec![
            series("slow searchers", &figures.slow_searchers),
            series("slow reader", &figures.slow_readers),
        ],
    }
}

/// Who is it, if a queue is filled to this share of its room on average?
fn bottleneck(filled: f64) -> &'static str {
    match filled {
        FULL.. => "searchers",
        filled if filled <= 1.0 - FULL => "readers",
        _ => "not clear",
    }
}

fn balance_table(figures: &Figures) -> Table {
    let row = |name: &str, balance: &Balance| {
        let most = balance.lengths.iter().max().copied().unwrap_or(0);
        vec![
            name.into(),
            format!("{:.1}", balance.mean).into(),
            most.to_string().into(),
            bottleneck(balance.mean / figures.capacity as f64).into(),
        ]
    };
    let header = ["with", "mean length", "longest", "bottleneck"];
    Table {
        title: format!("A queue of {}", figures.capacity),
        caption: "The length whenever a searcher comes, while there is something to read.".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: vec![
            row(
                &format!("{READERS} readers and 1 slow searcher"),
                &figures.slow_searchers,
            ),
            row(
                &format!("1 slow reader and {SEARCHERS} searchers"),
                &figures.slow_readers,
            ),
        ],
    }
}

fn endings_table(figures: &Figures) -> Table {
    let none_or = |count: usize, bad: bool| {
        let tone = if count > 0 && bad {
            Tone::Bad
        } else {
            Tone::Plain
        };
        Cell::toned(count.to_string(), tone)
    };
    let row = |name: &str, ending: &Ending| {
        vec![
            name.into(),
            none_or(ending.gone, false),
            none_or(ending.stranded, true),
            none_or(ending.texts_left, true),
            none_or(ending.sentinels_left, true),
        ]
    };
    let program = |name: &str, done: usize| {
        let lost = figures.daemon.texts.saturating_sub(done);
        vec![
            name.into(),
            "-".into(),
            "-".into(),
            none_or(lost, true),
            "-".into(),
        ]
    };
    let header = [
        "ended by",
        "went home",
        "asleep for ever",
        "texts left",
        "sentinels left",
    ];
    Table {
        title: format!("How {} consumers end", figures.consumers),
        caption:
            "Only the right number of sentinels behind the last text ends all and leaves nothing; \
                  a join needs no counting. In the last two rows the consumer is a daemon thread."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: vec![
            row("a sentinel each", &figures.one_each),
            row("one sentinel too few", &figures.one_too_few),
            row("one sentinel too many", &figures.one_too_many),
            row("sentinels before late texts", &figures.too_early),
            program("the program, after a join", figures.daemon.joined),
            program("the program, without", figures.daemon.left),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures() -> Figures {
        let gone = |gone| Ending {
            gone,
            ..Ending::default()
        };
        Figures {
            files: 60,
            capacity: 8,
            occurrences: 100,
            files_with: 40,
            answers: 180,
            answers_wrong: 0,
            unfinished: 0,
            slow_searchers: balance(vec![0, 8, 8, 8, 8, 8, 8, 8]),
            slow_readers: balance(vec![0, 0, 1]),
            consumers: 3,
            texts_put_late: 5,
            one_each: gone(3),
            one_too_few: Ending {
                stranded: 1,
                ..gone(2)
            },
            one_too_many: Ending {
                sentinels_left: 1,
                ..gone(3)
            },
            too_early: Ending {
                texts_left: 5,
                ..gone(3)
            },
            daemon: Daemon {
                texts: 10,
                before: 6,
                joined: 10,
                left: 6,
            },
        }
    }

    fn with(change: impl FnOnce(&mut Figures)) -> Verdict {
        let mut figures = figures();
        change(&mut figures);
        judge(&figures).verdict
    }

    #[test]
    fn the_predicted_counts_and_lengths_hold() {
        assert_eq!(with(|_| ()), Verdict::Holds);
    }

    #[test]
    fn another_answer_than_the_plain_one_does_not_hold() {
        assert_eq!(with(|it| it.answers_wrong = 1), Verdict::DoesNotHold);
        assert_eq!(with(|it| it.unfinished = 1), Verdict::DoesNotHold);
    }

    #[test]
    fn lengths_that_tell_nothing_do_not_hold_and_unclear_ones_prove_nothing() {
        let full = |lengths| with(|it| it.slow_searchers = balance(lengths));
        assert_eq!(full(vec![5, 5]), Verdict::Inconclusive);
        assert_eq!(full(vec![4, 4]), Verdict::DoesNotHold);
        let empty = |lengths| with(|it| it.slow_readers = balance(lengths));
        assert_eq!(empty(vec![2, 2]), Verdict::Holds);
        assert_eq!(empty(vec![3, 3]), Verdict::Inconclusive);
        assert_eq!(empty(vec![4, 4]), Verdict::DoesNotHold);
    }

    #[test]
    fn another_ending_than_the_predicted_one_does_not_hold() {
        let changes: [fn(&mut Figures); 7] = [
            |it| it.one_each.stranded = 1,
            |it| it.one_too_few = it.one_each,
            |it| it.one_too_many.sentinels_left = 0,
            |it| it.too_early.texts_left = 0,
            |it| it.daemon.joined = 9,
            |it| it.daemon.left = 10,
            |it| it.daemon.left = 5,
        ];
        for change in changes {
            assert_eq!(with(change), Verdict::DoesNotHold);
        }
    }
}
