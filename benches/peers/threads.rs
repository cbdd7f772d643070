//! A program as threads, for Shuttle and for Loom: both have the types of the standard library, so one macro writes the
//! [`World`](super::programs::World) for either.

/// The world of a program under the crate `$peer`, and `run::<Q>`, one execution of program `Q`. `$line` is the type of
/// what stands for an interrupt that is pending.
macro_rules! world {
    ($peer:ident, $line:ty) => {
        use $peer::sync::atomic::{AtomicBool, Ordering};
        use $peer::sync::{Arc, Condvar, Mutex};
        use $peer::thread;

        use super::programs::{LOCKS_MAX, Program, Shape, World};

        /// What the threads of an execution share.
        struct Shared<Q> {
            locks: Vec<Mutex<u32>>,
            completed: Option<AtomicBool>,
            dpc: Option<(Mutex<Queue>, Condvar)>,
            line: $line,
            program: std::marker::PhantomData<fn() -> Q>,
        }

        /// What the processor of the DPC waits for.
        #[derive(Default)]
        struct Queue {
            /// The DPC is to run.
            issued: bool,
            /// Nobody will issue it any more.
            closed: bool,
        }

        /// The shared things, seen from one thread.
        struct Thread<'a, Q> {
            shared: &'a Shared<Q>,
            /// It is processor 0, and not in its interrupt routine.
            takes_interrupts: bool,
        }

        impl<Q: Program> Shared<Q> {
            fn new() -> Self {
                let has_request = matches!(Q::SHAPE, Shape::Request | Shape::Reset);
                let word = |lock| u32::from(has_request && lock == 0);
                Shared {
                    locks: (0..Q::LOCKS).map(|lock| Mutex::new(word(lock))).collect(),
                    completed: has_request.then(|| AtomicBool::new(false)),
                    dpc: Q::HAS_DPC.then(|| (Mutex::new(Queue::default()), Condvar::new())),
                    line: <$line>::new(false),
                    program: std::marker::PhantomData,
                }
            }

            fn thread(&self, number: usize) {
                let takes_interrupts = Q::SHAPE == Shape::Interrupts && number == 0;
                let thread = Thread { shared: self, takes_interrupts };
                Q::thread(&thread, number);
            }

            fn tell_dpc(&self, tell: fn(&mut Queue)) {
                if let Some((queue, changed)) = &self.dpc {
                    tell(&mut queue.lock().unwrap());
                    changed.notify_one();
                }
            }

            /// The processor of the DPC.
            fn run_dpc(&self) {
                let Some((queue, changed)) = &self.dpc else { return };
                loop {
                    let mut state = queue.lock().unwrap();
                    while !state.issued && !state.closed {
                        state = changed.wait(state).unwrap();
                    }
                    if !std::mem::take(&mut state.issued) {
                        return;
                    }
                    drop(state);
                    Q::dpc(&Thread { shared: self, takes_interrupts: false });
                }
            }
        }

        impl<Q: Program> Thread<'_, Q> {
            /// Takes an interrupt, as a processor does between two instructions.
            fn look(&self) {
                if self.takes_interrupts && self.shared.line.swap(false, Ordering::SeqCst) {
                    Q::interrupt(&Thread { shared: self.shared, takes_interrupts: false }, 0);
                }
            }
        }

        impl<Q: Program> World for Thread<'_, Q> {
            fn locked<R>(&self, lock: usize, body: impl FnOnce(&mut u32) -> R) -> R {
                let mut word = self.shared.locks[lock].lock().unwrap();
                self.look();
                let result = body(&mut word);
                drop(word);
                self.look();
                result
            }

            fn complete(&self) {
                let completed = self.shared.completed.as_ref().expect("a request");
                assert!(!completed.swap(true, Ordering::SeqCst), "completed twice");
            }

            fn issue(&self) {
                self.shared.tell_dpc(|queue| queue.issued = true);
            }

            fn interrupt(&self, message: usize) {
                if Q::SHAPE == Shape::Messages {
                    self.locked(message, |_| Q::interrupt(self, message));
                } else {
                    self.shared.line.store(true, Ordering::SeqCst);
                }
            }
        }

        /// One execution. The caller's thread is the program's first: a thread fewer to make.
        pub(crate) fn run<Q: Program>() {
            let shared = Arc::new(Shared::<Q>::new());
            let spawn = |act: fn(&Shared<Q>, usize), number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || act(&shared, number))
            };
            let dpc = Q::HAS_DPC.then(|| spawn(|shared, _| shared.run_dpc(), 0));
            let threads: Vec<_> = (1..Q::THREADS).map(|n| spawn(Shared::thread, n)).collect();
            shared.thread(0);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            if let Some(dpc) = dpc {
                shared.tell_dpc(|queue| queue.closed = true);
                dpc.join().unwrap();
            }
            if let Some(right) = Q::FINALLY {
                let mut words = [0; LOCKS_MAX];
                for (word, lock) in words.iter_mut().zip(&shared.locks) {
                    *word = *lock.lock().unwrap();
                }
                assert!(right(&words), "{}", Q::NAME);
            }
        }
    };
}

pub(crate) use world;
