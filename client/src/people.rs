//! What people read: lines on stderr, and the one place that writes them.
//!
//! A closed stderr never ends a conversation, and no text makes more than one line or moves the
//! cursor, whatever bytes it quotes.

use std::io::{self, Write};

/// Writes one line to stderr, with the name of the program in front.
pub fn say(text: &str) {
    put(&format!("client: {}\n", visible(text)));
}

/// Writes `text` as it is: for the lines of a conversation that are drawn over.
pub(crate) fn put(text: &str) {
    // Nobody can be told that stderr is closed.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// The text with its control characters escaped, so that it stays one line and draws nothing.
#[must_use]
pub fn visible(text: &str) -> String {
    let escape = |c: char| match c {
        '\t' => "\t".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_quoted_can_draw_on_the_terminal() {
        assert_eq!(visible("a\x1b[2J\nb\té"), "a\\u{1b}[2J\\nb\té");
    }
}
