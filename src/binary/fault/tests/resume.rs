//! The way back from a trap: the driver cannot tell that it was away, wherever it was.

use std::arch::asm;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::*;

/// Uses every register that a function may use: all the vectors, and the flags.
#[unsafe(naked)]
unsafe extern "C" fn clobber() {
    naked_asm!(
        "pcmpeqd xmm0, xmm0",
        "pcmpeqd xmm1, xmm1",
        "pcmpeqd xmm2, xmm2",
        "pcmpeqd xmm3, xmm3",
        "pcmpeqd xmm4, xmm4",
        "pcmpeqd xmm5, xmm5",
        "pcmpeqd xmm6, xmm6",
        "pcmpeqd xmm7, xmm7",
        "pcmpeqd xmm8, xmm8",
        "pcmpeqd xmm9, xmm9",
        "pcmpeqd xmm10, xmm10",
        "pcmpeqd xmm11, xmm11",
        "pcmpeqd xmm12, xmm12",
        "pcmpeqd xmm13, xmm13",
        "pcmpeqd xmm14, xmm14",
        "pcmpeqd xmm15, xmm15",
        "mov ecx, 7",
        "mov edx, 7",
        "mov esi, 7",
        "mov edi, 7",
        "mov r8d, 7",
        "mov r9d, 7",
        "mov r10d, 7",
        "mov r11d, 7",
        "xor eax, eax",
        "ret",
    )
}

/// As [`clobber`], and the upper halves of the wide registers, as the C library's memcpy does.
#[unsafe(naked)]
unsafe extern "C" fn clobber_wide() {
    naked_asm!("vzeroall", "jmp {clobber}", clobber = sym clobber)
}

/// `op xmmN, [rax + 16 * N]` or the store, for all N.
fn vector_moves(opcode: u8, code: &mut Vec<u8>) {
    for number in 0..16u32 {
        if number >= 8 {
            code.push(0x44);
        }
        code.extend([0x0F, opcode, 0x80 | (number as u8 & 7) << 3]);
        code.extend((16 * number).to_le_bytes());
    }
}

#[test]
fn a_trap_keeps_every_register_and_flag() {
    let memory = Pages::new(PAGE, libc::PROT_READ | libc::PROT_WRITE);
    for (index, byte) in memory.bytes()[..256].iter_mut().enumerate() {
        *byte = index as u8;
    }
    // Load all vectors; mov [rbx], dl; store them 256 bytes higher, once RAX is moved there.
    let mut code = Vec::new();
    vector_moves(0x10, &mut code);
    code.extend([0x88, 0x13]);
    code.extend([0x48, 0x8D, 0x80, 0, 1, 0, 0]);
    vector_moves(0x11, &mut code);
    let bench = Bench::with(&code);
    bench.board.interlude.set(Some(clobber));
    let mut state = bench.state();
    state.general[RAX] = memory.start as u64;
    // Carry, parity, adjust, zero, sign, direction and overflow.
    state.flags = 0xED7;
    let mut before = state.clone();
    assert_eq!(bench.go(&mut state), None);
    before.general[RAX] += 256;
    assert_eq!((state.general, state.flags), (before.general, before.flags));
    let (loaded, stored) = memory.bytes()[..512].split_at(256);
    assert_eq!(loaded, stored);
}

#[test]
fn a_trap_keeps_the_wide_vectors() {
    if !std::arch::is_x86_feature_detected!("avx") {
        eprintln!("left out: this processor has no AVX");
        return;
    }
    let memory = Pages::new(PAGE, libc::PROT_READ | libc::PROT_WRITE);
    memory.bytes()[..32].fill(0x5C);
    // vmovups ymm7, [rax]; mov ecx, [rbx]; vmovups [rax + 20h], ymm7
    let bench = Bench::with(&[0xC5, 0xFC, 0x10, 0x38, 0x8B, 0x0B, 0xC5, 0xFC, 0x11, 0x78, 0x20]);
    bench.board.interlude.set(Some(clobber_wide));
    let mut state = bench.state();
    state.general[RAX] = memory.start as u64;
    assert_eq!(bench.go(&mut state), None);
    assert_eq!(memory.bytes()[32..64], [0x5C; 32]);
}

/// What code of this process counts on: floating-point control and the direction of strings.
extern "C" fn check_control() {
    let mut control = 0u32;
    let flags: u64;
    // SAFETY: stores 4 bytes, and reads the flags.
    unsafe {
        asm!("stmxcsr [{}]", in(reg) &raw mut control);
        asm!("pushfq", "pop {}", out(reg) flags);
    }
    assert_eq!(flags & 0x400, 0);
    // Sticky flags of exceptions aside.
    assert_eq!(control & !0x3F, 0x1F80);
}

#[test]
fn the_machine_has_its_own_control_bits_and_the_driver_keeps_its() {
    // ldmxcsr [rax]; mov ecx, [rbx]; stmxcsr [rax + 4]
    let bench = Bench::with(&[
        0x0F, 0xAE, 0x10, 0x8B, 0x0B, 0x0F, 0xAE, 0x58, 0x04, 0x0F, 0xAE, 0x50, 0x08,
    ]);
    let memory = Pages::new(PAGE, libc::PROT_READ | libc::PROT_WRITE);
    // Round to zero; and what it was, for the rest of this test.
    memory.bytes()[..12].copy_from_slice(&[0x80, 0x7F, 0, 0, 0, 0, 0, 0, 0x80, 0x1F, 0, 0]);
    bench.board.interlude.set(Some(check_control));
    let mut state = bench.state();
    state.general[RAX] = memory.start as u64;
    state.flags |= 0x400;
    assert_eq!(bench.go(&mut state), None);
    assert_eq!(memory.bytes()[4..8], memory.bytes()[..4]);
    assert_ne!(state.flags & 0x400, 0);
}

#[test]
fn a_stack_pointer_that_is_not_aligned_is_restored() {
    // sub rsp, N; mov ecx, [rbx]; add rsp, N
    for bytes in 1..=64 {
        let bench = Bench::with(&[0x48, 0x83, 0xEC, bytes, 0x8B, 0x0B, 0x48, 0x83, 0xC4, bytes]);
        let mut state = bench.state();
        assert_eq!(bench.go(&mut state), None);
        assert_eq!(state.general[RCX], 0);
    }
}

#[test]
fn what_lies_above_the_stack_pointer_stays() {
    // push rdx; mov ecx, [rbx]; pop rax
    let bench = Bench::with(&[0x52, 0x8B, 0x0B, 0x58]);
    let mut state = bench.state();
    assert_eq!(bench.go(&mut state), None);
    assert_eq!(state.general[RAX], state.general[RDX]);
}

#[test]
fn an_instruction_that_lies_on_two_pages_is_decoded() {
    let bench = Bench::new();
    let image = bench.code.bytes;
    bench.code.protect(0, image, libc::PROT_READ | libc::PROT_WRITE);
    // mov ecx, [rbx + 10h], with its displacement on the second page; ret
    let code = [0x8B, 0x8B, 0x10, 0, 0, 0, 0xC3];
    bench.code.bytes()[PAGE - 2..PAGE + 5].copy_from_slice(&code);
    bench.code.protect(0, image, libc::PROT_READ | libc::PROT_EXEC);
    let mut state = bench.state();
    state.code += PAGE - 2;
    assert_eq!(bench.go(&mut state), None);
    assert_eq!(bench.board.asked(), [Asked::Read(16, 4)]);
}

thread_local! {
    static YIELDER: Cell<*const Yielder<(), ()>> = const { Cell::new(null()) };
}

extern "C" fn suspend() {
    let yielder = YIELDER.get();
    // SAFETY: the test sets it to that of the coroutine that runs.
    unsafe { (*yielder).suspend(()) };
}

/// The processor may go elsewhere in the middle of a trap, and traps there too.
#[test]
fn a_trap_can_switch_to_another_processor_that_traps() {
    // again: mov rax, [rbx]; add r8, rax; mov [rbx], r8; dec rcx; jnz again
    let bench = Bench::with(&[
        0x48, 0x8B, 0x03, 0x49, 0x01, 0xC0, 0x4C, 0x89, 0x03, 0x48, 0xFF, 0xC9, 0x75, 0xF2,
    ]);
    bench.board.interlude.set(Some(suspend));
    let _watch = bench.watch();
    const ROUNDS: u64 = 50;
    let mut processors = [0, 1].map(|number| {
        let mut state = bench.state();
        state.general[RSP] = bench.top(number);
        state.general[RBX] += 8 * number as u64;
        (state.general[RCX], state.general[R8]) = (ROUNDS, number as u64 + 1);
        let run = move |yielder: &Yielder<(), ()>, ()| {
            YIELDER.set(yielder);
            // SAFETY: as in `Bench::run`.
            unsafe { enter(&mut state) };
            state.general[R8]
        };
        let stack = DefaultStack::new(0x1_0000).expect("a stack");
        (Coroutine::with_stack(stack, run), null(), 0)
    });
    let mut switches = 0;
    while processors.iter().any(|(coroutine, ..)| !coroutine.done()) {
        for (coroutine, yielder, result) in &mut processors {
            if coroutine.done() {
                continue;
            }
            YIELDER.set(*yielder);
            if let CoroutineResult::Return(value) = coroutine.resume(()) {
                *result = value;
            }
            *yielder = YIELDER.get();
            switches += 1;
        }
    }
    assert_eq!(switches, 2 * (2 * ROUNDS + 1));
    // What each adds up starts with its own number and doubles, but for the first round.
    assert_eq!(processors.map(|(.., result)| result), [1 << (ROUNDS - 1), 2 << (ROUNDS - 1)]);
}
