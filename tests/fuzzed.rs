//! What the targets of crates/fuzz look for, with every input of their corpora, and with some that were damaged.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;

#[path = "../crates/fuzz/properties/configuration.rs"]
mod configuration;
#[path = "../crates/fuzz/properties/decode.rs"]
mod decode;
#[path = "../crates/fuzz/properties/envelope.rs"]
mod envelope;
#[path = "../crates/fuzz/properties/session/mod.rs"]
mod session;
#[path = "../crates/fuzz/properties/websocket.rs"]
mod websocket;

/// All of them together.
const CORPORA_BYTES_AT_MOST: usize = 200 << 10;

/// Panics where the property does not hold.
type Holds = fn(&[u8]);

const TARGETS: [(&str, Holds); 5] = [
    ("configuration", configuration::holds),
    ("decode", decode::holds),
    ("envelope", envelope::holds),
    ("session", session::holds),
    ("websocket", websocket::holds),
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/fuzz")
}

/// Files of a corpus, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(fuzz().join("corpus").join(target)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_target_has_its_line_and_its_corpus() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let bins = manifest["bin"].as_array().unwrap();
    let declared: BTreeSet<_> = bins.iter().map(|bin| bin["name"].as_str().unwrap()).collect();
    let known: BTreeSet<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, declared);
    for folder in ["corpus", "dictionaries"] {
        let entries = fs::read_dir(fuzz().join(folder)).unwrap();
        for name in entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            assert!(known.contains(&*name), "{folder}/{name} is no target's");
        }
    }
}

#[test]
fn every_input_of_the_corpora_holds() {
    let mut bytes = 0;
    for (target, holds) in TARGETS {
        let inputs = corpus(target);
        assert!(inputs.len() >= 12, "{target} has few inputs to begin with: {}", inputs.len());
        for (path, input) in inputs {
            bytes += input.len();
            let held = std::panic::catch_unwind(|| holds(&input));
            assert!(held.is_ok(), "see above: {}", path.display());
        }
    }
    assert!(bytes <= CORPORA_BYTES_AT_MOST, "the corpora take {bytes} bytes");
}

static INPUTS: LazyLock<Vec<(Holds, Vec<u8>)>> = LazyLock::new(|| {
    let of = |(target, holds): (&str, Holds)| {
        corpus(target).into_iter().map(move |(_, input)| (holds, input))
    };
    TARGETS.into_iter().flat_map(of).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// What fuzzing does for longer.
    #[test]
    fn damaged_inputs_hold(pick: Index, damages in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..6)) {
        let (holds, input) = pick.get(&INPUTS);
        let mut input = input.clone();
        if !input.is_empty() {
            for (at, to) in damages {
                let at = at.index(input.len());
                input[at] = to;
            }
        }
        holds(&input);
    }

    #[test]
    fn any_steps_of_a_session_hold(steps in proptest::collection::vec(any::<u8>(), 0..300)) {
        session::holds(&steps);
    }
}
