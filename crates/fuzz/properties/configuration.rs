//! What holds for any text in the place of a configuration: it is refused with reasons of a line each, or it is
//! sound and means the same when it is written and read again.

use dockside::config::Config;
use dockside_access::policy::Policy;

/// # Panics
/// If a configuration that is taken has problems, or a problem is more than a line, or anything panics.
pub(crate) fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Config::from_toml(text) {
        Ok(config) => taken(&config),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            for problem in problems {
                let line = problem.to_string();
                assert!(!line.is_empty() && !line.contains(char::is_control), "{line:?}");
            }
        }
    }
}

fn taken(config: &Config) {
    assert_eq!(config.broker().problems(), []);
    let written = toml::to_string(config).expect("what was TOML");
    assert_eq!(Config::from_toml(&written).as_ref(), Ok(config), "{written}");
    assert_eq!(dockside::plugins(config).len(), 2);
    if let Err(problems) = Policy::new(&config.access, None) {
        assert!(!problems.is_empty(), "refused without a reason");
    }
}
