//! Whom the admin endpoint refuses: pages of other sites, whoever has no token, and every request
//! that is none. A refusal is an answer of its own or a close, and the next client is answered.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;

use server::Mode;
use support::http::{admin_of, all_from, get, get_with, request, say, secret};
use support::{ServerProcess, connect_to, field};

fn server(more: &[&str]) -> (ServerProcess, SocketAddr) {
    let server =
        ServerProcess::start(&[&["--mode", "epoll", "--admin", "127.0.0.1:0"], more].concat());
    let admin = admin_of(&server);
    (server, admin)
}

/// Sends it, expects one of those codes (0 is a close without an answer), and that the endpoint
/// and the echo are as well as before.
fn expect(server: &ServerProcess, admin: SocketAddr, what: &str, bytes: &[u8], codes: &[u16]) {
    let code = say(admin, bytes).map_or(0, |answer| answer.code);
    assert!(codes.contains(&code), "{what}: {code} instead of {codes:?}");
    assert_eq!(get(admin, "/healthz").code, 200, "after {what}");
    support::round_trip(&mut server.connect(), b"still there?").unwrap();
}

/// A request for the status with more headers.
fn with(admin: SocketAddr, more: &str) -> Vec<u8> {
    format!("GET /status HTTP/1.1\r\nHost: {admin}\r\n{more}\r\n").into()
}

/// A request with that first line.
fn begins(admin: SocketAddr, line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: {admin}\r\n\r\n").into()
}

#[test]
fn a_head_has_limits() {
    let (server, admin) = server(&[]);
    let filler = "a".repeat(1 << 20);
    let headers = |count| (0..count).map(|number| format!("X-{number}: y\r\n"));
    let headers = |count: usize| headers(count).collect::<String>();
    let path = format!("GET /{filler} HTTP/1.1");
    for (what, bytes, codes) in [
        (
            "1 MiB",
            with(admin, &format!("X: {filler}\r\n")),
            &[431][..],
        ),
        (
            "17 KiB",
            with(admin, &format!("X: {}\r\n", &filler[..17 << 10])),
            &[431],
        ),
        (
            "15 KiB",
            with(admin, &format!("X: {}\r\n", &filler[..15 << 10])),
            &[200],
        ),
        ("10,000 headers", with(admin, &headers(10_000)), &[431]),
        ("65 headers", with(admin, &headers(64)), &[431]),
        ("64 headers", with(admin, &headers(63)), &[200]),
        ("a path of 1 MiB", begins(admin, &path), &[414, 431]),
        ("1 MiB without a line", filler.into(), &[400, 414, 431]),
    ] {
        expect(&server, admin, what, &bytes, codes);
    }
}

#[test]
fn what_two_programs_could_read_in_two_ways_is_refused() {
    let (server, admin) = server(&[]);
    let bare = format!("GET / HTTP/1.1\nHost: {admin}\n\n");
    let one_bare = format!("GET / HTTP/1.1\r\nHost: {admin}\n\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = [with(admin, "Content-Length: 5\r\n"), b"hello".to_vec()];
    for (what, bytes, codes) in [
        ("bare line feeds", bare.into(), &[0][..]),
        ("one bare line feed", one_bare.into(), &[0]),
        (
            "a bare carriage return",
            with(admin, "X: a\rHost: b\r\n"),
            &[0],
        ),
        ("NUL in a header", with(admin, "X: a\0b\r\n"), &[0]),
        ("NUL in the path", begins(admin, "GET /\0 HTTP/1.1"), &[0]),
        ("a folded header", with(admin, "X: a\r\n b\r\n"), &[400]),
        ("a header without a name", with(admin, ": a\r\n"), &[400]),
        ("a space before the colon", with(admin, "X : a\r\n"), &[400]),
        (
            "chunks and a length",
            with(admin, &format!("{chunked}Content-Length: 4\r\n")),
            &[413],
        ),
        (
            "two lengths",
            with(admin, "Content-Length: 4\r\nContent-Length: 0\r\n"),
            &[400],
        ),
        (
            "a length that is none",
            with(admin, "Content-Length: -1\r\n"),
            &[400],
        ),
        ("chunks", with(admin, chunked), &[413]),
        (
            "unknown chunks",
            with(admin, "Transfer-Encoding: xchunked\r\n"),
            &[400, 413],
        ),
        ("a body", body.concat(), &[413]),
        (
            "a body that never comes",
            with(admin, "Content-Length: 1000000\r\n"),
            &[413],
        ),
    ] {
        expect(&server, admin, what, &bytes, codes);
    }
}

#[test]
fn what_is_another_protocol_or_for_a_proxy_is_refused() {
    let (server, admin) = server(&[]);
    let whole = format!("GET http://{admin}/status HTTP/1.1");
    for (what, bytes, codes) in [
        ("HTTP/0.9", b"GET /status\r\n\r\n".to_vec(), &[400][..]),
        (
            "HTTP/2.0",
            begins(admin, "GET /status HTTP/2.0"),
            &[0, 400, 505],
        ),
        (
            "HTTP/2 without asking",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            &[0, 400, 505],
        ),
        ("an empty head", b"\r\n\r\n".to_vec(), &[0]),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            &[0, 400],
        ),
        ("an echo client", b"hello\n".to_vec(), &[0]),
        ("a whole URL", begins(admin, &whole), &[400]),
        (
            "a URL of others",
            begins(admin, "GET http://x/ HTTP/1.1"),
            &[400],
        ),
        (
            "a target without a slash",
            begins(admin, "GET status HTTP/1.1"),
            &[400],
        ),
        (
            "a tunnel",
            begins(admin, "CONNECT x:443 HTTP/1.1"),
            &[400, 405],
        ),
    ] {
        expect(&server, admin, what, &bytes, codes);
    }
}

#[test]
fn nothing_but_the_table_is_found() {
    let (server, admin) = server(&[]);
    for path in [
        "/../etc/passwd",
        "/assets/../../etc/passwd",
        "/assets/../dashboard.css",
        "/%2e%2e/etc/passwd",
        "/assets/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "//",
        "//status",
        "/status/",
        "/STATUS",
        "/./status",
        "/%73tatus",
        "/status%00",
        "/status;x",
        "/assets",
        "/assets/",
        "/index.html",
        "/debug/pprof",
        "/.git/config",
        &format!("/{}", "a".repeat(8000)),
    ] {
        expect(
            &server,
            admin,
            path,
            request(admin, "GET", path, &[]).as_bytes(),
            &[404],
        );
    }
}

#[test]
fn who_wants_more_than_to_look_is_told_what_is_allowed() {
    let (server, admin) = server(&[]);
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW", "get",
    ] {
        for path in ["/status", "/nothing"] {
            let answer = say(admin, request(admin, method, path, &[]).as_bytes()).unwrap();
            assert_eq!(
                (answer.code, answer.header("allow")),
                (405, Some("GET, HEAD")),
                "{method} {path}"
            );
            assert_eq!(answer.header("access-control-allow-methods"), None);
        }
    }
    let body = request(admin, "POST", "/status", &["Content-Length: 3"]) + "x=1";
    expect(&server, admin, "a form", body.as_bytes(), &[405]);
    let all = format!("OPTIONS * HTTP/1.1\r\nHost: {admin}\r\n\r\n");
    expect(&server, admin, "OPTIONS *", all.as_bytes(), &[405]);
}

/// A request for the status with those headers and no others.
fn bare(lines: &str) -> Vec<u8> {
    format!("GET /status HTTP/1.1\r\n{lines}\r\n").into()
}

#[test]
fn a_request_must_name_this_endpoint() {
    let (server, admin) = server(&[]);
    let port = admin.port();
    let ours = format!("Host: localhost:{port}\r\n");
    for (what, lines, code) in [
        ("its own name", ours.clone(), 200),
        (
            "another name",
            format!("Host: evil.example:{port}\r\n"),
            421,
        ),
        (
            "another port",
            format!("Host: localhost:{}\r\n", port ^ 1),
            421,
        ),
        ("no port", "Host: localhost\r\n".to_owned(), 421),
        ("no host", String::new(), 400),
        ("an empty host", "Host: \r\n".to_owned(), 400),
        ("two hosts", format!("{ours}{ours}"), 400),
        (
            "two that differ",
            format!("{ours}Host: evil.example\r\n"),
            400,
        ),
        ("a user", format!("Host: evil@localhost:{port}\r\n"), 400),
    ] {
        expect(&server, admin, what, &bare(&lines), &[code]);
    }
}

#[test]
fn pages_of_other_sites_get_nothing() {
    let (server, admin) = server(&[]);
    let own = format!("Origin: http://{admin}\r\nSec-Fetch-Site: same-origin\r\n");
    for (what, lines, code) in [
        ("its own page", own.as_str(), 200),
        ("the address bar", "Sec-Fetch-Site: none\r\n", 200),
        ("another site", "Origin: http://evil.example\r\n", 403),
        ("another port", "Origin: http://127.0.0.1:1\r\n", 403),
        ("no origin", "Origin: null\r\n", 403),
        ("an image elsewhere", "Sec-Fetch-Site: cross-site\r\n", 403),
        ("a sibling", "Sec-Fetch-Site: same-site\r\n", 403),
    ] {
        let lines = format!("Host: {admin}\r\n{lines}");
        expect(&server, admin, what, &bare(&lines), &[code]);
    }
}

#[test]
fn who_is_refused_is_not_reset() {
    let (_server, admin) = server(&[]);
    let mut client = connect_to(admin).unwrap();
    let filler = "a".repeat(100 << 10);
    client
        .write_all(&with(admin, &format!("X: {filler}\r\n")))
        .unwrap();
    // What it had not read yet would be lost with a reset.
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    for _ in 0..50 {
        client.write_all(b"and one more thing").unwrap();
    }
}

#[test]
fn whoever_says_nothing_more_still_hears_the_answer() {
    let (_server, admin) = server(&[]);
    let mut client = connect_to(admin).unwrap();
    std::io::Write::write_all(
        &mut client,
        request(admin, "GET", "/healthz", &[]).as_bytes(),
    )
    .unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let heard = String::from_utf8(all_from(&mut client)).unwrap();
    assert!(
        heard.starts_with("HTTP/1.1 200 OK\r\n") && heard.ends_with("\r\n\r\nok\n"),
        "{heard}"
    );
}

#[test]
fn with_a_token_only_the_page_is_shown_without_it() {
    const TOKEN: &str = "correct-horse-battery-staple";
    let (_directory, file) = secret(&format!("{TOKEN}\n"));
    let line = [
        "--mode",
        Mode::Epoll.name(),
        "--admin",
        "0.0.0.0:0",
        "--admin-allow-remote",
        "--admin-token-file",
        &file,
    ];
    let server = ServerProcess::start(&line);
    server.log().wait_for("admin endpoint", 1);
    let said = server.log().lines_with("admin endpoint");
    assert_eq!(field(&said[0], "token"), Some("true"));
    let admin: SocketAddr = SocketAddr::from(([127, 0, 0, 1], admin_of(&server).port()));
    for path in ["/", "/assets/dashboard.js"] {
        assert_eq!(get(admin, path).code, 200, "{path}");
    }
    let right = format!("Authorization: Bearer {TOKEN}");
    let wrong = [
        "Authorization: Bearer correct-horse-battery-stapl".to_owned(),
        format!("Authorization: Bearer {TOKEN}x"),
        format!("Authorization: Bearer  {TOKEN}"),
        format!("Authorization: Basic {TOKEN}"),
        "Authorization: Bearer".to_owned(),
        "Authorization:".to_owned(),
        format!("Cookie: token={TOKEN}"),
    ];
    for path in [
        "/status", "/metrics", "/events", "/healthz", "/readyz", "/nothing",
    ] {
        let answer = get(admin, path);
        assert_eq!(
            (answer.code, answer.header("www-authenticate")),
            (401, Some("Bearer")),
            "{path}"
        );
        for line in &wrong {
            assert_eq!(get_with(admin, path, &[line]).code, 401, "{path} {line}");
        }
        assert_eq!(
            get_with(admin, path, &[&right, &right]).code,
            401,
            "{path} twice"
        );
        // Not in the URL, which proxies and browsers write down.
        assert_eq!(get(admin, &format!("{path}?token={TOKEN}")).code, 401);
    }
    for path in ["/status", "/metrics", "/healthz", "/readyz"] {
        assert_eq!(get_with(admin, path, &[&right]).code, 200, "{path}");
    }
    // Whoever has the token may know this machine by any name; a page of another site has none.
    let by_name = format!("GET /status HTTP/1.1\r\nHost: echo.example\r\n{right}\r\n\r\n");
    assert_eq!(say(admin, by_name.as_bytes()).unwrap().code, 200);
    let foreign = "Origin: http://evil.example";
    assert_eq!(get_with(admin, "/status", &[&right, foreign]).code, 403);
    assert!(server.stop().log.iter().all(|line| !line.contains(TOKEN)));
}
