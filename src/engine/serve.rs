//! Workers that answer requests, rather than fuzzing by themselves: those of `triage` and `mutants`. This is the
//! worker's side; the parent's is [`super::crew`].
//!
//! A driver can break its process, or never return. So the process that keeps the books runs no driver: it asks a
//! worker, by a line of JSON on the worker's standard input, and reads what it says, a line each, on its standard
//! output. A worker that dies says by its signal what its driver did; one that wants too much memory aborts.

use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::worker::{CannotStart, cage};
use super::{ignore_interrupts, watch};
use crate::harness::{Harness, Prepared, Target};

/// What begins a line of a worker's: a driver may print, too.
pub(super) const MARK: &str = "lockstorm answer ";

/// Most address space of a worker: a driver that wants more is stopped by that. A worker needs a hundredth of it.
const ADDRESS_SPACE: u64 = 4 << 30;

/// Between two signs of life.
const ALIVE_EVERY: Duration = Duration::from_millis(200);

/// Something that a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said<A> {
    /// It is at work.
    Alive,
    /// The answer to the last request.
    Answer(A),
    /// Why there is no answer: the request makes no sense, or the driver does not start.
    Refused(String),
}

/// Why a worker ends.
#[derive(Debug)]
pub enum CannotServe {
    /// A compiled driver cannot be locked up.
    Cage(CannotStart),
    /// The parent is gone.
    Parent(io::Error),
}

impl From<io::Error> for CannotServe {
    fn from(error: io::Error) -> Self {
        CannotServe::Parent(error)
    }
}

/// Tells the parent that long work goes on, so that it can end it.
#[derive(Debug)]
pub struct Pulse {
    said: Instant,
    told: io::Result<()>,
}

impl Pulse {
    fn new() -> Pulse {
        Pulse { said: Instant::now(), told: Ok(()) }
    }

    /// A step of the work is done.
    pub fn beat(&mut self) {
        if self.told.is_ok() && self.said.elapsed() >= ALIVE_EVERY {
            self.said = Instant::now();
            self.told = say(&Said::<()>::Alive);
        }
    }
}

/// Answers requests on the driver with `answer` until there are no more. What it refuses, it says why; a driver that cannot
/// be run is the answer to the first.
///
/// # Errors
///
/// See [`CannotServe`].
pub fn serve<Q: DeserializeOwned, A: Serialize>(
    target: &Target,
    mut answer: impl FnMut(&mut Harness, Q, &mut Pulse) -> Result<A, String>,
) -> Result<(), CannotServe> {
    ignore_interrupts();
    limit_memory();
    watch();
    let driver = Prepared::read(target);
    if target.is_untrusted() {
        cage().map_err(CannotServe::Cage)?;
    }
    let started = driver.and_then(|driver| driver.start(Box::leak(Box::default())));
    let mut harness = match started {
        Ok(harness) => harness,
        Err(error) => return Ok(say(&Said::<()>::Refused(error.to_string()))?),
    };
    for line in io::stdin().lock().lines() {
        let mut pulse = Pulse::new();
        let answer = serde_json::from_str(&line?)
            .map_err(|error| error.to_string())
            .and_then(|request| answer(&mut harness, request, &mut pulse));
        pulse.told?;
        say(&answer.map_or_else(Said::Refused, Said::Answer))?;
    }
    Ok(())
}

fn say<A: Serialize>(said: &Said<A>) -> io::Result<()> {
    let said = serde_json::to_string(said).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{MARK}{said}")?;
    out.flush()
}

/// Lets an allocation beyond all reason fail, and so end the worker, before it ends the host.
fn limit_memory() {
    let limit = libc::rlimit { rlim_cur: ADDRESS_SPACE, rlim_max: ADDRESS_SPACE };
    // SAFETY: a valid limit. If the host refuses, there is none.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
}
