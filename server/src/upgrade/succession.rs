//! The new server's side of an upgrade.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use rustix::process::getppid;
use tracing::{debug, info};

use super::{Estate, PREDECESSOR};
use crate::listener::Tenure;
use crate::process::{Channel, Word};
use crate::stop::Stop;

/// How long a predecessor may take to hear that this server is ready. One that is stopped just then
/// holds nobody up for longer; its word counts whenever it comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Where this process comes from: nothing is known of the predecessor but that it is there.
#[derive(Debug)]
pub(crate) struct Ancestry {
    channel: Channel,
    pub(crate) estate: Estate,
}

/// How it is settled with the predecessor that this server takes over.
#[derive(Debug)]
pub(crate) struct Succession {
    channel: Arc<Channel>,
    is_ready: Arc<AtomicBool>,
    settled: Receiver<bool>,
}

impl Ancestry {
    /// What a predecessor left to this process, if it has one. Standard input is empty from then on.
    ///
    /// # Errors
    ///
    /// When the predecessor is gone, or descriptors are short.
    pub(crate) fn of_process() -> io::Result<Option<Self>> {
        let Some(named) = std::env::var_os(PREDECESSOR) else {
            return Ok(None);
        };
        let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if parent.is_none_or(|parent| named != *parent) {
            // To bind its port instead would be a second start and no upgrade.
            let gone = format!(
                "process {} is not its parent; unset {PREDECESSOR} for a start of its own",
                named.display()
            );
            return Err(io::Error::other(gone));
        }
        let channel = Channel::from(io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let estate = Estate::receive(&channel)?;
        Ok(Some(Self { channel, estate }))
    }

    /// Follows the predecessor, on a thread of its own: `tenures`, of clients and of operators, come by its word, or by its death
    /// once this server is ready. If it dies before, or wants no successor any more, this server ends.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn follow(
        channel: Channel,
        tenures: [Tenure; 2],
        stop: Stop,
    ) -> io::Result<Succession> {
        let channel = Arc::new(channel);
        let is_ready = Arc::new(AtomicBool::new(false));
        let (settle, settled) = mpsc::channel();
        let follower = Follower {
            channel: Arc::clone(&channel),
            is_ready: Arc::clone(&is_ready),
            tenures,
            stop,
        };
        let thread = thread::Builder::new().name("predecessor".into());
        thread.spawn(move || follower.follow(&settle))?;
        Ok(Succession {
            channel,
            is_ready,
            settled,
        })
    }

    /// Both of its parts.
    pub(crate) fn into_parts(self) -> (Channel, Estate) {
        (self.channel, self.estate)
    }
}

impl Succession {
    /// Says that this server is ready, and waits for the answer; false if it is not wanted.
    pub(crate) fn take_over(&self) -> bool {
        self.is_ready.store(true, Ordering::SeqCst);
        // One that is gone leaves everything to this server, which the follower sees to.
        let _ = self.channel.say(Word::Ready);
        self.settled.recv_timeout(ANSWER_LIMIT).unwrap_or(true)
    }
}

struct Follower {
    channel: Arc<Channel>,
    is_ready: Arc<AtomicBool>,
    tenures: [Tenure; 2],
    stop: Stop,
}

impl Follower {
    fn follow(self, settle: &Sender<bool>) {
        let takes_over = match self.channel.hear() {
            Ok(Some(Word::Yours)) => true,
            Ok(Some(_)) => {
                info!("the predecessor goes on, so this server ends");
                self.stop.drain();
                false
            }
            Ok(None) | Err(_) => {
                let is_ready = self.is_ready.load(Ordering::SeqCst);
                debug!(is_ready, "the predecessor is gone");
                if !is_ready {
                    self.stop.cut();
                }
                is_ready
            }
        };
        if takes_over {
            self.tenures.iter().for_each(Tenure::take);
        }
        // Nobody waits for it any more if it comes late.
        let _ = settle.send(takes_over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Phase;

    /// What comes of it for a successor that is ready, or not, when its predecessor says this word and
    /// dies: whether it takes over, and how far its own end has come.
    fn outcome(is_ready: bool, word: Option<Word>) -> (bool, Phase) {
        let (predecessor, channel) = Channel::pair().unwrap();
        let (tenure, stop) = (Tenure::coming(), Stop::new().unwrap());
        let follower = Follower {
            channel: Arc::new(channel.into()),
            is_ready: Arc::new(AtomicBool::new(is_ready)),
            tenures: [tenure.clone(), Tenure::foreign()],
            stop: stop.clone(),
        };
        if let Some(word) = word {
            predecessor.say(word).unwrap();
        }
        drop(predecessor);
        let (settle, settled) = mpsc::channel();
        follower.follow(&settle);
        let takes_over = settled.recv().unwrap();
        assert_eq!(tenure.is_ours(), takes_over);
        (takes_over, stop.phase())
    }

    #[test]
    fn a_successor_takes_over_by_word_or_by_death_but_not_before_it_is_ready() {
        let (serving, draining) = (Phase::Serving, Phase::Draining);
        assert_eq!(outcome(true, Some(Word::Yours)), (true, serving));
        assert_eq!(outcome(true, None), (true, serving));
        assert_eq!(outcome(false, None), (false, Phase::Cutting));
        assert_eq!(outcome(false, Some(Word::Drain)), (false, draining));
        // The predecessor gave up a moment before.
        assert_eq!(outcome(true, Some(Word::Drain)), (false, draining));
    }
}
