//! The server's address, resolved once before the run.

use cli::Addr;
use socket2::{Domain, SockAddr};

use crate::RunError;

/// Where clients connect: every address that the name stands for, in the system's order.
#[derive(Debug)]
pub(super) struct Target {
    addresses: Vec<SockAddr>,
}

impl Target {
    /// Resolves `addr`.
    ///
    /// # Errors
    ///
    /// [`RunError::Resolve`] when the name stands for nothing.
    pub(super) fn resolve(addrs: &[Addr]) -> Result<Self, RunError> {
        let addr = &addrs[0];
        let failed = |source| RunError::Resolve {
            target: addr.to_string(),
            source,
        };
        let addresses = match addr {
            Addr::Unix(path) => vec![SockAddr::unix(path).map_err(failed)?],
            Addr::Tcp { .. } => {
                let all = addr.resolve().map_err(failed)?;
                all.into_iter().map(SockAddr::from).collect()
            }
        };
        if addresses.is_empty() {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
        Ok(Self { addresses })
    }

    /// How many addresses there are, at least 1.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.addresses.len()).unwrap_or(u32::MAX)
    }

    /// The address to try after `failures` failures.
    pub(super) fn address(&self, failures: u32) -> &SockAddr {
        &self.addresses[failures as usize % self.addresses.len()]
    }
}

/// Whether a connection to `address` may be given Nagle's algorithm, local ports and the like.
pub(super) fn is_tcp(address: &SockAddr) -> bool {
    address.domain() != Domain::UNIX
}
