//! Interlocked lists: doubly linked ones under a STOR_KSPIN_LOCK, and SLists without a lock.
//!
//! Entries are the driver's memory, so every link is checked before it is followed. The machine runs one processor
//! at a time and switches only at decision points, so what happens between two of them is atomic.

use super::extended::FIRST;
use super::memory::{refuse, success};
use super::status;
use crate::binary::frame::Call;
use crate::event::Sink;
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::{Ddi, Executive, StorKspinLock, StorStatus};

/// LIST_ENTRY and STOR_LIST_ENTRY: Flink and Blink.
pub(in crate::binary) type ListEntry = [usize; 2];
/// SLIST_HEADER and STOR_SLIST_HEADER: depth in the low 16 bits, then the sequence; then the first entry.
pub(in crate::binary) type SListHeader = [usize; 2];

pub(super) fn function<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<usize> {
    Some(status(match code {
        Code::INITIALIZE_SPINLOCK => initialize_spin_lock(call, port),
        Code::INTERLOCKED_INSERT_HEAD_LIST => {
            insert(call, port, Ddi::InterlockedInsertHeadList, End::Head)
        }
        Code::INTERLOCKED_INSERT_TAIL_LIST => {
            insert(call, port, Ddi::InterlockedInsertTailList, End::Tail)
        }
        Code::INTERLOCKED_REMOVE_HEAD_LIST => remove(call, port),
        Code::INITIALIZE_SLIST_HEAD => {
            let head = call.writable::<usize>(FIRST, size_of::<SListHeader>());
            clear(call, head);
            success(port, Ddi::InitializeSListHead)
        }
        Code::INTERLOCKED_PUSH_ENTRY_SLIST => {
            let result = call.writable::<usize>(FIRST + 2, size_of::<usize>());
            let status = success(port, Ddi::InterlockedPushEntrySList);
            call.write_at(result, push(call, call.pointer(FIRST), call.pointer(FIRST + 1)));
            status
        }
        Code::INTERLOCKED_POP_ENTRY_SLIST => {
            let result = call.writable::<usize>(FIRST + 1, size_of::<usize>());
            let status = success(port, Ddi::InterlockedPopEntrySList);
            call.write_at(result, pop(call, call.pointer(FIRST)));
            status
        }
        Code::INTERLOCKED_FLUSH_SLIST => {
            let result = call.writable::<usize>(FIRST + 1, size_of::<usize>());
            let status = success(port, Ddi::InterlockedFlushSList);
            call.write_at(result, flush(call, call.pointer(FIRST)));
            status
        }
        Code::QUERY_DEPTH_SLIST => {
            let result = call.writable::<u16>(FIRST + 1, size_of::<u16>());
            let head = call.readable::<usize>(FIRST, size_of::<SListHeader>());
            call.write_at(result, call.read_at(head) as u16);
            success(port, Ddi::QueryDepthSList)
        }
        _ => return None,
    }))
}

fn initialize_spin_lock<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let lock = call.writable::<usize>(FIRST, size_of::<usize>());
    call.write_at(lock, 0);
    // SAFETY: checked.
    unsafe { port.ke_initialize_spin_lock(lock.cast()) };
    StorStatus::SUCCESS
}

/// The end of a list at which an entry goes in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::binary) enum End {
    /// Becomes the first.
    Head,
    /// Becomes the last.
    Tail,
}

fn insert<S: Sink + 'static>(call: &Call<S>, port: Port<S>, ddi: Ddi, end: End) -> StorStatus {
    if call.word(FIRST + 3) == 0 {
        return refuse(port, ddi);
    }
    let result = call.writable::<usize>(FIRST + 2, size_of::<usize>());
    let lock = call.writable::<StorKspinLock>(FIRST + 3, size_of::<StorKspinLock>());
    let (head, entry) = (call.pointer(FIRST), call.pointer(FIRST + 1));
    // SAFETY: checked.
    let neighbour = unsafe { port.interlocked(ddi, lock, || link(call, head, entry, end)) };
    call.write_at(result, neighbour);
    StorStatus::SUCCESS
}

fn remove<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let ddi = Ddi::InterlockedRemoveHeadList;
    if call.word(FIRST + 2) == 0 {
        return refuse(port, ddi);
    }
    let result = call.writable::<usize>(FIRST + 1, size_of::<usize>());
    let lock = call.writable::<StorKspinLock>(FIRST + 2, size_of::<StorKspinLock>());
    let head = call.pointer(FIRST);
    // SAFETY: checked.
    let entry = unsafe { port.interlocked(ddi, lock, || unlink(call, head)) };
    call.write_at(result, entry);
    StorStatus::SUCCESS
}

fn read_entry<S: Sink + 'static>(call: &Call<S>, at: *mut usize) -> ListEntry {
    call.check_write(at, size_of::<ListEntry>());
    [call.read_at(at), call.read_at(at.wrapping_add(1))]
}

fn pointer(address: usize) -> *mut usize {
    std::ptr::with_exposed_provenance_mut(address)
}

/// Puts `entry` into the list; the entry that was there at that end, 0 if the list was empty.
pub(in crate::binary) fn link<S: Sink + 'static>(
    call: &Call<S>,
    head: *mut usize,
    entry: *mut usize,
    end: End,
) -> usize {
    let [first, last] = read_entry(call, head);
    let (neighbour, flink, blink) = match end {
        End::Head => (first, first, head.addr()),
        End::Tail => (last, head.addr(), last),
    };
    let _ = read_entry(call, pointer(neighbour));
    call.write_at(entry, flink);
    call.write_at(entry.wrapping_add(1), blink);
    call.write_at(pointer(blink), entry.addr());
    call.write_at(pointer(flink).wrapping_add(1), entry.addr());
    if neighbour == head.addr() { 0 } else { neighbour }
}

/// Takes the first entry out; 0 if there is none.
pub(in crate::binary) fn unlink<S: Sink + 'static>(call: &Call<S>, head: *mut usize) -> usize {
    let [first, _] = read_entry(call, head);
    if first == head.addr() {
        return 0;
    }
    let [second, _] = read_entry(call, pointer(first));
    let _ = read_entry(call, pointer(second));
    call.write_at(head, second);
    call.write_at(pointer(second).wrapping_add(1), head.addr());
    first
}

/// Makes an SList empty.
pub(in crate::binary) fn clear<S: Sink + 'static>(call: &Call<S>, head: *mut usize) {
    call.write_at(head, 0);
    call.write_at(head.wrapping_add(1), 0);
}

/// Pushes an entry; the one that was first, or 0.
pub(in crate::binary) fn push<S: Sink + 'static>(
    call: &Call<S>,
    head: *mut usize,
    entry: *mut usize,
) -> usize {
    let [depth, first] = read_entry(call, head);
    call.write_at(entry, first);
    // One deeper, and one change more.
    let deeper = depth & !0xFFFF | (depth + 1) & 0xFFFF;
    call.write_at(head, deeper.wrapping_add(0x1_0000));
    call.write_at(head.wrapping_add(1), entry.addr());
    first
}

/// Pops the first entry; 0 if there is none.
pub(in crate::binary) fn pop<S: Sink + 'static>(call: &Call<S>, head: *mut usize) -> usize {
    let [depth, first] = read_entry(call, head);
    if first == 0 {
        return 0;
    }
    let next = call.read_at(pointer(first));
    call.write_at(head, depth.wrapping_sub(1));
    call.write_at(head.wrapping_add(1), next);
    first
}

/// Takes all entries out; the first, or 0.
pub(in crate::binary) fn flush<S: Sink + 'static>(call: &Call<S>, head: *mut usize) -> usize {
    let [_, first] = read_entry(call, head);
    clear(call, head);
    first
}
