//! The end of every schedule: the faults are over, everybody is up and connected somehow. All must come to hold the same
//! data within a bounded time, with nothing lost, and then fall silent.

use crate::counters::Sometimes;
use crate::oracle::{Vector, Violation, broken};
use crate::world::World;

/// Rounds of anti-entropy within which everybody must agree.
const ROUNDS: u64 = 20;
/// Time on top, in microseconds: a bulk whose other side forgot it is given up after 30 seconds.
const PATIENCE_US: u64 = 35_000_000;

impl World {
    /// Runs the calm phase and makes the last checks.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        self.calm()?;
        let edges = self.topology();
        let round = self.faults.anti_entropy_ms * 1000;
        let slice = (round / 4).max(20_000);
        let deadline = self.now + round * ROUNDS + PATIENCE_US;
        self.redial(&edges);
        loop {
            if self.agreed()? {
                // Word of the agreement itself, and late gossip, may still travel.
                self.run_until(self.now + 3 * round + PATIENCE_US)?;
                if self.agreed()? {
                    break;
                }
            }
            if self.now > deadline {
                if self.hostile {
                    return self.check_everybody();
                }
                return broken("I9", self.disagreement());
            }
            self.redial(&edges);
            self.run_until(self.now + slice)?;
        }
        let sent = self.sent;
        self.run_until(self.now + 8 * round)?;
        if self.sent != sent && !self.hostile {
            return broken("I9", format!("{} frames although all agree", self.sent - sent));
        }
        if !self.agreed()? && !self.hostile {
            return broken("I9", "agreement did not last");
        }
        self.check_everybody()?;
        self.check_losses()?;
        self.check_forks()
    }

    /// Where dots mean two things, payloads say what is owed.
    fn check_forks(&mut self) -> Result<(), Violation> {
        if self.hostile || self.oracle.exact {
            return Ok(());
        }
        for number in 0..self.machines.len() {
            self.note_kept(number)?;
        }
        let live: Vec<u64> = self.machines[0].numbers()?.into_values().flatten().collect();
        let kept = self.oracle.ledger.judge(&live)?;
        self.counters.add(Sometimes::ForkKept, kept);
        Ok(())
    }

    /// No more faults; everybody is up.
    fn calm(&mut self) -> Result<(), Violation> {
        self.settling = true;
        let faults = &mut self.faults;
        faults.gossip_loss = 0;
        faults.gossip_double = 0;
        faults.gossip_late = 0;
        faults.gossip_damage = 0;
        faults.commit_failure = 0;
        let damaged = core::mem::take(&mut faults.frame_damage) + core::mem::take(&mut faults.chunk_damage);
        self.network.latency.slow_per_mille = 0;
        self.network.latency.usual_us = self.network.latency.usual_us.min(20_000);
        self.heal();
        if damaged > 0 || self.draw.chance(300) {
            let open: Vec<usize> = self.network.open_streams().map(|(stream, _)| stream).collect();
            for stream in open {
                self.network.cut(stream, self.now, &mut self.draw, &mut self.queue);
            }
        }
        for number in 0..self.machines.len() {
            let machine = &mut self.machines[number];
            machine.doom = None;
            machine.stopped_until = 0;
            machine.fail_next = false;
            if !machine.is_up() {
                self.open(number)?;
            }
        }
        Ok(())
    }

    /// Who is connected to whom: a ring, a star, a line, or all with all.
    fn topology(&mut self) -> Vec<(usize, usize)> {
        let machines = self.machines.len();
        let line = (1..machines).map(|n| (n - 1, n));
        match self.draw.below(4) {
            0 => line.collect(),
            1 => line.chain((machines > 2).then_some((machines - 1, 0))).collect(),
            2 => (1..machines).map(|n| (0, n)).collect(),
            _ => (0..machines).flat_map(|a| (a + 1..machines).map(move |b| (a, b))).collect(),
        }
    }

    fn redial(&mut self, edges: &[(usize, usize)]) {
        for (a, b) in edges {
            if self.network.between(*a, *b) == 0 {
                let turned = self.draw.chance(500);
                let (a, b) = if turned { (*b, *a) } else { (*a, *b) };
                self.connect(a, b);
            }
        }
    }

    /// Whether all hold the same, durably: equal vectors first, for roots cost more.
    fn agreed(&mut self) -> Result<bool, Violation> {
        let mut vectors = self.machines.iter().map(|machine| machine.engine().durable_version_vector());
        let first = vectors.next();
        let equal = vectors.all(|vector| Some(vector) == first);
        if !equal || self.machines.iter().any(|machine| Some(&machine.seen) != first.as_ref()) {
            return Ok(false);
        }
        let mut roots = Vec::new();
        for machine in &mut self.machines {
            let root = machine.engine_mut().root();
            roots.push(root.or_else(|error| broken("store", format!("{error}")))?);
        }
        Ok(roots.windows(2).all(|pair| pair[0] == pair[1]))
    }

    fn disagreement(&self) -> String {
        let vectors: Vec<&Vector> = self.machines.iter().map(|machine| &machine.view.vector).collect();
        format!("no agreement after {ROUNDS} rounds of calm: {vectors:?}")
    }

    fn check_everybody(&mut self) -> Result<(), Violation> {
        for number in 0..self.machines.len() {
            self.check_all(number)?;
            self.read_feed(number)?;
            if !self.hostile {
                self.check_root(number)?;
            }
            let stats = *self.machines[number].engine().stats();
            self.counters.take(&stats);
        }
        Ok(())
    }

    /// Nothing that was reported as saved is lost.
    fn check_losses(&self) -> Result<(), Violation> {
        if self.hostile {
            return Ok(());
        }
        self.check_words()?;
        let vector = &self.machines[0].view.vector;
        for (number, author) in self.oracle.record.authors.iter().enumerate() {
            if self.oracle.exact && vector.seq(number) < author.saved {
                let (id, seq) = (author.id, vector.seq(number));
                return broken("G1", format!("{id:?} saved {} dots, {seq} are left", author.saved));
            }
        }
        Ok(())
    }
}
