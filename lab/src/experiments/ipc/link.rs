//! The ways from one process to another, as messages whose length both sides know.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use serde::Serialize;
use server::SharedFile;

use super::letterbox::{Letterbox, Notice};
use super::ring::{InPlace, Rest, Ring};
use crate::launcher::Launcher;
use crate::player::Player;

/// Bytes of a block, the largest message.
pub(super) const BLOCK: usize = 256 << 10;
/// Bytes from one mark to the next.
pub(super) const PAGE: usize = 4096;

/// A way from one process to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// Two pipes, one for each direction.
    Pipes,
    /// Two sockets that are connected.
    Sockets,
    /// A ring in shared memory that blocks are copied into and out of; who waits sleeps.
    Ring,
    /// The same; who waits looks again and again.
    SpinningRing,
    /// The same ring, in which blocks stay where they are.
    InPlace,
    /// A file, of which the kernel tells that it was changed.
    WatchedFile,
    /// A file that is looked at every millisecond.
    PolledFile,
}

/// One end of a way.
///
/// # Contract
///
/// * Messages arrive complete and in order.
/// * Both ends agree on each message's length, which is a multiple of 8 and at most [`BLOCK`].
/// * Whoever waits for a peer that does nothing any more fails in the end.
pub(super) trait Link {
    /// Sends a message.
    fn send(&mut self, message: &[u8]) -> io::Result<()>;
    /// Receives one of that length.
    fn receive(&mut self, message: &mut [u8]) -> io::Result<()>;

    /// Marks the block with its number and sends it.
    fn send_block(&mut self, block: &mut [u8], number: u32) -> io::Result<()> {
        mark(block, number);
        self.send(block)
    }

    /// Receives a block; tells whether it is the one of that number, of which `like` is one.
    fn receive_block(
        &mut self,
        block: &mut [u8],
        like: &mut [u8],
        number: u32,
    ) -> io::Result<bool> {
        self.receive(block)?;
        mark(like, number);
        Ok(block == like)
    }
}

/// Makes a message differ from all others of its length, page by page.
pub(super) fn mark(message: &mut [u8], number: u32) {
    for page in message.chunks_mut(PAGE) {
        if let Some(first) = page.first_chunk_mut() {
            *first = u64::from(number).to_ne_bytes();
        }
    }
}

/// A process at the other end.
pub(super) struct Peer {
    /// Our end.
    pub(super) link: Box<dyn Link>,
    _process: Player,
}

impl Way {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Pipes,
        Self::Sockets,
        Self::Ring,
        Self::SpinningRing,
        Self::InPlace,
        Self::WatchedFile,
        Self::PolledFile,
    ];

    /// As it is called in tables, and told to the part.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pipes => "two pipes",
            Self::Sockets => "socket pair",
            Self::Ring => "shared memory, copied",
            Self::SpinningRing => "… and spinning",
            Self::InPlace => "shared memory, in place",
            Self::WatchedFile => "file, watched",
            Self::PolledFile => "file, polled",
        }
    }

    /// The way of that name.
    pub(super) fn named(name: &str) -> io::Result<Self> {
        let way = Self::ALL.into_iter().find(|way| way.name() == name);
        way.ok_or_else(|| io::Error::other("there is no such way"))
    }

    /// Starts the part `name` at the other end of this way; `file` is where there may be a file.
    pub(super) fn to(
        self,
        launcher: &Launcher,
        name: &str,
        args: &[&str],
        file: &Path,
    ) -> io::Result<Peer> {
        let mut part = launcher.part(name);
        part.arg(self.name()).arg(file).args(args);
        let link: Box<dyn Link> = match self {
            Self::Pipes => {
                let ((theirs_in, ours_out), (ours_in, theirs_out)) = (io::pipe()?, io::pipe()?);
                part.stdin(theirs_in).stdout(theirs_out);
                Box::new(Pipes(ours_in, ours_out))
            }
            Self::Sockets => {
                let (ours, theirs) = UnixStream::pair()?;
                part.stdout(Stdio::from(OwnedFd::from(theirs)));
                Box::new(Sockets(ours))
            }
            Self::Ring | Self::SpinningRing | Self::InPlace => {
                let memory = Ring::memory()?;
                part.stdout(Stdio::from(memory.as_fd().try_clone_to_owned()?));
                self.ring(&memory, false)?
            }
            Self::WatchedFile | Self::PolledFile => {
                File::create(file)?;
                Box::new(Letterbox::at(file, self.notice(), false)?)
            }
        };
        Ok(Peer {
            link,
            _process: Player::of(&mut part)?,
        })
    }

    /// The end of the part that was started there.
    pub(super) fn far_end(self, file: &Path) -> io::Result<Box<dyn Link>> {
        let link: Box<dyn Link> = match self {
            Self::Pipes => {
                let from = io::stdin().as_fd().try_clone_to_owned()?;
                Box::new(Pipes(from.into(), stdout()?.into()))
            }
            Self::Sockets => Box::new(Sockets(stdout()?.into())),
            Self::Ring | Self::SpinningRing | Self::InPlace => {
                self.ring(&SharedFile::from(stdout()?), true)?
            }
            Self::WatchedFile | Self::PolledFile => {
                Box::new(Letterbox::at(file, self.notice(), true)?)
            }
        };
        Ok(link)
    }

    fn ring(self, memory: &SharedFile, far: bool) -> io::Result<Box<dyn Link>> {
        let rest = match self {
            Self::SpinningRing => Rest::Spinning,
            _ => Rest::Asleep,
        };
        let ring = Ring::over(memory, rest, far)?;
        Ok(match self {
            Self::InPlace => Box::new(InPlace(ring)),
            _ => Box::new(ring),
        })
    }

    fn notice(self) -> Notice {
        match self {
            Self::WatchedFile => Notice::Told,
            _ => Notice::Looked,
        }
    }
}

struct Pipes(PipeReader, PipeWriter);

impl Link for Pipes {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.1.write_all(message)
    }

    fn receive(&mut self, message: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(message)
    }
}

struct Sockets(UnixStream);

impl Link for Sockets {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_all(message)
    }

    fn receive(&mut self, message: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(message)
    }
}

/// What a part was given as its stdout.
fn stdout() -> io::Result<OwnedFd> {
    io::stdout().as_fd().try_clone_to_owned()
}

/// The file of a letterbox, at both ends.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}
