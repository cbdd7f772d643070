//! The parent's side of the workers: one for each job, asked over pipes, replaced when a mutant kills it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use super::hunt::{Kill, Memory, Order, Trail};
use super::worker::{Answer, MARK, Request, Surveyed};
use crate::engine::{deadly, death_line, interrupted};
use crate::rules::Severity;

/// Starts a worker.
pub type Start<'a> = dyn Fn() -> Command + Sync + 'a;

/// A worker that can be asked.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Hand<'a> {
    start: &'a Start<'a>,
    /// What every new worker is told first.
    corpus: Option<&'a Request>,
    live: Option<Live>,
}

struct Live {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// What came of a request.
enum Reply {
    Answer(Answer),
    /// The mutant killed the worker, after so many runs at least: name and meaning of the signal.
    Died(&'static str, &'static str, u64),
}

impl<'a> Hand<'a> {
    /// A worker, started when it is first asked; `corpus` is what hunts begin with.
    #[must_use]
    pub fn new(start: &'a Start<'a>, corpus: Option<&'a Request>) -> Hand<'a> {
        Hand { start, corpus, live: None }
    }

    /// Surveys the driver.
    ///
    /// # Errors
    ///
    /// No worker can be started, or the driver kills it as it is.
    pub fn survey(&mut self, request: &Request) -> io::Result<Surveyed> {
        match self.ask(request)? {
            Reply::Answer(Answer::Surveyed(surveyed)) => Ok(*surveyed),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(signal, what, _) => {
                let why = format!("without any mistake put into it {what} ({signal})");
                Err(io::Error::other(why))
            }
        }
    }

    /// Hunts a mutant. One that kills the worker is killed by that.
    ///
    /// # Errors
    ///
    /// No worker can be started, something from outside killed it twice, or somebody asked for an end (Ctrl-C).
    pub fn hunt(&mut self, order: &Order) -> io::Result<Trail> {
        match self.ask(&Request::Hunt(order.clone()))? {
            Reply::Answer(Answer::Hunted(trail)) => Ok(*trail),
            Reply::Answer(other) => Err(nonsense(&other)),
            Reply::Died(signal, what, runs) => {
                let kill = Kill {
                    rule: "driver.crashed".into(),
                    severity: Severity::Error,
                    line: death_line(signal, what),
                    runs,
                    ms: 0,
                    by_corpus: false,
                    scenario: String::new(),
                    memory: Memory::default(),
                };
                Ok(Trail { runs, ms: 0, kill: Some(kill) })
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
        if self.live.is_none() {
            let mut live = Live::start(self.start)?;
            if let Some(corpus) = self.corpus {
                live.send(corpus)?;
                if live.hear()?.is_none() {
                    return Err(live.death()?);
                }
            }
            self.live = Some(live);
        }
        let mut live = self.live.take().expect("it was started");
        live.send(request)?;
        let mut runs = 0;
        loop {
            match live.hear()? {
                Some(Answer::Hunting(_)) if interrupted() => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Some(Answer::Hunting(so_far)) => runs = so_far,
                Some(answer) => {
                    self.live = Some(live);
                    return Ok(Reply::Answer(answer));
                }
                None => break,
            }
        }
        let status = live.process.wait()?;
        match status.signal().and_then(deadly) {
            Some((signal, what)) => Ok(Reply::Died(signal, what, runs + 1)),
            None => Err(ended(status)),
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

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut text = serde_json::to_vec(request).map_err(io::Error::other)?;
        text.push(b'\n');
        // A worker that is gone shows when it does not answer.
        let _ = self.to.write_all(&text);
        Ok(())
    }

    /// The next thing that it says; `None` when it has ended.
    fn hear(&mut self) -> io::Result<Option<Answer>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.from.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            if let Some(answer) = line.strip_prefix(MARK.as_bytes()) {
                return serde_json::from_slice(answer).map(Some).map_err(io::Error::other);
            }
        }
    }

    /// Why it ended.
    fn death(&mut self) -> io::Result<io::Error> {
        self.process.wait().map(ended)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It can only fail if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ended(status: std::process::ExitStatus) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the worker ended by itself ({status})"))
}

fn nonsense(answer: &Answer) -> io::Error {
    io::Error::other(format!("a worker answers something else: {answer:?}"))
}

/// Hunts with `jobs` workers side by side, and takes each result as it comes. Ends early if somebody asks for it
/// (Ctrl-C), or if `take` does not want any more.
pub fn spread(
    orders: &[Order],
    jobs: usize,
    start: &Start<'_>,
    corpus: &Request,
    mut take: impl FnMut(usize, io::Result<Trail>) -> bool,
) {
    let next = Mutex::new(0..orders.len());
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, orders.len().max(1)) {
            let (next, sender) = (&next, sender.clone());
            scope.spawn(move || work(orders, next, &mut Hand::new(start, Some(corpus)), &sender));
        }
        drop(sender);
        for (number, trail) in results {
            if !take(number, trail) {
                // Hands see that nobody listens.
                break;
            }
        }
    });
}

/// One worker's share.
fn work(
    orders: &[Order],
    next: &Mutex<std::ops::Range<usize>>,
    hand: &mut Hand<'_>,
    results: &Sender<(usize, io::Result<Trail>)>,
) {
    while !interrupted() {
        let Some(number) = next.lock().ok().and_then(|mut next| next.next()) else { return };
        if results.send((number, hand.hunt(&orders[number]))).is_err() {
            return;
        }
    }
}
