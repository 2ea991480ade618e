//! Which `ackId` stands for which records. Kept in memory only: after a restart an id is unknown, and its sender sends
//! again what it has no word of.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Ids that nobody has asked for yet, over all channels; some megabytes.
const MAX_IDS: usize = 100_000;
/// A channel that is not used for so long is forgotten, as Splunk does.
const IDLE: Duration = Duration::from_secs(600);

/// The ids of all channels.
#[derive(Debug, Default)]
pub(in crate::http) struct Acknowledgements(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    channels: HashMap<String, Channel>,
    ids: usize,
}

#[derive(Debug)]
struct Channel {
    next: u64,
    /// The number behind the last record of each id.
    waiting: HashMap<u64, u64>,
    used: Instant,
}

impl Acknowledgements {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the ids are held")
    }

    /// Whether no more ids can be given out now.
    pub(super) fn is_full(&self) -> bool {
        let mut state = self.state();
        if state.ids < MAX_IDS && state.channels.len() < MAX_IDS {
            return false;
        }
        state.channels.retain(|_, channel| channel.used.elapsed() < IDLE);
        state.ids = state.channels.values().map(|channel| channel.waiting.len()).sum();
        state.ids >= MAX_IDS || state.channels.len() >= MAX_IDS
    }

    /// An id for records before the number `next`.
    pub(super) fn issue(&self, channel: &str, next: u64) -> u64 {
        let mut state = self.state();
        state.ids += 1;
        let new = || Channel { next: 0, waiting: HashMap::new(), used: Instant::now() };
        let channel = state.channels.entry(channel.to_owned()).or_insert_with(new);
        let id = channel.next;
        channel.next += 1;
        channel.used = Instant::now();
        channel.waiting.insert(id, next);
        id
    }

    /// Whether the records of an id are before `front`: the sinks have them. An id is told of as true once.
    pub(super) fn ask(&self, channel: &str, id: u64, front: u64) -> bool {
        let mut state = self.state();
        let Some(channel) = state.channels.get_mut(channel) else { return false };
        channel.used = Instant::now();
        let is_done = channel.waiting.get(&id).is_some_and(|next| *next <= front);
        if is_done {
            channel.waiting.remove(&id);
            state.ids -= 1;
        }
        is_done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_true_once_and_only_when_the_front_has_passed_its_records() {
        let acknowledgements = Acknowledgements::default();
        assert_eq!((acknowledgements.issue("a", 5), acknowledgements.issue("a", 9)), (0, 1));
        assert_eq!(acknowledgements.issue("b", 3), 0, "each channel counts for itself");
        assert!(!acknowledgements.ask("a", 0, 4));
        assert!(acknowledgements.ask("a", 0, 5));
        assert!(!acknowledgements.ask("a", 0, 5), "once");
        assert!(!acknowledgements.ask("a", 1, 5) && !acknowledgements.ask("c", 0, 99));
    }
}
