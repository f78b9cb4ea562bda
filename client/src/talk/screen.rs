//! What a conversation draws: echoes on stdout, and one line about a missing answer that is drawn
//! over again and again on stderr.

use std::time::Duration;

use cli::units;

use crate::failure::Failure;
use crate::output::{Reader, print};
use crate::people;

/// Where the cursor is, and whether there are colours.
#[derive(Debug)]
pub(crate) struct Screen {
    colour: Colour,
    /// The width of the line that is to be drawn over, in columns.
    drawn: usize,
}

/// Whether escape sequences for colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    Wanted,
    Unwanted,
}

impl Screen {
    /// With colours unless `NO_COLOR` is set.
    pub(crate) fn from_env() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if refused {
            Colour::Unwanted
        } else {
            Colour::Wanted
        };
        Self { colour, drawn: 0 }
    }

    /// Draws a line over the last one, without leaving it.
    pub(crate) fn draw(&mut self, line: &str) {
        let width = line.chars().count();
        let rest = self.drawn.saturating_sub(width);
        people::put(&format!("\r{line}{}", " ".repeat(rest)));
        self.drawn = width.max(self.drawn);
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.drawn > 0 {
            people::put(&format!("\r{}\r", " ".repeat(self.drawn)));
            self.drawn = 0;
        }
    }

    /// Prints the echo of a line, which is the line itself, since it was compared.
    ///
    /// # Errors
    ///
    /// [`Failure::Stdout`].
    pub(crate) fn show_echo(&self, line: &str, rtt: Duration) -> Result<Reader, Failure> {
        print(&self.echo(line, rtt))
    }

    fn echo(&self, line: &str, rtt: Duration) -> String {
        let rtt = units::micros(rtt.as_secs_f64() * 1e6);
        let line = people::visible(line);
        match self.colour {
            Colour::Wanted => format!("{line}  \x1b[2m{rtt}\x1b[0m\n"),
            Colour::Unwanted => format!("{line}  {rtt}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(colour: Colour) -> String {
        let screen = Screen { colour, drawn: 0 };
        screen.echo("a\x07b", Duration::from_micros(123))
    }

    #[test]
    fn an_echo_carries_its_round_trip_and_nothing_that_draws() {
        assert_eq!(echo(Colour::Unwanted), "a\\u{7}b  123us\n");
        assert_eq!(echo(Colour::Wanted), "a\\u{7}b  \x1b[2m123us\x1b[0m\n");
    }
}
