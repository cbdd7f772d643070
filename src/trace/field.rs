//! Fields of a line: split by csv-core, and numbers with the place where they are wrong.

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::TraceError;
use super::input::shown;

/// Fields of the widest line that is read; what follows them is not looked at by any reader.
const FIELDS_MAX: usize = 128;

/// Splits lines of comma-separated fields. Holds the last line's fields.
#[derive(Debug)]
pub(super) struct Fields {
    parser: csv_core::Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
    line: u64,
}

impl Fields {
    pub(super) fn new() -> Fields {
        Fields {
            parser: ReaderBuilder::new().build(),
            output: Vec::new(),
            ends: vec![0; FIELDS_MAX],
            count: 0,
            line: 0,
        }
    }

    /// Splits a line; quoted fields may hold commas, but no line ends.
    pub(super) fn split(&mut self, number: u64, line: &[u8]) -> Result<(), TraceError> {
        self.line = number;
        self.count = 0;
        self.parser.reset();
        // An unquoted copy is never longer than the line.
        if self.output.len() <= line.len() {
            self.output.resize(line.len() + 1, 0);
        }
        let (mut input, mut written, mut ended) = (line, 0, 0);
        loop {
            let (result, read, wrote, more) = self.parser.read_record(
                input,
                &mut self.output[written..],
                &mut self.ends[ended..],
            );
            (input, written, ended) = (&input[read..], written + wrote, ended + more);
            match result {
                ReadRecordResult::InputEmpty if input.is_empty() && read == 0 => break,
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record | ReadRecordResult::End => break,
                ReadRecordResult::OutputEndsFull | ReadRecordResult::OutputFull => {
                    return Err(TraceError::at(
                        number,
                        0,
                        format!("more than {FIELDS_MAX} columns"),
                    ));
                }
            }
        }
        self.count = ended;
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// A field with its column; an empty one where the line has none.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Field<'_> {
        if index >= self.count {
            let column = self.count.checked_sub(1).map_or(0, |last| self.ends[last] + last);
            return Field { text: &[], line: self.line, column: column + 1, missing: true };
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let raw = &self.output[start..self.ends[index]];
        let text = raw.trim_ascii_start();
        // Commas before it stand in the line but not in the output.
        let column = start + index + (raw.len() - text.len()) + 1;
        Field { text: text.trim_ascii_end(), line: self.line, column, missing: false }
    }
}

/// A word of a line, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) text: &'a [u8],
    pub(super) line: u64,
    pub(super) column: usize,
    pub(super) missing: bool,
}

impl<'a> Field<'a> {
    /// Something is wrong with it.
    #[cold]
    pub(super) fn wrong(&self, expected: &str) -> TraceError {
        let found = if self.missing {
            "nothing: the line ends before it".into()
        } else {
            format!("'{}'", shown(self.text))
        };
        TraceError::at(self.line, self.column, format!("expected {expected}, found {found}"))
    }

    /// A decimal number.
    #[inline]
    pub(super) fn decimal(&self, what: &str) -> Result<u64, TraceError> {
        match decimal(self.text) {
            Some(number) => Ok(number),
            None => Err(self.no_number(what, 10)),
        }
    }

    /// A number in hexadecimal after `0x`, in decimal otherwise.
    pub(super) fn number(&self, what: &str) -> Result<u64, TraceError> {
        let hex = self.text.strip_prefix(b"0x").or_else(|| self.text.strip_prefix(b"0X"));
        match hex {
            Some(digits) => hexadecimal(digits).ok_or_else(|| self.no_number(what, 16)),
            None => self.decimal(what),
        }
    }

    #[cold]
    fn no_number(&self, what: &str, radix: u32) -> TraceError {
        let digits = if radix == 16 { self.text.get(2..).unwrap_or_default() } else { self.text };
        let all = !digits.is_empty() && digits.iter().all(|&b| char::from(b).is_digit(radix));
        if all {
            self.wrong(&format!("{what}, at most {}", u64::MAX))
        } else {
            self.wrong(&format!("{what}, a number"))
        }
    }

    /// A number that must fit 32 bits.
    pub(super) fn narrow(&self, number: u64, what: &str) -> Result<u32, TraceError> {
        u32::try_from(number).map_err(|_| self.wrong(&format!("{what}, at most {}", u32::MAX)))
    }
}

/// Decimal digits and nothing else.
#[inline]
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    // Nineteen digits always fit; only longer numbers are multiplied with care.
    if text.is_empty() || text.len() > 19 {
        return careful(text, 10);
    }
    let mut number = 0u64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number * 10 + u64::from(digit);
    }
    Some(number)
}

/// Hexadecimal digits and nothing else.
pub(super) fn hexadecimal(text: &[u8]) -> Option<u64> {
    careful(text, 16)
}

fn careful(text: &[u8], radix: u32) -> Option<u64> {
    let first = text.first()?;
    if !char::from(*first).is_digit(radix) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(text).ok()?, radix).ok()
}

/// Words between blanks, with their columns.
pub(super) fn words(number: u64, line: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let start = line.as_ptr() as usize;
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(move |text| Field {
        text,
        line: number,
        column: text.as_ptr() as usize - start + 1,
        missing: false,
    })
}
