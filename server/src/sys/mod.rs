//! The one place with `unsafe`: memory that several processes of this server see, memory that the
//! kernel reads and writes while we go on ([`ring`]), and descriptors that are known by their numbers.
//! kernel reads and writes while we go on ([`ring`]), and system calls that no crate wraps
//! ([`seccomp`]).
//!
//! Everything else the server asks of the system has a safe wrapper in rustix or socket2.

#![allow(
    unsafe_code,
    reason = "a shared mapping, an io_uring and a bare number have no safe interface; see each block"
)]

mod buffers;
pub(crate) mod ring;
pub(crate) mod seccomp;

use std::collections::BTreeSet;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use memmap2::{MmapOptions, MmapRaw};
use nix::libc;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A type that may lie in memory which other processes change at any time.
///
/// # Safety
///
/// It consists of atomics only (so that a change is no data race), every bit pattern is a value of
/// it, and its alignment is at most a page's.
pub unsafe trait Shareable: Sync + 'static {}

// SAFETY: a board slot is a `repr(C)` struct of atomic integers, aligned to a cache line.
unsafe impl Shareable for crate::board::Slot {}
// SAFETY: an atomic integer is one, and any bits are a value of it.
unsafe impl Shareable for std::sync::atomic::AtomicU32 {}
// SAFETY: as above.
unsafe impl Shareable for std::sync::atomic::AtomicU64 {}

/// An anonymous file of a fixed size; processes that have the same file see the same bytes.
#[derive(Debug)]
pub struct SharedFile(OwnedFd);

impl SharedFile {
    /// One of all zeroes. Memory is taken for what is touched.
    ///
    /// # Errors
    ///
    /// When memory or descriptors are short.
    pub fn create(bytes: u64) -> io::Result<Self> {
        let file = memfd_create(
            "echolab-board",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?;
        ftruncate(&file, bytes)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok(Self(file))
    }

    /// `count` items from `offset` on, in bytes.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] when the file is too small or can still shrink, or the items
    /// would not be aligned, and whatever mapping it may say.
    pub fn slice<T: Shareable>(&self, offset: u64, count: usize) -> io::Result<SharedSlice<T>> {
        let bytes = count * size_of::<T>();
        let sealed = rustix::fs::fcntl_get_seals(&self.0)?.contains(SealFlags::SHRINK);
        let size = u64::try_from(rustix::fs::fstat(&self.0)?.st_size).unwrap_or(0);
        let fits = size.checked_sub(bytes as u64) >= Some(offset);
        if !sealed || !fits || !offset.is_multiple_of(align_of::<T>() as u64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mapping = MmapOptions::new()
            .offset(offset)
            .len(bytes)
            .map_raw(&self.0)?;
        Ok(SharedSlice {
            mapping,
            count,
            items: std::marker::PhantomData,
        })
    }
}

impl From<OwnedFd> for SharedFile {
    /// One that another process created.
    fn from(file: OwnedFd) -> Self {
        Self(file)
    }
}

impl AsFd for SharedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A fixed number of `T` in such a file.
#[derive(Debug)]
pub struct SharedSlice<T> {
    mapping: MmapRaw,
    count: usize,
    items: std::marker::PhantomData<T>,
}

impl<T: Shareable> Deref for SharedSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let first = self.mapping.as_ptr().cast::<T>();
        // JUSTIFICATION: nothing safe makes a slice of mapped memory.
        // SAFETY: `SharedFile::slice` mapped `count * size_of::<T>()` bytes of a file that is
        // sealed against shrinking, at an offset that is aligned for `T` as pages are, and they
        // stay mapped as long as `self`, which the slice borrows; `Shareable` makes any content
        // valid and any change by others atomic.
        unsafe { std::slice::from_raw_parts(first, self.count) }
    }
}

/// Keeps what this process inherited besides its standard streams from the programs that it will
/// execute. What it opens itself is kept from them anyway.
///
/// # Errors
///
/// What the kernel says.
pub(crate) fn keep_inherited_descriptors() -> io::Result<()> {
    let (first, last) = (3_u32, u32::MAX);
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // JUSTIFICATION: no crate wraps this call safely, because with other flags it closes.
    // SAFETY: with this flag it closes nothing, so that no owner loses its descriptor.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Lets the current tokio runtime watch `fd` for readability.
///
/// # Errors
///
/// When the reactor cannot take it.
pub(crate) fn readable(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // JUSTIFICATION: tokio offers no safe constructor, because it takes any `AsRawFd`.
    // SAFETY: an `OwnedFd` is open, always returns the same descriptor, and is closed by nobody
    // but the `AsyncFd` that takes it over here.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Numbers that were taken over.
static ADOPTED: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes over a descriptor that whoever started this process has opened under that number, and keeps
/// it from the processes that this one starts. To be called before this process opens anything.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] when there is none, and [`io::ErrorKind::AlreadyExists`] when it was
/// taken over before.
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    let mut adopted = ADOPTED.lock().unwrap_or_else(PoisonError::into_inner);
    // Looked at by its name, since a number that is not open is no descriptor.
    if std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_err() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "it is not open"));
    }
    if !adopted.insert(number) {
        let taken = "it is one of the sockets that were passed to the server";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, taken));
    }
    // JUSTIFICATION: a descriptor of another process's choice is known by nothing but its number.
    // SAFETY: it is open, as was seen above; this process has opened nothing of its own yet, so nobody
    // else here owns it, and `ADOPTED` keeps it from being taken over twice.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}
