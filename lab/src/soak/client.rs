//! One client that talks to a server: it sends bytes that nobody else sends and compares what
//! comes back.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of one message.
pub const MESSAGE_BYTES: usize = 64;

/// A connection of which each message differs from all others of the same seed.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    name: u64,
    sent: u64,
}

impl Client {
    /// Connects; no wait for the server lasts longer than `limit`.
    ///
    /// # Errors
    ///
    /// When the server refuses or does not answer in time.
    pub fn connect(server: SocketAddr, name: u64, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&server, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self {
            stream,
            name,
            sent: 0,
        })
    }

    /// The port on this side: what the server's kernel knows the connection by.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.stream.local_addr()?.port())
    }

    /// Sends the next message and reads it back.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] when other bytes come back, otherwise what the connection
    /// failed of.
    pub fn round_trip(&mut self) -> io::Result<()> {
        self.ask()?;
        self.hear()
    }

    /// Sends the next message.
    ///
    /// # Errors
    ///
    /// What the connection failed of.
    pub fn ask(&mut self) -> io::Result<()> {
        self.sent += 1;
        self.stream.write_all(&message(self.name, self.sent))
    }

    /// Reads the last message back.
    ///
    /// # Errors
    ///
    /// As [`Client::round_trip`].
    pub fn hear(&mut self) -> io::Result<()> {
        let mut back = [0; MESSAGE_BYTES];
        self.stream.read_exact(&mut back)?;
        if back == message(self.name, self.sent) {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer is not what was sent",
            ))
        }
    }

    /// Says that no more will come, and reads until the server says so too; returns how many bytes
    /// came before that.
    ///
    /// # Errors
    ///
    /// When the connection breaks instead.
    pub fn finish(mut self) -> io::Result<usize> {
        self.stream.shutdown(Shutdown::Write)?;
        self.stream.read_to_end(&mut Vec::new())
    }

    /// The connection itself, for what no well-behaved client does.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }
}

/// Waits until at least one of `clients` has something to read, its end included, and tells which
/// have by then; none when `limit` passes before.
///
/// # Errors
///
/// When the system refuses.
pub fn readable(clients: &[Client], limit: Duration) -> io::Result<Vec<usize>> {
    let watch = |client| PollFd::new(client, PollFlags::IN);
    let streams = clients.iter().map(|client| &client.stream);
    let mut fds: Vec<PollFd<'_>> = streams.map(watch).collect();
    let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
    poll(&mut fds, Some(&limit))?;
    let ready = fds
        .iter()
        .zip(0..)
        .filter(|(fd, _)| !fd.revents().is_empty());
    Ok(ready.map(|(_, index)| index).collect())
}

/// Message `number` of the client called `name`: a line that says so, filled up to its length.
fn message(name: u64, number: u64) -> [u8; MESSAGE_BYTES] {
    let mut message = [b'.'; MESSAGE_BYTES];
    let text = format!("{name}/{number} ");
    let length = text.len().min(MESSAGE_BYTES - 1);
    message[..length].copy_from_slice(&text.as_bytes()[..length]);
    message[MESSAGE_BYTES - 1] = b'\n';
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn no_two_messages_are_the_same_and_each_is_one_line() {
        let all = [
            message(1, 1),
            message(1, 2),
            message(11, 1),
            message(u64::MAX, u64::MAX),
        ];
        for (index, message) in all.iter().enumerate() {
            assert!(!all[..index].contains(message));
            assert_eq!(message.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    #[test]
    fn another_answer_is_noticed_and_so_is_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut bytes = [0; MESSAGE_BYTES];
            for wrong in [0, 1] {
                peer.read_exact(&mut bytes).unwrap();
                bytes[0] ^= wrong;
                peer.write_all(&bytes).unwrap();
            }
        });
        let mut client = Client::connect(addr, 7, Duration::from_secs(10)).unwrap();
        client.round_trip().unwrap();
        let error = client.round_trip().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(client.finish().unwrap(), 0);
        server.join().unwrap();
    }
}
