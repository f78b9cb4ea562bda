//! A stdout whose reader may leave: `loadgen | head -1` is no failure.

use std::io::{self, Write};

/// Writes `text` to stdout at once. A reader that went away is no error.
///
/// # Errors
///
/// Whatever else keeps the text from being written, such as a full disk.
pub fn emit(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    tolerate_closed(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Turns "the reader went away" into success and leaves every other result as it is.
///
/// # Errors
///
/// Every error but [`io::ErrorKind::BrokenPipe`].
pub fn tolerate_closed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_forgiven() {
        assert!(tolerate_closed(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(tolerate_closed(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
