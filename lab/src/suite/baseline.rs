//! What became slower since an earlier benchmark, and how sure that is.
//!
//! ```text
//! before  ln(ours / reference) of each round ─┐
//!                                             ├──▶ shift between the two, and its interval ──▶ Trend
//! after   ln(ours / reference) of each round ─┘
//! ```
//!
//! Compared are the *ratios to the reference*: a machine that is slower today than it was then slows
//! both, and drops out. Rounds of different days are not pairs, so the two are compared as two samples
//! ([`Interval::of_difference`]). With a row for everything there would be false alarms at 95 %, so the
//! interval has 99 %, and a shift that is worth a word is at least `WORTH`. Pure.

use serde::{Deserialize, Serialize};

use super::document::{Document, Row};
use super::goal::Figure;
use super::judge::{self, Round, Verdict};
use crate::compare::judge::FEWEST_ROUNDS;
use crate::stats::Interval;

/// How sure an alarm is.
const LEVEL: f64 = 0.99;
/// The least difference that is one: two builds of the same source differ by about so much, since
/// code comes to lie elsewhere.
const WORTH: f64 = 0.03;

/// Where a row went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    /// Worse than before, for sure.
    Slower,
    /// Better than before, for sure.
    Faster,
    /// None that can be told from noise, or too little to matter.
    NoDifference,
    /// The two were not measured alike, or one of them says nothing.
    Incomparable,
}

/// A row beside itself in an earlier document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// [`Row::name`].
    pub name: String,
    /// What it measures.
    pub figure: Figure,
    /// Where it went.
    pub trend: Trend,
    /// The figure now as a multiple of the figure then, both beside their references.
    pub ratio: Option<Interval>,
    /// Why they cannot be compared, if so.
    pub why: Option<String>,
}

/// Every row of `after`, beside that of `before`.
#[must_use]
pub fn changes(before: &Document, after: &Document) -> Vec<Change> {
    let elsewhere = elsewhere(before, after);
    let of = |row: &Row| match (&elsewhere, before.row(&row.name)) {
        (Some(why), _) => Change::none(row, why.clone()),
        (None, None) => Change::none(row, "it is not in the baseline".to_owned()),
        (None, Some(then)) => Change::of(then, row),
    };
    after.rows.iter().map(of).collect()
}

/// Where `figure` went between two series of rounds, and its ratio; none if a figure is missing, or not
/// above 0.
#[must_use]
pub fn moved(figure: Figure, before: &[Round], after: &[Round]) -> Option<(Trend, Interval)> {
    let shift = Interval::of_difference(&judge::logs(before)?, &judge::logs(after)?, LEVEL)?;
    let more = shift.low > 0.0 && shift.middle > (1.0 + WORTH).ln();
    let less = shift.high < 0.0 && shift.middle < (1.0 - WORTH).ln();
    let trend = match (more, less, figure.more_is_better()) {
        (true, _, true) | (_, true, false) => Trend::Faster,
        (true, _, false) | (_, true, true) => Trend::Slower,
        _ => Trend::NoDifference,
    };
    Some((trend, shift.exp()))
}

/// Why nothing of the two can be compared, if so: what another machine, or another kernel, makes of
/// the ratio of two programs is not known.
fn elsewhere(before: &Document, after: &Document) -> Option<String> {
    let told = |document: &Document| {
        let machine = &document.machine;
        let cpu = machine.cpu_model.clone().unwrap_or_default();
        [
            ("number of processors", machine.cpus.to_string()),
            ("processor", cpu),
            ("kernel", machine.kernel.clone()),
            ("division of processors", document.pinning.clone()),
        ]
    };
    let both = told(before).into_iter().zip(told(after));
    let mut other = both.filter(|((_, then), (_, now))| then != now);
    let ((what, then), (_, now)) = other.next()?;
    Some(format!("another {what}: {then} then, {now} now"))
}

impl Change {
    fn none(row: &Row, why: String) -> Self {
        Self {
            name: row.name.clone(),
            figure: row.figure,
            trend: Trend::Incomparable,
            ratio: None,
            why: Some(why),
        }
    }

    fn of(before: &Row, after: &Row) -> Self {
        if let Some(why) = unlike(before, after) {
            return Self::none(after, why);
        }
        let Some((trend, ratio)) = moved(after.figure, &before.rounds, &after.rounds) else {
            return Self::none(after, "a figure is missing, or not above 0".to_owned());
        };
        Self {
            trend,
            ratio: Some(ratio),
            why: None,
            ..Self::none(after, String::new())
        }
    }
}

/// Why a row is not the same as it was, or says nothing.
fn unlike(before: &Row, after: &Row) -> Option<String> {
    let (then, now) = (&before.settings, &after.settings);
    let reference = |row: &Row| {
        let reference = row.settings.reference.as_ref();
        reference.map_or_else(|| "none".to_owned(), |it| it.command.clone())
    };
    let told = |what: &str, then: &str, now: &str| {
        (then != now).then(|| format!("another {what}: {then} then, {now} now"))
    };
    let windows = [then.window_s, now.window_s].map(|window| format!("{window} s"));
    told("server", &then.own, &now.own)
        .or_else(|| told("reference", &reference(before), &reference(after)))
        .or_else(|| told("window", &windows[0], &windows[1]))
        .or_else(|| silent(before, "then"))
        .or_else(|| silent(after, "now"))
}

fn silent(row: &Row, when: &str) -> Option<String> {
    let few = row.rounds.len() < FEWEST_ROUNDS;
    let verdict = match row.judgement.verdict {
        Verdict::ControlDiffers => "the reference differed from itself",
        Verdict::NotMeasured | Verdict::Skipped => "it was not measured",
        _ if few => "there were fewer than 5 pairs",
        _ => return None,
    };
    Some(format!("{verdict} {when}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::document::tests::document;
    use crate::suite::simulation::rounds;

    /// The noise of a run here: four of a hundred, as a quiet machine of two processors has it.
    const NOISE: f64 = 0.04;

    /// The trend of a rate that was `then` and is `now` times the reference.
    fn trend(seed: u64, pairs: usize, then: f64, now: f64) -> Trend {
        let of = |seed, ratio| document(&[rounds(seed, pairs, ratio, NOISE)]);
        // Seeds of the two sides must not be neighbours of one another.
        changes(&of(seed, then), &of(seed + 1_000_000, now))[0].trend
    }

    fn count(pairs: usize, now: f64, wanted: Trend) -> usize {
        let cases = 0..500_u64;
        cases
            .filter(|seed| trend(*seed, pairs, 1.0, now) == wanted)
            .count()
    }

    #[test]
    fn what_did_not_change_is_hardly_ever_said_to() {
        for pairs in [8, 40] {
            let quiet = count(pairs, 1.0, Trend::NoDifference);
            assert!(quiet >= 494, "{pairs} pairs: {quiet} of 500");
        }
    }

    #[test]
    fn a_loss_of_a_tenth_is_found() {
        let (few, many) = (count(8, 0.9, Trend::Slower), count(40, 0.9, Trend::Slower));
        assert!(few >= 350, "8 pairs: {few} of 500");
        assert!(many >= 499, "40 pairs: {many} of 500");
        assert!(count(40, 1.1, Trend::Faster) >= 499);
    }

    #[test]
    fn too_little_to_matter_is_no_difference_however_sure_it_is() {
        let of = |ratio| document(&[rounds(1, 40, ratio, 0.001)]);
        let change = &changes(&of(1.0), &of(0.98))[0];
        assert_eq!(change.trend, Trend::NoDifference);
        assert!(change.ratio.is_some_and(|ratio| ratio.high < 1.0));
    }

    #[test]
    fn less_of_what_costs_is_better() {
        // The second row of the table is processor time.
        let of = |ratio| {
            let rounds = rounds(1, 40, ratio, 0.01);
            document(&[rounds.clone(), rounds])
        };
        let trends: Vec<Trend> = changes(&of(1.0), &of(0.8))
            .iter()
            .map(|it| it.trend)
            .collect();
        assert_eq!(trends, [Trend::Slower, Trend::Faster]);
    }

    #[test]
    fn what_was_not_measured_alike_is_not_compared_and_says_why() {
        let plain = || document(&[rounds(1, 8, 1.0, 0.01)]);
        let why = |change: fn(&mut Document)| {
            let mut now = plain();
            change(&mut now);
            let found = changes(&plain(), &now).remove(0);
            assert_eq!((found.trend, found.ratio), (Trend::Incomparable, None));
            found.why.unwrap()
        };
        assert_eq!(
            why(|now| now.machine.cpus = 8),
            "another number of processors: 2 then, 8 now"
        );
        assert!(why(|now| now.machine.kernel = "7.1".into()).contains("another kernel"));
        assert_eq!(
            why(|now| now.rows[0].settings.window_s = 2.0),
            "another window: 0.5 s then, 2 s now"
        );
        assert!(why(|now| now.rows[0].settings.own += " --workers 2").contains("another server"));
        assert!(why(|now| now.rows[0].settings.reference = None).contains("another reference"));
        assert_eq!(
            why(|now| now.rows[0].name = "new".into()),
            "it is not in the baseline"
        );
        assert_eq!(
            why(|now| now.rows[0].rounds.truncate(3)),
            "there were fewer than 5 pairs now"
        );
        assert_eq!(
            why(|now| now.rows[0].judgement.verdict = Verdict::ControlDiffers),
            "the reference differed from itself now"
        );
    }
}
