//! What a message costs changes when it comes back, never what comes back.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::Write;
use std::time::Duration;

use server::work::Work;
use server::{Config, Offload, for_each_mode};
use support::{
    TestServer, assert_balanced, config, converse_in_chunks, has_nothing_to_read, pattern,
    round_trip,
};

/// Random bytes with about 40 ends of line, in pieces that ignore them.
fn echoes_lines_at_the_cost_of(config: Config) -> std::io::Result<()> {
    let server = TestServer::with(config);
    let sent = pattern(11, 10_000);
    assert!(sent.iter().filter(|byte| **byte == b'\n').count() > 20);
    let received = converse_in_chunks(&server.connect(), sent.chunks(77))?;
    assert!(received == sent, "{} bytes", received.len());
    let drained = server.stop();
    assert_balanced(&drained);
    assert_eq!(drained.counters.bytes, sent.len() as u64);
    Ok(())
}

for_each_mode! {
    fn waiting_changes_no_byte(mode) {
        let work = Work::Wait(Duration::from_millis(1));
        echoes_lines_at_the_cost_of(Config { work, ..config(mode) })?;
    }

    fn waiting_at_random_changes_no_byte(mode) {
        let work = Work::WaitExponential(Duration::from_millis(1));
        echoes_lines_at_the_cost_of(Config { work, ..config(mode) })?;
    }

    fn computing_changes_no_byte(mode) {
        let work = Work::Compute(Duration::from_micros(200));
        echoes_lines_at_the_cost_of(Config { work, ..config(mode) })?;
    }

    fn computing_elsewhere_changes_no_byte(mode) {
        let work = Work::Compute(Duration::from_micros(200));
        echoes_lines_at_the_cost_of(Config { work, offload: Offload::Rayon, ..config(mode) })?;
    }

    fn a_line_is_paid_for_at_its_end(mode) {
        let work = Work::Wait(Duration::from_secs(3600));
        let server = TestServer::with(Config { work, ..config(mode) });
        let mut client = server.connect();
        // Without its end a line is free, and what follows an unpaid line waits behind it.
        round_trip(&mut client, b"free")?;
        client.write_all(b"not free\nbehind")?;
        if server.capacity() > 1 {
            // Others are not concerned, and the server has every chance to answer too early.
            let mut other = server.connect();
            (0..20).try_for_each(|_| round_trip(&mut other, b"free"))?;
        }
        assert!(has_nothing_to_read(&client), "an answer that was not paid for");
    }
}
