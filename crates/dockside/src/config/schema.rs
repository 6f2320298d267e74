//! The configuration as a JSON schema, for editors.

use schemars::generate::SchemaSettings;

use super::Config;

/// The schema of a configuration file, made of the types: their comments are its descriptions. Of draft 7, which
/// editors of TOML know, and without references, which some of them do not follow.
#[must_use]
pub fn schema() -> serde_json::Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}
