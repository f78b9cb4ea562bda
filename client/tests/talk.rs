//! At a terminal the client is a conversation: a line, its echo, the next line; a missing answer is
//! explained while it is missing; and however it ends, the terminal is as it was.
#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};

use rustix::process::Signal;
use support::pty::Terminal;
use support::{LIMIT, Server, echo, echo_changed, mute};

const END: &str = "\x04";
const INTERRUPT: &str = "\x03";
const UP: &str = "\x1b[A";

/// An echo server that does nothing before it is told to.
fn late() -> (Sender<()>, Server) {
    let (release, wait) = channel::<()>();
    let server = Server::start(move |stream| {
        wait.recv_timeout(LIMIT).unwrap();
        echo(stream)
    });
    (release, server)
}

/// A client at its first prompt.
fn at_the_prompt(server: &Server) -> Terminal {
    let mut terminal = Terminal::start(&server.target(), &[]);
    let greeting = terminal.wait_for("> ");
    assert!(greeting.contains(&format!("connected to {}", server.addr)));
    assert!(greeting.contains("Ctrl-D ends"), "{greeting}");
    terminal
}

#[test]
fn each_line_comes_back_with_its_round_trip() {
    let server = Server::start(echo);
    let mut terminal = at_the_prompt(&server);
    for line in ["hello", "wörld"] {
        terminal.type_in(&format!("{line}\r"));
        terminal.wait_for(&format!("{line}  "));
        let rest = terminal.wait_for("> ");
        assert!(rest.contains("s\r\n"), "no time: {rest:?}");
        assert!(!rest.contains("\x1b[2m"), "NO_COLOR is set: {rest:?}");
    }
    terminal.type_in(END);
    let (status, _) = terminal.finish();
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.received(), "hello\nwörld\n".as_bytes());
}

#[test]
fn an_earlier_line_is_sent_again() {
    let server = Server::start(echo);
    let mut terminal = at_the_prompt(&server);
    terminal.type_in("again\r");
    terminal.wait_for("again  ");
    terminal.wait_for("> ");
    terminal.type_in(&format!("{UP}\r"));
    terminal.wait_for("again  ");
    terminal.wait_for("> ");
    terminal.type_in(END);
    assert_eq!(terminal.finish().0.code(), Some(0));
    assert_eq!(server.received(), b"again\nagain\n");
}

#[test]
fn the_history_file_outlives_the_conversation() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history");
    let args = ["--history", file.to_str().unwrap()];
    for keys in ["kept\r", &format!("{UP}\r")] {
        let server = Server::start(echo);
        let mut terminal = Terminal::start(&server.target(), &args);
        terminal.wait_for("> ");
        terminal.type_in(keys);
        terminal.wait_for("kept  ");
        terminal.wait_for("> ");
        terminal.type_in(END);
        assert_eq!(terminal.finish().0.code(), Some(0));
        assert_eq!(server.received(), b"kept\n");
    }
}

#[test]
fn a_missing_answer_is_explained_while_it_is_missing() {
    let (release, server) = late();
    let mut terminal = at_the_prompt(&server);
    terminal.type_in("anybody there?\r");
    terminal.wait_for("connected; no answer for ");
    terminal.wait_for(" s: probably no worker is free");
    terminal.wait_for("connected; no answer for "); // It is drawn again and again.
    release.send(()).unwrap();
    terminal.wait_for("anybody there?  ");
    terminal.wait_for("> ");
    terminal.type_in(END);
    assert_eq!(terminal.finish().0.code(), Some(0));
}

#[test]
fn what_is_typed_during_the_wait_is_not_lost() {
    let (release, server) = late();
    let mut terminal = at_the_prompt(&server);
    terminal.type_in("first\r");
    terminal.wait_for("no answer for ");
    terminal.type_in(&format!("second\rthird\r{END}"));
    release.send(()).unwrap();
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert_eq!(server.received(), b"first\nsecond\nthird\n");
}

#[test]
fn several_lines_at_once_are_several_lines() {
    let server = Server::start(echo);
    let mut terminal = at_the_prompt(&server);
    terminal.type_in(&format!("a\rb\rc\r{END}"));
    assert_eq!(terminal.finish().0.code(), Some(0));
    assert_eq!(server.received(), b"a\nb\nc\n");
}

#[test]
fn a_server_that_closes_is_reported_at_the_prompt() {
    let (release, wait) = channel::<()>();
    let server = Server::start(move |_| {
        wait.recv_timeout(LIMIT).unwrap();
        Vec::new()
    });
    let mut terminal = at_the_prompt(&server);
    release.send(()).unwrap();
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(1));
    assert!(screen.contains("closed the connection"), "{screen}");
}

#[test]
fn a_server_that_closes_instead_of_answering_is_reported() {
    let server = Server::start(|mut stream: TcpStream| {
        stream.read_exact(&mut [0; 4]).unwrap();
        Vec::new()
    });
    let mut terminal = at_the_prompt(&server);
    terminal.type_in("abc\r");
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(1));
    assert!(
        screen.contains("closed the connection; 4 bytes"),
        "{screen}"
    );
}

#[test]
fn a_changed_byte_ends_it() {
    let server = Server::start(|stream| echo_changed(stream, |_, bytes| bytes[1] = b'X'));
    let mut terminal = at_the_prompt(&server);
    terminal.type_in("abc\r");
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(4));
    assert!(
        screen.contains("byte 1 differs: 0x62 was sent, 0x58"),
        "{screen}"
    );
}

#[test]
fn a_word_that_nobody_asked_for_ends_it() {
    let server = Server::start(|mut stream: TcpStream| {
        stream.write_all(b"hi").unwrap();
        mute(stream)
    });
    let mut terminal = Terminal::start(&server.target(), &[]);
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(4));
    assert!(
        screen.contains("byte 0 differs: nothing was sent"),
        "{screen}"
    );
}

#[test]
fn an_interrupt_ends_it_at_the_prompt_and_during_the_wait() {
    let server = Server::start(echo);
    let mut terminal = at_the_prompt(&server);
    terminal.type_in(INTERRUPT);
    assert_eq!(terminal.finish().0.code(), Some(130));

    let (_release, server) = late();
    let mut terminal = at_the_prompt(&server);
    terminal.type_in("abc\r");
    terminal.wait_for("no answer for ");
    terminal.signal(Signal::INT);
    assert_eq!(terminal.finish().0.code(), Some(130));
}

#[test]
fn a_request_to_end_is_obeyed_at_the_prompt() {
    let server = Server::start(echo);
    let mut terminal = at_the_prompt(&server);
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.finish().0.code(), Some(143));
}

#[test]
fn a_time_limit_ends_the_wait() {
    let server = Server::start(mute);
    let mut terminal = Terminal::start(&server.target(), &["--timeout", "100ms"]);
    terminal.wait_for("> ");
    terminal.type_in("abc\r");
    let (status, screen) = terminal.finish();
    assert_eq!(status.code(), Some(1));
    assert!(
        screen.contains("no answer within 100ms; 4 bytes"),
        "{screen}"
    );
}

#[test]
fn a_simple_terminal_gets_a_filter() {
    let server = Server::start(echo);
    let mut terminal = Terminal::of_kind("dumb", &server.target(), &[]);
    terminal.type_in("abc\n");
    terminal.wait_for("abc\r\nabc\r\n");
    terminal.type_in(END);
    assert_eq!(terminal.finish().0.code(), Some(0));
}
