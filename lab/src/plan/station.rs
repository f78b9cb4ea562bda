//! One machine that serves in one mode: what so many clients need of it, and how many it can take.

use std::num::NonZeroU32;

use server::{Config, Mode};

use super::calibration::{Calibration, Limits};
use super::demand::{Demand, Figure, Kind};
use super::erlang::Mmc;
use super::grain::Grain;
use super::population::Population;
use super::sizing::{Bound, Share};

/// The share of newcomers that may find all workers taken, where clients come and go.
const MAY_WAIT: f64 = 0.01;
/// Populations up to here are computed exactly; larger ones are open queues to many digits.
const LARGEST_POPULATION: u64 = 1_000_000;
/// The shortest think time that a population is computed for, in seconds.
const SHORTEST_THINK_S: f64 = 1e-9;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Station<'a> {
    pub(super) demand: &'a Demand,
    pub(super) mode: Mode,
    pub(super) grain: Grain,
    limits: Limits,
    /// Processor time of a request besides its service, in seconds.
    cpu_s: f64,
    /// The same of a connection.
    connect_s: f64,
    /// What a request costs a worker besides a service that waits, in seconds; 0 where none waits for
    /// a worker.
    hold_s: f64,
    base_bytes: f64,
    client_bytes: f64,
    worker_bytes: f64,
}

impl<'a> Station<'a> {
    /// A machine like that of `calibration`; none where the mode was not measured there.
    pub(super) fn new(demand: &'a Demand, calibration: &Calibration, mode: Mode) -> Option<Self> {
        let cost = calibration.cost(mode)?;
        let grain = Grain::of(mode);
        let hold_us = match (demand.kind, grain) {
            (Kind::Io, Grain::Request) => calibration.hold_us?.median,
            _ => 0.0,
        };
        let base_bytes = cost.base_bytes?.median;
        let client_bytes = match mode {
            // It serves one: a client more is a server more.
            Mode::Sequential => base_bytes,
            _ => cost.client_bytes?.median + cost.kernel_client_bytes?.median,
        };
        Some(Self {
            demand,
            mode,
            grain,
            limits: calibration.limits,
            cpu_s: cost.cpu_per_request_us?.median / 1e6,
            connect_s: cost.cpu_per_connect_us?.median / 1e6,
            hold_s: hold_us / 1e6,
            base_bytes,
            client_bytes,
            worker_bytes: cost.worker_bytes.map_or(0.0, |bytes| bytes.median),
        })
    }

    /// How many clients it takes at most, and what there is too little of for more.
    pub(super) fn binding(&self) -> (Bound, u64) {
        let all = self.demand.clients;
        let (limit, limited) = self.limit();
        let others = [
            (Bound::Processors, last(all, |n| self.cores(n).is_some())),
            (Bound::Workers, last(all, |n| self.workers(n).is_some())),
            (Bound::Memory, last(all, |n| self.fits_memory(n))),
        ];
        // The first of those that allow as few: the plainest reason.
        let fewer = |least: (Bound, u64), other: (Bound, u64)| {
            if other.1 < least.1 { other } else { least }
        };
        others.into_iter().fold((limit, limited), fewer)
    }

    /// What the system and the server allow.
    pub(super) fn limit(&self) -> (Bound, u64) {
        let tasks = match self.mode {
            Mode::Sequential | Mode::ProcessPool | Mode::ProcessPerConnection => {
                (Bound::Processes, self.limits.processes)
            }
            Mode::ThreadPool | Mode::Rayon | Mode::ThreadPerConnection => {
                (Bound::Threads, self.limits.threads)
            }
            Mode::ReadyPool | Mode::Async | Mode::Epoll | Mode::IoUring => {
                (Bound::Descriptors, self.limits.descriptors)
            }
        };
        let pool = (Bound::Workers, Config::MOST_WORKERS as u64);
        match self.grain {
            Grain::Seat if self.mode != Mode::Sequential && pool.1 < tasks.1 => pool,
            _ => tasks,
        }
    }

    /// What `clients` need; none where no number of workers or processors keeps the promise.
    pub(super) fn share(&self, clients: u64) -> Option<Share> {
        let workers = self.workers(clients)?;
        Some(Share {
            clients,
            rate_per_s: self.demand.arrivals_per_s(clients),
            workers,
            cores: self.cores(clients)?,
            memory_bytes: whole(self.memory_bytes(clients, workers)),
        })
    }

    fn workers(&self, clients: u64) -> Option<u64> {
        match self.grain {
            Grain::Own => Some(clients),
            Grain::Seat => self.seats(clients),
            Grain::Request if self.demand.kind == Kind::Io => {
                let most = u32::try_from(Config::MOST_WORKERS).unwrap_or(u32::MAX);
                let queue = Mmc::least(
                    self.demand.arrivals_per_s(clients),
                    self.held_s(),
                    most,
                    |queue| self.demand.is_kept_by(queue),
                );
                let waiting = queue.map(|queue| u64::from(queue.workers()));
                let alone = self.one_each(clients, self.held_s());
                least(waiting, alone).filter(|workers| *workers <= u64::from(most))
            }
            // A thread for each processor that there is work for.
            Grain::Request | Grain::Nothing => self.cores(clients),
        }
    }

    /// As many as the clients, where these are enough: in a closed loop nobody waits then, and no more
    /// of them are ever busy. An open queue, whose arrivals know nothing of that, asks for more when
    /// think times are short.
    fn one_each(&self, clients: u64, service_s: f64) -> Option<u64> {
        let enough = self.demand.is_closed() && self.demand.is_kept_alone(service_s);
        enough.then_some(clients)
    }

    /// A worker for each client; where clients come and go, so many more that hardly anybody who
    /// comes finds all of them taken.
    fn seats(&self, clients: u64) -> Option<u64> {
        let Some(stay) = self.demand.stay else {
            return Some(clients);
        };
        let stay_s = stay.as_secs_f64();
        let most = u32::try_from(clients.saturating_mul(2).saturating_add(10)).unwrap_or(u32::MAX);
        let newcomers_per_s = clients as f64 / stay_s;
        let queue = Mmc::least(newcomers_per_s, stay_s, most, |queue| {
            queue.waiting_share() <= MAY_WAIT
        })?;
        let limit = self.limit().1;
        Some(u64::from(queue.workers())).filter(|seats| *seats <= limit)
    }

    /// The processors that are needed; none where all of a machine's are too few.
    fn cores(&self, clients: u64) -> Option<u64> {
        let demand = self.demand;
        let rate_per_s = demand.arrivals_per_s(clients);
        let connects_per_s = demand
            .stay
            .map_or(0.0, |stay| clients as f64 / stay.as_secs_f64());
        let connecting = connects_per_s * self.connect_s;
        let overhead = rate_per_s * self.cpu_s + connecting;
        let waiting = match demand.kind {
            Kind::Io => Some(overhead / demand.utilization),
            Kind::Cpu => {
                let is_enough = |queue: &Mmc| {
                    queue.utilization() <= demand.utilization && demand.is_kept_by(queue)
                };
                let most = demand.cores;
                let cores = if self.is_partitioned() {
                    (1..=most).find(|cores| {
                        self.one_of(*cores, rate_per_s)
                            .is_ok_and(|it| is_enough(&it))
                    })
                } else {
                    Mmc::least(rate_per_s, self.computed_s(), most, is_enough)
                        .map(|queue| queue.workers())
                };
                let computed = overhead + rate_per_s * demand.service.as_secs_f64();
                cores.map(|cores| f64::from(cores).max(computed / demand.utilization))
            }
        };
        let alone = self.one_each(clients, self.computed_s());
        let alone = alone.map(|cores| cores as f64 + connecting / demand.utilization);
        let cores = whole(least(waiting, alone)?.ceil()).max(1);
        (cores <= u64::from(demand.cores)).then_some(cores)
    }

    /// One of `cores` queues that share the arrivals.
    fn one_of(&self, cores: u32, rate_per_s: f64) -> Result<Mmc, super::erlang::Overload> {
        Mmc::new(
            NonZeroU32::MIN,
            rate_per_s / f64::from(cores),
            self.computed_s(),
        )
    }

    /// How long a request holds a worker that waits with it, in seconds.
    fn held_s(&self) -> f64 {
        self.demand.service.as_secs_f64() + self.hold_s
    }

    /// How long a request that computes holds a processor, in seconds.
    fn computed_s(&self) -> f64 {
        self.demand.service.as_secs_f64() + self.cpu_s
    }

    fn memory_bytes(&self, clients: u64, workers: u64) -> f64 {
        match self.grain {
            // Their cost is that of a client with its worker.
            Grain::Seat | Grain::Own => self.base_bytes + workers as f64 * self.client_bytes,
            Grain::Request | Grain::Nothing => {
                self.base_bytes
                    + clients as f64 * self.client_bytes
                    + workers as f64 * self.worker_bytes
            }
        }
    }

    fn fits_memory(&self, clients: u64) -> bool {
        // Workers that the promise cannot be kept with bind by themselves.
        let workers = self.workers(clients).unwrap_or(0);
        let available = self.demand.utilization * self.demand.memory_bytes as f64;
        self.memory_bytes(clients, workers) <= available
    }

    /// Whether each processor has a queue of its own.
    pub(super) fn is_partitioned(&self) -> bool {
        self.demand.kind == Kind::Cpu && Grain::is_partitioned(self.mode)
    }

    /// Who serves the queue that requests wait in on a machine with `share`: how many, and how long
    /// each takes in seconds. None where requests wait for nobody but the service.
    pub(super) fn served_by(&self, share: &Share) -> Option<(u64, f64)> {
        match (self.demand.kind, self.grain) {
            (Kind::Io, Grain::Request) => Some((share.workers, self.held_s())),
            (Kind::Io, _) => None,
            (Kind::Cpu, _) => Some((share.cores, self.computed_s())),
        }
    }

    /// That queue, or one of those of which there are several, with `clients` in place of its own;
    /// none where nobody waits in it.
    fn queue(&self, clients: u64, share: &Share) -> Option<Mmc> {
        let rate_per_s = self.demand.arrivals_per_s(clients);
        let (servers, service_s) = self.served_by(share)?;
        if self.demand.is_closed() && servers >= clients {
            return None;
        }
        let servers = u32::try_from(servers).ok()?;
        if self.is_partitioned() {
            return self.one_of(servers, rate_per_s).ok();
        }
        Mmc::new(NonZeroU32::new(servers)?, rate_per_s, service_s).ok()
    }

    /// The mean response in seconds for `clients` on a machine with `share`.
    pub(super) fn response_s(&self, clients: u64, share: &Share) -> f64 {
        let closed = self.demand.is_closed() && clients <= LARGEST_POPULATION;
        let population = |(servers, service_s): (u64, f64)| {
            let think_s = self.demand.think.as_secs_f64().max(SHORTEST_THINK_S);
            let clients = u32::try_from(clients).ok()?;
            let servers = NonZeroU32::new(u32::try_from(servers).ok()?)?;
            Some(Population::new(clients, servers, think_s, service_s).response_s())
        };
        let exact = self
            .served_by(share)
            .filter(|_| closed && !self.is_partitioned())
            .and_then(population);
        let open = || self.queue(clients, share).map(|queue| queue.response_s());
        exact
            .or_else(open)
            .unwrap_or_else(|| self.alone_s(share, |service_s| service_s))
    }

    /// The figure that was promised, in seconds.
    pub(super) fn promised_s(&self, share: &Share) -> Option<f64> {
        let slo = self.demand.promise.as_ref()?;
        Some(match (slo.figure, self.queue(share.clients, share)) {
            (Figure::Mean, _) => self.response_s(share.clients, share),
            (Figure::Quantile(_), Some(queue)) => slo.of(&queue),
            (figure, None) => self.alone_s(share, |service_s| figure.of_exponential(service_s)),
        })
    }

    /// A figure, in seconds, of the response to a request that waits for nobody, by `of`: that of an
    /// exponential service.
    fn alone_s(&self, share: &Share, of: impl Fn(f64) -> f64) -> f64 {
        match self.served_by(share) {
            Some((_, service_s)) => of(service_s),
            None => of(self.demand.service.as_secs_f64()) + self.cpu_s,
        }
    }

    /// Whether a machine with the workers and processors of `share` takes `clients`; or what there
    /// is too little of.
    pub(super) fn takes(&self, clients: u64, share: &Share) -> Result<(), Bound> {
        let (limit, most) = self.limit();
        if clients > most {
            return Err(limit);
        }
        if matches!(self.grain, Grain::Seat) && clients > share.workers {
            return Err(Bound::Workers);
        }
        if self.cores(clients).is_none_or(|cores| cores > share.cores) {
            return Err(Bound::Processors);
        }
        let queues = matches!((self.demand.kind, self.grain), (Kind::Io, Grain::Request));
        let enough = |workers: u64| workers <= share.workers;
        if queues && !self.workers(clients).is_some_and(enough) {
            return Err(Bound::Workers);
        }
        if self.fits_memory(clients) {
            Ok(())
        } else {
            Err(Bound::Memory)
        }
    }
}

/// The lesser of two, or the one that there is.
fn least<T: PartialOrd>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) if other < one => Some(other),
        (one, other) => one.or(other),
    }
}

/// The last of 0 to `most` that `is_possible`, which is so for all below it.
pub(super) fn last(most: u64, is_possible: impl Fn(u64) -> bool) -> u64 {
    if is_possible(most) {
        return most;
    }
    let (mut possible, mut impossible) = (0, most);
    while impossible - possible > 1 {
        let middle = possible + (impossible - possible) / 2;
        if is_possible(middle) {
            possible = middle;
        } else {
            impossible = middle;
        }
    }
    possible
}

/// A number that is whole already, or nearly.
fn whole(value: f64) -> u64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "amounts; what is too large becomes the largest"
    )]
    let whole = value as u64;
    whole
}
