//! A sale: buyers are started, and it is counted what they got; and one in which a buyer is killed when
//! it is his turn.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Serialize, Serializer};
use server::SharedFile;

use super::buyer::{self, Account};
use super::plan::{Plan, Way, Word, Words};
use crate::bench::Bench;
use crate::player::{LIMIT, Player};
use crate::sync::until;
use crate::usage;

/// What the way to the counter takes, and what lies between looking and buying.
const PAUSE: Duration = Duration::from_millis(2);
/// Those who come after one who was killed.
const SUCCESSORS: u32 = 3;

/// Buyers, tickets, and how many each buyer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Demand {
    pub(super) buyers: u32,
    pub(super) stock: u32,
    pub(super) each: u32,
}

/// What came of one sale.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sale {
    pub(super) name: String,
    pub(super) way: Way,
    pub(super) demand: Demand,
    pub(super) sold: u32,
    pub(super) left: u32,
    /// How many were between looking and buying at the same time, at most.
    pub(super) most_inside: u32,
    /// How many were on their way at the same time, at most.
    pub(super) most_on_the_way: u32,
    /// How many saw the whole stock when they looked from afar.
    pub(super) saw_all: usize,
    /// How often somebody else had been faster.
    pub(super) again: u32,
    /// From the first who began to the last who ended.
    pub(super) took_s: f64,
    /// The least that the pauses alone take, as they should follow each other.
    pub(super) least_s: f64,
    /// Who got the tickets, by the order in which they were started.
    #[serde(serialize_with = "in_words")]
    pub(super) order: Vec<u32>,
}

/// Buyers are names and no quantities.
fn in_words<S: Serializer>(order: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let buyers: Vec<String> = order.iter().map(ToString::to_string).collect();
    serializer.serialize_str(&buyers.join(" "))
}

/// What came of one sale in which somebody was killed.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Death {
    pub(super) way: Way,
    /// Those who came after.
    pub(super) successors: u32,
    /// How many of them got a ticket.
    pub(super) sold: u32,
    /// How many of them were asleep at the counter while nobody was before them.
    pub(super) stranded: u32,
}

/// `really` is what is done where it is not `way`.
pub(super) fn sell(
    bench: &Bench,
    demand: Demand,
    way: Way,
    really: Way,
    folder: &Path,
) -> io::Result<Sale> {
    let joins = way == Way::FileJoin;
    let plan = Plan {
        way: really,
        buyers: demand.buyers,
        each: demand.each,
        pause_ms: u64::try_from(PAUSE.as_millis()).map_err(io::Error::other)?,
        folder: folder.to_owned(),
        meeting: if joins { 0 } else { demand.buyers },
        stops: None,
    };
    let (words, memory) = open(&plan, demand.stock)?;
    let mut buyers = Vec::new();
    let mut accounts: Vec<Account> = Vec::new();
    for index in 0..demand.buyers {
        let mut buyer = start(bench, &plan, &memory, index)?;
        if joins {
            accounts.push(buyer.says()?);
            buyer.join()?;
        } else {
            buyers.push(buyer);
        }
    }
    for mut buyer in buyers {
        accounts.push(buyer.says()?);
        buyer.join()?;
    }
    let began_s = accounts
        .iter()
        .map(|it| it.began_s)
        .fold(f64::INFINITY, f64::min);
    let ended_s = accounts.iter().map(|it| it.ended_s).fold(0.0, f64::max);
    let sold = words.get(Word::Sold);
    Ok(Sale {
        name: format!("{} tickets, {}", demand.stock, way.name()),
        way,
        demand,
        sold,
        left: buyer::left(&plan, &words)?,
        most_inside: words.get(Word::MostInside),
        most_on_the_way: words.get(Word::MostOnTheWay),
        saw_all: accounts.iter().filter(|it| it.saw == demand.stock).count(),
        again: words.get(Word::Again),
        took_s: ended_s - began_s,
        least_s: least_s(way, demand, sold),
        order: words.order(),
    })
}

/// The pauses that follow each other: under a lock those of the sales, and with join those of the ways to
/// the counter too.
pub(super) fn least_s(way: Way, demand: Demand, sold: u32) -> f64 {
    let pauses = match way {
        Way::FileJoin => demand.buyers + sold,
        Way::FileLock | Way::Mutex => 1 + sold,
        // One of those who decide at the same time gets through.
        Way::CompareExchange => 1 + sold.min(1),
        Way::File | Way::OwnFileLock | Way::Memory | Way::OwnMutex => 1 + demand.each.min(sold),
    };
    PAUSE.as_secs_f64() * f64::from(pauses)
}

/// Kills a buyer between looking and buying, and sees whether others can buy after that.
pub(super) fn after_a_death(bench: &Bench, way: Way, folder: &Path) -> io::Result<Death> {
    let plan = Plan {
        way,
        buyers: 1 + SUCCESSORS,
        each: 1,
        pause_ms: u64::try_from(PAUSE.as_millis()).map_err(io::Error::other)?,
        folder: folder.to_owned(),
        meeting: 0,
        stops: Some(0),
    };
    let (words, memory) = open(&plan, plan.buyers)?;
    let mut victim = start(bench, &plan, &memory, 0)?;
    until(LIMIT, || words.get(Word::Stopped) == 1)?;
    victim.signal(Signal::KILL)?;
    victim.join()?;
    let successors = 1..plan.buyers;
    let started: io::Result<Vec<Player>> = successors
        .map(|index| start(bench, &plan, &memory, index))
        .collect();
    let mut started = started?;
    // Whoever waits for a mutex that nobody has any more does so until he is killed.
    let waits_for_ever = way == Way::Mutex;
    let mut stranded = 0;
    if waits_for_ever {
        let asleep = |buyer: &&Player| usage::sleeps(buyer.pid());
        // Nobody is inside but the one who is dead, and nobody is on the way: who is asleep then waits
        // for the mutex. Should some neither wait nor buy, the counts say so.
        let _ = until(LIMIT, || {
            let settled = words.get(Word::Arrived) == plan.buyers && words.get(Word::Inside) == 1;
            let waiting = u32::try_from(started.iter().filter(asleep).count());
            stranded = waiting.ok().filter(|_| settled).unwrap_or(0);
            stranded == SUCCESSORS || words.get(Word::Sold) == SUCCESSORS
        });
    }
    for successor in started.iter_mut().filter(|_| !waits_for_ever) {
        // One that waits in vain has got no ticket, which is counted.
        let _ = successor.join();
    }
    Ok(Death {
        way,
        successors: SUCCESSORS,
        sold: words.get(Word::Sold),
        stranded,
    })
}

/// Puts the tickets up for sale.
fn open(plan: &Plan, stock: u32) -> io::Result<(Words, SharedFile)> {
    let memory = SharedFile::create(Words::bytes(plan))?;
    let words = Words::of(&memory, plan)?;
    buyer::set(plan, &words, stock)?;
    Ok((words, memory))
}

fn start(bench: &Bench, plan: &Plan, memory: &SharedFile, index: u32) -> io::Result<Player> {
    let mut command = bench.launcher.part("tickets.buyer");
    command.args([index.to_string(), serde_json::to_string(plan)?]);
    Player::given(&mut command, memory.as_fd().try_clone_to_owned()?)
}
