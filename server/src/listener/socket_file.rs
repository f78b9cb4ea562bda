//! The file of a Unix socket: who may have its path, and who removes it.
//!
//! A file that nobody listens on any more (its server was killed) is replaced; a live socket, and
//! whatever is no socket, never. To tell them apart takes several steps (look, try to connect,
//! remove, bind, listen), and two servers that took them at the same time could each remove the
//! other's socket. So they are taken under a lock on the directory, which leaves nothing behind and
//! lets the socket have its own name from the first moment, as `ss` shows it. A lock file would
//! stay, and a socket that is renamed into its place keeps its first name for `ss` and for peers.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{
    Access, AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, Uid, accessat, chownat, flock, open,
};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::warn;

use super::tenure::Tenure;

/// How long another server may hold the lock, which it needs for a few system calls.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// From one try to the next.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Why no socket can have a path.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// It does not fit into a socket address.
    #[error(
        "a socket path has 107 bytes at most, this one has {bytes}; choose a shorter one, or one relative to the current directory"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Somebody listens there.
    #[error("a server listens on that socket; stop it or choose another path")]
    Live,
    /// Something else has that name.
    #[error(
        "it exists and is {what}, not a socket, so it is left alone; choose another path or remove it yourself"
    )]
    NotASocket {
        /// What it is.
        what: &'static str,
    },
    /// There is no such directory.
    #[error("there is no directory {}; create it or choose another path", directory.display())]
    NoDirectory {
        /// Where the file would have to be.
        directory: PathBuf,
    },
    /// Not permitted.
    #[error(
        "permission denied; the directory, and a socket that is left there, must be writable for this user"
    )]
    Denied,
    /// Somebody else has the directory locked.
    #[error("another process keeps the directory locked; try again")]
    Locked,
    /// Anything else.
    #[error("{0}")]
    Other(io::Error),
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::AddrInUse => Self::Live,
            _ => Self::Other(error),
        }
    }
}

/// Device and inode. As long as a socket is open its inode is in use, so that no other file has this
/// number.
pub(crate) type Identity = (u64, u64);

/// The file of a socket that this server made, or one before it. Dropped, it is removed, if it is still
/// that one and this server is the last.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
    tenure: Tenure,
    removed: AtomicBool,
}

impl SocketFile {
    /// Binds `socket` to `path` and listens.
    ///
    /// # Errors
    ///
    /// [`Obstacle`], with the remedy; then the path is as it was, but for a stale socket.
    pub(super) fn listen(
        socket: &Socket,
        path: &Path,
        backlog: i32,
        tenure: Tenure,
    ) -> Result<Self, Obstacle> {
        let bytes = path.as_os_str().len();
        let addr = SockAddr::unix(path).map_err(|_| Obstacle::TooLong { bytes })?;
        let _lock = lock(directory_of(path))?;
        match socket.bind(&addr) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                clear(path, &addr)?;
                socket.bind(&addr)?;
            }
            bound => bound?,
        }
        // Only a socket that listens is told from a stale one.
        socket.listen(backlog)?;
        let identity = identity(&fs::symlink_metadata(path)?);
        Ok(Self::known(path, identity, tenure))
    }

    /// The file of a socket that listens already.
    pub(super) fn known(path: &Path, identity: Identity, tenure: Tenure) -> Self {
        Self {
            path: path.to_owned(),
            identity,
            tenure,
            removed: AtomicBool::new(false),
        }
    }

    /// Which file it is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Gives it to another user and group.
    ///
    /// # Errors
    ///
    /// When it is not ours to give, or another file is in its place.
    pub(super) fn give_to(&self, (user, group): (u32, u32)) -> io::Result<()> {
        // Held, so that nothing that somebody puts in its place meanwhile is given away.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = File::from(open(&self.path, flags, Mode::empty())?);
        if identity(&held.metadata()?) != self.identity {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        chownat(&held, "", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
        Ok(())
    }

    /// Its directory, where this process may not remove anything.
    pub(super) fn closed_directory(&self) -> Option<&Path> {
        let directory = directory_of(&self.path);
        let rights = Access::WRITE_OK | Access::EXEC_OK;
        let open = accessat(CWD, directory, rights, AtFlags::EACCESS);
        open.is_err().then_some(directory)
    }

    /// Removes the file, once, while the socket is still open: the next server need not ask
    /// whether somebody listens there. Not where somebody else listens on.
    pub(super) fn remove(&self) {
        if !self.tenure.is_ours() || self.removed.swap(true, Relaxed) {
            return;
        }
        if let Err(error) = self.remove_if_ours() {
            warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }

    fn remove_if_ours(&self) -> io::Result<()> {
        // Without the lock it is still right, but for a server that replaces it at this moment.
        let _lock = lock(directory_of(&self.path)).ok();
        match fs::symlink_metadata(&self.path) {
            Ok(found) if identity(&found) == self.identity => fs::remove_file(&self.path),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(file: &Metadata) -> Identity {
    (file.dev(), file.ino())
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The directory, locked against other servers until it is dropped; none where it can be written
/// to but not read.
fn lock(directory: &Path) -> Result<Option<OwnedFd>, Obstacle> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match open(directory, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::ACCESS) => return Ok(None),
        Err(Errno::NOENT | Errno::NOTDIR) => {
            let directory = directory.to_owned();
            return Err(Obstacle::NoDirectory { directory });
        }
        Err(error) => return Err(Obstacle::Other(error.into())),
    };
    let end = Instant::now() + LOCK_LIMIT;
    loop {
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(opened)),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(Obstacle::Locked),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Obstacle::Other(error.into())),
        }
    }
}

/// Removes a stale socket from `path`.
fn clear(path: &Path, addr: &SockAddr) -> Result<(), Obstacle> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        // It went by itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if !kind.is_socket() {
        let what = match kind {
            kind if kind.is_dir() => "a directory",
            kind if kind.is_symlink() => "a symbolic link",
            kind if kind.is_file() => "an ordinary file",
            _ => "a device or a pipe",
        };
        return Err(Obstacle::NotASocket { what });
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Where the queue is full it must not wait: then somebody listens.
    probe.set_nonblocking(true)?;
    match probe.connect(addr) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(fs::remove_file(path)?)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Obstacle::Denied),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Connected, or a queue that is full, or a socket of another type: it is somebody's.
        _ => Err(Obstacle::Live),
    }
}
