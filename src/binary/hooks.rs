//! What the machine does for an instruction of a compiled driver that faults: privileged instructions that headers
//! inline, loads and stores of device registers, first writes to variables, and crashes.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::image::Image;
use super::load;
use super::storport::registers;
use super::watch::{Fault, Hooks};
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::{Ddi, Executive, Irql};

/// What KeGetCurrentThread gives on processor 0; and how far apart the threads of two processors are.
pub(super) const THREADS_AT: u64 = 0xFFFF_8000_0000_0000;
pub(super) const THREAD_BYTES: u64 = 0x1000;

/// The hooks of one image, for machines that tell an `S`.
pub(super) struct MachineHooks<S> {
    image: NonNull<Image>,
    /// The address of the register range.
    registers: usize,
    sink: PhantomData<fn(S)>,
}

impl<S: Sink + 'static> MachineHooks<S> {
    /// # Safety
    ///
    /// The image outlives the hooks, and every machine that runs on a thread where they are used tells an `S`.
    pub(super) unsafe fn new(image: NonNull<Image>, registers: usize) -> Self {
        MachineHooks { image, registers, sink: PhantomData }
    }

    /// The machine, at `at`; `None` in DriverEntry.
    fn port(&self, at: usize) -> Option<Port<S>> {
        // SAFETY: `new`'s contract.
        unsafe { Port::current() }.map(|port: Port<S>| port.at(at as u32))
    }
}

impl<S: Sink + 'static> Hooks for MachineHooks<S> {
    fn irql(&self, at: usize) -> u8 {
        self.port(at).map_or(0, |port| port.ke_get_current_irql().0)
    }

    fn set_irql(&self, at: usize, level: u8) {
        if let Some(port) = self.port(at) {
            port.write_irql(Irql(level));
        }
    }

    /// Nothing: an interrupt comes only at a decision point, and what lies between `cli` and `sti` should have none.
    /// What restores the flag as a whole (`popf`) does not fault, so a level of its own could never be given back.
    fn set_interrupts(&self, _: usize, _: bool) {}

    fn port_read(&self, at: usize, number: u16, bytes: usize) -> u32 {
        let empty = u32::MAX >> (32 - bytes * 8);
        self.port(at).map_or(empty, |port| port.called(Ddi::ReadPort, number.into(), || empty))
    }

    fn port_write(&self, at: usize, number: u16, _: usize, value: u32) {
        if let Some(port) = self.port(at) {
            port.called(Ddi::WritePort, number.into(), || value);
        }
    }

    fn register_read(&self, at: usize, offset: usize, bytes: usize) -> u64 {
        match self.port(at) {
            Some(port) => registers::read_register(port, self.registers + offset, bytes),
            None => u64::MAX,
        }
    }

    fn register_write(&self, at: usize, offset: usize, bytes: usize, value: u64) {
        if let Some(port) = self.port(at) {
            registers::write_register(port, self.registers + offset, (bytes, value));
        }
    }

    fn processor_number(&self) -> u32 {
        self.port(0).map_or(0, |port| port.current_processor() as u32)
    }

    fn thread(&self) -> u64 {
        THREADS_AT + u64::from(self.processor_number()) * THREAD_BYTES
    }

    fn time(&self) -> u64 {
        self.port(0).map_or(0, |port| port.virtual_ns() / 100)
    }

    fn touched(&self, address: usize) -> bool {
        // SAFETY: `new`'s contract.
        unsafe { self.image.as_ref() }.touched(address)
    }

    fn crashed(&self, fault: &Fault) -> ! {
        // A site is where a call returns to; so is that of a fault, one byte behind the instruction's first.
        match self.port(fault.at + 1) {
            Some(port) => port.crash(fault.cause),
            // SAFETY: `new`'s contract.
            None => load::faulted(fault.cause, unsafe { self.image.as_ref() }.base() + fault.at),
        }
    }
}
