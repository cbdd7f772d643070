//! The ring as bytes: a fixed layout that a driver writes and a host reads, out of a memory dump or a copy.
//!
//! All numbers are little-endian. A ring is a header of [`HEADER_BYTES`] and [`RECORDS`] records of
//! [`RECORD_BYTES`] each; record `n`, counted from 1, lies at place `(n - 1) % RECORDS`.
//!
//! | header | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 2 | [`VERSION`] of the layout; a reader refuses another |
//! | 10 | 2 | bytes of a record |
//! | 12 | 4 | records that the ring has room for |
//! | 16 | 8 | records ever written |
//! | 24 | 40 | zero |
//!
//! | record | bytes | what |
//! | --- | --- | --- |
//! | 0 | 8 | its number, from 1; 0 in a place that was never written |
//! | 8 | 8 | time in nanoseconds, of the clock that the driver has |
//! | 16 | 8 | [`Finding::id`] |
//! | 24 | 32 | id of the rule, in ASCII, padded with zeroes |
//! | 56 | 1 | severity: 0 warning, 1 error |
//! | 57 | 1 | IRQL |
//! | 58 | 1 | processor, as the rules number them |
//! | 59 | 1 | callbacks in the path |
//! | 60 | 8 | the path, outermost first, each a [`Routine`] by its number; the innermost eight |
//! | 68 | 6 | three locks: kind (0 none, 1 StartIo, 2 Interrupt, 3 message, 4 Dpc, 5 executive) and number |
//! | 74 | 2 | kind of site and of other site: 0 none or StorPort, 1 a line, 2 an offset in the image |
//! | 76 | 4 | line or offset of the site |
//! | 80 | 4 | line or offset of the other site |
//! | 84 | 36 | file name of the site, without folders, padded with zeroes |
//! | 120 | 36 | file name of the other site |
//! | 156 | 4 | zero |

use core::fmt;

use crate::event::{Lock, Routine, Site};
use crate::rules::{Finding, RuleId, Severity};
use crate::storport::Irql;

/// What a ring begins with.
pub const MAGIC: [u8; 8] = *b"LOCKSTRM";
/// The layout of this file.
pub const VERSION: u16 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a record.
pub const RECORD_BYTES: usize = 160;
/// Records that a ring has room for; older ones are overwritten. An error ends the judging, so there are never many.
pub const RECORDS: usize = 64;
/// Bytes of a ring.
pub const RING_BYTES: usize = HEADER_BYTES + RECORDS * RECORD_BYTES;

/// Most callbacks of a path that a record keeps.
pub const PATH_MAX: usize = 8;

const RULE_BYTES: usize = 32;
const FILE_BYTES: usize = 36;

/// Where the fields of the header lie.
pub(super) mod header {
    pub(in super::super) const MAGIC: usize = 0;
    pub(in super::super) const VERSION: usize = 8;
    pub(in super::super) const RECORD_BYTES: usize = 10;
    pub(in super::super) const RECORDS: usize = 12;
    pub(in super::super) const WRITTEN: usize = 16;
}

/// Where the fields of a record lie.
mod field {
    pub(super) const SEQUENCE: usize = 0;
    pub(super) const TIME: usize = 8;
    pub(super) const ID: usize = 16;
    pub(super) const RULE: usize = 24;
    pub(super) const SEVERITY: usize = 56;
    pub(super) const IRQL: usize = 57;
    pub(super) const PROCESSOR: usize = 58;
    pub(super) const PATH_LENGTH: usize = 59;
    pub(super) const PATH: usize = 60;
    pub(super) const LOCKS: usize = 68;
    pub(super) const SITE_KINDS: usize = 74;
    pub(super) const PLACES: usize = 76;
    pub(super) const FILES: usize = 84;
}

/// Why bytes are no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They do not begin with [`MAGIC`].
    NoMagic,
    /// The layout has another version.
    Version(u16),
    /// They end before the ring does.
    Truncated,
    /// A size in the header is not that of this version.
    Sizes,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::NoMagic => {
                f.write_str("no ring of violations: it does not begin with LOCKSTRM")
            }
            RecordError::Version(version) => {
                write!(f, "a ring of version {version}, but this reader knows version {VERSION}")
            }
            RecordError::Truncated => f.write_str("the ring is cut short"),
            RecordError::Sizes => f.write_str("the sizes in the ring's header are wrong"),
        }
    }
}

impl core::error::Error for RecordError {}

/// One violation out of a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    bytes: &'a [u8; RECORD_BYTES],
}

/// Where something is, as a record says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In StorPort, or unknown.
    Port,
    /// A line of a file.
    Source(&'a str, u32),
    /// An offset in the driver's image.
    Image(u32),
}

/// The records of a ring, the oldest first.
///
/// # Errors
///
/// The bytes are no ring of this version.
pub fn read(bytes: &[u8]) -> Result<impl Iterator<Item = Record<'_>>, RecordError> {
    if bytes.get(..MAGIC.len()).ok_or(RecordError::Truncated)? != MAGIC {
        return Err(RecordError::NoMagic);
    }
    let head = bytes.get(..HEADER_BYTES).ok_or(RecordError::Truncated)?;
    let version = u16::from_le_bytes(take(head, header::VERSION));
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let record_bytes = u16::from_le_bytes(take(head, header::RECORD_BYTES));
    let records = u32::from_le_bytes(take(head, header::RECORDS));
    if usize::from(record_bytes) != RECORD_BYTES || records as usize != RECORDS {
        return Err(RecordError::Sizes);
    }
    let written = u64::from_le_bytes(take(head, header::WRITTEN));
    let body = bytes.get(HEADER_BYTES..RING_BYTES).ok_or(RecordError::Truncated)?;
    let first = written.saturating_sub(RECORDS as u64);
    Ok((first..written).filter_map(move |number| {
        let at = (number % RECORDS as u64) as usize * RECORD_BYTES;
        let record = Record { bytes: body.get(at..)?.first_chunk()? };
        // A ring that was copied while it was written may hold a record of another turn.
        (record.sequence() == number + 1).then_some(record)
    }))
}

/// Where in a memory dump rings begin.
pub fn find(dump: &[u8]) -> impl Iterator<Item = usize> {
    dump.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC).map(|(at, _)| at)
}

impl<'a> Record<'a> {
    /// Its number, from 1.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        u64::from_le_bytes(take(self.bytes, field::SEQUENCE))
    }

    /// When, in nanoseconds of the driver's clock.
    #[must_use]
    pub fn time(&self) -> u64 {
        u64::from_le_bytes(take(self.bytes, field::TIME))
    }

    /// [`Finding::id`].
    #[must_use]
    pub fn id(&self) -> u64 {
        u64::from_le_bytes(take(self.bytes, field::ID))
    }

    /// The id of the rule, also of one that this build does not know.
    #[must_use]
    pub fn rule_name(&self) -> &'a str {
        text(&self.bytes[field::RULE..field::RULE + RULE_BYTES])
    }

    /// The rule, if this build knows it.
    #[must_use]
    pub fn rule(&self) -> Option<RuleId> {
        RuleId::from_id(self.rule_name())
    }

    /// How grave.
    #[must_use]
    pub fn severity(&self) -> Severity {
        if self.bytes[field::SEVERITY] == 0 { Severity::Warning } else { Severity::Error }
    }

    /// The IRQL.
    #[must_use]
    pub fn irql(&self) -> Irql {
        Irql(self.bytes[field::IRQL])
    }

    /// The processor, as the rules number them.
    #[must_use]
    pub fn processor(&self) -> u8 {
        self.bytes[field::PROCESSOR]
    }

    /// The callbacks, outermost first; only the innermost [`PATH_MAX`].
    pub fn path(&self) -> impl Iterator<Item = Routine> + use<'a> {
        let length = usize::from(self.bytes[field::PATH_LENGTH]).min(PATH_MAX);
        self.bytes[field::PATH..][..length]
            .iter()
            .filter_map(|&number| Routine::ALL.get(usize::from(number)).copied())
    }

    /// The locks concerned.
    pub fn locks(&self) -> impl Iterator<Item = Lock> + use<'a> {
        self.bytes[field::LOCKS..][..6].chunks_exact(2).filter_map(|pair| lock_of(pair[0], pair[1]))
    }

    /// Where.
    #[must_use]
    pub fn site(&self) -> Place<'a> {
        self.place(0)
    }

    /// Where the other half is.
    #[must_use]
    pub fn other_site(&self) -> Place<'a> {
        self.place(1)
    }

    fn place(&self, which: usize) -> Place<'a> {
        let number = u32::from_le_bytes(take(self.bytes, field::PLACES + 4 * which));
        match self.bytes[field::SITE_KINDS + which] {
            1 => {
                let file = &self.bytes[field::FILES + FILE_BYTES * which..][..FILE_BYTES];
                Place::Source(text(file), number)
            }
            2 => Place::Image(number),
            _ => Place::Port,
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Record<'_> {
    /// One line, of the shape that a finding has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence =
            self.rule().map_or("a rule that this build does not know", |rule| rule.rule().sentence);
        write!(f, "lockstorm: VIOLATION {} {}: {sentence} [", self.rule_name(), self.severity())?;
        for (n, routine) in self.path().enumerate() {
            write!(f, "{}{routine}", if n == 0 { "" } else { " > " })?;
        }
        write!(f, "] at {}", self.site())
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Port => f.write_str("StorPort"),
            Place::Source(file, line) => write!(f, "{file}:{line}"),
            Place::Image(offset) => write!(f, "image+{offset:#x}"),
        }
    }
}

/// A finding as the record of that number.
pub(super) fn encode(finding: &Finding, sequence: u64) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    put(&mut bytes, field::SEQUENCE, &sequence.to_le_bytes());
    put(&mut bytes, field::TIME, &finding.time.to_le_bytes());
    put(&mut bytes, field::ID, &finding.id().to_le_bytes());
    let rule = finding.rule.rule().id.as_bytes();
    put(&mut bytes, field::RULE, &rule[..rule.len().min(RULE_BYTES)]);
    bytes[field::SEVERITY] = u8::from(finding.severity == Severity::Error);
    bytes[field::IRQL] = finding.irql.0;
    bytes[field::PROCESSOR] = finding.processor;
    let path = finding.path.routines();
    let path = &path[path.len().saturating_sub(PATH_MAX)..];
    bytes[field::PATH_LENGTH] = path.len() as u8;
    for (place, routine) in bytes[field::PATH..].iter_mut().zip(path) {
        *place = *routine as u8;
    }
    for (n, lock) in finding.locks.iter().flatten().enumerate() {
        put(&mut bytes, field::LOCKS + 2 * n, &lock_bytes(*lock));
    }
    put_site(&mut bytes, 0, finding.site);
    put_site(&mut bytes, 1, finding.other_site.unwrap_or_default());
    bytes
}

fn put_site(bytes: &mut [u8; RECORD_BYTES], which: usize, site: Site) {
    let (kind, number) = match (site, site.source()) {
        (_, Some(at)) => (1, at.line),
        (Site::Image(offset), None) => (2, offset),
        (_, None) => (0, 0),
    };
    bytes[field::SITE_KINDS + which] = kind;
    put(bytes, field::PLACES + 4 * which, &number.to_le_bytes());
    if let Some(at) = site.source() {
        let file = at.file.as_bytes();
        let slash = file.iter().rposition(|byte| matches!(byte, b'/' | b'\\'));
        let name = &file[slash.map_or(0, |slash| slash + 1)..];
        put(bytes, field::FILES + FILE_BYTES * which, &name[..name.len().min(FILE_BYTES)]);
    }
}

const fn lock_bytes(lock: Lock) -> [u8; 2] {
    match lock {
        Lock::StartIo => [1, 0],
        Lock::Interrupt => [2, 0],
        Lock::Message(n) => [3, n],
        Lock::Dpc(n) => [4, n],
        Lock::Executive(n) => [5, n],
    }
}

const fn lock_of(kind: u8, number: u8) -> Option<Lock> {
    Some(match kind {
        1 => Lock::StartIo,
        2 => Lock::Interrupt,
        3 => Lock::Message(number),
        4 => Lock::Dpc(number),
        5 => Lock::Executive(number),
        _ => return None,
    })
}

fn put(bytes: &mut [u8], at: usize, from: &[u8]) {
    bytes[at..at + from.len()].copy_from_slice(from);
}

/// The bytes at `at`, which the caller knows to be there.
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut taken = [0; N];
    taken.copy_from_slice(&bytes[at..at + N]);
    taken
}

/// Text up to the first zero; nothing if it is no text.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

const _: () = assert!(field::FILES + 2 * FILE_BYTES + 4 == RECORD_BYTES);
const _: () = {
    let mut n = 0;
    while n < RuleId::ALL.len() {
        assert!(RuleId::ALL[n].rule().id.len() < RULE_BYTES, "the id of every rule fits");
        n += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::super::ring::Ring;
    use super::*;
    use crate::rules::Path;

    fn finding(rule: RuleId, time: u64) -> Finding {
        let mut path = Path::EMPTY;
        path.push(Routine::Dpc);
        path.push(Routine::Synchronized);
        Finding {
            rule,
            severity: Severity::Error,
            locks: [Some(Lock::Dpc(7)), Some(Lock::Interrupt), None],
            path,
            site: Site::Source(core::panic::Location::caller()),
            other_site: Some(Site::Image(0x1234)),
            processor: 3,
            irql: Irql::DISPATCH,
            time,
            race: None,
        }
    }

    #[test]
    fn a_record_says_what_the_finding_said() {
        let mut ring = Ring::new();
        let finding = finding(RuleId::LockOrder, 42);
        ring.push(&finding);
        let records: Vec<_> = read(ring.bytes()).unwrap().collect();
        let [record] = records[..] else { panic!("{records:?}") };
        assert_eq!((record.sequence(), record.time(), record.id()), (1, 42, finding.id()));
        assert_eq!(record.rule(), Some(RuleId::LockOrder));
        assert_eq!(
            (record.severity(), record.irql(), record.processor()),
            (Severity::Error, Irql::DISPATCH, 3)
        );
        assert!(record.path().eq([Routine::Dpc, Routine::Synchronized]));
        assert!(record.locks().eq([Lock::Dpc(7), Lock::Interrupt]));
        let Site::Source(at) = finding.site else { unreachable!() };
        assert_eq!(record.site(), Place::Source("record.rs", at.line()));
        assert_eq!(record.other_site(), Place::Image(0x1234));
        let line = record.to_string();
        assert!(line.starts_with("lockstorm: VIOLATION lock.order error: "), "{line}");
        assert!(line.contains("HwStorDpcRoutine > "), "{line}");
    }

    #[test]
    fn a_full_ring_keeps_the_newest_in_order() {
        let mut ring = Ring::new();
        let count = RECORDS as u64 + 5;
        for time in 1..=count {
            ring.push(&finding(RuleId::LockOrder, time));
        }
        assert!(read(ring.bytes()).unwrap().map(|record| record.time()).eq(6..=count));
    }

    #[test]
    fn a_ring_is_found_inside_a_dump() {
        let mut dump = vec![0xA5; 1000];
        dump.extend_from_slice(Ring::new().bytes());
        let at: Vec<_> = find(&dump).collect();
        assert_eq!(at, [1000]);
        assert_eq!(read(&dump[1000..]).unwrap().count(), 0);
    }

    #[test]
    fn other_bytes_are_refused_and_no_bytes_panic() {
        let ring = Ring::new();
        let refused = |bytes: &[u8]| read(bytes).map(Iterator::count).unwrap_err();
        assert_eq!(refused(b"LOCK"), RecordError::Truncated);
        assert_eq!(refused(b"something else"), RecordError::NoMagic);
        assert_eq!(refused(&ring.bytes()[..RING_BYTES - 1]), RecordError::Truncated);
        let mut other = *ring.bytes();
        other[header::VERSION] = 2;
        assert_eq!(refused(&other), RecordError::Version(2));
        let mut wild = *ring.bytes();
        wild[header::WRITTEN..HEADER_BYTES].fill(0xFF);
        assert_eq!(
            read(&wild).unwrap().count(),
            0,
            "no record has the number that its place wants"
        );
        wild[header::RECORDS] = 1;
        assert_eq!(refused(&wild), RecordError::Sizes);
    }
}
