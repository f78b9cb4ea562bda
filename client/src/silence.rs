//! How long nothing has come back, and what that probably means. Pure: time is passed in.

use std::time::{Duration, Instant};

/// How long an answer may take before it is worth a word.
pub(crate) const WORTH_A_WORD: Duration = Duration::from_millis(500);

/// Since when something is unanswered and nothing has come back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Silence {
    since: Option<Instant>,
    served: bool,
}

impl Silence {
    /// Something is under way from `now` on; what already was stays overdue.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Something came back; `pending` says how many bytes are still to come.
    pub(crate) fn heard(&mut self, now: Instant, pending: u64) {
        self.served = true;
        self.since = (pending > 0).then_some(now);
    }

    /// The wait up to `now` was not the server's: nobody listened.
    pub(crate) fn forgive(&mut self, now: Instant) {
        self.since = self.since.map(|_| now);
    }

    /// When the silence will have lasted for `limit`; none while everything is answered.
    pub(crate) fn reaches(self, limit: Duration) -> Option<Instant> {
        self.since.map(|since| since + limit)
    }

    /// Whether the silence has lasted for `limit`.
    pub(crate) fn lasts(self, now: Instant, limit: Duration) -> bool {
        self.reaches(limit).is_some_and(|end| now >= end)
    }

    /// What to tell a person who waits; none while there is nothing worth a word.
    pub(crate) fn comment(self, now: Instant) -> Option<String> {
        let since = self.since.filter(|_| self.lasts(now, WORTH_A_WORD))?;
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        Some(if self.served {
            format!("no answer for {seconds:.1} s: the server answered before and is busy or stuck")
        } else {
            format!("connected; no answer for {seconds:.1} s: probably no worker is free")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_client_that_was_never_served_is_told_why() {
        let start = Instant::now();
        let mut silence = Silence::default();
        assert_eq!(silence.comment(start + 9000 * MS), None);
        silence.asked(start);
        silence.asked(start + 2000 * MS);
        assert_eq!(silence.comment(start + 499 * MS), None);
        let text = silence.comment(start + 3200 * MS).unwrap();
        let expected = "connected; no answer for 3.2 s: probably no worker is free";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_client_that_was_served_is_told_something_else() {
        let start = Instant::now();
        let mut silence = Silence::default();
        silence.asked(start);
        silence.heard(start + MS, 0);
        assert_eq!(silence.comment(start + 9000 * MS), None);
        silence.asked(start + 9000 * MS);
        let text = silence.comment(start + 10_000 * MS).unwrap();
        assert!(text.starts_with("no answer for 1.0 s: the server answered before"));
    }

    #[test]
    fn a_wait_that_is_ours_does_not_count() {
        let start = Instant::now();
        let mut silence = Silence::default();
        silence.forgive(start);
        assert_eq!(silence.reaches(MS), None);
        silence.asked(start);
        silence.forgive(start + 100 * MS);
        assert!(!silence.lasts(start + 100 * MS, MS) && silence.lasts(start + 101 * MS, MS));
    }
}
