//! Out of a signal handler and into a trapped instruction's emulation, and back behind the instruction.
//!
//! The emulation is a decision point of the machine: it may switch processors, which no signal handler may. So the
//! handler leaves a [`Frame`] on the driver's stack and returns to [`trampoline`], which saves what the handler did not,
//! calls [`perform`], restores every register as the emulation left it, and jumps to the next instruction. The driver
//! sees an instruction that took a while.

use std::arch::naked_asm;

use libc::mcontext_t;

use super::emulate::{self, Stop};
use super::register::Registers;
use super::watch::{Fault, Watched};

/// Rust's floating-point control: all exceptions masked, round to nearest.
pub(super) const MXCSR: u32 = 0x1F80;

/// Bytes of the vector state: all that XSAVE can write of the components below, wherever a processor puts
/// them, in steps of the alignment that it needs.
const VECTORS: usize = 2752;
/// x87, SSE, AVX and AVX-512: what code of this process may change and a driver may use.
const COMPONENTS: u32 = 0xE7;

/// A trapped instruction: the driver's registers, below its stack pointer.
#[repr(C, align(64))]
pub(super) struct Frame {
    /// As the instruction found them, and then as it leaves them.
    registers: Registers,
    /// The stack pointer with which the trampoline ends: at flags and instruction pointer, right below the driver's.
    resume: usize,
    vector: i64,
    address: usize,
}

/// What lies right below the driver's stack pointer at the end.
#[repr(C)]
struct Resume {
    flags: u64,
    instruction_pointer: u64,
}

impl Frame {
    /// Where it goes, below a driver's stack pointer.
    pub(super) fn below(stack: usize) -> *mut Self {
        let end = (stack - size_of::<Resume>()) & !(align_of::<Self>() - 1);
        std::ptr::with_exposed_provenance_mut(end - size_of::<Self>())
    }

    pub(super) fn of(context: &mcontext_t) -> Self {
        Frame {
            registers: Registers::of(context),
            resume: 0,
            vector: context.gregs[libc::REG_TRAPNO as usize],
            address: context.gregs[libc::REG_CR2 as usize] as usize,
        }
    }
}

/// Emulates the instruction of the frame at the stack pointer and goes on behind it.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn trampoline(frame: &mut Frame) -> ! {
    naked_asm!(
        "mov rbx, rdi",
        "sub rsp, {vectors}",
        // XRSTOR wants zeroes in the header of the saved state where XSAVE writes nothing.
        "xor eax, eax",
        "lea rdi, [rsp + 512]",
        "mov ecx, 8",
        "rep stosq",
        "mov eax, {components}",
        "xor edx, edx",
        "xsave64 [rsp]",
        "push {mxcsr}",
        "ldmxcsr [rsp]",
        "add rsp, 8",
        "mov rdi, rbx",
        "call {perform}",
        "mov eax, {components}",
        "xor edx, edx",
        "xrstor64 [rsp]",
        "mov rsp, rbx",
        "pop rax",
        "pop rcx",
        "pop rdx",
        "pop rbx",
        "lea rsp, [rsp + 8]",
        "pop rbp",
        "pop rsi",
        "pop rdi",
        "pop r8",
        "pop r9",
        "pop r10",
        "pop r11",
        "pop r12",
        "pop r13",
        "pop r14",
        "pop r15",
        // Over flags and instruction pointer of the registers, to `resume`.
        "mov rsp, [rsp + 16]",
        "popfq",
        // Not `ret`: it would upset the processor's prediction of all the returns to come. A signal leaves the 128
        // bytes below the stack pointer alone.
        "lea rsp, [rsp + 8]",
        "jmp qword ptr [rsp - 8]",
        vectors = const VECTORS,
        components = const COMPONENTS,
        mxcsr = const MXCSR,
        perform = sym perform,
    )
}

/// Emulates one instruction, in the middle of the driver and yet in ordinary code: it may do whatever a DDI may.
unsafe extern "C" fn perform(frame: &mut Frame) {
    // SAFETY: the handler found a watch, and a watch lives while its driver runs.
    let Some(watched) = (unsafe { Watched::current() }) else { return };
    let registers = &mut frame.registers;
    let at = registers.instruction_pointer as usize - watched.region.image.start;
    match emulate::step(watched, registers, frame.vector, frame.address) {
        Ok(()) => {
            let stack = registers.stack_pointer() as usize;
            let resume =
                std::ptr::with_exposed_provenance_mut::<Resume>(stack - size_of::<Resume>());
            let end = Resume {
                flags: registers.flags,
                instruction_pointer: registers.instruction_pointer,
            };
            // SAFETY: between the frame and the driver's stack pointer, by `Frame::below`.
            unsafe { resume.write_unaligned(end) };
            frame.resume = resume.addr();
        }
        Err(Stop { cause, address }) => {
            let fault = Fault { cause, at, address };
            // SAFETY: the emergency stack is this thread's and in use only for a crash, which is the last thing of a
            // run; the fault outlives the call, because nothing returns to this frame.
            unsafe { abandon(&fault, watched.emergency) }
        }
    }
}

/// Reports a crash on another stack.
#[unsafe(naked)]
unsafe extern "C" fn abandon(fault: &Fault, stack: usize) -> ! {
    naked_asm!("mov rsp, rsi", "call {report}", "ud2", report = sym report)
}

/// Reports a crash; on the emergency stack.
pub(super) unsafe extern "C" fn report(fault: &Fault) -> ! {
    // SAFETY: as in `perform`.
    match unsafe { Watched::current() } {
        Some(watched) => watched.hooks().crashed(fault),
        None => std::process::abort(),
    }
}

/// Copies bytes, upwards. `false` if not all of them could be: a pointer of the driver's may point to anything.
///
/// # Safety
///
/// Where there is memory at all, the driver may access it: nothing of this process is there.
pub(super) unsafe fn copy(to: usize, from: usize, bytes: usize) -> bool {
    // SAFETY: a fault inside `copy_bytes` makes it return `false`, by `after_failed_copy`.
    unsafe { copy_bytes(to, from, 0, bytes) }
}

/// The arguments are where its first instruction needs them.
#[unsafe(naked)]
unsafe extern "C" fn copy_bytes(to: usize, from: usize, unused: usize, bytes: usize) -> bool {
    naked_asm!("rep movsb", "mov eax, 1", "ret")
}

#[unsafe(naked)]
extern "C" fn copy_failed() -> bool {
    naked_asm!("xor eax, eax", "ret")
}

/// Where to go on when the instruction at `at` has faulted, if that is the one of [`copy`].
pub(super) fn after_failed_copy(at: usize) -> Option<usize> {
    (at == copy_bytes as *const () as usize).then_some(copy_failed as *const () as usize)
}
