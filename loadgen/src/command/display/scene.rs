//! What the display says, line by line, for any width. Pure: no terminal and no clock.

use std::time::Duration;

use cli::units::{micros, number};
use loadgen::{Config, Progress, Recent, StopRule};

use super::piece::{Piece, Tone, bar, fitted};
use super::strip::share;

/// Columns of the bar of time at most, and the share of the line that it gets at most.
const BAR: usize = 24;
const BAR_SHARE: usize = 3;
/// How far the run is to go.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Goal {
    /// The server as typed, without what a terminal would obey.
    target: String,
    /// Length of the whole run, if it has one.
    length: Option<Duration>,
    /// Requests after which it ends, if it counts them.
    requests: Option<u64>,
}

/// What the run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It sends.
    Running,
    /// It sends nothing new.
    Paused,
    /// It ends.
    Stopping,
}

/// One moment of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    /// How far it is to go.
    pub(super) goal: &'a Goal,
    /// How far it has come.
    pub(super) progress: Progress,
    /// What it is doing.
    pub(super) mood: Mood,
    /// Whether there are keys to press.
    pub(super) keys: bool,
}

impl Goal {
    /// That of a run of `config`.
    pub(super) fn of(config: &Config) -> Self {
        let (length, requests) = match config.stop {
            StopRule::After(length) => (Some(length), None),
            StopRule::Requests(total) => (None, Some(total.get())),
            StopRule::Either(length, total) => (Some(length), Some(total.get())),
        };
        let target = config.target();
        Self {
            target: target.replace(char::is_control, "?"),
            length: length.map(|length| config.warmup + length),
            requests,
        }
    }

    /// The share of the run that is over; none where the end is not known.
    fn share(&self, progress: &Progress) -> Option<f64> {
        let time = self
            .length
            .map(|length| progress.elapsed.as_secs_f64() / length.as_secs_f64());
        let requests = self
            .requests
            .map(|total| (progress.answered + progress.failed) as f64 / total as f64);
        let share = [time, requests].into_iter().flatten().reduce(f64::max)?;
        share.is_finite().then(|| share.clamp(0.0, 1.0))
    }
}

impl Scene<'_> {
    /// The lines of the display, none of them wider than `columns`.
    pub(super) fn lines(&self, columns: usize) -> Vec<Vec<Piece>> {
        let mut lines = vec![
            fitted(self.time(BAR.min(columns / BAR_SHARE)), columns),
            fitted(self.speed(), columns),
            self.strip(columns),
            fitted(self.counts(), columns),
        ];
        if self.keys {
            let help = vec![(Tone::Faint, "space pauses, q stops".to_owned())];
            lines.push(fitted(vec![help], columns));
        }
        lines
    }

    /// The same as one line without colours.
    pub(super) fn line(&self) -> String {
        let time = format!("{} {}", self.clock(), self.doing());
        let parts = [vec![vec![(Tone::Plain, time)]], self.speed(), self.counts()];
        let texts = parts.into_iter().flatten();
        let texts = texts.map(|part| part.into_iter().map(|piece| piece.1).collect::<String>());
        texts.collect::<Vec<_>>().join("  ")
    }

    fn time(&self, cells: usize) -> Vec<Vec<Piece>> {
        let mut parts = vec![vec![(Tone::Plain, self.clock())]];
        parts.push(vec![(self.mood_tone(), self.doing().to_owned())]);
        if let Some(share) = self.goal.share(&self.progress) {
            parts.push(bar(share, cells));
        }
        parts.push(vec![(Tone::Faint, self.goal.target.clone())]);
        parts
    }

    fn clock(&self) -> String {
        let elapsed_s = self.progress.elapsed.as_secs_f64();
        match self.goal.length {
            Some(length) => format!("{elapsed_s:.1}s of {}", cli::units::span(length)),
            None => format!("{elapsed_s:.1}s"),
        }
    }

    fn doing(&self) -> &'static str {
        match self.mood {
            Mood::Paused => "paused",
            Mood::Stopping => "stopping",
            Mood::Running if self.progress.warming_up => "warm-up",
            Mood::Running => "measuring",
        }
    }

    fn mood_tone(&self) -> Tone {
        match self.mood {
            Mood::Running => Tone::Plain,
            Mood::Paused | Mood::Stopping => Tone::Waiting,
        }
    }

    /// The last second.
    fn speed(&self) -> Vec<Vec<Piece>> {
        let plain = |text: String| vec![(Tone::Plain, text)];
        let Some(recent) = self.progress.recent else {
            return vec![vec![(Tone::Faint, "no second is over yet".to_owned())]];
        };
        let Recent {
            rate_per_s,
            p50_us,
            p99_us,
            max_us,
        } = recent;
        let mut parts = vec![plain(format!("{} req/s", number(rate_per_s)))];
        for (name, wait) in [("p50", p50_us), ("p99", p99_us), ("max", max_us)] {
            parts.extend(wait.map(|us| plain(format!("{name} {}", micros(us)))));
        }
        parts
    }

    /// Clients served, waiting, and not connected yet.
    fn clients(&self) -> [u32; 3] {
        let Progress {
            asked,
            connected,
            served,
            ..
        } = self.progress;
        [
            served,
            connected.saturating_sub(served),
            asked.saturating_sub(connected),
        ]
    }

    fn strip(&self, columns: usize) -> Vec<Piece> {
        let [served, waiting, connecting] = share(self.clients(), columns);
        vec![
            (Tone::Served, "█".repeat(served)),
            (Tone::Waiting, "░".repeat(waiting)),
            (Tone::Faint, "·".repeat(connecting)),
        ]
    }

    fn counts(&self) -> Vec<Vec<Piece>> {
        let [served, waiting, connecting] = self.clients();
        let failed = self.progress.failed;
        let errors = match failed {
            0 => Tone::Plain,
            _ => Tone::Bad,
        };
        let clients = vec![
            (Tone::Served, format!("{served} served")),
            (Tone::Plain, ", ".to_owned()),
            (Tone::Waiting, format!("{waiting} waiting")),
            (Tone::Plain, ", ".to_owned()),
            (Tone::Faint, format!("{connecting} connecting")),
        ];
        vec![
            clients,
            vec![(errors, format!("{} errors", number(failed as f64)))],
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn goal() -> Goal {
        Goal {
            target: "127.0.0.1:7007".to_owned(),
            length: Some(Duration::from_secs(11)),
            requests: None,
        }
    }

    fn pool() -> Progress {
        Progress {
            elapsed: Duration::from_millis(5_500),
            connected: 50,
            asked: 52,
            served: 4,
            answered: 230_000,
            recent: Some(Recent {
                rate_per_s: 42_100.0,
                p50_us: Some(82.9),
                p99_us: Some(266.0),
                max_us: None,
            }),
            ..Progress::default()
        }
    }

    fn shown(progress: Progress, mood: Mood, columns: usize) -> String {
        let goal = goal();
        let scene = Scene {
            goal: &goal,
            progress,
            mood,
            keys: true,
        };
        let lines = scene.lines(columns).into_iter();
        let text = lines.map(|line| line.into_iter().map(|piece| piece.1).collect::<String>());
        text.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_starving_pool_is_seen_at_a_glance() {
        insta::assert_snapshot!(shown(pool(), Mood::Running, 80), @r"
        5.5s of 11s   measuring   ━━━━━━━━━━━━────────────   127.0.0.1:7007
        42.1k req/s   p50 82.9us   p99 266us
        ████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░··
        4 served, 46 waiting, 2 connecting   0 errors
        space pauses, q stops
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_less_and_not_a_mess() {
        insta::assert_snapshot!(shown(pool(), Mood::Paused, 20), @r"
        5.5s of 11s   paused
        42.1k req/s
        ██░░░░░░░░░░░░░░░░░·
        4 served, 46 waiting
        space pauses, q stop
        ");
    }

    #[test]
    fn a_plain_line_says_the_same() {
        let goal = goal();
        let scene = Scene {
            goal: &goal,
            progress: Progress {
                warming_up: true,
                failed: 3,
                ..pool()
            },
            mood: Mood::Running,
            keys: false,
        };
        insta::assert_snapshot!(scene.line(), @"5.5s of 11s warm-up  42.1k req/s  p50 82.9us  p99 266us  4 served, 46 waiting, 2 connecting  3 errors");
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide(columns in 3..120_usize, served in 0..2_000_u32, failed in 0..u64::MAX) {
            let progress = Progress { served, failed, connected: 2_000, asked: 3_000, ..pool() };
            for line in shown(progress, Mood::Stopping, columns).lines() {
                prop_assert!(line.chars().count() <= columns, "{}", line);
            }
        }
    }
}
