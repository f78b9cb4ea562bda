//! `-n`: a number of requests in all, shared by the clients of all threads.
//!
//! Each request takes a ticket when it is sent and the run is over when as many requests *ended*,
//! by an answer or a failure, as were asked for. So a server that answers everybody gets exactly
//! `n` requests. Two things keep it fair and finite: the first request of each client has its
//! ticket reserved, or fast clients would use them up before slow ones had connected; and when
//! nothing ends any more although clients wait for tickets, those of the stuck requests are issued
//! again, or a pool that never serves 46 of 50 clients would keep the run from ending.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::Moment;

/// Tickets of a whole run; the one thing that its threads share per request, and only with `-n`.
#[derive(Debug)]
pub(crate) struct Tickets {
    total: u64,
    free: AtomicU64,
    /// So many clients have a ticket for their first request: the first ones of this generator.
    reserved: u64,
    /// It plays every n-th client.
    step: NonZeroU32,
    ended: AtomicU64,
    /// When the last one that counts ended, in nanoseconds after the start.
    over_nanos: AtomicU64,
}

impl Tickets {
    /// Tickets for `total` requests, with one reserved for each of `clients` as far as they reach;
    /// the clients are every `step`-th one of the run.
    pub(crate) fn reserving(total: NonZeroU64, clients: u32, step: NonZeroU32) -> Self {
        let reserved = total.get().min(u64::from(clients));
        Self {
            total: total.get(),
            free: AtomicU64::new(total.get() - reserved),
            reserved,
            step,
            ended: AtomicU64::new(0),
            over_nanos: AtomicU64::new(u64::MAX),
        }
    }

    fn take(&self) -> bool {
        let take_one = |free: u64| free.checked_sub(1);
        // Tickets guard no other memory, so no ordering is needed here or below.
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one)
            .is_ok()
    }
}

/// A thread's view of the tickets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quota {
    tickets: Option<Arc<Tickets>>,
    /// Before the window opens nothing counts.
    counting: bool,
}

impl Quota {
    /// No limit on the number of requests.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self::default()
    }

    /// Limited by `tickets`, if any, from [`Quota::open`] on.
    pub(crate) fn new(tickets: Option<Arc<Tickets>>) -> Self {
        Self {
            tickets,
            counting: false,
        }
    }

    fn counted(&self) -> Option<&Tickets> {
        self.tickets.as_deref().filter(|_| self.counting)
    }

    /// The window opens; the `carried_in` requests in flight take tickets as if sent now.
    pub(crate) fn open(&mut self, carried_in: u64) {
        self.counting = true;
        if let Some(tickets) = self.counted() {
            (0..carried_in).take_while(|_| tickets.take()).count();
        }
    }

    /// Whether client `number` may send a request; `first` if it is its very first.
    pub(crate) fn allows(&self, number: u32, first: FirstRequest) -> bool {
        self.counted().is_none_or(|tickets| {
            let reserved =
                first == FirstRequest::Yes && u64::from(number / tickets.step) < tickets.reserved;
            reserved || tickets.take()
        })
    }

    /// A request ended at `now`. False if it came after the last that counts.
    pub(crate) fn counts_end(&self, now: Moment) -> bool {
        self.counted().is_none_or(|tickets| {
            let before = tickets.ended.fetch_add(1, Ordering::Relaxed);
            if before + 1 == tickets.total {
                tickets
                    .over_nanos
                    .store(now.since(Moment::START), Ordering::Relaxed);
            }
            before < tickets.total
        })
    }

    /// When as many requests had ended as were asked for; [`Moment::NEVER`] before.
    pub(crate) fn over_at(&self) -> Moment {
        self.counted().map_or(Moment::NEVER, |tickets| {
            Moment::at(tickets.over_nanos.load(Ordering::Relaxed))
        })
    }

    /// Whether as many requests ended as were asked for.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.over_at().is_known()
    }

    /// Requests that ended in all threads.
    pub(crate) fn ended(&self) -> u64 {
        self.counted()
            .map_or(0, |tickets| tickets.ended.load(Ordering::Relaxed))
    }

    /// Issues the tickets of all requests that have not ended again.
    pub(crate) fn reissue(&self) {
        if let Some(tickets) = self.counted() {
            let stuck = tickets.total.saturating_sub(self.ended());
            // Another thread may have done so already; then its tickets stand.
            let _ = tickets
                .free
                .compare_exchange(0, stuck, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Whether a client has sent anything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstRequest {
    /// It has not.
    Yes,
    /// It has.
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(total: u64, clients: u32) -> Quota {
        let tickets = Tickets::reserving(NonZeroU64::new(total).unwrap(), clients, NonZeroU32::MIN);
        let mut quota = Quota::new(Some(Arc::new(tickets)));
        quota.open(0);
        quota
    }

    #[test]
    fn a_fast_client_cannot_take_the_first_request_of_a_slow_one() {
        let quota = quota(5, 3);
        assert!(quota.allows(0, FirstRequest::Yes));
        assert!(quota.allows(0, FirstRequest::No));
        assert!(quota.allows(0, FirstRequest::No));
        assert!(!quota.allows(0, FirstRequest::No));
        assert!(quota.allows(1, FirstRequest::Yes) && quota.allows(2, FirstRequest::Yes));
    }

    /// As one of fifty processes has them, whose numbers are not its first.
    #[test]
    fn clients_of_a_part_have_tickets_for_their_first_requests_too() {
        let fifty = NonZeroU32::new(50).unwrap();
        let tickets = Tickets::reserving(NonZeroU64::new(3).unwrap(), 3, fifty);
        let mut quota = Quota::new(Some(Arc::new(tickets)));
        quota.open(0);
        for number in [7, 57, 107] {
            assert!(quota.allows(number, FirstRequest::Yes), "{number}");
        }
        assert!(!quota.allows(157, FirstRequest::Yes));
    }

    #[test]
    fn exactly_as_many_ends_count_as_were_asked_for() {
        let quota = quota(2, 10);
        assert!(quota.allows(1, FirstRequest::Yes) && !quota.allows(2, FirstRequest::Yes));
        assert!(quota.counts_end(Moment::START) && !quota.is_over());
        assert!(quota.counts_end(Moment::START) && quota.is_over());
        assert!(!quota.counts_end(Moment::START));
    }

    #[test]
    fn tickets_of_stuck_requests_are_issued_again() {
        let quota = quota(2, 2);
        assert!(quota.allows(0, FirstRequest::Yes) && quota.allows(1, FirstRequest::Yes));
        assert!(quota.counts_end(Moment::START) && !quota.allows(0, FirstRequest::No));
        quota.reissue();
        quota.reissue();
        assert!(quota.allows(0, FirstRequest::No) && !quota.allows(0, FirstRequest::No));
    }

    #[test]
    fn what_is_in_flight_when_the_window_opens_takes_tickets() {
        let tickets = Arc::new(Tickets::reserving(
            NonZeroU64::new(3).unwrap(),
            0,
            NonZeroU32::MIN,
        ));
        let mut quota = Quota::new(Some(tickets));
        assert!(
            quota.allows(9, FirstRequest::No)
                && quota.counts_end(Moment::START)
                && !quota.is_over()
        );
        quota.open(2);
        assert!(quota.allows(9, FirstRequest::No) && !quota.allows(9, FirstRequest::No));
    }

    #[test]
    fn without_a_limit_everything_goes() {
        let quota = Quota::unlimited();
        assert!(
            quota.allows(0, FirstRequest::No)
                && quota.counts_end(Moment::START)
                && !quota.is_over()
        );
    }
}
