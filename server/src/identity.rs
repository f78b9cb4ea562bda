//! Who the server is once it listens: an ordinary user, who cannot become root again.
//!
//! Names are looked up while the command line is read, so that a wrong one leaves no socket behind.
//! The whole process changes, every thread of it, before it starts another process or serves a
//! byte; then it tries to go back, and does not serve if that works.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, getgrouplist, getgroups, getresgid, getresuid, setgroups, setresgid,
    setresuid,
};
use rustix::thread::{CapabilitySet, capabilities, set_no_new_privs};

/// A user, as typed: by name or by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserArg {
    typed: String,
    uid: Uid,
    /// What the machine knows of that user, which may be nothing but a number.
    known: Option<(CString, Gid)>,
}

/// A group, as typed: by name or by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupArg(Gid);

/// An ordinary user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// As typed, for messages.
    typed: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// Why the server cannot go on as that user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error(
        "--user {user}: the system does not let this process become that user, since it runs as user {now} ({source}); start it as root, or leave --user out"
    )]
    Refused {
        user: String,
        now: Uid,
        source: Errno,
    },
    #[error(
        "--user {user}: root's rights outlive the change ({what}), so nothing is served; start the server without that"
    )]
    Kept { user: String, what: &'static str },
}

impl std::str::FromStr for UserArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = || text.parse().ok().map(Uid::from_raw);
        let known = match User::from_name(text).map_err(unanswered)? {
            Some(user) => Some(user),
            None => number()
                .map(User::from_uid)
                .transpose()
                .map_err(unanswered)?
                .flatten(),
        };
        let uid = known.as_ref().map(|user| user.uid).or_else(number);
        let uid = uid.ok_or("there is no such user here; give a name or a number")?;
        if uid.is_root() {
            return Err("must be another user than root".into());
        }
        let known = known.and_then(|user| Some((CString::new(user.name).ok()?, user.gid)));
        let typed = text.to_owned();
        Ok(Self { typed, uid, known })
    }
}

impl std::str::FromStr for GroupArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Group::from_name(text).map_err(unanswered)?;
        let gid = known.map(|group| group.gid);
        let gid = gid.or_else(|| text.parse().ok().map(Gid::from_raw));
        let gid = gid.ok_or("there is no such group here; give a name or a number")?;
        if gid.as_raw() == 0 {
            return Err("must be another group than root's".into());
        }
        Ok(Self(gid))
    }
}

fn unanswered(error: Errno) -> String {
    format!("cannot be looked up: {error}")
}

impl UserArg {
    /// That user in that group, or else in its own; none where it has none that is not root's.
    pub(crate) fn identity(&self, group: Option<GroupArg>) -> Option<Identity> {
        let own = self.known.as_ref().map(|(_, gid)| *gid);
        let gid = group.map(|GroupArg(gid)| gid).or(own);
        let gid = gid.filter(|gid| gid.as_raw() != 0)?;
        let groups = self.known.as_ref().map(|(name, _)| getgrouplist(name, gid));
        let mut groups = groups.and_then(Result::ok).unwrap_or_else(|| vec![gid]);
        tidy(&mut groups);
        Some(Identity {
            typed: self.typed.clone(),
            uid: self.uid,
            gid,
            groups,
        })
    }
}

impl std::fmt::Display for UserArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.typed)
    }
}

impl Identity {
    /// Its number and that of its group, for files that it is to own.
    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Becomes that user for good, with all threads. One that is it already stays it: an upgraded
    /// server is started by its predecessor.
    ///
    /// # Errors
    ///
    /// [`IdentityError`]; the process must not serve then.
    pub(crate) fn assume(&self) -> Result<(), IdentityError> {
        let user = || self.typed.clone();
        if !self.is_ours() {
            let now = Uid::effective();
            let change = || {
                setgroups(&self.groups)?;
                setresgid(self.gid, self.gid, self.gid)?;
                setresuid(self.uid, self.uid, self.uid)
            };
            let refused = |source| IdentityError::Refused {
                user: user(),
                now,
                source,
            };
            change().map_err(refused)?;
        }
        // Neither by a program that is executed: one with the set-user-ID bit gives nothing.
        let sealed = set_no_new_privs(true).is_ok();
        let kept = match self.way_back() {
            None if sealed => return Ok(()),
            None => "a program with the set-user-ID bit would give them back",
            Some(what) => what,
        };
        Err(IdentityError::Kept {
            user: user(),
            what: kept,
        })
    }

    /// Whether this process is that user in every respect.
    fn is_ours(&self) -> bool {
        let uids = getresuid().is_ok_and(|ids| {
            [ids.real, ids.effective, ids.saved]
                .iter()
                .all(|id| *id == self.uid)
        });
        let gids = getresgid().is_ok_and(|ids| {
            [ids.real, ids.effective, ids.saved]
                .iter()
                .all(|id| *id == self.gid)
        });
        let groups = getgroups().map(|mut groups| {
            tidy(&mut groups);
            groups
        });
        uids && gids && groups == Ok(self.groups.clone())
    }

    /// How root's rights could be had again, which is tried.
    fn way_back(&self) -> Option<&'static str> {
        let root = (Uid::from_raw(0), Gid::from_raw(0));
        if setresuid(root.0, root.0, root.0).is_ok() {
            return Some("it could become root again");
        }
        if setresgid(root.1, root.1, root.1).is_ok() {
            return Some("it could enter root's group again");
        }
        let held = capabilities(None).map(|sets| sets.permitted | sets.effective);
        if held != Ok(CapabilitySet::empty()) {
            return Some("it has capabilities, as the secure bits of whoever started it let it");
        }
        (!self.is_ours()).then_some("it is another user than asked for")
    }
}

/// In order, each once.
fn tidy(groups: &mut Vec<Gid>) {
    groups.sort_unstable_by_key(|gid| gid.as_raw());
    groups.dedup();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_no_choice_and_neither_is_somebody_who_does_not_exist() {
        for text in ["root", "0", "no-such-user", "", "-1", "4294967296"] {
            assert!(text.parse::<UserArg>().is_err(), "{text:?}");
            assert!(text.parse::<GroupArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_number_that_nobody_has_needs_a_group() {
        let stranger: UserArg = "3999999999".parse().unwrap();
        assert_eq!(stranger.identity(None), None);
        let group = "3999999998".parse().unwrap();
        let identity = stranger.identity(Some(group)).unwrap();
        assert_eq!(identity.owner(), (3_999_999_999, 3_999_999_998));
        assert_eq!(identity.groups, [Gid::from_raw(3_999_999_998)]);
    }

    #[test]
    fn who_is_that_user_already_changes_nothing() {
        let (uid, gid) = (Uid::current(), Gid::current());
        let mut groups = getgroups().unwrap();
        tidy(&mut groups);
        let own = Identity {
            typed: "own".into(),
            uid,
            gid,
            groups,
        };
        assert!(own.is_ours());
        let other = Identity {
            uid: Uid::from_raw(uid.as_raw() + 1),
            ..own
        };
        assert!(!other.is_ours());
    }
}
