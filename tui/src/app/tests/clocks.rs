//! What lasts for a while, however the clock on the wall is set; and keys that were pressed too early to mean what is on
//! the screen.

use super::*;

/// A moment after the model began, with the clock on the wall set by so much.
fn later(milliseconds: i64, set_by: i64) -> Message {
    Message::Tick(Moment { wall: NOW + milliseconds + set_by, steady: NOW + milliseconds })
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_on_the_screen_and_no_code_armed() {
    let hours = 3 * 3_600_000;
    for set_by in [-hours, hours] {
        let mut model = model();
        model.codes = Some(vec!["stempel:5a0967f9".to_owned()]);
        model.update(answered(VerdictKind::Ok, None));
        model.update(later(SHOWN_FOR - 1, set_by));
        assert!(model.shown.is_some());
        assert_eq!(model.seconds_shown(), 1);
        model.update(later(SHOWN_FOR, set_by));
        assert!(model.shown.is_none());
        model.update(scan("stempel:5a0967f9"));
        assert!(model.code.is_some());
        model.update(later(2 * SHOWN_FOR, set_by));
        assert_eq!(model.code, None);
    }
}

/// This computer's clock is wrong, and the desk goes by the hub's: entries have the desk's time.
#[test]
fn what_can_still_be_taken_back_goes_by_the_time_of_the_desk() {
    let hours = 3 * 3_600_000;
    for (correction, passed, asks) in
        [(-hours, 0, true), (-hours, 300_000, false), (hours, 0, true), (hours, 300_000, false)]
    {
        let mut model = model();
        let status = Status { clock_correction: correction, ..status(HubLink::Connected, 0) };
        model.update(Message::Daemon(Event::Status(Box::new(status))));
        model.update(later(passed, -correction));
        let row = row(1, HubState::Waiting, Outcome::Counted);
        model.update(Message::Daemon(Event::Row(Box::new(row))));
        model.update(key(KeyCode::F(2)));
        assert_eq!(model.dialog.is_some(), asks, "{correction} {passed}");
    }
}

#[test]
fn a_key_right_after_a_verdict_came_asks_for_nobody_has_read_it() {
    let press =
        |at, screen| Message::Input(Input::Key(Pressed { key: KeyCode::F(2).into(), at, screen }));
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    let shown = model.screen;
    assert_eq!(model.update(press(NOW + SEEN_AFTER - 1, shown)), []);
    assert!(matches!(model.dialog, Some(Dialog::Question(Question::TakeBack(_)))));
    model.update(key(KeyCode::Esc));
    assert_eq!(model.update(press(NOW + SEEN_AFTER, shown)), [Command::Void(entry(3))]);
}

#[test]
fn a_list_that_comes_while_a_reward_is_chosen_does_not_change_what_is_chosen() {
    let mut model = model();
    let card: ShownCard = "0900000067513".to_owned().into();
    let answer = Box::new(answer(VerdictKind::Ok, None));
    model.update(Message::Answered { answer, card: Some(card.clone()) });
    let rewards = |ids: &[&str]| Message::Rewards {
        card: card.number.clone(),
        rewards: ids.iter().map(|id| reward(id)).collect(),
    };
    model.update(rewards(&["coffee", "poster"]));
    model.update(key(KeyCode::Char('v')));
    assert!(matches!(model.dialog, Some(Dialog::Rewards(_))));
    model.update(rewards(&["poster", "coffee"]));
    let redeemed = model.update(key(KeyCode::Enter));
    assert_eq!(redeemed, [Command::Redeem { card, reward_id: "coffee".to_owned() }]);
}
