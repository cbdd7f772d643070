//! A run's events as a table for the author of a driver.

use serde::Serialize;

use super::output::Output;
use crate::event::{Event, Kind, PROCESSORS_MAX};
use crate::report::words::{place, what};
use crate::storport::Irql;

/// What stands above the tables.
const LEGEND: &str = "\
time   virtual time since the start, in microseconds
cpu    one column a processor: its number where it happened; elsewhere | inside a callback,
       w waiting for a lock, . neither
irql   of that processor just before: P PASSIVE_LEVEL, A APC_LEVEL, D DISPATCH_LEVEL, d3 to d11 device
       level (DIRQL), H HIGH_LEVEL
event  indented by nested callbacks; > callback entered, < left, + lock acquired, - released, ? waits,
       ~ shared memory touched, * issued by StorPort or the device, ! what a rule may object to, = the run itself
site   where in the driver
";

/// Widest event text before the column of sites gives way.
const EVENT_WIDTH: usize = 64;

/// Writes what the columns and signs of a table mean.
pub(super) fn write_legend(output: &mut Output) {
    output.text(LEGEND);
}

/// Writes a table of events.
pub(super) fn write(events: &[Event], processors: usize, output: &mut Output) {
    let mut lanes = Lanes::new(processors);
    output.line(format_args!(
        "\n{:>13} {:lanes$} {:4} {:EVENT_WIDTH$} site",
        "time",
        "cpu",
        "irql",
        "event",
        lanes = lanes.width(),
    ));
    for event in events {
        let picture = lanes.after(event);
        let text = format!("{:indent$}{}", "", what(event), indent = indent(event));
        let site = place(event.site);
        let line = format!(
            "{:>13} {picture:lanes$} {:4} {text:EVENT_WIDTH$} {site}",
            microseconds(event.time),
            irql(event.irql),
            lanes = lanes.width(),
        );
        output.line(line.trim_end());
    }
}

fn microseconds(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}

/// Two columns for each callback that the event is inside of; the callback's own beginning and end stand
/// outside.
fn indent(event: &Event) -> usize {
    let inside = match event.kind {
        Kind::Entered { .. } | Kind::Left { .. } => event.depth.saturating_sub(1),
        _ => event.depth,
    };
    2 * usize::from(inside)
}

fn irql(irql: Irql) -> String {
    match irql {
        Irql::PASSIVE => "P".into(),
        Irql::APC => "A".into(),
        Irql::DISPATCH => "D".into(),
        Irql::HIGH => "H".into(),
        level if level.is_device() => format!("d{}", level.0),
        level => level.0.to_string(),
    }
}

/// What every processor is doing, as one character each.
struct Lanes {
    lanes: [char; PROCESSORS_MAX],
    processors: usize,
}

impl Lanes {
    fn new(processors: usize) -> Lanes {
        Lanes { lanes: ['.'; PROCESSORS_MAX], processors: processors.clamp(1, PROCESSORS_MAX) }
    }

    /// As wide as its heading at least.
    fn width(&self) -> usize {
        self.processors.max("cpu".len())
    }

    /// The picture of this event; remembers what its processor does from now on.
    fn after(&mut self, event: &Event) -> String {
        let at = usize::from(event.processor).min(self.processors - 1);
        self.lanes[at] = match event.kind {
            Kind::LockWaited { .. } => 'w',
            Kind::Left { .. } if event.depth <= 1 => '.',
            Kind::Entered { .. } => '|',
            _ if event.depth == 0 => '.',
            _ => '|',
        };
        let mut picture: Vec<char> = self.lanes[..self.processors].to_vec();
        picture[at] = char::from_digit(u32::from(event.processor), 10).unwrap_or('?');
        picture.into_iter().collect()
    }
}

/// An event for programs.
#[derive(Serialize)]
pub(super) struct Row {
    time_ns: u64,
    processor: u8,
    irql: u8,
    depth: u8,
    what: String,
    site: String,
}

impl Row {
    pub(super) fn new(event: &Event) -> Row {
        Row {
            time_ns: event.time,
            processor: event.processor,
            irql: event.irql.0,
            depth: event.depth,
            what: what(event),
            site: event.site.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cause, Lock, LockApi, Routine, Site};

    fn event(processor: u8, depth: u8, kind: Kind) -> Event {
        Event { time: 1_500, site: Site::Port, kind, processor, irql: Irql::DISPATCH, depth }
    }

    #[test]
    fn lanes_show_what_every_processor_does() {
        let mut lanes = Lanes::new(3);
        let enter = Kind::Entered { routine: Routine::StartIo, subject: 0 };
        let wait = Kind::LockWaited { lock: Lock::StartIo, api: LockApi::Spin, holder: 0 };
        let leave = Kind::Left { routine: Routine::StartIo, result: 1, busy_ns: 0 };
        assert_eq!(lanes.after(&event(0, 1, enter)), "0..");
        assert_eq!(lanes.after(&event(2, 1, enter)), "|.2");
        assert_eq!(lanes.after(&event(2, 1, wait)), "|.2");
        assert_eq!(lanes.after(&event(0, 1, leave)), "0.w");
        assert_eq!(lanes.after(&event(1, 0, Kind::Quiescing)), ".1w");
    }

    #[test]
    fn callbacks_are_indented_by_what_is_around_them() {
        let enter = Kind::Entered { routine: Routine::Dpc, subject: 3 };
        assert_eq!(indent(&event(0, 1, enter)), 0);
        assert_eq!(indent(&event(0, 2, enter)), 2);
        assert_eq!(indent(&event(0, 1, Kind::Crashed { cause: Cause::Panic })), 2);
    }
}
