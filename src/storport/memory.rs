//! Memory as a device sees it: physical addresses, scatter/gather lists, caching.

use super::status::named;

/// `STOR_PHYSICAL_ADDRESS`: an address on the bus. The C type is signed; addresses are not.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportgetphysicaladdress>.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalAddress(pub u64);

/// `STOR_SCATTER_GATHER_ELEMENT`: one physically contiguous piece of a data buffer.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_stor_scatter_gather_element>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorScatterGatherElement {
    /// `PhysicalAddress`: where it begins.
    pub physical_address: PhysicalAddress,
    /// `Length`, in bytes.
    pub length: u32,
    /// `Reserved`.
    pub reserved: usize,
}

/// `STOR_SCATTER_GATHER_LIST`: the head of a list; the elements follow it in memory.
///
/// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/ns-storport-_stor_scatter_gather_list>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct StorScatterGatherList {
    /// `NumberOfElements`.
    pub number_of_elements: u32,
    /// `Reserved`.
    pub reserved: usize,
    /// `List`: where the elements begin.
    pub list: [StorScatterGatherElement; 0],
}

impl StorScatterGatherList {
    /// The elements of the list at `list`; none if it is NULL.
    ///
    /// Takes the pointer and not `&self`, because a reference to the head may not reach past it.
    ///
    /// # Safety
    ///
    /// A `list` that is not NULL comes from StorPort, and nothing changes or frees it during `'a`.
    #[must_use]
    pub unsafe fn elements<'a>(list: *const Self) -> &'a [StorScatterGatherElement] {
        if list.is_null() {
            return &[];
        }
        // SAFETY: the caller promises a valid list; its elements follow the head.
        unsafe {
            let count = (*list).number_of_elements as usize;
            core::slice::from_raw_parts((&raw const (*list).list).cast(), count)
        }
    }
}

named! {
    /// `MEMORY_CACHING_TYPE`: how processors cache a block of memory.
    ///
    /// See <https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/ne-wdm-_memory_caching_type>.
    MemoryCachingType(i32) {
        NON_CACHED = 0, "MmNonCached";
        CACHED = 1, "MmCached";
        WRITE_COMBINED = 2, "MmWriteCombined";
        HARDWARE_COHERENT_CACHED = 3, "MmHardwareCoherentCached";
        NON_CACHED_UNORDERED = 4, "MmNonCachedUnordered";
        USWC_CACHED = 5, "MmUSWCCached";
        NOT_MAPPED = -1, "MmNotMapped";
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<PhysicalAddress>() == 0x08);
    assert!(size_of::<StorScatterGatherElement>() == 0x18);
    assert!(offset_of!(StorScatterGatherElement, physical_address) == 0x00);
    assert!(offset_of!(StorScatterGatherElement, length) == 0x08);
    assert!(offset_of!(StorScatterGatherElement, reserved) == 0x10);
    assert!(size_of::<StorScatterGatherList>() == 0x10);
    assert!(offset_of!(StorScatterGatherList, number_of_elements) == 0x00);
    assert!(offset_of!(StorScatterGatherList, reserved) == 0x08);
    assert!(offset_of!(StorScatterGatherList, list) == 0x10);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct TwoElements {
        head: StorScatterGatherList,
        elements: [StorScatterGatherElement; 2],
    }

    #[test]
    fn elements_follow_the_head() {
        let element = |at, length| StorScatterGatherElement {
            physical_address: PhysicalAddress(at),
            length,
            reserved: 0,
        };
        let list = TwoElements {
            head: StorScatterGatherList { number_of_elements: 2, ..Default::default() },
            elements: [element(0x1000, 512), element(0x8000, 4096)],
        };
        // SAFETY: two elements follow the head, and the list outlives the slice.
        let elements = unsafe { StorScatterGatherList::elements((&raw const list).cast()) };
        assert_eq!(elements, list.elements);
        assert_eq!(list.head.number_of_elements, 2);
    }

    #[test]
    fn null_has_no_elements() {
        // SAFETY: NULL is allowed.
        assert!(unsafe { StorScatterGatherList::elements(core::ptr::null()) }.is_empty());
    }

    #[test]
    fn names() {
        assert_eq!(format!("{}", MemoryCachingType::CACHED), "MmCached");
        assert_eq!(format!("{}", MemoryCachingType(-1)), "MmNotMapped");
    }
}
