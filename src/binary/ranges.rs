//! Which addresses belong to images: what a driver may point into besides the machine's own memory.
//!
//! Images lie on multiples of [`IMAGE_STRIDE`], so the one table of the process is found by a division, and a check
//! on the hot path takes no lock.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::frame::IMAGE_STRIDE;
use super::image::Image;

/// Multiples of [`IMAGE_STRIDE`] at which an image can lie.
const SLOTS: usize = 256;

static IMAGES: [AtomicPtr<Image>; SLOTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS];

/// An image that handlers know, as long as this lives.
#[derive(Debug)]
pub(super) struct Registered(NonNull<Image>);

impl Registered {
    /// Makes an image known; `None` if it does not lie where images must.
    ///
    /// # Safety
    ///
    /// The image stays in place, and nobody has it exclusively, as long as the result lives.
    pub(super) unsafe fn new(image: NonNull<Image>) -> Option<Self> {
        // SAFETY: the contract.
        let base = unsafe { image.as_ref() }.base();
        let slot = IMAGES.get(base / IMAGE_STRIDE).filter(|_| base % IMAGE_STRIDE == 0)?;
        slot.store(image.as_ptr(), Ordering::Release);
        Some(Registered(image))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // SAFETY: `new`'s contract.
        let base = unsafe { self.0.as_ref() }.base();
        IMAGES[base / IMAGE_STRIDE].store(std::ptr::null_mut(), Ordering::Release);
    }
}

/// The image in whose gigabyte an address is.
#[inline]
fn find<'a>(address: usize) -> Option<&'a Image> {
    let image = IMAGES.get(address / IMAGE_STRIDE)?.load(Ordering::Acquire);
    // SAFETY: NULL or registered; code that asks runs for a driver, whose image outlives the call.
    unsafe { image.as_ref() }
}

/// Whether all the bytes lie in a section of an image.
#[inline]
pub(super) fn is_readable(address: usize, bytes: usize) -> bool {
    find(address).is_some_and(|image| image.readable(address, bytes))
}

/// Whether all the bytes lie in variables of an image; they count as written from here on.
#[inline]
pub(super) fn is_writable(address: usize, bytes: usize) -> bool {
    find(address).is_some_and(|image| image.writable(address, bytes))
}

/// Whether the address lies in code of an image.
#[inline]
pub(super) fn is_code(address: usize) -> bool {
    // The driver of this crate's own tests is the test program.
    find(address).is_some_and(|image| image.executable(address))
        || cfg!(test) && address > SLOTS * IMAGE_STRIDE
}
