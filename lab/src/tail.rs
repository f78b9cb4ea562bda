//! The last lines that a child wrote, for the message when it fails.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many lines are kept.
const LINES: usize = 3;
/// How much of one line is kept, in characters.
const LINE_CHARS: usize = 200;
/// How long a dead child's last line may be on its way.
const PATIENCE: Duration = Duration::from_millis(500);

/// A reader's last lines, collected on a thread of its own so that the writer never blocks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tail {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    ended: bool,
}

impl Tail {
    /// Follows `source` to its end; without one there are no lines.
    pub(crate) fn of(source: Option<impl Read + Send + 'static>) -> Self {
        let tail = Self::default();
        let follower = tail.clone();
        std::thread::spawn(move || {
            let lines = source
                .into_iter()
                .flat_map(|source| BufReader::new(source).split(b'\n'));
            for line in lines.map_while(Result::ok) {
                follower.keep(&String::from_utf8_lossy(&line));
            }
            follower.end();
        });
        tail
    }

    /// What was written last, as ` (it said: …)`, or nothing. For a writer that has ended: it
    /// waits a little for lines that are still on their way.
    #[must_use]
    pub(crate) fn last_words(&self) -> String {
        let kept = self
            .shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (kept, _) = self
            .shared
            .ended
            .wait_timeout_while(kept, PATIENCE, |kept| !kept.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if kept.lines.is_empty() {
            return String::new();
        }
        let said: Vec<&str> = kept.lines.iter().map(String::as_str).collect();
        format!(" (it said: {})", said.join("; "))
    }

    fn keep(&self, line: &str) {
        let clean: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(LINE_CHARS)
            .collect();
        if clean.trim().is_empty() {
            return;
        }
        let mut kept = self
            .shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if kept.lines.len() == LINES {
            kept.lines.pop_front();
        }
        kept.lines.push_back(clean.trim().to_owned());
    }

    fn end(&self) {
        let mut kept = self
            .shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        kept.ended = true;
        self.shared.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_they_are_harmless() {
        let tail = Tail::of(Some(&b"one\ntwo\n\nthree\n\x1b[31mfour\xff\n"[..]));
        assert_eq!(
            tail.last_words(),
            " (it said: two; three; [31mfour\u{fffd})"
        );
        assert_eq!(Tail::of(None::<&[u8]>).last_words(), "");
    }
}
