//! A drain before its deadline: nobody new, quiet clients are dismissed with a close, busy ones
//! lose nothing.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use server::work::Work;
use server::{Choice, Config, ListenOptions, Listener, for_each_mode};
use support::{
    LIMIT, TestServer, assert_balanced, config, connect_to, end_of, inside_and_queued, round_trip,
};

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
}

for_each_mode! {
    fn nobody_new_is_taken(mode) {
        // On a machine that stands still for a second a busy client is a quiet one, and is closed
        // by right: then all is tried again.
        let kept = (0..5).any(|_| is_kept_while_nobody_new_is_taken(mode).is_ok());
        assert!(kept, "a busy connection is never served on");
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
        Listener::bind(&addr.into(), ListenOptions::default()).unwrap();
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
    fn who_waits_in_the_queue_is_served_before_the_deadline(mode) {
        let server = TestServer::start(mode);
        if !server.config.plan().has_queue() {
            println!("not in {mode}: it has no queue of its own");
            return Ok(());
        }
        let (served, queued) = inside_and_queued(server.addr);
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
}

/// Fails where the connection that is open ends before the client wants it to.
fn is_kept_while_nobody_new_is_taken(mode: Choice) -> io::Result<()> {
    let server = TestServer::with(Config {
        work: Work::Wait(Duration::from_millis(10)),
        ..config(mode)
    });
    let mut busy = server.connect();
    round_trip(&mut busy, b"before\n")?;
    server.begin_stop();
    // The wish travels for a moment, so the first may still come in. One that comes a bit later
    // gets no answer to its first try, and waits a second for the second.
    let addr = server.addr;
    let late = thread::spawn(move || {
        let is_refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
        let end = Instant::now() + LIMIT;
        let in_time = || Instant::now() < end;
        let mut tries = std::iter::repeat_with(|| connect_to(addr)).take_while(|_| in_time());
        tries.any(|late| late.is_err_and(is_refused))
    });
    while !late.is_finished() {
        round_trip(&mut busy, b"meanwhile\n")?;
    }
    assert!(late.join().unwrap(), "the port stays open");
    round_trip(&mut busy, b"after\n")?;
    drop(busy);
    assert_balanced(&server.wait());
    Ok(())
}
