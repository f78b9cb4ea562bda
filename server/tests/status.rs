//! What the status says of connections: how far they have come, whom a worker serves, how long
//! clients waited, and why they were turned away. It is true at every quiet point, and never absurd.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, and a mode that is left out says why"
)]

mod support;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use cli::Addr;
use rustix::fs::{CWD, Mode as Permissions, mkfifoat};
use server::{
    Accept, Choice, Connections, Inner, Mode, OnFull, Rejections, Status, WorkerCommand,
    for_each_mode,
};
use support::{
    SERVER, ServerProcess, TestServer, WORKERS, config, connect_to, connect_to_path, end_of, field,
    procfs, reset, round_trip, worker_command,
};
use tempfile::TempDir;

fn sum(connections: Connections) -> u64 {
    let Connections {
        queued,
        fresh,
        answered,
    } = connections;
    queued + fresh + answered
}

/// Waits until there are as many connections of each state, and all that is said of them agrees.
fn assert_states(server: &TestServer, [queued, fresh, answered]: [u64; 3]) {
    let expected = Connections {
        queued,
        fresh,
        answered,
    };
    server.status_when(&format!("{expected:?}"), |status| {
        let workers = status.workers.iter();
        let by_worker: u64 = workers.clone().map(|worker| worker.connections).sum();
        status.connections == expected
            && [status.counters.open(), by_worker] == [sum(expected); 2]
            && workers
                .clone()
                .all(|worker| worker.connections == sum(worker.by_state))
    });
}

for_each_mode! {
    fn open_connections_are_told_apart_by_how_far_they_have_come(mode) {
        let server = TestServer::start(mode);
        // Twice: what the first ones left behind would be seen with the others.
        for _ in 0..2 {
            let mut first = server.connect();
            assert_states(&server, [0, 1, 0]);
            round_trip(&mut first, b"the first answer")?;
            assert_states(&server, [0, 0, 1]);
            if server.capacity() > 1 {
                let second = server.connect();
                assert_states(&server, [0, 1, 1]);
                drop(second);
                assert_states(&server, [0, 0, 1]);
            }
            if server.config.plan().has_queue() {
                let workers = server.capacity();
                let others: Vec<_> = (0..workers).map(|_| server.connect()).collect();
                assert_states(&server, [1, workers as u64 - 1, 1]);
                drop(others);
                assert_states(&server, [0, 0, 1]);
            }
            drop(first);
            assert_states(&server, [0, 0, 0]);
        }
    }
}

/// The processes that serve connections of this server, those that are killed alone first.
fn victims(server: &ServerProcess, mode: Choice) -> Vec<Vec<u32>> {
    let children = server.workers();
    let family = procfs::family(server.pid());
    let grandchildren = family
        .into_iter()
        .filter(|one| *one != server.pid() && !children.contains(one));
    match (mode.mode, mode.inside) {
        (Mode::ProcessPool, Inner::ProcessPerConnection) => {
            vec![grandchildren.collect(), children]
        }
        (Mode::ProcessPool | Mode::ProcessPerConnection, _) => vec![children],
        _ => Vec::new(),
    }
}

/// The connections by state and all that are open, and those that came and went, as the log has it.
fn books(server: &ServerProcess) -> [u64; 6] {
    let (_, all) = server.status();
    [
        "queued",
        "fresh",
        "answered",
        "connections",
        "accepted",
        "closed",
    ]
    .map(|name| field(&all, name).unwrap().parse().unwrap())
}

for_each_mode! {
    fn whoever_is_killed_leaves_no_connection_open_in_the_books(mode) {
        let args = [&mode.args()[..], &["--workers", "3"]].concat();
        let server = ServerProcess::start(&args);
        let rounds = victims(&server, mode).len();
        if rounds == 0 {
            println!("not in {mode}: nobody can be killed but the server");
            return Ok(());
        }
        for round in 0..rounds {
            // Twice: what the dead left behind would be seen with the others.
            for _ in 0..2 {
                let mut clients = [server.connect(), server.connect()];
                round_trip(&mut clients[0], b"inside")?;
                let inside = || books(&server)[..4] == [0, 1, 1, 2];
                server.until("both inside", || server.moment(), inside);
                procfs::kill_and_wait(&victims(&server, mode).swap_remove(round));
                for client in &mut clients {
                    end_of(client);
                }
                server.until("settled", || server.moment(), || books(&server)[..4] == [0; 4]);
            }
        }
        let [.., accepted, closed] = books(&server);
        assert_eq!(accepted, closed);
    }
}

for_each_mode! {
    fn whoever_serves_one_client_at_a_time_says_whom(mode) {
        let server = TestServer::start(mode);
        let inside = server.config.plan().inside;
        let is_pool = mode.mode == Mode::ProcessPool;
        let says = match inside {
            Inner::Sequential => true,
            Inner::ThreadPool | Inner::Rayon => !is_pool,
            _ => false,
        };
        let mut client = server.connect();
        let peer = client.local_addr()?.to_string();
        assert_states(&server, [0, 1, 0]);
        let status = server.status_when("held", |status| holders(status).len() == usize::from(says));
        if let [holder] = &holders(&status)[..] {
            assert_eq!((&holder.0, holder.1), (&peer, holder.2), "it has said nothing yet");
        }
        round_trip(&mut client, b"something")?;
        let status = server.status_when("heard", |status| {
            let workers = status.workers.iter();
            workers.filter(|worker| worker.quiet_s.is_some()).count() == 1
        });
        if let [holder] = &holders(&status)[..] {
            assert!(holder.2 <= holder.1, "{holder:?}");
        }
        drop(client);
        server.status_when("nobody", |status| holders(status).is_empty() && status.counters.open() == 0);
    }

    fn the_threads_of_a_crew_are_told_by_name(mode) {
        let server = TestServer::start(mode);
        let plan = server.config.plan();
        let has_crew = plan.processes.is_none() && plan.inside.uses_threads();
        let expected = if has_crew { WORKERS } else { 0 };
        let names = |status: &Status| -> Vec<_> {
            let threads = status.workers.iter().flat_map(|worker| &worker.threads);
            threads.map(|thread| thread.name.clone()).collect()
        };
        server.status_when("all there", |status| names(status).len() == expected);
        let mut client = server.connect();
        (0..7).try_for_each(|_| round_trip(&mut client, b"12345"))?;
        let status = server.status_when("counted", |status| status.counters.requests == 7);
        let known = procfs::thread_names(std::process::id());
        for name in names(&status) {
            assert!(known.contains(&name), "{name} is none of {known:?}");
        }
        let threads = status.workers.iter().flat_map(|worker| &worker.threads);
        let [mut requests, mut served, mut connections] = [0; 3];
        for thread in threads {
            requests += thread.requests;
            served += thread.served;
            connections += thread.connections.unwrap_or(0);
        }
        let tells = matches!(plan.inside, Inner::ThreadPool | Inner::Rayon | Inner::Epoll | Inner::IoUring);
        let expected = if has_crew { [7, 1, u64::from(tells)] } else { [0; 3] };
        assert_eq!([requests, served, connections], expected);
    }
}

/// Peer, time since it came and time since it said something, of each that is served alone.
fn holders(status: &Status) -> Vec<(String, f64, f64)> {
    let workers = status.workers.iter();
    let workers = workers.map(|one| (&one.peer, one.held_s, one.quiet_s));
    let threads = status.workers.iter().flat_map(|worker| &worker.threads);
    let threads = threads.map(|one| (&one.peer, one.held_s, one.quiet_s));
    let all = workers.chain(threads);
    all.filter_map(|(peer, held_s, quiet_s)| Some((peer.clone()?, held_s?, quiet_s?)))
        .collect()
}

for_each_mode! {
    fn each_client_waits_once_for_its_first_answer(mode) {
        let server = TestServer::start(mode);
        let count = server.capacity().min(WORKERS);
        let silent = (server.capacity() > count).then(|| server.connect());
        let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
        for _ in 0..2 {
            clients.iter_mut().try_for_each(|client| round_trip(client, b"1"))?;
        }
        let requests = 2 * count as u64;
        let status = server.status_when("all answered", |status| status.counters.requests == requests);
        let waits = status.first_byte;
        assert_eq!((waits.count, status.counters.served), (count as u64, count as u64));
        assert!(waits.sum_s > 0.0 && waits.buckets.is_sorted_by_key(|bucket| bucket.count), "{waits:?}");
        assert_eq!(waits.buckets.last().map(|bucket| bucket.count), Some(count as u64));
        drop((silent, clients));
    }
}

/// The second client waits while the first, which has the only worker, talks: for at least as long as that takes.
fn assert_that_waiting_counts(config: server::Config, waits_inside: impl Fn(&Status) -> bool) {
    let server = TestServer::with(config);
    let mut first = server.connect();
    round_trip(&mut first, b"the only one").unwrap();
    let before = server.observer.status().first_byte.sum_s;
    let mut second = server.connect();
    second.write_all(b"?").unwrap();
    server.status_when("waiting", waits_inside);
    let began = Instant::now();
    (0..500).for_each(|_| round_trip(&mut first, b"talk").unwrap());
    let least = began.elapsed().as_secs_f64();
    drop(first);
    let status = server.status_when("served", |status| status.first_byte.count == 2);
    let waited = status.first_byte.sum_s - before;
    assert!(waited >= least, "{waited} of {least} s");
}

#[test]
fn who_waits_for_a_worker_waits_from_the_accept_on() {
    for mode in [Mode::ThreadPool, Mode::Rayon] {
        let mut config = config(mode.into());
        config.workers = NonZeroUsize::MIN;
        assert_that_waiting_counts(config, |status| status.connections.queued == 1);
    }
}

#[test]
fn who_is_in_the_hand_of_the_master_waits_from_the_accept_on() {
    let mut config = config(Mode::ProcessPool.into());
    config.workers = NonZeroUsize::MIN;
    config.accept = Accept::Handoff;
    assert_that_waiting_counts(config, |status| status.counters.full == 1);
}

#[test]
fn who_waits_for_a_process_waits_from_the_accept_on() {
    let directory = TempDir::new().unwrap();
    let gate = directory.path().join("gate");
    mkfifoat(CWD, &gate, Permissions::RUSR | Permissions::WUSR).unwrap();
    // It begins when somebody writes a line.
    let script = "read line < \"$0\" && exec \"$1\" @worker";
    let worker = WorkerCommand {
        program: "/bin/sh".into(),
        args: vec![
            "-c".into(),
            script.into(),
            gate.clone().into(),
            SERVER.into(),
        ],
    };
    let server = TestServer::started_by(worker, config(Mode::ProcessPerConnection.into()));
    let mut client = server.connect();
    client.write_all(b"?").unwrap();
    assert_states(&server, [0, 1, 0]);
    let began = Instant::now();
    (0..50).for_each(|_| assert_states(&server, [0, 1, 0]));
    let least = began.elapsed().as_secs_f64();
    // For both, so that opening it waits for nobody.
    let mut gate = OpenOptions::new()
        .read(true)
        .write(true)
        .open(gate)
        .unwrap();
    gate.write_all(b"go\n").unwrap();
    client.read_exact(&mut [0]).unwrap();
    let status = server.status_when("served", |status| status.first_byte.count == 1);
    let waited = status.first_byte.sum_s;
    assert!(waited >= least, "{waited} of {least} s");
}

for_each_mode! {
    fn who_is_turned_away_is_counted_by_the_reason(mode) {
        let mut config = config(mode);
        config.limits.on_full = OnFull::Reject;
        config.limits.max_connections = NonZeroU32::new(2).unwrap();
        config.limits.queue = 0;
        if !config.can_reject() {
            println!("not in {mode}: nobody can accept while all are busy");
            return Ok(());
        }
        config.workers = NonZeroUsize::new(2).unwrap();
        let server = TestServer::with(config);
        let inside = server.fill(2)?;
        let before = server.observer.status().rejections;
        for rejected in 1..=3 {
            end_of(&mut server.connect());
            let full = before.full + rejected;
            let status = server.status_when("rejected", |status| status.rejections.full == full);
            assert_eq!(status.rejections, Rejections { full, ..Rejections::default() });
            assert_eq!(status.counters.rejected, full);
        }
        drop(inside);
    }

    fn whose_address_has_too_many_is_counted_as_such(mode) {
        let mut config = config(mode);
        if config.plan().capacity(10) == 1 {
            println!("not in {mode}: it serves one client at a time");
            return Ok(());
        }
        config.limits.max_per_ip = NonZeroU32::new(1);
        let server = TestServer::with(config);
        let mut inside = server.connect();
        round_trip(&mut inside, b"the one")?;
        end_of(&mut server.connect());
        let status = server.status_when("rejected", |status| status.rejections.per_ip == 1);
        assert_eq!(status.rejections, Rejections { per_ip: 1, ..Rejections::default() });
        assert_eq!(status.counters.rejected, 0);
    }
}

#[test]
fn who_cannot_be_served_for_want_of_a_process_is_counted_as_such() {
    let config = config(Mode::ProcessPerConnection.into());
    let server = TestServer::started_by(worker_command("/nowhere/server"), config);
    for resources in 1..=2 {
        assert_eq!(end_of(&mut server.connect()).as_deref(), Some(&b""[..]));
        let status = server.status_when("rejected", |status| {
            status.rejections.resources == resources
        });
        assert_eq!(
            (status.rejections.full, status.counters.rejected),
            (0, resources)
        );
    }
    assert_states(&server, [0, 0, 0]);
}

#[test]
fn each_listening_socket_has_a_queue_of_its_own() {
    let mut config = config(Mode::ProcessPool.into());
    config.accept = Accept::Reuseport;
    let server = TestServer::with(config);
    let mut inside: Vec<_> = (0..WORKERS).map(|_| server.connect()).collect();
    // Which socket a client comes to is the kernel's choice, so some wait for those who talk.
    inside
        .iter_mut()
        .for_each(|client| client.write_all(b"?").unwrap());
    let listen = server.observer.status().listen;
    assert_eq!(listen.queues.len(), WORKERS);
    assert_eq!(
        listen.limit,
        Some(listen.queues.iter().map(|queue| queue.limit).sum())
    );
    assert_eq!(listen.queues[0].limit, 1024);
}

#[test]
fn who_waits_outside_is_seen_on_tcp_and_on_a_path() {
    const WAITING: u32 = 3;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("socket");
    let on_a_path = format!("unix:{}", path.display()).parse().unwrap();
    for addr in ["127.0.0.1:0".parse().unwrap(), on_a_path] {
        let is_path = matches!(addr, Addr::Unix(_));
        let server = TestServer::on(&addr, config(Mode::Sequential.into()));
        if is_path && server.observer.status().listen.queue.is_none() {
            println!("SKIPPED: the kernel does not tell the queue of a path");
            continue;
        }
        let connect = || match is_path {
            true => connect_to_path(&path).unwrap(),
            false => server.connect(),
        };
        let inside = connect();
        assert_states(&server, [0, 1, 0]);
        let outside = [(); WAITING as usize].map(|()| connect());
        server.status_when("all wait", |status| status.listen.queue == Some(WAITING));
        drop((inside, outside));
    }
}

/// Comes, talks, and goes in one of three ways.
fn visit(addr: SocketAddr, number: usize) {
    let mut client = connect_to(addr).unwrap();
    if !number.is_multiple_of(3) {
        let _ = round_trip(&mut client, b"12345");
    }
    if number % 3 > 1 {
        reset(client);
    }
}

for_each_mode! {
    fn the_books_are_never_absurd_while_clients_come_and_go(mode) {
        const VISITS: usize = 60;
        let server = TestServer::start(mode);
        let (addr, gone) = (server.addr, AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| for number in 0..VISITS {
                    visit(addr, number);
                    gone.fetch_add(1, Relaxed);
                });
            }
            let mut before = server.observer.status();
            while gone.load(Relaxed) < 2 * VISITS {
                let status = server.observer.status();
                let counters = status.counters;
                assert!(counters.accepted >= counters.closed, "{counters:?}");
                assert_eq!(sum(status.connections), counters.open());
                for (now, before) in counters.list().zip(before.counters.list()) {
                    assert!(now.2 >= before.2, "{now:?} was {before:?}");
                }
                before = status;
            }
        });
        let all = 2 * VISITS as u64;
        let status = server.status_when("closed", |status| status.counters.closed == all);
        assert_eq!((status.counters.accepted, status.counters.open()), (all, 0));
        assert_eq!(status.connections, Connections::default());
        assert_eq!(status.first_byte.count, status.counters.served);
    }
}
