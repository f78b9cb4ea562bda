//! What the server's process does: it echoes each message after its delay, and logs that.
//!
//! One thread with an epoll set and a heap of what is due, so that no threads compete for the
//! processor and each wait ends with one wake-up. A delay is logged from the moment when `recv` had
//! returned to the moment before `send`: what the server did, however late its timer was. Beside it
//! stands how long the request had lain in the socket before, by the kernel's own stamp: its process
//! had to be woken up. When its standard input ends, it writes the log to standard output.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, IoSliceMut, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::awake;
use crate::server::Delay;

/// Bytes of a message.
const MESSAGE_BYTES: usize = 64;
/// Events taken from the kernel at once.
const EVENTS: usize = 64;
/// The numbers that no connection has.
const LISTENER: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;

/// A client, and its request as far as it has come.
struct Conn {
    socket: TcpStream,
    message: [u8; MESSAGE_BYTES],
    filled: usize,
    /// Where its next delay comes from.
    state: u64,
}

/// A request that was read: when, and how long it had lain there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    read: Instant,
    wake: Duration,
}

/// An answer that waits: when it is due, of which connection, and to what.
type Waiting = Reverse<(Instant, usize, Request)>;

struct Loop {
    delay: Delay,
    start: Instant,
    listener: TcpListener,
    epoll: OwnedFd,
    /// By number; none where the client has left.
    conns: Vec<Option<Conn>>,
    waiting: BinaryHeap<Waiting>,
    /// When a request was read, how long it had lain there, and its delay, in nanoseconds.
    log: Vec<[u64; 3]>,
}

/// Serves until standard input ends.
pub(crate) fn serve(delay: Delay) -> io::Result<()> {
    awake::pin(awake::Side::Server);
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    watch(&epoll, &listener, LISTENER)?;
    watch(&epoll, io::stdin(), INPUT)?;
    let mut serving = Loop {
        delay,
        start: Instant::now(),
        listener,
        epoll,
        conns: Vec::new(),
        waiting: BinaryHeap::new(),
        log: Vec::new(),
    };
    serving.work()?;
    let mut text = String::with_capacity(serving.log.len() * 32);
    for [arrival, wake, delay] in serving.log {
        text.push_str(&format!("{arrival} {wake} {delay}\n"));
    }
    io::stdout().write_all(text.as_bytes())
}

fn watch(epoll: &OwnedFd, source: impl std::os::fd::AsFd, number: u64) -> io::Result<()> {
    let data = epoll::EventData::new_u64(number);
    Ok(epoll::add(epoll, source, data, epoll::EventFlags::IN)?)
}

impl Loop {
    fn work(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            self.answer_due()?;
            let limit = self.waiting.peek().map(|Reverse((due, ..))| {
                let rest = due.saturating_duration_since(Instant::now());
                Timespec::try_from(rest).unwrap()
            });
            events.clear();
            let buffer = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.epoll, buffer, limit.as_ref()) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            for event in &events {
                match event.data.u64() {
                    INPUT => return Ok(()),
                    LISTENER => self.accept()?,
                    number => self.read(usize::try_from(number).unwrap())?,
                }
                // The others' answers do not wait for the rest of the batch.
                self.answer_due()?;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let (socket, _) = self.listener.accept()?;
        socket.set_nodelay(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        let number = self.conns.len() as u64;
        watch(&self.epoll, &socket, number)?;
        self.conns.push(Some(Conn {
            socket,
            message: [0; MESSAGE_BYTES],
            filled: 0,
            state: number,
        }));
        Ok(())
    }

    /// Reads what has come, and answers it or sets it aside.
    fn read(&mut self, number: usize) -> io::Result<()> {
        let Some(conn) = &mut self.conns[number] else {
            return Ok(());
        };
        let room = &mut conn.message[conn.filled..];
        let Ok((bytes @ 1.., arrived)) = receive(&conn.socket, room) else {
            self.conns[number] = None;
            return Ok(());
        };
        let read = Instant::now();
        let wake = since(arrived);
        conn.filled += bytes;
        if conn.filled < MESSAGE_BYTES {
            return Ok(());
        }
        let request = Request { read, wake };
        conn.filled = 0;
        match self.delay {
            Delay::None => self.answer(number, request),
            _ => {
                let due = read + self.delay.length(chance(&mut conn.state));
                self.waiting.push(Reverse((due, number, request)));
                Ok(())
            }
        }
    }

    fn answer_due(&mut self) -> io::Result<()> {
        while let Some(Reverse((due, number, request))) = self.waiting.peek().copied() {
            if due > Instant::now() {
                break;
            }
            self.waiting.pop();
            self.answer(number, request)?;
        }
        Ok(())
    }

    fn answer(&mut self, number: usize, request: Request) -> io::Result<()> {
        let Some(conn) = &mut self.conns[number] else {
            return Ok(());
        };
        // Taken before the send: afterwards the generator may already have the answer.
        let waited = request.read.elapsed();
        // A client that has left is seen by the next read.
        let _ = conn.socket.write_all(&conn.message);
        let arrival = request.read.duration_since(self.start);
        self.log.push([arrival, request.wake, waited].map(nanos));
        Ok(())
    }
}

/// Reads what fits, and tells when the kernel had received it, by the wall clock.
fn receive(socket: &TcpStream, room: &mut [u8]) -> io::Result<(usize, Option<Duration>)> {
    let mut parts = [IoSliceMut::new(room)];
    let mut space = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let got = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut space),
        MsgFlags::empty(),
    )?;
    let stamp = got.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    });
    Ok((got.bytes, stamp))
}

/// How long ago that was. The kernel stamps with the wall clock, so this short time, and nothing
/// else, is measured by it; a request without a stamp counts as read at once.
fn since(stamp: Option<Duration>) -> Duration {
    let now = clock_gettime(ClockId::Realtime);
    let now = Duration::try_from(now).unwrap_or_default();
    stamp.map_or(Duration::ZERO, |stamp| now.saturating_sub(stamp))
}

fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// A number between 0 and 1 (splitmix64).
fn chance(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}
