//! The end of a server: nobody new, quiet clients are dismissed, busy ones lose nothing before the
//! deadline, nobody is ever reset, and nobody holds it up.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use server::work::Work;
use server::{Config, ListenOptions, Listener, Mode, for_each_mode};
use support::{
    TestServer, WORKERS, assert_balanced, config, connect_to, end_of, pattern, round_trip,
    until_stalled, wait_readable,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A server whose every line takes as long, with a deadline that comes soon.
fn soon(mode: Mode, work: Work) -> Config {
    let mut config = config(mode);
    config.limits.drain_timeout = Duration::from_millis(300);
    config.work = work;
    config
}

for_each_mode! {
    fn a_quiet_client_is_dismissed_with_a_close(mode) {
        let server = TestServer::start(mode);
        let mut quiet = server.connect();
        round_trip(&mut quiet, b"x")?;
        server.begin_stop();
        // Not `unwrap_or(0)`: that would take a time-out for a close, and could never fail.
        assert!(matches!(quiet.read(&mut [0]), Ok(0)));
        // It does not close its own side, which holds nothing up.
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 0);
    }

    fn a_busy_client_is_served_on(mode) {
        let server = TestServer::with(Config {
            work: Work::Wait(Duration::from_millis(10)),
            ..config(mode)
        });
        let mut busy = server.connect();
        round_trip(&mut busy, b"first\n")?;
        server.begin_stop();
        // Longer than the silence that ends a conversation, as each takes 10 ms at least.
        for number in 0..150 {
            round_trip(&mut busy, format!("line {number}\n").as_bytes())?;
        }
        busy.shutdown(Shutdown::Write)?;
        assert_eq!(end_of(&mut busy).as_deref(), Some(&b""[..]));
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 0);
    }

    fn an_answer_that_takes_longer_than_the_silence_is_awaited(mode) {
        let server = TestServer::with(Config {
            work: Work::Wait(Duration::from_millis(1300)),
            ..config(mode)
        });
        let mut client = server.connect();
        round_trip(&mut client, b"no end of line, no cost")?;
        client.write_all(b"\n")?;
        client.shutdown(Shutdown::Write)?;
        server.begin_stop();
        assert_eq!(end_of(&mut client).as_deref(), Some(&b"\n"[..]));
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 0);
    }

    fn at_the_deadline_a_busy_client_gets_all_answers_so_far_and_the_end(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(Duration::from_millis(1))));
        let lines: String = (0..200_000).map(|number| format!("{number}\n")).collect();
        talk_until_the_end(&server, lines.as_bytes())?;
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 1);
    }

    fn a_second_wish_ends_it_at_once(mode) {
        let server = TestServer::start(mode);
        talk_until_the_second_wish(&server)?;
        assert_balanced(&server.wait());
    }

    fn the_end_comes_without_a_drain_too(mode) {
        let server = TestServer::start(mode);
        let mut quiet = server.connect();
        round_trip(&mut quiet, b"x")?;
        server.stop.cut();
        assert_eq!(end_of(&mut quiet).as_deref(), Some(&b""[..]));
        drop(quiet);
        assert_balanced(&server.wait());
    }
}

/// Sends without a pause, and checks that what comes back is the beginning of it.
fn talk_until_the_end(server: &TestServer, sent: &[u8]) -> std::io::Result<()> {
    let mut client = server.connect();
    round_trip(&mut client, b"ready?\n")?;
    server.begin_stop();
    let received = thread::scope(|scope| {
        let mut writer = client.try_clone().unwrap();
        // It fails as soon as this side is shut, which is how it ends.
        scope.spawn(move || writer.write_all(sent));
        let received = end_of(&mut client);
        let _ = client.shutdown(Shutdown::Both);
        received
    });
    let received = received.expect("a reset instead of a close");
    assert!(!received.is_empty() && received.len() < sent.len());
    assert!(sent.starts_with(&received), "{} bytes", received.len());
    Ok(())
}

/// The same with messages one by one, and no deadline but the second wish.
fn talk_until_the_second_wish(server: &TestServer) -> std::io::Result<()> {
    let mut busy = server.connect();
    round_trip(&mut busy, b"inside")?;
    server.begin_stop();
    let mut answers = 0;
    loop {
        let message = pattern(answers, 100);
        if busy.write_all(&message).is_err() {
            break;
        }
        let mut answer = vec![0; 100];
        // The end comes between two answers.
        match busy.read(&mut answer)? {
            0 => break,
            count => busy.read_exact(&mut answer[count..])?,
        }
        assert!(answer == message, "answer {answers}");
        answers += 1;
        if answers == 100 {
            server.stop.cut();
        }
    }
    assert!(answers >= 100);
    Ok(())
}

for_each_mode! {
    fn nobody_new_is_taken(mode) {
        let server = TestServer::with(Config {
            work: Work::Wait(Duration::from_millis(10)),
            ..config(mode)
        });
        let mut busy = server.connect();
        round_trip(&mut busy, b"before\n")?;
        server.begin_stop();
        // The wish travels for a moment, so the first ones may still come in.
        let mut late = (0..100).map(|_| connect_to(server.addr).and_then(|early| {
            drop(early);
            round_trip(&mut busy, b"meanwhile\n")
        }));
        let refused = late.find_map(Result::err).expect("the port stays open");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        drop(late);
        round_trip(&mut busy, b"after\n")?;
        drop(busy);
        assert_balanced(&server.wait());
    }

    fn the_port_is_free_afterwards(mode) {
        let server = TestServer::start(mode);
        let addr = server.addr;
        // The server closes first, so this connection haunts the port for a while.
        let mut client = server.connect();
        round_trip(&mut client, b"x")?;
        server.stop.cut();
        assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        drop(client);
        assert_balanced(&server.wait());
        let options = ListenOptions { backlog: 16, nodelay: true, idle_timeout: None };
        Listener::bind(&addr.into(), options).unwrap();
    }

    fn a_storm_of_wishes_is_one(mode) {
        let server = TestServer::start(mode);
        let mut client = server.connect();
        round_trip(&mut client, b"inside")?;
        thread::scope(|scope| {
            for _ in 0..4 {
                let stop = &server.stop;
                scope.spawn(|| (0..250).for_each(|_| stop.drain()));
            }
        });
        round_trip(&mut client, b"not cut")?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 0);
    }
}

for_each_mode! {
    fn a_client_that_never_reads_holds_nothing_up(mode) {
        let server = TestServer::with(soon(mode, Work::None));
        let client = server.connect();
        until_stalled(&client, &vec![b'x'; 64 << 20]);
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 1);
    }

    fn an_answer_that_takes_an_hour_holds_nothing_up(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(HOUR)));
        let mut client = server.connect();
        round_trip(&mut client, b"no end of line, no cost")?;
        client.write_all(b"\n")?;
        server.begin_stop();
        assert!(end_of(&mut client).is_some());
        drop(client);
        assert_balanced(&server.wait());
    }

    fn an_hour_of_computation_holds_nothing_up(mode) {
        let server = TestServer::with(soon(mode, Work::Compute(HOUR)));
        let mut clients: Vec<_> = (0..server.capacity().min(WORKERS)).map(|_| server.connect()).collect();
        for client in &mut clients {
            round_trip(client, b"no end of line, no cost")?;
        }
        clients.iter_mut().try_for_each(|client| client.write_all(b"\n"))?;
        server.begin_stop();
        for mut client in clients {
            assert!(end_of(&mut client).is_some());
        }
        assert_balanced(&server.wait());
    }
}

/// Clients of a pool with a queue: as many served as there are workers, and as many waiting.
fn inside_and_queued(server: &TestServer) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let mut clients: Vec<_> = (0..2 * WORKERS).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.write_all(b"free").unwrap();
    }
    let inside = wait_readable(&clients, WORKERS);
    let (mut served, mut queued) = (Vec::new(), Vec::new());
    for (index, mut client) in clients.into_iter().enumerate() {
        if inside.contains(&index) {
            client.read_exact(&mut [0; 4]).unwrap();
            served.push(client);
        } else {
            queued.push(client);
        }
    }
    (served, queued)
}

for_each_mode! {
    fn who_waits_in_the_queue_is_served_before_the_deadline(mode) {
        let server = TestServer::start(mode);
        if !server.config.plan().has_queue() {
            println!("not in {mode}: it has no queue of its own");
            return Ok(());
        }
        let (served, queued) = inside_and_queued(&server);
        server.begin_stop();
        for mut client in served {
            assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        }
        for mut client in queued {
            assert_eq!(end_of(&mut client).as_deref(), Some(&b"free"[..]));
        }
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 0);
    }

    fn who_waits_in_the_queue_at_the_deadline_is_closed_in_order(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(HOUR)));
        if !server.config.plan().has_queue() {
            println!("not in {mode}: it has no queue of its own");
            return Ok(());
        }
        let (mut served, queued) = inside_and_queued(&server);
        served.iter_mut().try_for_each(|client| client.write_all(b"\n"))?;
        server.begin_stop();
        for mut client in queued {
            let end = end_of(&mut client).expect("a reset instead of a close");
            assert!(b"free".starts_with(&end));
        }
        assert_balanced(&server.wait());
    }
}
