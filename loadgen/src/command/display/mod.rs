//! What people see while the run lasts: a few lines that are redrawn at a terminal, or a line a
//! second, or nothing.
//!
//! ```text
//! Progress ──▶ Display ──▶ scene (what to say) ──▶ screen (a terminal) or plain lines
//!  keys ───────▶ │ ──▶ Steer
//! ```
//!
//! It runs in the thread that watches the run, many times a second, so it mostly compares two
//! times. It must neither block nor fail: a stderr that is closed or takes nothing more, as after
//! Ctrl-S, shows nothing, and the run goes on.

mod keys;
mod piece;
mod scene;
mod screen;
mod strip;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use loadgen::{Config, Progress, Steer};

use keys::{Key, Keys};
use scene::{Goal, Mood, Scene};
use screen::{Screen, takes_more};

/// Time between two pictures: a display must not cost what it shows.
const REDRAW: Duration = Duration::from_millis(150);
/// Time between two plain lines.
const LINE: Duration = Duration::from_secs(1);

/// What to show during the run.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct Options {
    /// Show the live display even if stderr is no terminal
    #[arg(long, conflicts_with = "plain")]
    tui: bool,
    /// Show a line a second on stderr, without colours, instead of the live display
    #[arg(long)]
    plain: bool,
}

/// The display of one run.
#[derive(Debug)]
pub(super) struct Display {
    surface: Surface,
    goal: Goal,
    /// When the next picture is due.
    next: Duration,
    /// Whether the run has begun.
    begun: bool,
    keys: Option<Keys>,
    steer: Steer,
}

/// What is drawn on.
#[derive(Debug)]
enum Surface {
    Nothing,
    Lines,
    Screen(Screen),
}

impl Display {
    /// For a run of `config`. Nothing is drawn and no key is read before the run has begun.
    pub(super) fn new(options: Options, config: &Config) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = env::var_os("TERM").is_some_and(|kind| kind == "dumb");
        let surface = match options {
            Options { tui: true, .. } => Surface::Screen(Screen::new()),
            Options { plain: true, .. } => Surface::Lines,
            _ if terminal && dumb => Surface::Lines,
            _ if terminal => Surface::Screen(Screen::new()),
            _ => Surface::Nothing,
        };
        Self {
            surface,
            goal: Goal::of(config),
            next: Duration::ZERO,
            begun: false,
            keys: None,
            steer: Steer::Go,
        }
    }

    /// Shows `progress` when it is time to, and returns what the keys ask for. Once the run is
    /// `ending` no key counts any more.
    pub(super) fn show(&mut self, progress: Progress, ending: bool) -> Steer {
        if ending {
            self.steer = Steer::Stop;
        }
        self.listen(progress.elapsed >= self.next);
        self.obey();
        if progress.elapsed >= self.next && takes_more() {
            self.draw(progress);
        }
        self.steer
    }

    /// Takes the picture away and gives the keys back.
    pub(super) fn clear(&mut self) {
        self.keys = None;
        if let Surface::Screen(screen) = &self.surface {
            screen.clear();
        }
    }

    /// Has the keys as long as they are of use: they are given back at the first sign of the end,
    /// since a second signal ends the process where it stands.
    fn listen(&mut self, due: bool) {
        let begins = !std::mem::replace(&mut self.begun, true);
        match &self.keys {
            _ if self.steer == Steer::Stop => self.keys = None,
            None if begins && matches!(self.surface, Surface::Screen(_)) => {
                self.keys = Keys::take()
            }
            // After Ctrl-Z the shell leaves the terminal as it likes it.
            Some(keys) if due => keys.take_again(),
            _ => {}
        }
    }

    fn obey(&mut self) {
        let pressed = self.keys.as_ref().map_or_else(Vec::new, Keys::pressed);
        for key in pressed {
            self.steer = match (key, self.steer) {
                (Key::Stop, _) | (_, Steer::Stop) => Steer::Stop,
                (Key::Pause, Steer::Go) => Steer::Pause,
                (Key::Pause, Steer::Pause) => Steer::Go,
            };
            // The answer to a key is seen at once.
            self.next = Duration::ZERO;
        }
    }

    fn draw(&mut self, progress: Progress) {
        let scene = Scene {
            goal: &self.goal,
            progress,
            mood: match self.steer {
                Steer::Go => Mood::Running,
                Steer::Pause => Mood::Paused,
                Steer::Stop => Mood::Stopping,
            },
            keys: self.keys.is_some(),
        };
        match &self.surface {
            Surface::Nothing => {}
            Surface::Screen(screen) => screen.draw(&scene),
            Surface::Lines => {
                // Nobody may be there to read it, and that is no reason to stop.
                let _ = writeln!(io::stderr(), "{}", scene.line());
            }
        }
        let every = match self.surface {
            Surface::Lines => LINE,
            _ => REDRAW,
        };
        self.next = progress.elapsed + every;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pictures a display draws in three seconds of an invented clock, shown a run that
    /// answers `per_look` requests from each of the `looks` to the next.
    fn pictures(surface: Surface, looks: u32, per_look: u64) -> usize {
        let config = Config::new(cli::Addr::parse_target("127.0.0.1:7").unwrap());
        let mut display = Display::new(Options::default(), &config);
        display.surface = surface;
        let span = Duration::from_secs(3);
        let shown = (0..looks).filter(|look| {
            let progress = Progress {
                elapsed: span * *look / looks,
                answered: u64::from(*look) * per_look,
                ..Progress::default()
            };
            let before = display.next;
            display.show(progress, false);
            display.next != before
        });
        shown.count()
    }

    /// Neither more requests nor more looks at the run make more pictures.
    #[test]
    fn pictures_follow_the_clock_and_not_the_requests() {
        for looks in [300, 30_000] {
            for per_look in [0, 1, 1_000_000] {
                assert_eq!(pictures(Surface::Nothing, looks, per_look), 20);
            }
        }
    }
}
