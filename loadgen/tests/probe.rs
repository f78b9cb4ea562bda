//! The probe finds what is known about each of these servers, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall panic")]

mod support;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use cli::Interrupt;
use loadgen::probe::{
    self, Config, HalfClose, Hindrance, Kind, ProbeError, Queue, Room, Serves, Stage,
};
use loadgen::{Ending, Exchange, Http, Protocol};
use support::probing::{
    NO_LIMIT, PATIENCE, all, config, limit, patient, pool, probe, start_workers,
};
use support::{Server, closed_port, echo, reset};

/// The size of a pool is the figure of each kind, and those beyond wait.
fn names_a_pool_of(workers: u32) {
    let found = probe(&config(pool(workers as usize, echo)));
    assert_eq!(found.serves, all(limit(workers, Hindrance::Waits)));
    let queue = Queue {
        behind: Kind::Silent,
        waiting: 8,
        next: None,
    };
    assert_eq!(found.queue, Some(queue));
    assert_eq!(found.half_close, Some(HalfClose::AnswersThenCloses));
    let sentence =
        format!("serves {workers} at once; 8 more connect and wait, and more were not tried");
    assert_eq!(found.sentence, sentence);
    assert!(!found.interrupted && !found.gone && found.answer_us.is_some());
}

#[test]
fn one_worker() {
    names_a_pool_of(1);
}

#[test]
fn two_workers() {
    names_a_pool_of(2);
}

#[test]
fn four_workers() {
    names_a_pool_of(4);
}

#[test]
fn eight_workers() {
    names_a_pool_of(8);
}

#[test]
fn sixteen_workers() {
    names_a_pool_of(16);
}

#[test]
fn a_limit_that_a_leap_goes_past_is_named_exactly() {
    let config = Config {
        most_clients: 64,
        ..config(pool(43, echo))
    };
    assert_eq!(probe(&config).serves, all(limit(43, Hindrance::Waits)));
}

#[test]
fn a_limit_beyond_the_last_trial_is_none() {
    let config = Config {
        most_clients: 3,
        ..config(pool(4, echo))
    };
    assert_eq!(probe(&config).serves, all(Some(Room::NoLimit { tried: 3 })));
}

#[test]
fn a_thread_for_each_connection_has_no_limit() {
    let server = Server::echo();
    let found = probe(&config(server.addr()));
    assert_eq!((found.serves, found.queue), (all(NO_LIMIT), None));
    assert_eq!(found.sentence, "no limit up to 20 clients at once");
}

/// A server with `places` places; `reject` is done to whoever comes when all are taken.
fn rejecting(places: usize, reject: fn(TcpStream) -> io::Result<()>) -> Server {
    let taken = Arc::new(AtomicUsize::new(0));
    Server::accepting(move |_, socket| {
        if taken.fetch_add(1, Ordering::SeqCst) >= places {
            taken.fetch_sub(1, Ordering::SeqCst);
            let _ = reject(socket);
            return true;
        }
        let taken = Arc::clone(&taken);
        thread::spawn(move || {
            let _ = echo(socket);
            taken.fetch_sub(1, Ordering::SeqCst);
        });
        true
    })
}

fn nobody_waits(next: Hindrance) -> Option<Queue> {
    Some(Queue {
        behind: Kind::Silent,
        waiting: 0,
        next: Some(next),
    })
}

#[test]
fn who_is_closed_at_the_limit_does_not_wait() {
    let server = rejecting(4, |socket| {
        // With the request unread the close is a reset for whoever has sent one.
        socket.set_read_timeout(Some(PATIENCE / 10))?;
        socket.peek(&mut [0]).map(drop)
    });
    let found = probe(&patient(server.addr()));
    assert_eq!(found.serves, all(limit(4, Hindrance::Closed)));
    assert_eq!(found.queue, nobody_waits(Hindrance::Closed));
}

#[test]
fn who_is_reset_at_the_limit_does_not_wait() {
    let server = rejecting(2, reset);
    let found = probe(&patient(server.addr()));
    assert_eq!(found.serves, all(limit(2, Hindrance::Reset)));
    assert_eq!(found.queue, nobody_waits(Hindrance::Reset));
}

/// A server with `places` places, which closes the oldest connection for a new one.
fn evicting(places: usize) -> Server {
    let inside: Arc<Mutex<Vec<(usize, TcpStream)>>> = Arc::default();
    Server::accepting(move |number, socket| {
        let mut held = inside.lock().unwrap();
        if held.len() == places {
            let _ = held.remove(0).1.shutdown(std::net::Shutdown::Both);
        }
        held.push((number, socket.try_clone().unwrap()));
        let inside = Arc::clone(&inside);
        thread::spawn(move || {
            let _ = echo(socket);
            inside.lock().unwrap().retain(|(held, _)| *held != number);
        });
        true
    })
}

#[test]
fn who_is_served_in_the_place_of_another_found_no_room() {
    let server = evicting(3);
    let found = probe(&config(server.addr()));
    assert_eq!(found.serves, all(Some(Room::MakesRoom { clients: 3 })));
    assert_eq!(found.queue, None);
}

#[test]
fn a_backlog_of_four_holds_five() {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&any.into()).unwrap();
    socket.listen(4).unwrap();
    let listener = TcpListener::from(socket);
    let addr = listener.local_addr().unwrap();
    start_workers(1, Arc::new(listener), echo);
    let found = probe(&config(addr));
    let queue = Queue {
        behind: Kind::Silent,
        waiting: 5,
        next: Some(Hindrance::TimesOut),
    };
    assert_eq!(found.queue, Some(queue));
    let sentence = "serves 1 at once; 5 more connect and wait; then connects time out";
    assert_eq!(found.sentence, sentence);
}

/// Answers each request of a kept connection with `status`.
fn answer_http(mut socket: TcpStream, status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while socket.read(&mut byte)? == 1 {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            socket.write_all(answer.as_bytes())?;
        }
    }
    Ok(())
}

#[test]
fn any_answer_that_an_idle_server_gives_is_an_answer() {
    let config = Config {
        protocol: Protocol::Http(Http {
            host: "test".to_owned(),
            path: "/nothing/here".to_owned(),
            headers: Vec::new(),
            body: None,
        }),
        ..config(pool(2, |socket| answer_http(socket, "404 Not Found")))
    };
    assert_eq!(probe(&config).serves, all(limit(2, Hindrance::Waits)));
}

#[test]
fn another_answer_than_before_is_no_service() {
    let inside = Arc::new(AtomicUsize::new(0));
    let server = Server::accepting(move |_, socket| {
        // Counted in the order of connections, which that of threads is not.
        let free = inside.fetch_add(1, Ordering::SeqCst) < 3;
        let inside = Arc::clone(&inside);
        thread::spawn(move || {
            let _ = answer_http(socket, if free { "200 OK" } else { "503 Busy" });
            inside.fetch_sub(1, Ordering::SeqCst);
        });
        true
    });
    let protocol = Protocol::Http(Http {
        host: "test".to_owned(),
        path: "/".to_owned(),
        headers: Vec::new(),
        body: None,
    });
    let config = Config {
        protocol,
        ..patient(server.addr())
    };
    let found = probe(&config);
    assert_eq!(found.serves.silent, limit(3, Hindrance::OtherAnswer));
    assert_eq!(found.serves.kept, limit(3, Hindrance::OtherAnswer));
}

#[test]
fn a_request_of_one_byte_cannot_be_sent_slowly() {
    let config = Config {
        protocol: Protocol::Exchange(Exchange {
            send: b"\n".to_vec(),
            ending: Ending::Until(b"\n".to_vec()),
        }),
        ..config(pool(2, echo))
    };
    let expected = Serves {
        slow: None,
        ..all(limit(2, Hindrance::Waits))
    };
    assert_eq!(probe(&config).serves, expected);
}

#[test]
fn a_server_that_speaks_first_is_probed_without_a_request() {
    let greet = |mut socket: TcpStream| {
        socket.write_all(b"220 ready\r\n")?;
        echo(socket)
    };
    let config = Config {
        protocol: Protocol::Exchange(Exchange {
            send: Vec::new(),
            ending: Ending::Until(b"\n".to_vec()),
        }),
        ..config(pool(2, greet))
    };
    let found = probe(&config);
    let expected = Serves {
        slow: None,
        ..all(limit(2, Hindrance::Waits))
    };
    assert_eq!(found.serves, expected);
    assert_eq!(found.half_close, Some(HalfClose::AnswersThenCloses));
}

fn refusal(config: &Config) -> ProbeError {
    probe::run(config, &Interrupt::default(), &mut |_| {}).unwrap_err()
}

#[test]
fn nobody_there_is_an_error_with_a_remedy() {
    let (_socket, addr) = closed_port();
    let why = refusal(&config(addr)).to_string();
    assert!(
        why.contains("refused") && why.contains(&addr.to_string()),
        "{why}"
    );
    let babbler = Server::new(|_, mut socket| {
        socket.write_all(b"220 ready\r\n")?;
        echo(socket)
    });
    let why = refusal(&config(babbler.addr())).to_string();
    assert!(why.contains("--protocol"), "{why}");
}

#[test]
fn a_server_that_ends_with_its_first_client_is_told_so() {
    let server = Server::accepting(|_, socket| {
        thread::spawn(move || echo(socket));
        false
    });
    let why = refusal(&config(server.addr())).to_string();
    assert!(why.contains("one client was answered"), "{why}");
}

#[test]
fn an_interruption_keeps_what_was_found_out() {
    let interrupt = Interrupt::default();
    let found = probe::run(&config(pool(2, echo)), &interrupt, &mut |stage| {
        if stage == Stage::Room(Kind::Kept) {
            interrupt.raise(2);
        }
    });
    let found = found.unwrap();
    assert!(found.interrupted);
    let expected = Serves {
        silent: limit(2, Hindrance::Waits),
        ..Serves::default()
    };
    assert_eq!((found.serves, found.idle), (expected, None));
    assert_eq!(found.sentence, "serves 2 at once");
}
