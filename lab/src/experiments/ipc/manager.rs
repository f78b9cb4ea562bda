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

use crate::player::Player;
use crate::process::Launcher;
use crate::words::Words;

/// How the part is called.
pub(super) const PART: &str = "ipc.manager";
/// How often each of two clients adds 1.
const ADDITIONS: i64 = 100;
/// Requests that are timed.
const REQUESTS: u32 = 500;
/// What is counted.
const KEY: &str = "stock";

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
    Ok(Managed {
        additions: 2 * ADDITIONS,
        read_and_written,
        added: one.ask(&format!("get {KEY}"))?,
        round_trip_ns: took.as_secs_f64() * 1e9 / f64::from(REQUESTS),
    })
}

/// The part: answers everybody who connects to the socket that is its stdin.
pub(super) fn play(_: &[String]) -> io::Result<u8> {
    let values = Arc::new(Mutex::new(HashMap::new()));
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    loop {
        let client = Words::over(listener.accept()?.0);
        let values = Arc::clone(&values);
        // Until the client leaves.
        thread::Builder::new().spawn(move || serve(client, &values))?;
    }
}

fn serve(mut client: Words, values: &Mutex<HashMap<String, i64>>) -> io::Result<()> {
    loop {
        let request = client.listen()?;
        let answer = {
            let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
            answer(&mut values, &request)
        };
        client.say(&answer.to_string())?;
    }
}

/// Each request is carried out alone; what a client does between two of them is its own affair.
fn answer(values: &mut HashMap<String, i64>, request: &str) -> i64 {
    let mut words = request.split(' ');
    let (verb, key) = (words.next(), words.next().unwrap_or_default());
    let number: i64 = words.next().and_then(|it| it.parse().ok()).unwrap_or(0);
    let value = values.entry(key.to_owned()).or_insert(0);
    match verb {
        Some("set") => *value = number,
        Some("add") => *value += number,
        _ => {}
    }
    *value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_written_and_added_to() {
        let mut values = HashMap::new();
        let answers = ["get a", "set a 5", "add a 2", "get a", "get b"];
        let answers = answers.map(|request| answer(&mut values, request));
        assert_eq!(answers, [0, 5, 7, 7, 0]);
    }
}
