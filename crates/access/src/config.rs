//! What an operator writes about access. Defaults are those of `config/dockside.toml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules of who may publish and subscribe where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Rules that come behind the operator's own.
    pub preset: Preset,
    /// Groups of users, by name.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Serial numbers of a user. A user that is not here owns the serial number that is its name.
    pub gateways: BTreeMap<String, Vec<String>>,
    /// The operator's rules, in order: the first that speaks about a request decides.
    pub rules: Vec<Rule>,
}

/// Rules that come with Dockside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Gateways of the DJI Cloud API on the topics of their own serial numbers, and the group
    /// `applications` on the other side of all of them.
    #[default]
    Dji,
    /// None.
    None,
}

/// One rule. Of user, group, client identifier and anonymity, all that are given must be the
/// asker's; a rule that gives none speaks about everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Allow or deny.
    pub effect: Effect,
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A group of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// A client identifier. Anybody can choose it: never the only guard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether the asker has not logged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<bool>,
    /// Topics to publish on: filters with `%u`, `%c`, `%s`.
    pub publish: Vec<String>,
    /// Topics to subscribe to. An allowed subscription lies within one of them; a denied one
    /// reaches into one of them.
    pub subscribe: Vec<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request is granted.
    #[default]
    Allow,
    /// It is not.
    Deny,
}
