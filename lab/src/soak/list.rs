//! The steps and what each claims, for `lab soak --list`.

use cli::{Format, exit, stdout};
use server::Choice;

use super::step::Step;
use super::steps;
use crate::session::SessionError;

/// Shows them. Returns the exit code.
///
/// # Errors
///
/// [`SessionError::Stdout`].
pub(crate) fn list(format: Format) -> Result<u8, SessionError> {
    let text = match format {
        Format::Text => steps::ALL.iter().map(line).collect(),
        Format::Json => {
            let all = steps::ALL.iter().map(object).collect();
            format!("{:#}\n", serde_json::Value::Array(all))
        }
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}

fn line(step: &Step) -> String {
    format!("{:17} {:2} modes  {}\n", step.name, modes(step), step.claim)
}

fn object(step: &Step) -> serde_json::Value {
    serde_json::json!({
        "name": step.name,
        "claim": step.claim,
        "method": step.method,
        "modes": modes(step),
    })
}

/// How many modes it applies to.
fn modes(step: &Step) -> usize {
    let all = Choice::ALL.iter();
    all.filter(|choice| (step.modes)(**choice)).count()
}
