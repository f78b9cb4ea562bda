//! What one trial proves. Pure: from what was seen to a verdict.
//!
//! "Not served" is never believed because of a wait alone. The client was given a second, longer
//! wait, it was served when an occupant had left, and the next one was hindered again when the
//! place was taken again: then it was the occupants that hindered it, and not the noise of the
//! machine.

use super::findings::Hindrance;

/// What was seen beside a number of occupants. `None` as a hindrance means: it was served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Observation {
    /// Every occupant got into its place.
    pub(super) placed: bool,
    /// Occupants that the server had closed when the last wait ended.
    pub(super) lost: u32,
    /// What a further client saw in the first wait.
    pub(super) first: Option<Hindrance>,
    /// What it saw to the end of the second, where there was one.
    pub(super) second: Option<Option<Hindrance>>,
    /// Whether it was served when occupants had left, where that was tried.
    pub(super) released: Option<bool>,
    /// Whether one was hindered again when all places were taken again, where that could be tried.
    pub(super) again: Option<bool>,
}

/// What a trial came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The occupants do not hinder a further client.
    Served,
    /// They do, for certain.
    Hindered(Hindrance),
    /// The further client was served, but the server had closed an occupant for it, or before.
    Vanished,
    /// Neither is proven.
    Doubtful,
}

/// The verdict on `seen`.
pub(super) fn judge(seen: &Observation) -> Verdict {
    if !seen.placed {
        return Verdict::Doubtful;
    }
    let vanished = seen.lost > 0;
    match (seen.first, seen.second) {
        (None, _) if vanished => Verdict::Vanished,
        (None, _) => Verdict::Served,
        // The server itself released an occupant, and that let the further client in.
        (Some(hindrance), Some(None)) if vanished => Verdict::Hindered(hindrance),
        // It was only slow.
        (Some(_), Some(None)) => Verdict::Served,
        (Some(_), Some(Some(hindrance))) => match (seen.released, seen.again) {
            (Some(true), None | Some(true)) => Verdict::Hindered(hindrance),
            _ => Verdict::Doubtful,
        },
        (Some(_), None) => Verdict::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Option<Hindrance> = Some(Hindrance::Waits);

    /// Hindered in both waits, let in by the leaving of one, hindered again.
    const PROVEN: Observation = Observation {
        placed: true,
        lost: 0,
        first: WAITS,
        second: Some(WAITS),
        released: Some(true),
        again: Some(true),
    };

    fn served() -> Observation {
        Observation {
            placed: true,
            ..Observation::default()
        }
    }

    #[test]
    fn a_hindrance_is_certain_when_every_step_says_so() {
        let hindered = Verdict::Hindered(Hindrance::Waits);
        assert_eq!(judge(&PROVEN), hindered);
        for doubtful in [
            Observation {
                placed: false,
                ..PROVEN
            },
            Observation {
                released: Some(false),
                ..PROVEN
            },
            Observation {
                released: None,
                ..PROVEN
            },
            Observation {
                again: Some(false),
                ..PROVEN
            },
            Observation {
                second: None,
                released: None,
                again: None,
                ..PROVEN
            },
        ] {
            assert_eq!(judge(&doubtful), Verdict::Doubtful, "{doubtful:?}");
        }
        assert_eq!(
            judge(&Observation {
                again: None,
                ..PROVEN
            }),
            hindered
        );
    }

    #[test]
    fn who_is_late_was_served() {
        let late = Observation {
            second: Some(None),
            ..PROVEN
        };
        assert_eq!(judge(&late), Verdict::Served);
    }

    #[test]
    fn a_server_that_closes_an_occupant_releases_the_place_itself() {
        let released = Observation {
            second: Some(None),
            lost: 1,
            ..PROVEN
        };
        assert_eq!(judge(&released), Verdict::Hindered(Hindrance::Waits));
    }

    #[test]
    fn who_is_served_beside_all_occupants_is_served() {
        assert_eq!(judge(&served()), Verdict::Served);
        assert_eq!(
            judge(&Observation {
                lost: 1,
                ..served()
            }),
            Verdict::Vanished
        );
        assert_eq!(
            judge(&Observation {
                placed: false,
                ..served()
            }),
            Verdict::Doubtful
        );
    }
}
