//! What a step needs and may not find here: then it is skipped and says why; it never passes.

use std::process::{Command, Stdio};

use super::step::Need;
use crate::bench::Effort;
use crate::launcher::Launcher;

/// What there is.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// What the server says of its flags.
    help: String,
    effort: Effort,
}

impl Surroundings {
    /// Asks the server for its flags; one that does not tell has none.
    #[must_use]
    pub(super) fn of(launcher: &Launcher, effort: Effort) -> Self {
        let asked = launcher
            .server
            .command()
            .arg("--help")
            .stdin(Stdio::null())
            .output();
        let help = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self {
            help: help.unwrap_or_default(),
            effort,
        }
    }

    /// The first of `needs` that is not met, in words.
    #[must_use]
    pub(super) fn lack(&self, needs: &[Need]) -> Option<String> {
        needs.iter().find_map(|need| self.lacks(*need))
    }

    fn lacks(&self, need: Need) -> Option<String> {
        match need {
            Need::Flag(flag) if !has_word(&self.help, flag) => {
                Some(format!("the server has no {flag}"))
            }
            Need::Program(name) if !is_installed(name) => Some(format!("{name} is not installed")),
            Need::Minutes if self.effort == Effort::Short => {
                Some("it takes minutes: only in the full profile".into())
            }
            Need::Flag(_) | Need::Program(_) | Need::Minutes => None,
        }
    }
}

/// Whether `flag` stands in `text` as a whole.
fn has_word(text: &str, flag: &str) -> bool {
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.any(|word| word == flag)
}

fn is_installed(name: &str) -> bool {
    let tried = Command::new(name).arg("--version").output();
    tried.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(effort: Effort) -> Surroundings {
        Surroundings {
            help: "  --write-timeout <DURATION>\n  --workers <N>".into(),
            effort,
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let (quick, full) = (surroundings(Effort::Short), surroundings(Effort::Full));
        let lack = |need| quick.lack(&[Need::Flag("--workers"), need]);
        assert_eq!(lack(Need::Flag("--write-timeout")), None);
        assert_eq!(
            lack(Need::Flag("--write")).as_deref(),
            Some("the server has no --write")
        );
        assert_eq!(
            lack(Need::Program("no-such-program")).as_deref(),
            Some("no-such-program is not installed")
        );
        assert!(lack(Need::Minutes).is_some() && full.lack(&[Need::Minutes]).is_none());
    }
}
