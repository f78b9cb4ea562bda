//! What a child writes on stderr, line by line: its last words for the message when it fails, and
//! all of it for whoever judges how it behaved.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many lines are kept; of more, the last.
const LINES: usize = 20_000;
/// How many lines last words are.
const LAST_WORDS: usize = 3;
/// How much of one line is kept, in characters.
const LINE_CHARS: usize = 300;
/// How long a dead child's last line may be on its way; on a busy machine that is long.
const PATIENCE: Duration = Duration::from_secs(2);

/// A writer's lines, collected on a thread of its own so that the writer never blocks.
#[derive(Clone, Debug, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    dropped: usize,
    ended: bool,
}

impl Log {
    /// Follows `source` to its end; without one there are no lines.
    pub(crate) fn of(source: Option<impl Read + Send + 'static>) -> Self {
        let log = Self::default();
        let follower = log.clone();
        std::thread::spawn(move || {
            let lines = source
                .into_iter()
                .flat_map(|source| BufReader::new(source).split(b'\n'));
            for line in lines.map_while(Result::ok) {
                follower.keep(&String::from_utf8_lossy(&line));
            }
            follower.kept().ended = true;
            follower.shared.changed.notify_all();
        });
        log
    }

    /// What was written last, as ` (it said: …)`, or nothing. For a writer that has ended: it
    /// waits a little for lines that are still on their way.
    #[must_use]
    pub(crate) fn last_words(&self) -> String {
        let kept = self.ended(PATIENCE);
        if kept.lines.is_empty() {
            return String::new();
        }
        let last = kept.lines.len().saturating_sub(LAST_WORDS);
        let said: Vec<&str> = kept.lines.range(last..).map(String::as_str).collect();
        format!(" (it said: {})", said.join("; "))
    }

    /// How many lines there have been.
    #[must_use]
    pub fn len(&self) -> usize {
        let kept = self.kept();
        kept.lines.len() + kept.dropped
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lines for which `wanted` holds, of those that are kept.
    #[must_use]
    pub fn lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let kept = self.kept();
        let wanted = kept.lines.iter().filter(|line| wanted(line));
        wanted.cloned().collect()
    }

    /// How many lines contain `text`, of those that are kept.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.kept().count(text)
    }

    /// Waits until `count` lines contain `text`; false when they do not within `limit`, or the
    /// writer ended without them.
    #[must_use]
    pub fn wait_for(&self, text: &str, count: usize, limit: Duration) -> bool {
        let waiting = |kept: &mut Kept| !kept.ended && kept.count(text) < count;
        let (kept, _) = self
            .shared
            .changed
            .wait_timeout_while(self.kept(), limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        kept.count(text) >= count
    }

    /// All lines of a writer that has ended, in order, and how many more there were before them.
    #[must_use]
    pub fn rest(&self) -> (Vec<String>, usize) {
        let kept = self.ended(PATIENCE);
        (kept.lines.iter().cloned().collect(), kept.dropped)
    }

    fn ended(&self, limit: Duration) -> MutexGuard<'_, Kept> {
        let (kept, _) = self
            .shared
            .changed
            .wait_timeout_while(self.kept(), limit, |kept| !kept.ended)
            .unwrap_or_else(PoisonError::into_inner);
        kept
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        let kept = self.shared.kept.lock();
        kept.unwrap_or_else(PoisonError::into_inner)
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
        let mut kept = self.kept();
        if kept.lines.len() == LINES {
            kept.lines.pop_front();
            kept.dropped += 1;
        }
        kept.lines.push_back(clean.trim().to_owned());
        self.shared.changed.notify_all();
    }
}

impl Kept {
    fn count(&self, text: &str) -> usize {
        let matching = self.lines.iter().filter(|line| line.contains(text));
        matching.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &[u8] = b"one\ntwo\n\nthree\n\x1b[31mfour\xff\n";

    #[test]
    fn only_the_last_lines_are_last_words_and_they_are_harmless() {
        let log = Log::of(Some(SAID));
        assert_eq!(log.last_words(), " (it said: two; three; [31mfour\u{fffd})");
        assert_eq!(Log::of(None::<&[u8]>).last_words(), "");
    }

    #[test]
    fn lines_are_found_counted_and_waited_for() {
        let log = Log::of(Some(SAID));
        let limit = Duration::from_secs(10);
        assert!(log.wait_for("o", 2, limit) && log.wait_for("three", 1, limit));
        assert!(!log.wait_for("five", 1, limit), "the writer has ended");
        assert_eq!((log.len(), log.count("o"), log.is_empty()), (4, 3, false));
        assert_eq!(log.lines(|line| line.ends_with('o')), ["two"]);
        assert_eq!((log.rest().0.len(), log.rest().1), (4, 0));
    }

    #[test]
    fn a_flood_is_cut_at_its_beginning_and_counted() {
        let flood = "line\n".repeat(LINES + 5);
        let log = Log::of(Some(std::io::Cursor::new(flood)));
        drop(log.ended(Duration::from_secs(60)));
        let (lines, dropped) = log.rest();
        assert_eq!((lines.len(), dropped, log.len()), (LINES, 5, LINES + 5));
    }
}
