//! How a connection is read and written: the same [machine](crate::machine), driven by a blocking
//! thread, by a tokio task, by whoever knows that its socket is ready, or by whoever is told what a
//! ring has done.

pub(crate) mod blocking;
pub(crate) mod completion;
mod course;
#[cfg(test)]
mod fixture;
pub(crate) mod readiness;
pub(crate) mod tokio;

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::SockRef;

/// What is read at once, in bytes. One buffer serves all connections of a thread; only
/// a peer that does not take its bytes costs memory of its own.
const BUFFER_BYTES: usize = 64 * 1024;
/// The same for a client whose last read filled that: the fewer pieces, the fewer times both sides
/// wait for each other, and a mebibyte costs a third less processor time.
const LARGE_BYTES: usize = 4 * BUFFER_BYTES;

/// How much is read next of a client whose last read brought `last_bytes`.
fn room(last_bytes: usize) -> usize {
    if last_bytes < BUFFER_BYTES {
        BUFFER_BYTES
    } else {
        LARGE_BYTES
    }
}

/// A buffer for all connections of a thread. Of its pages only those cost memory that a read has
/// touched, which is a few where nobody streams.
pub(crate) fn scratch() -> Vec<u8> {
    vec![0; LARGE_BYTES]
}

/// Lets the close of `socket` reset the connection at once. In order, it would leave the kernel with
/// all that the peer has not taken, up to some MiB for minutes.
fn abandon(socket: &impl AsFd) {
    // Fails only on a connection that is gone already, and with it what it held.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// Whether a read would bring something: bytes, an end or an error.
fn has_input(socket: &impl AsFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    !matches!(recv(socket, &mut [0_u8], flags), Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_a_peer_does_not_take_goes_with_the_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; BUFFER_BYTES]).is_ok() {}
        // There is nothing to read that would make the close a reset by itself.
        abandon(&ours);
        drop(ours);
        let end = peer.read_to_end(&mut Vec::new());
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
