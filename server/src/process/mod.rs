//! A pool of worker processes: one master that binds, starts, watches and buries.
//!
//! ```text
//!            listener, gate, board, config ─────▶
//! master ═══════════ one socket pair ═══════════ worker (its standard input)
//!            ◀───── ready, worn, hung    drain, cut ─────▶      end of file: the other died
//! ```
//!
//! Beside it a pipe, the worker's standard error, lets the master remember its last words.
//!
//! Workers are this program executed again, never forks of a process with threads. They share the
//! master's listener, so a dead worker takes no queued connection along, and they die with the
//! master: the kernel kills them, and the closed socket pair would end them too.
//!
//! A process for each connection is started in the same way, with a connection instead of the
//! listener: [`Nursery`] is its parent's side.

mod channel;
mod connection;
mod dispatcher;
mod fate;
mod handoff;
mod intake;
mod master;
mod nursery;
mod offspring;
mod spawn;
mod supervisor;
mod violations;
mod words;
mod worker;

pub(crate) use channel::{Channel, DESCRIPTORS, Word};
pub(crate) use fate::fate;
pub(crate) use handoff::{Handoff, Passing};
pub(crate) use intake::Intake;
pub(crate) use master::{Pool, supervise};
pub(crate) use nursery::Nursery;
pub(crate) use offspring::{Offspring, adopt_strangers, bury_strangers};
pub(crate) use worker::run as run_worker;
