//! When, where and by whom: an event without what.
//!
//! The checker takes an event apart before it follows it. What is left of it here are a few numbers, which the compiler
//! keeps in registers; a whole event, whose kind overlaps with every other kind, it would write to memory in pieces
//! and read back.

use crate::event::{Event, Site};
use crate::storport::Irql;

/// An event without its kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) time: u64,
    pub(super) site: Site,
    pub(super) processor: u8,
    pub(super) irql: Irql,
}

impl Moment {
    #[inline(always)]
    pub(super) fn of(event: &Event) -> Moment {
        let Event { time, site, processor, irql, .. } = *event;
        Moment { time, site, processor, irql }
    }
}
