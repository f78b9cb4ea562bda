//! What can be put under load: our own server in one of its modes, or any program that can be told
//! a port.
//!
//! Values only; `server` starts them.

use std::str::FromStr;

use server::work::Work;

/// What a command template must contain.
pub(crate) const PORT: &str = "{port}";
/// What it may contain: the work that each message costs.
const WORK: &str = "{work}";
/// What the command of a client must contain besides: how many it is to be.
pub(crate) const CLIENTS: &str = "{clients}";
/// And for how many seconds.
pub(crate) const SECONDS: &str = "{seconds}";
/// Whom it is to ask.
pub(crate) const TARGET: &str = "127.0.0.1:{port}";

/// A server that can be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// How reports call it.
    pub name: String,
    /// How it is started.
    pub launch: Launch,
}

/// How a subject is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Launch {
    /// Our own server, re-executed; these are its flags.
    Own(Vec<String>),
    /// A command line for `sh`, in which `{port}` stands for the port.
    Foreign(String),
    /// A program without a shell.
    Program(Program),
    /// This program once more, which then plays this part ([`crate::part`]) and says like our own
    /// server when it is ready.
    Part(Vec<String>),
}

/// A program and its arguments, in which `{port}` stands for the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The program first.
    pub argv: Vec<String>,
    /// How a person starts it, with `{port}` likewise.
    pub shown: String,
}

/// A `--subject` that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// There is no name in front of the command.
    #[error("must be NAME=COMMAND, such as 'mine=./server {{port}}'")]
    Form,
    /// The command would not know where to listen.
    #[error("the command must contain {{port}}, which stands for the port to listen on")]
    NoPort,
}

impl Subject {
    /// Our server in `mode`, with `workers` workers where the mode has any.
    #[must_use]
    pub fn own(mode: &str, workers: usize) -> Self {
        let flags = ["--mode", mode, "--workers", &workers.to_string()];
        Self {
            name: mode.to_owned(),
            launch: Launch::Own(flags.map(str::to_owned).to_vec()),
        }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with further flags; a foreign command stays as it is.
    #[must_use]
    pub fn with(mut self, flags: &[&str]) -> Self {
        if let Launch::Own(own) = &mut self.launch {
            own.extend(flags.iter().map(|flag| (*flag).to_owned()));
        }
        self
    }

    /// The same, told to do `work`; none of a command that has no place for it, unless there is no
    /// work.
    #[must_use]
    pub fn told_work(mut self, work: Work) -> Option<Self> {
        if let Launch::Foreign(command) = &mut self.launch {
            if work != Work::None && !command.contains(WORK) {
                return None;
            }
            *command = command.replace(WORK, &work.to_string());
        }
        Some(self)
    }

    /// The same with `value` in each `place`, whatever is started; our own server has no places.
    #[must_use]
    pub(crate) fn filled(mut self, place: &str, value: &str) -> Self {
        let fill = |words: &mut Vec<String>| {
            for word in words {
                *word = word.replace(place, value);
            }
        };
        match &mut self.launch {
            Launch::Own(_) => {}
            Launch::Foreign(command) => *command = command.replace(place, value),
            Launch::Program(program) => fill(&mut program.argv),
            Launch::Part(told) => fill(told),
        }
        self
    }

    /// How a person starts the same server; `port` is what a foreign command is told.
    #[must_use]
    pub fn command_line(&self, port: u16) -> String {
        self.template().replace(PORT, &port.to_string())
    }

    /// The same with `{port}` where a foreign command is told its port.
    #[must_use]
    pub fn template(&self) -> String {
        match &self.launch {
            Launch::Own(flags) if flags.is_empty() => "server 127.0.0.1:0".to_owned(),
            Launch::Own(flags) => format!("server 127.0.0.1:0 {}", flags.join(" ")),
            Launch::Foreign(command) => command.clone(),
            Launch::Program(program) => program.shown.clone(),
            Launch::Part(told) => format!("lab @part {}", told.join(" ")),
        }
    }
}

impl Program {
    /// A program that a person starts by the same words.
    #[must_use]
    pub fn of(argv: &[&str]) -> Self {
        Self {
            argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
            shown: argv.join(" "),
        }
    }

    /// The program and its arguments, told its port.
    pub fn told(&self, port: u16) -> impl Iterator<Item = String> {
        let port = port.to_string();
        self.argv.iter().map(move |arg| arg.replace(PORT, &port))
    }
}

impl FromStr for Subject {
    type Err = InvalidSubject;

    fn from_str(text: &str) -> Result<Self, InvalidSubject> {
        let (name, command) = text.split_once('=').ok_or(InvalidSubject::Form)?;
        let (name, command) = (name.trim(), command.trim());
        if name.is_empty() || command.is_empty() {
            return Err(InvalidSubject::Form);
        }
        if !command.contains(PORT) {
            return Err(InvalidSubject::NoPort);
        }
        Ok(Self {
            name: name.to_owned(),
            launch: Launch::Foreign(command.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_told_its_port() {
        let subject: Subject = "py=python3 echo.py --port={port}".parse().unwrap();
        assert_eq!(subject.name, "py");
        assert_eq!(subject.command_line(9000), "python3 echo.py --port=9000");
    }

    #[test]
    fn a_template_without_name_or_port_is_refused() {
        assert_eq!("echo {port}".parse::<Subject>(), Err(InvalidSubject::Form));
        assert_eq!("=echo {port}".parse::<Subject>(), Err(InvalidSubject::Form));
        assert_eq!("a=echo 7".parse::<Subject>(), Err(InvalidSubject::NoPort));
    }

    #[test]
    fn our_own_server_is_shown_as_it_can_be_typed() {
        let subject = Subject::own("async", 4).with(&["--work", "io=1ms"]);
        assert_eq!(
            subject.command_line(0),
            "server 127.0.0.1:0 --mode async --workers 4 --work io=1ms"
        );
    }
}
