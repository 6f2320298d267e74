//! The `dockside` command.
//!
//! Exit codes: 0 done or stopped as asked, 1 the answer is bad news, 64 bad configuration or command
//! line (before any address is bound), 66 a file cannot be read, 69 an address cannot be bound or a
//! broker not be reached, 70 the broker broke, 73 a file or directory cannot be made.

/// As that of the standard library, for a reader that has seen enough (`| head`): that one panics.
macro_rules! println {
    ($($text:tt)*) => {
        crate::print_line(format_args!($($text)*))
    };
}

mod admin;
mod audit;
mod backup;
mod clock;
mod command_line;
mod operate;
mod passwd;
mod run;
mod show;
mod traffic;
mod why;

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::{self, ExitCode};

use dockside::config::{Config, Loaded, Problem};

use crate::command_line::{Command, Request};
use crate::operate::generate;

const BAD_NEWS: u8 = 1;
const BAD_CONFIGURATION: u8 = 64;
const CANNOT_READ: u8 = 66;
const CANNOT_CONNECT: u8 = 69;
const BROKEN: u8 = 70;
const CANNOT_CREATE: u8 = 73;

fn main() -> ExitCode {
    let Request { command, arguments } = match command_line::parse() {
        Ok(request) => request,
        Err(code) => return code,
    };
    match command {
        Command::Run => with(Config::load(&arguments), |config| run::run(config, &arguments)),
        Command::Check => with(Loaded::load(&arguments), show::check),
        Command::Config { json, secrets } => {
            with(Loaded::load(&arguments), |loaded| show::config(loaded, json, secrets))
        }
        Command::Schema => show::schema(),
        Command::Passwd(what) => passwd::passwd(&what),
        // Without the files: it is asked when one of them is bad.
        Command::Why { query, json } => with(Config::load_values(&arguments), |config| {
            either(why::why(config, query.as_deref(), json))
        }),
        Command::Audit { since, json } => with(Config::load_values(&arguments), |config| {
            either(audit::audit(config, since.as_deref(), json))
        }),
        Command::Clock { accept } => {
            with(Config::load_values(&arguments), |config| either(clock::clock(config, accept)))
        }
        Command::Operate(operation) => {
            with(Config::load_values(&arguments), |config| either(operation.run(config)))
        }
        Command::Completions(shell) => generate::completions(command_line::everything(), shell),
        Command::Man { dir } => generate::man(command_line::everything(), dir.as_deref()),
        Command::Tail { filter, json, count } => with(Config::load_values(&arguments), |config| {
            either(traffic::tail(config, &filter, (json, count)))
        }),
        Command::Publish(what) => {
            with(Config::load_values(&arguments), |config| either(traffic::publish(config, &what)))
        }
        Command::Import { file } => import(&file),
        // Without the files: what is kept does not depend on them.
        Command::Backup { file } => {
            with(Config::load_values(&arguments), |config| backup::backup(config, &file))
        }
        Command::Restore { file } => {
            with(Config::load_values(&arguments), |config| backup::restore(config, &file))
        }
    }
}

fn with<T>(config: Result<T, Vec<Problem>>, work: impl FnOnce(&T) -> ExitCode) -> ExitCode {
    match config {
        Ok(config) => work(&config),
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("dockside: {problem}"));
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

fn either(code: Result<ExitCode, ExitCode>) -> ExitCode {
    code.unwrap_or_else(|code| code)
}

/// The configuration goes to standard output, what could not be carried over to standard error.
fn import(file: &std::path::Path) -> ExitCode {
    match dockside::import::mosquitto(file) {
        Ok(imported) => {
            println!("{}", imported.toml.trim_end());
            imported.notes.iter().for_each(|note| eprintln!("not carried over: {note}"));
            ExitCode::SUCCESS
        }
        Err(error) => fail(CANNOT_READ, &error),
    }
}

fn fail(code: u8, line: &str) -> ExitCode {
    eprintln!("dockside: {line}");
    ExitCode::from(code)
}

fn print_line(text: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("dockside: the answer cannot be written: {error}");
        process::exit(CANNOT_CREATE.into());
    }
}
