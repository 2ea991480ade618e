//! A query, then a zero byte and a text among the values that it runs over.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

#[path = "../../tests/fuzz/check.rs"]
#[allow(dead_code)]
mod check;
#[path = "../mutate.rs"]
mod mutate;
#[path = "../../tests/fuzz/mutator.rs"]
mod mutator;

static MUTATOR: LazyLock<mutator::Mutator> = LazyLock::new(mutate::mutator);

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (query, value) = text.split_once('\0').unwrap_or((&text, "x"));
    check::binds(query, value);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate::mutate(&MUTATOR, data, size, max_size, seed)
});
