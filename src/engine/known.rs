//! The list of known findings: those that a campaign passes over.
//!
//! A text file, one entry a line: a finding's id (16 hexadecimal digits, as in the name of its artifact) for
//! one finding, or a rule's id for all of its findings. `#` begins a comment.

use std::collections::HashSet;

use crate::rules::RuleId;

/// Findings to pass over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    findings: HashSet<u64>,
    rules: HashSet<String>,
}

/// A line that is neither a finding nor a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEntry {
    /// Its number, from 1.
    pub line: usize,
    /// What it says.
    pub entry: String,
}

impl Known {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// The first entry that is neither a finding's id nor a rule's.
    pub fn parse(text: &str) -> Result<Known, UnknownEntry> {
        let mut known = Known::default();
        for (at, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            if RuleId::from_id(entry).is_some() {
                known.rules.insert(entry.to_owned());
            } else if let Some(id) = finding_id(entry) {
                known.findings.insert(id);
            } else {
                return Err(UnknownEntry { line: at + 1, entry: entry.to_owned() });
            }
        }
        Ok(known)
    }

    /// Whether this finding is to be passed over.
    #[must_use]
    pub fn contains(&self, id: u64, rule: &str) -> bool {
        self.findings.contains(&id) || self.rules.contains(rule)
    }
}

fn finding_id(entry: &str) -> Option<u64> {
    let digits = entry.len() == 16 && entry.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(entry, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_findings_rules_and_comments() {
        let known =
            Known::parse("# list\n\n00000000000000ff  # one\n lock.order\n").expect("a legal list");
        assert!(known.contains(0xFF, "lock.recursive"));
        assert!(known.contains(1, "lock.order"));
        assert!(!known.contains(1, "lock.recursive"));
    }

    #[test]
    fn names_the_line_that_is_neither() {
        let error = Known::parse("lock.order\nlock.odrer\n").expect_err("a misspelt rule");
        assert_eq!(error, UnknownEntry { line: 2, entry: "lock.odrer".into() });
        assert!(Known::parse("ff").is_err());
        assert!(Known::parse("+0000000000000ff").is_err());
    }
}
