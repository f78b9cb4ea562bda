//! `--max-requests`: workers that have served their share are replaced, and nobody notices.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use server::for_each_mode;
use support::{
    WORKERS, converse_with_all, end_of, pool_of, pool_with, round_trip, until_replaced,
    wait_readable,
};

/// What the log says of a worker that was replaced.
const RECYCLED: &str = "reason=recycled";

for_each_mode! {
    fn who_has_served_enough_is_replaced_and_nobody_notices(mode) {
        let Some(server) = pool_of(mode, &["--max-requests", "20"]) else { return Ok(()) };
        let old = server.workers();
        let mut clients = 0;
        server.until("all recycled, and some of their successors", || {
            clients += 1;
            let mut client = server.connect();
            for _ in 0..5 {
                round_trip(&mut client, b"one of many").unwrap();
            }
            // Closing without having read the end would be a reset of our own.
            client.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(end_of(&mut client).as_deref(), Some(&b""[..]));
        }, || server.log().count(RECYCLED) > 2 * WORKERS);
        assert!(server.workers().iter().any(|worker| !old.contains(worker)));
        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0));
        assert_eq!((farewell.counted("accepted"), farewell.counted("served")), (clients, clients));
        assert_eq!(farewell.counted("requests"), 5 * clients);
        assert!(!farewell.log.iter().any(|line| line.contains("a worker died")), "{:#?}", farewell.log);
    }
}

#[test]
fn who_is_busy_is_served_on_by_a_worker_that_has_served_enough() {
    let server = pool_with(&["--max-requests", "5", "--drain-timeout", "1h"]);
    let old = server.workers();
    let mut busy = converse_with_all(&server);
    server.until(
        "a successor for each",
        || {
            busy.iter_mut()
                .for_each(|client| round_trip(client, b"busy").unwrap())
        },
        || server.workers().len() == 2 * WORKERS,
    );
    for _ in 0..50 {
        busy.iter_mut()
            .for_each(|client| round_trip(client, b"busy").unwrap());
    }
    assert_eq!(server.log().count(RECYCLED), 0);
    drop(busy);
    until_replaced(&server, &old, || {});
    // They are told a moment after they are gone.
    server.log().wait_for(RECYCLED, WORKERS);
    assert_eq!(server.stop().counted("cut"), 0);
}

#[test]
fn a_worker_that_has_served_enough_dismisses_who_is_quiet() {
    let server = pool_with(&["--max-requests", "1", "--drain-timeout", "1h"]);
    let mut quiet = converse_with_all(&server);
    for _ in 0..WORKERS {
        let ended = wait_readable(&quiet, 1)[0];
        let end = end_of(&mut quiet.swap_remove(ended));
        assert_eq!(end.as_deref(), Some(&b""[..]));
    }
    server.log().wait_for(RECYCLED, WORKERS);
}

#[test]
fn without_a_limit_nobody_is_replaced() {
    let server = pool_with(&["--max-requests", "0"]);
    let old = server.workers();
    for _ in 0..100 {
        drop(converse_with_all(&server));
    }
    assert_eq!((server.workers(), server.log().count(RECYCLED)), (old, 0));
}
