//! One process as `/proc` shows it. Reading only; what is gone meanwhile is none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::time::{ClockId, clock_gettime as now};

const NANOS_PER_S: u64 = 1_000_000_000;
/// No file about one process or thread that is read here is longer.
const LONGEST_FILE_BYTES: usize = 4 << 10;
/// The flag of a thread of the kernel's own in field 9 of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What one process has used so far, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Vitals {
    /// Who it is.
    pub(super) stat: Stat,
    /// Processor time of all its threads, also of those that have ended, in nanoseconds.
    pub(super) cpu_nanos: u64,
    /// The switches of each thread that is alive.
    pub(super) switches: BTreeMap<u32, Switches>,
}

/// How often a thread stopped running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches {
    /// To wait for something.
    pub(super) voluntary: u64,
    /// Because its time was up or another was more urgent.
    pub(super) involuntary: u64,
}

/// The fields of `/proc/PID/stat` that are of use here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    /// The name of the program, cut to 15 bytes by the kernel.
    pub(super) command: String,
    /// Who started it.
    pub(super) parent: u32,
    /// Its own processor time in ticks.
    pub(super) cpu_ticks: u64,
    /// Processor time of the children that it has waited for, in nanoseconds.
    pub(super) reaped_nanos: u64,
    /// Its threads.
    pub(super) threads: u32,
    /// When it began, in ticks since the machine started: with its number this names a process for
    /// good.
    pub(super) started_ticks: u64,
    /// Resident memory in bytes.
    pub(super) rss_bytes: u64,
}

impl Stat {
    /// Reads the line of process `pid`; none for a thread of the kernel's own.
    pub(super) fn read(pid: u32) -> Option<Self> {
        Self::parse(&text(&format!("/proc/{pid}/stat"))?)
    }

    /// Reads a line of `/proc/PID/stat`. The name in it may hold blanks and brackets, so counting
    /// starts after its last bracket.
    fn parse(line: &str) -> Option<Self> {
        let (before, rest) = line.rsplit_once(')')?;
        let (_, command) = before.split_once('(')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1 with the pid and the name; `fields` begins with number 3.
        let number = |index: usize| fields.get(index - 3)?.parse::<u64>().ok();
        if number(9)? & KERNEL_THREAD != 0 {
            return None;
        }
        Some(Self {
            command: command.to_owned(),
            parent: number(4)?.try_into().ok()?,
            cpu_ticks: number(14)?.saturating_add(number(15)?),
            reaped_nanos: nanos(number(16)?.saturating_add(number(17)?)),
            threads: number(20)?.try_into().ok()?,
            started_ticks: number(22)?,
            rss_bytes: number(24)?.saturating_mul(page_size() as u64),
        })
    }
}

impl Vitals {
    /// Reads process `pid`, of which `stat` was read just now.
    pub(super) fn read(pid: u32, stat: Stat) -> Self {
        Self {
            cpu_nanos: cpu_clock(pid).unwrap_or_else(|| nanos(stat.cpu_ticks)),
            switches: switches(pid),
            stat,
        }
    }
}

/// All processes but the kernel's own threads, each with its line.
pub(super) fn all() -> BTreeMap<u32, Stat> {
    let pids = numbers("/proc");
    pids.filter_map(|pid| Some((pid, Stat::read(pid)?)))
        .collect()
}

/// Whether one of the files that `pid` has open is a socket of `inodes`; no when it is not ours to
/// look at.
pub(super) fn holds(pid: u32, inodes: &[u64]) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    for file in files.flatten() {
        match fs::read_link(file.path()) {
            Ok(link) => {
                let inode = link.to_str().and_then(socket_inode);
                if inode.is_some_and(|inode| inodes.contains(&inode)) {
                    return true;
                }
            }
            // None of its files will be ours to look at.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return false,
            // It was closed meanwhile.
            Err(_) => {}
        }
    }
    false
}

/// Ticks since the machine started, as in [`Stat::started_ticks`].
pub(super) fn ticks_now() -> u64 {
    let since_boot = now(ClockId::Boottime);
    let part = |value: i64| u64::try_from(value).unwrap_or(0);
    let per_s = clock_ticks_per_second().max(1);
    part(since_boot.tv_sec) * per_s + part(since_boot.tv_nsec) * per_s / NANOS_PER_S
}

/// The number in `socket:[4242]`.
fn socket_inode(link: &str) -> Option<u64> {
    let number = link.strip_prefix("socket:[")?.strip_suffix(']')?;
    number.parse().ok()
}

/// The processor clock of another process: exact, where the ticks of `/proc` are 10 ms each.
fn cpu_clock(pid: u32) -> Option<u64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().ok()?)).ok()?;
    let used = clock_gettime(clock).ok()?;
    let seconds = u64::try_from(used.tv_sec()).ok()?;
    Some(seconds * NANOS_PER_S + u64::try_from(used.tv_nsec()).ok()?)
}

fn switches(pid: u32) -> BTreeMap<u32, Switches> {
    let threads = numbers(&format!("/proc/{pid}/task"));
    let read = |thread| {
        let status = text(&format!("/proc/{pid}/task/{thread}/status"))?;
        Some((thread, Switches::parse(&status)?))
    };
    threads.filter_map(read).collect()
}

impl Switches {
    fn parse(status: &str) -> Option<Self> {
        let value = |name: &str| {
            let mut lines = status.lines();
            lines
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?
                .trim()
                .parse()
                .ok()
        };
        Some(Self {
            voluntary: value("voluntary_ctxt_switches")?,
            involuntary: value("nonvoluntary_ctxt_switches")?,
        })
    }
}

/// A short file of `/proc`, in one call: [`fs::read_to_string`] needs five, since such a file does
/// not say how long it is, and there are hundreds.
fn text(path: &str) -> Option<String> {
    let mut bytes = [0; LONGEST_FILE_BYTES];
    let length = File::open(path).ok()?.read(&mut bytes).ok()?;
    str::from_utf8(bytes.get(..length)?).map(str::to_owned).ok()
}

/// The entries of `folder` that are numbers.
fn numbers(folder: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn nanos(ticks: u64) -> u64 {
    ticks.saturating_mul(NANOS_PER_S / clock_ticks_per_second().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::TcpListener;

    const LINE: &str = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 11 22 33 44 20 0 5 0 9000 \
                        1000000 250 18446744073709551615 0 0";

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = Stat::parse(LINE).unwrap();
        assert_eq!(stat.command, "a) b (c");
        assert_eq!(
            (stat.parent, stat.threads, stat.started_ticks),
            (7, 5, 9000)
        );
        assert_eq!(stat.cpu_ticks, 33);
        assert_eq!(stat.reaped_nanos, nanos(77));
        assert_eq!(stat.rss_bytes, 250 * page_size() as u64);
        assert_eq!(Stat::parse("42 (short) S 7"), None);
        let kernel = LINE.replace(" 4194560 ", " 69238880 ");
        assert_eq!(Stat::parse(&kernel), None, "nobody's process");
    }

    #[test]
    fn voluntary_switches_are_told_from_the_others() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        let expected = Switches {
            voluntary: 12,
            involuntary: 3,
        };
        assert_eq!(Switches::parse(status), Some(expected));
        assert_eq!(Switches::parse("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_is_seen_with_its_socket() {
        let me = std::process::id();
        let stat = Stat::read(me).unwrap();
        assert!(stat.started_ticks <= ticks_now());
        let vitals = Vitals::read(me, stat);
        assert!(vitals.cpu_nanos > 0 && vitals.stat.rss_bytes > 0 && !vitals.switches.is_empty());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino;
        assert!(holds(me, &[inode]));
        drop(listener);
        assert!(!holds(me, &[0]) && all().contains_key(&me));
    }

    #[test]
    fn the_exact_clock_and_the_ticks_tell_the_same_time() {
        let me = std::process::id();
        let exact = cpu_clock(me).unwrap();
        let ticks = nanos(Stat::read(me).unwrap().cpu_ticks);
        // Both only grow, and ticks are rounded down to 10 ms in two parts.
        assert!(ticks + 2 * nanos(1) >= exact, "{ticks} {exact}");
        assert!(cpu_clock(me).unwrap() + 2 * nanos(1) >= ticks);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in ".*") {
            let _ = (Stat::parse(&text), Switches::parse(&text), socket_inode(&text));
        }
    }
}
