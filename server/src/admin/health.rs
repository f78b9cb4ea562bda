//! Whether it lives, and whether it can be given work.

use std::time::Duration;

use tokio::time::{interval, timeout};

use crate::orders::Orders;
use crate::status::{Observer, State};

/// How long whoever leads may take to answer a knock: longer than anything that he does at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether he did.
const LOOK: Duration = Duration::from_millis(5);

/// Whether whoever leads the server still comes when he is called. Without him nobody replaces
/// workers, and no signal is carried out; only a restart helps then.
pub(super) async fn lives(orders: &Orders, patience: Duration) -> bool {
    let before = orders.looks();
    orders.knock();
    let answer = async {
        let mut looks = interval(LOOK);
        while orders.looks() == before {
            looks.tick().await;
        }
    };
    timeout(patience, answer).await.is_ok()
}

/// Why it takes no clients just now, if so.
pub(super) fn not_ready(observer: &Observer) -> Option<String> {
    let status = observer.status();
    let ready = status
        .workers
        .iter()
        .filter(|one| one.state == State::Ready);
    match (status.state, ready.count()) {
        (State::Ready, 1..) => None,
        (State::Ready, 0) => Some("no worker is ready".into()),
        (State::Starting, count) => Some(format!(
            "starting: {count} of {} workers are ready",
            status.workers_wanted
        )),
        (state, _) => Some(state.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Stop;
    use std::os::fd::AsFd;
    use std::thread;

    #[tokio::test]
    async fn who_comes_when_there_is_a_knock_lives() {
        let orders = Orders::new().unwrap();
        assert!(!lives(&orders, LOOK).await, "nobody leads");
        orders.take();
        let leads = orders.clone();
        let leader = thread::spawn(move || {
            while Stop::wait_readable(leads.as_fd(), leads.as_fd(), None).is_err() {}
            leads.take();
        });
        assert!(lives(&orders, PATIENCE).await);
        leader.join().unwrap();
    }
}
