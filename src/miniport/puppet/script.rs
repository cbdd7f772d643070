//! The words of a script: which DDI call the puppet makes, in which of its callbacks, with what.
//!
//! A [`Call`] is plain data of seven small fields. Its operands are numbers of things that the puppet
//! owns (handle slots, DPC objects, executive locks, timers), brought down to how many there are, so every
//! call can be played; whether it is *legal* is for the rules to say.

use super::op::Op;
use crate::event::Routine;

/// Slots for what one lock call leaves behind for another: 0 to 3 lie in the stack frame of the callback
/// that plays, fresh for each, as in most drivers; 4 to 7 lie in the device extension, for all callbacks on
/// all processors.
pub const SLOTS: usize = 8;
/// The first slot that all callbacks share.
pub const FIRST_SHARED_SLOT: usize = 4;
/// STOR_DPC objects of the puppet, and as many places to copy them to. A larger number means one of those
/// that are initialised.
pub const DPCS: usize = 8;
/// How many of them HwStorPassiveInitializeRoutine initialises.
pub const DPCS_INITIALIZED: usize = 4;
/// Executive spin locks of the puppet. A larger number means one of those that are initialised.
pub const EXECUTIVE_LOCKS: usize = 8;
/// How many of them HwStorFindAdapter initialises.
pub const EXECUTIVE_LOCKS_INITIALIZED: usize = 4;
/// Largest [`Call::argument`].
pub const ARGUMENT_MAX: u8 = 127;

/// What the puppet is to do: the HwContext of its HwStorFindAdapter.
///
/// Whoever makes one owns it and the calls behind it, and keeps both in place and unchanged for as long
/// as the adapter lives.
#[repr(C)]
#[derive(Debug)]
pub struct Script {
    /// The calls, in the order in which they are played.
    pub calls: *const Call,
    /// How many.
    pub count: u32,
}

impl Script {
    /// The script of these calls.
    #[must_use]
    pub const fn new(calls: &[Call]) -> Script {
        Script { calls: calls.as_ptr(), count: calls.len() as u32 }
    }
}

/// One line of a script: in callback `routine`, on the invocations that `when` names, do `op`.
///
/// Lines that are addressed to the same routine are played in the order in which they stand. In a
/// scenario's text a line names what its `op` uses and leaves out what has its first value:
/// `Script(routine: Dpc, op: Acquire, lock: Interrupt)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "host", serde(deny_unknown_fields))]
pub struct Call {
    /// The callback that plays it.
    pub routine: Routine,
    /// On which invocations of that callback.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub when: When,
    /// What to do.
    pub op: Op,
    /// The kind of lock that [`Op::Acquire`], [`Op::AcquireEx`] and [`Op::RelabelHandle`] name.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub lock: LockName,
    /// Which STOR_DPC, message or other object a pointer argument really names.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub context: Context,
    /// Handle, timer, worker or pool slot, modulo how many there are.
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub slot: u8,
    /// The number that the op takes: of a DPC, message or executive lock, or an amount, up to
    /// [`ARGUMENT_MAX`].
    #[cfg_attr(feature = "host", serde(default, skip_serializing_if = "is_first"))]
    pub argument: u8,
}

/// Whether a field has its first value, which text leaves out.
#[cfg(feature = "host")]
fn is_first<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Call {
    /// A call of `op` in every invocation of `routine`, with the first value of every operand.
    #[must_use]
    pub const fn new(routine: Routine, op: Op) -> Call {
        Call {
            routine,
            when: When::Always,
            op,
            lock: LockName::Invalid,
            context: Context::Proper,
            slot: 0,
            argument: 0,
        }
    }

    /// The same call on other invocations.
    #[must_use]
    pub const fn when(self, when: When) -> Call {
        Call { when, ..self }
    }

    /// The same call, naming `lock`.
    #[must_use]
    pub const fn lock(self, lock: LockName) -> Call {
        Call { lock, ..self }
    }

    /// The same call with another context.
    #[must_use]
    pub const fn context(self, context: Context) -> Call {
        Call { context, ..self }
    }

    /// The same call with another slot.
    #[must_use]
    pub const fn slot(self, slot: u8) -> Call {
        Call { slot, ..self }
    }

    /// The same call with another argument.
    #[must_use]
    pub const fn argument(self, argument: u8) -> Call {
        Call { argument, ..self }
    }

    /// The call without the operands that its op ignores, and with the others within their bounds: the one
    /// form of all calls that do the same.
    #[must_use]
    pub const fn canonical(self) -> Call {
        let plain = Call::new(self.routine, self.op).when(self.when);
        let uses = self.op.operands();
        Call {
            lock: if uses.lock { self.lock } else { plain.lock },
            context: if uses.context { self.context } else { plain.context },
            slot: if uses.slot { self.slot % SLOTS as u8 } else { plain.slot },
            argument: if !uses.argument {
                plain.argument
            } else if self.argument > ARGUMENT_MAX {
                ARGUMENT_MAX
            } else {
                self.argument
            },
            ..plain
        }
    }
}

/// Completes each request in HwStorStartIo, as the puppet does by itself.
impl Default for Call {
    fn default() -> Self {
        Call::new(Routine::StartIo, Op::Complete)
    }
}

/// On which invocations of its callback a call is played, counted over the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum When {
    /// On every one.
    #[default]
    Always,
    /// On the first.
    First,
    /// On the second.
    Second,
    /// On the third.
    Third,
    /// On all but the first.
    AfterFirst,
    /// On the first, third, fifth ...
    EveryOther,
}

impl When {
    /// Every value.
    pub const ALL: [When; 6] =
        [When::Always, When::First, When::Second, When::Third, When::AfterFirst, When::EveryOther];

    /// Whether the invocation with this number, counted from 0, is one of them.
    #[must_use]
    pub const fn fits(self, invocation: u32) -> bool {
        match self {
            When::Always => true,
            When::First => invocation == 0,
            When::Second => invocation == 1,
            When::Third => invocation == 2,
            When::AfterFirst => invocation > 0,
            When::EveryOther => invocation.is_multiple_of(2),
        }
    }
}

/// A STOR_SPINLOCK value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum LockName {
    /// InvalidLock, 0.
    #[default]
    Invalid,
    /// StartIoLock.
    StartIo,
    /// InterruptLock.
    Interrupt,
    /// DpcLock of DPC number `argument`.
    Dpc,
    /// ThreadedDpcLock of DPC number `argument`.
    ThreadedDpc,
    /// DpcLevelLock of DPC number `argument`.
    DpcLevel,
    /// A value past the last that exists.
    Unknown,
}

impl LockName {
    /// Every value.
    pub const ALL: [LockName; 7] = [
        LockName::Invalid,
        LockName::StartIo,
        LockName::Interrupt,
        LockName::Dpc,
        LockName::ThreadedDpc,
        LockName::DpcLevel,
        LockName::Unknown,
    ];
}

/// Which object a call is really given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Context {
    /// The one that the documentation asks for: NULL with StartIoLock and InterruptLock, else the object
    /// that `argument` numbers.
    #[default]
    Proper,
    /// The one that the callback is about, plus `argument`: in HwStorDpcRoutine the DPC that runs, in
    /// HwMSInterruptRoutine the message that came. Elsewhere as `Proper`.
    Own,
    /// NULL.
    Null,
    /// The STOR_DPC that `argument` numbers, also where NULL is required.
    Dpc,
    /// Where [`Op::CopyDpc`] copied that STOR_DPC to.
    Copy,
    /// A zeroed STOR_DPC outside the device extension.
    Foreign,
}

impl Context {
    /// Every value.
    pub const ALL: [Context; 6] = [
        Context::Proper,
        Context::Own,
        Context::Null,
        Context::Dpc,
        Context::Copy,
        Context::Foreign,
    ];
}
