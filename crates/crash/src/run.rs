//! The rounds: load, a kill, what it must have left, and so on with the same data.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::Broker;
use crate::clients::{self, SUBSCRIBERS};
use crate::finding::Finding;
use crate::looks;
use crate::random::Random;
use crate::shared::{Load, Shared, State};

/// Shortest time under load.
const SHORTEST: Duration = Duration::from_millis(50);

/// A subscriber that is to be offline at a kill goes this long before it at most: what waits for it stays
/// far from the limits of the broker.
const HELD: Duration = Duration::from_secs(2);

/// Acknowledgements and answers by which load is flowing.
const FLOWING: u64 = 40;

/// In one of so many rounds the broker is killed again right after its start.
const AGAIN_ONE_IN: usize = 4;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Kills or, if `cut`, cuts of all connections.
    pub(crate) strikes: u32,
    pub(crate) cut: bool,
    /// Longest time under load.
    pub(crate) longest: Duration,
}

/// How it went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) round: u32,
    pub(crate) summary: String,
    pub(crate) findings: Vec<Finding>,
}

/// A run.
#[derive(Debug)]
pub(crate) struct Run {
    plan: Plan,
    broker: Broker,
    shared: Arc<Shared>,
    random: Random,
    round: u32,
    strikes: u32,
    /// Strikes that found a durable session offline.
    strikes_offline: u32,
    restarts: Vec<Duration>,
}

impl Run {
    pub(crate) fn new(plan: Plan, broker: Broker) -> Self {
        Self {
            shared: Arc::new(Shared::new(broker.address(), plan.cut, State::default())),
            random: Random::of(plan.seed, "run"),
            plan,
            broker,
            round: 0,
            strikes: 0,
            strikes_offline: 0,
            restarts: Vec::new(),
        }
    }

    /// All rounds, until the first one that finds something.
    pub(crate) async fn run(mut self) -> Outcome {
        if let Err(error) = self.rounds().await {
            self.shared.report(Finding::Broker(format!("failed: {error}")));
        }
        Outcome {
            round: self.round,
            summary: self.summary(),
            findings: self.shared.book(|state| state.ledger.findings().to_vec()),
        }
    }

    async fn rounds(&mut self) -> io::Result<()> {
        self.broker.start().await?;
        // The clients end with it.
        let _clients = clients::spawn(&self.shared, self.plan.seed);
        if !self.shared.wait_until(|state| state.ledger.all_subscribed()).await {
            self.shared.report(Finding::Stuck("not every subscriber has its SUBACK".to_owned()));
        }
        while self.is_clean() && self.strikes < self.plan.strikes {
            self.round += 1;
            self.round().await?;
        }
        Ok(())
    }

    fn is_clean(&self) -> bool {
        self.shared.book(|state| state.ledger.findings().is_empty())
    }

    async fn round(&mut self) -> io::Result<()> {
        let done = |state: &State| {
            let counts = state.ledger.counts();
            counts.acknowledged + counts.events
        };
        let before = self.shared.book(|state| done(state));
        self.shared.order(|orders| {
            (orders.load, orders.roam) = (Load::Flow, true);
            orders.phase += 1;
        });
        if !self.shared.wait_until(|state| done(state) >= before + FLOWING).await {
            self.shared.report(Finding::Stuck("load does not flow".to_owned()));
        }
        let after = self.random.between(SHORTEST, self.plan.longest);
        self.until_the_instant(after).await;
        let mut line =
            format!("round {}: {} after {} ms", self.round, self.verb(), after.as_millis());
        self.strike(&mut line).await?;
        if self.strikes < self.plan.strikes && self.random.one_in(AGAIN_ONE_IN) {
            let after = self.random.millis(0, 50);
            sleep(after).await;
            let _ = write!(line, ", again after {} ms", after.as_millis());
            self.strike(&mut line).await?;
        }
        // Before their publisher is back: what it sends again would cover what was lost.
        self.check_retained().await;
        self.settle().await;
        self.check().await;
        let counts = self.shared.book(|state| state.ledger.counts());
        println!("{line}; {} acknowledged, {} events", counts.acknowledged, counts.events);
        Ok(())
    }

    fn verb(&self) -> &'static str {
        if self.plan.cut { "cut" } else { "killed" }
    }

    /// Waits for the instant of the strike; in three of four rounds one of the subscribers is offline
    /// then.
    async fn until_the_instant(&mut self, after: Duration) {
        let instant = Instant::now() + after;
        if !self.round.is_multiple_of(4) {
            let held = self.random.below(SUBSCRIBERS.len());
            let before = self.random.between(Duration::ZERO, after.min(HELD));
            sleep_until(instant - before).await;
            self.shared.order(|orders| orders.held = Some(held));
            self.shared.wait_until(|state| state.offline().contains(&held)).await;
        }
        sleep_until(instant).await;
    }

    /// Kills the broker and starts it again, or has every connection cut.
    async fn strike(&mut self, line: &mut String) -> io::Result<()> {
        self.strikes += 1;
        let offline: Vec<&str> = self
            .shared
            .book(|state| state.offline().iter().map(|&number| SUBSCRIBERS[number].name).collect());
        self.strikes_offline += u32::from(!offline.is_empty());
        let _ = match offline.as_slice() {
            [] => write!(line, ", nobody offline"),
            some => write!(line, ", {} offline", some.join(" and ")),
        };
        self.shared.order(|orders| {
            orders.strikes += 1;
            orders.retain = false;
        });
        if !self.plan.cut {
            self.broker.kill()?.await?;
            let restart = self.broker.start().await?;
            self.restarts.push(restart);
            let _ = write!(line, ", back in {} ms", restart.as_millis());
        }
        Ok(())
    }

    async fn check_retained(&self) {
        match looks::retained(&self.shared).await {
            Ok(values) => self.shared.book(|state| state.ledger.check_retained(&values)),
            Err(error) => {
                let what = format!("a look at what is retained: {error}");
                self.shared.report(Finding::Stuck(what));
            }
        }
    }

    /// Has every client come back and complete what it began.
    async fn settle(&self) {
        let orders = self.shared.order(|orders| {
            (orders.load, orders.roam) = (Load::Finish, false);
            orders.phase += 1;
            (orders.held, orders.retain) = (None, true);
        });
        let settled =
            |state: &State| state.unfinished(orders.phase).is_empty() && state.ledger.drained();
        if !self.shared.wait_until(settled).await {
            let what = self.shared.book(|state| {
                let undelivered = state.ledger.undelivered();
                let unfinished = state.unfinished(orders.phase).join(", ");
                format!("{undelivered} deliveries are missing; unfinished: {unfinished}")
            });
            self.shared.report(Finding::Stuck(what));
        }
    }

    async fn check(&mut self) {
        self.shared.book(|state| state.ledger.check_messages());
        self.check_retained().await;
        let database = self.broker.database();
        // A broker that is not killed need not have one.
        if !self.plan.cut || database.exists() {
            match looks::history(&database) {
                Ok(history) => self.shared.book(|state| state.ledger.check_history(&history)),
                Err(error) => self.shared.report(Finding::NoHistory(error.to_string())),
            }
        }
        if let Some(status) = self.broker.ended() {
            self.shared.report(Finding::Broker(format!("ended by itself: {status}")));
        }
    }

    fn summary(&mut self) -> String {
        let counts = self.shared.book(|state| state.ledger.counts());
        self.restarts.sort_unstable();
        let of = |place: usize| self.restarts.get(place).map_or(0, Duration::as_millis);
        format!(
            "{} {}, {} with a durable session offline; {} messages acknowledged, {} deliveries \
             ({} repeated), {} events answered; restart {} ms in the median, {} ms at most",
            self.strikes,
            if self.plan.cut { "cuts" } else { "kills" },
            self.strikes_offline,
            counts.acknowledged,
            counts.deliveries,
            counts.repeats,
            counts.events,
            of(self.restarts.len() / 2),
            of(self.restarts.len().saturating_sub(1))
        )
    }
}
