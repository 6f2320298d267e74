//! Who owns which client identifier. A session has one owner; the newest CONNECT wins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::mailbox::{Command, Mailbox};
use crate::record::Instance;

/// The owner of every client identifier that is connected.
#[derive(Default)]
pub(crate) struct Registry {
    owners: Mutex<Owners>,
}

#[derive(Default)]
struct Owners {
    by_client: HashMap<Arc<str>, Owner>,
    /// What everybody has been told, and whoever comes later is told too.
    told: Option<Command>,
}

struct Owner {
    instance: Instance,
    mailbox: Arc<Mailbox>,
    /// Resolves when the owner has let go.
    gone: oneshot::Receiver<()>,
}

/// The right to a client identifier; dropping it lets the next one have it.
pub(crate) struct Claim {
    registry: Arc<Registry>,
    client_id: Arc<str>,
    instance: Instance,
    // Dropped with the claim, which resolves `Owner::gone`.
    _alive: oneshot::Sender<()>,
}

impl Registry {
    /// Claims a client identifier. Whoever has it, or waits for it, is told to go
    /// ([`Command::TakenOver`]); the claim holds once that one has gone.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        client_id: Arc<str>,
        instance: Instance,
        mailbox: Arc<Mailbox>,
    ) -> Claim {
        let (alive, gone) = oneshot::channel();
        let owner = Owner { instance, mailbox, gone };
        let before = {
            let mut owners = self.owners();
            if let Some(command) = owners.told {
                owner.mailbox.command(command);
            }
            owners.by_client.insert(Arc::clone(&client_id), owner)
        };
        let claim = Claim { registry: Arc::clone(self), client_id, instance, _alive: alive };
        if let Some(before) = before {
            before.mailbox.command(Command::TakenOver);
            // An error is the good news: the sender was dropped.
            let _ = before.gone.await;
        }
        claim
    }

    /// Whether somebody has this client identifier.
    pub(crate) fn has(&self, client_id: &str) -> bool {
        self.owners().by_client.contains_key(client_id)
    }

    /// Tells every connection something, and every one that comes later.
    pub(crate) fn command_all(&self, command: Command) {
        let mut owners = self.owners();
        owners.told = Some(command);
        owners.by_client.values().for_each(|owner| owner.mailbox.command(command));
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().expect("no panic while it is held")
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let owners = &mut self.registry.owners().by_client;
        if owners.get(&self.client_id).is_some_and(|owner| owner.instance == self.instance) {
            owners.remove(&self.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;
    use crate::config::Limits;

    fn mailbox() -> Arc<Mailbox> {
        Arc::new(Mailbox::new(&Limits::default()))
    }

    fn told(mailbox: &Mailbox) -> Option<Command> {
        mailbox.take(&mut VecDeque::new(), Waker::noop()).command
    }

    #[tokio::test]
    async fn the_newest_wins_and_waits_for_the_one_before() {
        let registry = Arc::new(Registry::default());
        let id: Arc<str> = "dock".into();
        let boxes = [mailbox(), mailbox(), mailbox()];
        let first = registry.claim(Arc::clone(&id), 1, Arc::clone(&boxes[0])).await;
        let claim = |n: u64| {
            let (registry, id) = (Arc::clone(&registry), Arc::clone(&id));
            let mailbox = Arc::clone(&boxes[n as usize - 1]);
            tokio::spawn(async move { registry.claim(id, n, mailbox).await })
        };
        let second = claim(2);
        while told(&boxes[0]).is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(told(&boxes[0]), Some(Command::TakenOver));
        let third = claim(3);
        while told(&boxes[1]).is_none() {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished() && !third.is_finished());
        drop(first);
        drop(second.await.unwrap());
        let third = third.await.unwrap();
        assert_eq!(told(&boxes[2]), None);
        assert_eq!(registry.owners().by_client.len(), 1);
        drop(third);
        assert_eq!(registry.owners().by_client.len(), 0);
    }
}
