//! Medians, worst cases, and the tables.

use super::hunt::Hunt;
use super::{Contestant, Entry};

/// The hunts of one contestant for one program.
pub(crate) struct Row {
    /// The quickest first; those that found nothing last.
    hunts: Vec<Hunt>,
    /// Executions of the same, the fewest first.
    executions: Vec<(bool, u64)>,
    rule: String,
}

impl Row {
    pub(crate) fn new(hunts: Vec<(Hunt, &str)>) -> Row {
        let rule = hunts.iter().map(|(_, rule)| *rule).find(|rule| !rule.is_empty());
        let rule = rule.unwrap_or_default().to_owned();
        let mut hunts: Vec<_> = hunts.into_iter().map(|(hunt, _)| hunt).collect();
        let key = |hunt: &Hunt| (!hunt.found, hunt.seconds);
        hunts.sort_by(|a, b| key(a).partial_cmp(&key(b)).expect("no time is NaN"));
        let mut executions: Vec<_> =
            hunts.iter().map(|hunt| (!hunt.found, hunt.executions)).collect();
        executions.sort_unstable();
        Row { hunts, executions, rule }
    }

    /// The mistake was found in most hunts.
    pub(crate) fn is_found(&self) -> bool {
        self.median().found
    }

    /// Becomes `other`, the same hunts once more, if those were faster.
    pub(crate) fn keep_faster(&mut self, other: Row) {
        if other.median().seconds < self.median().seconds {
            *self = other;
        }
    }

    /// The median of executions, and that of time.
    fn median(&self) -> Hunt {
        self.at(self.hunts.len() / 2)
    }

    /// The most executions, and the longest time.
    fn worst(&self) -> Hunt {
        self.at(self.hunts.len() - 1)
    }

    fn at(&self, place: usize) -> Hunt {
        Hunt { executions: self.executions[place].1, ..self.hunts[place] }
    }

    fn schedules_a_second(&self) -> f64 {
        let executions: u64 = self.hunts.iter().map(|hunt| hunt.executions).sum();
        executions as f64 / self.hunts.iter().map(|hunt| hunt.seconds).sum::<f64>()
    }

    pub(crate) fn print(&self, name: &str, most: u64) {
        let found = self.hunts.iter().filter(|hunt| hunt.found).count();
        let cells = [self.median(), self.worst()].map(|hunt| {
            let executions =
                if hunt.found { hunt.executions.to_string() } else { format!("> {most}") };
            format!("{executions:>9} {:>11}", microseconds(hunt))
        });
        println!(
            "  {name:24} {:>9.0} {found:>5}/{:<3} {} {}  {}",
            self.schedules_a_second(),
            self.hunts.len(),
            cells[0],
            cells[1],
            self.rule,
        );
    }
}

pub(crate) fn head() {
    println!(
        "  {:24} {:>9} {:>9} {:>9} {:>11} {:>9} {:>11}",
        "", "runs/s", "found", "median", "us", "worst", "us"
    );
}

fn microseconds(hunt: Hunt) -> String {
    let prefix = if hunt.found { "" } else { "> " };
    format!("{prefix}{:.1}", hunt.seconds * 1e6)
}

/// One line a program: lockstorm, the best of Shuttle's schedulers, Loom.
pub(crate) fn table(rows: &[(&Entry, Vec<(Contestant, Row)>)], most: u64) {
    println!("Until found: median (worst) executions, median CPU time.\n");
    println!("| program (depth) | lockstorm | found by | Shuttle's best | times | Loom |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (program, results) in rows {
        let ours = results.iter().find(|(one, _)| *one == Contestant::Lockstorm(None));
        let (_, ours) = ours.expect("lockstorm hunts");
        let shuttle = results.iter().filter(|(one, _)| matches!(one, Contestant::Shuttle(_)));
        let best = shuttle.min_by(|(_, a), (_, b)| {
            let key = |row: &Row| (!row.median().found, row.median().seconds);
            key(a).partial_cmp(&key(b)).expect("no time is NaN")
        });
        let (way, best) = best.expect("Shuttle hunts");
        let loom = results.iter().find(|(one, _)| *one == Contestant::Loom);
        let mark = if program.stands_for.is_empty() { "" } else { " *" };
        println!(
            "| {}{mark} ({}) | {} | `{}` | {}, {} | {}{:.0} | {} |",
            program.name,
            program.depth,
            cell(ours, most),
            ours.rule,
            way.name().trim_start_matches("Shuttle "),
            cell(best, most),
            if best.median().found { "" } else { "> " },
            best.median().seconds / ours.median().seconds,
            loom.map_or(String::new(), |(_, row)| cell(row, most)),
        );
    }
    println!(
        "\n\\* cannot be expressed in Shuttle and Loom as it is; the nearest model, see benches/peers/programs.rs"
    );
}

fn cell(row: &Row, most: u64) -> String {
    let (median, worst) = (row.median(), row.worst());
    if !median.found {
        return format!("not in {most}");
    }
    let time = match median.seconds * 1e6 {
        time if time < 1000.0 => format!("{time:.0} µs"),
        time => format!("{:.1} ms", time / 1000.0),
    };
    match (row.hunts.len(), worst.found) {
        (1, _) => format!("{}, {time}", median.executions),
        (_, true) => format!("{} ({}), {time}", median.executions, worst.executions),
        (_, false) => format!("{} (not in {most}), {time}", median.executions),
    }
}
