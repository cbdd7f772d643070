//! lockstorm against Shuttle and Loom on the same lock programs: schedules a second, and executions and seconds until
//! the mistake is found.
//!
//! `cargo bench --bench peers` (minutes) prints every contestant on every program, and the table of the README last.
//! `LOCKSTORM_PEERS_SEEDS` hunts instead of 30, each of at most `LOCKSTORM_PEERS_EXECUTIONS` executions instead of
//! 20,000; `LOCKSTORM_PEERS_ONLY` names one program.
//!
//! What makes the comparison fair:
//!
//! - Each program is written once ([`programs`]): the same text, with the same critical sections and rounds, is a
//!   miniport core for lockstorm, and a test with threads for Shuttle and Loom. Both sides have a decision point at
//!   each acquire and each release. What a peer cannot express is said below the program, with what stands for it.
//! - Time is CPU time of one process from the first execution until the mistake shows; what comes before (compiling a
//!   harness, making stacks) is nobody's. Each contestant has a process to itself, for all of its hunts. Those that
//!   find the mistake take three turns, all one after another, and of each the fastest counts: what else the machine has
//!   to do hits nobody alone.
//! - lockstorm's first row is what `lockstorm explore --random` does, with nothing set; the others are its single
//!   policies. It starts each hunt anew, and learns the program's calm course in it. A mistake counts when a rule is broken, which can
//!   be earlier than the hang: a lock-order cycle is an error in a run that did not deadlock. A program
//!   whose mistake no rule knows (the lost update) checks its own words at the end, on both sides.
//! - Shuttle runs as a user sets it up who wants it fast (`with_shuttle`), by each of its schedulers; it is
//!   compared by the best of them on that program, chosen afterwards. Loom and DFS have no seed, so there is one hunt.

mod core;
mod hunt;
mod programs;
mod report;
mod threads;
mod with_lockstorm;
mod with_loom;
mod with_shuttle;

use std::process::{Command, Stdio};

use hunt::Hunt;
use lockstorm::scenario::PolicyKind;
use programs::Program;
use report::Row;
use with_lockstorm::Prey;
use with_shuttle::Way;

const SEEDS: u64 = 30;
const EXECUTIONS: u64 = 20_000;
/// How often those that find the mistake hunt.
const TURNS: usize = 3;

/// Who hunts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contestant {
    /// By one policy, or as it does without being told.
    Lockstorm(Option<PolicyKind>),
    Shuttle(Way),
    Loom,
}

impl Contestant {
    fn all() -> impl Iterator<Item = Contestant> {
        let policies = [None].into_iter().chain(PolicyKind::ALL.map(Some));
        let ours = policies.map(Contestant::Lockstorm);
        ours.chain(Way::ALL.map(Contestant::Shuttle)).chain([Contestant::Loom])
    }

    fn name(self) -> String {
        match self {
            Contestant::Lockstorm(None) => "lockstorm".to_owned(),
            Contestant::Lockstorm(Some(kind)) => format!("lockstorm, {} only", kind.name()),
            Contestant::Shuttle(way) => way.name().to_owned(),
            Contestant::Loom => format!("Loom, {} preemptions", with_loom::PREEMPTIONS),
        }
    }

    /// Whether a seed makes a difference.
    fn is_random(self) -> bool {
        match self {
            Contestant::Lockstorm(_) => true,
            Contestant::Shuttle(way) => way.is_random(),
            Contestant::Loom => false,
        }
    }
}

/// A program, its type forgotten.
struct Entry {
    name: &'static str,
    depth: u8,
    stands_for: &'static str,
    hunt_all: fn(Contestant, Vec<u64>, u64),
}

impl Entry {
    const fn of<Q: Program>() -> Entry {
        let (name, depth, stands_for) = (Q::NAME, Q::DEPTH, Q::STANDS_FOR);
        Entry { name, depth, stands_for, hunt_all: hunt_all::<Q> }
    }
}

const PROGRAMS: [Entry; 8] = [
    Entry::of::<programs::LostUpdate>(),
    Entry::of::<programs::Abba>(),
    Entry::of::<programs::AbbaOfThree>(),
    Entry::of::<programs::InterruptSelfDeadlock>(),
    Entry::of::<programs::MissedWakeUp>(),
    Entry::of::<programs::MessageInversion>(),
    Entry::of::<programs::DoubleCompletion>(),
    Entry::of::<programs::ResetRace>(),
];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--child") {
        Some(at) => child(&arguments[at + 1..]),
        None => parent(),
    }
}

/// All hunts of one contestant for one program: a line each.
fn child(arguments: &[String]) {
    let [program, contestant] = arguments else { panic!("program, contestant: {arguments:?}") };
    let program = PROGRAMS.iter().find(|known| known.name == program).expect("a program");
    let contestant = Contestant::all().find(|known| known.name() == *contestant);
    let contestant = contestant.expect("a contestant");
    let seeds = if contestant.is_random() { setting("LOCKSTORM_PEERS_SEEDS", SEEDS) } else { 1 };
    let executions = setting("LOCKSTORM_PEERS_EXECUTIONS", EXECUTIONS);
    (program.hunt_all)(contestant, (1..=seeds).collect(), executions);
}

fn hunt_all<Q: Program>(contestant: Contestant, seeds: Vec<u64>, executions: u64) {
    match contestant {
        Contestant::Lockstorm(kind) => {
            hunt::note_panics();
            let mut prey = Prey::new::<Q>();
            for seed in seeds {
                let hunt = prey.hunt(kind, seed, executions);
                hunt.print(if hunt.found { prey.rule() } else { "" });
            }
        }
        Contestant::Shuttle(way) => {
            // Shuttle puts a panic hook of its own before the first hunt.
            with_shuttle::hunt::<Q>(way, 0, 1);
            hunt::note_panics();
            for seed in seeds {
                with_shuttle::hunt::<Q>(way, seed, executions).print("");
            }
        }
        Contestant::Loom => with_loom::hunt::<Q>(executions).print(""),
    }
}

fn parent() {
    let only = std::env::var("LOCKSTORM_PEERS_ONLY").ok();
    let executions = setting("LOCKSTORM_PEERS_EXECUTIONS", EXECUTIONS);
    let mut rows = Vec::new();
    for program in &PROGRAMS {
        if only.as_deref().is_some_and(|only| only != program.name) {
            continue;
        }
        println!("{} (depth {})", program.name, program.depth);
        report::head();
        let mut results: Vec<_> = Contestant::all().map(|one| (one, run(program, one))).collect();
        for _ in 1..TURNS {
            for (contestant, row) in results.iter_mut().filter(|(_, row)| row.is_found()) {
                row.keep_faster(run(program, *contestant));
            }
        }
        for (contestant, row) in &results {
            row.print(&contestant.name(), executions);
        }
        if !program.stands_for.is_empty() {
            println!("  {}", program.stands_for);
        }
        println!();
        rows.push((program, results));
    }
    report::table(&rows, executions);
}

/// Lets a contestant hunt, in a process of its own: Shuttle writes of failures what nobody reads here, and Loom does
/// not survive every one.
fn run(program: &Entry, contestant: Contestant) -> Row {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--child", program.name, &contestant.name()])
        .stderr(Stdio::null())
        .output()
        .expect("a child");
    let text = String::from_utf8_lossy(&output.stdout);
    let hunts: Vec<_> = text.lines().filter_map(Hunt::read).collect();
    assert!(!hunts.is_empty(), "{} on {}: {:?}", contestant.name(), program.name, output.status);
    Row::new(hunts)
}
