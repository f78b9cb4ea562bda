//! A line on stderr while the run lasts, for people at a terminal only.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::{Config, Progress, StopRule};

/// Redraws at most this often: a display must not cost what it shows.
const DRAWS_PER_S: u8 = 5;

/// The line; it draws nothing when stderr is no terminal.
#[derive(Debug)]
pub(super) struct Line {
    bar: ProgressBar,
    /// Known length of the run.
    whole: Option<Duration>,
}

impl Line {
    /// For a run of `config`.
    pub(super) fn new(config: &Config) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(DRAWS_PER_S)
        } else {
            ProgressDrawTarget::hidden()
        };
        let whole = match config.stop {
            StopRule::After(length) | StopRule::Either(length, _) => Some(config.warmup + length),
            StopRule::Requests(_) => None,
        };
        let bar = ProgressBar::with_draw_target(whole.map(millis), target);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
            bar.set_style(style);
        }
        Self { bar, whole }
    }

    /// Shows `progress`.
    pub(super) fn show(&self, progress: Progress) {
        if self.bar.is_hidden() {
            return;
        }
        if self.whole.is_some() {
            self.bar.set_position(millis(progress.elapsed));
        }
        self.bar.set_message(format!(
            "{} connected, {} served, {} answers",
            progress.connected,
            progress.served,
            cli::units::number(progress.answered as f64)
        ));
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
