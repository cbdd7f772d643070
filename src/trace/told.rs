//! Statistics in words and bars, for a terminal.

use std::fmt::Write;

use super::stats::{Bar, Stats};
use super::{Format, Operation, Seeded};
use crate::report::number::{counted, grouped};

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Processors and units listed by number.
const LISTED_MAX: usize = 16;

/// What a trace held and what was kept, in lines.
#[must_use]
pub fn tell(format: Format, seeded: &Seeded) -> String {
    let mut text = String::new();
    let Seeded { stats, .. } = seeded;
    let mut line = |name: &str, what: String| {
        writeln!(text, "{name:<12} {what}").expect("a string takes whatever is written");
    };
    line("format", format.summary().into());
    line("requests", requests(stats));
    line("time", duration(stats.span_ns()));
    if stats.completed > 0 {
        let disorder = percent(stats.disorder, stats.completed);
        line("completions", format!("{}, {disorder} out of order", grouped(stats.completed)));
        let mean = |bar: &Bar| bar.sum / bar.count.max(1);
        line("queue depth", format!("at most {}", grouped(stats.depth_max.into())));
        line("  over time", levels(stats.depth.filled().iter().map(mean)));
        line("latency", range(&stats.latencies, duration));
        line("", levels(between(&stats.latencies).iter().copied()));
    } else {
        line("completions", "the trace tells of none".into());
    }
    line("size", range(&stats.sizes, size));
    line("", levels(between(&stats.sizes).iter().copied()));
    line("offset", format!("bars of {}", size(1 << stats.addresses.shift)));
    line("", levels(stats.addresses.filled().iter().map(|bar| bar.count)));
    line("processors", shares(&stats.processors));
    line("units", shares(&stats.units));
    if let Some(first) = &seeded.first_skipped {
        line("skipped", format!("{}, the first: {first}", counted(seeded.skipped, "line")));
    }
    line(
        "windows",
        format!(
            "{} cut, {} of different shape kept, {} replayed",
            grouped(seeded.windows_cut),
            grouped(seeded.windows.len() as u64),
            counted(seeded.executions, "scenario")
        ),
    );
    text
}

/// The requests by kind.
pub(super) fn requests(stats: &Stats) -> String {
    let parts: Vec<String> = Operation::NAMES
        .iter()
        .zip(stats.operations)
        .filter(|&(_, count)| count > 0)
        .map(|(name, count)| format!("{} {name}", grouped(count)))
        .collect();
    let failed = match stats.failed {
        0 => String::new(),
        failed => format!("; {} failed", grouped(failed)),
    };
    format!("{}: {}{failed}", grouped(stats.requests()), parts.join(", "))
}

/// The part of `counts` that is not zero, with the ends.
pub(super) fn between(counts: &[u64]) -> &[u64] {
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let end = counts.iter().rposition(|&count| count > 0).map_or(first, |last| last + 1);
    &counts[first..end]
}

/// From which power of two to which.
fn range(counts: &[u64], name: impl Fn(u64) -> String) -> String {
    let first = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let last = first + between(counts).len().max(1);
    format!("{} to {}, bars of powers of two", name(1 << first), name(1 << last))
}

fn levels(values: impl Iterator<Item = u64>) -> String {
    let values: Vec<u64> = values.collect();
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let level = |value: u64| match value {
        0 => ' ',
        value => LEVELS[(u128::from(value) * 7 / u128::from(most)) as usize],
    };
    values.into_iter().map(level).collect()
}

fn shares<K: std::fmt::Display>(counts: &std::collections::BTreeMap<K, u64>) -> String {
    let all: u64 = counts.values().sum();
    if all == 0 {
        return "unknown".into();
    }
    let listed = counts.iter().take(LISTED_MAX);
    let mut parts: Vec<String> =
        listed.map(|(name, &count)| format!("{name}: {}", percent(count, all))).collect();
    if counts.len() > LISTED_MAX {
        parts.push("...".into());
    }
    format!("{} ({})", grouped(counts.len() as u64), parts.join(", "))
}

pub(super) fn percent(part: u64, whole: u64) -> String {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(1));
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// Bytes in the largest unit that leaves a whole number, or nearly.
pub(super) fn size(bytes: u64) -> String {
    let power = (bytes.max(1).ilog2() / 10).min(6);
    let unit = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"][power as usize];
    format!("{} {unit}", bytes >> (10 * power))
}

/// Nanoseconds in a fitting unit.
pub(super) fn duration(nanoseconds: u64) -> String {
    let (value, unit) = match nanoseconds {
        0..10_000 => return format!("{nanoseconds} ns"),
        10_000..10_000_000 => (nanoseconds / 1000, "us"),
        10_000_000..10_000_000_000 => (nanoseconds / 1_000_000, "ms"),
        _ => (nanoseconds / 1_000_000_000, "s"),
    };
    format!("{} {unit}", grouped(value))
}
