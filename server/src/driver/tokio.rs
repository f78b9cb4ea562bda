//! A connection as a task: one poll reads, echoes and goes to sleep again.
//!
//! Readiness first: the bytes pass through a buffer of the thread, and a connection keeps bytes
//! of its own only while it has to wait for a payment or for a peer that does not take them.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

pub(crate) use self::calls::Calls;
use self::calls::Place;
use super::{LARGE_BYTES, room};
use crate::conn::Ticket;
use crate::machine::{Ended, Machine, Next, Patience, Watch};
use crate::pulse::{Beat, Pulse};
use crate::stop::Phase;
use crate::work::Cost;

mod calls;

/// A limit is watched in this many ticks, so that no request has to look at the clock or move a
/// timer: silence ends after one to one and a quarter times the limit.
const TICKS: u32 = 8;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(super::scratch());
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

/// How often idle connections have to be [called](Calls::by_turns) for a limit on their silence.
pub(crate) fn round(idle_timeout: Duration) -> Duration {
    idle_timeout / TICKS
}

/// One connection, which as a task is served to its end.
///
/// A future by hand and no `async fn`: that keeps what it moves to its own variables twice, and
/// an idle client costs what its task takes.
pub(crate) struct Session<S> {
    // Dropped in this order: the socket is closed, then its permit is returned, and only then does
    // nobody wait for it any more.
    stream: S,
    ticket: Ticket,
    place: Place,
    machine: Machine,
    watch: Watch,
    /// Whether bytes moved since the last tick.
    moved: bool,
    /// None while it is idle.
    waiting: Option<Box<Waiting>>,
}

/// What a connection needs only while it waits for something else than what an idle peer may say.
#[derive(Default)]
struct Waiting {
    /// Unanswered bytes.
    kept: Vec<u8>,
    payment: Option<Payment>,
    /// For the limit on this wait, if it has one.
    timer: Option<Pin<Box<Sleep>>>,
}

type Payment = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> Future for Session<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let session = self.get_mut();
        let ended = std::task::ready!(session.run(cx));
        session.ticket.conclude(ended);
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + AsFd + Unpin> Session<S> {
    /// A connection that was just accepted. Its task is called by `calls`: at every change of the
    /// stop's phase, and in [rounds](round) if there is a limit on silence.
    pub(crate) fn new(stream: S, ticket: Ticket, calls: &Arc<Calls>) -> Self {
        Self {
            stream,
            place: Place::new(calls, ticket.id),
            machine: ticket.begin(),
            watch: Watch::new(Instant::now().into_std()),
            moved: false,
            waiting: None,
            ticket,
        }
    }

    fn run(&mut self, cx: &mut TaskContext<'_>) -> Poll<Ended> {
        with_beat(Beat::begin);
        let mut is_tick = self.place.was_called(cx.waker());
        loop {
            self.observe_stop();
            let (ended, progress) = self.advance(cx);
            if let Some(ended) = ended {
                return Poll::Ready(ended);
            }
            self.moved |= progress;
            if self.watch.is_outdated(&self.machine) {
                self.watch.follow(&self.machine, Instant::now().into_std());
                self.moved = false;
                self.set_timer();
            }
            if let Some(timer) = self.timer() {
                is_tick |= timer.as_mut().poll(cx).is_ready();
            }
            if !std::mem::take(&mut is_tick) {
                return Poll::Pending;
            }
            let now = Instant::now();
            self.on_tick(now.into_std());
            let length = self.tick_length();
            if let Some((timer, length)) = self.timer().zip(length) {
                timer.as_mut().reset(now + length);
            }
        }
    }

    /// Does what can be done now; tells whether it is over and whether bytes moved.
    fn advance(&mut self, cx: &mut TaskContext<'_>) -> (Option<Ended>, bool) {
        BUFFER.with_borrow_mut(|shared| {
            let (mut progress, mut read_bytes) = (false, 0);
            loop {
                let waiting = self.waiting.as_mut();
                let mut kept = waiting.map_or_else(Vec::new, |it| std::mem::take(&mut it.kept));
                let buffer = if kept.is_empty() {
                    shared.as_mut_slice()
                } else {
                    &mut kept
                };
                let step = match self.machine.next(self.ticket.work(), buffer) {
                    Next::Close(ended) => return (Some(ended), progress),
                    Next::Read if read_bytes < LARGE_BYTES => {
                        let step = self.read(cx, shared);
                        read_bytes += self.machine.unanswered().len();
                        step
                    }
                    Next::Read => {
                        // It had its share: the others first.
                        cx.waker().wake_by_ref();
                        Poll::Pending
                    }
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
                        self.waiting().kept = kept;
                    } else if step.is_pending() {
                        self.waiting().kept = shared[unanswered].to_vec();
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
        let buffer = &mut buffer[..room(self.machine.last_read_bytes())];
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
        let begun = self.waiting.as_mut().and_then(|it| it.payment.take());
        if let Some(mut payment) = begun.or_else(|| self.begin_payment(cost))
            && payment.as_mut().poll(cx).is_pending()
        {
            self.waiting().payment = Some(payment);
            return Poll::Pending;
        }
        self.machine.paid();
        Poll::Ready(())
    }

    /// What is to be waited for, if it is not paid already.
    fn begin_payment(&self, cost: Cost) -> Option<Payment> {
        match cost {
            Cost::Free => None,
            Cost::Wait(time) => Some(Box::pin(sleep(time))),
            Cost::Compute(time) => {
                let (done, paid) = oneshot::channel();
                let payer = &self.ticket.shared.payer;
                if payer.offload(time, move || done.send(()).unwrap_or(())) {
                    return Some(Box::pin(async move { drop(paid.await) }));
                }
                // Nothing else runs on this thread meanwhile: what not to do, shown.
                payer.burn(time);
                None
            }
        }
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    fn is_paying(&self) -> bool {
        let waiting = self.waiting.as_ref();
        waiting.is_some_and(|it| it.payment.is_some())
    }

    fn timer(&mut self) -> Option<&mut Pin<Box<Sleep>>> {
        self.waiting.as_mut()?.timer.as_mut()
    }

    /// Sets the timer for what is waited for from now on.
    fn set_timer(&mut self) {
        if self.watch.patience() == Patience::Idle {
            self.waiting = None;
        } else {
            let timer = self.tick_length().map(|length| Box::pin(sleep(length)));
            self.waiting().timer = timer;
        }
    }

    fn observe_stop(&mut self) {
        match self.ticket.shared.stop.phase() {
            Phase::Serving => {}
            Phase::Draining => self.machine.drain(),
            Phase::Cutting => {
                self.machine.cut();
                if let Some(waiting) = &mut self.waiting {
                    waiting.payment = None;
                }
            }
        }
    }

    fn on_tick(&mut self, now: std::time::Instant) {
        // A payment is the server's own time, not the peer's silence.
        if std::mem::take(&mut self.moved) || self.is_paying() {
            self.watch.restart(now);
        }
        let limits = &self.ticket.shared.config.limits;
        if let Some(verdict) = self.watch.verdict(&mut self.machine, limits, now) {
            self.watch.give_up(&mut self.machine, verdict, now);
        }
    }

    /// How often it has to be looked whether the present wait has lasted too long; none if there is
    /// no limit, and for idleness.
    fn tick_length(&self) -> Option<Duration> {
        let limits = &self.ticket.shared.config.limits;
        let patience = Some(self.watch.patience()).filter(|patience| *patience != Patience::Idle);
        Some(patience?.shortest(limits)? / TICKS)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::fixture;
    use crate::mode::Mode;
    use std::future::poll_fn;
    use std::io::Write;
    use std::os::fd::OwnedFd;
    use tokio::net::{TcpStream, UnixStream};
    use tokio::runtime::Builder;

    #[test]
    fn the_task_of_a_connection_takes_280_bytes_at_most() {
        // With what tokio adds that is 384 bytes: the next size is 512, and each idle client costs it.
        let bytes = size_of::<Session<TcpStream>>();
        assert!(bytes <= 280, "{bytes}");
    }

    #[test]
    fn who_has_more_to_say_than_a_share_lets_the_others_go_first() {
        let (socket, ticket, mut peer) = fixture::connection(Mode::Async);
        socket.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = peer.write(&[7; 16 * 1024]) {
            written += count;
        }
        if written <= 2 * LARGE_BYTES {
            println!("SKIPPED: the kernel holds {written} bytes only (net.core.wmem_max)");
            return;
        }
        let shared = Arc::clone(&ticket.shared);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let first = runtime.block_on(async {
            let stream = UnixStream::from_std(OwnedFd::from(socket).into()).unwrap();
            stream.readable().await.unwrap();
            let mut session = Session::new(stream, ticket, &Arc::new(Calls::new()));
            poll_fn(|cx| Poll::Ready(Pin::new(&mut session).poll(cx))).await
        });
        let echoed = shared.slot().counters().bytes;
        let share = LARGE_BYTES as u64..2 * LARGE_BYTES as u64;
        assert!(first.is_pending() && share.contains(&echoed), "{echoed}");
    }
}
