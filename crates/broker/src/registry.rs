//! Who owns which client identifier. A session has one owner; the newest CONNECT wins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::mailbox::{Command, Mailbox};
use crate::record::Instance;

/// Clients that are looked at under one lock.
const PIECE: usize = 256;

/// Connected clients that are shown for one address, which may be a site's router.
const NAMED_AT_MOST: usize = 100;

/// The owner of every client identifier that is connected.
#[derive(Default)]
pub(crate) struct Registry {
    owners: Mutex<Owners>,
}

#[derive(Default)]
struct Owners {
    /// In their order, so that a list of all can be read piece by piece.
    by_client: BTreeMap<Arc<str>, Owner>,
    /// What everybody has been told, and whoever comes later is told too.
    told: Option<Command>,
}

/// Who has a client identifier, or waits for it.
pub(crate) struct Owner {
    instance: Instance,
    mailbox: Arc<Mailbox>,
    user: Option<Arc<str>>,
    peer: SocketAddr,
    /// Resolves when the owner has let go.
    gone: Option<oneshot::Receiver<()>>,
}

impl Owner {
    pub(crate) fn new(
        instance: Instance,
        mailbox: Arc<Mailbox>,
        user: Option<Arc<str>>,
        peer: SocketAddr,
    ) -> Self {
        Self { instance, mailbox, user, peer, gone: None }
    }
}

/// Another user has this client identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InUse;

/// A client identifier that was claimed; its former owner may not have gone yet.
pub(crate) struct Pending {
    claim: Claim,
    before: Option<oneshot::Receiver<()>>,
}

impl Pending {
    /// Waits until the former owner has gone.
    pub(crate) async fn settled(self) -> Claim {
        if let Some(gone) = self.before {
            // An error is the good news: the sender was dropped.
            let _ = gone.await;
        }
        self.claim
    }
}

/// The right to a client identifier; dropping it lets the next one have it.
pub(crate) struct Claim {
    registry: Arc<Registry>,
    client_id: Arc<str>,
    instance: Instance,
    // Dropped with the claim, which resolves `Owner::gone`.
    _alive: oneshot::Sender<()>,
}

/// A connected client, as an engineer sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Connected {
    pub(crate) client_id: String,
    pub(crate) user: Option<String>,
    pub(crate) address: SocketAddr,
}

/// The owner of a client identifier, and how to reach it.
pub(crate) struct Seen {
    pub(crate) client_id: Arc<str>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) peer: SocketAddr,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Registry {
    /// Claims a client identifier. Whoever has it, or waits for it, is told to go
    /// ([`Command::TakenOver`]) [MQTT-3.1.4-3].
    ///
    /// # Errors
    /// [`InUse`]: it is another user's. A client identifier is no secret, so it takes over nothing
    /// of anybody else.
    pub(crate) fn claim(
        self: &Arc<Self>,
        client_id: Arc<str>,
        mut owner: Owner,
    ) -> Result<Pending, InUse> {
        let (alive, gone) = oneshot::channel();
        owner.gone = Some(gone);
        let instance = owner.instance;
        let before = {
            let mut owners = self.owners();
            let known = owners.by_client.get(&client_id);
            if known.is_some_and(|known| known.user != owner.user) {
                return Err(InUse);
            }
            if let Some(command) = owners.told {
                owner.mailbox.command(command);
            }
            owners.by_client.insert(Arc::clone(&client_id), owner)
        };
        let claim = Claim { registry: Arc::clone(self), client_id, instance, _alive: alive };
        let before = before.and_then(|before| {
            before.mailbox.command(Command::TakenOver);
            before.gone
        });
        Ok(Pending { claim, before })
    }

    /// Claims a client identifier that somebody has for the broker itself, in the name of its user: whoever has it, or
    /// waits for it, is told to go ([`Command::Kicked`]), and no other has it until the claim goes.
    pub(crate) fn kick(
        self: &Arc<Self>,
        client_id: &str,
        (instance, mailbox): (Instance, Arc<Mailbox>),
    ) -> Option<Pending> {
        let (alive, gone) = oneshot::channel();
        let mut owners = self.owners();
        let (client_id, known) = owners.by_client.get_key_value(client_id)?;
        let (client_id, user, peer) = (Arc::clone(client_id), known.user.clone(), known.peer);
        let owner = Owner { gone: Some(gone), ..Owner::new(instance, mailbox, user, peer) };
        let before = owners.by_client.insert(Arc::clone(&client_id), owner)?;
        drop(owners);
        let claim = Claim { registry: Arc::clone(self), client_id, instance, _alive: alive };
        before.mailbox.command(Command::Kicked);
        Some(Pending { claim, before: before.gone })
    }

    /// So many of the owners from this client identifier on, in their order.
    pub(crate) fn piece(&self, from: &str, count: usize) -> Vec<Seen> {
        let owners = self.owners();
        let range = (Bound::Included(from), Bound::Unbounded);
        let found = owners.by_client.range::<str, _>(range).take(count);
        let seen = found.map(|(client_id, owner)| Seen {
            client_id: Arc::clone(client_id),
            user: owner.user.clone(),
            peer: owner.peer,
            mailbox: Arc::clone(&owner.mailbox),
        });
        seen.collect()
    }

    /// Whether this user, or nobody, has this client identifier.
    pub(crate) fn is_owned_by(&self, client_id: &str, user: Option<&Arc<str>>) -> bool {
        self.owners().by_client.get(client_id).is_some_and(|owner| owner.user.as_ref() == user)
    }

    /// The connected clients that this text names: by client identifier, user or address.
    pub(crate) fn named(&self, query: &str) -> Vec<Connected> {
        let owners = self.owners();
        let named = owners.by_client.iter().filter(|(client_id, owner)| {
            let user = owner.user.as_deref().unwrap_or_default();
            client_id.eq_ignore_ascii_case(query)
                || user.eq_ignore_ascii_case(query)
                || owner.peer.ip().to_canonical().to_string() == query
        });
        let connected = named.map(|(client_id, owner)| Connected {
            client_id: client_id.to_string(),
            user: owner.user.as_deref().map(str::to_owned),
            address: owner.peer,
        });
        connected.take(NAMED_AT_MOST).collect()
    }

    /// The client identifier of a session that is connected; goes through all of them, some at a time.
    pub(crate) fn name_of(&self, session: Instance) -> Option<Arc<str>> {
        let mut from: Arc<str> = "".into();
        loop {
            let piece = self.piece(&from, PIECE);
            if let Some(found) = piece.iter().find(|seen| seen.mailbox.session() == session) {
                return Some(Arc::clone(&found.client_id));
            }
            if piece.len() < PIECE {
                return None;
            }
            from = Arc::clone(&piece.last()?.client_id);
        }
    }

    /// Lets every connection of a user look at what it may do.
    pub(crate) fn ask_for_review(&self, user: &str) {
        let owners = self.owners();
        let theirs = owners.by_client.values().filter(|owner| owner.user.as_deref() == Some(user));
        theirs.for_each(|owner| owner.mailbox.ask_for_review());
    }

    /// Lets every connection have a turn, in which it looks at itself.
    pub(crate) fn wake_all(&self) {
        self.owners().by_client.values().for_each(|owner| owner.mailbox.wake());
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
    use crate::mailbox::AsleepBytes;

    fn mailbox() -> Arc<Mailbox> {
        Arc::new(Mailbox::new(&Limits::default(), &Arc::new(AsleepBytes::new(&Limits::default()))))
    }

    fn told(mailbox: &Mailbox) -> Option<Command> {
        mailbox.take(&mut VecDeque::new(), &mut 0, Waker::noop()).command
    }

    fn owner(instance: Instance, mailbox: &Arc<Mailbox>, user: Option<&str>) -> Owner {
        let peer = SocketAddr::from(([192, 0, 2, 1], 1));
        Owner::new(instance, Arc::clone(mailbox), user.map(Arc::from), peer)
    }

    #[tokio::test]
    async fn the_newest_wins_and_waits_for_the_one_before() {
        let registry = Arc::new(Registry::default());
        let id: Arc<str> = "dock".into();
        let boxes = [mailbox(), mailbox(), mailbox()];
        let claim = |n: u64| {
            registry.claim(Arc::clone(&id), owner(n, &boxes[n as usize - 1], None)).ok().unwrap()
        };
        let first = claim(1).settled().await;
        let second = tokio::spawn(claim(2).settled());
        assert_eq!(told(&boxes[0]), Some(Command::TakenOver));
        let third = tokio::spawn(claim(3).settled());
        assert_eq!(told(&boxes[1]), Some(Command::TakenOver));
        tokio::task::yield_now().await;
        assert!(!second.is_finished() && !third.is_finished());
        drop(first);
        drop(second.await.unwrap());
        let third = third.await.unwrap();
        assert_eq!(told(&boxes[2]), None);
        assert_eq!(registry.owners().by_client.len(), 1);
        drop(third);
        assert_eq!(registry.owners().by_client.len(), 0);
    }

    #[tokio::test]
    async fn another_users_identifier_is_not_taken_over() {
        let registry = Arc::new(Registry::default());
        let id: Arc<str> = "dock".into();
        let boxes = [mailbox(), mailbox()];
        let claim =
            |n: u64, user| registry.claim(Arc::clone(&id), owner(n, &boxes[n as usize - 1], user));
        let first = claim(1, Some("ann")).ok().unwrap().settled().await;
        for user in [Some("bob"), None] {
            assert_eq!(claim(2, user).err(), Some(InUse));
            assert!(!registry.is_owned_by(&id, user.map(Arc::from).as_ref()));
        }
        assert_eq!(told(&boxes[0]), None, "it does not even hear of it");
        assert_eq!(registry.named("ann").len(), 1);
        drop(first);
        assert!(claim(2, Some("bob")).is_ok());
    }
}
