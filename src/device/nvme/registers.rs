//! Controller registers (NVMe 1.4, 3.1).

/// Where each register lies.
pub(super) mod offset {
    pub(in super::super) const CAP_LOW: u32 = 0x00;
    pub(in super::super) const CAP_HIGH: u32 = 0x04;
    pub(in super::super) const VS: u32 = 0x08;
    pub(in super::super) const INTMS: u32 = 0x0C;
    pub(in super::super) const INTMC: u32 = 0x10;
    pub(in super::super) const CC: u32 = 0x14;
    pub(in super::super) const CSTS: u32 = 0x1C;
    pub(in super::super) const NSSR: u32 = 0x20;
    pub(in super::super) const AQA: u32 = 0x24;
    pub(in super::super) const ASQ_LOW: u32 = 0x28;
    pub(in super::super) const ASQ_HIGH: u32 = 0x2C;
    pub(in super::super) const ACQ_LOW: u32 = 0x30;
    pub(in super::super) const ACQ_HIGH: u32 = 0x34;
    /// Submission queue tails and completion queue heads in turn, 4 bytes each (CAP.DSTRD 0).
    pub(in super::super) const DOORBELLS: u32 = 0x1000;
    /// The MSI-X table, which the system keeps; here it reads as zeros.
    pub(in super::super) const MSIX_TABLE: u32 = 0x2000;
    pub(in super::super) const MSIX_PENDING: u32 = 0x3000;
}

/// Bytes of the register range.
pub(super) const BYTES: u32 = 0x4000;

/// "NVMe": what resets the subsystem when it is written to NSSR.
pub(super) const RESET_SIGNATURE: u32 = 0x4E56_4D65;

const CC_ENABLE: u32 = 1;
const CC_WRITABLE: u32 = 0x00FF_FFF1;
/// I/O command set, memory page size, arbitration: what is chosen must be 0.
const CC_CHOICES: u32 = 0x3FF0;
const AQA_WRITABLE: u32 = 0x0FFF_0FFF;

/// CSTS.NSSRO, which is cleared by writing it.
pub(super) const CSTS_SUBSYSTEM_RESET: u32 = 1 << 4;

/// How far a shutdown is (CSTS.SHST).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shutdown {
    #[default]
    None = 0,
    Occurring = 1,
    Complete = 2,
}

/// The registers that hold something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Registers {
    configuration: u32,
    /// CSTS.RDY.
    pub(super) ready: bool,
    /// CSTS.CFS: only a reset helps.
    pub(super) fatal: bool,
    /// CSTS.SHST.
    pub(super) shutdown: Shutdown,
    /// CSTS.NSSRO.
    pub(super) subsystem_reset: bool,
    pub(super) admin_sizes: u32,
    pub(super) admin_submission: u64,
    pub(super) admin_completion: u64,
}

impl Registers {
    pub(super) fn after_subsystem_reset() -> Self {
        Registers { subsystem_reset: true, ..Registers::default() }
    }

    pub(super) const fn configuration(&self) -> u32 {
        self.configuration
    }

    pub(super) fn set_configuration(&mut self, value: u32) {
        self.configuration = value & CC_WRITABLE;
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.configuration & CC_ENABLE != 0
    }

    /// CC.SHN asks for a shutdown.
    pub(super) const fn asks_for_shutdown(&self) -> bool {
        self.configuration >> 14 & 3 != 0
    }

    /// CC.IOSQES, a power of two.
    pub(super) const fn submission_entry_size(&self) -> u32 {
        self.configuration >> 16 & 0xF
    }

    /// CC.IOCQES, a power of two.
    pub(super) const fn completion_entry_size(&self) -> u32 {
        self.configuration >> 20 & 0xF
    }

    pub(super) const fn status(&self) -> u32 {
        self.ready as u32
            | (self.fatal as u32) << 1
            | (self.shutdown as u32) << 2
            | if self.subsystem_reset { CSTS_SUBSYSTEM_RESET } else { 0 }
    }

    pub(super) fn set_admin_sizes(&mut self, value: u32) {
        self.admin_sizes = value & AQA_WRITABLE;
    }

    /// Entries of the admin submission and completion queue.
    pub(super) const fn admin_entries(&self) -> (u16, u16) {
        ((self.admin_sizes & 0xFFF) as u16 + 1, (self.admin_sizes >> 16) as u16 + 1)
    }

    /// The controller can be enabled like this.
    pub(super) const fn is_acceptable(&self) -> bool {
        let (submission, completion) = self.admin_entries();
        self.configuration & CC_CHOICES == 0 && submission >= 2 && completion >= 2
    }
}

/// CAP's lower half: queues of up to `queue_entries`, contiguous; ready within [`READY_TIMEOUT`].
pub(super) fn capabilities_low(queue_entries: u8) -> u32 {
    u32::from(queue_entries - 1) | 1 << 16 | READY_TIMEOUT << 24
}

/// CAP.TO: 500 ms units. A slow controller needs 60 ms.
const READY_TIMEOUT: u32 = 2;

/// CAP's upper half: subsystem reset, the NVM command set, pages of 4 KiB only.
pub(super) const CAPABILITIES_HIGH: u32 = 1 << 4 | 1 << 5;

/// Replaces half of a 64-bit register that holds a page's address.
pub(super) fn replace_half(register: &mut u64, upper: bool, value: u32) {
    if upper {
        *register = *register & 0xFFFF_FFFF | u64::from(value) << 32;
    } else {
        *register = *register & !0xFFFF_FFFF | u64::from(value & !0xFFF);
    }
}
