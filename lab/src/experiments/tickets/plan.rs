//! What kind of sale it is, and the words of shared memory in which it is watched.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};
use server::{SharedFile, SharedSlice};

/// Where the number of tickets is kept, and what is between two who would change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// A file, nothing.
    File,
    /// A file, and a lock on another file that all open.
    FileLock,
    /// A file, and for each buyer a lock on a file of its own.
    OwnFileLock,
    /// A file; each buyer is started when the one before has been joined.
    FileJoin,
    /// Shared memory, nothing.
    Memory,
    /// Shared memory, and a mutex in it.
    Mutex,
    /// Shared memory, and for each buyer a mutex of its own.
    OwnMutex,
    /// Shared memory, and a change only of what was looked at.
    CompareExchange,
}

impl Way {
    pub(super) const ALL: [Self; 8] = [
        Self::File,
        Self::OwnFileLock,
        Self::FileLock,
        Self::FileJoin,
        Self::Memory,
        Self::OwnMutex,
        Self::Mutex,
        Self::CompareExchange,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "file, no lock",
            Self::FileLock => "file, file lock",
            Self::OwnFileLock => "file, a lock for each",
            Self::FileJoin => "file, join",
            Self::Memory => "memory, no lock",
            Self::Mutex => "memory, mutex",
            Self::OwnMutex => "memory, a mutex for each",
            Self::CompareExchange => "memory, compare_exchange",
        }
    }

    pub(super) fn in_a_file(self) -> bool {
        matches!(
            self,
            Self::File | Self::FileLock | Self::OwnFileLock | Self::FileJoin
        )
    }

    /// Whether it sells exactly what there is.
    pub(super) fn is_exact(self) -> bool {
        self.is_one_at_a_time() || self == Self::CompareExchange
    }

    /// Whether only one at a time is between looking and buying.
    pub(super) fn is_one_at_a_time(self) -> bool {
        matches!(self, Self::FileLock | Self::FileJoin | Self::Mutex)
    }
}

/// A sale, as each of its buyers is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) way: Way,
    pub(super) buyers: u32,
    /// How many tickets a buyer wants.
    pub(super) each: u32,
    /// What the way to the counter takes, and what lies between looking and buying.
    pub(super) pause_ms: u64,
    /// Where the files are.
    pub(super) folder: PathBuf,
    /// How many buyers wait for each other before they go.
    pub(super) meeting: u32,
    /// Who stops between looking and buying, to be killed there.
    pub(super) stops: Option<u32>,
}

impl Plan {
    pub(super) fn stock_file(&self) -> PathBuf {
        self.folder.join("stock.json")
    }

    /// The lock of all, or that of one buyer.
    pub(super) fn lock_file(&self, of: Option<u32>) -> PathBuf {
        let name = of.map_or("lock".to_owned(), |buyer| format!("lock-{buyer}"));
        self.folder.join(name)
    }
}

/// One word for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The tickets that are left, where they are in memory.
    Stock,
    /// The mutex of all.
    Lock,
    /// Where they meet.
    Place,
    /// How many are on their way now, and were at most.
    OnTheWay,
    MostOnTheWay,
    /// How many have been on their way, and are no longer.
    Arrived,
    /// The same of those between looking and buying.
    Inside,
    MostInside,
    /// How many tickets were bought.
    Sold,
    /// How often somebody else had been faster.
    Again,
    /// Who stops has stopped.
    Stopped,
}

/// How many of those there are.
const COMMON: usize = Word::Stopped as usize + 1;

/// The words of one sale: those for all, a mutex for each buyer, and who bought, ticket by ticket.
#[derive(Debug)]
pub(super) struct Words {
    words: SharedSlice<AtomicU32>,
    buyers: usize,
}

impl Words {
    pub(super) fn bytes(plan: &Plan) -> u64 {
        (Self::count(plan) * size_of::<AtomicU32>()) as u64
    }

    pub(super) fn of(memory: &SharedFile, plan: &Plan) -> io::Result<Self> {
        Ok(Self {
            words: memory.slice(0, Self::count(plan))?,
            buyers: plan.buyers as usize,
        })
    }

    /// More tickets than buyers want are never sold.
    fn count(plan: &Plan) -> usize {
        COMMON + plan.buyers as usize * (1 + plan.each as usize)
    }

    pub(super) fn word(&self, word: Word) -> &AtomicU32 {
        &self.words[word as usize]
    }

    pub(super) fn get(&self, word: Word) -> u32 {
        self.word(word).load(Ordering::SeqCst)
    }

    pub(super) fn own_lock(&self, buyer: u32) -> &AtomicU32 {
        &self.words[COMMON + buyer as usize]
    }

    /// Notes that `buyer` has got a ticket.
    pub(super) fn sold_to(&self, buyer: u32) {
        let number = self.word(Word::Sold).fetch_add(1, Ordering::SeqCst) as usize;
        self.words[COMMON + self.buyers + number].store(buyer, Ordering::SeqCst);
    }

    /// Who got the tickets, in order.
    pub(super) fn order(&self) -> Vec<u32> {
        let first = COMMON + self.buyers;
        let sold = self.words[first..]
            .iter()
            .take(self.get(Word::Sold) as usize);
        sold.map(|buyer| buyer.load(Ordering::SeqCst)).collect()
    }

    /// One more is at `word`, of which `most` keeps the most.
    pub(super) fn enter(&self, word: Word, most: Word) -> Inside<'_> {
        let now = self.word(word).fetch_add(1, Ordering::SeqCst) + 1;
        self.word(most).fetch_max(now, Ordering::SeqCst);
        Inside(self.word(word))
    }
}

/// Somebody who is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Inside<'a>(&'a AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
