//! What people read: runs in words, and the pages of findings.
//!
//! ```text
//! events, findings -> Told { breaches, timeline, locks } -> page (HTML), perfetto
//! bugs ------------------------------------------------> index (HTML), markdown, sarif
//! ```
//!
//! A report is a rendering of data: it judges nothing and runs nothing. Everything in it that comes from a driver or
//! a file is escaped.

pub mod breach;
pub mod heat;
pub(crate) mod hex;
pub mod index;
pub mod markdown;
pub mod moment;
pub mod number;
pub mod page;
pub mod perfetto;
pub mod sarif;
pub mod source;
pub mod survey;
pub mod timeline;
pub mod told;
pub mod words;

pub(crate) mod html;
pub(crate) mod lock_graph;
