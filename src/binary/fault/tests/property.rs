//! An instruction on trapped registers does what the processor does with the same instruction on memory: the same
//! registers, flags and bytes, for thousands of random instructions of every form that is emulated.

use super::*;

/// Instructions tried of each kind.
const TRIES: usize = 20_000;
/// Carry, parity, adjust, zero, sign and overflow.
const STATUS: u64 = 0x8D5;
const DIRECTION: u64 = 0x400;

/// xorshift64*: the same instructions on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 33) as usize % bound
    }

    fn chance(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A value that is as often near a limit as not.
    fn value(&mut self) -> u64 {
        match self.below(4) {
            0 => [0, 1, 0x7F, 0x80, 0x7FFF, 0x8000, 0x7FFF_FFFF, 0x8000_0000, !0][self.below(9)],
            1 => (self.below(256) as u64).wrapping_sub(128),
            _ => self.next(),
        }
    }
}

/// What the ModRM byte's register field is in a form.
#[derive(Clone, Copy, PartialEq)]
enum Field {
    /// A register, of 8 bits or as wide as the operand.
    Byte,
    Wide,
    /// The number of a bit, in a register.
    Bit,
    /// A part of the opcode.
    Code(u8),
}

/// Bytes of the immediate operand.
#[derive(Clone, Copy, PartialEq)]
enum Immediate {
    None,
    Byte,
    /// As wide as the operand, up to 4.
    Wide,
}

struct Form {
    opcode: Vec<u8>,
    field: Field,
    immediate: Immediate,
    /// Whether a LOCK prefix is allowed.
    locks: bool,
}

/// Every form that `mmio` emulates, strings aside.
fn forms() -> Vec<Form> {
    use Field::{Bit, Byte, Code, Wide};
    let mut forms = Vec::new();
    let mut add = |opcode: &[u8], field, immediate, locks| {
        forms.push(Form { opcode: opcode.to_vec(), field, immediate, locks });
    };
    for operation in 0..8 {
        let writes = operation != 7;
        add(&[operation << 3], Byte, Immediate::None, writes);
        add(&[operation << 3 | 1], Wide, Immediate::None, writes);
        add(&[operation << 3 | 2], Byte, Immediate::None, false);
        add(&[operation << 3 | 3], Wide, Immediate::None, false);
        add(&[0x80], Code(operation), Immediate::Byte, writes);
        add(&[0x81], Code(operation), Immediate::Wide, writes);
        add(&[0x83], Code(operation), Immediate::Byte, writes);
    }
    for opcode in [0x84, 0x88, 0x8A] {
        add(&[opcode], Byte, Immediate::None, false);
        add(&[opcode | 1], Wide, Immediate::None, false);
    }
    add(&[0x86], Byte, Immediate::None, true);
    add(&[0x87], Wide, Immediate::None, true);
    add(&[0x63], Wide, Immediate::None, false);
    add(&[0xC6], Code(0), Immediate::Byte, false);
    add(&[0xC7], Code(0), Immediate::Wide, false);
    add(&[0xF6], Code(0), Immediate::Byte, false);
    add(&[0xF7], Code(0), Immediate::Wide, false);
    for operation in [2, 3] {
        add(&[0xF6], Code(operation), Immediate::None, true);
        add(&[0xF7], Code(operation), Immediate::None, true);
    }
    for operation in [0, 1] {
        add(&[0xFE], Code(operation), Immediate::None, true);
        add(&[0xFF], Code(operation), Immediate::None, true);
    }
    for condition in 0..16 {
        add(&[0x0F, 0x40 | condition], Wide, Immediate::None, false);
        add(&[0x0F, 0x90 | condition], Code(0), Immediate::None, false);
    }
    for opcode in [0xA3, 0xAB, 0xB3, 0xBB] {
        add(&[0x0F, opcode], Bit, Immediate::None, opcode != 0xA3);
    }
    for operation in 4..8 {
        add(&[0x0F, 0xBA], Code(operation), Immediate::Byte, operation != 4);
    }
    for opcode in [0xB0, 0xC0] {
        add(&[0x0F, opcode], Byte, Immediate::None, true);
        add(&[0x0F, opcode | 1], Wide, Immediate::None, true);
    }
    for opcode in [0xB6, 0xB7, 0xBE, 0xBF] {
        add(&[0x0F, opcode], Wide, Immediate::None, false);
    }
    // MOVNTI has no form of 16 bits, and MOVBE is the only one of three bytes.
    add(&[0x0F, 0x38, 0xF0], Wide, Immediate::None, false);
    add(&[0x0F, 0x38, 0xF1], Wide, Immediate::None, false);
    forms
}

/// Encodes `form [rbx + rsi * scale + displacement], register`; and the register.
fn encode(random: &mut Random, form: &Form) -> (Vec<u8>, usize) {
    let (short, long, extended) = (random.chance(), random.below(3) == 0, random.chance());
    let rex = 0x40 | u8::from(long) << 3 | u8::from(extended) << 2;
    let needs_rex = rex != 0x40 || random.below(4) == 0;
    let register = match form.field {
        Field::Code(code) => code,
        // RBX, and its second byte, hold an address; and RSP is the stack's.
        _ if extended && needs_rex => random.below(8) as u8,
        Field::Byte if !needs_rex => [0, 1, 2, 4, 5, 6][random.below(6)],
        _ => [0, 1, 2, 5, 6, 7][random.below(6)],
    };
    let mut code = Vec::new();
    if form.locks && random.below(4) == 0 {
        code.push(0xF0);
    }
    if short {
        code.push(0x66);
    }
    if needs_rex {
        code.push(rex);
    }
    code.extend(&form.opcode);
    code.extend([0x84 | register << 3, (random.below(4) as u8) << 6 | 6 << 3 | 3]);
    let displacement = (random.below(256) as i32 - 128).to_le_bytes();
    code.extend(displacement);
    let bytes = match form.immediate {
        Immediate::None => 0,
        Immediate::Byte => 1,
        Immediate::Wide if short && !(long && needs_rex) => 2,
        Immediate::Wide => 4,
    };
    code.extend(&random.value().to_le_bytes()[..bytes]);
    (code, usize::from(register) | usize::from(extended && needs_rex) << 3)
}

/// Runs code that is on `bench` already with a pointer into the window, and the memory behind it.
fn emulated(bench: &Bench, state: &mut State, memory: &[u8]) -> Vec<u8> {
    bench.board.memory.borrow_mut().copy_from_slice(memory);
    bench.board.asked.borrow_mut().clear();
    assert_eq!(bench.run(state), None, "{:02X?}", &bench.code.bytes()[..16]);
    bench.board.memory.borrow().clone()
}

/// Runs it on ordinary memory.
fn native(bench: &Bench, page: &Pages, state: &mut State, memory: &[u8]) -> Vec<u8> {
    page.bytes().copy_from_slice(memory);
    assert_eq!(bench.run(state), None, "{:02X?}", &bench.code.bytes()[..16]);
    page.bytes().to_vec()
}

fn fill(memory: &mut [u8], mut value: impl FnMut() -> u64) {
    for word in memory.chunks_exact_mut(8) {
        word.copy_from_slice(&value().to_le_bytes());
    }
}

#[test]
fn an_instruction_does_on_registers_what_it_does_on_memory() {
    let (bench, forms) = (Bench::new(), forms());
    let page = Pages::new(WINDOW_BYTES, libc::PROT_READ | libc::PROT_WRITE);
    let _watch = bench.watch();
    let mut random = Random(0x10C5_70F2);
    let mut memory = vec![0; WINDOW_BYTES];
    for try_number in 0..TRIES {
        let form = &forms[try_number % forms.len()];
        let (code, register) = encode(&mut random, form);
        bench.load(&code);
        fill(&mut memory, || random.value());

        let mut trapped = bench.state();
        trapped.general.iter_mut().for_each(|register| *register = random.value());
        if form.field == Field::Bit {
            trapped.general[register] = (random.below(8000) as u64).wrapping_sub(4000);
        }
        // RSI can be the register too: what it holds is then both small enough for a bit number and an index.
        trapped.general[RSI] = random.below(64) as u64;
        trapped.general[RSP] = bench.top(0);
        trapped.flags = 0x202 | random.next() & STATUS;
        let mut direct = trapped.clone();
        trapped.general[RBX] = (bench.window.start + WINDOW_BYTES / 2) as u64;
        direct.general[RBX] = (page.start + WINDOW_BYTES / 2) as u64;
        if form.opcode == [0x0F, 0xB0] || form.opcode == [0x0F, 0xB1] {
            // A comparison that is as often equal as not.
            let same = [0x5A; 8];
            memory.fill(same[0]);
            if random.chance() {
                trapped.general[RAX] = u64::from_le_bytes(same);
                direct.general[RAX] = trapped.general[RAX];
            }
        }

        let expected = native(&bench, &page, &mut direct, &memory);
        let found = emulated(&bench, &mut trapped, &memory);
        assert!(!bench.board.asked.borrow().is_empty(), "not trapped: {code:02X?}");
        trapped.general[RBX] = direct.general[RBX];
        assert_eq!(trapped.general, direct.general, "registers after {code:02X?}");
        assert_eq!(trapped.flags & STATUS, direct.flags & STATUS, "flags after {code:02X?}");
        assert!(found == expected, "memory after {code:02X?}");
    }
}

#[test]
fn a_string_does_on_registers_what_it_does_on_memory() {
    let bench = Bench::new();
    let page = Pages::new(WINDOW_BYTES, libc::PROT_READ | libc::PROT_WRITE);
    let other = Pages::new(WINDOW_BYTES, libc::PROT_READ | libc::PROT_WRITE);
    let _watch = bench.watch();
    let mut random = Random(0x57_0512);
    let mut memory = vec![0; WINDOW_BYTES];
    for _ in 0..TRIES / 4 {
        // movs, stos and lods, of every width, repeated or not
        let kind = [0xA4, 0xAA, 0xAC][random.below(3)];
        let prefixes: [&[u8]; 4] = [&[], &[0x66], &[0xF3], &[0x66, 0xF3]];
        let mut code = prefixes[random.below(4)].to_vec();
        if random.below(3) == 0 {
            code.push(0x48);
        }
        code.push(kind | random.below(2) as u8);
        bench.load(&code);
        fill(&mut memory, || random.next());

        let mut trapped = bench.state();
        trapped.general[RAX] = random.next();
        trapped.general[RCX] = 1 + random.below(12) as u64;
        trapped.flags = 0x202 | random.next() & (STATUS | DIRECTION);
        let mut direct = trapped.clone();
        // One pointer of a move is trapped, or both; the other goes to a page that is the same in both runs.
        let trapped_pointers = match kind {
            0xA4 => [&[RSI][..], &[RDI], &[RSI, RDI]][random.below(3)],
            0xAA => &[RDI],
            _ => &[RSI],
        };
        for pointer in [RSI, RDI] {
            let middle = WINDOW_BYTES / 2 + random.below(64) * 8;
            let (start, base) = match trapped_pointers.contains(&pointer) {
                true => (bench.window.start, page.start),
                false => (other.start, other.start),
            };
            trapped.general[pointer] = (start + middle) as u64;
            direct.general[pointer] = (base + middle) as u64;
        }

        other.bytes().fill(0x33);
        let expected = (native(&bench, &page, &mut direct, &memory), other.bytes().to_vec());
        other.bytes().fill(0x33);
        let found = (emulated(&bench, &mut trapped, &memory), other.bytes().to_vec());
        for pointer in trapped_pointers {
            let moved = direct.general[*pointer].wrapping_sub(page.start as u64);
            let as_far = trapped.general[*pointer].wrapping_sub(bench.window.start as u64);
            assert_eq!(as_far, moved, "pointer after {code:02X?}");
            trapped.general[*pointer] = direct.general[*pointer];
        }
        trapped.general[RBX] = direct.general[RBX];
        assert_eq!(trapped.general, direct.general, "registers after {code:02X?}");
        assert_eq!(trapped.flags & STATUS, direct.flags & STATUS, "flags after {code:02X?}");
        assert!(found == expected, "memory after {code:02X?}");
    }
}
