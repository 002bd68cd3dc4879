//! Rewards.

use super::*;

fn redeemed(reward: u32, points: u32, unit: Option<Unit>) -> Fact {
    Fact::Redemption { reward: RewardId(reward), points, unit }
}

#[test]
fn a_reward_is_handed_out_once_everything_is_there() {
    use Kind::Redemption;
    use VerdictKind::{Ask, Ok, Stop};
    let grant = GrantId(4);
    let holds = |world: World| {
        let units = Granted { first: 0, count: 2 };
        let granted = GrantedUnits { grant, reward: RewardId(3), units };
        world.with(|w| {
            w.holding.grants = vec![granted];
            w.holding.used = BTreeSet::from([Unit { grant, unit: 0 }]);
        })
    };
    let none_left = world().with(|w| w.none_left = BTreeSet::from([RewardId(3)]));
    let unit = Some(Unit { grant, unit: 1 });
    let (first, limited) = (Some("Voordeel 1"), Some("Voordeel 3"));
    let poor = || world().with(|w| w.account = Account::default());
    check(vec![
        (
            "a reward",
            world().redeem("1"),
            (Redemption, Ok, None, Some(redeemed(1, 5, None)), first),
        ),
        (
            "too few points",
            poor().redeem("1"),
            (Redemption, Stop, Some(Reason::RewardPassholderPointsConstraint), None, first),
        ),
        (
            "a reward that nobody knows",
            world().redeem("99"),
            (Redemption, Ask, Some(Reason::RewardNotFound), None, None),
        ),
        (
            "the next unit",
            holds(world()).redeem("3"),
            (Redemption, Ok, None, Some(redeemed(3, 1, unit)), limited),
        ),
        (
            "no unit here",
            world().redeem("3"),
            (Redemption, Ask, Some(Reason::RewardNoUnitHere), None, limited),
        ),
        (
            "no unit anywhere",
            none_left.redeem("3"),
            (Redemption, Stop, Some(Reason::RewardVolumeConstraint), None, limited),
        ),
        (
            "an unknown card",
            card(Shown::UnknownChip).redeem("1"),
            (Redemption, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "an external card",
            card(Shown::External("museumkaart:12345678")).redeem("1"),
            (Redemption, Ask, Some(Reason::PassNotFound), None, None),
        ),
        (
            "a forged card",
            card(Shown::Forged).redeem("1"),
            (Redemption, Stop, Some(Reason::CardNotGenuine), None, None),
        ),
    ]);
    // The hub is asked for a unit only where a unit is all that is lacking.
    let lacking = |world: &World, reward: &str| world.ask(|case| lacks_only_a_unit(case, reward));
    assert_eq!(lacking(&world(), "3"), Some(RewardId(3)));
    assert_eq!(lacking(&none_left, "3"), Some(RewardId(3)), "it may have got some since");
    assert_eq!(lacking(&holds(world()), "3"), None);
    assert_eq!(lacking(&poor(), "3"), None);
    assert_eq!(lacking(&world(), "1"), None);
    assert_eq!(lacking(&card(Shown::Forged), "3"), None);
}

#[test]
fn what_a_pass_can_have_is_told_to_no_forged_card() {
    let seen = |world: &World| {
        let rewards = |case: &Case<'_>| {
            let offers = rewards(case)?;
            Ok(offers.iter().map(|offer| offer.reward.reward.0).collect::<Vec<_>>())
        };
        world.ask(rewards)
    };
    assert_eq!(seen(&world()), Ok(vec![2, 1, 3]));
    assert_eq!(seen(&card(Shown::Forged)), Ok(Vec::new()));
    for shown in [Shown::UnknownChip, Shown::UnknownNumber, Shown::External("museumkaart:12345678")]
    {
        assert_eq!(seen(&card(shown)), Err(Unanswered::NoSuchPass), "{shown:?}");
    }
}
