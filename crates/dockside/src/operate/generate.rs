//! `dockside completions SHELL` and `dockside man [DIR]`: made of the command line itself, so they never lag behind it.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use crate::{CANNOT_CREATE, fail};

/// Prints a shell's completions.
pub(crate) fn completions(mut command: Command, shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "dockside", &mut text);
    print(&text)
}

/// Prints the manual page, or writes one of each command into a directory.
pub(crate) fn man(command: Command, dir: Option<&Path>) -> ExitCode {
    let Some(dir) = dir else {
        let mut text = Vec::new();
        return match clap_mangen::Man::new(command).render(&mut text) {
            Ok(()) => print(&text),
            Err(error) => fail(CANNOT_CREATE, &format!("the manual page cannot be made: {error}")),
        };
    };
    let made = std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command, dir));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(CANNOT_CREATE, &format!("{} cannot be written: {error}", dir.display())),
    }
}

/// A reader that is gone is none of our business.
fn print(text: &[u8]) -> ExitCode {
    let _ = io::stdout().lock().write_all(text);
    ExitCode::SUCCESS
}
