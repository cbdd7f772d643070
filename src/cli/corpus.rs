//! `lockstorm corpus`: what a corpus covers.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::failure::{Failure, reason};
use super::output::Output;
use super::{Format, Verdict, input};
use crate::coverage::CoverageMap;
use crate::engine::findings::write_whole;
use crate::engine::minimal::{Candidate, fnv, minimal};
use crate::harness::Harness;
use crate::report::heat;
use crate::report::number::counted;
use crate::report::survey::{Grid, Survey};
use crate::scenario::codec::{self, FILE_BYTES_MAX};
use crate::scenario::text;
use crate::targets::Target;

/// Show what a corpus covers
///
/// Runs every input and tells which locks the driver's callbacks take and while holding what, in which orders locks are
/// taken, and which callbacks came in between which. What is no input is skipped with a warning.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lockstorm corpus nvme                       corpus/nvme
  lockstorm corpus nvme artifacts/nvme/corpus --html nvme.html
  lockstorm corpus puppet --format json | jq .grids")]
pub(super) struct Arguments {
    /// The driver, or the fuzz target that the inputs are for; 'lockstorm drivers' lists drivers
    #[arg(default_value = "nvme")]
    driver: String,
    #[command(flatten)]
    device: input::Device,
    /// Files, and folders of files, of inputs [default: those in corpus/]
    inputs: Vec<PathBuf>,
    /// Write a page with heat maps
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the heat maps as SVG: FILE with a number before its ending, one for each
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Write the inputs that together cover all that the others do to an empty or new folder
    ///
    /// Each of them covers something that no other does. They are written as bytes, in the form that lockstorm writes,
    /// and named for their content.
    #[arg(long, value_name = "DIR")]
    minimize: Option<PathBuf>,
    /// How to write what is covered
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments, output: &mut Output) -> Result<Verdict, Failure> {
    // A target's inputs mean what the target makes of them.
    let target = Target::from_name(&arguments.driver);
    let driver = match target.and_then(Target::driver) {
        Some(driver) => driver.into(),
        None => input::driver(&arguments.driver, &arguments.device)?,
    };
    let given = match (arguments.inputs.as_slice(), target) {
        ([], None) => vec![Path::new("corpus").join(driver.corpus())],
        ([], Some(target)) => {
            target.corpora().iter().map(|folder| Path::new("corpus").join(folder)).collect()
        }
        (inputs, _) => inputs.to_vec(),
    };
    let map: &'static mut CoverageMap = Box::leak(Box::default());
    let mut harness = Harness::open(&driver, map).map_err(|error| input::unusable(&error))?;
    harness.record(true);
    let mut survey = Survey::default();
    let (mut files, mut candidates) = (Vec::new(), Vec::new());
    for path in &given {
        gather(path, true, &mut files)?;
    }
    for file in &files {
        let Some(bytes) = read(file) else { continue };
        let mut scenario = if codec::looks_like_text(&bytes) {
            match text::read(&bytes) {
                Ok(scenario) => scenario,
                Err(error) => {
                    warn(file, &error.to_string());
                    continue;
                }
            }
        } else {
            codec::decode(&bytes)
        };
        if let Some(target) = target {
            target.focus().apply(&mut scenario);
        }
        harness.coverage().clear();
        harness.run(&scenario);
        survey.add(harness.events());
        if arguments.minimize.is_some() {
            candidates.push(Candidate::new(&scenario, harness.coverage()));
        }
    }
    if let Some(folder) = &arguments.minimize {
        write_minimal(folder, candidates)?;
    }
    let title = {
        let verb = if survey.runs == 1 { "covers" } else { "cover" };
        format!("What {} {verb} of {}", counted(survey.runs, "input"), arguments.driver)
    };
    write_pictures(arguments, &title, &survey)?;
    match arguments.format {
        Format::Json => output.json(&Report::of(&survey)),
        Format::Text => tell(&title, &survey, output),
    }
    Ok(Verdict::Clean)
}

/// Writes the inputs of a minimal corpus.
fn write_minimal(folder: &Path, candidates: Vec<Candidate>) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::at("write", folder, reason(&error));
    std::fs::create_dir_all(folder).map_err(fail)?;
    if std::fs::read_dir(folder).map_err(fail)?.next().is_some() {
        return Err(Failure::new(format!("{} is not empty", folder.display())));
    }
    for bytes in minimal(candidates) {
        let path = folder.join(format!("{:016x}.bin", fnv(&bytes)));
        write_whole(&path, &bytes).map_err(|error| Failure::at("write", &path, reason(&error)))?;
    }
    Ok(())
}

/// The files at `path`; those of a folder by name, and of no folder in it.
pub(super) fn gather(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !path.is_dir() {
        if named && !path.exists() {
            return Err(Failure::new(format!("cannot read {}: it does not exist", path.display())));
        }
        files.push(path.to_owned());
        return Ok(());
    }
    if !named {
        warn(path, "a folder");
        return Ok(());
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| Failure::at("read", path, reason(&error)))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().try_for_each(|path| gather(path, false, files))
}

/// The bytes of an input; `None`, with a warning, of what is none.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::metadata(path) {
        Err(error) => warn(path, &reason(&error)),
        Ok(data) if !data.is_file() => warn(path, "not a file"),
        Ok(data) if data.len() > FILE_BYTES_MAX as u64 => warn(path, "longer than any input"),
        Ok(_) => match std::fs::read(path) {
            Ok(bytes) => return Some(bytes),
            Err(error) => warn(path, &reason(&error)),
        },
    }
    None
}

/// Warns of what a campaign passes over in a folder of inputs: what is no file, or cannot be read. Folders in it are passed
/// over only if not `nested`; what is in them is not looked at.
pub(super) fn warn_of_the_rest(folder: &Path, nested: bool) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match std::fs::metadata(&path) {
            Err(error) => warn(&path, &reason(&error)),
            Ok(data) if data.is_dir() && nested => {}
            Ok(data) if data.is_dir() => warn(&path, "a folder"),
            Ok(data) if !data.is_file() => warn(&path, "not a file"),
            Ok(_) => {
                if let Err(error) = std::fs::File::open(&path) {
                    warn(&path, &reason(&error));
                }
            }
        }
    }
}

fn warn(path: &Path, why: &str) {
    eprintln!("lockstorm: {} is skipped: {why}", path.display());
}

fn write_pictures(arguments: &Arguments, title: &str, survey: &Survey) -> Result<(), Failure> {
    let write = |path: &Path, content: &str| {
        write_whole(path, content.as_bytes())
            .map_err(|error| Failure::at("write", path, reason(&error)))
    };
    if let Some(path) = &arguments.html {
        write(path, &heat::page(title, survey))?;
    }
    if let Some(path) = &arguments.svg {
        for (number, grid) in (1..).zip(survey.grids()) {
            let ending = path.extension().unwrap_or("svg".as_ref()).to_string_lossy();
            let numbered = path.with_extension(format!("{number}.{ending}"));
            write(&numbered, &heat::svg(&grid.shown()))?;
        }
    }
    Ok(())
}

/// For people: the grids as tables.
fn tell(title: &str, survey: &Survey, output: &mut Output) {
    output.line(title);
    for grid in survey.grids() {
        output.line(format_args!("\n{}{}", grid.title, heat::of(&grid)));
        table(&grid.shown(), output);
    }
    output.line("\nLocks that callbacks take");
    for (routine, lock, held, count) in survey.acquires() {
        output.line(format_args!(
            "  {:24} takes {lock:9} {count:9} times holding {held}",
            routine.to_string()
        ));
    }
}

fn table(grid: &Grid, output: &mut Output) {
    let names = grid.rows.iter().map(String::len).max().unwrap_or_default();
    // Columns by number, because their names are long.
    let mut header = format!("  {:names$}    ", "");
    for number in 1..=grid.columns.len() {
        header += &format!("{number:>8}");
    }
    output.line(header.trim_end());
    for (number, name) in (1..).zip(&grid.columns) {
        if !grid.rows.contains(name) {
            output.line(format_args!("  column {number}: {name}"));
        }
    }
    for (name, cells) in grid.rows.iter().zip(&grid.cells) {
        let number = grid.columns.iter().position(|column| column == name);
        let number = number.map_or_else(String::new, |at| (at + 1).to_string());
        let mut line = format!("  {name:names$} {number:>2} ");
        for &count in cells {
            line += &if count == 0 { format!("{:>8}", "-") } else { format!("{count:>8}") };
        }
        output.line(line);
    }
}

/// For programs.
#[derive(Serialize)]
struct Report {
    inputs: u64,
    acquires: Vec<Acquire>,
    grids: Vec<GridReport>,
}

#[derive(Serialize)]
struct Acquire {
    callback: String,
    lock: &'static str,
    holding: String,
    times: u64,
}

#[derive(Serialize)]
struct GridReport {
    title: &'static str,
    reached: usize,
    possible: Option<usize>,
    rows: Vec<String>,
    columns: Vec<String>,
    cells: Vec<Vec<u64>>,
}

impl Report {
    fn of(survey: &Survey) -> Report {
        let acquires = survey.acquires().map(|(routine, lock, holding, times)| Acquire {
            callback: routine.to_string(),
            lock,
            holding,
            times,
        });
        let grids = survey.grids().into_iter().map(|grid| GridReport {
            reached: grid.reached(),
            title: grid.title,
            possible: grid.possible,
            rows: grid.rows,
            columns: grid.columns,
            cells: grid.cells,
        });
        Report { inputs: survey.runs, acquires: acquires.collect(), grids: grids.collect() }
    }
}
