//! Each part of the claim, turned red.

use super::*;
use crate::verdict::Verdict;

fn sale(demand: Demand, way: Way) -> Sale {
    let sold = if way.is_exact() {
        demand.stock
    } else {
        demand.buyers * demand.each
    };
    Sale {
        name: way.name().into(),
        way,
        demand,
        sold,
        left: if way.is_exact() { 0 } else { 2 },
        most_inside: if way.is_one_at_a_time() { 1 } else { 11 },
        most_on_the_way: if way == Way::FileJoin { 1 } else { 11 },
        saw_all: 11,
        again: 0,
        took_s: 1.0,
        least_s: sale::least_s(way, demand, sold),
        order: vec![0, 1, 2, 3, 4],
    }
}

fn figures() -> Figures {
    let demands = DEMANDS.into_iter();
    let death = |way| Death {
        way,
        successors: 3,
        sold: if way == Way::Mutex { 0 } else { 3 },
        stranded: if way == Way::Mutex { 3 } else { 0 },
    };
    Figures {
        sales: demands
            .flat_map(|demand| Way::ALL.map(|way| sale(demand, way)))
            .collect(),
        deaths: HELD.map(death).to_vec(),
    }
}

/// The verdict when the sales that are `of` that way are changed.
fn verdict(of: Way, change: impl Fn(&mut Sale)) -> Verdict {
    let mut figures = figures();
    let sales = figures.sales.iter_mut().filter(|sale| sale.way == of);
    sales.for_each(change);
    judge(&figures).verdict
}

#[test]
fn what_is_predicted_holds() {
    let ruling = judge(&figures());
    assert_eq!(ruling.verdict, Verdict::Holds);
    assert!(
        ruling.reason.contains("11 of 5 and 55 of 40 tickets"),
        "{ruling:?}"
    );
}

#[test]
fn a_sale_that_should_be_exact_and_is_not_is_seen() {
    for way in Way::ALL.into_iter().filter(|way| way.is_exact()) {
        let verdicts = [
            verdict(way, |sale| sale.sold += 1),
            verdict(way, |sale| sale.sold -= 1),
            verdict(way, |sale| sale.left = 1),
            verdict(way, |sale| sale.took_s = sale.least_s / 2.0),
        ];
        assert_eq!(verdicts, [Verdict::DoesNotHold; 4], "{way:?}");
        let two = verdict(way, |sale| sale.most_inside = 2);
        assert_eq!(
            two == Verdict::DoesNotHold,
            way.is_one_at_a_time(),
            "{way:?}"
        );
    }
}

#[test]
fn join_is_about_the_order_and_the_whole_errand_and_a_lock_is_not() {
    let backwards = |sale: &mut Sale| sale.order.reverse();
    assert_eq!(verdict(Way::FileJoin, backwards), Verdict::DoesNotHold);
    assert_eq!(verdict(Way::FileLock, backwards), Verdict::Holds);
    let together = verdict(Way::FileJoin, |sale| sale.most_on_the_way = 2);
    assert_eq!(together, Verdict::DoesNotHold);
    for way in [Way::FileLock, Way::Mutex] {
        let alone = verdict(way, |sale| sale.most_on_the_way = 1);
        assert_eq!(alone, Verdict::Inconclusive);
    }
}

#[test]
fn customers_that_never_met_prove_nothing() {
    for way in Way::ALL.into_iter().filter(|way| !way.is_exact()) {
        let exact = verdict(way, |sale| sale.sold = sale.demand.stock);
        assert_eq!(exact, Verdict::Inconclusive, "{way:?}");
    }
}

#[test]
fn a_lock_that_outlives_its_holder_is_told_from_one_that_does_not() {
    for index in 0..HELD.len() {
        let mut figures = figures();
        figures.deaths[index].sold = 1;
        assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold, "{index}");
        let mut figures = self::figures();
        figures.deaths[index].stranded = 2;
        assert_eq!(judge(&figures).verdict, Verdict::DoesNotHold, "{index}");
    }
}
