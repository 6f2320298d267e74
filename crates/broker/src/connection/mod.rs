//! One connection's task: the only place that touches its socket and its session.
//!
//! A turn is synchronous: look into the mailbox, release answers, read and handle what has come,
//! send what waits, write once. Between turns the task waits for whichever of them has something
//! to do. Buffers belong to the thread, not the connection: an idle connection keeps none.

mod aliases;
mod answers;
mod client;
mod deadlines;
mod ended;
mod ending;
mod filters;
mod inbound;
mod kept;
mod measure;
mod outbound;
mod pacing;
mod reading;
mod review;
mod subscriptions;
mod unsent;
mod writing;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dockside_mqtt::packet::Packet;
use dockside_mqtt::{PacketId, Version, codec};
use dockside_store::Seq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

use self::aliases::Aliases;
use self::answers::{Answer, Answers};
pub(crate) use self::client::Client;
use self::ended::Ended;
pub(crate) use self::ending::{Begins, SessionGuard, linger};
use self::filters::{Subscribing, TURN_FILTERS};
pub(crate) use self::kept::under_way;
use self::pacing::Pacing;
use self::reading::Reading;
pub(crate) use self::review::may_subscribe;
pub(crate) use self::subscriptions::Subscriptions;
use self::unsent::Unsent;
use self::writing::Written;
use crate::mailbox::{Command, Mailbox, Ticket};
use crate::message::Delivery;
use crate::metrics::Counts;
use crate::publish::{Batch, Shares};
use crate::record::Entry;
use crate::sessions::Session;
use crate::shared::Shared;

/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;

/// Bytes that may wait for the socket before reading and draining pause.
const UNSENT_BYTES: usize = 256 << 10;

/// The ticket of the job that begins a session, or gives it a new connection.
const BEGUN: Ticket = 1;

/// Bytes that a turn reads, or writes, before other tasks get theirs: some thousand small messages.
const TURN_BYTES: u64 = 64 << 10;

/// Rounds of a turn before other tasks get theirs.
const ROUNDS: usize = 16;

/// A connection after CONNECT.
pub(crate) struct Connection<S> {
    io: S,
    shared: Arc<Shared>,
    client: Client,
    mailbox: Arc<Mailbox>,
    guard: SessionGuard,
    session: Session,
    aliases: Aliases,
    answers: Answers,
    last_ticket: Ticket,
    /// QoS 0 messages follow the writer's until it has done this job, see [`Connection::publish`].
    fence: Ticket,
    /// Answers wait for this job, which is handed over with the batch.
    awaited: Ticket,
    /// QoS 2 messages that go out once their jobs are done.
    staged: VecDeque<(Ticket, PacketId)>,
    /// Where the session has asked to read on from in the store.
    asked: Option<Seq>,
    completed: Ticket,
    reading: Reading,
    /// What is next waits for its share of the way to the dispatcher.
    waits_for_share: bool,
    pacing: Option<Box<Pacing>>,
    /// What it has on its way to the dispatcher.
    shares: Shares,
    subscribing: Option<Box<Subscribing>>,
    /// Bytes of packets that are not whole or not handled yet.
    unread: Vec<u8>,
    /// Replies of plugins that the window has no room for yet; they go before the backlog.
    replies: VecDeque<Delivery>,
    /// Messages taken from the mailbox that are not sent yet.
    backlog: VecDeque<Delivery>,
    /// Held while publishes are accepted; dropped when the broker stops.
    accepting: Option<TaskTrackerToken>,
    unsent: Unsent,
    written: Written,
    /// Whether the transport has passed on all that it was given.
    flushed: bool,
    /// Something besides the rules has changed what it may do.
    review_asked: bool,
    last_read_ms: u64,
    began_ms: u64,
    /// When the last round began; reading a clock costs more than a small message.
    now_ms: u64,
    /// What is read now came with it.
    round_began: Instant,
}

/// Buffers of a thread, used by one turn at a time.
struct Scratch {
    read: Vec<u8>,
    out: Vec<u8>,
    batch: Batch,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        read: vec![0; READ_BYTES],
        out: Vec::with_capacity(READ_BYTES),
        batch: Batch::default(),
    });
}

/// What the parts of a turn fill.
struct Turn<'t> {
    out: &'t mut Vec<u8>,
    batch: &'t mut Batch,
    counts: Counts,
    /// Replies that go out, and when what they reply to was read.
    replied: Vec<(Instant, usize)>,
    /// Filters of SUBSCRIBEs that were looked at.
    filters: usize,
    waker: &'t Waker,
}

impl Turn<'_> {
    /// Writes a packet that is no message.
    fn answer(&mut self, packet: &Packet<'_>, version: Version) {
        let start = self.out.len();
        codec::encode(self.out, packet, version);
        self.counts.packets_sent.count(self.out[start]);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection whose client was let in.
    pub(crate) fn new(
        io: S,
        shared: Arc<Shared>,
        client: Client,
        mailbox: Arc<Mailbox>,
        guard: SessionGuard,
        (session, connack): (Session, Vec<u8>),
    ) -> Self {
        let accepting = Some(shared.accepting.token());
        let now_ms = shared.clock.now_ms();
        // The writer has begun or attached the session before its client hears of it: whatever is
        // published then finds it.
        let mut answers = Answers::default();
        answers.owe(BEGUN, Answer::Connack(connack));
        Self {
            io,
            mailbox,
            guard,
            session,
            aliases: Aliases::new(client.topic_aliases),
            answers,
            last_ticket: BEGUN,
            fence: 0,
            awaited: 0,
            staged: VecDeque::new(),
            asked: None,
            completed: 0,
            reading: Reading::Answer,
            pacing: Pacing::new(shared.config.limits.messages_per_second, now_ms),
            shares: Shares::default(),
            waits_for_share: false,
            subscribing: None,
            unread: Vec::new(),
            replies: VecDeque::new(),
            backlog: VecDeque::new(),
            accepting,
            unsent: Unsent::default(),
            written: Written::default(),
            flushed: true,
            // A session that was asleep may have subscriptions that are not allowed any more.
            review_asked: true,
            last_read_ms: now_ms,
            began_ms: now_ms,
            now_ms,
            round_began: Instant::now(),
            shared,
            client,
        }
    }

    /// Serves the client to its end. `rest` came behind the CONNECT.
    pub(crate) async fn run(mut self: Box<Self>, rest: Vec<u8>) {
        self.unread = rest;
        let alarm = self.client.keep_alive.map(tokio::time::sleep);
        let mut alarm = pin!(alarm);
        let mut token = self.token_timer();
        let ended = std::future::poll_fn(|cx| {
            let turn = SCRATCH.with_borrow_mut(|scratch| self.turn(cx, scratch));
            match turn {
                Poll::Ready(ended) => Poll::Ready(ended),
                Poll::Pending => match self.keep_alive(cx, alarm.as_mut().as_pin_mut()) {
                    Poll::Ready(ended) => Poll::Ready(ended),
                    Poll::Pending => self.token_end(cx, token.as_mut()),
                },
            }
        })
        .await;
        // Boxed: no connection's task holds all its life what its end takes.
        Box::pin(self.end(ended)).await;
    }

    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<Ended> {
        let Scratch { read, out, batch } = scratch;
        // A turn that panicked leaves its buffers as they were: its bytes are nobody else's, but
        // the messages it had accepted are everybody's.
        out.clear();
        batch.hand_over(&self.shared, (0, None), None);
        let mut turn = Turn {
            out,
            batch,
            counts: Counts::default(),
            replied: Vec::new(),
            filters: 0,
            waker: cx.waker(),
        };
        let mut outcome = Ok(true);
        let mut rounds = 0;
        while let Ok(true) = outcome {
            let moved = turn.counts.bytes_received.max(turn.counts.bytes_sent);
            if rounds == ROUNDS || moved >= TURN_BYTES || turn.filters >= TURN_FILTERS {
                cx.waker().wake_by_ref();
                break;
            }
            rounds += 1;
            outcome = self.round(cx, read, &mut turn);
            // Whatever a packet said before the one that ended the connection holds.
            self.hand_over(&mut turn);
        }
        turn.out.clear();
        turn.out.shrink_to(4 * READ_BYTES);
        let mut counts = turn.counts;
        self.shared.sys.add(&counts);
        self.shared.metrics.add(&mut counts);
        self.guard
            .inflight([self.session.incoming.outstanding(), self.session.outgoing.len() as u32]);
        match outcome {
            Ok(_) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        }
    }

    /// One round of a turn; `true` if it is worth another one.
    fn round(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut [u8],
        turn: &mut Turn<'_>,
    ) -> Result<bool, Ended> {
        self.round_began = Instant::now();
        self.now_ms = self.shared.clock.at(self.round_began.into_std());
        self.check_token()?;
        let taken = self.mailbox.take(&mut self.backlog, &mut self.session.cursor, turn.waker);
        let stopping = self.obey(taken.command)?;
        self.completed = taken.completed;
        if taken.is_asked {
            self.measure();
        }
        self.review_asked |= taken.review;
        self.review(turn)?;
        if taken.refused_shared {
            turn.batch.order(&Entry::Awake(self.client.instance));
        }
        self.read_store(taken.read_to);
        self.release_answers(taken.completed, turn)?;
        self.release_staged(turn);
        let handled = self.read(cx, read, turn);
        if let Err(ended) = handled {
            // The answers of what came before go out first, as far as the socket takes them.
            self.unsent.push(turn.out);
            turn.out.clear();
            return Err(ended);
        }
        let sent = self.drain_backlog(turn);
        let was_blocked = !self.unsent.is_empty();
        self.write(cx, turn)?;
        for (read, count) in turn.replied.drain(..) {
            let took = read.elapsed();
            self.shared.metrics.reply_duration.record_many(took.as_secs_f64(), count);
            self.shared.latency.record(took, count);
        }
        // A socket that has taken everything wakes nobody: what waited for it goes on now.
        let more = handled? || (self.unsent.is_empty() && (sent || was_blocked));
        // Not `more`: a client that goes on sending is not waited for.
        if stopping && !sent && self.has_sent_everything() {
            return Err(Ended::Told(Command::Stop));
        }
        Ok(more)
    }

    /// Follows a command; `true` if the connection ends as soon as everything is written.
    fn obey(&mut self, command: Option<Command>) -> Result<bool, Ended> {
        match command {
            None => Ok(false),
            Some(command) if command.ends() => Err(Ended::Told(command)),
            Some(command) => {
                if self.accepting.is_some() {
                    self.guard.publish_will();
                    // Everything accepted before has been handed over with its round.
                    self.accepting = None;
                }
                Ok(command == Command::Stop)
            }
        }
    }
}
