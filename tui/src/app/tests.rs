use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::Programme;
use crdt_model::decide::Reason;
use crdt_model::ids::{ChipNumber, PassId};
use crossterm::event::{KeyCode, KeyModifiers};
use desk_api::types::{
    Health, HubLink, HubState, Outcome, PassView, PolicyRule, Problem, ProblemKind, TodayCount,
    Trouble,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use ratatui_image::picker::Picker;

use super::input::SEEN_AFTER;
use super::*;
use crate::i18n::Texts;
use crate::scan::wedge::Pressed;
use crate::screens::desk::{Drawing, draw};
use crate::screens::picture::Pictures;
use crate::theme::Theme;

/// 21 November 2026, 14:03:12 in Brussels.
const NOW: i64 = 1_795_266_192_000;

/// A moment at which both clocks show the same.
fn at(milliseconds: i64) -> Moment {
    Moment { wall: milliseconds, steady: milliseconds }
}

fn tick(milliseconds: i64) -> Message {
    Message::Tick(at(milliseconds))
}

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

/// A card on the first reader.
fn on_reader(chip: ChipNumber) -> ShownCard {
    ShownCard::on(0, Tap { chip, check: None })
}

/// The question about this card, without anything else.
fn asks(card: impl Into<ShownCard>) -> Command {
    Command::Tap { card: card.into(), code: None }
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
        policy: None,
        authenticity: None,
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
        requests_waiting: 0,
        catalogue_version: 28,
        catalogue_at: Some(NOW - 900_000),
        passes: 18,
        today: TodayCount { taps: 143, ok: 138 },
        disk: Health::Fine,
        store: Health::Fine,
        clock: Health::Fine,
        beside: Vec::new(),
        undo_window: 300_000,
        clock_correction: 0,
        version: "0.1.0".to_owned(),
    }
}

fn row(id: u64, hub: HubState, outcome: Outcome) -> HistoryRow {
    HistoryRow { id, answer: answer(VerdictKind::Ok, None), hub, outcome }
}

fn model() -> Model {
    let mut model = Model::new(Language::Nl, vec![ReaderSlot::new(false)], at(NOW));
    let event = ReaderEvent::Ready { name: "reader".to_owned() };
    model.update(Message::Reader { reader: 0, event });
    model.update(Message::Daemon(Event::Status(Box::new(status(HubLink::Connected, 0)))));
    model
}

fn key(code: KeyCode) -> Message {
    Message::Key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn answered(verdict: VerdictKind, reason: Option<Reason>) -> Message {
    let card = Some("04784CDAEE3880".to_owned().into());
    Message::Answered { answer: Box::new(answer(verdict, reason)), card }
}

fn screen(model: &Model) -> String {
    terminal(model).backend().to_string()
}

fn terminal(model: &Model) -> Terminal<TestBackend> {
    let drawing = Drawing {
        texts: Texts::new(model.language),
        theme: Theme::Plain,
        pictures: Pictures::new(Picker::halfblocks()),
    };
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, model, &drawing)).unwrap();
    terminal
}

#[test]
fn nobody_is_told_to_go_on_at_a_desk_that_records_nothing() {
    let offline = HubLink::Offline { why: "no answer".to_owned() };
    let fine = status(offline, 7);
    let full = Status { disk: Health::Trouble(Trouble::DiskFull), ..fine.clone() };
    for (status, goes_on) in [(fine, true), (full, false)] {
        let plain = crate::plain::status_line(&status, &Texts::new(Language::Nl));
        let mut model = model();
        model.update(Message::Daemon(Event::Status(Box::new(status))));
        for shown in [screen(&model), plain] {
            assert_eq!(shown.contains("gewoon verder werken"), goes_on, "{shown}");
            let (disk, link) = (shown.find("De schijf is vol"), shown.find("OFFLINE"));
            assert!(goes_on == disk.is_none() && (goes_on || disk < link), "{shown}");
        }
    }
}

#[test]
fn digits_and_enter_are_a_tap_from_the_desk() {
    let mut model = model();
    for digit in "0900000095902".chars() {
        assert_eq!(model.update(key(KeyCode::Char(digit))), []);
    }
    let commands = model.update(key(KeyCode::Enter));
    assert_eq!(commands, [asks("0900000095902".to_owned())]);
    assert_eq!(model.dialog, None, "the number is gone from the screen");
}

/// A visitor's card on the reader does not throw away what is being typed for another one.
#[test]
fn a_number_that_a_card_interrupted_is_gone_on_with() {
    let chip: ChipNumber = "04784CDAEE3880".parse().unwrap();
    let taps = || Message::Reader { reader: 0, event: ReaderEvent::tapped(chip) };
    for interrupt in [taps(), scan("0900000067513")] {
        let mut model = model();
        for digit in "0900000".chars() {
            model.update(key(KeyCode::Char(digit)));
        }
        assert_eq!(model.update(interrupt).len(), 1, "it taps");
        assert_eq!(model.dialog, None, "the verdict has the screen");
        for digit in "095902".chars() {
            model.update(key(KeyCode::Char(digit)));
        }
        assert_eq!(model.dialog, Some(Dialog::Number("0900000095902".to_owned())));
        assert_eq!(model.update(key(KeyCode::Enter)), [asks("0900000095902".to_owned())]);
        // The next number begins anew.
        model.update(key(KeyCode::Char('1')));
        assert_eq!(model.dialog, Some(Dialog::Number("1".to_owned())));
    }
}

#[test]
fn a_tap_while_a_dialog_is_open_closes_it_and_is_never_text() {
    let mut model = model();
    model.update(key(KeyCode::Char('0')));
    let chip: ChipNumber = "04784CDAEE3880".parse().unwrap();
    let commands = model.update(Message::Reader { reader: 0, event: ReaderEvent::tapped(chip) });
    assert_eq!(commands, [asks(on_reader(chip))]);
    assert_eq!(model.dialog, None);
}

/// This computer's clock is three hours ahead, and the desk goes by the hub's.
#[test]
fn the_console_goes_by_the_time_of_the_desk() {
    let mut model = model();
    let off = 3 * 3_600_000;
    let status = Status { clock_correction: -off, ..status(HubLink::Connected, 0) };
    model.update(Message::Daemon(Event::Status(Box::new(status))));
    model.update(tick(NOW + off));
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.desk_time(), NOW);
    assert!(model.undo_left().is_some(), "it was written a moment ago");
    let shown = screen(&model).lines().next().unwrap_or_default().to_owned();
    model.update(Message::DaemonGone);
    assert_ne!(screen(&model).lines().next(), Some(&*shown), "the hour is another");
}

#[test]
fn undo_takes_back_what_is_on_the_screen() {
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.update(key(KeyCode::F(2))), [Command::Void(entry(3))]);
    // A letter asks first: scanners send letters.
    assert_eq!(model.update(key(KeyCode::Char('u'))), []);
    assert!(screen(&model).contains("Dit ongedaan maken?"), "{}", screen(&model));
    assert_eq!(model.update(key(KeyCode::Char('u'))), [], "the key that asked is no answer");
    assert_eq!(model.dialog, None);
    model.update(key(KeyCode::Char('u')));
    assert_eq!(model.update(key(KeyCode::Enter)), [Command::Void(entry(3))]);
    assert_eq!(model.undo_left(), Some(300_000));
    model.now.wall += 300_000;
    assert_eq!(model.undo_left(), None);
}

#[test]
fn a_verdict_and_its_card_are_wiped_after_thirty_seconds() {
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.seconds_shown(), 30);
    model.update(tick(NOW + SHOWN_FOR - 1));
    assert!(model.shown.is_some());
    model.update(tick(NOW + SHOWN_FOR));
    assert!(model.shown.is_none());
}

#[test]
fn each_verdict_gives_its_signal_once() {
    let mut model = model();
    for (verdict, reason) in [
        (VerdictKind::Ok, None),
        (VerdictKind::Stop, Some(Reason::CardBlocked)),
        (VerdictKind::Again, Some(Reason::MaximumReached)),
    ] {
        let commands = model.update(answered(verdict, reason));
        let signals = commands.iter().filter(|it| matches!(it, Command::Signal(..)));
        assert_eq!(signals.collect::<Vec<_>>(), [&Command::Signal(verdict, None)]);
    }
}

fn reward(id: &str) -> RewardView {
    RewardView {
        reward_id: id.to_owned(),
        title: format!("Voordeel {id}"),
        kind: crdt_model::catalogue::RewardKind::Points,
        points: 5,
        redeemable: true,
        points_lacking: 0,
        reason: None,
        last_chance: false,
        categories: Vec::new(),
        for_kids: false,
        sport: false,
        featured: false,
        units_left: None,
    }
}

#[test]
fn a_reward_is_chosen_for_the_pass_on_the_screen() {
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    let of = |card: &str| Message::Rewards {
        card: card.to_owned(),
        rewards: vec![reward("1"), reward("2")],
    };
    model.update(of("04363CDAEE3880"));
    assert!(model.shown.as_ref().unwrap().rewards.is_empty(), "those of the card before");
    model.update(of("04784CDAEE3880"));
    model.update(key(KeyCode::Char('v')));
    model.update(key(KeyCode::Down));
    let card = "04784CDAEE3880".to_owned().into();
    let expected = [Command::Redeem { card, reward_id: "2".to_owned() }];
    assert_eq!(model.update(key(KeyCode::Enter)), expected);
}

/// A tap by this card that was counted.
fn tapped(model: &mut Model, card: &str) -> Vec<Command> {
    let answer = Box::new(answer(VerdictKind::Ok, None));
    model.update(Message::Answered { answer, card: Some(card.to_owned().into()) })
}

/// A picture in two halves, so that its place on the screen shows.
fn holder() -> Holder {
    let pixel = |x, _| image::Rgb(if x < 24 { [200, 40, 40] } else { [40, 40, 200] });
    let picture = image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(48, 64, pixel));
    Holder::named("Sophie Peeters", Some(picture))
}

/// Invariant 11: the amount differs, and only for as long as somebody asked for it.
#[test]
fn the_row_to_pay_is_the_same_for_every_pass_until_it_is_asked_for() {
    let mut model = model();
    tapped(&mut model, "04784CDAEE3880");
    let discreet = screen(&model);
    let card = "04784CDAEE3880".to_owned();
    assert_eq!(model.update(key(KeyCode::F(5))), [Command::LoadAmount(vec![card.clone()])]);
    let amount = |card: &str, cents| Message::Amount {
        cards: vec![card.to_owned()],
        to_pay: Some(Cents(cents)),
    };
    model.update(amount("04363CDAEE3880", 500));
    assert_eq!(screen(&model), discreet, "that of the card before is nobody's business");
    model.update(amount(&card, 200));
    insta::assert_snapshot!("to_pay", screen(&model));
    model.update(tick(NOW + AMOUNT_FOR));
    model.update(tick(NOW));
    assert_eq!(screen(&model), discreet);
    model.update(amount(&card, 1000));
    assert!(model.amount.is_some());
    model.update(key(KeyCode::Char('w')));
    assert_eq!(model.amount, None, "wiped with the verdict");
}

#[test]
fn a_family_is_one_group_and_its_cards_are_forgotten_when_it_is_closed() {
    let mut model = model();
    model.update(key(KeyCode::F(4)));
    for card in ["04784CDAEE3880", "04363CDAEE3880", "04784CDAEE3880"] {
        tapped(&mut model, card);
    }
    let cards = vec!["04784CDAEE3880".to_owned(), "04363CDAEE3880".to_owned()];
    assert_eq!(model.update(key(KeyCode::Char('d'))), [Command::LoadAmount(cards.clone())]);
    model.update(Message::Amount { cards, to_pay: Some(Cents(1200)) });
    insta::assert_snapshot!("group", screen(&model));
    model.update(key(KeyCode::Char('g')));
    let group = model.group.as_ref().unwrap();
    assert_eq!((group.closed, group.ok, group.points), (Some(2), 2, 3));
    assert!(group.cards.is_empty());
    tapped(&mut model, "04CEE7528E6180");
    assert_eq!(model.group, None, "the next visitor is no part of it");
}

#[test]
fn the_picture_is_shown_for_a_while_and_only_with_its_own_card() {
    let mut model = model();
    assert!(
        tapped(&mut model, "04A1B2C3D4E5F0")
            .contains(&Command::OpenHolder("04A1B2C3D4E5F0".to_owned()))
    );
    let other = "04784CDAEE3880".to_owned();
    model.update(Message::Holder { card: other, holder: Box::new(holder()) });
    assert!(model.shown.as_ref().unwrap().holder.is_none(), "another card's holder is dropped");
    let card = "04A1B2C3D4E5F0".to_owned();
    model.update(Message::Holder { card, holder: Box::new(holder()) });
    assert_eq!(model.seconds_of_picture(), Some(15));
    insta::assert_snapshot!("picture", screen(&model));
    let drawn = terminal(&model);
    let has = |red, blue| {
        let close = |colour| matches!(colour, Color::Rgb(r, _, b) if r.abs_diff(red) < 9 && b.abs_diff(blue) < 9);
        drawn.backend().buffer().content().iter().any(|cell| close(cell.fg) || close(cell.bg))
    };
    assert!(has(200, 40) && has(40, 200), "both halves of the picture are on the screen");
    model.update(tick(NOW + PICTURE_FOR));
    assert!(model.shown.as_ref().unwrap().holder.is_none());
    assert!(!screen(&model).contains("Sophie"));
}

#[test]
fn an_answer_says_which_rule_of_the_policy_it_rests_on() {
    let mut model = model();
    let rules = [
        PolicyRule::UnknownCard { taken_today: 3, most_a_day: Some(200) },
        PolicyRule::UnknownCard { taken_today: 3, most_a_day: None },
        PolicyRule::AccountAge { age: Some(90 * 3_600_000), points_allowed: Some(50) },
        PolicyRule::AccountAge { age: Some(90 * 3_600_000), points_allowed: None },
        PolicyRule::AccountAge { age: None, points_allowed: Some(0) },
    ];
    let mut seen = std::collections::BTreeSet::new();
    for rule in rules {
        let policy = Some(rule);
        let answer = Box::new(Answer { policy, ..answer(VerdictKind::Ok, None) });
        model.update(Message::Answered { answer, card: None });
        assert!(screen(&model).contains("Regel:"), "{rule:?}");
        assert!(seen.insert(screen(&model)));
    }
}

#[test]
fn a_reader_that_is_lost_is_said_unless_it_was_only_looked_for_and_another_one_is_there() {
    let lost = || ReaderEvent::Lost { why: NoReader::NotFound };
    let ready = || ReaderEvent::Ready { name: "reader".to_owned() };
    let is_lost = ReaderState::Lost(NoReader::NotFound);
    for (looked_for, expected) in [(false, is_lost.clone()), (true, ReaderState::Ready)] {
        let slots = vec![ReaderSlot::new(looked_for); 2];
        let mut model = Model::new(Language::Nl, slots, at(NOW));
        assert_eq!(model.reader(), ReaderState::Starting);
        model.update(Message::Reader { reader: 0, event: lost() });
        assert_eq!(model.reader(), is_lost);
        model.update(Message::Reader { reader: 1, event: ready() });
        assert_eq!(model.reader(), expected);
        model.update(Message::Reader { reader: 0, event: ready() });
        assert_eq!(model.reader(), ReaderState::Ready);
        // It was there, so that it is gone is worth a word, whoever else is there: a slot for identity
        // cards is a reader, too.
        model.update(Message::Reader { reader: 0, event: lost() });
        assert_eq!(model.reader(), is_lost);
        // Then the other driver found one: it may be the same.
        model.update(Message::Reader { reader: 1, event: lost() });
        model.update(Message::Reader { reader: 1, event: ready() });
        assert_eq!(model.reader(), expected);
    }
    assert_eq!(Model::new(Language::Nl, Vec::new(), at(NOW)).reader(), ReaderState::None);
}

/// What a reader cannot read is heard each time, and does not stay for ever.
#[test]
fn every_card_that_cannot_be_read_is_heard_and_the_word_about_it_goes() {
    let mut model = model();
    let fresh = screen(&model);
    let telephone = || Message::Reader { reader: 0, event: ReaderEvent::RandomUid };
    let heard = [Command::Signal(VerdictKind::Retry, Some(0))];
    assert_eq!(model.update(telephone()), heard);
    assert_eq!(model.update(telephone()), heard, "of the next visitor");
    assert!(screen(&model).contains("Vraag de pas zelf"));
    model.update(tick(NOW + SHOWN_FOR));
    model.update(tick(NOW));
    assert_eq!(screen(&model), fresh);
    model.update(telephone());
    model.update(key(KeyCode::F(6)));
    assert_eq!(screen(&model), fresh);
}

/// Whoever is asked to show the card again does so at once: that is no part of the same tap.
#[test]
fn a_card_whose_tap_came_to_nothing_is_forgotten_by_its_reader() {
    let mut model = model();
    let chip = "04784CDAEE3880".parse().unwrap();
    let card = ShownCard::on(0, Tap { chip, check: None });
    let forget = Command::Forget(card.clone());
    let mut forgets = |verdict, reason| {
        let answer = Box::new(answer(verdict, reason));
        model.update(Message::Answered { answer, card: Some(card.clone()) }).contains(&forget)
    };
    assert!(forgets(VerdictKind::Ask, Some(Reason::CardProofRequired)));
    assert!(forgets(VerdictKind::Retry, Some(Reason::CheckinCodeInvalid)));
    assert!(!forgets(VerdictKind::Ok, None));
    assert!(!forgets(VerdictKind::Again, Some(Reason::MaximumReached)));
    assert!(!forgets(VerdictKind::Stop, Some(Reason::CardBlocked)));
    let notice = Notice::BrokeOff { detail: "end of file".to_owned() };
    let tapped = || Some(card.clone());
    let signal = Command::Signal(VerdictKind::Retry, Some(0));
    let unknown = model.update(Message::Failed { notice, tapped: tapped() });
    assert_eq!(unknown, std::slice::from_ref(&signal), "nobody knows whether it was written");
    let notice = Notice::NoDaemon;
    assert_eq!(model.update(Message::Failed { notice, tapped: tapped() }), [signal, forget]);
    // A redemption's card has tapped already.
    let refused = Answer {
        kind: Kind::Redemption,
        ..answer(VerdictKind::Ask, Some(Reason::CardProofRequired))
    };
    let commands = model.update(Message::Answered { answer: Box::new(refused), card: tapped() });
    assert!(!commands.iter().any(|it| matches!(it, Command::Forget(_))));
}

#[test]
fn a_scan_is_a_tap_and_never_text_in_a_dialog() {
    let mut model = model();
    for dialog in [KeyCode::Char('0'), KeyCode::Char('?'), KeyCode::F(3)] {
        model.update(key(dialog));
        let commands = model.update(scan("MPM000112233"));
        assert_eq!(commands, [asks("MPM000112233".to_owned())]);
        assert_eq!(model.dialog, None);
    }
}

#[test]
fn an_activitys_code_is_for_the_next_card_only_and_not_for_ever() {
    let mut model = model();
    let chip: ChipNumber = "04784CDAEE3880".parse().unwrap();
    let tap = |model: &mut Model| {
        model.update(Message::Reader { reader: 0, event: ReaderEvent::tapped(chip) })
    };
    model.codes = Some(vec!["stempel:zaal".to_owned()]);
    let code = || scan("stempel:zaal");
    assert_eq!(model.update(code()), []);
    assert!(screen(&model).contains("Activiteit gescand"));
    let scanned = Some("stempel:zaal".to_owned());
    let expected = Command::Tap { card: on_reader(chip), code: scanned };
    assert_eq!(tap(&mut model), [expected]);
    assert_eq!(tap(&mut model), [asks(on_reader(chip))]);
    model.update(code());
    model.update(tick(NOW + SHOWN_FOR));
    assert_eq!(tap(&mut model), [asks(on_reader(chip))], "forgotten after a while");
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

/// What a card proved stands below the pass; what needs a proof says so among the rewards.
#[test]
fn a_card_that_proved_itself_is_said_to_and_a_forged_one_is_stopped() {
    let mut model = model();
    let shown = |authenticity, verdict, reason| Message::Answered {
        answer: Box::new(Answer { authenticity: Some(authenticity), ..answer(verdict, reason) }),
        card: None,
    };
    model.update(shown(Authenticity::Cryptographic, VerdictKind::Ok, None));
    assert!(screen(&model).contains("Echte kaart ✔"));
    model.update(shown(Authenticity::UidOnly, VerdictKind::Ok, None));
    assert!(!screen(&model).contains("kaart ✔"), "most cards can prove nothing: no word of it");
    let forged = Answer {
        authenticity: Some(Authenticity::Refuted),
        pass: None,
        ..answer(VerdictKind::Stop, Some(Reason::CardNotGenuine))
    };
    let commands = model.update(Message::Answered { answer: Box::new(forged), card: None });
    assert!(!commands.iter().any(|it| matches!(it, Command::OpenHolder(_))));
    insta::assert_snapshot!("a_forged_card", screen(&model));
}

/// A long word about the reader takes lines of its own: nobody can act on half a sentence.
#[test]
fn what_is_the_matter_with_a_reader_is_said_whole_on_the_smallest_screen() {
    let mut model = model();
    let others = vec!["ACS ACR1252 1S CL Reader".to_owned(), "HID OMNIKEY 5022 CL".to_owned()];
    let lost = ReaderEvent::Lost { why: NoReader::NotNamed { wanted: "kiosk".to_owned(), others } };
    model.update(Message::Reader { reader: 0, event: lost });
    insta::assert_snapshot!("a_reader_that_is_lost", screen(&model));
}

/// What waits while the desk is offline may fill its line: how reader, disk and clock are stands below it still.
#[test]
fn a_long_wait_does_not_push_the_desks_own_state_off_the_smallest_screen() {
    let mut model = model();
    let offline = HubLink::Offline { why: "the line broke".to_owned() };
    let waiting = Status { requests_waiting: 12, ..status(offline, 1_234) };
    model.update(Message::Daemon(Event::Status(Box::new(waiting))));
    let screen = screen(&model);
    for said in ["vragen wachten", "lezer ✔", "schijf ✔", "klok ✔"] {
        assert!(screen.contains(said), "{said} is not on\n{screen}");
    }
}

/// What was tapped last is what the screen is about, also where it failed: not the visitor before.
#[test]
fn a_tap_that_failed_takes_the_verdict_of_the_one_before_off_the_screen() {
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    let tapped = Some("04363CDAEE3880".to_owned().into());
    let problem = Problem::new(ProblemKind::Store, 500, "a page".to_owned());
    model.update(Message::Failed { notice: Notice::Problem(problem), tapped });
    let screen = screen(&model);
    assert!(screen.contains("De passenlijst kan niet gelezen worden."), "{screen}");
    assert!(!screen.contains("WELKOM"), "{screen}");
}

/// The word about what lies on the reader is newer than the verdict, and stands where there is room.
#[test]
fn two_cards_are_said_above_a_verdict_that_fills_its_box() {
    let mut model = model();
    let full = Answer {
        authenticity: Some(Authenticity::Cryptographic),
        title: Some("Festiviteit".to_owned()),
        ..answer(VerdictKind::Ok, None)
    };
    model.update(Message::Answered { answer: Box::new(full), card: None });
    model.update(Message::Reader { reader: 0, event: ReaderEvent::TwoCards });
    assert!(screen(&model).contains("Er liggen twee kaarten op de lezer."));
}

#[test]
fn the_amount_of_one_pass_is_not_called_that_of_a_group_that_is_closed() {
    let mut model = model();
    model.update(key(KeyCode::F(4)));
    tapped(&mut model, "04784CDAEE3880");
    model.update(key(KeyCode::F(4)));
    let cards = vec!["04784CDAEE3880".to_owned()];
    assert_eq!(model.update(key(KeyCode::F(5))), [Command::LoadAmount(cards.clone())]);
    model.update(Message::Amount { cards, to_pay: Some(Cents(200)) });
    assert_eq!(model.amount.map(|amount| amount.of_group), Some(false));
}

/// A visitor for whom nothing was counted is on the screen: the last entry is another visitor's.
#[test]
fn what_was_not_counted_is_not_taken_back_and_nobody_elses_entry_is() {
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.update(key(KeyCode::F(2))), [Command::Void(entry(3))]);
    model.update(answered(VerdictKind::Again, Some(Reason::MaximumReached)));
    assert_eq!(model.update(key(KeyCode::F(2))), []);
    assert!(screen(&model).contains("Er is niets"), "{}", screen(&model));
}

/// A key that stood alone, pressed when the screen showed this.
fn pressed(code: KeyCode, screen: u64) -> Message {
    Message::Input(Input::Key(Pressed { key: code.into(), at: NOW + SEEN_AFTER, screen }))
}

fn scan(text: &str) -> Message {
    Message::Input(Input::Line { text: text.to_owned(), by_hand: false })
}

/// Nobody's entry is taken back because a key was pressed twice, or a moment too late.
#[test]
fn what_is_not_on_the_screen_is_named_and_asked_before_it_is_taken_back() {
    let mut model = model();
    assert_eq!(model.update(key(KeyCode::F(2))), [], "there is nothing yet");
    assert!(screen(&model).contains("Er is niets"), "{}", screen(&model));
    model.update(Message::Daemon(Event::Row(Box::new(row(
        1,
        HubState::Waiting,
        Outcome::Counted,
    )))));
    assert_eq!(model.update(key(KeyCode::F(2))), [], "nobody is on the screen");
    let shown = screen(&model);
    assert!(shown.contains("Dit ongedaan maken? 14:03:12 · UiTPAS …0959"), "{shown}");
    insta::assert_snapshot!("take_back", shown);
    assert_eq!(model.update(key(KeyCode::Esc)), []);
    model.update(key(KeyCode::F(2)));
    assert_eq!(model.update(key(KeyCode::Char('j'))), [Command::Void(entry(3))]);
    // Another visitor's verdict came between the key and the quiet behind it.
    let before = model.screen;
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.update(pressed(KeyCode::F(2), before)), []);
    assert!(matches!(model.dialog, Some(Dialog::Question(Question::TakeBack(_)))));
    // What is asked is about what was on the screen: the next visitor ends it.
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.dialog, None);
    let now = model.screen;
    assert_eq!(model.update(pressed(KeyCode::F(2), now)), [Command::Void(entry(3))]);
    let taken_back = Answer { kind: Kind::Void, ..answer(VerdictKind::Ok, None) };
    model.update(Message::Answered { answer: Box::new(taken_back), card: None });
    assert_eq!(model.update(key(KeyCode::F(2))), [], "a second time it is another's entry");
    assert!(matches!(model.dialog, Some(Dialog::Question(_))));
}

#[test]
fn what_cannot_be_read_takes_the_verdict_off_and_leaves_the_next_visitor_alone() {
    for text in ["STAFF-0042", "090000009590", "àçààààà§è(&\"", "09000000959020900000067513"]
    {
        let mut model = model();
        model.codes = Some(vec!["stempel:5a0967f9".to_owned()]);
        model.update(answered(VerdictKind::Ok, None));
        let commands = model.update(scan(text));
        assert_eq!(commands, [Command::Signal(VerdictKind::Retry, None)], "{text}");
        assert!(!screen(&model).contains("WELKOM"), "{}", screen(&model));
        assert!(screen(&model).contains("Niet gelezen"), "{}", screen(&model));
        let next = model.update(scan("0900000067513"));
        assert_eq!(next, [asks("0900000067513".to_owned())], "{text}");
    }
    let mut model = model();
    model.update(scan("STAFF-0042"));
    insta::assert_snapshot!("not_read", screen(&model));
}

/// The code of an activity is one of the desk's own, whatever the scanner made of its letters.
#[test]
fn an_activitys_code_is_for_the_next_card_and_takes_the_visitor_before_off() {
    let mut model = model();
    let status = Event::Status(Box::new(status(HubLink::Connected, 0)));
    assert_eq!(model.update(Message::Daemon(status.clone())), [Command::LoadCodes(28)]);
    let codes = vec!["stempel:5a0967f9".to_owned()];
    model.update(Message::Codes { codes, catalogue_version: 28 });
    assert_eq!(model.update(Message::Daemon(status)), [], "they are known");
    model.update(answered(VerdictKind::Ok, None));
    assert_eq!(model.update(scan("STEMPEL:5A0967F9")), []);
    assert!(!screen(&model).contains("WELKOM"), "{}", screen(&model));
    let code = Some("stempel:5a0967f9".to_owned());
    let card = "0900000067513".to_owned().into();
    assert_eq!(model.update(scan("0900000067513")), [Command::Tap { card, code }]);
}

#[test]
fn after_the_console_is_quit_nothing_acts() {
    let control_c = || Message::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    for (asks, says_yes) in [
        (key(KeyCode::Char('q')), key(KeyCode::Enter)),
        (control_c(), control_c()),
        (control_c(), key(KeyCode::Char('y'))),
    ] {
        let mut model = model();
        model.update(answered(VerdictKind::Ok, None));
        model.update(asks);
        assert!(screen(&model).contains("Stoppen?"), "{}", screen(&model));
        assert!(!model.over);
        model.update(says_yes);
        assert!(model.over);
        for after in [scan("0900000067513"), key(KeyCode::F(2)), answered(VerdictKind::Ok, None)] {
            assert_eq!(model.update(after), []);
        }
    }
}

#[test]
fn characters_in_quick_succession_are_input_or_nothing() {
    let unfinished = |text: &str| Message::Input(Input::Unfinished(text.to_owned()));
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    for text in ["uq", "u", "qu"] {
        assert_eq!(model.update(Message::Input(Input::Text(text.to_owned()))), []);
        assert_eq!(model.dialog, None, "{text}");
        assert!(screen(&model).contains("te snel na elkaar"), "{}", screen(&model));
    }
    assert!(model.shown.is_some(), "nobody scanned anything");
    let commands = model.update(unfinished("stempel:quit"));
    assert_eq!(commands, [Command::Signal(VerdictKind::Retry, None)]);
    assert!(screen(&model).contains("stuurt geen Enter"), "{}", screen(&model));
    // The next visitor's scan is another, and a code that came in pieces is one.
    assert_eq!(model.update(scan("0900000067513")), [asks("0900000067513".to_owned())]);
    model.update(unfinished("09000"));
    assert_eq!(model.update(scan("00095902")), [asks("0900000095902".to_owned())]);
    model.update(unfinished("09001"));
    let rest = model.update(scan("00095902"));
    assert_eq!(rest, [Command::Signal(VerdictKind::Retry, None)], "no chip has this number");
    // What a person types goes on, at whatever speed.
    model.update(Message::Input(Input::Text("0900".to_owned())));
    model.update(Message::Input(Input::Text("000095".to_owned())));
    let end = Message::Input(Input::Line { text: "902".to_owned(), by_hand: true });
    assert_eq!(model.update(end), [asks("0900000095902".to_owned())]);
}

#[test]
fn a_paste_is_a_line_or_waits_for_enter_and_is_never_a_command() {
    let paste = |text: &str| Message::Pasted(text.to_owned());
    let mut model = model();
    model.update(answered(VerdictKind::Ok, None));
    for text in ["u", "q", "uq\n", "quit\r\n", "\n"] {
        assert!(!model.update(paste(text)).iter().any(|it| matches!(it, Command::Void(_))));
        assert!(!model.over && model.dialog.is_none(), "{text}");
    }
    assert_eq!(model.update(paste("0900000067513\n")), [asks("0900000067513".to_owned())]);
    assert_eq!(model.update(paste("0900000067513")), [], "whoever pasted it presses Enter");
    assert_eq!(model.update(key(KeyCode::Enter)), [asks("0900000067513".to_owned())]);
    let two = model.update(paste("0900000067513\n0900000095902\n"));
    assert_eq!(two, [Command::Signal(VerdictKind::Retry, None)]);
}

mod clocks;
mod status;
