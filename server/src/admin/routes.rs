//! The fixed table of what can be asked for, and the answers. No path ever becomes a file name.

use std::sync::Arc;

use http_body_util::channel::Channel;
use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use hyper::{HeaderMap, Request, Response, StatusCode};

use super::assets::{self, Asset};
use super::events::Sampler;
use super::guard::{Guard, Refusal};
use super::metrics::Scrape;
use super::negotiate::preferred;
use super::tally::Tally;
use super::{health, metrics, text};
use crate::orders::Orders;
use crate::status::{Observer, cpu_s, rss_bytes};

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// On every answer: nothing is kept, nothing is guessed, and no other site may embed or read it.
const ALWAYS: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// What can be asked for.
#[derive(Clone, Copy, Debug)]
enum Route {
    Asset(&'static Asset),
    Events,
    Status,
    Metrics,
    Healthz,
    Readyz,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/events" => Self::Events,
            "/status" => Self::Status,
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Healthz,
            "/readyz" => Self::Readyz,
            _ => Self::Asset(assets::find(path)?),
        })
    }
}

type Body = Either<Full<Bytes>, Channel<Bytes>>;

/// What goes back.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    /// Whether it has no end of its own.
    pub(super) stays: bool,
}

/// All that answers are made of.
pub(super) struct Routes {
    pub(super) guard: Guard,
    pub(super) observer: Observer,
    pub(super) orders: Orders,
    pub(super) sampler: Sampler,
    pub(super) tally: Arc<Tally>,
    /// When the server was started, in seconds since 1970.
    pub(super) started_s: f64,
}

impl Routes {
    /// The answer to any request.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let (path, headers) = (request.uri().path(), request.headers());
        let answer = match self.admit(request) {
            Err(refusal) => {
                self.tally.refuse(refusal);
                refused(refusal)
            }
            Ok(None) => said(
                StatusCode::NOT_FOUND,
                "there is nothing of that name".into(),
            ),
            Ok(Some(route)) => self.of(route, headers).await,
        };
        self.tally.answer(answer.response.status());
        tracing::debug!(
            path,
            code = answer.response.status().as_u16(),
            "admin request"
        );
        answer
    }

    fn admit<B>(&self, request: &Request<B>) -> Result<Option<Route>, Refusal> {
        self.guard.admit(request)?;
        let route = Route::of(request.uri().path());
        // The page itself says nothing about the server, and a browser has no token when it comes.
        if !matches!(route, Some(Route::Asset(_))) {
            self.guard.confide(request.headers())?;
        }
        Ok(route)
    }

    async fn of(&self, route: Route, headers: &HeaderMap) -> Answer {
        match route {
            Route::Asset(asset) => whole(asset.kind, Bytes::from_static(asset.bytes)),
            Route::Status => self.status(headers),
            Route::Metrics => self.metrics(headers),
            Route::Events => self.events(),
            Route::Healthz if health::lives(&self.orders, health::PATIENCE).await => {
                said(StatusCode::OK, "ok".into())
            }
            Route::Healthz => said(
                StatusCode::SERVICE_UNAVAILABLE,
                "the leading loop does not answer".into(),
            ),
            Route::Readyz => match health::not_ready(&self.observer) {
                None => said(StatusCode::OK, "ready".into()),
                Some(why) => said(StatusCode::SERVICE_UNAVAILABLE, why),
            },
        }
    }

    fn status(&self, headers: &HeaderMap) -> Answer {
        let status = self.observer.status();
        let answer = match preferred(headers, &["text/plain", JSON]) {
            0 => whole(PLAIN, text::status(&status).into()),
            // Nothing in a status can fail to be written.
            _ => whole(
                JSON,
                serde_json::to_string(&status).unwrap_or_default().into(),
            ),
        };
        answer.varying()
    }

    fn metrics(&self, headers: &HeaderMap) -> Answer {
        let form =
            metrics::Form::ALL[preferred(headers, &metrics::Form::ALL.map(metrics::Form::name))];
        let status = self.observer.status();
        let scrape = Scrape {
            status: &status,
            tally: &self.tally,
            started_s: self.started_s,
            cpu_s: cpu_s(status.pid),
            rss_bytes: rss_bytes(status.pid),
        };
        let text = metrics::text(&scrape, form);
        whole(form.content_type(), text.into()).varying()
    }

    fn events(&self) -> Answer {
        let Some(events) = self.sampler.listen() else {
            let answer = said(
                StatusCode::SERVICE_UNAVAILABLE,
                "enough listen to events already".into(),
            );
            return answer.with(RETRY_AFTER, "5");
        };
        Answer {
            response: Response::new(Either::Right(events)),
            stays: true,
        }
        .dressed(EVENTS)
    }
}

fn whole(kind: &'static str, bytes: Bytes) -> Answer {
    Answer {
        response: Response::new(Either::Left(Full::new(bytes))),
        stays: false,
    }
    .dressed(kind)
}

/// A line for people.
fn said(code: StatusCode, line: String) -> Answer {
    let mut answer = whole(PLAIN, (line + "\n").into());
    *answer.response.status_mut() = code;
    answer
}

fn refused(refusal: Refusal) -> Answer {
    let answer = said(refusal.code(), refusal.advice().into());
    match refusal {
        Refusal::Method => answer.with(ALLOW, "GET, HEAD"),
        Refusal::Token => answer.with(WWW_AUTHENTICATE, "Bearer"),
        _ => answer,
    }
}

impl Answer {
    fn dressed(mut self, kind: &'static str) -> Self {
        for (name, value) in ALWAYS {
            self = self.with(HeaderName::from_static(name), value);
        }
        self.with(CONTENT_TYPE, kind)
    }

    fn varying(self) -> Self {
        self.with(VARY, "accept")
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        let value = HeaderValue::from_static(value);
        self.response.headers_mut().insert(name, value);
        self
    }
}
