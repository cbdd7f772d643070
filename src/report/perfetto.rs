//! A run as a Chrome trace: JSON that <https://ui.perfetto.dev> and chrome://tracing open.
//!
//! Format: <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>. A thread is a virtual
//! processor, callbacks and locks are durations, everything else that happens is an instant. Times are virtual;
//! events of one time are set a nanosecond apart, so that their order shows.

use serde_json::{Value, json};

use super::timeline::{Lane, Timeline};

/// Renders a timeline.
#[must_use]
pub fn render(driver: &str, timeline: &Timeline) -> Value {
    let clock = Clock::new(&timeline.times);
    let mut events =
        vec![json!({ "ph": "M", "pid": 1, "name": "process_name", "args": { "name": driver } })];
    for lane in &timeline.lanes {
        let name = format!("cpu {}", lane.processor);
        events.push(json!({ "ph": "M", "pid": 1, "tid": lane.processor, "name": "thread_name",
            "args": { "name": name } }));
        durations(lane, &clock, &mut events);
    }
    for (at, row) in timeline.rows.iter().enumerate() {
        events
            .push(json!({ "ph": "i", "s": "t", "pid": 1, "tid": row.processor, "ts": clock.at(at),
            "name": row.what, "args": { "site": row.site, "irql": row.irql } }));
    }
    for (id, arrow) in timeline.arrows.iter().enumerate() {
        for (phase, (processor, at)) in [("s", arrow.from), ("f", arrow.to)] {
            events.push(json!({ "ph": phase, "bp": "e", "id": id, "cat": arrow.kind, "pid": 1,
                "tid": processor, "ts": clock.at(at), "name": arrow.label }));
        }
    }
    for mark in &timeline.marks {
        events.push(json!({ "ph": "i", "s": "g", "pid": 1, "tid": mark.processor,
            "ts": clock.at(mark.at), "name": mark.text }));
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events })
}

fn durations(lane: &Lane, clock: &Clock, events: &mut Vec<Value>) {
    for call in &lane.callbacks {
        events.push(json!({ "ph": "X", "pid": 1, "tid": lane.processor, "cat": "callback",
            "ts": clock.at(call.from), "dur": clock.between(call.from, call.to), "name": call.label }));
    }
    for (id, lock) in lane.locks.iter().enumerate() {
        // Locks need not nest, so they are asynchronous slices.
        let id = format!("{}.{id}", lane.processor);
        let name = format!("{} on cpu {}", lock.label, lane.processor);
        for (phase, at) in [("b", lock.taken.unwrap_or(lock.asked)), ("e", lock.to)] {
            events.push(
                json!({ "ph": phase, "id": id, "cat": "lock", "pid": 1, "tid": lane.processor,
                "ts": clock.at(at), "name": name, "args": { "site": lock.site } }),
            );
        }
    }
}

/// Microseconds, each event later than the one before.
struct Clock {
    ns: Vec<u64>,
}

impl Clock {
    fn new(times: &[u64]) -> Clock {
        let mut last = 0;
        let ns = times
            .iter()
            .map(|&time| {
                last = time.max(last + 1);
                last
            })
            .collect();
        Clock { ns }
    }

    fn ns(&self, at: usize) -> u64 {
        let last = self.ns.last().copied().unwrap_or_default();
        self.ns.get(at).copied().unwrap_or(last + 1)
    }

    fn at(&self, at: usize) -> f64 {
        self.ns(at) as f64 / 1000.0
    }

    fn between(&self, from: usize, to: usize) -> f64 {
        (self.ns(to) - self.ns(from)) as f64 / 1000.0
    }
}
