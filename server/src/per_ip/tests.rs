//! The table against a list of who is inside, and against itself from several sides at once.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::mode::Mode;

fn layout(limit: u32, columns: usize, rows: usize) -> Layout {
    let limit = NonZeroU32::new(limit).unwrap();
    Layout {
        limit,
        columns,
        rows,
    }
}

fn table(layout: Layout) -> PerIp {
    let file = SharedFile::create(layout.bytes() as u64).unwrap();
    PerIp::create(&file, 0, layout).unwrap()
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

/// How many of address `ip` are let in now, who stay.
fn fill(table: &PerIp, row: usize, ip: IpAddr) -> usize {
    let admitted = std::iter::repeat_with(|| table.enter(row, ip));
    let counted = admitted.take_while(|admission| *admission != Admission::Refused);
    counted.count()
}

#[test]
fn a_host_is_known_by_any_of_its_addresses() {
    let address = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
    for (one, other, same) in [
        ("192.0.2.1", "192.0.2.2", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("2001:db8::1", "2001:db8::ffff:1:2", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("fe80::1", "fe80::2", false),
        ("::1", "::2", false),
        ("0.0.0.1", "::1", false),
    ] {
        assert_eq!(address(one) == address(other), same, "{one} {other}");
    }
}

#[test]
fn the_dead_give_back_what_they_had_and_nothing_else() {
    let table = table(layout(5, 64, 3));
    let counted = [(0, 3), (2, 2)].map(|(row, clients)| {
        let admitted = (0..clients).map(|_| table.enter(row, v4(1)));
        admitted.collect::<Vec<_>>()
    });
    assert_eq!(fill(&table, 1, v4(1)), 0);
    table.bury(0);
    table.bury(0);
    assert_eq!(fill(&table, 1, v4(1)), 3);
    // One of the second process leaves by itself, then it dies with the other.
    let Admission::Counted(column) = counted[1][0] else {
        panic!("{counted:?}");
    };
    table.leave(2, column);
    table.bury(2);
    assert_eq!(fill(&table, 1, v4(1)), 2);
    table.bury(1);
    assert_eq!(fill(&table, 1, v4(1)), 5);
}

#[test]
fn a_full_table_keeps_nobody_out_and_is_used_again() {
    let table = table(layout(1, SET, 1));
    let inside = (0..32).map(|number| table.enter(0, v4(number)));
    let inside: Vec<_> = inside.collect();
    for _ in 0..2 {
        assert_eq!(table.enter(0, v4(99)), Admission::Uncounted);
        assert_eq!(table.enter(0, v4(0)), Admission::Refused);
    }
    let Admission::Counted(column) = inside[7] else {
        panic!("{inside:?}");
    };
    table.leave(0, column);
    assert_eq!(table.enter(0, v4(99)), Admission::Counted(column));
    assert_eq!(table.enter(0, v4(99)), Admission::Refused);
    assert_eq!(table.enter(0, v4(7)), Admission::Uncounted);
}

#[test]
fn it_has_room_for_all_who_may_be_inside() {
    let mut config = Config::new(Mode::Async, NonZeroUsize::MIN);
    assert_eq!(Layout::of(&config, 1), None);
    config.limits.max_per_ip = NonZeroU32::new(1);
    for connections in [1, 10, 1000, 60_000] {
        config.limits.max_connections = NonZeroU32::new(connections).unwrap();
        let table = table(Layout::of(&config, 1).unwrap());
        let all = (0..connections).all(|number| {
            matches!(table.enter(0, v4(number)), Admission::Counted(_))
                && table.enter(0, v4(number)) == Admission::Refused
        });
        assert!(all, "of {connections}");
    }
}

#[test]
fn processes_that_race_never_exceed_the_limit_and_everything_comes_back() {
    const LIMIT: u32 = 3;
    let layout = layout(LIMIT, 64, 4);
    let file = SharedFile::create(layout.bytes() as u64).unwrap();
    let tables = [PerIp::create, PerIp::open, PerIp::open, PerIp::open]
        .map(|open| open(&file, 0, layout).unwrap());
    let inside = [0; 8].map(AtomicU32::new);
    std::thread::scope(|scope| {
        for (row, table) in tables.iter().enumerate() {
            let inside = &inside;
            scope.spawn(move || {
                for turn in 0..20_000_u32 {
                    let who = turn % 8;
                    let Admission::Counted(column) = table.enter(row, v4(who)) else {
                        continue;
                    };
                    let count = &inside[who as usize];
                    assert!(count.fetch_add(1, Relaxed) < LIMIT);
                    count.fetch_sub(1, Relaxed);
                    table.leave(row, column);
                }
            });
        }
    });
    assert!((0..8).all(|who| fill(&tables[0], 0, v4(who)) == LIMIT as usize));
}

/// What happens to a table.
#[derive(Clone, Debug)]
enum Event {
    Enter { row: usize, ip: IpAddr },
    Leave { which: usize },
    Bury { row: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let ip = prop_oneof![
        (0_u32..5).prop_map(v4),
        (0_u128..5).prop_map(|net| Ipv6Addr::from_bits((0x2001 << 112) | (net << 64)).into()),
    ];
    let event = prop_oneof![
        8 => (0_usize..3, ip).prop_map(|(row, ip)| Event::Enter { row, ip }),
        4 => any::<usize>().prop_map(|which| Event::Leave { which }),
        1 => (0_usize..3).prop_map(|row| Event::Bury { row }),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    #[test]
    fn whoever_leaves_or_dies_makes_room_for_exactly_as_many(
        limit in 1_u32..4,
        events in events(),
    ) {
        let table = table(layout(limit, 64, 3));
        let mut inside: Vec<(usize, IpAddr, u32)> = Vec::new();
        for event in events {
            match event {
                Event::Enter { row, ip } => {
                    let has = inside.iter().filter(|one| one.1 == ip).count();
                    match table.enter(row, ip) {
                        Admission::Counted(column) => {
                            prop_assert!(has < limit as usize);
                            inside.push((row, ip, column));
                        }
                        admission => {
                            prop_assert_eq!(admission, Admission::Refused);
                            prop_assert_eq!(has, limit as usize);
                        }
                    }
                }
                Event::Leave { which } if !inside.is_empty() => {
                    let (row, _, column) = inside.swap_remove(which % inside.len());
                    table.leave(row, column);
                }
                Event::Leave { .. } => {}
                Event::Bury { row } => {
                    table.bury(row);
                    inside.retain(|one| one.0 != row);
                }
            }
        }
        let mut counts = HashMap::new();
        for (_, ip, _) in &inside {
            *counts.entry(*ip).or_insert(0) += 1;
        }
        for (ip, count) in counts {
            prop_assert_eq!(fill(&table, 0, ip), limit as usize - count);
        }
    }
}
