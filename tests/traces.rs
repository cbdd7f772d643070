//! Traces: each sample becomes seeds that replay, what is wrong is told with its place, and what a scenario keeps of a
//! trace is what it should.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lockstorm::harness::{BuiltIn, Harness};
use lockstorm::rules::Severity;
use lockstorm::scenario::{DeviceOrder, Scenario, Step, codec};
use lockstorm::trace::compose::{Weave, compose};
use lockstorm::trace::shape::Shape;
use lockstorm::trace::window::Window;
use lockstorm::trace::{self, Format, Operation, Options, Request, Seeded, TraceError};

const SAMPLES: [(&str, Format, usize); 8] = [
    ("msr.csv", Format::Msr, 200),
    ("fio-v2.log", Format::Fio, 228),
    ("fio-v3.log", Format::Fio, 228),
    ("blkparse.txt", Format::Blkparse, 212),
    ("tracerpt.csv.gz", Format::TracerptCsv, 211),
    ("tracerpt.xml", Format::TracerptXml, 60),
    ("xperf.txt", Format::Xperf, 212),
    ("events.jsonl.gz", Format::Events, 24),
];

fn sample(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/traces").join(name)).unwrap()
}

fn read(format: Format, bytes: &[u8]) -> Result<Vec<Request>, TraceError> {
    let mut source = trace::open(format, Box::new(bytes))?;
    let mut requests = Vec::new();
    while let Some(request) = source.next()? {
        requests.push(request);
    }
    Ok(requests)
}

fn seeds(format: Format, bytes: &[u8], options: &Options) -> Seeded {
    let mut source = trace::open(format, Box::new(bytes)).unwrap();
    trace::seeds(&mut *source, &mut Harness::alone(BuiltIn::Nvme), options).unwrap()
}

#[test]
fn samples_are_what_they_say() {
    for (name, format, count) in SAMPLES {
        let bytes = sample(name);
        let (guess, _) = trace::open_any(Box::new(&bytes[..])).unwrap();
        assert_eq!(guess, format, "{name}");
        let requests = read(format, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(requests.len(), count, "{name}");
    }
}

#[test]
fn seeds_of_every_sample_replay_without_violation() {
    for (name, format, _) in SAMPLES {
        let seeded = seeds(format, &sample(name), &Options::default());
        assert!(!seeded.seeds.is_empty() && seeded.broken.is_empty(), "{name}");
        let mut harness = Harness::alone(BuiltIn::Nvme);
        for seed in &seeded.seeds {
            codec::read(&seed.bytes).expect("a seed is a scenario's file");
            harness.run_bytes(&seed.bytes);
            let errors = harness.findings().iter().filter(|f| f.severity == Severity::Error);
            assert_eq!(errors.count(), 0, "{name}");
            assert!(seed.gained > 0);
        }
    }
}

#[test]
fn the_same_trace_gives_the_same_seeds() {
    let bytes = sample("blkparse.txt");
    let make = |seed| {
        let options = Options { seed, ..Options::default() };
        let seeded = seeds(Format::Blkparse, &bytes, &options);
        seeded.seeds.into_iter().map(|seed| seed.bytes).collect::<Vec<_>>()
    };
    assert_eq!(make(0), make(0));
    assert_ne!(make(0), make(1));
}

#[test]
fn limits_hold() {
    let options = Options { max_files: 3, max_steps: 10, ..Options::default() };
    let seeded = seeds(Format::Msr, &sample("msr.csv"), &options);
    assert_eq!(seeded.seeds.len(), 3);
    for seed in &seeded.seeds {
        assert!(codec::decode(&seed.bytes).steps.len() <= 10);
    }
}

const FIO: &str = "fio version 3 iolog\n0 f add\n";
const XPERF: &str = "BeginHeader\nDiskRead, TimeStamp, Process Name ( PID), ThreadID, CPU, IrpPtr, ByteOffset, IOSize, ElapsedTime, DiskNum\nEndHeader\n";
const TRACERPT: &str = "Event Name, Type, Event ID, Version, Channel, Level, Opcode, Task, Keyword, PID, TID, Processor Number, Instance ID, Parent Instance ID, Activity ID, Related Activity ID, Clock-Time, Kernel(ms), User(ms), User Data\n";
const EVENTS: &str = "{\"lockstorm_events\":1}\n";

/// Traces, and what is said of each: its line and column, and a part of the message.
type Said = &'static [(&'static str, (u64, u64), &'static str)];

/// What is wrong, by format; each trace comes after the beginning that they share.
const BAD: [(Format, &str, Said); 9] = [
    (
        Format::Msr,
        "",
        &[
            ("1,hm,0,Read,0,512,10\n2,hm,0,Read,0\n", (2, 14), "expected 7 columns, found 5"),
            ("hello\n", (1, 6), "expected 7 columns, found 1"),
            ("1,hm,0,Read,0,512,10\n2,hm,0,Reed,0,512,10\n", (2, 8), "'Reed'"),
            ("99999999999999999999999,hm,0,Read,0,512,10\n", (1, 1), "at most"),
            ("1,hm,0,Read,0,4294967296,10\n", (1, 15), "Size, at most 4294967295"),
            ("1,hm,0,Read,-5,512,10\n", (1, 13), "'-5'"),
            ("1,hm,0,Read,0,512,99999999999999999999\n", (1, 19), "at most"),
            ("5,hm,0,Read,0,512,1\n1,hm,0,Read,0,512,1\n", (2, 1), "time runs backwards"),
        ],
    ),
    (
        Format::Fio,
        "",
        &[
            ("fio version 1 iolog\n", (1, 1), "expected 'fio version 2 iolog'"),
            ("fio version 2 iolog\nf read 0\n", (2, 9), "the line ends before it"),
            ("fio version 2 iolog\nf jump 0 0\n", (2, 3), "an action"),
        ],
    ),
    (
        Format::Fio,
        FIO,
        &[
            ("20 f read 0 512\n10 f read 0 512\n", (4, 1), "time runs backwards"),
            ("20 f read 0 99999999999\n", (3, 13), "at most 4294967295"),
        ],
    ),
    (
        Format::Blkparse,
        "8,0 0 1 0.500000000 1 D R 8 + 8 [a]\n",
        &[
            ("8,0 0 2 0.5001 1 C R 8 + 8 [0]\n", (2, 9), "nine decimals"),
            ("8,0 0 2 0.400000000 1 C R 8 + 8 [0]\n", (2, 9), "time runs backwards"),
            ("8,0 0 1 0.500000000 1 D R 8 + 9999999999 [a]\n", (2, 31), "sectors"),
            ("8,0 0 1 0.500000000 1 D R 8 +", (2, 30), "the line ends before it"),
            ("x,0 0 1\n", (2, 1), "a device"),
        ],
    ),
    (
        Format::Xperf,
        "",
        &[
            ("nothing\n", (1, 1), "BeginHeader"),
            ("BeginHeader\nDiskRead, TimeStamp\nEndHeader\n", (2, 0), "no column 'ElapsedTime'"),
            ("BeginHeader\nFoo\n", (3, 0), "EndHeader"),
        ],
    ),
    (
        Format::Xperf,
        XPERF,
        &[
            ("DiskRead, 10, a (1), 1, 0, 0x1, 0xZZ, 0x200, 5, 0\n", (4, 33), "'0xZZ'"),
            ("DiskRead, 10, a (1), 1, 0, 0x1\n", (4, 0), "the line ends before it"),
        ],
    ),
    (Format::TracerptCsv, "", &[("Event Name, Type\n", (1, 1), "no column 'Event ID'")]),
    (
        Format::TracerptXml,
        "",
        &[
            ("<Events><Event><System>\n</Event></Events>", (2, 0), "not XML"),
            ("<Events>\n<Event>\n", (3, 0), "inside an element"),
        ],
    ),
    (Format::Events, "", &[("{\"lockstorm_events\":9}\n", (1, 0), "format version 9")]),
];

/// A line of events, at a time and on a processor.
fn event(time_ns: u64, processor: u8, event: &str) -> String {
    format!(
        "{{\"time_ns\":{time_ns},\"processor\":{processor},\"irql\":0,\"event\":\"{event}\"}}\n"
    )
}

/// A StorPort completion as tracerpt writes it, as far as `data` goes.
fn completion(data: &str) -> String {
    format!(
        "Microsoft-Windows-StorPort, Info, 202, 2, 0, 4, 0, 0, 0x0, 0x4, 0x58, 1, , , , ,{data}"
    )
}

fn bad() -> Vec<(Format, String, (u64, u64), &'static str)> {
    let constant = BAD.iter().flat_map(|&(format, begins, said)| {
        said.iter()
            .map(move |&(text, place, message)| (format, format!("{begins}{text}"), place, message))
    });
    let two = |first: String, second: String| [first, second].concat();
    let data = ", 0, 0, 0xF0, 0x28, 8, 4096, 0x0, 0\n";
    let at = |time: u64| completion(&format!(" {time}{data}"));
    let made = [
        (Format::TracerptCsv, two(at(200), at(100)), (3, 82), "time runs backwards"),
        (Format::TracerptCsv, completion(" 200, 0, 0, 0xF0"), (2, 0), "the line ends before it"),
        (Format::Events, event(1, 0, "Nonsense"), (2, 0), "unknown variant"),
        (Format::Events, event(1, 8, "Quiescing"), (2, 0), "processor 8, the largest is 7"),
        (
            Format::Events,
            two(event(5, 0, "Quiescing"), event(4, 0, "Quiescing")),
            (3, 0),
            "time runs backwards",
        ),
    ];
    let headed = made.into_iter().map(|(format, text, place, message)| {
        let heading = if format == Format::Events { EVENTS } else { TRACERPT };
        (format, format!("{heading}{text}"), place, message)
    });
    constant.chain(headed).collect()
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut wrong = Vec::new();
    for (format, text, (line, column), message) in bad() {
        let error = read(format, text.as_bytes()).expect_err(&text);
        let is_there = error.line == line && (column == 0 || error.column == column);
        if !is_there || !error.message.contains(message) || error.to_string().contains('\n') {
            wrong
                .push(format!("{text}\n{error}, expected line {line}, column {column}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn lenient_skips_bad_lines_and_counts_them() {
    let text = "1,hm,0,Read,0,512,10\nbroken\n2,hm,0,Write,0,512,10\n3,hm,0,Reed,0,512,10\n";
    let options = Options { lenient: true, ..Options::default() };
    let seeded = seeds(Format::Msr, text.as_bytes(), &options);
    assert_eq!((seeded.stats.requests(), seeded.skipped), (2, 2));
    assert_eq!(seeded.first_skipped.map(|error| error.line), Some(2));
    let mut source = trace::open(Format::Msr, Box::new(&b"no\nmsr\n"[..])).unwrap();
    let error = trace::seeds(&mut *source, &mut Harness::alone(BuiltIn::Nvme), &options);
    assert!(error.unwrap_err().message.contains("2 lines were skipped"));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn packing_and_encoding_make_no_difference() {
    for (name, format) in [
        ("msr.csv", Format::Msr),
        ("xperf.txt", Format::Xperf),
        ("tracerpt.xml", Format::TracerptXml),
    ] {
        let plain = sample(name);
        let text = std::str::from_utf8(&plain).unwrap();
        let expected = read(format, &plain).unwrap();
        let (first, second) = plain.split_at(plain.len() / 2);
        let bom = [b"\xEF\xBB\xBF", &plain[..]].concat();
        let units = |unit: fn(u16) -> [u8; 2]| {
            format!("\u{FEFF}{text}").encode_utf16().flat_map(unit).collect::<Vec<u8>>()
        };
        // Every third line ends as on Windows.
        let mut mixed = String::new();
        for (number, line) in text.lines().enumerate() {
            mixed += line;
            mixed += if number % 3 == 0 { "\r\n" } else { "\n" };
        }
        let variants = [
            ("byte order mark", bom),
            ("UTF-16LE", units(u16::to_le_bytes)),
            ("UTF-16BE", units(u16::to_be_bytes)),
            ("mixed line ends", mixed.into_bytes()),
            ("no last line end", plain.trim_ascii_end().to_vec()),
            ("gzip", gzip(&plain)),
            ("two gzip members", [gzip(first), gzip(second)].concat()),
            ("zstd", zstd(&plain)),
            ("two zstd frames", [zstd(first), zstd(second)].concat()),
            ("UTF-16LE in gzip", gzip(&units(u16::to_le_bytes))),
        ];
        for (what, bytes) in variants {
            assert_eq!(read(format, &bytes).as_ref(), Ok(&expected), "{name}, {what}");
        }
        for packed in [gzip(&plain), zstd(&plain)] {
            let error = read(format, &packed[..packed.len() / 2]).expect_err("half an archive");
            assert!(error.fatal, "{error}");
        }
    }
}

/// A generator for tests: SplitMix64.
fn noise(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let mut state = 1;
    for (name, format, _) in SAMPLES {
        let mut whole = sample(name);
        whole.truncate(4000);
        let index = Format::ALL.iter().position(|&other| other == format).unwrap() as u8;
        for _ in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..1 + noise(&mut state) % 6 {
                let at = noise(&mut state) as usize % bytes.len();
                match noise(&mut state) % 5 {
                    0 => bytes[at] = noise(&mut state) as u8,
                    1 => bytes.truncate(at.max(1)),
                    2 => bytes[at] = b"0123456789,x-.\"<>\n "[noise(&mut state) as usize % 19],
                    3 => {
                        let part = bytes[at..(at + 30).min(bytes.len())].to_vec();
                        bytes.extend(part);
                    }
                    _ => {
                        let digits = b"18446744073709551615";
                        bytes.splice(at..at, digits.iter().copied());
                    }
                }
            }
            trace::fuzz(&[&[index], &bytes[..]].concat());
        }
        let random: Vec<u8> = (0..600).map(|_| noise(&mut state) as u8).collect();
        trace::fuzz(&[&[index], &random[..]].concat());
    }
}

#[test]
fn the_fuzz_targets_corpus_has_requests_of_every_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/traces");
    let mut formats = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        trace::fuzz(&bytes);
        let format = Format::ALL[usize::from(bytes[0])];
        let mut source = trace::open(format, Box::new(&bytes[1..])).unwrap();
        assert!(matches!(source.next(), Ok(Some(_))), "{}", path.display());
        formats.insert(format.name());
    }
    assert_eq!(formats.len(), Format::ALL.len());
}

fn window(requests: Vec<Request>) -> Window {
    Window { requests, shape: Shape::default(), first: 0 }
}

fn ios(scenario: &Scenario) -> Vec<(u32, u32)> {
    let io = |step: &Step| match step {
        Step::Io(_, io) => Some((u32::from(io.block), u32::from(io.block) + u32::from(io.blocks))),
        _ => None,
    };
    scenario.steps.iter().filter_map(io).collect()
}

#[test]
fn requests_collide_in_a_scenario_exactly_when_they_did_in_the_trace() {
    let mut state = 2;
    for _ in 0..200 {
        let spread = 1 << (4 + noise(&mut state) % 24);
        let requests: Vec<Request> = (0..64)
            .map(|time| Request {
                address: noise(&mut state) % spread * 512,
                bytes: 512 << (noise(&mut state) % 6),
                unit: noise(&mut state) as u32 % 2,
                ..Request::new(time * 1000, Operation::Write)
            })
            .collect();
        let places = ios(&compose(&window(requests.clone()), Weave::Calm, 0));
        assert_eq!(places.len(), requests.len());
        for (a, b) in (0..64).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let (x, y) = (&requests[a], &requests[b]);
            let did = x.unit == y.unit && x.address < y.end() && y.address < x.end();
            let do_now = places[a].0 < places[b].1 && places[b].0 < places[a].1;
            // What is cut to the largest transfer may miss what touched its end.
            let is_cut = [a, b].iter().any(|&index| places[index].1 - places[index].0 == 48);
            assert!(did == do_now || (did && is_cut), "{x:?} {y:?}");
        }
        assert!(places.iter().all(|&(_, end)| end <= 128));
    }
}

#[test]
fn processors_order_and_queue_depth_are_the_traces() {
    // Four requests at once on processors 3, 9, 9, 3, answered last first.
    let requests: Vec<Request> = [(3, 80), (9, 60), (9, 40), (3, 20)]
        .into_iter()
        .enumerate()
        .map(|(index, (processor, latency))| Request {
            latency_ns: Some(latency * 1000 * 8),
            processor: Some(processor),
            address: index as u64 * 4096,
            bytes: 4096,
            ..Request::new(1000, Operation::Read)
        })
        .collect();
    let scenario = compose(&window(requests), Weave::Calm, 0);
    assert_eq!(scenario.setup.processors, 2);
    assert_eq!(scenario.setup.device.order, DeviceOrder::ByLatency);
    let at: Vec<_> = scenario.steps.iter().filter_map(Step::at).collect();
    assert_eq!(at.iter().map(|at| at.processor).collect::<Vec<_>>(), [0, 1, 1, 0]);
    assert!(at.iter().all(|at| at.gap == 0));
    let slowness = |step: &Step| match step {
        Step::Io(_, io) => io.answer.slowness,
        _ => 0,
    };
    let slowness: Vec<u8> = scenario.steps.iter().map(slowness).collect();
    assert!(slowness.is_sorted_by(|a, b| a >= b) && slowness[0] > slowness[3], "{slowness:?}");
}

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("traces-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn lockstorm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockstorm")).args(arguments).output().unwrap()
}

/// Replays every file of a directory; returns the exit status and what is said.
fn replay(driver: &str, directory: &Path) -> (Option<i32>, String) {
    let mut files: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    files.sort();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = lockstorm(&[&["run", driver], &files[..]].concat());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn an_unusable_trace_leaves_nothing_behind() {
    let directory = Directory::new("unusable");
    let trace = directory.0.join("bad.csv");
    fs::write(&trace, "1,hm,0,Read,0,512,10\n2,hm,0,Read,0\n").unwrap();
    let out = directory.0.join("seeds");
    let (trace, out) = (trace.to_str().unwrap(), out.to_str().unwrap());
    let output = lockstorm(&["seed", "--from", "msr", trace, "-o", out]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    let expected = format!("lockstorm: cannot read {trace}: line 2, column 14: ");
    assert!(error.starts_with(&expected) && error.lines().count() == 1, "{error}");
    assert!(!Path::new(out).exists());
    let output = lockstorm(&["seed", "--from", "msr", trace, "-o", out, "--lenient", "--stats"]);
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("1 line skipped") && told.contains("requests"), "{told}");
}

#[test]
fn seeds_are_files_that_run_and_the_page_lists_them() {
    let directory = Directory::new("files");
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/traces/msr.csv");
    let (out, page) = (directory.0.join("seeds"), directory.0.join("page.html"));
    let arguments =
        [trace.to_str().unwrap(), "-o", out.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let output = lockstorm(&[&["seed"], &arguments[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let page = fs::read_to_string(page).unwrap();
    let names: BTreeSet<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.is_empty());
    assert!(names.iter().all(|name| name.starts_with("msr-") && page.contains(name.as_str())));
    assert!(page.contains("<svg") && !page.contains("http://") && !page.contains("<script"));
    let (status, said) = replay("nvme", &out);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn what_breaks_a_rule_is_told_and_kept_apart() {
    let directory = Directory::new("broken");
    let path = |name: &str| directory.0.join(name).display().to_string();
    let (record, seeds, kept) = (path("run.jsonl"), path("seeds"), path("kept"));
    let broken =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scenarios/lock-cycle-broken.ron");
    let run = lockstorm(&["run", "puppet", broken.to_str().unwrap(), "--events", &record]);
    assert_eq!(run.status.code(), Some(1));
    let seed = ["seed", "--from", "events", &record, "--driver", "puppet", "-o", &seeds];
    let output = lockstorm(&[&seed[..], &["--artifacts", &kept]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("lockstorm: VIOLATION lock.cycle error"), "{said}");
    assert!(said.contains("4 of 4 lock calls in order") && !Path::new(&seeds).exists(), "{said}");
    let (status, said) = replay("puppet", Path::new(&kept));
    assert!(status == Some(1) && said.contains("VIOLATION lock.cycle"), "{said}");
}
