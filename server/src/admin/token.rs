//! The secret that a remote request must carry.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use subtle::ConstantTimeEq;

/// The shortest that nobody guesses.
const LEAST_BYTES: usize = 16;
/// The longest, so that a wrong file is not taken for one.
const MOST_BYTES: usize = 1024;
/// Permissions of everybody but the owner.
const OF_OTHERS: u32 = 0o077;
/// Those that systemd leaves on a credential for a service that is not root: the group's bits then
/// stand for an access list with that one user.
const OF_CREDENTIALS: u32 = 0o040;

/// The secret. It is compared in constant time, and never shown.
#[derive(Clone)]
pub(crate) struct Token(Box<[u8]>);

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidToken {
    #[error("{0}; it must be a file with the token that this user can read")]
    Unreadable(#[from] io::Error),
    #[error("it is no ordinary file; use a file of mode 0600 that holds the token")]
    NotAFile,
    #[error("others can read or write it (mode {mode:04o}); chmod it to 0600")]
    Exposed { mode: u32 },
    #[error(
        "it must hold one line of {LEAST_BYTES} to {MOST_BYTES} visible ASCII characters, such as from: openssl rand -hex 32"
    )]
    Form,
}

impl Token {
    /// The token in a file.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`], with the remedy; it never quotes the file.
    pub(crate) fn read(path: &Path) -> Result<Self, InvalidToken> {
        let file = File::open(path)?;
        // Of the open file, so that it cannot be another one.
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(InvalidToken::NotAFile);
        }
        let mode = about.permissions().mode() & 0o7777;
        let is_credential = about.uid() == 0 && is_in_credentials(path);
        let tolerated = if is_credential { OF_CREDENTIALS } else { 0 };
        if mode & OF_OTHERS & !tolerated != 0 {
            return Err(InvalidToken::Exposed { mode });
        }
        let mut text = Vec::new();
        file.take(MOST_BYTES as u64 + 2).read_to_end(&mut text)?;
        Self::parse(&text).ok_or(InvalidToken::Form)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let is_long_enough = (LEAST_BYTES..=MOST_BYTES).contains(&text.len());
        (is_long_enough && text.iter().all(u8::is_ascii_graphic)).then(|| Self(text.into()))
    }

    /// Whether that is it. How long that takes tells nothing but its length.
    pub(super) fn is(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

/// Whether systemd gave the file to this service.
fn is_in_credentials(path: &Path) -> bool {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
    directory.is_some_and(|directory| path.parent() == Some(Path::new(&directory)))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_that_nobody_guesses() {
        for text in [
            "0123456789abcdef",
            "0123456789abcdef\n",
            "0123456789abcdef\r\n",
        ] {
            assert!(
                Token::parse(text.as_bytes())
                    .unwrap()
                    .is(b"0123456789abcdef")
            );
        }
        let long = "x".repeat(MOST_BYTES + 1);
        for text in [
            "",
            "0123456789abcde",
            "0123456789 abcdef",
            "0123456789abcdef\n\n",
            &long,
        ] {
            assert!(Token::parse(text.as_bytes()).is_none(), "{text:?}");
        }
        let token = Token::parse(b"0123456789abcdef").unwrap();
        for other in [
            "",
            "0123456789abcde",
            "0123456789abcdeg",
            "0123456789abcdef0",
        ] {
            assert!(!token.is(other.as_bytes()), "{other:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
