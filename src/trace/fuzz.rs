//! The readers under a fuzzer: any bytes, any format.

use super::compose::{Points, Weave, compose};
use super::window::Cutter;
use super::{Format, history, open, open_events};
use crate::scenario::{STEPS_MAX, Scenario, codec};

/// What the NVMe core's runs have, roughly.
const POINTS: Points = Points { start: 70, each: 20 };

/// Reads `bytes` as a trace: the first byte says in which format, the rest is the file. Bad lines are skipped. What was
/// read is cut and composed, which must give scenarios that bytes can say.
pub fn fuzz(bytes: &[u8]) {
    let Some((&first, file)) = bytes.split_first() else { return };
    let format = Format::ALL[usize::from(first) % Format::ALL.len()];
    let Ok(mut source) = open(format, Box::new(file)) else { return };
    let mut cutter = Cutter::new(STEPS_MAX, 0);
    loop {
        match source.next() {
            Ok(Some(request)) => cutter.push(request),
            Ok(None) => break,
            Err(error) if error.fatal => break,
            Err(_) => {}
        }
    }
    let (windows, ..) = cutter.finish();
    for window in &windows {
        reads_back(&compose(window, Weave::Woven(POINTS), 0));
    }
    if format == Format::Events
        && let Ok(mut lines) = open_events(Box::new(file))
    {
        history::read(&mut lines).iter().for_each(reads_back);
    }
}

fn reads_back(scenario: &Scenario) {
    let mut written = Vec::new();
    codec::encode(scenario, &mut written);
    assert!(codec::decode(&written) == *scenario, "a seed that reads back as another");
}
