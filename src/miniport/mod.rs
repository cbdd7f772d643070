//! Miniport cores: drivers written once over [`StorPort`](crate::storport::StorPort), run here and in
//! the kernel.
//!
//! [`nvme`] is a real driver, the main job. [`puppet`] plays lock calls that the scenario scripts, so
//! that every mistake is possible: with it the rules themselves are tested.

pub mod nvme;
pub mod puppet;
