//! What bounds a client that is inside: what it sees when a limit bites, and that the books tell
//! which one it was.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, and a mode that is left out says why"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use server::{Choice, Limits, MinRate, for_each_mode};
use socket2::{Domain, Socket, Type};
use support::{
    LIMIT, TestServer, WORKERS, assert_balanced, config, end_of, has_ended_within_though_it_offers,
    has_nothing_to_read, round_trip,
};

/// Long enough for a client that does what is asked of it, on a busy machine too.
const SOON: Duration = Duration::from_millis(800);

/// Longer than it takes to see that a server reads no more.
const STALL: Duration = Duration::from_millis(1000);

/// A server with no time limit but those that `bound` sets.
fn server(mode: Choice, bound: impl FnOnce(&mut Limits)) -> TestServer {
    let mut config = config(mode);
    config.limits.idle_timeout = None;
    config.limits.write_timeout = None;
    bound(&mut config.limits);
    TestServer::with(config)
}

for_each_mode! {
    fn who_is_silent_for_too_long_gets_the_end_and_is_counted(mode) {
        let server = server(mode, |limits| limits.idle_timeout = Some(SOON));
        let mut client = server.connect();
        round_trip(&mut client, b"and then nothing")?;
        assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        drop(client);
        let drained = server.stop();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.idle, counters.stalled, counters.failed), (1, 0, 0));
    }

    fn who_takes_nothing_for_too_long_is_reset_and_counted(mode) {
        let server = server(mode, |limits| limits.write_timeout = Some(STALL));
        let mut patient = (server.capacity() > 1).then(|| server.connect());
        if let Some(patient) = &mut patient {
            round_trip(patient, b"quiet, and that is all")?;
        }
        let mut client = server.connect();
        assert!(has_ended_within_though_it_offers(LIMIT, &client));
        assert_eq!(end_of(&mut client), None, "a close instead of a reset");
        // A limit on writing is none on silence.
        if let Some(patient) = &mut patient {
            assert!(has_nothing_to_read(patient));
            round_trip(patient, b"still there?")?;
        }
        drop(patient);
        let drained = server.stop();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.stalled, counters.idle, counters.failed), (1, 0, 0));
    }

    fn a_byte_now_and_then_is_not_taking_what_is_there(mode) {
        let server = server(mode, |limits| limits.write_timeout = Some(STALL));
        let mut client = with_a_small_buffer(&server)?;
        let due = Instant::now() + LIMIT;
        while !has_ended_within_though_it_offers(SOON / 20, &client) && client.read(&mut [0]).is_ok() {
            assert!(Instant::now() < due, "it is kept, little as it takes");
        }
        drop(client);
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.stalled, 1);
    }
}

/// A server whose lines must come at 1000 bytes per second, and soon.
fn server_in_a_hurry(mode: Choice) -> TestServer {
    server(mode, |limits| {
        limits.min_rate = Some(MinRate {
            bytes_per_s: NonZeroU32::new(1000).unwrap(),
            grace: SOON,
        });
    })
}

for_each_mode! {
    fn who_begins_lines_without_end_makes_room_for_the_next_and_is_counted(mode) {
        let server = server_in_a_hurry(mode);
        let slow = server.capacity().min(WORKERS);
        let mut clients: Vec<_> = (0..slow).map(|_| server.connect()).collect();
        clients.iter_mut().try_for_each(|client| round_trip(client, b"a whole line
and half"))?;
        let mut next = server.connect();
        round_trip(&mut next, b"a whole line
")?;
        for client in &mut clients {
            assert_eq!(end_of(client).as_deref(), Some(&b""[..]), "it is closed in order");
        }
        // Who is quiet between lines is not slow.
        round_trip(&mut next, b"still there?
")?;
        drop((clients, next));
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!((drained.counters.slow, drained.counters.idle), (slow as u64, 0));
    }

    fn a_byte_now_and_then_is_no_line(mode) {
        let server = server_in_a_hurry(mode);
        let mut client = server.connect();
        let (mut sent, due) = (0_u64, Instant::now() + LIMIT);
        // Until the end comes, or the reset for a byte that crossed it on the way.
        while !has_ended_within(SOON / 20, &client) && client.write(b"x").is_ok() {
            sent += 1;
            assert!(Instant::now() < due, "it is kept, slow as it is");
        }
        drop(client);
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.slow, 1);
        assert!((2..=sent).contains(&drained.counters.bytes), "it kept on sending");
    }

    fn who_finished_a_line_may_be_quiet_again(mode) {
        let server = server_in_a_hurry(mode);
        if server.capacity() == 1 {
            println!("not in {mode}: it serves one client at a time");
            return Ok(());
        }
        let mut client = server.connect();
        round_trip(&mut client, b"half a line")?;
        round_trip(&mut client, b" and its rest\n")?;
        let mut slow = server.connect();
        round_trip(&mut slow, b"half a line")?;
        assert_eq!(end_of(&mut slow).as_deref(), Some(&b""[..]));
        round_trip(&mut client, b"still there?\n")?;
        drop((client, slow));
        let counters = server.stop().counters;
        assert_eq!((counters.slow, counters.idle), (1, 0));
    }

    fn a_line_without_end_is_welcome_as_long_as_it_keeps_the_rate(mode) {
        let server = server_in_a_hurry(mode);
        let mut fast = server.connect();
        if server.capacity() > 1 {
            let mut slow = server.connect();
            round_trip(&mut slow, b"half a line")?;
            while has_nothing_to_read(&slow) {
                round_trip(&mut fast, &[b'x'; 2000])?;
            }
        }
        round_trip(&mut fast, &[b'x'; 2000])?;
        drop(fast);
        let expected = u64::from(server.capacity() > 1);
        assert_eq!(server.stop().counters.slow, expected);
    }
}

/// Whether the server ends it, in order or not, within `time`.
fn has_ended_within(time: Duration, client: &TcpStream) -> bool {
    let mut fds = [PollFd::new(client, PollFlags::RDHUP)];
    poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap() > 0
}

/// A client whose kernel takes as little as it can.
fn with_a_small_buffer(server: &TestServer) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(1024)?;
    socket.connect_timeout(&server.addr.into(), LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    Ok(socket.into())
}
