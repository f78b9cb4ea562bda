//! One run of one server, and the figures that it yields.

use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::{Duration, Instant};

use loadgen::schedule::Arrivals;

use super::generator::{Generator, Told};
use super::goal::{Figure, Task, Wire};
use crate::admin;
use crate::bench::{Bench, Failure};
use crate::compare::Observation;
use crate::compare::pin::Pin;
use crate::compare::syscalls::Counter;
use crate::load::{Load, Measured};
use crate::process::ServerProcess;
use crate::soak::client::Client;
use crate::stats::median;
use crate::subject::Subject;
use crate::sync;
use crate::usage;

/// Short windows in which a tail is measured.
const TAIL_PARTS: u32 = 8;
/// Everybody is connected and served before the window begins.
const WARMUP: Duration = Duration::from_millis(300);
/// A long message.
const BULK_BYTES: u32 = 1 << 20;
/// Long messages on their way at the same time, so that neither side ever waits for the other.
const BULK_PIPELINE: u16 = 2;
/// How long an answer may take where it is not measured.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Clients that are there in any case, so that what a program has only once is left out. They are more
/// than a ring has buffers, each of which takes its memory when it is used for the first time.
const HELD_FEW: u32 = 1000;
/// How long they stay at most, should nobody end them.
const HELD_TIME: Duration = Duration::from_secs(60);
/// The load when system calls are counted: the counter takes its time to begin.
const CALLS_LOAD: Duration = Duration::from_millis(1200);
/// How long they are counted.
const CALLS_COUNTED: Duration = Duration::from_millis(400);

/// What a run yielded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taken {
    figures: Vec<(Figure, f64)>,
    /// Whether the load generator had no time left: the server could have done more.
    pub(super) limited: bool,
}

/// A run that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) String);

/// Who takes figures, and how.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    pub(super) bench: &'a mut Bench,
    pub(super) pin: Option<&'a Pin>,
    pub(super) counter: Option<Counter>,
    pub(super) window: Duration,
}

impl Taken {
    pub(super) fn get(&self, wanted: Figure) -> Option<f64> {
        let mut figures = self.figures.iter();
        figures.find(|(figure, _)| *figure == wanted).map(|it| it.1)
    }

    fn of(figure: Figure, value: f64) -> Self {
        Self {
            figures: vec![(figure, value)],
            limited: false,
        }
    }
}

impl Taker<'_> {
    /// Does `task` to a fresh server; `offered_per_s` is what [`Task::Half`] asks for.
    ///
    /// # Errors
    ///
    /// [`Failure`] when it could not be done at all.
    pub(super) fn take(
        &mut self,
        subject: &Subject,
        task: Task,
        offered_per_s: f64,
    ) -> Result<Result<Taken, Unfit>, Failure> {
        match task {
            Task::Start => self.start(subject).map(Ok),
            Task::Idle { clients } => self.idle(subject, clients).map(Ok),
            Task::Calls { clients } => self.calls(subject, clients),
            Task::Generate { clients, wire } => self.generate(subject, clients, wire),
            Task::Hold { clients } => self.hold(subject, clients),
            Task::Half { .. } => {
                let part = load(task, task.window(self.window) / TAIL_PARTS, offered_per_s);
                self.tail(subject, task, &part)
            }
            Task::Busy { .. } | Task::ShortLived { .. } | Task::Bulk => {
                let load = load(task, self.window, offered_per_s);
                let server = self.server(subject)?;
                let measured = self.bench.load(&server, &load)?;
                drop(server.stop());
                Ok(fit(&measured).and_then(|seen| figures(task, &seen)))
            }
        }
    }

    /// A fresh server, on its processor.
    fn server(&mut self, subject: &Subject) -> Result<ServerProcess, Failure> {
        let Some(pin) = self.pin else {
            return self.bench.start(subject);
        };
        pin.take_to_servers()
            .map_err(Failure::system("pin a server"))?;
        let server = self.bench.start(subject);
        pin.take_to_load()
            .map_err(Failure::system("pin the load"))?;
        server
    }

    /// How long it takes until it is ready, on all processors.
    fn start(&mut self, subject: &Subject) -> Result<Taken, Failure> {
        let pinning = |result: io::Result<()>| result.map_err(Failure::system("pin a server"));
        self.pin.map_or(Ok(()), |pin| pinning(pin.take_to_all()))?;
        let begun = Instant::now();
        let server = self.bench.start(subject);
        let took = begun.elapsed();
        self.pin.map_or(Ok(()), |pin| pinning(pin.take_to_load()))?;
        drop(server?.stop());
        Ok(Taken::of(Figure::Start, took.as_secs_f64()))
    }

    /// What the memory that no file backs grows by for each client that asks once and stays.
    fn idle(&mut self, subject: &Subject, clients: u32) -> Result<Taken, Failure> {
        let server = self.server(subject)?;
        self.bench
            .narrator
            .now(&format!("{}, {clients} quiet clients", server.name));
        let talk = Failure::system("talk to the server");
        let grown = grown_bytes(&server, clients, &self.bench.interrupt).map_err(talk)?;
        self.bench.go_on()?;
        drop(server.stop());
        Ok(Taken::of(Figure::Memory, grown / f64::from(clients)))
    }

    /// The tail of the waits, in the middle of several short windows one after the other: what holds the
    /// machine up now and then, and with it a hundredth of one window, is in few of them.
    fn tail(
        &mut self,
        subject: &Subject,
        task: Task,
        part: &Load,
    ) -> Result<Result<Taken, Unfit>, Failure> {
        let server = self.server(subject)?;
        let seed = self.bench.seed;
        let mut parts = Vec::new();
        for number in 0..TAIL_PARTS {
            // Each part has a schedule of its own, and the same for all who are in this round.
            self.bench.seed = seed.rotate_left(u32::BITS).wrapping_add(number.into());
            let measured = self.bench.load(&server, part);
            self.bench.seed = seed;
            parts.push(fit(&measured?).and_then(|seen| figures(task, &seen)));
        }
        drop(server.stop());
        Ok(middle(parts))
    }

    /// System calls of a busy server for each answer.
    fn calls(&mut self, subject: &Subject, clients: u32) -> Result<Result<Taken, Unfit>, Failure> {
        let Some(counter) = self.counter else {
            return Ok(Err(Unfit("system calls cannot be counted here".to_owned())));
        };
        let task = Task::Busy {
            clients,
            size: loadgen::DEFAULT_MESSAGE_BYTES.get(),
        };
        let load = load(task, CALLS_LOAD, 0.0);
        let server = self.server(subject)?;
        let pid = server.pid();
        let (measured, calls) = std::thread::scope(|scope| {
            let counting = scope.spawn(|| {
                // Until everybody is connected, so that whoever serves them is there.
                std::thread::sleep(WARMUP);
                counter.count(&usage::family_of(pid), CALLS_COUNTED)
            });
            let measured = self.bench.load(&server, &load);
            (measured, counting.join().unwrap_or_default())
        });
        drop(server.stop());
        Ok(fit(&measured?).and_then(|seen| {
            let answers = seen.figures.rate_per_s.unwrap_or(0.0) * CALLS_COUNTED.as_secs_f64();
            let calls = calls.filter(|_| answers > 0.0);
            let calls = calls.ok_or_else(|| Unfit("the server's calls were not counted".into()))?;
            Ok(Taken::of(Figure::Calls, calls / answers))
        }))
    }

    /// How many answers of a plain server a client program gets for its processor time.
    fn generate(
        &mut self,
        subject: &Subject,
        clients: u32,
        wire: Wire,
    ) -> Result<Result<Taken, Unfit>, Failure> {
        let time = Task::Generate { clients, wire }.window(self.window);
        let server = self.server(&wire.answerer().subject(1))?;
        let read = || usage::cpu_of_ended_children().map_err(Failure::system("read its time"));
        let before = read()?;
        let running = self.generator(subject, &server, clients, time)?;
        let answers = running.answers(&self.bench.interrupt)?;
        // The server has not ended yet, so all of it is the client's.
        let spent = read()?.saturating_sub(before);
        drop(server.stop());
        let figure = |answers: u64| answers as f64 / spent.as_secs_f64();
        Ok(answers.map(|answers| Taken::of(Figure::PerCpu, figure(answers))))
    }

    /// What a generator with `clients` more has more memory for each of them.
    fn hold(&mut self, subject: &Subject, clients: u32) -> Result<Result<Taken, Unfit>, Failure> {
        let few = self.held_bytes(subject, HELD_FEW)?;
        let many = self.held_bytes(subject, HELD_FEW + clients)?;
        Ok(few.and_then(|few| {
            let grown = many? as f64 - few as f64;
            Ok(Taken::of(Figure::Memory, grown / f64::from(clients)))
        }))
    }

    /// The memory that no file backs of a generator whose `clients` are all there and silent.
    fn held_bytes(
        &mut self,
        subject: &Subject,
        clients: u32,
    ) -> Result<Result<u64, Unfit>, Failure> {
        let server = self.server(&Subject::own("epoll", 1).with(&admin::FLAGS))?;
        let admin = admin::of(&server).map_err(Failure::system("talk to the server"))?;
        let running = self.generator(subject, &server, clients, HELD_TIME)?;
        let both = [server.pid(), running.pid()];
        let wanted = || self.bench.interrupt.signal().is_none();
        // Once all have asked and nobody has anything to do, all have their answers.
        let all_there = || {
            let asked = admin::status(admin).is_ok_and(|it| it.counters.requests >= clients.into());
            !wanted() || (asked && usage::runnable_threads(&both) == 0)
        };
        let settled = sync::until(ANSWER_LIMIT, all_there);
        let bytes = usage::anonymous_bytes(&[running.pid()]);
        self.bench.go_on()?;
        drop((running, server.stop()));
        let bytes = bytes.filter(|_| settled.is_ok());
        Ok(bytes.ok_or_else(|| Unfit(format!("it did not have {clients} silent clients"))))
    }

    fn generator(
        &mut self,
        subject: &Subject,
        server: &ServerProcess,
        clients: u32,
        time: Duration,
    ) -> Result<Generator, Failure> {
        let doing = format!("{}, {clients} clients", subject.name);
        self.bench.narrator.now(&doing);
        let port = server.ready.addr.port();
        let told = Told {
            port,
            clients,
            time,
        };
        Generator::start(subject, &self.bench.launcher, told)
    }
}

/// The load of a task that is one.
fn load(task: Task, window: Duration, offered_per_s: f64) -> Load {
    let of = |clients: u32| {
        let clients = NonZeroU32::new(clients).unwrap_or(NonZeroU32::MIN);
        Load::busy(clients, window).after(WARMUP)
    };
    match task {
        Task::Busy { clients, size } => {
            of(clients).sized(NonZeroU32::new(size).unwrap_or(NonZeroU32::MIN))
        }
        Task::Half { clients } => of(clients).at(offered_per_s, Arrivals::Poisson),
        Task::ShortLived { clients } => of(clients).one_request_each(),
        Task::Bulk => {
            let size = NonZeroU32::new(BULK_BYTES).unwrap_or(NonZeroU32::MIN);
            let mut load = of(1).sized(size);
            load.behaviour.pipeline = NonZeroU16::new(BULK_PIPELINE).unwrap_or(NonZeroU16::MIN);
            load
        }
        Task::Calls { clients }
        | Task::Idle { clients }
        | Task::Generate { clients, .. }
        | Task::Hold { clients } => of(clients),
        Task::Start => of(1),
    }
}

/// The tail in the middle of the parts that can be used; if that is not most of them, why not.
fn middle(parts: Vec<Result<Taken, Unfit>>) -> Result<Taken, Unfit> {
    let all = parts.len();
    let (mut tails, mut limited, mut unfit) = (Vec::new(), 0, None);
    for part in parts {
        match part {
            Ok(taken) => {
                limited += usize::from(taken.limited);
                tails.extend(taken.get(Figure::Tail));
            }
            Err(why) => unfit = Some(why),
        }
    }
    let tail = median(&tails).filter(|_| 2 * tails.len() > all);
    let taken = tail.map(|tail| Taken {
        limited: 2 * limited > all,
        ..Taken::of(Figure::Tail, tail)
    });
    taken.ok_or_else(|| unfit.unwrap_or_else(|| Unfit("there is no tail".to_owned())))
}

/// What was seen, if everybody was served, nothing failed, and the generator vouches for it.
fn fit(measured: &Measured) -> Result<Observation, Unfit> {
    let seen = Observation::of(measured);
    let why = if seen.served < seen.asked {
        format!("{} of {} clients were served", seen.served, seen.asked)
    } else if seen.failures > 0 {
        format!("{} requests failed", seen.failures)
    } else if seen.behind {
        "it answered less than was due".to_owned()
    } else if let Some(why) = &seen.invalid {
        why.clone()
    } else {
        return Ok(seen);
    };
    Err(Unfit(why))
}

/// The figures of a run, if it has them all: a server that had no processor at all meanwhile tells
/// nothing of itself.
fn figures(task: Task, seen: &Observation) -> Result<Taken, Unfit> {
    let rate = seen.figures.rate_per_s;
    let told = match task {
        Task::ShortLived { .. } => vec![(Figure::Connections, rate)],
        Task::Bulk => {
            let bytes = rate.map(|rate| rate * f64::from(BULK_BYTES));
            vec![(Figure::Bulk, bytes)]
        }
        Task::Half { .. } => vec![(Figure::Tail, seen.figures.p99_us)],
        _ => vec![
            (Figure::Rate, rate),
            (Figure::Cpu, seen.figures.cpu_us_per_answer),
        ],
    };
    let told = told.into_iter().map(|(figure, value)| {
        let value = value.filter(|value| *value > 0.0);
        let lack = || Unfit(format!("there is no figure for {}", figure.name()));
        Ok((figure, value.ok_or_else(lack)?))
    });
    Ok(Taken {
        figures: told.collect::<Result<_, _>>()?,
        limited: seen.generator_limited,
    })
}

/// By how many bytes the server's own memory grows while `clients` come, ask once and stay, beside
/// the few that were there before: what it has anyway is not theirs.
fn grown_bytes(
    server: &ServerProcess,
    clients: u32,
    interrupt: &cli::Interrupt,
) -> io::Result<f64> {
    let pids = usage::family_of(server.pid());
    let memory = || {
        let bytes = usage::anonymous_bytes(&pids);
        bytes.ok_or_else(|| io::Error::other("the server is gone"))
    };
    let come = |name: u32| {
        let mut client = Client::connect(server.ready.addr, u64::from(name), ANSWER_LIMIT)?;
        client.round_trip().map(|()| client)
    };
    let wanted = || interrupt.signal().is_none();
    let all_of = |names: std::ops::Range<u32>| -> io::Result<Vec<Client>> {
        names.take_while(|_| wanted()).map(come).collect()
    };
    let few = all_of(0..HELD_FEW)?;
    let before = memory()?;
    let more = all_of(HELD_FEW..HELD_FEW + clients)?;
    let after = memory()?;
    drop((few, more));
    Ok(after as f64 - before as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(tail: f64) -> Result<Taken, Unfit> {
        Ok(Taken::of(Figure::Tail, tail))
    }

    fn unfit() -> Result<Taken, Unfit> {
        Err(Unfit("the machine was away".to_owned()))
    }

    #[test]
    fn a_window_in_which_the_machine_was_away_does_not_move_the_tail() {
        let parts = || {
            vec![
                tail(110.0),
                tail(100.0),
                tail(9000.0),
                tail(120.0),
                tail(90.0),
            ]
        };
        assert_eq!(middle(parts()), tail(110.0));
        let with = |further| middle(parts().into_iter().chain(further).collect());
        assert_eq!(with(vec![unfit(), unfit()]), tail(110.0));
        // Of half of the windows or fewer nothing is said.
        assert_eq!(
            with(vec![unfit(), unfit(), unfit(), unfit(), unfit()]),
            unfit()
        );
        assert!(middle(vec![]).is_err());
    }

    #[test]
    fn the_generator_had_no_time_left_if_so_in_most_windows() {
        let limited = |limited: usize| {
            let part = |number| {
                tail(100.0).map(|taken| Taken {
                    limited: number < limited,
                    ..taken
                })
            };
            middle((0..4).map(part).collect()).is_ok_and(|taken| taken.limited)
        };
        assert_eq!((limited(2), limited(3)), (false, true));
    }
}
