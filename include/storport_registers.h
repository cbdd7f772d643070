/*
 * storport_registers.h: registers and ports. Part of storport.h.
 *
 * As on Windows, a debug build (DBG), or one with DISABLE_INLINE_REGISTER_ACCESS, calls storport.sys; any other compiles
 * each access to an instruction. lockstorm knows both: a call costs it nanoseconds, an instruction a trap, which is
 * a hundred times as much. So define DISABLE_INLINE_REGISTER_ACCESS for builds that are fuzzed.
 */
#ifndef LOCKSTORM_STORPORT_REGISTERS_H
#define LOCKSTORM_STORPORT_REGISTERS_H

#if defined(DBG) || defined(DISABLE_INLINE_REGISTER_ACCESS)
STORPORT_API UCHAR StorPortReadRegisterUchar(PVOID HwDeviceExtension, volatile UCHAR *Register);
STORPORT_API USHORT StorPortReadRegisterUshort(PVOID HwDeviceExtension, volatile USHORT *Register);
STORPORT_API ULONG StorPortReadRegisterUlong(PVOID HwDeviceExtension, volatile ULONG *Register);
STORPORT_API VOID StorPortWriteRegisterUchar(PVOID HwDeviceExtension, volatile UCHAR *Register, UCHAR Value);
STORPORT_API VOID StorPortWriteRegisterUshort(PVOID HwDeviceExtension, volatile USHORT *Register, USHORT Value);
STORPORT_API VOID StorPortWriteRegisterUlong(PVOID HwDeviceExtension, volatile ULONG *Register, ULONG Value);
STORPORT_API VOID StorPortReadRegisterBufferUchar(PVOID HwDeviceExtension, volatile UCHAR *Register, PUCHAR Buffer,
                                                  ULONG Count);
STORPORT_API VOID StorPortReadRegisterBufferUshort(PVOID HwDeviceExtension, volatile USHORT *Register, PUSHORT Buffer,
                                                   ULONG Count);
STORPORT_API VOID StorPortReadRegisterBufferUlong(PVOID HwDeviceExtension, volatile ULONG *Register, PULONG Buffer,
                                                  ULONG Count);
STORPORT_API VOID StorPortWriteRegisterBufferUchar(PVOID HwDeviceExtension, volatile UCHAR *Register, PUCHAR Buffer,
                                                   ULONG Count);
STORPORT_API VOID StorPortWriteRegisterBufferUshort(PVOID HwDeviceExtension, volatile USHORT *Register, PUSHORT Buffer,
                                                    ULONG Count);
STORPORT_API VOID StorPortWriteRegisterBufferUlong(PVOID HwDeviceExtension, volatile ULONG *Register, PULONG Buffer,
                                                   ULONG Count);

STORPORT_API UCHAR StorPortReadPortUchar(PVOID HwDeviceExtension, PUCHAR Port);
STORPORT_API USHORT StorPortReadPortUshort(PVOID HwDeviceExtension, PUSHORT Port);
STORPORT_API ULONG StorPortReadPortUlong(PVOID HwDeviceExtension, PULONG Port);
STORPORT_API VOID StorPortWritePortUchar(PVOID HwDeviceExtension, PUCHAR Port, UCHAR Value);
STORPORT_API VOID StorPortWritePortUshort(PVOID HwDeviceExtension, PUSHORT Port, USHORT Value);
STORPORT_API VOID StorPortWritePortUlong(PVOID HwDeviceExtension, PULONG Port, ULONG Value);
STORPORT_API VOID StorPortReadPortBufferUchar(PVOID HwDeviceExtension, PUCHAR Port, PUCHAR Buffer,
                                              ULONG Count);
STORPORT_API VOID StorPortReadPortBufferUshort(PVOID HwDeviceExtension, PUSHORT Port, PUSHORT Buffer,
                                               ULONG Count);
STORPORT_API VOID StorPortReadPortBufferUlong(PVOID HwDeviceExtension, PULONG Port, PULONG Buffer,
                                              ULONG Count);
STORPORT_API VOID StorPortWritePortBufferUchar(PVOID HwDeviceExtension, PUCHAR Port, PUCHAR Buffer,
                                               ULONG Count);
STORPORT_API VOID StorPortWritePortBufferUshort(PVOID HwDeviceExtension, PUSHORT Port, PUSHORT Buffer,
                                                ULONG Count);
STORPORT_API VOID StorPortWritePortBufferUlong(PVOID HwDeviceExtension, PULONG Port, PULONG Buffer,
                                               ULONG Count);

#else

/* The extension is what the calls take and the instructions do without. */
#define LOCKSTORM_REGISTER(name, type) \
    FORCEINLINE type StorPortReadRegister##name(PVOID HwDeviceExtension, volatile type *Register) \
    { \
        UNREFERENCED_PARAMETER(HwDeviceExtension); \
        KeMemoryBarrier(); \
        return *Register; \
    } \
    FORCEINLINE VOID StorPortWriteRegister##name(PVOID HwDeviceExtension, volatile type *Register, type Value) \
    { \
        UNREFERENCED_PARAMETER(HwDeviceExtension); \
        *Register = Value; \
        KeMemoryBarrier(); \
    } \
    FORCEINLINE VOID StorPortReadRegisterBuffer##name(PVOID HwDeviceExtension, volatile type *Register, \
                                                      type *Buffer, ULONG Count) \
    { \
        while (Count-- > 0) { \
            *Buffer++ = StorPortReadRegister##name(HwDeviceExtension, Register++); \
        } \
    } \
    FORCEINLINE VOID StorPortWriteRegisterBuffer##name(PVOID HwDeviceExtension, volatile type *Register, \
                                                       type *Buffer, ULONG Count) \
    { \
        while (Count-- > 0) { \
            StorPortWriteRegister##name(HwDeviceExtension, Register++, *Buffer++); \
        } \
    }
LOCKSTORM_REGISTER(Uchar, UCHAR)
LOCKSTORM_REGISTER(Ushort, USHORT)
LOCKSTORM_REGISTER(Ulong, ULONG)
#undef LOCKSTORM_REGISTER

/* A buffer goes through one port, and not over several. */
#define LOCKSTORM_PORT(name, type, suffix) \
    FORCEINLINE type StorPortReadPort##name(PVOID HwDeviceExtension, type *Port) \
    { \
        type value; \
        UNREFERENCED_PARAMETER(HwDeviceExtension); \
        __asm__ volatile("in" suffix " %w1, %0" : "=a"(value) : "Nd"((USHORT)(ULONG_PTR)Port) : "memory"); \
        return value; \
    } \
    FORCEINLINE VOID StorPortWritePort##name(PVOID HwDeviceExtension, type *Port, type Value) \
    { \
        UNREFERENCED_PARAMETER(HwDeviceExtension); \
        __asm__ volatile("out" suffix " %0, %w1" : : "a"(Value), "Nd"((USHORT)(ULONG_PTR)Port) : "memory"); \
    } \
    FORCEINLINE VOID StorPortReadPortBuffer##name(PVOID HwDeviceExtension, type *Port, type *Buffer, ULONG Count) \
    { \
        while (Count-- > 0) { \
            *Buffer++ = StorPortReadPort##name(HwDeviceExtension, Port); \
        } \
    } \
    FORCEINLINE VOID StorPortWritePortBuffer##name(PVOID HwDeviceExtension, type *Port, type *Buffer, ULONG Count) \
    { \
        while (Count-- > 0) { \
            StorPortWritePort##name(HwDeviceExtension, Port, *Buffer++); \
        } \
    }
LOCKSTORM_PORT(Uchar, UCHAR, "b")
LOCKSTORM_PORT(Ushort, USHORT, "w")
LOCKSTORM_PORT(Ulong, ULONG, "l")
#undef LOCKSTORM_PORT

#endif

/* Always an instruction. */
FORCEINLINE ULONG64 StorPortReadRegisterUlong64(PVOID HwDeviceExtension, volatile ULONG64 *Register)
{
    UNREFERENCED_PARAMETER(HwDeviceExtension);
    KeMemoryBarrier();
    return *Register;
}

FORCEINLINE VOID StorPortWriteRegisterUlong64(PVOID HwDeviceExtension, volatile ULONG64 *Register, ULONG64 Value)
{
    UNREFERENCED_PARAMETER(HwDeviceExtension);
    *Register = Value;
    KeMemoryBarrier();
}

#endif
