//! The server that the generator measures itself against: it does as little as a server can.
//!
//! A thread that accepts and a thread per processor with an epoll set each. It ends when its
//! lifeline does, so that it never outlives whoever started it. It is no server to offer to anybody:
//! it has no limits and no time limits.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, Scope};

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll, eventfd, poll};
use rustix::io::Errno;

/// Read at once.
const BUFFER_BYTES: usize = 64 << 10;
/// Events taken from the kernel at once.
const EVENTS: usize = 512;
/// The number that no socket has.
const WAKE: u64 = u64::MAX;

/// Echoes to all who connect to `listener` until `lifeline` has something to read or is closed.
///
/// # Errors
///
/// When the system refuses what is needed.
pub fn serve(
    listener: &TcpListener,
    lifeline: BorrowedFd<'_>,
    threads: NonZeroUsize,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    thread::scope(|scope| {
        let lanes = (0..threads.get())
            .map(|_| Lane::start(scope))
            .collect::<io::Result<Vec<_>>>()?;
        accept(listener, lifeline, &lanes)
    })
}

fn accept(listener: &TcpListener, lifeline: BorrowedFd<'_>, lanes: &[Lane]) -> io::Result<()> {
    let mut lanes = lanes.iter().cycle();
    loop {
        let mut watched = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::from_borrowed_fd(lifeline, PollFlags::IN),
        ];
        match poll(&mut watched, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        if !watched[1].revents().is_empty() {
            return Ok(());
        }
        match (listener.accept(), lanes.next()) {
            (Ok((socket, _)), Some(lane)) => lane.hand_over(socket)?,
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A peer that is gone again is nothing to stop for.
            (Err(error), _) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            (Err(error), _) => return Err(error),
            (Ok(_), None) => return Ok(()),
        }
    }
}

/// The way to one thread; it ends when this is dropped.
struct Lane {
    sockets: Option<Sender<TcpStream>>,
    wake: Arc<OwnedFd>,
}

impl Lane {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> io::Result<Self> {
        let (sockets, inbox) = mpsc::channel();
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &wake,
            epoll::EventData::new_u64(WAKE),
            epoll::EventFlags::IN,
        )?;
        let worker = Worker {
            epoll,
            inbox,
            wake: Arc::clone(&wake),
            sockets: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; BUFFER_BYTES],
        };
        thread::Builder::new()
            .name("null-echo".to_owned())
            .spawn_scoped(scope, move || worker.work())?;
        Ok(Self {
            sockets: Some(sockets),
            wake,
        })
    }

    fn hand_over(&self, socket: TcpStream) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        if let Some(sockets) = &self.sockets {
            sockets
                .send(socket)
                .map_err(|_| io::Error::other("a thread of the null echo has ended"))?;
        }
        self.wake()
    }

    fn wake(&self) -> io::Result<()> {
        rustix::io::write(&*self.wake, &1_u64.to_ne_bytes())?;
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.sockets = None;
        // It cannot be full; and if it were, the thread would be awake.
        let _ = self.wake();
    }
}

/// One thread and its connections.
struct Worker {
    epoll: OwnedFd,
    inbox: Receiver<TcpStream>,
    wake: Arc<OwnedFd>,
    sockets: Vec<Option<TcpStream>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Worker {
    fn work(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            for event in events.drain(..) {
                let data = event.data;
                match data.u64() {
                    WAKE if !self.take_in()? => return Ok(()),
                    WAKE => {}
                    number => self.answer(number),
                }
            }
        }
    }

    /// Takes new connections in; whether there may be more.
    fn take_in(&mut self) -> io::Result<bool> {
        let mut count = [0; 8];
        match rustix::io::read(&*self.wake, &mut count) {
            Ok(_) | Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        loop {
            match self.inbox.try_recv() {
                Ok(socket) => self.add(socket)?,
                Err(TryRecvError::Empty) => return Ok(true),
                Err(TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    fn add(&mut self, socket: TcpStream) -> io::Result<()> {
        let number = self.free.pop().unwrap_or(self.sockets.len());
        epoll::add(
            &self.epoll,
            &socket,
            epoll::EventData::new_u64(number as u64),
            epoll::EventFlags::IN,
        )?;
        if number == self.sockets.len() {
            self.sockets.push(None);
        }
        self.sockets[number] = Some(socket);
        Ok(())
    }

    /// Sends back what a connection has sent, and drops it when that ends or fails.
    fn answer(&mut self, number: u64) {
        let slot = usize::try_from(number)
            .ok()
            .and_then(|number| self.sockets.get_mut(number).map(|slot| (number, slot)));
        let Some((number, slot)) = slot else { return };
        let Some(socket) = slot else { return };
        if echo(socket, &mut self.buffer).is_none() {
            *slot = None;
            self.free.push(number);
        }
    }
}

/// Echoes what is there; none when nothing will ever come again.
fn echo(socket: &mut TcpStream, buffer: &mut [u8]) -> Option<()> {
    let bytes = match socket.read(buffer) {
        Ok(0) => return None,
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(()),
        Err(_) => return None,
    };
    let mut rest = &buffer[..bytes];
    while !rest.is_empty() {
        match socket.write(rest) {
            Ok(0) => return None,
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // The generator has one small request in flight; this is for anybody else.
                poll(&mut [PollFd::new(socket, PollFlags::OUT)], None).ok()?;
            }
            Err(_) => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn it_echoes_to_several_and_ends_with_its_lifeline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (ours, lifeline) = UnixStream::pair().unwrap();
        let two = NonZeroUsize::new(2).unwrap();
        let server = thread::spawn(move || serve(&listener, lifeline.as_fd(), two));
        let mut clients = [0, 1, 2].map(|_| TcpStream::connect(addr).unwrap());
        for (client, text) in clients.iter_mut().zip([b"one", b"two", b"six"]) {
            let patience = Some(Duration::from_secs(20));
            client.set_read_timeout(patience).unwrap();
            client.write_all(text).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut echoed = Vec::new();
            client.read_to_end(&mut echoed).unwrap();
            assert_eq!(echoed, text);
        }
        drop(ours);
        server.join().unwrap().unwrap();
    }
}
