/*
 * sancov.c: what SanitizerCoverage's instrumentation refers to and a C runtime would bring.
 *
 * Every instrumented function has an 8-bit counter for each of its blocks in section .SCOV$CM and the blocks' addresses in
 * .SCOVP$M. The linker puts sections together by name and sorts what follows the $; so the four symbols here lie around
 * them. The constructors that register the counters do not run in a driver, and would find nothing to do: whoever loads
 * the driver finds the sections.
 */
#include <ntddk.h>

#pragma section(".SCOV$CA", read, write)
#pragma section(".SCOV$CZ", read, write)
#pragma section(".SCOVP$A", read)
#pragma section(".SCOVP$Z", read)

__declspec(allocate(".SCOV$CA")) ULONGLONG __start___sancov_cntrs = 0;
__declspec(allocate(".SCOV$CZ")) UCHAR __stop___sancov_cntrs = 0;
__declspec(allocate(".SCOVP$A")) const ULONGLONG __start___sancov_pcs = 0;
__declspec(allocate(".SCOVP$Z")) const ULONGLONG __stop___sancov_pcs = 0;

VOID __sanitizer_cov_8bit_counters_init(PUCHAR Start, PUCHAR Stop)
{
    UNREFERENCED_PARAMETER(Start);
    UNREFERENCED_PARAMETER(Stop);
}

VOID __sanitizer_cov_pcs_init(const ULONG_PTR *Start, const ULONG_PTR *Stop)
{
    UNREFERENCED_PARAMETER(Start);
    UNREFERENCED_PARAMETER(Stop);
}
