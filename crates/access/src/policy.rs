//! Users and rules, compiled; and what one client may do under them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::announced::Announced;
use crate::config::{Access, Effect, Preset, Rule};
use crate::groups::Groups;
use crate::password_file::PasswordFile;
use crate::pattern::{Asker, Pattern};
use crate::preset::{self, APPLICATIONS};

const RULES_AT_MOST: usize = 10_000;

/// Everything that is known about users, at one moment. A reload makes a new one.
#[derive(Debug, Default)]
pub struct Policy {
    users: Option<PasswordFile>,
    groups: HashMap<String, Vec<String>>,
    /// Serial numbers by user.
    gateways: HashMap<String, HashSet<String>>,
    /// Serial numbers that stand in the table of gateways.
    listed: HashSet<String>,
    rules: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    publish: Vec<Pattern>,
    subscribe: Vec<Pattern>,
}

/// A value that cannot be: which key, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted key below `access`, such as `rules[2].publish`.
    pub key: String,
    /// What is wrong and what to do.
    pub remedy: String,
}

impl Policy {
    /// Compiles what the operator wrote; `users` is there if clients have to log in: those of the
    /// password file, or none if users are known elsewhere only.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(config: &Access, users: Option<PasswordFile>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let preset = match config.preset {
            Preset::Dji if users.is_some() => preset::dji().to_vec(),
            _ => Vec::new(),
        };
        if config.rules.len() > RULES_AT_MOST {
            let remedy = format!("at most {RULES_AT_MOST} rules are possible");
            problems.push(Problem { key: "rules".to_owned(), remedy });
        }
        let own = config.rules.iter().take(RULES_AT_MOST).enumerate().map(|(at, rule)| {
            let groups = (rule.group.as_ref()).filter(|group| !config.groups.contains_key(*group));
            if let Some(group) = groups {
                let remedy = format!("no group {group:?} under access.groups");
                problems.push(Problem { key: format!("rules[{at}].group"), remedy });
            }
            compile(rule.clone(), at, &mut problems)
        });
        let own: Vec<_> = own.collect();
        let preset = preset.into_iter().map(|rule| compile(rule, 0, &mut Vec::new()));
        let rules = own.into_iter().chain(preset).collect();
        for (user, serial_numbers) in &config.gateways {
            for sn in serial_numbers.iter().filter(|sn| !is_serial_number(sn)) {
                let remedy = format!("{sn:?} is no serial number: letters and digits, 64 at most");
                problems.push(Problem { key: format!("gateways.{user}"), remedy });
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut groups: HashMap<String, Vec<String>> = HashMap::new();
        for (group, members) in &config.groups {
            for user in members {
                groups.entry(user.clone()).or_default().push(group.clone());
            }
        }
        let owned = config.gateways.iter();
        let gateways: HashMap<String, HashSet<String>> =
            owned.map(|(user, sns)| (user.clone(), sns.iter().cloned().collect())).collect();
        let listed = config.gateways.values().flatten().cloned().collect();
        Ok(Self { users, groups, gateways, listed, rules })
    }

    /// The users of the password file; none if everybody may come in.
    #[must_use]
    pub fn users(&self) -> Option<&PasswordFile> {
        self.users.as_ref()
    }

    /// Whether a user owns a serial number by configuration: what the table says, or its own name,
    /// unless the table gives that to another, or the user is an application. `groups` are those that
    /// the configuration does not know of.
    #[must_use]
    pub fn owns(&self, user: &str, groups: &Groups, serial_number: &str) -> bool {
        match self.gateways.get(user) {
            Some(owned) => owned.contains(serial_number),
            None => {
                user == serial_number
                    && !self.listed.contains(serial_number)
                    && !self.is_in(user, groups, APPLICATIONS)
            }
        }
    }

    /// Whether a serial number is some user's by configuration, and so cannot be announced by others.
    #[must_use]
    pub fn is_owned(&self, serial_number: &str) -> bool {
        self.listed.contains(serial_number)
            || (self.users.as_ref().is_some_and(|users| users.contains(serial_number))
                && self.owns(serial_number, &Groups::default(), serial_number))
    }

    fn is_in(&self, user: &str, groups: &Groups, group: &str) -> bool {
        groups.contains(group)
            || self.groups.get(user).is_some_and(|groups| groups.iter().any(|known| known == group))
    }

    fn speaks_about(
        &self,
        rule: &Rule,
        (user, groups): (Option<&str>, &Groups),
        client_id: &str,
    ) -> bool {
        let in_group = |group: &String| user.is_some_and(|user| self.is_in(user, groups, group));
        rule.user.as_ref().is_none_or(|name| user == Some(name))
            && rule.group.as_ref().is_none_or(in_group)
            && rule.client_id.as_ref().is_none_or(|id| id == client_id)
            && rule.anonymous.is_none_or(|anonymous| anonymous == user.is_none())
    }
}

/// Letters and digits, 64 at most, as DJI's own server demands.
#[must_use]
pub fn is_serial_number(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn compile(rule: Rule, at: usize, problems: &mut Vec<Problem>) -> Compiled {
    let mut parse = |list: &[String], name: &str| -> Vec<Pattern> {
        let parsed = list.iter().filter_map(|text| match Pattern::parse(text) {
            Ok(pattern) => Some(pattern),
            Err(detail) => {
                let remedy = format!("{text:?}: {detail}");
                problems.push(Problem { key: format!("rules[{at}].{name}"), remedy });
                None
            }
        });
        parsed.collect()
    };
    let publish = parse(&rule.publish, "publish");
    let subscribe = parse(&rule.subscribe, "subscribe");
    if rule.publish.is_empty() && rule.subscribe.is_empty() {
        let remedy = "says nothing; name topics under publish or subscribe".to_owned();
        problems.push(Problem { key: format!("rules[{at}]"), remedy });
    }
    Compiled { rule, publish, subscribe }
}

/// What one client may do. Rules are looked through when they are asked, not copied.
#[derive(Clone, Debug)]
pub struct Rights {
    policy: Arc<Policy>,
    announced: Arc<RwLock<Announced>>,
    user: Option<Arc<str>>,
    groups: Groups,
    client_id: Arc<str>,
    /// The rules that speak about this client, by place.
    rules: Box<[u16]>,
}

impl Rights {
    /// The rights of a client that logged in as `user`, or did not; `groups` are those that the
    /// configuration does not know of.
    #[must_use]
    pub fn new(
        policy: Arc<Policy>,
        announced: Arc<RwLock<Announced>>,
        (user, groups): (Option<Arc<str>>, Groups),
        client_id: Arc<str>,
    ) -> Self {
        let whom = (user.as_deref(), &groups);
        let about = |rule: &Compiled| policy.speaks_about(&rule.rule, whom, &client_id);
        let rules = policy.rules.iter().zip(0..).filter(|(rule, _)| about(rule));
        let rules = rules.map(|(_, at)| at).collect();
        Self { policy, announced, user, groups, client_id, rules }
    }

    /// Whether it may publish on a topic name.
    #[must_use]
    pub fn may_publish(&self, topic: &str) -> bool {
        self.decide(|rule, asker| rule.publish.iter().any(|p| p.matches(topic, asker)))
    }

    /// Whether it may subscribe to a filter (without `$share/name/`).
    #[must_use]
    pub fn may_subscribe(&self, filter: &str) -> bool {
        self.decide(|rule, asker| match rule.rule.effect {
            Effect::Allow => rule.subscribe.iter().any(|p| p.covers(filter, asker)),
            Effect::Deny => rule.subscribe.iter().any(|p| p.overlaps(filter, asker)),
        })
    }

    /// Who this is; none is anonymous.
    #[must_use]
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// The groups that the configuration does not know of.
    #[must_use]
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The first rule that speaks about the request decides; without one, only a broker without
    /// users lets everybody do everything.
    fn decide(&self, speaks: impl Fn(&Compiled, &Asker<'_>) -> bool) -> bool {
        if self.rules.is_empty() {
            return self.policy.users.is_none();
        }
        let owns = |sn: &str| self.owns(sn);
        let asker = Asker { user: self.user.as_deref(), client_id: &self.client_id, owns: &owns };
        let rules = self.rules.iter().map(|at| &self.policy.rules[usize::from(*at)]);
        let mut speaking = rules.filter(|rule| speaks(rule, &asker));
        match speaking.next() {
            Some(rule) => rule.rule.effect == Effect::Allow,
            None => self.policy.users.is_none(),
        }
    }

    fn owns(&self, serial_number: &str) -> bool {
        let Some(user) = self.user.as_deref() else { return false };
        if self.policy.owns(user, &self.groups, serial_number) {
            return true;
        }
        let announced = self.announced.read().unwrap_or_else(PoisonError::into_inner);
        let gateway = announced.gateway(serial_number);
        // A serial number that has become somebody's own is not the announcer's any more.
        gateway.is_some_and(|gateway| self.policy.owns(user, &self.groups, gateway))
            && !self.policy.is_owned(serial_number)
    }
}
