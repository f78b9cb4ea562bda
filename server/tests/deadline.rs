//! The deadline of a drain, and its end by a second wish: everybody gets the answers so far and a
//! close, nobody a reset, and nobody holds it up.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use server::work::Work;
use server::{Choice, Config, for_each_mode};
use support::{
    TestServer, WORKERS, assert_balanced, config, end_of, inside_and_queued, pattern, round_trip,
    until_stalled, wait_readable,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A server whose every line takes as long, with a deadline that comes soon.
fn soon(mode: Choice, work: Work) -> Config {
    let mut config = config(mode);
    config.limits.drain_timeout = Duration::from_millis(300);
    config.work = work;
    config
}

for_each_mode! {
    fn at_the_deadline_a_busy_client_gets_all_answers_so_far_and_the_end(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(Duration::from_millis(1))));
        let lines: String = (0..200_000).map(|number| format!("{number}\n")).collect();
        talk_until_the_end(&server, lines.as_bytes())?;
        let drained = server.wait();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 1);
    }

    fn a_second_wish_ends_it_at_once(mode) {
        let server = TestServer::start(mode);
        talk_until_the_second_wish(&server)?;
        assert_balanced(&server.wait());
    }

    fn the_end_comes_without_a_drain_too(mode) {
        let server = TestServer::start(mode);
        let mut quiet = server.connect();
        round_trip(&mut quiet, b"x")?;
        server.stop.cut();
        assert_eq!(end_of(&mut quiet).as_deref(), Some(&b""[..]));
        drop(quiet);
        assert_balanced(&server.wait());
    }

    fn the_answers_so_far_outlive_the_server(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(Duration::from_millis(1))));
        let lines: String = (0..20_000).map(|number| format!("{number}\n")).collect();
        let mut client = server.connect();
        client.write_all(lines.as_bytes())?;
        client.shutdown(Shutdown::Write)?;
        wait_readable(std::slice::from_ref(&client), 1);
        let drained = server.stop();
        assert_balanced(&drained);
        // A reset, because of input that nobody read, would have wiped them out.
        let received = end_of(&mut client).expect("a reset instead of a close");
        assert!(!received.is_empty() && received.len() < lines.len());
        assert!(lines.as_bytes().starts_with(&received), "{} bytes", received.len());
    }
}

/// Sends without a pause, and checks that what comes back is the beginning of it.
fn talk_until_the_end(server: &TestServer, sent: &[u8]) -> std::io::Result<()> {
    let mut client = server.connect();
    round_trip(&mut client, b"ready?\n")?;
    let received = thread::scope(|scope| {
        let mut writer = client.try_clone().unwrap();
        // It fails as soon as this side is shut, which is how it ends.
        scope.spawn(move || writer.write_all(sent));
        wait_readable(std::slice::from_ref(&client), 1);
        server.begin_stop();
        let received = end_of(&mut client);
        let _ = client.shutdown(Shutdown::Both);
        received
    });
    let received = received.expect("a reset instead of a close");
    assert!(!received.is_empty() && received.len() < sent.len());
    assert!(sent.starts_with(&received), "{} bytes", received.len());
    Ok(())
}

/// The same with messages one by one, and no deadline but the second wish.
fn talk_until_the_second_wish(server: &TestServer) -> std::io::Result<()> {
    let mut busy = server.connect();
    round_trip(&mut busy, b"inside")?;
    server.begin_stop();
    let mut answers = 0;
    loop {
        let message = pattern(answers, 100);
        if busy.write_all(&message).is_err() {
            break;
        }
        let mut answer = vec![0; 100];
        // The end comes between two answers.
        match busy.read(&mut answer)? {
            0 => break,
            count => busy.read_exact(&mut answer[count..])?,
        }
        assert!(answer == message, "answer {answers}");
        answers += 1;
        if answers == 100 {
            server.stop.cut();
        }
    }
    assert!(answers >= 100);
    Ok(())
}

for_each_mode! {
    fn a_client_that_never_reads_holds_nothing_up(mode) {
        let server = TestServer::with(soon(mode, Work::None));
        let client = server.connect();
        until_stalled(&client, &vec![b'x'; 64 << 20]);
        let drained = server.stop();
        assert_balanced(&drained);
        assert_eq!(drained.counters.cut, 1);
    }

    fn an_answer_that_takes_an_hour_holds_nothing_up(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(HOUR)));
        let mut client = server.connect();
        round_trip(&mut client, b"no end of line, no cost")?;
        client.write_all(b"\n")?;
        server.begin_stop();
        assert!(end_of(&mut client).is_some());
        drop(client);
        assert_balanced(&server.wait());
    }

    fn an_hour_of_computation_holds_nothing_up(mode) {
        let server = TestServer::with(soon(mode, Work::Compute(HOUR)));
        let busy = server.capacity().min(WORKERS);
        let mut clients: Vec<_> = (0..busy).map(|_| server.connect()).collect();
        for client in &mut clients {
            round_trip(client, b"no end of line, no cost")?;
        }
        clients.iter_mut().try_for_each(|client| client.write_all(b"\n"))?;
        server.begin_stop();
        for mut client in clients {
            assert!(end_of(&mut client).is_some());
        }
        assert_balanced(&server.wait());
    }

    fn who_waits_in_the_queue_at_the_deadline_is_closed_in_order(mode) {
        let server = TestServer::with(soon(mode, Work::Wait(HOUR)));
        if !server.config.plan().has_queue() {
            println!("not in {mode}: it has no queue of its own");
            return Ok(());
        }
        let (mut served, queued) = inside_and_queued(server.addr);
        served.iter_mut().try_for_each(|client| client.write_all(b"\n"))?;
        server.begin_stop();
        for mut client in queued {
            let end = end_of(&mut client).expect("a reset instead of a close");
            assert!(b"free".starts_with(&end));
        }
        assert_balanced(&server.wait());
    }
}
