//! Which addresses belong to images: what a driver may point into besides the machine's own memory.
//!
//! Images lie on multiples of [`IMAGE_STRIDE`], so the one table of the process is found by a division, and a check
//! on the hot path takes no lock. What a table entry points to lives as long as the process: images are few.

use std::ops::Range;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::frame::IMAGE_STRIDE;

/// Slots for images; the first ones, below the first image's address, stay empty.
const SLOTS: usize = 256;

/// What is known of one image.
pub(super) struct Known {
    /// Bytes from its base.
    pub(super) bytes: usize,
    /// Offsets of its writable sections.
    pub(super) writable: Vec<Range<usize>>,
    /// Offsets of its executable sections.
    pub(super) code: Vec<Range<usize>>,
}

static IMAGES: [AtomicPtr<Known>; SLOTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS];

/// Makes the image at `base` known, in place of the one that was there before.
pub(super) fn register(base: usize, known: Known) {
    if let Some(slot) = IMAGES.get(base / IMAGE_STRIDE) {
        slot.store(Box::into_raw(Box::new(known)), Ordering::Release);
    }
}

/// The image at that base is gone.
pub(super) fn forget(base: usize) {
    if let Some(slot) = IMAGES.get(base / IMAGE_STRIDE) {
        slot.store(std::ptr::null_mut(), Ordering::Release);
    }
}

/// The image whose slot an address is in, and the offset there.
#[inline]
fn find(address: usize) -> Option<(&'static Known, usize)> {
    let known = IMAGES.get(address / IMAGE_STRIDE)?.load(Ordering::Acquire);
    // SAFETY: NULL, or from `register`, which leaks it.
    unsafe { known.as_ref() }.map(|known| (known, address % IMAGE_STRIDE))
}

/// Whether all the bytes lie in an image.
#[inline]
pub(super) fn is_image(address: usize, bytes: usize) -> bool {
    find(address)
        .is_some_and(|(known, offset)| offset <= known.bytes && bytes <= known.bytes - offset)
}

fn is_in(sections: &[Range<usize>], offset: usize, bytes: usize) -> bool {
    sections.iter().any(|section| section.contains(&offset) && bytes <= section.end - offset)
}

/// Whether all the bytes lie in one writable section.
#[inline]
pub(super) fn is_writable(address: usize, bytes: usize) -> bool {
    find(address).is_some_and(|(known, offset)| is_in(&known.writable, offset, bytes))
}

/// Whether the address lies in an executable section.
#[inline]
pub(super) fn is_code(address: usize) -> bool {
    find(address).is_some_and(|(known, offset)| is_in(&known.code, offset, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_bound_what_may_be_done_with_an_address() {
        let base = 200 * IMAGE_STRIDE;
        register(
            base,
            Known { bytes: 0x5000, writable: vec![0x3000..0x4000], code: vec![0x1000..0x2000] },
        );
        assert!(is_image(base, 0x5000) && !is_image(base, 0x5001) && !is_image(base + 0x5001, 0));
        assert!(is_writable(base + 0x3FFF, 1) && !is_writable(base + 0x3FFF, 2));
        assert!(!is_writable(base + 0x2FFF, 1) && !is_writable(base + 0x3000, usize::MAX));
        assert!(is_code(base + 0x1000) && !is_code(base + 0x2000));
        forget(base);
        assert!(!is_image(base, 1) && !is_code(base + 0x1000));
        assert!(!is_image(usize::MAX, 1) && !is_image(0, 1));
    }
}
