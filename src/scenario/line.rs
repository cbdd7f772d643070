//! A step as it stands in a text: one line, that names the step's kind and then what is special about it,
//! `Write(block: 2, blocks: 8, processor: 1)`.

use serde::{Deserialize, Serialize};

use super::step::{
    AdapterAction, Answer, At, Io, IoKind, Outcome, Query, ResetTier, Step, UnitAction,
};
use crate::miniport::puppet::Call;

/// What [`Step`] is in text.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename = "Step")]
pub(super) enum Line {
    Read(IoLine),
    Write(IoLine),
    Flush(IoLine),
    Unmap(IoLine),
    Query(What<Query>),
    Interrupt(Message),
    Reset(What<ResetTier>),
    Adapter(What<AdapterAction>),
    Unit(What<UnitAction>),
    FailAllocation(Nth),
    Wait(Nothing),
    Script(Call),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct IoLine {
    #[serde(skip_serializing_if = "is_zero")]
    block: u8,
    #[serde(skip_serializing_if = "is_one")]
    blocks: u8,
    #[serde(skip_serializing_if = "is_zero")]
    offset: u8,
    #[serde(skip_serializing_if = "is_success")]
    outcome: Outcome,
    #[serde(skip_serializing_if = "is_zero")]
    slowness: u8,
    #[serde(skip_serializing_if = "is_zero")]
    processor: u8,
    #[serde(skip_serializing_if = "is_zero")]
    gap: u8,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct What<T> {
    what: T,
    #[serde(default, skip_serializing_if = "is_zero")]
    processor: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    gap: u8,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    message: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    processor: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    gap: u8,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nth {
    nth: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    processor: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    gap: u8,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {
    #[serde(default, skip_serializing_if = "is_zero")]
    processor: u8,
    #[serde(default, skip_serializing_if = "is_zero")]
    gap: u8,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(value: &u8) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_one(value: &u8) -> bool {
    *value == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_success(value: &Outcome) -> bool {
    *value == Outcome::Success
}

impl Default for IoLine {
    fn default() -> Self {
        IoLine::new(At::default(), Io::default())
    }
}

impl IoLine {
    const fn new(at: At, io: Io) -> Self {
        let At { processor, gap } = at;
        let Io { kind: _, block, blocks, offset, answer: Answer { outcome, slowness } } = io;
        IoLine { block, blocks, offset, outcome, slowness, processor, gap }
    }

    const fn step(self, kind: IoKind) -> Step {
        let IoLine { block, blocks, offset, outcome, slowness, processor, gap } = self;
        let answer = Answer { outcome, slowness };
        Step::Io(At { processor, gap }, Io { kind, block, blocks, offset, answer })
    }
}

impl<T> What<T> {
    const fn new(at: At, what: T) -> Self {
        What { what, processor: at.processor, gap: at.gap }
    }

    fn step(self, step: fn(At, T) -> Step) -> Step {
        step(At { processor: self.processor, gap: self.gap }, self.what)
    }
}

impl From<Step> for Line {
    fn from(step: Step) -> Line {
        match step {
            Step::Io(at, io) => {
                let line = IoLine::new(at, io);
                match io.kind {
                    IoKind::Read => Line::Read(line),
                    IoKind::Write => Line::Write(line),
                    IoKind::Flush => Line::Flush(line),
                    IoKind::Unmap => Line::Unmap(line),
                }
            }
            Step::Query(at, what) => Line::Query(What::new(at, what)),
            Step::Interrupt(At { processor, gap }, message) => {
                Line::Interrupt(Message { message, processor, gap })
            }
            Step::Reset(at, what) => Line::Reset(What::new(at, what)),
            Step::Adapter(at, what) => Line::Adapter(What::new(at, what)),
            Step::Unit(at, what) => Line::Unit(What::new(at, what)),
            Step::FailAllocation(At { processor, gap }, nth) => {
                Line::FailAllocation(Nth { nth, processor, gap })
            }
            Step::Wait(At { processor, gap }) => Line::Wait(Nothing { processor, gap }),
            Step::Script(call) => Line::Script(call),
        }
    }
}

impl From<Line> for Step {
    fn from(line: Line) -> Step {
        match line {
            Line::Read(line) => line.step(IoKind::Read),
            Line::Write(line) => line.step(IoKind::Write),
            Line::Flush(line) => line.step(IoKind::Flush),
            Line::Unmap(line) => line.step(IoKind::Unmap),
            Line::Query(line) => line.step(Step::Query),
            Line::Interrupt(Message { message, processor, gap }) => {
                Step::Interrupt(At { processor, gap }, message)
            }
            Line::Reset(line) => line.step(Step::Reset),
            Line::Adapter(line) => line.step(Step::Adapter),
            Line::Unit(line) => line.step(Step::Unit),
            Line::FailAllocation(Nth { nth, processor, gap }) => {
                Step::FailAllocation(At { processor, gap }, nth)
            }
            Line::Wait(Nothing { processor, gap }) => Step::Wait(At { processor, gap }),
            Line::Script(call) => Step::Script(call),
        }
    }
}
