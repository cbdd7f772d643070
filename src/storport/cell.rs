//! Memory that several processors reach: the fields of a device extension.
//!
//! A device extension is one block of memory that every callback, on every processor, gets a pointer
//! to. What orders the accesses is the driver's locks, which the compiler does not know; so fields are
//! [`Shared`] cells whose accesses name the port, and each access is one plain load or store.

use core::cell::UnsafeCell;
use core::fmt;

use super::dpc::StorDpc;
use super::port::StorPort;

/// A field of the device extension or of a request's extension.
///
/// Costs nothing on real StorPort. Each access passes the port, so that a checking port can watch it.
#[repr(transparent)]
pub struct Shared<T: Copy>(UnsafeCell<T>);

// SAFETY: the contract of a device extension is that the miniport orders conflicting accesses with the
// locks of StorPort; breaking it is the kind of driver bug that lockstorm exists to find. Accesses are
// volatile, so that such a bug has the effect that it has in C and no more.
unsafe impl<T: Copy + Send> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    /// A field with a first value.
    pub const fn new(value: T) -> Self {
        Shared(UnsafeCell::new(value))
    }

    /// Reads the field.
    #[inline]
    #[track_caller]
    pub fn get<P: StorPort>(&self, port: P) -> T {
        port.memory_read(self.0.get().cast(), size_of::<T>());
        // SAFETY: the pointer is valid and aligned for as long as `self` is.
        unsafe { self.0.get().read_volatile() }
    }

    /// Writes the field.
    #[inline]
    #[track_caller]
    pub fn set<P: StorPort>(&self, port: P, value: T) {
        port.memory_written(self.0.get().cast(), size_of::<T>());
        // SAFETY: as in `get`; the type is `Copy`, so nothing needs to be dropped.
        unsafe { self.0.get().write_volatile(value) }
    }

    /// Where the field lies, for structures that StorPort itself fills.
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}

impl<T: Copy> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

/// A STOR_DPC inside a device extension.
#[repr(transparent)]
pub struct Dpc(UnsafeCell<StorDpc>);

// SAFETY: StorPort owns the contents between StorPortInitializeDpc and the end of the adapter, and
// orders its own accesses; the miniport passes only the address.
unsafe impl Sync for Dpc {}

impl Dpc {
    /// The address that the DDI takes.
    pub const fn as_ptr(&self) -> *mut StorDpc {
        self.0.get()
    }
}

impl fmt::Debug for Dpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dpc(..)")
    }
}
