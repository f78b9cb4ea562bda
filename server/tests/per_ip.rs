//! One address cannot take all places: who is one too many is closed at once and counted, the
//! others are served, and a place comes back however its client or its process ended.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, and a mode that is left out says why"
)]

mod support;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::num::NonZeroU32;

use rustix::process::Signal;
use server::{Mode, for_each_mode};
use support::{
    LIMIT, ServerProcess, TestServer, assert_balanced, config, connect_from, end_of, pool_with,
    procfs, round_trip,
};

const LIMIT_PER_IP: usize = 2;
/// Addresses of this machine that are not the usual one.
const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Connects until somebody from `ip` is served: a place is free a moment after its client has left.
fn come_in(server: SocketAddr, ip: Ipv4Addr) -> TcpStream {
    let end = std::time::Instant::now() + LIMIT;
    loop {
        let mut client = connect_from(ip, server).unwrap();
        if round_trip(&mut client, b"inside").is_ok() {
            return client;
        }
        assert!(std::time::Instant::now() < end, "never");
    }
}

for_each_mode! {
    fn an_address_has_no_more_places_than_it_may(mode) {
        let mut config = config(mode);
        config.limits.max_per_ip = NonZeroU32::new(u32::try_from(LIMIT_PER_IP).unwrap());
        if mode == Mode::Sequential {
            println!("not in {mode}: it serves one client at a time");
            return Ok(());
        }
        let server = TestServer::with(config);
        for round in 0..3 {
            // The first round finds all places free, the others a moment later.
            let mut inside: Vec<_> = (0..LIMIT_PER_IP).map(|_| come_in(server.addr, GREEDY)).collect();
            for _ in 0..3 {
                let mut refused = connect_from(GREEDY, server.addr)?;
                assert_eq!(end_of(&mut refused).as_deref(), Some(&b""[..]), "round {round}");
            }
            let mut other = connect_from(OTHER, server.addr)?;
            round_trip(&mut other, b"and me?")?;
            for client in &mut inside {
                round_trip(client, b"still there?")?;
            }
        }
        let drained = server.stop();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.served, counters.rejected), (9, 0));
        assert!(counters.per_ip >= 9, "{counters:?}");
    }

    fn who_is_turned_away_gets_a_close_though_it_has_sent_something(mode) {
        const TURNED_AWAY: usize = 5;
        if mode == Mode::Sequential {
            println!("not in {mode}: it serves one client at a time");
            return Ok(());
        }
        let server = ServerProcess::start(&[&mode.args()[..], &["--workers", "3", "--max-per-ip", "1"]].concat());
        let mut inside = server.connect();
        round_trip(&mut inside, b"inside")?;
        // What they send is there before anybody looks at them.
        server.suspend();
        let mut outside = Vec::new();
        for _ in 0..TURNED_AWAY {
            let mut client = server.connect();
            client.write_all(&[b'x'; 10_000])?;
            outside.push(client);
        }
        server.signal_group(Signal::CONT);
        for client in &mut outside {
            assert_eq!(end_of(client).as_deref(), Some(&b""[..]), "a reset instead of a close");
        }
        round_trip(&mut inside, b"still there?")?;
        drop(inside);
        let farewell = server.stop();
        let counted = ["accepted", "per_ip", "failed"].map(|name| farewell.counted(name));
        assert_eq!(counted, [1, TURNED_AWAY as u64, 0]);
    }
}

#[test]
fn a_killed_worker_gives_the_places_of_its_clients_back() {
    let server = pool_with(&["--max-per-ip", "2"]);
    for _ in 0..5 {
        let mut inside: Vec<_> = (0..2).map(|_| come_in(server.addr, GREEDY)).collect();
        let mut refused = connect_from(GREEDY, server.addr).unwrap();
        assert_eq!(end_of(&mut refused).as_deref(), Some(&b""[..]));
        for worker in server.workers() {
            procfs::kill(worker, Signal::KILL);
        }
        for client in &mut inside {
            assert!(round_trip(client, b"nobody there").is_err());
        }
    }
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    assert!(farewell.counted("per_ip") >= 5);
}
