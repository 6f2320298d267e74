//! Small pieces of what the broker does for every message, each alone: how long they take, and how many
//! instructions.
//!
//! `cargo bench -p dockside-bench --bench micro` measures times, for an idle machine. `.ci/instructions` counts
//! instructions, which are the same on a noisy one: it asks for `--names`, and runs each with `--once` under
//! callgrind.

#[cfg(feature = "inside")]
mod broker;
mod codec;
mod flighttask;
mod gateways;
mod store;
mod topics;

use std::hint::black_box;

use divan::Bencher;

/// What is done again and again.
type Work = Box<dyn FnMut()>;

/// One thing that is measured.
struct Case {
    name: &'static str,
    /// Everything that comes before.
    prepare: fn() -> Work,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Times that it is done before instructions are counted, and while they are.
const ROUNDS: usize = 100;

const ALL: &[&[Case]] = &[
    codec::CASES,
    topics::CASES,
    flighttask::CASES,
    gateways::CASES,
    store::CASES,
    #[cfg(feature = "inside")]
    broker::CASES,
];

fn all() -> impl Iterator<Item = &'static Case> {
    ALL.iter().copied().flatten()
}

#[divan::bench(args = all())]
fn micro(bencher: Bencher<'_, '_>, case: &Case) {
    bencher.bench_local((case.prepare)());
}

/// What callgrind counts: found by this name.
#[inline(never)]
fn under_callgrind(work: &mut Work) {
    for _ in 0..ROUNDS {
        work();
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[1..] {
        ["--names"] => all().for_each(|case| println!("{ROUNDS} {case}")),
        ["--once", name] => {
            let case = all().find(|case| case.name == name).expect("the name of a case");
            let mut work = (case.prepare)();
            // Buffers have their size, and statements are prepared.
            (0..ROUNDS).for_each(|_| work());
            under_callgrind(black_box(&mut work));
        }
        _ => divan::main(),
    }
}
