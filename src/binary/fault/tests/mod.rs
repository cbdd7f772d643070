//! Machine code in an executable page, run as a driver is: on a stack of its own, with every register chosen.

mod crash;
mod privileged;
mod property;
mod resume;
mod window;

use std::arch::naked_asm;
use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::ptr::{null, null_mut};

use crate::binary::watch::{Fault, Hooks, Region, Stacks, Watch, Watching};

const PAGE: usize = 4096;
const STACK_BYTES: usize = 0x4_0000;
/// Bytes of the register window and of the memory behind it.
const WINDOW_BYTES: usize = 2 * PAGE;

const RAX: usize = 0;
const RCX: usize = 1;
const RDX: usize = 2;
const RBX: usize = 3;
const RSP: usize = 4;
const RSI: usize = 6;
const RDI: usize = 7;
const R8: usize = 8;

/// Pages of memory.
struct Pages {
    start: usize,
    bytes: usize,
}

impl Pages {
    fn new(bytes: usize, protection: i32) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping.
        let start = unsafe { libc::mmap(null_mut(), bytes, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Pages { start: start.expose_provenance(), bytes }
    }

    fn protect(&self, offset: usize, bytes: usize, protection: i32) {
        let start = std::ptr::with_exposed_provenance_mut(self.start + offset);
        // SAFETY: pages of this mapping.
        assert_eq!(unsafe { libc::mprotect(start, bytes, protection) }, 0);
    }

    /// The bytes; nothing but the code under test writes them meanwhile.
    #[expect(clippy::mut_from_ref, reason = "the memory is shared with machine code anyway")]
    fn bytes(&self) -> &mut [u8] {
        // SAFETY: accessible where a test asks for them, and one test has them at a time.
        unsafe {
            let start = std::ptr::with_exposed_provenance_mut(self.start);
            std::slice::from_raw_parts_mut(start, self.bytes)
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nobody uses any more.
        unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(self.start), self.bytes) };
    }
}

/// The registers with which the code begins, and then those with which it ended.
#[repr(C)]
#[derive(Clone, Debug, Default)]
struct State {
    general: [u64; 16],
    flags: u64,
    code: usize,
    host: usize,
}

/// Runs code until it returns or [`escape`] is called.
#[unsafe(naked)]
unsafe extern "C" fn enter(state: &mut State) {
    naked_asm!(
        "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
        "mov [rdi + {host}], rsp",
        "mov rsp, [rdi + 32]",
        "push rdi",
        "lea rax, [rip + 2f]",
        "push rax",
        "push qword ptr [rdi + {code}]",
        "push qword ptr [rdi + {flags}]",
        "popfq",
        "mov rax, [rdi]", "mov rcx, [rdi + 8]", "mov rdx, [rdi + 16]", "mov rbx, [rdi + 24]",
        "mov rbp, [rdi + 40]", "mov rsi, [rdi + 48]",
        "mov r8, [rdi + 64]", "mov r9, [rdi + 72]", "mov r10, [rdi + 80]", "mov r11, [rdi + 88]",
        "mov r12, [rdi + 96]", "mov r13, [rdi + 104]", "mov r14, [rdi + 112]", "mov r15, [rdi + 120]",
        "mov rdi, [rdi + 56]",
        "ret",
        "2:",
        "push rax",
        "pushfq",
        "mov rax, [rsp + 16]",
        "mov [rax + 8], rcx", "mov [rax + 16], rdx", "mov [rax + 24], rbx",
        "mov [rax + 40], rbp", "mov [rax + 48], rsi", "mov [rax + 56], rdi",
        "mov [rax + 64], r8", "mov [rax + 72], r9", "mov [rax + 80], r10", "mov [rax + 88], r11",
        "mov [rax + 96], r12", "mov [rax + 104], r13", "mov [rax + 112], r14", "mov [rax + 120], r15",
        "pop qword ptr [rax + {flags}]",
        "pop qword ptr [rax]",
        "cld",
        "mov rsp, [rax + {host}]",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
        "ret",
        host = const offset_of!(State, host),
        code = const offset_of!(State, code),
        flags = const offset_of!(State, flags),
    )
}

/// Returns from [`enter`], wherever this is.
#[unsafe(naked)]
unsafe extern "C" fn escape(host: usize) -> ! {
    naked_asm!(
        "mov rsp, rdi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// What the hooks were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    SetIrql(u8),
    SetInterrupts(bool),
    PortRead(u16, usize),
    PortWrite(u16, usize, u32),
    Read(usize, usize),
    Write(usize, usize, u64),
}

/// The machine of the tests: registers are plain memory, ports count up.
struct Board {
    irql: Cell<u8>,
    asked: RefCell<Vec<(usize, Asked)>>,
    memory: RefCell<Vec<u8>>,
    port_value: Cell<u32>,
    /// With what the code was entered.
    running: Cell<*const State>,
    fault: Cell<Option<Fault>>,
    /// A page to make writable when it is touched, and how often that happened.
    cold: Cell<usize>,
    touches: Cell<u32>,
    /// Done in every register access.
    interlude: Cell<Option<unsafe extern "C" fn()>>,
}

impl Board {
    fn new() -> Self {
        Board {
            irql: Cell::new(0),
            asked: RefCell::default(),
            memory: RefCell::new(vec![0; WINDOW_BYTES]),
            port_value: Cell::new(0),
            running: Cell::new(null()),
            fault: Cell::new(None),
            cold: Cell::new(0),
            touches: Cell::new(0),
            interlude: Cell::new(None),
        }
    }

    fn ask(&self, at: usize, what: Asked) {
        self.asked.borrow_mut().push((at, what));
    }

    fn pause(&self) {
        if let Some(interlude) = self.interlude.get() {
            // SAFETY: a function of the tests without arguments.
            unsafe { interlude() };
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().iter().map(|(_, what)| *what).collect()
    }
}

impl Hooks for Board {
    fn irql(&self, _: usize) -> u8 {
        self.irql.get()
    }

    fn set_irql(&self, at: usize, level: u8) {
        self.ask(at, Asked::SetIrql(level));
        self.irql.set(level);
    }

    fn set_interrupts(&self, at: usize, enabled: bool) {
        self.ask(at, Asked::SetInterrupts(enabled));
    }

    fn port_read(&self, at: usize, port: u16, bytes: usize) -> u32 {
        self.ask(at, Asked::PortRead(port, bytes));
        self.port_value.set(self.port_value.get().wrapping_add(0x8182_8384));
        self.port_value.get()
    }

    fn port_write(&self, at: usize, port: u16, bytes: usize, value: u32) {
        self.ask(at, Asked::PortWrite(port, bytes, value));
    }

    fn register_read(&self, at: usize, offset: usize, bytes: usize) -> u64 {
        self.ask(at, Asked::Read(offset, bytes));
        self.pause();
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&self.memory.borrow()[offset..offset + bytes]);
        u64::from_le_bytes(value)
    }

    fn register_write(&self, at: usize, offset: usize, bytes: usize, value: u64) {
        self.ask(at, Asked::Write(offset, bytes, value));
        self.pause();
        self.memory.borrow_mut()[offset..offset + bytes]
            .copy_from_slice(&value.to_le_bytes()[..bytes]);
    }

    fn processor_number(&self) -> u32 {
        3
    }

    fn thread(&self) -> u64 {
        0xFFFF_8000_1234_5678
    }

    fn time(&self) -> u64 {
        0x12_3456_789A
    }

    fn touched(&self, address: usize) -> bool {
        let cold = self.cold.get();
        if cold == 0 || !(cold..cold + PAGE).contains(&address) {
            return false;
        }
        self.touches.set(self.touches.get() + 1);
        let page = std::ptr::with_exposed_provenance_mut(cold);
        // SAFETY: a page of the test's own; mprotect is async-signal-safe in practice.
        unsafe { libc::mprotect(page, PAGE, libc::PROT_READ | libc::PROT_WRITE) == 0 }
    }

    fn crashed(&self, fault: &Fault) -> ! {
        self.fault.set(Some(*fault));
        // SAFETY: `Bench::run` waits there, and nothing in between needs a drop.
        unsafe { escape((*self.running.get()).host) }
    }
}

/// Code and stacks for one test.
struct Bench {
    code: Pages,
    stack: Pages,
    window: Pages,
    board: Board,
}

impl Bench {
    fn new() -> Self {
        let bench = Bench {
            // A page that is never accessible follows the code.
            code: Pages::new(2 * PAGE, libc::PROT_NONE),
            stack: Pages::new(2 * STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE),
            window: Pages::new(WINDOW_BYTES, libc::PROT_NONE),
            board: Board::new(),
        };
        for stack in 0..2 {
            bench.stack.protect(stack * STACK_BYTES, PAGE, libc::PROT_NONE);
        }
        bench
    }

    fn with(code: &[u8]) -> Self {
        let bench = Bench::new();
        bench.load(code);
        bench
    }

    /// Puts code at the image's start, with a `ret` behind it.
    fn load(&self, code: &[u8]) {
        self.code.protect(0, PAGE, libc::PROT_READ | libc::PROT_WRITE);
        let page = &mut self.code.bytes()[..PAGE];
        page[..code.len()].copy_from_slice(code);
        page[code.len()] = 0xC3;
        self.code.protect(0, PAGE, libc::PROT_READ | libc::PROT_EXEC);
    }

    fn region(&self) -> Region {
        let pages = |pages: &Pages| pages.start..pages.start + pages.bytes;
        let start = self.stack.start;
        Region {
            image: pages(&self.code),
            stacks: vec![Stacks { start, count: 2, bytes: STACK_BYTES, guard: PAGE }],
            window: pages(&self.window),
        }
    }

    fn watch(&self) -> Watching<'_> {
        let watch = Watch::new(self.region(), &self.board).expect("handlers");
        Box::leak(Box::new(watch)).on()
    }

    /// The top of a stack.
    fn top(&self, stack: usize) -> u64 {
        (self.stack.start + (stack + 1) * STACK_BYTES - 64) as u64
    }

    /// Every register a value of its own.
    fn state(&self) -> State {
        let mut state = State { code: self.code.start, flags: 0x202, ..State::default() };
        for (number, register) in state.general.iter_mut().enumerate() {
            *register = 0x1111_1111_1111_1111 * number as u64;
        }
        state.general[RBX] = self.window.start as u64;
        state.general[RSP] = self.top(0);
        state
    }

    /// Runs the code under a watch that exists; `state` then holds what it returned with, unless it crashed.
    fn run(&self, state: &mut State) -> Option<Fault> {
        self.board.fault.set(None);
        self.board.running.set(state);
        // SAFETY: the code is the test's, on a stack of the test's; what it breaks is caught.
        unsafe { enter(state) };
        self.board.fault.get()
    }

    /// Watches and runs.
    fn go(&self, state: &mut State) -> Option<Fault> {
        let _watch = self.watch();
        self.run(state)
    }
}
