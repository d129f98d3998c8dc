//! `escape-probe`: a program that tries to get out of the sandbox that it runs in, and says how far it got.
//!
//! It knows nothing of the sandbox. What lies outside is told by its arguments, and each attempt compares with that:
//! the canary was read, the listener of the host was reached, a file came into being on a file system of the host.
//! Each attempt runs in a child of its own, so that a killed, crashed or hanging one does not stop the rest.
//!
//! An attempt that this kernel cannot even be asked for is `unavailable`, never `contained`. A kernel that lacks a call
//! and a filter that answers like one look the same from inside: what is unavailable in a sandbox and escaped on the
//! bare host was contained. And what is not escaped on the bare host says nothing in a sandbox.
//!
//! Invariant: nothing is destroyed, not even by uid 0 on the bare host. Files that open a way to harm are opened and
//! not written, calls that would harm get arguments that the kernel refuses after it looked at the permission, and
//! mounts happen in a mount namespace that ends with the child. Only the file of `--shm-token` is left behind.

#![allow(unsafe_code, reason = "the attempts are raw system calls, most of them with arguments that no library allows")]

mod attempt;
mod child;
mod descriptors;
mod devices;
mod filesystem;
mod ipc;
mod kernel;
mod mounts;
mod privileges;
mod processes;
mod procfs;
mod resources;
mod sockets;
mod sys;
mod target;

use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use attempt::{Held, Row};
use target::Target;

/// A family, the seconds that each attempt of it gets, and its attempts.
type Family = (&'static str, u32, &'static [Row]);

/// A line of `--list`.
#[derive(Debug, Serialize)]
struct Listed {
    attempt: &'static str,
    family: &'static str,
    what: &'static str,
}

/// A line for an attempt.
#[derive(Debug, Serialize)]
struct Told {
    attempt: &'static str,
    family: &'static str,
    outcome: &'static str,
    detail: String,
}

/// The last line.
#[derive(Debug, Default, Serialize)]
struct Counts {
    escaped: usize,
    contained: usize,
    unavailable: usize,
}

/// Every attempt. What uses up memory and tasks comes last, for a limit may end the probe itself.
const FAMILIES: &[Family] = &[
    ("descriptors", 3, descriptors::ATTEMPTS),
    ("filesystem", 3, filesystem::ATTEMPTS),
    ("filesystem", 3, devices::ATTEMPTS),
    ("proc", 3, procfs::ATTEMPTS),
    ("processes", 3, processes::ATTEMPTS),
    ("sockets", 3, sockets::ATTEMPTS),
    ("ipc", 3, ipc::ATTEMPTS),
    ("kernel", 3, mounts::ATTEMPTS),
    ("kernel", 3, kernel::ATTEMPTS),
    ("privileges", 3, privileges::ATTEMPTS),
    ("resources", 20, resources::ATTEMPTS),
];

fn main() -> ExitCode {
    // Before anything is opened here.
    let inherited = descriptors::inherited();
    let target = match Target::parse(std::env::args().skip(1), inherited) {
        Ok(target) => target,
        Err(error) => {
            eprintln!("error: {error:#}");
            return ExitCode::from(2);
        }
    };
    let unknown = target.only.iter().find(|name| !rows().any(|(_, _, row)| row.name == *name));
    if let Some(name) = unknown {
        eprintln!("error: there is no attempt {name:?}; --list names them");
        return ExitCode::from(2);
    }
    if target.list {
        for (family, _, row) in rows() {
            say(&Listed { attempt: row.name, family, what: row.what });
        }
        return ExitCode::SUCCESS;
    }
    let mut counts = Counts::default();
    for (family, seconds, row) in rows().filter(|(_, _, row)| target.wants(row.name)) {
        let (count, outcome, detail) = match child::run(row, &target, seconds) {
            Ok(detail) => (&mut counts.escaped, "escaped", detail),
            Err(Held::Contained(detail)) => (&mut counts.contained, "contained", detail),
            Err(Held::Unavailable(detail)) => (&mut counts.unavailable, "unavailable", detail),
        };
        *count += 1;
        say(&Told { attempt: row.name, family, outcome, detail });
    }
    say(&counts);
    ExitCode::SUCCESS
}

fn rows() -> impl Iterator<Item = (&'static str, u32, &'static Row)> {
    FAMILIES.iter().flat_map(|(family, seconds, rows)| rows.iter().map(move |row| (*family, *seconds, row)))
}

/// One line, out before the next child is forked. Who does not listen any more is not told.
fn say(line: &impl Serialize) {
    let mut out = std::io::stdout().lock();
    let _ = serde_json::to_string(line).map(|line| writeln!(out, "{line}").and_then(|()| out.flush()));
}
