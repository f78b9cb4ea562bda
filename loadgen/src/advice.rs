//! What is worth knowing before a run, though this machine can carry it.

use std::net::{IpAddr, SocketAddr};

/// One line for whoever typed the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Advice {
    /// Nothing was said of where connections come from, and one address would have been slow.
    #[error(
        "connections come from {count} addresses, {first} to {last}: {clients} to {target} would \
         share {ports} local ports of one address, and beyond half of them connecting becomes ten \
         times slower (--bind chooses other ones)"
    )]
    Spread {
        /// The first address.
        first: IpAddr,
        /// The last one.
        last: IpAddr,
        /// How many there are.
        count: u64,
        /// Connections to the target that has the most.
        clients: u64,
        /// That target.
        target: SocketAddr,
        /// Local ports of each address.
        ports: u64,
    },
    /// Connecting will be slow.
    #[error(
        "{clients} connections from one address to {target} take more than half of its {ports} \
         local ports, and beyond that connecting becomes ten times slower; give {enough} addresses \
         to --bind"
    )]
    Crowded {
        /// Connections of the source and the target that have the most between them.
        clients: u64,
        /// That target.
        target: SocketAddr,
        /// Local ports of each address.
        ports: u64,
        /// As many addresses keep all connections within half of them.
        enough: u64,
    },
}
