//! Two networks of the test's own with a cable between them, which can be cut.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Where the server listens.
pub(crate) const SERVER_ADDR: &str = "10.99.7.1:0";

/// One of the two.
pub(crate) struct Network {
    /// Keeps it alive.
    space: File,
    /// Its end of the cable.
    cable: &'static str,
}

/// The server's, and the clients'.
pub(crate) fn two_networks() -> Option<(Network, Network)> {
    match cabled() {
        Ok(networks) => Some(networks),
        Err(why) => {
            println!("SKIPPED: no networks of our own on this machine: {why}");
            None
        }
    }
}

fn cabled() -> Result<(Network, Network), String> {
    let (ours, theirs) = (Network::new("va")?, Network::new("vb")?);
    // Another network is told by a path, which here leads to its descriptor.
    let far = format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        theirs.space.as_raw_fd()
    );
    let (near, other) = (ours.cable, theirs.cable);
    ours.ip(&format!(
        "link add {near} type veth peer name {other} netns {far}"
    ))?;
    ours.ip(&format!("address add 10.99.7.1/24 dev {}", ours.cable))?;
    theirs.ip(&format!("address add 10.99.7.2/24 dev {}", theirs.cable))?;
    for network in [&ours, &theirs] {
        network.ip("link set lo up")?;
        network.ip(&format!("link set {} up", network.cable))?;
    }
    Ok((ours, theirs))
}

impl Network {
    fn new(cable: &'static str) -> Result<Self, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo made; exec cat"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut holder = command
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        let heard = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said);
        let space = File::open(format!("/proc/{}/ns/net", holder.id()));
        drop(holder.stdin.take());
        let output = holder
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        if heard.is_err() || said.is_empty() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let space = space.map_err(|error| error.to_string())?;
        Ok(Self { space, cable })
    }

    /// Does it inside; sockets and programs stay there.
    pub(crate) fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.space.as_fd(), kind).unwrap();
                act()
            });
            inside.join().unwrap()
        })
    }

    /// Takes this end of the cable out.
    pub(crate) fn cut(&self) {
        self.ip(&format!("link set {} down", self.cable)).unwrap();
    }

    fn ip(&self, words: &str) -> Result<(), String> {
        let output = self.within(|| Command::new("ip").args(words.split(' ')).output());
        let output = output.map_err(|error| format!("ip: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let why = || format!("ip {words}: {}", said.trim());
        output.status.success().then_some(()).ok_or_else(why)
    }
}
