//! The miniport that plays lock calls which the scenario scripts, so that every mistake is possible.

mod script;

pub use script::{
    Call, Context, DPCS, DPCS_INITIALIZED, EXECUTIVE_LOCKS, EXECUTIVE_LOCKS_INITIALIZED,
    FIRST_SHARED_SLOT, LockName, Op, Operands, SLOTS, Script, When,
};
