//! What the kernel does for a connection because it was asked to: small buffers bound what a client
//! that never reads can park, and peers that vanished are noticed.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use server::{ListenOptions, for_each_mode};
use socket2::{Domain, Socket, Type};
use support::network::{SERVER_ADDR, two_networks};
use support::{
    LIMIT, ServerProcess, TestServer, assert_balanced, config, end_of, pattern, round_trip,
    until_stalled,
};

for_each_mode! {
    fn small_buffers_are_all_that_a_client_that_never_reads_can_fill(mode) {
        /// Two buffers of the kernel and one of the server, and the client's own two, of which the
        /// kernel counts the double.
        const MOST: usize = 512 * 1024;
        let options = ListenOptions {
            recv_buffer_bytes: Some(16 * 1024),
            send_buffer_bytes: Some(16 * 1024),
            ..ListenOptions::default()
        };
        let addr = "127.0.0.1:0".parse().unwrap();
        let server = TestServer::listening(&addr, options, config(mode));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.set_send_buffer_size(64 * 1024)?;
        socket.connect_timeout(&server.addr.into(), LIMIT)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut client = TcpStream::from(socket);
        let sent = pattern(11, 4 * MOST);
        let taken = until_stalled(&client, &sent);
        assert!(taken < MOST, "{taken} bytes are parked");
        client.shutdown(Shutdown::Write)?;
        let received = end_of(&mut client).unwrap();
        assert!(received == sent[..taken], "{} of {taken} bytes", received.len());
        assert_balanced(&server.stop());
    }
}

/// What the log says of the end of a connection whose peer does not answer any more.
const TIMED_OUT: &str = "Failed(TimedOut)";

#[test]
fn an_answer_that_nobody_acknowledges_ends_its_connection() {
    vanishes(&["--user-timeout", "1s", "--work", "io=2s"], |client| {
        // Its answer comes when the cable is cut already.
        client.write_all(b"\n").unwrap();
    });
}

#[test]
fn a_silent_peer_that_is_no_longer_there_ends_its_connection() {
    vanishes(&["--keepalive", "1s,1s,1"], |_| ());
}

/// A client does something and is then out of reach, in modes that wait in different ways.
fn vanishes(args: &[&str], act: impl Fn(&mut TcpStream)) {
    for mode in ["thread-pool", "async", "epoll", "process-pool"] {
        let Some((ours, theirs)) = two_networks() else {
            return;
        };
        let args = [
            &["--mode", mode, "--idle-timeout", "0", "--workers", "2"],
            args,
        ]
        .concat();
        let server = ours.within(|| ServerProcess::start_verbose_at(SERVER_ADDR, &args));
        let mut client = theirs.within(|| server.connect());
        round_trip(&mut client, b"here").unwrap();
        act(&mut client);
        theirs.cut();
        server.log().wait_for(TIMED_OUT, 1);
        // It ended here only, and nobody told the client.
        client.set_nonblocking(true).unwrap();
        let heard = client.read(&mut [0]).unwrap_err();
        assert_eq!(heard.kind(), std::io::ErrorKind::WouldBlock);
        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0), "{mode}");
        assert_eq!(
            (farewell.counted("accepted"), farewell.counted("left")),
            (1, 0)
        );
    }
}
