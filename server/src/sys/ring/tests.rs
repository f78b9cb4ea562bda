//! A ring of the kernel's, asked directly; where there is none the tests skip and say so.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::RecvFlags;

use super::available::SUBMISSIONS;
use super::*;

const KEY: usize = 7;
const LIMIT: Duration = Duration::from_secs(20);
const NO_BUFFERS: i32 = Errno::NOBUFS.raw_os_error();

/// A ring, or why there is none.
fn ring() -> Option<Ring> {
    match probe() {
        Err(lack @ Unavailable::Feature { .. }) => println!("SKIPPED: {lack}"),
        probed => probed.unwrap(),
    }
    Ring::open().ok()
}

/// The next report.
fn next(ring: &mut Ring) -> Done {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(done) = ring.next() {
            return done;
        }
        assert!(Instant::now() < end, "nothing is done");
        ring.wait(Some(end)).unwrap();
    }
}

/// The next bytes, and whether more may follow.
fn next_piece(ring: &mut Ring) -> (io::Result<Option<Piece>>, bool) {
    match next(ring) {
        Done::Received {
            key: KEY,
            outcome,
            more,
            ..
        } => (outcome, more),
        other => panic!("{other:?}"),
    }
}

/// What was sent last, and how that went.
fn next_sent(ring: &mut Ring) -> (io::Result<usize>, Load) {
    match next(ring) {
        Done::Sent {
            key: KEY,
            outcome,
            load,
        } => (outcome, load),
        other => panic!("{other:?}"),
    }
}

/// Writes until the other side holds no more.
fn fill(mut socket: &UnixStream) -> usize {
    socket.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(count) = socket.write(&[7; 4096]) {
        written += count;
    }
    written
}

#[test]
fn far_more_than_all_buffers_hold_comes_through() {
    const BYTES: usize = 16 << 20;
    let Some(mut ring) = ring() else { return };
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let sent: Vec<u8> = (0_u64..).flat_map(u64::to_le_bytes).take(BYTES).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            peer.write_all(&sent)
                .and_then(|()| peer.shutdown(Shutdown::Write))
        });
        let mut received = Vec::new();
        ring.receive(&socket, KEY);
        loop {
            let (outcome, more) = next_piece(&mut ring);
            match outcome {
                Ok(Some(piece)) => {
                    received.extend_from_slice(ring.bytes(&piece));
                    ring.give_back(piece);
                }
                Ok(None) => break,
                Err(error) => assert_eq!(error.raw_os_error(), Some(NO_BUFFERS)),
            }
            if !more {
                ring.receive(&socket, KEY);
            }
        }
        assert!(received == sent, "{} bytes", received.len());
    });
}

#[test]
fn one_piece_is_no_more_than_a_buffer() {
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    peer.write_all(&[7; buffers::SMALL.bytes + 1]).unwrap();
    // All of it is there.
    let all = &mut [0; buffers::SMALL.bytes + 1];
    rustix::net::recv(&socket, all, RecvFlags::PEEK | RecvFlags::WAITALL).unwrap();
    for (expected, others) in [(buffers::SMALL.bytes, true), (1, false)] {
        ring.receive_once(&socket, KEY);
        let (piece, waiting) = match next(&mut ring) {
            Done::Received {
                outcome: Ok(Some(piece)),
                more: false,
                waiting,
                ..
            } => (piece, waiting),
            other => panic!("{other:?}"),
        };
        assert_eq!((ring.bytes(&piece).len(), waiting), (expected, others));
    }
}

/// Connections that have said so much, and are to be received from.
fn speakers(ring: &mut Ring, bytes: &[u8], count: usize) -> Vec<(UnixStream, UnixStream)> {
    let pairs: Vec<_> = (0..count).map(|_| UnixStream::pair().unwrap()).collect();
    for (socket, peer) in &pairs {
        (&*peer).write_all(bytes).unwrap();
        ring.receive_large(socket, KEY);
    }
    pairs
}

#[test]
fn who_streams_is_lent_the_large_buffer_that_was_used_last() {
    let Some(mut ring) = ring() else { return };
    let said = [7; buffers::SMALL.bytes + 1];
    let mut places = Vec::new();
    for _ in 0..2 {
        let _speaker = speakers(&mut ring, &said, 1);
        let piece = next_piece(&mut ring).0.unwrap().unwrap();
        assert_eq!(ring.bytes(&piece), said);
        places.push(ring.bytes(&piece).as_ptr());
        ring.give_back(piece);
    }
    assert_eq!(places[0], places[1]);
}

#[test]
fn large_buffers_are_for_those_who_speak_and_run_out_by_themselves() {
    let Some(mut ring) = ring() else { return };
    let count = usize::from(buffers::LARGE.count);
    let quiet: Vec<_> = (0..=count).map(|_| UnixStream::pair().unwrap()).collect();
    for (socket, _) in &quiet {
        ring.receive_large(socket, KEY);
    }
    let _speakers = speakers(&mut ring, b"?", count + 1);
    let mut outcomes: Vec<_> = (0..=count).map(|_| next_piece(&mut ring).0).collect();
    let ended = outcomes.pop().unwrap().unwrap_err();
    assert_eq!(ended.raw_os_error(), Some(NO_BUFFERS));
    for piece in outcomes {
        ring.give_back(piece.unwrap().unwrap());
    }
    let (socket, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"?").unwrap();
    ring.receive(&socket, KEY);
    assert!(next_piece(&mut ring).0.is_ok(), "messages have their own");
    let _speaker = speakers(&mut ring, b"?", 1);
    assert!(next_piece(&mut ring).0.is_ok(), "they are lent again");
}

#[test]
fn without_a_buffer_receiving_ends_and_begins_anew() {
    let Some(mut ring) = ring() else { return };
    let (socket, peer) = UnixStream::pair().unwrap();
    // A piece of another ring is none of this one, and changes nothing.
    ring.give_back(buffers::Buffers::new(buffers::SMALL).unwrap().take(0, 1));
    ring.receive(&socket, KEY);
    let mut held = Vec::new();
    let ended = loop {
        fill(&peer);
        match next_piece(&mut ring) {
            (Ok(Some(piece)), more) => {
                held.push(piece);
                if !more {
                    ring.receive(&socket, KEY);
                }
            }
            (outcome, _) => break outcome,
        }
    };
    assert_eq!(ended.unwrap_err().raw_os_error(), Some(NO_BUFFERS));
    assert_eq!(held.len(), usize::from(buffers::SMALL.count));
    assert!(held.iter().all(|piece| !ring.bytes(piece).is_empty()));
    held.drain(..).for_each(|piece| ring.give_back(piece));
    ring.receive(&socket, KEY);
    assert!(matches!(next_piece(&mut ring).0, Ok(Some(_))));
}

#[test]
fn what_came_in_goes_out_at_once_or_not_at_all() {
    let Some(mut ring) = ring() else { return };
    let (socket, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"hello").unwrap();
    ring.receive(&socket, KEY);
    let piece = next_piece(&mut ring).0.unwrap().unwrap();
    ring.send(&socket, KEY, Load::Received(piece), 1..4);
    let (outcome, load) = next_sent(&mut ring);
    assert_eq!(outcome.unwrap(), 3);
    let mut answer = [0; 3];
    peer.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ell");

    fill(&socket);
    ring.send(&socket, KEY, load, 0..5);
    let (outcome, load) = next_sent(&mut ring);
    assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(matches!(load, Load::Received(piece) if ring.bytes(&piece) == b"hello"));
}

#[test]
fn what_is_ours_waits_for_the_peer() {
    let Some(mut ring) = ring() else { return };
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let filled = fill(&socket);
    ring.send(&socket, KEY, Load::Owned(b"hello".to_vec()), 0..5);
    ring.wait(Some(Instant::now())).unwrap();
    assert!(ring.next().is_none(), "it waits");
    peer.read_exact(&mut vec![0; filled]).unwrap();
    assert_eq!(next_sent(&mut ring).0.unwrap(), 5);
    peer.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_cancelled_operation_is_reported_and_so_is_its_cancelling() {
    let Some(mut ring) = ring() else { return };
    let (socket, _peer) = UnixStream::pair().unwrap();
    fill(&socket);
    ring.receive(&socket, KEY);
    ring.send(&socket, KEY, Load::Owned(b"hello".to_vec()), 0..5);
    ring.cancel_all(&socket, KEY);
    let canceled = |error: io::Error| error.raw_os_error() == Some(Errno::CANCELED.raw_os_error());
    let mut reports: Vec<_> = (0..3)
        .map(|_| match next(&mut ring) {
            Done::Received {
                outcome,
                more: false,
                ..
            } => ("receive", outcome.is_err_and(canceled)),
            Done::Sent { outcome, .. } => ("send", outcome.is_err_and(canceled)),
            Done::Cancelled { key } => ("cancel", key == KEY),
            other => panic!("{other:?}"),
        })
        .collect();
    reports.sort_unstable();
    assert_eq!(
        reports,
        [("cancel", true), ("receive", true), ("send", true)]
    );
}

#[test]
fn more_may_be_asked_for_than_the_queue_holds() {
    const POLLS: usize = 3 * SUBMISSIONS as usize;
    let Some(mut ring) = ring() else { return };
    let ready = eventfd(1, EventfdFlags::CLOEXEC).unwrap();
    (0..POLLS).for_each(|key| ring.poll(&ready, key));
    for expected in 0..POLLS {
        match next(&mut ring) {
            Done::Ready { key, more: false } => assert_eq!(key, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_waits_for_more_reports_than_come_gets_those_that_do() {
    let Some(mut ring) = ring() else { return };
    let (socket, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"hello").unwrap();
    ring.receive(&socket, KEY);
    let patience = Duration::from_millis(1);
    let end = Instant::now() + LIMIT;
    ring.wait_for(2, patience, Some(end)).unwrap();
    assert!(matches!(ring.next(), Some(Done::Received { key: KEY, .. })));
    assert!(ring.next().is_none());
    assert!(Instant::now() < end, "it waited for the second");
}

#[test]
fn who_waits_for_reports_waits_for_others_than_of_its_answers() {
    let Some(mut ring) = ring() else { return };
    if !ring.uring.params().is_feature_min_timeout() {
        return println!("SKIPPED: the kernel lacks min_wait_usec");
    }
    let [(first, mut asking), (second, mut waiting)] =
        [(); 2].map(|()| UnixStream::pair().unwrap());
    asking.write_all(b"?").unwrap();
    ring.receive(&first, KEY);
    let piece = next_piece(&mut ring).0.unwrap().unwrap();
    ring.receive(&second, KEY + 1);
    ring.send(&first, KEY, Load::Received(piece), 0..1);
    std::thread::scope(|scope| {
        // Not before the answer is there.
        scope.spawn(move || {
            asking.read_exact(&mut [0]).unwrap();
            waiting.write_all(b"?").unwrap();
        });
        ring.wait_for(1, LIMIT, Some(Instant::now() + LIMIT))
            .unwrap();
    });
    assert!(matches!(ring.next(), Some(Done::Sent { key: KEY, .. })));
    let key = KEY + 1;
    assert!(matches!(ring.next(), Some(Done::Received { key: found, .. }) if found == key));
}

#[test]
fn many_are_accepted_by_one_request() {
    const CLIENTS: usize = 10;
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| TcpStream::connect(addr).unwrap())
        .collect();
    ring.accept_many(&listener);
    for client in &clients {
        let Done::Accepted {
            outcome: Ok(socket),
            more: true,
        } = next(&mut ring)
        else {
            panic!("not accepted")
        };
        let peer = TcpStream::from(socket).peer_addr().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
    ring.cancel_accept();
    assert!(matches!(
        next(&mut ring),
        Done::Accepted {
            outcome: Err(_),
            more: false
        }
    ));
}

#[test]
fn a_ring_that_ends_lets_go_of_everything() {
    let Some(mut ring) = ring() else { return };
    let (socket, mut peer) = UnixStream::pair().unwrap();
    let filled = fill(&socket);
    ring.receive(&socket, KEY);
    ring.send(&socket, KEY, Load::Owned(vec![0; 1 << 20]), 0..1 << 20);
    ring.wait(Some(Instant::now())).unwrap();
    assert!(ring.end(), "the kernel still uses its memory");
    drop((ring, socket));
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    let mut received = Vec::new();
    assert_eq!(peer.read_to_end(&mut received).unwrap(), filled);
}
