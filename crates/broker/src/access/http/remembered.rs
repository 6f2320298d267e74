//! What the server said lately, by a keyed hash of what it was asked: no password is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::time::Instant;

use super::{Answer, Login};

/// Answers; beyond, the oldest is forgotten.
const ANSWERS_AT_MOST: usize = 10_000;

/// What a denial is remembered for, of the time of a permission: somebody has just been added.
const DENIAL_SHARE: u32 = 5;

/// What was asked.
pub(super) type Tag = [u8; 32];

/// The answers of a short time.
pub(super) struct Remembered {
    answers: Mutex<Answers>,
    remember_for: Duration,
    /// Of this process alone: what is remembered is worthless elsewhere.
    key: Option<hmac::Key>,
}

#[derive(Default)]
struct Answers {
    by_tag: HashMap<Tag, (Answer, Instant)>,
    /// In the order that they came in; no more than there may be answers.
    order: VecDeque<(Tag, Instant)>,
}

impl Remembered {
    pub(super) fn new(remember_for: Duration) -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok();
        Self { answers: Mutex::default(), remember_for, key }
    }

    pub(super) fn get(&self, login: &Login<'_>) -> Option<Answer> {
        let tag = self.tag(login)?;
        let (answer, until) = self.answers().by_tag.get(&tag).cloned()?;
        (until > Instant::now()).then_some(answer)
    }

    /// It is not remembered for longer because it is asked for: who is thrown out stays out.
    pub(super) fn insert(&self, tag: Option<Tag>, answer: Answer) {
        let remember_for = match answer {
            Answer::Allow(_) => self.remember_for,
            Answer::Deny(_) => self.remember_for / DENIAL_SHARE,
        };
        let Some(tag) = tag.filter(|_| !remember_for.is_zero()) else { return };
        let until = Instant::now() + remember_for;
        let mut answers = self.answers();
        while answers.order.len() >= ANSWERS_AT_MOST {
            answers.forget_first();
        }
        answers.by_tag.insert(tag, (answer, until));
        answers.order.push_back((tag, until));
    }

    pub(super) fn tidy(&self) {
        let now = Instant::now();
        let mut answers = self.answers();
        while answers.order.front().is_some_and(|(_, until)| *until <= now) {
            answers.forget_first();
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if nothing can be remembered.
    pub(super) fn tag(&self, login: &Login<'_>) -> Option<Tag> {
        let mut context = hmac::Context::with_key(self.key.as_ref()?);
        for part in [login.user.as_bytes(), login.password, login.client_id.as_bytes()] {
            // With its length, so that no two questions are the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().ok()
    }
}

impl Answers {
    fn forget_first(&mut self) {
        let Some((tag, until)) = self.order.pop_front() else { return };
        // It may have been asked again since.
        if self.by_tag.get(&tag).is_some_and(|(_, known)| *known == until) {
            self.by_tag.remove(&tag);
        }
    }
}

#[cfg(test)]
mod tests {
    use dockside_access::groups::Groups;

    use super::super::NotAllowed;
    use super::*;

    const ALLOW: fn() -> Answer = || Answer::Allow(Groups::default());

    fn login<'a>(user: &'a str, password: &'a str, client_id: &'a str) -> Login<'a> {
        let peer = ([127, 0, 0, 1], 1).into();
        Login { user, password: password.as_bytes(), client_id, peer }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_its_question_and_its_time() {
        let remembered = Remembered::new(Duration::from_secs(10));
        let (ann, bob) = (login("ann", "secret", "c"), login("bob", "secret", "c"));
        remembered.insert(remembered.tag(&ann), ALLOW());
        remembered.insert(remembered.tag(&bob), Answer::Deny(NotAllowed::Denied));
        for other in [
            login("ann", "Secret", "c"),
            login("ann", "secret", "d"),
            login("annsecret", "", "c"),
            login("ann", "secretc", ""),
        ] {
            assert_eq!(remembered.get(&other), None);
        }
        assert_eq!(remembered.get(&ann), Some(ALLOW()));
        assert_eq!(remembered.get(&bob), Some(Answer::Deny(NotAllowed::Denied)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!((remembered.get(&ann), remembered.get(&bob)), (Some(ALLOW()), None));
        tokio::time::advance(Duration::from_secs(8)).await;
        assert_eq!(remembered.get(&ann), None);
        remembered.tidy();
        assert!(remembered.answers().by_tag.is_empty() && remembered.answers().order.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_remembered_where_that_is_not_wanted() {
        let never = Remembered::new(Duration::ZERO);
        never.insert(never.tag(&login("ann", "secret", "c")), ALLOW());
        assert_eq!(never.get(&login("ann", "secret", "c")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded() {
        let remembered = Remembered::new(Duration::from_secs(10));
        let names: Vec<_> = (0..=ANSWERS_AT_MOST).map(|n| n.to_string()).collect();
        for name in &names {
            remembered.insert(remembered.tag(&login(name, "", "")), ALLOW());
            remembered.insert(remembered.tag(&login("again", "", "")), ALLOW());
        }
        let answers = remembered.answers();
        assert!(answers.by_tag.len() <= ANSWERS_AT_MOST && answers.order.len() <= ANSWERS_AT_MOST);
        drop(answers);
        assert_eq!(remembered.get(&login("0", "", "")), None);
        assert!(remembered.get(&login(&names[ANSWERS_AT_MOST], "", "")).is_some());
        assert!(remembered.get(&login("again", "", "")).is_some());
    }
}
