//! Mutation testing: how many lock mistakes would this campaign find?
//!
//! ```text
//! corpus -> survey -> plan -> hunts, one for each mutant -> report
//!             |                 |
//!             +---- workers ----+     the machine makes the mistake where the lock call arrives
//! ```
//!
//! | file | what it is |
//! | --- | --- |
//! | [`survey`] | which lock calls the corpus reaches, and how |
//! | [`plan`] | which mutants there are, and which of them are no mistakes |
//! | [`hunt`] | the campaign against one mutant |
//! | [`worker`], [`crew`] | child processes that run the driver, and the parent that asks them |
//! | [`journal`] | what has been hunted, on disk, to go on with |
//! | [`report`] | what came of it, as data, text and a page |
//!
//! The score says how good rules, corpus and search are on this driver; a survivor is a mistake that the author could
//! make and nobody here would tell him. What each operator does stands with
//! [`Operator`](crate::machine::mutation::Operator).

pub mod crew;
pub mod hunt;
pub mod journal;
pub mod plan;
pub mod report;
pub mod survey;
pub mod worker;
