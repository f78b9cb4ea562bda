//! `lab compare --list-subjects`.

use cli::{Format, exit, stdout};
use serde_json::json;
use server::work::Work;

use crate::foreign::{self, Foreign};
use crate::plain::{self, Plain};
use crate::session::SessionError;

/// A server that the lab brings along.
struct Listed {
    name: &'static str,
    what: &'static str,
    /// What runs it, or why it cannot run.
    version: Result<String, String>,
}

/// Shows the plain servers, and those in other languages. Returns the exit code.
///
/// # Errors
///
/// [`SessionError::Stdout`].
pub(crate) fn list_subjects(format: Format) -> Result<u8, SessionError> {
    let plain = plain::ALL.iter().map(Listed::from);
    let all = plain.chain(foreign::ALL.iter().map(Listed::from));
    let text = match format {
        Format::Text => all.map(Listed::lines).collect(),
        Format::Json => {
            let all = all.map(Listed::object).collect();
            format!("{:#}\n", serde_json::Value::Array(all))
        }
    };
    stdout::emit(&text)?;
    Ok(exit::SUCCESS)
}

impl From<&Plain> for Listed {
    fn from(plain: &Plain) -> Self {
        Self {
            name: plain.name,
            what: plain.what,
            version: Ok(format!("part of lab {}", env!("CARGO_PKG_VERSION"))),
        }
    }
}

impl From<&Foreign> for Listed {
    fn from(foreign: &Foreign) -> Self {
        let lack = || foreign.lack(Work::None).map(|lack| lack.to_string());
        Self {
            name: foreign.name,
            what: foreign.what,
            version: foreign.version().ok_or_else(|| lack().unwrap_or_default()),
        }
    }
}

impl Listed {
    fn lines(self) -> String {
        let (Ok(state) | Err(state)) = self.version;
        format!("{:28}  {}\n{:28}  {state}\n", self.name, self.what, "")
    }

    fn object(self) -> serde_json::Value {
        json!({
            "name": self.name,
            "what": self.what,
            "installed": self.version.is_ok(),
            "version": self.version.ok(),
        })
    }
}
