//! Work for later: what waits on a processor at DISPATCH_LEVEL or as a thread, and the queues for it.

use crate::scenario::{AdapterAction, UnitAction};

/// Work at DISPATCH_LEVEL: an entry of a processor's DPC queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Deferred {
    /// A STOR_DPC of the driver.
    Dpc(u8),
    /// StorPort's own: requests that the driver has completed.
    #[default]
    Completions,
    /// RequestTimerCall's timer.
    Timer,
    /// A timer of StorPortRequestTimer.
    TimerEx(u8),
    /// StorPortStateChangeDetected's callback.
    StateChange,
    /// Requests that wait in StorPort and may be sent now.
    Restart,
}

/// Work of a thread, at PASSIVE_LEVEL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Task {
    /// Find and initialise the adapter.
    #[default]
    Start,
    /// Send the request of this slot to the miniport.
    Submit(u8),
    /// Call HwStorResetBus.
    ResetBus,
    /// Do something to the adapter.
    Adapter(AdapterAction),
    /// Do something to the unit.
    Unit(UnitAction),
    /// Call a work item's routine.
    WorkItem(u8),
    /// Stop the adapter for good.
    Stop,
}

/// A queue of fixed capacity.
#[derive(Clone, Debug)]
pub(super) struct Ring<T, const N: usize> {
    items: [T; N],
    first: usize,
    count: usize,
}

impl<T: Copy + Default + PartialEq, const N: usize> Ring<T, N> {
    pub(super) fn new() -> Self {
        Ring { items: [T::default(); N], first: 0, count: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Appends; `false` if the queue is full.
    pub(super) fn push(&mut self, item: T) -> bool {
        if self.count == N {
            return false;
        }
        self.items[(self.first + self.count) % N] = item;
        self.count += 1;
        true
    }

    /// Appends unless the item is there already.
    pub(super) fn push_once(&mut self, item: T) {
        if !self.iter().any(|queued| queued == item) {
            let queued = self.push(item);
            debug_assert!(queued, "capacities cover every distinct item");
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        if self.count == 0 {
            return None;
        }
        let item = self.items[self.first];
        self.first = (self.first + 1) % N;
        self.count -= 1;
        Some(item)
    }

    /// Takes out the first item that fits.
    pub(super) fn pop_where(&mut self, fits: impl Fn(T) -> bool) -> Option<T> {
        let index = (0..self.count).find(|&i| fits(self.items[(self.first + i) % N]))?;
        let item = self.items[(self.first + index) % N];
        for i in index..self.count - 1 {
            self.items[(self.first + i) % N] = self.items[(self.first + i + 1) % N];
        }
        self.count -= 1;
        Some(item)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.count).map(|i| self.items[(self.first + i) % N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_a_queue() {
        let mut ring: Ring<u8, 3> = Ring::new();
        assert!(ring.push(1) && ring.push(2) && ring.push(3));
        assert!(!ring.push(4), "full");
        assert_eq!(ring.pop(), Some(1));
        assert!(ring.push(5));
        assert_eq!(ring.pop_where(|n| n == 3), Some(3));
        assert_eq!(ring.iter().collect::<Vec<_>>(), [2, 5]);
        ring.push_once(5);
        assert_eq!(ring.len(), 2);
    }
}
