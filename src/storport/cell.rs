//! Memory that several processors reach: the fields of a device extension.
//!
//! A device extension is one block of memory that every callback, on every processor, gets a pointer
//! to. What orders the accesses is the driver's locks, which the compiler does not know; so fields are
//! [`Shared`] cells whose accesses name the port, and each access is one plain load or store. A field that is its own
//! order, because several processors change it by interlocked operations, is an [`Interlocked`] cell.

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::dpc::StorDpc;
use super::port::StorPort;
use super::touch::Touch;

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

/// What an [`Interlocked`] cell can hold.
pub trait Word: Copy + PartialEq {
    /// Its atomic form.
    type Atomic;

    /// The atomic with a first value.
    fn atomic(self) -> Self::Atomic;
    /// Reads.
    fn load(atomic: &Self::Atomic, order: Ordering) -> Self;
    /// Writes.
    fn store(atomic: &Self::Atomic, value: Self, order: Ordering);
    /// Writes, and returns what was there.
    fn swap(atomic: &Self::Atomic, value: Self, order: Ordering) -> Self;
    /// Writes `new` if `old` is there; else says what is.
    fn exchange(atomic: &Self::Atomic, old: Self, new: Self, order: Ordering)
    -> Result<Self, Self>;
}

macro_rules! word {
    ($([$($generic:ident)?] $word:ty, $atomic:ty;)*) => {$(
        impl$(<$generic>)? Word for $word {
            type Atomic = $atomic;

            fn atomic(self) -> Self::Atomic {
                <$atomic>::new(self)
            }

            #[inline]
            fn load(atomic: &Self::Atomic, order: Ordering) -> Self {
                atomic.load(order)
            }

            #[inline]
            fn store(atomic: &Self::Atomic, value: Self, order: Ordering) {
                atomic.store(value, order);
            }

            #[inline]
            fn swap(atomic: &Self::Atomic, value: Self, order: Ordering) -> Self {
                atomic.swap(value, order)
            }

            #[inline]
            fn exchange(
                atomic: &Self::Atomic,
                old: Self,
                new: Self,
                order: Ordering,
            ) -> Result<Self, Self> {
                atomic.compare_exchange(old, new, order, Ordering::SeqCst)
            }
        }
    )*};
}

word! {
    [] bool, AtomicBool;
    [] u8, AtomicU8;
    [] u32, AtomicU32;
    [] u64, AtomicU64;
    [T] *mut T, AtomicPtr<T>;
}

/// A field that processors read and change without a lock, by operations that cannot be torn.
///
/// On real StorPort it is an atomic and costs no more; where processors take turns on one thread
/// ([`StorPort::TAKES_TURNS`]), plain loads and stores do. Each access passes the port, so that a checking port knows
/// what it orders.
#[repr(transparent)]
pub struct Interlocked<T: Word>(T::Atomic);

impl<T: Word> Interlocked<T> {
    /// A field with a first value.
    pub fn new(value: T) -> Self {
        Interlocked(value.atomic())
    }

    /// Reads the field.
    #[inline]
    #[track_caller]
    pub fn load<P: StorPort>(&self, port: P, order: Ordering) -> T {
        self.tell(port, if is_relaxed(order) { Touch::LoadRelaxed } else { Touch::Load });
        T::load(&self.0, order)
    }

    /// Writes the field.
    #[inline]
    #[track_caller]
    pub fn store<P: StorPort>(&self, port: P, value: T, order: Ordering) {
        self.tell(port, if is_relaxed(order) { Touch::StoreRelaxed } else { Touch::Store });
        T::store(&self.0, value, if P::TAKES_TURNS { Ordering::Relaxed } else { order });
    }

    /// Writes the field and returns what was there: InterlockedExchange.
    #[inline]
    #[track_caller]
    pub fn swap<P: StorPort>(&self, port: P, value: T) -> T {
        self.tell(port, Touch::Interlocked);
        if P::TAKES_TURNS {
            let before = self.plain();
            T::store(&self.0, value, Ordering::Relaxed);
            return before;
        }
        T::swap(&self.0, value, Ordering::SeqCst)
    }

    /// Writes `new` if `old` is there: InterlockedCompareExchange.
    ///
    /// # Errors
    ///
    /// Says what is there instead; then nothing has changed.
    #[inline]
    #[track_caller]
    pub fn exchange<P: StorPort>(&self, port: P, old: T, new: T) -> Result<T, T> {
        self.tell(port, Touch::Interlocked);
        if P::TAKES_TURNS {
            let before = self.plain();
            if before != old {
                return Err(before);
            }
            T::store(&self.0, new, Ordering::Relaxed);
            return Ok(before);
        }
        T::exchange(&self.0, old, new, Ordering::SeqCst)
    }

    #[inline]
    fn plain(&self) -> T {
        T::load(&self.0, Ordering::Relaxed)
    }

    #[inline]
    #[track_caller]
    fn tell<P: StorPort>(&self, port: P, touch: Touch) {
        let address: *const c_void = (&raw const self.0).cast();
        port.memory_interlocked(address, size_of::<T::Atomic>(), touch);
    }
}

impl Interlocked<u32> {
    /// Adds to the field, in no order with anything else, and returns what was there.
    #[inline]
    #[track_caller]
    pub fn add_relaxed<P: StorPort>(&self, port: P, value: u32) -> u32 {
        self.tell(port, Touch::InterlockedRelaxed);
        if P::TAKES_TURNS {
            let before = self.plain();
            self.0.store(before.wrapping_add(value), Ordering::Relaxed);
            return before;
        }
        self.0.fetch_add(value, Ordering::Relaxed)
    }
}

impl<T: Word> fmt::Debug for Interlocked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interlocked(..)")
    }
}

const fn is_relaxed(order: Ordering) -> bool {
    matches!(order, Ordering::Relaxed)
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
