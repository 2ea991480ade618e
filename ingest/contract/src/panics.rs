//! A panic as a value: one bad record must not take the process with it.
//!
//! Decoders and mappings are pure computation over rows that somebody else wrote. A defect there is caught with
//! [`catch`], so that the caller can look for the row that causes it and go on with the others. It needs the `unwind`
//! profile. What cannot be caught is a stack that is used up, and memory that the system refuses.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("panic at {place}: {message}")]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// File and line of the code, for the report of the defect.
    pub place: String,
}

thread_local! {
    /// Whether this thread is within [`catch`], so that its panics are told by the caller.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic in it becomes a value, and nothing of it is printed.
///
/// `work` must leave behind nothing that others see half done: give it data to read, and use what it returns.
///
/// # Errors
///
/// The panic.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    watch();
    let was_watched = IS_WATCHED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_WATCHED.set(was_watched);
    result.map_err(|payload| Panic {
        message: message_of(&*payload),
        place: PLACE.take().unwrap_or_else(|| "an unknown place".to_owned()),
    })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// Puts a hook before the present one that notes the place of panics within [`catch`] and prints the others as ever:
/// the search for one bad row among thousands panics a dozen times.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A thread that is ending has no such value any more, and is not within `catch`.
            if IS_WATCHED.try_with(Cell::get).unwrap_or(false) {
                PLACE.set(info.location().map(|place| format!("{}:{}", place.file(), place.line())));
            } else {
                others(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place_and_the_thread_goes_on() {
        let caught = catch(|| -> u8 { panic!("no row {}", 7) }).expect_err("it panics");
        assert_eq!(caught.message, "no row 7");
        assert!(caught.place.contains("panics.rs:"), "{}", caught.place);
        let nested = catch(|| catch(|| -> u8 { panic!("within") }).expect_err("it panics").message);
        assert_eq!(nested, Ok("within".to_owned()));
        assert_eq!(catch(|| 5), Ok(5));
    }
}
