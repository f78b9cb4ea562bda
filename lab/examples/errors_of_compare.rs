//! How often `lab compare` errs, by simulation: prints the table of docs/comparing.md, always the same.

#![allow(clippy::print_stdout, reason = "a table is all it is for")]

use lab::compare::judge::{Conclusion, Effect, Rounds};
use lab::dice::Dice;

const TRIALS: u64 = 4_000;
/// The noise of a run.
const NOISE: f64 = 0.03;

fn main() {
    println!("| rounds | A against A | without the noise floor | 10 % found |\n|---|---|---|---|");
    for rounds in [5, 6, 10, 12] {
        let same = percent(rounds, 1.0, Effect::differs);
        let bare = percent(rounds, 1.0, leaves_out_none);
        let found = percent(rounds, 1.1, |effect| {
            effect.conclusion == Conclusion::Higher
        });
        println!("| {rounds} | {same:.2} % | {bare:.2} % | {found:.2} % |");
    }
}

/// In how many of a hundred comparisons with a server at this level the effect is `so`.
fn percent(rounds: usize, level: f64, so: impl Fn(&Effect) -> bool) -> f64 {
    let found = (0..TRIALS).filter(|trial| {
        let mut dice = Dice::of(trial * 7919 + 1);
        let mut side = |level: f64| -> Rounds {
            let figure = |_| Some(level * (NOISE * dice.normal()).exp());
            (0..rounds).map(figure).collect()
        };
        let (first, other, again) = (side(1e4), side(1e4 * level), side(1e4));
        so(&Effect::of(&first, &other, &again))
    });
    found.count() as f64 / TRIALS as f64 * 100.0
}

/// What the interval says by itself.
fn leaves_out_none(effect: &Effect) -> bool {
    effect
        .ratio
        .is_some_and(|ratio| ratio.low > 1.0 || ratio.high < 1.0)
}
