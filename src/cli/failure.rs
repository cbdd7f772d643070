//! Why a call cannot be served: one line for its user.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// One line that says what is wrong, where, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure(String);

impl Failure {
    pub(super) fn new(line: impl Into<String>) -> Failure {
        Failure(line.into())
    }

    /// `what` cannot be done with the file or directory at `path`.
    pub(super) fn at(what: &str, path: &Path, why: impl Display) -> Failure {
        Failure(format!("cannot {what} {}: {why}", path.display()))
    }

    /// A name that is none of `names`.
    pub(super) fn unknown<'a>(
        what: &str,
        name: &str,
        names: impl Iterator<Item = &'a str> + Clone,
        list: &str,
    ) -> Failure {
        let guess = nearest(name, names)
            .map_or_else(String::new, |nearest| format!("did you mean '{nearest}'? "));
        Failure(format!("unknown {what} '{name}': {guess}'lockstorm {list}' lists them"))
    }

    /// The line.
    pub(super) fn line(&self) -> &str {
        &self.0
    }

    /// Says it on standard error.
    pub(super) fn tell(&self) {
        use io::Write;
        // With standard error gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "lockstorm: {}", self.0);
    }
}

/// The error of a file operation in words: with what to do, and without the number that Rust appends.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file; check the path".into(),
        io::ErrorKind::PermissionDenied => "permission denied; check its owner and mode".into(),
        io::ErrorKind::IsADirectory => "it is a directory; name a file in it".into(),
        io::ErrorKind::StorageFull => "the disk is full; free some space".into(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

/// The name that `name` most likely was meant to be, if one is near enough.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = name.chars().count().max(3) / 2;
    names
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|&(distance, candidate)| distance <= far || candidate.starts_with(name))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits that turn `a` into `b` (Levenshtein), letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("nvme", "nvme"), 0);
        assert_eq!(distance("nvem", "nvme"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("NVMe", "nvme"), 0);
    }

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let names = ["nvme", "puppet"];
        assert_eq!(nearest("nvm", names.into_iter()), Some("nvme"));
        assert_eq!(nearest("pupet", names.into_iter()), Some("puppet"));
        assert_eq!(
            nearest("lock.ordr", ["lock.order", "lock.kind"].into_iter()),
            Some("lock.order")
        );
        assert_eq!(nearest("lock", ["lock.order"].into_iter()), Some("lock.order"));
        assert_eq!(nearest("ahci", names.into_iter()), None);
    }
}
