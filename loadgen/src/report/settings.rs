//! What was asked for, flag by flag: each by its long name and as it would have to be typed, so that
//! a run can be repeated and two runs compared.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Config;
use crate::config::{Pace, Starts};
use crate::protocol::{Ending, Protocol};
use crate::schedule::{Arrivals, Rate};

/// The settings of `config`.
pub(super) fn of(config: &Config) -> Map<String, Value> {
    let groups = [
        load(config),
        pace(config.pace),
        behaviour(config),
        protocol(&config.protocol),
    ];
    let entries = groups.into_iter().filter_map(|group| match group {
        Value::Object(map) => Some(map),
        _ => None,
    });
    entries.flatten().collect()
}

fn span(duration: Duration) -> String {
    cli::units::span(duration)
}

fn load(config: &Config) -> Value {
    let (duration, requests) = config.stop.limits();
    let (starts, ramp, scatter) = match config.starts {
        Starts::AtOnce => (None, None, None),
        Starts::Rate(per_s) => (Some(per_s), None, None),
        Starts::Ramp(length) => (None, Some(span(length)), None),
        Starts::Scattered(length) => (None, None, Some(span(length))),
    };
    let shard = config.shard;
    json!({
        "connections": config.connections,
        "duration": duration.map(span),
        "requests": requests,
        "threads": config.threads,
        "warmup": span(config.warmup),
        "deadline": config.deadline.map(span),
        "seed": config.seed,
        "bind": (!config.bind.is_empty()).then_some(&config.bind),
        "shard": (shard.count.get() > 1).then(|| format!("{}/{}", shard.index, shard.count)),
        "connect-rate": starts,
        "ramp": ramp,
        "scatter": scatter,
        "timeout": config.timeout.map(span),
        "connect-timeout": config.connect_timeout.map(span),
        "verify": config.verify,
    })
}

fn pace(pace: Pace) -> Value {
    let (rate, arrivals) = match pace {
        Pace::Closed => (Value::Null, None),
        Pace::Open(Rate::Constant(per_s), arrivals) => (json!(per_s), Some(arrivals)),
        Pace::Open(Rate::Ramp(from, to), arrivals) => {
            (json!(format!("{from}:{to}")), Some(arrivals))
        }
    };
    let arrivals = arrivals.map(|arrivals| match arrivals {
        Arrivals::Constant => "constant",
        Arrivals::Poisson => "poisson",
    });
    json!({ "rate": rate, "arrivals": arrivals })
}

fn behaviour(config: &Config) -> Value {
    let behaviour = config.behaviour;
    let profiles: Vec<_> = config
        .profiles
        .iter()
        .map(|share| format!("{}={}", share.profile.name(), share.weight))
        .collect();
    json!({
        "think": behaviour.think.to_string(),
        "hold": span(behaviour.hold),
        "requests-per-conn": behaviour.requests_per_conn.map(|reuse| match reuse.least == reuse.most {
            true => json!(reuse.least),
            false => json!(reuse.to_string()),
        }),
        "once": behaviour.once,
        "pipeline": behaviour.pipeline,
        "profile": (!profiles.is_empty()).then(|| profiles.join(",")),
        "slow-rate": (!profiles.is_empty()).then_some(config.slow_bytes_per_s),
    })
}

fn protocol(protocol: &Protocol) -> Value {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match protocol {
        Protocol::Echo(sizes) => json!({
            "protocol": "echo",
            "size": match sizes {
                crate::Sizes::Fixed(bytes) => json!(bytes),
                sizes => json!(sizes.to_string()),
            },
        }),
        Protocol::Http(http) => json!({
            "protocol": "http",
            "path": http.path,
            "header": http.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect::<Vec<_>>(),
            "body": http.body,
        }),
        Protocol::Exchange(exchange) => {
            let (until, expect) = match &exchange.ending {
                Ending::Until(end) => (Some(text(end)), None),
                Ending::Length(bytes) => (None, Some(bytes)),
            };
            json!({
                "protocol": "exchange",
                "send": text(&exchange.send),
                "until": until,
                "expect": expect,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_as_they_would_be_typed() {
        let config = Config::new(cli::Addr::parse_target("127.0.0.1:7").unwrap());
        let settings = of(&config);
        assert_eq!(settings["connections"], 50);
        assert_eq!(
            (&settings["duration"], &settings["requests"]),
            (&json!("10s"), &Value::Null)
        );
        assert_eq!(
            (&settings["size"], &settings["rate"]),
            (&json!(64), &Value::Null)
        );
        assert_eq!(
            (&settings["pipeline"], &settings["think"]),
            (&json!(1), &json!("0s"))
        );
    }
}
