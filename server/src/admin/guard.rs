//! Who may ask, and how: each request is looked at before anything is done about it. Pure.
//!
//! Web pages of others can make a browser on this machine send requests here. So a request must
//! name this very endpoint (or an attacker's name could be made to lead here: DNS rebinding), and a
//! browser must not say that another site sent it. Nothing is ever changed by a request, and no
//! answer may be read across sites, since there are no CORS headers.

use std::net::IpAddr;

use cli::Addr;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, ORIGIN, TRANSFER_ENCODING};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, Request, StatusCode, Version};

use super::bind::Access;

/// Where a browser says whose page sent the request.
const FETCH_SITE: &str = "sec-fetch-site";

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is none that this endpoint understands.
    Malformed,
    /// It has a body.
    Body,
    /// It wants more than to look.
    Method,
    /// It names somebody else.
    Host,
    /// Another site's page sent it.
    Origin,
    /// It has no token, or another one.
    Token,
}

impl Refusal {
    pub(super) const ALL: [Self; 6] = [
        Self::Malformed,
        Self::Body,
        Self::Method,
        Self::Host,
        Self::Origin,
        Self::Token,
    ];

    pub(super) fn code(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }

    /// As the metrics have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Body => "body",
            Self::Method => "method",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Token => "token",
        }
    }

    /// For whoever asked.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Malformed => "a request must have a path as its target and exactly one Host",
            Self::Body => "a request must not have a body",
            Self::Method => "only GET and HEAD are served here",
            Self::Host => {
                "the Host must be this endpoint's own address and port, or localhost with that port"
            }
            Self::Origin => "only pages of this endpoint itself may ask",
            Self::Token => {
                "the token of --admin-token-file is required: Authorization: Bearer TOKEN"
            }
        }
    }
}

/// What a request must be like.
#[derive(Debug)]
pub(super) struct Guard {
    /// Where it listens, unless whoever asks proves by a token that no browser was tricked into it.
    own: Option<Addr>,
    access: Access,
}

impl Guard {
    pub(super) fn of(addr: &Addr, access: Access) -> Self {
        // Other machines may know this one by any name.
        let own = (!access.remote).then(|| addr.clone());
        Self { own, access }
    }

    /// Whether it may be answered at all.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn admit<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::Malformed);
        };
        let is_path = uri.authority().is_none() && uri.path().starts_with('/');
        let is_star = uri.path() == "*";
        let is_http1 = matches!(request.version(), Version::HTTP_10 | Version::HTTP_11);
        if !is_http1 || !(is_path || is_star) {
            return Err(Refusal::Malformed);
        }
        let body = has_no_body(headers);
        if !matches!(*request.method(), Method::GET | Method::HEAD)
            && body != Err(Refusal::Malformed)
        {
            return Err(Refusal::Method);
        }
        body?;
        let host = authority(host).ok_or(Refusal::Malformed)?;
        if self.own.as_ref().is_some_and(|own| !is_own(own, &host)) {
            return Err(Refusal::Host);
        }
        if is_of_another_site(headers, &host) {
            return Err(Refusal::Origin);
        }
        Ok(())
    }

    /// Whether it may see what the server does.
    ///
    /// # Errors
    ///
    /// [`Refusal::Token`], if there is one to have and it does not have it.
    pub(super) fn confide(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.access.token else {
            return Ok(());
        };
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            return Err(Refusal::Token);
        };
        let (scheme, given) = given.as_bytes().split_at_checked(7).ok_or(Refusal::Token)?;
        let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
        (is_bearer && token.is(given))
            .then_some(())
            .ok_or(Refusal::Token)
    }
}

/// A body could be read as the next request by somebody in between.
fn has_no_body(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (headers.contains_key(TRANSFER_ENCODING), lengths.next()) {
        (false, None) => Ok(()),
        // Twice the same is one too many for somebody.
        _ if lengths.next().is_some() => Err(Refusal::Malformed),
        (false, Some(length)) if *length == "0" => Ok(()),
        _ => Err(Refusal::Body),
    }
}

/// A host and its port, and nothing else.
fn authority(host: &HeaderValue) -> Option<Authority> {
    let host: Authority = host.to_str().ok()?.parse().ok()?;
    let is_whole = host.as_str() == host.host() || host.port_u16().is_some();
    (is_whole && !host.as_str().contains('@')).then_some(host)
}

fn is_own(own: &Addr, host: &Authority) -> bool {
    let is_localhost = host.host().eq_ignore_ascii_case("localhost");
    let Addr::Tcp { port, .. } = own else {
        // No browser comes here, and whoever does has to say something.
        return is_localhost;
    };
    let port_is_right = host.port_u16().unwrap_or(80) == *port;
    let ip = host.host().trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let is_here = ip.is_some_and(|ip| ip.is_loopback() || own.ip() == Some(ip));
    port_is_right && (is_localhost || is_here)
}

fn is_of_another_site(headers: &HeaderMap, host: &Authority) -> bool {
    let is_foreign = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        // A proxy in front may have spoken TLS.
        let place = origin
            .split_once("://")
            .filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        !place.is_some_and(|(_, place)| place.eq_ignore_ascii_case(host.as_str()))
    };
    // `none` is what somebody types into the address bar.
    let is_sent_by_others = |site: &HeaderValue| *site != "same-origin" && *site != "none";
    headers.get_all(ORIGIN).iter().any(is_foreign)
        || headers.get_all(FETCH_SITE).iter().any(is_sent_by_others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    /// The verdict on a request for `/` with those headers.
    fn verdict(addr: &str, access: Access, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        Guard::of(&addr.parse().unwrap(), access).admit(&request)
    }

    fn local(headers: &[(&str, &str)]) -> Result<(), Refusal> {
        verdict("127.0.0.1:7070", Access::default(), headers)
    }

    #[test]
    fn the_host_must_be_this_endpoint() {
        for host in [
            "127.0.0.1:7070",
            "localhost:7070",
            "LOCALHOST:7070",
            "[::1]:7070",
            "127.9.9.9:7070",
        ] {
            assert_eq!(local(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example:7070",
            "127.0.0.1",
            "127.0.0.1:7071",
            "localhost",
            "localhost.evil.example:7070",
            "127.0.0.1.evil.example:7070",
            "10.0.0.1:7070",
            "0.0.0.0:7070",
        ] {
            assert_eq!(local(&[("host", host)]), Err(Refusal::Host), "{host}");
        }
        for host in [
            "",
            "a b",
            "evil@127.0.0.1:7070",
            "127.0.0.1:7070/x",
            "127.0.0.1:x",
        ] {
            assert_eq!(local(&[("host", host)]), Err(Refusal::Malformed), "{host}");
        }
        assert_eq!(local(&[]), Err(Refusal::Malformed));
        let two = [("host", "127.0.0.1:7070"), ("host", "127.0.0.1:7070")];
        assert_eq!(local(&two), Err(Refusal::Malformed));
    }

    #[test]
    fn other_places_have_other_hosts() {
        let at = |addr: &str, host| verdict(addr, Access::default(), &[("host", host)]);
        assert_eq!(at("127.0.0.1:80", "localhost"), Ok(()));
        assert_eq!(at("unix:/a", "localhost"), Ok(()));
        assert_eq!(at("unix:/a", "evil.example"), Err(Refusal::Host));
        let remote = Access {
            remote: true,
            token: None,
        };
        assert_eq!(
            verdict("0.0.0.0:7070", remote, &[("host", "echo.example:7070")]),
            Ok(())
        );
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let from = |name, value| local(&[("host", "127.0.0.1:7070"), (name, value)]);
        for origin in ["http://127.0.0.1:7070", "https://127.0.0.1:7070"] {
            assert_eq!(from("origin", origin), Ok(()));
        }
        for origin in [
            "http://evil.example",
            "null",
            "",
            "http://127.0.0.1:7071",
            "http://127.0.0.1:7070.evil.example",
            "ftp://127.0.0.1:7070",
        ] {
            assert_eq!(from("origin", origin), Err(Refusal::Origin), "{origin}");
        }
        for (site, verdict) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(Refusal::Origin)),
            ("cross-site", Err(Refusal::Origin)),
        ] {
            assert_eq!(from("sec-fetch-site", site), verdict, "{site}");
        }
    }

    #[test]
    fn a_body_is_refused_in_whatever_form_it_is_announced() {
        let with = |headers: &[(&'static str, &'static str)]| {
            local(&[&[("host", "localhost:7070")], headers].concat())
        };
        assert_eq!(with(&[("content-length", "0")]), Ok(()));
        assert_eq!(with(&[("content-length", "1")]), Err(Refusal::Body));
        assert_eq!(
            with(&[("transfer-encoding", "chunked")]),
            Err(Refusal::Body)
        );
        let both = [("content-length", "0"), ("transfer-encoding", "chunked")];
        assert_eq!(with(&both), Err(Refusal::Body));
        let twice = [("content-length", "0"), ("content-length", "1")];
        assert_eq!(with(&twice), Err(Refusal::Malformed));
    }

    #[test]
    fn every_refusal_is_an_answer_of_its_own() {
        for refusal in Refusal::ALL {
            assert!(refusal.code().is_client_error(), "{refusal:?}");
            let same = Refusal::ALL
                .iter()
                .filter(|other| other.name() == refusal.name());
            assert_eq!(same.count(), 1, "{refusal:?}");
        }
    }
}
