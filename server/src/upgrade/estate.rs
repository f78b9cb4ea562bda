//! What a server leaves to its successor, and how it gets there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::SockRef;

use crate::listener::{Bequest, Identity};
use crate::process::{Channel, DESCRIPTORS};

/// How long the successor may let the messages wait. All of them fit into the channel, so only a
/// system that is short of memory comes near.
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// What a server leaves to its successor.
#[derive(Debug)]
pub(crate) struct Estate {
    /// Where clients come from.
    pub(crate) listening: Bequest,
    /// Whether whoever started the first of these servers listens there, too.
    pub(crate) is_foreign: bool,
    /// Where an operator comes from, at one socket.
    pub(crate) admin: Option<Bequest>,
}

/// One message; several if there are more sockets than one can carry.
#[derive(Debug, Serialize, Deserialize)]
struct Deed {
    file: Option<Identity>,
    is_foreign: bool,
    has_admin: bool,
    admin_file: Option<Identity>,
    /// Descriptors of later messages.
    to_come: usize,
}

impl Estate {
    /// Sends it. This server keeps its own.
    ///
    /// # Errors
    ///
    /// When the other side is gone or takes nothing.
    pub(super) fn pass(&self, channel: &Channel) -> io::Result<()> {
        SockRef::from(channel).set_write_timeout(Some(SEND_LIMIT))?;
        let sockets = self.listening.sockets.iter();
        let sockets = sockets.chain(self.admin.iter().flat_map(|admin| &admin.sockets));
        let fds: Vec<BorrowedFd<'_>> = sockets.map(AsFd::as_fd).collect();
        let mut to_come = fds.len();
        for some in fds.chunks(DESCRIPTORS) {
            to_come -= some.len();
            let deed = Deed {
                file: self.listening.file,
                is_foreign: self.is_foreign,
                has_admin: self.admin.is_some(),
                admin_file: self.admin.as_ref().and_then(|admin| admin.file),
                to_come,
            };
            channel.send(&deed, some)?;
        }
        Ok(())
    }

    /// Receives it.
    ///
    /// # Errors
    ///
    /// When something else came, or the other side is gone.
    pub(super) fn receive(channel: &Channel) -> io::Result<Self> {
        let mut sockets = Vec::new();
        loop {
            let (deed, some) = channel.receive::<Deed>()?;
            sockets.extend(some);
            if deed.to_come == 0 {
                let admin = deed.has_admin.then(|| sockets.pop()).flatten();
                let admin = admin.map(|socket| Bequest {
                    sockets: vec![socket],
                    file: deed.admin_file,
                });
                let file = deed.file;
                return Ok(Self {
                    listening: Bequest { sockets, file },
                    is_foreign: deed.is_foreign,
                    admin,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn more_sockets_than_one_message_carries_arrive_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let count = 2 * DESCRIPTORS + 7;
        let path = |number: usize| directory.path().join(number.to_string());
        let sockets = (0..count).map(|number| UnixListener::bind(path(number)).unwrap().into());
        let estate = Estate {
            listening: Bequest {
                sockets: sockets.collect(),
                file: Some((1, 2)),
            },
            is_foreign: true,
            admin: Some(Bequest {
                sockets: vec![UnixListener::bind(path(count)).unwrap().into()],
                file: Some((3, 4)),
            }),
        };
        let (old, new) = Channel::pair().unwrap();
        estate.pass(&old).unwrap();
        let received = Estate::receive(&new.into()).unwrap();
        assert_eq!(
            (received.listening.file, received.is_foreign),
            (Some((1, 2)), true)
        );
        let admin = received.admin.unwrap();
        assert_eq!(admin.file, Some((3, 4)));
        let names = received.listening.sockets.into_iter().chain(admin.sockets);
        for (number, socket) in names.enumerate() {
            let addr = UnixListener::from(socket).local_addr().unwrap();
            assert_eq!(addr.as_pathname(), Some(&*path(number)));
        }
    }
}
