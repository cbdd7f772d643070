//! Loads and stores of device registers that are trapped, and loads from the processor control region.
//!
//! Every form that compilers make out of `READ_REGISTER_*`, `WRITE_REGISTER_*` and volatile pointers: moves, arithmetic
//! with an operand in memory, exchanges, bit tests and strings. Vector moves are not among them; an instruction that is
//! missing here ends the run as one without a model, not as a mistake of the driver's.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

use super::arithmetic::{Arithmetic, bit_displacement, holds};
use super::emulate::{Step, Stop};
use super::register::sign_extend;
use crate::event::Cause;

/// Whether the instruction's operand lies in the processor control region, which GS points to.
pub(super) fn is_control_region(instruction: &Instruction) -> bool {
    instruction.segment_prefix() == Register::GS
}

/// Emulates an instruction with an operand in memory.
pub(super) fn access(step: &mut Step<'_>) -> Result<(), Stop> {
    use Mnemonic as M;
    match step.instruction.mnemonic() {
        M::Movsb | M::Movsw | M::Movsd | M::Movsq => step.move_string(),
        M::Stosb | M::Stosw | M::Stosd | M::Stosq => step.store_string(),
        M::Lodsb | M::Lodsw | M::Lodsd | M::Lodsq => step.load_string(),
        // A cache line of a register is no cache line.
        M::Clflush | M::Clflushopt | M::Clwb => Ok(()),
        _ => step.operand()?.access(step),
    }
}

/// The operand in memory of an instruction that has one.
#[derive(Clone, Copy)]
struct Operand {
    address: u64,
    bytes: usize,
    /// Its place among the operands: 0 is the destination.
    index: u32,
}

impl Step<'_> {
    fn operand(&self) -> Result<Operand, Stop> {
        let instruction = &self.instruction;
        let mut kinds = instruction.op_kinds();
        let index = kinds.position(|kind| kind == OpKind::Memory).ok_or(Cause::Unmodelled)? as u32;
        let bytes = instruction.memory_size().size();
        let value = |register, _, _| Some(self.registers.read(register));
        let address = instruction.virtual_address(index, 0, value).ok_or(Cause::Unmodelled)?;
        // What is wider or has no size is no access to a register.
        if !matches!(bytes, 1 | 2 | 4 | 8) {
            return Err(Cause::Unmodelled.into());
        }
        Ok(Operand { address, bytes, index })
    }

    /// The value of the operand that is not in memory, as wide as the one that is.
    fn other(&self, operand: Operand) -> u64 {
        let index = 1 - operand.index;
        match self.instruction.op_kind(index) {
            OpKind::Register => self.registers.read(self.instruction.op_register(index)),
            _ => self.instruction.immediate(index),
        }
    }

    fn fetch(&self, operand: Operand) -> Result<u64, Stop> {
        if is_control_region(&self.instruction) {
            return self.control_region(operand);
        }
        self.load(operand.address, operand.bytes)
    }

    fn put(&self, operand: Operand, value: u64) -> Result<(), Stop> {
        if is_control_region(&self.instruction) {
            return Err(Stop::access_violation(operand.address as usize));
        }
        self.store(operand.address, operand.bytes, value)
    }

    /// KPCR, with KPRCB in it, as far as headers ever inlined access to it.
    fn control_region(&self, operand: Operand) -> Result<u64, Stop> {
        match (operand.address, operand.bytes) {
            (0x50, 1) => Ok(u64::from(self.hooks().irql(self.at()))),
            (0x184, 1) | (0x1A4, 4) => Ok(u64::from(self.hooks().processor_number())),
            (0x188, 8) => Ok(self.hooks().thread()),
            (0..0x1_0000, _) => {
                Err(Stop { cause: Cause::Unmodelled, address: operand.address as usize })
            }
            (address, _) => Err(Stop::access_violation(address as usize)),
        }
    }

    fn move_string(&mut self) -> Result<(), Stop> {
        let bytes = self.instruction.memory_size().size();
        let (to, from) = (self.destination_register()?, self.source_register()?);
        self.repeat(|step| {
            let value = step.load(step.registers.read(from), bytes)?;
            step.store(step.registers.read(to), bytes, value)?;
            step.advance(from, bytes);
            step.advance(to, bytes);
            Ok(())
        })
    }

    fn store_string(&mut self) -> Result<(), Stop> {
        let bytes = self.instruction.memory_size().size();
        let to = self.destination_register()?;
        let value = self.registers.read(Register::RAX);
        self.repeat(|step| {
            step.store(step.registers.read(to), bytes, value)?;
            step.advance(to, bytes);
            Ok(())
        })
    }

    fn load_string(&mut self) -> Result<(), Stop> {
        let from = self.source_register()?;
        let to = self.instruction.op0_register();
        self.repeat(|step| {
            let value = step.load(step.registers.read(from), to.size())?;
            step.registers.write(to, value);
            step.advance(from, to.size());
            Ok(())
        })
    }
}

impl Operand {
    fn access(self, step: &mut Step<'_>) -> Result<(), Stop> {
        use Mnemonic as M;
        let mnemonic = step.instruction.mnemonic();
        match mnemonic {
            M::Mov | M::Movnti | M::Movzx | M::Movsx | M::Movsxd | M::Movbe => self.transfer(step),
            M::Xchg | M::Xadd => self.exchange(step),
            M::Cmpxchg => self.compare_exchange(step),
            M::Bt | M::Bts | M::Btr | M::Btc => self.bit(step),
            M::Inc | M::Dec | M::Not | M::Neg => {
                let value = step.fetch(self)?;
                let mut arithmetic = self.arithmetic(step);
                let result = arithmetic.unary(mnemonic, value).ok_or(Cause::Unmodelled)?;
                step.registers.flags = arithmetic.flags;
                step.put(self, result)
            }
            M::Add | M::Or | M::Adc | M::Sbb | M::And | M::Sub | M::Xor | M::Cmp | M::Test => {
                self.binary(step)
            }
            _ => self.conditional(step),
        }
    }

    fn arithmetic(self, step: &Step<'_>) -> Arithmetic {
        Arithmetic { flags: step.registers.flags, bytes: self.bytes }
    }

    /// The moves, with whatever they do to the value on its way.
    fn transfer(self, step: &mut Step<'_>) -> Result<(), Stop> {
        let swaps = step.instruction.mnemonic() == Mnemonic::Movbe;
        let on_the_way = |value: u64| {
            if swaps { value.swap_bytes() >> (64 - 8 * self.bytes) } else { value }
        };
        if self.index == 0 {
            return step.put(self, on_the_way(step.other(self)));
        }
        let value = on_the_way(step.fetch(self)?);
        let signed = matches!(step.instruction.mnemonic(), Mnemonic::Movsx | Mnemonic::Movsxd);
        let value = if signed { sign_extend(value, self.bytes) } else { value };
        step.registers.write(step.instruction.op0_register(), value);
        Ok(())
    }

    fn binary(self, step: &mut Step<'_>) -> Result<(), Stop> {
        let mnemonic = step.instruction.mnemonic();
        let (memory, other) = (step.fetch(self)?, step.other(self));
        let (left, right) = if self.index == 0 { (memory, other) } else { (other, memory) };
        let mut arithmetic = self.arithmetic(step);
        let result = arithmetic.binary(mnemonic, left, right).ok_or(Cause::Unmodelled)?;
        step.registers.flags = arithmetic.flags;
        match (mnemonic, self.index) {
            (Mnemonic::Cmp | Mnemonic::Test, _) => {}
            (_, 0) => step.put(self, result)?,
            _ => step.registers.write(step.instruction.op0_register(), result),
        }
        Ok(())
    }

    /// XCHG and XADD: the register gets what was in memory.
    fn exchange(self, step: &mut Step<'_>) -> Result<(), Stop> {
        let (memory, other) = (step.fetch(self)?, step.other(self));
        let mut stored = other;
        if step.instruction.mnemonic() == Mnemonic::Xadd {
            let mut arithmetic = self.arithmetic(step);
            stored = arithmetic.binary(Mnemonic::Add, memory, other).ok_or(Cause::Unmodelled)?;
            step.registers.flags = arithmetic.flags;
        }
        step.put(self, stored)?;
        step.registers.write(step.instruction.op_register(1 - self.index), memory);
        Ok(())
    }

    /// CMPXCHG: stores the register if the accumulator equals what is in memory. It stores in any case, as the
    /// processor does.
    fn compare_exchange(self, step: &mut Step<'_>) -> Result<(), Stop> {
        let accumulator = match self.bytes {
            1 => Register::AL,
            2 => Register::AX,
            4 => Register::EAX,
            _ => Register::RAX,
        };
        let (memory, expected) = (step.fetch(self)?, step.registers.read(accumulator));
        let mut arithmetic = self.arithmetic(step);
        arithmetic.binary(Mnemonic::Cmp, expected, memory).ok_or(Cause::Unmodelled)?;
        step.registers.flags = arithmetic.flags;
        if memory == expected {
            return step.put(self, step.other(self));
        }
        step.put(self, memory)?;
        step.registers.write(accumulator, memory);
        Ok(())
    }

    /// The bit tests; a bit number in a register reaches beyond the operand.
    fn bit(mut self, step: &mut Step<'_>) -> Result<(), Stop> {
        let mnemonic = step.instruction.mnemonic();
        let index = step.other(self);
        if step.instruction.op1_kind() == OpKind::Register {
            self.address = self.address.wrapping_add(bit_displacement(index, self.bytes));
        }
        let value = step.fetch(self)?;
        let mut arithmetic = self.arithmetic(step);
        let result = arithmetic.binary(mnemonic, value, index).ok_or(Cause::Unmodelled)?;
        step.registers.flags = arithmetic.flags;
        if mnemonic == Mnemonic::Bt { Ok(()) } else { step.put(self, result) }
    }

    /// CMOVcc and SETcc.
    fn conditional(self, step: &mut Step<'_>) -> Result<(), Stop> {
        let condition = step.instruction.condition_code();
        let holds = holds(condition, step.registers.flags);
        if condition == iced_x86::ConditionCode::None {
            return Err(Cause::Unmodelled.into());
        }
        if self.index == 0 {
            return step.put(self, u64::from(holds));
        }
        let value = step.fetch(self)?;
        let to = step.instruction.op0_register();
        // A move that does not happen still clears the upper half.
        let value = if holds { value } else { step.registers.read(to) };
        step.registers.write(to, value);
        Ok(())
    }
}
