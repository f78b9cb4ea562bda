//! The formulas of queueing theory that the experiments predict with. `load` is the offered load in
//! Erlang: the rate of arrivals times the mean service time; it must be below `servers` wherever
//! somebody waits. Waits are in units of the mean service time.

/// The share of Poisson arrivals that find all `servers` busy and are lost, whatever the services
/// are distributed like (Erlang B), by the recursion that does not overflow.
pub(super) fn erlang_b(servers: usize, load: f64) -> f64 {
    (1..=servers).fold(1.0, |blocked, servers| {
        load * blocked / (servers as f64 + load * blocked)
    })
}

/// The share of arrivals that have to wait in front of `servers` with exponential services (Erlang
/// C).
pub(super) fn erlang_c(servers: usize, load: f64) -> f64 {
    let blocked = erlang_b(servers, load);
    let busy = load / servers as f64;
    blocked / (1.0 - busy * (1.0 - blocked))
}

/// The mean wait in one queue in front of `servers` with exponential services (M/M/c).
pub(super) fn mean_wait(servers: usize, load: f64) -> f64 {
    erlang_c(servers, load) / (servers as f64 - load)
}

/// The time within which a `share` of the clients of the same queue have their answer, wait and
/// service together.
pub(super) fn response_quantile(servers: usize, load: f64, share: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while beyond(servers, load, high) > 1.0 - share {
        high *= 2.0;
    }
    // Fifty halvings are as exact as the number is.
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if beyond(servers, load, middle) > 1.0 - share {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The share of the clients that have no answer after `time`: those who do not wait have the tail of
/// a service, the others that of the sum of a wait, exponential with rate `servers - load`, and a
/// service.
fn beyond(servers: usize, load: f64, time: f64) -> f64 {
    let waits = erlang_c(servers, load);
    let rate = servers as f64 - load;
    let sum = if (rate - 1.0).abs() < 1e-9 {
        (1.0 + time) * (-time).exp()
    } else {
        (rate * (-time).exp() - (-rate * time).exp()) / (rate - 1.0)
    };
    (1.0 - waits) * (-time).exp() + waits * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-3, "{found}");
    }

    #[test]
    fn a_single_server_is_the_textbook_one() {
        close(erlang_b(1, 0.8), 0.8 / 1.8);
        close(erlang_c(1, 0.8), 0.8);
        close(mean_wait(1, 0.8), 4.0);
        // The response of M/M/1 is exponential with mean 1 / (1 - 0.8).
        close(response_quantile(1, 0.8, 0.99), 5.0 * 100_f64.ln());
    }

    #[test]
    fn several_servers_agree_with_published_tables() {
        // Erlang B of 4 servers at 6 Erlang, and of 10 at 5.
        close(erlang_b(4, 6.0), 0.469_6);
        close(erlang_b(10, 5.0), 0.018_38);
        close(erlang_c(4, 3.2), 0.596_4);
        close(mean_wait(4, 3.2), 0.745_5);
    }
}
