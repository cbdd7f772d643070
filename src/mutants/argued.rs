//! Survivors that somebody has argued to be no mistakes: an author's knowledge of his driver, in a file.
//!
//! An argument names lines of the source by what stands there, so that it outlives edits elsewhere, and the operators
//! that it is about, each of them. It is not believed blindly: the mutants are hunted like all others, and one that is
//! killed all the same refutes its argument.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::plan::Mutant;
use super::report::{family, named_site};
use crate::event::Routine;
use crate::report::source;

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Argument {
    /// What stands in the line, or in the one after it.
    pub source: String,
    /// Operators, as the report calls them or their kinds.
    pub operators: Vec<String>,
    /// The callbacks that reach the line, no others: a compiler may have made several places of one line. Any if empty.
    #[serde(default)]
    pub callbacks: Vec<Routine>,
    /// Why nobody could tell the mutants from the driver.
    pub reason: String,
}

/// What is argued for the NVMe core.
const NVME: &str = include_str!("argued/nvme.ron");

/// The arguments that come with a built-in driver.
#[must_use]
pub fn built_in(driver: &str) -> Vec<Argument> {
    if driver == "nvme" { read(NVME).unwrap_or_default() } else { Vec::new() }
}

/// Reads arguments.
///
/// # Errors
///
/// The text is no list of arguments; says where it is wrong.
pub fn read(text: &str) -> Result<Vec<Argument>, String> {
    ron::from_str(text).map_err(|error| error.to_string())
}

/// Why a mutant that survives is no mistake, if somebody argues so.
#[must_use]
pub fn reason(arguments: &[Argument], mutant: &Mutant, folders: &[PathBuf]) -> Option<String> {
    if arguments.is_empty() {
        return None;
    }
    let excerpt = source::around(&named_site(mutant), folders)?;
    let at = excerpt.line - excerpt.first;
    let lines = excerpt.lines.get(at..)?;
    let operator = mutant.mutation.operator;
    let (kind, operator) = (family(operator), operator.to_string());
    let argues = |argument: &&Argument| {
        let about = argument.operators.iter().any(|known| known == kind || *known == operator);
        let among = &argument.callbacks;
        let reached = among.is_empty() || mutant.callbacks.iter().all(|by| among.contains(by));
        about && reached && lines.iter().take(2).any(|line| line.contains(&argument.source))
    };
    arguments.iter().find(argues).map(|argument| argument.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::super::spec;
    use super::*;

    /// Each argument names a line of these files, and operators that there are.
    fn stands(text: &str, files: &[String]) {
        let arguments = read(text).expect("a list of arguments");
        let names: Vec<String> = spec::operators()
            .into_iter()
            .flat_map(|operator| [family(operator).to_owned(), operator.to_string()])
            .collect();
        assert!(!arguments.is_empty());
        let sources: Vec<_> =
            files.iter().map(|file| std::fs::read_to_string(file).expect(file)).collect();
        for Argument { source, operators, .. } in arguments {
            assert!(sources.iter().any(|text| text.contains(&source)), "nothing like {source}");
            assert!(!operators.is_empty(), "no operator at {source}");
            for operator in operators {
                assert!(names.contains(&operator), "no operator {operator}");
            }
        }
    }

    #[test]
    fn the_arguments_that_come_with_lockstorm_name_lines_that_are_there() {
        let core = ["controller", "queue", "io", "interrupt", "reset", "power", "completion"];
        stands(NVME, &core.map(|name| format!("src/miniport/nvme/{name}.rs")));
        let example = ["io", "unit"].map(|name| format!("examples/c-miniport/{name}.c"));
        stands(include_str!("../../examples/c-miniport/argued.ron"), &example);
    }
}
