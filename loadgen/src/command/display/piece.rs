//! Pieces of text with a tone, and lines of them that fit.

/// Columns between two parts of a line.
const GAP: usize = 3;

/// What a piece of text is about; a screen gives it a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As any other.
    Plain,
    /// Of less weight.
    Faint,
    /// Clients that are served.
    Served,
    /// Clients that wait.
    Waiting,
    /// What should not be.
    Bad,
}

/// A text and what it is about.
pub(super) type Piece = (Tone, String);

/// A bar of `cells` cells, a `share` of which is full.
pub(super) fn bar(share: f64, cells: usize) -> Vec<Piece> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to cells"
    )]
    let full = (share * cells as f64) as usize;
    let full = full.min(cells);
    vec![
        (Tone::Plain, "━".repeat(full)),
        (Tone::Faint, "─".repeat(cells - full)),
    ]
}

/// The parts as one line, the last ones left out, or the first one cut, until it fits.
pub(super) fn fitted(parts: Vec<Vec<Piece>>, columns: usize) -> Vec<Piece> {
    let mut line: Vec<Piece> = Vec::new();
    let mut left = columns;
    for part in parts {
        let gap = if line.is_empty() { 0 } else { GAP };
        let width = part
            .iter()
            .map(|piece| piece.1.chars().count())
            .sum::<usize>()
            + gap;
        if width <= left {
            left -= width;
            line.push((Tone::Plain, " ".repeat(gap)));
            line.extend(part);
        } else if line.is_empty() {
            return cut(part, columns);
        }
    }
    line
}

fn cut(pieces: Vec<Piece>, columns: usize) -> Vec<Piece> {
    let mut left = columns;
    let short = pieces.into_iter().map(|(tone, text)| {
        let text: String = text.chars().take(left).collect();
        left -= text.chars().count();
        (tone, text)
    });
    short.collect()
}
