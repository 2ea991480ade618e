//! Work over many items of which some cannot be done: which ones, found by halving.
//!
//! The work is tried over all items first, so that good input pays nothing. Where it fails, each half is tried by
//! itself, down to the single items that fail alone: with `k` of them among `n` that is about `2·k·log2(n)` tries.

use std::ops::Range;

/// What became of the items.
#[derive(Debug, PartialEq, Eq)]
pub struct Bisected<T, E> {
    /// What was done, in the order of the items: stretches without an item that fails.
    pub done: Vec<(Range<usize>, T)>,
    /// The items that fail by themselves, in order, each with its error.
    pub culprits: Vec<(usize, E)>,
}

/// Does `work` over the items `0..count`. Every item is in one stretch of `done`, or one of the `culprits`.
///
/// An error for which `concerns_all` holds ends the search: no half could do better, so that all items of the stretch
/// are culprits.
pub fn bisect<T, E: Clone>(
    count: usize,
    mut work: impl FnMut(Range<usize>) -> Result<T, E>,
    concerns_all: impl Fn(&E) -> bool,
) -> Bisected<T, E> {
    let mut found = Bisected { done: Vec::new(), culprits: Vec::new() };
    if count == 0 {
        return found;
    }
    let mut stack: Vec<Range<usize>> = std::iter::once(0..count).collect();
    while let Some(items) = stack.pop() {
        match work(items.clone()) {
            Ok(done) => found.done.push((items, done)),
            Err(error) if items.len() == 1 || concerns_all(&error) => {
                found.culprits.extend(items.map(|item| (item, error.clone())));
            }
            Err(_) => {
                let middle = items.start + items.len() / 2;
                stack.extend([middle..items.end, items.start..middle]);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_culprits_are_found_and_all_others_done_once_in_order(
            count in 0usize..200,
            bad in prop::collection::btree_set(0usize..200, 0..12),
        ) {
            let bad: BTreeSet<usize> = bad.into_iter().filter(|item| *item < count).collect();
            let mut tries = 0;
            let work = |items: Range<usize>| {
                tries += 1;
                match bad.range(items.clone()).next() {
                    Some(first) => Err(*first),
                    None => Ok(items.collect::<Vec<_>>()),
                }
            };
            let found = bisect(count, work, |_| false);
            let culprits: Vec<usize> = found.culprits.iter().map(|(item, _)| *item).collect();
            prop_assert_eq!(culprits, bad.iter().copied().collect::<Vec<_>>());
            let done: Vec<usize> = found.done.into_iter().flat_map(|(_, items)| items).collect();
            prop_assert_eq!(done, (0..count).filter(|item| !bad.contains(item)).collect::<Vec<_>>());
            prop_assert!(tries <= 1 + bad.len() * 2 * 9);
        }
    }

    #[test]
    fn an_error_that_concerns_all_is_not_searched_for() {
        let mut tries = 0;
        let work = |_| -> Result<(), &str> {
            tries += 1;
            Err("the table is gone")
        };
        let found = bisect(1000, work, |_| true);
        assert_eq!((found.culprits.len(), found.done.len(), tries), (1000, 0, 1));
    }
}
