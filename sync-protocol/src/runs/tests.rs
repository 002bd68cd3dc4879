use proptest::prelude::*;

use super::*;
use crate::version::{forget_beyond, note};

fn at(run: u64, number: u64) -> Version {
    Version { run, number }
}

fn table(runs: &[(u64, u64)], counter: u64) -> RunTable {
    let runs: Vec<Run> = runs.iter().map(|(id, begins)| Run { id: *id, begins: *begins }).collect();
    RunTable::of_all(&runs, counter)
}

/// Runs 1, 2 and 3 began at 0, 100 and 120, and the counter stands at 150.
#[test]
fn a_list_goes_on_from_the_newest_pair_that_holds() {
    let known = table(&[(1, 0), (2, 100), (3, 120)], 150);
    for (list, go_on, common, what) in [
        (vec![], 0, None, "nothing was ever told"),
        (vec![at(3, 140)], 140, None, "of the present run"),
        (vec![at(3, 150)], 150, None, "all of it"),
        (vec![at(3, 110)], 110, None, "what the present run took over"),
        (vec![at(2, 115), at(1, 80)], 115, None, "the run before"),
        (vec![at(1, 100)], 100, None, "a run's very end"),
        (vec![at(3, 151)], 150, Some(150), "beyond the end of the present run"),
        (vec![at(2, 130)], 120, Some(120), "beyond the end of the run before"),
        (vec![at(9, 140)], 0, Some(0), "a run that is not known"),
        (vec![at(9, 140), at(2, 118)], 118, Some(118), "and one before it that is"),
        (vec![at(9, 140), at(2, 130)], 120, Some(120), "and one that is known in part"),
        (vec![at(9, 140), at(8, 135), at(1, 90)], 90, Some(90), "two that are not known"),
        (vec![at(3, 140), at(9, 135), at(1, 90)], 140, Some(90), "saying again was cut off"),
    ] {
        let seen = Seen { catalogue: list, ..Seen::default() };
        let located = known.locate(&seen);
        assert_eq!(located.go_on.catalogue, go_on, "{what}");
        assert_eq!(located.restored, common.map(|common| Restored { common }), "{what}");
        assert_eq!(located.run, Some(at(3, 120)));
    }
}

#[test]
fn any_list_shows_that_the_hub_was_restored_and_the_lowest_is_common() {
    let known = table(&[(1, 0)], 50);
    let seen = Seen { any: vec![at(1, 60)], venue: vec![at(7, 40), at(1, 30)], ..Seen::default() };
    let located = known.locate(&seen);
    assert_eq!(located.restored, Some(Restored { common: 30 }));
    assert_eq!((located.go_on.venue, located.go_on.catalogue), (30, 0));
    assert_eq!(located.lost, Some(at(1, 60)));
}

#[test]
fn a_database_without_runs_tells_everything() {
    let located = table(&[], 0).locate(&Seen { catalogue: vec![at(1, 5)], ..Seen::default() });
    assert_eq!((located.run, located.go_on.catalogue), (None, 0));
}

/// A hub's line of numbers: what each is of, with the runs. Each thing that is numbered is another one.
#[derive(Debug, Clone, Default)]
struct Line {
    things: Vec<u32>,
    runs: Vec<Run>,
}

impl Line {
    fn table(&self) -> RunTable {
        RunTable::of_all(&self.runs, self.things.len() as u64)
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The hub numbers something, and tells it to the desk or not.
    Number {
        tells: bool,
    },
    Start,
    BackUp,
    Restore,
    /// The desk comes and, where the hub was restored, says again what is beyond: all of it, or only so many.
    Come {
        most: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => any::<bool>().prop_map(|tells| Step::Number { tells }),
        1 => Just(Step::Start),
        1 => Just(Step::BackUp),
        1 => Just(Step::Restore),
        3 => prop_oneof![Just(usize::MAX), 0..4usize].prop_map(|most| Step::Come { most }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a desk was told and the hub lost is beyond the common number, until it has been said again: so it is
    /// said again. Where nothing is beyond, the hub has all of it.
    #[test]
    fn what_a_hub_lost_is_said_again_whatever_was_cut_off(steps in steps()) {
        let mut line = Line::default();
        let (mut next_run, mut next_thing) = (1, 0);
        let mut start = |line: &mut Line| {
            line.runs.push(Run { id: next_run, begins: line.things.len() as u64 });
            next_run += 1;
        };
        start(&mut line);
        let mut backup = line.clone();
        // What the desk keeps: the things with the numbers under which it was told them last, and its pairs.
        let (mut told, mut list): (Vec<(u32, u64)>, Vec<Version>) = (Vec::new(), Vec::new());
        // A session of before a restore ends with it: the desk is told nothing until it comes.
        let mut linked = false;
        for step in steps {
            match step {
                Step::Number { tells } => {
                    line.things.push(next_thing);
                    let run = line.runs.last().unwrap().id;
                    if tells && linked {
                        let number = line.things.len() as u64;
                        told.push((next_thing, number));
                        note(&mut list, at(run, number));
                    }
                    next_thing += 1;
                }
                Step::Start => {
                    start(&mut line);
                    linked = false;
                }
                Step::BackUp => backup = line.clone(),
                Step::Restore => {
                    line = backup.clone();
                    start(&mut line);
                    linked = false;
                }
                Step::Come { most } => {
                    let located = line.table().locate(&Seen { any: list.clone(), ..Seen::default() });
                    let run = located.run.unwrap().run;
                    let common = located.restored.map_or(u64::MAX, |restored| restored.common);
                    for (thing, number) in &told {
                        let held = line.things.contains(thing);
                        prop_assert!(held || *number > common, "{thing} is lost, and not said again");
                    }
                    let beyond: Vec<usize> =
                        (0..told.len()).filter(|place| told[*place].1 > common).collect();
                    for place in beyond.iter().take(most) {
                        if !line.things.contains(&told[*place].0) {
                            line.things.push(told[*place].0);
                            told[*place].1 = line.things.len() as u64;
                            note(&mut list, at(run, told[*place].1));
                        }
                    }
                    linked = most >= beyond.len();
                    if linked && located.restored.is_some() {
                        let number = line.things.len() as u64;
                        forget_beyond(&mut list, common, at(run, number));
                        let seen = Seen { any: list.clone(), ..Seen::default() };
                        prop_assert_eq!(line.table().locate(&seen).restored, None, "said twice");
                    }
                }
            }
        }
    }

    /// A desk that has the catalogue up to a pair and goes back where it is told to always has what the hub has there.
    #[test]
    fn a_cursor_never_passes_over_what_the_hub_has(steps in steps()) {
        let mut line = Line::default();
        let (mut next_run, mut next_thing) = (1, 0);
        let mut start = |line: &mut Line| {
            line.runs.push(Run { id: next_run, begins: line.things.len() as u64 });
            next_run += 1;
        };
        start(&mut line);
        let mut backup = line.clone();
        let (mut has, mut list): (Vec<u32>, Vec<Version>) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Number { .. } => {
                    line.things.push(next_thing);
                    next_thing += 1;
                }
                Step::Start => start(&mut line),
                Step::BackUp => backup = line.clone(),
                Step::Restore => {
                    line = backup.clone();
                    start(&mut line);
                }
                Step::Come { most } => {
                    let located = line.table().locate(&Seen { catalogue: list.clone(), ..Seen::default() });
                    let from = usize::try_from(located.go_on.catalogue).unwrap();
                    for thing in &line.things[..from] {
                        prop_assert!(has.contains(thing), "{thing} would never come");
                    }
                    let run = located.run.unwrap().run;
                    if let Some(Restored { common }) = located.restored {
                        forget_beyond(&mut list, common, at(run, located.go_on.catalogue));
                        let seen = Seen { catalogue: list.clone(), ..Seen::default() };
                        prop_assert_eq!(line.table().locate(&seen).restored, None, "told twice");
                    }
                    for (place, thing) in line.things.iter().enumerate().skip(from).take(most) {
                        has.push(*thing);
                        note(&mut list, at(run, place as u64 + 1));
                    }
                }
            }
        }
    }

    /// More pairs that are known, or a longer table, never mean an earlier beginning.
    #[test]
    fn what_is_known_only_grows(
        numbers in prop::collection::vec((0u64..6, 0u64..60), 0..8),
        begins in prop::collection::vec(0u64..40, 1..5),
        more in 0u64..20,
        newer in 0u64..60,
    ) {
        let mut begins = begins;
        begins.sort_unstable();
        let runs: Vec<(u64, u64)> = (0..).zip(begins).collect();
        let list: Vec<Version> = numbers.iter().map(|(run, number)| at(*run, *number)).collect();
        let counter = runs.last().unwrap().1 + 5;
        let go_on = |counter, list: &[Version]| {
            table(&runs, counter).locate(&Seen { catalogue: list.to_vec(), ..Seen::default() })
        };
        let before = go_on(counter, &list);
        prop_assert!(go_on(counter + more, &list).go_on.catalogue >= before.go_on.catalogue);
        prop_assert!(before.go_on.catalogue <= counter);
        prop_assert!(before.restored.is_none_or(|it| it.common <= counter));
        let last = runs.last().unwrap().0;
        let mut longer = list.clone();
        longer.insert(0, at(last, newer.max(before.go_on.catalogue)));
        prop_assert!(go_on(counter, &longer).go_on.catalogue >= before.go_on.catalogue);
    }
}
