//! The driver's registers, as instructions name them.

use iced_x86::Register;
use libc::mcontext_t;

/// The signal context's registers, in the order in which instructions number them.
const ORDER: [libc::c_int; 16] = [
    libc::REG_RAX,
    libc::REG_RCX,
    libc::REG_RDX,
    libc::REG_RBX,
    libc::REG_RSP,
    libc::REG_RBP,
    libc::REG_RSI,
    libc::REG_RDI,
    libc::REG_R8,
    libc::REG_R9,
    libc::REG_R10,
    libc::REG_R11,
    libc::REG_R12,
    libc::REG_R13,
    libc::REG_R14,
    libc::REG_R15,
];

/// General registers, flags and instruction pointer.
#[repr(C)]
pub(super) struct Registers {
    general: [u64; 16],
    pub(super) flags: u64,
    pub(super) instruction_pointer: u64,
}

impl Registers {
    pub(super) fn of(context: &mcontext_t) -> Self {
        let get = |register: libc::c_int| context.gregs[register as usize].cast_unsigned();
        Registers {
            general: ORDER.map(get),
            flags: get(libc::REG_EFL),
            instruction_pointer: get(libc::REG_RIP),
        }
    }

    pub(super) fn stack_pointer(&self) -> u64 {
        self.read(Register::RSP)
    }

    /// A register's value; zero for what is no general register, such as the absent index of an address.
    pub(super) fn read(&self, register: Register) -> u64 {
        match place(register) {
            Some(place) => self.general[place.number] >> place.shift & mask(place.bytes),
            None => 0,
        }
    }

    /// Writes a register as the processor does: 32 bits clear the upper half, fewer leave the rest.
    pub(super) fn write(&mut self, register: Register, value: u64) {
        let Some(Place { number, shift, bytes }) = place(register) else { return };
        let kept = if bytes >= 4 { 0 } else { self.general[number] & !(mask(bytes) << shift) };
        self.general[number] = kept | (value & mask(bytes)) << shift;
    }
}

/// Which bits of which general register.
struct Place {
    number: usize,
    shift: u32,
    bytes: usize,
}

fn place(register: Register) -> Option<Place> {
    if !register.is_gpr() {
        return None;
    }
    let high = matches!(register, Register::AH | Register::CH | Register::DH | Register::BH);
    let number = register.full_register().number();
    Some(Place { number, shift: if high { 8 } else { 0 }, bytes: register.size() })
}

/// The low `bytes` bytes.
pub(super) fn mask(bytes: usize) -> u64 {
    if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 }
}

/// `value`'s low `bytes` bytes, sign-extended.
pub(super) fn sign_extend(value: u64, bytes: usize) -> u64 {
    let unused = 64 - 8 * bytes.min(8) as u32;
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}
