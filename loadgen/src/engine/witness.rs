//! Looks at the server from outside when the window opens and when it ends.

use super::target::Targets;
use crate::Config;
use crate::observe::{Eye, Sample};
use crate::time::Moment;

/// Two looks at the server's processes.
#[derive(Debug)]
pub(super) struct Witness {
    eye: Eye,
    opens: Moment,
    ends: Moment,
    first: Option<Sample>,
    last: Option<Sample>,
}

impl Witness {
    /// For a run of `config`; none when the server cannot be seen from here.
    pub(super) fn open(config: &Config, targets: &Targets) -> Option<Self> {
        let opens = Moment::START.after(config.warmup);
        let (length, _) = config.stop.limits();
        let (eye, sample) = Eye::open(targets.addresses())?;
        // The window opens at once: this was the look at its beginning.
        let opens_now = config.warmup.is_zero() && config.start_at_unix_s.is_none();
        Some(Self {
            eye,
            opens,
            ends: length.map_or(Moment::NEVER, |length| opens.after(length)),
            first: opens_now.then_some(sample),
            last: None,
        })
    }

    /// When it wants to look next.
    pub(super) fn next(&self) -> Moment {
        match (&self.first, &self.last) {
            (None, _) => self.opens,
            (Some(_), None) => self.ends,
            (Some(_), Some(_)) => Moment::NEVER,
        }
    }

    /// Looks, if it is time to.
    pub(super) fn look(&mut self, now: Moment) {
        if now < self.next() {
            return;
        }
        let sample = Some(self.eye.sample());
        match self.first {
            None => self.first = sample,
            Some(_) => self.last = sample,
        }
    }

    /// What was seen at the ends of the window; none when it never opened.
    pub(super) fn finish(mut self) -> Option<(Sample, Sample)> {
        let first = self.first?;
        let last = self.last.unwrap_or_else(|| self.eye.sample());
        Some((first, last))
    }
}
