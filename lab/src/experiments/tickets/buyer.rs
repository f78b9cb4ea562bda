//! A buyer: goes to the counter, looks how many tickets are left, and buys one if there are any.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use server::SharedFile;

use super::plan::{Plan, Way, Word, Words};
use crate::part::{self, now_s};
use crate::sync::{Mutex, meet};

/// How long one who is to be killed waits for that.
const STOPPED: Duration = Duration::from_secs(10);

/// The stock in its file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Stock {
    left: u32,
}

/// When a buyer began and ended, and how many tickets it saw when it looked from afar.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) began_s: f64,
    pub(super) ended_s: f64,
    pub(super) saw: u32,
}

/// The part of a buyer.
pub(super) fn buyer(args: &[String]) -> io::Result<u8> {
    let [index, plan] = args else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let index: u32 = index.parse().map_err(io::Error::other)?;
    let plan: Plan = serde_json::from_str(plan)?;
    let memory = SharedFile::from(io::stdin().as_fd().try_clone_to_owned()?);
    let words = Words::of(&memory, &plan)?;
    meet(words.word(Word::Place), plan.meeting);
    let buyer = Buyer { index, plan, words };
    let began_s = now_s();
    let saw = buyer.go()?;
    for _ in 0..buyer.plan.each {
        if !buyer.buy()? {
            break;
        }
    }
    let ended_s = now_s();
    part::say(&Account {
        began_s,
        ended_s,
        saw,
    })?;
    Ok(cli::exit::SUCCESS)
}

struct Buyer {
    index: u32,
    plan: Plan,
    words: Words,
}

impl Buyer {
    /// Goes to the counter and looks from afar: no lock is needed for that, since nothing follows
    /// from it.
    fn go(&self) -> io::Result<u32> {
        let on_the_way = self.words.enter(Word::OnTheWay, Word::MostOnTheWay);
        let saw = self.left()?;
        self.pause();
        drop(on_the_way);
        self.words
            .word(Word::Arrived)
            .fetch_add(1, Ordering::SeqCst);
        Ok(saw)
    }

    /// Whether there was a ticket.
    fn buy(&self) -> io::Result<bool> {
        match self.plan.way {
            Way::File | Way::FileJoin | Way::Memory => self.look_and_buy(),
            Way::FileLock => self.locked_by_file(None),
            Way::OwnFileLock => self.locked_by_file(Some(self.index)),
            Way::Mutex => {
                let _guard = Mutex(self.words.word(Word::Lock)).lock();
                self.look_and_buy()
            }
            Way::OwnMutex => {
                let _guard = Mutex(self.words.own_lock(self.index)).lock();
                self.look_and_buy()
            }
            Way::CompareExchange => self.look_and_exchange(),
        }
    }

    /// The lock belongs to who opened the file, so everybody opens it for himself; it is given back when
    /// that is closed, however the process ends.
    fn locked_by_file(&self, of: Option<u32>) -> io::Result<bool> {
        let path = self.plan.lock_file(of);
        let lock = File::options().create(true).append(true).open(path)?;
        flock(&lock, FlockOperation::LockExclusive)?;
        self.look_and_buy()
    }

    /// The critical part: nobody may buy between this looking and this buying.
    fn look_and_buy(&self) -> io::Result<bool> {
        let _inside = self.words.enter(Word::Inside, Word::MostInside);
        let left = self.left()?;
        if left == 0 {
            return Ok(false);
        }
        self.decide();
        self.set(left - 1)?;
        self.words.sold_to(self.index);
        Ok(true)
    }

    /// The same without a lock: buys only if nobody bought since it looked, and looks again if so.
    fn look_and_exchange(&self) -> io::Result<bool> {
        let _inside = self.words.enter(Word::Inside, Word::MostInside);
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        loop {
            let left = self.left()?;
            if left == 0 {
                return Ok(false);
            }
            self.decide();
            let stock = self.words.word(Word::Stock);
            if stock
                .compare_exchange(left, left - 1, success, failure)
                .is_ok()
            {
                self.words.sold_to(self.index);
                return Ok(true);
            }
            self.words.word(Word::Again).fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What lies between looking and buying: the network, a form, a second thought.
    fn decide(&self) {
        if self.plan.stops == Some(self.index) {
            self.words.word(Word::Stopped).store(1, Ordering::SeqCst);
            thread::sleep(STOPPED);
        }
        self.pause();
    }

    fn pause(&self) {
        thread::sleep(Duration::from_millis(self.plan.pause_ms));
    }

    fn left(&self) -> io::Result<u32> {
        left(&self.plan, &self.words)
    }

    fn set(&self, left: u32) -> io::Result<()> {
        set(&self.plan, &self.words, left)
    }
}

/// How many tickets are left.
pub(super) fn left(plan: &Plan, words: &Words) -> io::Result<u32> {
    if plan.way.in_a_file() {
        let stock: Stock = serde_json::from_str(&fs::read_to_string(plan.stock_file())?)?;
        return Ok(stock.left);
    }
    Ok(words.get(Word::Stock))
}

/// So many are left from now on.
pub(super) fn set(plan: &Plan, words: &Words, left: u32) -> io::Result<()> {
    if plan.way.in_a_file() {
        // In one piece, so that what goes wrong without a lock is the sale and not the file.
        let new = plan.folder.join(format!("stock-{}", std::process::id()));
        fs::write(&new, serde_json::to_string(&Stock { left })?)?;
        return fs::rename(new, plan.stock_file());
    }
    words.word(Word::Stock).store(left, Ordering::SeqCst);
    Ok(())
}
