//! The sockets that a server stands on, whoever they come from: itself, a service manager, or the server
//! before it.

use cli::Addr;

use super::origin::{Origin, Passed};
use crate::admin::{self, BindError};
use crate::listener::{Bequest, InheritError, ListenError, ListenOptions, Listener, Tenure};
use crate::run::RunError;
use crate::stop::Stop;
use crate::upgrade::{Ancestry, Succession};

/// What was typed about them.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) addr: Addr,
    pub(crate) options: ListenOptions,
    pub(crate) admin: Option<&'a admin::Wanted>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoGrounds {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Inherit(#[from] InheritError),
    #[error(transparent)]
    Admin(#[from] BindError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The sockets, and how it is settled with a predecessor that they are this server's.
#[derive(Debug)]
pub(crate) struct Grounds {
    pub(crate) listener: Listener,
    pub(crate) admin: Option<admin::Listener>,
    pub(crate) succession: Option<Succession>,
}

impl Grounds {
    /// Binds the sockets, or takes those that were passed.
    ///
    /// # Errors
    ///
    /// [`NoGrounds`], with the remedy.
    pub(crate) fn take(origin: Origin, wish: &Wish<'_>, stop: &Stop) -> Result<Self, NoGrounds> {
        match origin {
            Origin::Own => Ok(Self {
                listener: Listener::bind(&wish.addr, wish.options)?,
                admin: wish.admin.map(admin::Listener::bind).transpose()?,
                succession: None,
            }),
            Origin::Manager(passed) => Self::pass(passed, wish),
            Origin::Predecessor(ancestry) => Self::succeed(ancestry, wish, stop),
        }
    }

    fn pass(passed: Passed, wish: &Wish<'_>) -> Result<Self, NoGrounds> {
        let tenure = Tenure::foreign();
        let bequest = |sockets| Bequest {
            sockets,
            file: None,
        };
        let listener = Listener::inherit(bequest(passed.listeners), wish.options, &tenure)?;
        let admin = match (passed.admin, wish.admin) {
            (None, wanted) => wanted.map(admin::Listener::bind).transpose()?,
            (Some(socket), wanted) => {
                let bequest = bequest(vec![socket]);
                Some(admin::Listener::pass(wanted, bequest, &tenure)?)
            }
        };
        Ok(Self {
            listener,
            admin,
            succession: None,
        })
    }

    fn succeed(ancestry: Ancestry, wish: &Wish<'_>, stop: &Stop) -> Result<Self, NoGrounds> {
        let (channel, estate) = ancestry.into_parts();
        let tenure = match estate.is_foreign {
            true => Tenure::foreign(),
            false => Tenure::coming(),
        };
        // A foreign one has no file, which is all that it would be ours for.
        let operators = Tenure::coming();
        let tenures = [tenure.clone(), operators.clone()];
        let succession = Ancestry::follow(channel, tenures, stop.clone());
        let admin = match (estate.admin, wish.admin) {
            (Some(bequest), Some(wanted)) => {
                Some(admin::Listener::inherit(wanted, bequest, &operators)?)
            }
            (None, wanted) => wanted.map(admin::Listener::bind).transpose()?,
            (Some(_), None) => None,
        };
        Ok(Self {
            listener: Listener::inherit(estate.listening, wish.options, &tenure)?,
            admin,
            succession: Some(succession.map_err(RunError::from)?),
        })
    }
}
