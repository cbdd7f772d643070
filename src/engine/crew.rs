//! The parent's side of workers that answer requests ([`super::serve`]): asked over pipes, one for each job, replaced
//! when a driver kills one.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::serve::{MARK, Said};
use super::{deadly, death_line, interrupted};

/// A worker that can be asked for an `A` with a `Q`; it is started when it is first asked.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Asked<'a, Q, A> {
    start: Box<dyn Fn() -> Command + 'a>,
    /// What every new worker is told before anything else.
    first: Option<&'a Q>,
    live: Option<Live>,
    answers: PhantomData<A>,
}

/// What came of a question.
#[derive(Debug)]
pub enum Reply<A> {
    /// The worker's answer.
    Answer(A),
    /// The driver killed the worker.
    Died(Death),
}

/// Why a worker does not answer.
#[derive(Debug)]
pub enum CannotAsk {
    /// The host starts no worker, or what it says cannot be read.
    System(io::Error),
    /// The worker says why not: its driver does not start, or it finds no sense in the request.
    Refused(String),
    /// Something from outside ended it.
    Ended(ExitStatus),
    /// Somebody asked for an end (Ctrl-C) while it was at work.
    Interrupted,
}

impl fmt::Display for CannotAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotAsk::System(error) => write!(f, "cannot run a worker: {error}"),
            CannotAsk::Refused(why) => f.write_str(why),
            CannotAsk::Ended(status) => write!(f, "a worker ended by itself ({status})"),
            CannotAsk::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for CannotAsk {}

impl From<io::Error> for CannotAsk {
    fn from(error: io::Error) -> Self {
        CannotAsk::System(error)
    }
}

/// How a driver killed a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Death {
    /// The signal's name.
    pub signal: &'static str,
    /// What the driver did.
    pub what: &'static str,
}

impl Death {
    /// The line that tells it.
    #[must_use]
    pub fn line(self) -> String {
        death_line(self.signal, self.what)
    }
}

impl<'a, Q: Serialize, A: DeserializeOwned> Asked<'a, Q, A> {
    /// A worker that `start` starts, and that is told `first` before anything else.
    pub fn new(start: impl Fn() -> Command + 'a, first: Option<&'a Q>) -> Self {
        Asked { start: Box::new(start), first, live: None, answers: PhantomData }
    }

    /// Asks; once more if something from outside killed the worker.
    ///
    /// # Errors
    ///
    /// See [`CannotAsk`].
    pub fn ask(&mut self, request: &Q) -> Result<Reply<A>, CannotAsk> {
        match self.ask_once(request) {
            Err(CannotAsk::Ended(_)) => self.ask_once(request),
            reply => reply,
        }
    }

    fn ask_once(&mut self, request: &Q) -> Result<Reply<A>, CannotAsk> {
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.start()?,
        };
        live.send(request)?;
        match live.answer()? {
            Some(answer) => {
                self.live = Some(live);
                Ok(Reply::Answer(answer))
            }
            None => live.death().map(Reply::Died),
        }
    }

    fn start(&self) -> Result<Live, CannotAsk> {
        let mut live = Live::start((self.start)())?;
        if let Some(first) = self.first {
            live.send(first)?;
            if live.answer::<A>()?.is_none() {
                let Death { signal, what } = live.death()?;
                let why = format!("a worker cannot begin: {what} ({signal})");
                return Err(CannotAsk::Refused(why));
            }
        }
        Ok(live)
    }
}

/// The process of a worker.
struct Live {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Live {
    fn start(mut command: Command) -> io::Result<Live> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (to, from) = pipes.ok_or_else(|| io::Error::other("a worker without pipes"))?;
        Ok(Live { process, to, from: BufReader::new(from) })
    }

    fn send<Q: Serialize>(&mut self, request: &Q) -> io::Result<()> {
        let mut text = serde_json::to_vec(request).map_err(io::Error::other)?;
        text.push(b'\n');
        // A worker that is gone shows when it does not answer.
        let _ = self.to.write_all(&text);
        Ok(())
    }

    /// What it answers; `None` if it ends without.
    fn answer<A: DeserializeOwned>(&mut self) -> Result<Option<A>, CannotAsk> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.from.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            let Some(said) = line.strip_prefix(MARK.as_bytes()) else { continue };
            match serde_json::from_slice(said).map_err(io::Error::other)? {
                Said::Answer(answer) => return Ok(Some(answer)),
                Said::Refused(why) => return Err(CannotAsk::Refused(why)),
                Said::Alive if interrupted() => return Err(CannotAsk::Interrupted),
                Said::Alive => {}
            }
        }
    }

    /// How its driver killed it, or that something else ended it.
    fn death(&mut self) -> Result<Death, CannotAsk> {
        let status = self.process.wait()?;
        let death = status.signal().and_then(deadly);
        death.map(|(signal, what)| Death { signal, what }).ok_or(CannotAsk::Ended(status))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // It can only fail if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An answer to another question than the one that was asked.
pub(crate) fn nonsense(answer: &impl fmt::Debug) -> CannotAsk {
    CannotAsk::Refused(format!("a worker answers something else: {answer:?}"))
}

/// Does `work` on every item, with `jobs` workers side by side, each made by `worker` from its number, and takes each
/// result as it comes. Ends early if somebody asks for it (Ctrl-C), or if `take` does not want any more.
pub fn spread<T: Sync, W, R: Send>(
    items: &[T],
    jobs: usize,
    worker: impl Fn(usize) -> W + Sync,
    work: impl Fn(&mut W, &T) -> R + Sync,
    mut take: impl FnMut(R) -> bool,
) {
    let next = Mutex::new(items.iter());
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        for job in 0..jobs.clamp(1, items.len().max(1)) {
            let (next, worker, work, sender) = (&next, &worker, &work, sender.clone());
            scope.spawn(move || share(next, &mut worker(job), work, &sender));
        }
        drop(sender);
        for result in results {
            if !take(result) {
                // Workers see that nobody listens.
                break;
            }
        }
    });
}

/// One worker's share.
fn share<T, W, R>(
    next: &Mutex<std::slice::Iter<'_, T>>,
    worker: &mut W,
    work: &impl Fn(&mut W, &T) -> R,
    results: &Sender<R>,
) {
    while !interrupted() {
        let Some(item) = next.lock().ok().and_then(|mut next| next.next()) else { return };
        if results.send(work(worker, item)).is_err() {
            return;
        }
    }
}
