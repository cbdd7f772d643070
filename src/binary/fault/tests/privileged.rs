//! Every instruction that is emulated because user mode may not execute it.

use super::*;
use crate::event::Cause;

#[test]
fn cr8_is_the_irql() {
    // mov rax, cr8; mov cr8, rcx; mov r9, cr8
    let bench =
        Bench::with(&[0x44, 0x0F, 0x20, 0xC0, 0x44, 0x0F, 0x22, 0xC1, 0x45, 0x0F, 0x20, 0xC1]);
    bench.board.irql.set(1);
    let mut state = bench.state();
    state.general[RCX] = 0xF2;
    assert_eq!(bench.go(&mut state), None);
    assert_eq!((state.general[RAX], state.general[9]), (1, 2));
    assert_eq!(*bench.board.asked.borrow(), [(4, Asked::SetIrql(2))]);
}

#[test]
fn cli_and_sti_reach_the_machine() {
    let bench = Bench::with(&[0xFA, 0xFB]);
    assert_eq!(bench.go(&mut bench.state()), None);
    let asked = [(0, Asked::SetInterrupts(false)), (1, Asked::SetInterrupts(true))];
    assert_eq!(*bench.board.asked.borrow(), asked);
}

#[test]
fn ports_are_read_with_their_width() {
    // in al, dx; in ax, 0x60; in eax, dx
    for (code, read, rax) in [
        (&[0xEC][..], Asked::PortRead(0x3F8, 1), 0xAAAA_AAAA_AAAA_AA84),
        (&[0x66, 0xE5, 0x60], Asked::PortRead(0x60, 2), 0xAAAA_AAAA_AAAA_8384),
        (&[0xED], Asked::PortRead(0x3F8, 4), 0x8182_8384),
    ] {
        let bench = Bench::with(code);
        let mut state = bench.state();
        state.general[RAX] = 0xAAAA_AAAA_AAAA_AAAA;
        state.general[RDX] = 0xFFFF_03F8;
        assert_eq!(bench.go(&mut state), None);
        assert_eq!((bench.board.asked(), state.general[RAX]), (vec![read], rax));
    }
}

#[test]
fn ports_are_written_with_their_width() {
    // out 0x60, al; out dx, ax; out dx, eax
    for (code, write) in [
        (&[0xE6, 0x60][..], Asked::PortWrite(0x60, 1, 0x88)),
        (&[0x66, 0xEF], Asked::PortWrite(0x3F8, 2, 0x7788)),
        (&[0xEF], Asked::PortWrite(0x3F8, 4, 0x5566_7788)),
    ] {
        let bench = Bench::with(code);
        let mut state = bench.state();
        state.general[RAX] = 0x1122_3344_5566_7788;
        state.general[RDX] = 0x3F8;
        assert_eq!(bench.go(&mut state), None);
        assert_eq!(bench.board.asked(), [write]);
    }
}

#[test]
fn port_strings_move_memory_both_ways() {
    // rep insd; rep outsw
    let bench = Bench::with(&[0xF3, 0x6D]);
    let memory = Pages::new(PAGE, libc::PROT_READ | libc::PROT_WRITE);
    let _watch = bench.watch();
    let mut state = bench.state();
    (state.general[RCX], state.general[RDX]) = (2, 0x1F0);
    state.general[RDI] = memory.start as u64 + 8;
    assert_eq!(bench.run(&mut state), None);
    assert_eq!((state.general[RCX], state.general[RDI]), (0, memory.start as u64 + 16));
    assert_eq!(memory.bytes()[8..16], [0x84, 0x83, 0x82, 0x81, 0x08, 0x07, 0x05, 0x03]);

    bench.board.asked.borrow_mut().clear();
    bench.load(&[0x66, 0xF3, 0x6F]);
    (state.general[RCX], state.general[RSI]) = (3, memory.start as u64 + 8);
    state.general[RSP] = bench.top(0);
    assert_eq!(bench.run(&mut state), None);
    assert_eq!(state.general[RSI], memory.start as u64 + 14);
    let writes = [0x8384, 0x8182, 0x0708].map(|value| Asked::PortWrite(0x1F0, 2, value));
    assert_eq!(bench.board.asked(), writes);
}

#[test]
fn a_port_string_into_nowhere_is_the_drivers_fault() {
    let bench = Bench::with(&[0x90, 0xF3, 0x6C]);
    let mut state = bench.state();
    (state.general[RCX], state.general[RDI]) = (2, 0x10);
    let fault = Fault { cause: Cause::AccessViolation, at: 1, address: 0x10 };
    assert_eq!(bench.go(&mut state), Some(fault));
}

#[test]
fn model_specific_registers_are_zero() {
    for code in [[0x0F, 0x32], [0x0F, 0x33]] {
        let bench = Bench::with(&code);
        let mut state = bench.state();
        state.general[RCX] = 0x10;
        assert_eq!(bench.go(&mut state), None);
        assert_eq!((state.general[RAX], state.general[RDX]), (0, 0));
    }
}

#[test]
fn what_changes_nothing_here_is_passed_over() {
    // wrmsr; hlt; invlpg [rbx]; wbinvd; mov cr0, rax; mov cr3, rax; mov dr7, rax
    let bench = Bench::with(&[
        0x0F, 0x30, 0xF4, 0x0F, 0x01, 0x3B, 0x0F, 0x09, 0x0F, 0x22, 0xC0, 0x0F, 0x22, 0xD8, 0x0F,
        0x23, 0xF8,
    ]);
    let mut state = bench.state();
    let before = state.clone();
    assert_eq!(bench.go(&mut state), None);
    assert_eq!(state.general, before.general);
    assert!(bench.board.asked().is_empty());
}

#[test]
fn control_and_debug_registers_are_readable() {
    // mov rax, cr0; mov rcx, cr4; mov rdx, dr6
    let bench = Bench::with(&[0x0F, 0x20, 0xC0, 0x0F, 0x20, 0xE1, 0x0F, 0x21, 0xF2]);
    let mut state = bench.state();
    assert_eq!(bench.go(&mut state), None);
    assert_eq!(state.general[RAX] & 1, 1, "protected mode");
    assert_eq!(
        (state.general[RCX] >> 5 & 1, state.general[RDX]),
        (1, 0),
        "physical address extension"
    );
}

#[test]
fn the_processor_control_region_tells_processor_thread_and_irql() {
    // movzx eax, byte gs:[184h]; mov ecx, gs:[1A4h]; mov rdx, gs:[188h]; movzx r8d, byte gs:[50h]
    let bench = Bench::with(&[
        0x65, 0x0F, 0xB6, 0x04, 0x25, 0x84, 0x01, 0, 0, //
        0x65, 0x8B, 0x0C, 0x25, 0xA4, 0x01, 0, 0, //
        0x65, 0x48, 0x8B, 0x14, 0x25, 0x88, 0x01, 0, 0, //
        0x65, 0x44, 0x0F, 0xB6, 0x04, 0x25, 0x50, 0, 0, 0,
    ]);
    bench.board.irql.set(5);
    let mut state = bench.state();
    assert_eq!(bench.go(&mut state), None);
    let read = [RAX, RCX, RDX, R8].map(|register| state.general[register]);
    assert_eq!(read, [3, 3, 0xFFFF_8000_1234_5678, 5]);
}

#[test]
fn the_rest_of_the_processor_control_region_has_no_model() {
    // mov rax, gs:[20h]
    let bench = Bench::with(&[0x65, 0x48, 0x8B, 0x04, 0x25, 0x20, 0, 0, 0]);
    let fault = Fault { cause: Cause::Unmodelled, at: 0, address: 0x20 };
    assert_eq!(bench.go(&mut bench.state()), Some(fault));
}

#[test]
fn shared_data_tells_the_time_and_the_version() {
    // mov rax, [rbx + 8]; mov ecx, [rbx + 26Ch]
    let bench = Bench::with(&[0x48, 0x8B, 0x43, 0x08, 0x8B, 0x8B, 0x6C, 0x02, 0, 0]);
    let mut state = bench.state();
    state.general[RBX] = 0xFFFF_F780_0000_0000;
    assert_eq!(bench.go(&mut state), None);
    assert_eq!((state.general[RAX], state.general[RCX]), (0x12_3456_789A, 10));
}

#[test]
fn shared_data_is_read_only_and_only_known_fields_have_a_model() {
    // mov [rbx + 8], rax; and mov ax, [rbx + 30h]
    for (code, cause, address) in [
        (&[0x48, 0x89, 0x43, 0x08][..], Cause::AccessViolation, 0xFFFF_F780_0000_0008),
        (&[0x66, 0x8B, 0x43, 0x30], Cause::Unmodelled, 0xFFFF_F780_0000_0030),
    ] {
        let bench = Bench::with(code);
        let mut state = bench.state();
        state.general[RBX] = 0xFFFF_F780_0000_0000;
        assert_eq!(bench.go(&mut state), Some(Fault { cause, at: 0, address }));
    }
}
