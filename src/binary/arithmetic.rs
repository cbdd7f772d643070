//! The integer arithmetic of instructions that have a device register as an operand, flags included.

use iced_x86::{ConditionCode, Mnemonic};

use super::register::{mask, sign_extend};

const CARRY: u64 = 1 << 0;
const PARITY: u64 = 1 << 2;
const ADJUST: u64 = 1 << 4;
const ZERO: u64 = 1 << 6;
const SIGN: u64 = 1 << 7;
const OVERFLOW: u64 = 1 << 11;
const ALL: u64 = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW;

/// An operation on integers of `bytes` bytes, and the flags before and after it.
pub(super) struct Arithmetic {
    pub(super) flags: u64,
    pub(super) bytes: usize,
}

impl Arithmetic {
    /// `left op right`; `None` for an operation that is not here. CMP and TEST give `left` back.
    pub(super) fn binary(&mut self, operation: Mnemonic, left: u64, right: u64) -> Option<u64> {
        let (left, right) = (left & mask(self.bytes), right & mask(self.bytes));
        let carry = self.flags & CARRY;
        Some(match operation {
            Mnemonic::Add => self.add(left, right, 0),
            Mnemonic::Adc => self.add(left, right, carry),
            Mnemonic::Sub => self.subtract(left, right, 0),
            Mnemonic::Sbb => self.subtract(left, right, carry),
            Mnemonic::And => self.logic(left & right),
            Mnemonic::Or => self.logic(left | right),
            Mnemonic::Xor => self.logic(left ^ right),
            Mnemonic::Cmp => {
                self.subtract(left, right, 0);
                left
            }
            Mnemonic::Test => {
                self.logic(left & right);
                left
            }
            Mnemonic::Bt | Mnemonic::Bts | Mnemonic::Btr | Mnemonic::Btc => {
                self.bit(operation, left, right)
            }
            _ => return None,
        })
    }

    /// An operation on one operand.
    pub(super) fn unary(&mut self, operation: Mnemonic, value: u64) -> Option<u64> {
        let (value, carry) = (value & mask(self.bytes), self.flags & CARRY);
        Some(match operation {
            Mnemonic::Not => !value & mask(self.bytes),
            Mnemonic::Neg => self.subtract(0, value, 0),
            Mnemonic::Inc | Mnemonic::Dec => {
                let add = operation == Mnemonic::Inc;
                let result = if add { self.add(value, 1, 0) } else { self.subtract(value, 1, 0) };
                self.flags = self.flags & !CARRY | carry;
                result
            }
            _ => return None,
        })
    }

    fn add(&mut self, left: u64, right: u64, carry: u64) -> u64 {
        let wide = u128::from(left) + u128::from(right) + u128::from(carry);
        let result = wide as u64 & mask(self.bytes);
        let overflow = (left ^ result) & (right ^ result);
        self.set(result, wide >> (8 * self.bytes) != 0, left ^ right ^ result, overflow);
        result
    }

    fn subtract(&mut self, left: u64, right: u64, borrow: u64) -> u64 {
        let result = left.wrapping_sub(right).wrapping_sub(borrow) & mask(self.bytes);
        let carry = u128::from(left) < u128::from(right) + u128::from(borrow);
        let overflow = (left ^ right) & (left ^ result);
        self.set(result, carry, left ^ right ^ result, overflow);
        result
    }

    fn logic(&mut self, result: u64) -> u64 {
        self.set(result, false, 0, 0);
        result
    }

    /// Sets the flags of a result; of `adjust` bit 4 counts, of `overflow` the sign.
    fn set(&mut self, result: u64, carry: bool, adjust: u64, overflow: u64) {
        let sign = 1 << (8 * self.bytes - 1);
        let flag = |condition, flag| if condition { flag } else { 0 };
        self.flags = self.flags & !ALL
            | flag(carry, CARRY)
            | flag((result as u8).count_ones().is_multiple_of(2), PARITY)
            | flag(adjust & 0x10 != 0, ADJUST)
            | flag(result == 0, ZERO)
            | flag(result & sign != 0, SIGN)
            | flag(overflow & sign != 0, OVERFLOW);
    }

    /// The bit tests leave all flags but the carry as they are.
    fn bit(&mut self, operation: Mnemonic, value: u64, index: u64) -> u64 {
        let bit = 1 << (index % (8 * self.bytes as u64));
        self.flags = self.flags & !CARRY | if value & bit != 0 { CARRY } else { 0 };
        match operation {
            Mnemonic::Bts => value | bit,
            Mnemonic::Btr => value & !bit,
            Mnemonic::Btc => value ^ bit,
            _ => value,
        }
    }
}

/// How far from its operand's address a bit test with a bit number in a register reaches, in bytes.
pub(super) fn bit_displacement(index: u64, bytes: usize) -> u64 {
    let (index, bits) = (sign_extend(index, bytes).cast_signed(), 8 * bytes as i64);
    (index.div_euclid(bits) * bytes as i64).cast_unsigned()
}

/// Whether a condition holds.
pub(super) fn holds(condition: ConditionCode, flags: u64) -> bool {
    let is = |flag| flags & flag != 0;
    let less = is(SIGN) != is(OVERFLOW);
    match condition {
        ConditionCode::o => is(OVERFLOW),
        ConditionCode::no => !is(OVERFLOW),
        ConditionCode::b => is(CARRY),
        ConditionCode::ae => !is(CARRY),
        ConditionCode::e => is(ZERO),
        ConditionCode::ne => !is(ZERO),
        ConditionCode::be => is(CARRY | ZERO),
        ConditionCode::a => !is(CARRY | ZERO),
        ConditionCode::s => is(SIGN),
        ConditionCode::ns => !is(SIGN),
        ConditionCode::p => is(PARITY),
        ConditionCode::np => !is(PARITY),
        ConditionCode::l => less,
        ConditionCode::ge => !less,
        ConditionCode::le => is(ZERO) || less,
        ConditionCode::g => !is(ZERO) && !less,
        ConditionCode::None => true,
    }
}
