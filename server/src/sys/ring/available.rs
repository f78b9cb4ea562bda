//! Whether this kernel has a ring of the kind that is used here, and if not, why.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use io_uring::{Builder, IoUring};
use rustix::io::Errno;

use super::{Done, FAREWELL, Ring};

/// Operations that wait to be submitted together; more are submitted in between.
pub(super) const SUBMISSIONS: u32 = 512;
/// Reports that wait to be looked at; the kernel keeps more in memory of its own.
const COMPLETIONS: u32 = 4096;
/// Why there is no ring.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unavailable {
    /// The kernel lacks or forbids something that every ring needs.
    #[error("{feature} is missing: {why} ({source})")]
    Feature {
        /// What.
        feature: &'static str,
        /// Why, as far as one can tell.
        why: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Descriptors or memory are short.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Whether a ring of this kind can do here what is asked of it.
///
/// # Errors
///
/// [`Unavailable`], with the feature that is missing.
pub(crate) fn probe() -> Result<(), Unavailable> {
    // On a thread that ends: a moment after a ring is closed the kernel interrupts the thread that
    // opened it, whatever that waits for by then.
    let prober = std::thread::Builder::new().name("probe".into());
    let probed = prober.spawn(try_a_ring)?.join();
    probed.unwrap_or_else(|_| Err(io::Error::other("the probe panicked").into()))
}

fn try_a_ring() -> Result<(), Unavailable> {
    let mut ring = Ring::open()?;
    let (socket, mut peer) = UnixStream::pair()?;
    peer.write_all(b"?")?;
    drop(peer);
    // Two reports for one request is what cannot be asked for otherwise.
    ring.receive(&socket, 0);
    ring.wait(Some(Instant::now() + FAREWELL))?;
    let source = match ring.next() {
        Some(Done::Received { more: true, .. }) => return Ok(()),
        Some(Done::Received { outcome, .. }) => outcome.err(),
        _ => None,
    };
    let source = source.unwrap_or_else(|| Errno::INVAL.into());
    Err(missing("multishot receive", source))
}

/// The io_uring itself, in the cheapest form that the kernel has.
pub(super) fn build() -> Result<IoUring, Unavailable> {
    let mut last = Errno::INVAL.into();
    let forms: [fn(&mut Builder) -> &mut Builder; 2] = [
        // Linux 6.1: one thread submits, and is interrupted by nothing before it waits.
        |ring| ring.setup_single_issuer().setup_defer_taskrun(),
        |ring| ring.setup_coop_taskrun(),
    ];
    for form in forms {
        let mut ring = IoUring::builder();
        ring.setup_cqsize(COMPLETIONS).setup_submit_all();
        match form(&mut ring).build(SUBMISSIONS) {
            Ok(ring) => return Ok(ring),
            Err(error) => last = error,
        }
        if last.raw_os_error() != Some(Errno::INVAL.raw_os_error()) {
            break;
        }
    }
    Err(missing("io_uring", last))
}

pub(super) fn missing(feature: &'static str, source: io::Error) -> Unavailable {
    let error = source.raw_os_error().map(Errno::from_raw_os_error);
    let why = match error {
        Some(Errno::PERM | Errno::ACCESS) => {
            "kernel.io_uring_disabled or a seccomp filter forbids it"
        }
        Some(Errno::NOSYS) => "the kernel was built without it",
        Some(Errno::INVAL | Errno::OPNOTSUPP) => "Linux 6.0 or newer is needed",
        _ => return Unavailable::System(source),
    };
    Unavailable::Feature {
        feature,
        why,
        source,
    }
}
