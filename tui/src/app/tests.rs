use crdt_model::catalogue::Programme;
use crdt_model::decide::Reason;
use crdt_model::ids::PassId;
use crossterm::event::KeyModifiers;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use syncd::desk_api::types::{Health, HubLink, HubState, Outcome, PassView, TodayCount};

use super::*;
use crate::i18n::Texts;
use crate::screens::desk::{Drawing, draw};
use crate::theme::Theme;

/// 21 November 2026, 14:03:12 in Brussels.
const NOW: i64 = 1_795_266_192_000;

fn entry(index: u64) -> EntryRef {
    format!("2026-11-21/{}.00000001/{index}", "ab".repeat(16)).parse().unwrap()
}

fn pass() -> PassView {
    PassView {
        pass_id: PassId(7),
        programme: Programme::Uitpas,
        telling_digits: "0959".to_owned(),
        points: 13,
        debt: 0,
        valid_until: None,
        visits: 0,
    }
}

fn answer(verdict: VerdictKind, reason: Option<Reason>) -> Answer {
    Answer {
        verdict,
        reason,
        kind: Kind::CheckIn,
        provisional: false,
        at: NOW,
        entry: (verdict == VerdictKind::Ok).then(|| entry(3)),
        points_change: i64::from(verdict == VerdictKind::Ok),
        pass: (verdict != VerdictKind::Ask).then(pass),
        title: Some("Permanente UiTPAS Test Festiviteit".to_owned()),
        earlier_at: (verdict == VerdictKind::Again).then_some(NOW - 3_600_000),
    }
}

fn status(hub: HubLink, pending: u64) -> Status {
    Status {
        venue: "museum-de-reede".parse().unwrap(),
        venue_name: "Museum De Reede".to_owned(),
        device: "ab".repeat(16).parse().unwrap(),
        desk_name: "Balie 1".to_owned(),
        activity: None,
        hub,
        hub_since: NOW - 840_000,
        pending,
        catalogue_version: 28,
        catalogue_at: Some(NOW - 900_000),
        passes: 18,
        today: TodayCount { taps: 143, ok: 138 },
        disk: Health::Fine,
        store: Health::Fine,
        clock: Health::Fine,
        undo_window: 300_000,
        version: "0.1.0".to_owned(),
    }
}

fn row(id: u64, hub: HubState, outcome: Outcome) -> HistoryRow {
    HistoryRow { id, answer: answer(VerdictKind::Ok, None), hub, outcome }
}

fn model() -> Model {
    let mut model = Model::new(Language::Nl, ReaderState::Ready, NOW);
    model.update(Message::Daemon(Event::Status(Box::new(status(HubLink::Connected, 0)))));
    model
}

fn key(code: KeyCode) -> Message {
    Message::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn answered(verdict: VerdictKind, reason: Option<Reason>) -> Message {
    let card = Some("04784CDAEE3880".to_owned());
    Message::Answered { answer: Box::new(answer(verdict, reason)), card }
}

fn screen(model: &Model) -> String {
    let drawing = Drawing {
        texts: Texts::new(model.language),
        theme: Theme::Plain,
        zone: TimeZone::get("Europe/Brussels").unwrap(),
    };
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, model, &drawing)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn digits_and_enter_are_a_tap_from_the_desk() {
    let mut model = model();
    for digit in "0900000095902".chars() {
        assert_eq!(model.update(key(KeyCode::Char(digit))), []);
    }
    let commands = model.update(key(KeyCode::Enter));
    assert_eq!(commands, [Command::Tap("0900000095902".to_owned())]);
    assert_eq!(model.dialog, None, "the number is gone from the screen");
}

#[test]
fn a_tap_while_a_dialog_is_open_closes_it_and_is_never_text() {
    let mut model = model();
    model.update(key(KeyCode::Char('0')));
    let chip: ChipNumber = "04784CDAEE3880".parse().unwrap();
    let commands = model.update(Message::Reader(ReaderEvent::Tapped(chip)));
    assert_eq!(commands, [Command::Tap(chip.to_string())]);
    assert_eq!(model.dialog, None);
}

#[test]
fn undo_takes_back_what_is_on_the_screen() {
    let mut model = model();
    assert_eq!(model.update(key(KeyCode::Char('u'))), [Command::Void(None)]);
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.update(key(KeyCode::F(2))), [Command::Void(Some(entry(3)))]);
    assert_eq!(model.undo_left(), Some(300_000));
    model.now += 300_000;
    assert_eq!(model.undo_left(), None);
}

#[test]
fn a_verdict_and_its_card_are_wiped_after_thirty_seconds() {
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.seconds_shown(), 30);
    model.update(Message::Tick(NOW + SHOWN_FOR - 1));
    assert!(model.shown.is_some());
    model.update(Message::Tick(NOW + SHOWN_FOR));
    assert_eq!(model.shown, None);
}

#[test]
fn the_bell_rings_for_all_but_ok() {
    let mut model = model();
    let rings = |commands: Vec<Command>| commands.contains(&Command::Bell);
    assert!(!rings(model.update(answered(VerdictKind::Ok, None))));
    assert!(rings(model.update(answered(VerdictKind::Stop, Some(Reason::CardBlocked)))));
    assert!(rings(model.update(answered(VerdictKind::Again, Some(Reason::MaximumReached)))));
}

#[test]
fn a_reward_is_chosen_for_the_pass_on_the_screen() {
    let mut model = model();
    let reward = |id: &str| RewardView {
        reward_id: id.to_owned(),
        title: format!("Voordeel {id}"),
        kind: crdt_model::catalogue::RewardKind::Points,
        points: 5,
        redeemable: true,
        points_lacking: 0,
        reason: None,
    };
    model.update(answered(VerdictKind::Ok, None));
    model.update(Message::Rewards(vec![reward("1"), reward("2")]));
    model.update(key(KeyCode::Char('r')));
    model.update(key(KeyCode::Down));
    let card = "04784CDAEE3880".to_owned();
    let expected = [Command::Redeem { card, reward_id: "2".to_owned() }];
    assert_eq!(model.update(key(KeyCode::Enter)), expected);
}

#[test]
fn a_row_that_changes_stays_where_it_is() {
    let mut model = model();
    for id in 1..=3 {
        let row = row(id, HubState::Waiting, Outcome::Counted);
        model.update(Message::Daemon(Event::Row(Box::new(row))));
    }
    let changed = row(2, HubState::Accepted, Outcome::OverLimit);
    model.update(Message::Daemon(Event::Row(Box::new(changed.clone()))));
    assert_eq!(model.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(model.rows[1], changed);
}

#[test]
fn the_screens_are_as_drawn() {
    let mut model = model();
    model.update(Message::Daemon(Event::Row(Box::new(row(
        1,
        HubState::Accepted,
        Outcome::OverLimit,
    )))));
    model.update(Message::Daemon(Event::Row(Box::new(row(
        2,
        HubState::Waiting,
        Outcome::Counted,
    )))));
    insta::assert_snapshot!("waiting_for_a_card", screen(&model));
    for (name, verdict, reason) in [
        ("ok", VerdictKind::Ok, None),
        ("again", VerdictKind::Again, Some(Reason::MaximumReached)),
        ("ask", VerdictKind::Ask, Some(Reason::PassNotFound)),
        ("stop", VerdictKind::Stop, Some(Reason::CardBlocked)),
        ("retry", VerdictKind::Retry, Some(Reason::InvalidUitpasNumber)),
    ] {
        model.update(answered(verdict, reason));
        for language in [Language::Nl, Language::En] {
            model.language = language;
            insta::assert_snapshot!(format!("{name}_{}", language.code()), screen(&model));
        }
    }
    model.language = Language::Nl;
    let why = "the line broke".to_owned();
    model.update(Message::Daemon(Event::Status(Box::new(status(HubLink::Offline { why }, 7)))));
    insta::assert_snapshot!("offline", screen(&model));
    model.update(Message::DaemonGone);
    insta::assert_snapshot!("no_daemon", screen(&model));
    model.update(key(KeyCode::Char('?')));
    insta::assert_snapshot!("help", screen(&model));
}
