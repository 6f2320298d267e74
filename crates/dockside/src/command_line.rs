//! `dockside [--config FILE] [--mqtt ADDR] [--admin ADDR] [--data DIR] [COMMAND]`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use dockside::config::Arguments;

use crate::BAD_CONFIGURATION;
use crate::operate::Operation;
use crate::passwd::Change;
use crate::traffic::Publishing;

/// The MQTT broker of a drone site: answers flight-task events itself
#[derive(Parser)]
#[command(version, name = "dockside")]
struct CommandLine {
    /// Configuration file (TOML); without it the embedded defaults
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Address of the MQTT listener [default: 127.0.0.1:1883]
    #[arg(long, value_name = "ADDR", global = true)]
    mqtt: Option<String>,
    /// Address of the admin listener [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDR", global = true)]
    admin: Option<String>,
    /// Directory of the broker's files [default: data]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Check the configuration and exit: 0 when it is sound, 64 with one line a problem when not; warnings of what is
    /// risky change nothing
    Check,
    /// Print the configuration that is in force, as TOML, each value with where it is from
    Config {
        /// As JSON, a key a line
        #[arg(long)]
        json: bool,
        /// With secrets, which are hidden otherwise: the codes and licences under [site], the query of users.http.url
        #[arg(long)]
        secrets: bool,
        /// Print the JSON schema of a configuration file instead, for editors
        #[arg(long, conflicts_with_all = ["json", "secrets"])]
        schema: bool,
    },
    /// Add a user to a password file or change its password, which is asked for, or read from
    /// standard input if that is no terminal
    Passwd {
        /// The password file (users.password_file); made with mode 0600 if it does not exist
        file: PathBuf,
        /// The user; a dock's is its serial number
        user: String,
        /// Remove the user
        #[arg(short = 'D', long)]
        delete: bool,
    },
    /// Ask the running broker why somebody cannot connect, publish or subscribe, or gets no reply
    Why {
        /// Serial number, client identifier, user or address; without it everything
        #[arg(value_name = "SN|ADDRESS")]
        query: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show who commanded a dock or changed the broker: services, property/set and their replies, logins, reloads
    Audit {
        /// Since when: 90m, 12h or 7d before now, or a date as 2026-01-31 or "2026-01-31 14:00"
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// As JSON, an entry a line
        #[arg(long)]
        json: bool,
    },
    /// Tell whether the running broker believes its wall clock; it does not where that is earlier than
    /// what is kept, or was set by more than an hour, and then nothing expires
    Clock {
        #[command(subcommand)]
        what: Option<ClockSubcommands>,
    },
    #[command(flatten)]
    Operate(Operation),
    /// Print a shell's completions: dockside completions bash > /etc/bash_completion.d/dockside
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one of each command into a directory
    Man {
        /// The directory, which is made if it is not there
        dir: Option<PathBuf>,
    },
    /// Show messages of the running broker as they pass; what comes too fast is left out and counted
    Tail {
        /// A topic filter, as SUBSCRIBE has them
        filter: String,
        /// As JSON, a message a line
        #[arg(long)]
        json: bool,
        /// End after so many messages
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        count: Option<u64>,
    },
    /// Publish a message through the running broker's admin listener
    #[command(name = "pub")]
    Publish {
        topic: String,
        /// The message; - reads it from standard input, nothing is an empty one
        payload: Option<String>,
        /// Quality of service; at 1 and 2 the command ends when the message is kept
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
        qos: u8,
        /// Keep it as the topic's last message
        #[arg(long)]
        retain: bool,
    },
    /// Read another broker's configuration and print Dockside's
    Import {
        /// A mosquitto.conf; files that it names are read too
        #[arg(value_name = "mosquitto.conf")]
        file: PathBuf,
    },
    /// Copy what is kept (data.dir) into a new file, as it is at one instant; a broker may run meanwhile
    Backup {
        /// The copy
        file: PathBuf,
    },
    /// Put a copy back; refused while a broker runs, and if the copy is not sound
    Restore {
        /// The copy
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum ClockSubcommands {
    /// The wall clock is right: what is kept ages by it again
    Accept,
}

/// What is asked for.
pub(crate) struct Request {
    pub(crate) command: Command,
    pub(crate) arguments: Arguments,
}

/// What to do.
pub(crate) enum Command {
    Run,
    Check,
    Config { json: bool, secrets: bool },
    Schema,
    Passwd(Change),
    Why { query: Option<String>, json: bool },
    Audit { since: Option<String>, json: bool },
    Clock { accept: bool },
    Operate(Operation),
    Completions(Shell),
    Man { dir: Option<PathBuf> },
    Tail { filter: String, json: bool, count: Option<u64> },
    Publish(Publishing),
    Import { file: PathBuf },
    Backup { file: PathBuf },
    Restore { file: PathBuf },
}

/// Everything that the command line knows.
pub(crate) fn everything() -> clap::Command {
    CommandLine::command()
}

/// Parses the process's arguments; prints help, the version or what is wrong, and then the error
/// is the exit code.
pub(crate) fn parse() -> Result<Request, ExitCode> {
    let line = CommandLine::try_parse().map_err(|error| {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // Nothing can be done about a terminal that is gone.
                let _ = error.print();
                ExitCode::SUCCESS
            }
            _ => {
                let text = error.to_string();
                let line = text.lines().next().unwrap_or_default();
                let line = line.trim_start_matches("error: ");
                eprintln!("dockside: command line: {line}; see dockside --help");
                ExitCode::from(BAD_CONFIGURATION)
            }
        }
    })?;
    let CommandLine { config: file, mqtt, admin, data, command } = line;
    Ok(Request {
        command: match command {
            None => Command::Run,
            Some(Subcommands::Check) => Command::Check,
            Some(Subcommands::Config { schema: true, .. }) => Command::Schema,
            Some(Subcommands::Config { json, secrets, .. }) => Command::Config { json, secrets },
            Some(Subcommands::Passwd { file, user, delete }) => {
                Command::Passwd(Change { file, user, delete })
            }
            Some(Subcommands::Why { query, json }) => Command::Why { query, json },
            Some(Subcommands::Audit { since, json }) => Command::Audit { since, json },
            Some(Subcommands::Clock { what }) => Command::Clock { accept: what.is_some() },
            Some(Subcommands::Operate(operation)) => Command::Operate(operation),
            Some(Subcommands::Completions { shell }) => Command::Completions(shell),
            Some(Subcommands::Man { dir }) => Command::Man { dir },
            Some(Subcommands::Tail { filter, json, count }) => {
                Command::Tail { filter, json, count }
            }
            Some(Subcommands::Publish { topic, payload, qos, retain }) => {
                Command::Publish(Publishing { topic, payload, qos, retain })
            }
            Some(Subcommands::Import { file }) => Command::Import { file },
            Some(Subcommands::Backup { file }) => Command::Backup { file },
            Some(Subcommands::Restore { file }) => Command::Restore { file },
        },
        arguments: Arguments { file, mqtt, admin, data },
    })
}
