//! The preset `dji`: the topics of the DJI Cloud API ("Topic definition").

use crate::config::{Effect, Rule};

/// The group of the site's own programs.
pub(crate) const APPLICATIONS: &str = "applications";

/// What a gateway, or the aircraft it has announced, says.
const UP: [&str; 8] = [
    "thing/product/%s/osd",
    "thing/product/%s/state",
    "thing/product/%s/events",
    "thing/product/%s/requests",
    "thing/product/%s/services_reply",
    "thing/product/%s/property/set_reply",
    "thing/product/%s/drc/up",
    "sys/product/%s/status",
];

/// What is said to one.
const DOWN: [&str; 8] = [
    "thing/product/+/services",
    "thing/product/+/property/set",
    "thing/product/+/drc/down",
    "thing/product/+/events_reply",
    "thing/product/+/requests_reply",
    "thing/product/+/state_reply",
    "thing/product/+/osd_reply",
    "sys/product/+/status_reply",
];

/// What a gateway listens to: everything about its own serial numbers.
const OWN: [&str; 2] = ["thing/product/%s/#", "sys/product/%s/#"];

/// What an application listens to.
const ALL: [&str; 2] = ["thing/product/#", "sys/product/#"];

/// The rules of the preset. An application has no way to publish an event: only the owner of a
/// serial number does.
pub(crate) fn dji() -> [Rule; 2] {
    let rule = |group: Option<&str>, publish: &[&str], subscribe: &[&str]| Rule {
        effect: Effect::Allow,
        group: group.map(str::to_owned),
        publish: publish.iter().map(|topic| (*topic).to_owned()).collect(),
        subscribe: subscribe.iter().map(|topic| (*topic).to_owned()).collect(),
        ..Rule::default()
    };
    [rule(Some(APPLICATIONS), &DOWN, &ALL), rule(None, &UP, &OWN)]
}
