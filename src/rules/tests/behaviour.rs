//! What the checker does whatever the rule: deduplication, ids, muting, crash dumps, reset, totality.

use crate::event::{
    Cause, Event, Flow, Handle, Kind, Lock, LockApi, LockMisuse, Owner, Routine, Site,
};
use crate::rules::trace::Trace;
use crate::rules::{Checker, FINDINGS_MAX, RuleId, RuleSet, Severity};
use crate::storport::{Ddi, Irql, SrbStatus};

#[test]
fn one_line_that_never_changes_shape() {
    let mut t = Trace::new();
    t.enter(Routine::Dpc).synchronize().acquire(Lock::Dpc(0));
    let line = t.findings()[0].to_string();
    let head = "lockstorm: VIOLATION lock.order error: A Dpc or StartIo lock is requested while an \
                Interrupt or message lock is held [HwStorDpcRoutine > SynchronizedAccessRoutine] at ";
    assert!(line.starts_with(head), "{line}");
    assert!(line[head.len()..].contains("behaviour.rs:"), "{line}");
}

#[test]
fn a_bug_is_found_once_and_has_one_id_whichever_lock_of_its_kind_it_hits() {
    let mut t = Trace::new();
    for dpc in 0..8 {
        t.enter(Routine::Timer).acquire(Lock::Dpc(dpc)).release(Lock::Dpc(dpc)).leave();
    }
    assert_eq!(t.findings().len(), 1, "one line of one routine: {:?}", t.findings());
    t.enter(Routine::ResetBus).acquire(Lock::Dpc(0)).release(Lock::Dpc(0)).leave();
    assert_eq!(t.findings().len(), 2, "another routine");
    assert_ne!(t.findings()[0].id(), t.findings()[1].id());
}

#[test]
fn an_id_does_not_depend_on_what_was_interrupted() {
    let id = |outer: Option<Routine>| {
        let mut t = Trace::new();
        outer.map(|routine| t.enter(routine));
        t.enter_about(Routine::MessageInterrupt, 0).acquire(Lock::StartIo);
        t.findings()[0].id()
    };
    assert_eq!(id(None), id(Some(Routine::Dpc)));
    assert_eq!(id(None), id(Some(Routine::BuildIo)));
}

#[test]
fn an_error_ends_the_run_and_a_warning_does_not() {
    let mut t = Trace::new();
    t.enter(Routine::Timer).acquire(Lock::Dpc(0)).release(Lock::Dpc(0));
    assert!(!t.is_stopped());
    t.wait_for(Lock::StartIo);
    assert!(t.is_stopped());
    let found = t.findings().len();
    t.port(Kind::Crashed { cause: Cause::AccessViolation }).port(Kind::Hung);
    assert_eq!(t.findings().len(), found, "what follows an error is not judged");
}

#[test]
fn what_is_muted_is_passed_over_until_it_is_not() {
    let mut muted = RuleSet::NONE;
    muted.insert(RuleId::LockForbidden);
    let mut t = Trace::new();
    t.checker.mute(muted);
    t.enter(Routine::PassiveInitialize).acquire(Lock::StartIo).release(Lock::StartIo).leave();
    assert!(t.findings().is_empty() && !t.is_stopped());
    t.checker.reset();
    t.enter(Routine::PassiveInitialize).acquire(Lock::StartIo).release(Lock::StartIo).leave();
    assert!(t.findings().is_empty(), "a reset keeps it");
    t.checker.mute(RuleSet::NONE);
    t.enter(Routine::PassiveInitialize).acquire(Lock::StartIo);
    assert_eq!(t.findings()[0].rule, RuleId::LockForbidden);
}

#[test]
fn in_a_crash_dump_locks_levels_and_time_do_not_count() {
    let mut t = Trace::new();
    t.raise(Irql::HIGH).enter(Routine::FindAdapter).call(Ddi::RegistryRead).leave();
    t.configure(|a| a.dump = true);
    t.enter(Routine::StartIo).acquire(Lock::StartIo).acquire(Lock::Dpc(0)).wait_for(Lock::Dpc(0));
    t.call_with(Ddi::StallExecution, 500, 0).call(Ddi::AllocatePool).release(Lock::Dpc(5));
    t.tell(Kind::ExecutiveUninitialized { lock: 0 });
    let misuse = LockMisuse::NotPerMessage;
    t.tell(Kind::LockMisused { api: LockApi::Msi, release: false, misuse }).leave();
    t.port(Kind::AdapterStopped { surprise: false }).port(Kind::Finished);
    assert!(t.findings().is_empty(), "{:?}", t.findings());
    t.enter(Routine::Interrupt).complete(Owner::Port, SrbStatus::SUCCESS, false);
    assert_eq!(t.findings()[0].rule, RuleId::RequestCompletedTwice, "requests do");
}

#[test]
fn more_warnings_than_fit_leave_room_for_the_error() {
    let mut checker = Checker::new();
    let mut flow = Flow::Continue;
    for offset in 0..2 * FINDINGS_MAX as u32 {
        flow = checker
            .record(&event(Site::Image(offset), Kind::ContextIgnored { api: LockApi::Spin }));
    }
    assert_eq!(flow, Flow::Continue);
    assert_eq!(checker.findings().len(), FINDINGS_MAX);
    assert_eq!(
        checker.record(&event(Site::Port, Kind::Crashed { cause: Cause::AccessViolation })),
        Flow::Stop
    );
    let last = checker.findings().last().map(|f| (f.rule, f.severity));
    assert_eq!(last, Some((RuleId::DriverCrashed, Severity::Error)));
}

#[test]
fn after_a_reset_nothing_of_the_last_run_is_left() {
    let run = |checker: &mut Checker| {
        let mut t = Trace::new();
        std::mem::swap(&mut t.checker, checker);
        t.on(2).enter(Routine::BuildIo).acquire(Lock::Executive(3)).acquire(Lock::Dpc(7));
        t.release(Lock::Dpc(7)).release(Lock::Executive(3)).leave();
        t.on(3).enter(Routine::BuildIo).acquire(Lock::Dpc(7)).acquire(Lock::Executive(3));
        let ids: Vec<_> = t.findings().iter().map(|finding| finding.id()).collect();
        std::mem::swap(&mut t.checker, checker);
        ids
    };
    let mut checker = Checker::new();
    let first = run(&mut checker);
    assert_eq!(first.len(), 1, "a cycle");
    checker.reset();
    assert!(checker.findings().is_empty() && checker.held(3).is_empty());
    assert_eq!(run(&mut checker), first);
    // Half of it is no cycle when the other half was in the last run.
    checker.reset();
    let mut t = Trace::new();
    std::mem::swap(&mut t.checker, &mut checker);
    t.enter(Routine::BuildIo).acquire(Lock::Dpc(7)).acquire(Lock::Executive(3));
    assert!(t.findings().is_empty());
}

fn event(site: Site, kind: Kind) -> Event {
    Event { time: 0, site, kind, processor: 0, irql: Irql::PASSIVE, depth: 0 }
}

/// A small generator of numbers, the same on every host.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn lock(&mut self) -> Lock {
        let number = self.below(256) as u8;
        match self.below(5) {
            0 => Lock::StartIo,
            1 => Lock::Interrupt,
            2 => Lock::Message(number),
            3 => Lock::Dpc(number),
            _ => Lock::Executive(number),
        }
    }

    fn kind(&mut self) -> Kind {
        let apis = [LockApi::Port, LockApi::Spin, LockApi::Msi, LockApi::Ke, LockApi::Synchronize];
        let api = apis[self.below(5) as usize];
        let irql = Irql(self.below(256) as u8);
        let routine = Routine::ALL[self.below(17) as usize];
        let lock = self.lock();
        match self.below(10) {
            0..3 => Kind::LockAcquired { lock, api, irql, contended: self.below(2) == 0 },
            3..5 => Kind::LockReleased {
                lock,
                api,
                holder: Some(self.below(256) as u8).filter(|p| p % 3 != 0),
                handle: [Handle::Same, Handle::Copied, Handle::Stale][self.below(3) as usize],
                irql,
                saved: irql,
                held_ns: self.below(40_000) as u32,
            },
            5..7 => Kind::Entered { routine, subject: self.below(65_536) as u16 },
            7 => Kind::Left { routine, result: 0, busy_ns: self.below(1 << 32) as u32 },
            8 => Kind::LockWaited { lock, api, holder: self.below(256) as u8 },
            _ => Kind::IrqlSet { irql, raise: self.below(2) == 0 },
        }
    }
}

/// Events recorded elsewhere may make no sense; whatever they say, the checker comes back with an answer.
#[test]
fn no_stream_of_events_confuses_the_checker() {
    let mut numbers = Numbers(1);
    let mut checker = Checker::new();
    let mut all = RuleSet::NONE;
    RuleId::ALL.iter().for_each(|&rule| all.insert(rule));
    for round in 0..400 {
        checker.reset();
        // With everything muted, the state has to bear what an error would have ended.
        checker.mute(if round % 2 == 0 { all } else { RuleSet::NONE });
        for _ in 0..500 {
            let processor = numbers.below(256) as u8;
            let irql = Irql(numbers.below(256) as u8);
            let (kind, depth) = (numbers.kind(), numbers.below(256) as u8);
            let site = Site::Image(numbers.below(64) as u32);
            let event = Event { time: 0, site, kind, processor, irql, depth };
            if checker.record(&event) == Flow::Stop {
                break;
            }
        }
        assert!(round % 2 == 1 || checker.findings().is_empty());
    }
}

/// A DPC that is initialised again, first idle and then queued, by one line of a driver.
#[test]
fn a_warning_that_becomes_an_error_is_found_once() {
    let mut t = Trace::new();
    t.enter(Routine::PassiveInitialize).tell(initialized(false)).leave();
    t.enter(Routine::PassiveInitialize);
    for queued in [false, true] {
        t.tell(initialized(queued));
    }
    let found: Vec<_> = t.findings().iter().map(|f| (f.rule, f.severity)).collect();
    assert_eq!(found, [(RuleId::DpcInitializedTwice, Severity::Error)]);
    assert!(t.is_stopped());
}

fn initialized(queued: bool) -> Kind {
    Kind::DpcInitialized { dpc: 0, again: true, queued }
}
