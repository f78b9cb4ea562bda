//! The line editor on a thread of its own, and the terminal as it was before.
//!
//! The editor cannot be woken while it waits for a key, so the conversation does not wait for it:
//! it listens to a bell that rings when a line is there, and may end while the editor still waits.
//! That is why the terminal is put back by [`Prompter`] and not by the editor, which must not touch
//! it any more then: it is waited for when it takes the terminal, and cut off when it is over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::error::ReadlineError;
use rustyline::history::History;
use rustyline::{Config, DefaultEditor, Prompt};

use crate::failure::Failure;
use crate::people;

/// What stands before the line that is typed.
const PROMPT: &str = "> ";
/// How many lines the history keeps.
const HISTORY_LINES: usize = 1000;
/// The editor asked the terminal to mark what is pasted; this takes it back.
const PASTE_MARKS_OFF: &str = "\x1b[?2004l";

/// What a person did at the prompt.
#[derive(Debug)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-D.
    End,
    /// Ctrl-C.
    Interrupt,
    /// The terminal broke.
    Failed(io::Error),
}

/// A prompt that tells when it is shown: by then the editor has the terminal in its hands.
struct Announced {
    shown: Sender<()>,
}

impl Prompt for Announced {
    fn raw(&self) -> &str {
        // Nobody waits for the second time that it is drawn.
        let _ = self.shown.send(());
        PROMPT
    }
}

/// The editor, which prompts once for each [`Prompter::ask`].
#[derive(Debug)]
pub(crate) struct Prompter {
    turns: Sender<Announced>,
    typed: Receiver<Typed>,
    bell: UnixStream,
    terminal: OwnedFd,
    before: Termios,
    /// The editor has been asked and has not answered: the terminal is in its hands.
    editing: bool,
}

impl Prompter {
    /// Starts the editor's thread, with the lines of earlier conversations from `history`.
    ///
    /// # Errors
    ///
    /// [`Failure::Terminal`] when stdin is none, or no thread can be had.
    pub(crate) fn start(history: Option<PathBuf>) -> Result<Self, Failure> {
        let stdin = rustix::stdio::stdin();
        let terminal = stdin.try_clone_to_owned().map_err(Failure::Terminal)?;
        let before = tcgetattr(&terminal).map_err(io::Error::from);
        let before = before.map_err(Failure::Terminal)?;
        let (bell, ringer) = UnixStream::pair().map_err(Failure::Terminal)?;
        bell.set_nonblocking(true).map_err(Failure::Terminal)?;
        let (turns, asked) = channel();
        let (answers, typed) = channel();
        thread::Builder::new()
            .name("prompt".to_owned())
            .spawn(move || edit(history.as_deref(), &asked, &answers, ringer))
            .map_err(Failure::Terminal)?;
        let quiet = between_prompts(&before);
        let prompter = Self {
            turns,
            typed,
            bell,
            terminal,
            before,
            editing: false,
        };
        prompter.set(&quiet).map_err(Failure::Terminal)?;
        Ok(prompter)
    }

    /// Prompts for a line, which [`Prompter::take`] gets when the bell has rung.
    pub(crate) fn ask(&mut self) {
        let (shown, is_shown) = channel();
        self.editing = self.turns.send(Announced { shown }).is_ok();
        // An editor that cannot prompt drops the prompt instead, and rings.
        let _ = is_shown.recv();
    }

    /// Becomes readable when something was typed.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// What was typed, if anything was.
    pub(crate) fn take(&mut self) -> Option<Typed> {
        let typed = match self.bell.read(&mut [0]) {
            Ok(0) => Typed::Failed(io::ErrorKind::BrokenPipe.into()),
            Ok(_) => self.typed.recv().ok()?,
            Err(_) => return None,
        };
        self.editing = false;
        Some(typed)
    }
}

impl Prompter {
    fn set(&self, modes: &Termios) -> io::Result<()> {
        tcsetattr(&self.terminal, OptionalActions::Drain, modes).map_err(Into::into)
    }

    /// Whatever the editor does to stdin from now on, it does not do to the terminal.
    fn cut_editor_off() -> io::Result<()> {
        rustix::stdio::dup2_stdin(File::open("/dev/null")?).map_err(Into::into)
    }
}

impl Drop for Prompter {
    fn drop(&mut self) {
        if self.editing {
            // Without the cut the editor only might be faster than we are.
            let _ = Self::cut_editor_off();
            people::put(&format!("{PASTE_MARKS_OFF}\n"));
        }
        // A terminal that is gone cannot be put back.
        let _ = self.set(&self.before);
    }
}

/// Between two prompts keys are neither shown nor gathered into lines, so that they reach the next
/// prompt as they were typed and do not spoil the line about a missing answer. Ctrl-C still works.
fn between_prompts(before: &Termios) -> Termios {
    let mut quiet = before.clone();
    quiet.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    quiet
}

/// The editor's thread: a line for each turn, until nobody asks any more.
fn edit(
    history: Option<&Path>,
    asked: &Receiver<Announced>,
    answers: &Sender<Typed>,
    mut ringer: UnixStream,
) {
    let mut editor = editor(history).map_err(|error| error.to_string());
    while let Ok(announced) = asked.recv() {
        let typed = match &mut editor {
            Ok(editor) => prompt(editor, &announced, history),
            Err(error) => Typed::Failed(io::Error::other(error.clone())),
        };
        // Nobody listens any more once the conversation is over.
        let _ = answers.send(typed);
        let _ = ringer.write_all(&[1]);
    }
}

fn editor(history: Option<&Path>) -> rustyline::Result<DefaultEditor> {
    let config = Config::builder().max_history_size(HISTORY_LINES)?.build();
    let mut editor = DefaultEditor::with_config(config)?;
    match history.map(|path| editor.load_history(path)) {
        None | Some(Ok(())) => {}
        Some(Err(ReadlineError::Io(error))) if error.kind() == io::ErrorKind::NotFound => {}
        Some(Err(error)) => people::say(&format!("cannot read the history: {error}")),
    }
    Ok(editor)
}

fn prompt(editor: &mut DefaultEditor, announced: &Announced, history: Option<&Path>) -> Typed {
    match editor.readline(announced) {
        Ok(line) => {
            remember(editor, &line, history);
            Typed::Line(line)
        }
        Err(ReadlineError::Eof) => Typed::End,
        Err(ReadlineError::Interrupted) => Typed::Interrupt,
        Err(error) => Typed::Failed(io::Error::other(error)),
    }
}

/// Adds the line to the history, and to its file at once: the process may end at any time.
fn remember(editor: &mut DefaultEditor, line: &str, history: Option<&Path>) {
    let added = editor.add_history_entry(line);
    let saved = match history {
        Some(path) if added.is_ok() => editor.history_mut().append(path),
        _ => Ok(()),
    };
    if let Err(error) = saved {
        people::say(&format!("cannot write the history: {error}"));
    }
}
