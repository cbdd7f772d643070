//! blkparse's default output.
//!
//! ```text
//!   8,0    3       11     0.009507758   697  D   W 223490 + 8 [kjournald]
//!   8,0    1        2     0.009790003     0  C   W 223490 + 8 [0]
//! ```
//!
//! | field | meaning |
//! | --- | --- |
//! | 1 | device, major and minor |
//! | 2, 3 | processor, sequence number |
//! | 4 | time since the trace began: seconds, nine decimals |
//! | 5 | process |
//! | 6 | action, one or two letters |
//! | 7 | what: R read, W write, D discard, F flush (before) or FUA (after), N none; A S M B qualify |
//! | then | sector `+` sectors of 512 bytes, then `[process]` or `[error]`; with `-t` a time in parentheses |
//!
//! A request is its issue to the driver (D) and its completion (C), which name the same first sector. Devices
//! without a queue (loop, dm, md) have no D; there it is queueing (Q) and completion. What was merged (M, F) is part
//! of another. Other actions say nothing of requests. The summary after the last line begins with `CPU` and ends the trace.
//!
//! Source: blkparse(1) and `blkparse_fmt.c` of blktrace (<https://git.kernel.dk/cgit/blktrace/>).

use super::field::{Field, decimal, words};
use super::input::Text;
use super::pending::Pending;
use super::{Operation, Request, Source, TraceError};

const SECTOR_BYTES: u64 = 512;
const SECOND_NS: u64 = 1_000_000_000;
/// A flush without data has no sector; no disk has this one.
const NO_SECTOR: u64 = u64::MAX;

/// Whether a first line is one of blkparse's.
pub(super) fn looks_like(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_device = words.next().is_some_and(|word| device(word.as_bytes()).is_some());
    is_device && words.nth(2).is_some_and(|word| time(word.as_bytes()).is_some())
}

fn device(text: &[u8]) -> Option<u32> {
    let comma = text.iter().position(|&byte| byte == b',')?;
    let (major, minor) = (decimal(&text[..comma])?, decimal(&text[comma + 1..])?);
    // As Linux packs them: 12 bits of major, 20 of minor.
    (major < 1 << 12 && minor < 1 << 20).then_some((major << 20 | minor) as u32)
}

fn time(text: &[u8]) -> Option<u64> {
    let dot = text.iter().position(|&byte| byte == b'.')?;
    let (seconds, fraction) = (decimal(&text[..dot])?, &text[dot + 1..]);
    if fraction.len() != 9 {
        return None;
    }
    seconds.checked_mul(SECOND_NS)?.checked_add(decimal(fraction)?)
}

/// What pairs the lines of a request: device, first sector, and whether it is a write.
type Key = (u32, u64, bool);

/// Reads such output.
#[derive(Debug)]
pub struct Reader<'a> {
    text: Text<'a>,
    pending: Pending<Key>,
    time_ns: u64,
    /// The device has a driver's queue: its requests are issued, not only queued.
    issues: bool,
    /// The summary has begun.
    ended: bool,
}

/// A line that tells of a request.
struct Line {
    key: Key,
    action: u8,
    request: Request,
    failed: bool,
}

impl<'a> Reader<'a> {
    /// Over a text.
    #[must_use]
    pub fn new(text: Text<'a>) -> Self {
        Reader { text, pending: Pending::new(), time_ns: 0, issues: false, ended: false }
    }

    fn take(&mut self, line: Line) {
        let Line { key, action, request, failed } = line;
        match action {
            b'Q' if !self.issues => self.pending.issue(key, request),
            b'M' | b'F' if !self.issues => self.pending.forget(key),
            b'D' => {
                if !self.issues {
                    self.issues = true;
                    // What was queued so far will be issued, or was merged into what is.
                    self.pending = Pending::new();
                }
                self.pending.issue(key, request);
            }
            b'C' => {
                if let Some(done) = self.pending.complete(key, request.time_ns) {
                    done.completed_on = request.processor;
                    done.failed = failed;
                }
            }
            _ => {}
        }
    }
}

fn parse(number: u64, line: &[u8], since: u64) -> Result<Option<Line>, TraceError> {
    let end = Field { text: &[], line: number, column: line.len() + 1, missing: true };
    let mut words = words(number, line);
    let mut word = || words.next().unwrap_or(end);
    let first = word();
    if first.missing {
        return Ok(None);
    }
    let unit = device(first.text).ok_or_else(|| first.wrong("a device, as '8,0'"))?;
    let cpu = word();
    let processor = u16::try_from(cpu.decimal("a processor")?)
        .map_err(|_| cpu.wrong("a processor, at most 65535"))?;
    word().decimal("a sequence number")?;
    let stamp = word();
    let time_ns =
        time(stamp.text).ok_or_else(|| stamp.wrong("a time, seconds with nine decimals"))?;
    if time_ns < since {
        return Err(stamp.wrong("a later time: time runs backwards"));
    }
    word().decimal("a process")?;
    let action = word();
    if action.missing || action.text.len() > 2 || !action.text[0].is_ascii_alphabetic() {
        return Err(action.wrong("an action of one or two letters"));
    }
    let other = |time_ns| {
        let request = Request::new(time_ns, Operation::Other);
        Ok(Some(Line { key: (0, NO_SECTOR, false), action: b'-', request, failed: false }))
    };
    if !matches!(action.text, b"Q" | b"M" | b"F" | b"D" | b"C") {
        return other(time_ns);
    }
    let kind = word();
    let Some(operation) = operation(kind.text) else {
        return match kind.text.first() {
            Some(b'N' | b'B') => other(time_ns),
            _ => Err(kind.wrong("what it is: R, W, D or F")),
        };
    };
    let next = word();
    let mut key = (unit, NO_SECTOR, operation != Operation::Read);
    let mut request =
        Request { processor: Some(processor), unit, ..Request::new(time_ns, operation) };
    let mut last = next;
    if !next.missing && !next.text.starts_with(b"[") {
        let sector = next.decimal("a sector")?;
        let plus = word();
        last = plus;
        if plus.text == b"+" {
            let count = word();
            let bytes = count.decimal("a number of sectors")?.checked_mul(SECTOR_BYTES);
            let wrong = || count.wrong("a number of sectors of less than 4 GiB");
            request.bytes = bytes.and_then(|bytes| u32::try_from(bytes).ok()).ok_or_else(wrong)?;
            request.address =
                sector.checked_mul(SECTOR_BYTES).ok_or_else(|| next.wrong("a sector"))?;
            key.1 = if request.bytes == 0 { NO_SECTOR } else { sector };
            last = word();
        }
    } else if operation != Operation::Flush {
        return Err(next.wrong("a sector"));
    }
    if last.text.starts_with(b"(") {
        last = word();
    }
    if !last.text.starts_with(b"[") {
        return Err(last.wrong("a process or an error in brackets"));
    }
    let failed = action.text == b"C" && last.text != b"[0]";
    Ok(Some(Line { key, action: action.text[0], request, failed }))
}

/// What the letters say; `None` if it is no request.
fn operation(letters: &[u8]) -> Option<Operation> {
    let letters = match letters {
        // A flush before data is a flush of its own to the device; what remains is the request.
        [b'F', rest @ ..] if matches!(rest.first(), Some(b'W' | b'R' | b'D')) => rest,
        other => other,
    };
    match letters.first()? {
        b'R' => Some(Operation::Read),
        b'W' => Some(Operation::Write),
        b'D' => Some(Operation::Trim),
        b'F' => Some(Operation::Flush),
        _ => None,
    }
}

impl Source for Reader<'_> {
    fn next(&mut self) -> Result<Option<Request>, TraceError> {
        loop {
            if let Some(request) = self.pending.next() {
                return Ok(Some(request));
            }
            if self.ended {
                return Ok(self.pending.drain());
            }
            let number = self.text.number() + 1;
            let Some(line) = self.text.line()? else {
                self.ended = true;
                continue;
            };
            if line.starts_with(b"CPU") || line.starts_with(b"Total") {
                self.ended = true;
                continue;
            }
            if let Some(line) = parse(number, line, self.time_ns)? {
                self.time_ns = line.request.time_ns;
                self.take(line);
            }
        }
    }
}
