//! What only compiled drivers reach: routines that no core of this crate needs, as plain steps that the entry
//! points of [`binary`](crate::binary) put together.
//!
//! Events, IRQLs and failures follow the same pattern as in [`StorPort`]: a decision point, the effect, and one
//! event.

use std::ffi::c_void;

use super::super::memory::{
    LOGICAL_UNIT_BYTES, MDL_BYTES, PAGE, REGISTERS_AT, REGISTRY_BYTES, SRB_EXTENSION_BYTES,
};
use super::Port;
use crate::event::{Kind, Sink};
use crate::storport::config::HwTimerEx;
use crate::storport::dpc::HwDpcRoutine;
use crate::storport::memory::PhysicalAddress;
use crate::storport::{Ddi, Irql, StorDpc, StorPort, StorStatus};

/// Most bytes that a compiled driver may ask for, where the machine's memory has fixed sizes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// DeviceExtensionSize.
    pub device_extension: u32,
    /// SpecificLuExtensionSize.
    pub logical_unit_extension: u32,
    /// SrbExtensionSize.
    pub srb_extension: u32,
}

/// The machine's limits.
pub const LIMITS: Limits = Limits {
    device_extension: super::super::memory::EXTENSION_BYTES as u32,
    logical_unit_extension: LOGICAL_UNIT_BYTES as u32,
    srb_extension: SRB_EXTENSION_BYTES as u32,
};

impl<S: Sink + 'static> Port<S> {
    /// A DDI whose effect lies outside the machine: a decision point, `act`, and its event.
    pub fn called(self, ddi: Ddi, argument: u32, act: impl FnOnce() -> u32) -> u32 {
        let site = self.site();
        self.call((ddi, argument, site), |_| act())
    }

    /// HwDeviceExtension.
    #[must_use]
    pub fn device_extension(self) -> *mut c_void {
        self.extension()
    }

    /// Virtual time since the start of the run, in nanoseconds.
    #[must_use]
    pub fn virtual_ns(self) -> u64 {
        self.with(|s| s.time)
    }

    /// How many processors the machine has.
    #[must_use]
    pub fn processor_count(self) -> usize {
        self.with(|s| s.processor_count)
    }

    /// The processor that runs now.
    #[must_use]
    pub fn current_processor(self) -> usize {
        self.with(|s| s.current)
    }

    /// Lets so much virtual time pass in which this processor does nothing, and what is due happen.
    pub fn sleep(self, nanoseconds: u64) {
        self.point();
        self.act(|s| {
            s.time = s.time.saturating_add(nanoseconds);
            s.run_due();
        });
        self.drain_deferred();
    }

    /// The virtual address of a physical one; NULL if it is none of the driver's memory.
    #[must_use]
    pub fn virtual_address(self, address: PhysicalAddress) -> *mut c_void {
        let site = self.site();
        let mut found = std::ptr::null_mut::<c_void>();
        self.call((Ddi::GetVirtualAddress, 0, site), |s| {
            if let Some((address, _)) = s.memory.virtual_of(address.0) {
                found = address.cast();
            }
            u32::from(!found.is_null())
        });
        found
    }

    /// As StorPortGetPhysicalAddress, without being a call of StorPort's; `None` if it is not the driver's memory.
    #[must_use]
    pub fn physical_address_of(self, address: usize) -> Option<PhysicalAddress> {
        self.with(|s| s.memory.physical(address)).map(|(physical, _)| PhysicalAddress(physical))
    }

    /// Physically contiguous memory on page boundaries, by the routine `ddi`; counts as an allocation for the
    /// scenario's failures.
    pub fn allocate_contiguous(
        self,
        ddi: Ddi,
        bytes: usize,
    ) -> Result<(*mut c_void, PhysicalAddress), StorStatus> {
        let site = self.site();
        let mut address = std::ptr::null_mut();
        let argument = u32::try_from(bytes).unwrap_or(u32::MAX);
        let status = self.call((ddi, argument, site), |s| {
            if !s.next_allocation_fails() {
                address = s.memory.take_pool_aligned(bytes, PAGE);
            }
            match address.is_null() {
                true => StorStatus::INSUFFICIENT_RESOURCES.0,
                false => StorStatus::SUCCESS.0,
            }
        });
        match self.physical_address_of(address.addr()) {
            Some(physical) if !address.is_null() => Ok((address.cast(), physical)),
            _ => Err(StorStatus(status)),
        }
    }

    /// Memory of the pool by the routine `ddi`; NULL on failure.
    pub fn allocate(self, ddi: Ddi, bytes: usize) -> *mut c_void {
        let site = self.site();
        let mut address = std::ptr::null_mut();
        let argument = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.call((ddi, argument, site), |s| {
            if !s.next_allocation_fails() {
                address = s.memory.take_pool(bytes);
            }
            u32::from(!address.is_null())
        });
        address.cast()
    }

    /// Gives memory back that [`Port::allocate`] or [`Port::allocate_contiguous`] gave.
    pub fn free(self, ddi: Ddi, address: *mut c_void) -> StorStatus {
        let site = self.site();
        StorStatus(self.call((ddi, 0, site), |s| match s.memory.give_back_pool(address.addr()) {
            true => StorStatus::SUCCESS.0,
            false => StorStatus::INVALID_PARAMETER.0,
        }))
    }

    /// MmMapIoSpace: the register range by its physical address; NULL for any other.
    pub fn map_io_space(self, address: PhysicalAddress, bytes: u32) -> *mut c_void {
        let site = self.site();
        let mut base = std::ptr::null_mut();
        self.call((Ddi::MmMapIoSpace, bytes, site), |s| {
            base = s.map_registers(address, bytes);
            u32::from(!base.is_null())
        });
        base
    }

    /// StorPortAllocateRegistryBuffer: the one buffer, of at most so many bytes; NULL while it is out.
    pub fn allocate_registry_buffer(self, bytes: u32) -> (*mut c_void, u32) {
        self.with(|s| {
            let bytes = bytes.min(REGISTRY_BYTES as u32);
            if bytes == 0 || std::mem::replace(&mut s.adapter.registry_buffer, true) {
                return (std::ptr::null_mut(), 0);
            }
            let address = s.memory.registry_buffer();
            // SAFETY: the region has that many bytes, and nobody has it.
            unsafe { address.write_bytes(0, bytes as usize) };
            (address.cast(), bytes)
        })
    }

    /// StorPortFreeRegistryBuffer.
    pub fn free_registry_buffer(self) {
        self.with(|s| s.adapter.registry_buffer = false);
    }

    /// StorPortGetLogicalUnit: the extension of the one logical unit there is; NULL for another.
    pub fn logical_unit(self, (path, target, lun): (u8, u8, u8)) -> *mut c_void {
        let site = self.site();
        let mut extension = std::ptr::null_mut::<c_void>();
        let argument = u32::from(path) << 16 | u32::from(target) << 8 | u32::from(lun);
        self.call((Ddi::GetLogicalUnit, argument, site), |s| {
            let bytes = s.driver.map_or(0, |d| d.data.specific_lu_extension_size as usize);
            if argument == 0 && bytes != 0 && bytes <= LOGICAL_UNIT_BYTES {
                let address = s.memory.logical_unit();
                if !std::mem::replace(&mut s.adapter.logical_unit_known, true) {
                    // SAFETY: the region has that many bytes, and the driver does not know it yet.
                    unsafe { address.write_bytes(0, bytes) };
                }
                extension = address.cast();
            }
            u32::from(!extension.is_null())
        });
        extension
    }

    /// Where the MDL of the request at `srb` is to lie, the buffer that it describes and the buffer's bytes; `None`
    /// for what is no request with data.
    #[must_use]
    pub fn mdl_of(self, srb: usize) -> Option<(*mut c_void, *mut c_void, u32)> {
        const _: () = assert!(MDL_BYTES <= 0x100);
        self.with(|s| {
            let slot = s.memory.slot_of(srb)?;
            let offset = s.requests.buffer_offset(slot)?;
            let buffer = s.memory.data(slot).wrapping_add(offset as usize);
            Some((s.memory.mdl(slot).cast(), buffer.cast(), s.srb(slot).data_transfer_length()))
        })
    }

    /// Whether a request of StorPort's lies at `address`.
    #[must_use]
    pub fn is_request(self, address: usize) -> bool {
        self.with(|s| s.memory.slot_of(address).is_some())
    }

    /// StorPortInitializeDpcWithContext: the routine gets `context` in place of HwDeviceExtension.
    ///
    /// # Safety
    ///
    /// As for [`StorPort::initialize_dpc`].
    pub unsafe fn initialize_dpc_with(
        self,
        dpc: *mut StorDpc,
        routine: HwDpcRoutine,
        context: *mut c_void,
    ) {
        // SAFETY: the caller's promise.
        unsafe { self.initialize_dpc(dpc, routine) };
        self.with(|s| s.dpcs.set_context(dpc.addr(), context.expose_provenance()));
    }

    /// StorPortInitializeHighResolutionTimer; NULL if there is none left.
    pub fn initialize_high_resolution_timer(
        self,
        routine: HwTimerEx,
        context: *mut c_void,
    ) -> *mut c_void {
        let site = self.site();
        let mut timer = std::ptr::null_mut();
        self.call((Ddi::InitializeHighResolutionTimer, 0, site), |s| {
            if !s.setup.failures.timer_and_worker
                && let Some(handle) = s.timers.allocate_high_resolution((routine, context))
            {
                timer = handle;
            }
            match timer.is_null() {
                true => StorStatus::INSUFFICIENT_RESOURCES.0,
                false => StorStatus::SUCCESS.0,
            }
        });
        timer
    }

    /// Sets (after so many nanoseconds, then with a period) or, with `None`, cancels a high-resolution timer by the
    /// routine `ddi`. Whether it was pending; `None` for a handle that is none.
    pub fn reset_timer(
        self,
        ddi: Ddi,
        timer: *mut c_void,
        times: Option<(u64, u64)>,
    ) -> Option<bool> {
        let site = self.site();
        let mut pending = None;
        self.call((ddi, u32::from(times.is_some()), site), |s| {
            let (due, period) = match times {
                Some((after, period)) => (s.time.saturating_add(after), period),
                None => (u64::MAX, 0),
            };
            let processor = s.current as u8;
            pending = s.timers.reset(timer, (due, period), processor);
            s.refresh_due();
            pending.map_or(StorStatus::INVALID_PARAMETER.0, |_| StorStatus::SUCCESS.0)
        });
        pending
    }

    /// StorPortFreeHighResolutionTimer.
    pub fn free_high_resolution_timer(self, timer: *mut c_void) -> StorStatus {
        let site = self.site();
        StorStatus(self.call((Ddi::FreeHighResolutionTimer, 0, site), |s| {
            let status = s.timers.free_timer(timer);
            s.refresh_due();
            status.0
        }))
    }

    /// Whether `address` lies in the register range that the driver mapped.
    #[must_use]
    pub fn is_register(self, address: usize, bytes: usize) -> bool {
        self.with(|s| {
            let length = s.device.register_bytes() as usize;
            address
                .checked_sub(REGISTERS_AT)
                .is_some_and(|offset| offset <= length && bytes <= length - offset)
        })
    }

    /// Sets the IRQL as `mov cr8` does, the only way in which a compiled KeRaiseIrql or KeLowerIrql shows.
    pub fn write_irql(self, irql: Irql) {
        use crate::storport::Executive;
        if irql >= self.ke_get_current_irql() {
            self.ke_raise_irql(irql);
        } else {
            self.ke_lower_irql(irql);
        }
    }

    /// Tells the sink of something at this handle's site.
    pub fn tell(self, kind: Kind) {
        let site = self.site();
        self.act(|s| s.emit(site, kind));
    }
}
