//! Requests that were issued and not yet completed, for formats that tell of both in lines of their own.
//!
//! A trace may have lost completions, and a hostile one has none, so the table is bounded: the oldest entry
//! makes room, as a request of which no completion is known.

use std::collections::{BTreeMap, VecDeque};

use super::Request;

/// Requests outstanding at once: more than any adapter has.
const PENDING_MAX: usize = 4096;
/// Completed requests that are held back, so that what a later line says of them can be added.
const RECENT: usize = 32;

/// What is outstanding, by a key that the format has for pairing.
#[derive(Debug)]
pub(super) struct Pending<K> {
    open: BTreeMap<K, (u64, Request)>,
    /// Keys in order of issue; those that were completed meanwhile are passed over.
    order: VecDeque<(u64, K)>,
    issued: u64,
    done: VecDeque<(K, Request)>,
}

impl<K: Copy + Ord> Pending<K> {
    pub(super) const fn new() -> Self {
        Pending { open: BTreeMap::new(), order: VecDeque::new(), issued: 0, done: VecDeque::new() }
    }

    /// A request was issued. One of the same key whose completion was never seen is done with.
    pub(super) fn issue(&mut self, key: K, request: Request) {
        if let Some((_, old)) = self.open.remove(&key) {
            self.done.push_back((key, old));
        }
        self.issued += 1;
        self.open.insert(key, (self.issued, request));
        self.order.push_back((self.issued, key));
        while self.order.len() > PENDING_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((number, key)) = self.order.pop_front() else { return };
        if self.open.get(&key).is_some_and(|(issued, _)| *issued == number)
            && let Some((_, old)) = self.open.remove(&key)
        {
            self.done.push_back((key, old));
        }
    }

    /// The request that is outstanding under this key.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut Request> {
        self.open.get_mut(&key).map(|(_, request)| request)
    }

    /// Forgets a request that never was one of its own.
    pub(super) fn forget(&mut self, key: K) {
        self.open.remove(&key);
    }

    /// A request was completed at this time. `None` if it is not known; its issue was before the trace began.
    pub(super) fn complete(&mut self, key: K, time_ns: u64) -> Option<&mut Request> {
        let (_, mut request) = self.open.remove(&key)?;
        request.latency_ns = Some(time_ns.saturating_sub(request.time_ns));
        self.done.push_back((key, request));
        self.done.back_mut().map(|(_, request)| request)
    }

    /// A request that was completed a short while ago.
    pub(super) fn recent(&mut self, key: K) -> Option<&mut Request> {
        self.done.iter_mut().rev().find(|(other, _)| *other == key).map(|(_, request)| request)
    }

    /// A request that is complete as it is, and may be told more of under its key.
    pub(super) fn push(&mut self, key: K, request: Request) {
        self.done.push_back((key, request));
    }

    /// The next request that nothing more will be said of.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.done.len() <= RECENT {
            return None;
        }
        self.done.pop_front().map(|(_, request)| request)
    }

    /// The next request after the end of the trace.
    pub(super) fn drain(&mut self) -> Option<Request> {
        while self.done.is_empty() && !self.order.is_empty() {
            self.drop_oldest();
        }
        self.done.pop_front().map(|(_, request)| request)
    }
}
