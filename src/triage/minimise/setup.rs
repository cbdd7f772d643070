//! A smaller machine, and every setting as calm as it can be.

use super::{Subject, Trial};
use crate::event::{MESSAGES_MAX, PROCESSORS_MAX};
use crate::scenario::{Failures, Manner, Setup};

/// A way to make one setting calm.
type Calm = fn(&mut Setup, &Setup);

/// Every setting but processors and messages, several at once first.
const CALMS: &[Calm] = &[
    |setup, calm| {
        *setup = Setup { processors: setup.processors, messages: setup.messages, ..*calm };
    },
    |setup, _| setup.failures = Failures::default(),
    |setup, _| setup.device = Manner::default(),
    |setup, calm| setup.interrupts = calm.interrupts,
    |setup, calm| setup.affinity = calm.affinity,
    |setup, calm| setup.per_message = calm.per_message,
    |setup, calm| setup.half_duplex = calm.half_duplex,
    |setup, calm| setup.virtual_miniport = calm.virtual_miniport,
    |setup, calm| setup.legacy_srb = calm.legacy_srb,
    |setup, calm| setup.perf = calm.perf,
    |setup, calm| setup.channels = calm.channels,
    |setup, calm| setup.start_io_message = calm.start_io_message,
    |setup, calm| setup.early_interrupts = calm.early_interrupts,
    |setup, calm| setup.dump = calm.dump,
    |setup, calm| setup.control_under_interrupt_lock = calm.control_under_interrupt_lock,
    |setup, calm| setup.restart_supported = calm.restart_supported,
    |setup, calm| setup.request_slots = calm.request_slots,
    |setup, calm| setup.failures.allocation = calm.failures.allocation,
    |setup, calm| setup.failures.uncached_extension = calm.failures.uncached_extension,
    |setup, calm| setup.failures.device_base = calm.failures.device_base,
    |setup, calm| setup.failures.passive_initialization = calm.failures.passive_initialization,
    |setup, calm| setup.failures.perf_opts = calm.failures.perf_opts,
    |setup, calm| setup.failures.timer_and_worker = calm.failures.timer_and_worker,
    |setup, calm| setup.failures.scatter_gather = calm.failures.scatter_gather,
    |setup, calm| setup.device.order = calm.device.order,
    |setup, calm| setup.device.latency = calm.device.latency,
    |setup, calm| setup.device.queue_entries = calm.device.queue_entries,
    |setup, calm| setup.device.queue_pairs = calm.device.queue_pairs,
    |setup, calm| setup.device.slow_ready = calm.device.slow_ready,
    |setup, calm| setup.device.never_ready = calm.device.never_ready,
    |setup, calm| setup.device.queue_creation_fails = calm.device.queue_creation_fails,
    |setup, calm| setup.device.answers_after_reset = calm.device.answers_after_reset,
    |setup, calm| setup.device.coalesces = calm.device.coalesces,
    |setup, calm| setup.device.spurious_every = calm.device.spurious_every,
    |setup, calm| setup.device.garbage_identify = calm.device.garbage_identify,
];

impl<S: Subject> Trial<'_, S> {
    /// Fewer processors, then fewer messages.
    pub(super) fn lower_machine(&mut self) {
        for processors in 1..PROCESSORS_MAX as u8 {
            if processors >= self.best.setup.processors {
                break;
            }
            let mut candidate = self.best.clone();
            candidate.setup.processors = processors;
            if self.take_somehow(&candidate) {
                break;
            }
        }
        for messages in [1, 2, 3, 4, 8, 16, MESSAGES_MAX as u8 / 2] {
            if messages >= self.best.setup.messages {
                break;
            }
            let mut candidate = self.best.clone();
            candidate.setup.messages = messages;
            if self.take_or_calm(&candidate) {
                break;
            }
        }
    }

    /// The smallest queues, if that lets steps go: a queue that must be full is full sooner.
    pub(super) fn tighten_queues(&mut self) {
        /// One entry of a queue always stays free.
        const ENTRIES_MIN: u8 = 2;
        let before = self.best.clone();
        let mut candidate = before.clone();
        candidate.setup.device.queue_entries = ENTRIES_MIN;
        if before.steps.len() > 1 && self.take_somehow(&candidate) {
            self.remove_steps();
            if self.best.steps.len() >= before.steps.len() {
                self.best = before;
            }
        }
    }

    /// Every other setting to its default, if the bug does not need it.
    pub(super) fn calm_setup(&mut self) {
        for calm in CALMS {
            let mut candidate = self.best.clone();
            calm(&mut candidate.setup, &Setup::default());
            if candidate.setup != self.best.setup {
                self.take_or_calm(&candidate);
            }
        }
    }
}
