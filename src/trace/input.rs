//! The text of a trace: unpacked, in UTF-8, a line at a time.
//!
//! gzip (RFC 1952) and zstd (RFC 8878) are told by their first bytes, UTF-16 and UTF-8 by their byte order
//! mark; tracerpt writes UTF-16LE. Lines end in LF or CR LF, mixed as they come. A line has at most
//! [`LINE_BYTES_MAX`] bytes, so that no file makes a reader need more memory than that.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;

use super::TraceError;

/// Bytes of the longest line: an ETW event with all its data has a few hundred.
pub const LINE_BYTES_MAX: usize = 1 << 16;
/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 17;

/// Bytes by which a format is guessed.
const START_BYTES: usize = 1 << 12;

/// A trace as text.
pub struct Text<'a> {
    bytes: BufReader<Box<dyn Read + Send + 'a>>,
    /// A line that lies across two fillings of the buffer.
    line: Vec<u8>,
    number: u64,
    /// Bytes of the buffer that the last line took, not consumed yet so that the line can be lent.
    lent: usize,
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<'a> Text<'a> {
    /// The text of a file that may be packed.
    ///
    /// # Errors
    ///
    /// The first bytes cannot be read, or are of an archive that cannot be unpacked.
    pub fn new(bytes: Box<dyn Read + Send + 'a>) -> Result<Text<'a>, TraceError> {
        let unpacked = unpack(bytes).map_err(|error| unreadable(0, &error))?;
        let decoded = decode(unpacked).map_err(|error| unreadable(0, &error))?;
        // So that the buffer's first filling is what a guess is made by, whatever lies below.
        let (_, decoded) = peek(decoded, START_BYTES).map_err(|error| unreadable(0, &error))?;
        Ok(Text {
            bytes: BufReader::with_capacity(BUFFER_BYTES, decoded),
            line: Vec::new(),
            number: 0,
            lent: 0,
        })
    }

    /// What the text begins with; only before the first line is read.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn start(&mut self) -> Result<&[u8], TraceError> {
        self.bytes.fill_buf().map_err(|error| unreadable(1, &error))
    }

    /// The number of the last line, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its end; `None` at the end of the text.
    ///
    /// # Errors
    ///
    /// It cannot be read or unpacked, or it is too long.
    pub fn line(&mut self) -> Result<Option<&[u8]>, TraceError> {
        self.bytes.consume(std::mem::take(&mut self.lent));
        self.number += 1;
        self.line.clear();
        // The common case lends the line from the buffer; what crosses its end is put together.
        loop {
            let number = self.number;
            let buffer = self.bytes.fill_buf().map_err(|error| unreadable(number, &error))?;
            let (part, done) = match memchr(b'\n', buffer) {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            if self.line.len() + part > LINE_BYTES_MAX {
                return Err(too_long(number));
            }
            if done && self.line.is_empty() && part > 0 {
                self.lent = part;
                return Ok(Some(trim(&self.bytes.buffer()[..part])));
            }
            self.line.extend_from_slice(&buffer[..part]);
            self.bytes.consume(part);
            if done {
                return Ok((!self.line.is_empty()).then(|| trim(&self.line)));
            }
        }
    }

    /// The same text for a parser that wants bytes rather than lines.
    pub(super) fn into_bytes(self) -> BufReader<Box<dyn Read + Send + 'a>> {
        self.bytes
    }
}

fn trim(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn too_long(number: u64) -> TraceError {
    TraceError::at(number, LINE_BYTES_MAX, format!("a line has at most {LINE_BYTES_MAX} bytes"))
        .fatal()
}

/// What went wrong below the lines.
pub(super) fn unreadable(number: u64, error: &io::Error) -> TraceError {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    TraceError::at(number, 0, format!("cannot read on: {text}")).fatal()
}

/// The first bytes of a stream, and the stream from its beginning.
fn peek<'a>(
    mut bytes: Box<dyn Read + Send + 'a>,
    count: usize,
) -> io::Result<(Vec<u8>, Box<dyn Read + Send + 'a>)> {
    let mut start = Vec::with_capacity(count);
    bytes.by_ref().take(count as u64).read_to_end(&mut start)?;
    let whole = Cursor::new(start.clone()).chain(bytes);
    Ok((start, Box::new(whole)))
}

fn unpack<'a>(bytes: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
    let (start, bytes) = peek(bytes, 4)?;
    Ok(match start[..] {
        [0x1F, 0x8B, ..] => {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, bytes)))
        }
        [0x28, 0xB5, 0x2F, 0xFD] => {
            Box::new(Zstd::new(BufReader::with_capacity(BUFFER_BYTES, bytes))?)
        }
        _ => bytes,
    })
}

/// One zstd frame after another, as `zstd -T0`, `pzstd` and `cat` make them.
struct Zstd<R: BufRead> {
    /// `None` at the end.
    frame: Option<Box<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>>,
}

impl<R: BufRead> Zstd<R> {
    fn new(bytes: R) -> io::Result<Self> {
        Ok(Zstd { frame: Some(Box::new(frame(bytes)?)) })
    }
}

fn frame<R: BufRead>(
    bytes: R,
) -> io::Result<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>> {
    ruzstd::decoding::StreamingDecoder::new(bytes).map_err(io::Error::other)
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut current) = self.frame.take() {
            let count = current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                self.frame = Some(current);
                return Ok(count);
            }
            let mut rest = current.into_inner();
            if !rest.fill_buf()?.is_empty() {
                self.frame = Some(Box::new(frame(rest)?));
            }
        }
        Ok(0)
    }
}

fn decode<'a>(bytes: Box<dyn Read + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
    let (start, bytes) = peek(bytes, 3)?;
    let skip = |count: usize, mut bytes: Box<dyn Read + Send + 'a>| {
        bytes.read_exact(&mut [0; 3][..count]).map(|()| bytes)
    };
    Ok(match start[..] {
        [0xEF, 0xBB, 0xBF] => skip(3, bytes)?,
        [0xFF, 0xFE, ..] => Box::new(Utf16::new(skip(2, bytes)?, u16::from_le_bytes)),
        [0xFE, 0xFF, ..] => Box::new(Utf16::new(skip(2, bytes)?, u16::from_be_bytes)),
        _ => bytes,
    })
}

/// UTF-16 as UTF-8. A unit that has no partner becomes U+FFFD, which no field that matters may hold.
struct Utf16<R> {
    units: R,
    unit: fn([u8; 2]) -> u16,
    raw: Vec<u8>,
    /// Bytes of `raw` that are filled, of which an odd last one waits for its partner.
    filled: usize,
    /// A first half of a pair, whose second half was not read yet.
    high: Option<u16>,
    text: String,
    /// Bytes of `text` that have been given out.
    given: usize,
}

impl<R: Read> Utf16<R> {
    fn new(units: R, unit: fn([u8; 2]) -> u16) -> Self {
        Utf16 {
            units,
            unit,
            raw: vec![0; BUFFER_BYTES / 4],
            filled: 0,
            high: None,
            text: String::new(),
            given: 0,
        }
    }

    /// Fills `text` with more; leaves it empty at the end.
    fn refill(&mut self) -> io::Result<()> {
        (self.given, self.filled) = (0, self.filled & 1);
        self.text.clear();
        while self.text.is_empty() {
            let count = self.units.read(&mut self.raw[self.filled..])?;
            self.filled += count;
            if count == 0 {
                if self.filled % 2 == 1 {
                    return Err(io::Error::other("UTF-16 that ends in the middle of a unit"));
                }
                self.text.extend(self.high.take().map(|_| char::REPLACEMENT_CHARACTER));
                return Ok(());
            }
            self.convert();
        }
        Ok(())
    }

    fn convert(&mut self) {
        let (pairs, rest) = self.raw[..self.filled].as_chunks::<2>();
        let mut units: Vec<u16> = Vec::with_capacity(pairs.len() + 1);
        units.extend(self.high.take());
        units.extend(pairs.iter().map(|&pair| (self.unit)(pair)));
        let rest = rest.first().copied();
        if let Some(&last @ 0xD800..=0xDBFF) = units.last() {
            units.pop();
            self.high = Some(last);
        }
        let chars = char::decode_utf16(units);
        self.text.extend(chars.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
        self.filled = 0;
        if let Some(byte) = rest {
            (self.raw[0], self.filled) = (byte, 1);
        }
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.refill()?;
        }
        let left = &self.text.as_bytes()[self.given..];
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Bytes as a message shows them: short, and without what a terminal would obey.
pub(super) fn shown(bytes: &[u8]) -> Cow<'_, str> {
    const SHOWN_MAX: usize = 40;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_MAX)]);
    let more = if bytes.len() > SHOWN_MAX { "..." } else { "" };
    let safe = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    Cow::Owned(text.chars().map(safe).chain(more.chars()).collect())
}
