//! The lock routines of StorPort, told of: what is asked for, who stands in the way, with which handle it ends.

use super::Hooks;
use super::book::{Book, Given};
use super::tell::{Call, Checked};
use crate::event::{Handle, Interrupts, Kind, Lock, LockApi, LockMisuse, MESSAGES_MAX};
use crate::storport::{Executive, Irql, StorDpc, StorLockHandle, StorSpinlock, StorStatus};

impl<P: Executive, H: Hooks<P>> Checked<P, H> {
    /// The number of a DPC that is initialised, and whose memory still says so.
    pub(super) fn usable_dpc(self, dpc: *const StorDpc) -> Option<u8> {
        let number = self.header().dpc(dpc)?;
        // SAFETY: it was initialised at this address, and an extension outlives its calls.
        (unsafe { (*dpc).kind } != 0).then_some(number)
    }

    /// Which lock StorPortAcquireSpinLock(Ex) is asked for.
    fn asked(
        self,
        (kind, is_ex): (StorSpinlock, bool),
        context: *const StorDpc,
    ) -> Result<(Lock, LockApi), LockMisuse> {
        let api = if is_ex { LockApi::SpinEx } else { LockApi::Spin };
        let dpc = || {
            self.usable_dpc(context).map(Lock::Dpc).ok_or_else(|| {
                // SAFETY: read only if it is not NULL; StorPort itself is about to read it.
                let kind = if context.is_null() { 0 } else { unsafe { (*context).kind } };
                Book::dpc_misuse(context, kind)
            })
        };
        match kind {
            StorSpinlock::DPC => Ok((dpc()?, api)),
            StorSpinlock::START_IO => Ok((Lock::StartIo, api)),
            StorSpinlock::INTERRUPT => Ok((Lock::Interrupt, api)),
            StorSpinlock::THREADED_DPC | StorSpinlock::DPC_LEVEL if !is_ex => {
                Err(LockMisuse::ExOnlyKind)
            }
            StorSpinlock::THREADED_DPC => Ok((dpc()?, LockApi::ThreadedDpc)),
            StorSpinlock::DPC_LEVEL => Ok((dpc()?, LockApi::DpcLevel)),
            _ => Err(LockMisuse::UnknownKind),
        }
    }

    /// Tells that a lock is held by somebody, if the book knows it to be; the acquire may never return.
    pub(super) fn wait(self, call: &Call<P>, lock: Lock, api: LockApi) -> bool {
        let mut waits = false;
        self.tell(call, |book, slot| {
            let holder = book.holder(lock, slot)?;
            waits = true;
            Some(Kind::LockWaited { lock, api, holder })
        });
        waits
    }

    /// Tells of an acquire that has returned.
    pub(super) fn acquired(
        self,
        call: &Call<P>,
        (lock, api, contended): (Lock, LockApi, bool),
        handle: Option<(usize, StorLockHandle)>,
    ) {
        let irql = call.port.ke_get_current_irql();
        self.tell(call, |book, slot| {
            book.acquire(slot, lock, (api, call.irql), handle);
            Some(Kind::LockAcquired { lock, api, irql, contended })
        });
    }

    fn misused(self, call: &Call<P>, api: LockApi, release: bool, misuse: LockMisuse) {
        self.tell(call, |_, _| Some(Kind::LockMisused { api, release, misuse }));
    }

    /// StorPortAcquireSpinLock and StorPortAcquireSpinLockEx.
    ///
    /// # Safety
    ///
    /// As for [`StorPort::acquire_spin_lock`](crate::storport::StorPort::acquire_spin_lock).
    pub(super) unsafe fn acquire(
        self,
        call: &Call<P>,
        (kind, is_ex): (StorSpinlock, bool),
        context: *mut StorDpc,
        handle: *mut StorLockHandle,
    ) -> StorStatus {
        let asked = if self.is_unwatched() {
            Err(LockMisuse::UnknownKind)
        } else {
            self.asked((kind, is_ex), context)
        };
        let plain = if is_ex { LockApi::SpinEx } else { LockApi::Spin };
        let takes_none = matches!(kind, StorSpinlock::START_IO | StorSpinlock::INTERRUPT);
        if takes_none && !context.is_null() {
            self.tell(call, |_, _| Some(Kind::ContextIgnored { api: plain }));
        }
        let contended = match asked {
            Ok((lock, api)) if !self.will_be_refused(call, kind, is_ex) => {
                self.wait(call, lock, api)
            }
            Ok(_) => false,
            Err(misuse) => {
                self.misused(call, plain, false, misuse);
                false
            }
        };
        // SAFETY: the caller's promise.
        let status = unsafe {
            if is_ex {
                call.port.acquire_spin_lock_ex(kind, context, handle)
            } else {
                call.port.acquire_spin_lock(kind, context, handle);
                StorStatus::SUCCESS
            }
        };
        match (asked, status) {
            (Ok((lock, api)), StorStatus::SUCCESS) => {
                // SAFETY: StorPort has just filled it.
                let contents = unsafe { handle.read() };
                let filled = Some((handle.addr(), StorLockHandle { lock: kind, ..contents }));
                self.acquired(call, (lock, api, contended), filled);
            }
            (Ok((_, api)), status) => {
                self.tell(call, |_, _| Some(Kind::LockRefused { api, status }))
            }
            (Err(_), _) => {}
        }
        status
    }

    /// StorPortAcquireSpinLockEx refuses what is requested above the lock's level, so nobody waits.
    fn will_be_refused(self, call: &Call<P>, kind: StorSpinlock, is_ex: bool) -> bool {
        let above = match kind {
            StorSpinlock::INTERRUPT => call.irql > Irql::DEVICE_HIGHEST,
            StorSpinlock::DPC_LEVEL => false,
            _ => call.irql > Irql::DISPATCH,
        };
        is_ex && above
    }

    /// StorPortReleaseSpinLock.
    ///
    /// # Safety
    ///
    /// As for [`StorPort::release_spin_lock`](crate::storport::StorPort::release_spin_lock).
    pub(super) unsafe fn release(self, call: &Call<P>, handle: *mut StorLockHandle) {
        // SAFETY: the caller's promise.
        let contents = unsafe { handle.read() };
        let api = LockApi::Spin;
        self.tell(call, |book, slot| {
            Some(match book.given(handle.addr(), &contents) {
                Some(given) => book.release(slot, api, &given),
                None => {
                    let misuse = LockMisuse::HandleNeverAcquired;
                    Kind::LockMisused { api, release: true, misuse }
                }
            })
        });
        // SAFETY: the caller's promise.
        unsafe { call.port.release_spin_lock(handle) };
    }

    /// What is wrong with a message for a MSI lock.
    fn message_misuse(self, message: u32) -> Option<LockMisuse> {
        let mode = self.look(|book| book.adapter.interrupts)?;
        match mode {
            Interrupts::PerMessage if (message as usize) < MESSAGES_MAX => None,
            Interrupts::PerMessage => Some(LockMisuse::MessageOutOfRange),
            _ => Some(LockMisuse::NotPerMessage),
        }
    }

    /// StorPortAcquireMSISpinLock.
    pub(super) fn acquire_msi(
        self,
        call: &Call<P>,
        message: u32,
        old_irql: &mut u32,
    ) -> StorStatus {
        let (api, lock) = (LockApi::Msi, Lock::Message(message as u8 % MESSAGES_MAX as u8));
        let misuse = self.message_misuse(message);
        let contended = misuse.is_none() && self.wait(call, lock, api);
        if let Some(misuse) = misuse {
            self.misused(call, api, false, misuse);
        }
        let status = call.port.acquire_msi_spin_lock(message, old_irql);
        match (misuse, status) {
            (None, StorStatus::SUCCESS) => self.acquired(call, (lock, api, contended), None),
            // How many messages were granted, only StorPort knows.
            (None, _) => self.misused(call, api, false, LockMisuse::MessageOutOfRange),
            _ => {}
        }
        status
    }

    /// StorPortReleaseMSISpinLock.
    pub(super) fn release_msi(self, call: &Call<P>, message: u32, old_irql: u32) -> StorStatus {
        let (api, lock) = (LockApi::Msi, Lock::Message(message as u8 % MESSAGES_MAX as u8));
        match self.message_misuse(message) {
            Some(misuse) => self.misused(call, api, true, misuse),
            None => self.tell(call, |book, slot| {
                let held = book.held(lock);
                let other = held.is_taken() && !matches!(held.api, LockApi::Msi | LockApi::Port);
                let handle = if other { Handle::OtherApi } else { Handle::Same };
                Some(book.release(slot, api, &Given { lock, handle, irql: Irql(old_irql as u8) }))
            }),
        }
        call.port.release_msi_spin_lock(message, old_irql)
    }

    // StorPortSynchronizeAccess.

    pub(super) fn wait_to_synchronize(self, call: &Call<P>) {
        self.wait(call, Lock::Interrupt, LockApi::Synchronize);
    }

    pub(super) fn acquired_to_synchronize(self, call: &Call<P>) {
        self.acquired(call, (Lock::Interrupt, LockApi::Synchronize, false), None);
    }

    pub(super) fn released_to_synchronize(self, call: &Call<P>) {
        let level = Call { irql: call.port.ke_get_current_irql(), ..*call };
        self.tell(&level, |book, slot| {
            let given = Given { lock: Lock::Interrupt, handle: Handle::Same, irql: call.irql };
            Some(book.release(slot, LockApi::Synchronize, &given))
        });
    }
}
