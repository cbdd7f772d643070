//! What a win64 callee must keep, and where it finds its arguments.

use std::arch::asm;

use super::{GARBAGE, at, bound, call, called, run};
use crate::event::Kind;
use crate::storport::Ddi;

/// Calls an entry point with two arguments; what rsi, rdi and xmm6 to xmm15 hold afterwards.
fn kept(entry: usize, first: usize, second: usize) -> ([u64; 2], [f64; 10]) {
    let mut general = [0x5151_5151_5151_5151_u64, 0xD1D1_D1D1_D1D1_D1D1];
    let mut floating: [f64; 10] = std::array::from_fn(|n| n as f64 + 0.5);
    let [a, b, c, d, e, f, g, h, i, j] = &mut floating;
    // SAFETY: a call by the convention of 64-bit Windows, with its home space; everything that a callee may change is
    // an output.
    unsafe {
        asm!(
            "sub rsp, 48",
            "call {entry}",
            "add rsp, 48",
            entry = in(reg) entry,
            inout("rcx") first => _,
            inout("rdx") second => _,
            inout("rsi") general[0],
            inout("rdi") general[1],
            inout("xmm6") *a, inout("xmm7") *b, inout("xmm8") *c, inout("xmm9") *d,
            inout("xmm10") *e, inout("xmm11") *f, inout("xmm12") *g, inout("xmm13") *h,
            inout("xmm14") *i, inout("xmm15") *j,
            out("rax") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _,
        );
    }
    (general, floating)
}

#[test]
fn an_entry_point_keeps_what_a_windows_callee_keeps() {
    let (_, events) = run(|extension, _| {
        for (name, argument) in [("StorPortBusy", 7), ("StorPortPause", 1)] {
            let (general, floating) = kept(bound("storport.sys", name), extension, argument);
            assert_eq!(general, [0x5151_5151_5151_5151, 0xD1D1_D1D1_D1D1_D1D1]);
            assert_eq!(floating, std::array::from_fn(|n| n as f64 + 0.5));
        }
    });
    assert_eq!(called(&events, Ddi::Busy), [(7, 1)]);
    assert_eq!(called(&events, Ddi::Pause), [(1, 1)]);
}

#[test]
fn a_stack_probe_keeps_every_register() {
    run(|_, _| {
        let probe = bound("ntoskrnl.exe", "__chkstk");
        let (before, after): (u64, u64);
        // SAFETY: __chkstk takes rax and changes nothing.
        unsafe {
            asm!(
                "mov rcx, 0x1234",
                "sub rsp, 32",
                "call {probe}",
                "add rsp, 32",
                probe = in(reg) probe,
                inout("rax") 20_000_u64 => before,
                out("rcx") after,
            );
        }
        assert_eq!((before, after), (20_000, 0x1234));
    });
}

#[test]
fn arguments_behind_the_fourth_are_on_the_stack() {
    let (_, events) = run(|extension, _| {
        let mut byte = 0_u8;
        // StorPortSetBusDataByOffset: buffer, offset and length are arguments 4 to 6.
        let data = at(&mut byte);
        let arguments = [extension, 4, 0, 0, data, GARBAGE | 0x40, GARBAGE | 1];
        assert_eq!(call("StorPortSetBusDataByOffset", arguments), 1);

        // StorPortAllocateDmaMemory: two results, arguments 8 and 9.
        let (mut buffer, mut physical) = (0_usize, 0_u64);
        let results = [at(&mut buffer), at(&mut physical)];
        let arguments = [0x52, extension, 5000, 0, usize::MAX, 0, 1, 0, results[0], results[1]];
        assert_eq!(call("StorPortExtendedFunction", arguments), 0);
        assert!(buffer % 4096 == 0 && buffer != 0 && physical % 4096 == 0 && physical != 0);

        // StorPortStateChangeDetected: the status goes through argument 7.
        let (mut status, mut address) = (u32::MAX, [0_u64; 2]);
        let arguments = [
            0x1005,
            extension,
            GARBAGE | 1,
            at(&mut address),
            GARBAGE | 2,
            state_change as *const () as usize,
            0x77,
            at(&mut status),
        ];
        call("StorPortNotification", arguments);
        assert_eq!(status, 0);
    });
    assert_eq!(called(&events, Ddi::SetBusDataByOffset), [(0x40, 1)]);
    assert_eq!(called(&events, Ddi::AllocateDmaMemory), [(5000, 0)]);
    assert_eq!(called(&events, Ddi::StateChangeDetected), [(1, 0)]);
}

extern "win64" fn state_change() {}

#[test]
fn a_state_change_needs_no_routine() {
    let (_, events) = run(|extension, _| {
        let (mut status, mut address) = (u32::MAX, [0_u64; 2]);
        let (unit, result) = (at(&mut address), at(&mut status));
        call("StorPortNotification", [0x1005, extension, 4, unit, 0, 0, 0, result]);
        assert_eq!(status, 0);
    });
    assert_eq!(called(&events, Ddi::StateChangeDetected), [(4, 0)]);
    assert!(!events.iter().any(|event| matches!(event.kind, Kind::Crashed { .. })));
}

#[test]
fn the_upper_half_of_a_narrow_argument_does_not_count() {
    let (_, events) = run(|extension, _| {
        let mut handle = [0_usize; 4];
        let handle = at(&mut handle);
        let code = GARBAGE | 0x1003;
        call("StorPortNotification", [code, extension, GARBAGE | 2, 0, handle]);
        call("StorPortNotification", [GARBAGE | 0x1004, extension, handle]);
        let mut old_irql = u32::MAX;
        let old = at(&mut old_irql);
        let acquire = [GARBAGE | 0x0B, extension, GARBAGE | 1, old];
        // Not per message: refused, and nothing is written.
        assert_eq!(call("StorPortExtendedFunction", acquire) as u32, 0xC100_0001);
        assert_eq!(old_irql, u32::MAX);
        let pause = [extension, GARBAGE | 0x3, GARBAGE | 0x101, GARBAGE | 0x202, GARBAGE | 9];
        assert_eq!(call("StorPortPauseDevice", pause), 1);
    });
    assert_eq!(called(&events, Ddi::PauseDevice), [(9, 1)]);
    let misuses = events.iter().filter(|e| matches!(e.kind, Kind::LockMisused { .. })).count();
    assert_eq!(misuses, 1, "the MSI lock");
    let taken = events.iter().any(|e| matches!(e.kind, Kind::LockAcquired { .. }));
    assert!(taken, "StartIoLock");
}

#[test]
fn a_result_is_as_wide_as_its_type() {
    run(|extension, _| {
        let mut dpc = [0_usize; 9];
        let mut success = [-1_i32, -1];
        let arguments = [0x1002, extension, at(&mut dpc), 1, 2, at(&mut success)];
        call("StorPortNotification", arguments);
        assert_eq!(success, [0, -1], "a LONG: four bytes");
        let mut removed = [0xFF_u8; 2];
        call("StorPortExtendedFunction", [0x5F, extension, at(&mut dpc), at(&mut removed)]);
        assert_eq!(removed, [0, 0xFF], "a BOOLEAN: one byte");
    });
}
