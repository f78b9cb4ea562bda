//! What bounds a client that is inside: what it sees when a limit bites, and that the books tell
//! which one it was.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use server::{Choice, Limits, for_each_mode};
use socket2::{Domain, Socket, Type};
use support::{
    LIMIT, TestServer, assert_balanced, config, end_of, has_nothing_to_read, round_trip,
    until_stalled,
};

/// Long enough for a client that does what is asked of it, on a busy machine too.
const SOON: Duration = Duration::from_millis(400);

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
        let server = server(mode, |limits| limits.write_timeout = Some(SOON));
        let mut patient = (server.capacity() > 1).then(|| server.connect());
        if let Some(patient) = &mut patient {
            round_trip(patient, b"quiet, and that is all")?;
        }
        let mut client = server.connect();
        until_stalled(&client, &vec![b'x'; 64 << 20]);
        assert!(is_broken_within(LIMIT, &client));
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
        let server = server(mode, |limits| limits.write_timeout = Some(SOON));
        let mut client = with_small_buffers(&server)?;
        until_stalled(&client, &vec![b'x'; 64 << 20]);
        // It half-closes as well, which must not be taken for news again and again.
        client.shutdown(Shutdown::Write)?;
        while !is_broken_within(SOON / 20, &client) {
            if client.read(&mut [0]).is_err() {
                break;
            }
        }
        drop(client);
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.stalled, 1);
    }
}

/// Whether it is broken, or breaks within `time`.
fn is_broken_within(time: Duration, client: &TcpStream) -> bool {
    let mut fds = [PollFd::new(client, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::try_from(time).unwrap())).unwrap() > 0
}

/// A client whose kernel takes as little as it can.
fn with_small_buffers(server: &TestServer) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(1024)?;
    socket.connect_timeout(&server.addr.into(), LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    Ok(socket.into())
}
