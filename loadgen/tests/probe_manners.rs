//! The probe finds what a server does with one client: with one that says nothing, with one that
//! has its answer, and with one that ends its sending side.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use loadgen::probe::{Config, HalfClose, Hindrance, Room, Serves};
use support::probing::{NO_LIMIT, PATIENCE, all, config, limit, patient, pool, probe};
use support::{Server, echo, reset};

/// Answers one message and closes soon after.
fn answer_once(mut socket: TcpStream) -> io::Result<()> {
    let mut message = [0; 64];
    socket.read_exact(&mut message)?;
    socket.write_all(&message)?;
    socket.set_read_timeout(Some(PATIENCE / 10))?;
    socket.read(&mut message).map(drop)
}

#[test]
fn a_server_that_closes_after_its_answer_keeps_nobody() {
    let config = Config {
        idle: 8 * PATIENCE,
        ..patient(pool(3, answer_once))
    };
    let found = probe(&config);
    let expected = Serves {
        kept: Some(Room::Closes),
        ..all(limit(3, Hindrance::Waits))
    };
    assert_eq!(found.serves, expected);
    assert!(found.idle.unwrap().kept_s.is_some());
}

/// Echoes, and closes a connection on which nothing comes for a while.
fn echo_for_a_while(socket: TcpStream) -> io::Result<()> {
    socket.set_read_timeout(Some(10 * PATIENCE))?;
    echo(socket)
}

#[test]
fn idle_connections_are_seen_to_be_closed() {
    let config = Config {
        most_clients: 1,
        idle: support::PATIENCE,
        ..config(pool(2, echo_for_a_while))
    };
    let idle = probe(&config).idle.unwrap();
    assert!(idle.silent_s.is_some() && idle.kept_s.is_some(), "{idle:?}");
}

/// Closes a connection on which nothing comes for a while after an answer.
fn echo_then_for_a_while(mut socket: TcpStream) -> io::Result<()> {
    let mut message = [0; 64];
    socket.read_exact(&mut message)?;
    socket.write_all(&message)?;
    echo_for_a_while(socket)
}

#[test]
fn a_kept_client_is_watched_even_where_a_silent_one_would_keep_it_out() {
    let config = Config {
        most_clients: 1,
        idle: 20 * PATIENCE,
        ..config(pool(1, echo_then_for_a_while))
    };
    let idle = probe(&config).idle.unwrap();
    assert!(idle.silent_s.is_none() && idle.kept_s.is_some(), "{idle:?}");
}

#[test]
fn a_pool_with_a_time_limit_is_a_pool_all_the_same() {
    let found = probe(&patient(pool(2, echo_for_a_while)));
    let two = limit(2, Hindrance::Waits);
    assert_eq!((found.serves.silent, found.serves.kept), (two, two));
}

/// Takes the end of the client's sending side for the end of the client.
fn abandon_half_closed(mut socket: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let bytes = socket.read(&mut buffer)?;
        // With a client that stays this would block; the end, if it is one, follows at once.
        socket.set_read_timeout(Some(PATIENCE / 2))?;
        if bytes == 0 || matches!(socket.peek(&mut [0]), Ok(0)) {
            return Ok(());
        }
        socket.set_read_timeout(None)?;
        socket.write_all(&buffer[..bytes])?;
    }
}

#[test]
fn an_answer_that_is_dropped_for_a_half_close_is_missed() {
    let config = Config {
        most_clients: 1,
        ..patient(pool(2, abandon_half_closed))
    };
    assert_eq!(probe(&config).half_close, Some(HalfClose::DropsTheAnswer));
}

#[test]
fn a_connection_that_stays_open_after_a_half_close_is_seen() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let server = Server::new(move |_, socket| {
        // A duplicate holds back the end of the connection.
        kept.lock().unwrap().push(socket.try_clone()?);
        echo(socket)
    });
    let config = Config {
        most_clients: 1,
        ..config(server.addr())
    };
    assert_eq!(
        probe(&config).half_close,
        Some(HalfClose::AnswersAndStaysOpen)
    );
}

/// Resets the first client that says nothing for a while, and no other.
fn reset_the_first_silent() -> Server {
    let was_reset = AtomicBool::new(false);
    Server::new(move |_, socket| {
        socket.set_read_timeout(Some(PATIENCE / 10))?;
        let is_silent = socket.peek(&mut [0]).is_err();
        socket.set_read_timeout(None)?;
        if is_silent && !was_reset.swap(true, Ordering::SeqCst) {
            return reset(socket);
        }
        echo(socket)
    })
}

#[test]
fn who_is_closed_once_shows_no_rule() {
    let server = reset_the_first_silent();
    assert_eq!(probe(&patient(server.addr())).serves, all(NO_LIMIT));
}
