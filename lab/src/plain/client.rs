//! The floor of a load generator: one thread, an epoll set, and clients that each send a message, read
//! until all of it is back, and send it again.
//!
//! ```text
//! lab @part plain-client ADDR CLIENTS SECONDS ──▶ connect, send, read, send, read … ──▶ how many answers
//! ```
//!
//! It compares no byte, keeps no account of a client, and looks at no clock: a timer in the set ends it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::take_all_descriptors;
use crate::part;
use crate::subject::{CLIENTS, Launch, SECONDS, Subject, TARGET};

/// As typed.
pub(crate) const NAME: &str = "plain-client";
/// A message.
pub(crate) const MESSAGE_BYTES: usize = 64;
/// What the timer is called, which no client is.
const TIMER: u64 = u64::MAX;
/// Events that are taken at once.
const EVENTS: usize = 512;

/// A client, and how much of its answer is not there yet.
struct Client {
    socket: TcpStream,
    missing: usize,
}

/// How it is started, with places for what it is told.
pub(crate) fn subject() -> Subject {
    let told = [NAME, TARGET, CLIENTS, SECONDS];
    Subject {
        name: NAME.to_owned(),
        launch: Launch::Part(told.map(str::to_owned).to_vec()),
    }
}

/// Is the client, in the process that was started for it, and says how many answers there were.
///
/// # Errors
///
/// When the arguments are others, or a client is not served.
pub(crate) fn play(args: &[String]) -> io::Result<u8> {
    let (addr, clients, time) = told(args).ok_or_else(|| {
        let form = format!("is started as '{NAME} ADDR CLIENTS SECONDS'");
        io::Error::new(io::ErrorKind::InvalidInput, form)
    })?;
    take_all_descriptors();
    part::say(&answers(addr, clients, time)?)?;
    Ok(cli::exit::SUCCESS)
}

fn told(args: &[String]) -> Option<(SocketAddr, u64, Duration)> {
    let [addr, clients, seconds] = args else {
        return None;
    };
    let time = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    let clients = clients.parse().ok().filter(|clients| *clients > 0)?;
    // A timer that is set to nothing never goes off.
    (!time.is_zero()).then_some((addr.parse().ok()?, clients, time))
}

/// How many answers come within `time`, which begins before the first client connects.
fn answers(addr: SocketAddr, clients: u64, time: Duration) -> io::Result<u64> {
    let set = epoll::create(CreateFlags::CLOEXEC)?;
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let at = Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec::try_from(time).map_err(io::Error::other)?,
    };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &at)?;
    epoll::add(&set, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
    let mut all = Vec::new();
    for key in 0..clients {
        let client = Client::connect(addr)?;
        epoll::add(
            &set,
            &client.socket,
            EventData::new_u64(key),
            EventFlags::IN,
        )?;
        all.push(client);
    }
    let mut events = Vec::with_capacity(EVENTS);
    let mut answers = 0;
    loop {
        epoll::wait(&set, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let key = event.data.u64();
            if key == TIMER {
                return Ok(answers);
            }
            let key = usize::try_from(key).map_err(io::Error::other)?;
            if let Some(client) = all.get_mut(key) {
                answers += u64::from(client.advance()?);
            }
        }
    }
}

impl Client {
    /// A client that has asked.
    fn connect(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut client = Self { socket, missing: 0 };
        client.ask()?;
        Ok(client)
    }

    /// A message on its way always finds room: the one before has come back.
    fn ask(&mut self) -> io::Result<()> {
        let sent = send(&self.socket, &[b'x'; MESSAGE_BYTES], SendFlags::NOSIGNAL)?;
        if sent < MESSAGE_BYTES {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.missing = MESSAGE_BYTES;
        Ok(())
    }

    /// Reads once, and asks again if the answer is whole; tells whether it is.
    fn advance(&mut self) -> io::Result<bool> {
        match recv(&self.socket, &mut [0; MESSAGE_BYTES], RecvFlags::empty()) {
            Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok((length, _)) => self.missing = self.missing.saturating_sub(length),
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if self.missing > 0 {
            return Ok(false);
        }
        self.ask().map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    #[test]
    fn what_is_started_otherwise_says_how_it_is_started() {
        let args = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        for wrong in [
            &[][..],
            &["127.0.0.1:1", "0", "1"],
            &["127.0.0.1:1", "1", "0"],
            &["127.0.0.1:1", "1", "-1"],
            &["nowhere", "1", "1"],
        ] {
            let error = play(&args(wrong)).unwrap_err().to_string();
            assert_eq!(error, "is started as 'plain-client ADDR CLIENTS SECONDS'");
        }
    }

    #[test]
    fn an_answer_counts_when_it_is_whole_and_only_then_is_the_next_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = Client::connect(listener.local_addr().unwrap()).unwrap();
        client.socket.set_nonblocking(false).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut asked = [0; MESSAGE_BYTES];
        server.read_exact(&mut asked).unwrap();
        server.write_all(&asked[1..]).unwrap();
        assert!(!client.advance().unwrap());
        server.write_all(&asked[..1]).unwrap();
        assert!(client.advance().unwrap());
        server.read_exact(&mut asked).unwrap();
        drop(server);
        assert!(client.advance().is_err());
    }
}
