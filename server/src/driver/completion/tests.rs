//! A session that is told invented completions: what it asks for next, and when it may be closed.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::driver::fixture;
use crate::mode::Mode;

/// One that is being received from, and its peer.
fn session() -> (Session, UnixStream) {
    let (socket, ticket, peer) = fixture::connection(Mode::IoUring);
    let mut session = Session::new(socket, ticket, Instant::now());
    assert_eq!(wishes(&mut session), [Wish::Receive]);
    peer.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (session, peer)
}

/// All that it wishes for, until it wishes for its close.
fn wishes(session: &mut Session) -> Vec<Wish> {
    let mut wishes = Vec::new();
    while wishes.last() != Some(&Wish::Close)
        && let Some(wish) = session.next_wish()
    {
        wishes.push(wish);
    }
    wishes
}

fn error(error: Errno) -> io::Error {
    error.into()
}

/// Tells it that what it had asked to be cancelled was.
fn cancel_receiving(session: &mut Session, now: Instant) -> Step {
    session.cancelled();
    session.receiving_ended();
    session.input_ended(Err(error(Errno::CANCELED)), now)
}

/// The goal of 256 bytes of memory leaves a reserve for what is around it.
#[test]
fn a_quiet_connection_takes_240_bytes_at_most() {
    assert!(size_of::<Session>() <= 240, "{}", size_of::<Session>());
}

#[test]
fn bytes_go_back_from_where_they_came() {
    let (mut session, _peer) = session();
    let now = Instant::now();
    assert_eq!(session.received(b"abc", false, now), Step::Send(0..3));
    assert_eq!(session.sent(Ok(1), b"abc", now), Step::Send(1..3));
    assert_eq!(session.sent(Ok(2), b"abc", now), Step::Wait);
    assert_eq!(wishes(&mut session), []);
    assert_eq!(session.kept.capacity() + session.backlog.capacity(), 0);
}

#[test]
fn bytes_are_kept_only_for_a_peer_that_does_not_take_them() {
    let (mut session, _peer) = session();
    let now = Instant::now();
    session.received(b"abc", false, now);
    session.sent(Ok(1), b"abc", now);
    let step = session.sent(Err(error(Errno::AGAIN)), b"abc", now);
    assert_eq!(step, Step::SendKept(b"bc".to_vec(), 0..2));
    session.give_back(b"bc".to_vec());
    let step = session.sent(Ok(1), &[], now);
    assert_eq!(step, Step::SendKept(b"bc".to_vec(), 1..2));
    session.give_back(b"bc".to_vec());
    assert_eq!(session.sent(Ok(1), &[], now), Step::Wait);
    assert_eq!(session.kept.capacity(), 0);
}

/// A client that sends such pieces and takes none, until the server has enough of it; how much is
/// unanswered beside the first one.
fn flood(session: &mut Session, piece: &[u8], now: Instant) -> usize {
    session.received(piece, true, now);
    let mut backlog = 0;
    while wishes(session).is_empty() {
        assert!(backlog < BACKLOG_BYTES, "{backlog} bytes");
        assert_eq!(session.received(piece, true, now), Step::Wait);
        backlog += piece.len();
    }
    backlog
}

/// Such a client that has got all its answers at last.
fn flood_and_answer(session: &mut Session, piece: &[u8], now: Instant) {
    flood(session, piece, now);
    cancel_receiving(session, now);
    session.backlog.clear();
    session.sent(Ok(piece.len()), piece, now);
}

#[test]
fn who_does_not_take_its_answers_is_not_asked_for_more() {
    let (mut session, _peer) = session();
    let (now, piece) = (Instant::now(), [7; 1000]);
    let mut unanswered = flood(&mut session, &piece, now);
    // What is on its way already still comes, and nothing is wished for twice.
    session.received(&piece, true, now);
    unanswered += piece.len();
    assert_eq!(wishes(&mut session), []);
    cancel_receiving(&mut session, now);
    assert_eq!(wishes(&mut session), []);

    // Once all is answered it may say more, a piece at a time.
    let step = session.sent(Ok(piece.len()), &piece, now);
    let Step::SendKept(backlog, range) = step else {
        panic!("{step:?}")
    };
    assert_eq!((backlog.len(), range), (unanswered, 0..unanswered));
    assert_eq!(wishes(&mut session), []);
    session.give_back(backlog);
    assert_eq!(session.sent(Ok(unanswered), &[], now), Step::Wait);
    assert_eq!(wishes(&mut session), [Wish::ReceiveLarge]);
}

#[test]
fn a_flood_is_a_piece_ahead_until_it_stalls_or_ends() {
    let (mut session, _peer) = session();
    let (now, piece) = (Instant::now(), [7; MESSAGE_BYTES + 1]);
    flood_and_answer(&mut session, &piece, now);
    let receive_piece = |session: &mut Session, piece: &[u8], waiting| {
        session.receiving_ended();
        session.received(piece, waiting, now)
    };
    assert_eq!(wishes(&mut session), [Wish::ReceiveLarge]);
    for waiting in [true, false] {
        let step = receive_piece(&mut session, &piece, waiting);
        assert_eq!(step, Step::Send(0..piece.len()));
        assert_eq!(
            wishes(&mut session),
            [Wish::ReceiveLarge],
            "the next, meanwhile"
        );
        session.sent(Ok(piece.len()), &piece, now);
    }
    receive_piece(&mut session, &piece, true);
    session.sent(Err(error(Errno::AGAIN)), &piece, now);
    assert_eq!(wishes(&mut session), [], "it does not take its answers");
    session.give_back(piece.to_vec());
    session.sent(Ok(piece.len()), &[], now);
    assert_eq!(wishes(&mut session), [Wish::ReceiveLarge]);

    receive_piece(&mut session, b"a message", false);
    session.sent(Ok(9), b"a message", now);
    assert_eq!(wishes(&mut session), [Wish::Receive]);
}

#[test]
fn where_large_pieces_run_out_a_flood_gets_a_small_one() {
    let (mut session, _peer) = session();
    let (now, piece) = (Instant::now(), [7; MESSAGE_BYTES + 1]);
    flood_and_answer(&mut session, &piece, now);
    assert_eq!(wishes(&mut session), [Wish::ReceiveLarge]);
    session.receiving_ended();
    session.input_ended(Err(error(Errno::NOBUFS)), now);
    assert_eq!(wishes(&mut session), [Wish::ReceiveOnce]);
    session.receiving_ended();
    session.received(&piece, true, now);
    assert_eq!(wishes(&mut session), [Wish::ReceiveLarge]);
}

#[test]
fn the_end_of_the_input_comes_after_the_answers() {
    let (mut session, mut peer) = session();
    let now = Instant::now();
    session.received(b"abc", false, now);
    session.received(b"de", false, now);
    session.receiving_ended();
    assert_eq!(session.input_ended(Ok(()), now), Step::Wait);
    assert_eq!(wishes(&mut session), []);
    let step = session.sent(Ok(3), b"abc", now);
    assert_eq!(step, Step::SendKept(b"de".to_vec(), 0..2));
    session.give_back(b"de".to_vec());
    assert_eq!(session.sent(Ok(2), &[], now), Step::Wait);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "our side is closed");
    assert_eq!(wishes(&mut session), [Wish::Close]);
}

#[test]
fn a_want_of_buffers_is_not_the_end() {
    let (mut session, _peer) = session();
    let now = Instant::now();
    session.receiving_ended();
    let step = session.input_ended(Err(error(Errno::NOBUFS)), now);
    assert_eq!(
        (step, wishes(&mut session)),
        (Step::Wait, vec![Wish::Receive])
    );
    session.receiving_ended();
    session.input_ended(Err(error(Errno::CONNRESET)), now);
    assert_eq!(wishes(&mut session), [Wish::Close]);
}

#[test]
fn a_deadline_waits_until_it_is_known_what_was_sent() {
    let (mut session, _peer) = session();
    let now = Instant::now();
    session.received(b"abc", false, now);
    session.course.ticket.shared.stop.cut();
    assert_eq!(session.look(now), Step::Wait);
    assert_eq!(wishes(&mut session), [], "it ends at once anyway");

    let (mut session, mut peer) = self::session();
    session.received(b"abc", false, now);
    session.sent(Err(error(Errno::AGAIN)), b"abc", now);
    session.course.ticket.shared.stop.cut();
    assert_eq!(session.look(now), Step::Wait);
    assert_eq!(wishes(&mut session), [Wish::Cancel]);
    assert_eq!(wishes(&mut session), [], "nothing is wished for twice");
    session.give_back(b"abc".to_vec());
    assert_eq!(session.sent(Ok(2), &[], now), Step::Wait);
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "our side is closed");

    // The rest of the input is read, so that closing resets nothing.
    cancel_receiving(&mut session, now);
    assert_eq!(wishes(&mut session), [Wish::Receive]);
    assert_eq!(session.received(b"late", false, now), Step::Wait);
    session.receiving_ended();
    session.input_ended(Ok(()), now);
    assert_eq!(wishes(&mut session), [Wish::Close]);
    assert_eq!(session.ended, Some(Ended::Cut));
    let counters = session.course.ticket.shared.home_slot().counters();
    assert_eq!(counters.bytes, 3, "what comes late is no request");
}

#[test]
fn it_is_closed_only_when_nothing_is_in_flight() {
    let now = Instant::now();
    let broken = || {
        let (mut session, _peer) = session();
        session.received(b"abc", false, now);
        session.sent(Err(error(Errno::CONNRESET)), b"abc", now);
        assert_eq!(wishes(&mut session), [Wish::Cancel]);
        session
    };
    let mut session = broken();
    session.receiving_ended();
    session.input_ended(Err(error(Errno::CANCELED)), now);
    assert_eq!(wishes(&mut session), [], "the cancel itself is in flight");
    session.cancelled();
    assert_eq!(wishes(&mut session), [Wish::Close]);

    let mut session = broken();
    session.cancelled();
    assert_eq!(wishes(&mut session), [], "receiving is in flight");
    cancel_receiving(&mut session, now);
    assert_eq!(wishes(&mut session), [Wish::Close]);
}
