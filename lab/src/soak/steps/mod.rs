//! The steps, a module for each kind of strain. A new one is a value there and a line in [`ALL`].

mod admin;
mod crowd;
mod endings;
mod integrity;
mod kills;
mod leaks;
mod peers;
mod restarts;
mod shortage;
mod strain;
mod upgrades;

use std::num::NonZeroU32;

use super::step::Step;

/// All steps, from plain use to the end of the server.
pub const ALL: &[Step] = &[
    integrity::INTEGRITY,
    leaks::LEAKS,
    leaks::GROWTH,
    crowd::IDLE,
    crowd::CROWD,
    crowd::STILL,
    strain::GREEDY,
    strain::SLOWLORIS,
    strain::MIN_RATE,
    strain::READERS,
    peers::NEVER_READS,
    peers::HALF_CLOSED,
    strain::STORM,
    strain::OVERFLOW,
    strain::STANDSTILL,
    admin::ADMIN,
    shortage::DESCRIPTORS,
    shortage::ACCEPT_ERRORS,
    shortage::INTERRUPTED_WAITS,
    shortage::NO_THREADS,
    kills::WORKER_KILLS,
    restarts::HANG,
    restarts::RESTARTS,
    restarts::RECYCLING,
    upgrades::UPGRADES,
    kills::MASTER_KILLS,
    endings::DRAIN,
    endings::TERM_STORM,
    endings::EARLY_TERM,
];

/// The step of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Step> {
    ALL.iter().find(|step| step.name == name)
}

/// For numbers that are not 0.
fn nonzero(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use server::Choice;
    use std::collections::HashSet;

    #[test]
    fn names_are_different_and_can_be_typed() {
        let names: HashSet<&str> = ALL.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), ALL.len());
        let typed = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(names.iter().all(typed), "{names:?}");
        assert!(find("integrity").is_some() && find("honesty").is_none());
    }

    #[test]
    fn every_step_says_what_it_does_and_applies_to_some_mode() {
        for step in ALL {
            let texts = [step.claim, step.method];
            assert!(
                texts.iter().all(|text| text.ends_with('.')),
                "{}",
                step.name
            );
            let modes = Choice::ALL.iter().filter(|choice| (step.modes)(**choice));
            assert!(modes.count() > 0, "{}", step.name);
        }
    }
}
