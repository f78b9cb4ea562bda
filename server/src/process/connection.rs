//! The process of one connection: take it over, serve it as any blocking mode does, and end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use cli::exit;
use socket2::Socket;
use tracing::debug;

use super::channel::{Channel, Handover, Legacy};
use super::worker::{die_with, obey};
use crate::board::Board;
use crate::config::Fault;
use crate::conn::{Conn, Shared, Ticket};
use crate::log;
use crate::signals::WorkerSignals;
use crate::stop::Stop;

/// The exit code of one that could not begin to serve; its parent counts and says it, seldom.
pub(super) const COULD_NOT_SERVE: u8 = exit::FAILED;

/// Serves the connection that the parent hands over, and no other; returns the exit code.
///
/// # Errors
///
/// When it cannot be tied to its parent's life.
pub(super) fn run(channel: Channel, handover: Handover, legacy: Legacy<OwnedFd>) -> io::Result<u8> {
    if !die_with(handover.parent)? {
        return Ok(exit::SUCCESS);
    }
    log::init(handover.log);
    // What `ps` shows; a name with a NUL is impossible here.
    let _ = std::ffi::CString::new(format!("conn-{}", handover.id))
        .map(|name| rustix::thread::set_name(&name));
    match take_over(channel, handover, legacy) {
        Ok(conn) => {
            conn.serve();
            Ok(exit::SUCCESS)
        }
        Err(error) => {
            debug!(%error, "cannot serve the connection");
            Ok(COULD_NOT_SERVE)
        }
    }
}

fn take_over(channel: Channel, handover: Handover, legacy: Legacy<OwnedFd>) -> io::Result<Conn> {
    let Handover {
        id,
        peer,
        accepted,
        slot,
        slots,
        config,
        ..
    } = handover;
    config.fault.iter().try_for_each(Fault::strike_at_start)?;
    let stop = Stop::new()?;
    WorkerSignals::prepare()?.listen(&stop)?;
    let board = Arc::new(Board::open(legacy.board, slots)?);
    // The slot stays the parent's, which counts the opening and the closing.
    let mut shared = Shared::new(config, stop.clone(), board, slot)?.without_thread_slots();
    let channel = Arc::new(channel);
    shared.parent = Some(Arc::clone(&channel));
    let shared = Arc::new(shared);
    let ticket = Ticket::handed_over(id, peer, accepted, Arc::clone(&shared));
    let conn = Conn::new(Socket::from(legacy.connection), ticket);
    shared.registry.complete();
    obey(channel, stop)?;
    let drain = thread::Builder::new().name("drain".into());
    drain.spawn(move || shared.drain(None, None))?;
    Ok(conn)
}
