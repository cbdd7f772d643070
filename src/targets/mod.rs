//! What fuzzing engines call: one function from bytes to a verdict for each fuzz target.
//!
//! The targets in `fuzz/` are a line each around [`Runner`], so that libFuzzer, AFL++ and a test on stable Rust do the
//! same with the same bytes. A target that finds something prints its [`Violation`] and ends the process; engines
//! know nothing else.
//!
//! | target | bytes become | what is wrong |
//! | --- | --- | --- |
//! | `nvme` | a scenario for the NVMe core | an error by the rules |
//! | `interrupts` | the same, made of I/O and interrupts alone ([`Focus`]) | an error by the rules |
//! | `lifecycle` | the same, made of resets, controls, failures and some I/O | an error by the rules |
//! | `locks` | a script of lock calls for the puppet | the rules and their [`reference`](crate::reference) disagree |
//! | `scenario` | a scenario, its bytes and its text | a way back that does not lead back |

mod focus;
mod report;
mod round_trip;

pub use focus::Focus;
pub use report::Violation;

use crate::coverage::CoverageMap;
use crate::event::PROCESSORS_MAX;
use crate::harness::{BuiltIn, Harness};
use crate::reference::Reference;
use crate::rules::Severity;
use crate::scenario::{At, Io, Scenario, Step, codec};

/// A fuzz target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The whole life of the adapter, under the NVMe core.
    Nvme,
    /// Scripts of lock calls: the rules themselves are under test.
    Locks,
    /// Interrupt storms, message redirection, half duplex, all kinds of interrupts.
    Interrupts,
    /// Failing initialisation, resets, stop and restart, removal, failing allocations.
    Lifecycle,
    /// The formats.
    Scenario,
}

impl Target {
    /// Every target.
    pub const ALL: [Target; 5] =
        [Target::Nvme, Target::Locks, Target::Interrupts, Target::Lifecycle, Target::Scenario];

    /// Its name, and that of its file in `fuzz/fuzz_targets`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Target::Nvme => "nvme",
            Target::Locks => "locks",
            Target::Interrupts => "interrupts",
            Target::Lifecycle => "lifecycle",
            Target::Scenario => "scenario",
        }
    }

    /// The target of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Its folders in `corpus`: seeds, and what campaigns found that no seed covers. What the puppet plays has one
    /// folder of seeds, whoever judges it.
    #[must_use]
    pub const fn corpora(self) -> &'static [&'static str] {
        match self {
            Target::Nvme => &["nvme", "merged/nvme"],
            Target::Locks => &["puppet", "merged/locks"],
            Target::Interrupts => &["interrupts", "merged/interrupts"],
            Target::Lifecycle => &["lifecycle", "merged/lifecycle"],
            Target::Scenario => &["scenario"],
        }
    }

    /// The driver that it runs; `None` if it runs none.
    #[must_use]
    pub const fn driver(self) -> Option<BuiltIn> {
        match self {
            Target::Nvme | Target::Interrupts | Target::Lifecycle => Some(BuiltIn::Nvme),
            Target::Locks => Some(BuiltIn::Puppet),
            Target::Scenario => None,
        }
    }

    /// What it leaves of a scenario.
    #[must_use]
    pub const fn focus(self) -> Focus {
        match self {
            Target::Interrupts => Focus::Interrupts,
            Target::Lifecycle => Focus::Lifecycle,
            _ => Focus::Everything,
        }
    }
}

/// A target, ready to run; reused from run to run.
#[derive(Debug)]
pub struct Runner {
    target: Target,
    work: Work,
    scenario: Scenario,
    /// The bytes of a scenario in which the adapter is not even found.
    shortest: Vec<u8>,
}

/// What a target needs.
#[derive(Debug)]
enum Work {
    /// A driver, judged by the rules.
    Judge(BuiltIn, Box<Harness>),
    /// A driver, judged by the rules and by their reference.
    Compare(BuiltIn, Box<Harness>, Box<Reference>),
    /// Neither.
    RoundTrip,
}

impl Runner {
    /// A runner whose lock-state coverage goes to `map`, which the engine clears between runs. It has run once, so
    /// that an engine's first input meets what every other does.
    #[must_use]
    pub fn new(target: Target, map: &'static mut CoverageMap) -> Runner {
        let work = match target.driver() {
            None => Work::RoundTrip,
            Some(driver) => {
                let mut harness = Box::new(Harness::new(driver, map));
                if target == Target::Locks {
                    harness.record(true);
                    Work::Compare(driver, harness, Box::default())
                } else {
                    Work::Judge(driver, harness)
                }
            }
        };
        let mut runner =
            Runner { target, work, scenario: Scenario::default(), shortest: shortest() };
        // Nothing is wrong with this scenario; if it were, the first input of its kind would say so again.
        let _ = runner.run(&everywhere());
        runner.settle();
        runner
    }

    /// Runs one input. Any bytes are one.
    ///
    /// # Errors
    ///
    /// What is wrong.
    #[inline]
    pub fn run(&mut self, bytes: &[u8]) -> Result<(), Box<Violation>> {
        let Runner { target, work, scenario, .. } = self;
        match work {
            Work::RoundTrip => round_trip::check(bytes).map_err(Violation::of_format),
            Work::Judge(driver, harness) => {
                codec::decode_into(bytes, scenario);
                target.focus().apply(scenario);
                harness.run(scenario);
                let mut findings = harness.findings().iter();
                match findings.find(|finding| finding.severity == Severity::Error) {
                    None => Ok(()),
                    Some(finding) => Err(Violation::of_driver(finding, *driver, scenario)),
                }
            }
            Work::Compare(driver, harness, reference) => {
                codec::decode_into(bytes, scenario);
                harness.run(scenario);
                reference
                    .compare(harness.events(), |_| ())
                    .map_err(|found| Violation::of_rules(&found, *driver, scenario))
            }
        }
    }

    /// Brings the target into the one state that it has after [`Runner::settle`], whatever ran before: with the shortest
    /// of all runs. Between runs the machine undoes what the last run did and no more, so that otherwise the
    /// branches that a run takes would depend on the run before.
    pub fn settle(&mut self) {
        if !matches!(self.work, Work::RoundTrip) {
            let shortest = std::mem::take(&mut self.shortest);
            // Such a run breaks no rule; if it did, the first input to say the same would tell.
            let _ = self.run(&shortest);
            self.shortest = shortest;
        }
        if let Work::Judge(_, harness) | Work::Compare(_, harness, _) = &mut self.work {
            harness.renew_processors();
        }
        if let Some(map) = self.coverage() {
            map.clear();
        }
    }

    /// The coverage map of the driver's runs, if there is a driver.
    pub fn coverage(&mut self) -> Option<&mut CoverageMap> {
        match &mut self.work {
            Work::Judge(_, harness) | Work::Compare(_, harness, _) => Some(harness.coverage()),
            Work::RoundTrip => None,
        }
    }

    /// Runs one input; what is wrong is printed on standard error, and ends the process as engines expect it.
    #[inline]
    pub fn run_or_abort(&mut self, bytes: &[u8]) {
        if let Err(violation) = self.run(bytes) {
            end(&violation);
        }
    }
}

fn shortest() -> Vec<u8> {
    let mut scenario = Scenario::default();
    scenario.setup.processors = 1;
    scenario.setup.failures.device_base = true;
    let mut bytes = Vec::new();
    codec::encode(&scenario, &mut bytes);
    bytes
}

/// The bytes of a scenario that uses every processor, so that each has its stack from then on.
fn everywhere() -> Vec<u8> {
    let mut scenario = Scenario::default();
    scenario.setup.processors = PROCESSORS_MAX as u8;
    let at = |processor| At { processor, gap: 0 };
    scenario.steps =
        (0..PROCESSORS_MAX as u8).map(|processor| Step::Io(at(processor), Io::default())).collect();
    let mut bytes = Vec::new();
    codec::encode(&scenario, &mut bytes);
    bytes
}

#[cold]
fn end(violation: &Violation) -> ! {
    eprint!("{violation}");
    std::process::abort()
}
