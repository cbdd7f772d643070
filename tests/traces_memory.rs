//! Readers take no more memory for a longer trace.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};

use lockstorm::trace::window::Cutter;
use lockstorm::trace::{Format, open};

/// Counts bytes that are allocated, and the most that ever were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is the system allocator's; counting touches no memory of its.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Lines without end, each made of its number.
struct Lines {
    line: fn(u64) -> String,
    next: u64,
    current: Cursor<Vec<u8>>,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.current.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        let lines: String = (self.next..self.next + 100).map(self.line).collect();
        self.next += 100;
        self.current = Cursor::new(lines.into_bytes());
        self.current.read(buffer)
    }
}

const TRACERPT: &str = "Event Name, Type, Event ID, Processor Number, Clock-Time, User Data\n";
const XPERF: &str =
    "BeginHeader\nDiskRead, TimeStamp, ByteOffset, IOSize, ElapsedTime, DiskNum\nEndHeader\n";

/// What grows most in each format: requests that are never completed, new names, new places.
const HOSTILE: [(Format, &str, fn(u64) -> String); 9] = [
    (Format::Msr, "", |n| format!("{n},h{n},{n},Write,{},512,{n}\n", n * 7919)),
    (Format::Fio, "fio version 3 iolog\n", |n| format!("{n} file{n} write {} 512\n", n * 4096)),
    (Format::Blkparse, "", |n| format!("8,0 {} {n} 0.{n:09} 1 D W {n} + 8 [a]\n", n % 200)),
    (Format::TracerptCsv, TRACERPT, |n| {
        format!("Microsoft-Windows-StorPort, Info, 202, {}, {n}, {n}, 0x28, 8, {n}\n", n % 300)
    }),
    (Format::TracerptXml, "<Events>", |n| {
        format!(
            "<Event><System><Provider Name=\"Microsoft-Windows-StorPort\"/><EventID>212</EventID><TimeCreated SystemTime=\"2016-01-01T00:00:00Z\"/><Execution ProcessorID=\"1\"/></System><EventData><Data Name=\"Irp\">{n}</Data></EventData></Event>"
        )
    }),
    (Format::TracerptXml, "<Events>", |_| "<a>".into()),
    (Format::Xperf, XPERF, |n| format!("DiskRead, {n}, 0x{n:x}, 0x1000, 5, {n}\n")),
    (Format::Events, "{\"lockstorm_events\":1}\n", |n| {
        format!(
            "{{\"time_ns\":{n},\"processor\":0,\"irql\":2,\"site\":{{\"Source\":{{\"file\":\"{n}\",\"line\":{n},\"column\":1}}}},\"event\":{{\"RequestCreated\":{{\"request\":{},\"function\":0}}}}}}\n",
            n % 65536
        )
    }),
    (Format::Msr, "", |_| "x".into()),
];

/// The most memory that reading so many bytes took.
fn peak(format: Format, start: &'static str, line: fn(u64) -> String, bytes: u64) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let lines = Lines { line, next: 1, current: Cursor::new(start.as_bytes().to_vec()) };
    let mut source = open(format, Box::new(lines.take(bytes))).expect("the start is right");
    let mut cutter = Cutter::new(64, 0);
    loop {
        match source.next() {
            Ok(Some(request)) => cutter.push(request),
            Ok(None) => break,
            Err(error) if error.fatal => break,
            Err(_) => {}
        }
    }
    drop(source);
    let _ = cutter.finish();
    MOST.load(Ordering::Relaxed) - before
}

#[test]
fn a_longer_trace_takes_no_more_memory() {
    for (format, start, line) in HOSTILE {
        let short = peak(format, start, line, 1 << 20);
        let long = peak(format, start, line, 3 << 20);
        assert!(long < short + (1 << 20), "{}: {short} bytes, then {long}", format.name());
        assert!(long < 16 << 20, "{}: {long} bytes", format.name());
    }
}
