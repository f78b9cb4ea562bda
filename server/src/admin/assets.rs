//! The files of the page, which are part of the program.

/// One of them.
#[derive(Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    pub(super) bytes: &'static [u8],
}

/// All of them, by the paths under which they are served.
pub(super) const ASSETS: &[Asset] = &[
    asset("/", HTML, include_bytes!("dashboard/index.html")),
    asset(
        "/assets/dashboard.css",
        CSS,
        include_bytes!("dashboard/dashboard.css"),
    ),
    asset(
        "/assets/dashboard.js",
        SCRIPT,
        include_bytes!("dashboard/dashboard.js"),
    ),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const fn asset(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { path, kind, bytes }
}
