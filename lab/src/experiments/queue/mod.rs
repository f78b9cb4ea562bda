//! A bounded queue: what putting into a full one and taking from an empty one does, and the order of
//! what comes out, between threads and between processes.

mod place;
mod shared;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use cli::units::number;
use serde::Serialize;

use crate::bench::{Bench, Failure};
use crate::bounded::Wait;
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::player::LIMIT;
use crate::sync::until;
use crate::verdict::{Ruling, Zones};
use place::{Place, Task};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "queue",
    chapter: Chapter::Passing,
    question: "What becomes of the fourth item for a queue of 3, and of who asks an empty one?",
    claim: "The fourth put fails at once, after its time limit, or waits until somebody takes an item, \
            as its caller wishes, and the same goes for a get on an empty queue; items come out in the \
            order in which they went in, and nobody needs a lock of his own.",
    prediction: "There is room for N items, so puts succeed while items < N = 3 and the next one cannot; \
                 it may say so at once, no earlier than its limit of 50 ms (and not many times later), or \
                 sleep. A get at 0 items \
                 likewise. Each item is put behind and taken in front under the queue's own lock, so \
                 10,000 items of one producer come out as counted, those of three producers each in \
                 their producer's order, and two consumers share them without one lost or double.",
    method: "A queue between threads (a mutex and two conditions) and one between processes (semaphores \
             and a ring in shared memory). That a put or get waits is seen from outside: the kernel says \
             that whoever does it is asleep, until the other end is used.",
    lesson: "A queue must have an end, and its owner decides what happens there. In the server that is \
             `--queue` and `--on-full`: `wait` is the put that waits, `reject` the one that fails at once.",
    fault: Fault {
        what: "There is room for one item more than the queue says.",
        symptom: "fitted into a queue of 3",
    },
    run,
};

/// The part at the other end.
pub(super) const PARTS: &[Part] = &[Part {
    name: place::PART,
    play: place::other,
}];

/// Room, as in the tutorial.
const CAPACITY: u32 = 3;
/// Far more than any queue here has room for.
const TOO_MANY: u32 = 10;
/// How long who has a limit waits.
const GIVE_UP: Duration = Duration::from_millis(50);
/// How many times his limit whoever gives up may have waited: beyond the first a busy machine may be
/// the reason, beyond the second he does not keep it, however busy it is.
const LATE: Zones = Zones {
    enough: 40.0,
    wrong: 400.0,
};
/// Items of a single producer.
const ITEMS: u32 = 10_000;
/// Producers, and items of each.
const PRODUCERS: [u32; 2] = [3, 2_000];
/// Consumers that share the items of one producer.
const CONSUMERS: u32 = 2;
/// From the first item of one producer to that of the next.
const APART: u32 = 1 << 20;

/// What a queue did.
#[derive(Clone, Debug, Serialize)]
struct Row {
    place: &'static str,
    /// Puts until the first that failed at once.
    accepted: u32,
    /// Whether a get that may not wait failed while the queue was empty.
    empty_refuses: bool,
    /// How long a put with a limit waited before it failed; none if it did not fail.
    full_gave_up_after_ms: Option<f64>,
    /// How long a get with a limit waited before it failed; none if it did not fail.
    empty_gave_up_after_ms: Option<f64>,
    /// Whether a put slept while the queue was full, and was done once an item was taken.
    full_waits: bool,
    /// Whether a get slept while the queue was empty, and got the next item.
    empty_waits: bool,
    /// Items of the single producer, and of several ones.
    one: Order,
    several: Order,
    /// Items of one producer to several consumers.
    shared_out: Order,
    items_per_s: f64,
}

impl Row {
    /// Who gave up, and after how many milliseconds.
    fn gave_up(&self) -> [(&'static str, Option<f64>); 2] {
        [
            ("put into the full queue", self.full_gave_up_after_ms),
            ("get from the empty queue", self.empty_gave_up_after_ms),
        ]
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Order {
    items: usize,
    lost: usize,
    double: usize,
    /// Items that came after one that their producer had put later.
    overtaken: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    capacity: u32,
    limit_ms: f64,
    queues: Vec<Row>,
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let capacity = CAPACITY + u32::from(bench.faulted());
    let mut queues = Vec::new();
    let places = place::all(capacity, &bench.launcher).map_err(Failure::system("make a queue"))?;
    for (name, place) in &places {
        bench.narrator.now(&format!("a queue between {name}"));
        let row = examine(name, place.as_ref()).map_err(Failure::system("use a queue"))?;
        queues.push(row);
        bench.go_on()?;
    }
    let figures = Figures {
        capacity: CAPACITY,
        limit_ms: ms(GIVE_UP),
        queues,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![Exhibit::Table(table(&figures))],
        figures: figures_of(&figures),
    })
}

fn examine(name: &'static str, queue: &dyn Place) -> io::Result<Row> {
    let accepted = (0..TOO_MANY).take_while(|item| queue.put(*item, Wait::Never));
    let accepted = u32::try_from(accepted.count()).unwrap_or(TOO_MANY);
    let begun = Instant::now();
    let full = !queue.put(TOO_MANY, Wait::Within(GIVE_UP));
    let full_gave_up_after_ms = full.then(|| ms(begun.elapsed()));
    let full_waits = full_waits(queue, accepted)?;
    let empty_refuses = queue.get(Wait::Never).is_none();
    let begun = Instant::now();
    let empty = queue.get(Wait::Within(GIVE_UP)).is_none();
    let empty_gave_up_after_ms = empty.then(|| ms(begun.elapsed()));
    let empty_waits = empty_waits(queue)?;
    let begun = Instant::now();
    let one = produced(queue, 1, ITEMS)?;
    let took = begun.elapsed();
    let [producers, each] = PRODUCERS;
    Ok(Row {
        place: name,
        accepted,
        empty_refuses,
        full_gave_up_after_ms,
        empty_gave_up_after_ms,
        full_waits,
        empty_waits,
        one,
        several: produced(queue, producers, each)?,
        shared_out: shared_out(queue)?,
        items_per_s: f64::from(ITEMS) / took.as_secs_f64(),
    })
}

/// Has somebody put into the full queue, and empties it. Its item must be the last.
fn full_waits(queue: &dyn Place, accepted: u32) -> io::Result<bool> {
    let other = queue.employ(Task::Put {
        first: TOO_MANY,
        count: 1,
    })?;
    let slept = until(LIMIT, || other.sleeps()).is_ok();
    let first = queue.get(Wait::Within(LIMIT));
    other.finish()?;
    let rest = std::iter::from_fn(|| queue.get(Wait::Never));
    let rest: Vec<u32> = first.into_iter().chain(rest).collect();
    let expected: Vec<u32> = (0..accepted).chain([TOO_MANY]).collect();
    Ok(slept && rest == expected)
}

/// Has somebody take from the empty queue, and puts one item.
fn empty_waits(queue: &dyn Place) -> io::Result<bool> {
    let other = queue.employ(Task::Get(1))?;
    let slept = until(LIMIT, || other.sleeps()).is_ok();
    queue.put(TOO_MANY, Wait::Within(LIMIT));
    Ok(other.finish()? == [TOO_MANY] && slept)
}

/// Takes what several producers put at the same time.
fn produced(queue: &dyn Place, producers: u32, each: u32) -> io::Result<Order> {
    let task = |producer| Task::Put {
        first: producer * APART,
        count: each,
    };
    let others = (0..producers).map(|producer| queue.employ(task(producer)));
    let others: Vec<_> = others.collect::<io::Result<_>>()?;
    let taken = (0..producers * each).map_while(|_| queue.get(Wait::Within(LIMIT)));
    let order = order(&[taken.collect()], producers * each);
    for other in others {
        other.finish()?;
    }
    Ok(order)
}

/// Puts what several consumers take at the same time.
fn shared_out(queue: &dyn Place) -> io::Result<Order> {
    let others = (0..CONSUMERS).map(|_| queue.employ(Task::Get(ITEMS / CONSUMERS)));
    let others: Vec<_> = others.collect::<io::Result<_>>()?;
    for item in 0..ITEMS {
        queue.put(item, Wait::Within(LIMIT));
    }
    let taken = others.into_iter().map(|other| other.finish());
    Ok(order(&taken.collect::<io::Result<Vec<_>>>()?, ITEMS))
}

/// Looks through what the consumers took, each in its order, of `put` items in all.
fn order(taken: &[Vec<u32>], put: u32) -> Order {
    let items = taken.iter().map(Vec::len).sum();
    let different: BTreeSet<u32> = taken.iter().flatten().copied().collect();
    let overtaken = taken.iter().map(|taken| overtaken(taken)).sum();
    Order {
        items,
        lost: (put as usize).saturating_sub(different.len()),
        double: items - different.len(),
        overtaken,
    }
}

/// How many items one consumer took after a later one of the same producer.
fn overtaken(taken: &[u32]) -> usize {
    let mut latest = std::collections::BTreeMap::new();
    let late = taken.iter().filter(|item| {
        let before = latest.insert(**item / APART, **item);
        before.is_some_and(|before| before > **item)
    });
    late.count()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn judge(figures: &Figures) -> Ruling {
    if figures.queues.is_empty() {
        return Ruling::inconclusive("no queue was used");
    }
    let wrong = |row: &Row| {
        let what = objection(row, figures)?;
        Some(Ruling::does_not_hold(format!("{}: {what}", row.place)))
    };
    let late = figures.queues.iter().filter_map(|row| late(row, figures));
    let objections = figures.queues.iter().filter_map(wrong).chain(late);
    let capacity = figures.capacity;
    Ruling::unless(
        objections.collect(),
        format!(
            "put number {} failed at once, after {:.0} ms, or slept until there was room; {} items in \
             order, over threads and over processes",
            capacity + 1,
            figures.limit_ms,
            number(f64::from(ITEMS)),
        ),
    )
}

/// What one queue did that it should not have, if anything.
fn objection(row: &Row, figures: &Figures) -> Option<String> {
    if row.accepted != figures.capacity {
        return Some(format!(
            "{} items fitted into a queue of {}",
            row.accepted, figures.capacity
        ));
    }
    if !row.empty_refuses {
        return Some("a get from the empty queue was possible".to_owned());
    }
    for (what, after_ms) in row.gave_up() {
        match after_ms {
            None => return Some(format!("a {what} was possible")),
            Some(after_ms) if after_ms < figures.limit_ms => {
                return Some(format!(
                    "a {what} gave up after {after_ms:.1} ms, not {:.0}",
                    figures.limit_ms
                ));
            }
            Some(_) => {}
        }
    }
    if !row.full_waits || !row.empty_waits {
        let what = if row.full_waits { "get" } else { "put" };
        return Some(format!("a {what} did not wait for the other end"));
    }
    for (of, order) in [
        ("one producer", row.one),
        ("several producers", row.several),
        ("several consumers", row.shared_out),
    ] {
        let Order {
            lost,
            double,
            overtaken,
            ..
        } = order;
        if lost + double + overtaken > 0 {
            return Some(format!(
                "with {of} {lost} items were lost, {double} double and {overtaken} out of order"
            ));
        }
    }
    None
}

/// What is to be said against one queue if somebody gave up late.
fn late(row: &Row, figures: &Figures) -> Option<Ruling> {
    let late = |(what, after_ms): (&str, Option<f64>)| {
        let after_ms = after_ms?;
        let found = format!(
            "{}: a {what} gave up after {after_ms:.0} ms, not {:.0}",
            row.place, figures.limit_ms
        );
        LATE.objection(after_ms / figures.limit_ms, found)
    };
    row.gave_up().into_iter().find_map(late)
}

fn headline(figures: &Figures) -> String {
    let slowest = figures.queues.iter().map(|row| row.items_per_s);
    format!(
        "A queue of {} takes {} items and no more; each then comes out once and in order, at {} items a \
         second or more.",
        figures.capacity,
        figures.queues.first().map_or(0, |row| row.accepted),
        number(slowest.fold(f64::INFINITY, f64::min))
    )
}

fn table(figures: &Figures) -> Table {
    let mut header = vec![String::new()];
    header.extend(figures.queues.iter().map(|row| row.place.to_owned()));
    let line = |name: &str, cell: &dyn Fn(&Row) -> Cell| {
        let cells = figures.queues.iter().map(cell);
        std::iter::once(name.into()).chain(cells).collect()
    };
    let toned =
        |good: bool, text: String| Cell::toned(text, if good { Tone::Good } else { Tone::Bad });
    let after = |ms: Option<f64>| Cell::or_dash(ms.map(|ms| format!("{ms:.1} ms")));
    let slept = |slept| toned(slept, if slept { "asleep" } else { "no" }.to_owned());
    let order = |order: Order| {
        let wrong = order.lost + order.double + order.overtaken;
        toned(wrong == 0, format!("{}, {wrong} wrong", order.items))
    };
    Table {
        title: format!("A queue of {}", figures.capacity),
        caption: "An item is wrong that is lost, double or out of its producer's order.".into(),
        header,
        rows: vec![
            line("puts until one fails at once", &|row| {
                toned(row.accepted == figures.capacity, row.accepted.to_string())
            }),
            line("full: a put with a limit fails after", &|row| {
                after(row.full_gave_up_after_ms)
            }),
            line("full: a put without waits", &|row| slept(row.full_waits)),
            line("empty: a get that may not wait", &|row| {
                let text = if row.empty_refuses { "fails" } else { "gets" };
                toned(row.empty_refuses, text.to_owned())
            }),
            line("empty: a get with a limit fails after", &|row| {
                after(row.empty_gave_up_after_ms)
            }),
            line("empty: a get without waits", &|row| slept(row.empty_waits)),
            line("items of 1 producer", &|row| order(row.one)),
            line(&format!("items of {} producers", PRODUCERS[0]), &|row| {
                order(row.several)
            }),
            line(&format!("items to {CONSUMERS} consumers"), &|row| {
                order(row.shared_out)
            }),
            line("items/s", &|row| number(row.items_per_s).into()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures(change: impl FnOnce(&mut Row)) -> Figures {
        let good = Order {
            items: 10,
            ..Order::default()
        };
        let mut row = Row {
            place: "threads",
            accepted: 3,
            empty_refuses: true,
            full_gave_up_after_ms: Some(50.0),
            empty_gave_up_after_ms: Some(1_000.0),
            full_waits: true,
            empty_waits: true,
            one: good,
            several: good,
            shared_out: good,
            items_per_s: 1e5,
        };
        change(&mut row);
        Figures {
            capacity: 3,
            limit_ms: 50.0,
            queues: vec![row],
        }
    }

    #[test]
    fn a_queue_that_does_what_it_says_holds_however_slow_it_is() {
        assert_eq!(judge(&figures(|_| ())).verdict, Verdict::Holds);
        let none = Figures {
            queues: vec![],
            ..figures(|_| ())
        };
        assert_eq!(judge(&none).verdict, Verdict::Inconclusive);
        let late = figures(|row| row.full_gave_up_after_ms = Some(2_100.0));
        assert_eq!(judge(&late).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn each_part_of_the_claim_can_fail() {
        let faults: [fn(&mut Row); 11] = [
            |row| row.accepted = 4,
            |row| row.full_gave_up_after_ms = None,
            |row| row.full_gave_up_after_ms = Some(49.0),
            |row| row.empty_gave_up_after_ms = None,
            |row| row.empty_gave_up_after_ms = Some(50_000.0),
            |row| row.empty_refuses = false,
            |row| row.full_waits = false,
            |row| row.empty_waits = false,
            |row| row.one.overtaken = 1,
            |row| row.several.double = 1,
            |row| row.shared_out.lost = 1,
        ];
        for fault in faults {
            let ruling = judge(&figures(fault));
            assert_eq!(ruling.verdict, Verdict::DoesNotHold, "{ruling:?}");
        }
    }

    #[test]
    fn lost_double_and_overtaken_items_are_counted() {
        let good = order(&[vec![0, APART, 1], vec![2, APART + 1]], 5);
        let expected = Order {
            items: 5,
            ..Order::default()
        };
        assert_eq!(good, expected);
        let bad = order(&[vec![1, 0, 0]], 4);
        let expected = Order {
            items: 3,
            lost: 2,
            double: 1,
            overtaken: 1,
        };
        assert_eq!(bad, expected);
    }
}
