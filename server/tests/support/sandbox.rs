//! Pools are locked in wherever the machine and the mode let them be, unless a test says otherwise:
//! what is promised of a pool is promised of one that is locked in, too.

use std::sync::OnceLock;

use server::{Choice, Config, Inner, Mode, Sandbox, probe_sandbox};

/// Whether the mode is a pool whose workers can be locked in for good.
pub(crate) fn can_be_locked_in(mode: Choice) -> bool {
    let leaky = [Inner::IoUring, Inner::ProcessPerConnection];
    mode.mode == Mode::ProcessPool && !leaky.contains(&mode.inside)
}

/// Whether this machine has all that a sandbox takes; if not, this says what is missing.
pub(crate) fn has_sandbox() -> bool {
    static LACK: OnceLock<Option<String>> = OnceLock::new();
    let lack = LACK.get_or_init(|| {
        let mut config = Config::new(Mode::ProcessPool, std::num::NonZeroUsize::MIN);
        config.sandbox = Sandbox::Require;
        probe_sandbox(&config).err().map(|lack| lack.to_string())
    });
    if let Some(lack) = lack {
        println!("SKIPPED: {lack}");
    }
    lack.is_none()
}

/// How the workers of such a server are locked in, in a test that does not care.
pub(super) fn usual(mode: Choice) -> Sandbox {
    if can_be_locked_in(mode) && has_sandbox() {
        Sandbox::Require
    } else {
        Sandbox::Off
    }
}

/// What a test that does not care adds to these arguments.
pub(super) fn usual_args(args: &[&str]) -> &'static [&'static str] {
    let given = |flag: &str| {
        let mut pairs = args.windows(2);
        pairs.find(|pair| pair[0] == flag).map(|pair| pair[1])
    };
    let mode = Choice::ALL.iter().copied().find(|choice| {
        let inside = given("--worker-mode").unwrap_or("sequential");
        given("--mode") == Some(choice.mode.name()) && choice.inside.mode().name() == inside
    });
    let is_asked_for = given("--sandbox").is_some();
    match mode.map(usual) {
        Some(Sandbox::Require) if !is_asked_for => &["--sandbox", "require"],
        _ => &[],
    }
}
