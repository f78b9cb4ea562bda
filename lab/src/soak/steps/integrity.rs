//! Every byte comes back, and as it was sent.

use std::num::{NonZeroU16, NonZeroU32};

use loadgen::{Protocol, Sizes, StopRule};

use super::nonzero;
use crate::soak::case::Case;
use crate::soak::figure::Figure;
use crate::soak::load::failures;
use crate::soak::matrix;
use crate::soak::step::{Pace, Step, Trouble};

/// See the module.
pub(super) const INTEGRITY: Step = Step {
    name: "integrity",
    claim: "Every byte comes back, unchanged and in order.",
    method: "Four clients, as many as the smallest pool serves at once or fewer, send messages of 1 \
             byte to 256 KiB, four at a time, and compare each byte of the answers.",
    modes: matrix::any,
    pace: Pace::Alone,
    needs: &[],
    run,
};

/// Clients at once, where so many are served.
const CLIENTS: u32 = 4;
/// Requests in flight on each connection.
const PIPELINE: NonZeroU16 = NonZeroU16::new(4).expect("4 is not 0");
/// The largest message.
const LARGEST_BYTES: u32 = 256 << 10;
/// As much as is echoed in each mode: in the full profile more than 100 GiB over all of them.
const QUICK_BYTES: u64 = 64 << 20;
const FULL_BYTES: u64 = 8 << 30;

fn run(case: &Case<'_>) -> Result<Vec<Figure>, Trouble> {
    let sizes = Sizes::Range(NonZeroU32::MIN, nonzero(LARGEST_BYTES));
    let messages = case
        .size(QUICK_BYTES, FULL_BYTES)
        .div_ceil(u64::from(LARGEST_BYTES) / 2);
    case.serve(&[], |site| {
        let clients = matrix::plan(case.choice).capacity(CLIENTS).try_into();
        let mut config = case.load(&site.server, nonzero(clients.unwrap_or(CLIENTS)));
        config.protocol = Protocol::Echo(sizes);
        config.behaviour.pipeline = PIPELINE;
        config.stop = StopRule::Requests(messages.try_into().unwrap_or(std::num::NonZeroU64::MIN));
        let report = case.run(&config)?;
        let ended = report.requests.answered + failures(&report);
        Ok(vec![
            // An answer is counted at its first wrong byte, so a zero says the same of its bytes.
            Figure::never(
                "bytes that differ",
                report.mismatches,
                report.bytes.received,
            ),
            Figure::never("requests without an answer", failures(&report), ended),
        ])
    })
}
