//! Clients that never stop talking, each on a thread of its own, and that come back when they lose
//! their connection. Each says which connection it is served on, so that it can be told whether a
//! connection outlived what was done.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::Client;

/// The pause between an answer and the next question: the server needs the processors too.
const PAUSE: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug)]
pub struct Crew {
    size: usize,
    shared: Arc<Shared>,
    members: Vec<(Sender<()>, JoinHandle<Tally>)>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The port of each member's connection while it is served.
    ports: Mutex<Vec<Option<u16>>>,
}

/// What became of all their questions and connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers, each with the right bytes.
    pub answers: u64,
    /// Answers with wrong bytes.
    pub wrong: u64,
    /// Attempts to connect.
    pub connections: u64,
    /// Those that were refused or not answered by the kernel.
    pub refused: u64,
    /// Connections that ended before their client wanted it.
    pub lost: u64,
    /// What the first refusal or wrong answer was, in words.
    pub first_failure: Option<String>,
}

struct Member {
    server: SocketAddr,
    index: usize,
    limit: Duration,
    shared: Arc<Shared>,
    tally: Tally,
}

impl Crew {
    /// `size` clients of `server`, each of whose waits lasts `limit` at most.
    #[must_use]
    pub fn start(server: SocketAddr, size: usize, limit: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        shared.ports().resize(size, None);
        let members = (0..size).map(|index| {
            let (end, ended) = mpsc::channel();
            let member = Member {
                server,
                index,
                limit,
                shared: Arc::clone(&shared),
                tally: Tally::default(),
            };
            let talk = move || {
                member.talk(|| matches!(ended.recv_timeout(PAUSE), Err(RecvTimeoutError::Timeout)))
            };
            (end, std::thread::spawn(talk))
        });
        let members = members.collect();
        Self {
            size,
            shared,
            members,
        }
    }

    /// The ports of those who are served now.
    #[must_use]
    pub fn ports(&self) -> HashSet<u16> {
        self.shared.ports().iter().flatten().copied().collect()
    }

    /// Whether these are the ports of all.
    #[must_use]
    pub fn is_complete(&self, ports: &HashSet<u16>) -> bool {
        ports.len() == self.size
    }

    /// Ends all of them.
    #[must_use]
    pub fn finish(self) -> Tally {
        let members: Vec<JoinHandle<Tally>> =
            self.members.into_iter().map(|(_, member)| member).collect();
        let tallies = members
            .into_iter()
            .map(|member| member.join().unwrap_or_default());
        tallies.fold(Tally::default(), Tally::with)
    }
}

impl Shared {
    fn ports(&self) -> MutexGuard<'_, Vec<Option<u16>>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, index: usize, port: Option<u16>) {
        if let Some(place) = self.ports().get_mut(index) {
            *place = port;
        }
    }
}

impl Member {
    fn talk(mut self, mut go_on: impl FnMut() -> bool) -> Tally {
        while go_on() {
            self.tally.connections += 1;
            match Client::connect(self.server, self.index as u64, self.limit) {
                Ok(client) => self.converse(client, &mut go_on),
                Err(error) => {
                    self.tally.refused += 1;
                    self.fail("a connection failed", &error);
                }
            }
        }
        self.tally
    }

    /// Talks until the connection ends, or it is time to go.
    fn converse(&mut self, mut client: Client, go_on: &mut impl FnMut() -> bool) {
        let port = client.port().ok();
        loop {
            match client.round_trip() {
                Ok(()) => {
                    self.tally.answers += 1;
                    self.shared.set(self.index, port);
                }
                Err(error) => {
                    if error.kind() == io::ErrorKind::InvalidData {
                        self.tally.wrong += 1;
                        self.fail("an answer", &error);
                    }
                    self.tally.lost += 1;
                    return self.shared.set(self.index, None);
                }
            }
            if !go_on() {
                return;
            }
        }
    }

    fn fail(&mut self, what: &str, error: &io::Error) {
        let first = &mut self.tally.first_failure;
        first.get_or_insert_with(|| format!("{what}: {error}"));
    }
}

impl Tally {
    fn with(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            wrong: self.wrong + other.wrong,
            connections: self.connections + other.connections,
            refused: self.refused + other.refused,
            lost: self.lost + other.lost,
            first_failure: self.first_failure.or(other.first_failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Instant;

    #[test]
    fn a_member_that_loses_its_connection_comes_back_on_another() {
        let limit = Duration::from_secs(10);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let crew = Crew::start(listener.local_addr().unwrap(), 1, limit);
        let mut ports = HashSet::new();
        for _ in 0..2 {
            let (mut peer, _) = listener.accept().unwrap();
            let mut bytes = [0; 64];
            peer.read_exact(&mut bytes).unwrap();
            let served = crew.ports();
            assert!(served.is_subset(&ports), "the new one is not served yet");
            peer.write_all(&bytes).unwrap();
            let end = Instant::now() + limit;
            while crew.ports().is_subset(&ports) {
                assert!(Instant::now() < end, "nobody is served");
                std::thread::yield_now();
            }
            ports.extend(crew.ports());
        }
        // The listener closes with the first connection that nobody serves.
        drop(listener);
        assert_eq!(ports.len(), 2);
        let tally = crew.finish();
        assert!(
            tally.answers >= 2 && tally.connections >= 2 && tally.lost >= 1,
            "{tally:?}"
        );
        assert_eq!(tally.wrong, 0);
    }
}
