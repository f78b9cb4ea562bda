//! Flags about the admin endpoint.

use std::path::PathBuf;

use clap::Args;
use cli::Addr;

use super::InvalidArgs;
use crate::admin::{self, Wanted};

#[derive(Debug, Args)]
#[command(next_help_heading = "Admin")]
pub(super) struct AdminArgs {
    /// Show how it goes over HTTP there: a live page at /, /status, /metrics, /healthz, /readyz.
    /// A loopback address, or unix:/path, which only this user can reach [default: nowhere].
    #[arg(long, value_name = "ADDR")]
    admin: Option<Addr>,

    /// Let other machines ask too; needs --admin-token-file, and there is no encryption.
    #[arg(long)]
    admin_allow_remote: bool,

    /// Ask for a token (Authorization: Bearer TOKEN): the one line of this file, 16 to 1024
    /// characters, which nobody else may read.
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl AdminArgs {
    /// The descriptors that the endpoint needs, so that connections are not promised them.
    pub(super) fn descriptors(&self) -> u64 {
        self.admin.as_ref().map_or(0, |_| admin::DESCRIPTORS)
    }

    /// Where the endpoint shall listen, if anywhere.
    pub(super) fn wanted(&self) -> Result<Option<Wanted>, InvalidArgs> {
        let remote = self.admin_allow_remote;
        let Some(addr) = self.admin.clone() else {
            let given = [
                (remote, "--admin-allow-remote"),
                (self.admin_token_file.is_some(), "--admin-token-file"),
            ];
            let moot = given.iter().find(|(given, _)| *given);
            return moot.map_or(Ok(None), |(_, flag)| Err(InvalidArgs::NoAdmin { flag }));
        };
        if remote && self.admin_token_file.is_none() {
            return Err(InvalidArgs::RemoteWithoutToken);
        }
        if !remote && !is_local(&addr) {
            return Err(InvalidArgs::RemoteAdmin { addr });
        }
        Ok(Some(Wanted {
            addr,
            token_file: self.admin_token_file.clone(),
            remote,
        }))
    }
}

/// Whether nobody but this machine is meant. What `localhost` stands for is seen when it is bound.
fn is_local(addr: &Addr) -> bool {
    match addr {
        Addr::Unix(_) => true,
        Addr::Tcp { host, .. } => {
            host == "localhost" || addr.ip().is_some_and(|ip| ip.is_loopback())
        }
    }
}
