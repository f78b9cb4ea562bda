//! stub
use super::tally::Tally;
use crate::status::Observer;
/// f
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Prometheus,
    OpenMetrics,
}
impl Form {
    pub(super) const ALL: [Self; 2] = [Self::Prometheus, Self::OpenMetrics];
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain",
            Self::OpenMetrics => "application/openmetrics-text",
        }
    }
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
pub(super) fn text(_: &Observer, _: &Tally, _: Form) -> String {
    String::new()
}
