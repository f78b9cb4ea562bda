//! How far a worker is locked in.

use std::fmt;

use serde::{Serialize, Serializer};

/// One thing that holds a worker in. Which one it is, is its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// It has no right of root.
    Capabilities = 1,
    /// No program gives it rights.
    NoNewPrivileges = 1 << 1,
    /// It uses no more than it needs.
    Limits = 1 << 2,
    /// It opens no file.
    Files = 1 << 3,
    /// It opens no connection of TCP, and listens nowhere else.
    Tcp = 1 << 4,
    /// It reaches no process outside: by no signal, and by no abstract Unix socket.
    Scopes = 1 << 5,
    /// It asks nothing of the kernel that is not on the list of its mode.
    Calls = 1 << 6,
    /// What it asks in vain is reported to the master.
    Reports = 1 << 7,
}

impl Layer {
    pub(crate) const ALL: [Self; 8] = [
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Limits,
        Self::Files,
        Self::Tcp,
        Self::Scopes,
        Self::Calls,
        Self::Reports,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::NoNewPrivileges => "no-new-privs",
            Self::Limits => "limits",
            Self::Files => "files",
            Self::Tcp => "tcp",
            Self::Scopes => "scopes",
            Self::Calls => "calls",
            Self::Reports => "reports",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The layers of a sandbox that a worker has.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SandboxLevel(u32);

impl SandboxLevel {
    /// All there are.
    pub(crate) fn full() -> Self {
        Layer::ALL.into_iter().collect()
    }

    /// As it is on the board.
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self(bits & Self::full().0)
    }

    /// For the board.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn has(self, layer: Layer) -> bool {
        self.0 & layer as u32 != 0
    }

    /// The names of its layers, from the outside in; none of a worker that is not locked in.
    pub fn layers(self) -> impl Iterator<Item = &'static str> {
        let all = Layer::ALL.into_iter().filter(move |layer| self.has(*layer));
        all.map(Layer::name)
    }
}

impl From<Layer> for SandboxLevel {
    fn from(layer: Layer) -> Self {
        Self(layer as u32)
    }
}

impl FromIterator<Layer> for SandboxLevel {
    fn from_iter<I: IntoIterator<Item = Layer>>(layers: I) -> Self {
        Self(
            layers
                .into_iter()
                .fold(0, |bits, layer| bits | layer as u32),
        )
    }
}

impl fmt::Display for SandboxLevel {
    /// `off`, `full`, or the layers that there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("off");
        }
        if *self == Self::full() {
            return f.write_str("full");
        }
        for (index, layer) in self.layers().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{layer}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SandboxLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SandboxLevel {
    /// The list of its layers.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.layers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_told_by_its_layers() {
        let some: SandboxLevel = [Layer::Files, Layer::Calls].into_iter().collect();
        let shown =
            [SandboxLevel::default(), some, SandboxLevel::full()].map(|one| one.to_string());
        assert_eq!(shown, ["off", "files,calls", "full"]);
        assert_eq!(SandboxLevel::from_bits(some.bits()), some);
        assert_eq!(
            serde_json::to_string(&some).unwrap(),
            r#"["files","calls"]"#
        );
        let rest = SandboxLevel::full().without(some);
        assert!(!rest.has(Layer::Calls) && rest.has(Layer::Tcp));
        assert_eq!(rest.with(some), SandboxLevel::full());
    }
}
