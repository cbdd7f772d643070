//! One schedule of each class of equivalent ones.
//!
//! Schedules are followed in the model; one is run only where the model does not know what it would do. Two sets of
//! states keep equivalent schedules from being followed twice: from a *settled* state the calm course is known to its end; a
//! *branched* one was departed from before, with no more departures than now (Musuvathi and Qadeer, "Partial-Order
//! Reduction for Context-Bounded State Exploration",
//! <https://www.microsoft.com/en-us/research/publication/partial-order-reduction-for-context-bounded-state-exploration/>).

use std::rc::Rc;

use super::history::Set;
use super::model::{Model, Unknown};
use super::node::Node;
use super::world::{Choice, How, Options, Stop, World};
use super::{Ended, Explorer, Outcome, Subject};

/// A schedule, and the state in which its last departure is chosen.
struct Branch {
    node: Node,
    world: Rc<World>,
    /// `None` for the schedule without departures.
    choice: Option<Choice>,
}

impl Branch {
    fn root() -> Branch {
        Branch { node: Node::root(), world: Rc::new(World::new()), choice: None }
    }

    /// The one of a schedule that is known. Schedules wait for their turn without their states, which take much more
    /// memory.
    fn reached(model: &Model, node: Node, processors: u8) -> Result<Branch, Unknown> {
        let mut branch = Branch::root();
        for decision in &node.schedule {
            let (mut left, mut place) = (decision.after, None);
            follow(model, &branch, processors, |world, options| {
                if left == 0 {
                    // Where there is nothing to choose, a decision changes nothing.
                    let calm = Choice::Here(How::Calmly);
                    place = Some((world.clone(), options.choice(decision.choice).unwrap_or(calm)));
                    return false;
                }
                left -= 1;
                true
            })?;
            let (world, choice) = place.ok_or(Unknown)?;
            branch = Branch { world: Rc::new(world), choice: Some(choice), ..branch };
        }
        Ok(Branch { node, ..branch })
    }

    /// The state after its last departure was chosen, and how it goes on.
    fn start(&self) -> (World, How) {
        let mut world = (*self.world).clone();
        let how = match self.choice {
            None => How::Nobody,
            Some(Choice::Here(how)) => how,
            Some(Choice::Switch(processor)) => {
                world.switch_to(processor);
                How::Calmly
            }
        };
        (world, how)
    }
}

/// What the reduction remembers.
pub(super) struct Memo {
    model: Model,
    settled: Set,
    branched: Set,
}

impl Memo {
    pub(super) fn new(model: Model) -> Memo {
        Memo { model, settled: Set::default(), branched: Set::default() }
    }

    /// Whether something did not do what it is known to do.
    pub(super) const fn is_surprised(&self) -> bool {
        self.model.surprises > 0
    }
}

impl<S: Subject> Explorer<'_, S> {
    /// Covers every schedule, those with the fewest departures first.
    pub(super) fn classes(&mut self, memo: &mut Memo) -> Ended<()> {
        self.settle(memo, &Branch::root())?;
        let mut level = vec![Node::root()];
        for departures in 1..=self.bound.departures {
            self.departures = departures;
            let is_last = departures == self.bound.departures;
            let mut next = Vec::new();
            for node in level {
                for child in self.children(memo, node) {
                    self.settle(memo, &child)?;
                    if !is_last {
                        next.push(child.node);
                    }
                }
            }
            level = next;
        }
        Ok(())
    }

    /// Sees to it that it is known how a schedule ends: follows it, or runs it.
    fn settle(&mut self, memo: &mut Memo, branch: &Branch) -> Ended<()> {
        let processors = self.processors();
        if follow_to_known(memo, branch, processors).is_ok() {
            return self.count_equivalent();
        }
        let schedule = &branch.node.schedule;
        self.run(schedule, |sight| {
            memo.model.learn_rest(sight, branch.start(), branch.node.next, processors);
        })?;
        let is_lost = follow_to_known(memo, branch, processors).is_err();
        memo.model.surprises += u64::from(is_lost);
        if memo.is_surprised() { Err(Outcome::Spent) } else { Ok(()) }
    }

    /// A schedule needs no run. Following one takes time, too, so that there is an end of it.
    fn count_equivalent(&mut self) -> Ended<()> {
        const FOLLOWED_MAX: u64 = 64;
        self.tally.equivalent += 1;
        if self.tally.equivalent / FOLLOWED_MAX >= self.bound.schedules {
            return Err(Outcome::Spent);
        }
        Ok(())
    }

    /// The schedules with one more departure than this one, as far as its states were not branched from before.
    fn children(&mut self, memo: &mut Memo, node: Node) -> Vec<Branch> {
        let processors = self.processors();
        let Ok(branch) = Branch::reached(&memo.model, node, processors) else {
            memo.model.surprises += 1;
            return Vec::new();
        };
        let mut options = Vec::new();
        let mut children = Vec::new();
        let Memo { model, branched, .. } = memo;
        let tally = &mut self.tally;
        let visit = |world: &World, here: Options| {
            let at = branch.node.next + options.len();
            options.push(here.count());
            if !branched.insert(world.state()) {
                tally.known_states += 1;
                return false;
            }
            let world = (here.count() > 0).then(|| Rc::new(world.clone()));
            for number in 0..here.count() {
                let is_idle = |point: usize| options[point - branch.node.next] == 0;
                let node = branch.node.child(at, number, is_idle);
                tally.out_of_reach += u64::from(node.is_none());
                if let (Some(node), Some(world)) = (node, &world) {
                    let (world, choice) = (Rc::clone(world), here.choice(number));
                    children.push(Branch { node, world, choice });
                }
            }
            true
        };
        let known = follow(model, &branch, processors, visit);
        model.surprises += u64::from(known.is_err());
        children
    }
}

/// Follows a schedule to its end, or to a state from which that is known.
fn follow_to_known(memo: &mut Memo, branch: &Branch, processors: u8) -> Result<(), Unknown> {
    let mut states = Vec::new();
    follow(&memo.model, branch, processors, |world, _| {
        let state = world.state();
        states.push(state);
        !memo.settled.contains(&state)
    })?;
    memo.settled.extend(states);
    Ok(())
}

/// Follows a schedule from its last departure on, and visits every point as long as the visitor says so.
fn follow(
    model: &Model,
    branch: &Branch,
    processors: u8,
    mut visit: impl FnMut(&World, Options) -> bool,
) -> Result<(), Unknown> {
    let (mut world, mut how) = branch.start();
    loop {
        if world.running.is_none() && how != How::Nobody {
            world.running = model.pick(&world, processors)?;
            if world.running.is_none() {
                how = How::Nobody;
            }
        }
        let stop = model.follow(&mut world, how)?;
        how = How::Calmly;
        match stop {
            Stop::End => return Ok(()),
            Stop::Waiting(_) if model.is_end(&world) => return Ok(()),
            Stop::Waiting(_) | Stop::Idle => {}
            Stop::Point => {
                let options = model.options(&world, processors)?;
                let over = world.quantum_is_over();
                if !visit(&world, options) {
                    return Ok(());
                }
                if over && let Some(other) = world.first_preempted(options.processors) {
                    world.switch_to(other);
                }
            }
        }
    }
}
