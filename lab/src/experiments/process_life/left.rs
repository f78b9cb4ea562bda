//! What is left behind: the dead whom nobody buries, and the living whose parent is dead.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, set_parent_process_death_signal, waitid,
};
use serde::{Deserialize, Serialize};

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Table, Tone};
use crate::part;
use crate::player::{LIMIT, Player};
use crate::process::is_gone_within;
use crate::subject::Subject;
use crate::usage;
use crate::verdict::Ruling;

/// Children that end at once.
const BRIEF: usize = 5;
/// What they end with, which their parent is to read.
const FATE: u8 = 7;
/// Workers of the pool whose master is killed.
const WORKERS: usize = 4;

/// The dead before and after their parent asked how they died.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Zombies {
    pub(super) children: usize,
    /// In the table of processes, as dead.
    pub(super) zombies: usize,
    /// Memory that they have together.
    resident_bytes: u64,
    /// Whose exit code is what they ended with.
    fates_read: usize,
    /// Still in the table after that.
    pub(super) left: usize,
}

/// A process whose parent was killed, and that has a listening socket.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Orphan {
    parent_before: String,
    pub(super) parent_after: String,
    /// Whether who has it now is the first process, or one of those that this one descends from.
    adopted: bool,
    /// Whether nobody else can listen at its port.
    port_taken: bool,
    port_free_after_its_end: bool,
}

/// The server's own pool, whose master was killed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pool {
    pub(super) workers: usize,
    workers_left: usize,
    port_free: bool,
}

pub(super) fn zombies(bench: &Bench) -> io::Result<Zombies> {
    let mut children = Vec::new();
    for _ in 0..BRIEF {
        children.push(Player::start(
            &mut bench.launcher.part("process-life.brief"),
        )?);
    }
    for child in &children {
        let pid = pid_of(child.pid())?;
        // Waits until it is dead and leaves it as it is.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), look)?;
    }
    let glances: Vec<_> = children
        .iter()
        .filter_map(|it| usage::glance(it.pid()))
        .collect();
    let mut fates_read = 0;
    for child in &mut children {
        if bench.faulted() {
            break;
        }
        fates_read += usize::from(child.join()?.code() == Some(FATE.into()));
    }
    let left = children
        .iter()
        .filter(|it| usage::glance(it.pid()).is_some());
    Ok(Zombies {
        children: BRIEF,
        zombies: glances.iter().filter(|it| it.state == 'Z').count(),
        resident_bytes: glances.iter().map(|it| it.resident_bytes).sum(),
        fates_read,
        left: left.count(),
    })
}

/// The part of a child that ends at once.
pub(super) fn brief(_: &[String]) -> io::Result<u8> {
    Ok(FATE)
}

/// What the parent of the orphan says before it is killed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Legacy {
    port: u16,
    orphan: u32,
}

pub(super) fn orphan(bench: &Bench) -> io::Result<Orphan> {
    let mut parent = Player::start(&mut bench.launcher.part("process-life.parent"))?;
    let Legacy { port, orphan } = parent.says()?;
    parent.signal(Signal::KILL)?;
    parent.join()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let port_taken = TcpListener::bind(address).is_err();
    let parent_after = answer(address).ok();
    let adopted = |pid: u32| pid != parent.pid() && adopters().contains(&pid);
    let ended = is_gone_within(orphan, LIMIT);
    Ok(Orphan {
        parent_before: parent.pid().to_string(),
        parent_after: parent_after.map_or("nobody".into(), |pid| pid.to_string()),
        adopted: parent_after.is_some_and(adopted),
        port_taken,
        port_free_after_its_end: ended && TcpListener::bind(address).is_ok(),
    })
}

/// Whose child it is that serves there; it leaves with its client.
fn answer(address: SocketAddr) -> io::Result<u32> {
    let client = TcpStream::connect_timeout(&address, LIMIT)?;
    client.set_read_timeout(Some(LIMIT))?;
    let mut line = String::new();
    BufReader::new(client).read_line(&mut line)?;
    serde_json::from_str(&line).map_err(io::Error::other)
}

/// Who may adopt an orphan of ours: those whom this process descends from, and the first one.
fn adopters() -> Vec<u32> {
    let parent = |pid: &u32| Some(usage::glance(*pid)?.parent);
    let ancestors = std::iter::successors(Some(std::process::id()), parent).skip(1);
    // A process that was put into a container does not descend from its first one.
    ancestors.chain([1]).collect()
}

/// The part of the orphan's parent: it listens, and leaves that to a child.
pub(super) fn parent(_: &[String]) -> io::Result<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let mut child = Player::given(
        &mut part::another("process-life.orphan")?,
        OwnedFd::from(listener),
    )?;
    let () = child.says()?;
    part::say(&Legacy {
        port,
        orphan: child.pid(),
    })?;
    part::stay()?;
    Ok(cli::exit::SUCCESS)
}

/// The part of the orphan: one client is told whose child it is, and holds it until it leaves.
pub(super) fn orphaned(_: &[String]) -> io::Result<u8> {
    set_parent_process_death_signal(None)?;
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    part::say(&())?;
    let limit = Timespec::try_from(LIMIT).map_err(io::Error::other)?;
    if poll(&mut [PollFd::new(&listener, PollFlags::IN)], Some(&limit))? == 0 {
        return Ok(cli::exit::FAILED);
    }
    let (client, _) = listener.accept()?;
    client.set_read_timeout(Some(LIMIT))?;
    io::Write::write_all(&mut &client, format!("{}\n", parent_id()).as_bytes())?;
    io::Read::read(&mut &client, &mut [0])?;
    Ok(cli::exit::SUCCESS)
}

/// Kills the master of a process pool of the server and looks at its workers.
pub(super) fn pool(bench: &mut Bench) -> Result<Pool, Failure> {
    let server = bench.start(&Subject::own("process-pool", WORKERS))?;
    let family = usage::family_of(server.pid());
    let workers: Vec<u32> = family
        .into_iter()
        .filter(|pid| *pid != server.pid())
        .collect();
    server
        .signal(Signal::KILL)
        .map_err(Failure::system("kill the server"))?;
    // Its workers may be gone before the last of its own threads has let go of the port.
    let _ = server.ends_within(LIMIT);
    let left = workers.iter().filter(|pid| !is_gone_within(**pid, LIMIT));
    Ok(Pool {
        workers: workers.len(),
        workers_left: left.count(),
        port_free: TcpListener::bind(server.ready.addr).is_ok(),
    })
}

fn pid_of(pid: u32) -> io::Result<Pid> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

pub(super) fn objections(zombies: &Zombies, orphan: &Orphan, pool: &Pool) -> Vec<Ruling> {
    let Zombies {
        children,
        zombies: dead,
        resident_bytes,
        fates_read,
        left,
    } = *zombies;
    let wrong = [
        (dead != children || resident_bytes != 0).then(|| {
            format!("{dead} of {children} dead children were zombies, with {resident_bytes} bytes")
        }),
        (left != 0 || fates_read != children).then(|| {
            format!("{left} of {children} zombies stayed, {fates_read} exit codes were read")
        }),
        (!orphan.adopted).then(|| {
            let Orphan { parent_before, parent_after, .. } = orphan;
            format!("an orphan of {parent_before} is a child of {parent_after}")
        }),
        (!orphan.port_taken).then(|| "an orphan that listens did not hold its port".to_owned()),
        (!orphan.port_free_after_its_end)
            .then(|| "the port was still taken when the orphan should be gone".to_owned()),
        (pool.workers == 0 || pool.workers_left > 0 || !pool.port_free).then(|| {
            let Pool { workers, workers_left, port_free } = pool;
            format!(
                "{workers_left} of {workers} workers outlived their master, its port is free: {port_free}"
            )
        }),
    ];
    wrong
        .into_iter()
        .flatten()
        .map(Ruling::does_not_hold)
        .collect()
}

pub(super) fn table(zombies: &Zombies, orphan: &Orphan, pool: &Pool) -> Table {
    let taken = |taken: bool, tone: Tone| -> Cell {
        if taken {
            Cell::toned("taken", tone)
        } else {
            "free".into()
        }
    };
    let row = |name: &str, state: String, after: String, port: Cell| {
        vec![name.into(), state.into(), after.into(), port]
    };
    let Zombies {
        children,
        zombies: dead,
        left,
        ..
    } = zombies;
    let rows = vec![
        row(
            "children that ended",
            format!("{dead} of {children} are Z"),
            format!("{left} once joined"),
            "-".into(),
        ),
        row(
            "an orphan that listens",
            format!("child of {}", orphan.parent_before),
            format!("then of {}", orphan.parent_after),
            taken(orphan.port_taken, Tone::Bad),
        ),
        row(
            "workers of a killed master",
            format!("{} alive", pool.workers),
            format!("then {}", pool.workers_left),
            taken(!pool.port_free, Tone::Bad),
        ),
    ];
    Table {
        title: "Left behind".into(),
        caption: "The dead keep a number each until their parent asks how they died. An orphan is \
                  harmless unless it holds something, such as a port."
            .into(),
        header: ["who", "before", "after", "port"]
            .map(str::to_owned)
            .to_vec(),
        rows,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is predicted.
    pub(in super::super) fn left() -> (Zombies, Orphan, Pool) {
        let zombies = Zombies {
            children: 5,
            zombies: 5,
            resident_bytes: 0,
            fates_read: 5,
            left: 0,
        };
        let orphan = Orphan {
            parent_before: "8".into(),
            parent_after: "1".into(),
            adopted: true,
            port_taken: true,
            port_free_after_its_end: true,
        };
        let pool = Pool {
            workers: 4,
            workers_left: 0,
            port_free: true,
        };
        (zombies, orphan, pool)
    }

    fn objected(change: impl FnOnce(&mut Zombies, &mut Orphan, &mut Pool)) -> usize {
        let (mut zombies, mut orphan, mut pool) = left();
        change(&mut zombies, &mut orphan, &mut pool);
        objections(&zombies, &orphan, &pool).len()
    }

    #[test]
    fn whatever_stays_that_should_not_is_seen() {
        assert_eq!(objected(|_, _, _| ()), 0);
        assert_eq!(objected(|zombies, _, _| zombies.zombies = 4), 1);
        assert_eq!(objected(|zombies, _, _| zombies.resident_bytes = 4096), 1);
        assert_eq!(objected(|zombies, _, _| zombies.left = 1), 1);
        assert_eq!(objected(|zombies, _, _| zombies.fates_read = 4), 1);
        assert_eq!(objected(|_, orphan, _| orphan.adopted = false), 1);
        assert_eq!(objected(|_, orphan, _| orphan.port_taken = false), 1);
        assert_eq!(
            objected(|_, orphan, _| orphan.port_free_after_its_end = false),
            1
        );
        assert_eq!(objected(|_, _, pool| pool.workers_left = 1), 1);
        assert_eq!(objected(|_, _, pool| pool.workers = 0), 1);
        assert_eq!(objected(|_, _, pool| pool.port_free = false), 1);
    }
}
