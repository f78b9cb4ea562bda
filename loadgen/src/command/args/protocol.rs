//! The flags that say what is spoken; the run and the probe share them.

use std::num::NonZeroU32;

use clap::ValueEnum;
use cli::{Addr, units};
use loadgen::{Ending, Exchange, Http, MAX_MESSAGE_BYTES, Protocol, Sizes};

use super::parse::{self, Bytes};

/// What is spoken.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Protocol")]
pub(crate) struct ProtocolFlags {
    /// What client and server say to each other
    #[arg(long, value_name = "NAME", default_value = "echo")]
    protocol: Name,
    /// Echo: length of a message, its closing newline included: 1 to 16MiB, a range such as
    /// 1..4096, or a list such as 64,1KiB; 64k is 64000, 64KiB is 65536 [default: 64]
    #[arg(short, long, value_name = "SIZE", value_parser = parse::sizes)]
    pub(super) size: Option<Sizes>,
    /// HTTP: the path, its query included [default: /]
    #[arg(long, value_name = "PATH", value_parser = parse::path)]
    path: Option<String>,
    /// HTTP: a further header field, such as 'Accept: text/plain'; repeatable
    #[arg(long, value_name = "FIELD", value_parser = parse::header)]
    header: Vec<(String, String)>,
    /// HTTP: send this as the body of a POST [default: a GET without one]
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// Exchange: what is sent, with the escapes \r \n \t \0 \\ \xHH; '' where the server speaks first
    #[arg(long, value_name = "TEXT")]
    send: Option<Bytes>,
    /// Exchange: an answer ends with these bytes, such as '\n'
    #[arg(long, value_name = "TEXT", conflicts_with = "expect")]
    until: Option<Bytes>,
    /// Exchange: an answer has this many bytes: 1 to 2^32-1
    #[arg(long, value_name = "N", value_parser = units::count(1..=u32::MAX))]
    expect: Option<u32>,
}

/// The protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The same bytes come back, and each of them is compared
    Echo,
    /// HTTP/1.1 over kept-alive connections: GET, or POST with --body
    Http,
    /// --send goes out, and an answer comes back that ends as --until or --expect say
    Exchange,
}

impl ProtocolFlags {
    /// What they come to, spoken with `target`.
    ///
    /// # Errors
    ///
    /// Which flags do not go together, in one line.
    pub(crate) fn into_protocol(self, target: &Addr) -> Result<Protocol, String> {
        self.check()?;
        match self.protocol {
            Name::Echo => {
                let sizes = Sizes::Fixed(const { NonZeroU32::new(64).unwrap() });
                Ok(Protocol::Echo(self.size.unwrap_or(sizes)))
            }
            Name::Http => Ok(Protocol::Http(Http {
                host: match target {
                    Addr::Unix(_) => "localhost".to_owned(),
                    Addr::Tcp { .. } => target.to_string(),
                },
                path: self.path.unwrap_or_else(|| "/".to_owned()),
                headers: self.header,
                body: self.body,
            })),
            Name::Exchange => self.into_exchange(),
        }
    }

    fn into_exchange(self) -> Result<Protocol, String> {
        let Some(Bytes(send)) = self.send else {
            return Err("--protocol exchange needs --send, such as --send 'PING\\r\\n'".to_owned());
        };
        let length = self.expect.and_then(NonZeroU32::new);
        let ending = match (self.until, length) {
            (Some(Bytes(end)), _) if end.is_empty() => {
                return Err("--until '' would end an answer before it begins; use '\\n'".to_owned());
            }
            (Some(Bytes(end)), _) => Ending::Until(end),
            (None, Some(length)) => Ending::Length(length),
            (None, None) => {
                return Err(
                    "--protocol exchange needs the end of an answer: --until '\\n' or --expect N"
                        .to_owned(),
                );
            }
        };
        if send.len() > MAX_MESSAGE_BYTES as usize {
            return Err("--send must not be longer than 16 MiB".to_owned());
        }
        Ok(Protocol::Exchange(Exchange { send, ending }))
    }

    /// Each flag belongs to one protocol.
    fn check(&self) -> Result<(), String> {
        let typed = [
            ("--size", Name::Echo, self.size.is_some()),
            ("--path", Name::Http, self.path.is_some()),
            ("--header", Name::Http, !self.header.is_empty()),
            ("--body", Name::Http, self.body.is_some()),
            ("--send", Name::Exchange, self.send.is_some()),
            ("--until", Name::Exchange, self.until.is_some()),
            ("--expect", Name::Exchange, self.expect.is_some()),
        ];
        let stray = typed
            .into_iter()
            .find(|(_, name, typed)| *typed && *name != self.protocol);
        let name = |name: Name| {
            let value = name.to_possible_value();
            value.map_or(String::new(), |value| value.get_name().to_owned())
        };
        match stray {
            None => Ok(()),
            Some((flag, owner, _)) => Err(format!(
                "{flag} belongs to --protocol {}, not to --protocol {}",
                name(owner),
                name(self.protocol)
            )),
        }
    }
}
