//! The accept queue of a listening Unix socket: no option tells it, so the kernel is asked over
//! netlink (`sock_diag(7)`).

use std::os::fd::AsFd;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags, UnixRequest};
use rustix::fs::fstat;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::AcceptQueue;

/// Longer than what is said of one socket, in bytes.
const ANSWER_BYTES: usize = 1024;

/// That of `socket`; none if it is no such socket, or netlink is not to be had.
pub(super) fn accept_queue(socket: impl AsFd) -> Option<AcceptQueue> {
    let inode = fstat(&socket).ok()?.st_ino.try_into().ok()?;
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )
    .ok()?;
    send(&kernel, &question(inode), SendFlags::empty()).ok()?;
    let mut answer = [0; ANSWER_BYTES];
    // It is there when the question is sent; an older kernel, which has none, must not hold us up.
    let (count, _) = recv(&kernel, &mut answer, RecvFlags::DONTWAIT).ok()?;
    understand(answer.get(..count)?)
}

/// What is asked of the socket with that inode.
fn question(inode: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = SockDiagMessage::UnixRequest(UnixRequest {
        state_flags: StateFlags::LISTEN,
        inode,
        show_flags: ShowFlags::RQLEN,
        // None in particular.
        cookie: [0xff; 8],
    });
    let mut message = NetlinkMessage::new(header, request.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn understand(answer: &[u8]) -> Option<AcceptQueue> {
    let message = NetlinkMessage::<SockDiagMessage>::deserialize(answer).ok()?;
    let NetlinkPayload::InnerMessage(SockDiagMessage::UnixResponse(told)) = message.payload else {
        return None;
    };
    Some(AcceptQueue {
        length: told.number_of_pending_connection()?,
        limit: told.max_number_of_pending_connection()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn the_queue_of_a_path_is_as_long_as_clients_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let Some(empty) = accept_queue(&listener) else {
            println!("SKIPPED: the kernel has no unix_diag, or keeps it from us");
            return;
        };
        assert_eq!(empty.length, 0);
        let clients = [(); 3].map(|()| UnixStream::connect(&path).unwrap());
        assert_eq!(accept_queue(&listener).unwrap().length, 3);
        listener.accept().unwrap();
        let queue = accept_queue(&listener).unwrap();
        assert_eq!((queue.length, queue.limit), (2, empty.limit));
        assert_eq!(accept_queue(&clients[0]), None, "it does not listen");
    }

    #[test]
    fn what_is_no_answer_tells_nothing() {
        assert_eq!(understand(&[]), None);
        assert_eq!(understand(&question(1)), None);
        assert_eq!(understand(&[0xff; 64]), None);
    }
}
