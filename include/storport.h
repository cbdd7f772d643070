/*
 * storport.h: what a StorPort miniport calls.
 *
 * Written for lockstorm from https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/; it is no copy of the
 * header of that name. Types are in storport_types.h, the numbers behind the routines in storport_codes.h. Here are the
 * real exports of storport.sys; in storport_inline.h what the Windows header makes of StorPortNotification and
 * StorPortExtendedFunction. A driver that is compiled with either header makes the same calls with the same arguments.
 */
#ifndef LOCKSTORM_STORPORT_H
#define LOCKSTORM_STORPORT_H

#include "srb.h"
#include "storport_codes.h"
#include "storport_types.h"
#include "wdm.h"

#define STORPORT_API DECLSPEC_IMPORT

/* The two doors; everything in storport_inline.h goes through one of them. */
STORPORT_API VOID StorPortNotification(SCSI_NOTIFICATION_TYPE NotificationType, PVOID HwDeviceExtension, ...);
STORPORT_API ULONG StorPortExtendedFunction(STORPORT_FUNCTION_CODE FunctionCode, PVOID HwDeviceExtension, ...);

/* Once, from DriverEntry. */
STORPORT_API ULONG StorPortInitialize(PVOID DriverObject, PVOID RegistryPath,
                                      PHW_INITIALIZATION_DATA HwInitializationData, PVOID HwContext);

/* Under the Interrupt lock. */
STORPORT_API BOOLEAN StorPortSynchronizeAccess(PVOID HwDeviceExtension,
                                               PSTOR_SYNCHRONIZED_ACCESS SynchronizedAccessRoutine, PVOID Context);

/* The adapter: its bus, its registers, its settings. */
STORPORT_API ULONG StorPortGetBusData(PVOID HwDeviceExtension, ULONG BusDataType, ULONG SystemIoBusNumber,
                                      ULONG SlotNumber, PVOID Buffer, ULONG Length);
STORPORT_API ULONG StorPortSetBusDataByOffset(PVOID HwDeviceExtension, ULONG BusDataType, ULONG SystemIoBusNumber,
                                              ULONG SlotNumber, PVOID Buffer, ULONG Offset, ULONG Length);
STORPORT_API PVOID StorPortGetDeviceBase(PVOID HwDeviceExtension, INTERFACE_TYPE BusType, ULONG SystemIoBusNumber,
                                         STOR_PHYSICAL_ADDRESS IoAddress, ULONG NumberOfBytes, BOOLEAN InIoSpace);
STORPORT_API VOID StorPortFreeDeviceBase(PVOID HwDeviceExtension, PVOID MappedAddress);
STORPORT_API BOOLEAN StorPortValidateRange(PVOID HwDeviceExtension, INTERFACE_TYPE BusType, ULONG SystemIoBusNumber,
                                           STOR_PHYSICAL_ADDRESS IoAddress, ULONG NumberOfBytes, BOOLEAN InIoSpace);
STORPORT_API PUCHAR StorPortAllocateRegistryBuffer(PVOID HwDeviceExtension, PULONG Length);
STORPORT_API VOID StorPortFreeRegistryBuffer(PVOID HwDeviceExtension, PUCHAR Buffer);
STORPORT_API BOOLEAN StorPortRegistryRead(PVOID HwDeviceExtension, PUCHAR ValueName, ULONG Global, ULONG Type,
                                          PUCHAR Buffer, PULONG BufferLength);
STORPORT_API BOOLEAN StorPortRegistryWrite(PVOID HwDeviceExtension, PUCHAR ValueName, ULONG Global, ULONG Type,
                                           PUCHAR Buffer, ULONG BufferLength);

#include "storport_registers.h"

/* Memory. */
STORPORT_API PVOID StorPortGetUncachedExtension(PVOID HwDeviceExtension, PPORT_CONFIGURATION_INFORMATION ConfigInfo,
                                                ULONG NumberOfBytes);
STORPORT_API STOR_PHYSICAL_ADDRESS StorPortGetPhysicalAddress(PVOID HwDeviceExtension, PSCSI_REQUEST_BLOCK Srb,
                                                              PVOID VirtualAddress, ULONG *Length);
STORPORT_API PVOID StorPortGetVirtualAddress(PVOID HwDeviceExtension, STOR_PHYSICAL_ADDRESS PhysicalAddress);
STORPORT_API PSTOR_SCATTER_GATHER_LIST StorPortGetScatterGatherList(PVOID HwDeviceExtension, PSCSI_REQUEST_BLOCK Srb);
STORPORT_API PVOID StorPortGetLogicalUnit(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun);
STORPORT_API VOID StorPortMoveMemory(PVOID Destination, PVOID Source, ULONG Length);
#define StorPortCopyMemory(to, from, bytes) memcpy((to), (from), (bytes))
STORPORT_API STOR_PHYSICAL_ADDRESS StorPortConvertUlongToPhysicalAddress(ULONG_PTR UlongAddress);
#define StorPortConvertPhysicalAddressToUlong(address) ((address).LowPart)

/* Queues. */
STORPORT_API VOID StorPortCompleteRequest(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun,
                                          UCHAR SrbStatus);
STORPORT_API BOOLEAN StorPortPause(PVOID HwDeviceExtension, ULONG TimeOut);
STORPORT_API BOOLEAN StorPortResume(PVOID HwDeviceExtension);
STORPORT_API BOOLEAN StorPortPauseDevice(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun,
                                         ULONG TimeOut);
STORPORT_API BOOLEAN StorPortResumeDevice(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun);
STORPORT_API BOOLEAN StorPortBusy(PVOID HwDeviceExtension, ULONG RequestsToComplete);
STORPORT_API BOOLEAN StorPortReady(PVOID HwDeviceExtension);
STORPORT_API BOOLEAN StorPortDeviceBusy(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun,
                                        ULONG RequestsToComplete);
STORPORT_API BOOLEAN StorPortDeviceReady(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun);
STORPORT_API BOOLEAN StorPortSetDeviceQueueDepth(PVOID HwDeviceExtension, UCHAR PathId, UCHAR TargetId, UCHAR Lun,
                                                 ULONG Depth);

/* Time, and what went wrong. */
STORPORT_API VOID StorPortStallExecution(ULONG Delay);
STORPORT_API VOID StorPortQuerySystemTime(PLARGE_INTEGER CurrentTime);
STORPORT_API VOID StorPortLogError(PVOID HwDeviceExtension, PSCSI_REQUEST_BLOCK Srb, UCHAR PathId, UCHAR TargetId,
                                   UCHAR Lun, ULONG ErrorCode, ULONG UniqueId);
STORPORT_API VOID StorPortDebugPrint(ULONG DebugPrintLevel, PCSTR DebugMessage, ...);
/* DebugPrint((level, format, ...)): nothing in a release build. */
#ifdef DBG
#define DebugPrint(arguments) StorPortDebugPrint arguments
#else
#define DebugPrint(arguments)
#endif

#include "storport_inline.h"

#endif
