//! What sessions read from the store: one thread, so that no connection waits for a disk.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dockside_mqtt::{PacketId, QoS};
use dockside_store::{Error, Exchange, Queued, Reader, Seq};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::live_log::{LiveLog, Watch};
use crate::mailbox::{Chunk, Mailbox};
use crate::message::{Delivery, Message, Origin};
use crate::record::{Instance, Published};
use crate::retained::Room;
use crate::sessions::Session;

/// Messages read at once for one session, and about their bytes: others have their turn between.
const MESSAGES: usize = 256;
const BYTES: usize = 256 << 10;

/// Between two tries when the store cannot be read.
const RETRY: Duration = Duration::from_millis(250);

/// The way to the thread. What is asked for is bounded by the sessions: each asks for one thing.
pub(crate) struct Reading {
    asked: Mutex<Sender<Asked>>,
}

enum Asked {
    Chunk { session: Instance, from_to: (Seq, Seq), mailbox: Arc<Mailbox> },
    UnderWay { session: Instance, answer: oneshot::Sender<UnderWay> },
}

/// What was under way between a session and its client.
struct UnderWay {
    exchanges: Vec<Exchange>,
    incoming: Vec<u16>,
}

impl Reading {
    /// Starts the thread; it ends with the value.
    pub(crate) fn start(
        reader: Reader,
        clock: Arc<Clock>,
        log: Arc<LiveLog>,
    ) -> std::io::Result<Self> {
        let (sender, asked) = mpsc::channel();
        thread::Builder::new().name("reading".to_owned()).spawn(move || {
            let _watch = Watch::new(&log);
            serve(&reader, &clock, &asked);
        })?;
        Ok(Self { asked: Mutex::new(sender) })
    }

    /// Asks for messages of a session's queue behind one message, up to another; they come into its
    /// mailbox.
    pub(crate) fn chunk(&self, session: Instance, from_to: (Seq, Seq), mailbox: &Arc<Mailbox>) {
        self.ask(Asked::Chunk { session, from_to, mailbox: Arc::clone(mailbox) });
    }

    /// Gives a session from before a restart what was under way.
    pub(crate) async fn resume(&self, id: Instance, session: &mut Session, clock: &Clock) {
        let (answer, answered) = oneshot::channel();
        self.ask(Asked::UnderWay { session: id, answer });
        // Without an answer the thread is gone, and with it the process.
        let Ok(UnderWay { exchanges, incoming }) = answered.await else { return };
        for id in incoming.into_iter().filter_map(PacketId::new) {
            session.incoming.restore(id);
        }
        for exchange in exchanges {
            let (Some(id), Some(qos)) =
                (PacketId::new(exchange.packet_id), QoS::from_bits(exchange.qos))
            else {
                continue;
            };
            let message = exchange.message.map(|message| delivery(&message, clock));
            let size = message.as_ref().map_or(0, |delivery| delivery.message.size());
            session.outgoing.restore(id, qos, message, size);
        }
        session.outgoing.resend_all();
    }

    fn ask(&self, asked: Asked) {
        // The thread ends only with this value.
        let _ = self.asked.lock().expect("no panic while it is held").send(asked);
    }
}

/// Answers until nobody can ask any more. Whoever cannot be answered now is asked for again, with others in
/// between.
fn serve(reader: &Reader, clock: &Clock, asked: &Receiver<Asked>) {
    let mut again: Vec<Asked> = Vec::new();
    let mut next_try = Instant::now();
    loop {
        let next = if again.is_empty() {
            asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            asked.recv_timeout(next_try.saturating_duration_since(Instant::now()))
        };
        match next {
            Ok(next) => {
                let was_empty = again.is_empty();
                if let Some(unanswered) = unanswered(answer(reader, clock, next), was_empty) {
                    // A session asks for one thing at a time: what it asked for before is for nobody.
                    again.retain(|other| other.session() != unanswered.session());
                    again.push(unanswered);
                    if was_empty {
                        next_try = Instant::now() + RETRY;
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if !again.is_empty() && Instant::now() >= next_try {
            for next in std::mem::take(&mut again) {
                again.extend(unanswered(answer(reader, clock, next), false));
            }
            next_try = Instant::now() + RETRY;
        }
    }
}

impl Asked {
    fn session(&self) -> Instance {
        match self {
            Self::Chunk { session, .. } | Self::UnderWay { session, .. } => *session,
        }
    }
}

/// What could not be answered, if it was not; said where that is new.
fn unanswered(answered: Result<(), (Asked, Error)>, is_new: bool) -> Option<Asked> {
    let (asked, error) = answered.err()?;
    if is_new {
        tracing::error!(
            %error,
            "the store cannot be read: sessions wait for their messages; see to its disk, or restore a backup"
        );
    }
    Some(asked)
}

fn answer(reader: &Reader, clock: &Clock, asked: Asked) -> Result<(), (Asked, Error)> {
    match asked {
        Asked::Chunk { session, from_to, mailbox } => {
            match reader.chunk(session, from_to, (MESSAGES, BYTES)) {
                Ok(chunk) => {
                    give(&mailbox, &chunk, from_to, clock);
                    Ok(())
                }
                Err(error) => Err((Asked::Chunk { session, from_to, mailbox }, error)),
            }
        }
        // Its client has gone, and may have come again.
        Asked::UnderWay { answer, .. } if answer.is_closed() => Ok(()),
        Asked::UnderWay { session, answer } => {
            let read = reader.exchanges(session).and_then(|exchanges| {
                Ok(UnderWay { exchanges, incoming: reader.incoming(session)? })
            });
            match read {
                Ok(read) => {
                    // It may be gone by now.
                    let _ = answer.send(read);
                    Ok(())
                }
                Err(error) => Err((Asked::UnderWay { session, answer }, error)),
            }
        }
    }
}

fn give(mailbox: &Mailbox, chunk: &dockside_store::Chunk, from_to: (Seq, Seq), clock: &Clock) {
    let last = chunk.messages.last().map_or(from_to.0, |last| last.seq);
    let deliveries = chunk.messages.iter().map(|message| delivery(message, clock)).collect();
    mailbox.give(Chunk { deliveries, up_to: if chunk.is_last { from_to.1 } else { last } });
}

/// A message of the store, as a session gets it.
pub(crate) fn delivery(queued: &Queued, clock: &Clock) -> Delivery {
    let published = Published {
        publisher: 0,
        except_publisher: false,
        qos: QoS::from_bits(queued.published_qos).unwrap_or(QoS::AtLeastOnce),
        retain: queued.published_retain,
        room: Room::Unasked,
        expires_ms: queued
            .expires_ms
            .map_or(u64::MAX, |wall| clock.now_ms() + wall.saturating_sub(clock.kept_ms())),
        seq: queued.seq,
        topic: &queued.topic,
        read: None,
        properties: &queued.properties,
        payload: &queued.payload,
    };
    Delivery {
        message: Arc::new(Message::new(&published)),
        qos: QoS::from_bits(queued.qos).unwrap_or(QoS::AtLeastOnce),
        retain: queued.retain,
        origin: Origin::Published,
        subscription_ids: queued.identifiers.as_slice().into(),
    }
}
