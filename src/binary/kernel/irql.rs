//! IRQLs by routine; what headers inline is `mov` to and from cr8, which is emulated.

use crate::binary::frame::Call;
use crate::event::Sink;
use crate::storport::{Executive, Irql};

pub(super) fn get<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.machine().map_or(0, |port| port.ke_get_current_irql().0.into())
}

pub(super) fn raise<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().ke_raise_irql(Irql(call.u8(0))).0.into()
}

pub(super) fn raise_to_dpc_level<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().ke_raise_irql(Irql::DISPATCH).0.into()
}

pub(super) fn lower<S: Sink + 'static>(call: &Call<S>) -> usize {
    call.port().ke_lower_irql(Irql(call.u8(0)));
    0
}
