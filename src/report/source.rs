//! The lines of source around a site, where the source is at hand.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Lines shown before and after.
const AROUND: usize = 4;

/// Most bytes of a file that are read: more is no source of a driver.
const BYTES_MAX: u64 = 4 << 20;

/// Some lines of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Excerpt {
    /// The file, as the site names it.
    pub file: String,
    /// The number of the first line.
    pub first: usize,
    /// The line of the site.
    pub line: usize,
    /// The lines.
    pub lines: Vec<String>,
}

/// The lines around `site`, which reads `file:line`, or has that in parentheses at its end. `folders` are where
/// to look for a file that is not found as it is named.
#[must_use]
pub fn around(site: &str, folders: &[PathBuf]) -> Option<Excerpt> {
    let (file, line) = position(site)?;
    let path = find(Path::new(file), folders)?;
    let reader = BufReader::new(File::open(path).ok()?.take(BYTES_MAX));
    let first = line.saturating_sub(AROUND).max(1);
    let lines: Vec<String> = reader
        .split(b'\n')
        .skip(first - 1)
        .take(line + AROUND + 1 - first)
        .map_while(Result::ok)
        .map(|line| String::from_utf8_lossy(&line).trim_end().replace('\t', "    "))
        .collect();
    (lines.len() > line - first).then(|| Excerpt { file: file.to_owned(), first, line, lines })
}

/// File and line of `src/a.rs:12` or `StartIo (disk.c:12)`.
#[must_use]
pub fn position(site: &str) -> Option<(&str, usize)> {
    let inner = match site.rsplit_once('(') {
        Some((_, inner)) => inner.strip_suffix(')')?,
        None => site,
    };
    let (file, line) = inner.rsplit_once(':')?;
    let line = line.parse().ok().filter(|&line| line > 0)?;
    (!file.is_empty()).then_some((file, line))
}

/// The file itself, or one in the folders whose path ends as its does.
fn find(file: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    if file.is_file() {
        return Some(file.to_owned());
    }
    let windows = file.to_string_lossy().replace('\\', "/");
    let parts: Vec<&str> = windows.split('/').filter(|part| !part.is_empty()).collect();
    folders.iter().find_map(|folder| {
        (0..parts.len())
            .map(|skip| folder.join(parts[skip..].join("/")))
            .find(|path| path.is_file())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions() {
        assert_eq!(position("src/a.rs:12"), Some(("src/a.rs", 12)));
        assert_eq!(position("StartIo (c:\\d\\disk.c:7)"), Some(("c:\\d\\disk.c", 7)));
        assert_eq!(position("driver+0x12"), None);
        assert_eq!(position("a.rs:0"), None);
        assert_eq!(position(""), None);
    }

    #[test]
    fn an_excerpt_has_the_line_in_it() {
        let here = around(&format!("{}:3", file!()), &[]).expect("the source is at hand");
        assert_eq!((here.first, here.line, here.lines.len()), (1, 3, 7));
        assert!(here.lines[0].starts_with("//! The lines of source"));
        let elsewhere = around("x:\\build\\source.rs:1", &[Path::new("src/report").to_owned()]);
        assert_eq!(elsewhere.map(|found| found.first), Some(1));
        assert_eq!(around(&format!("{}:99999", file!()), &[]), None);
        assert_eq!(around("nowhere.rs:1", &[]), None);
    }
}
