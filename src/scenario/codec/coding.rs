//! How one field becomes one or two bytes and back: the small set of codings of which
//! [`super::tables`] are made.
//!
//! Every coding is total (any byte means some value), has the field's default at byte 0, and writes for
//! each value the one byte that it reads back as that value. Where plain modulo would make most
//! random inputs useless, several bytes mean the same common value; writing picks the first of them.

use crate::scenario::setup::Perf;

/// Bytes to read; past their end there are zeroes, so that a short input has a default tail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Input { bytes }
    }

    /// The next byte.
    #[inline]
    pub(super) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((&byte, rest)) => {
                self.bytes = rest;
                byte
            }
            None => 0,
        }
    }

    /// The next bytes, `None` at the end; if too few are left, zeroes follow them.
    #[inline]
    pub(super) fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        if let Some((chunk, rest)) = self.bytes.split_first_chunk() {
            self.bytes = rest;
            return Some(*chunk);
        }
        if self.bytes.is_empty() {
            return None;
        }
        let mut chunk = [0; N];
        chunk[..self.bytes.len()].copy_from_slice(self.bytes);
        self.bytes = &[];
        Some(chunk)
    }
}

/// How a value of type `T` becomes bytes.
pub(super) trait Coding<T> {
    /// Reads a value. Any bytes are one.
    fn decode(&self, input: &mut Input<'_>) -> T;
    /// Writes it; a value that no bytes mean is written as the nearest that some mean.
    fn encode(&self, value: T, output: &mut Vec<u8>);
}

/// A record whose fields have codings.
pub(super) trait Record: Sized {
    fn decode(input: &mut Input<'_>) -> Self;
    fn encode(&self, output: &mut Vec<u8>);
}

/// Declares the bytes of a record: its fields in order, each with its coding.
macro_rules! layout {
    ($record:ident { $($field:ident: $coding:expr),* $(,)? }) => {
        impl $crate::scenario::codec::coding::Record for $record {
            #[inline]
            fn decode(input: &mut $crate::scenario::codec::coding::Input<'_>) -> Self {
                $record { $($field: Coding::decode(&$coding, input),)* }
            }

            fn encode(&self, output: &mut Vec<u8>) {
                $(Coding::encode(&$coding, self.$field, output);)*
            }
        }
    };
}
pub(super) use layout;

/// A record inside a record.
pub(super) struct Nested;

impl<T: Record> Coding<T> for Nested {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> T {
        T::decode(input)
    }

    fn encode(&self, value: T, output: &mut Vec<u8>) {
        value.encode(output);
    }
}

/// A number from `low` to `high`, as its distance from `default`, round the end.
pub(super) struct Range {
    pub(super) low: u8,
    pub(super) high: u8,
    pub(super) default: u8,
}

impl Range {
    const fn count(&self) -> u16 {
        self.high as u16 - self.low as u16 + 1
    }
}

impl Coding<u8> for Range {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> u8 {
        let distance = u16::from(self.default - self.low);
        self.low + ((u16::from(input.byte()) + distance) % self.count()) as u8
    }

    fn encode(&self, value: u8, output: &mut Vec<u8>) {
        let value = u16::from(value.clamp(self.low, self.high));
        let default = u16::from(self.default);
        output.push(((value + self.count() - default) % self.count()) as u8);
    }
}

/// As [`Range`] for bytes below 128; the other half of the bytes means one of the `often` lowest values.
/// The range must have at most 128 values.
pub(super) struct MostlyLow {
    pub(super) range: Range,
    pub(super) often: u8,
}

impl Coding<u8> for MostlyLow {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> u8 {
        let byte = input.byte();
        if byte < 128 {
            self.range.decode(&mut Input::new(&[byte]))
        } else {
            self.range.low + byte % self.often
        }
    }

    fn encode(&self, value: u8, output: &mut Vec<u8>) {
        self.range.encode(value, output);
    }
}

/// One of a list, the default first. A value that stands there more than once comes more often.
pub(super) struct Pick<T: 'static>(pub(super) &'static [T]);

impl<T: Copy + PartialEq> Coding<T> for Pick<T> {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> T {
        self.0[usize::from(input.byte()) % self.0.len()]
    }

    fn encode(&self, value: T, output: &mut Vec<u8>) {
        let place = self.0.iter().position(|&known| known == value);
        output.push(place.unwrap_or(0) as u8);
    }
}

/// A number from 0 to `high` that is 0 in all but one of `one_in` inputs: two bytes, whether and what.
pub(super) struct Rare {
    pub(super) one_in: u8,
    pub(super) high: u8,
}

impl Coding<u8> for Rare {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> u8 {
        let (whether, what) = (input.byte(), input.byte());
        if whether % self.one_in == self.one_in - 1 {
            (u16::from(what) % (u16::from(self.high) + 1)) as u8
        } else {
            0
        }
    }

    fn encode(&self, value: u8, output: &mut Vec<u8>) {
        let value = value.min(self.high);
        let whether = if value == 0 { 0 } else { self.one_in - 1 };
        output.extend([whether, value]);
    }
}

/// Flags, those that differ from the default.
pub(super) struct Flags {
    pub(super) all: u8,
    pub(super) default: u8,
}

impl Coding<u8> for Flags {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> u8 {
        (input.byte() & self.all) ^ self.default
    }

    fn encode(&self, value: u8, output: &mut Vec<u8>) {
        output.push((value & self.all) ^ self.default);
    }
}

impl Coding<Perf> for Flags {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> Perf {
        Perf(Coding::<u8>::decode(self, input))
    }

    fn encode(&self, value: Perf, output: &mut Vec<u8>) {
        Coding::<u8>::encode(self, value.0, output);
    }
}

/// `false` but for one byte in `N`.
pub(super) struct TrueOneIn<const N: u8>;

impl<const N: u8> Coding<bool> for TrueOneIn<N> {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> bool {
        input.byte() % N == N - 1
    }

    fn encode(&self, value: bool, output: &mut Vec<u8>) {
        output.push(if value { N - 1 } else { 0 });
    }
}

/// `true` but for one byte in `N`.
pub(super) struct FalseOneIn<const N: u8>;

impl<const N: u8> Coding<bool> for FalseOneIn<N> {
    #[inline]
    fn decode(&self, input: &mut Input<'_>) -> bool {
        !TrueOneIn::<N>.decode(input)
    }

    fn encode(&self, value: bool, output: &mut Vec<u8>) {
        TrueOneIn::<N>.encode(!value, output);
    }
}
