//! Which rule of the policy an answer rests on.

use super::*;

#[test]
fn an_answer_says_which_rule_of_the_policy_it_rests_on() {
    let unknown = card(Shown::UnknownChip).with(|w| w.taken_today = 3);
    let rule = |taken_today, most_a_day| Some(Rule::UnknownCard { taken_today, most_a_day });
    let none_taken = unknown.clone().with(|w| w.policy.unknown_cards = false);
    let unbounded = unknown.clone().with(|w| w.policy.unknown_cards_a_day = None);
    assert_eq!(unknown.tap(None).rule, rule(3, Some(20)));
    assert_eq!(none_taken.tap(None).rule, rule(3, Some(0)), "policy takes none");
    assert_eq!(unbounded.tap(None).rule, rule(3, None));
    assert_eq!(world().tap(None).rule, None);

    let rules =
        vec![AgeRule { up_to: DAY, points: Some(50) }, AgeRule { up_to: 2 * DAY, points: None }];
    let aged = |age| {
        let rules = rules.clone();
        world().with(|w| {
            w.age = age;
            w.policy.redemptions = rules;
        })
    };
    let rule = |age, points_allowed| Some(Rule::AccountAge(AccountAge { age, points_allowed }));
    let rows = [
        (0, "1", None),
        (DAY, "1", rule(Some(DAY), Some(50))),
        (DAY + 1, "1", rule(Some(DAY + 1), None)),
        (3 * DAY, "1", rule(Some(3 * DAY), Some(0))),
        (i64::MAX, "1", rule(None, Some(0))),
        // A welcome reward spends nothing, whatever the account's age.
        (3 * DAY, "2", None),
    ];
    for (age, reward, expected) in rows {
        assert_eq!(aged(age).redeem(reward).rule, expected, "{age} {reward}");
    }
}

#[test]
fn an_account_is_as_old_as_the_hub_s_last_word_on_it() {
    let policy = Policy { clock_tolerance: MINUTE, ..Policy::default() };
    let at = |ago: i64| Confirmed::At(noon().plus(-ago));
    let rows = [
        (Confirmed::Now, 0),
        (Confirmed::Unknown, i64::MAX),
        (at(DAY), DAY),
        (at(0), 0),
        // A little ahead is two clocks; more is a clock that was put back, which says nothing.
        (at(-MINUTE), 0),
        (at(-MINUTE - 1), i64::MAX),
    ];
    for (confirmed, age) in rows {
        assert_eq!(age_of(confirmed, &policy, noon()), age, "{confirmed:?}");
    }
}
