//! The steps of messages on their way to and from sessions that are kept.

use dockside_store::{Error, Grant};

use super::Ledger;
use crate::keep::{Step, What};
use crate::record::Instance;

impl Ledger {
    /// A step of a message of a session that is kept.
    pub(crate) fn step(&mut self, step: &Step<'_>) -> Result<(), Error> {
        let (session, id) = (step.session, step.packet_id);
        match step.what {
            What::Done => {
                if !self.done(step.reader, step.seq)? && id != 0 {
                    self.complete(session, id)?;
                }
            }
            What::Sent => {
                let identifiers: Vec<u32> = step
                    .identifiers
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|id| u32::from_le_bytes(*id))
                    .collect();
                let (qos, retain) = (step.qos.bits(), step.retain);
                let grant = Grant { qos, retain, identifiers: &identifiers };
                // The order of the jobs is the order of sending; numbers of messages are not.
                self.last_seq += 1;
                let seq = (step.seq != 0).then_some(step.seq);
                let before = self.store.completed(session, id)?;
                self.store.sent(session, id, seq, self.last_seq, &grant)?;
                if let Some(before) = before.filter(|before| *before != step.seq) {
                    self.store.release(before)?;
                }
                self.done(step.reader, step.seq)?;
            }
            What::Received => {
                if let Some(seq) = self.store.received(session, id)? {
                    self.store.release(seq)?;
                }
            }
            What::Completed => self.complete(session, id)?,
            What::Arrived if self.is_kept(session) => self.store.arrived(session, id)?,
            What::Arrived => {}
            What::Released => self.store.released(session, id)?,
        }
        Ok(())
    }

    fn complete(&mut self, session: Instance, packet_id: u16) -> Result<(), Error> {
        match self.store.completed(session, packet_id)? {
            Some(seq) => self.store.release(seq),
            None => Ok(()),
        }
    }
}
