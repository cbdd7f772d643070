//! What a driver asks of StorPort and of the system, and what it tells them: messages, options, processors, logs.

use super::extended::FIRST;
use super::memory::{refuse, success};
use super::{some_srb, status};
use crate::binary::frame::{Call, plain};
use crate::event::{Cause, Sink};
use crate::machine::Port;
use crate::storport::code::FunctionCode as Code;
use crate::storport::perf::{
    GroupAffinity, MessageInterruptInformation, PerfConfigurationData, PerfFlags, ProcessorNumber,
    StartIoPerformanceParameters,
};
use crate::storport::{Ddi, Executive, StorPort, StorStatus};

plain!(MessageInterruptInformation, StartIoPerformanceParameters);

/// Counts a second of the performance counter.
pub(in crate::binary) const COUNTS_PER_SECOND: u64 = 10_000_000;
/// PERF_CONFIGURATION_DATA without any of the fields that newer versions added.
const PERF_DATA_BYTES_MIN: usize = 0x10;
/// STOR_UNIT_ATTRIBUTES: the bits that mean something.
const UNIT_ATTRIBUTES: u32 = 0b111;

pub(super) fn function<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<usize> {
    let answer = of_adapter(call, port, code)
        .or_else(|| of_processors(call, port, code))
        .or_else(|| of_system(call, port, code))
        .or_else(|| of_log(port, code))?;
    Some(status(answer))
}

fn of_adapter<S: Sink + 'static>(call: &Call<S>, port: Port<S>, code: Code) -> Option<StorStatus> {
    Some(match code {
        Code::GET_MESSAGE_INTERRUPT_INFORMATION => message_information(call, port),
        Code::INITIALIZE_PERFORMANCE_OPTIMIZATIONS => perf_opts(call, port),
        Code::GET_START_IO_PERFORMANCE_PARAMETERS => start_io_parameters(call, port),
        Code::GET_REQUEST_INFO => request_info(call, port),
        Code::SET_UNIT_ATTRIBUTES => match call.word(FIRST) {
            0 => refuse(port, Ddi::SetUnitAttributes),
            _ if call.u32(FIRST + 1) & !UNIT_ATTRIBUTES != 0 => {
                refuse(port, Ddi::SetUnitAttributes)
            }
            _ => success(port, Ddi::SetUnitAttributes),
        },
        Code::GET_SYSTEM_PORT_NUMBER => {
            // STOR_ADDRESS.Port.
            call.write_at(call.pointer::<u16>(FIRST).wrapping_add(1), 0);
            success(port, Ddi::GetSystemPortNumber)
        }
        Code::UPDATE_ADAPTER_MAX_IO | Code::UPDATE_ADAPTER_MAX_IO_INFO => {
            success(port, Ddi::UpdateAdapterMaxIo)
        }
        Code::SET_ADAPTER_BUS_TYPE => success(port, Ddi::SetAdapterBusType),
        Code::GET_D3COLD_SUPPORT => {
            call.write(FIRST + 1, 0_u8);
            success(port, Ddi::GetD3ColdSupport)
        }
        Code::SET_POWER_SETTING_NOTIFICATION_GUIDS => {
            success(port, Ddi::SetPowerSettingNotificationGuids)
        }
        Code::DEVICE_OPERATION_ALLOWED => {
            call.write(FIRST + 2, 1_u32);
            success(port, Ddi::IsDeviceOperationAllowed)
        }
        Code::INVOKE_ACPI_METHOD => {
            StorStatus(port.called(Ddi::InvokeAcpiMethod, 0, || StorStatus::UNSUCCESSFUL.0))
        }
        _ => return None,
    })
}

fn message_information<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let result = call.writable(FIRST + 1, size_of::<MessageInterruptInformation>());
    let mut information = MessageInterruptInformation::default();
    let status = port.get_msi_info(call.u32(FIRST), &mut information);
    if status == StorStatus::SUCCESS {
        call.write_at(result, information);
    }
    status
}

/// StorPortInitializePerfOpts. A driver built with an older header has a shorter structure; its `Size` says so.
fn perf_opts<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let query = call.boolean(FIRST);
    let address = call.pointer::<u8>(FIRST + 1);
    if address.is_null() {
        return port.initialize_perf_opts(query, std::ptr::null_mut());
    }
    let size = call.read_at(address.wrapping_add(4).cast_const().cast::<u32>()) as usize;
    if size < PERF_DATA_BYTES_MIN {
        return refuse(port, Ddi::InitializePerfOpts);
    }
    let bytes = size.min(size_of::<PerfConfigurationData>());
    call.check_write(address, bytes);
    let mut data = PerfConfigurationData::default();
    // SAFETY: checked; integers and a raw pointer.
    unsafe { (&raw mut data).cast::<u8>().copy_from(address, bytes) };
    check_targets(call, query, &data);
    let status = port.initialize_perf_opts(query, &mut data);
    // SAFETY: checked.
    unsafe { address.copy_from((&raw const data).cast(), bytes) };
    status
}

/// The array that the machine fills must be the driver's.
fn check_targets<S: Sink + 'static>(call: &Call<S>, query: bool, data: &PerfConfigurationData) {
    let targets = data.message_targets;
    let asks = !query && data.flags.contains(PerfFlags::ADV_CONFIG_LOCALITY);
    if !asks || targets.is_null() {
        return;
    }
    let (first, last) =
        (data.first_redirection_message_number, data.last_redirection_message_number);
    let count = u64::from(last).saturating_sub(u64::from(first)) as usize + 1;
    if !targets.is_aligned() {
        call.crash(Cause::BadPointer);
    }
    // A range that the adapter does not have is refused before anything is written.
    call.check_write(targets, count.min(64) * size_of::<GroupAffinity>());
}

fn start_io_parameters<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let srb = some_srb(call, FIRST);
    let address = call.pointer::<StartIoPerformanceParameters>(FIRST + 1);
    let bytes = size_of::<StartIoPerformanceParameters>();
    call.check_write(address, bytes);
    let mut parameters = call.read_at(address.cast_const());
    let status = port.get_start_io_perf_params(srb, &mut parameters);
    call.write_at(address, parameters);
    if parameters.version >= 2 && parameters.size as usize >= bytes + size_of::<ProcessorNumber>() {
        let number = port.current_processor() as u8;
        let processor = ProcessorNumber { group: 0, number, reserved: 0 };
        call.write_at(address.wrapping_add(1).cast(), processor);
    }
    status
}

/// StorPortGetRequestInfo: there is nothing to be said about any request.
fn request_info<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let information = call.pointer::<u16>(FIRST + 1);
    if call.word(FIRST) == 0 || information.is_null() {
        return refuse(port, Ddi::GetRequestInfo);
    }
    let bytes = match call.read_at(information.cast_const()) {
        1 => 0x18,
        2 => 0x28,
        _ => {
            let answer = StorStatus::UNSUPPORTED_VERSION;
            return StorStatus(port.called(Ddi::GetRequestInfo, 0, || answer.0));
        }
    };
    call.check_write(information, bytes);
    // SAFETY: checked; version and size stay.
    unsafe { information.cast::<u8>().add(4).write_bytes(0, bytes - 4) };
    success(port, Ddi::GetRequestInfo)
}

fn of_processors<S: Sink + 'static>(
    call: &Call<S>,
    port: Port<S>,
    code: Code,
) -> Option<StorStatus> {
    Some(match code {
        Code::GET_CURRENT_PROCESSOR_NUMBER => {
            let result = call.writable(FIRST, size_of::<ProcessorNumber>());
            let mut processor = ProcessorNumber::default();
            let status = port.get_current_processor_number(&mut processor);
            call.write_at(result, processor);
            status
        }
        Code::GET_GROUP_AFFINITY => {
            let result = call.writable::<usize>(FIRST + 1, size_of::<usize>());
            let mut mask = 0;
            let status = port.get_group_affinity(call.u16(FIRST), &mut mask);
            if status == StorStatus::SUCCESS {
                call.write_at(result, mask);
            }
            status
        }
        Code::GET_CURRENT_PROCESSOR_INDEX => {
            call.write(FIRST, port.current_processor() as u32);
            success(port, Ddi::GetCurrentProcessorIndex)
        }
        Code::GET_PROCESSOR_COUNT => {
            call.write(FIRST, port.processor_count() as u32);
            success(port, Ddi::GetProcessorCount)
        }
        Code::GET_PROCESSOR_INDEX_FROM_NUMBER => processor_index(call, port),
        Code::GET_ACTIVE_GROUP_COUNT => {
            call.write(FIRST, 1_u16);
            success(port, Ddi::GetActiveGroupCount)
        }
        Code::GET_ACTIVE_NODE_COUNT => {
            call.write(FIRST, 1_u32);
            success(port, Ddi::GetActiveNodeCount)
        }
        Code::GET_HIGHEST_NODE_NUMBER => {
            call.write(FIRST, 0_u32);
            success(port, Ddi::GetHighestNodeNumber)
        }
        Code::GET_NODE_AFFINITY if call.u32(FIRST) != 0 => refuse(port, Ddi::GetNodeAffinity),
        Code::GET_NODE_AFFINITY => {
            let mask = (1 << port.processor_count()) - 1;
            call.write(FIRST + 1, GroupAffinity { mask, ..GroupAffinity::default() });
            success(port, Ddi::GetNodeAffinity)
        }
        _ => return None,
    })
}

fn processor_index<S: Sink + 'static>(call: &Call<S>, port: Port<S>) -> StorStatus {
    let processor = call.read::<ProcessorNumber>(FIRST);
    if processor.group != 0 || usize::from(processor.number) >= port.processor_count() {
        return refuse(port, Ddi::GetProcessorIndexFromNumber);
    }
    call.write(FIRST + 1, u32::from(processor.number));
    success(port, Ddi::GetProcessorIndexFromNumber)
}

fn of_system<S: Sink + 'static>(call: &Call<S>, port: Port<S>, code: Code) -> Option<StorStatus> {
    Some(match code {
        Code::QUERY_PERFORMANCE_COUNTER => {
            if call.word(FIRST) != 0 {
                call.write(FIRST, COUNTS_PER_SECOND);
            }
            let counter = call.writable::<u64>(FIRST + 1, size_of::<u64>());
            let status = success(port, Ddi::QueryPerformanceCounter);
            call.write_at(counter, port.virtual_ns() / (1_000_000_000 / COUNTS_PER_SECOND));
            status
        }
        Code::GET_CURRENT_IRQL => {
            call.write(FIRST, port.ke_get_current_irql().0);
            StorStatus::SUCCESS
        }
        Code::CURRENT_OS_INSTALLATION_UPGRADE => {
            call.write(FIRST, 0_u8);
            success(port, Ddi::IsCurrentOsInstallationUpgrade)
        }
        Code::QUERY_CONFIGURATION => {
            call.write(FIRST + 1, 0_u8);
            success(port, Ddi::QueryConfiguration)
        }
        Code::QUERY_DPC_WATCHDOG_INFORMATION => {
            let information = call.writable::<u8>(FIRST, 20);
            // SAFETY: checked. No limit and no count: the watchdog is off.
            unsafe { information.write_bytes(0, 20) };
            success(port, Ddi::QueryDpcWatchdogInformation)
        }
        Code::QUERY_TIMER_MIN_INTERVAL => {
            call.write(FIRST, 1_u32);
            success(port, Ddi::QueryTimerMinInterval)
        }
        Code::GET_ACTIVITY_ID => {
            let guid = call.writable::<u8>(FIRST + 1, 16);
            // SAFETY: checked.
            unsafe { guid.write_bytes(0, 16) };
            success(port, Ddi::GetActivityIdSrb)
        }
        _ => return None,
    })
}

/// Logs and traces: what they say goes nowhere.
fn of_log<S: Sink + 'static>(port: Port<S>, code: Code) -> Option<StorStatus> {
    Some(match code {
        Code::LOG_SYSTEM_EVENT => success(port, Ddi::LogSystemEvent),
        Code::MINIPORT_ETW_EVENT2
        | Code::MINIPORT_ETW_EVENT4
        | Code::MINIPORT_ETW_EVENT8
        | Code::MINIPORT_CHANNEL_ETW_EVENT2
        | Code::MINIPORT_CHANNEL_ETW_EVENT4
        | Code::MINIPORT_CHANNEL_ETW_EVENT8 => success(port, Ddi::EtwEvent),
        Code::LOG_HARDWARE_ERROR => success(port, Ddi::EtwLogError),
        Code::MINIPORT_TELEMETRY | Code::MINIPORT_TELEMETRY_EX => success(port, Ddi::LogTelemetry),
        _ => return None,
    })
}
