//! How often `lab bench --baseline` errs, by simulation: prints the table of docs/performance.md, always
//! the same.

#![allow(clippy::print_stdout, reason = "a table is all it is for")]

use lab::suite::baseline::{Trend, moved};
use lab::suite::goal::{Figure, Relation};
use lab::suite::judge::{Judgement, Round, Verdict};
use lab::suite::simulation::rounds;

const CASES: u64 = 500;
/// The noise of a run.
const NOISE: f64 = 0.04;

fn main() {
    println!(
        "| pairs | nothing changed, and something is said | a loss of 10 % is found |\n|---|---|---|"
    );
    for pairs in [7, 8, 12, 40] {
        let said = count(pairs, 1.0, |trend| trend != Some(Trend::NoDifference));
        let found = count(pairs, 0.9, |trend| trend == Some(Trend::Slower));
        println!("| {pairs} | {said} of {CASES} | {found} of {CASES} |");
    }
}

/// In how many cases a rate that was as high as the reference's, and is `now` times that, went `so`.
fn count(pairs: usize, now: f64, so: impl Fn(Option<Trend>) -> bool) -> usize {
    let cases = (0..CASES).filter(|seed| {
        let before = rounds(*seed, pairs, 1.0, NOISE);
        // Seeds of the two sides must not be neighbours of one another.
        let after = rounds(seed + 1_000_000, pairs, now, NOISE);
        so(trend(&before, &after))
    });
    cases.count()
}

/// Where it went; none where the reference differs from itself.
fn trend(before: &[Round], after: &[Round]) -> Option<Trend> {
    let differs =
        |rounds| Judgement::of(Relation::AtLeast(1.0), rounds).verdict == Verdict::ControlDiffers;
    if differs(before) || differs(after) {
        return None;
    }
    moved(Figure::Rate, before, after).map(|(trend, _)| trend)
}
