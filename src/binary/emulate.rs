//! What a trapped instruction does: privileged ones, port accesses, and loads from the processor control region and
//! from KUSER_SHARED_DATA.
//!
//! Accesses to device registers are in [`mmio`](super::mmio). An instruction that no miniport has a use for
//! ends the run.

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::fault::vector;
use super::mmio;
use super::register::Registers;
use super::shared_data;
use super::trap;
use super::watch::{Hooks, Watched};
use crate::event::Cause;

/// Why the driver cannot go on.
pub(super) struct Stop {
    pub(super) cause: Cause,
    /// The address concerned, or 0.
    pub(super) address: usize,
}

impl From<Cause> for Stop {
    fn from(cause: Cause) -> Self {
        Stop { cause, address: 0 }
    }
}

impl Stop {
    /// The driver accessed memory that is not there.
    pub(super) fn access_violation(address: usize) -> Self {
        Stop { cause: Cause::AccessViolation, address }
    }
}

/// An instruction under emulation, and what it can reach.
pub(super) struct Step<'a> {
    pub(super) instruction: Instruction,
    pub(super) registers: &'a mut Registers,
    watched: &'a Watched,
    /// Its offset in the image.
    at: usize,
}

/// Most bytes of an instruction.
const LENGTH_MAX: usize = 15;
const PAGE: usize = 4096;

/// Emulates the instruction at the instruction pointer, which raised the exception `vector`, a page fault at
/// `address`; and moves behind it.
pub(super) fn step(
    watched: &Watched,
    registers: &mut Registers,
    vector: i64,
    address: usize,
) -> Result<(), Stop> {
    let start = registers.instruction_pointer as usize;
    let at = start - watched.region.image.start;
    let mut step = Step { instruction: decode(start), registers, watched, at };
    if vector == vector::PAGE {
        step.access(address)?;
    } else {
        step.privileged()?;
    }
    step.registers.instruction_pointer = step.instruction.next_ip();
    Ok(())
}

/// Decodes what the processor has executed.
fn decode(start: usize) -> Instruction {
    let in_page = LENGTH_MAX.min(PAGE - start % PAGE);
    let decode = |bytes| {
        // SAFETY: the processor has fetched the instruction from here; a further page is looked at only if the
        // instruction goes on in it.
        let code = unsafe {
            std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(start), bytes)
        };
        Decoder::with_ip(64, code, start as u64, DecoderOptions::NONE).decode()
    };
    let short = decode(in_page);
    if short.is_invalid() && in_page < LENGTH_MAX { decode(LENGTH_MAX) } else { short }
}

/// Makes the decoder's tables, which it does when it is first used.
pub(super) fn warm_up() {
    let nop = [0x90];
    decode(nop.as_ptr().expose_provenance());
}

impl<'a> Step<'a> {
    pub(super) fn hooks(&self) -> &'a dyn Hooks {
        self.watched.hooks()
    }

    /// The instruction's offset in the image.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The offset of an address in the window of trapped registers, if all `bytes` bytes lie in it.
    pub(super) fn window_offset(&self, address: u64, bytes: usize) -> Option<usize> {
        let window = &self.watched.region.window;
        let offset = (address as usize).checked_sub(window.start)?;
        (offset + bytes <= window.len()).then_some(offset)
    }

    /// An instruction that met memory which is not accessible.
    fn access(&mut self, address: usize) -> Result<(), Stop> {
        let in_window = self.watched.region.window.contains(&address);
        let elsewhere =
            mmio::is_control_region(&self.instruction) || shared_data::contains(address as u64);
        if !in_window && !elsewhere {
            return Err(Stop::access_violation(address));
        }
        mmio::access(self)
    }

    /// An instruction that is not allowed in user mode.
    fn privileged(&mut self) -> Result<(), Stop> {
        match self.instruction.mnemonic() {
            Mnemonic::Mov => self.move_control()?,
            Mnemonic::Cli => self.hooks().set_interrupts(self.at, false),
            Mnemonic::Sti => self.hooks().set_interrupts(self.at, true),
            // Model-specific registers and performance counters: all zero, and writes are lost.
            Mnemonic::Rdmsr | Mnemonic::Rdpmc => {
                self.registers.write(Register::EAX, 0);
                self.registers.write(Register::EDX, 0);
            }
            // An interrupt always comes, and caches are never stale.
            Mnemonic::Wrmsr | Mnemonic::Hlt | Mnemonic::Invlpg | Mnemonic::Wbinvd => {}
            Mnemonic::In => self.port_in(),
            Mnemonic::Out => self.port_out(),
            Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => self.port_string(true)?,
            Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => self.port_string(false)?,
            Mnemonic::Int => return Err(self.interrupt()),
            _ if self.instruction.is_privileged() => {
                return Err(Cause::PrivilegedInstruction.into());
            }
            // No canonical address, or an operand of SSE that is not aligned.
            _ => return Err(Cause::AccessViolation.into()),
        }
        Ok(())
    }

    /// `int n`: requests to a debugger, or what user mode may not raise.
    fn interrupt(&self) -> Stop {
        match self.instruction.immediate8() {
            0x29 => Cause::FastFail.into(),
            // DbgRaiseAssertionFailure, and the kernel debugger's service.
            0x03 | 0x2C | 0x2D => Cause::Breakpoint.into(),
            _ => Cause::PrivilegedInstruction.into(),
        }
    }

    /// `mov` from or to a control or debug register. CR8 is the IRQL; the others hold what they hold on any machine, and
    /// writes to them are lost.
    fn move_control(&mut self) -> Result<(), Stop> {
        let (to, from) = (self.instruction.op0_register(), self.instruction.op1_register());
        if to == Register::CR8 {
            let level = self.registers.read(from) as u8 & 0xF;
            self.hooks().set_irql(self.at, level);
        } else if from.is_cr() || from.is_dr() {
            let value = match from {
                Register::CR8 => u64::from(self.hooks().irql(self.at)),
                // Paging, write protection, protected mode and what goes with them.
                Register::CR0 => 0x8005_0033,
                Register::CR3 => 0x001A_D000,
                // Physical address extension, SSE, global pages and what goes with them.
                Register::CR4 => 0x0000_06F8,
                _ => 0,
            };
            self.registers.write(to, value);
        } else if !(to.is_cr() || to.is_dr()) {
            // An ordinary move: no canonical address.
            return Err(Cause::AccessViolation.into());
        }
        Ok(())
    }

    /// The port that an operand of `in` or `out` names.
    fn port(&self, operand: u32) -> u16 {
        match self.instruction.op_kind(operand) {
            OpKind::Register => self.registers.read(Register::DX) as u16,
            _ => u16::from(self.instruction.immediate8()),
        }
    }

    fn port_in(&mut self) {
        let to = self.instruction.op0_register();
        let value = self.hooks().port_read(self.at, self.port(1), to.size());
        self.registers.write(to, u64::from(value));
    }

    fn port_out(&mut self) {
        let from = self.instruction.op1_register();
        let value = self.registers.read(from) as u32;
        self.hooks().port_write(self.at, self.port(0), from.size(), value);
    }

    /// `ins` and `outs`, repeated or not.
    fn port_string(&mut self, input: bool) -> Result<(), Stop> {
        let bytes = self.instruction.memory_size().size();
        let port = self.registers.read(Register::DX) as u16;
        let pointer = if input { self.destination_register()? } else { self.source_register()? };
        self.repeat(|step| {
            let address = step.registers.read(pointer);
            if input {
                let value = step.hooks().port_read(step.at, port, bytes);
                step.store(address, bytes, u64::from(value))?;
            } else {
                let value = step.load(address, bytes)? as u32;
                step.hooks().port_write(step.at, port, bytes, value);
            }
            step.advance(pointer, bytes);
            Ok(())
        })
    }

    /// Does a string instruction's step once, or as often as RCX says.
    pub(super) fn repeat(
        &mut self,
        mut once: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if !self.instruction.has_rep_prefix() && !self.instruction.has_repne_prefix() {
            return once(self);
        }
        loop {
            let left = self.registers.read(Register::RCX);
            if left == 0 {
                return Ok(());
            }
            once(self)?;
            self.registers.write(Register::RCX, left - 1);
        }
    }

    /// RDI, of a string instruction with addresses of 64 bits; compilers make no others.
    pub(super) fn destination_register(&self) -> Result<Register, Stop> {
        self.string_register(OpKind::MemoryESRDI, Register::RDI)
    }

    /// RSI, likewise.
    pub(super) fn source_register(&self) -> Result<Register, Stop> {
        let plain = self.instruction.segment_prefix() == Register::None;
        let register = self.string_register(OpKind::MemorySegRSI, Register::RSI)?;
        if plain { Ok(register) } else { Err(Cause::Unmodelled.into()) }
    }

    fn string_register(&self, kind: OpKind, register: Register) -> Result<Register, Stop> {
        let mut kinds = self.instruction.op_kinds();
        if kinds.any(|other| other == kind) { Ok(register) } else { Err(Cause::Unmodelled.into()) }
    }

    /// Moves a string instruction's pointer by one element, in the direction that the flags tell.
    pub(super) fn advance(&mut self, pointer: Register, bytes: usize) {
        const DIRECTION: u64 = 1 << 10;
        let (at, bytes) = (self.registers.read(pointer), bytes as u64);
        let down = self.registers.flags & DIRECTION != 0;
        let next = if down { at.wrapping_sub(bytes) } else { at.wrapping_add(bytes) };
        self.registers.write(pointer, next);
    }

    /// Loads from a register of the device, from KUSER_SHARED_DATA, or from memory.
    pub(super) fn load(&self, address: u64, bytes: usize) -> Result<u64, Stop> {
        if let Some(offset) = self.window_offset(address, bytes) {
            return Ok(self.hooks().register_read(self.at, offset, bytes));
        }
        if shared_data::contains(address) {
            let value = shared_data::load(address, bytes, self.hooks().time());
            return value.ok_or(Stop { cause: Cause::Unmodelled, address: address as usize });
        }
        let mut value = 0u64;
        // SAFETY: where the driver's own load would read; the value has room for 8 bytes.
        let whole =
            unsafe { trap::copy((&raw mut value).expose_provenance(), address as usize, bytes) };
        if whole { Ok(value) } else { Err(Stop::access_violation(address as usize)) }
    }

    /// Stores to a register of the device or to memory.
    pub(super) fn store(&self, address: u64, bytes: usize, value: u64) -> Result<(), Stop> {
        if let Some(offset) = self.window_offset(address, bytes) {
            let value = value & super::register::mask(bytes);
            self.hooks().register_write(self.at, offset, bytes, value);
            return Ok(());
        }
        // SAFETY: where the driver's own store would write; the value has 8 bytes.
        let whole =
            unsafe { trap::copy(address as usize, (&raw const value).expose_provenance(), bytes) };
        if whole { Ok(()) } else { Err(Stop::access_violation(address as usize)) }
    }
}
