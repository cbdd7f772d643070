//! Findings as SARIF 2.1.0, which code hosts and editors show beside the source.
//!
//! Format: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.

use serde_json::{Value, json};

use super::breach::Breach;
use super::index::{Bug, Findings, sentence};
use super::source::position;
use crate::rules::{RuleId, Severity};

/// Renders findings.
#[must_use]
pub fn render(findings: &Findings<'_>) -> Value {
    let mut broken: Vec<&str> = findings.bugs.iter().map(|bug| bug.breach.rule.as_str()).collect();
    broken.sort_unstable();
    broken.dedup();
    let rules: Vec<Value> = broken.iter().map(|id| rule(id)).collect();
    let results: Vec<Value> = findings.bugs.iter().map(|bug| result(bug, &broken)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "lockstorm",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

fn rule(id: &str) -> Value {
    let Some(rule) = RuleId::from_id(id).map(RuleId::rule) else { return json!({ "id": id }) };
    json!({
        "id": id,
        "shortDescription": { "text": rule.sentence },
        "fullDescription": { "text": rule.why },
        "helpUri": rule.page,
        "help": { "text": rule.example },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": { "family": rule.family.to_string(), "staticDriverVerifier": rule.sdv, "bugCheck": rule.bug_check },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn result(bug: &Bug<'_>, rules: &[&str]) -> Value {
    let breach = bug.breach;
    let index = rules.iter().position(|id| *id == breach.rule);
    let mut result = json!({
        "ruleId": breach.rule,
        "ruleIndex": index,
        "level": level(breach.severity),
        "message": { "text": format!("{} in {} at {}", sentence(breach), breach.callbacks(), breach.site) },
        "locations": [location(&breach.site, breach)],
        "partialFingerprints": { "lockstormBug/v1": format!("{:016x}", breach.bug) },
        "occurrenceCount": bug.files.max(1),
        "properties": { "locks": breach.locks, "replay": bug.replay },
    });
    if let Some(other) = &breach.other_site {
        let mut related = location(other, breach);
        related["id"] = json!(1);
        related["message"] =
            json!({ "text": "the other half: most often where the held lock was taken" });
        result["relatedLocations"] = json!([related]);
    }
    result
}

/// A place in a file, where the site names one, and the callbacks around it.
fn location(site: &str, breach: &Breach) -> Value {
    let mut location = json!({
        "logicalLocations": [{ "fullyQualifiedName": breach.callbacks(), "kind": "function" }],
    });
    if let Some((file, line)) = position(site) {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": uri(file) },
            "region": { "startLine": line },
        });
    }
    location
}

/// A path as a URI reference: relative paths as they are, others with a scheme.
fn uri(file: &str) -> String {
    let path = file.replace('\\', "/");
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                text.push(byte.into());
            }
            b':' if text.len() == 1 => text.push(':'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    if text.as_bytes().get(1) == Some(&b':') {
        format!("file:///{text}")
    } else if text.starts_with('/') {
        format!("file://{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("src/a b.rs"), "src/a%20b.rs");
        assert_eq!(uri("c:\\d\\e.c"), "file:///c:/d/e.c");
        assert_eq!(uri("/x/é.c"), "file:///x/%C3%A9.c");
    }
}
