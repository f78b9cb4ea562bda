//! `--bind`: the addresses that connections come from, as typed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// More addresses than this in one range are a mistake: with all ports of each they would be a
/// thousand times as many connections as there may be clients.
const MOST_ADDRESSES: u128 = 65_536;
const FORMS: &str = "must be an address, a range such as 127.0.0.1-127.0.0.80, or a network such as \
                     127.0.1.0/25";

/// Neighbouring addresses: `127.0.0.2`, `127.0.0.1-127.0.0.80` or `127.0.1.0/25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    first: IpAddr,
    last: IpAddr,
}

impl Block {
    /// All of them, in order.
    pub(super) fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (number(self.first)..=number(self.last)).map(move |number| address(number, self.first))
    }
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| FORMS.to_owned());
        let block = if let Some((network, bits)) = text.split_once('/') {
            Self::network(ip(network)?, bits)?
        } else if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (ip(first)?, ip(last)?);
            Self { first, last }
        } else {
            let only = ip(text)?;
            Self {
                first: only,
                last: only,
            }
        };
        block.check()?;
        Ok(block)
    }
}

impl Block {
    /// All addresses that begin with the same `bits` as `network`.
    fn network(network: IpAddr, bits: &str) -> Result<Self, String> {
        let width = width(network);
        let digits = bits.bytes().all(|b| b.is_ascii_digit());
        let bits = bits.parse().ok().filter(|bits| digits && *bits <= width);
        let bits: u32 = bits.ok_or_else(|| format!("the length must be from 0 to {width} bits"))?;
        let others = 1_u128
            .checked_shl(width - bits)
            .map_or(u128::MAX, |count| count - 1);
        let begin = number(network) & !others;
        if begin != number(network) {
            let begin = address(begin, network);
            return Err(format!("begins in the middle; write {begin}/{bits}"));
        }
        Ok(Self {
            first: network,
            last: address(begin | others, network),
        })
    }

    fn check(self) -> Result<(), String> {
        let (first, last) = (number(self.first), number(self.last));
        if self.first.is_ipv4() != self.last.is_ipv4() || last < first {
            return Err(
                "the last address must be of the same kind as the first, and not before it"
                    .to_owned(),
            );
        }
        if last - first >= MOST_ADDRESSES {
            return Err(format!("has more than {MOST_ADDRESSES} addresses"));
        }
        Ok(())
    }
}

fn width(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::BITS,
        IpAddr::V6(_) => Ipv6Addr::BITS,
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

/// The address with that number, of the same kind as `like`.
fn address(number: u128, like: IpAddr) -> IpAddr {
    match (like, u32::try_from(number)) {
        (IpAddr::V4(_), Ok(number)) => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(text: &str) -> Vec<String> {
        let block: Block = text.parse().unwrap();
        block.addresses().map(|ip| ip.to_string()).collect()
    }

    #[test]
    fn an_address_a_range_and_a_network_are_what_they_look_like() {
        assert_eq!(addresses("127.0.0.2"), ["127.0.0.2"]);
        assert_eq!(
            addresses("127.0.0.254-127.0.1.1"),
            ["127.0.0.254", "127.0.0.255", "127.0.1.0", "127.0.1.1"]
        );
        assert_eq!(addresses("127.0.1.2/31"), ["127.0.1.2", "127.0.1.3"]);
        assert_eq!(addresses("127.0.1.2/32"), ["127.0.1.2"]);
        assert_eq!(addresses("fe80::-fe80::1"), ["fe80::", "fe80::1"]);
        assert_eq!(addresses("::fffe/127"), ["::fffe", "::ffff"]);
        assert_eq!(addresses("127.0.1.0/25").len(), 128);
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, wanted) in [
            ("localhost", "127.0.0.1-127.0.0.80"),
            ("127.0.0.1-", "127.0.1.0/25"),
            ("127.0.0.2-127.0.0.1", "not before it"),
            ("127.0.0.1-::1", "same kind"),
            ("127.0.0.1/31", "write 127.0.0.0/31"),
            ("127.0.0.0/33", "0 to 32 bits"),
            ("127.0.0.0/+8", "0 to 32 bits"),
            ("::/0", "more than 65536"),
            ("127.0.0.0/8", "more than 65536"),
        ] {
            let why = text.parse::<Block>().unwrap_err();
            assert!(why.contains(wanted), "{text}: {why}");
        }
        assert_eq!(addresses("127.1.0.0/16").len(), 65_536);
    }

    proptest! {
        #[test]
        fn a_network_is_the_range_from_its_first_to_its_last(number: u32, bits in 16_u32..=32) {
            let others = u32::MAX.checked_shr(bits).unwrap_or(0);
            let (first, last) = (Ipv4Addr::from(number & !others), Ipv4Addr::from(number | others));
            let network: Block = format!("{first}/{bits}").parse().unwrap();
            let range: Block = format!("{first}-{last}").parse().unwrap();
            prop_assert_eq!(network, range);
            prop_assert_eq!(network.addresses().count() as u64, 1 << (32 - bits));
            let typed = format!("{}/{bits}", Ipv4Addr::from(number));
            prop_assert_eq!(typed.parse::<Block>().is_ok(), number & others == 0);
        }
    }
}
