//! `TCP_INFO`: what the kernel says of a sample of our own connections.
//!
//! The kernel's smoothed round trip is that of segments and their acknowledgements: the network
//! without the server's program. Next to the round trip of requests it tells where the time goes.

use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::GetStruct};
use nix::{getsockopt_impl, libc, sockopt_impl};

use crate::report::Tcp;

/// At most so many connections are looked at, over all threads.
pub(crate) const MOST_SOCKETS: usize = 64;

sockopt_impl!(
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info,
    GetStruct<libc::tcp_info>
);

/// What the kernel said of some connections; samples of several threads add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    rtts_us: Vec<u32>,
    retransmits: u64,
}

impl Sample {
    /// Asks the kernel about at most `most` of `sockets`, evenly spread over them. Sockets that are
    /// not TCP's, or not connected, say nothing.
    pub(crate) fn take<S: AsFd>(sockets: impl Iterator<Item = S> + Clone, most: usize) -> Self {
        let count = sockets.clone().count();
        let chosen = sockets
            .enumerate()
            .filter(|(place, _)| is_chosen(*place, count, most));
        let mut sample = Self::default();
        for (_, socket) in chosen {
            let Ok(info) = getsockopt(&socket, TcpInfo) else {
                continue;
            };
            // Without a measured round trip the connection never stood.
            if info.tcpi_rtt > 0 {
                sample.rtts_us.push(info.tcpi_rtt);
                sample.retransmits += u64::from(info.tcpi_total_retrans);
            }
        }
        sample
    }

    /// Adds the sample of another thread.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.rtts_us.extend(&other.rtts_us);
        self.retransmits += other.retransmits;
    }

    /// What the report says; none when no connection said anything.
    pub(crate) fn report(&self) -> Option<Tcp> {
        let mut rtts = self.rtts_us.clone();
        rtts.sort_unstable();
        let longest = *rtts.last()?;
        Some(Tcp {
            connections: u32::try_from(rtts.len()).unwrap_or(u32::MAX),
            rtt_p50_us: f64::from(rtts[(rtts.len() - 1) / 2]),
            rtt_max_us: f64::from(longest),
            retransmits: self.retransmits,
        })
    }
}

/// Whether number `place` of `count` belongs to a sample of `most`: those where the running share
/// `(place + 1) × most / count` passes a whole number, which are evenly spread.
fn is_chosen(place: usize, count: usize, most: usize) -> bool {
    count <= most || (place + 1) * most / count > place * most / count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    #[test]
    fn connections_tell_their_round_trip() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let streams: Vec<_> = (0..5)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut sample = Sample::take(streams.iter(), 3);
        sample.merge(&Sample::take(streams[..1].iter(), 3));
        let told = sample.report().unwrap();
        assert_eq!(told.connections, 4);
        assert!(told.rtt_p50_us > 0.0 && told.rtt_max_us >= told.rtt_p50_us);
    }

    #[test]
    fn what_is_no_connection_says_nothing() {
        let (one, other) = UnixStream::pair().unwrap();
        let sample = Sample::take([&one, &other].into_iter(), MOST_SOCKETS);
        assert_eq!(sample.report(), None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sample = Sample::take([&listener].into_iter(), MOST_SOCKETS);
        assert_eq!(sample.report(), None);
    }

    #[test]
    fn the_median_is_of_all_samples_and_not_of_medians() {
        let mut one = Sample {
            rtts_us: vec![1, 1, 1],
            retransmits: 1,
        };
        one.merge(&Sample {
            rtts_us: vec![9, 5],
            retransmits: 2,
        });
        let told = one.report().unwrap();
        assert_eq!((told.rtt_p50_us, told.rtt_max_us), (1.0, 9.0));
        assert_eq!((told.connections, told.retransmits), (5, 3));
    }

    proptest! {
        #[test]
        fn the_chosen_are_as_many_as_wanted_and_evenly_spread(count in 0_usize..500, most in 1_usize..80) {
            let chosen: Vec<_> = (0..count).filter(|place| is_chosen(*place, count, most)).collect();
            prop_assert_eq!(chosen.len(), count.min(most));
            let gaps: Vec<_> = chosen.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let (least, longest) = (gaps.iter().min(), gaps.iter().max());
            prop_assert!(least.zip(longest).is_none_or(|(a, b)| b - a <= 1));
        }
    }
}
