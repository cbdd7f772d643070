//! Critical sections of a mutated driver whose calls are not what the driver takes them for.

use super::{Acquire, Given, Key, Release};
use crate::event::Site;
use crate::storport::Irql;

/// A critical section, or what is left of one.
#[derive(Clone, Copy)]
pub(super) struct Section {
    pub(super) processor: u8,
    /// Callbacks that were active on the processor when it began, the one that began it included.
    pub(super) depth: usize,
    /// What its release will name.
    pub(super) key: Key,
    pub(super) what: What,
    /// Something has run nested in the callback: the next point at its own depth ends that, and is no call.
    pub(super) nested: bool,
}

/// What is different about it.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// Nothing is held: the release has no effect.
    Void,
    /// This is held instead.
    Instead(Given),
    /// The IRQL was raised before the acquire and comes back after the release.
    Raised(Irql),
    /// It ends before the call that is so many away.
    Ends { calls: u32, release: Release, site: Site },
    /// It has yet to begin: before the call that is so many away, or behind the next acquire.
    Begins { when: When, acquire: Acquire, site: Site },
    /// The driver has ended it, and it goes on.
    Outlives { given: Given, site: Site, until: Until },
}

/// When an acquire is made that was put off.
#[derive(Clone, Copy)]
pub(super) enum When {
    Calls(u32),
    NextAcquire,
}

/// When a release is made that was put off; when the callback returns at the latest.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// A request is completed after this moment, in the machine's order.
    Completion(u64),
    Return,
}

/// What a decision point brings.
pub(super) enum Due {
    Acquire(Acquire, Site),
    Release(Release, Site),
    Give(Given, Site),
}

impl Section {
    /// Whether it waits for decision points.
    pub(super) fn waits(&self) -> bool {
        match self.what {
            What::Ends { .. } | What::Outlives { .. } => true,
            What::Begins { when, .. } => matches!(when, When::Calls(_)),
            What::Void | What::Instead(_) | What::Raised(_) => false,
        }
    }

    /// Passes a decision point at `depth` on its processor. Says whether the section stays as it is, and what is due.
    pub(super) fn pass(&mut self, depth: usize, completed: u64) -> (bool, Option<Due>) {
        if depth < self.depth {
            return self.outlived();
        }
        if depth > self.depth {
            self.nested = true;
            return (true, None);
        }
        if std::mem::take(&mut self.nested) {
            return (true, None);
        }
        match &mut self.what {
            What::Ends { calls, release, site } => {
                *calls -= 1;
                if *calls > 0 {
                    return (true, None);
                }
                let due = Due::Release(*release, *site);
                self.what = What::Void;
                (true, Some(due))
            }
            What::Begins { when: When::Calls(calls), acquire, site } => {
                *calls -= 1;
                (*calls > 0, (*calls == 0).then_some(Due::Acquire(*acquire, *site)))
            }
            What::Outlives { given, site, until: Until::Completion(since) }
                if completed > *since =>
            {
                (false, Some(Due::Give(*given, *site)))
            }
            _ => (true, None),
        }
    }

    /// Its callback has returned.
    fn outlived(&self) -> (bool, Option<Due>) {
        match self.what {
            What::Outlives { given, site, .. } => (false, Some(Due::Give(given, site))),
            // The driver returned without a release, which is its own affair.
            What::Ends { .. } | What::Begins { .. } => (false, None),
            What::Void | What::Instead(_) | What::Raised(_) => (true, None),
        }
    }
}
