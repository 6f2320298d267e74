//! Which messages of gateways are answered here, and what a site says of itself.

use std::collections::BTreeMap;

use dockside_broker::config::Problem;
use dockside_flighttask::rules::{REQUEST_METHODS, WaitFor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One rule, `[[answer]]`: the first that names gateway and method decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// Serial numbers; `*` stands for any characters.
    pub gateway: String,
    /// Methods; `*` is every method of `events`.
    pub methods: Vec<String>,
    /// Whether Dockside answers; otherwise an application does.
    pub answer: bool,
    /// What a reply to an event waits for: `commit`, `user:NAME` or `client:ID`.
    pub wait_for: String,
}

/// What a site says of itself to docks that ask, where no application does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// Organization that docks are told they are bound to.
    pub organization_id: String,
    /// Name of the organization.
    pub organization_name: String,
    /// Binding code that a dock must show; empty is any.
    pub binding_code: String,
    /// Time server that docks are told, where a rule answers `config` requests.
    pub ntp_server_host: String,
    /// Port of the time server.
    pub ntp_server_port: u16,
    /// `app_id` of a Cloud API application at DJI: a dock leaves where it is not right.
    pub app_id: String,
    /// `app_key` of that application.
    pub app_key: String,
    /// `app_license` of that application.
    pub app_license: String,
    /// What devices are called, by serial number.
    pub callsigns: BTreeMap<String, String>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            gateway: "*".to_owned(),
            methods: Vec::new(),
            answer: true,
            wait_for: "commit".to_owned(),
        }
    }
}

impl Default for Site {
    fn default() -> Self {
        Self {
            organization_id: String::new(),
            organization_name: String::new(),
            binding_code: String::new(),
            ntp_server_host: String::new(),
            ntp_server_port: 123,
            app_id: String::new(),
            app_key: String::new(),
            app_license: String::new(),
            callsigns: BTreeMap::new(),
        }
    }
}

impl Answer {
    fn wait_for(&self) -> Option<WaitFor> {
        let named = |kind: &str| {
            let name = self.wait_for.strip_prefix(kind)?.strip_prefix(':')?;
            (!name.is_empty()).then(|| name.to_owned())
        };
        match &*self.wait_for {
            "commit" => Some(WaitFor::Commit),
            _ => named("user").map(WaitFor::User).or_else(|| named("client").map(WaitFor::Client)),
        }
    }

    /// As the plugin takes it.
    pub(super) fn rule(&self) -> dockside_flighttask::Rule {
        dockside_flighttask::Rule {
            gateway: self.gateway.clone(),
            methods: self.methods.clone(),
            answer: self.answer,
            wait_for: self.wait_for().unwrap_or_default(),
        }
    }

    fn answers(&self, method: &str) -> bool {
        self.answer && self.methods.iter().any(|name| name == method)
    }
}

impl Site {
    /// As the plugin takes it.
    pub(super) fn site(&self) -> dockside_flighttask::Site {
        let callsigns = self.callsigns.iter().map(|(sn, name)| (sn.clone(), name.clone()));
        dockside_flighttask::Site {
            organization_id: self.organization_id.clone(),
            organization_name: self.organization_name.clone(),
            binding_code: self.binding_code.clone(),
            ntp_server_host: self.ntp_server_host.clone(),
            ntp_server_port: self.ntp_server_port,
            app_id: self.app_id.clone(),
            app_key: self.app_key.clone(),
            app_license: self.app_license.clone(),
            callsigns: callsigns.collect(),
        }
    }
}

/// What is wrong with the rules, and with what they need of the site.
pub(super) fn problems(answers: &[Answer], site: &Site) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, rule) in answers.iter().enumerate() {
        let mut add = |key: &str, remedy: &str| {
            problems.push(Problem::new(format!("answer[{at}].{key}"), remedy));
        };
        if rule.methods.is_empty() {
            add("methods", "names no method; name some, or \"*\" for every method of events");
        }
        let is_pattern = |c: char| c.is_ascii_alphanumeric() || c == '*';
        if rule.gateway.is_empty() || !rule.gateway.chars().all(is_pattern) {
            add("gateway", "must be letters and digits of a serial number, * standing for any");
        }
        match rule.wait_for() {
            None => add("wait_for", "must be \"commit\", \"user:NAME\" or \"client:ID\""),
            Some(WaitFor::Commit) => {}
            Some(_) if rule.methods.iter().all(|name| is_request(name)) => {
                add("wait_for", "is for events only; a request is answered at once");
            }
            Some(_) => {}
        }
    }
    let mut need = |method: &str, key: &str, value: &str| {
        if value.is_empty() && answers.iter().any(|rule| rule.answers(method)) {
            let remedy = format!(
                "is empty, and a rule under [[answer]] answers {method} with it; set it, or leave {method} to an application"
            );
            problems.push(Problem::new(format!("site.{key}"), remedy));
        }
    };
    need("config", "ntp_server_host", &site.ntp_server_host);
    need("config", "app_id", &site.app_id);
    need("config", "app_key", &site.app_key);
    need("config", "app_license", &site.app_license);
    for method in ["airport_bind_status", "airport_organization_get", "airport_organization_bind"] {
        need(method, "organization_id", &site.organization_id);
        need(method, "organization_name", &site.organization_name);
    }
    problems.dedup_by(|a, b| a.key == b.key);
    problems
}

fn is_request(method: &str) -> bool {
    REQUEST_METHODS.iter().any(|(_, name)| *name == method)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(methods: &[&str], wait_for: &str) -> Answer {
        let methods = methods.iter().map(|name| (*name).to_owned()).collect();
        Answer { methods, wait_for: wait_for.to_owned(), ..Answer::default() }
    }

    fn keys(answers: &[Answer]) -> Vec<String> {
        problems(answers, &Site::default()).into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn rules_that_cannot_be_meant_are_told() {
        assert!(keys(&[rule(&["*", "update_topo"], "commit")]).is_empty());
        assert!(keys(&[rule(&["hms"], "user:backend"), rule(&["hms"], "client:a:b")]).is_empty());
        assert_eq!(keys(&[Answer::default()]), ["answer[0].methods"]);
        for wait_for in ["", "user:", "user", "anybody:x"] {
            assert_eq!(keys(&[rule(&["hms"], wait_for)]), ["answer[0].wait_for"], "{wait_for}");
        }
        assert_eq!(keys(&[rule(&["update_topo"], "user:backend")]), ["answer[0].wait_for"]);
        let odd = Answer { gateway: "a b".to_owned(), ..rule(&["hms"], "commit") };
        assert_eq!(keys(&[odd]), ["answer[0].gateway"]);
    }

    #[test]
    fn what_a_rule_says_must_be_there() {
        let config = rule(&["config"], "commit");
        let all = ["ntp_server_host", "app_id", "app_key", "app_license"];
        assert_eq!(keys(std::slice::from_ref(&config)), all.map(|key| format!("site.{key}")));
        assert!(keys(&[Answer { answer: false, ..config }]).is_empty());
        let bind = rule(&["airport_bind_status"], "commit");
        assert_eq!(keys(&[bind]), ["site.organization_id", "site.organization_name"]);
    }
}
