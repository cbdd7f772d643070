//! Where each handle and OldIrql of a part lies: in the stack frame of the callback, or in memory that all share.

use crate::miniport::puppet::{FIRST_SHARED_SLOT, SLOTS};

/// Uses of what one acquire left behind: in which run of a callback, and when.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses(Vec<(usize, u32)>);

impl Uses {
    pub(super) fn add(&mut self, invocation: usize, clock: u32) {
        self.0.push((invocation, clock));
    }

    /// The one run of a callback that uses it.
    fn only(&self) -> Option<usize> {
        let &(first, _) = self.0.first()?;
        self.0.iter().all(|&(invocation, _)| invocation == first).then_some(first)
    }

    fn overlaps(&self, other: &Uses) -> bool {
        let span = |uses: &Uses| Some((uses.0.first()?.1, uses.0.last()?.1));
        match (span(self), span(other)) {
            (Some((first, last)), Some((begin, end))) => first <= end && begin <= last,
            _ => false,
        }
    }
}

/// The slot of each: the first that is free, so that runs that do the same have the same slots.
pub(super) fn assign(handles: &[Uses]) -> Vec<u8> {
    const FIRST_SHARED: u8 = FIRST_SHARED_SLOT as u8;
    // Those that are shared first: what does not fit a frame takes what they leave.
    let mut order: Vec<usize> = (0..handles.len()).collect();
    order.sort_by_key(|&index| handles[index].only().is_some());
    let mut assigned = vec![None; handles.len()];
    for index in order {
        let uses = &handles[index];
        let own = uses.only();
        let is_free = |slot: &u8| {
            assigned.iter().zip(handles).all(|(taken, other): (&Option<u8>, &Uses)| {
                let apart = *slot < FIRST_SHARED && other.only() != own;
                *taken != Some(*slot) || apart || !uses.overlaps(other)
            })
        };
        let first = if own.is_some() { 0 } else { FIRST_SHARED };
        assigned[index] = Some((first..SLOTS as u8).find(is_free).unwrap_or(SLOTS as u8 - 1));
    }
    assigned.into_iter().flatten().collect()
}
