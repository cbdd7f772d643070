//! The life of an adapter, as StorPort leads it: found and initialised; what follows is `control`'s.
//!
//! Everything here runs as a thread of StorPort's on a virtual processor. IRQLs and locks of each callback are
//! those of the lock table
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>.

use std::ffi::c_void;

use super::interrupt::{DIRQL, uses_messages};
use super::memory::{EXTENSION_BYTES, SRB_EXTENSION_BYTES};
use super::port::Port;
use super::state::{Phase, State};
use crate::device::REGISTERS_PHYSICAL;
use crate::device::pci::BARS_MAX;
use crate::event::{
    Adapter as Facts, ConfigurationMistake, Duplex, Interrupts, Kind, Miniport, Routine, Sink, Site,
};
use crate::scenario::AdapterAction;
use crate::storport::config::{
    AccessRange, DUMP_MODE_CRASH, HwFindAdapter, HwMessageInterrupt, HwPassiveInitializeRoutine,
    InterfaceType, InterruptSynchronizationMode, KinterruptMode, SCSI_DMA64_SYSTEM_SUPPORTED,
    SP_UNINITIALIZED_VALUE, SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK, STOR_FEATURE_VIRTUAL_MINIPORT,
    StorSynchronizationModel, VirtualHwFindAdapter,
};
use crate::storport::control::ScsiAdapterControlType;
use crate::storport::memory::PhysicalAddress;
use crate::storport::{Irql, PortConfigurationInformation, SpReturn};

/// Longest transfer that the machine has memory for.
const TRANSFER_BYTES: u32 = 48 * 512;

/// Where the adapter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    /// Not found yet, or its start failed.
    #[default]
    Absent,
    /// It takes requests.
    Started,
    /// Stopped, and to be restarted.
    Stopped,
    /// Gone, by surprise or for good.
    Removed,
}

/// What StorPort knows of the adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    pub(super) life: Life,
    /// HwStorFindAdapter has returned; `facts` are the driver's.
    pub(super) configured: bool,
    /// What rules are told of it.
    pub(super) facts: Facts,
    pub(super) message_interrupt: Option<HwMessageInterrupt>,
    pub(super) passive_initialize: Option<HwPassiveInitializeRoutine>,
    pub(super) legacy_srb: bool,
    pub(super) transfer_limit: u32,
    /// DPC redirection to the issuing processor is on.
    pub(super) redirects_dpcs: bool,
    /// Messages of the redirection range.
    pub(super) message_range: (u32, u32),
    pub(super) next_message: u32,
    pub(super) paused_until: u64,
    /// StorPortBusy: so many requests must finish first.
    pub(super) busy_until_finished: u32,
    /// The n-th StorPortAllocatePool fails; 0 none, 255 all.
    pub(super) fail_allocation: u8,
    pub(super) allocations: u8,
    pub(super) scatter_gathers: u8,
    /// StorPortAllocateRegistryBuffer's one buffer is with the driver.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) registry_buffer: bool,
    /// The driver has asked for the logical unit's extension.
    #[cfg_attr(
        not(feature = "binary"),
        expect(dead_code, reason = "only compiled drivers need it")
    )]
    pub(super) logical_unit_known: bool,
    control: Option<(AdapterAction, u8)>,
    pub(super) supports_adapter: u32,
    pub(super) supports_unit: u32,
}

impl Default for Adapter {
    fn default() -> Self {
        Adapter {
            life: Life::Absent,
            configured: false,
            facts: Facts {
                miniport: Miniport::Physical,
                duplex: Duplex::Half,
                interrupts: Interrupts::None,
                messages: 0,
                channels: 1,
                device_irql: DIRQL,
                dump: false,
                completes_in_start_io: false,
                control_under_interrupt_lock: false,
            },
            message_interrupt: None,
            passive_initialize: None,
            legacy_srb: false,
            transfer_limit: TRANSFER_BYTES,
            redirects_dpcs: false,
            message_range: (0, 0),
            next_message: 0,
            paused_until: 0,
            busy_until_finished: 0,
            fail_allocation: 0,
            allocations: 0,
            scatter_gathers: 0,
            registry_buffer: false,
            logical_unit_known: false,
            control: None,
            supports_adapter: 0,
            supports_unit: 0,
        }
    }
}

impl Adapter {
    /// It takes requests.
    pub(super) fn is_started(&self) -> bool {
        self.life == Life::Started
    }

    /// Requests can still come to something.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.life, Life::Started | Life::Stopped)
    }

    pub(super) fn control_pending(&self) -> bool {
        self.control.is_some()
    }

    /// Something that must wait until nothing is outstanding.
    pub(super) fn ask_for_control(&mut self, action: AdapterAction, processor: u8) {
        if self.is_started() && self.control.is_none() {
            self.control = Some((action, processor));
        }
    }

    /// The n-th StorPortAllocatePool from now on fails.
    pub(super) fn fail_allocation_from_now(&mut self, count: u8) {
        self.fail_allocation = count;
        self.allocations = 0;
    }

    pub(super) fn supports(&self, control: ScsiAdapterControlType) -> bool {
        control.0 < 32 && self.supports_adapter & (1 << control.0) != 0
    }
}

impl<S: Sink> State<S> {
    /// Begins a stop or power change that waited for outstanding requests; whether it did.
    pub(super) fn begin_control_when_quiet(&mut self) -> bool {
        let Some((action, processor)) = self.adapter.control else { return false };
        if self.requests.outstanding != 0 || self.recovery.is_active() {
            return false;
        }
        self.adapter.control = None;
        self.current = usize::from(processor);
        self.add_task(super::deferred::Task::Adapter(action));
        true
    }

    /// The start failed: no step reaches the adapter.
    pub(super) fn fail_start(&mut self) {
        self.adapter.life = Life::Absent;
        self.interrupts.enabled = false;
        self.step_next = self.steps.len();
        self.phase = Phase::Open;
    }

    /// What PnP assigned to the adapter, and how many ranges of it there are.
    fn access_ranges(&self) -> ([AccessRange; BARS_MAX], usize) {
        let mut ranges = [AccessRange::default(); BARS_MAX];
        let mut count = 0;
        while count < BARS_MAX
            && let Some(range) = self.device.range(count)
        {
            ranges[count] = AccessRange {
                range_start: PhysicalAddress(REGISTERS_PHYSICAL + u64::from(range.offset)),
                range_length: range.bytes,
                range_in_memory: u8::from(range.memory),
            };
            count += 1;
        }
        (ranges, count)
    }

    fn configuration(&self, ranges: &mut [AccessRange]) -> PortConfigurationInformation {
        let messages = uses_messages(self.setup.interrupts, true);
        PortConfigurationInformation {
            length: size_of::<PortConfigurationInformation>() as u32,
            adapter_interface_type: InterfaceType::PCI_BUS,
            interrupt_mode: if messages {
                KinterruptMode::LATCHED
            } else {
                KinterruptMode::LEVEL_SENSITIVE
            },
            maximum_transfer_length: SP_UNINITIALIZED_VALUE,
            number_of_physical_breaks: SP_UNINITIALIZED_VALUE,
            number_of_access_ranges: ranges.len() as u32,
            access_ranges: ranges.as_mut_ptr(),
            dma64_bit_addresses: SCSI_DMA64_SYSTEM_SUPPORTED,
            device_extension_size: self.driver.map_or(0, |d| d.data.device_extension_size),
            srb_extension_size: self.driver.map_or(0, |d| d.data.srb_extension_size),
            dump_mode: if self.setup.dump { DUMP_MODE_CRASH } else { 0 },
            ..PortConfigurationInformation::default()
        }
    }

    /// Takes over what HwStorFindAdapter chose; `false` if the adapter cannot be used.
    fn adopt(&mut self, result: u32, config: &PortConfigurationInformation) -> bool {
        let result = SpReturn(result);
        let known = [SpReturn::FOUND, SpReturn::NOT_FOUND, SpReturn::ERROR, SpReturn::BAD_CONFIG];
        if !known.contains(&result) {
            self.mistake(ConfigurationMistake::ReturnValueUnknown);
        }
        if result != SpReturn::FOUND {
            return false;
        }
        let Some(driver) = self.driver else { return false };
        let is_virtual = driver.data.feature_support & STOR_FEATURE_VIRTUAL_MINIPORT != 0;
        let unset = config.maximum_transfer_length == SP_UNINITIALIZED_VALUE
            || config.number_of_physical_breaks == SP_UNINITIALIZED_VALUE;
        if unset && !is_virtual {
            self.mistake(ConfigurationMistake::TransferLimitsUnset);
        }
        if is_virtual != (config.virtual_device != 0) {
            self.mistake(ConfigurationMistake::VirtualDeviceWrong);
        }
        self.adapter.transfer_limit = config
            .maximum_transfer_length
            .min(config.number_of_physical_breaks.saturating_sub(1).saturating_mul(4096))
            .clamp(512, TRANSFER_BYTES);
        self.adapter.legacy_srb =
            driver.data.srb_type_flags & SRB_TYPE_FLAG_STORAGE_REQUEST_BLOCK == 0;
        self.adapter.message_interrupt = config.hw_ms_interrupt_routine;
        self.adapter.facts = self.facts(is_virtual, config);
        self.adapter.configured = true;
        let facts = self.adapter.facts;
        let by_line = facts.messages == 0;
        self.interrupts.connect(by_line, facts.messages, self.setup.affinity, self.processor_count);
        self.emit(Site::Port, Kind::Configured(facts));
        true
    }

    fn facts(&self, is_virtual: bool, config: &PortConfigurationInformation) -> Facts {
        let has_routine = config.hw_ms_interrupt_routine.is_some();
        let messages = !is_virtual && uses_messages(self.setup.interrupts, has_routine);
        let per_message =
            config.interrupt_synchronization_mode == InterruptSynchronizationMode::PER_MESSAGE;
        Facts {
            miniport: if is_virtual { Miniport::Virtual } else { Miniport::Physical },
            duplex: match config.synchronization_model {
                StorSynchronizationModel::FULL_DUPLEX => Duplex::Full,
                _ => Duplex::Half,
            },
            interrupts: match (is_virtual, messages, per_message) {
                (true, ..) => Interrupts::None,
                (_, false, _) => Interrupts::Line,
                (_, true, false) => Interrupts::MessagesTogether,
                (_, true, true) => Interrupts::PerMessage,
            },
            messages: if messages { self.setup.messages.clamp(1, 64) } else { 0 },
            dump: self.setup.dump,
            // A virtual miniport has no interrupt, and so no DIRQL.
            control_under_interrupt_lock: self.setup.control_under_interrupt_lock && !is_virtual,
            ..self.adapter.facts
        }
    }

    /// Whether anything can interrupt: a crash dump polls, a virtual miniport has no hardware.
    pub(super) fn interrupts_are_connected(&self) -> bool {
        !self.setup.dump && self.adapter.facts.miniport == Miniport::Physical
    }

    fn mistake(&mut self, mistake: ConfigurationMistake) {
        self.emit(Site::Port, Kind::ConfigurationWrong { mistake });
    }
}

impl<S: Sink + 'static> Port<S> {
    /// Finds and initialises the adapter.
    pub(super) fn start_adapter(self) {
        let sizes = self.driver().data;
        let fits = sizes.device_extension_size as usize <= EXTENSION_BYTES
            && sizes.srb_extension_size as usize <= SRB_EXTENSION_BYTES;
        if !fits || !self.find_adapter() || !self.initialize() {
            return self.with(State::fail_start);
        }
        self.query_supported();
        self.act(|s| {
            s.adapter.life = Life::Started;
            s.interrupts.enabled = s.interrupts_are_connected();
            s.phase = Phase::Open;
        });
    }

    /// HwStorFindAdapter, at PASSIVE_LEVEL; at HIGH_LEVEL for a crash dump.
    pub(super) fn find_adapter(self) -> bool {
        let driver = self.driver();
        let Some(routine) = driver.data.hw_find_adapter else { return false };
        let (mut ranges, count) = self.with(|s| s.access_ranges());
        let mut config = self.with(|s| s.configuration(&mut ranges[..count]));
        let extension = self.extension();
        let mut again = 0_u8;
        let is_virtual = driver.data.feature_support & STOR_FEATURE_VIRTUAL_MINIPORT != 0;
        let null = std::ptr::null_mut::<c_void>();
        let saved = self.in_dump_at(Irql::HIGH);
        let result = self.callback(Routine::FindAdapter, 0, || {
            let (config, again) = (&raw mut config, &raw mut again);
            let text = std::ptr::null_mut();
            // SAFETY: the driver's own entry point; a virtual miniport's has one parameter more.
            unsafe {
                if is_virtual {
                    let routine =
                        std::mem::transmute::<HwFindAdapter, VirtualHwFindAdapter>(routine);
                    let arguments = (extension, driver.context, null, null, text, config, again);
                    self.invoke(routine, arguments)
                } else {
                    self.invoke(routine, (extension, driver.context, null, text, config, again))
                }
            }
        });
        self.with(|s| s.processor().irql = saved);
        self.act(|s| s.adopt(result, &config))
    }

    /// HwStorInitialize, and HwStorPassiveInitializeRoutine if that asked for it.
    pub(super) fn initialize(self) -> bool {
        let Some(routine) = self.driver().data.hw_initialize else { return false };
        let extension = self.extension();
        self.with(|s| {
            s.interrupts.enabled = s.setup.early_interrupts && s.interrupts_are_connected();
            s.adapter.passive_initialize = None;
        });
        let call = || {
            self.callback(Routine::Initialize, 0, || {
                // SAFETY: the driver's own entry point.
                u32::from(unsafe { self.invoke(routine, (extension,)) })
            })
        };
        let initialized = match self.with(|s| (s.setup.dump, s.adapter.facts.miniport)) {
            (true, _) => {
                let saved = self.in_dump_at(Irql::HIGH);
                let result = call();
                self.with(|s| s.processor().irql = saved);
                result
            }
            (false, Miniport::Physical) => self.under_interrupt(call),
            (false, Miniport::Virtual) => call(),
        };
        self.drain_deferred();
        initialized != 0 && self.passive_initialize()
    }

    fn passive_initialize(self) -> bool {
        let Some(routine) = self.with(|s| s.adapter.passive_initialize) else { return true };
        let extension = self.extension();
        let result = self.callback(Routine::PassiveInitialize, 0, || {
            // SAFETY: the routine that the driver gave.
            u32::from(unsafe { self.invoke(routine, (extension,)) })
        });
        result != 0
    }

    /// Raises the IRQL in a crash dump; returns what to restore.
    fn in_dump_at(self, irql: Irql) -> Irql {
        self.with(|s| {
            let saved = s.processor().irql;
            if s.setup.dump {
                s.processor().irql = irql;
            }
            saved
        })
    }
}
