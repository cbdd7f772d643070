//! The variables of an image as they were, and which of their pages have been written since.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::super::error::LoadError;
use super::super::pe::PAGE;
use super::mapping::Mapping;

/// What [`Image::restore`](super::Image::restore) goes back to.
///
/// The fault handler marks pages while the driver is stopped in the middle of a store, on the same thread. So
/// all that marking changes is atomic, and nothing is allocated after the snapshot.
#[derive(Debug)]
pub(super) struct Snapshot {
    spans: Vec<Span>,
    /// The pages as they were, in the order of the spans.
    pristine: Vec<u8>,
    /// Whether each page is writable.
    writable: Vec<AtomicBool>,
    /// The writable pages, in the order in which they became so.
    hot: Vec<AtomicU32>,
    hot_count: AtomicUsize,
}

/// A run of pages.
#[derive(Debug)]
struct Span {
    offsets: Range<u32>,
    /// The index of its first page among all pages.
    first: u32,
}

impl Snapshot {
    /// Copies `ranges`, which are whole pages, and makes them read-only.
    pub(super) fn take(mapping: &Mapping, ranges: &[Range<u32>]) -> Result<Self, LoadError> {
        let mut snapshot = Snapshot {
            spans: Vec::with_capacity(ranges.len()),
            pristine: Vec::new(),
            writable: Vec::new(),
            hot: Vec::new(),
            hot_count: AtomicUsize::new(0),
        };
        for range in ranges {
            mapping.protect(range.clone(), libc::PROT_READ)?;
            let first = (snapshot.pristine.len() / PAGE as usize) as u32;
            snapshot.spans.push(Span { offsets: range.clone(), first });
            // SAFETY: these pages are readable, and no code of the driver is running.
            let pages =
                unsafe { std::slice::from_raw_parts(mapping.pointer(range.start), range.len()) };
            snapshot.pristine.extend_from_slice(pages);
        }
        let pages = snapshot.pristine.len() / PAGE as usize;
        snapshot.writable.resize_with(pages, AtomicBool::default);
        snapshot.hot.resize_with(pages, AtomicU32::default);
        Ok(snapshot)
    }

    /// Makes the page of `offset` writable if it is one of ours and is not yet.
    pub(super) fn touch(&self, mapping: &Mapping, offset: u32) -> bool {
        let Some(page) = self.page(offset) else { return false };
        if self.writable[page as usize].swap(true, Ordering::Relaxed) {
            return false;
        }
        let start = self.offset(page);
        if !mapping.try_protect(&(start..start + PAGE), libc::PROT_READ | libc::PROT_WRITE) {
            self.writable[page as usize].store(false, Ordering::Relaxed);
            return false;
        }
        let index = self.hot_count.fetch_add(1, Ordering::Relaxed);
        self.hot[index].store(page, Ordering::Relaxed);
        true
    }

    /// How many pages are writable.
    pub(super) fn touched(&self) -> usize {
        self.hot_count.load(Ordering::Relaxed)
    }

    /// Copies every writable page back.
    ///
    /// # Safety
    ///
    /// No code of the driver is running, or will go on where it stopped.
    pub(super) unsafe fn restore(&self, mapping: &Mapping) {
        for page in &self.hot[..self.touched()] {
            let page = page.load(Ordering::Relaxed);
            let source = &self.pristine[page as usize * PAGE as usize..][..PAGE as usize];
            // SAFETY: the page lies in the mapping and is writable since it was touched.
            unsafe {
                mapping
                    .pointer(self.offset(page))
                    .copy_from_nonoverlapping(source.as_ptr(), source.len())
            };
        }
    }

    /// The index of the page that holds `offset`.
    fn page(&self, offset: u32) -> Option<u32> {
        let span = self.spans.iter().find(|span| span.offsets.contains(&offset))?;
        Some(span.first + (offset - span.offsets.start) / PAGE)
    }

    /// Where page `index` begins.
    fn offset(&self, index: u32) -> u32 {
        let span = self.spans.iter().rev().find(|span| span.first <= index);
        span.map_or(0, |span| span.offsets.start + (index - span.first) * PAGE)
    }
}
