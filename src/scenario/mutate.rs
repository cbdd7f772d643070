//! Mutations of scenarios as bytes: whole steps, whole decisions, single fields.
//!
//! An engine's own mutations know nothing of [`codec`](super::codec)'s layout: a byte put in or taken out
//! shifts every step and decision behind it, so that a mutant has little in common with its parent. These keep
//! what they do not touch, so that a scenario is bettered piece by piece. An engine mixes them with its own
//! mutations, and calls [`tidy`] after those.

mod parts;
pub(crate) mod random;

use super::DECISIONS_MAX;
use super::codec::{DECISION_BYTES, HEADER_BYTES, SCENARIO_BYTES_MAX, STEP_BYTES};
use parts::Parts;
pub use parts::tidy;
use random::Random;

/// Most mutations made at once.
const MUTATIONS_MAX: u32 = 4;

/// Mutates the scenario in the first `size` bytes of `buffer`, which has room for the longest mutant that is
/// wanted, and returns the mutant's size. Equal seeds make equal mutants. The mutant is
/// whole (see [`tidy`]) unless the buffer is too small for any scenario.
pub fn mutate(buffer: &mut [u8], size: usize, seed: u64) -> usize {
    let size = tidy(buffer, size);
    if size < HEADER_BYTES {
        return size;
    }
    let mut parts = Parts::new(buffer, size);
    let mut random = Random(seed);
    for round in 1..=MUTATIONS_MAX {
        parts.mutate(&mut random);
        if round == MUTATIONS_MAX || random.below(2) == 0 {
            break;
        }
    }
    parts.size()
}

/// Crosses two scenarios into `out`, which has room for the longest child that is wanted, and returns the child's
/// size. Equal seeds make equal children. The child has the setup of one parent, steps of the first up to
/// some point and of the second from some point on, and the schedule of either. It is whole (see [`tidy`]) unless
/// `out` is too small for any scenario.
pub fn cross(first: &[u8], second: &[u8], out: &mut [u8], seed: u64) -> usize {
    let mut random = Random(seed);
    let size = first.len().min(out.len());
    out[..size].copy_from_slice(&first[..size]);
    let size = tidy(out, size);
    if size < HEADER_BYTES {
        return size;
    }
    let mut other = [0; SCENARIO_BYTES_MAX];
    let other_size = second.len().min(other.len());
    other[..other_size].copy_from_slice(&second[..other_size]);
    let other_size = tidy(&mut other, other_size);
    let mut other = Parts::new(&mut other, other_size);
    let mut child = Parts::new(out, size);
    child.cross(&mut other, &mut random);
    child.size()
}

/// How far a byte of a neighbour lies from the seed's, at the most.
const NEAR: u8 = 8;

/// Shows every scenario that is one small change of a step away from `seed`: a step left out, doubled, or swapped
/// with the next, or one byte of a step a little greater or smaller. A seed that breaks no rule is often the legal
/// twin of one that does.
pub fn each_neighbour(seed: &[u8], mut visit: impl FnMut(&[u8])) {
    let mut buffer = vec![0; SCENARIO_BYTES_MAX];
    let size = seed.len().min(buffer.len());
    let mut show = |change: &mut dyn FnMut(&mut Parts<'_>)| {
        buffer[..size].copy_from_slice(&seed[..size]);
        let size = tidy(&mut buffer, size);
        let mut parts = Parts::new(&mut buffer, size);
        change(&mut parts);
        let size = parts.size();
        visit(&buffer[..size]);
    };
    let mut steps = 0;
    show(&mut |parts| steps = parts.steps);
    for step in 0..steps {
        show(&mut |parts| parts.erase(step, 1));
        show(&mut |parts| parts.repeat(step, 1, step));
        show(&mut |parts| parts.swap(step, (step + 1) % steps));
        for byte in 0..STEP_BYTES {
            for distance in (1..=NEAR).flat_map(|near| [near, near.wrapping_neg()]) {
                show(&mut |parts| {
                    let at = parts.step_at(step) + byte;
                    parts.bytes[at] = parts.bytes[at].wrapping_add(distance);
                });
            }
        }
    }
}

impl Parts<'_> {
    /// One mutation. Scenarios neither grow nor shrink on the whole: that is the engine's to choose.
    fn mutate(&mut self, random: &mut Random) {
        match random.below(32) {
            0..6 => self.change_setup(random),
            6..12 => self.change_step(random),
            12..16 => self.insert_step(random),
            16..18 => self.repeat_steps(random),
            18..21 => self.erase_steps(random),
            21..23 => self.swap_steps(random),
            23..26 => self.insert_decisions(random),
            26..29 => self.change_decision(random),
            29..31 => self.erase_decisions(random),
            _ => self.change_policy(random),
        }
    }

    /// One byte of setup or swarm.
    fn change_setup(&mut self, random: &mut Random) {
        let setup = self.setup();
        let byte = &mut setup[random.below(setup.len())];
        *byte = random.value(*byte);
    }

    /// One byte of a step; without any, a new one.
    fn change_step(&mut self, random: &mut Random) {
        if self.steps == 0 {
            return self.insert_step(random);
        }
        let at = self.step_at(random.below(self.steps)) + random.below(STEP_BYTES);
        self.bytes[at] = random.value(self.bytes[at]);
    }

    /// A new step: random, or like one that is there but for a byte.
    fn insert_step(&mut self, random: &mut Random) {
        let mut step = random.next().to_le_bytes();
        if self.steps > 0 && random.below(2) == 0 {
            let from = self.step_at(random.below(self.steps));
            step.copy_from_slice(&self.bytes[from..from + STEP_BYTES]);
            let byte = random.below(STEP_BYTES);
            step[byte] = random.value(step[byte]);
        }
        let place = random.below(self.steps + 1);
        if self.open_steps(place, 1) {
            let at = self.step_at(place);
            self.bytes[at..at + STEP_BYTES].copy_from_slice(&step);
        }
    }

    /// A run of steps once more, somewhere else.
    fn repeat_steps(&mut self, random: &mut Random) {
        let Some((first, count)) = random.run(self.steps) else { return };
        self.repeat(first, count, random.below(self.steps + 1));
    }

    fn erase_steps(&mut self, random: &mut Random) {
        if let Some((first, count)) = random.run(self.steps) {
            self.erase(first, count);
        }
    }

    fn swap_steps(&mut self, random: &mut Random) {
        if self.steps > 1 {
            let (a, b) = (random.below(self.steps), random.below(self.steps));
            self.swap(a, b);
        }
    }

    fn insert_decisions(&mut self, random: &mut Random) {
        let room = (self.bytes.len() - self.size()) / DECISION_BYTES;
        let Some((_, count)) = random.run(room.min(DECISIONS_MAX - self.decisions)) else { return };
        let (at, end) = (self.decision_at(random.below(self.decisions + 1)), self.size());
        self.bytes.copy_within(at..end, at + count * DECISION_BYTES);
        for decision in self.bytes[at..][..count * DECISION_BYTES].chunks_mut(DECISION_BYTES) {
            decision.copy_from_slice(&[random.distance(), random.byte()]);
        }
        self.decisions += count;
    }

    /// Another policy, or the same with another number; every other time none.
    fn change_policy(&mut self, random: &mut Random) {
        match self.policy() {
            None => {
                self.set_policy(Some((random.next() as u32).to_le_bytes()));
            }
            Some(_) if random.below(2) == 0 => {
                self.set_policy(None);
            }
            Some(policy) => {
                let byte = &mut policy[random.below(policy.len())];
                *byte = random.value(*byte);
            }
        }
    }

    /// Takes over what `other` has: its setup or not, its last steps instead of one's own, its schedule or not.
    fn cross(&mut self, other: &mut Parts<'_>, random: &mut Random) {
        if random.below(4) == 0 {
            self.setup().copy_from_slice(other.setup());
        }
        if random.below(2) == 0 {
            let policy = other.policy().and_then(|policy| (&*policy).try_into().ok());
            self.set_policy(policy);
            self.take_decisions(other);
        }
        let (kept, from) = (random.below(self.steps + 1), random.below(other.steps + 1));
        self.splice(kept, other, from);
    }

    /// A departure from the calm choice comes sooner or later, or is another one.
    fn change_decision(&mut self, random: &mut Random) {
        if self.decisions > 0 {
            let at = self.decision_at(random.below(self.decisions));
            match random.below(4) {
                0 => self.bytes[at] = self.bytes[at].wrapping_add(1),
                1 => self.bytes[at] = self.bytes[at].wrapping_sub(1),
                2 => self.bytes[at] = random.distance(),
                _ => self.bytes[at + 1] = random.value(self.bytes[at + 1]),
            }
        }
    }

    fn erase_decisions(&mut self, random: &mut Random) {
        let Some((first, count)) = random.run(self.decisions) else { return };
        let end = self.size();
        self.bytes.copy_within(self.decision_at(first + count)..end, self.decision_at(first));
        self.decisions -= count;
    }
}

#[cfg(test)]
mod tests {
    use super::super::STEPS_MAX;
    use super::super::codec::VERSION;
    use super::*;
    use crate::scenario::codec::{self, SCENARIO_BYTES_MAX};
    use crate::scenario::{At, Decision, Policy, Scenario, Step, StepKind};

    #[test]
    fn a_neighbour_is_one_step_away() {
        let mut seed = Vec::new();
        let scenario = codec::decode(&[1; HEADER_BYTES + 3 * STEP_BYTES]);
        codec::encode(&scenario, &mut seed);
        let steps = codec::decode(&seed).steps.len();
        assert!(steps > 0);
        let (mut all, mut shorter, mut longer) = (0, 0, 0);
        each_neighbour(&seed, |bytes| {
            let neighbour = codec::read(bytes).expect("a whole scenario").steps.len();
            all += 1;
            shorter += usize::from(neighbour + 1 == steps);
            longer += usize::from(neighbour == steps + 1);
            assert!(neighbour.abs_diff(steps) <= 1);
        });
        // The seed itself; each step left out, doubled, swapped, and each of its bytes changed.
        assert_eq!(all, 1 + steps * (3 + STEP_BYTES * 2 * usize::from(NEAR)));
        assert_eq!((shorter, longer), (steps, steps));
    }

    #[test]
    fn every_mutant_of_any_bytes_is_a_whole_scenario() {
        let mut random = Random(1);
        let mut buffer = [0; SCENARIO_BYTES_MAX];
        for seed in 0..20_000 {
            let room = HEADER_BYTES + random.below(SCENARIO_BYTES_MAX - HEADER_BYTES + 1);
            let buffer = &mut buffer[..room];
            buffer.fill_with(|| random.byte());
            let size = random.below(room + 1);
            let size = mutate(buffer, size, seed);
            assert!(size <= room);
            codec::read(&buffer[..size]).expect("a whole scenario");
        }
    }

    #[test]
    fn a_buffer_too_small_for_a_scenario_gets_a_version() {
        for room in 1..HEADER_BYTES {
            let mut buffer = vec![7; room];
            for size in 0..=room {
                let mutant = mutate(&mut buffer, size, 3);
                assert!((1..=room).contains(&mutant) && mutant >= size);
                assert_eq!(buffer[0], VERSION);
            }
        }
        assert_eq!(mutate(&mut [], 0, 3), 0);
    }

    #[test]
    fn tidying_keeps_the_meaning_of_a_whole_scenario() {
        let mut random = Random(2);
        for _ in 0..2_000 {
            let mut bytes = [0; SCENARIO_BYTES_MAX];
            bytes.fill_with(|| random.byte());
            let size = mutate(&mut bytes, SCENARIO_BYTES_MAX, random.next());
            let scenario = codec::decode(&bytes[..size]);
            assert_eq!(tidy(&mut bytes, size), size);
            assert_eq!(codec::decode(&bytes[..size]), scenario);
        }
    }

    /// Mutates the empty scenario again and again, and asks `reached` of every mutant.
    fn within(mutants: u64, mut reached: impl FnMut(&Scenario) -> bool) -> bool {
        let mut buffer = [0; SCENARIO_BYTES_MAX];
        let mut size = tidy(&mut buffer, 0);
        (0..mutants).any(|seed| {
            size = mutate(&mut buffer, size, seed);
            reached(&codec::decode(&buffer[..size]))
        })
    }

    #[test]
    fn mutation_alone_reaches_everything() {
        for kind in StepKind::ALL {
            let has_kind = |s: &Scenario| s.steps.iter().any(|step| step.kind() == kind);
            assert!(within(2_000, has_kind), "no {kind:?} in 2,000 mutants");
        }
        assert!(within(20_000, |s| s.steps.len() == STEPS_MAX), "steps never fill a scenario");
        assert!(within(20_000, |s| s.schedule.len() > 32), "schedules stay short");
        let mut lengths = (false, false);
        assert!(within(20_000, |s| {
            lengths.0 |= s.steps.len() > 8;
            lengths.1 |= lengths.0 && s.steps.is_empty();
            lengths.1
        }));
    }

    #[test]
    fn a_mutation_leaves_most_of_a_scenario_alone() {
        let mut parent = [0; SCENARIO_BYTES_MAX];
        let mut size = tidy(&mut parent, 0);
        for seed in 0..400 {
            size = mutate(&mut parent, size, seed);
        }
        let before = codec::decode(&parent[..size]);
        assert!(before.steps.len() > 3, "the parent has steps to lose");
        let kept = (0..1_000).filter(|&seed| {
            let mut mutant = parent;
            let size = mutate(&mut mutant, size, seed);
            let after = codec::decode(&mutant[..size]);
            let kept = before.steps.iter().filter(|step| after.steps.contains(step)).count();
            2 * kept >= before.steps.len()
        });
        assert!(kept.count() > 800);
    }

    #[test]
    fn a_crossing_has_parts_of_both() {
        let parent = |step: u8, after: u8, policy: Policy| {
            let mut scenario = Scenario::default();
            scenario.setup.processors = step;
            scenario.steps = vec![Step::FailAllocation(At::default(), step); 8];
            scenario.schedule = vec![Decision { after, choice: 0 }; 5];
            scenario.policy = policy;
            let mut bytes = Vec::new();
            codec::encode(&scenario, &mut bytes);
            bytes
        };
        let first = parent(1, 10, Policy::Recorded);
        let second = parent(2, 20, Policy::Pct { seed: 7 });
        let mut buffer = [0; SCENARIO_BYTES_MAX];
        let mut both = [0; 4];
        for seed in 0..200 {
            let size = cross(&first, &second, &mut buffer, seed);
            let child = codec::read(&buffer[..size]).expect("a whole scenario");
            let of = |n: u8| {
                child.steps.iter().filter(move |s| **s == Step::FailAllocation(At::default(), n))
            };
            assert_eq!(of(1).count() + of(2).count(), child.steps.len());
            both[0] += u32::from(of(1).count() > 0 && of(2).count() > 0);
            both[1] += u32::from(child.setup.processors == 2);
            // A schedule goes with its policy.
            let recorded = child.policy == Policy::Recorded;
            assert!(child.schedule.iter().all(|d| (d.after == 10) == recorded));
            both[2] += u32::from(recorded);
            both[3] += u32::from(!recorded);
        }
        assert!(both.iter().all(|&count| count > 20), "{both:?}");
    }

    #[test]
    fn every_policy_comes_and_goes() {
        let mut seen = [false; 3];
        assert!(within(2_000, |s| {
            seen[s.policy.kind() as usize] = true;
            seen == [true; 3] && s.policy == Policy::Recorded
        }));
    }

    #[test]
    fn equal_seeds_make_equal_mutants() {
        let mutant = |seed| {
            let mut buffer = [0; SCENARIO_BYTES_MAX];
            let size = mutate(&mut buffer, 0, seed);
            buffer[..size].to_vec()
        };
        assert!((0..100).all(|seed| mutant(seed) == mutant(seed)));
        assert!((0..100).any(|seed| mutant(seed) != mutant(seed + 1)));
    }
}
