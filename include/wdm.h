/*
 * wdm.h: the part of the kernel's interface that a StorPort miniport touches.
 *
 * Base types, IRQL, executive spin locks, interlocked operations, lists, memory. Written for lockstorm from the public
 * documentation (https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/); it is no copy of the header of that
 * name, and has only x86-64. What the real header has as inline code is inline here too, so that a driver built with
 * either makes the same calls: KeGetCurrentIrql reads CR8, KeAcquireSpinLock calls KeAcquireSpinLockRaiseToDpc.
 */
#ifndef LOCKSTORM_WDM_H
#define LOCKSTORM_WDM_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__x86_64__)
#error "these headers describe x86-64 only: compile with -target x86_64-pc-windows-msvc"
#endif

/* Annotations of the static analysers: nothing to a compiler. */
#define _In_
#define _In_opt_
#define _Out_
#define _Out_opt_
#define _Inout_
#define _Inout_opt_
#define _In_z_
#define _In_opt_z_
#define _In_reads_bytes_(bytes)
#define _Out_writes_bytes_(bytes)
#define _In_range_(low, high)
#define _Success_(condition)
#define __in
#define __out
#define __inout
#define _Use_decl_annotations_
#define _IRQL_requires_(irql)
#define _IRQL_requires_max_(irql)
#define IN
#define OUT
#define OPTIONAL

#define NTAPI
#define CONST const
/* Without debug information of its own, so that what it calls is called, for a debugger, where the driver names it. */
#define FORCEINLINE static inline __attribute__((always_inline, nodebug))
#define DECLSPEC_IMPORT __declspec(dllimport)
#define DECLSPEC_ALIGN(n) __attribute__((aligned(n)))
#define NTSYSAPI DECLSPEC_IMPORT
#define NTKERNELAPI DECLSPEC_IMPORT
#define UNREFERENCED_PARAMETER(name) ((void)(name))
#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#define CONTAINING_RECORD(address, type, field) ((type *)((PCHAR)(address) - offsetof(type, field)))
#define RTL_NUMBER_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ARRAYSIZE RTL_NUMBER_OF
#define C_ASSERT(condition) _Static_assert(condition, #condition)
#define ANYSIZE_ARRAY 1
#define MAXULONG 0xFFFFFFFFUL

/* Integers: `long` has 32 bits on Windows. */
typedef void VOID, *PVOID;
typedef char CHAR, *PCHAR, *PSTR;
typedef const char *PCSTR;
typedef signed char SCHAR;
typedef unsigned char UCHAR, *PUCHAR, BOOLEAN, *PBOOLEAN;
typedef short SHORT, *PSHORT, CSHORT;
typedef unsigned short USHORT, *PUSHORT, WCHAR, *PWSTR, *PWCHAR;
typedef const WCHAR *PCWSTR;
typedef int INT;
typedef unsigned int UINT;
typedef long LONG, *PLONG;
typedef unsigned long ULONG, *PULONG;
typedef signed int INT32, *PINT32;
typedef unsigned int UINT32, *PUINT32;
typedef long long LONGLONG, *PLONGLONG, LONG64, INT64;
typedef unsigned long long ULONGLONG, *PULONGLONG, ULONG64, *PULONG64, UINT64;
typedef int64_t LONG_PTR;
typedef uint64_t ULONG_PTR, *PULONG_PTR, SIZE_T, *PSIZE_T, KAFFINITY, *PKAFFINITY;
typedef LONG NTSTATUS;

#define FALSE 0
#define TRUE 1
#ifndef NULL
#define NULL ((void *)0)
#endif

#define STATUS_SUCCESS ((NTSTATUS)0x00000000L)
#define STATUS_UNSUCCESSFUL ((NTSTATUS)0xC0000001L)
#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER, PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID, *LPGUID;
typedef const GUID *LPCGUID;

typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWSTR Buffer;
} UNICODE_STRING, *PUNICODE_STRING;

/* A miniport hands these on and looks at none. */
typedef struct _DRIVER_OBJECT *PDRIVER_OBJECT;
typedef struct _DEVICE_OBJECT *PDEVICE_OBJECT;
typedef struct _IRP *PIRP;
typedef struct _MDL *PMDL;

/* Buses, interrupts, processors. */
typedef enum _INTERFACE_TYPE {
    InterfaceTypeUndefined = -1,
    Internal,
    Isa,
    Eisa,
    MicroChannel,
    TurboChannel,
    PCIBus,
    VMEBus,
    NuBus,
    PCMCIABus,
    CBus,
    MPIBus,
    MPSABus,
    ProcessorInternal,
    InternalPowerBus,
    PNPISABus,
    PNPBus,
    Vmcs,
    ACPIBus,
    MaximumInterfaceType
} INTERFACE_TYPE;

typedef enum _BUS_DATA_TYPE { PCIConfiguration = 4 } BUS_DATA_TYPE;
typedef enum _KINTERRUPT_MODE { LevelSensitive, Latched } KINTERRUPT_MODE;
typedef enum _DMA_WIDTH { Width8Bits, Width16Bits, Width32Bits, Width64Bits, WidthNoWrap } DMA_WIDTH;
typedef enum _DMA_SPEED { Compatible, TypeA, TypeB, TypeC, TypeF } DMA_SPEED;

typedef enum _MEMORY_CACHING_TYPE {
    MmNotMapped = -1,
    MmNonCached,
    MmCached,
    MmWriteCombined,
    MmHardwareCoherentCached,
    MmNonCachedUnordered,
    MmUSWCCached
} MEMORY_CACHING_TYPE;

typedef struct _PROCESSOR_NUMBER {
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef struct _GROUP_AFFINITY {
    KAFFINITY Mask;
    USHORT Group;
    USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;

#define PCI_TYPE0_ADDRESSES 6

/* PCI configuration space, as StorPortGetBusData copies it. */
typedef struct _PCI_COMMON_CONFIG {
    USHORT VendorID;
    USHORT DeviceID;
    USHORT Command;
    USHORT Status;
    UCHAR RevisionID;
    UCHAR ProgIf;
    UCHAR SubClass;
    UCHAR BaseClass;
    UCHAR CacheLineSize;
    UCHAR LatencyTimer;
    UCHAR HeaderType;
    UCHAR BIST;
    union {
        struct _PCI_HEADER_TYPE_0 {
            ULONG BaseAddresses[PCI_TYPE0_ADDRESSES];
            ULONG CIS;
            USHORT SubVendorID;
            USHORT SubSystemID;
            ULONG ROMBaseAddress;
            UCHAR CapabilitiesPtr;
            UCHAR Reserved1[3];
            ULONG Reserved2;
            UCHAR InterruptLine;
            UCHAR InterruptPin;
            UCHAR MinimumGrant;
            UCHAR MaximumLatency;
        } type0;
    } u;
    UCHAR DeviceSpecific[192];
} PCI_COMMON_CONFIG, *PPCI_COMMON_CONFIG;

/* IRQL. */
typedef UCHAR KIRQL, *PKIRQL;

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define CLOCK_LEVEL 13
#define IPI_LEVEL 14
#define HIGH_LEVEL 15

/* The current IRQL is the processor's task priority. */
FORCEINLINE KIRQL KeGetCurrentIrql(VOID)
{
    ULONG64 irql;
    __asm__ volatile("mov %%cr8, %0" : "=r"(irql));
    return (KIRQL)irql;
}

NTKERNELAPI KIRQL KfRaiseIrql(KIRQL NewIrql);
NTKERNELAPI VOID KeLowerIrql(KIRQL NewIrql);
#define KeRaiseIrql(NewIrql, OldIrql) (*(OldIrql) = KfRaiseIrql(NewIrql))

/* Executive spin locks. */
typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;

typedef struct _KSPIN_LOCK_QUEUE {
    struct _KSPIN_LOCK_QUEUE *volatile Next;
    PKSPIN_LOCK volatile Lock;
} KSPIN_LOCK_QUEUE, *PKSPIN_LOCK_QUEUE;

typedef struct _KLOCK_QUEUE_HANDLE {
    KSPIN_LOCK_QUEUE LockQueue;
    KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;

NTKERNELAPI VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock);
NTKERNELAPI KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);
NTKERNELAPI VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
NTKERNELAPI VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);
NTKERNELAPI VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);
NTKERNELAPI VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
NTKERNELAPI VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle);
#define KeAcquireSpinLock(SpinLock, OldIrql) (*(OldIrql) = KeAcquireSpinLockRaiseToDpc(SpinLock))

/*
 * Interlocked operations are instructions. With LOCKSTORM_MEMORY they are told of first: what clang puts in for
 * -fsanitize-coverage=trace-loads,trace-stores tells of every load and store, and not of them. -fsanitize=thread does, and
 * needs no LOCKSTORM_MEMORY.
 */
#ifdef LOCKSTORM_MEMORY
__declspec(dllimport) VOID __lockstorm_interlocked(volatile const VOID *Target, ULONG Bytes);
#define LOCKSTORM_TELL(target) __lockstorm_interlocked((target), sizeof(*(target)))
#else
#define LOCKSTORM_TELL(target) ((VOID)0)
#endif
#define InterlockedIncrement(target) (LOCKSTORM_TELL(target), __atomic_add_fetch((target), 1, __ATOMIC_SEQ_CST))
#define InterlockedDecrement(target) (LOCKSTORM_TELL(target), __atomic_sub_fetch((target), 1, __ATOMIC_SEQ_CST))
#define InterlockedExchange(target, value) \
    (LOCKSTORM_TELL(target), __atomic_exchange_n((target), (value), __ATOMIC_SEQ_CST))
#define InterlockedExchangeAdd(target, value) \
    (LOCKSTORM_TELL(target), __atomic_fetch_add((target), (value), __ATOMIC_SEQ_CST))
#define InterlockedOr(target, value) (LOCKSTORM_TELL(target), __atomic_fetch_or((target), (value), __ATOMIC_SEQ_CST))
#define InterlockedAnd(target, value) (LOCKSTORM_TELL(target), __atomic_fetch_and((target), (value), __ATOMIC_SEQ_CST))

FORCEINLINE LONG InterlockedCompareExchange(LONG volatile *Target, LONG Exchange, LONG Comparand)
{
    LOCKSTORM_TELL(Target);
    __atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return Comparand;
}

#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Doubly linked lists; the head is an entry that belongs to nobody. */
typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink;
    struct _LIST_ENTRY *Blink;
} LIST_ENTRY, *PLIST_ENTRY;

FORCEINLINE VOID InitializeListHead(PLIST_ENTRY Head)
{
    Head->Flink = Head->Blink = Head;
}

FORCEINLINE BOOLEAN IsListEmpty(const LIST_ENTRY *Head)
{
    return Head->Flink == Head;
}

FORCEINLINE BOOLEAN RemoveEntryList(PLIST_ENTRY Entry)
{
    Entry->Blink->Flink = Entry->Flink;
    Entry->Flink->Blink = Entry->Blink;
    return Entry->Flink == Entry->Blink;
}

FORCEINLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY Head)
{
    PLIST_ENTRY entry = Head->Flink;
    RemoveEntryList(entry);
    return entry;
}

FORCEINLINE VOID InsertHeadList(PLIST_ENTRY Head, PLIST_ENTRY Entry)
{
    Entry->Flink = Head->Flink;
    Entry->Blink = Head;
    Head->Flink->Blink = Entry;
    Head->Flink = Entry;
}

FORCEINLINE VOID InsertTailList(PLIST_ENTRY Head, PLIST_ENTRY Entry)
{
    Entry->Flink = Head;
    Entry->Blink = Head->Blink;
    Head->Blink->Flink = Entry;
    Head->Blink = Entry;
}

/* Memory. A compiler may call these by itself; ntoskrnl.exe exports them. */
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);

#define RtlCopyMemory(to, from, bytes) memcpy((to), (from), (bytes))
#define RtlMoveMemory(to, from, bytes) memmove((to), (from), (bytes))
#define RtlZeroMemory(to, bytes) memset((to), 0, (bytes))
#define RtlFillMemory(to, bytes, value) memset((to), (value), (bytes))
#define RtlEqualMemory(a, b, bytes) (memcmp((a), (b), (bytes)) == 0)

/* Entry point of every driver. */
typedef NTSTATUS NTAPI DRIVER_INITIALIZE(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);

/* What a driver may say to a debugger, and its last words. */
NTSYSAPI ULONG DbgPrint(PCSTR Format, ...);
NTKERNELAPI __attribute__((noreturn)) VOID KeBugCheckEx(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4);

#endif
