//! What a fuzz target prints when something is wrong: for people, and in a form that crash deduplicators take apart.
//!
//! ClusterFuzz reads a crash's *type* from the line of a sanitizer and its *state* from the first three frames of
//! the stack below it, lines cut at 80 characters. The real stack is of no use: when a rule is broken the
//! driver's frames lie on another stack, and what is left is the harness, the same for every bug. So the
//! report has a line and a stack of its own: the type is the rule, the frames are the line of the driver, the
//! callbacks, and the locks, which is what makes two findings the same ([`Finding::id`]). Nothing in
//! them changes with the schedule, the build or the host.
//!
//! The line names ThreadSanitizer because the parser knows the lines of sanitizers only, and because that one is
//! about locks, too.

use std::fmt::{self, Write};

use crate::event::{Lock, Site};
use crate::harness::BuiltIn;
use crate::reference::Disagreement;
use crate::rules::Finding;
use crate::scenario::{Scenario, text};

/// Something is wrong with a driver, with the rules or with a format.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What, for people.
    line: String,
    /// What kind: a rule's id, for most.
    kind: String,
    /// Where, innermost first.
    frames: [String; 3],
    /// How to see it again.
    replay: Option<(BuiltIn, String)>,
}

impl Violation {
    /// A rule is broken.
    #[must_use]
    pub fn of_driver(finding: &Finding, driver: BuiltIn, scenario: &Scenario) -> Box<Violation> {
        Box::new(Violation {
            line: finding.to_string(),
            kind: finding.rule.rule().id.to_owned(),
            frames: frames(finding),
            replay: Some((driver, text::write(scenario))),
        })
    }

    pub(super) fn of_rules(
        found: &Disagreement,
        driver: BuiltIn,
        scenario: &Scenario,
    ) -> Box<Violation> {
        let list = |ids: &mut dyn Iterator<Item = &&'static str>| {
            let ids: Vec<_> = ids.copied().collect();
            if ids.is_empty() { "silent".to_owned() } else { ids.join("+") }
        };
        Box::new(Violation {
            line: format!("lockstorm: the rules and their reference disagree: {found}"),
            kind: "rules.disagree".to_owned(),
            frames: [
                format!("checker:{}", list(&mut found.checker.iter())),
                format!("errors:{}", list(&mut found.model.errors.iter())),
                format!("warnings:{}", list(&mut found.model.warnings.iter())),
            ],
            replay: Some((driver, text::write(scenario))),
        })
    }

    pub(super) fn of_format(property: &'static str) -> Box<Violation> {
        let place = property.replace(' ', "_");
        Box::new(Violation {
            line: format!("lockstorm: {property}"),
            kind: "format.broken".to_owned(),
            frames: [place, "scenario".to_owned(), "format".to_owned()],
            replay: None,
        })
    }

    /// What kind it is: a rule's id, for most.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { line, kind, frames, replay } = self;
        let process = std::process::id();
        writeln!(f, "{line}")?;
        writeln!(f, "=={process}==ERROR: lockstorm, as ThreadSanitizer: {kind} (pid={process})")?;
        for (number, frame) in frames.iter().enumerate() {
            // What stands before the exclamation mark is dropped, and keeps a frame that is named for a file
            // like main.c from being taken for plumbing.
            writeln!(f, "    #{number} {:#x} in driver!{frame} (driver+{number:#x})", number + 1)?;
        }
        if let Some((driver, text)) = replay {
            let driver = driver.name();
            writeln!(f, "\nTo replay, save what follows and: lockstorm run {driver} FILE --trace")?;
            f.write_str(text)?;
        }
        f.write_char('\n')
    }
}

/// A finding as a stack: site, callbacks, locks.
fn frames(finding: &Finding) -> [String; 3] {
    let mut path = String::new();
    for routine in finding.path.routines().iter().rev() {
        let _ = write!(path, "{}{routine}", if path.is_empty() { "" } else { "<" });
    }
    if path.is_empty() {
        path.push_str("StorPort");
    }
    let locks: Vec<&str> = finding.locks.iter().flatten().map(|lock| kind_name(*lock)).collect();
    let locks = if locks.is_empty() { "no_locks".to_owned() } else { locks.join("+") };
    [site(finding.site), path, locks]
}

/// The file without its folders, because those differ between hosts, and the line.
fn site(site: Site) -> String {
    if let Some(line) = site.source() {
        let file = line.file.rsplit(['/', '\\']).next().unwrap_or_default();
        return format!("{file}:{}", line.line);
    }
    match site {
        Site::Image(offset) => format!("driver.sys:{offset:x}"),
        _ => "storport.sys".to_owned(),
    }
}

/// A lock without its number: which of several like ones it was changes with the schedule.
const fn kind_name(lock: Lock) -> &'static str {
    match lock {
        Lock::StartIo => "StartIo",
        Lock::Interrupt => "Interrupt",
        Lock::Message(_) => "Message",
        Lock::Dpc(_) => "Dpc",
        Lock::Executive(_) => "Executive",
    }
}
