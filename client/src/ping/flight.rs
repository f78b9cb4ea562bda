//! Which messages are under way, and which of them are late. Pure: time is passed in.

use std::collections::VecDeque;
use std::time::Duration;

/// How many messages may be under way at once.
const MAX_IN_FLIGHT: usize = 10_000;

/// The messages that have not come back, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    messages: VecDeque<Message>,
    /// How many of `messages`, from the front, are given up; they may still come back.
    lost: usize,
}

#[derive(Debug)]
struct Message {
    seq: u64,
    /// The offset of the byte after its last one, in all that is sent.
    end: u64,
    sent_at: Duration,
}

/// A message that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its number, from 0.
    pub(crate) seq: u64,
    /// From sending it to its last byte.
    pub(crate) rtt: Duration,
    /// Whether it was in time.
    pub(crate) punctuality: Punctuality,
}

/// Whether an answer was in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Punctuality {
    /// Within the time limit.
    InTime,
    /// After it had been given up.
    Late,
}

impl Flight {
    /// Message `seq` was sent, and its last byte is the one before offset `end`.
    pub(crate) fn sent(&mut self, seq: u64, end: u64, now: Duration) {
        self.messages.push_back(Message {
            seq,
            end,
            sent_at: now,
        });
    }

    /// Whether one more may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.messages.len() < MAX_IN_FLIGHT
    }

    /// How many are under way and not given up.
    pub(crate) fn pending(&self) -> usize {
        self.messages.len() - self.lost
    }

    /// The next message that is complete when the first `answered` bytes have come back.
    pub(crate) fn answered(&mut self, answered: u64, now: Duration) -> Option<Answer> {
        if self.messages.front()?.end > answered {
            return None;
        }
        let message = self.messages.pop_front()?;
        let punctuality = if self.lost > 0 {
            self.lost -= 1;
            Punctuality::Late
        } else {
            Punctuality::InTime
        };
        Some(Answer {
            seq: message.seq,
            rtt: now.saturating_sub(message.sent_at),
            punctuality,
        })
    }

    /// When the next message will have to be given up.
    pub(crate) fn next_loss(&self, timeout: Duration) -> Option<Duration> {
        let next = self.messages.get(self.lost)?;
        Some(next.sent_at + timeout)
    }

    /// Gives up the next message that has been under way for `timeout`, and names it.
    pub(crate) fn lost(&mut self, now: Duration, timeout: Duration) -> Option<u64> {
        let next = self.messages.get(self.lost)?;
        (now >= next.sent_at + timeout).then(|| {
            self.lost += 1;
            next.seq
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_answer_after_the_limit_is_lost_first_and_late_then() {
        let mut flight = Flight::default();
        flight.sent(0, 10, Duration::ZERO);
        assert_eq!(flight.lost(4 * MS, 5 * MS), None);
        assert_eq!(flight.lost(5 * MS, 5 * MS), Some(0));
        assert_eq!((flight.lost(9 * MS, 5 * MS), flight.pending()), (None, 0));
        assert_eq!(flight.answered(9, 7 * MS), None);
        let answer = Answer {
            seq: 0,
            rtt: 7 * MS,
            punctuality: Punctuality::Late,
        };
        assert_eq!(flight.answered(10, 7 * MS), Some(answer));
    }

    /// What happens next: a message is sent, a number of bytes comes back, or time passes.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Send,
        Echo(u64),
        Pass(u32),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Send),
            (0_u64..30).prop_map(Event::Echo),
            (0_u32..10).prop_map(Event::Pass),
        ]
    }

    proptest! {
        #[test]
        fn every_message_is_accounted_for_once(events in prop::collection::vec(event(), 0..200)) {
            const SIZE: u64 = 10;
            const TIMEOUT: Duration = Duration::from_millis(5);
            let mut flight = Flight::default();
            let (mut now, mut echoed) = (Duration::ZERO, 0);
            let (mut sent, mut in_time, mut late, mut lost) = (0_u64, 0_u64, 0_u64, 0_u64);
            for event in events {
                match event {
                    Event::Send => {
                        flight.sent(sent, (sent + 1) * SIZE, now);
                        sent += 1;
                    }
                    Event::Echo(bytes) => echoed = (echoed + bytes).min(sent * SIZE),
                    Event::Pass(ms) => now += MS * ms,
                }
                while let Some(answer) = flight.answered(echoed, now) {
                    prop_assert_eq!(answer.seq, in_time + late);
                    match answer.punctuality {
                        Punctuality::InTime => {
                            in_time += 1;
                            prop_assert!(answer.rtt <= TIMEOUT + MS * 9);
                        }
                        Punctuality::Late => late += 1,
                    }
                }
                while let Some(seq) = flight.lost(now, TIMEOUT) {
                    lost += 1;
                    prop_assert!(seq < sent);
                }
                prop_assert_eq!(in_time + lost + flight.pending() as u64, sent);
                prop_assert!(late <= lost);
                prop_assert_eq!(in_time + late, echoed / SIZE);
                prop_assert!(flight.next_loss(TIMEOUT).is_none_or(|end| end > now));
            }
        }
    }
}
