//! Which of several forms a client would rather have, by its `Accept`. Pure.

use hyper::HeaderMap;
use hyper::header::ACCEPT;

/// The place in `offers` of the one that is wanted most; the first where all are as welcome.
pub(super) fn preferred(headers: &HeaderMap, offers: &[&str]) -> usize {
    let values = headers.get_all(ACCEPT).iter();
    let accept: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
    let mut best = (0, 0);
    for (place, offer) in offers.iter().enumerate() {
        let wish = wish(&accept, offer);
        if wish > best.1 {
            best = (place, wish);
        }
    }
    best.0
}

/// How much a type is wanted, in thousandths; the most specific range counts.
fn wish(accept: &[&str], offer: &str) -> u32 {
    let ranges = accept.iter().flat_map(|value| value.split(','));
    let fits = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let specific = fit(parts.next()?, offer)?;
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        Some((specific, quality.map_or(1000, thousandths)))
    });
    fits.max().map_or(0, |(_, quality)| quality)
}

/// How specific the range is, if it has the type in it.
fn fit(range: &str, offer: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(offer) {
        return Some(2);
    }
    let (kind, _) = offer.split_once('/')?;
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (whole, "*") if whole.eq_ignore_ascii_case(kind) => Some(1),
        _ => None,
    }
}

/// What is no number is no wish.
fn thousandths(quality: &str) -> u32 {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match quality.split_once('.').unwrap_or((quality, "")) {
        ("1", zeros) if zeros.bytes().all(|byte| byte == b'0') => 1000,
        ("0", rest) if rest.len() <= 3 && digits(rest) => {
            format!("{rest:0<3}").parse().unwrap_or(0)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_follows_what_is_wanted_most() {
        let offers = ["text/plain", "application/json"];
        for (accept, expected) in [
            ("", 0),
            ("*/*", 0),
            ("application/json", 1),
            ("Application/JSON; charset=utf-8", 1),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                0,
            ),
            ("application/json;q=0.5, text/plain", 0),
            ("application/json, text/plain;q=0.9", 1),
            ("application/json;q=0.001", 1),
            ("application/json;q=0", 0),
            ("application/*, text/*;q=0.2", 1),
            ("*/*, text/plain;q=0.1", 1),
            ("application/json;q=x", 0),
            ("application/json;q=1.001", 0),
            ("image/png", 0),
            (";;,,/", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(preferred(&headers, &offers), expected, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &offers), 0);
    }
}
