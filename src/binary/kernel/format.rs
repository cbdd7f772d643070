//! printf, as far as the kernel's run-time library has it: no floating point, no `%n`.
//!
//! The text goes unit by unit to a sink, so nothing is allocated, and a string that an argument points to is read
//! through the call's checks. See
//! <https://learn.microsoft.com/cpp/c-runtime-library/format-specification-syntax-printf-and-wprintf-functions>.

use super::strings::{Unit, measure, unit};
use crate::binary::frame::Call;
use crate::event::Sink;

/// Longest string, field and precision that is believed.
const UNITS_MAX: usize = 0x1_0000;
/// Digits of the longest number, which is octal.
const DIGITS_MAX: usize = 22;

/// The arguments behind the format: places of 8 bytes, one behind the other.
pub(super) struct Arguments {
    next: *const u64,
}

impl Arguments {
    pub(super) fn at(next: *const u64) -> Self {
        Arguments { next }
    }

    fn take<S: Sink + 'static>(&mut self, call: &Call<S>) -> u64 {
        let value = call.read_at(self.next);
        self.next = self.next.wrapping_add(1);
        value
    }
}

/// How an argument is to be written.
#[derive(Clone, Copy, Default)]
struct Spec {
    left: bool,
    zero: bool,
    /// In front of a number that is not negative.
    plus: Option<u8>,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    size: Size,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Size {
    Char,
    Short,
    #[default]
    Int,
    /// `l` and `w`: 32 bits on Windows; a wide string or character.
    Long,
    LongLong,
}

/// The format, and how far it has been read.
struct Reader<'a, S: Sink + 'static, U> {
    call: &'a Call<S>,
    start: *mut U,
    at: usize,
}

impl<S: Sink + 'static, U: Unit> Reader<'_, S, U> {
    /// The next unit; 0 at the end.
    fn peek(&self) -> u32 {
        unit(self.call, self.start, self.at).into()
    }

    fn next(&mut self) -> u32 {
        let unit = self.peek();
        self.at += usize::from(unit != 0);
        unit
    }

    /// Steps over `byte`, if it is next.
    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == u32::from(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// A number, or an argument in place of one.
    fn number(&mut self, arguments: &mut Arguments) -> i32 {
        if self.eat(b'*') {
            return arguments.take(self.call) as i32;
        }
        let mut value = 0_i32;
        while let Some(digit) = char::from_u32(self.peek()).and_then(|c| c.to_digit(10)) {
            value = value.saturating_mul(10).saturating_add(digit as i32);
            self.at += 1;
        }
        value
    }

    fn spec(&mut self, arguments: &mut Arguments) -> Spec {
        let mut spec = Spec::default();
        loop {
            match u8::try_from(self.peek()) {
                Ok(b'-') => spec.left = true,
                Ok(b'0') => spec.zero = true,
                Ok(b'+') => spec.plus = Some(b'+'),
                Ok(b' ') => spec.plus = spec.plus.or(Some(b' ')),
                Ok(b'#') => spec.alternate = true,
                _ => break,
            }
            self.at += 1;
        }
        let width = self.number(arguments);
        spec.left |= width < 0;
        spec.width = (width.unsigned_abs() as usize).min(UNITS_MAX);
        if self.eat(b'.') {
            let precision = self.number(arguments);
            spec.precision = usize::try_from(precision).ok().map(|p| p.min(UNITS_MAX));
        }
        spec.size = self.size();
        spec
    }

    fn size(&mut self) -> Size {
        if self.eat(b'h') {
            return if self.eat(b'h') { Size::Char } else { Size::Short };
        }
        if self.eat(b'l') {
            return if self.eat(b'l') { Size::LongLong } else { Size::Long };
        }
        if self.eat(b'I') {
            return match (self.eat(b'6') && self.eat(b'4'), self.eat(b'3') && self.eat(b'2')) {
                (false, true) => Size::Int,
                _ => Size::LongLong,
            };
        }
        if self.eat(b'w') {
            return Size::Long;
        }
        if self.eat(b'j') || self.eat(b'z') || self.eat(b't') {
            return Size::LongLong;
        }
        Size::Int
    }
}

/// Writes the format at `start` with its arguments to `sink`, unit by unit; how many units there were.
pub(super) fn format<S: Sink + 'static, U: Unit>(
    call: &Call<S>,
    start: *mut U,
    mut arguments: Arguments,
    sink: &mut dyn FnMut(u32),
) -> usize {
    let mut reader = Reader { call, start, at: 0 };
    let mut out = Output { units: 0, sink };
    loop {
        match reader.next() {
            0 => return out.units,
            PERCENT => {
                let spec = reader.spec(&mut arguments);
                let kind = reader.next();
                let wide = size_of::<U>() == size_of::<u16>();
                out.convert(call, &mut arguments, (kind, wide), spec);
            }
            unit => out.put(unit),
        }
    }
}

const PERCENT: u32 = b'%' as u32;

/// The text so far.
struct Output<'a> {
    units: usize,
    sink: &'a mut dyn FnMut(u32),
}

impl Output<'_> {
    fn put(&mut self, unit: u32) {
        (self.sink)(unit);
        self.units += 1;
    }

    fn repeat(&mut self, byte: u8, count: usize) {
        for _ in 0..count {
            self.put(byte.into());
        }
    }

    /// Writes one argument as the conversion `kind` says; what is none is written as it stands.
    fn convert<S: Sink + 'static>(
        &mut self,
        call: &Call<S>,
        arguments: &mut Arguments,
        (kind, wide): (u32, bool),
        spec: Spec,
    ) {
        let wide_argument = (wide || spec.size == Size::Long) && spec.size != Size::Short;
        match u8::try_from(kind).unwrap_or(0) {
            0 => {}
            b'd' | b'i' => {
                let value = signed(arguments.take(call), spec.size);
                let sign = if value < 0 { Some(b'-') } else { spec.plus };
                self.number(value.unsigned_abs(), (10, false), sign.as_slice(), spec);
            }
            b'u' => self.unsigned(arguments.take(call), (10, false), spec),
            b'o' => self.unsigned(arguments.take(call), (8, false), spec),
            b'x' => self.unsigned(arguments.take(call), (16, false), spec),
            b'X' => self.unsigned(arguments.take(call), (16, true), spec),
            b'p' => {
                let spec = Spec { precision: Some(16), size: Size::LongLong, ..spec };
                self.unsigned(arguments.take(call), (16, true), spec);
            }
            b'c' | b'C' => {
                let value = arguments.take(call);
                let wide = wide_argument || kind == u32::from(b'C');
                let unit = if wide { value as u16 } else { u16::from(value as u8) };
                self.field(1, spec, |out| out.put(unit.into()));
            }
            b's' if !wide_argument => self.string::<S, u8>(call, arguments.take(call), None, spec),
            b'S' if wide => self.string::<S, u8>(call, arguments.take(call), None, spec),
            b's' | b'S' => self.string::<S, u16>(call, arguments.take(call), None, spec),
            b'Z' => self.counted(call, arguments.take(call), spec),
            _ => self.put(kind),
        }
    }

    fn unsigned(&mut self, value: u64, base: (u64, bool), spec: Spec) {
        let value = match spec.size {
            Size::Char => value as u8 as u64,
            Size::Short => value as u16 as u64,
            Size::Int | Size::Long => value as u32 as u64,
            Size::LongLong => value,
        };
        let prefix: &[u8] = match base {
            (16, upper) if spec.alternate && value != 0 => {
                if upper {
                    b"0X"
                } else {
                    b"0x"
                }
            }
            (8, _) if spec.alternate => b"0",
            _ => b"",
        };
        self.number(value, base, prefix, spec);
    }

    fn number(&mut self, value: u64, (base, upper): (u64, bool), prefix: &[u8], spec: Spec) {
        let mut digits = [0; DIGITS_MAX];
        let mut count = 0;
        let mut rest = value;
        while rest != 0 {
            let digit = (rest % base) as u8;
            digits[count] = match digit {
                0..10 => b'0' + digit,
                _ if upper => b'A' + digit - 10,
                _ => b'a' + digit - 10,
            };
            rest /= base;
            count += 1;
        }
        let bare = count + prefix.len();
        let zeroes = match spec.precision {
            Some(precision) => precision.saturating_sub(count),
            None if spec.zero && !spec.left => {
                spec.width.saturating_sub(bare).max(usize::from(count == 0))
            }
            None => usize::from(count == 0),
        };
        self.field(bare + zeroes, spec, |out| {
            prefix.iter().for_each(|&byte| out.put(byte.into()));
            out.repeat(b'0', zeroes);
            digits[..count].iter().rev().for_each(|&byte| out.put(byte.into()));
        });
    }

    /// A string up to its end, or of a known length; NULL is `(null)`.
    fn string<S: Sink + 'static, U: Unit>(
        &mut self,
        call: &Call<S>,
        address: u64,
        length: Option<usize>,
        spec: Spec,
    ) {
        let most = spec.precision.unwrap_or(UNITS_MAX);
        if address == 0 {
            let text = b"(null)";
            let text = &text[..text.len().min(most)];
            return self.field(text.len(), spec, |out| {
                text.iter().for_each(|&byte| out.put(byte.into()));
            });
        }
        let start: *mut U = std::ptr::with_exposed_provenance_mut(address as usize);
        let count = length.map_or_else(|| measure(call, start, most), |length| length.min(most));
        self.field(count, spec, |out| {
            (0..count).for_each(|at| out.put(unit(call, start, at).into()));
        });
    }

    /// `%Z` and `%wZ`: an ANSI_STRING or a UNICODE_STRING.
    fn counted<S: Sink + 'static>(&mut self, call: &Call<S>, address: u64, spec: Spec) {
        let string: *const u16 = std::ptr::with_exposed_provenance(address as usize);
        if string.is_null() {
            return self.string::<S, u8>(call, 0, None, spec);
        }
        let bytes = usize::from(call.read_at(string));
        let buffer = call.read_at(string.wrapping_add(4).cast::<u64>());
        if spec.size == Size::Long {
            self.string::<S, u16>(call, buffer, Some(bytes / 2), spec);
        } else {
            self.string::<S, u8>(call, buffer, Some(bytes), spec);
        }
    }

    /// `units` units, which `write` writes, in a field.
    fn field(&mut self, units: usize, spec: Spec, write: impl FnOnce(&mut Self)) {
        let fill = spec.width.saturating_sub(units);
        if !spec.left {
            self.repeat(b' ', fill);
        }
        write(self);
        if spec.left {
            self.repeat(b' ', fill);
        }
    }
}

fn signed(value: u64, size: Size) -> i64 {
    match size {
        Size::Char => i64::from(value as i8),
        Size::Short => i64::from(value as i16),
        Size::Int | Size::Long => i64::from(value as i32),
        Size::LongLong => value as i64,
    }
}
