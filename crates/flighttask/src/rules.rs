//! What an operator decides about answers: for whom, which methods, and when.

use crate::answer::FLIGHTTASK_PROGRESS;
use crate::topic::Kind;

/// The methods that are answered besides those of `events`, which are open: each with the topic it comes on.
pub const REQUEST_METHODS: [(Kind, &str); 8] = [
    (Kind::Status, "update_topo"),
    (Kind::Requests, "flight_areas_get"),
    (Kind::Requests, "offline_map_get"),
    (Kind::Requests, "flighttask_progress_get"),
    (Kind::Requests, "config"),
    (Kind::Requests, "airport_bind_status"),
    (Kind::Requests, "airport_organization_get"),
    (Kind::Requests, "airport_organization_bind"),
];

/// Whose acknowledgement a reply waits for, besides that the event is kept.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum WaitFor {
    /// Nobody's.
    #[default]
    Commit,
    /// A connection of this user.
    User(String),
    /// The client of this identifier.
    Client(String),
}

/// One rule: the first that names gateway and method decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Serial numbers; `*` stands for any characters, none included.
    pub gateway: String,
    /// Methods; `*` is every method of `events`.
    pub methods: Vec<String>,
    /// Whether it is answered here; otherwise it is an application's business.
    pub answer: bool,
    /// Whose acknowledgement the reply waits for. Of events only.
    pub wait_for: WaitFor,
}

/// What a site says of itself to docks that ask, where no application does.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Site {
    /// `organization_id`.
    pub organization_id: String,
    /// `organization_name`.
    pub organization_name: String,
    /// `device_binding_code` that a dock must show to be bound; empty is any.
    pub binding_code: String,
    /// Time server that docks are told.
    pub ntp_server_host: String,
    /// Its port.
    pub ntp_server_port: u16,
    /// `app_id` of the licence for the Cloud API.
    pub app_id: String,
    /// `app_key` of it.
    pub app_key: String,
    /// `app_license` of it.
    pub app_license: String,
    /// What devices are called, by serial number; others are called by it.
    pub callsigns: Vec<(String, String)>,
}

impl Site {
    /// What a device is called.
    #[must_use]
    pub fn callsign<'a>(&'a self, serial_number: &'a str) -> &'a str {
        let named = self.callsigns.iter().find(|(sn, _)| sn == serial_number);
        named.map_or(serial_number, |(_, callsign)| callsign)
    }
}

/// All that an operator decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Whether an event without `need_reply` is answered. DJI's first document replies always, and
    /// a reply nobody waits for is matched by nobody.
    pub reply_when_unasked: bool,
    /// The longest payload that is read, in bytes.
    pub max_event_bytes: usize,
    /// In order. Behind them: `flighttask_progress` is answered once it is kept, and nothing else.
    pub rules: Vec<Rule>,
    /// For requests whose answer is the same every time.
    pub site: Site,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            reply_when_unasked: true,
            max_event_bytes: 20_480,
            rules: Vec::new(),
            site: Site::default(),
        }
    }
}

impl Rules {
    /// Whose acknowledgement the reply to a method waits for; `None` if it is not answered here.
    #[must_use]
    pub fn answers(&self, kind: Kind, serial_number: &str, method: &str) -> Option<&WaitFor> {
        let speaks = |rule: &&Rule| {
            let names = |name: &String| match name.as_str() {
                "*" => kind == Kind::Events,
                name => name == method,
            };
            rule.methods.iter().any(names) && matches(&rule.gateway, serial_number)
        };
        match self.rules.iter().find(speaks) {
            Some(rule) => rule.answer.then_some(&rule.wait_for).filter(|_| is_known(kind, method)),
            None => {
                (kind == Kind::Events && method == FLIGHTTASK_PROGRESS).then_some(&WaitFor::Commit)
            }
        }
    }
}

/// Whether there is an answer to a method that comes on this kind of topic.
fn is_known(kind: Kind, method: &str) -> bool {
    kind == Kind::Events || REQUEST_METHODS.contains(&(kind, method))
}

/// Whether a serial number fits a pattern, `*` standing for any characters.
#[must_use]
pub fn matches(pattern: &str, serial_number: &str) -> bool {
    let Some((head, mut rest)) = pattern.split_once('*') else { return pattern == serial_number };
    let Some(mut text) = serial_number.strip_prefix(head) else { return false };
    while let Some((part, behind)) = rest.split_once('*') {
        // The first place is as good as any: what follows has the most left.
        let Some(at) = text.find(part) else { return false };
        (text, rest) = (&text[at + part.len()..], behind);
    }
    text.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(gateway: &str, methods: &[&str], answer: bool) -> Rule {
        Rule {
            gateway: gateway.to_owned(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            answer,
            wait_for: WaitFor::Commit,
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, yes, no) in [
            ("*", vec!["", "A", "SIMDOCK1"], vec![]),
            ("SIMDOCK1", vec!["SIMDOCK1"], vec!["SIMDOCK", "SIMDOCK11", ""]),
            ("SIM*", vec!["SIM", "SIMDOCK1"], vec!["SI", "XSIM"]),
            ("*1", vec!["1", "SIM1"], vec!["SIM", "1M"]),
            ("A*B*C", vec!["ABC", "AxByC", "ABBC"], vec!["AB", "ACB", "BABC"]),
            ("A*A", vec!["AA", "AxA"], vec!["A"]),
            ("", vec![""], vec!["A"]),
        ] {
            yes.iter().for_each(|text| assert!(matches(pattern, text), "{pattern} {text}"));
            no.iter().for_each(|text| assert!(!matches(pattern, text), "{pattern} {text}"));
        }
    }

    #[test]
    fn the_first_rule_that_names_dock_and_method_decides() {
        let mut rules = Rules::default();
        let progress =
            |rules: &Rules, sn| rules.answers(Kind::Events, sn, FLIGHTTASK_PROGRESS).is_some();
        assert!(progress(&rules, "SIMDOCK1"));
        assert!(rules.answers(Kind::Events, "SIMDOCK1", "hms").is_none());
        assert!(rules.answers(Kind::Requests, "SIMDOCK1", FLIGHTTASK_PROGRESS).is_none());
        rules.rules = vec![rule("SIMDOCK1", &["*"], false), rule("*", &["*", "config"], true)];
        assert!(!progress(&rules, "SIMDOCK1") && progress(&rules, "SIMDOCK2"));
        assert!(rules.answers(Kind::Events, "SIMDOCK2", "anything_new").is_some());
        assert!(rules.answers(Kind::Requests, "SIMDOCK1", "config").is_some());
        assert!(rules.answers(Kind::Requests, "SIMDOCK1", "storage_config_get").is_none());
        assert!(rules.answers(Kind::Status, "SIMDOCK1", "update_topo").is_none());
    }

    #[test]
    fn what_cannot_be_answered_is_not_whatever_a_rule_says() {
        let methods = ["storage_config_get", "update_topo", "flight_areas_get"];
        let rules = Rules { rules: vec![rule("*", &methods, true)], ..Rules::default() };
        assert!(rules.answers(Kind::Requests, "A", "storage_config_get").is_none());
        assert!(rules.answers(Kind::Requests, "A", "update_topo").is_none());
        assert!(rules.answers(Kind::Status, "A", "update_topo").is_some());
        assert!(rules.answers(Kind::Requests, "A", "flight_areas_get").is_some());
    }
}
