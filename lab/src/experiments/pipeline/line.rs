//! The assembly line: readers that produce texts, searchers that consume them, a queue between.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::library::{Answer, occurrences};
use crate::bounded::{Bounded, Wait};
use crate::player::LIMIT;
use crate::sync::until;
use crate::usage;

/// How the consumers are called.
const SEARCHER: &str = "searcher";

/// What goes through the queue.
#[derive(Debug)]
enum Item {
    /// The text of the file of that number.
    Text(usize, Vec<u8>),
    /// There is no more: the sentinel.
    End,
}

/// A line and who works at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// What is to be searched.
    pub(super) files: &'a [PathBuf],
    /// Room in the queue.
    pub(super) capacity: usize,
    /// Producers, and how long each rests after a file.
    pub(super) readers: (usize, Duration),
    /// Consumers, and how long each rests after a file.
    pub(super) searchers: (usize, Duration),
    /// Whoever gets the first file says that it is done, and leaves without searching it.
    pub(super) deserted: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What was found.
    pub(super) answer: Answer,
    /// How many texts waited whenever a searcher came for one, while the readers were at work.
    pub(super) lengths: Vec<usize>,
    /// Texts that were put and not done when everybody had left.
    pub(super) unfinished: usize,
}

impl Line<'_> {
    /// Works until all that was put is done, and sends everybody home then.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub(super) fn run(&self) -> io::Result<Outcome> {
        let queue = Bounded::new(self.capacity);
        let (next, reading) = (AtomicUsize::new(0), AtomicUsize::new(self.readers.0));
        let (answer, lengths) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
        let searcher = || {
            let take = || {
                let length = queue.len();
                if reading.load(Ordering::Relaxed) > 0 {
                    locked(&lengths).push(length);
                }
                queue.get(Wait::Ever)
            };
            while let Some(Item::Text(number, text)) = take() {
                if self.deserted && number == 0 {
                    queue.done();
                    return;
                }
                let found = occurrences(&text);
                locked(&answer).insert(number, found);
                queue.done();
                thread::sleep(self.searchers.1);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.searchers.0 {
                scope.spawn(searcher);
            }
            let readers: Vec<_> = (0..self.readers.0)
                .map(|_| scope.spawn(|| self.read(&queue, &next, &reading)))
                .collect();
            let panicked = |_| Err(io::Error::other("a reader panicked"));
            let read = readers
                .into_iter()
                .map(|reader| reader.join().unwrap_or_else(panicked));
            // All of them end before anybody is sent home, also when one of them failed.
            let read = read.fold(Ok(()), io::Result::and);
            queue.join(Wait::Within(LIMIT));
            (0..self.searchers.0).for_each(|_| drop(queue.put(Item::End, Wait::Within(LIMIT))));
            read
        })?;
        let ends = self.searchers.0;
        Ok(Outcome {
            answer: locked(&answer).clone(),
            lengths: locked(&lengths).clone(),
            unfinished: queue.unfinished().saturating_sub(ends),
        })
    }

    fn read(
        &self,
        queue: &Bounded<Item>,
        next: &AtomicUsize,
        reading: &AtomicUsize,
    ) -> io::Result<()> {
        let result = loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = self.files.get(number) else {
                break Ok(());
            };
            match fs::read(path) {
                Ok(text) => drop(queue.put(Item::Text(number, text), Wait::Ever)),
                Err(error) => break Err(error),
            }
            thread::sleep(self.readers.1);
        };
        reading.fetch_sub(1, Ordering::Relaxed);
        result
    }
}

/// How a line ended that was ended by sentinels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(super) struct Ending {
    /// Consumers that went home.
    pub(super) gone: usize,
    /// Consumers that are asleep, waiting for what never comes.
    pub(super) stranded: usize,
    /// Texts that nobody took.
    pub(super) texts_left: usize,
    /// Sentinels that nobody took.
    pub(super) sentinels_left: usize,
}

/// Lets `searchers` consume `texts` texts, then `sentinels`, then `late` texts more, and looks what is
/// left of it all when nobody moves any more.
pub(super) fn ending(searchers: usize, sentinels: usize, texts: usize, late: usize) -> Ending {
    let queue = Bounded::new(texts + sentinels + late + searchers);
    let text = |number| Item::Text(number, Vec::new());
    let items = (0..texts)
        .map(text)
        .chain((0..sentinels).map(|_| Item::End));
    let items = items.chain((texts..texts + late).map(text));
    items.for_each(|item| drop(queue.put(item, Wait::Never)));
    let gone = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..searchers {
            let work = || {
                while let Some(Item::Text(..)) = queue.get(Wait::Ever) {}
                gone.fetch_add(1, Ordering::Relaxed);
            };
            // Who cannot be started is missing in the count.
            let _ = thread::Builder::new()
                .name(SEARCHER.into())
                .spawn_scoped(scope, work);
        }
        let gone = || gone.load(Ordering::Relaxed);
        let asleep = || usage::sleeping_threads(std::process::id(), SEARCHER);
        // Should somebody neither leave nor wait, the counts say so.
        let _ = until(LIMIT, || {
            let everybody_left = gone() == searchers;
            everybody_left || (queue.len() == 0 && gone() + asleep() == searchers)
        });
        let (gone, rest) = (gone(), std::iter::from_fn(|| queue.get(Wait::Never)));
        let (sentinels, texts): (Vec<Item>, Vec<Item>) =
            rest.partition(|item| matches!(item, Item::End));
        // So that those who are stranded can be sent home after all.
        (gone..searchers).for_each(|_| drop(queue.put(Item::End, Wait::Never)));
        Ending {
            gone,
            stranded: searchers - gone,
            texts_left: texts.len(),
            sentinels_left: sentinels.len(),
        }
    })
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
