//! Script lines that follow from earlier ones.
//!
//! A script is worth playing when its lines belong together: an acquire, what is done under the lock, and
//! its release, in one callback. Independent bytes would seldom say that, so some bytes of a line mean
//! what an earlier line said. Writing a scenario writes every line in full.

use super::STEP_BYTES;
use super::coding::{Input, Record};
use crate::miniport::puppet::Call;

/// First byte of the routine that means: the routine and invocations of the line before.
const AS_BEFORE_FROM: u8 = 128;
/// First byte of the op that means: the line that undoes the last acquire which nothing undid yet.
const UNDO_LAST_FROM: u8 = 192;
/// First byte of the op that means: the line that undoes the first one.
const UNDO_FIRST_FROM: u8 = 240;
/// Most acquires that are remembered.
const ACQUIRES_MAX: usize = 8;

/// The lines before, as far as later lines can mean them.
#[derive(Default)]
pub(super) struct Lines {
    last: Option<Call>,
    acquires: [Call; ACQUIRES_MAX],
    count: usize,
}

impl Lines {
    /// Reads the next line from the bytes of a step that follow the kind.
    #[inline]
    pub(super) fn decode(&mut self, operands: &[u8; STEP_BYTES - 1]) -> Call {
        let [routine, _, op, ..] = *operands;
        let mut call = Call::decode(&mut Input::new(operands));
        if let Some(last) = self.last
            && routine >= AS_BEFORE_FROM
        {
            (call.routine, call.when) = (last.routine, last.when);
        }
        if op >= UNDO_LAST_FROM
            && let Some(undo) = self.undo(op >= UNDO_FIRST_FROM)
        {
            call = undo;
        }
        let call = call.canonical();
        self.last = Some(call);
        if call.op.undone_by().is_some() && self.count < ACQUIRES_MAX {
            self.acquires[self.count] = call;
            self.count += 1;
        }
        call
    }

    /// The line that undoes the last acquire, or the first one.
    fn undo(&mut self, first: bool) -> Option<Call> {
        let last = self.count.checked_sub(1)?;
        if first {
            self.acquires[..self.count].rotate_left(1);
        }
        self.count = last;
        let acquire = self.acquires[last];
        Some(Call { op: acquire.op.undone_by()?, ..acquire })
    }
}
