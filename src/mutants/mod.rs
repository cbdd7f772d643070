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
//! | [`argued`] | survivors that are argued to be no mistakes |
//! | [`spec`] | a mutation as one word, for `lockstorm run --mutant` |
//! | [`report`] | what came of it, as data, text and a page |
//!
//! # What kills
//!
//! The rule of an error that the driver does not break by itself, in no run of the survey and not in the same scenario;
//! a crash, a hang and a lost request are such rules too. A mutant whose worker dies, runs for ever without a call
//! or asks for memory beyond all reason is killed by that, and the next worker goes on. A mutant that breaks only the
//! rule of a warning is *warned*, and counts as killed in the score, in a column of its own, and the score without is
//! told beside it: a copied handle of the Interrupt lock, for instance, which is no queued lock, so that this run
//! survives it.
//!
//! Each kill's scenario is kept in `kills`, and printed with the command that replays it.
//!
//! # What a score means
//!
//! The score says how good rules, corpus and search are on this driver; a survivor is a mistake that the author could
//! make and nobody here would tell him. What each operator does stands with
//! [`Operator`](crate::machine::mutation::Operator); what is equivalent by construction, and why, with [`plan`].
//!
//! Locks that are left out or moved where no call of StorPort's lies between them and what they guard break no rule of
//! locks: only data races show them. So hunts look for races; without (`--no-races`) nearly all of those survive. In a
//! compiled driver races are seen if it was built with the instrumentation for it (`examples/c-miniport/build
//! --memory`), and without it such mutants are a gap.
//!
//! # What survives in the NVMe core
//!
//! Argued to be no mistakes, in `argued/nvme.ron`, and hunted all the same:
//!
//! | where | mutants | why |
//! | --- | --- | --- |
//! | `queue.set_open(port, true)` | lock left out, moved, another | one atomic store, which readers read once |
//! | `queue.start(..)` | the same | a closed queue is nobody else's; opening it publishes what was written |
//!
//! StartIo instead is among them in HwStorDpcRoutine only: HwStorTimer is called with StartIo held (the lock table of
//! <https://learn.microsoft.com/windows-hardware/drivers/ddi/storport/nf-storport-storportacquirespinlock>), and there it
//! is killed as `lock.port_held`.
//!
//! A gap of the machine's:
//!
//! | where | mutants | why |
//! | --- | --- | --- |
//! | `mask_line`, `unmask_line` | lock left out, moved, another | flag and mask register are atomic each, so there is no race. When they disagree the driver claims no interrupt, and the line, which stays asserted, interrupts again and again: nothing below goes on. The machine repeats an interrupt of the line at once on a processor that is idle or waits for a lock, and `acquire one call late` in `mask_line` is killed by that, as `run.hang`; but between two calls it leaves it to the schedule whether it repeats it, and so the driver gets on |
//!
//! What a small budget does not find: the state machine's `submit`, released before the doorbell (`controller.rs`,
//! `step_command`), takes some 10 to 20 s until it is a race.
//!
//! # What survives in the C example
//!
//! Built with `--memory --coverage`, from `corpus/doorbell`, nothing but what `examples/c-miniport/argued.ron` argues to be
//! no mistakes:
//!
//! | where | mutants | why |
//! | --- | --- | --- |
//! | `RamdiskChannelDpc`, the Dpc lock | StartIo instead | whoever else takes it holds StartIo |
//! | `RamdiskNote`, HistoryLock | UnitLock instead | whoever else takes it holds UnitLock |

pub mod argued;
pub mod crew;
pub mod hunt;
pub mod journal;
pub mod plan;
pub mod report;
pub mod spec;
pub mod survey;
pub mod worker;
