//! The display on a terminal: drawn over itself, in one write, with or without colours.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

use super::piece::{Piece, Tone};
use super::scene::Scene;

/// Columns of something that does not tell.
const USUAL_COLUMNS: u16 = 80;
/// Lines of something that does not tell.
const USUAL_LINES: u16 = 24;

/// The place of the display.
#[derive(Debug)]
pub(super) struct Screen {
    bar: ProgressBar,
    coloured: bool,
}

impl Screen {
    /// On stderr, whatever that is. Nothing is drawn yet.
    pub(super) fn new() -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(Stderr::default()));
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        let coloured = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { bar, coloured }
    }

    /// Draws `scene` over the last one.
    pub(super) fn draw(&self, scene: &Scene<'_>) {
        // The last column stays free: some terminals begin a new line there.
        let columns = usize::from(columns()).saturating_sub(1).max(1);
        let lines = scene.lines(columns);
        let lines: Vec<String> = lines.iter().map(|line| self.text(line)).collect();
        self.bar.set_message(lines.join("\n"));
    }

    /// Takes it away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    fn text(&self, line: &[Piece]) -> String {
        let mut text = String::new();
        for (tone, piece) in line {
            match code(*tone).filter(|_| self.coloured && !piece.is_empty()) {
                // Writing to a text cannot fail.
                Some(code) => drop(write!(text, "\x1b[{code}m{piece}\x1b[0m")),
                None => text.push_str(piece),
            }
        }
        text
    }
}

/// The colour of a tone, as terminals number them.
const fn code(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Faint => Some("2"),
        Tone::Served => Some("32"),
        Tone::Waiting => Some("33"),
        Tone::Bad => Some("31"),
    }
}

fn columns() -> u16 {
    let size = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col);
    if size == 0 { USUAL_COLUMNS } else { size }
}

/// Stderr as a terminal. A picture is gathered and written as one; what cannot be written is lost.
#[derive(Debug, Default)]
struct Stderr {
    pending: Mutex<String>,
}

impl Stderr {
    fn put(&self, text: &str) -> io::Result<()> {
        if let Ok(mut pending) = self.pending.lock() {
            pending.push_str(text);
        }
        Ok(())
    }

    fn go(&self, steps: usize, direction: char) -> io::Result<()> {
        match steps {
            0 => Ok(()),
            steps => self.put(&format!("\x1b[{steps}{direction}")),
        }
    }
}

impl TermLike for Stderr {
    fn width(&self) -> u16 {
        columns()
    }

    fn height(&self) -> u16 {
        let size = tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_row);
        if size == 0 { USUAL_LINES } else { size }
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.put(text)?;
        self.put("\r\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        if let Ok(mut pending) = self.pending.lock() {
            // A reader that went away must not end the run, and one that stopped not hold it up.
            if takes_more() {
                let _ = io::stderr().write_all(pending.as_bytes());
            }
            pending.clear();
        }
        Ok(())
    }
}

/// Whether stderr takes more without waiting. One that was closed does: it says so at once.
pub(super) fn takes_more() -> bool {
    let stderr = io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    poll(&mut ready, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}
