//! The contract of every mode: what is sent comes back, byte for byte and in order, then the end.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use server::{Counters, for_each_mode};
use socket2::{Domain, SockRef, Socket, Type};
use support::{
    LIMIT, TestServer, WORKERS, assert_balanced, converse, converse_in_chunks, end_of, pattern,
    reset, round_trip, until_stalled,
};

for_each_mode! {
    fn every_length_comes_back_and_then_the_end(mode) {
        let server = TestServer::start(mode);
        for length in [0, 1, 4095, 4096, 4097, 65_537, 1 << 20] {
            let sent = pattern(length as u64, length);
            let received = converse(&server.connect(), &sent)?;
            assert!(received == sent, "{} of {length} bytes", received.len());
        }
        let drained = server.stop();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.accepted, counters.served, counters.cut), (7, 6, 0));
        assert_eq!(counters.bytes, 1 + 4095 + 4096 + 4097 + 65_537 + (1 << 20));
    }

    fn it_does_not_matter_how_a_stream_is_cut(mode) {
        let server = TestServer::start(mode);
        for seed in 1..=4 {
            let sent = pattern(seed, 1 << 20);
            let mut rest = sent.as_slice();
            let mut lengths = pattern(seed + 100, 1 << 16).into_iter();
            let chunks = std::iter::from_fn(move || {
                let exponent = lengths.next()? % 16;
                let length = (1 << exponent) + usize::from(lengths.next()?);
                let (chunk, later) = rest.split_at(length.min(rest.len()));
                rest = later;
                (!chunk.is_empty()).then_some(chunk)
            });
            let received = converse_in_chunks(&server.connect(), chunks)?;
            assert!(received == sent, "seed {seed}: {} bytes", received.len());
        }
        assert_eq!(server.stop().counters.cut, 0);
    }

    fn every_value_of_a_byte_is_left_alone(mode) {
        let server = TestServer::start(mode);
        let sent: Vec<u8> = (0..=255).chain((0..=255).rev()).chain(*b"\r\n\0\n\xFF\xC0").collect();
        let mut client = server.connect();
        round_trip(&mut client, &sent)?;
        (0..=255).try_for_each(|byte| round_trip(&mut client, &[byte]))?;
    }

    fn single_bytes_come_back_in_order(mode) {
        let server = TestServer::start(mode);
        let sent = pattern(5, 10_000);
        let received = converse_in_chunks(&server.connect(), sent.chunks(1))?;
        assert!(received == sent, "{} bytes", received.len());
    }

    fn messages_without_a_pause_come_back_in_order(mode) {
        let server = TestServer::start(mode);
        let messages = (0..10_000).map(|number| format!("message {number}\n"));
        let messages: Vec<String> = messages.collect();
        let chunks = messages.iter().map(String::as_bytes);
        let received = converse_in_chunks(&server.connect(), chunks)?;
        assert!(received == messages.concat().as_bytes(), "{} bytes", received.len());
    }

    fn whoever_says_nothing_and_closes_gets_the_end(mode) {
        let server = TestServer::start(mode);
        for _ in 0..20 {
            let mut client = server.connect();
            client.shutdown(Shutdown::Write)?;
            assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        }
        (0..20).for_each(|_| drop(server.connect()));
        // Whoever is served came after all of them.
        round_trip(&mut server.connect(), b"x")?;
        let drained = server.stop();
        assert_balanced(&drained);
        let counters = drained.counters;
        assert_eq!((counters.accepted, counters.served, counters.bytes), (41, 1, 1));
    }

    fn bytes_wait_for_a_peer_that_does_not_read(mode) {
        let server = TestServer::start(mode);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        // Small buffers on this side make the server's fill sooner.
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.set_send_buffer_size(64 * 1024)?;
        socket.connect_timeout(&server.addr.into(), LIMIT)?;
        socket.set_read_timeout(Some(LIMIT))?;
        let mut client = TcpStream::from(socket);

        let sent = pattern(6, 1_000_003).repeat(64);
        let taken = until_stalled(&client, &sent);
        client.shutdown(Shutdown::Write)?;
        let received = end_of(&mut client).unwrap();
        assert!(received == sent[..taken], "{} of {taken} bytes", received.len());
        assert_balanced(&server.stop());
    }

    fn an_urgent_byte_stays_in_its_place(mode) {
        let server = TestServer::start(mode);
        let mut client = server.connect();
        client.write_all(b"abc")?;
        SockRef::from(&client).send_out_of_band(b"D")?;
        client.write_all(b"ef")?;
        client.shutdown(Shutdown::Write)?;
        assert_eq!(end_of(&mut client).as_deref(), Some(&b"abcDef"[..]));
    }
}

for_each_mode! {
    fn a_reset_in_mid_stream_harms_nobody_else(mode) {
        let server = TestServer::start(mode);
        for _ in 0..2 * WORKERS {
            let mut victim = server.connect();
            round_trip(&mut victim, b"hello")?;
            // In `sequential` the witness waits for the victim's end, elsewhere it sees it.
            let mut witness = server.connect();
            if server.capacity() > 1 {
                round_trip(&mut witness, b"before")?;
            }
            victim.write_all(&pattern(7, 100_000))?;
            reset(victim);
            round_trip(&mut witness, &pattern(8, 10_000))?;
        }
        let drained = server.stop();
        assert_balanced(&drained);
        let Counters { accepted, failed, cut, .. } = drained.counters;
        let resets = 2 * WORKERS as u64;
        assert_eq!((accepted, failed, cut), (2 * resets, resets, 0));
    }

    fn a_reset_ends_the_wait_for_a_peer_that_takes_nothing(mode) {
        let server = TestServer::start(mode);
        let victim = server.connect();
        until_stalled(&victim, &vec![b'x'; 64 << 20]);
        reset(victim);
        round_trip(&mut server.connect(), b"next, please")?;
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!((drained.counters.failed, drained.counters.cut), (1, 0));
    }

    fn a_client_that_leaves_without_its_bytes_takes_no_worker_along(mode) {
        let server = TestServer::start(mode);
        for _ in 0..10 * WORKERS {
            let mut client = server.connect();
            client.write_all(&pattern(9, 50_000))?;
        }
        round_trip(&mut server.connect(), b"next, please")?;
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 0);
    }

    fn a_client_that_hears_nothing_ends_at_its_close(mode) {
        let server = TestServer::start(mode);
        for _ in 0..2 * WORKERS {
            let mut client = server.connect();
            client.shutdown(Shutdown::Read)?;
            client.write_all(&pattern(10, 1000))?;
            assert_eq!(client.read(&mut [0; 2000]).ok().filter(|count| *count > 1000), None);
        }
        round_trip(&mut server.connect(), b"next, please")?;
        assert_balanced(&server.stop());
    }

    fn both_sides_may_close_at_once(mode) {
        let server = TestServer::start(mode);
        let count = server.capacity().min(20);
        let mut clients: Vec<_> = (0..count).map(|_| server.connect()).collect();
        clients.iter_mut().try_for_each(|client| round_trip(client, b"x"))?;
        let together = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                server.stop.cut();
            });
            together.wait();
            clients.iter().try_for_each(|client| client.shutdown(Shutdown::Write))
        })?;
        for client in &mut clients {
            assert_eq!(end_of(client).as_deref(), Some(&b""[..]));
        }
        assert_balanced(&server.wait());
    }
}
