//! The clients at the moment when the counters freeze: who is connected, served, waiting, lost.
//!
//! Taken before any socket closes; what happens to a socket afterwards cannot change it.

use crate::ClientRecord;
use crate::client::{Client, Plan};
use crate::samples::Censored;
use crate::tally::Flight;
use crate::time::{Moment, nanos};

/// The clients of one thread, and after merging those of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Census {
    /// Each client's number and record.
    pub(crate) records: Vec<(u32, ClientRecord)>,
    /// How many were connected, sent, and got nothing.
    pub(crate) starved: u32,
    /// How many lost a connection.
    pub(crate) lost: u32,
    /// How many were served, lost the server and could not connect again.
    pub(crate) stranded: u32,
    /// How many lost their connection before their first byte and could not connect again.
    pub(crate) cut_off: u32,
    /// How old the requests in flight are, in nanoseconds, but for those of clients that are slow on
    /// purpose.
    pub(crate) pending_nanos: Vec<u64>,
    /// How long the connects under way have taken, in nanoseconds.
    pub(crate) connecting_nanos: Vec<u64>,
    /// Connected clients that wait for their first byte.
    pub(crate) unadmitted: Censored,
    /// Time in the window that served clients have spent on what has not ended: waiting for the
    /// request in flight or pausing, in nanoseconds.
    pub(crate) unfinished_nanos: u64,
    /// Time in the window over all served clients, whose threads freeze at slightly different
    /// moments, in nanoseconds.
    pub(crate) presence_nanos: u64,
    /// The latest moment when a client that was served connected, in nanoseconds.
    pub(crate) last_arrival_nanos: u64,
    /// The clients by what they do.
    pub(crate) kinds: Vec<Kind>,
}

/// The clients that do the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    /// How many there are.
    pub(crate) clients: u32,
    /// How many of them starved.
    pub(crate) starved: u32,
    /// Their answers in the window.
    pub(crate) answered: u64,
}

impl Census {
    /// The memory that a client with a request in flight needs here, and as much as it needs in the
    /// books of an open loop.
    pub(crate) const CLIENT_BYTES: usize = size_of::<(u32, ClientRecord)>() + 2 * size_of::<u64>();

    /// Nobody yet, and room for `clients` that have `pending` requests in flight.
    pub(crate) fn of(clients: usize, pending: usize) -> Self {
        Self {
            records: Vec::with_capacity(clients),
            pending_nanos: Vec::with_capacity(pending),
            ..Self::default()
        }
    }

    /// Counts `client`, with its requests in flight in `ring`, at `now` in a window that opened at
    /// `opened`.
    pub(crate) fn add(
        &mut self,
        (client, ring): (&Client, &[Flight]),
        (opened, now): (Moment, Moment),
        plan: &Plan,
    ) {
        self.records.push((client.number(), client.record()));
        let starved = client.is_starved(plan);
        self.starved += u32::from(starved);
        self.add_kind(client, starved);
        self.lost += u32::from(client.is_lost());
        self.stranded += u32::from(client.is_stranded() && client.was_served());
        self.cut_off += u32::from(client.is_stranded() && !client.was_served());
        if client.is_connecting() {
            let since = client.connecting_since();
            self.connecting_nanos.push(now.since(since));
        }
        if client.is_prompt(plan) {
            let ages = client.flights(ring).map(|flight| now.since(flight.sent));
            self.pending_nanos.extend(ages);
        }
        if client.was_served() {
            let since = client.pausing_since().into_iter();
            let flights = client.flights(ring).map(|flight| flight.sent);
            self.unfinished_nanos += since
                .chain(flights)
                .map(|since| now.since(since.max(opened)))
                .sum::<u64>();
            self.presence_nanos += now.since(opened);
            let arrival = client.connected_at().elapsed().map_or(0, nanos);
            self.last_arrival_nanos = self.last_arrival_nanos.max(arrival);
        } else if client.was_connected() && client.sends(plan) {
            self.unadmitted.add(now.since(client.connected_at()));
        }
    }

    fn add_kind(&mut self, client: &Client, starved: bool) {
        let place = usize::from(client.kind());
        if self.kinds.len() <= place {
            self.kinds.resize(place + 1, Kind::default());
        }
        let kind = &mut self.kinds[place];
        kind.clients += 1;
        kind.starved += u32::from(starved);
        kind.answered += client.record().answered;
    }

    /// Adds the clients of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.records.extend_from_slice(&other.records);
        self.starved += other.starved;
        self.lost += other.lost;
        self.stranded += other.stranded;
        self.cut_off += other.cut_off;
        self.pending_nanos.extend_from_slice(&other.pending_nanos);
        self.connecting_nanos
            .extend_from_slice(&other.connecting_nanos);
        self.unadmitted.merge(&other.unadmitted);
        self.unfinished_nanos += other.unfinished_nanos;
        self.presence_nanos += other.presence_nanos;
        self.last_arrival_nanos = self.last_arrival_nanos.max(other.last_arrival_nanos);
        let places = self.kinds.len().max(other.kinds.len());
        self.kinds.resize(places, Kind::default());
        for (sum, more) in self.kinds.iter_mut().zip(&other.kinds) {
            sum.clients += more.clients;
            sum.starved += more.starved;
            sum.answered += more.answered;
        }
    }

    /// The records in the order of the clients' numbers.
    pub(crate) fn into_records(mut self) -> Vec<ClientRecord> {
        self.records.sort_unstable_by_key(|(number, _)| *number);
        self.records.into_iter().map(|(_, record)| record).collect()
    }
}

/// Jain's index over the answers of all clients: 1 is even, 1/n is one client alone; none without
/// answers.
pub(crate) fn fairness(answers: impl Iterator<Item = u64> + Clone) -> Option<f64> {
    let clients = answers.clone().count() as f64;
    let sum: f64 = answers.clone().map(|n| n as f64).sum();
    let squares: f64 = answers.map(|n| (n as f64).powi(2)).sum();
    (squares > 0.0).then(|| sum * sum / (clients * squares))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jain(answers: &[u64]) -> Option<f64> {
        fairness(answers.iter().copied())
    }

    #[test]
    fn fairness_reads_off_the_size_of_a_pool() {
        let pool: Vec<u64> = (0..50).map(|n| if n < 4 { 1_000 } else { 0 }).collect();
        assert!((jain(&pool).unwrap() - 0.08).abs() < 1e-12);
        assert_eq!(jain(&[7, 7, 7]), Some(1.0));
        assert_eq!((jain(&[0, 0]), jain(&[])), (None, None));
    }

    proptest! {
        #[test]
        fn fairness_lies_between_one_client_alone_and_all(
            answers in prop::collection::vec(0_u64..1_000_000, 1..50)
        ) {
            if let Some(index) = jain(&answers) {
                let least = 1.0 / answers.len() as f64;
                prop_assert!(index >= least - 1e-9 && index <= 1.0 + 1e-9);
            }
        }
    }
}
