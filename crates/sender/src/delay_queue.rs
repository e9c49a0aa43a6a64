//! What waits for its next try, ordered by when that is. No worker sleeps for it.

use std::{cmp::Ordering, collections::BinaryHeap};

use tokio::time::Instant;

/// Values, each with the time at which it is due.
#[derive(Debug)]
pub(crate) struct DelayQueue<T> {
    heap: BinaryHeap<Waiting<T>>,
    /// Number of the next value: equal times come out in the order they went in.
    next: u64,
}

impl<T> DelayQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            next: 0,
        }
    }

    /// Adds `value`, due at `due`.
    pub(crate) fn push(&mut self, due: Instant, value: T) {
        let number = self.next;
        self.next += 1;
        self.heap.push(Waiting { due, number, value });
    }

    /// Takes a value whose time has come.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|waiting| waiting.value)
    }

    /// When the next value is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|waiting| waiting.due)
    }

    /// Values inside.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

#[derive(Debug)]
struct Waiting<T> {
    due: Instant,
    number: u64,
    value: T,
}

// The heap gives its greatest first; the greatest here is what is due first.
impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.number).cmp(&(self.due, self.number))
    }
}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Waiting<T> {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_nothing_comes_early() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut queue = DelayQueue::new();
        for (seconds, name) in [(2, "c"), (1, "a"), (1, "b"), (9, "d")] {
            queue.push(after(seconds), name);
        }
        assert_eq!(queue.pop_due(start), None);
        assert_eq!(queue.next_due(), Some(after(1)));
        let due: Vec<_> = std::iter::from_fn(|| queue.pop_due(after(5))).collect();
        assert_eq!(due, ["a", "b", "c"]);
        assert_eq!(queue.len(), 1);
    }
}
