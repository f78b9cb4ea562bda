//! Histograms read back from the document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// The waits in `text`, in nanoseconds; `None` if it is no histogram.
pub(super) fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    let mut histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &*bytes).ok()?;
    histogram.auto(true);
    Some(histogram)
}
