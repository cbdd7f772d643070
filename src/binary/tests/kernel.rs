//! ntoskrnl's routines.

use super::{at, call, called, run};
use crate::event::{Kind, Lock, LockApi};
use crate::storport::{Ddi, Irql};

/// Formats with `_snprintf` into 64 bytes; the text, as far as its length says.
fn text<const N: usize>(format: &str, arguments: [usize; N]) -> String {
    let mut buffer = [b'?'; 64];
    let mut format_at = [0_u8; 64];
    format_at[..format.len()].copy_from_slice(format.as_bytes());
    let mut all = [0; 12];
    (all[0], all[1], all[2]) = (at(&mut buffer), buffer.len(), at(&mut format_at));
    all[3..3 + N].copy_from_slice(&arguments);
    let length = call("_snprintf", all);
    // SAFETY: written behind the compiler's back.
    let buffer = unsafe { std::ptr::read_volatile(&raw const buffer) };
    String::from_utf8_lossy(&buffer[..length.min(64)]).into_owned()
}

#[test]
fn numbers_are_formatted_as_the_run_time_library_does() {
    run(|_, _| {
        let minus_one = -1_i32 as u32 as usize;
        assert_eq!(
            text("%d|%5d|%-5d|%05d|%+d", [minus_one, 42, 42, 42, 7]),
            "-1|   42|42   |00042|+7"
        );
        assert_eq!(
            text("%x|%#X|%08x|%I64x", [0xBEEF, 0xBEEF, 0xBEEF, 0x1_0000_0000]),
            "beef|0XBEEF|0000beef|100000000"
        );
        assert_eq!(text("%u|%hu|%hhd", [minus_one, 0x1_0005, 0xFF]), "4294967295|5|-1");
        assert_eq!(
            text("%lu|%llu|%p", [7, usize::MAX, 0xAB]),
            "7|18446744073709551615|00000000000000AB"
        );
        assert_eq!(text("%.3d|%6.2x|%o|%%|%c", [5, 0xF, 8, 'z' as usize]), "005|    0f|10|%|z");
        assert_eq!(text("%d|%.0d|", [0, 0]), "0||");
        assert_eq!(text("%*d|%-*d|", [4, 1, 3, 2]), "   1|2  |");
    });
}

#[test]
fn strings_are_formatted_and_cut() {
    run(|_, _| {
        let mut ansi = *b"driver\0";
        let mut wide = [b'W' as u16, b'D' as u16, b'K' as u16, 0];
        let (ansi, wide) = (at(&mut ansi), at(&mut wide));
        assert_eq!(
            text("%s|%8s|%-8s|%.3s|%ws|%S", [ansi, ansi, ansi, ansi, wide, wide]),
            "driver|  driver|driver  |dri|WDK|WDK"
        );
        assert_eq!(text("%s", [0]), "(null)");
        let mut unicode = [6_usize | 8 << 16, wide];
        assert_eq!(text("%wZ", [at(&mut unicode)]), "WDK");

        let (mut room, mut format) = ([b'?'; 4], *b"%s\0");
        let (room_at, format_at) = (at(&mut room), at(&mut format));
        let failure = -1_i32 as u32 as usize;
        assert_eq!(call("_snprintf", [room_at, 4, format_at, ansi]), failure);
        assert_eq!(room, *b"driv", "no end where there is no room for it");
        assert_eq!(call("sprintf_s", [room_at, 4, format_at, ansi]), failure);
        assert_eq!(room[0], 0);
        assert_eq!(call("_snprintf_s", [room_at, 4, usize::MAX, format_at, ansi]), failure);
        assert_eq!(room, *b"dri\0");
        assert_eq!(call("snprintf", [room_at, 4, format_at, ansi]), 6);
        let mut list = [ansi];
        assert_eq!(call("_vsnprintf", [room_at, 4, format_at, at(&mut list)]), failure);
    });
}

#[test]
fn strings_and_bytes_behave() {
    run(|_, _| {
        let (mut a, mut b) = (*b"storport\0", *b"StorNvme\0");
        let (a, b) = (at(&mut a), at(&mut b));
        assert_eq!(call("strlen", [a]), 8);
        assert_eq!(call("strnlen", [a, 3]), 3);
        assert!((call("strcmp", [a, b]) as i32) > 0);
        assert_eq!(call("_strnicmp", [a, b, 4]), 0);
        assert_eq!(call("strchr", [a, 'p' as usize]), a + 4);
        assert_eq!(call("strrchr", [a, 't' as usize]), a + 7);
        let mut part = *b"port\0";
        assert_eq!(call("strstr", [a, at(&mut part)]), a + 4);
        let mut room = [0xFF_u8; 6];
        assert_eq!(call("strcpy_s", [at(&mut room), 6, a]), 34);
        assert_eq!(room[0], 0);
        assert_eq!(call("strncpy", [at(&mut room), a, 5]), at(&mut room));
        assert_eq!(room, *b"storp\xFF");
        assert_eq!(call("memcmp", [a, a, 9]), 0);
        assert_eq!(call("RtlCompareMemory", [a, b, 8]), 0);
        assert_eq!(call("memmove", [a + 1, a, 4]), a + 1, "overlapping");
        assert_eq!(call("memchr", [a, 'o' as usize, 8]), a + 3);
    });
}

#[test]
fn spin_locks_and_irqls_are_the_machines() {
    let (_, events) = run(|_, _| {
        let mut lock = 0_usize;
        let mut handle = [0_usize; 3];
        let (lock, handle) = (at(&mut lock), at(&mut handle));
        // Cleared memory is what an inlined KeInitializeSpinLock leaves.
        assert_eq!(call("KeAcquireSpinLockRaiseToDpc", [lock]) as u8, 0);
        assert_eq!(call("KeGetCurrentIrql", []) as u8, 2);
        call("KeReleaseSpinLock", [lock, 0xFF00]);
        call("KeAcquireInStackQueuedSpinLock", [lock, handle]);
        assert_eq!(call("KeTryToAcquireSpinLockAtDpcLevel", [lock]) as u8, 0);
        call("KeReleaseInStackQueuedSpinLock", [handle]);
        assert_eq!(call("KfRaiseIrql", [2]) as u8, 0);
        call("KeLowerIrql", [0]);
        let mut never = 0x1234_usize;
        call("KeAcquireSpinLockRaiseToDpc", [at(&mut never)]);
        call("KeReleaseSpinLock", [at(&mut never), 0]);
    });
    let acquires: Vec<(Lock, LockApi)> = events
        .iter()
        .filter_map(|event| match event.kind {
            Kind::LockAcquired { lock: lock @ Lock::Executive(_), api, .. } => Some((lock, api)),
            _ => None,
        })
        .collect();
    let (first, second) = (Lock::Executive(0), Lock::Executive(1));
    assert_eq!(acquires, [(first, LockApi::Ke), (first, LockApi::KeQueued), (second, LockApi::Ke)]);
    let uninitialized: Vec<Kind> = events
        .iter()
        .map(|event| event.kind)
        .filter(|kind| matches!(kind, Kind::ExecutiveUninitialized { lock: 1 }))
        .collect();
    assert!(!uninitialized.is_empty(), "memory that was never cleared");
    assert!(!events.iter().any(|e| e.kind == Kind::ExecutiveUninitialized { lock: 0 }));
    let set = |irql, raise| events.iter().any(|e| e.kind == Kind::IrqlSet { irql, raise });
    assert!(set(Irql::DISPATCH, true) && set(Irql::PASSIVE, false));
}

#[test]
fn a_wait_ends_with_its_timeout_and_an_event_with_its_wait() {
    let (_, events) = run(|_, _| {
        let mut event = [0_u64; 3];
        let event = at(&mut event);
        let mut timeout = -50_000_i64;
        let mut before = 0_u64;
        call("KeInitializeEvent", [event, 1, 0]);
        call("KeQueryInterruptTimePrecise", [at(&mut before)]);
        let timeout = at(&mut timeout);
        assert_eq!(call("KeWaitForSingleObject", [event, 0, 0, 0, timeout]), 0x102);
        assert!(call("KeQueryInterruptTime", []) as u64 >= before + 50_000);
        assert_eq!(call("KeSetEvent", [event, 0, 0]), 0);
        assert_eq!(call("KeWaitForSingleObject", [event, 0, 0, 0, 0]), 0);
        assert_eq!(call("KeReadStateEvent", [event]), 0, "a synchronization event");
    });
    assert_eq!(called(&events, Ddi::KeWaitForSingleObjectWaiting).len(), 2);
    assert_eq!(called(&events, Ddi::KeSetEvent).len(), 1);
}

#[test]
fn pool_is_zeroed_where_the_routine_says_so() {
    let (_, events) = run(|_, _| {
        // SAFETY: blocks of that size.
        let byte = |at: usize| unsafe { std::ptr::with_exposed_provenance::<u8>(at).read() };
        let zeroed = call("ExAllocatePool2", [0x40, 64, 0]);
        let raw = call("ExAllocatePoolWithTag", [512, 64, 0]);
        assert!(byte(zeroed) == 0 && byte(raw) != 0);
        call("ExFreePoolWithTag", [zeroed, 0]);
        call("ExFreePool", [zeroed]);
    });
    assert_eq!(called(&events, Ddi::ExAllocatePool).len(), 2);
    assert_eq!(called(&events, Ddi::ExFreePool), [(0, 0), (0, 0xC100_0006)]);
}
