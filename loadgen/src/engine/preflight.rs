//! What this machine must give before a run makes sense: descriptors and local ports.

use std::fs;

use cli::Addr;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::kernel;
use crate::{Config, RunError};

/// Descriptors beyond one a client: an epoll set a thread, and some for the rest of the process.
const SPARE_DESCRIPTORS: u64 = 16;

/// Raises the limit on descriptors as far as it goes and checks that `config` fits.
///
/// # Errors
///
/// [`RunError::Limit`] when this machine cannot open so many connections.
pub(super) fn check(config: &Config) -> Result<(), RunError> {
    let clients = u64::from(config.own_connections());
    let open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    let needed = clients + config.threads.get() as u64 + open + SPARE_DESCRIPTORS;
    let limit = raise_descriptor_limit();
    if limit < needed {
        return Err(RunError::Limit(format!(
            "{clients} connections need {needed} file descriptors and this process may open \
             {limit}; raise the hard limit (ulimit -Hn) or lower --connections"
        )));
    }
    match (kernel::local_ports(), &config.targets[0]) {
        (Some(ports), Addr::Tcp { .. }) if ports < clients => Err(RunError::Limit(format!(
            "{clients} connections to one address need as many local ports and there are {ports}; \
             widen net.ipv4.ip_local_port_range or lower --connections"
        ))),
        _ => Ok(()),
    }
}

/// Raises the soft limit to the hard one and returns what holds then.
fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let holds = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    holds.unwrap_or(u64::MAX)
}
