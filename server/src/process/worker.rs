//! The worker's side: take over what the master sends, serve, and never outlive the master.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread;

use cli::exit;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, info_span};

use super::channel::{Channel, Greeting, Inheritance, Task, Word};
use super::connection;
use super::handoff::Handoff;
use crate::board::{Board, Slot};
use crate::config::{Accept, Config, Fault};
use crate::conn::Shared;
use crate::executor::Context;
use crate::gate::Gate;
use crate::limits::processors;
use crate::listener::{ListenEnd, Listener, Tenure};
use crate::pulse::{self, Pulse};
use crate::run::serve;
use crate::sandbox::{self, Sandbox};
use crate::signals::WorkerSignals;
use crate::source::Source;
use crate::stop::Stop;
use crate::wear::Wear;
use crate::{escape, log};

/// Serves as the master says, over standard input: as a worker of its pool, or one connection.
/// Returns the exit code.
///
/// # Errors
///
/// When standard input is no master, or serving is impossible.
pub(crate) fn run() -> io::Result<u8> {
    let channel = Channel::from(io::stdin().as_fd().try_clone_to_owned()?);
    match channel.task()? {
        Task::Pool(greeting, inheritance) => {
            serve_pool(channel, greeting, inheritance).map(|()| exit::SUCCESS)
        }
        Task::Connection(handover, legacy) => connection::run(channel, handover, legacy),
    }
}

fn serve_pool(
    channel: Channel,
    greeting: Greeting,
    inheritance: Inheritance<OwnedFd>,
) -> io::Result<()> {
    if !die_with(greeting.master)? {
        return Ok(());
    }
    let Greeting {
        slot,
        slots,
        config,
        master,
        worker,
        log,
        ..
    } = greeting;
    log::init(log);
    let name = format!("worker-{slot}");
    // What `ps` shows; a name with a NUL is impossible here.
    let _ = std::ffi::CString::new(name.as_str()).map(|name| rustix::thread::set_name(&name));
    let stop = Stop::new()?;
    let signals = WorkerSignals::prepare()?;
    config.fault.iter().try_for_each(Fault::strike_at_start)?;
    let board = Arc::new(Board::open_all(inheritance.board, slots, &config)?);
    board[slot].take_over(std::process::id());
    let gate = Gate::from(inheritance.gate);
    let (source, seats, end) = source(&config, inheritance.source, inheritance.seats)?;
    if let Some(Fault::EscapeOn(_)) = config.fault {
        escape::aim(master)?;
    }
    if !lock_in(&config, master, &channel, &board[slot])? {
        return Ok(());
    }
    signals.listen(&stop)?;
    let channel = Arc::new(channel);
    let shared = watched(&config, stop.clone(), board, slot, &channel)?;
    let starting = shared.pulse.enroll();
    starting.begin();
    let cx = Context {
        sources: vec![source],
        end,
        gate,
        seats,
        worker,
        shared,
    };
    let _span = info_span!("worker", slot).entered();
    obey(Arc::clone(&channel), stop)?;
    serve(cx, None, || {
        starting.settle();
        tell(&channel, Word::Ready);
    })?;
    Ok(())
}

/// Locks this process in, as far as it is asked for. What it needs is open, and it has no second
/// thread yet. False when the master is dead already.
fn lock_in(config: &Config, master: u32, channel: &Channel, slot: &Slot) -> io::Result<bool> {
    if config.sandbox == Sandbox::Off {
        return Ok(true);
    }
    // What is looked up in files once has to be looked up now.
    processors();
    let _ = clock_gettime(ClockId::Monotonic);
    // Who changes its rights may have lost the tie to its parent, and cannot tie it anew later.
    let mut alive = Ok(true);
    let confined = sandbox::enter(config, || alive = die_with(master))?;
    if !alive? {
        return Ok(false);
    }
    slot.set_sandbox(confined.level);
    if let Some(reports) = &confined.reports {
        channel.say_with(Word::Confined, reports.as_fd())?;
    }
    confined.close()?;
    Ok(true)
}

/// What the connections of a worker have in common, with somebody who watches over them.
fn watched(
    config: &Config,
    stop: Stop,
    board: Arc<Board>,
    slot: usize,
    master: &Arc<Channel>,
) -> io::Result<Arc<Shared>> {
    let mut shared = Shared::new(config.inside_worker(), stop, board, slot)?.without_thread_slots();
    let before = shared.home_slot().counters().requests;
    let (worn, hung) = (Arc::clone(master), Arc::clone(master));
    shared.wear = Wear::of(&config.life, before, move || tell(&worn, Word::Worn));
    shared.pulse = Pulse::new(config.life.hang_timeout);
    let shared = Arc::new(shared);
    pulse::start(&shared, "--hang-timeout", move || tell(&hung, Word::Hung))?;
    Ok(shared)
}

/// A master that is gone has ended this worker by other means.
fn tell(master: &Channel, word: Word) {
    let _ = master.say(word);
}

/// Where this worker's connections come from; its places, where it takes them itself; and the end of
/// what is its own.
fn source(
    config: &Config,
    source: OwnedFd,
    seats: Option<OwnedFd>,
) -> io::Result<(Source, Option<Gate>, Option<ListenEnd>)> {
    if config.accept == Accept::Handoff {
        let source = Source::Handoff(Handoff::new(source, seats.map(Gate::from)));
        let end = ListenEnd::of(vec![source.try_clone()?], Tenure::ours());
        return Ok((source, None, Some(end)));
    }
    let seats = config.seats();
    let source = Source::Listener(Listener::from_fd(source)?);
    // The listener is the master's to end.
    Ok((source, seats.map(Gate::new).transpose()?, None))
}

/// Ties this process to its parent's life; false when that parent is dead already.
pub(super) fn die_with(parent: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the line above took effect.
    Ok(getppid()
        .map(Pid::as_raw_nonzero)
        .map(|pid| pid.get().cast_unsigned())
        == Some(parent))
}

/// Follows the master's words on a thread of its own; its death is the last of them.
pub(super) fn obey(channel: Arc<Channel>, stop: Stop) -> io::Result<()> {
    thread::Builder::new()
        .name("orders".into())
        .spawn(move || {
            while let Ok(Some(word)) = channel.hear() {
                match word {
                    Word::Drain => stop.drain(),
                    Word::Cut => stop.cut(),
                    // No order.
                    Word::Confined
                    | Word::Ready
                    | Word::Worn
                    | Word::Hung
                    | Word::Answered
                    | Word::Yours => {}
                }
            }
            debug!("the master is gone");
            stop.cut();
        })?;
    Ok(())
}
