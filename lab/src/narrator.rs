//! Tells people on stderr what is running now. A terminal gets one line that changes, a log gets a
//! line each; either may be closed without harm.

use std::io::{self, IsTerminal, Write};

/// Says what is going on.
#[derive(Debug)]
pub struct Narrator {
    changing_line: bool,
    line_is_open: bool,
}

impl Narrator {
    /// A narrator for this process's stderr.
    #[must_use]
    pub fn new() -> Self {
        Self {
            changing_line: io::stderr().is_terminal(),
            line_is_open: false,
        }
    }

    /// What is being done now; the next one takes its place.
    pub fn now(&mut self, what: &str) {
        if self.changing_line {
            // Return, write, erase what a longer line has left.
            self.write(&format!("\r  {what}\x1b[K"));
            self.line_is_open = true;
        } else {
            self.write(&format!("  {what}\n"));
        }
    }

    /// Something that stays.
    pub fn say(&mut self, what: &str) {
        self.clear();
        self.write(&format!("{what}\n"));
    }

    /// Takes the changing line away, so that stdout can be written to.
    pub fn clear(&mut self) {
        if self.line_is_open {
            self.write("\r\x1b[K");
            self.line_is_open = false;
        }
    }

    fn write(&mut self, text: &str) {
        let mut stderr = io::stderr().lock();
        // Nobody may be listening; the work goes on.
        let _ = stderr
            .write_all(text.as_bytes())
            .and_then(|()| stderr.flush());
    }
}

impl Default for Narrator {
    fn default() -> Self {
        Self::new()
    }
}
