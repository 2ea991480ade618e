//! Any bytes: the parser, the formatter and the lint.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

#[path = "../mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz/mutator.rs"]
mod mutator;
#[path = "../../tests/fuzz/check.rs"]
#[allow(dead_code)]
mod check;

static MUTATOR: LazyLock<mutator::Mutator> = LazyLock::new(mutate::mutator);

fuzz_target!(|data: &[u8]| check::parses(&String::from_utf8_lossy(data)));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(&MUTATOR, data, size, max_size, seed)
});
