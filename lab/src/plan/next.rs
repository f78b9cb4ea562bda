//! What one client more sees, and how many more there may be.

use std::num::{NonZeroU32, NonZeroUsize};

use cli::units::{micros, number};
use serde::Serialize;

use super::erlang::{Mmc, erlang_b};
use super::grain::Grain;
use super::sizing::{Bound, Share};
use super::station::{Station, last};

/// How many times the planned clients are looked at for room.
const FARTHEST: u64 = 1_000;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Next {
    /// In words.
    pub sees: String,
    /// By which share its response is slower than that of those before; none where it gets none.
    pub slower_by: Option<f64>,
    /// How many more clients these machines take.
    pub room: u64,
    /// What they then have too little of.
    pub then: Bound,
}

pub(super) fn of(station: &Station<'_>, each: &Share, machines: u64) -> Next {
    let fits = |clients: u64| station.takes(clients, each);
    let farthest = each.clients.saturating_mul(FARTHEST);
    let most = last(farthest, |clients| fits(clients).is_ok()).max(each.clients);
    let then = fits(most + 1).err().unwrap_or(Bound::Memory);
    let planned = station.demand.clients;
    let room = most.saturating_mul(machines).saturating_sub(planned);
    let slower_by = slower_by(station, each);
    let sees = match station.grain {
        Grain::Seat => at_full_pool(station, each),
        _ if room == 0 => format!("connected, and {}", beyond(then)),
        _ => format!(
            "served, {} slower; room for {} more, then {}",
            percent(slower_by),
            number(room as f64),
            beyond(then)
        ),
    };
    Next {
        sees,
        slower_by: (station.grain != Grain::Seat && room > 0).then_some(slower_by),
        room,
        then,
    }
}

/// What becomes of who comes when there is too little of `bound`.
const fn beyond(bound: Bound) -> &'static str {
    match bound {
        Bound::Workers => "too long a wait in the queue",
        Bound::Processors => "too long a wait for a processor",
        Bound::Memory => "no memory",
        Bound::Threads | Bound::Processes | Bound::Descriptors => "no byte until somebody leaves",
    }
}

/// What happens at the door of a pool whose workers belong to clients.
fn at_full_pool(station: &Station<'_>, each: &Share) -> String {
    let Some(stay) = station.demand.stay else {
        return format!(
            "connected, and no byte until one of {} leaves",
            number(each.clients as f64)
        );
    };
    let stay_s = stay.as_secs_f64();
    let newcomers_per_s = each.clients as f64 / stay_s;
    let workers = u32::try_from(each.workers).ok().and_then(NonZeroU32::new);
    let queue = workers.and_then(|workers| Mmc::new(workers, newcomers_per_s, stay_s).ok());
    let Some(queue) = queue else {
        return "a wait that grows for ever".to_owned();
    };
    let spare = each.workers.saturating_sub(each.clients).max(1);
    let blocked = erlang_b(queue.workers(), each.clients as f64);
    let refused = if station.mode.plan(NonZeroUsize::MIN).can_reject() {
        format!("; or, with --on-full reject, {} refused", percent(blocked))
    } else {
        String::new()
    };
    format!(
        "a wait in {} of cases, then {} on average{refused}",
        percent(queue.waiting_share()),
        micros(stay_s / spare as f64 * 1e6)
    )
}

/// By which share one client more on one machine makes all responses there slower.
fn slower_by(station: &Station<'_>, each: &Share) -> f64 {
    let now_s = station.response_s(each.clients, each);
    (station.response_s(each.clients + 1, each) / now_s - 1.0).max(0.0)
}

/// A share as a percentage, or that it is next to none.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 0.001 {
        return "<0.001 %".to_owned();
    }
    let digits = match percent {
        percent if percent < 0.0995 => 3,
        percent if percent < 0.995 => 2,
        percent if percent < 9.95 => 1,
        _ => 0,
    };
    format!("{percent:.digits$} %")
}
