//! A million connections, or a tenth of that in the short form: what they take, and whether each of
//! them is still served.
//!
//! ```text
//! generators × P ──connect──▶ workers × W      nobody says anything until all are connected;
//!  (parts)       ──pings──▶                    then all do, one after the other
//! ```

mod crowd;
mod generator;
mod judge;
mod show;
mod size;

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::bench::{Bench, Effort, Failure};
use crate::exhibit::Exhibit;
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::process::ServerProcess;
use crate::subject::Subject;
use crate::usage;
use crowd::{Crowd, Patience, Sum};
use generator::Order;
use judge::{Figures, judge};
use size::{Room, Size};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "million",
    chapter: Chapter::Cost,
    question: "How many connections can one machine hold, and does each of them still get an answer?",
    claim: "As many as it has memory for, by processes that each stay within their descriptors: a \
            pool of epoll workers holds them all, a worker that is full leaves the next to the \
            others, and when all are connected each has an answer within a minute, without an error.",
    prediction: "A connection takes descriptors and memory, and nothing else while it is silent. A \
                 process may have D descriptors (ulimit -Hn), so N connections take N / D workers, \
                 and as many generators. By `memory` a place in a table is some 300 bytes of the \
                 server, and the generator's is no larger. The kernel keeps two sockets with a file, \
                 a name and an entry in an epoll set each: 2 x (TCP socket 2.4 KiB + inode 1 KiB + \
                 file, dentry and entry 0.7 KiB) and the port, 8 to 10 KiB in all; so a million \
                 take about 10 GiB. A ping costs some 10 us at either end, so that two processors \
                 answer the 25,000 a second that come: 100,000 clients have their answer after 4 s, \
                 and a million after 40.",
    method: "100,000 clients, 1,000,000 with --full, or as many as the machine has memory and open \
             files for; workers and generators as the limit on descriptors demands, and source \
             addresses of the loopback as the local ports do. All connect at once and say nothing \
             until everybody is connected; then they say something in turn, 25,000 a second: a \
             million at once would be more than TCP may keep (net.ipv4.tcp_mem). Timed is until the \
             last is connected, and from then until the last has an answer. Memory is read before and \
             when all are answered, of the kernel as all slabs, stacks and page tables of the machine, so that \
             others disturb it.",
    lesson: "Connections are memory and descriptors. What stands in the way of many is a limit of \
             each process, and a server that meets it by accepting and dropping is worse than one \
             that knows it: each worker derives its own room and leaves the listener when it is \
             full.",
    fault: Fault {
        what: "The server is started with --max-connections 1000 below the number of clients.",
        symptom: "clients got an answer",
    },
    run,
};

/// The parts of this experiment.
pub(super) const PARTS: &[Part] = &[generator::GENERATOR];

/// Clients of the short form and of the long one.
const CLIENTS: [u32; 2] = [100_000, 1_000_000];
/// Clients for whom there is no place when something is wrong: fewer than wait in the accept queue,
/// so that they are connected all the same.
const TOO_MANY: u32 = 1_000;
/// How long connecting may take. A first packet for which there was no room is sent again every second
/// at first, and then after 2, 4, 8 and 16 seconds.
const TO_CONNECT: Patience = Patience {
    limit: Duration::from_secs(240),
    standstill: Duration::from_secs(20),
};
/// How long answers are waited for; the claim is less.
const TO_ANSWER: Patience = Patience {
    limit: Duration::from_secs(90),
    standstill: Duration::from_secs(5),
};
/// What the log says of a worker that takes what it must drop.
const COMPLAINT: &str = "cannot take more connections";

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let wanted = match bench.effort {
        Effort::Short => CLIENTS[0],
        Effort::Full => CLIENTS[1],
    };
    let size = Room::here().size(wanted);
    let server = start(bench, &size)?;
    let figures = measure(bench, &server, (wanted, &size))?;
    drop(server.stop());
    Ok(Finding {
        ruling: judge(&figures),
        headline: show::headline(&figures),
        exhibits: vec![Exhibit::Table(show::table(&figures))],
        figures: figures_of(&figures),
    })
}

fn start(bench: &mut Bench, size: &Size) -> Result<ServerProcess, Failure> {
    let places = match bench.faulted() {
        true => size.clients.saturating_sub(TOO_MANY).max(1),
        false => size.clients,
    };
    let workers = size.workers.max(1) as usize;
    let places = places.to_string();
    let pool = ["--worker-mode", "epoll", "--max-connections", &places];
    bench.start(&Subject::own("process-pool", workers).with(&pool))
}

/// Has everybody connect, then ask, and reads what it takes.
fn measure(
    bench: &mut Bench,
    server: &ServerProcess,
    (wanted, size): (u32, &Size),
) -> Result<Figures, Failure> {
    let count = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    let (clients, generators) = (count(size.clients), count(size.generators));
    let mut crowd = Crowd::start(bench, server, clients, generators)?;
    let before = Memory::read(server, &crowd).map_err(Failure::system("read the memory"))?;
    crowd.tell(Order::Begin)?;
    let connected = crowd.until(bench, |far| far.connected, TO_CONNECT)?;
    crowd.tell(Order::Ask)?;
    let answered = crowd.until(bench, |far| far.served, TO_ANSWER)?;
    let after = Memory::read(server, &crowd).map_err(Failure::system("read the memory"))?;
    let shares = shares(server);
    let report = crowd.end()?;
    let each = |before: u64, after: u64| {
        let standing = f64::from(connected.count.max(1));
        after.saturating_sub(before) as f64 / standing
    };
    let Sum { after_s, .. } = connected;
    Ok(Figures {
        wanted,
        clients: size.clients,
        limited_by: size.limited_by.map(str::to_owned),
        workers: size.workers,
        generators: size.generators,
        capacity: server.ready.capacity,
        connected: connected.count,
        answered: answered.count,
        errors: report
            .errors
            .values()
            .sum::<u64>()
            .max(report.requests.errors),
        mismatches: report.mismatches,
        complaints: server.log().count(COMPLAINT),
        open_s: after_s,
        answer_s: answered.after_s,
        server_bytes: each(before.server, after.server),
        generator_bytes: each(before.generators, after.generators),
        kernel_bytes: each(before.kernel, after.kernel),
        least_of_worker: shares.iter().copied().min().unwrap_or(0),
        most_of_worker: shares.iter().copied().max().unwrap_or(0),
    })
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug)]
struct Memory {
    server: u64,
    generators: u64,
    kernel: u64,
}

impl Memory {
    fn read(server: &ServerProcess, crowd: &Crowd) -> io::Result<Self> {
        let gone = || io::Error::other("a process is gone");
        let machine = fs::read_to_string("/proc/meminfo")?;
        let sample = usage::sample(server.pid()).ok_or_else(gone)?;
        Ok(Self {
            server: sample.memory_bytes,
            generators: usage::resident_bytes(&crowd.pids()).ok_or_else(gone)?,
            kernel: kernel_bytes(&machine).ok_or_else(gone)?,
        })
    }
}

/// What the kernel keeps for connections. All slabs: half of what a socket takes, its inode and its
/// dentry, counts as reclaimable, though nobody can take it as long as the socket is open.
fn kernel_bytes(meminfo: &str) -> Option<u64> {
    let parts = ["Slab:", "KernelStack:", "PageTables:"];
    let kib: Option<u64> = parts.iter().map(|part| usage::field(meminfo, part)).sum();
    Some(kib? * 1024)
}

/// How many files each worker has open, nearly all of which are connections.
fn shares(server: &ServerProcess) -> Vec<u64> {
    let workers = usage::family_of(server.pid()).into_iter();
    let workers = workers.filter(|pid| *pid != server.pid());
    workers.filter_map(open_files).collect()
}

fn open_files(pid: u32) -> Option<u64> {
    let directory = format!("/proc/{pid}/fd");
    // Their number, where the kernel tells it without a look at each of them.
    match fs::metadata(&directory).ok()?.len() {
        0 => Some(fs::read_dir(&directory).ok()?.count() as u64),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_slabs_count() {
        let text = "Slab: 5 kB\nSReclaimable: 3 kB\nKernelStack: 2 kB\nPageTables: 1 kB\n";
        assert_eq!(kernel_bytes(text), Some(8 * 1024));
        assert_eq!(kernel_bytes("Slab: 5 kB\n"), None);
    }

    #[test]
    fn open_files_are_counted() {
        let before = open_files(std::process::id()).unwrap();
        assert!(before >= 3, "{before}");
        assert_eq!(open_files(0), None);
    }
}
