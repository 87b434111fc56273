//! One random schedule: a few machines write, meet, are imaged, restored, cloned, and lie.

use super::rule::Rule;
use super::store::Key;
use super::truth::Counts;
use super::world::{Images, Stop, World};
use crate::draw::{Draw, stream};

/// More machines than this there never are.
const MOST_MACHINES: usize = 7;
/// More images than this are not kept.
const MOST_IMAGES: usize = 6;

/// What a step can do.
#[derive(Clone, Copy, Debug)]
enum Step {
    Write,
    Meet,
    Image,
    Restore,
    Clone,
    Equivocate,
}

const STEPS: [Step; 6] = [Step::Write, Step::Meet, Step::Image, Step::Restore, Step::Clone, Step::Equivocate];

/// How large a schedule is and how often each step comes.
#[derive(Clone, Debug)]
struct Shape {
    logs: Vec<usize>,
    keys: u64,
    steps: u64,
    weights: [u32; STEPS.len()],
    /// Meetings that break off, in thousandths.
    broken: u32,
    /// Rows that are removed and not put, in thousandths.
    removals: u32,
}

impl Shape {
    fn draw(draw: &mut Draw) -> Self {
        let machines = draw.range(2, 5);
        let class = draw.below(4);
        let log = |draw: &mut Draw| match class {
            0 => usize::MAX,
            1 => 0,
            _ => [0, 1, 2, 4, 8, 16, usize::MAX][draw.index(7)],
        };
        let mut some = |share: u32, most: u64| {
            let weight = u32::try_from(draw.range(1, most)).unwrap_or(1);
            if draw.chance(share) { weight } else { 0 }
        };
        let mut weights = [some(1000, 40), some(1000, 30), 0, some(700, 6), some(600, 4), some(120, 2)];
        weights[2] = if weights[3] + weights[4] > 0 { some(1000, 8) } else { 0 };
        Self {
            logs: (0..machines).map(|_| log(draw)).collect(),
            keys: draw.range(2, 8),
            steps: draw.range(15, 70),
            weights,
            broken: if draw.chance(500) { 200 } else { 0 },
            removals: if draw.chance(800) { 250 } else { 0 },
        }
    }
}

/// Runs the schedule of a seed under a rule. What it decides does not depend on the rule.
pub fn run(seed: u64, rule: Rule, images: Images) -> Counts {
    let mut draw = Draw::new(seed, stream::FAULTS);
    let shape = Shape::draw(&mut draw);
    let mut world = World::new(rule, images, &shape.logs);
    for step in 0..shape.steps {
        let mut draw = Draw::new(seed, step);
        if let Some(at) = draw.weighted(&shape.weights) {
            act(&mut world, &shape, STEPS[at], &mut draw);
        }
    }
    world.settle();
    world.judge()
}

fn act(world: &mut World, shape: &Shape, step: Step, draw: &mut Draw) {
    let machines = world.machines.len();
    let number = draw.index(machines);
    let room = machines < MOST_MACHINES;
    match step {
        Step::Write => {
            for _ in 0..draw.magnitude(1, 4) {
                let writes = writes(shape, draw);
                world.write(number, &writes);
            }
        }
        Step::Meet => {
            let other = (number + 1 + draw.index(machines - 1)) % machines;
            world.meet(number, other, stop(shape, draw));
        }
        Step::Image if world.images.len() < MOST_IMAGES => world.image(number),
        Step::Restore if !world.images.is_empty() => world.restore(draw.index(world.images.len())),
        Step::Clone if room && !world.images.is_empty() => {
            world.clone_image(draw.index(world.images.len()));
        }
        Step::Equivocate if room => world.equivocate(number),
        Step::Image | Step::Restore | Step::Clone | Step::Equivocate => {}
    }
}

fn writes(shape: &Shape, draw: &mut Draw) -> Vec<(Key, bool)> {
    let mut writes: Vec<(Key, bool)> = Vec::new();
    for _ in 0..draw.magnitude(1, 3) {
        let key = Key::try_from(draw.below(shape.keys)).unwrap_or(0);
        if writes.iter().all(|(other, _)| *other != key) {
            writes.push((key, !draw.chance(shape.removals)));
        }
    }
    writes
}

fn stop(shape: &Shape, draw: &mut Draw) -> Stop {
    if !draw.chance(shape.broken) {
        return Stop::Never;
    }
    [Stop::Hello, Stop::Sent, Stop::Half][draw.index(3)]
}
