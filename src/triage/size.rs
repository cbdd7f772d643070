//! How much there is of a scenario, for its reader.

use serde::{Deserialize, Serialize};

use crate::scenario::{Scenario, Setup};

/// The size of a scenario. Its order is the order in which a minimiser makes things smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Size {
    /// Steps that happen to the adapter: requests, interrupts, resets ...
    pub steps: usize,
    /// Lines of the puppet's script: the driver's code, so to speak.
    pub script: usize,
    /// Virtual processors.
    pub processors: u8,
    /// Messages granted.
    pub messages: u8,
    /// Other settings that are not the default.
    pub settings: usize,
    /// Context switches, interrupts and early completions that the schedule asks for.
    pub departures: usize,
}

impl Size {
    /// The size of `scenario`.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Size {
        let script = scenario.steps.iter().filter(|step| step.at().is_none()).count();
        Size {
            steps: scenario.steps.len() - script,
            script,
            processors: scenario.setup.processors,
            messages: scenario.setup.messages,
            settings: settings(&scenario.setup),
            departures: scenario.schedule.len(),
        }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let noun = |count: usize, noun: &str| {
            format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
        };
        f.write_str(&noun(self.steps, "step"))?;
        if self.script > 0 {
            write!(f, ", {}", noun(self.script, "script line"))?;
        }
        write!(f, ", {}", noun(self.processors.into(), "processor"))?;
        write!(f, ", {}", noun(self.departures, "departure"))
    }
}

/// How many settings, beside processors and messages, are not the default.
fn settings(setup: &Setup) -> usize {
    let calm = Setup::default();
    let (failures, calm_failures) = (&setup.failures, &calm.failures);
    let (device, calm_device) = (&setup.device, &calm.device);
    [
        setup.interrupts != calm.interrupts,
        setup.affinity != calm.affinity,
        setup.per_message != calm.per_message,
        setup.half_duplex != calm.half_duplex,
        setup.virtual_miniport != calm.virtual_miniport,
        setup.legacy_srb != calm.legacy_srb,
        setup.perf != calm.perf,
        setup.channels != calm.channels,
        setup.start_io_message != calm.start_io_message,
        setup.early_interrupts != calm.early_interrupts,
        setup.dump != calm.dump,
        setup.control_under_interrupt_lock != calm.control_under_interrupt_lock,
        setup.restart_supported != calm.restart_supported,
        setup.request_slots != calm.request_slots,
        failures.allocation != calm_failures.allocation,
        failures.uncached_extension != calm_failures.uncached_extension,
        failures.device_base != calm_failures.device_base,
        failures.passive_initialization != calm_failures.passive_initialization,
        failures.perf_opts != calm_failures.perf_opts,
        failures.timer_and_worker != calm_failures.timer_and_worker,
        failures.scatter_gather != calm_failures.scatter_gather,
        device.order != calm_device.order,
        device.latency != calm_device.latency,
        device.queue_entries != calm_device.queue_entries,
        device.queue_pairs != calm_device.queue_pairs,
        device.slow_ready != calm_device.slow_ready,
        device.never_ready != calm_device.never_ready,
        device.queue_creation_fails != calm_device.queue_creation_fails,
        device.answers_after_reset != calm_device.answers_after_reset,
        device.coalesces != calm_device.coalesces,
        device.spurious_every != calm_device.spurious_every,
        device.garbage_identify != calm_device.garbage_identify,
    ]
    .into_iter()
    .filter(|&differs| differs)
    .count()
}
