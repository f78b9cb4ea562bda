//! A connection on a thread of its own: each step of the machine is one blocking call.
//!
//! Time limits are the socket's own, inherited from the listener, so an idle connection costs no
//! wake-ups; a drain reaches a blocked thread through the [registry](crate::registry).

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::LARGE_BYTES;
use crate::conn::Ticket;
use crate::machine::{Ended, Machine, Next, Patience, Watch};
use crate::registry::{Entry, LINGER};
use crate::stop::Phase;

/// What a thread reads at once as long as its clients say no more. It is on the stack, in a page that
/// the thread has touched anyway: a quiet client with a thread of its own has no buffer.
const SMALL_BYTES: usize = 512;

/// The shortest limit on a read that a socket is given.
const SHORTEST: Duration = Duration::from_millis(1);

thread_local! {
    /// Empty until a client of the thread says more than a little.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves one connection to its end.
pub(crate) fn serve(entry: &Entry, ticket: &Ticket) -> Ended {
    // A thread serves one connection at a time, so the buffer is never borrowed twice.
    BUFFER.with_borrow_mut(|large| {
        let small = [0; SMALL_BYTES];
        Session {
            entry,
            ticket,
            hurried: false,
        }
        .run(Buffer { small, large })
    })
}

/// What the bytes of a client pass through.
struct Buffer<'a> {
    small: [u8; SMALL_BYTES],
    large: &'a mut Vec<u8>,
}

impl Buffer<'_> {
    fn bytes(&mut self) -> &mut [u8] {
        if self.large.is_empty() {
            &mut self.small
        } else {
            self.large
        }
    }

    /// Makes room for more if a read of that many bytes filled it, of which none is needed any more.
    fn suit(&mut self, read_bytes: usize) {
        let bytes = self.bytes().len();
        if read_bytes == bytes && bytes < LARGE_BYTES {
            // Pages that no read has touched cost nothing.
            *self.large = vec![0; super::room(bytes)];
        }
    }
}

struct Session<'a> {
    entry: &'a Entry,
    ticket: &'a Ticket,
    /// Whether the socket's limit on reading is another than the listener's.
    hurried: bool,
}

impl Session<'_> {
    fn run(mut self, mut buffer: Buffer<'_>) -> Ended {
        let mut machine = self.ticket.begin();
        if self.ticket.shared.stop.phase() == Phase::Cutting {
            machine.cut();
        }
        loop {
            match machine.next(self.ticket.work(), buffer.bytes()) {
                Next::Read => {
                    buffer.suit(machine.last_read_bytes());
                    self.read(&mut machine, buffer.bytes());
                }
                Next::Pay(cost) => {
                    self.ticket.shared.payer.pay(cost, &self.entry.beat);
                    machine.paid();
                }
                Next::Write(range) => self.write(&mut machine, &buffer.bytes()[range]),
                Next::Finish => {
                    // Fails only on a connection that is gone already, which the next read tells.
                    let _ = self.entry.socket.shutdown(Shutdown::Write);
                    machine.finished();
                }
                Next::Discard => self.discard(&mut machine, buffer.bytes()),
                Next::Abandon => {
                    super::abandon(&self.entry.socket);
                    machine.abandoned();
                }
                Next::Close(ended) => return ended,
            }
        }
    }

    fn read(&mut self, machine: &mut Machine, buffer: &mut [u8]) {
        self.entry.beat.settle();
        let hurry = self.hurry(machine);
        match receive(self.entry, buffer) {
            Ok(0) => machine.ended(),
            Ok(count) => {
                self.entry.beat.begin();
                self.ticket.received(&buffer[..count]);
                machine.received(&buffer[..count]);
            }
            Err(error) => match hurry {
                Some(watch) if error.kind() == ErrorKind::WouldBlock => self.judge(watch, machine),
                _ => report(machine, &error),
            },
        }
    }

    /// Where the rest of a message is due at some time, lets the socket end the wait then, and
    /// returns who watches over it. The socket's own limit is put back after the last of it.
    fn hurry(&mut self, machine: &mut Machine) -> Option<Watch> {
        let limits = &self.ticket.shared.config.limits;
        if machine.patience() != Patience::Rest {
            if std::mem::take(&mut self.hurried) {
                // It succeeded with another value, and nothing else can be wrong with it.
                let _ = self.entry.socket.set_read_timeout(limits.idle_timeout);
            }
            return None;
        }
        let now = Instant::now();
        let left = machine.rest_due(now)?.saturating_duration_since(now);
        let left = limits.idle_timeout.map_or(left, |idle| idle.min(left));
        // None at all would mean for ever; what is there already is read however late it is.
        let left = left.max(SHORTEST);
        self.hurried = self.entry.socket.set_read_timeout(Some(left)).is_ok();
        let mut watch = Watch::new(now);
        watch.follow(machine, now);
        Some(watch)
    }

    /// The wait that `watch` began with has ended, with nothing.
    fn judge(&self, mut watch: Watch, machine: &mut Machine) {
        let (limits, now) = (&self.ticket.shared.config.limits, Instant::now());
        if let Some(verdict) = watch.verdict(machine, limits, now) {
            watch.give_up(machine, verdict, now);
        }
    }

    fn write(&self, machine: &mut Machine, bytes: &[u8]) {
        let send = |flags| rustix::net::send(&self.entry.socket, bytes, flags);
        let mut sent = send(SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        if sent == Err(Errno::AGAIN) {
            self.entry.beat.suspend();
            sent = send(SendFlags::NOSIGNAL);
            self.entry.beat.begin();
        }
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
        self.entry.beat.suspend();
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
        // The socket's own limit; `TimedOut` is what the network says of a peer that vanished.
        ErrorKind::WouldBlock => machine.timed_out(),
        kind => machine.failed(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conn::Conn;
    use crate::driver::{BUFFER_BYTES, fixture};
    use crate::mode::Mode;
    use std::io::{Read, Write};
    use std::sync::Arc;

    #[test]
    fn who_says_much_is_read_in_large_pieces() {
        let (socket, ticket, mut peer) = fixture::connection(Mode::ThreadPerConnection);
        let sent = vec![b'x'; SMALL_BYTES + BUFFER_BYTES + 2 * LARGE_BYTES];
        peer.write_all(&sent).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let shared = Arc::clone(&ticket.shared);
        Conn::new(socket, ticket).serve();
        let mut echoed = Vec::new();
        peer.read_to_end(&mut echoed).unwrap();
        assert_eq!(
            (echoed == sent, shared.slot().counters().requests),
            (true, 4)
        );
    }
}
