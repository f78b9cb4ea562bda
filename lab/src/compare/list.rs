//! `lab compare --list-subjects`.

use cli::{Format, exit, stdout};
use server::work::Work;

use crate::foreign::{self, Foreign};
use crate::session::SessionError;

/// Shows the servers in other languages. Returns the exit code.
///
/// # Errors
///
/// [`SessionError::Stdout`].
pub(crate) fn list_subjects(format: Format) -> Result<u8, SessionError> {
    let text = match format {
        Format::Text => foreign::ALL.iter().map(line).collect(),
        Format::Json => {
            let all = foreign::ALL.iter().map(object).collect();
            format!("{:#}\n", serde_json::Value::Array(all))
        }
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}

/// What runs it, or why it cannot run.
fn state(foreign: &Foreign) -> String {
    let lack = || foreign.lack(Work::None).map(|lack| lack.to_string());
    foreign.version().or_else(lack).unwrap_or_default()
}

fn line(foreign: &Foreign) -> String {
    format!(
        "{:28}  {}\n{:28}  {}\n",
        foreign.name,
        foreign.what,
        "",
        state(foreign)
    )
}

fn object(foreign: &Foreign) -> serde_json::Value {
    serde_json::json!({
        "name": foreign.name,
        "what": foreign.what,
        "installed": foreign.lack(Work::None).is_none(),
        "version": foreign.version(),
    })
}
