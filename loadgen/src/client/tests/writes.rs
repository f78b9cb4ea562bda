//! A message is written in one piece: in two, the second would wait for the server's delayed
//! acknowledgement of the first wherever Nagle's algorithm is on.

use super::*;
use crate::protocol::Http;

/// What clients say over each protocol, the HTTP request with header and body.
fn protocols() -> [Protocol; 4] {
    let size = |bytes| NonZeroU32::new(bytes).unwrap();
    let http = Http {
        host: "a".to_owned(),
        path: "/".to_owned(),
        headers: vec![("X-One".to_owned(), "1".to_owned())],
        body: Some("body".repeat(500)),
    };
    let exchange = Exchange {
        send: b"PING\r\nPONG\r\n".to_vec(),
        ending: Ending::Length(size(7)),
    };
    [
        Protocol::Echo(Sizes::Fixed(size(64))),
        Protocol::Echo(Sizes::Range(size(1), size(5_000))),
        Protocol::Http(http),
        Protocol::Exchange(exchange),
    ]
}

#[test]
fn a_message_is_one_write_over_every_protocol() {
    for protocol in protocols() {
        let mut rig = Rig::new(64, Behaviour::default());
        rig.wire = protocol.wire(1);
        rig.step(Event::Start);
        assert_eq!(rig.step(Event::Established), Action::Write);
        let whole = rig.wire.request_bytes(rig.client.request());
        // The first write is of all there is, and after it nothing is left.
        assert_eq!(rig.write(usize::MAX), Action::Nothing, "{protocol:?}");
        assert_eq!(rig.echo.len(), whole, "{protocol:?}");
        assert!(!rig.wants_write(), "{protocol:?}");
    }
}
