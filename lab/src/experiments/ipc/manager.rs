//! A process that keeps values for others and answers their requests: shared by all, and locked for
//! nobody.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde::Serialize;

use crate::launcher::Launcher;
use crate::player::Player;
use crate::words::Words;

/// How the part is called.
pub(super) const PART: &str = "ipc.manager";
/// How often each of two clients adds 1.
const ADDITIONS: i64 = 100;
/// Requests that are timed.
const REQUESTS: u32 = 500;
/// What is counted.
const KEY: &str = "stock";
/// Texts that are carried, and the bytes of each.
const TEXTS: usize = 24;
const TEXT_BYTES: usize = 64 << 10;

/// What a manager keeps by their keys: numbers to count with, and texts.
#[derive(Debug, Default)]
struct Values {
    numbers: HashMap<String, i64>,
    texts: HashMap<String, String>,
}

/// What was seen of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Managed {
    /// How often 1 was added in all.
    pub(super) additions: i64,
    /// The value after two clients read it, added 1 and wrote it back.
    pub(super) read_and_written: i64,
    /// The value after they asked the manager to add.
    pub(super) added: i64,
    /// One request and its answer.
    pub(super) round_trip_ns: f64,
    /// Texts that are put there by one client and fetched by the other.
    pub(super) mb_per_s: f64,
    /// Of them, those that came back otherwise.
    pub(super) wrong_texts: usize,
}

/// A client's connection.
struct Client(Words);

impl Client {
    fn ask(&mut self, request: &str) -> io::Result<i64> {
        self.0.say(request)?;
        self.0.expect()?.parse().map_err(io::Error::other)
    }
}

/// Starts a manager, whose socket is `path`, and has two clients count with it.
pub(super) fn observe(launcher: &Launcher, path: &Path) -> io::Result<Managed> {
    let listener = UnixListener::bind(path)?;
    let _manager = Player::given(&mut launcher.part(PART), OwnedFd::from(listener))?;
    let connect = || UnixStream::connect(path).map(|stream| Client(Words::over(stream)));
    let mut clients = [connect()?, connect()?];
    // The worst order there is, in each round: both read before either writes.
    for _ in 0..ADDITIONS {
        let mut values = [0; 2];
        for (client, value) in clients.iter_mut().zip(&mut values) {
            *value = client.ask(&format!("get {KEY}"))?;
        }
        for (client, value) in clients.iter_mut().zip(values) {
            client.ask(&format!("set {KEY} {}", value + 1))?;
        }
    }
    let [one, other] = &mut clients;
    let read_and_written = one.ask(&format!("get {KEY}"))?;
    one.ask(&format!("set {KEY} 0"))?;
    for _ in 0..ADDITIONS {
        one.ask(&format!("add {KEY} 1"))?;
        other.ask(&format!("add {KEY} 1"))?;
    }
    let begun = Instant::now();
    for _ in 0..REQUESTS {
        one.ask(&format!("get {KEY}"))?;
    }
    let took = begun.elapsed();
    let (mb_per_s, wrong_texts) = carry(one, other)?;
    Ok(Managed {
        additions: 2 * ADDITIONS,
        read_and_written,
        added: one.ask(&format!("get {KEY}"))?,
        round_trip_ns: took.as_secs_f64() * 1e9 / f64::from(REQUESTS),
        mb_per_s,
        wrong_texts,
    })
}

/// Hands texts from one client to the other; returns MB/s, and how many came otherwise.
fn carry(one: &mut Client, other: &mut Client) -> io::Result<(f64, usize)> {
    let mut wrong = 0;
    let begun = Instant::now();
    for number in 0..TEXTS {
        let text = format!("{number:08}").repeat(TEXT_BYTES / 8);
        one.0.say(&format!("put text {text}"))?;
        one.0.expect()?;
        other.0.say("fetch text")?;
        wrong += usize::from(other.0.expect()? != text);
    }
    let bytes = (TEXTS * TEXT_BYTES) as f64;
    Ok((bytes / 1e6 / begun.elapsed().as_secs_f64(), wrong))
}

/// The part: answers everybody who connects to the socket that is its stdin.
pub(super) fn play(_: &[String]) -> io::Result<u8> {
    let values = Arc::new(Mutex::new(Values::default()));
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    loop {
        let client = Words::over(listener.accept()?.0);
        let values = Arc::clone(&values);
        // Until the client leaves.
        thread::Builder::new().spawn(move || serve(client, &values))?;
    }
}

fn serve(mut client: Words, values: &Mutex<Values>) -> io::Result<()> {
    loop {
        let request = client.listen()?;
        let answer = {
            let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut values, &request)
        };
        client.say(&answer)?;
    }
}

/// Each request is carried out alone; what a client does between two of them is its own affair.
fn answer(values: &mut Values, request: &str) -> String {
    let mut words = request.split(' ');
    let (verb, key) = (words.next(), words.next().unwrap_or_default());
    let last = words.next().unwrap_or_default();
    match verb {
        Some("put") => {
            values.texts.insert(key.to_owned(), last.to_owned());
            return last.len().to_string();
        }
        Some("fetch") => return values.texts.get(key).cloned().unwrap_or_default(),
        _ => {}
    }
    let number: i64 = last.parse().unwrap_or(0);
    let value = values.numbers.entry(key.to_owned()).or_insert(0);
    match verb {
        Some("set") => *value = number,
        Some("add") => *value += number,
        _ => {}
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_written_and_added_to() {
        let mut values = Values::default();
        let answers = ["get a", "set a 5", "add a 2", "get a", "get b"];
        let answers = answers.map(|request| answer(&mut values, request));
        assert_eq!(answers, ["0", "5", "7", "7", "0"]);
        let answers = ["put a words", "fetch a", "get a", "fetch b"];
        let answers = answers.map(|request| answer(&mut values, request));
        assert_eq!(answers, ["5", "words", "7", ""]);
    }
}
