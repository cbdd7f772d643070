//! What ends a run, where it is said to have happened, and what is none of ours.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use super::*;
use crate::event::Cause;

/// Code, and what is to become of it.
fn crashes(code: &[u8], cause: Cause, at: usize, address: usize) {
    let bench = Bench::with(code);
    let fault = bench.go(&mut bench.state());
    assert_eq!(fault, Some(Fault { cause, at, address }), "{code:02X?}");
}

#[test]
fn every_cause_is_told_apart() {
    // mov rax, [10h]; mov [10h], al, behind a nop
    crashes(&[0x48, 0x8B, 0x04, 0x25, 0x10, 0, 0, 0], Cause::AccessViolation, 0, 0x10);
    crashes(&[0x90, 0x88, 0x04, 0x25, 0x10, 0, 0, 0], Cause::AccessViolation, 1, 0x10);
    // mov rax, 8000_0000_0000_0000h; mov ecx, [rax]: no canonical address
    crashes(&[0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8B, 0x08], Cause::AccessViolation, 10, 0);
    // movaps xmm0, [rsp + 1]
    crashes(&[0x0F, 0x28, 0x44, 0x24, 0x01], Cause::AccessViolation, 0, 0);
    // int 29h; int3; int 2Ch; ud2
    crashes(&[0x90, 0xCD, 0x29], Cause::FastFail, 1, 0);
    crashes(&[0x90, 0xCC], Cause::Breakpoint, 1, 0);
    crashes(&[0x90, 0xCD, 0x2C], Cause::Breakpoint, 1, 0);
    crashes(&[0x90, 0x0F, 0x0B], Cause::IllegalInstruction, 1, 0);
    // xor ecx, ecx; div ecx; and mov eax, 80000000h; cdq; or ecx, -1; idiv ecx
    crashes(&[0x31, 0xC9, 0xF7, 0xF1], Cause::DivisionByZero, 2, 0);
    crashes(
        &[0xB8, 0, 0, 0, 0x80, 0x99, 0x83, 0xC9, 0xFF, 0xF7, 0xF9],
        Cause::DivisionByZero,
        9,
        0,
    );
    // swapgs; lgdt [rbx]; int 30h
    crashes(&[0x0F, 0x01, 0xF8], Cause::PrivilegedInstruction, 0, 0);
    crashes(&[0x0F, 0x01, 0x13], Cause::PrivilegedInstruction, 0, 0);
    crashes(&[0xCD, 0x30], Cause::PrivilegedInstruction, 0, 0);
}

#[test]
fn code_is_not_writable_and_data_is_not_executable() {
    // lea rax, [rip - 7]; mov [rax], al
    let bench = Bench::with(&[0x48, 0x8D, 0x05, 0xF9, 0xFF, 0xFF, 0xFF, 0x88, 0x00]);
    let (start, fault) = (bench.code.start, bench.go(&mut bench.state()));
    assert_eq!(fault, Some(Fault { cause: Cause::AccessViolation, at: 7, address: start }));
    // jmp to the image's second page
    bench.load(&[0xE9, 0xFB, 0x0F, 0, 0]);
    let fault = bench.go(&mut bench.state());
    let address = start + PAGE;
    assert_eq!(fault, Some(Fault { cause: Cause::AccessViolation, at: PAGE, address }));
}

#[test]
fn a_call_into_nowhere_is_told_by_its_return_address() {
    // mov eax, 10h; call rax
    let bench = Bench::with(&[0xB8, 0x10, 0, 0, 0, 0xFF, 0xD0]);
    let fault = bench.go(&mut bench.state());
    assert_eq!(fault, Some(Fault { cause: Cause::AccessViolation, at: 7, address: 0x10 }));
}

#[test]
fn a_stack_that_is_used_up_is_told_apart() {
    // push rax; jmp -3
    let bench = Bench::with(&[0x50, 0xEB, 0xFD]);
    let fault = bench.go(&mut bench.state()).expect("a crash");
    assert_eq!((fault.cause, fault.at), (Cause::StackOverflow, 0));
    assert_eq!(fault.address, bench.stack.start + PAGE - 8, "the highest word of the guard");
    // The upper of two stacks, and a call of itself.
    bench.load(&[0xE8, 0xFB, 0xFF, 0xFF, 0xFF]);
    let mut state = bench.state();
    state.general[RSP] = bench.top(1);
    let fault = bench.go(&mut state).expect("a crash");
    assert_eq!(fault.cause, Cause::StackOverflow);
    assert_eq!(fault.address, bench.stack.start + STACK_BYTES + PAGE - 8);
}

#[test]
fn a_wild_store_that_hits_a_guard_is_no_overflow() {
    // mov [rbx], eax, with the stack pointer where a driver's is
    let bench = Bench::with(&[0x89, 0x03]);
    for stack in 0..2 {
        let mut state = bench.state();
        state.general[RBX] = (bench.stack.start + stack * STACK_BYTES) as u64;
        let fault = bench.go(&mut state).expect("a crash");
        assert_eq!(fault.cause, Cause::AccessViolation);
    }
}

#[test]
fn a_trap_with_too_little_stack_left_is_an_overflow() {
    // mov rax, cr8
    let bench = Bench::with(&[0x44, 0x0F, 0x20, 0xC0]);
    let mut state = bench.state();
    state.general[RSP] = (bench.stack.start + PAGE + 0x1000) as u64;
    assert_eq!(bench.go(&mut state).map(|fault| fault.cause), Some(Cause::StackOverflow));
}

#[test]
fn a_stack_pointer_into_nowhere_does_not_stop_the_report() {
    // mov esp, 10h; push rax; and a trap with such a stack
    crashes(&[0xBC, 0x10, 0, 0, 0, 0x50], Cause::AccessViolation, 5, 8);
    let bench = Bench::with(&[0xBC, 0x10, 0, 0, 0, 0x44, 0x0F, 0x20, 0xC0]);
    let fault = bench.go(&mut bench.state());
    assert_eq!(fault.map(|fault| (fault.cause, fault.at)), Some((Cause::AccessViolation, 5)));
}

#[test]
fn registers_that_no_instruction_here_can_reach_have_no_model() {
    // movups xmm0, [rbx]; fld qword [rbx]
    for code in [&[0x0F, 0x10, 0x03][..], &[0xDD, 0x03]] {
        let bench = Bench::with(code);
        let fault = bench.go(&mut bench.state()).expect("a crash");
        assert_eq!(fault.cause, Cause::Unmodelled, "{code:02X?}");
    }
}

/// Bytes of memory that this process has mapped.
fn mapped() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').next().and_then(|pages| pages.parse().ok()).expect("pages")
}

#[test]
fn ten_thousand_crashes_leave_nothing_behind() {
    // In a process without other tests, whose threads come and go.
    let status = in_child(|| {
        let bench = Bench::new();
        let codes: [(&[u8], Cause); 3] = [
            (&[0x48, 0x8B, 0x04, 0x25, 0x10, 0, 0, 0], Cause::AccessViolation),
            (&[0xCD, 0x29], Cause::FastFail),
            (&[0x50, 0xEB, 0xFD], Cause::StackOverflow),
        ];
        let mut before = 0;
        for run in 0..10_000 {
            let (code, cause) = codes[run % codes.len()];
            bench.load(code);
            let fault = bench.go(&mut bench.state());
            assert_eq!(fault.map(|fault| fault.cause), Some(cause));
            if run == 100 {
                before = mapped();
            }
        }
        assert_eq!(mapped(), before, "pages");
    });
    assert!(status.success(), "{status}");
}

#[test]
fn threads_have_their_own_faults() {
    let run = |code: &'static [u8], cause| {
        move || {
            let bench = Bench::with(code);
            for _ in 0..1000 {
                let fault = bench.go(&mut bench.state());
                assert_eq!(fault.map(|fault| fault.cause), Some(cause));
            }
        }
    };
    let threads = [
        std::thread::spawn(run(&[0x50, 0xEB, 0xFD], Cause::StackOverflow)),
        std::thread::spawn(run(&[0x0F, 0x0B], Cause::IllegalInstruction)),
    ];
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[test]
fn a_watch_inside_another_counts_until_it_ends() {
    let (outer, inner) = (Bench::with(&[0x0F, 0x0B]), Bench::with(&[0xCC]));
    let _outer = outer.watch();
    {
        let _inner = inner.watch();
        assert_eq!(inner.run(&mut inner.state()).map(|f| f.cause), Some(Cause::Breakpoint));
    }
    assert_eq!(outer.run(&mut outer.state()).map(|f| f.cause), Some(Cause::IllegalInstruction));
}

/// Set in the child process of a test.
const CHILD: &str = "LOCKSTORM_TEST_CHILD";

/// Runs `act` in a process of its own, and tells how that ended; never returns in that process. The child runs nothing
/// but the test that called this, up to here.
fn in_child(act: impl FnOnce()) -> ExitStatus {
    if std::env::var_os(CHILD).is_some() {
        act();
        std::process::exit(0);
    }
    let thread = std::thread::current();
    let program = std::env::current_exe().expect("a path");
    let mut child = Command::new(program);
    child.args([
        "--exact",
        "--nocapture",
        "--test-threads=1",
        thread.name().expect("a test's name"),
    ]);
    let output = child.env(CHILD, "1").output().expect("a process");
    // A child that finds no such test ends well, and without having done anything.
    assert!(!String::from_utf8_lossy(&output.stdout).contains("test result: ok"), "not run");
    output.status
}

/// A store that this process does itself, under a watch.
fn fault_in_our_code() {
    let bench = Bench::with(&[0x90]);
    let _watch = bench.watch();
    // SAFETY: none; a child process dies of it.
    unsafe { std::ptr::without_provenance_mut::<u8>(16).write_volatile(1) };
}

#[test]
fn a_fault_in_our_own_code_is_fatal() {
    // Rust's own handler resets the signal and returns, for any fault but an overflow of the stack.
    let status = in_child(fault_in_our_code);
    assert_eq!(status.signal(), Some(libc::SIGSEGV));
}

extern "C" fn leave_with_the_signals_number(signal: i32) {
    // SAFETY: async-signal-safe.
    unsafe { libc::_exit(signal) };
}

extern "C" fn leave_with_the_address(_: i32, info: *mut libc::siginfo_t, _: *mut std::ffi::c_void) {
    // SAFETY: async-signal-safe, and a fault has an address.
    unsafe { libc::_exit((*info).si_addr().addr() as i32) };
}

/// Sets a handler as something did before us, and then faults.
fn fault_with_handler(function: usize, flags: i32) -> ExitStatus {
    in_child(|| {
        // SAFETY: zeroes and a function are a valid sigaction.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = function;
            action.sa_flags = flags;
            libc::sigaction(libc::SIGSEGV, &raw const action, null_mut());
        }
        fault_in_our_code();
    })
}

#[test]
fn a_plain_handler_that_was_there_before_gets_what_is_not_ours() {
    let status = fault_with_handler(leave_with_the_signals_number as *const () as usize, 0);
    assert_eq!(status.code(), Some(libc::SIGSEGV));
}

#[test]
fn a_handler_that_was_there_before_gets_the_whole_signal() {
    let function = leave_with_the_address as *const () as usize;
    let status = fault_with_handler(function, libc::SA_SIGINFO);
    assert_eq!(status.code(), Some(16));
}

#[test]
fn a_signal_that_somebody_sends_is_not_the_drivers() {
    let status = in_child(|| {
        let bench = Bench::with(&[0x90]);
        let _watch = bench.watch();
        // SAFETY: to this process.
        unsafe { libc::raise(libc::SIGFPE) };
    });
    assert_eq!(status.signal(), Some(libc::SIGFPE));
}

#[test]
fn a_signal_that_somebody_sends_while_the_driver_runs_is_not_the_drivers() {
    let status = in_child(|| {
        // SAFETY: this thread.
        let driver = unsafe { libc::pthread_self() };
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            // SAFETY: a thread that lives until this kills the process.
            unsafe { libc::pthread_kill(driver, libc::SIGFPE) };
        });
        // jmp to itself
        let bench = Bench::with(&[0xEB, 0xFE]);
        bench.go(&mut bench.state());
    });
    assert_eq!(status.signal(), Some(libc::SIGFPE));
}

#[test]
fn a_page_is_made_writable_when_it_is_first_written_whoever_writes() {
    let bench = Bench::with(&[0xC6, 0x00, 0x07]);
    let page = Pages::new(PAGE, libc::PROT_READ);
    bench.board.cold.set(page.start);
    let _watch = bench.watch();
    let mut state = bench.state();
    // mov byte [rax], 7
    state.general[RAX] = page.start as u64;
    assert_eq!(bench.run(&mut state), None);
    assert_eq!((page.bytes()[0], bench.board.touches.get()), (7, 1));
    page.protect(0, PAGE, libc::PROT_READ);
    // SAFETY: the page is made writable.
    unsafe { std::ptr::with_exposed_provenance_mut::<u8>(page.start).write_volatile(8) };
    assert_eq!((page.bytes()[0], bench.board.touches.get()), (8, 2));
}
