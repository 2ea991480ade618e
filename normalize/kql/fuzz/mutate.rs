//! One mutation for libFuzzer: of tokens mostly, of bytes now and then.

use std::path::Path;

use super::mutator::{Mutator, Random};

pub(crate) fn mutator() -> Mutator {
    Mutator::new(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &[])
}

pub(crate) fn mutate(mutator: &Mutator, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed) << 20 | 0x9_e377);
    if size > 1 && random.below(4) == 0 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let text = String::from_utf8_lossy(&data[..size]);
    let text = if size <= 1 || random.below(64) == 0 { mutator.seed(&mut random) } else { &text };
    let mutant = mutator.mutate(text, max_size, &mut random);
    data[..mutant.len()].copy_from_slice(mutant.as_bytes());
    mutant.len()
}
