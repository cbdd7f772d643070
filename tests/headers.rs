//! The C headers in `include/` say what `src/storport` says: every size, offset, number and constant.
//!
//! `include/check/abi.c` is made from the sources of `src/storport`, where each item's documentation begins with its
//! Windows name, and holds nothing but static assertions; that it is up to date is checked everywhere, that it
//! compiles only where there is a clang. `UPDATE_EXPECT=1 cargo test --test headers` writes it anew.

#[path = "support/notice.rs"]
mod notice;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use expect_test::expect_file;

const HEAD: &str = "\
/*
 * abi.c: the headers against src/storport. Made by tests/headers.rs: do not edit.
 */
#include <ntddk.h>
#include <storport.h>
#include <srbhelper.h>
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources, in the order of their names.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The Windows name with which a documentation line begins: what stands between its first backticks.
fn windows_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("/// `")?;
    rest.split_once('`').map(|(name, _)| name)
}

/// A type of `src/storport`: its Windows name, and for each field its Windows name and its type.
#[derive(Default)]
struct Record {
    name: String,
    fields: BTreeMap<String, (String, String)>,
}

/// Reads every `pub struct` and type alias. What has no Windows name gets an empty one.
fn records(text: &str) -> BTreeMap<String, Record> {
    let mut records = BTreeMap::new();
    let mut documented: Option<String> = None;
    let mut open: Option<String> = None;
    for line in text.lines() {
        let code = line.trim();
        if let Some(name) = windows_name(line) {
            documented.get_or_insert_with(|| name.to_owned());
        } else if code.starts_with("///") || code.starts_with("#[") {
            // More of the same item.
        } else if let Some(rest) =
            code.strip_prefix("pub struct ").or_else(|| code.strip_prefix("pub type "))
        {
            let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
            let item = rest[..end].to_owned();
            let name = documented.take().unwrap_or_default();
            records.insert(item.clone(), Record { name, ..Record::default() });
            open = code.ends_with('{').then_some(item);
        } else if let (Some(rest), Some(item)) = (code.strip_prefix("pub "), &open) {
            if let (Some((field, kind)), Some(name)) = (rest.split_once(": "), documented.take())
                && let Some(record) = records.get_mut(item)
            {
                let kind = kind.trim_end_matches(',').to_owned();
                record.fields.insert(field.to_owned(), (name, kind));
            }
        } else {
            documented = None;
            if code == "}" {
                open = None;
            }
        }
    }
    records
}

/// A generic structure's fields serve its aliases.
fn fields_of<'a>(records: &'a BTreeMap<String, Record>, item: &str) -> &'a Record {
    let record = &records[item];
    match item {
        "SrbExDataScsiCdb16" | "SrbExDataScsiCdb32" => &records["SrbExDataScsiCdb"],
        _ => record,
    }
}

/// The Windows spelling of a path of fields.
fn windows_path(records: &BTreeMap<String, Record>, item: &str, path: &str) -> String {
    let mut item = item.to_owned();
    let mut spelling = Vec::new();
    for field in path.split('.') {
        let (name, kind) = &fields_of(records, &item).fields[field];
        spelling.push(name.as_str());
        item = match kind.as_str() {
            "StorLockContext" => "KlockQueueHandle".to_owned(),
            other => other.to_owned(),
        };
    }
    spelling.join(".")
}

/// What stands between two texts.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.split_once(start)?.1.split_once(end).map(|(inside, _)| inside)
}

/// The layouts that a source asserts.
fn write_layouts(out: &mut String, text: &str, records: &BTreeMap<String, Record>) {
    for line in text.lines().map(str::trim).filter(|line| line.starts_with("assert!(")) {
        let Some(value) = between(line, " == 0x", ")") else { continue };
        if let Some(item) = between(line, "size_of::<", ">()") {
            let name = &records[item].name;
            // A list's head: what follows it in C is one element or none.
            if item != "StorAddress" {
                writeln!(out, "C_ASSERT(sizeof({name}) == 0x{value});").expect("a string");
            }
        } else if let Some((item, path)) =
            between(line, "offset_of!(", ")").and_then(|inside| inside.split_once(", "))
        {
            let (name, path) = (&records[item].name, windows_path(records, item, path));
            writeln!(out, "C_ASSERT(offsetof({name}, {path}) == 0x{value});").expect("a string");
        }
    }
}

/// The values of every `named!` table, and the plain constants whose documentation begins with their name.
fn write_values(out: &mut String, text: &str) {
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    // A value may stand on the line before its name.
    let joined = code.replace(",\n", ", ");
    for line in joined.lines().map(str::trim) {
        if let Some((head, rest)) = line.split_once(" = ")
            && let Some((value, name)) = rest.split_once(',')
            && let Some(name) = between(name, "\"", "\";")
            && head.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        {
            writeln!(out, "C_ASSERT((LONG)({name}) == (LONG)({}));", value.replace('_', ""))
                .expect("a string");
        } else if let Some(rest) = line.strip_prefix("pub const ")
            && let Some((name, value)) = rest.trim_end_matches(';').split_once(" = ")
            && let Some((name, "u8" | "u32")) = name.split_once(": ")
            && code.contains(&format!("/// `{name}`"))
        {
            writeln!(out, "C_ASSERT(({name}) == {});", value.replace('_', "")).expect("a string");
        }
    }
}

fn generated() -> String {
    let files: Vec<_> = sources(&root().join("src/storport"))
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let name = path.strip_prefix(root()).expect("inside").display().to_string();
            (name.replace('\\', "/"), text)
        })
        .collect();
    let records = files.iter().flat_map(|(_, text)| records(text)).collect();
    let mut out = HEAD.to_owned();
    for (name, text) in &files {
        let mut part = String::new();
        write_layouts(&mut part, text, &records);
        write_values(&mut part, text);
        if !part.is_empty() {
            write!(out, "\n/* {name} */\n{part}").expect("a string");
        }
    }
    out
}

#[test]
fn the_assertions_are_those_of_the_sources() {
    let generated = generated();
    // Had the sources' form changed, the file would shrink rather than differ.
    assert!(generated.matches("offsetof").count() > 250, "layouts are not found any more");
    assert!(generated.lines().count() > 600, "values are not found any more");
    expect_file![root().join("include/check/abi.c")].assert_eq(&generated);
}

#[test]
fn the_headers_agree_with_the_assertions() {
    let mut clang = Command::new("clang");
    clang
        .args(["-target", "x86_64-pc-windows-msvc", "-std=c11", "-ffreestanding", "-fsyntax-only"])
        .args(["-Wall", "-Wextra", "-Wno-unused-function", "-Werror"])
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("include/check/abi.c"));
    match clang.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{errors}");
        }
        Err(error) => {
            notice::left_out("compiling the headers", &format!("there is no clang: {error}"));
        }
    }
}
