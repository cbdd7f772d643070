//! A scenario's bytes, cut at its joints: what a mutation can take out, put in and exchange.

use super::super::codec::{
    DECISION_BYTES, HEADER_BYTES, POLICY_BYTES, STEP_BYTES, VERSION, VERSION_POLICY, header_bytes,
};
use super::super::{DECISIONS_MAX, STEPS_MAX};

/// Makes a whole scenario of any bytes, with nothing behind it that has no meaning, and returns its size:
/// a version of today, a header, as many steps as it says, whole decisions. If the buffer is too small for a
/// header, the first byte is set and no more.
pub fn tidy(buffer: &mut [u8], size: usize) -> usize {
    let room = buffer.len();
    let Some(version) = buffer.first_mut() else { return 0 };
    if *version != VERSION_POLICY || room < header_bytes(VERSION_POLICY) {
        *version = VERSION;
    }
    let header = header_bytes(*version);
    if room < header {
        return size.clamp(1, room);
    }
    if size < header {
        buffer[size.max(1)..header].fill(0);
    }
    Parts::new(buffer, size.clamp(header, room)).size()
}

/// A scenario's bytes, cut at its joints.
pub(super) struct Parts<'a> {
    pub(super) bytes: &'a mut [u8],
    /// Bytes before the first step.
    header: usize,
    pub(super) steps: usize,
    pub(super) decisions: usize,
}

impl<'a> Parts<'a> {
    /// Cuts the first `size` bytes, a header at least.
    pub(super) fn new(bytes: &'a mut [u8], size: usize) -> Self {
        let header = header_bytes(bytes[0]);
        let rest = size - header;
        let said = usize::from(bytes[header - 1]) % (STEPS_MAX + 1);
        let steps = said.min(rest / STEP_BYTES);
        let decisions = ((rest - steps * STEP_BYTES) / DECISION_BYTES).min(DECISIONS_MAX);
        let mut parts = Parts { bytes, header, steps: 0, decisions };
        parts.set_steps(steps);
        parts
    }

    fn set_steps(&mut self, steps: usize) {
        self.steps = steps;
        // At most STEPS_MAX, which fits.
        self.bytes[self.header - 1] = steps as u8;
    }

    pub(super) fn step_at(&self, step: usize) -> usize {
        self.header + step * STEP_BYTES
    }

    pub(super) fn decision_at(&self, decision: usize) -> usize {
        self.step_at(self.steps) + decision * DECISION_BYTES
    }

    pub(super) fn size(&self) -> usize {
        self.decision_at(self.decisions)
    }

    /// Setup and swarm.
    pub(super) fn setup(&mut self) -> &mut [u8] {
        &mut self.bytes[1..HEADER_BYTES - 1]
    }

    /// The policy; `None` in version 1.
    pub(super) fn policy(&mut self) -> Option<&mut [u8]> {
        (self.bytes[0] == VERSION_POLICY)
            .then(|| &mut self.bytes[HEADER_BYTES - 1..HEADER_BYTES - 1 + POLICY_BYTES])
    }

    /// Sets the policy, or takes it out, and the version with it. `false` if there is no room for it.
    pub(super) fn set_policy(&mut self, policy: Option<[u8; POLICY_BYTES]>) -> bool {
        let size = self.size();
        let (had, has) =
            (self.header, header_bytes(if policy.is_some() { VERSION_POLICY } else { VERSION }));
        if size - had + has > self.bytes.len() {
            return false;
        }
        // The number of steps, the last byte of the header, moves along with what is behind it.
        self.bytes.copy_within(had - 1..size, has - 1);
        self.header = has;
        self.bytes[0] = VERSION;
        if let Some(policy) = policy {
            self.bytes[0] = VERSION_POLICY;
            self.bytes[HEADER_BYTES - 1..][..POLICY_BYTES].copy_from_slice(&policy);
        }
        true
    }

    /// Steps once more, before step `place`.
    pub(super) fn repeat(&mut self, first: usize, count: usize, place: usize) {
        let mut run = [0; STEPS_MAX * STEP_BYTES];
        let run = &mut run[..count * STEP_BYTES];
        let from = self.step_at(first);
        run.copy_from_slice(&self.bytes[from..from + run.len()]);
        if self.open_steps(place, count) {
            let at = self.step_at(place);
            self.bytes[at..at + run.len()].copy_from_slice(run);
        }
    }

    pub(super) fn erase(&mut self, first: usize, count: usize) {
        let end = self.size();
        self.bytes.copy_within(self.step_at(first + count)..end, self.step_at(first));
        self.set_steps(self.steps - count);
    }

    pub(super) fn swap(&mut self, a: usize, b: usize) {
        for byte in 0..STEP_BYTES {
            self.bytes.swap(self.step_at(a) + byte, self.step_at(b) + byte);
        }
    }

    /// Makes room for `count` steps before step `place`, if there is any. Their bytes are not set yet.
    pub(super) fn open_steps(&mut self, place: usize, count: usize) -> bool {
        let fits = self.size() + count * STEP_BYTES <= self.bytes.len();
        if fits && self.steps + count <= STEPS_MAX {
            let (from, end) = (self.step_at(place), self.size());
            self.bytes.copy_within(from..end, from + count * STEP_BYTES);
            self.set_steps(self.steps + count);
            return true;
        }
        false
    }

    /// Puts steps of `other`, from `from` on, in place of one's own from `kept` on; as many as there is room for.
    pub(super) fn splice(&mut self, kept: usize, other: &Parts<'_>, from: usize) {
        self.erase(kept, self.steps - kept);
        let room = (self.bytes.len() - self.size()) / STEP_BYTES;
        let count = (other.steps - from).min(room).min(STEPS_MAX - self.steps);
        if self.open_steps(kept, count) {
            let (at, from) = (self.step_at(kept), other.step_at(from));
            self.bytes[at..at + count * STEP_BYTES]
                .copy_from_slice(&other.bytes[from..from + count * STEP_BYTES]);
        }
    }

    /// Takes over the decisions of `other`, as many as there is room for.
    pub(super) fn take_decisions(&mut self, other: &Parts<'_>) {
        let at = self.decision_at(0);
        self.decisions = other.decisions.min((self.bytes.len() - at) / DECISION_BYTES);
        let bytes = self.decisions * DECISION_BYTES;
        let from = other.decision_at(0);
        self.bytes[at..at + bytes].copy_from_slice(&other.bytes[from..from + bytes]);
    }
}
