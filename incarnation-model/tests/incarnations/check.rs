//! The model as stateright wants it, and what it says of a counterexample.

use std::fmt::Write as _;

use incarnation_model::design::{Bounds, Design};
use incarnation_model::laws::{Broken, broken_at_rest, broken_now};
use incarnation_model::world::{Act, Model, World};
use stateright::{Checker, HasDiscoveries, Property};

/// No model here has more states than this; one that does is wrongly bounded, and is not checked whole.
const MAX_STATES: usize = 3_000_000;

#[derive(Clone)]
struct Checked(Model);

impl stateright::Model for Checked {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![self.0.start()]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        acts.extend(self.0.acts(world));
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut next = world.clone();
        self.0.act(&mut next, act);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("now", |checked: &Self, world| {
                broken_now(&checked.0, world).is_none()
            }),
            Property::always("at rest", |checked: &Self, world| {
                broken_at_rest(&checked.0, world).is_none()
            }),
        ]
    }
}

/// The shortest way to something broken, or the number of states, none of which is.
pub fn check(design: Design, bounds: Bounds) -> Result<usize, (Broken, String)> {
    let model = Model { design, bounds };
    let checker = stateright::Model::checker(Checked(model))
        .target_state_count(MAX_STATES)
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let Some(path) = checker.discoveries().into_values().next() else {
        assert!(checker.state_count() < MAX_STATES, "the bounds are too wide");
        return Ok(checker.unique_state_count());
    };
    let last = path.last_state().clone();
    let broken = broken_now(&model, &last).or_else(|| broken_at_rest(&model, &last)).unwrap();
    let mut world = model.start();
    let mut story = String::new();
    for act in path.into_actions() {
        let wire = match act {
            Act::Deliver(desk) => world.sessions[desk].as_ref().map(|session| session.wire.clone()),
            _ => None,
        };
        writeln!(story, "  {act:?} {}", wire.map_or_else(String::new, |wire| format!("{wire:?}")))
            .unwrap();
        model.act(&mut world, act);
    }
    Err((broken, story))
}

/// Nothing is broken, whatever happens in these bounds.
#[track_caller]
pub fn holds(design: Design, bounds: Bounds) {
    match check(design, bounds) {
        Ok(states) => println!("{states} states"),
        Err((broken, story)) => panic!("{broken:?} in {bounds:?}:\n{story}"),
    }
}
