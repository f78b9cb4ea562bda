//! Rounds as a machine with neighbours might yield them: what a judgement makes of them shows how often
//! it errs.

use super::judge::Round;
use crate::dice::Dice;

/// Rounds of a server that is `ratio` times the reference. Each run has normal noise with this
/// deviation, and the machine has two speeds, which a round has in common.
#[must_use]
pub fn rounds(seed: u64, count: usize, ratio: f64, noise: f64) -> Vec<Round> {
    let mut dice = Dice::of(seed);
    let mut run = |level: f64| level * (noise * dice.normal()).exp();
    let round = |number| {
        let level = if number % 3 == 0 {
            130_000.0
        } else {
            190_000.0
        };
        Round {
            own: run(level * ratio),
            reference: Some([run(level), run(level)]),
        }
    };
    (0..count).map(round).collect()
}
