//! `dockside clock` and `dockside clock accept`.

use std::process::ExitCode;

use dockside::config::Config;
use serde::Deserialize;

use crate::admin::{Admin, understood};
use crate::why::time;

/// The admin listener's answer.
#[derive(Deserialize)]
struct Told {
    doubt: Option<String>,
    wall_ms: i64,
    kept_ms: i64,
}

/// Whether the running broker believes its wall clock; `accept` tells it to. The exit code is 1 while it
/// does not.
pub(crate) fn clock(config: &Config, accept: bool) -> Result<ExitCode, ExitCode> {
    let admin = Admin::of(config)?;
    let text =
        if accept { admin.post("/api/v1/clock/accept") } else { admin.get("/api/v1/clock") }?;
    let Told { doubt, wall_ms, kept_ms } = understood(&text)?;
    match doubt {
        None => println!("the wall clock, {}, is believed", time(wall_ms)),
        Some(doubt) if accept => {
            println!("{}, is accepted as right ({doubt}): what is kept ages again", time(wall_ms));
        }
        Some(doubt) => {
            println!(
                "{doubt}: it shows {}, what is kept stands at {}\n    -> no session, retained message or event expires; if the wall clock is right: dockside clock accept",
                time(wall_ms),
                time(kept_ms)
            );
            return Ok(ExitCode::from(1));
        }
    }
    Ok(ExitCode::SUCCESS)
}
