//! The one place with `unsafe`: system calls on many sockets that are made by one.
//!
//! An io_uring is used as nothing but a list of calls: none of them ever waits, so all have ended
//! when the list is through, and no memory is lent to the kernel for longer than that.

#![allow(
    unsafe_code,
    reason = "an io_uring has no safe interface; see each block"
)]

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::types::Fd;
use io_uring::{IoUring, opcode, squeue};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// The most calls of a bundle.
pub(crate) const MOST_CALLS: usize = 64;

/// A list of calls, and what came of them.
///
/// It belongs to the thread that opened it.
pub(crate) struct Bundle {
    // Dropped in this order: the kernel lets go of the memory first.
    ring: IoUring,
    /// A room for each call, of `room_bytes` bytes.
    memory: Box<[u8]>,
    room_bytes: usize,
    calls: Vec<squeue::Entry>,
    /// What each call gave: a count, or an error's number below zero.
    outcomes: Vec<i32>,
    /// Calls that the kernel may still be at.
    in_flight: usize,
}

/// Calls that are to be made, on sockets that stay open until then.
#[derive(Debug)]
pub(crate) struct Calls<'bundle, 'sockets> {
    bundle: &'bundle mut Bundle,
    sockets: PhantomData<BorrowedFd<'sockets>>,
}

impl Bundle {
    /// For [`MOST_CALLS`] calls that move up to `room_bytes` bytes each.
    ///
    /// # Errors
    ///
    /// When the kernel is older than 6.1, or lets this program have no io_uring.
    pub(crate) fn open(room_bytes: usize) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun();
        let entries = u32::try_from(MOST_CALLS).unwrap_or(u32::MAX);
        let ring = builder.setup_submit_all().build(entries)?;
        // Saves the kernel a look at the table of descriptors for each list.
        let _ = ring.submitter().register_ring_fd();
        Ok(Self {
            ring,
            memory: vec![0; MOST_CALLS * room_bytes].into_boxed_slice(),
            room_bytes,
            calls: Vec::with_capacity(MOST_CALLS),
            outcomes: Vec::with_capacity(MOST_CALLS),
            in_flight: 0,
        })
    }

    /// Begins a new list.
    pub(crate) fn begin<'sockets>(&mut self) -> Calls<'_, 'sockets> {
        self.calls.clear();
        Calls {
            bundle: self,
            sockets: PhantomData,
        }
    }

    /// How many bytes call number `call` of the last list has moved.
    ///
    /// # Errors
    ///
    /// The call's own; [`Errno::AGAIN`] when nothing could be moved now.
    #[inline]
    pub(crate) fn moved(&self, call: usize) -> Result<usize, Errno> {
        let outcome = self.outcomes.get(call).copied().unwrap_or_default();
        usize::try_from(outcome).map_err(|_| Errno::from_raw_os_error(-outcome))
    }

    /// The bytes that call number `call` of the last list has received.
    ///
    /// # Errors
    ///
    /// As of [`Bundle::moved`].
    #[inline]
    pub(crate) fn received(&self, call: usize) -> Result<&[u8], Errno> {
        let bytes = self.moved(call)?;
        let room = self.memory.get(call * self.room_bytes..);
        Ok(room.and_then(|room| room.get(..bytes)).unwrap_or_default())
    }

    /// The most bytes that a call moves.
    pub(crate) const fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    /// Hands the list to the kernel and collects what came of it.
    fn make(&mut self) -> io::Result<()> {
        self.outcomes.clear();
        self.outcomes.resize(self.calls.len(), 0);
        // JUSTIFICATION: the kernel uses the memory that an entry names, whoever owns it.
        // SAFETY: each entry was made by `Calls::add` and names a room of `memory` of its own, which
        // nobody else touches before `in_flight` is 0 again, and which is leaked if it never is.
        let pushed = unsafe { self.ring.submission().push_multiple(&self.calls) };
        pushed.map_err(io::Error::other)?;
        self.in_flight = self.calls.len();
        let mut submitted = self.ring.submit();
        loop {
            tolerate(submitted)?;
            for report in self.ring.completion() {
                let call = usize::try_from(report.user_data()).unwrap_or(usize::MAX);
                if let Some(outcome) = self.outcomes.get_mut(call) {
                    *outcome = report.result();
                }
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            if self.in_flight == 0 {
                return Ok(());
            }
            submitted = self.ring.submit_and_wait(self.in_flight);
        }
    }
}

impl<'sockets> Calls<'_, 'sockets> {
    /// Receives what is there, up to a room; nothing if there is no room for the call.
    #[inline]
    pub(crate) fn recv(&mut self, socket: BorrowedFd<'sockets>) {
        let flags = RecvFlags::DONTWAIT.bits().cast_signed();
        self.add(|room| {
            let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
            let recv = opcode::Recv::new(Fd(socket.as_raw_fd()), room.as_mut_ptr(), length);
            recv.flags(flags).build()
        });
    }

    /// Sends `bytes` as far as a room and the socket hold them; nothing if there is no room for the
    /// call.
    #[inline]
    pub(crate) fn send(&mut self, socket: BorrowedFd<'sockets>, bytes: &[u8]) {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.add(|room| {
            let count = bytes.len().min(room.len());
            room[..count].copy_from_slice(&bytes[..count]);
            let length = u32::try_from(count).unwrap_or(u32::MAX);
            let send = opcode::Send::new(Fd(socket.as_raw_fd()), room.as_ptr(), length);
            send.flags(flags.bits().cast_signed()).build()
        });
    }

    #[inline]
    fn add(&mut self, call: impl FnOnce(&mut [u8]) -> squeue::Entry) {
        let bundle = &mut *self.bundle;
        let number = bundle.calls.len();
        let mut rooms = bundle.memory.chunks_exact_mut(bundle.room_bytes);
        if let Some(room) = rooms.nth(number) {
            bundle.calls.push(call(room).user_data(number as u64));
        }
    }

    /// Makes the calls, in the order in which they were asked for.
    ///
    /// # Errors
    ///
    /// When the ring is unusable.
    pub(crate) fn make(self) -> io::Result<()> {
        self.bundle.make()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            // The kernel may still use it, so it must never be anybody else's.
            std::mem::forget(std::mem::take(&mut self.memory));
        }
    }
}

impl Debug for Bundle {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let mut text = formatter.debug_struct("Bundle");
        text.field("room_bytes", &self.room_bytes);
        text.field("in_flight", &self.in_flight);
        text.finish_non_exhaustive()
    }
}

/// An error that says "not now" is none: the next wait tries again.
fn tolerate(submitted: io::Result<usize>) -> io::Result<()> {
    let Err(error) = submitted else {
        return Ok(());
    };
    match Errno::from_io_error(&error) {
        Some(Errno::INTR | Errno::BUSY | Errno::AGAIN) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// A bundle, or why there is none.
    fn bundle(room_bytes: usize) -> Option<Bundle> {
        match Bundle::open(room_bytes) {
            Ok(bundle) => Some(bundle),
            Err(error) => {
                println!("SKIPPED: no io_uring: {error}");
                None
            }
        }
    }

    /// Connections, our end and the peer's, of which ours never waits.
    fn pairs(count: usize) -> Vec<(UnixStream, UnixStream)> {
        let pairs = (0..count).map(|_| UnixStream::pair().unwrap());
        pairs
            .inspect(|(ours, _)| ours.set_nonblocking(true).unwrap())
            .collect()
    }

    #[test]
    fn a_list_of_calls_moves_the_bytes_of_each_of_its_sockets() {
        let Some(mut bundle) = bundle(16) else { return };
        let mut pairs = pairs(MOST_CALLS);
        for round in 0..3 {
            let mut calls = bundle.begin();
            for (number, (ours, _)) in pairs.iter().enumerate() {
                calls.send(ours.as_fd(), format!("{round}: {number}").as_bytes());
            }
            calls.send(pairs[0].0.as_fd(), b"one too many");
            calls.make().unwrap();
            for (number, (_, peer)) in pairs.iter_mut().enumerate() {
                let said = format!("{round}: {number}");
                assert_eq!(bundle.moved(number), Ok(said.len()));
                let mut heard = vec![0; said.len()];
                peer.read_exact(&mut heard).unwrap();
                assert_eq!(heard, said.as_bytes());
                peer.write_all(said.to_uppercase().as_bytes()).unwrap();
            }
            let mut calls = bundle.begin();
            pairs.iter().for_each(|(ours, _)| calls.recv(ours.as_fd()));
            calls.make().unwrap();
            for number in 0..MOST_CALLS {
                let expected = format!("{round}: {number}");
                assert_eq!(bundle.received(number), Ok(expected.as_bytes()));
            }
        }
    }

    #[test]
    fn each_call_has_an_outcome_of_its_own() {
        let Some(mut bundle) = bundle(4) else { return };
        let mut pairs = pairs(4);
        let gone = pairs.pop();
        pairs[1].1.write_all(b"hello").unwrap();
        pairs[2].1.shutdown(std::net::Shutdown::Write).unwrap();
        let (ours, peer) = gone.unwrap();
        drop(peer);
        let mut calls = bundle.begin();
        pairs.iter().for_each(|(ours, _)| calls.recv(ours.as_fd()));
        calls.send(ours.as_fd(), b"too late");
        calls.make().unwrap();
        assert_eq!(bundle.received(0), Err(Errno::AGAIN), "nothing is there");
        assert_eq!(bundle.received(1), Ok(&b"hell"[..]), "a room is full");
        assert_eq!(bundle.received(2), Ok(&b""[..]), "the end");
        assert_eq!(bundle.moved(3), Err(Errno::PIPE), "nobody is there");
    }

    #[test]
    fn a_full_socket_takes_a_part_and_then_nothing() {
        let Some(mut bundle) = bundle(1 << 20) else {
            return;
        };
        let pairs = pairs(1);
        let bytes = vec![7; 1 << 20];
        let mut moved = Vec::new();
        for _ in 0..2 {
            let mut calls = bundle.begin();
            calls.send(pairs[0].0.as_fd(), &bytes);
            calls.make().unwrap();
            moved.push(bundle.moved(0));
        }
        assert!(moved[0].is_ok_and(|count| 0 < count && count < bytes.len()));
        assert_eq!(moved[1], Err(Errno::AGAIN));
    }

    #[test]
    fn calls_that_are_not_made_are_forgotten() {
        let Some(mut bundle) = bundle(8) else { return };
        let mut pairs = pairs(2);
        bundle.begin().send(pairs[0].0.as_fd(), b"never");
        let mut calls = bundle.begin();
        calls.send(pairs[1].0.as_fd(), b"now");
        calls.make().unwrap();
        let (_, peer) = &mut pairs[0];
        peer.set_nonblocking(true).unwrap();
        assert!(peer.read(&mut [0]).is_err());
        assert_eq!(bundle.moved(0), Ok(3));
    }
}
