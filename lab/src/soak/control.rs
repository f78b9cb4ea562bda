//! The control client: one that does nothing but ask now and then, and must be answered whatever
//! is done to the server meanwhile.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::client::Client;
use super::figure::{Figure, Unit};
use crate::process::ServerProcess;

/// The pause between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(10);
/// The name that its messages carry.
const NAME: u64 = u64::MAX;

/// A client that asks until it is told to end.
#[derive(Debug)]
pub struct Control {
    end: Sender<()>,
    thread: JoinHandle<Tally>,
}

/// What became of its questions.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tally {
    asked: u64,
    failed: u64,
    waits: Vec<Duration>,
}

impl Control {
    /// Connects to `server` and is answered for the first time; from then on each answer may take
    /// `limit`.
    ///
    /// # Errors
    ///
    /// When the server does not serve it even now.
    pub fn start(server: &ServerProcess, limit: Duration) -> std::io::Result<Self> {
        let addr = server.ready.addr;
        let mut client = Client::connect(addr, NAME, limit)?;
        client.round_trip()?;
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut tally = Tally::default();
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PAUSE) {
                let begun = Instant::now();
                tally.asked += 1;
                match client.round_trip() {
                    Ok(()) => tally.waits.push(begun.elapsed()),
                    Err(_) => {
                        tally.failed += 1;
                        // It may have been its connection alone that broke.
                        match Client::connect(addr, NAME, limit) {
                            Ok(again) => client = again,
                            Err(_) => tally.failed += 1,
                        }
                    }
                }
            }
            tally
        });
        Ok(Self { end, thread })
    }

    /// Ends it: how many questions were not answered, and the longest wait of the others.
    #[must_use]
    pub fn finish(self) -> Vec<Figure> {
        drop(self.end);
        self.thread.join().unwrap_or_default().figures()
    }
}

impl Tally {
    fn figures(&self) -> Vec<Figure> {
        let longest = self.waits.iter().max().map(Duration::as_secs_f64);
        vec![
            Figure::never("control client: unanswered", self.failed, self.asked),
            Figure::known("control client: longest wait", longest, Unit::Seconds),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::figure::{Outcome, outcome};

    #[test]
    fn one_unanswered_question_is_a_failure_and_none_asked_proves_nothing() {
        let tally = |asked, failed| Tally {
            asked,
            failed,
            waits: vec![Duration::from_millis(3), Duration::from_millis(9)],
        };
        assert_eq!(outcome(&tally(2, 0).figures()), Outcome::Pass);
        assert_eq!(outcome(&tally(3, 1).figures()), Outcome::Fail);
        assert_eq!(outcome(&tally(0, 0).figures()), Outcome::Inconclusive);
        assert_eq!(tally(2, 0).figures()[1].value, Some(0.009));
    }
}
