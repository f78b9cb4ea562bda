//! The metrics, in the two forms that Prometheus reads.
//!
//! What there is is said in [`families`](families::families); here it becomes text. Nothing is kept
//! between two scrapes: a scrape is one [`Status`](crate::status::Status).

mod families;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    CounterValueEncoder, DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric,
    GaugeValueEncoder, NoLabelSet, prometheus_text, text as openmetrics_text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub(super) use self::families::Scrape;
use self::families::{Family, Number, Samples, families};

/// Before every name.
const PREFIX: &str = "echolab";

/// A form of the same metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Prometheus text, which everything reads.
    Prometheus,
    /// OpenMetrics text, for whoever asks for it.
    OpenMetrics,
}

impl Form {
    /// The first is the default.
    pub(super) const ALL: [Self; 2] = [Self::Prometheus, Self::OpenMetrics];

    /// The media type that asks for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
        }
    }

    /// The media type of an answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics as text.
pub(super) fn text(scrape: &Scrape<'_>, form: Form) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Families(families(scrape))));
    let mut text = String::new();
    let written = match form {
        Form::Prometheus => prometheus_text::encode(&mut text, &registry),
        Form::OpenMetrics => openmetrics_text::encode(&mut text, &registry),
    };
    // Writing into a string does not fail.
    written.map_or_else(|_| String::new(), |()| text)
}

#[derive(Debug)]
struct Families(Vec<Family>);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut all = self.0.iter().filter(|family| !family.samples.is_empty());
        all.try_for_each(|family| encode(family, &mut encoder))
    }
}

fn encode(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Family {
        name,
        help,
        unit,
        samples,
    } = family;
    let kind = match samples {
        Samples::Counters(_) => MetricType::Counter,
        Samples::Gauges(_) => MetricType::Gauge,
        Samples::Histogram(_) => MetricType::Histogram,
        Samples::Info(_) => MetricType::Info,
    };
    let mut encoder = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    match samples {
        Samples::Counters(samples) => samples.iter().try_for_each(|(labels, number)| {
            ConstCounter::new(*number).encode(encoder.encode_family(labels)?)
        }),
        Samples::Gauges(samples) => samples.iter().try_for_each(|(labels, number)| {
            ConstGauge::new(*number).encode(encoder.encode_family(labels)?)
        }),
        Samples::Info(labels) => encoder.encode_info(labels),
        Samples::Histogram(histogram) => {
            let buckets = &histogram.buckets;
            encoder.encode_histogram::<NoLabelSet>(histogram.sum, histogram.count, buckets, None)
        }
    }
}

impl EncodeCounterValue for Number {
    fn encode(&self, encoder: &mut CounterValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => EncodeCounterValue::encode(number, encoder),
            Self::Real(number) => EncodeCounterValue::encode(number, encoder),
        }
    }
}

impl EncodeGaugeValue for Number {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => EncodeGaugeValue::encode(number, encoder),
            Self::Real(number) => EncodeGaugeValue::encode(number, encoder),
        }
    }
}
