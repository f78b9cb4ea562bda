//! Eleven customers and five tickets: who looks and then buys, buys what is gone, unless nobody else can
//! come between.

mod buyer;
mod plan;
mod sale;

use std::io;

use serde::Serialize;

use crate::bench::{Bench, Failure};
use crate::exhibit::{Cell, Exhibit, Table, Tone};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::part::Part;
use crate::stats::Spread;
use crate::verdict::Ruling;
use plan::Way;
use sale::{Death, Demand, Sale};

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "tickets",
    chapter: Chapter::Sharing,
    question: "Eleven customers want the last five tickets: how many are sold?",
    claim: "Without a lock, or with a lock for each, more than there are; with one lock for all, one \
            customer after the other, or an atomic exchange exactly as many as there are.",
    prediction: "A sale is to look and then to buy, and somebody else who looks in between sees the same \
                 ticket. All begin together and a pause of 2 ms is part of every sale, as a network would \
                 be: so without exclusion they look at the same time, k sales take one ticket off, and \
                 more are sold than there are: all 11 (55 of 40 in the large sale) if nobody is held up. With one lock at most 1 is inside, so \
                 sold = min(stock, demand), and the sales take at least sold × 2 ms. join also fixes the \
                 order and covers the whole errand: at least (11 + sold) × 2 ms. compare_exchange lets all in and \
                 lets one of those through who saw the same ticket: exact as well. When a \
                 holder is killed, the kernel gives back a file lock, nobody a mutex in memory.",
    method: "Buyers are processes that meet before they go. Each looks from afar, goes to the counter \
             (2 ms, outside of any lock), looks, hesitates (2 ms) and buys. The stock is a JSON file, replaced \
             in one piece, or a word in shared memory. Sold tickets are counted apart from the \
             stock; so are those who are inside at the same time. Small sale: 5 tickets, 11 buyers, \
             1 each; large: 40 tickets, up to 5 each. In a sale of its own a buyer is killed inside.",
    lesson: "To look and to act must be one step, and the lock must be the same for all; a lock of one's own \
             excludes nobody. A lock serialises what is under it, in whatever order; join serialises \
             everything. The server does each where it fits: permits are a semaphore in the kernel; whether a \
             socket file is stale is found out under flock on its folder; connections per address are counted by \
             compare_exchange, because a worker can be killed at any instruction and a mutex in \
             shared memory would stay locked for all.",
    fault: Fault {
        what: "The sale that is said to be under the mutex in shared memory does not take it.",
        symptom: "memory, mutex",
    },
    run,
};

/// The processes of this experiment.
pub(super) const PARTS: &[Part] = &[Part {
    name: "tickets.buyer",
    play: buyer::buyer,
}];

/// The sale of the tutorial, and one in which everybody wants several.
const DEMANDS: [Demand; 2] = [
    Demand {
        buyers: 11,
        stock: 5,
        each: 1,
    },
    Demand {
        buyers: 11,
        stock: 40,
        each: 5,
    },
];
/// How often each sale is held in the short form.
const ROUNDS: usize = 2;
/// What may be held when its holder is killed.
const HELD: [Way; 3] = [Way::FileLock, Way::Mutex, Way::CompareExchange];

#[derive(Clone, Debug, Serialize)]
struct Figures {
    sales: Vec<Sale>,
    deaths: Vec<Death>,
}

impl Demand {
    /// What can be sold.
    fn most(self) -> u32 {
        self.stock.min(self.buyers * self.each)
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let mut figures = Figures {
        sales: Vec::new(),
        deaths: Vec::new(),
    };
    for _ in 0..bench.repeats(ROUNDS) {
        for demand in DEMANDS {
            for way in Way::ALL {
                bench.go_on()?;
                bench
                    .narrator
                    .now(&format!("{} tickets: {}", demand.stock, way.name()));
                let sale = hold(bench, demand, way).map_err(Failure::system("hold a sale"))?;
                figures.sales.push(sale);
            }
        }
    }
    for way in HELD {
        bench.go_on()?;
        bench.narrator.now(&format!("a buyer dies: {}", way.name()));
        let death = in_a_folder(|folder| sale::after_a_death(bench, way, folder));
        figures
            .deaths
            .push(death.map_err(Failure::system("hold a sale"))?);
    }
    let mut exhibits: Vec<Exhibit> = DEMANDS
        .iter()
        .map(|demand| Exhibit::Table(table(&figures, *demand)))
        .collect();
    exhibits.push(Exhibit::Table(deaths(&figures)));
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits,
        figures: figures_of(&figures),
    })
}

fn hold(bench: &Bench, demand: Demand, way: Way) -> io::Result<Sale> {
    let really = match way {
        Way::Mutex if bench.faulted() => Way::Memory,
        way => way,
    };
    in_a_folder(|folder| sale::sell(bench, demand, way, really, folder))
}

/// A folder of its own for each sale.
fn in_a_folder<T>(work: impl FnOnce(&std::path::Path) -> io::Result<T>) -> io::Result<T> {
    let folder = tempfile::tempdir()?;
    work(folder.path())
}

fn judge(figures: &Figures) -> Ruling {
    let mut objections: Vec<Ruling> = figures.sales.iter().filter_map(objection).collect();
    objections.extend(figures.deaths.iter().filter_map(|death| {
        let all = death.successors;
        let expected = if death.way == Way::Mutex {
            (0, all)
        } else {
            (all, 0)
        };
        ((death.sold, death.stranded) != expected).then(|| {
            Ruling::does_not_hold(format!(
                "{}: after the death of a holder {} of {all} others got a ticket and {} wait for ever, not \
                 {} and {}",
                death.way.name(),
                death.sold,
                death.stranded,
                expected.0,
                expected.1
            ))
        })
    }));
    let [small, large] = DEMANDS.map(|demand| {
        let open = |sale: &&Sale| sale.demand == demand && !sale.way.is_exact();
        let most = figures
            .sales
            .iter()
            .filter(open)
            .map(|sale| sale.sold)
            .max();
        format!("{} of {}", most.unwrap_or(0), demand.stock)
    });
    let exact = Way::ALL.iter().filter(|way| way.is_exact()).count();
    Ruling::unless(
        objections,
        format!(
            "without one lock for all up to {small} and {large} tickets were sold; exactly {} and {} in \
             {exact} other ways; after the death of a holder a file lock is free, a mutex in memory is not",
            DEMANDS[0].most(),
            DEMANDS[1].most(),
        ),
    )
}

/// Why one sale does not bear the claim out, if so.
fn objection(sale: &Sale) -> Option<Ruling> {
    let Sale {
        way,
        demand,
        sold,
        left,
        ..
    } = *sale;
    let name = &sale.name;
    let wrong = |what: String| Some(Ruling::does_not_hold(format!("{name}: {what}")));
    let doubt = |what: &str| Some(Ruling::inconclusive(format!("{name}: {what}")));
    if !way.is_exact() {
        let met = sold > demand.stock;
        return if met {
            None
        } else {
            doubt("nobody came between; was the machine busy?")
        };
    }
    if sold != demand.most() || left != demand.stock - sold {
        return wrong(format!("{sold} sold and {left} left"));
    }
    if way.is_one_at_a_time() && sale.most_inside != 1 {
        return wrong(format!("{} were inside at once", sale.most_inside));
    }
    if sale.took_s < sale.least_s {
        let (took_ms, least_ms) = (sale.took_s * 1e3, sale.least_s * 1e3);
        return wrong(format!(
            "took {took_ms:.1} ms, less than its pauses ({least_ms:.0} ms)"
        ));
    }
    match way {
        Way::FileJoin if !sale.order.is_sorted() || sale.most_on_the_way != 1 => wrong(format!(
            "join let {} go at once, in the order {:?}",
            sale.most_on_the_way, sale.order
        )),
        Way::FileLock | Way::Mutex if sale.most_on_the_way == 1 => {
            doubt("nobody was on the way at the same time; was the machine busy?")
        }
        _ => None,
    }
}

fn of(figures: &Figures, demand: Demand, way: Way) -> impl Iterator<Item = &Sale> {
    figures
        .sales
        .iter()
        .filter(move |sale| sale.demand == demand && sale.way == way)
}

fn headline(figures: &Figures) -> String {
    let sold = |way| {
        of(figures, DEMANDS[0], way)
            .map(|sale| sale.sold)
            .max()
            .unwrap_or(0)
    };
    format!(
        "Of {} tickets {} were sold without a lock, {} with a lock for each customer and {} with one \
         lock for all.",
        DEMANDS[0].stock,
        sold(Way::File),
        sold(Way::OwnFileLock),
        sold(Way::FileLock),
    )
}

fn table(figures: &Figures, demand: Demand) -> Table {
    let row = |way: Way| {
        let sales: Vec<&Sale> = of(figures, demand, way).collect();
        let most = |of: fn(&Sale) -> u32| sales.iter().map(|sale| of(sale)).max().unwrap_or(0);
        let sold = most(|sale| sale.sold);
        let tone = if sold == demand.most() {
            Tone::Good
        } else {
            Tone::Bad
        };
        let took = Spread::of(sales.iter().map(|sale| sale.took_s * 1e3));
        vec![
            way.name().into(),
            Cell::toned(sold.to_string(), tone),
            most(|sale| sale.left).to_string().into(),
            most(|sale| sale.most_inside).to_string().into(),
            most(|sale| sale.most_on_the_way).to_string().into(),
            Cell::or_dash(took.map(|took| format!("{:.0} ms", took.median))),
            sales
                .first()
                .map_or(Cell::default(), |sale| order(&sale.order).into()),
        ]
    };
    Table {
        title: format!(
            "{} tickets, {} customers who want {} each",
            demand.stock, demand.buyers, demand.each
        ),
        caption: "Sold and left are counted apart. Inside is between looking and buying; on the way is what no \
                  lock covers, but join does. The order is that of the first five tickets."
            .into(),
        header: ["stock, and how", "sold", "left", "inside", "on the way", "took", "order"]
            .map(str::to_owned)
            .to_vec(),
        rows: Way::ALL.into_iter().map(row).collect(),
    }
}

/// Customers by the order in which they were started, counted from 1.
fn order(order: &[u32]) -> String {
    let shown: Vec<String> = order
        .iter()
        .take(5)
        .map(|buyer| (buyer + 1).to_string())
        .collect();
    shown.join(" ")
}

fn deaths(figures: &Figures) -> Table {
    let row = |death: &Death| {
        let tone = if death.sold == 0 {
            Tone::Bad
        } else {
            Tone::Good
        };
        vec![
            death.way.name().into(),
            Cell::toned(format!("{}/{}", death.sold, death.successors), tone),
            death.stranded.to_string().into(),
        ]
    };
    Table {
        title: "A customer is killed between looking and buying".into(),
        caption: "Who comes after him still gets a ticket, or sleeps at the counter though nobody is before \
                  him."
            .into(),
        header: ["what he held", "others that got a ticket", "asleep for ever"]
            .map(str::to_owned)
            .to_vec(),
        rows: figures.deaths.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests;
