//! The flags that hold a result to a promise.

use loadgen::gates::Promise;

/// What the result is held to; a promise that is not kept is exit code 3.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct GateFlags {
    /// Promise about a latency, such as p99<2ms, admission.max<=1s or lag.mean<50us; repeatable
    #[arg(long = "slo", value_name = "PROMISE", value_parser = Promise::latency)]
    slos: Vec<Promise>,
    /// Largest share of requests that may fail or time out: 1% or 0.01
    #[arg(long, value_name = "SHARE", value_parser = Promise::error_rate)]
    max_error_rate: Option<Promise>,
    /// Clients that must be served: 100% of them or a number
    #[arg(long, value_name = "CLIENTS", value_parser = Promise::min_served)]
    min_served: Option<Promise>,
}

impl GateFlags {
    /// All that is promised.
    pub(super) fn promises(&self) -> Vec<Promise> {
        let others = [&self.max_error_rate, &self.min_served];
        let others = others.into_iter().flatten();
        self.slos.iter().chain(others).cloned().collect()
    }
}
