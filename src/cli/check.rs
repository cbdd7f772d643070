//! `lockstorm check`: the rules over events that were written down.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::{Failure, reason};
use super::output::Output;
use super::run::FindingLine;
use super::{Format, Verdict};
use crate::record::jsonl::Reader;
use crate::record::{Checked, check};
use crate::report::number::counted;
use crate::rules::Severity;

/// Apply the rules to recorded events
///
/// Reads events as JSON lines, as 'lockstorm run --events' writes them, wherever they were recorded, and prints which
/// rules they break. Exit status 1 if an error was found; warnings alone leave it 0 (see --warnings-as-errors).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm run nvme examples/scenarios/nvme-line.ron --events line.jsonl
  lockstorm check line.jsonl
  lockstorm check recorded/*.jsonl --format json | jq -r '.findings[].line'

The format is described in the documentation of lockstorm::record::jsonl.")]
pub(super) struct Arguments {
    /// Events as JSON lines
    #[arg(required = true, value_name = "EVENTS")]
    files: Vec<PathBuf>,
    /// Let warnings count as errors, for the exit status
    #[arg(long)]
    warnings_as_errors: bool,
    /// How to write the verdicts: text, or a JSON object a line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// A verdict for programs.
#[derive(Serialize)]
struct Line {
    file: String,
    events: u64,
    findings: Vec<FindingLine>,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Clean;
    for path in &arguments.files {
        match judge(path) {
            Ok(checked) => {
                let counts = |severity| arguments.warnings_as_errors || severity == Severity::Error;
                let broken = checked.findings.iter().any(|finding| counts(finding.severity));
                if broken && verdict == Verdict::Clean {
                    verdict = Verdict::Violation;
                }
                tell(path, &checked, arguments.format, output);
            }
            // One unusable file does not keep the others from being judged.
            Err(failure) => {
                output.flush();
                failure.tell();
                verdict = Verdict::Unusable;
            }
        }
    }
    Ok(verdict)
}

fn judge(path: &Path) -> Result<Checked, Failure> {
    let file = File::open(path).map_err(|error| Failure::at("read", path, reason(&error)))?;
    let reader = Reader::new(BufReader::new(file));
    reader.and_then(check).map_err(|error| Failure::at("read", path, error))
}

fn tell(path: &Path, checked: &Checked, format: Format, output: &mut Output) {
    let file = path.display().to_string();
    match format {
        Format::Json => output.json(&Line {
            file,
            events: checked.events,
            findings: checked.findings.iter().map(FindingLine::new).collect(),
        }),
        Format::Text => {
            let found = match checked.findings.len() as u64 {
                0 => "nothing found".into(),
                n => counted(n, "finding"),
            };
            output.line(format_args!("{file}: {found} ({})", counted(checked.events, "event")));
            for finding in &checked.findings {
                output.line(finding);
            }
        }
    }
}
