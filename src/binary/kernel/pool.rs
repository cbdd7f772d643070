//! Pool by the executive's routines. Paged memory is not, but must not be asked for where it could be.

use crate::binary::frame::Call;
use crate::event::Sink;
use crate::storport::Ddi;

/// Of POOL_TYPE: paged, and filled with zeroes.
const PAGED: u32 = 1;
const ZEROED: u32 = 0x400;
/// Of POOL_FLAGS.
const FLAG_UNINITIALIZED: u64 = 0x2;
const FLAG_PAGED: u64 = 0x100;

pub(super) fn allocate<S: Sink + 'static>(call: &Call<S>) -> usize {
    let kind = call.u32(0);
    take(call, kind & PAGED != 0, kind & ZEROED != 0)
}

/// ExAllocatePool2 and ExAllocatePool3: flags, and zeroes unless a flag refuses them.
pub(super) fn allocate2<S: Sink + 'static>(call: &Call<S>) -> usize {
    let flags = call.u64(0);
    take(call, flags & FLAG_PAGED != 0, flags & FLAG_UNINITIALIZED == 0)
}

fn take<S: Sink + 'static>(call: &Call<S>, paged: bool, zeroed: bool) -> usize {
    let bytes = call.word(1);
    let ddi = if paged { Ddi::ExAllocatePoolPaged } else { Ddi::ExAllocatePool };
    let address = call.port().allocate(ddi, bytes);
    if zeroed && !address.is_null() {
        // SAFETY: the block has that many bytes, and the driver does not know it yet.
        unsafe { address.cast::<u8>().write_bytes(0, bytes) };
    }
    address.addr()
}

pub(super) fn free<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().free(Ddi::ExFreePool, call.pointer(0));
    0
}
