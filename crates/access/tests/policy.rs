//! Rules as an operator writes them, each with an allowed and a refused case.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, RwLock};

use dockside_access::announced::Announced;
use dockside_access::config::Access;
use dockside_access::groups::Groups;
use dockside_access::password_file::PasswordFile;
use dockside_access::policy::{Policy, Rights};

const HASH: &str = "$6$e1rh9bYiIuX2nEh6$9/84GMMHfI5HH4Y820zkkg64ZjOCXuqTyEIGGMqd7figAXgOgKYpeDYbEOkD6q7/obbCzXUcZb5d1QLb4ftv7w==";

/// A site with these users (all of them if the list is empty: no password file) and this `[access]`.
struct Site {
    policy: Arc<Policy>,
    announced: Arc<RwLock<Announced>>,
}

impl Site {
    fn new(users: &[&str], access: &str) -> Self {
        let text: String = users.iter().map(|user| format!("{user}:{HASH}\n")).collect();
        let users = (!users.is_empty()).then(|| PasswordFile::parse(&text).unwrap());
        let access: Access = toml::from_str(access).unwrap();
        let policy = Arc::new(Policy::new(&access, users).unwrap());
        Self { policy, announced: Arc::default() }
    }

    fn rights(&self, user: &str, client_id: &str) -> Rights {
        self.rights_in(user, Groups::default(), client_id)
    }

    /// With groups that only its login has told of.
    fn rights_in(&self, user: &str, groups: Groups, client_id: &str) -> Rights {
        let user = (!user.is_empty()).then(|| user.into());
        let (policy, announced) = (Arc::clone(&self.policy), Arc::clone(&self.announced));
        Rights::new(policy, announced, (user, groups), client_id.into())
    }
}

fn keys(users: bool, access: &str) -> Vec<String> {
    let access: Access = toml::from_str(access).unwrap();
    let users = users.then(PasswordFile::default);
    Policy::new(&access, users).unwrap_err().into_iter().map(|problem| problem.key).collect()
}

#[test]
fn without_users_everybody_may_do_everything_but_what_a_rule_denies() {
    let site = Site::new(&[], "");
    assert!(site.rights("", "c").may_publish("a"));
    assert!(site.rights("", "c").may_subscribe("#"));
    let site = Site::new(&[], "rules = [{ effect = 'deny', publish = ['a/#'] }]");
    assert!(!site.rights("", "c").may_publish("a/b"));
    assert!(site.rights("", "c").may_publish("b"));
}

#[test]
fn with_users_nobody_may_do_anything_but_what_a_rule_allows() {
    let site = Site::new(&["ann"], "preset = 'none'");
    for user in ["ann", ""] {
        assert!(!site.rights(user, "c").may_publish("a"));
        assert!(!site.rights(user, "c").may_subscribe("a"));
    }
}

#[test]
fn the_first_rule_that_speaks_decides() {
    let access = "preset = 'none'
        [[rules]]
        effect = 'deny'
        publish = ['a/secret']
        [[rules]]
        publish = ['a/#']
        [[rules]]
        effect = 'deny'
        publish = ['a/b']
    ";
    let ann = Site::new(&["ann"], access).rights("ann", "c");
    assert!(!ann.may_publish("a/secret"));
    assert!(ann.may_publish("a/b"), "the last rule comes too late");
    assert!(!ann.may_publish("c"));
}

#[test]
fn rules_choose_by_user_group_client_identifier_and_anonymity() {
    let access = "preset = 'none'
        groups = { crew = ['ann'] }
        [[rules]]
        user = 'bob'
        publish = ['by/user']
        [[rules]]
        group = 'crew'
        publish = ['by/group']
        [[rules]]
        client_id = 'tablet'
        publish = ['by/client']
        [[rules]]
        anonymous = true
        publish = ['by/nobody']
        [[rules]]
        anonymous = false
        publish = ['by/somebody']
        [[rules]]
        user = 'bob'
        client_id = 'tablet'
        publish = ['by/both']
    ";
    let site = Site::new(&["ann", "bob"], access);
    let topics = ["user", "group", "client", "nobody", "somebody", "both"];
    for (user, client_id, expected) in [
        ("bob", "x", [true, false, false, false, true, false]),
        ("ann", "x", [false, true, false, false, true, false]),
        ("", "tablet", [false, false, true, true, false, false]),
        ("bob", "tablet", [true, false, true, false, true, true]),
    ] {
        let rights = site.rights(user, client_id);
        let found = topics.map(|topic| rights.may_publish(&format!("by/{topic}")));
        assert_eq!(found, expected, "{user} {client_id}");
    }
}

#[test]
fn a_subscription_lies_within_what_is_allowed_and_reaches_into_nothing_denied() {
    let access = "preset = 'none'
        [[rules]]
        effect = 'deny'
        subscribe = ['site/secret/#']
        [[rules]]
        subscribe = ['site/#', 'u/%u/+']
    ";
    let ann = Site::new(&["ann"], access).rights("ann", "c");
    for (filter, expected) in [
        ("site/a", true),
        ("site/a/#", true),
        ("site/#", false),
        ("site/+", false),
        ("site/secret", false),
        ("site/secret/x", false),
        ("#", false),
        ("u/ann/x", true),
        ("u/ann/+", true),
        ("u/ann/#", false),
        ("u/+/x", false),
        ("u/bob/x", false),
    ] {
        assert_eq!(ann.may_subscribe(filter), expected, "{filter}");
    }
    assert!(!ann.may_publish("site/a"), "a rule to subscribe allows no publish");
}

#[test]
fn the_preset_binds_a_gateway_to_its_serial_number() {
    let site = Site::new(&["DOCK1", "DOCK2"], "");
    let dock = site.rights("DOCK1", "whatever");
    for up in
        ["osd", "state", "events", "requests", "services_reply", "property/set_reply", "drc/up"]
    {
        assert!(dock.may_publish(&format!("thing/product/DOCK1/{up}")), "{up}");
        assert!(!dock.may_publish(&format!("thing/product/DOCK2/{up}")), "{up}");
    }
    assert!(dock.may_publish("sys/product/DOCK1/status"));
    assert!(!dock.may_publish("sys/product/DOCK2/status"));
    assert!(!dock.may_publish("thing/product/DOCK1/services"), "only an application commands");
    assert!(!dock.may_publish("other"));
    for filter in ["services", "events_reply", "#", "+", "property/set"] {
        assert!(dock.may_subscribe(&format!("thing/product/DOCK1/{filter}")), "{filter}");
        assert!(!dock.may_subscribe(&format!("thing/product/DOCK2/{filter}")), "{filter}");
    }
    assert!(!dock.may_subscribe("thing/product/+/events"));
    assert!(!site.rights("", "DOCK1").may_publish("thing/product/DOCK1/events"), "an identifier");
    assert!(!site.rights("DOCK2", "DOCK1").may_publish("thing/product/DOCK1/events"));
}

#[test]
fn the_preset_gives_applications_the_other_side() {
    let site = Site::new(&["DOCK1", "backend"], "groups = { applications = ['backend'] }");
    let backend = site.rights("backend", "c");
    for down in ["services", "property/set", "drc/down", "events_reply", "requests_reply"] {
        assert!(backend.may_publish(&format!("thing/product/DOCK1/{down}")), "{down}");
    }
    assert!(backend.may_publish("sys/product/DOCK1/status_reply"));
    assert!(backend.may_subscribe("thing/product/+/events"));
    assert!(backend.may_subscribe("sys/product/#"));
    assert!(!backend.may_subscribe("#"));
    assert!(!backend.may_publish("thing/product/DOCK1/events"), "only the owner publishes events");
    assert!(!backend.may_publish("sys/product/backend/status"), "an application is no gateway");
}

#[test]
fn a_table_maps_a_shared_account_to_serial_numbers() {
    let access = "gateways = { pilot = ['RC1', 'RC2'] }";
    let site = Site::new(&["pilot", "RC3"], access);
    let pilot = site.rights("pilot", "c");
    assert!(pilot.may_publish("thing/product/RC1/events"));
    assert!(pilot.may_publish("thing/product/RC2/events"));
    assert!(!pilot.may_publish("thing/product/RC3/events"));
    assert!(!pilot.may_publish("thing/product/pilot/events"), "the table is all it owns");
    // A user whose name the table gives to another has it no more.
    let site = Site::new(&["pilot", "RC1", "RC3"], access);
    assert!(!site.rights("RC1", "c").may_publish("thing/product/RC1/events"));
    assert!(site.policy.is_owned("RC1") && site.policy.is_owned("RC3"));
    assert!(!site.policy.is_owned("pilot") && !site.policy.is_owned("DRONE1"));
}

#[test]
fn an_announced_aircraft_is_its_gateways_until_it_announces_another() {
    let site = Site::new(&["DOCK1", "DOCK2"], "");
    let (one, two) = (site.rights("DOCK1", "c"), site.rights("DOCK2", "c"));
    assert!(!one.may_publish("thing/product/DRONE1/osd"));
    site.announced.write().unwrap().announce("DOCK1", ["DRONE1", "DOCK2"]);
    assert!(one.may_publish("thing/product/DRONE1/osd"));
    assert!(one.may_subscribe("thing/product/DRONE1/services"));
    assert!(!two.may_publish("thing/product/DRONE1/osd"));
    assert!(!one.may_publish("thing/product/DOCK2/events"), "another user's own serial number");
    site.announced.write().unwrap().announce("DOCK2", ["DRONE1"]);
    assert!(!two.may_publish("thing/product/DRONE1/osd"), "the first has it");
    site.announced.write().unwrap().announce("DOCK1", []);
    assert!(!one.may_publish("thing/product/DRONE1/osd"));
    assert!(two.may_publish("thing/product/DRONE1/osd"), "the next one has it");
}

#[test]
fn what_cannot_be_is_named_by_its_key() {
    let access =
        "rules = [{ publish = ['a/#/b', 'x'] }, {}, { group = 'crew', subscribe = ['+x'] }]
        gateways = { pilot = ['a/b'] }";
    assert_eq!(
        keys(true, access),
        ["rules[0].publish", "rules[1]", "rules[2].group", "rules[2].subscribe", "gateways.pilot"]
    );
}

/// Groups of a token or a server count like those of the configuration.
#[test]
fn groups_that_a_login_tells_of_count_for_rules_and_for_the_preset() {
    let groups = |name: &str| Groups::parse(Some(&serde_json::json!([name]))).unwrap();
    let rules = "groups = { guests = [] }
        rules = [{ effect = 'deny', group = 'guests', subscribe = ['thing/product/+/osd'] }]";
    let site = Site::new(&["SN1"], rules);
    let application = site.rights_in("BACKEND", groups("applications"), "c");
    assert!(application.may_publish("thing/product/SN1/services"));
    assert!(application.may_subscribe("thing/product/#"));
    assert!(!application.may_publish("thing/product/BACKEND/events"), "it owns no serial number");
    let gateway = site.rights_in("SN2", groups("others"), "c");
    assert!(gateway.may_publish("thing/product/SN2/events"));
    assert!(!gateway.may_publish("thing/product/SN1/services"));
    let guest = site.rights_in("SN2", groups("guests"), "c");
    assert!(
        !guest.may_subscribe("thing/product/SN2/#") && gateway.may_subscribe("thing/product/SN2/#")
    );
    assert!(
        !site.rights_in("", groups("applications"), "c").may_publish("thing/product/SN1/services")
    );
}
