//! A door to a port of its own: who comes in, who is turned away, and who is still let in at the end.

use std::net::{SocketAddr, TcpStream};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Instant;

use super::*;
use crate::board::Board;
use crate::config::{Config, WorkerCommand};
use crate::conn::Shared;
use crate::gate::Gate;
use crate::listener::{ListenOptions, Listener};
use crate::mode::Mode;
use crate::status::accept_queue;
use crate::stop::Stop;

/// A door to a port of its own, and where that is.
fn context(config: Config) -> (Context, SocketAddr) {
    let options = ListenOptions {
        backlog: 128,
        ..ListenOptions::default()
    };
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), options).unwrap();
    let addr = listener.addr().resolve().unwrap()[0];
    let board = Arc::new(Board::of(&config, 1).unwrap());
    let shared = Shared::new(config, Stop::new().unwrap(), board, 0).unwrap();
    let cx = Context {
        sources: vec![Source::Listener(listener)],
        end: None,
        gate: Gate::new(9).unwrap(),
        seats: None,
        worker: WorkerCommand {
            program: "none".into(),
            args: Vec::new(),
        },
        shared: Arc::new(shared),
    };
    (cx, addr)
}

/// So many clients who come, once they wait at the listener: a connect returns before the last packet
/// of its handshake has been taken in.
fn come<const CLIENTS: usize>(cx: &Context, addr: SocketAddr) -> [TcpStream; CLIENTS] {
    let Source::Listener(listener) = &cx.sources[0] else {
        panic!("it has no listener");
    };
    let length = || accept_queue(listener).unwrap().length as usize;
    let before = length();
    let clients = [(); CLIENTS].map(|()| TcpStream::connect(addr).unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    while length() < before + CLIENTS {
        assert!(Instant::now() < end, "they do not arrive");
        std::thread::yield_now();
    }
    clients
}

#[test]
fn a_crowd_that_is_turned_away_does_not_hold_up_those_inside() {
    const CROWD: usize = AT_ONCE + 9;
    let mut config = Config::new(Mode::Epoll, NonZeroUsize::MIN);
    config.limits.max_per_ip = NonZeroU32::new(1);
    let (cx, addr) = context(config);
    let mut door = Door::new(&cx, SocketFlags::NONBLOCK);
    let _clients = come::<{ 1 + CROWD }>(&cx, addr);
    let inside = door.next().unwrap();
    assert!(matches!(inside, Met::Client(..)), "{inside:?}");
    let turned_away = || cx.shared.home_slot().counters().per_ip;
    assert!(matches!(door.next().unwrap(), Met::Short(Duration::ZERO)));
    assert_eq!(turned_away(), AT_ONCE as u64);
    assert!(matches!(door.next().unwrap(), Met::Nobody));
    assert_eq!(turned_away(), CROWD as u64);
    // Nobody who was turned away keeps a permit.
    drop((inside, door));
    let permits = std::iter::from_fn(|| cx.gate.try_enter().unwrap());
    assert_eq!(permits.collect::<Vec<_>>().len(), 9);
}

fn door_with(on_full: OnFull) -> (Context, SocketAddr) {
    let mut config = Config::new(Mode::Epoll, NonZeroUsize::MIN);
    config.limits.on_full = on_full;
    context(config)
}

/// How many are let in, of two who come as the drain begins.
fn let_in_at_the_end(on_full: OnFull, before: fn(&mut Door<'_>), end: fn(&Stop)) -> usize {
    let (cx, addr) = door_with(on_full);
    let mut door = Door::new(&cx, SocketFlags::NONBLOCK);
    let [_first] = come(&cx, addr);
    before(&mut door);
    let _clients: [_; 2] = come(&cx, addr);
    end(&cx.shared.stop);
    let met = (0..3).map(|_| door.next().unwrap());
    let met: Vec<_> = met.collect();
    assert!(matches!(met[1..], [Met::Closed, Met::Closed]), "{met:?}");
    usize::from(matches!(met[0], Met::Client(..)))
}

#[test]
fn who_waits_for_a_client_as_the_drain_begins_looks_out_once_more() {
    let busy = |door: &mut Door<'_>| assert!(matches!(door.next().unwrap(), Met::Client(..)));
    let idle = |door: &mut Door<'_>| {
        assert!(matches!(door.next().unwrap(), Met::Client(..)));
        assert!(matches!(door.next().unwrap(), Met::Nobody));
    };
    let resting = |door: &mut Door<'_>| {
        assert!(matches!(door.next().unwrap(), Met::Client(..)));
        door.rest();
    };
    for on_full in [OnFull::Wait, OnFull::Reject] {
        assert_eq!(let_in_at_the_end(on_full, idle, Stop::drain), 1);
        assert_eq!(let_in_at_the_end(on_full, resting, Stop::drain), 1);
        // It has never been asked, so it has no permit yet.
        assert_eq!(let_in_at_the_end(on_full, |_| {}, Stop::drain), 1);
        // It was not woken for anybody.
        assert_eq!(let_in_at_the_end(on_full, busy, Stop::drain), 0);
        assert_eq!(let_in_at_the_end(on_full, idle, Stop::cut), 0);
    }
}

#[test]
fn the_last_look_may_find_nobody() {
    let (cx, _) = door_with(OnFull::Wait);
    let mut door = Door::new(&cx, SocketFlags::NONBLOCK);
    assert!(matches!(door.next().unwrap(), Met::Nobody));
    cx.shared.stop.drain();
    assert!(matches!(door.next().unwrap(), Met::Closed));
}

/// A server for nine whose own process has two seats.
fn two_seats(on_full: OnFull) -> (Context, Gate, SocketAddr) {
    let (mut cx, addr) = door_with(on_full);
    let seats = Gate::new(2).unwrap();
    cx.seats = Some(seats.clone());
    (cx, seats, addr)
}

#[test]
fn a_process_without_a_seat_leaves_clients_to_the_others() {
    for on_full in [OnFull::Wait, OnFull::Reject] {
        let (cx, seats, addr) = two_seats(on_full);
        let mut door = Door::new(&cx, SocketFlags::NONBLOCK);
        let _clients: [_; 3] = come(&cx, addr);
        let first = door.next().unwrap();
        let second = door.next().unwrap();
        for client in [&first, &second] {
            assert!(matches!(client, Met::Client(..)), "{on_full:?}: {client:?}");
        }
        assert!(matches!(door.next().unwrap(), Met::Full) && door.lacks_seat());
        assert_eq!(cx.shared.home_slot().counters().rejected, 0);
        drop(first);
        assert!(!seats.is_empty().unwrap());
        assert!(matches!(door.next().unwrap(), Met::Client(..)));
    }
}

#[test]
fn a_process_without_a_seat_rejects_only_for_a_server_that_is_full() {
    let (cx, _, addr) = two_seats(OnFull::Reject);
    let mut door = Door::new(&cx, SocketFlags::NONBLOCK);
    let _clients: [_; 3] = come(&cx, addr);
    let _inside = [(); 2].map(|()| door.next().unwrap());
    // What others have taken.
    let mut taken: Vec<_> = std::iter::from_fn(|| cx.gate.try_enter().unwrap()).collect();
    assert!(matches!(door.next().unwrap(), Met::Nobody) && door.lacks_seat());
    assert_eq!(cx.shared.home_slot().counters().rejected, 1);
    let [_next] = come(&cx, addr);
    taken.pop();
    assert!(matches!(door.next().unwrap(), Met::Full));
    assert_eq!(cx.shared.home_slot().counters().rejected, 1);
}

#[test]
fn nobody_who_waits_for_a_client_keeps_a_seat_from_those_who_have_one() {
    let (cx, seats, _) = two_seats(OnFull::Reject);
    let mut door = Door::new(&cx, SocketFlags::NONBLOCK);
    assert!(matches!(door.next().unwrap(), Met::Nobody));
    drop(door);
    let left = std::iter::from_fn(|| seats.try_enter().unwrap());
    assert_eq!(left.collect::<Vec<_>>().len(), 2);
}
