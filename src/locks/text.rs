//! The map for a terminal.

use super::{Callback, Hold, LockMap};
use crate::report::number::{counted, grouped};
use crate::report::words::microseconds;

/// What turns on the events that the section on fields needs.
pub(super) const NO_ACCESSES: &str = "The runs told of no access to memory. A core keeps shared state in Shared cells (lockstorm::storport::Shared); a \
     compiled driver is built with clang's -fsanitize-coverage=trace-loads,trace-stores.";

/// The map in lines.
pub fn text(map: &LockMap, mut line: impl FnMut(&str)) {
    line(&title(map));
    line("");
    line("Which callbacks take which locks");
    for callback in &map.callbacks {
        line(&called(callback));
        for take in &callback.takes {
            line(&format!(
                "    takes {:14} {:>9} times, {} -> {}, holding {}{}",
                take.lock,
                grouped(take.times),
                take.from_irql,
                take.to_irql,
                take.holding,
                waited(take.waited),
            ));
            line(&format!("          by {} at {}", take.by, take.sites.join(", ")));
        }
    }
    line("");
    line("How long locks are held, in virtual time of the processor that holds them");
    for lock in &map.locks {
        let of = if lock.instances > 1 { format!(" ({})", lock.instances) } else { String::new() };
        line(&format!("  {}{of}{}", lock.lock, waited(lock.waited)));
        for (who, hold) in [("driver", &lock.driver), ("StorPort", &lock.storport)] {
            if let Some(hold) = hold {
                line(&held(who, hold));
                line(&format!("             in {}, {}", hold.longest_at, hold.longest_input));
            }
        }
    }
    waits(map, &mut line);
    orders(map, &mut line);
    fields(map, &mut line);
}

/// What the map is of.
pub(super) fn title(map: &LockMap) -> String {
    let broken = match map.broken {
        0 => String::new(),
        1 => "; one of them breaks a rule".into(),
        n => format!("; {} of them break a rule", grouped(n)),
    };
    format!(
        "Locks of {}: {}, {}, {} of virtual time{broken}",
        map.driver,
        counted(map.runs, "run"),
        counted(map.events, "event"),
        microseconds(map.virtual_ns)
    )
}

fn waited(times: u64) -> String {
    if times == 0 { String::new() } else { format!(", waited {} times", grouped(times)) }
}

fn called(callback: &Callback) -> String {
    let Callback { callback, calls, irql, under, .. } = callback;
    let under = match &under[..] {
        [only] if only == "nothing" => String::new(),
        sets => format!(", under {}", sets.join(" or ")),
    };
    format!("  {callback}: {} at {irql}{under}", counted(*calls, "call"))
}

fn held(who: &str, hold: &Hold) -> String {
    format!(
        "    by {who:9} {:>9} times: half up to {}, nine of ten up to {}, longest {} ({} on it)",
        grouped(hold.times),
        microseconds(hold.median_ns.into()),
        microseconds(hold.ninth_decile_ns.into()),
        microseconds(hold.longest_ns.into()),
        counted(hold.longest_events.into(), "event"),
    )
}

fn waits(map: &LockMap, line: &mut impl FnMut(&str)) {
    line("");
    line("Who waits for whom, in virtual time while other processors run");
    if map.waits.is_empty() {
        line("  nobody");
    }
    for wait in &map.waits {
        line(&format!(
            "  {:14} {:>9} times, longest {}: {} for {}",
            wait.lock,
            grouped(wait.times),
            microseconds(wait.longest_ns),
            wait.waits,
            wait.holds
        ));
    }
}

fn orders(map: &LockMap, line: &mut impl FnMut(&str)) {
    line("");
    line("Which lock is taken while which is held");
    if map.orders.is_empty() {
        line("  no two are nested");
    }
    for order in &map.orders {
        line(&format!(
            "  {:14} then {:14} {:>9} times in {}{}",
            order.held,
            order.taken,
            grouped(order.times),
            order.callbacks.join(", "),
            if order.in_cycle { ", IN A CYCLE" } else { "" },
        ));
        line(&format!("          {}, then {}", order.sites.0, order.sites.1));
    }
    for cycle in &map.cycles {
        line(&format!(
            "  cycle: {}, then again {}; seen in {}",
            cycle.locks.join(", then "),
            cycle.locks[0],
            cycle.inputs.join(" and ")
        ));
    }
}

fn fields(map: &LockMap, line: &mut impl FnMut(&str)) {
    line("");
    line("Which lock guards which field");
    let Some(fields) = &map.fields else {
        return line(&format!("  {NO_ACCESSES}"));
    };
    for field in fields {
        line(&format!(
            "  {:44} {}",
            format!("{} {}, {}", field.area, offsets(&field.offsets), bytes(field.bytes)),
            field.verdict
        ));
        line(&format!(
            "          {} and {} in {}, at {}",
            counted(field.reads, "read"),
            counted(field.writes, "write"),
            either(&field.callbacks, "the initialisation"),
            field.sites.join(", ")
        ));
        if !field.without.is_empty() {
            line(&format!("          without it at {}", field.without.join(", ")));
        }
    }
}

/// The names, or what there is instead.
pub(super) fn either(names: &[String], otherwise: &str) -> String {
    if names.is_empty() { otherwise.into() } else { names.join(", ") }
}

pub(super) fn bytes(count: u16) -> String {
    counted(count.into(), "byte")
}

/// `+0x40`, or the first, the last and how many.
pub(super) fn offsets(offsets: &[u32]) -> String {
    match offsets {
        [] => String::new(),
        [only] => format!("+{only:#x}"),
        [first, .., last] => format!("+{first:#x} to +{last:#x} ({} places)", offsets.len()),
    }
}
