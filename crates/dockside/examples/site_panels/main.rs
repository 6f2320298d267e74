//! A broker in a program of one's own, with a plugin of one's own: docs/plugins.md goes through it.
//!
//! ```sh
//! cargo run -p dockside --example site_panels                # with the defaults
//! cargo run -p dockside --example site_panels -- site.toml   # with a file as `dockside --config` takes it
//! ```

mod panels;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;

use dockside::config::{Arguments, Config, Problem};
use dockside_broker::{BindError, Broker};

use crate::panels::Panels;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The program's own log. rumqttd speaks of its own clients, which are the broker's links.
    let filter = "info,rumqttd=off";
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let arguments =
        Arguments { file: std::env::args_os().nth(1).map(Into::into), ..Arguments::default() };
    let config = Config::load(&arguments).map_err(|problems| lines(&problems))?;
    let broker = bind(&config).await?;
    for (_, address) in broker.mqtt_addresses() {
        tracing::info!("mqtt listening on {address}");
    }
    tracing::info!("admin listening on {}", broker.admin_address());
    broker.run(interrupted()).await?;
    Ok(())
}

/// A broker with the plugins of `dockside`, and the site's own.
async fn bind(config: &Config) -> Result<Broker, BindError> {
    // Before a plugin is made: what it registers earlier is counted nowhere.
    dockside_broker::metrics::recorder();
    let mut plugins = dockside::plugins(config);
    plugins.push(Arc::new(Panels::new()));
    Broker::bind(config.broker(), plugins).await
}

/// Resolves at Ctrl-C, or at once if nobody can wait for it.
async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "Ctrl-C cannot be waited for");
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
