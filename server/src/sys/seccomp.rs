//! Filters of system calls whose refusals are reported to another process.
//!
//! A thread whose call is not on the list waits in the kernel until whoever holds [`Reports`] has
//! refused it. So the books are kept outside of the sandbox, and it does not matter what the thread
//! was doing: a signal (as `SECCOMP_RET_TRAP` sends) would end a process that has blocked it, as
//! the C library does while it starts a thread or a program.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::libc;
use rustix::io::Errno;
use seccompiler::BpfProgram;

/// `BPF_RET | BPF_K`: the instruction that says what happens.
const RETURN: u16 = 0x06;

/// Calls that wait to be refused. Readable when there is one; hung up when nobody is left who could
/// make one.
#[derive(Debug)]
pub(crate) struct Reports(OwnedFd);

/// A call that waits to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    id: u64,
    /// The thread that made it.
    pub(crate) thread: u32,
    /// Its number.
    pub(crate) call: i64,
    pub(crate) arguments: [u64; 6],
}

/// Installs a filter on the calling thread and those that it will start, which may gain no
/// privileges any more.
///
/// # Errors
///
/// What the kernel says.
pub(crate) fn install(program: &BpfProgram) -> io::Result<()> {
    load(program.iter().map(plain).collect(), 0).map(drop)
}

/// The same, where what is said to be trapped is reported instead.
///
/// # Errors
///
/// What the kernel says: `EBUSY` where somebody else gets the reports of this process already, as
/// in some containers.
pub(crate) fn install_reporting(program: &BpfProgram) -> io::Result<Reports> {
    let reported = program.iter().map(plain).map(|instruction| {
        match (instruction.code, instruction.k) {
            // The compiler of filters knows no reports.
            (RETURN, libc::SECCOMP_RET_TRAP) => libc::sock_filter {
                k: libc::SECCOMP_RET_USER_NOTIF,
                ..instruction
            },
            _ => instruction,
        }
    });
    // No signal disturbs a call that is being refused.
    let flags =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let fd = load(reported.collect(), flags)?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // JUSTIFICATION: nothing safe makes an owner of a descriptor that a bare system call returned.
    // SAFETY: with that flag the call returns a descriptor that it has just opened, and nobody else
    // knows its number.
    Ok(Reports(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn plain(instruction: &seccompiler::sock_filter) -> libc::sock_filter {
    libc::sock_filter {
        code: instruction.code,
        jt: instruction.jt,
        jf: instruction.jf,
        k: instruction.k,
    }
}

fn load(mut program: Vec<libc::sock_filter>, flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let len = program.len().try_into().map_err(io::Error::other)?;
    let filter = program.as_mut_ptr();
    let program = libc::sock_fprog { len, filter };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // JUSTIFICATION: seccompiler installs without flags only, and drops what the call returns.
    // SAFETY: `program` points to as many instructions as it says, which live until the call has
    // returned; the kernel copies and checks them.
    let loaded = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    if loaded < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(loaded)
}

impl Reports {
    /// Takes the next call; none if it is gone, with whoever made it. To be called when it is
    /// readable, else it waits.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn next(&self) -> io::Result<Option<Report>> {
        let mut notice = libc::seccomp_notif {
            id: 0,
            pid: 0,
            flags: 0,
            data: libc::seccomp_data {
                nr: 0,
                arch: 0,
                instruction_pointer: 0,
                args: [0; 6],
            },
        };
        let (fd, request) = (self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV);
        // JUSTIFICATION: no crate wraps these two requests.
        // SAFETY: the request writes a `seccomp_notif`, whose size is part of its number, to where
        // the pointer points, which is one; it is all zeroes, as the kernel wants it.
        let taken = unsafe { libc::ioctl(fd, request, &raw mut notice) };
        match Errno::from_io_error(&io::Error::last_os_error()) {
            _ if taken == 0 => Ok(Some(Report {
                id: notice.id,
                thread: notice.pid,
                call: notice.data.nr.into(),
                arguments: notice.data.args,
            })),
            Some(Errno::NOENT | Errno::INTR) => Ok(None),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Lets a call fail with `EPERM`. One that is gone meanwhile is no matter.
    pub(crate) fn refuse(&self, report: &Report) {
        let answer = libc::seccomp_notif_resp {
            id: report.id,
            val: 0,
            error: -libc::EPERM,
            flags: 0,
        };
        let (fd, request) = (self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND);
        // JUSTIFICATION: as above.
        // SAFETY: the request reads a `seccomp_notif_resp`, whose size is part of its number, from
        // where the pointer points, which is one.
        let _ = unsafe { libc::ioctl(fd, request, &raw const answer) };
    }
}

impl From<OwnedFd> for Reports {
    /// Those of another process.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Reports {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
impl Report {
    /// One of that call, which nobody made.
    pub(crate) fn of(call: i64) -> Self {
        Self {
            id: 0,
            thread: 0,
            call,
            arguments: [0; 6],
        }
    }
}
