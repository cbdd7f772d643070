//! Features that a driver gets and sets (NVMe 1.4, 5.21). None has a data structure, none is saved: a
//! controller reset brings the defaults back.
//!
//! Arbitration, power management, temperature threshold, error recovery, write atomicity and asynchronous
//! event configuration are remembered and change nothing.

use super::admin::VECTORS;
use super::status::Status;

const POWER_MANAGEMENT: u8 = 0x02;
const TEMPERATURE_THRESHOLD: u8 = 0x04;
const VOLATILE_WRITE_CACHE: u8 = 0x06;
/// How many I/O queues the driver may create; only before it has created any.
pub(super) const NUMBER_OF_QUEUES: u8 = 0x07;
const INTERRUPT_COALESCING: u8 = 0x08;
const VECTOR_CONFIGURATION: u8 = 0x09;
const LAST: u8 = 0x0B;

/// Coalescing Disable of Interrupt Vector Configuration.
const COALESCING_DISABLE: u32 = 1 << 16;
/// Select: 0 current, 1 default, 2 saved, 3 capabilities.
const SELECT_CURRENT: u8 = 0;
const SELECT_CAPABILITIES: u8 = 3;
/// Changeable; not saveable, not per namespace.
const CAPABILITIES: u32 = 4;
const COALESCING_UNIT_NS: u64 = 100_000;

/// Current values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    values: [u32; LAST as usize + 1],
    /// Messages, by bit, that are not coalesced.
    uncoalesced: u64,
    pairs: u16,
}

impl Features {
    /// The defaults of a controller with so many I/O queue pairs.
    pub(super) fn new(pairs: u8) -> Self {
        let mut features =
            Features { values: [0; LAST as usize + 1], uncoalesced: 0, pairs: pairs.into() };
        for id in 0..=LAST {
            features.values[usize::from(id)] = features.default_of(id);
        }
        features
    }

    fn default_of(&self, id: u8) -> u32 {
        let last_queue = u32::from(self.pairs) - 1;
        match id {
            TEMPERATURE_THRESHOLD => 343,
            VOLATILE_WRITE_CACHE => 1,
            NUMBER_OF_QUEUES => last_queue << 16 | last_queue,
            _ => 0,
        }
    }

    /// I/O submission queues that the driver may create.
    pub(super) const fn submission_queues(&self) -> u16 {
        self.values[NUMBER_OF_QUEUES as usize] as u16 + 1
    }

    /// I/O completion queues that the driver may create.
    pub(super) const fn completion_queues(&self) -> u16 {
        (self.values[NUMBER_OF_QUEUES as usize] >> 16) as u16 + 1
    }

    /// How long an interrupt of this message may be held back, in nanoseconds, and for how many entries.
    pub(super) fn coalescing(&self, vector: u16) -> (u64, u16) {
        let value = self.values[usize::from(INTERRUPT_COALESCING)];
        if vector < VECTORS && self.uncoalesced & 1 << vector != 0 {
            return (0, 1);
        }
        (u64::from(value >> 8 & 0xFF) * COALESCING_UNIT_NS, (value & 0xFF) as u16 + 1)
    }

    /// Sets a feature and returns what the driver is told.
    pub(super) fn set(&mut self, id: u8, value: u32) -> Result<u32, Status> {
        if id == 0 || id > LAST || id == 3 {
            return Err(Status::INVALID_FIELD);
        }
        let kept = match id {
            // There is one power state.
            POWER_MANAGEMENT if value & 0x1F != 0 => return Err(Status::INVALID_FIELD),
            VOLATILE_WRITE_CACHE => value & 1,
            INTERRUPT_COALESCING => value & 0xFFFF,
            NUMBER_OF_QUEUES => self.grant(value)?,
            VECTOR_CONFIGURATION => return self.configure_vector(value),
            _ => value,
        };
        self.values[usize::from(id)] = kept;
        Ok(if id == NUMBER_OF_QUEUES { kept } else { 0 })
    }

    /// As many queues as asked for, and no more than there are. Counts are zero-based.
    fn grant(&self, value: u32) -> Result<u32, Status> {
        let (submission, completion) = (value & 0xFFFF, value >> 16);
        if submission == 0xFFFF || completion == 0xFFFF {
            return Err(Status::INVALID_FIELD);
        }
        let last_queue = u32::from(self.pairs) - 1;
        Ok(completion.min(last_queue) << 16 | submission.min(last_queue))
    }

    fn configure_vector(&mut self, value: u32) -> Result<u32, Status> {
        let vector = value & 0xFFFF;
        if vector >= u32::from(VECTORS) {
            return Err(Status::INVALID_FIELD);
        }
        self.uncoalesced &= !(1 << vector);
        if value & COALESCING_DISABLE != 0 {
            self.uncoalesced |= 1 << vector;
        }
        Ok(0)
    }

    /// Reads a feature; `value` is CDW11, which names the vector where the feature has one.
    pub(super) fn get(&self, id: u8, select: u8, value: u32) -> Result<u32, Status> {
        if id == 0 || id > LAST || id == 3 || select > SELECT_CAPABILITIES {
            return Err(Status::INVALID_FIELD);
        }
        if select == SELECT_CAPABILITIES {
            return Ok(CAPABILITIES);
        }
        if id == VECTOR_CONFIGURATION {
            return self.vector(value & 0xFFFF, select);
        }
        if select == SELECT_CURRENT {
            return Ok(self.values[usize::from(id)]);
        }
        Ok(self.default_of(id))
    }

    fn vector(&self, vector: u32, select: u8) -> Result<u32, Status> {
        if vector >= u32::from(VECTORS) {
            return Err(Status::INVALID_FIELD);
        }
        let disabled = select == SELECT_CURRENT && self.uncoalesced & 1 << vector != 0;
        Ok(vector | if disabled { COALESCING_DISABLE } else { 0 })
    }
}
