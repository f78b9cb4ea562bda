//! The layers that need no table: capabilities, limits, and what Landlock closes.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, Ruleset,
    RulesetAttr, RulesetError, Scope,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits,
};

use super::level::{Layer, SandboxLevel};
use crate::config::Config;
use crate::limits::worker_descriptors;
use crate::mode::Inner;

/// What Landlock can do for us: files and devices, TCP, and what is out of its scope.
const LANDLOCK: ABI = ABI::V6;
/// The first version that closes all ways to write to a file that exists.
const FILES: ABI = ABI::V3;
const TCP: ABI = ABI::V4;

/// Gives up every right of root, and the ways to have one again, on the calling thread.
///
/// # Errors
///
/// When one is left.
pub(super) fn drop_capabilities() -> io::Result<()> {
    let none = CapabilitySet::empty();
    // First, since it takes a right. Who has none cannot do it, and gains nothing by what is left:
    // no program gives rights once there are no new privileges.
    for capability in CapabilitySet::all().iter() {
        match remove_capability_from_bounding_set(capability) {
            // It has that right no more, or this kernel does not know it.
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let bits = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED;
    // Refused as well to who has no right to change them, and needless then.
    let _ = set_capabilities_secure_bits(bits);
    clear_ambient_capability_set()?;
    let nothing = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, nothing)?;
    if capabilities(None)? == nothing {
        Ok(())
    } else {
        Err(io::Error::other("some are left"))
    }
}

/// Bounds what this process may use to what such a worker needs.
///
/// # Errors
///
/// What the system says.
pub(super) fn bound(config: &Config) -> io::Result<()> {
    let mut bounds = vec![
        // What was sent by clients does not get to a disk.
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Msgqueue, 0),
        (Resource::Rtprio, 0),
        (Resource::Nofile, worker_descriptors(config)),
    ];
    let inside = config.plan().inside;
    if inside != Inner::IoUring {
        bounds.push((Resource::Memlock, 0));
    }
    // Not `Nproc`: it counts every thread of the user, in whatever process.
    for (resource, bound) in bounds {
        let now = getrlimit(resource);
        let least = |limit: Option<u64>| Some(limit.map_or(bound, |limit| limit.min(bound)));
        let bound = Rlimit {
            current: least(now.current),
            maximum: least(now.maximum),
        };
        setrlimit(resource, bound)?;
    }
    Ok(())
}

/// Closes what Landlock can close on the calling thread: opens nothing that is not open, neither
/// listens nor connects, and reaches nobody outside. Files stay open to who has to load programs.
///
/// # Errors
///
/// [`RulesetError`] when nothing is closed.
pub(super) fn landlock(files: bool) -> Result<SandboxLevel, RulesetError> {
    let rules = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    let rules = rules.handle_access(AccessNet::from_all(LANDLOCK))?;
    let rules = rules.scope(Scope::from_all(LANDLOCK))?;
    let rules = if files {
        rules.handle_access(AccessFs::from_all(LANDLOCK))?
    } else {
        rules
    };
    let status = rules.create()?.restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => ABI::Unsupported,
    };
    let closed = [
        (files && abi >= FILES, Layer::Files),
        (abi >= TCP, Layer::Tcp),
        (abi >= LANDLOCK, Layer::Scopes),
    ];
    let closed = closed.into_iter().filter(|(is, _)| *is);
    Ok(closed.map(|(_, layer)| layer).collect())
}
