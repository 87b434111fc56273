//! Schedules made by hand, each the shortest that shows its point, and a small random run.

use super::compare::{self, Options};
use super::rule::KEPT;
use super::schedule;
use super::truth::Lost;
use super::world::{Images, Stop, World};
use super::{Counts, Rule};
use crate::run::seed_of;

const ALL: usize = usize::MAX;

fn rule(name: &str) -> Rule {
    Rule::named(name).unwrap()
}

/// Three machines whose logs keep everything; the first has told the others two puts.
fn three(rule: Rule) -> World {
    let mut world = World::new(rule, Images::Disk, &[ALL, ALL, ALL]);
    world.write(0, &[(0, true), (1, true)]);
    world.meet(0, 1, Stop::Never);
    world.meet(0, 2, Stop::Never);
    world
}

fn end(mut world: World) -> Counts {
    world.settle();
    let counts = world.judge();
    assert_eq!(counts.diverged, 0);
    counts
}

fn nothing_wrong(counts: &Counts) -> bool {
    counts.lost() == 0 && counts.zombies == 0 && counts.duplicates == 0 && counts.diverged == 0
}

/// A machine goes back unnoticed and writes offline, while others hold what it wrote before.
fn rolled_back(rule: Rule) -> Counts {
    let mut world = three(rule);
    world.image(0);
    world.write(0, &[(2, true)]);
    world.write(0, &[(3, true)]);
    world.meet(0, 1, Stop::Never);
    world.restore(0);
    world.write(0, &[(4, true), (5, true)]);
    world.write(0, &[(6, true)]);
    end(world)
}

#[test]
fn after_a_rollback_both_suffixes_live() {
    assert!(nothing_wrong(&rolled_back(KEPT)));
    assert!(nothing_wrong(&rolled_back(rule("F2-ideal"))));
    // By dot only one of the two contents stays, and nobody else held the owner's.
    assert!(rolled_back(rule("F1")).lost() > 0);
}

/// Two copies write offline; then both meet the same third.
fn cloned(rule: Rule) -> Counts {
    let mut world = three(rule);
    world.image(0);
    world.clone_image(0);
    world.write(0, &[(2, true), (3, true)]);
    world.write(3, &[(0, false), (4, true)]);
    world.meet(0, 1, Stop::Never);
    world.meet(3, 1, Stop::Never);
    end(world)
}

#[test]
fn a_copy_that_comes_second_is_renamed() {
    let counts = cloned(KEPT);
    assert!(nothing_wrong(&counts));
    assert_eq!(counts.renames, 1);
    assert!(cloned(rule("F1")).lost() > 0);
}

/// Both copies have told somebody before anybody could notice, and a third one kills by a dot that means two things.
fn published(rule: Rule) -> Counts {
    let mut world = three(rule);
    world.image(0);
    world.clone_image(0);
    world.write(0, &[(2, true)]);
    world.write(3, &[(3, true)]);
    world.meet(0, 1, Stop::Never);
    world.meet(3, 2, Stop::Never);
    world.write(2, &[(3, false)]);
    world.meet(1, 2, Stop::Never);
    end(world)
}

#[test]
fn what_a_published_fork_loses_is_kept() {
    let counts = published(KEPT);
    assert_eq!(counts.published, Lost { kept: 1, gone: 0 });
    assert_eq!(published(rule("F1")).published, Lost { kept: 0, gone: 1 });
    assert!(nothing_wrong(&published(rule("F2C-16"))));
}

#[test]
fn what_was_sent_counts_as_told_even_if_it_never_arrived() {
    let mut world = three(KEPT);
    world.image(0);
    world.clone_image(0);
    world.write(0, &[(2, true)]);
    world.write(3, &[(3, true)]);
    world.meet(0, 1, Stop::Never);
    // Whoever got these frames may have kept them.
    world.meet(3, 2, Stop::Sent);
    let counts = end(world);
    assert_eq!(counts.renames, 0);
    assert_eq!(counts.lost(), counts.unpublished.kept + counts.published.kept);
    assert_eq!(counts.lost(), 1);
}

#[test]
fn a_hello_alone_is_enough_to_rename() {
    let mut world = three(KEPT);
    world.image(0);
    world.clone_image(0);
    world.write(0, &[(2, true)]);
    world.write(3, &[(3, true)]);
    world.meet(0, 1, Stop::Never);
    world.meet(3, 1, Stop::Hello);
    // Nobody who is met from now on, whatever he knows, gets the second history.
    world.meet(3, 2, Stop::Never);
    assert!(nothing_wrong(&end(world)));
}

#[test]
fn logs_that_keep_nothing_do_not_hide_what_was_never_told() {
    let mut world = World::new(rule("F1R"), Images::Disk, &[0, 0, 0]);
    world.write(0, &[(0, true)]);
    world.meet(0, 1, Stop::Never);
    world.image(0);
    world.write(0, &[(1, true)]);
    world.write(0, &[(2, true)]);
    world.meet(0, 1, Stop::Never);
    world.restore(0);
    for key in 3..8 {
        world.write(0, &[(key, true)]);
    }
    // Longer than what the other holds and of another history: no log tells, the position told does.
    assert!(nothing_wrong(&end(world)));
}

#[test]
fn a_copy_of_a_machine_that_runs_on_can_tell_what_its_owner_never_told() {
    let mut world = three(KEPT);
    world.image(0);
    world.write(0, &[(2, true)]);
    world.image(0);
    world.clone_image(0);
    world.clone_image(1);
    world.write(3, &[(3, true)]);
    world.meet(3, 1, Stop::Never);
    // The second copy tells what the owner takes for its secret, and it is removed.
    world.meet(4, 2, Stop::Never);
    world.write(2, &[(2, false)]);
    world.meet(0, 1, Stop::Never);
    // The limit of the rule: under its new name nobody has killed it. Under its old one the other copy's put dies, for
    // whoever removes a dot removes both of its contents.
    let counts = end(world);
    assert_eq!(counts.zombies, 1);
    assert_eq!((counts.lost(), counts.published.kept), (1, 1));
}

#[test]
fn a_copy_that_tells_its_past_is_no_other_history() {
    let owner = |rule| {
        let mut world = World::new(rule, Images::Disk, &[0, 0]);
        for key in 0..20 {
            world.write(0, &[(key, true)]);
            if key == 1 {
                world.image(0);
            }
        }
        world.clone_image(0);
        world.meet(2, 1, Stop::Never);
        end(world)
    };
    // The owner told nothing, its log is gone, and somebody holds two of its puts.
    assert_eq!(owner(rule("F1R-16")).duplicates, 2);
    assert!(nothing_wrong(&owner(KEPT)));
}

#[test]
fn without_a_fork_the_rules_are_exact() {
    let rules = Rule::ALL.into_iter().filter(|rule| rule.chains || !rule.rebase);
    for rule in rules {
        let sound = (0..400).map(|index| schedule::run(seed_of(5, index), rule, Images::Disk));
        for counts in sound.filter(|counts| counts.forked == 0) {
            assert!(nothing_wrong(&counts), "{}: {counts:?}", rule.name);
        }
    }
}

fn compare(rule: Rule, images: Images, threads: usize) -> Counts {
    compare::run(rule, Options { base: 7, schedules: 2000, threads, images })
}

#[test]
fn the_kept_rule_loses_little_and_nothing_of_others() {
    let [f1, kept] = [rule("F1"), KEPT].map(|rule| compare(rule, Images::Disk, 2));
    assert!(f1.forked > 300 && kept.forked > 300);
    assert_eq!((kept.diverged, kept.bystanders), (0, Lost::default()));
    assert!(kept.lost() * 5 < f1.lost(), "{kept:?}");
    assert!((kept.unpublished.gone + kept.published.gone) * 100 < f1.lost(), "{kept:?}");
    assert!(kept.zombies + kept.duplicates < 20, "{kept:?}");
    let stopped = compare(KEPT, Images::Stopped, 2);
    assert_eq!((stopped.zombies, stopped.duplicates, stopped.diverged), (0, 0, 0));
}

#[test]
fn no_rule_diverges_and_the_ideal_is_exact() {
    for images in [Images::Stopped, Images::Disk, Images::Memory] {
        for rule in Rule::ALL {
            let counts = compare::run(rule, Options { base: 8, schedules: 300, threads: 2, images });
            assert_eq!((counts.diverged, counts.bystanders), (0, Lost::default()), "{}", rule.name);
            assert!(!rule.ideal || nothing_wrong(&counts), "{counts:?}");
        }
    }
}

#[test]
fn a_seed_says_it_all() {
    assert_eq!(compare(KEPT, Images::Disk, 1), compare(KEPT, Images::Disk, 3));
}
