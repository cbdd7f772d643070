//! StorPort's routines, through the numbers and arguments that storport.h gives them.

use std::sync::PoisonError;

use super::{GARBAGE, RESULT, Recorder, at, call, call_at, called, run};
use crate::binary::imports;
use crate::event::{Cause, Handle, Kind, Lock, LockApi};
use crate::machine::{End, REGISTERS};
use crate::storport::{Ddi, Irql};

/// A call of StorPortExtendedFunction.
fn extended<const N: usize>(code: usize, extension: usize, arguments: [usize; N]) -> u32 {
    let mut all = [0; 12];
    (all[0], all[1]) = (code, extension);
    all[2..2 + N].copy_from_slice(&arguments);
    call("StorPortExtendedFunction", all) as u32
}

#[test]
fn a_lock_is_the_machines_lock() {
    let (end, events) = run(|extension, _| {
        let (mut outer, mut inner) = ([0_usize; 4], [0_usize; 4]);
        let (outer, inner) = (at(&mut outer), at(&mut inner));
        call("StorPortNotification", [0x1003, extension, 2, 0, outer]);
        assert_eq!(extended(0x5D, extension, [3, 0, inner]), 0);
        call("StorPortNotification", [0x1004, extension, inner]);
        call("StorPortNotification", [0x1004, extension, outer]);
    });
    assert_eq!(end, End::Quiet);
    let locks: Vec<Kind> = events
        .iter()
        .map(|event| event.kind)
        .filter(|kind| matches!(kind, Kind::LockAcquired { .. } | Kind::LockReleased { .. }))
        .collect();
    assert!(matches!(
        locks[..],
        [
            Kind::LockAcquired {
                lock: Lock::StartIo,
                api: LockApi::Spin,
                irql: Irql::DISPATCH,
                ..
            },
            Kind::LockAcquired { lock: Lock::Interrupt, api: LockApi::SpinEx, .. },
            Kind::LockReleased {
                lock: Lock::Interrupt,
                handle: Handle::Same,
                irql: Irql::DISPATCH,
                ..
            },
            Kind::LockReleased {
                lock: Lock::StartIo,
                handle: Handle::Same,
                irql: Irql::PASSIVE,
                ..
            },
            ..
        ]
    ));
}

#[test]
fn a_code_without_a_model_is_not_implemented() {
    let (end, events) = run(|extension, _| {
        assert_eq!(extended(0x30, extension, []), 0xC100_0002);
        assert_eq!(extended(0xFFFF, extension, []), 0xC100_0002);
        assert_eq!(extended(0x5D, 0, [2, 0, 0]), 0xC100_0006, "no adapter");
    });
    assert_eq!(end, End::Quiet);
    let answers = called(&events, Ddi::ExtendedFunction);
    assert_eq!(answers, [(0x30, 0xC100_0002), (0xFFFF, 0xC100_0002)]);
}

/// Runs a body that must not come back; the cause that the run ended with.
fn crash(body: fn(usize, usize)) -> Cause {
    let (_, events) = run(body);
    let causes: Vec<Cause> = events
        .iter()
        .filter_map(|event| match event.kind {
            Kind::Crashed { cause } => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(causes.len(), 1);
    causes[0]
}

#[test]
fn a_wild_pointer_is_a_finding() {
    let wild: [fn(usize, usize); 6] = [
        |extension, _| {
            call("StorPortNotification", [0x1003, extension, 2, 0, 8]);
        },
        |extension, _| {
            call("StorPortNotification", [0, extension, 0]);
        },
        |extension, _| {
            call("StorPortNotification", [0x1001, extension, extension, 0x10]);
        },
        |extension, _| {
            call("StorPortBusy", [extension + 8, 1]);
        },
        |extension, _| {
            call("memcpy", [extension, 0x1000, 1]);
        },
        |extension, _| {
            call("memset", [extension, 0, usize::MAX]);
        },
    ];
    for body in wild {
        assert_eq!(crash(body), Cause::BadPointer);
    }
    let stops = crash(|_, _| {
        call("KeBugCheckEx", [0xE2, 0, 0, 0, 0]);
    });
    assert_eq!(stops, Cause::BugCheck);
    let breaks = crash(|_, _| {
        call("DbgBreakPoint", []);
    });
    assert_eq!(breaks, Cause::Breakpoint);
}

#[test]
fn a_routine_without_a_model_ends_the_run_with_its_name() {
    let (end, events) = run(|_, _| {
        let mut room = imports::Unmodelled::new(2).expect("a page");
        let first = room.add::<Recorder>("IoFirst").expect("room");
        let second = room.add::<Recorder>("IoSecond").expect("room");
        assert!(room.seal() && first != second);
        call_at(second, [1, 2, 3, 4, 5]);
    });
    assert_eq!(end, End::Unmodelled);
    assert!(events.iter().any(|e| e.kind == Kind::Crashed { cause: Cause::Unmodelled }));
    let called = imports::CALLED.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(called.values().any(|name| *name == "IoSecond"));
    assert!(!called.values().any(|name| *name == "IoFirst"));
}

#[test]
fn memory_is_the_machines_memory() {
    let (_, events) = run(|extension, _| {
        let mut buffer = 0_usize;
        assert_eq!(extended(0x00, extension, [GARBAGE | 100, 0, at(&mut buffer)]), 0);
        let mut length = 0_u32;
        let length_at = at(&mut length);
        let physical = call("StorPortGetPhysicalAddress", [extension, 0, buffer, length_at]);
        assert!(length >= 100);
        assert_eq!(call("StorPortGetVirtualAddress", [extension, physical]), buffer);
        assert_eq!(call("MmGetPhysicalAddress", [buffer]), physical);
        assert_eq!(extended(0x01, extension, [buffer]), 0);
        assert_eq!(extended(0x01, extension, [buffer]), 0xC100_0006, "twice");

        let unit = call("StorPortGetLogicalUnit", [extension, 0, 0, 0]);
        assert!(unit != 0 && call("StorPortGetLogicalUnit", [extension, 0, 0, 0]) == unit);
        assert_eq!(call("StorPortGetLogicalUnit", [extension, 0, 1, 0]), 0);
    });
    assert_eq!(called(&events, Ddi::AllocatePool), [(100, 0)]);
    assert_eq!(called(&events, Ddi::FreePool), [(0, 0), (0, 0xC100_0006)]);
}

#[test]
fn an_mdl_names_the_pages_of_its_buffer() {
    run(|extension, _| {
        let (mut buffer, mut mdl) = (0_usize, 0_usize);
        assert_eq!(extended(0x00, extension, [8192, 0, at(&mut buffer)]), 0);
        let from = buffer + 100;
        assert_eq!(extended(0x02, extension, [from, 5000, at(&mut mdl)]), 0);
        assert_eq!(extended(0x04, extension, [mdl]), 0);
        let word = |offset: usize| {
            // SAFETY: the MDL that was just made.
            unsafe { std::ptr::with_exposed_provenance::<u64>(mdl + offset).read() }
        };
        assert_eq!(word(0x18), from as u64, "MappedSystemVa");
        assert_eq!(word(0x20), (from & !0xFFF) as u64, "StartVa");
        assert_eq!(word(0x28), 5000 | ((from % 4096) as u64) << 32, "ByteCount, ByteOffset");
        let page = call("MmGetPhysicalAddress", [from]) as u64 / 4096;
        assert_eq!((word(0x30), word(0x38)), (page, page + 1));
        assert_eq!(call("MmMapLockedPagesSpecifyCache", [mdl, 0, 1, 0, 0, 0]), from);
        assert_eq!(extended(0x03, extension, [mdl]), 0);
    });
}

#[test]
fn lists_are_linked_as_windows_links_them() {
    let (end, events) = run(|extension, _| {
        let (mut head, mut a, mut b, mut lock) =
            ([0_usize; 2], [0_usize; 2], [0_usize; 2], 0_usize);
        let (head_at, a_at, b_at) = (at(&mut head), at(&mut a), at(&mut b));
        head = [head_at, head_at];
        let lock_at = at(&mut lock);
        let mut result = usize::MAX;
        let result_at = at(&mut result);
        assert_eq!(extended(0x4B, extension, [lock_at]), 0);
        assert_eq!(extended(0x48, extension, [head_at, a_at, result_at, lock_at]), 0);
        assert_eq!(result, 0, "it was empty");
        assert_eq!(extended(0x49, extension, [head_at, b_at, result_at, lock_at]), 0);
        assert_eq!(result, a_at);
        // SAFETY: plain variables that the calls above have written behind the compiler's back.
        let head_now = unsafe { std::ptr::read_volatile(&raw const head) };
        assert_eq!(head_now, [a_at, b_at]);
        assert_eq!(extended(0x4A, extension, [head_at, result_at, lock_at]), 0);
        assert_eq!(result, a_at);
        assert_eq!(call("ExInterlockedRemoveHeadList", [head_at, lock_at]), b_at);
        assert_eq!(call("ExInterlockedRemoveHeadList", [head_at, lock_at]), 0);

        let mut slist = [usize::MAX; 2];
        let slist_at = at(&mut slist);
        assert_eq!(extended(0x23, extension, [slist_at]), 0);
        assert_eq!(call("ExpInterlockedPushEntrySList", [slist_at, a_at]), 0);
        assert_eq!(extended(0x26, extension, [slist_at, b_at, result_at]), 0);
        assert_eq!((result, call("ExQueryDepthSList", [slist_at])), (a_at, 2));
        assert_eq!(call("ExpInterlockedPopEntrySList", [slist_at]), b_at);
        assert_eq!(call("ExpInterlockedFlushSList", [slist_at]), a_at);
        assert_eq!(call("ExpInterlockedPopEntrySList", [slist_at]), 0);
    });
    assert_eq!(end, End::Quiet);
    assert_eq!(called(&events, Ddi::InterlockedInsertHeadList).len(), 1);
    let uninitialized =
        |e: &crate::event::Event| matches!(e.kind, Kind::ExecutiveUninitialized { .. });
    assert!(!events.iter().any(uninitialized));
}

#[test]
fn options_of_an_older_header_are_read_as_far_as_they_go() {
    run(|extension, _| {
        // Version, Size, Flags, ConcurrentChannels, first, last: then what is not the structure's.
        let mut data =
            [2_u32, 0x18, 0, 0, 0, 0, 0x5555_5555, 0x5555_5555, 0x5555_5555, 0x5555_5555];
        assert_eq!(extended(0x0E, extension, [GARBAGE | 1, at(&mut data)]), 0);
        assert_eq!(data[6..], [0x5555_5555; 4]);
        assert!(data[3] >= 1, "channels");
        data[1] = 4;
        assert_eq!(extended(0x0E, extension, [1, at(&mut data)]), 0xC100_0006);
        assert_eq!(extended(0x0E, extension, [1, 0]), 0xC100_0006);
    });
}

#[test]
fn the_registry_buffer_is_no_call_and_the_value_is_one() {
    let (_, events) = run(|extension, _| {
        let mut length = 4_u32;
        let buffer = call("StorPortAllocateRegistryBuffer", [extension, at(&mut length)]);
        assert!(buffer != 0 && length == 4);
        assert_eq!(call("StorPortAllocateRegistryBuffer", [extension, at(&mut length)]), 0, "one");
        length = 4;
        let mut name = *b"HalfDuplex\0";
        let arguments = [extension, at(&mut name), 0, 4, buffer, at(&mut length)];
        assert_eq!(call("StorPortRegistryRead", arguments), 1);
        let mut other = *b"Other\0";
        let arguments = [extension, at(&mut other), 0, 4, buffer, at(&mut length)];
        assert_eq!((call("StorPortRegistryRead", arguments), length), (0, 0));
        call("StorPortFreeRegistryBuffer", [extension, buffer]);
    });
    assert_eq!(called(&events, Ddi::RegistryRead), [(0, 1), (0, 0)]);
}

#[test]
fn a_register_of_another_width_is_a_part_of_a_register_or_two() {
    let (_, events) = run(|extension, _| {
        call("StorPortWriteRegisterUlong", [extension, REGISTERS, 1]);
        call("StorPortReadRegisterUchar", [extension, REGISTERS + 1]);
        call("StorPortReadRegisterUlong64", [extension, REGISTERS]);
        // What is no register is memory.
        let mut word = 0x1122_3344_u32;
        let low = call("StorPortReadRegisterUshort", [extension, at(&mut word)]);
        assert_eq!(low, 0x3344);
        call("StorPortWriteRegisterUchar", [extension, at(&mut word) + 3, 0xFF]);
        assert_eq!(word, 0xFF22_3344);
    });
    let offsets: Vec<u32> =
        called(&events, Ddi::ReadRegister).into_iter().map(|(offset, _)| offset).collect();
    assert_eq!(offsets, [0, 0, 4]);
}

/// HwStorTimer of a driver that looks after its adapter every second, for ever.
unsafe extern "win64-unwind" fn heartbeat(extension: *mut std::ffi::c_void) {
    let routine = heartbeat as *const () as usize;
    let extension = extension.expose_provenance();
    call("StorPortNotification", [6, extension, routine, GARBAGE | 1_000_000]);
}

#[test]
fn a_heartbeat_does_not_keep_a_run_from_its_end() {
    let (end, events) = run(|extension, _| {
        let routine = heartbeat as *const () as usize;
        call("StorPortNotification", [6, extension, routine, 1_000_000]);
        RESULT.set(1);
    });
    assert_eq!(end, End::Quiet);
    let fired = |event: &&crate::event::Event| matches!(event.kind, Kind::TimerExpired { .. });
    assert!(events.iter().filter(fired).count() > 100, "it beats as long as it may matter");
}
