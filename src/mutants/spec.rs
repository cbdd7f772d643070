//! A mutation as one word, for a command line: `skip=HwStorDpcRoutine:Dpc@src/core.rs:12:9`,
//! `release-early=3:StartIo@driver+0x1a2b`. [`read`] is the inverse of [`write`](write()).

use crate::event::Routine;
use crate::machine::mutation::{LockKind, Mutation, Operator, Other, Place, Spot};

/// Writes a mutation.
#[must_use]
pub fn write(mutation: &Mutation) -> String {
    let Mutation { place: Place { spot, lock }, operator } = mutation;
    let (name, operand) = words(*operator);
    let operand = operand.map_or_else(String::new, |operand| format!("={operand}"));
    format!("{name}{operand}:{lock}@{spot}")
}

/// Reads a mutation.
///
/// # Errors
///
/// Says what is wrong with the text, and what was expected.
pub fn read(text: &str) -> Result<Mutation, String> {
    let form = "expected OPERATOR:LOCK@PLACE, as 'lockstorm mutants' prints it";
    let (mistake, spot) = text.split_once('@').ok_or(form)?;
    let (operator, lock) = mistake.rsplit_once(':').ok_or(form)?;
    let (name, operand) = match operator.split_once('=') {
        Some((name, operand)) => (name, Some(operand)),
        None => (operator, None),
    };
    let operator = read_operator(name, operand)
        .ok_or_else(|| format!("no operator is written '{operator}'; {form}"))?;
    let lock = LockKind::ALL
        .into_iter()
        .find(|kind| kind.name() == lock)
        .ok_or_else(|| format!("there is no lock '{lock}'; {form}"))?;
    let spot = read_spot(spot).ok_or_else(|| {
        format!("'{spot}' is no place: expected FILE:LINE:COLUMN or driver+0xOFFSET")
    })?;
    Ok(Mutation { place: Place { spot, lock }, operator })
}

/// An operator's name and operand.
fn words(operator: Operator) -> (&'static str, Option<String>) {
    match operator {
        Operator::DropAcquire => ("drop-acquire", None),
        Operator::DropRelease => ("drop-release", None),
        Operator::DropReleaseOnce(nth) => ("drop-release-once", Some(nth.to_string())),
        Operator::Skip(routine) => ("skip", Some(routine.name().to_owned())),
        Operator::ReleaseEarly(calls) => ("release-early", Some(calls.to_string())),
        Operator::AcquireLate => ("acquire-late", None),
        Operator::AcquireOther(other) => ("acquire-other", Some(other_name(other).to_owned())),
        Operator::WrongOldIrql => ("wrong-old-irql", None),
        Operator::WrongHandle => ("wrong-handle", None),
        Operator::Swap => ("swap", None),
        Operator::AboveLevel => ("above-level", None),
        Operator::WithoutRaise => ("without-raise", None),
        Operator::DoubleAcquire => ("double-acquire", None),
        Operator::HoldAcrossCompletion => ("hold-across-completion", None),
        Operator::HoldAcrossReturn => ("hold-across-return", None),
    }
}

fn read_operator(name: &str, operand: Option<&str>) -> Option<Operator> {
    let number = || operand?.parse().ok();
    let operator = match name {
        "drop-acquire" => Operator::DropAcquire,
        "drop-release" => Operator::DropRelease,
        "drop-release-once" => Operator::DropReleaseOnce(number()?),
        "skip" => Operator::Skip(Routine::ALL.into_iter().find(|r| Some(r.name()) == operand)?),
        "release-early" => Operator::ReleaseEarly(number()?),
        "acquire-late" => Operator::AcquireLate,
        "acquire-other" => {
            Operator::AcquireOther(OTHERS.into_iter().find(|o| Some(other_name(*o)) == operand)?)
        }
        "wrong-old-irql" => Operator::WrongOldIrql,
        "wrong-handle" => Operator::WrongHandle,
        "swap" => Operator::Swap,
        "above-level" => Operator::AboveLevel,
        "without-raise" => Operator::WithoutRaise,
        "double-acquire" => Operator::DoubleAcquire,
        "hold-across-completion" => Operator::HoldAcrossCompletion,
        "hold-across-return" => Operator::HoldAcrossReturn,
        _ => return None,
    };
    // An operand that the operator has not is a mistake.
    (words(operator).1.as_deref() == operand).then_some(operator)
}

const OTHERS: [Other; 4] = [Other::StartIo, Other::Interrupt, Other::Dpc, Other::Next];

const fn other_name(other: Other) -> &'static str {
    match other {
        Other::StartIo => "StartIo",
        Other::Interrupt => "Interrupt",
        Other::Dpc => "Dpc",
        Other::Next => "next",
    }
}

fn read_spot(text: &str) -> Option<Spot> {
    if let Some(offset) = text.strip_prefix("driver+0x") {
        return u32::from_str_radix(offset, 16).ok().map(Spot::Image);
    }
    let (text, column) = text.rsplit_once(':')?;
    let (file, line) = text.rsplit_once(':')?;
    Some(Spot::Source { file: file.into(), line: line.parse().ok()?, column: column.parse().ok()? })
}

/// One of every operator, and of those with a routine or a lock one for each.
#[cfg(test)]
pub(super) fn operators() -> Vec<Operator> {
    let mut operators = vec![
        Operator::DropAcquire,
        Operator::DropRelease,
        Operator::DropReleaseOnce(8),
        Operator::ReleaseEarly(0),
        Operator::AcquireLate,
        Operator::WrongOldIrql,
        Operator::WrongHandle,
        Operator::Swap,
        Operator::AboveLevel,
        Operator::WithoutRaise,
        Operator::DoubleAcquire,
        Operator::HoldAcrossCompletion,
        Operator::HoldAcrossReturn,
    ];
    operators.extend(Routine::ALL.map(Operator::Skip));
    operators.extend(OTHERS.map(Operator::AcquireOther));
    operators
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = r"C:\a b@c:1:2\core.rs".to_owned();
        let spots = [Spot::Image(0x1a2b), Spot::Source { file, line: 12, column: 9 }];
        for operator in operators() {
            for lock in LockKind::ALL {
                for spot in spots.clone() {
                    let mutation = Mutation { place: Place { spot, lock }, operator };
                    assert_eq!(read(&write(&mutation)), Ok(mutation));
                }
            }
        }
    }

    #[test]
    fn what_is_no_mutation_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "OPERATOR:LOCK@PLACE"),
            ("swap@driver+0x1", "OPERATOR:LOCK@PLACE"),
            ("swop:Dpc@driver+0x1", "'swop'"),
            ("swap=3:Dpc@driver+0x1", "'swap=3'"),
            ("skip:Dpc@driver+0x1", "'skip'"),
            ("release-early=x:Dpc@driver+0x1", "'release-early=x'"),
            ("swap:Dcp@driver+0x1", "'Dcp'"),
            ("swap:Dpc@driver+1", "FILE:LINE:COLUMN"),
            ("swap:Dpc@core.rs:1", "FILE:LINE:COLUMN"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
