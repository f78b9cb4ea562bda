//! The program: what it says when it is ready, which signals mean what, and what it leaves behind.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use server::{Choice, Inner, Mode, for_each_mode};
use socket2::SockRef;
use support::{SERVER, ServerProcess, WORKERS, end_of, procfs, round_trip};

/// What the program says of a mode with three workers and places for a hundred clients.
fn workers_and_capacity(mode: Choice) -> (usize, usize) {
    match (mode.mode, mode.inside) {
        (Mode::Sequential, _) => (1, 1),
        (Mode::ThreadPerConnection | Mode::ProcessPerConnection, _) => (0, 100),
        (Mode::ThreadPool | Mode::Rayon, _)
        | (Mode::ProcessPool, Inner::Sequential | Inner::ThreadPool | Inner::Rayon) => (3, 3),
        (Mode::ReadyPool | Mode::Async | Mode::Epoll | Mode::IoUring | Mode::ProcessPool, _) => {
            (3, 100)
        }
    }
}

fn args(mode: Choice) -> Vec<&'static str> {
    let numbers = ["--workers", "3", "--max-connections", "100"];
    [&mode.args()[..], &numbers].concat()
}

for_each_mode! {
    fn the_ready_line_tells_what_is_true(mode) {
        let server = ServerProcess::start(&args(mode));
        let (addr, pid) = (server.addr, server.pid());
        let (workers, capacity) = workers_and_capacity(mode);
        let numbers = format!("workers={workers} capacity={capacity} pid={pid}");
        assert_eq!(server.ready_line(), format!("listening on {addr} mode={} {numbers}", mode.mode));
        assert_eq!(procfs::listening_port(pid), Some(addr.port()));
        let processes = if mode.mode == Mode::ProcessPool { WORKERS } else { 0 };
        assert_eq!(server.workers().len(), processes);
        round_trip(&mut server.connect(), b"so it is ready")?;
    }

    fn the_ready_line_exists_for_programs_too(mode) {
        let server = ServerProcess::start(&[&args(mode)[..], &["--format", "json"]].concat());
        let line: serde_json::Value = serde_json::from_str(server.ready_line())?;
        let (workers, capacity) = workers_and_capacity(mode);
        let addr: SocketAddr = line["addr"].as_str().unwrap().parse().unwrap();
        assert_eq!(procfs::listening_port(server.pid()), Some(addr.port()));
        let expected = serde_json::json!({
            "event": "listening", "addr": line["addr"], "mode": mode.mode.name(),
            "workers": workers, "capacity": capacity, "pid": server.pid(),
        });
        assert_eq!(line, expected);
    }

    fn its_threads_and_processes_say_what_they_are(mode) {
        let (workers, inside, threads) = match mode.mode.inner() {
            Some(inside) => (&[][..], inside, &[][..]),
            None => {
                let workers = &["worker-0", "worker-1", "worker-2", "orders"];
                (&workers[..], mode.inside, &["--worker-threads", "3"][..])
            }
        };
        let pool = ["--offload", "rayon", "--work", "cpu=1ms"];
        let server = ServerProcess::start(&[&args(mode)[..], threads, &pool].concat());
        let mut client = server.connect();
        round_trip(&mut client, b"hello\n")?;
        let of_processes: &[&str] = match inside {
            Inner::Sequential => &["signals", "drain", "compute-0"],
            Inner::ThreadPerConnection => &["conn"],
            Inner::ProcessPerConnection => &["reaper", "conn-1", "orders", "compute-0"],
            Inner::ThreadPool => &["pool-0", "pool-1", "pool-2"],
            Inner::Rayon => &["rayon-0", "rayon-1", "rayon-2"],
            Inner::ReadyPool => &["ready-0", "ready-1", "ready-2"],
            Inner::Async => &["async-0", "async-1", "async-2"],
            Inner::Epoll => &["epoll-0", "epoll-1", "epoll-2"],
            Inner::IoUring => &["io-uring-0", "io-uring-1", "io-uring-2"],
        };
        let expected = [&["server"], workers, of_processes].concat();
        let names = || -> Vec<String> {
            let processes = procfs::family(server.pid());
            processes.into_iter().flat_map(procfs::thread_names).collect()
        };
        // A thread takes its name a moment after it began.
        server.until(&format!("{expected:?}"), || server.moment(), || {
            expected.iter().all(|name| names().iter().any(|known| known == name))
        });
    }
}

/// What a signal that ends the server lets happen before.
fn ends_in_order(mode: Choice, signal: Signal) -> std::io::Result<()> {
    let server = ServerProcess::start(&args(mode));
    let mut client = server.connect();
    round_trip(&mut client, b"before")?;
    server.signal(signal);
    server.log().wait_for("signal=", 1);
    round_trip(&mut client, b"served on")?;
    client.shutdown(Shutdown::Write)?;
    assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
    let farewell = server.wait();
    assert_eq!(farewell.status.code(), Some(0));
    assert_eq!(
        (farewell.counted("accepted"), farewell.counted("cut")),
        (1, 0)
    );
    Ok(())
}

for_each_mode! {
    fn term_ends_it_in_order(mode) {
        ends_in_order(mode, Signal::TERM)?;
    }

    fn int_ends_it_in_order(mode) {
        ends_in_order(mode, Signal::INT)?;
    }

    fn quit_ends_it_at_once(mode) {
        let server = ServerProcess::start(&[&args(mode)[..], &["--drain-timeout", "1h"]].concat());
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        server.signal(Signal::QUIT);
        assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        drop(client);
        assert_eq!(server.wait().status.code(), Some(0));
    }

    fn a_thousand_signals_are_one_end(mode) {
        let patient = ["--drain-timeout", "1h", "--work", "io=1h"];
        let server = ServerProcess::start(&[&args(mode)[..], &patient].concat());
        let mut client = server.connect();
        round_trip(&mut client, b"before")?;
        // Its answer is due in an hour, so only the second signal ends it.
        client.write_all(b"\n")?;
        for round in 0..1000 {
            let signal = if round % 2 == 0 { Signal::TERM } else { Signal::INT };
            // It may have ended before the last of them, but nobody has buried it yet.
            kill_process(procfs::pid(server.pid()), signal)?;
        }
        assert!(end_of(&mut client).is_some(), "a reset instead of a close");
        drop(client);
        let farewell = server.wait();
        assert_eq!(farewell.status.code(), Some(0));
        let farewells = farewell.log.iter().filter(|line| line.contains("stopped accepted="));
        assert_eq!(farewells.count(), 1);
        assert!(!farewell.log.iter().any(|line| line.contains("panicked")));
    }

    fn other_signals_do_not_end_it(mode) {
        let server = ServerProcess::start(&args(mode));
        let mut client = server.connect();
        for (signal, name) in [
            (Signal::HUP, "SIGHUP"),
            (Signal::USR1, "SIGUSR1"),
        ] {
            server.signal(signal);
            server.log().wait_for(name, 1);
            server.workers().into_iter().for_each(|worker| procfs::kill_if_there(worker, signal));
            round_trip(&mut client, b"still there?")?;
        }
        // What it means to the server is another test's.
        server.workers().into_iter().for_each(|worker| procfs::kill_if_there(worker, Signal::USR2));
        round_trip(&mut client, b"still there?")?;
        drop(client);
        assert_eq!(server.stop().status.code(), Some(0));
    }
}

for_each_mode! {
    fn nobody_has_to_read_the_ready_line(mode) {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = ServerProcess::command(&[SERVER], &args(mode));
        command.stdout(Stdio::from(writer));
        let server = ServerProcess::spawn(command).until_listening();
        round_trip(&mut server.connect(), b"served nevertheless")?;
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn closed_standard_streams_do_not_become_sockets(mode) {
        let shell = ["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", SERVER];
        let mut command = ServerProcess::command(&shell, &args(mode));
        command.stdout(Stdio::piped());
        let server = ServerProcess::spawn(command).until_listening();
        let mut client = server.connect();
        // Whatever it has to say goes nowhere, least of all to this client.
        server.signal(Signal::HUP);
        for _ in 0..10 {
            round_trip(&mut client, b"only this")?;
        }
        client.shutdown(Shutdown::Write)?;
        assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        assert_eq!(server.stop().status.code(), Some(0));
    }

    fn clients_that_are_gone_before_they_are_accepted_do_no_harm(mode) {
        let server = ServerProcess::start(&args(mode));
        server.suspend();
        for _ in 0..20 {
            let mut client = server.connect();
            client.write_all(b"never mind")?;
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        }
        server.signal_group(Signal::CONT);
        round_trip(&mut server.connect(), b"next, please")?;
        let farewell = server.stop();
        assert_eq!((farewell.status.code(), farewell.counted("accepted")), (Some(0), 21));
    }
}

/// Descriptors, threads and children of the server and its workers.
fn footprint(server: &ServerProcess) -> (usize, usize, usize) {
    let workers = server.workers();
    let all = [vec![server.pid()], workers.clone()].concat();
    let descriptors = all.iter().map(|number| procfs::descriptors(*number)).sum();
    let threads = all
        .iter()
        .map(|number| procfs::thread_names(*number).len())
        .sum();
    (descriptors, threads, workers.len())
}

/// The footprint once it no longer changes.
fn footprint_at_rest(server: &ServerProcess) -> (usize, usize, usize) {
    let (mut last, mut same) = (footprint(server), 0);
    server.until(
        "at rest",
        || server.moment(),
        || {
            let now = footprint(server);
            same = if now == last { same + 1 } else { 0 };
            last = now;
            same == 5
        },
    );
    last
}

for_each_mode! {
    fn two_thousand_connections_leave_nothing_behind(mode) {
        const CLIENTS: u64 = 2000;
        let server = ServerProcess::start(&args(mode));
        let visit = || -> std::io::Result<()> {
            let mut client = server.connect();
            client.write_all(b"x")?;
            client.read_exact(&mut [0])
        };
        (0..50).try_for_each(|_| visit())?;
        let before = footprint_at_rest(&server);
        (0..CLIENTS).try_for_each(|_| visit())?;
        server.until("as before", || server.moment(), || footprint(&server) == before);
        let farewell = server.stop();
        assert_eq!(farewell.counted("accepted"), CLIENTS + 50);
        assert_eq!(farewell.counted("served"), CLIENTS + 50);
    }
}
