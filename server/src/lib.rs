//! A TCP echo server (RFC 862) whose concurrency is a plug-in.
//!
//! ```text
//! Listener ──accept──▶ Gate ──Conn──▶ executor ──▶ driver ──▶ echo
//!                    (limits)       (the plug-in)  (I/O)     (after its cost is paid)
//! ```
//!
//! [`Server::run`] owns limits and the order of the end; an executor only decides *where* an admitted
//! connection runs, and a driver only *how* it is read and written. What happens on a connection
//! is decided by one sans-I/O machine (`machine.rs`), whatever drives it.
//!
//! Nothing here but [`entry`] and [`worker_entry`] reads flags, the environment or signals.

#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("echolab needs Linux 6.0 or newer: it stands on epoll, eventfd, memfd and pidfd");

mod accept;
mod admin;
mod args;
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench;
mod board;
mod clock;
mod config;
mod conn;
mod driver;
mod entry;
mod escape;
mod executor;
mod gate;
mod herald;
mod identity;
mod launch;
mod lead;
mod limits;
mod listener;
mod log;
mod machine;
mod mode;
mod offload;
mod orders;
mod per_ip;
mod permit;
mod process;
mod pulse;
mod registry;
mod run;
mod sandbox;
mod signals;
mod source;
mod status;
mod stop;
mod sys;
mod upgrade;
mod vigil;
mod wear;
pub mod work;

pub use board::{Board, Counters, Slot};
pub use config::{
    Accept, Config, Fault, Life, Limits, MinRate, Offload, OnFull, Programs, ServerCommand,
    WorkerCommand,
};
pub use entry::{entry, worker_entry};
pub use gate::{Gate, Permit};
pub use herald::Herald;
pub use listener::{Flaw, InheritError, Keepalive, ListenError, ListenOptions, Listener, Obstacle};
pub use mode::{Choice, Inner, Mode, Plan};
pub use orders::{Control, Orders};
pub use run::{Drained, Ready, RunError, Server, probe};
pub use sandbox::{Sandbox, SandboxLevel, probe_sandbox};
pub use status::{
    AcceptQueue, Bucket, Connections, Endings, Histogram, Listening, Observer, Rejections, State,
    Status, ThreadStatus, WorkerStatus,
};
pub use stop::{Phase, Stop};
pub use sys::{Shareable, SharedFile, SharedSlice};
