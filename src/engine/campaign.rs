//! The campaign: the parent of the workers. It starts them, gathers what they find, replaces those that
//! die, and ends them.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::child::{Child, Corpus, Death, News, What, death};
use super::findings::{Findings, Kept, Offer, write_whole};
use super::job::{Worker, add, worker_seed};
use super::known::Known;
use super::libfuzzer::Mutation;
use super::message::{Found, Message, Statistics};
use super::room::Room;
use super::signals::interrupted;
use super::worker::Orders;
use crate::harness::Target;
use crate::scenario::{PolicyKind, codec};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The driver.
    pub driver: Target,
    /// Workers.
    pub jobs: usize,
    /// Seed of every random choice; the workers' seeds come from it.
    pub seed: u64,
    /// The policy of every schedule; `None` leaves it to the inputs.
    pub policy: Option<PolicyKind>,
    /// How inputs are mutated.
    pub mutation: Mutation,
    /// End after so many runs, of all workers together.
    pub runs: Option<u64>,
    /// End after so much time.
    pub time: Option<Duration>,
    /// End at the first finding that counts.
    pub stop_at_first: bool,
    /// Warnings count as errors do.
    pub warnings_count: bool,
    /// Directory that inputs with new coverage go to.
    pub corpus: PathBuf,
    /// Directory of inputs to begin with.
    pub seeds: Option<PathBuf>,
    /// Directory for examples of findings.
    pub findings: PathBuf,
    /// Directory for logs and recorders.
    pub logs: PathBuf,
    /// Findings to pass over.
    pub known: Known,
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Time since it began.
    pub elapsed: Duration,
    /// What all workers did together.
    pub total: Statistics,
    /// Runs a second, lately.
    pub rate: f64,
    /// Coverage and corpus; of several workers the one that is farthest.
    pub corpus: Corpus,
    /// Distinct findings that are errors.
    pub errors: usize,
    /// Distinct findings that are warnings.
    pub warnings: usize,
}

/// Why a campaign ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The runs or the time are spent.
    Spent,
    /// The first finding was enough.
    FirstFinding,
    /// Ctrl-C, or nobody listens any more.
    Interrupted,
    /// Every worker died again and again.
    WorkersDied,
}

/// Why a campaign could not be run.
#[derive(Debug)]
pub enum CannotRun {
    /// A process or a file of its own is refused by the system.
    System(io::Error),
    /// No worker can start, for the reason that they give.
    Driver(String),
}

impl From<io::Error> for CannotRun {
    fn from(error: io::Error) -> Self {
        CannotRun::System(error)
    }
}

/// The end of a campaign.
#[derive(Debug)]
pub struct Summary {
    /// Why it ended.
    pub reason: Reason,
    /// The last word on progress; the rate is that of the whole campaign.
    pub progress: Progress,
    /// What was found.
    pub findings: Findings,
}

/// Who is told about a campaign while it runs.
pub trait Audience {
    /// A distinct finding, the first time.
    fn found(&mut self, kept: &Kept);
    /// Something that the user should know.
    fn note(&mut self, text: &str);
    /// Several times a second.
    fn progress(&mut self, progress: &Progress);
    /// Whether anybody still listens.
    fn is_gone(&self) -> bool;
}

/// Between two looks at the clock and at Ctrl-C.
const TICK: Duration = Duration::from_millis(50);

/// Time over which the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(1);

/// Between two looks at the room for what is found.
const ROOM_EVERY: Duration = Duration::from_secs(1);

/// A worker that was told to end and has not is killed after this long: longer than any run takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Deaths of one worker, each soon after its start, after which it is given up.
const DEATHS_MAX: u32 = 5;

/// Runs a campaign to its end.
///
/// `worker_command` makes the command that runs a worker with given orders.
///
/// # Errors
///
/// The directories cannot be made or written, or no worker can start: its driver refuses to.
pub fn run(
    plan: &Plan,
    worker_command: &dyn Fn(&Orders) -> Command,
    audience: &mut dyn Audience,
) -> Result<Summary, CannotRun> {
    let (sender, news) = channel();
    let mut campaign = Campaign::new(plan, worker_command, audience, sender);
    // A worker less when there are fewer runs than jobs.
    let jobs = plan.runs.map_or(plan.jobs, |runs| {
        usize::try_from(runs).map_or(plan.jobs, |runs| plan.jobs.min(runs))
    });
    for index in 0..jobs {
        campaign.workers.push(Worker::new(plan, index, jobs));
        campaign.start(index)?;
    }
    campaign.listen(&news)?;
    match campaign.refusal.take() {
        Some(why) => Err(CannotRun::Driver(why)),
        None => Ok(campaign.summary()),
    }
}

struct Campaign<'a> {
    plan: &'a Plan,
    worker_command: &'a dyn Fn(&Orders) -> Command,
    audience: &'a mut dyn Audience,
    sender: Sender<News>,
    began: Instant,
    workers: Vec<Worker>,
    findings: Findings,
    /// Why the campaign ends, once it does, and since when.
    ending: Option<(Reason, Instant)>,
    /// Why no worker could start.
    refusal: Option<String>,
    /// Time and runs at the last look at the rate, and the rate.
    rate: (Instant, u64, f64),
    /// Whether there is room for what is found, and the time of the last look.
    room: (Instant, Room),
}

impl<'a> Campaign<'a> {
    fn new(
        plan: &'a Plan,
        worker_command: &'a dyn Fn(&Orders) -> Command,
        audience: &'a mut dyn Audience,
        sender: Sender<News>,
    ) -> Self {
        let began = Instant::now();
        Campaign {
            plan,
            worker_command,
            audience,
            sender,
            began,
            workers: Vec::new(),
            findings: Findings::new(plan.findings.clone(), plan.known.clone()),
            ending: None,
            refusal: None,
            rate: (began, 0, 0.0),
            room: (began, Room::new([&plan.corpus, &plan.findings, &plan.logs])),
        }
    }

    /// Starts the worker of a job.
    fn start(&mut self, index: usize) -> io::Result<()> {
        let plan = self.plan;
        let worker = &mut self.workers[index];
        // The first worker tries what earlier campaigns found, so that a bug that is still there is
        // reported at once and a short example of it stays.
        let earlier = (index == 0 && worker.deaths == 0).then(|| plan.findings.clone());
        let orders = Orders {
            driver: plan.driver.clone(),
            seed: worker_seed(plan.seed, index, worker.deaths),
            runs: worker.runs_max.map(|runs| runs - worker.before.runs.min(runs)),
            policy: plan.policy,
            mutation: plan.mutation,
            // Alone, a worker knows its corpus, and the clock would only disturb its determinism.
            reload: plan.jobs > 1,
            corpus: plan.corpus.clone(),
            seeds: plan.seeds.clone(),
            earlier,
            recorder: worker.place.path().to_path_buf(),
        };
        // If this fails, so does the worker, which says why.
        let _ = worker.place.prepare();
        let log = plan.logs.join(format!("worker-{index}.log"));
        let command = (self.worker_command)(&orders);
        worker.child = Some(Child::start(index, command, &log, &self.sender)?);
        Ok(())
    }

    /// Takes the workers' news until none is left.
    fn listen(&mut self, news: &Receiver<News>) -> io::Result<()> {
        while self.workers.iter().any(|worker| worker.child.is_some()) {
            match news.recv_timeout(TICK) {
                Ok(News(index, what)) => self.take(index, what)?,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.look_at_the_clock();
        }
        Ok(())
    }

    fn take(&mut self, index: usize, what: What) -> io::Result<()> {
        match what {
            What::Message(Message::Statistics(now)) => self.workers[index].now = now,
            What::Message(Message::Found(found)) => self.take_finding(found),
            What::Message(Message::Unmodelled { routine }) => self.audience.note(&format!(
                "the driver calls {routine}, which has no model here; such runs end there"
            )),
            What::Message(Message::Reached { input }) => self.keep(index, &input),
            What::Message(Message::CannotStart { why }) => self.refuse(why),
            What::Message(Message::Done) => self.workers[index].ending = true,
            What::Corpus(corpus) => self.workers[index].corpus = corpus,
            What::Closed => self.bury(index)?,
        }
        Ok(())
    }

    /// A worker cannot start. If none ever ran that is the campaign's end; else what was found counts, and it goes on.
    fn refuse(&mut self, why: String) {
        if self.total().runs > 0 {
            self.audience.note(&why);
        } else if self.refusal.is_none() {
            self.refusal = Some(why);
            self.end(Reason::WorkersDied);
        }
    }

    /// Keeps what a caged worker reached, and tells the others.
    fn keep(&mut self, from: usize, input: &[u8]) {
        let path = self.plan.corpus.join(format!("{:016x}", fnv(input)));
        if path.exists() {
            return;
        }
        if let Err(error) = write_whole(&path, input) {
            self.audience.note(&format!("{} is not kept: {error}", path.display()));
        }
        for (index, worker) in self.workers.iter_mut().enumerate() {
            if let (Some(child), true) = (&mut worker.child, index != from) {
                child.give(input);
            }
        }
    }

    fn take_finding(&mut self, found: Found) {
        let (id, counts) = (found.id, self.plan.warnings_count || !found.warning);
        if let (Offer::New, Some(kept)) = (self.findings.offer(found), self.findings.get(id)) {
            self.audience.found(kept);
            if self.plan.stop_at_first && counts {
                self.end(Reason::FirstFinding);
            }
        }
    }

    /// A worker's process has ended. If nobody wanted that, another takes its place.
    fn bury(&mut self, index: usize) -> io::Result<()> {
        let Some(child) = self.workers[index].child.take() else { return Ok(()) };
        let status = child.end()?;
        let worker = &mut self.workers[index];
        let (ending, place) = (worker.ending, &worker.place);
        let (death, remains) = death(status, place);
        if ending && status.success() {
            worker.settle(None);
            return Ok(());
        }
        worker.settle(remains.map(|remains| remains.runs));
        let told_to_end = self.ending.is_some();
        match death {
            Death::OfDriver { signal, line, input } => {
                self.take_finding(crash(signal, line, &input));
            }
            Death::Other(_) if told_to_end => return Ok(()),
            Death::Other(how) => self.audience.note(&format!(
                "worker {index} {how}; see {}",
                self.plan.logs.join(format!("worker-{index}.log")).display()
            )),
        }
        if self.ending.is_some() {
            return Ok(());
        }
        self.replace(index)
    }

    /// Starts a job's next worker, unless the job is done or hopeless.
    fn replace(&mut self, index: usize) -> io::Result<()> {
        let worker = &mut self.workers[index];
        worker.deaths += 1;
        if worker.runs_max.is_some_and(|runs| worker.before.runs >= runs) {
            return Ok(());
        }
        if worker.hasty_deaths < DEATHS_MAX {
            return self.start(index);
        }
        self.audience.note(&format!(
            "worker {index} is given up: it died {DEATHS_MAX} times soon after its start"
        ));
        if self.workers.iter().all(|worker| worker.child.is_none()) {
            self.end(Reason::WorkersDied);
        }
        Ok(())
    }

    fn look_at_the_clock(&mut self) {
        let elapsed = self.began.elapsed();
        if interrupted() || self.audience.is_gone() {
            self.end(Reason::Interrupted);
        } else if self.plan.time.is_some_and(|time| elapsed >= time) {
            self.end(Reason::Spent);
        }
        if let Some((_, since)) = self.ending
            && since.elapsed() >= PATIENCE
        {
            self.workers
                .iter_mut()
                .filter_map(|worker| worker.child.as_mut())
                .for_each(Child::kill);
        }
        self.look_at_the_room();
        let progress = self.progress();
        self.audience.progress(&progress);
    }

    fn look_at_the_room(&mut self) {
        let (at, room) = &mut self.room;
        if at.elapsed() >= ROOM_EVERY {
            *at = Instant::now();
            for news in room.look() {
                self.audience.note(&news);
            }
        }
    }

    /// Tells every worker to end, for the first reason that comes.
    fn end(&mut self, reason: Reason) {
        if self.ending.is_none() {
            self.ending = Some((reason, Instant::now()));
            for worker in &mut self.workers {
                worker.ending = true;
                if let Some(child) = &mut worker.child {
                    child.release();
                }
            }
        }
    }

    fn total(&self) -> Statistics {
        let parts = self.workers.iter().flat_map(|worker| [worker.before, worker.now]);
        parts.fold(Statistics::default(), add)
    }

    fn progress(&mut self) -> Progress {
        let total = self.total();
        let elapsed = self.began.elapsed();
        let (at, runs, rate) = &mut self.rate;
        let span = at.elapsed();
        if span >= RATE_OVER {
            *rate = (total.runs - *runs) as f64 / span.as_secs_f64();
            (*at, *runs) = (Instant::now(), total.runs);
        } else if elapsed < RATE_OVER {
            *rate = total.runs as f64 / elapsed.as_secs_f64();
        }
        let rate = *rate;
        let corpus = self.workers.iter().map(|worker| worker.corpus);
        Progress {
            elapsed,
            total,
            rate,
            corpus: corpus.max_by_key(|corpus| corpus.features).unwrap_or_default(),
            errors: self.findings.errors(),
            warnings: self.findings.warnings(),
        }
    }

    fn summary(mut self) -> Summary {
        let mut progress = self.progress();
        progress.rate = progress.total.runs as f64 / progress.elapsed.as_secs_f64().max(1e-9);
        let reason = self.ending.map_or(Reason::Spent, |(reason, _)| reason);
        for news in self.room.1.look() {
            self.audience.note(&news);
        }
        let restored = self.findings.restore();
        if restored > 0 {
            let place = self.plan.findings.display();
            self.audience.note(&format!(
                "{restored} of the examples in {place} were missing; they are written again"
            ));
        }
        Summary { reason, progress, findings: self.findings }
    }
}

/// The death of a worker's process as a finding. Where in the driver it died is unknown, so that all deaths
/// by one signal are one finding.
fn crash(signal: &str, line: String, input: &[u8]) -> Found {
    let mut bytes = Vec::new();
    codec::encode(&codec::decode(input), &mut bytes);
    Found {
        id: death_id(signal),
        rule: "driver.crashed".into(),
        warning: false,
        line,
        input: bytes,
        runs: 0,
    }
}

/// The id of the finding that a driver died by a signal.
pub(crate) fn death_id(signal: &str) -> u64 {
    fnv(signal.as_bytes())
}

/// FNV-1a: the same number for the same text, in every build.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_death_of_a_worker_is_a_finding_of_a_rule_in_the_catalogue() {
        let line = "lockstorm: VIOLATION driver.crashed error: x (SIGSEGV) [unknown] at unknown";
        let found = crash("SIGSEGV", line.into(), &[]);
        assert!(crate::rules::RuleId::from_id(&found.rule).is_some());
        assert_ne!(found.id, crash("SIGBUS", line.into(), &[]).id);
        assert!(
            codec::read(&found.input).is_ok(),
            "even of a short input, a whole scenario is kept"
        );
    }
}
