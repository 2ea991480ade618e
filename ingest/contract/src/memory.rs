//! One budget in bytes for everything that is in flight between source and acknowledgement.
//!
//! A source *waits* for room ([`MemoryBudget::reserve`]) before it reads on. The stages behind it never wait: what
//! they make out of bytes that are already in flight is *charged* at once ([`MemoryBudget::charge`]) and may pass the
//! limit for a moment, since to wait there could wait for itself. So the limit stops the intake, and the overshoot is
//! bounded by what one raw batch per worker decodes to.
//!
//! A sink that holds rows back to write larger files listens to [`MemoryBudget::pressure`] and writes early when a
//! source is waiting.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::ArrayData;
use arrow::record_batch::RecordBatch;
use tokio::sync::{Mutex, Notify};

/// A shared, bounded count of bytes in flight. Cloning shares it.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
    waiting: AtomicUsize,
    /// Held by the first of those that wait; the others queue for it in the order in which they came.
    turn: Mutex<()>,
    freed: Notify,
    pressure: Notify,
}

/// Bytes held against a [`MemoryBudget`] until dropped.
#[derive(Debug)]
pub struct Permit {
    budget: MemoryBudget,
    bytes: usize,
    /// The same bytes, if another permit holds them too; they are given back with the last one.
    shared: Option<Arc<Permit>>,
}

impl MemoryBudget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                limit,
                used: AtomicUsize::new(0),
                waiting: AtomicUsize::new(0),
                turn: Mutex::new(()),
                freed: Notify::new(),
                pressure: Notify::new(),
            }),
        }
    }

    /// Waits until `bytes` fit under the limit, then holds them.
    ///
    /// A single request larger than the whole budget passes when nothing else is held, so that one huge record slows
    /// the stream instead of stopping it. Requests pass in the order in which they came: small ones don't starve a
    /// large one. Cancel-safe: a dropped future holds nothing.
    pub async fn reserve(&self, bytes: usize) -> Permit {
        if !self.is_under_pressure()
            && let Some(permit) = self.try_reserve(bytes)
        {
            return permit;
        }
        let _waiting = Waiting::enter(&self.inner);
        let _turn = self.inner.turn.lock().await;
        loop {
            let freed = self.inner.freed.notified();
            tokio::pin!(freed);
            // Registered before the look, or a release between the two would be missed.
            freed.as_mut().enable();
            if let Some(permit) = self.try_reserve(bytes) {
                return permit;
            }
            self.inner.pressure.notify_waiters();
            freed.await;
        }
    }

    /// Holds `bytes` if they fit now.
    pub fn try_reserve(&self, bytes: usize) -> Option<Permit> {
        let fits = |used: usize| used == 0 || used.saturating_add(bytes) <= self.inner.limit;
        self.inner
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| fits(used).then(|| used + bytes))
            .ok()
            .map(|_| Permit { budget: self.clone(), bytes, shared: None })
    }

    /// Holds `bytes` at once, past the limit if need be. For stages behind the source.
    pub fn charge(&self, bytes: usize) -> Permit {
        self.inner.used.fetch_add(bytes, Ordering::AcqRel);
        Permit { budget: self.clone(), bytes, shared: None }
    }

    /// Bytes held now.
    pub fn used(&self) -> usize {
        self.inner.used.load(Ordering::Acquire)
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.inner.limit
    }

    /// Whether some source waits for room right now.
    pub fn is_under_pressure(&self) -> bool {
        self.inner.waiting.load(Ordering::Acquire) > 0
    }

    /// Completes when a source starts to wait for room (at once if one waits already).
    pub async fn pressure(&self) {
        let notified = self.inner.pressure.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_under_pressure() {
            notified.await;
        }
    }

    fn release(&self, bytes: usize) {
        self.inner.used.fetch_sub(bytes, Ordering::AcqRel);
        self.inner.freed.notify_waiters();
    }
}

/// Bytes that `rows` keep alive, each buffer counted once however many columns share it.
///
/// [`RecordBatch::get_array_memory_size`] would count a buffer of JSON text again for every column that views into it.
pub fn unique_bytes(rows: &RecordBatch) -> usize {
    let mut seen = HashSet::new();
    rows.columns().iter().map(|column| count_buffers(&column.to_data(), &mut seen)).sum()
}

fn count_buffers(data: &ArrayData, seen: &mut HashSet<usize>) -> usize {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let own: usize = data
        .buffers()
        .iter()
        .chain(nulls)
        .filter(|buffer| seen.insert(buffer.data_ptr().as_ptr() as usize))
        .map(|buffer| buffer.capacity())
        .sum();
    own + data.child_data().iter().map(|child| count_buffers(child, seen)).sum::<usize>()
}

impl Permit {
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A second permit for the same bytes, for rows that two sinks hold: the bytes count once, until both are gone.
    pub fn share(&mut self) -> Permit {
        let budget = self.budget.clone();
        let bytes = self.bytes;
        let shared =
            self.shared.get_or_insert_with(|| Arc::new(Permit { budget: budget.clone(), bytes, shared: None }));
        Permit { budget, bytes, shared: Some(Arc::clone(shared)) }
    }

    /// Changes what is held, without waiting. A sink shrinks the permit once rows are encoded.
    ///
    /// Of bytes that are [shared](Permit::share), this leaves the other permit its own.
    pub fn resize(&mut self, bytes: usize) {
        if self.shared.is_some() {
            *self = self.budget.charge(bytes);
            return;
        }
        if bytes > self.bytes {
            self.budget.inner.used.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else if bytes < self.bytes {
            self.budget.release(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Shared bytes are released by the permit within, when its last holder is gone.
        if self.shared.is_none() {
            self.budget.release(self.bytes);
        }
    }
}

struct Waiting<'a>(&'a Inner);

impl<'a> Waiting<'a> {
    fn enter(inner: &'a Inner) -> Self {
        inner.waiting.fetch_add(1, Ordering::AcqRel);
        Self(inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn reserve_waits_until_bytes_are_released() {
        let budget = MemoryBudget::new(100);
        let held = budget.reserve(80).await;
        assert!(tokio::time::timeout(Duration::from_secs(1), budget.reserve(30)).await.is_err());
        assert!(!budget.is_under_pressure(), "a cancelled wait leaves no pressure behind");
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(30).await.bytes() }
        });
        budget.pressure().await;
        drop(held);
        assert_eq!(waiter.await.expect("waiter ends"), 30);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn small_requests_do_not_starve_a_large_one() {
        let budget = MemoryBudget::new(100);
        let mut held = budget.reserve(60).await;
        let large = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve(90).await }
        });
        budget.pressure().await;
        let small = tokio::time::timeout(Duration::from_secs(1), budget.reserve(10)).await;
        assert!(small.is_err(), "it would fit, but the large one came first");
        held.resize(10);
        assert_eq!(large.await.expect("waiter ends").bytes(), 90);
        assert_eq!(budget.reserve(10).await.bytes(), 10, "nobody waits any more");
    }

    #[tokio::test]
    async fn a_request_over_the_whole_budget_passes_alone() {
        let budget = MemoryBudget::new(10);
        let permit = budget.reserve(50).await;
        assert!(budget.try_reserve(1).is_none());
        drop(permit);
        assert!(budget.try_reserve(1).is_some());
    }

    #[test]
    fn a_shared_buffer_is_counted_once() {
        use arrow::array::{Array, ArrayRef, StringViewArray};
        let text: ArrayRef = Arc::new(StringViewArray::from(vec!["a text that is too long to be inlined"; 10]));
        let one = RecordBatch::try_from_iter([("a", text.clone())]).expect("one column");
        let two = RecordBatch::try_from_iter([("a", text.clone()), ("b", text.slice(0, 10))]).expect("two columns");
        assert_eq!(unique_bytes(&one), unique_bytes(&two));
        assert!(unique_bytes(&one) >= 160);
    }

    #[test]
    fn shared_bytes_count_once_until_the_last_holder_is_gone() {
        let budget = MemoryBudget::new(100);
        let mut first = budget.charge(40);
        let mut second = first.share();
        let third = first.share();
        assert_eq!((budget.used(), second.bytes()), (40, 40));
        drop(first);
        assert_eq!(budget.used(), 40);
        second.resize(15);
        assert_eq!(budget.used(), 55, "rows and their encoding");
        second.resize(10);
        drop(third);
        assert_eq!((budget.used(), second.bytes()), (10, 10));
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn charge_and_resize_are_counted() {
        let budget = MemoryBudget::new(10);
        let mut permit = budget.charge(40);
        permit.resize(5);
        assert_eq!(budget.used(), 5);
        permit.resize(7);
        assert_eq!(budget.used(), 7);
    }
}
