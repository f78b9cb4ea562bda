//! A connection as a task: one poll reads, echoes and goes to sleep again.
//!
//! Readiness first: the bytes pass through a buffer of the thread, and a connection keeps bytes
//! of its own only while it has to wait for a payment or for a peer that does not take them.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, Sleep, sleep};

use super::BUFFER_BYTES;
use crate::conn::Ticket;
use crate::machine::{Ended, Machine, Next, Watch};
use crate::pulse::{Beat, Pulse};
use crate::stop::Phase;
use crate::work::Cost;

/// A limit is watched in this many ticks, so that no request has to look at the clock or move a
/// timer: silence ends after one to one and a quarter times the limit.
const TICKS: u32 = 4;
/// A timer that is not needed sleeps this long.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_BYTES]);
    static BEAT: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

/// Lets the calling thread, which runs tasks, be watched.
pub(crate) fn enroll(pulse: &Pulse) {
    BEAT.set(Some(pulse.enroll()));
}

/// Lets the calling thread say what it is doing.
pub(crate) fn with_beat(say: fn(&Beat)) {
    BEAT.with_borrow(|beat| beat.as_deref().map(say));
}

/// Serves one connection to its end. `phases` is notified whenever the stop's phase grows.
pub(crate) async fn serve<S>(stream: S, ticket: &Ticket, phases: &Notify) -> Ended
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin,
{
    let mut session = Session {
        stream,
        ticket,
        phases,
        machine: ticket.begin(),
        kept: Vec::new(),
        payment: None,
        watch: Watch::new(Instant::now().into_std()),
        moved: false,
        armed: false,
    };
    let mut phase = pin!(phases.notified());
    let mut tick = pin!(sleep(session.tick_length()));
    std::future::poll_fn(|cx| session.poll(cx, phase.as_mut(), tick.as_mut())).await
}

struct Session<'a, S> {
    stream: S,
    ticket: &'a Ticket,
    phases: &'a Notify,
    machine: Machine,
    /// Unanswered bytes, only across a wait.
    kept: Vec<u8>,
    payment: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    watch: Watch,
    /// Whether bytes moved since the last tick.
    moved: bool,
    /// Whether the timer and the phase know whom to wake.
    armed: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + AsFd + Unpin> Session<'a, S> {
    fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        mut phase: Pin<&mut Notified<'a>>,
        mut tick: Pin<&mut Sleep>,
    ) -> Poll<Ended> {
        with_beat(Beat::begin);
        loop {
            self.observe_stop();
            let (ended, progress) = self.advance(cx);
            if let Some(ended) = ended {
                return Poll::Ready(ended);
            }
            self.moved |= progress;
            if self.watch.is_outdated(&self.machine) {
                let now = Instant::now();
                self.watch.follow(&self.machine, now.into_std());
                self.moved = false;
                tick.as_mut().reset(now + self.tick_length());
            } else if progress && self.armed && !tick.is_elapsed() && self.is_serving() {
                // The common case: an echo, and nothing else has to be looked at.
                return Poll::Pending;
            }
            self.armed = true;
            let rung = tick.as_mut().poll(cx).is_ready();
            if rung {
                let now = Instant::now();
                self.on_tick(now.into_std());
                tick.as_mut().reset(now + self.tick_length());
            }
            let told = phase.as_mut().poll(cx).is_ready();
            if told {
                phase.set(self.phases.notified());
            }
            if !rung && !told {
                return Poll::Pending;
            }
        }
    }

    /// Does what can be done now; tells whether it is over and whether bytes moved.
    fn advance(&mut self, cx: &mut TaskContext<'_>) -> (Option<Ended>, bool) {
        BUFFER.with_borrow_mut(|shared| {
            let mut progress = false;
            loop {
                let mut kept = std::mem::take(&mut self.kept);
                let buffer = if kept.is_empty() {
                    shared.as_mut_slice()
                } else {
                    &mut kept
                };
                let step = match self.machine.next(self.ticket.work(), buffer) {
                    Next::Close(ended) => return (Some(ended), progress),
                    Next::Read => self.read(cx, shared),
                    Next::Discard => self.discard(cx, shared),
                    Next::Pay(cost) => self.pay(cx, cost),
                    Next::Write(range) => self.write(cx, &buffer[range]),
                    Next::Finish => self.finish(cx),
                    Next::Abandon => {
                        super::abandon(&self.stream);
                        self.machine.abandoned();
                        Poll::Ready(())
                    }
                };
                let unanswered = self.machine.unanswered();
                if !unanswered.is_empty() {
                    if !kept.is_empty() {
                        self.kept = kept;
                    } else if step.is_pending() {
                        self.kept = shared[unanswered].to_vec();
                        self.machine.moved_to_start();
                    }
                }
                match step {
                    Poll::Ready(()) => progress = true,
                    Poll::Pending => return (None, progress),
                }
            }
        })
    }

    fn read(&mut self, cx: &mut TaskContext<'_>, buffer: &mut [u8]) -> Poll<()> {
        let result = std::task::ready!(receive(&mut self.stream, cx, buffer));
        match result {
            Ok(0) => self.machine.ended(),
            Ok(count) => {
                self.ticket.received(&buffer[..count]);
                self.machine.received(&buffer[..count]);
            }
            Err(error) => self.machine.failed(error.kind()),
        }
        Poll::Ready(())
    }

    fn discard(&mut self, cx: &mut TaskContext<'_>, buffer: &mut [u8]) -> Poll<()> {
        match std::task::ready!(receive(&mut self.stream, cx, buffer)) {
            Ok(count) if count > 0 => {}
            _ => self.machine.ended(),
        }
        Poll::Ready(())
    }

    fn write(&mut self, cx: &mut TaskContext<'_>, bytes: &[u8]) -> Poll<()> {
        match std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, bytes)) {
            Ok(count) => {
                self.machine.wrote(count);
                self.ticket.answered();
            }
            Err(error) => self.machine.failed(error.kind()),
        }
        Poll::Ready(())
    }

    fn finish(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        // Fails only on a connection that is gone already, which the next read tells.
        let _ = std::task::ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        self.machine.finished();
        Poll::Ready(())
    }

    fn pay(&mut self, cx: &mut TaskContext<'_>, cost: Cost) -> Poll<()> {
        let payment = match (&mut self.payment, cost) {
            (Some(payment), _) => payment,
            (slot, Cost::Wait(time)) => slot.insert(Box::pin(sleep(time))),
            (slot, Cost::Compute(time)) => {
                let (done, paid) = oneshot::channel();
                let payer = &self.ticket.shared.payer;
                if payer.offload(time, move || done.send(()).unwrap_or(())) {
                    slot.insert(Box::pin(async move { drop(paid.await) }))
                } else {
                    // Nothing else runs on this thread meanwhile: what not to do, shown.
                    payer.burn(time);
                    self.machine.paid();
                    return Poll::Ready(());
                }
            }
            (_, Cost::Free) => {
                self.machine.paid();
                return Poll::Ready(());
            }
        };
        std::task::ready!(payment.as_mut().poll(cx));
        self.payment = None;
        self.machine.paid();
        Poll::Ready(())
    }

    fn observe_stop(&mut self) {
        match self.ticket.shared.stop.phase() {
            Phase::Serving => {}
            Phase::Draining => self.machine.drain(),
            Phase::Cutting => {
                self.machine.cut();
                self.payment = None;
            }
        }
    }

    fn is_serving(&self) -> bool {
        self.ticket.shared.stop.phase() == Phase::Serving
    }

    fn on_tick(&mut self, now: std::time::Instant) {
        // A payment is the server's own time, not the peer's silence.
        if std::mem::take(&mut self.moved) || self.payment.is_some() {
            self.watch.restart(now);
        }
        let limits = &self.ticket.shared.config.limits;
        if let Some(verdict) = self.watch.verdict(&mut self.machine, limits, now) {
            self.watch.give_up(&mut self.machine, verdict, now);
        }
    }

    fn tick_length(&self) -> Duration {
        let limits = &self.ticket.shared.config.limits;
        let limit = self.watch.patience().shortest(limits);
        limit.map_or(NEVER, |limit| limit / TICKS)
    }
}

fn receive(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut TaskContext<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    let result = std::task::ready!(Pin::new(stream).poll_read(cx, &mut buffer));
    Poll::Ready(result.map(|()| buffer.filled().len()))
}
