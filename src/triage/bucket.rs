//! Buckets: files by the bug that they show.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::journal::{Came, FileRecord, Journal};
use super::minimise::Minimal;
use super::size::Size;
use crate::harness::Target;
use crate::report::breach::Breach;
use crate::rules::Severity;

/// Version of the JSON form of [`Triage`].
pub const VERSION: u32 = 1;

/// Everything that a triage came to: what `--format json` prints, what `buckets.json` holds, and what reports render.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triage {
    /// [`VERSION`].
    pub triage: u32,
    /// The lockstorm that made it.
    pub lockstorm: String,
    /// The driver's name.
    pub driver: String,
    /// The words that name the driver on a command line.
    pub driver_arguments: Vec<String>,
    /// The bugs: errors before warnings, the more frequent first.
    pub buckets: Vec<Bucket>,
    /// Files that were looked at.
    pub files: usize,
    /// Files whose replay is quiet, as nobody expected otherwise: inputs of a corpus or a queue.
    pub quiet: usize,
    /// Files that were kept for a finding, by their name or by an earlier build, and show none any more.
    pub lost: Vec<PathBuf>,
    /// Files that are no scenarios for this driver, with the reason.
    pub unusable: Vec<Unusable>,
}

/// A file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusable {
    /// Which.
    pub file: PathBuf,
    /// Why.
    pub reason: String,
}

/// One bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// What tells it from others ([`Breach::bug`]).
    #[serde(with = "crate::report::hex")]
    pub bug: u64,
    /// The ids of its findings, for `lockstorm fuzz --known`: one, or two if it shows as a cycle and as a deadlock.
    pub findings: Vec<String>,
    /// The rules that it breaks: the first is that of `breach`.
    pub rules: Vec<String>,
    /// The finding, as the smallest scenario at hand shows it.
    pub breach: Breach,
    /// How many files show it.
    pub files: usize,
    /// How many different scenarios those are.
    pub scenarios: usize,
    /// When the oldest of them was written, in seconds since 1970 (UTC).
    pub first_seen: u64,
    /// When the youngest was.
    pub last_seen: u64,
    /// The smallest of them.
    pub smallest: Example,
    /// A smaller one still, made of it; absent if there was no time to.
    pub minimal: Option<Minimal>,
    /// Where in the triage's folder its files are.
    pub folder: String,
    /// All of them.
    pub members: Vec<PathBuf>,
}

/// A file that shows a bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// Where it lies.
    pub file: PathBuf,
    /// SHA-1 of the scenario's plain bytes.
    pub scenario: String,
    /// Bytes of the file.
    pub bytes: u64,
}

impl Bucket {
    /// How much there is of its smallest scenario.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.minimal.as_ref().map(|minimal| minimal.after)
    }

    /// Whether it is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.breach.severity == Severity::Error
    }
}

/// Files that show one bug.
struct Group<'a> {
    members: Vec<(&'a FileRecord, &'a Breach, &'a str)>,
}

impl Triage {
    /// Sorts what the journal knows.
    #[must_use]
    pub fn of(journal: &Journal, driver: &Target) -> Triage {
        let arguments = driver.arguments();
        let words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
        let mut triage = Triage {
            triage: VERSION,
            lockstorm: env!("CARGO_PKG_VERSION").into(),
            driver: driver.name().into_owned(),
            driver_arguments: words.collect(),
            buckets: Vec::new(),
            files: 0,
            quiet: 0,
            lost: Vec::new(),
            unusable: Vec::new(),
        };
        let mut groups: BTreeMap<u64, Group<'_>> = BTreeMap::new();
        for record in journal.files.values().filter(|record| record.is_fresh()) {
            triage.files += 1;
            match &record.came {
                Came::Unusable { reason } => {
                    let (file, reason) = (record.file.clone(), reason.clone());
                    triage.unusable.push(Unusable { file, reason });
                }
                Came::Ran { breaches, .. } if breaches.is_empty() => {
                    if record.origin.claims_a_finding() || !record.before.is_empty() {
                        triage.lost.push(record.file.clone());
                    } else {
                        triage.quiet += 1;
                    }
                }
                Came::Ran { breaches, scenario } => {
                    for breach in breaches {
                        let group = groups
                            .entry(breach.bug)
                            .or_insert_with(|| Group { members: Vec::new() });
                        group.members.push((record, breach, scenario));
                    }
                }
            }
        }
        triage.buckets =
            groups.into_iter().map(|(bug, group)| group.bucket(bug, journal)).collect();
        triage.buckets.sort_by(|a, b| {
            let rank =
                |bucket: &Bucket| (!bucket.is_error(), usize::MAX - bucket.files, bucket.bug);
            rank(a).cmp(&rank(b))
        });
        triage
    }

    /// How many buckets are errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.buckets.iter().filter(|bucket| bucket.is_error()).count()
    }

    /// Reads `buckets.json`.
    ///
    /// # Errors
    ///
    /// It is none, or of another version.
    pub fn from_json(text: &str) -> Result<Triage, String> {
        let triage: Triage = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if triage.triage == VERSION {
            Ok(triage)
        } else {
            Err(format!("version {}, expected {VERSION}", triage.triage))
        }
    }
}

impl Group<'_> {
    fn bucket(self, bug: u64, journal: &Journal) -> Bucket {
        let Group { members } = self;
        let minimal = journal.minimal.get(&bug);
        // Never empty: a group is made for its first member. Ties go by content, so that the order of files does
        // not matter.
        let (record, breach, scenario) = members
            .iter()
            .min_by_key(|(record, _, scenario)| (record.stamp.bytes, *scenario, &record.file))
            .copied()
            .expect("a group has a member");
        let breach = minimal.map_or(breach, |minimal| &minimal.breach).clone();
        let written = |pick: fn(u64, u64) -> u64| {
            let times = members.iter().map(|(record, ..)| record.stamp.written_ns);
            times.reduce(pick).unwrap_or_default() / 1_000_000_000
        };
        let distinct = |what: fn(&Breach) -> String| -> BTreeSet<String> {
            members.iter().map(|(_, breach, _)| what(breach)).collect()
        };
        let mut rules = vec![breach.rule.clone()];
        rules.extend(
            distinct(|breach| breach.rule.clone()).into_iter().filter(|r| *r != breach.rule),
        );
        let scenarios: BTreeSet<_> = members.iter().map(|(.., scenario)| scenario).collect();
        Bucket {
            bug,
            findings: distinct(|breach| format!("{:016x}", breach.id)).into_iter().collect(),
            folder: format!("{}-{bug:016x}", rules[0]),
            rules,
            files: members.len(),
            scenarios: scenarios.len(),
            first_seen: written(u64::min),
            last_seen: written(u64::max),
            smallest: Example {
                file: record.file.clone(),
                scenario: scenario.to_owned(),
                bytes: record.stamp.bytes,
            },
            minimal: minimal.map(|record| record.minimal.clone()),
            members: members.iter().map(|(record, ..)| record.file.clone()).collect(),
            breach,
        }
    }
}
