//! Request grain: a client that is quiet holds nobody up, and neither does one that is greedy.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Choice, Config, Mode, for_each_mode};
use support::{ServerProcess, TestServer, assert_balanced, config, end_of, round_trip};

/// Whether a connection costs no worker while it is quiet.
fn has_request_grain(mode: Choice) -> bool {
    let inside = mode.mode.inner().unwrap_or(mode.inside).mode();
    matches!(
        inside,
        Mode::ReadyPool | Mode::Async | Mode::Epoll | Mode::IoUring
    )
}

/// Lets this process have a thousand clients.
fn raise_descriptor_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

for_each_mode! {
    fn four_threads_serve_a_thousand_clients_that_stay(mode) {
        const CLIENTS: usize = 1000;
        if !has_request_grain(mode) {
            return Ok(());
        }
        raise_descriptor_limit();
        let server = ServerProcess::start(&[&mode.args()[..], &["--workers", "4"]].concat());
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        for round in 0..3_usize {
            for client in &mut clients {
                round_trip(client, &round.to_le_bytes())?;
            }
        }
        drop(clients);
        let farewell = server.stop();
        assert_eq!(farewell.counted("served"), CLIENTS as u64);
    }

    fn a_thousand_slow_clients_keep_nobody_out_and_are_ended(mode) {
        const SLOW: usize = 1000;
        if !has_request_grain(mode) {
            return Ok(());
        }
        raise_descriptor_limit();
        let bounds = ["--workers", "2", "--min-rate", "1000", "--min-rate-grace", "2s"];
        let server = ServerProcess::start(&[&mode.args()[..], &bounds].concat());
        let mut slow: Vec<_> = (0..SLOW).map(|_| server.connect()).collect();
        slow.iter_mut().try_for_each(|client| client.write_all(b"G"))?;
        let mut control = server.connect();
        for client in &mut slow {
            round_trip(&mut control, b"a whole line\n")?;
            assert_eq!(end_of(client).as_deref(), Some(&b"G"[..]));
        }
        round_trip(&mut control, b"still there?\n")?;
        drop((slow, control));
        let farewell = server.stop();
        let counted = ["accepted", "slow", "idle", "failed"].map(|name| farewell.counted(name));
        assert_eq!(counted, [SLOW as u64 + 1, SLOW as u64, 0, 0]);
    }

    fn a_greedy_client_starves_nobody(mode) {
        const PINGS: usize = 100;
        if !has_request_grain(mode) {
            return Ok(());
        }
        let workers = NonZeroUsize::MIN;
        let server = TestServer::with(Config { workers, ..config(mode) });
        let greedy = server.connect();
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            let (mut reads, mut writes) = (greedy.try_clone()?, greedy);
            let enough = &enough;
            let writer = scope.spawn(move || {
                let chunk = vec![7; 1 << 20];
                let mut written = 0;
                while !enough.load(Ordering::Relaxed) {
                    writes.write_all(&chunk).unwrap();
                    written += chunk.len() as u64;
                }
                writes.shutdown(std::net::Shutdown::Write).unwrap();
                written
            });
            let reader = scope.spawn(move || {
                let (mut buffer, mut read) = (vec![0; 1 << 20], 0);
                loop {
                    match reads.read(&mut buffer).unwrap() {
                        0 => return read,
                        count => read += count as u64,
                    }
                }
            });
            let mut pings: Vec<_> = (0..PINGS).map(|_| server.connect()).collect();
            for _ in 0..10 {
                for ping in &mut pings {
                    round_trip(ping, b"still there?")?;
                }
            }
            assert!(!writer.is_finished(), "it has been greedy all the time");
            enough.store(true, Ordering::Relaxed);
            assert_eq!(writer.join().unwrap(), reader.join().unwrap());
            std::io::Result::Ok(())
        })?;
        assert_balanced(&server.stop());
    }
}
