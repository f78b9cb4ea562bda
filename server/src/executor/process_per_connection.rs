//! `process-per-connection`: a new process for each client, gone with it.

use std::io;
use std::sync::Arc;

use super::{Context, Dispatch};
use crate::process::Nursery;

/// Starts a process for each connection; the system refuses when processes are used up.
///
/// # Errors
///
/// When nobody can be set to watch over the processes.
pub(super) fn dispatch(cx: &Context) -> io::Result<Dispatch> {
    let nursery = Nursery::new(Arc::clone(&cx.shared), cx.worker.clone())?;
    Ok(Box::new(move |conn| nursery.raise(conn)))
}
