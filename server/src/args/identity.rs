//! Flags about who the server is once it listens.

use clap::Args;

use super::InvalidArgs;
use crate::identity::{GroupArg, Identity, UserArg};

#[derive(Debug, Args)]
#[command(next_help_heading = "Rights")]
pub(super) struct IdentityArgs {
    /// Become this user, by name or number, once the sockets listen, and stay it: master and
    /// workers [default: whoever started it].
    #[arg(long, value_name = "USER")]
    user: Option<UserArg>,

    /// With --user: the group, by name or number [default: the user's own].
    #[arg(long, value_name = "GROUP")]
    group: Option<GroupArg>,
}

impl IdentityArgs {
    /// Who the server is to be; none where it stays who it is.
    pub(super) fn identity(&self) -> Result<Option<Identity>, InvalidArgs> {
        match (&self.user, self.group) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(InvalidArgs::GroupOfRoot),
            (Some(user), group) => {
                let identity = user.identity(group);
                let user = user.to_string();
                identity.map(Some).ok_or(InvalidArgs::NoGroup { user })
            }
        }
    }
}
