//! A worker as its parent sees it: a process, its leash, and what comes out of its two pipes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;

use super::exchange;
use super::message::Message;
use super::recorder::{Place, Remains};
use super::signals;

/// What comes from worker `0`: see the second field.
#[derive(Debug)]
pub(super) struct News(pub(super) usize, pub(super) What);

/// One thing that came from a worker.
#[derive(Debug)]
pub(super) enum What {
    /// It said something.
    Message(Message),
    /// libFuzzer's view of its corpus.
    Corpus(Corpus),
    /// Its pipe closed: the process has ended, or is about to.
    Closed,
}

/// What libFuzzer knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Corpus {
    /// Features of lock-state coverage that some input reached.
    pub features: u64,
    /// Inputs that are kept for them.
    pub inputs: u64,
}

/// A running worker.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    leash: Option<ChildStdin>,
}

impl Child {
    /// Starts worker number `index` by `command`; its chatter goes to `log`, if that can be made: it is only for curiosity.
    pub(super) fn start(
        index: usize,
        mut command: Command,
        log: &Path,
        news: &Sender<News>,
    ) -> io::Result<Child> {
        let open = |path: &Path| File::options().append(true).create(true).open(path);
        let log = open(log).or_else(|_| open(Path::new("/dev/null")))?;
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = pipes.spawn()?;
        let leash = process.stdin.take();
        if let (Some(out), Some(chatter)) = (process.stdout.take(), process.stderr.take()) {
            let sender = news.clone();
            std::thread::spawn(move || forward(index, out, &sender));
            let sender = news.clone();
            std::thread::spawn(move || keep(index, chatter, log, &sender));
        }
        Ok(Child { process, leash })
    }

    /// Gives a caged worker an input. One that is dying needs none.
    pub(super) fn give(&mut self, input: &[u8]) {
        if let Some(leash) = &mut self.leash {
            let _ = exchange::send(leash, input);
        }
    }

    /// Asks it to end between two runs.
    pub(super) fn release(&mut self) {
        self.leash = None;
    }

    /// Ends it now.
    pub(super) fn kill(&mut self) {
        // It can only fail if the process has ended, which is what is wanted.
        let _ = self.process.kill();
    }

    /// How it ended; waits until it has.
    pub(super) fn end(mut self) -> io::Result<ExitStatus> {
        self.leash = None;
        self.process.wait()
    }
}

/// Passes on what a worker says, to the end of its pipe.
fn forward(index: usize, out: impl Read, news: &Sender<News>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        // What is no message is something that a driver printed.
        if let Ok(message) = serde_json::from_str(&line)
            && news.send(News(index, What::Message(message))).is_err()
        {
            return;
        }
    }
    // The receiver is gone only when the campaign is.
    let _ = news.send(News(index, What::Closed));
}

/// Keeps a worker's chatter in its log, as far as there is room, and reads libFuzzer's numbers out of it.
fn keep(index: usize, chatter: impl Read, mut log: File, news: &Sender<News>) {
    /// Enough for days of libFuzzer's status lines.
    const LOG_BYTES_MAX: usize = 16 << 20;
    let mut room = LOG_BYTES_MAX;
    for line in BufReader::new(chatter).split(b'\n').map_while(Result::ok) {
        if let Some(left) = room.checked_sub(line.len() + 1) {
            room = left;
            // A full disk must not end the campaign.
            let _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
        }
        if let Some(corpus) = status(&String::from_utf8_lossy(&line))
            && news.send(News(index, What::Corpus(corpus))).is_err()
        {
            return;
        }
    }
}

/// Reads a status line of libFuzzer's: `#1024  NEW    ft: 33 corp: 7/12b lim: 4 exec/s: 0 rss: 30Mb`.
fn status(line: &str) -> Option<Corpus> {
    line.strip_prefix('#')?;
    let number = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    Some(Corpus { features: number(" ft: ")?, inputs: number(" corp: ")? })
}

/// How a worker ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// The driver broke the process: the line that tells it, and the input that did.
    OfDriver { signal: &'static str, line: String, input: Vec<u8> },
    /// Something else ended it.
    Other(String),
}

/// Why a worker ended that was not told to.
pub(super) fn death(status: ExitStatus, place: &Place) -> (Death, Option<Remains>) {
    let remains = place.remains();
    let input = remains.as_ref().and_then(|remains| remains.input.clone());
    let death = match (status.signal().and_then(signals::deadly), input) {
        (Some((signal, what)), Some(input)) => {
            Death::OfDriver { signal, line: signals::death_line(signal, what), input }
        }
        (Some((signal, _)), None) => Death::Other(format!("died by {signal} outside any run")),
        (None, _) => Death::Other(format!("ended by itself ({status})")),
    };
    (death, remains)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::recorder::Recorder;

    #[test]
    fn reads_libfuzzers_status_lines_and_nothing_else() {
        let line =
            "#1024\tNEW    ft: 33 corp: 7/12b lim: 4 exec/s: 0 rss: 30Mb L: 2/3 MS: 1 Custom-";
        assert_eq!(status(line), Some(Corpus { features: 33, inputs: 7 }));
        assert_eq!(
            status("#2\tpulse  cov: 5 ft: 9 corp: 1/1b"),
            Some(Corpus { features: 9, inputs: 1 })
        );
        assert_eq!(status("#0\tREAD units: 1"), None);
        assert_eq!(status("INFO: ft: 3 corp: 4"), None);
    }

    #[test]
    fn only_a_signal_of_the_drivers_making_is_the_drivers_fault() {
        let mut place = Place::new(&std::env::temp_dir(), 4713);
        place.prepare().unwrap();
        let recorder = Recorder::create(place.path()).unwrap();
        recorder.begin(&[1, 2]);
        let killed = ExitStatus::from_raw(libc::SIGKILL);
        assert!(matches!(death(killed, &place).0, Death::Other(_)));
        let faulted = ExitStatus::from_raw(libc::SIGSEGV);
        assert!(matches!(
            death(faulted, &place).0,
            Death::OfDriver { signal: "SIGSEGV", ref input, .. } if *input == [1, 2]
        ));
        recorder.end();
        assert!(matches!(death(faulted, &place).0, Death::Other(_)));
    }
}
