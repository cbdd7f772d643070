//! ntoskrnl.exe and hal.dll as far as a miniport uses them: locks, IRQLs, pool, memory, strings, time, processors, and
//! what a compiler puts in by itself.
//!
//! Pages: <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/>.

pub(super) mod debug;
mod events;
mod format;
mod irql;
mod lists;
mod locks;
pub(super) mod mdl;
mod memory;
mod pool;
mod print;
mod processors;
mod rtl;
mod runtime;
mod strings;
mod time;
mod variables;

pub(super) use time::TICK;
pub(super) use variables::{BUILD, find as find_variable};

use crate::binary::frame::routines;

routines! {
    // Spin locks.
    "KeAcquireInStackQueuedSpinLock" | "KeAcquireInStackQueuedSpinLockForDpc" => locks::acquire_queued;
    "KeAcquireInStackQueuedSpinLockAtDpcLevel" => locks::acquire_queued_at_dpc_level;
    "KeAcquireSpinLock" => locks::acquire_to;
    "KeAcquireSpinLockAtDpcLevel" | "KefAcquireSpinLockAtDpcLevel" => locks::acquire_at_dpc_level;
    "KeAcquireSpinLockRaiseToDpc" | "KeAcquireSpinLockForDpc" | "KfAcquireSpinLock" => locks::acquire;
    "KeInitializeSpinLock" => locks::initialize;
    "KeReleaseInStackQueuedSpinLock" | "KeReleaseInStackQueuedSpinLockForDpc" => locks::release_queued;
    "KeReleaseInStackQueuedSpinLockFromDpcLevel" => locks::release_queued_from_dpc_level;
    "KeReleaseSpinLock" | "KeReleaseSpinLockForDpc" | "KfReleaseSpinLock" => locks::release;
    "KeReleaseSpinLockFromDpcLevel" | "KefReleaseSpinLockFromDpcLevel" => locks::release_from_dpc_level;
    "KeTryToAcquireSpinLockAtDpcLevel" => locks::try_to_acquire_at_dpc_level;

    // Interlocked lists.
    "ExInterlockedInsertHeadList" => lists::insert_head;
    "ExInterlockedInsertTailList" => lists::insert_tail;
    "ExInterlockedRemoveHeadList" => lists::remove_head;
    "ExInterlockedPopEntryList" => lists::pop_entry;
    "ExInterlockedPushEntryList" => lists::push_entry;
    "ExQueryDepthSList" => lists::depth;
    "ExpInterlockedFlushSList" | "ExInterlockedFlushSList" => lists::flush;
    "ExpInterlockedPopEntrySList" | "ExInterlockedPopEntrySList" => lists::pop;
    "ExpInterlockedPushEntrySList" | "ExInterlockedPushEntrySList" => lists::push;
    "InitializeSListHead" | "RtlInitializeSListHead" | "ExInitializeSListHead" => lists::clear;

    // IRQLs.
    "KeGetCurrentIrql" => irql::get;
    "KeLowerIrql" | "KfLowerIrql" => irql::lower;
    "KeRaiseIrqlToDpcLevel" => irql::raise_to_dpc_level;
    "KfRaiseIrql" => irql::raise;

    // Events.
    "KeClearEvent" => events::clear;
    "KeInitializeEvent" => events::initialize;
    "KeReadStateEvent" => events::read;
    "KeResetEvent" => events::reset;
    "KeSetEvent" => events::set;
    "KeWaitForSingleObject" => events::wait;

    // Pool and memory.
    "ExAllocatePool" => pool::allocate;
    "ExAllocatePool2" | "ExAllocatePool3" => pool::allocate2;
    "ExAllocatePoolWithQuotaTag" | "ExAllocatePoolWithTag" | "ExAllocatePoolWithTagPriority" => pool::allocate;
    "ExFreePool" | "ExFreePool2" | "ExFreePoolWithTag" => pool::free;
    "IoAllocateMdl" => mdl::allocate;
    "IoFreeMdl" => mdl::free;
    "MmAllocateContiguousMemory" => mdl::allocate_contiguous;
    "MmAllocateContiguousMemorySpecifyCache" | "MmAllocateContiguousMemorySpecifyCacheNode" => mdl::allocate_contiguous_below;
    "MmAllocateNonCachedMemory" => mdl::allocate_contiguous;
    "MmBuildMdlForNonPagedPool" => mdl::build_for_pool;
    "MmFreeContiguousMemory" | "MmFreeContiguousMemorySpecifyCache" | "MmFreeNonCachedMemory" => mdl::free_contiguous;
    "MmGetPhysicalAddress" => mdl::physical_address;
    "MmMapIoSpace" | "MmMapIoSpaceEx" => mdl::map_io_space;
    "MmMapLockedPages" | "MmMapLockedPagesSpecifyCache" => mdl::map_locked_pages;
    "MmUnmapIoSpace" => mdl::unmap_io_space;
    "MmUnmapLockedPages" => runtime::nothing;

    // Bytes.
    "RtlCompareMemory" => memory::matching;
    "RtlCopyMemory" | "RtlMoveMemory" | "memcpy" | "memmove" => memory::copy;
    "RtlCopyMemoryNonTemporal" => memory::copy;
    "RtlFillMemory" => memory::fill_rtl;
    "RtlZeroMemory" => memory::zero;
    "memchr" => memory::find;
    "memcmp" => memory::compare;
    "memcpy_s" | "memmove_s" => memory::copy_checked;
    "memset" => memory::fill;

    // Strings.
    "_stricmp" => strings::compare_folded;
    "_strnicmp" => strings::compare_some_folded;
    "_wcsicmp" => strings::compare_folded_wide;
    "_wcsnicmp" => strings::compare_some_folded_wide;
    "strcat" => strings::append;
    "strcat_s" => strings::append_checked;
    "strchr" => strings::first;
    "strcmp" => strings::compare;
    "strcpy" => strings::copy;
    "strcpy_s" => strings::copy_checked;
    "strlen" => strings::length;
    "strncmp" => strings::compare_some;
    "strncpy" => strings::copy_some;
    "strncpy_s" => strings::copy_some_checked;
    "strnlen" => strings::bounded_length;
    "strrchr" => strings::last;
    "strstr" => strings::part;
    "tolower" => strings::lower;
    "toupper" => strings::upper;
    "wcscat" => strings::append_wide;
    "wcscat_s" => strings::append_checked_wide;
    "wcschr" => strings::first_wide;
    "wcscmp" => strings::compare_wide;
    "wcscpy" => strings::copy_wide;
    "wcscpy_s" => strings::copy_checked_wide;
    "wcslen" => strings::length_wide;
    "wcsncmp" => strings::compare_some_wide;
    "wcsncpy" => strings::copy_some_wide;
    "wcsncpy_s" => strings::copy_some_checked_wide;
    "wcsnlen" => strings::bounded_length_wide;
    "wcsrchr" => strings::last_wide;
    "wcsstr" => strings::part_wide;

    // Formatted text.
    "_snprintf" => print::old_bounded;
    "_snprintf_s" => print::truncating;
    "_snwprintf" => print::old_bounded_wide;
    "_snwprintf_s" => print::truncating_wide;
    "_vsnprintf" => print::old_bounded_list;
    "_vsnprintf_s" | "vsnprintf_s" => print::truncating_list;
    "_vsnwprintf" => print::old_bounded_list_wide;
    "_vsnwprintf_s" => print::truncating_list_wide;
    "snprintf" => print::bounded;
    "sprintf" => print::unbounded;
    "sprintf_s" => print::checked;
    "swprintf_s" => print::checked_wide;
    "vsnprintf" => print::bounded_list;
    "vsprintf" => print::unbounded_list;
    "vsprintf_s" => print::checked_list;
    "vswprintf_s" => print::checked_list_wide;

    // Run-time library.
    "RtlCompareUnicodeString" => rtl::compare_unicode;
    "RtlCopyUnicodeString" => rtl::copy_unicode;
    "RtlEqualUnicodeString" => rtl::equal_unicode;
    "RtlGetVersion" => rtl::version;
    "RtlInitAnsiString" | "RtlInitString" => rtl::initialize_ansi;
    "RtlInitUnicodeString" => rtl::initialize_unicode;
    "RtlQueryRegistryValues" => rtl::query_registry;

    // Time.
    "KeDelayExecutionThread" => time::delay;
    "KeQueryInterruptTime" | "KeQueryUnbiasedInterruptTime" => time::interrupt;
    "KeQueryInterruptTimePrecise" => time::interrupt_precise;
    "KeQueryPerformanceCounter" => time::performance_counter;
    "KeQuerySystemTimePrecise" | "KeQuerySystemTime" => time::system;
    "KeQueryTickCount" => time::tick;
    "KeQueryTimeIncrement" => time::increment;
    "KeStallExecutionProcessor" => time::stall;

    // Processors.
    "KeGetCurrentNodeNumber" | "KeQueryHighestNodeNumber" => runtime::nothing;
    "KeGetCurrentProcessorNumberEx" => processors::current;
    "KeGetCurrentThread" => processors::thread;
    "PsGetCurrentThread" => processors::thread;
    "KeGetProcessorIndexFromNumber" => processors::index;
    "KeGetProcessorNumberFromIndex" => processors::number;
    "KeQueryActiveGroupCount" | "KeQueryMaximumGroupCount" => processors::groups;
    "KeQueryActiveProcessorCount" => processors::count_and_mask;
    "KeQueryActiveProcessorCountEx" | "KeQueryMaximumProcessorCountEx" => processors::count;
    "KeQueryActiveProcessors" => processors::mask;
    "KeQueryGroupAffinity" => processors::group_mask;
    "KeQueryMaximumProcessorCount" => processors::count;

    // Debugging and tracing.
    "DbgBreakPoint" | "DbgBreakPointWithStatus" => debug::break_point;
    "DbgPrint" => debug::print;
    "DbgPrintEx" | "vDbgPrintEx" => debug::print_ex;
    "vDbgPrintExWithPrefix" => debug::print_with_prefix;
    "EtwActivityIdControl" | "EtwSetInformation" | "EtwUnregister" => runtime::nothing;
    "EtwEventEnabled" | "EtwProviderEnabled" => runtime::nothing;
    "EtwRegister" => runtime::etw_register;
    "EtwWrite" | "EtwWriteEx" | "EtwWriteTransfer" | "EtwWriteString" => runtime::nothing;
    "IoWMIRegistrationControl" | "WmiTraceMessage" | "WmiTraceMessageVa" => runtime::nothing;
    "KeBugCheck" | "KeBugCheckEx" => debug::bug_check;
    "WmiQueryTraceInformation" => runtime::not_found;

    // What compilers and headers put in.
    "KeAreAllApcsDisabled" | "KeAreApcsDisabled" => runtime::nothing;
    "KeEnterCriticalRegion" | "KeLeaveCriticalRegion" => runtime::nothing;
    "KeGetRecommendedSharedDataAlignment" => processors::shared_data_alignment;
    "MmGetSystemRoutineAddress" => rtl::routine_address;
    "__C_specific_handler" => runtime::exception;
}

/// The entry point of a routine that is machine code to the last instruction.
pub(super) fn find_raw(name: &str) -> Option<super::frame::Entry> {
    match name {
        "__chkstk" | "_chkstk" => Some(runtime::check_stack),
        _ => None,
    }
}
