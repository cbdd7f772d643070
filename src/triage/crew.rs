//! The parent's side of the workers: one for each core, asked over pipes, replaced when its driver kills it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::minimise::{Limits, Minimal, Subject, minimise};
use super::replay::Replay;
use super::worker::{Answer, MARK, Request};
use crate::engine::message::to_hex;
use crate::engine::{deadly, death_line, interrupted};
use crate::report::breach::Breach;
use crate::report::told::Told;
use crate::scenario::{Scenario, codec};

/// Starts a worker.
pub type Start<'a> = dyn Fn() -> Command + Sync + 'a;

/// A worker that can be asked.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Hand<'a> {
    start: &'a Start<'a>,
    live: Option<Live>,
}

struct Live {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What came of a question.
enum Reply {
    Answer(Answer),
    /// The driver killed the worker: name and meaning of the signal.
    Died(&'static str, &'static str),
}

impl<'a> Hand<'a> {
    /// A worker, started when it is first asked.
    #[must_use]
    pub fn new(start: &'a Start<'a>) -> Hand<'a> {
        Hand { start, live: None }
    }

    /// Runs a scenario.
    ///
    /// # Errors
    ///
    /// No worker can be started, or something from outside killed it twice.
    pub fn replay(&mut self, scenario: &Scenario) -> io::Result<Replay> {
        let request = Request::Replay { scenario: plain(scenario) };
        match self.ask(&request)? {
            Reply::Answer(Answer::Replayed(replay)) => Ok(replay),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(signal, what) => {
                let breach = Breach::death(signal, &death_line(signal, what));
                Ok(Replay { breaches: vec![breach], events: 0, stable: true, unmodelled: false })
            }
        }
    }

    /// Runs a scenario for a report about `bug`; `None` if the driver kills the worker, which then cannot tell.
    ///
    /// # Errors
    ///
    /// As [`Hand::replay`].
    pub fn tell(&mut self, scenario: &Scenario, bug: u64) -> io::Result<Option<Told>> {
        match self.ask(&Request::Tell { scenario: plain(scenario), bug })? {
            Reply::Answer(Answer::Told(told)) => Ok(Some(*told)),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(..) => Ok(None),
        }
    }

    /// Minimises a scenario. If the driver kills the worker meanwhile, it is done run by run instead.
    ///
    /// # Errors
    ///
    /// As [`Hand::replay`].
    pub fn minimise(
        &mut self,
        scenario: &Scenario,
        bug: u64,
        limits: Limits,
    ) -> io::Result<Option<Minimal>> {
        let request = Request::Minimise { scenario: plain(scenario), bug, limits };
        match self.ask(&request)? {
            Reply::Answer(Answer::Minimised(minimal)) => Ok(minimal),
            Reply::Answer(other) => Err(nonsense(&other)),
            // A run that dies costs a process, so fewer of them.
            Reply::Died(..) => {
                let limits = Limits { runs: limits.runs.min(2_000), ..limits };
                Ok(minimise(self, scenario, bug, limits))
            }
        }
    }

    /// Asks; once more if something from outside killed the worker.
    fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        match self.ask_once(request) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.ask_once(request),
            reply => reply,
        }
    }

    fn ask_once(&mut self, request: &Request) -> io::Result<Reply> {
        let mut text = serde_json::to_vec(request).map_err(io::Error::other)?;
        text.push(b'\n');
        let live = match &mut self.live {
            Some(live) => live,
            none => none.insert(Live::start(self.start)?),
        };
        // A worker that is gone shows when it does not answer.
        let _ = live.to.write_all(&text);
        let mut line = Vec::new();
        loop {
            line.clear();
            if live.from.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if let Some(answer) = line.strip_prefix(MARK.as_bytes()) {
                return serde_json::from_slice(answer).map(Reply::Answer).map_err(io::Error::other);
            }
        }
        let mut live = self.live.take().expect("it was asked");
        let status = live.process.wait()?;
        match status.signal().and_then(deadly) {
            Some((signal, what)) => Ok(Reply::Died(signal, what)),
            None => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the worker ended by itself ({status})"),
            )),
        }
    }
}

impl Live {
    fn start(start: &Start<'_>) -> io::Result<Live> {
        let mut process = start().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (to, from) = pipes.ok_or_else(|| io::Error::other("a worker without pipes"))?;
        Ok(Live { process, to, from: BufReader::new(from) })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It can only fail if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn plain(scenario: &Scenario) -> String {
    let mut bytes = Vec::new();
    codec::encode(scenario, &mut bytes);
    to_hex(&bytes)
}

fn nonsense(answer: &Answer) -> io::Error {
    io::Error::other(format!("a worker answers something else: {answer:?}"))
}

impl Subject for Hand<'_> {
    fn shows(&mut self, scenario: &Scenario, bug: u64) -> bool {
        // What cannot be run does not show anything.
        self.replay(scenario).is_ok_and(|replay| replay.breaches.iter().any(|b| b.bug == bug))
    }
}

/// Does `work` on every item, with `jobs` workers side by side, and takes each result as it comes. Ends early if
/// somebody asks for it (Ctrl-C), or if `take` does not want any more.
pub fn spread<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    start: &Start<'_>,
    work: impl Fn(&mut Hand<'_>, &T) -> R + Sync,
    mut take: impl FnMut(R) -> bool,
) {
    let next = Mutex::new(0..items.len());
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            let (next, work, sender) = (&next, &work, sender.clone());
            scope.spawn(move || hand(items, next, &mut Hand::new(start), work, &sender));
        }
        drop(sender);
        for result in results {
            if !take(result) {
                // Hands see that nobody listens.
                break;
            }
        }
    });
}

/// One worker's share.
fn hand<T, R>(
    items: &[T],
    next: &Mutex<std::ops::Range<usize>>,
    hand: &mut Hand<'_>,
    work: &impl Fn(&mut Hand<'_>, &T) -> R,
    results: &Sender<R>,
) {
    while !interrupted() {
        let Some(item) = next.lock().ok().and_then(|mut next| next.next()) else { return };
        if results.send(work(hand, &items[item])).is_err() {
            return;
        }
    }
}
