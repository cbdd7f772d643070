//! A finding as data that outlives the process that made it.

use serde::{Deserialize, Serialize};

use crate::rules::{Finding, Severity};

/// A broken rule, with everything in words. Made of a [`Finding`] where the driver ran; stored, sent and rendered
/// anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// [`Finding::bug`]: the bucket.
    #[serde(with = "super::hex")]
    pub bug: u64,
    /// [`Finding::id`]: what `lockstorm fuzz --known` takes.
    #[serde(with = "super::hex")]
    pub id: u64,
    /// The rule's id.
    pub rule: String,
    /// How grave.
    pub severity: Severity,
    /// The line that tells it; its shape never changes.
    pub line: String,
    /// The locks concerned: first the one that the call was about.
    pub locks: Vec<String>,
    /// The callbacks concerned, innermost last.
    pub path: Vec<String>,
    /// Where in the driver.
    pub site: String,
    /// Where the other half is.
    pub other_site: Option<String>,
    /// On which virtual processor.
    pub processor: u8,
    /// Its IRQL.
    pub irql: u8,
    /// Virtual time in nanoseconds.
    pub time_ns: u64,
    /// Of a data race: which memory, by whom, under which locks, and the lock that both want; a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub race: Vec<String>,
}

impl Breach {
    /// The finding in words.
    #[must_use]
    pub fn of(finding: &Finding) -> Breach {
        Breach {
            bug: finding.bug(),
            id: finding.id(),
            rule: finding.rule.rule().id.to_owned(),
            severity: finding.severity,
            line: finding.to_string(),
            locks: finding.locks.iter().flatten().map(ToString::to_string).collect(),
            path: finding.path.routines().iter().map(|routine| routine.name().to_owned()).collect(),
            site: finding.site.to_string(),
            other_site: finding.other_site.map(|site| site.to_string()),
            processor: finding.processor,
            irql: finding.irql.0,
            time_ns: finding.time,
            race: finding.race_lines().map(|line| line.to_string()).collect(),
        }
    }

    /// The callbacks in one line, outermost first.
    #[must_use]
    pub fn callbacks(&self) -> String {
        if self.path.is_empty() { "StorPort".into() } else { self.path.join(" > ") }
    }

    /// What is known when the driver killed its process: only the signal. Deaths by one signal are one bucket.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn death(signal: &str, line: &str) -> Breach {
        let bug = crate::engine::death_id(signal);
        Breach {
            bug,
            id: bug,
            rule: "driver.crashed".into(),
            severity: Severity::Error,
            line: line.into(),
            locks: Vec::new(),
            path: Vec::new(),
            site: "unknown".into(),
            other_site: None,
            processor: 0,
            irql: 0,
            time_ns: 0,
            race: Vec::new(),
        }
    }
}
