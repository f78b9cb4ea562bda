//! Who is in the kernel's accept queue when a drain begins is served or told to go: nobody who was
//! connected is reset.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use rustix::process::Signal;
use server::{Choice, Mode, for_each_mode};
use support::{
    ServerProcess, TestServer, assert_balanced, config, connect_to, connect_to_path, end_of,
    round_trip, served,
};

const QUEUED: usize = 20;

/// Expects an end of each in order, after all that it sent or nothing; tells how many were served.
fn served_before_the_end(clients: Vec<TcpStream>, sent: &[u8]) -> u64 {
    let mut served = 0;
    for (number, mut client) in clients.into_iter().enumerate() {
        let heard = end_of(&mut client);
        let heard = heard.unwrap_or_else(|| panic!("client {number} is reset"));
        assert!(heard == sent || heard.is_empty(), "{heard:?}");
        served += u64::from(heard == sent);
    }
    served
}

fn queue(connect: impl Fn() -> TcpStream, sent: &[u8]) -> Vec<TcpStream> {
    let mut queued: Vec<_> = (0..QUEUED).map(|_| connect()).collect();
    for client in &mut queued {
        client.write_all(sent).unwrap();
    }
    queued
}

/// In `sequential` they are served one after the other, and each would be waited for.
fn make_short(clients: &[TcpStream], mode: Choice) {
    if mode == Mode::Sequential {
        let short = |client: &TcpStream| client.shutdown(Shutdown::Write).unwrap();
        clients.iter().for_each(short);
    }
}

for_each_mode! {
    fn who_is_queued_before_a_full_server_is_told_to_go(mode) {
        let mut config = config(mode);
        config.limits.max_connections = NonZeroU32::new(2).unwrap();
        config.limits.queue = 0;
        let server = TestServer::with(config);
        let places = server.capacity();
        let (mut inside, _) = served(server.addr, places, places)?;
        let queued = queue(|| server.connect(), b"queued");
        make_short(&queued, mode);
        server.begin_stop();
        // In `sequential` the limit is no limit of those who wait for their turn.
        let expected = if mode == Mode::Sequential { QUEUED as u64 } else { 0 };
        let answered = thread::scope(|scope| {
            let queued = scope.spawn(|| served_before_the_end(queued, b"queued"));
            // At once, though those inside are served on.
            while expected == 0 && !queued.is_finished() {
                inside.iter_mut().try_for_each(|client| round_trip(client, b"served on"))?;
            }
            Ok::<u64, std::io::Error>(queued.join().unwrap())
        })?;
        // From now on they are quiet, and are dismissed for it.
        for mut client in inside {
            assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        }
        let drained = server.wait();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((answered, counters.dismissed), (expected, QUEUED as u64 - expected));
        assert_eq!(counters.served, places as u64 + answered);
    }

    fn who_is_queued_before_a_stopped_server_is_served_when_it_wakes_up_to_end(mode) {
        let numbers = ["--workers", "3", "--max-connections", "100", "--drain-timeout", "1h"];
        let server = ServerProcess::start(&[&mode.args()[..], &numbers].concat());
        server.suspend();
        let queued = queue(|| server.connect(), b"queued");
        make_short(&queued, mode);
        // Waits for it until it goes on.
        server.signal(Signal::TERM);
        server.signal_group(Signal::CONT);
        let answered = served_before_the_end(queued, b"queued");
        let farewell = server.wait();
        assert_eq!(farewell.status.code(), Some(0));
        assert_eq!((farewell.counted("served"), farewell.counted("left")), (answered, 0));
        assert_eq!(farewell.counted("dismissed"), QUEUED as u64 - answered);
        // The workers of a pool may be told to end before they find those for whom they have room.
        let pool = mode.mode == Mode::ProcessPool;
        assert!(pool || answered == QUEUED as u64, "{answered} of {QUEUED}");
    }

    fn nobody_who_connects_while_the_drain_begins_is_reset(mode) {
        (0..3).try_for_each(|_| connect_while_it_begins(mode))?;
    }
}

fn connect_while_it_begins(mode: Choice) -> std::io::Result<()> {
    /// So that the queue, which has room for 1024, is never full.
    const MOST: usize = 250;
    let server = TestServer::start(mode);
    let over = AtomicBool::new(false);
    let sent = b"just in time";
    thread::scope(|scope| {
        let storms = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut clients = Vec::new();
                while clients.len() < MOST && !over.load(Relaxed) {
                    match connect_to(server.addr) {
                        Ok(mut client) => {
                            client.write_all(sent).unwrap();
                            client.shutdown(Shutdown::Write).unwrap();
                            clients.push(client);
                        }
                        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
                    }
                }
                clients
            })
        });
        round_trip(&mut server.connect(), b"it has begun")?;
        server.begin_stop();
        while connect_to(server.addr).is_ok() {}
        over.store(true, Relaxed);
        let clients = storms.map(|storm| storm.join().unwrap());
        served_before_the_end(clients.into_iter().flatten().collect(), sent);
        Ok::<(), std::io::Error>(())
    })?;
    assert_balanced(&server.wait());
    Ok(())
}

#[test]
fn who_is_queued_on_a_path_is_told_to_go_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo.sock");
    let addr = format!("unix:{}", path.display()).parse().unwrap();
    for mode in [Mode::Async, Mode::ThreadPerConnection, Mode::ProcessPool] {
        let mut config = config(mode.into());
        config.limits.max_connections = NonZeroU32::MIN;
        let server = TestServer::on(&addr, config);
        let mut inside = connect_to_path(&path).unwrap();
        round_trip(&mut inside, b"inside").unwrap();
        let queued = queue(|| connect_to_path(&path).unwrap(), b"queued");
        server.begin_stop();
        assert_eq!(served_before_the_end(queued, b"queued"), 0);
        drop(inside);
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.dismissed, QUEUED as u64, "{mode}");
    }
}
