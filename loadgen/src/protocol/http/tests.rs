//! Answers as servers send them, cut anywhere.

use super::*;

/// What becomes of `stream` when it comes in pieces of `cut` bytes and then ends: the fate of each
/// answer, and the bytes that belong to it.
fn fates(stream: &str, cut: usize) -> Vec<(Fate, usize)> {
    let (mut parser, mut read, mut fates, mut length) = (Parser::default(), 0, Vec::new(), 0);
    for mut piece in stream.as_bytes().chunks(cut) {
        while !piece.is_empty() {
            let (taken, fate) = take(answer(&mut parser, &mut read), piece);
            piece = &piece[taken..];
            length += taken;
            if fate != Fate::More {
                fates.push((fate, std::mem::take(&mut length)));
            }
        }
    }
    if length > 0 {
        fates.push((at_end(answer(&mut parser, &mut read)), length));
    }
    fates
}

fn answer<'a>(parser: &'a mut Parser, read: &'a mut u32) -> Answer<'a> {
    Answer {
        read,
        parser: Some(parser),
        written: 0,
        verify: false,
    }
}

/// The same fates for every cut.
#[track_caller]
fn expect(stream: &str, expected: &[(Fate, usize)]) {
    for cut in 1..=stream.len() {
        assert_eq!(fates(stream, cut), expected, "in pieces of {cut} bytes");
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

#[test]
fn a_length_delimits_and_the_connection_stays() {
    let one = format!("{OK}Content-Length: 5\r\n\r\nhello");
    expect(
        &format!("{one}{one}"),
        &[(Fate::Complete, one.len()), (Fate::Complete, one.len())],
    );
}

#[test]
fn an_empty_body_needs_no_more_bytes() {
    let none = "HTTP/1.1 204 No Content\r\n\r\n";
    let empty = format!("{OK}content-length: 0\r\n\r\n");
    expect(none, &[(Fate::Complete, none.len())]);
    expect(&empty, &[(Fate::Complete, empty.len())]);
    // The length is that of the body that was not sent.
    let same = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
    expect(
        &format!("{same}{same}"),
        &[(Fate::Complete, same.len()), (Fate::Complete, same.len())],
    );
}

#[test]
fn chunks_are_read_to_their_trailer() {
    let one = format!(
        "{OK}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nSum: 1\r\n\r\n"
    );
    expect(
        &format!("{one}{one}"),
        &[(Fate::Complete, one.len()), (Fate::Complete, one.len())],
    );
}

#[test]
fn a_server_may_close_after_its_answer() {
    for head in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\n",
        "HTTP/1.0 200 OK\r\n",
    ] {
        let sized = format!("{head}Content-Length: 2\r\n\r\nhi");
        expect(&sized, &[(Fate::CompleteAndLast, sized.len())]);
        let open = format!("{head}\r\nhi");
        expect(&open, &[(Fate::CompleteAndLast, open.len())]);
    }
    let kept = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi";
    expect(kept, &[(Fate::Complete, kept.len())]);
}

#[test]
fn an_interim_answer_is_none() {
    let two = format!("HTTP/1.1 100 Continue\r\n\r\n{OK}Content-Length: 1\r\n\r\nx");
    expect(&two, &[(Fate::Complete, two.len())]);
}

#[test]
fn a_bad_status_is_a_failed_request_and_the_connection_goes_on() {
    let lost = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    let broken = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    expect(
        &format!("{lost}{broken}"),
        &[
            (Fate::Refused(Failure::Status4xx), lost.len()),
            (Fate::Refused(Failure::Status5xx), broken.len()),
        ],
    );
}

#[test]
fn an_answer_that_is_cut_off_is_a_closed_connection() {
    for part in [
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
    ] {
        expect(part, &[(Fate::Wrong(Failure::Closed), part.len())]);
    }
}

#[test]
fn what_is_no_http_is_found_at_once() {
    let wrong = Fate::Wrong(Failure::BadAnswer);
    assert_eq!(fates("220 smtp ready\r\n", 99)[0].0, wrong);
    let twice = format!("{OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
    assert_eq!(fates(&twice, 999)[0].0, wrong);
    let chunk = format!("{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_eq!(fates(&chunk, 999)[0].0, wrong);
    let endless = format!("{OK}X: {}", "y".repeat(MOST_HEAD_BYTES + 1));
    assert_eq!(fates(&endless, 1_000)[0].0, wrong);
}

#[test]
fn the_request_has_what_it_needs_once() {
    let mut http = Http {
        host: "example:80".to_owned(),
        path: "/a?b=c".to_owned(),
        headers: vec![("accept".to_owned(), "text/plain".to_owned())],
        body: None,
    };
    let text = |http: &Http| String::from_utf8(http.request()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        text(&http),
        format!(
            "GET /a?b=c HTTP/1.1\r\nHost: example:80\r\nUser-Agent: loadgen/{version}\r\n\
             accept: text/plain\r\n\r\n"
        )
    );
    http.body = Some("x=1".to_owned());
    assert!(text(&http).starts_with("POST /a?b=c HTTP/1.1\r\n"));
    assert!(text(&http).ends_with("Content-Length: 3\r\naccept: text/plain\r\n\r\nx=1"));
}
