//! What came of all mutants, as data, as text and as a page.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;

use super::hunt::Trail;
use super::plan::Mutant;
use super::spec;
use crate::machine::mutation::{Operator, Spot};
use crate::report::html::{document, escape};
use crate::report::number::{counted, grouped};
use crate::report::source;
use crate::rules::Severity;

/// What came of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It broke the rule of an error, or its process.
    Killed,
    /// It broke the rule of a warning and nothing worse.
    Warned,
    /// It broke nothing.
    Survived,
    /// It is no mistake, by construction.
    Equivalent,
    /// It broke nothing, and somebody argues that it is no mistake.
    Argued,
    /// It was not hunted to the end.
    Open,
}

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Fate::Killed => "killed",
            Fate::Warned => "warned",
            Fate::Survived => "SURVIVED",
            Fate::Equivalent => "equivalent",
            Fate::Argued => "argued",
            Fate::Open => "open",
        }
    }
}

/// A mutant with what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The mutant.
    #[serde(flatten)]
    pub mutant: Mutant,
    /// The operator, in words.
    pub what: String,
    /// The mistake as `lockstorm run --mutant` takes it.
    pub spec: String,
    /// What came of it.
    pub fate: Fate,
    /// Why it is no mistake if it survives, as somebody argues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argued: Option<String>,
    /// The hunt, if there was one.
    pub trail: Option<Trail>,
    /// The command that replays the kill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

impl Row {
    /// A mutant, its hunt, why it is no mistake if it survives, if somebody argues so, and how to replay its kill.
    #[must_use]
    pub fn new(
        mutant: Mutant,
        trail: Option<Trail>,
        argued: Option<String>,
        replay: Option<String>,
    ) -> Row {
        let kill = trail.as_ref().map(|trail| trail.kill.as_ref().map(|kill| kill.severity));
        let fate = match (&mutant.equivalent, kill) {
            (Some(_), _) => Fate::Equivalent,
            (None, None) => Fate::Open,
            (None, Some(None)) if argued.is_some() => Fate::Argued,
            (None, Some(None)) => Fate::Survived,
            (None, Some(Some(Severity::Warning))) => Fate::Warned,
            (None, Some(Some(Severity::Error))) => Fate::Killed,
        };
        let (what, spec) = (mutant.mutation.operator.to_string(), spec::write(&mutant.mutation));
        Row { mutant, what, spec, fate, argued, trail, replay }
    }

    /// Why, in a few words: the rule and how soon, how long in vain, or the reason.
    fn why(&self) -> String {
        let seconds = |ms: u64| format!("{}.{} s", ms / 1000, ms % 1000 / 100);
        match (&self.mutant.equivalent, &self.trail) {
            (Some(reason), _) => reason.clone(),
            (None, None) => String::new(),
            (None, Some(Trail { kill: Some(kill), .. })) => {
                let way = if kill.by_corpus { ", in the corpus" } else { "" };
                let runs = counted(kill.runs, "run");
                let refuted =
                    if self.argued.is_some() { "; that refutes the argument" } else { "" };
                let how = match &kill.death {
                    None => format!("{} after {runs}, {}{way}", kill.rule, seconds(kill.ms)),
                    Some(death) => format!("{} after {runs}: {death}", kill.rule),
                };
                format!("{how}{refuted}")
            }
            (None, Some(Trail { runs, ms, .. })) => {
                let argued = self.argued.iter().fold(String::new(), |_, why| format!(": {why}"));
                format!("{}, {}{argued}", counted(*runs, "run"), seconds(*ms))
            }
        }
    }
}

/// What came of all mutants of a driver.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The driver, as people call it.
    pub driver: String,
    /// Processor time for each mutant, in milliseconds.
    pub budget_ms: u64,
    /// Mutants that broke the rule of an error, or their process.
    pub killed: usize,
    /// Mutants that broke the rule of a warning and nothing worse.
    pub warned: usize,
    /// Mutants that broke nothing.
    pub survived: usize,
    /// Mutants that are no mistakes, by construction.
    pub equivalent: usize,
    /// Mutants that broke nothing, and are argued to be no mistakes.
    pub argued: usize,
    /// Mutants that were not hunted to the end.
    pub open: usize,
    /// Killed and warned of those that are mistakes and were hunted, in percent.
    pub score: f64,
    /// The same without those that were only warned of.
    pub score_of_errors: f64,
    /// The mutants, by place.
    pub mutants: Vec<Row>,
}

impl Report {
    /// Counts.
    #[must_use]
    pub fn new(driver: &str, budget_ms: u64, mutants: Vec<Row>) -> Report {
        let count = |fate| mutants.iter().filter(|row| row.fate == fate).count();
        let (killed, warned, survived) =
            (count(Fate::Killed), count(Fate::Warned), count(Fate::Survived));
        let percent = |found: usize| match killed + warned + survived {
            0 => 100.0,
            hunted => found as f64 * 100.0 / hunted as f64,
        };
        Report {
            driver: driver.to_owned(),
            budget_ms,
            killed,
            warned,
            survived,
            equivalent: count(Fate::Equivalent),
            argued: count(Fate::Argued),
            open: count(Fate::Open),
            score: percent(killed + warned),
            score_of_errors: percent(killed),
            mutants,
        }
    }

    /// The verdict in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut line = format!(
            "{}: {}: {} killed",
            self.driver,
            counted(self.mutants.len() as u64, "mutant"),
            self.killed
        );
        let counts = [
            (self.warned, "only warned of"),
            (self.survived, "survived"),
            (self.equivalent, "equivalent"),
            (self.argued, "argued to be equivalent"),
            (self.open, "not hunted"),
        ];
        for (count, what) in counts {
            if count > 0 || what == "survived" {
                let _ = write!(line, ", {count} {what}");
            }
        }
        let _ = write!(line, "; score {:.1} %", self.score);
        if self.warned > 0 {
            let without = self.score_of_errors;
            let _ = write!(line, " (those only warned of count as killed; {without:.1} % without)");
        }
        line
    }

    /// The mutants at one place after another.
    fn places(&self) -> impl Iterator<Item = &[Row]> {
        self.mutants.chunk_by(|a, b| a.mutant.mutation.place == b.mutant.mutation.place)
    }

    /// Everything, for people, line by line.
    pub fn lines(&self, mut line: impl FnMut(&str)) {
        for rows in self.places() {
            let place = &rows[0].mutant;
            line(&format!("{} lock at {}", place.mutation.place.lock, place.site));
            for row in rows {
                let (id, fate) = (&row.mutant.id, row.fate.name());
                line(&format!("  {id} {fate:10} {}: {}", row.what, row.why()));
                if let Some(replay) = &row.replay {
                    line(&format!("                      {replay}"));
                }
            }
        }
        line("");
        line("                                      killed warned survived equivalent argued");
        for (operator, counts) in self.by_operator() {
            let [killed, warned, survived, equivalent, argued] = counts;
            line(&format!(
                "  {operator:34} {killed:8} {warned:6} {survived:8} {equivalent:10} {argued:6}"
            ));
        }
        line("");
        for (rule, count) in self.by_rule() {
            line(&format!("  {:>5} killed by {rule}", grouped(count)));
        }
    }

    fn by_operator(&self) -> BTreeMap<&'static str, [u64; 5]> {
        let mut counts: BTreeMap<&'static str, [u64; 5]> = BTreeMap::new();
        for row in &self.mutants {
            let counts = counts.entry(family(row.mutant.mutation.operator)).or_default();
            if let Some(count) = counts.get_mut(row.fate as usize) {
                *count += 1;
            }
        }
        counts
    }

    fn by_rule(&self) -> Vec<(&str, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let kills = self.mutants.iter().filter_map(|row| row.trail.as_ref()?.kill.as_ref());
        for kill in kills {
            *counts.entry(&kill.rule).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|&(rule, count)| (std::cmp::Reverse(count), rule));
        counts
    }

    /// A page, with the source at each place where it is at hand in `folders`.
    #[must_use]
    pub fn page(&self, folders: &[PathBuf]) -> String {
        let summary = self.summary();
        let mut body = format!("<header><h1>{}</h1></header>\n<main>\n", escape(&summary));
        operators(&mut body, &self.by_operator());
        for rows in self.places() {
            place(&mut body, rows, folders);
        }
        body.push_str("</main>\n");
        document(&format!("Mutants of {}", self.driver), body)
    }
}

/// Operators of one kind, whatever their numbers.
pub(super) fn family(operator: Operator) -> &'static str {
    match operator {
        Operator::DropAcquire => "drop the acquire",
        Operator::DropRelease => "drop the release",
        Operator::DropReleaseOnce(_) => "drop the release once",
        Operator::Skip(_) => "skip the lock in one callback",
        Operator::ReleaseEarly(_) => "release early",
        Operator::AcquireLate => "acquire late",
        Operator::AcquireOther(_) => "acquire another lock",
        Operator::WrongOldIrql => "release with a wrong OldIrql",
        Operator::WrongHandle => "release with a wrong handle",
        Operator::Swap => "swap nested acquires",
        Operator::AboveLevel => "acquire above the lock's level",
        Operator::WithoutRaise => "acquire without raising the IRQL",
        Operator::DoubleAcquire => "acquire twice",
        Operator::HoldAcrossCompletion => "hold across a completion",
        Operator::HoldAcrossReturn => "hold across the return",
    }
}

fn operators(body: &mut String, counts: &BTreeMap<&'static str, [u64; 5]>) {
    body.push_str(
        "<div class=\"wide\"><table><thead><tr><th>operator</th><th class=\"number\">killed</th>\
         <th class=\"number\">warned</th><th class=\"number\">survived</th><th class=\"number\">equivalent</th>\
         <th class=\"number\">argued</th>\
         </tr></thead><tbody>\n",
    );
    for (operator, counts) in counts {
        let _ = write!(body, "<tr><td>{}</td>", escape(operator));
        for count in counts {
            let _ = write!(body, "<td class=\"number\">{count}</td>");
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</tbody></table></div>\n");
}

/// A mutant's place as file and line, where that is known.
pub(super) fn named_site(mutant: &Mutant) -> String {
    match &mutant.mutation.place.spot {
        Spot::Source { file, line, .. } => format!("{file}:{line}"),
        Spot::Image(_) => mutant.site.clone(),
    }
}

/// The name of a mutant, and behind it how to replay its kill.
fn name(row: &Row) -> String {
    let id = format!("<code>{}</code>", escape(&row.mutant.id));
    match &row.replay {
        None => id,
        Some(replay) => {
            format!("<details><summary>{id}</summary><code>{}</code></details>", escape(replay))
        }
    }
}

/// One place: its source lines and its mutants.
fn place(body: &mut String, rows: &[Row], folders: &[PathBuf]) {
    let first = &rows[0].mutant;
    let (place, site) = (&first.mutation.place, &first.site);
    let _ = writeln!(
        body,
        "<section><h2>{} lock at <code>{}</code></h2>",
        escape(place.lock.name()),
        escape(site)
    );
    if let Some(excerpt) = source::around(&named_site(first), folders) {
        body.push_str("<pre>");
        for (number, text) in (excerpt.first..).zip(&excerpt.lines) {
            let mark = if number == excerpt.line { '>' } else { ' ' };
            let _ = writeln!(body, "{mark} {number:4} {}", escape(text));
        }
        body.push_str("</pre>\n");
    }
    body.push_str(
        "<div class=\"wide\"><table><thead><tr><th></th><th>mistake</th><th>callbacks</th><th>why</th><th>id</th>\
         </tr></thead><tbody>\n",
    );
    for row in rows {
        let callbacks: Vec<_> = row.mutant.callbacks.iter().map(|routine| routine.name()).collect();
        let class = match row.fate {
            Fate::Survived => "error",
            Fate::Warned => "warning",
            Fate::Killed | Fate::Equivalent | Fate::Argued | Fate::Open => "",
        };
        let line = row.trail.as_ref().and_then(|trail| trail.kill.as_ref());
        let line = line.map_or("", |kill| kill.line.as_str());
        let _ = writeln!(
            body,
            "<tr><td><span class=\"verdict {class}\">{}</span></td><td>{}</td><td>{}</td>\
             <td title=\"{}\">{}</td><td>{}</td></tr>",
            row.fate.name(),
            escape(&row.what),
            escape(&callbacks.join(", ")),
            escape(line),
            escape(&row.why()),
            name(row),
        );
    }
    body.push_str("</tbody></table></div></section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::mutation::{LockKind, Mutation, Place};
    use crate::mutants::hunt::{Kill, Memory};

    fn row(severity: Option<Severity>) -> Row {
        let place = Place { spot: Spot::Image(0x10), lock: LockKind::Dpc };
        let mutant = Mutant {
            id: "00000010".into(),
            mutation: Mutation { place, operator: Operator::DropAcquire },
            site: "driver+0x10".into(),
            callbacks: Vec::new(),
            equivalent: None,
            inputs: Vec::new(),
        };
        let kill = severity.map(|severity| Kill {
            rule: "some.rule".into(),
            severity,
            line: String::new(),
            runs: 1,
            ms: 0,
            by_corpus: false,
            scenario: String::new(),
            memory: Memory::Unwatched,
            death: None,
        });
        Row::new(mutant, Some(Trail { runs: 1, ms: 0, kill }), None, None)
    }

    #[test]
    fn a_warning_counts_as_a_kill_and_the_summary_says_so() {
        let [error, warning] = [Severity::Error, Severity::Warning].map(|s| row(Some(s)));
        let rows = vec![error.clone(), error.clone(), warning, row(None)];
        let report = Report::new("some.sys", 1, rows);
        assert_eq!(
            report.summary(),
            "some.sys: 4 mutants: 2 killed, 1 only warned of, 1 survived; \
             score 75.0 % (those only warned of count as killed; 50.0 % without)"
        );
        let report = Report::new("some.sys", 1, vec![error, row(None)]);
        assert_eq!(report.summary(), "some.sys: 2 mutants: 1 killed, 1 survived; score 50.0 %");
    }
}
