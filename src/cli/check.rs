//! `lockstorm check`: the rules over events that were written down.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::{Failure, reason};
use super::output::Output;
use super::run::FindingLine;
use super::{Format, Verdict};
use crate::checked::record;
use crate::record::jsonl::Reader;
use crate::record::{Checked, check};
use crate::report::number::counted;
use crate::rules::Severity;

/// Apply the rules to recorded events
///
/// Reads events as JSON lines, as 'lockstorm run --events' writes them, wherever they were recorded, and prints which
/// rules they break. Or reads what a driver that was built with the rules inside it has kept of its violations: its ring,
/// alone or anywhere in a memory dump. Exit status 1 if an error was found; warnings alone leave it 0 (see --warnings-as-errors).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm run nvme examples/scenarios/nvme-line.ron --events line.jsonl
  lockstorm check line.jsonl
  lockstorm check recorded/*.jsonl --format json | jq -r '.findings[].line'
  lockstorm check MEMORY.DMP

The formats are described in the documentation of lockstorm::record::jsonl and lockstorm::checked::record.")]
pub(super) struct Arguments {
    /// Events as JSON lines, or a ring of violations
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
    /// Events that were judged; none where a driver judged them itself.
    events: Option<u64>,
    findings: Vec<FindingLine>,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    let mut verdict = Verdict::Clean;
    for path in &arguments.files {
        match judge(path) {
            Ok(judged) => {
                let counts = |line: &FindingLine| {
                    arguments.warnings_as_errors || line.severity == Severity::Error.to_string()
                };
                if judged.findings.iter().any(counts) && verdict == Verdict::Clean {
                    verdict = Verdict::Violation;
                }
                tell(&judged, arguments.format, output);
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

fn judge(path: &Path) -> Result<Line, Failure> {
    let fail = |error: std::io::Error| Failure::at("read", path, reason(&error));
    let mut file = BufReader::new(File::open(path).map_err(fail)?);
    let begins = file.fill_buf().map_err(fail)?;
    // JSON lines begin with a brace; a ring, or a dump with one somewhere in it, does not.
    if begins.first().is_none_or(|&byte| byte == b'{') {
        let checked =
            Reader::new(file).and_then(check).map_err(|error| Failure::at("read", path, error))?;
        let Checked { events, findings } = checked;
        let findings = findings.iter().map(FindingLine::new).collect();
        return Ok(Line { file: path.display().to_string(), events: Some(events), findings });
    }
    let mut dump = Vec::new();
    file.take(DUMP_BYTES_MAX + 1).read_to_end(&mut dump).map_err(fail)?;
    if dump.len() as u64 > DUMP_BYTES_MAX {
        return Err(Failure::at("read", path, "more than 4 GiB; cut the ring out of it"));
    }
    let findings = rings(&dump).map_err(|error| Failure::at("read", path, error))?;
    Ok(Line { file: path.display().to_string(), events: None, findings })
}

/// Most bytes of a memory dump.
const DUMP_BYTES_MAX: u64 = 4 << 30;

/// The violations of every ring in a dump.
fn rings(dump: &[u8]) -> Result<Vec<FindingLine>, String> {
    let mut findings = Vec::new();
    let mut why = None;
    let mut any = false;
    for at in record::find(dump) {
        match record::read(&dump[at..]) {
            Ok(records) => {
                any = true;
                findings.extend(records.map(|record| FindingLine {
                    id: format!("{:016x}", record.id()),
                    rule: record.rule_name().to_owned(),
                    severity: record.severity().to_string(),
                    line: record.to_string(),
                    race: Vec::new(),
                }));
            }
            // The mark may lie in a dump by chance: in the driver's image, for one.
            Err(error) => why = Some(error.to_string()),
        }
    }
    match why {
        _ if any => Ok(findings),
        Some(why) => Err(why),
        None => Err("neither events as JSON lines nor a ring of violations".into()),
    }
}

fn tell(judged: &Line, format: Format, output: &mut Output) {
    if format == Format::Json {
        return output.json(judged);
    }
    let found = match judged.findings.len() as u64 {
        0 => "nothing found".into(),
        n => counted(n, "finding"),
    };
    let events = judged.events.map_or_else(String::new, |n| format!(" ({})", counted(n, "event")));
    output.line(format_args!("{}: {found}{events}", judged.file));
    for finding in &judged.findings {
        output.line(&finding.line);
    }
}
