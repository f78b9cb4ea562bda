//! Measures what the modes cost on this machine, from outside, as any observer could.
//!
//! ```text
//! memory: (many quiet clients) - (few of them), over the clients in between
//! processor: time of the server and its children, over the answers or the connections
//! ```
//!
//! Modes are measured by turns and all of that repeatedly, so that a busy moment spoils one figure
//! of several.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use server::Mode;
use server::work::Work;

use super::calibration::{Calibration, Cost, Limits, SCHEMA};
use super::grain::Grain;
use crate::bench::{Bench, Failure};
use crate::load::Load;
use crate::machine::Machine;
use crate::modes;
use crate::process::ServerProcess;
use crate::report::Tool;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::usage;

/// Workers where there are few.
const WORKERS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
/// As many clients.
const FEW: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");
/// Quiet clients more, where a client costs no thread and no process.
const MORE: usize = 400;
/// Those where it does; also workers more.
const MORE_WORKERS: usize = 40;
/// How long each load is measured, in the short form.
const WINDOW: Duration = Duration::from_millis(400);
/// Time to get going.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a quiet client waits for its echo.
const PATIENCE: Duration = Duration::from_secs(10);
/// Services of the saturated pool of [`hold`].
const SERVICE: Duration = Duration::from_millis(1);
/// How long that is measured.
const SATURATION: Duration = Duration::from_millis(700);

/// Measures everything `repeats` times.
///
/// # Errors
///
/// As [`Bench::start`] and [`Bench::load`]; a quiet client that gets no echo is a
/// [`Failure::System`].
pub fn calibrate(bench: &mut Bench, repeats: NonZeroUsize) -> Result<Calibration, Failure> {
    let can_run = |mode: &&Mode| modes::all().any(|name| name == mode.name());
    let modes: Vec<Mode> = Mode::ALL.iter().filter(can_run).copied().collect();
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); modes.len()];
    let mut holds = Vec::new();
    for _ in 0..repeats.get() {
        let hold = hold(bench, WORKERS)?;
        holds.push(hold.map(|hold| hold.as_secs_f64() * 1e6));
        for (mode, samples) in modes.iter().zip(&mut samples) {
            samples.push(sample(bench, *mode)?);
        }
    }
    let costs = modes.iter().zip(&samples);
    Ok(Calibration {
        schema: SCHEMA,
        tool: Tool::lab(),
        machine: Machine::here(),
        repeats: repeats.get(),
        optimized: !cfg!(debug_assertions),
        hold_us: Spread::of(holds.into_iter().flatten()),
        limits: limits(bench)?,
        modes: costs.map(|(mode, samples)| cost(*mode, samples)).collect(),
    })
}

/// What a request costs a worker besides a service that waits: the read, the write, and how much
/// longer than asked for a sleep takes. The workers of a saturated pool are never idle, so it is
/// their number over the answers per second, minus the service; none without an answer.
///
/// # Errors
///
/// As [`Bench::measure`].
pub fn hold(bench: &mut Bench, workers: NonZeroUsize) -> Result<Option<Duration>, Failure> {
    let work = Work::Wait(SERVICE).to_string();
    let subject = Subject::own(Mode::ReadyPool.name(), workers.get()).with(&["--work", &work]);
    // So many clients that the next one is always there already.
    let clients = FEW.saturating_mul(FEW);
    let load = Load::busy(clients, SATURATION).after(SETTLE);
    let rate_per_s = bench.measure(&subject, &load)?.report.rate_per_s;
    Ok(rate_per_s.and_then(|rate_per_s| {
        let each_s = workers.get() as f64 / rate_per_s;
        Duration::try_from_secs_f64(each_s - SERVICE.as_secs_f64()).ok()
    }))
}

/// One measurement of each figure of [`Cost`].
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    cpu_per_request_us: Option<f64>,
    cpu_per_connect_us: Option<f64>,
    base_bytes: Option<f64>,
    client_bytes: Option<f64>,
    kernel_client_bytes: Option<f64>,
    worker_bytes: Option<f64>,
}

fn cost(mode: Mode, samples: &[Sample]) -> Cost {
    // A figure that the system did not tell once, because the machine stalled, is told the next time.
    let of = |figure: fn(&Sample) -> Option<f64>| Spread::of(samples.iter().filter_map(figure));
    Cost {
        mode,
        cpu_per_request_us: of(|it| it.cpu_per_request_us),
        cpu_per_connect_us: of(|it| it.cpu_per_connect_us),
        base_bytes: of(|it| it.base_bytes),
        client_bytes: of(|it| it.client_bytes),
        kernel_client_bytes: of(|it| it.kernel_client_bytes),
        worker_bytes: of(|it| it.worker_bytes),
    }
}

fn sample(bench: &mut Bench, mode: Mode) -> Result<Sample, Failure> {
    bench.narrator.now(&format!("{}, memory", mode.name()));
    let seats = Grain::of(mode) == Grain::Seat;
    // A server that serves one client has no slope: a client more is a server more.
    let (few, more) = match (mode, Grain::of(mode)) {
        (Mode::Sequential, _) => (1, 0),
        (_, Grain::Seat | Grain::Own) => (WORKERS.get(), MORE_WORKERS),
        (_, Grain::Request | Grain::Nothing) => (WORKERS.get(), MORE),
    };
    let base = footprint(bench, mode, WORKERS.get(), few)?;
    let mut sample = Sample {
        base_bytes: base.served,
        ..rates(bench, mode)?
    };
    if more > 0 {
        let workers = WORKERS.get() + if seats { more } else { 0 };
        let many = footprint(bench, mode, workers, few + more)?;
        sample.client_bytes = slope(base.served, many.served, more);
        sample.kernel_client_bytes = slope(base.kernel, many.kernel, more);
    }
    if mode.plan(WORKERS).uses_workers() {
        let many = footprint(bench, mode, WORKERS.get() + MORE_WORKERS, 0)?;
        sample.worker_bytes = slope(base.idle, many.idle, MORE_WORKERS);
    }
    Ok(sample)
}

/// What one of `more` costs; never below nothing, which only chance gives.
fn slope(few: Option<f64>, many: Option<f64>, more: usize) -> Option<f64> {
    Some(((many? - few?) / more as f64).max(0.0))
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug)]
struct Footprint {
    /// Of the server before anybody came.
    idle: Option<f64>,
    /// Of the server with its quiet clients.
    served: Option<f64>,
    /// Of the kernel, for the server and for its side of the connections.
    kernel: Option<f64>,
}

/// Starts a server, lets `clients` say one thing each and stay, and looks.
fn footprint(
    bench: &mut Bench,
    mode: Mode,
    workers: usize,
    clients: usize,
) -> Result<Footprint, Failure> {
    let before = Kernel::now();
    let server = bench.start(&Subject::own(mode.name(), workers))?;
    let idle = resident(&server);
    let quiet: io::Result<Vec<TcpStream>> = (0..clients)
        .map(|_| quiet_client(server.ready.addr))
        .collect();
    let quiet = quiet.map_err(Failure::system("keep quiet clients connected"))?;
    let footprint = Footprint {
        idle,
        served: resident(&server),
        kernel: before.and_then(|before| Some(Kernel::now()?.since(&before))),
    };
    drop(quiet);
    drop(server.stop());
    Ok(footprint)
}

fn resident(server: &ServerProcess) -> Option<f64> {
    usage::sample(server.pid()).map(|sample| sample.memory_bytes as f64)
}

/// A client that has been served, so that all is there that it will ever need, and stays.
fn quiet_client(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"\n")?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// What a request and a connection cost in processor time.
fn rates(bench: &mut Bench, mode: Mode) -> Result<Sample, Failure> {
    let subject = Subject::own(mode.name(), WORKERS.get());
    let busy = Load::busy(FEW, bench.window(WINDOW)).after(SETTLE);
    let cpu_per_request_us = cpu_each_us(bench, &subject, &busy)?;
    let both = cpu_each_us(bench, &subject, &busy.one_request_each())?;
    let connect = both.zip(cpu_per_request_us);
    Ok(Sample {
        cpu_per_request_us,
        cpu_per_connect_us: connect.map(|(both, request)| (both - request).max(0.0)),
        ..Sample::default()
    })
}

/// Microseconds of the server's processor time for each answer under `load`.
fn cpu_each_us(bench: &mut Bench, subject: &Subject, load: &Load) -> Result<Option<f64>, Failure> {
    let measured = bench.measure(subject, load)?;
    // The clocks of its processes tell nanoseconds; its usage counts ticks of ten milliseconds.
    let server = measured.report.server;
    Ok(server.and_then(|server| server.cpu_us_per_request))
}

/// How much memory the kernel itself has in use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kernel {
    /// Objects: sockets, files, entries of an epoll set.
    slab: f64,
    /// Stacks and page tables, which only the server's threads and processes need.
    tasks: f64,
}

impl Kernel {
    fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/meminfo").ok()?)
    }

    fn parse(meminfo: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib * 1024.0)
        };
        Some(Self {
            slab: bytes("Slab:")?,
            tasks: bytes("KernelStack:")? + bytes("PageTables:")?,
        })
    }

    /// What came since then for the server. Both ends of a connection are on this machine, and they
    /// are alike: half of the objects are the server's.
    fn since(self, before: &Self) -> f64 {
        (self.slab - before.slab) / 2.0 + self.tasks - before.tasks
    }
}

/// What the system allows, by the word of servers that know no other limit.
fn limits(bench: &mut Bench) -> Result<Limits, Failure> {
    let mut most = |mode: Mode| -> Result<u64, Failure> {
        let server = bench.start(&Subject::own(mode.name(), WORKERS.get()))?;
        let capacity = server.ready.capacity.unwrap_or(0) as u64;
        drop(server.stop());
        Ok(capacity)
    };
    Ok(Limits {
        descriptors: most(Mode::Async)?,
        threads: most(Mode::ThreadPerConnection)?,
        processes: most(Mode::ProcessPerConnection)?,
        local_ports: fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
            .ok()
            .and_then(|range| ports(&range)),
    })
}

/// How many ports lie in `32768 60999`.
fn ports(range: &str) -> Option<u64> {
    let (low, high) = range.trim().split_once(char::is_whitespace)?;
    let (low, high): (u64, u64) = (low.parse().ok()?, high.trim().parse().ok()?);
    Some(high.checked_sub(low)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_objects_and_all_of_the_stacks_are_the_servers() {
        let meminfo = "MemTotal: 9 kB\nSlab:  10 kB\nKernelStack:  2 kB\nPageTables: 1 kB\n";
        let before = Kernel::parse(meminfo).unwrap();
        let after = Kernel::parse(&meminfo.replace("10 kB", "14 kB").replace("2 kB", "5 kB"));
        assert_eq!(after.unwrap().since(&before), (2.0 + 3.0) * 1024.0);
        assert_eq!(Kernel::parse("Slab: 10 kB\n"), None);
    }

    #[test]
    fn ports_count_both_ends() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!((ports("60999 32768"), ports("")), (None, None));
    }

    #[test]
    fn a_slope_needs_both_ends_and_never_falls() {
        assert_eq!(slope(Some(100.0), Some(500.0), 40), Some(10.0));
        assert_eq!(slope(Some(100.0), Some(90.0), 40), Some(0.0));
        assert_eq!(slope(None, Some(90.0), 40), None);
    }

    #[test]
    fn a_figure_that_was_never_told_is_none() {
        let known = Sample {
            client_bytes: Some(7.0),
            ..Sample::default()
        };
        let cost = cost(Mode::Async, &[known, Sample::default()]);
        assert_eq!(cost.client_bytes.map(|it| it.median), Some(7.0));
        assert_eq!(cost.worker_bytes, None);
    }
}
