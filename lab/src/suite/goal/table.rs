//! The table itself: a row for each figure of each program.

use super::{Figure, Goal, Own, Relation, Server, Task, Trial, Wire};
use crate::plain;
use crate::suite::generator;
use Relation::{AtLeast, AtMost};

const EPOLL: Server = Server::of("epoll", 1);
const IO_URING: Server = Server::of("io-uring", 1);
const ASYNC: Server = Server::of("async", 2);
const READY_POOL: Server = Server::of("ready-pool", 2);
const THREADS: Server = Server::of("thread-per-connection", 1);
/// Who owns a connection must have a worker for each of them.
const CLIENTS_OF_POOLS: usize = 50;

/// The limit of the machine: C where it is there, and Rust without anything everywhere else.
const FLOOR: &[&str] = &["c-epoll", "plain-epoll"];
const RING_FLOOR: &[&str] = &["c-io-uring", "plain-epoll"];
const MONOIO: &[&str] = &["monoio"];
const STD: &[&str] = &["plain-threads"];
const CLIENT: &[&str] = &["c-client", plain::client::NAME];
const RING_CLIENT: &[&str] = &["c-io-uring-client"];
const NEPER: &[&str] = &["neper"];
const WRK: &[&str] = &["wrk"];
const ECHOING: &[&str] = &["-s", generator::SIZE];
/// What the load generator may have for a connection: 256 bytes, and the message.
const HELD_BYTES: f64 = 256.0 + plain::client::MESSAGE_BYTES as f64;

const fn busy(server: Server, clients: u32, against: &'static [&'static str]) -> Trial {
    trial(server, Task::Busy { clients, size: 64 }, against)
}

/// Messages of 16 KiB.
const fn large(server: Server, against: &'static [&'static str]) -> Trial {
    let (clients, size) = (50, 16 << 10);
    trial(server, Task::Busy { clients, size }, against)
}

const fn trial(server: Server, task: Task, against: &'static [&'static str]) -> Trial {
    let own = Own::Server(server);
    Trial { own, task, against }
}

const fn generate(clients: u32, wire: Wire, against: &'static [&'static str]) -> Trial {
    let flags = match wire {
        Wire::Echo => ECHOING,
        Wire::Http => &["--protocol", "http"],
    };
    let task = Task::Generate { clients, wire };
    let own = Own::Generator(flags);
    Trial { own, task, against }
}

const fn echoes(clients: u32, against: &'static [&'static str]) -> Trial {
    generate(clients, Wire::Echo, against)
}

const fn pages(clients: u32, against: &'static [&'static str]) -> Trial {
    generate(clients, Wire::Http, against)
}

const fn hold(clients: u32) -> Trial {
    Trial {
        own: Own::Generator(&["-s", generator::SIZE, "--hold", generator::HOLD]),
        task: Task::Hold { clients },
        against: &[],
    }
}

const fn half(server: Server) -> Trial {
    trial(server, Task::Half { clients: 500 }, FLOOR)
}

const fn pool(mode: &'static str, against: &'static [&'static str]) -> Trial {
    busy(Server::of(mode, CLIENTS_OF_POOLS), 50, against)
}

const fn idle(server: Server, clients: u32, against: &'static [&'static str]) -> Trial {
    trial(server, Task::Idle { clients }, against)
}

const fn goal(name: &'static str, trial: Trial, figure: Figure, relation: Relation) -> Goal {
    Goal {
        name,
        trial,
        figure,
        relation,
    }
}

/// All rows, in the order in which they are measured.
#[rustfmt::skip]
pub const ALL: &[Goal] = &[
    goal("epoll-rate-50", busy(EPOLL, 50, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("epoll-cpu-50", busy(EPOLL, 50, FLOOR), Figure::Cpu, AtMost(1.03)),
    goal("epoll-rate-500", busy(EPOLL, 500, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("epoll-cpu-500", busy(EPOLL, 500, FLOOR), Figure::Cpu, AtMost(1.03)),
    goal("io-uring-rate-50", busy(IO_URING, 50, RING_FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-rate-500", busy(IO_URING, 500, RING_FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-cpu-50", busy(IO_URING, 50, MONOIO), Figure::Cpu, AtMost(1.0)),
    goal("io-uring-cpu-500", busy(IO_URING, 500, MONOIO), Figure::Cpu, AtMost(1.0)),
    goal("io-uring-calls-50", trial(IO_URING, Task::Calls { clients: 50 }, &[]), Figure::Calls, AtMost(0.1)),
    goal("async-rate-50", busy(ASYNC, 50, FLOOR), Figure::Rate, AtLeast(0.96)),
    goal("async-cpu-50", busy(ASYNC, 50, FLOOR), Figure::Cpu, AtMost(1.06)),
    goal("async-rate-500", busy(ASYNC, 500, FLOOR), Figure::Rate, AtLeast(0.93)),
    goal("async-cpu-500", busy(ASYNC, 500, FLOOR), Figure::Cpu, AtMost(1.1)),
    goal("ready-pool-rate-50", busy(READY_POOL, 50, STD), Figure::Rate, AtLeast(1.1)),
    goal("ready-pool-rate-500", busy(READY_POOL, 500, STD), Figure::Rate, AtLeast(1.3)),
    goal("thread-per-connection-rate-50", busy(THREADS, 50, STD), Figure::Rate, AtLeast(1.0)),
    goal("thread-pool-rate-50", pool("thread-pool", &["plain-threadpool"]), Figure::Rate, AtLeast(1.0)),
    goal("rayon-rate-50", pool("rayon", &["plain-rayon"]), Figure::Rate, AtLeast(1.0)),
    goal("process-pool-rate-50", pool("process-pool", STD), Figure::Rate, AtLeast(1.0)),
    goal("process-pool-rate-50-forked", pool("process-pool", &["plain-processes"]), Figure::Rate, AtLeast(1.0)),
    goal("epoll-rate-50-16k", large(EPOLL, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-rate-50-16k", large(IO_URING, FLOOR), Figure::Rate, AtLeast(0.98)),
    goal("io-uring-rate-50-16k-monoio", large(IO_URING, MONOIO), Figure::Rate, AtLeast(0.98)),
    goal("async-rate-50-16k", large(ASYNC, FLOOR), Figure::Rate, AtLeast(0.9)),
    goal("epoll-bulk", trial(EPOLL, Task::Bulk, STD), Figure::Bulk, AtLeast(1.1)),
    goal("io-uring-bulk", trial(IO_URING, Task::Bulk, STD), Figure::Bulk, AtLeast(1.1)),
    goal("async-bulk", trial(ASYNC, Task::Bulk, STD), Figure::Bulk, AtLeast(1.1)),
    goal("thread-per-connection-bulk", trial(THREADS, Task::Bulk, STD), Figure::Bulk, AtLeast(1.1)),
    goal("epoll-memory", idle(EPOLL, 4000, &[]), Figure::Memory, AtMost(256.0)),
    goal("io-uring-memory", idle(IO_URING, 4000, &[]), Figure::Memory, AtMost(256.0)),
    goal("async-memory", idle(ASYNC, 4000, &[]), Figure::Memory, AtMost(1024.0)),
    goal("ready-pool-memory", idle(READY_POOL, 4000, &[]), Figure::Memory, AtMost(512.0)),
    goal("thread-per-connection-memory", idle(THREADS, 1000, STD), Figure::Memory, AtMost(0.6)),
    goal("epoll-tail-500", half(EPOLL), Figure::Tail, AtMost(1.3)),
    goal("io-uring-tail-500", half(IO_URING), Figure::Tail, AtMost(1.3)),
    goal("async-tail-500", half(ASYNC), Figure::Tail, AtMost(1.3)),
    goal("ready-pool-tail-500", half(READY_POOL), Figure::Tail, AtMost(1.3)),
    goal("epoll-connections", trial(EPOLL, Task::ShortLived { clients: 50 }, FLOOR), Figure::Connections, AtLeast(0.95)),
    goal("async-connections", trial(ASYNC, Task::ShortLived { clients: 50 }, FLOOR), Figure::Connections, AtLeast(0.95)),
    goal("server-start", trial(Server { mode: None, workers: 1 }, Task::Start, &[]), Figure::Start, AtMost(0.005)),
    goal("process-pool-start-64", trial(Server::of("process-pool", 64), Task::Start, &[]), Figure::Start, AtMost(0.1)),
    goal("loadgen-per-cpu-50", echoes(50, CLIENT), Figure::PerCpu, AtLeast(1.0)),
    goal("loadgen-per-cpu-500", echoes(500, CLIENT), Figure::PerCpu, AtLeast(1.0)),
    goal("loadgen-per-cpu-50-ring", echoes(50, RING_CLIENT), Figure::PerCpu, AtLeast(0.95)),
    goal("loadgen-per-cpu-500-ring", echoes(500, RING_CLIENT), Figure::PerCpu, AtLeast(0.95)),
    goal("loadgen-per-cpu-50-neper", echoes(50, NEPER), Figure::PerCpu, AtLeast(1.1)),
    goal("loadgen-per-cpu-500-neper", echoes(500, NEPER), Figure::PerCpu, AtLeast(1.1)),
    goal("loadgen-per-cpu-50-wrk", pages(50, WRK), Figure::PerCpu, AtLeast(1.1)),
    goal("loadgen-per-cpu-500-wrk", pages(500, WRK), Figure::PerCpu, AtLeast(1.1)),
    goal("loadgen-memory", hold(4000), Figure::Memory, AtMost(HELD_BYTES)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modes;
    use crate::subject::Subject;
    use std::collections::HashSet;

    #[test]
    fn every_row_has_a_name_of_its_own_that_no_mode_and_no_figure_has() {
        let names: HashSet<&str> = ALL.iter().map(|goal| goal.name).collect();
        assert_eq!(names.len(), ALL.len());
        for goal in ALL {
            assert!(modes::all().all(|mode| mode != goal.name));
            assert!(goal.name.contains(goal.figure.name()), "{}", goal.name);
        }
    }

    #[test]
    fn modes_exist_and_thresholds_go_the_way_of_their_figures() {
        for goal in ALL {
            let known = match goal.trial.own {
                Own::Server(Server { mode, .. }) => {
                    mode.is_none_or(|mode| modes::all().any(|known| known == mode))
                }
                Own::Generator(_) => goal.name.starts_with(generator::NAME),
            };
            assert!(known, "{}", goal.name);
            let wants_more = matches!(goal.relation, AtLeast(_));
            assert_eq!(wants_more, goal.figure.more_is_better(), "{}", goal.name);
        }
    }

    #[test]
    fn the_chapter_has_a_line_for_every_row() {
        let chapter = include_str!("../../../../docs/performance.md");
        for Goal { name, .. } in ALL {
            let lines = chapter
                .lines()
                .filter(|line| line.starts_with(&format!("| `{name}` |")));
            assert_eq!(lines.count(), 1, "{name}");
        }
    }

    #[test]
    fn a_word_means_a_row_a_mode_or_a_figure() {
        let meant = |word: &str| ALL.iter().filter(|goal| goal.is_meant_by(word)).count();
        assert_eq!((meant("epoll-rate-50"), meant("epolls")), (1, 0));
        assert!(meant("epoll") > 4);
        assert_eq!((meant("memory"), meant("loadgen")), (6, 9));
    }

    #[test]
    fn a_program_that_was_given_takes_the_place_of_a_plain_server() {
        let trial = busy(EPOLL, 50, FLOOR);
        let name = |given: &[Subject]| trial.reference(given).unwrap().map(|it| it.name);
        assert_eq!(name(&[]).as_deref(), Some("plain-epoll"));
        let c: Subject = "c-epoll=./epoll {port}".parse().unwrap();
        assert_eq!(name(&[c]).as_deref(), Some("c-epoll"));
        let monoio = busy(IO_URING, 50, MONOIO);
        assert_eq!(
            monoio.reference(&[]).unwrap_err(),
            "needs --subject 'monoio=COMMAND with {port}'"
        );
        assert_eq!(idle(EPOLL, 1, &[]).reference(&[]), Ok(None));
    }

    #[test]
    fn a_generator_is_measured_beside_a_client_and_not_beside_a_server() {
        let name = |given: &[Subject]| echoes(50, CLIENT).reference(given).unwrap();
        let name = |given: &[Subject]| name(given).map(|it| it.name);
        assert_eq!(name(&[]).as_deref(), Some("plain-client"));
        let c: Subject = "c-client=./client {port} {clients} {seconds}"
            .parse()
            .unwrap();
        assert_eq!(name(&[c]).as_deref(), Some("c-client"));
        assert_eq!(
            echoes(50, RING_CLIENT).reference(&[]).unwrap_err(),
            "needs --subject 'c-io-uring-client=COMMAND with {port} {clients} {seconds}'"
        );
        let own = Own::Generator(&[]);
        assert_eq!(own.lacks("./x -p {port} -d {seconds}"), ["{clients}"]);
    }
}
