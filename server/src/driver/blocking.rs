//! A connection on a thread of its own: each step of the machine is one blocking call.
//!
//! Time limits are the socket's own, inherited from the listener, so an idle connection costs no
//! wake-ups; a drain reaches a blocked thread through the [registry](crate::registry).

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::time::Instant;

use rustix::net::{RecvFlags, SendFlags};

use super::BUFFER_BYTES;
use crate::conn::Ticket;
use crate::machine::{Ended, Machine, Next};
use crate::registry::{Entry, LINGER};
use crate::stop::Phase;

/// What a thread reads at once as long as its clients say no more: a whole buffer would take a page
/// of memory for each quiet client with a thread of its own.
const SMALL_BYTES: usize = 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SMALL_BYTES]);
}

/// Serves one connection to its end.
pub(crate) fn serve(entry: &Entry, ticket: &Ticket) -> Ended {
    // A thread serves one connection at a time, so the buffer is never borrowed twice.
    BUFFER.with_borrow_mut(|buffer| Session { entry, ticket }.run(buffer))
}

struct Session<'a> {
    entry: &'a Entry,
    ticket: &'a Ticket,
}

impl Session<'_> {
    fn run(self, buffer: &mut Vec<u8>) -> Ended {
        let mut machine = self.ticket.machine();
        if self.ticket.shared.stop.phase() == Phase::Cutting {
            machine.cut();
        }
        loop {
            match machine.next(buffer) {
                Next::Read => self.read(&mut machine, buffer),
                Next::Pay(cost) => {
                    self.ticket.shared.payer.pay(cost);
                    machine.paid();
                }
                Next::Write(range) => self.write(&mut machine, &buffer[range]),
                Next::Finish => {
                    // Fails only on a connection that is gone already, which the next read tells.
                    let _ = self.entry.socket.shutdown(Shutdown::Write);
                    machine.finished();
                }
                Next::Discard => self.discard(&mut machine, buffer),
                Next::Abandon => {
                    super::abandon(&self.entry.socket);
                    machine.abandoned();
                }
                Next::Close(ended) => return ended,
            }
        }
    }

    fn read(&self, machine: &mut Machine, buffer: &mut Vec<u8>) {
        self.entry.settle();
        if machine.last_read_bytes() == buffer.len() && buffer.len() < BUFFER_BYTES {
            // Pages that no read has touched cost nothing.
            *buffer = vec![0; BUFFER_BYTES];
        }
        match receive(self.entry, buffer) {
            Ok(0) => machine.ended(),
            Ok(count) => {
                self.entry.begin();
                self.ticket.received(&buffer[..count]);
                machine.received(count);
            }
            Err(error) => report(machine, &error),
        }
    }

    fn write(&self, machine: &mut Machine, bytes: &[u8]) {
        let sent = rustix::net::send(&self.entry.socket, bytes, SendFlags::NOSIGNAL);
        match sent.map_err(io::Error::from) {
            Ok(count) => {
                machine.wrote(count);
                self.ticket.answered();
            }
            Err(error) => report(machine, &error),
        }
    }

    /// Reads on for [`LINGER`] at the most, in all, and throws it away.
    fn discard(&self, machine: &mut Machine, buffer: &mut [u8]) {
        let end = Instant::now() + LINGER;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let limited = !left.is_zero() && self.entry.socket.set_read_timeout(Some(left)).is_ok();
            match limited.then(|| receive(self.entry, buffer)) {
                Some(Ok(count)) if count > 0 => {}
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                None => return machine.timed_out(),
                Some(_) => return machine.ended(),
            }
        }
    }
}

fn receive(entry: &Entry, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(&entry.socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Tells the machine what a failed call means; an interrupted one is simply made again.
fn report(machine: &mut Machine, error: &io::Error) {
    match error.kind() {
        ErrorKind::Interrupted => {}
        // Not `TimedOut`: so the kernel says that it gave the peer up.
        ErrorKind::WouldBlock => machine.timed_out(),
        kind => machine.failed(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;
    use crate::driver::fixture;
    use crate::mode::Mode;
    use std::io::{Read, Write};
    use std::sync::Arc;

    #[test]
    fn who_says_much_is_read_in_large_pieces() {
        let (socket, ticket, mut peer) = fixture::connection(Mode::ThreadPerConnection);
        let sent = vec![b'x'; SMALL_BYTES + 2 * BUFFER_BYTES];
        peer.write_all(&sent).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let shared = Arc::clone(&ticket.shared);
        Conn::new(socket, ticket).serve();
        let mut echoed = Vec::new();
        peer.read_to_end(&mut echoed).unwrap();
        assert_eq!(
            (echoed == sent, shared.slot().counters().requests),
            (true, 3)
        );
    }
}
