//! A monkey at the console: random keys, scans, pastes, cards, stops and resizes, against the console's own model. Nothing
//! is written or taken back that was not asked for.
//!
//! What was asked for is told from the keys and their times alone, apart from the code that reads them. A run that fails
//! says its seed: `MONKEY_SEED=… cargo nextest run -p tui monkey` does the same again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::entry::EntryRef;
use crdt_model::ids::ChipNumber;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use desk_api::types::{
    ActivityView, Answer, Event, HistoryRow, HubState, Kind, Outcome, RewardView,
};
use hardware::reader::ReaderEvent;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui_image::picker::Picker;
use tui::app::{Command, Dialog, Message, Model, Question, ReaderSlot};
use tui::clock::Moment;
use tui::i18n::{Language, Texts};
use tui::scan::wedge::{Input, Pressed, Wedge};
use tui::scan::{Layout, Settings};
use tui::screens::desk::{Drawing, draw};
use tui::screens::picture::Pictures;
use tui::theme::Theme;

const EVENTS: u64 = 100_000;
const NOW: i64 = 1_795_266_192_000;
const NUMBERS: [&str; 4] = ["0900000095902", "0900000067513", "1000000520006", "MPM000112233"];
const CODES: [&str; 2] = ["stempel:5a0967f9", "quit-uq2"];
const JUNK: [&str; 7] = [
    "STAFF-0042",
    "uq",
    "quit",
    "090000009590",
    "hello\u{1d}u",
    "juqy",
    "https://example.org/?q=u",
];

/// SplitMix64: the same on every machine, and nothing to depend on.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn milliseconds(&mut self, most: usize) -> i64 {
        i64::try_from(self.below(most + 1)).unwrap()
    }
}

/// Says how to do the same again, where a run fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the same again: MONKEY_SEED={} cargo nextest run -p tui monkey", self.0);
        }
    }
}

struct World {
    random: Random,
    /// Milliseconds since it began.
    now: i64,
    wedge: Wedge,
    model: Model,
    /// What the daemon and the readers will say, and when.
    coming: BTreeMap<(i64, u64), Message>,
    counter: u64,
    /// Every key that a scanner could have sent, too.
    strokes: Vec<(i64, KeyEvent)>,
    /// The entry that each screen was about.
    about: BTreeMap<u64, Option<EntryRef>>,
    /// Numbers that were typed, scanned or pasted whole.
    numbers: BTreeSet<String>,
    /// Ends of lines that are not yet a tap.
    ends: i64,
    done: BTreeMap<&'static str, u64>,
}

fn control(c: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)
}

fn fresh() -> Model {
    let mut model =
        Model::new(Language::Nl, vec![ReaderSlot::new(false)], Moment { wall: NOW, steady: 0 });
    model.codes = Some(CODES.map(str::to_owned).to_vec());
    model
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            now: 10_000,
            wedge: Wedge::new(Settings::default()),
            model: fresh(),
            coming: BTreeMap::new(),
            counter: 0,
            strokes: Vec::new(),
            about: BTreeMap::new(),
            numbers: BTreeSet::new(),
            ends: 0,
            done: BTreeMap::new(),
        }
    }

    /// The key as it is pressed now.
    fn press(&mut self, key: KeyEvent) {
        let moves =
            matches!(key.code, KeyCode::Up | KeyCode::Down | KeyCode::Esc | KeyCode::Backspace);
        if !moves {
            self.strokes.push((self.now, key));
        }
        if matches!(key.code, KeyCode::Enter | KeyCode::Tab)
            || key.modifiers == KeyModifiers::CONTROL
        {
            self.ends += 1;
        }
        let shown = self.model.shown.as_ref().and_then(|shown| shown.answer.entry);
        self.about.insert(self.model.screen, shown);
        let pressed = Pressed { key, at: self.now, screen: self.model.screen };
        let inputs = self.wedge.key(pressed);
        self.feed_all(inputs);
    }

    fn feed_all(&mut self, inputs: Vec<Input>) {
        for input in inputs {
            self.feed(Message::Input(input));
        }
    }

    /// So many milliseconds go by: what is due in them happens.
    fn pass(&mut self, milliseconds: i64) {
        let target = self.now + milliseconds;
        loop {
            let message = self.coming.keys().next().map(|(at, _)| *at);
            let next =
                [self.wedge.due(), message, Some(target)].into_iter().flatten().min().unwrap();
            self.now = self.now.max(next);
            let inputs = self.wedge.expire(self.now);
            self.feed_all(inputs);
            if let Some(at) = message
                && at <= self.now
            {
                let (_, message) = self.coming.pop_first().unwrap();
                self.feed(message);
            } else if self.now >= target {
                break;
            }
        }
        self.feed(Message::Tick(Moment { wall: NOW + self.now, steady: self.now }));
    }

    /// Whether this key stood alone: nothing that a scanner could have sent came near it, but the key itself where it is
    /// held down.
    fn stood_alone(&self, pressed: &Pressed) -> bool {
        let quiet = Settings::default().quiet();
        let near = self.strokes.iter().rev().take_while(|(at, _)| *at >= pressed.at - quiet);
        let near: Vec<_> = near.filter(|(at, _)| (*at - pressed.at).abs() <= quiet).collect();
        let letter =
            matches!(pressed.key.code, KeyCode::Char(_)) && pressed.key.modifiers.is_empty();
        near.iter().all(|(_, key)| *key == pressed.key) && (!letter || near.len() == 1)
    }

    fn feed(&mut self, message: Message) {
        let before = self.model.dialog.clone();
        let was_over = self.model.over;
        let key = match &message {
            Message::Input(Input::Key(pressed)) => Some(*pressed),
            _ => None,
        };
        let alone = key.filter(|pressed| self.stood_alone(pressed));
        let code = alone.map(|pressed| pressed.key.code);
        let yes = matches!(code, Some(KeyCode::Enter | KeyCode::Char('j' | 'J' | 'y' | 'Y')));
        let line = matches!(message, Message::Input(Input::Line { .. }) | Message::Pasted(_))
            || code == Some(KeyCode::Enter);
        let on_reader = match &message {
            Message::Reader { event: ReaderEvent::Tapped(tap), .. } => Some(tap.chip.to_string()),
            _ => None,
        };
        let text = format!("{message:?}");
        for command in self.model.update(message) {
            assert!(!was_over, "after it was quit: {command:?}");
            match &command {
                Command::Void(entry) => {
                    let meant = alone.and_then(|it| self.about.get(&it.screen).copied().flatten());
                    let by_key = code == Some(KeyCode::F(2)) && meant == Some(*entry);
                    let asked = matches!(&before, Some(Dialog::Question(Question::TakeBack(answer))) if answer.entry == Some(*entry));
                    assert!(by_key || (yes && asked), "nobody took {entry} back: {text}");
                    self.count("taken back");
                }
                Command::Tap { card, .. } if on_reader.as_ref() == Some(&card.number) => {
                    self.count("tapped");
                }
                Command::Tap { card, .. } => {
                    assert!(line, "nobody ended a line: {text}");
                    self.ends -= 1;
                    assert!(self.ends >= 0, "more taps than lines: {text}");
                    let known = self.numbers.contains(&card.number);
                    assert!(
                        known || self.was_typed(&card.number),
                        "nobody scanned {}",
                        card.number
                    );
                    self.count("scanned");
                }
                Command::Redeem { .. } => {
                    assert!(
                        code == Some(KeyCode::Enter) && matches!(before, Some(Dialog::Rewards(_))),
                        "{text}"
                    );
                    self.count("redeemed");
                }
                Command::ChooseActivity(_) => {
                    assert!(
                        code == Some(KeyCode::Enter)
                            && matches!(before, Some(Dialog::Activities(..))),
                        "{text}"
                    );
                    self.count("chosen");
                }
                _ => {}
            }
            self.answer(command);
        }
        if self.model.over && !was_over {
            let interrupt = code == Some(KeyCode::Char('c'));
            let asked = before == Some(Dialog::Question(Question::Quit));
            let keys = &self.strokes[self.strokes.len().saturating_sub(6)..];
            assert!(
                asked && (yes || interrupt),
                "nobody quit it: {before:?} {text} after {keys:?}"
            );
            self.count("quit");
        }
    }

    /// Whether this number was typed key by key, in order.
    fn was_typed(&self, number: &str) -> bool {
        let typed: String = self.strokes[self.strokes.len().saturating_sub(600)..]
            .iter()
            .filter_map(|(_, key)| match key.code {
                KeyCode::Char(c) if key.modifiers.difference(KeyModifiers::SHIFT).is_empty() => {
                    Some(c.to_ascii_uppercase())
                }
                _ => None,
            })
            .collect();
        let bare = number.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        let typed: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut wanted = bare.chars().peekable();
        for c in typed.chars() {
            wanted.next_if_eq(&c);
        }
        wanted.peek().is_none()
    }

    fn count(&mut self, what: &'static str) {
        *self.done.entry(what).or_default() += 1;
    }

    fn later(&mut self, message: Message) {
        self.counter += 1;
        let at = self.now + self.random.milliseconds(300);
        self.coming.insert((at, self.counter), message);
    }

    /// What the daemon says to a command.
    fn answer(&mut self, command: Command) {
        self.counter += 1;
        let entry: EntryRef =
            format!("2026-11-21/{}.00000001/{}", "ab".repeat(16), self.counter).parse().unwrap();
        let at = NOW + self.now;
        match command {
            Command::Tap { card, .. } => {
                let counted = self.random.below(4) > 0;
                let answer = Answer {
                    entry: counted.then_some(entry),
                    verdict: if counted { VerdictKind::Ok } else { VerdictKind::Again },
                    reason: (!counted).then_some(Reason::MaximumReached),
                    ..Answer::without_pass(Kind::CheckIn, at)
                };
                let row = HistoryRow {
                    id: self.counter,
                    answer: answer.clone(),
                    hub: HubState::Waiting,
                    outcome: Outcome::Counted,
                };
                let rewards =
                    Message::Rewards { card: card.number.clone(), rewards: vec![reward()] };
                self.later(Message::Answered { answer: Box::new(answer), card: Some(card) });
                self.later(Message::Daemon(Event::Row(Box::new(row))));
                self.later(rewards);
            }
            Command::Void(_) | Command::Redeem { .. } => {
                let kind =
                    if matches!(command, Command::Void(_)) { Kind::Void } else { Kind::Redemption };
                let answer = Answer { entry: Some(entry), ..Answer::without_pass(kind, at) };
                self.later(Message::Answered { answer: Box::new(answer), card: None });
            }
            Command::LoadActivities => self.later(Message::Activities(vec![activity(); 2])),
            _ => {}
        }
    }

    /// Characters one after the other, with their end.
    fn type_out(&mut self, text: &str, gap: i64, end: &[KeyEvent]) {
        for c in text.chars() {
            let key = match c {
                '\u{1}'..='\u{1a}' => control(char::from(c as u8 + b'a' - 1)),
                '\u{1c}'..='\u{1f}' => control(char::from(c as u8 + b'4' - 0x1c)),
                c => KeyCode::Char(c).into(),
            };
            self.press(key);
            self.pass(gap);
        }
        for key in end {
            self.press(*key);
            self.pass(gap);
        }
    }

    /// What a scanner makes of a number, in one of its habits.
    fn habit(&mut self, number: &str) -> String {
        match self.random.below(8) {
            0 => format!("]C1{number}"),
            1 => format!("\u{2}{number}\u{3}"),
            2 => Layout::Belgian.of_scanner(Layout::Qwerty, number).unwrap_or_default(),
            3 => number.to_lowercase(),
            4 => format!("{number}{number}"),
            _ => number.to_owned(),
        }
    }

    fn scan(&mut self) {
        let number = self.random.of(&NUMBERS);
        let text = match self.random.below(10) {
            0..=6 => self.habit(number),
            7 => self.random.of(&CODES).to_owned(),
            _ => self.random.of(&JUNK).to_owned(),
        };
        self.numbers.extend([number.to_owned(), number.to_lowercase()]);
        let gap = self.random.of(&[0, 1, 4, 15, 30, 50, 60, 80, 120, 200]);
        let ends: [&[KeyEvent]; 6] = [
            &[KeyCode::Enter.into()],
            &[KeyCode::Enter.into()],
            &[KeyCode::Tab.into()],
            &[control('j')],
            &[KeyCode::Enter.into(), control('j')],
            &[],
        ];
        let end = ends[self.random.below(6)].to_vec();
        self.type_out(&text, gap, &end);
    }

    /// A good number from a scanner that is set as it should be, with quiet around it: it must be a tap.
    fn good_scan(&mut self) {
        self.pass(2_000);
        if self.model.over {
            return;
        }
        let number = self.random.of(&NUMBERS);
        let before = self.done.get("scanned").copied().unwrap_or_default();
        let gap = self.random.of(&[0, 4, 50]);
        self.type_out(number, gap, &[KeyCode::Enter.into()]);
        self.pass(400);
        let after = self.done.get("scanned").copied().unwrap_or_default();
        let (dialog, notice) = (&self.model.dialog, &self.model.notice);
        assert_eq!(after, before + 1, "a good scan is a tap: {dialog:?}, {notice:?}");
    }

    fn key(&mut self) {
        let letters = "uzgdwl?vaqjyQU0123456789 mn";
        let key = match self.random.below(10) {
            0..=3 => {
                KeyCode::Char(letters.chars().nth(self.random.below(letters.len())).unwrap()).into()
            }
            4 => KeyCode::F(u8::try_from(2 + self.random.below(8)).unwrap()).into(),
            5 => KeyCode::F(2).into(),
            6 => KeyCode::Enter.into(),
            7 => self
                .random
                .of(&[KeyCode::Up, KeyCode::Down, KeyCode::Esc, KeyCode::Backspace])
                .into(),
            8 => control(self.random.of(&['a', 'b', 'c', 'j', 'x'])),
            _ => KeyEvent::new(KeyCode::Char('u'), KeyModifiers::ALT),
        };
        let repeats = if self.random.below(12) == 0 { self.random.below(6) } else { 0 };
        for _ in 0..=repeats {
            self.press(key);
            self.pass(30);
        }
    }

    fn paste(&mut self) {
        let number = self.random.of(&NUMBERS);
        let text = match self.random.below(4) {
            0 => number.to_owned(),
            1 => format!("{number}\n"),
            2 => format!("{number}\nuq\n"),
            _ => self.random.of(&JUNK).to_owned() + "\n",
        };
        self.numbers.insert(number.to_owned());
        self.ends += 1;
        self.strokes.push((self.now, KeyCode::Null.into()));
        let inputs = self.wedge.paste(self.now);
        self.feed_all(inputs);
        self.feed(Message::Pasted(text));
    }

    fn event(&mut self) {
        match self.random.below(100) {
            0..=34 => self.key(),
            35..=59 => self.scan(),
            60..=64 => self.good_scan(),
            65..=69 => self.paste(),
            70..=77 => {
                let chip: ChipNumber = "04784CDAEE3880".parse().unwrap();
                self.feed(Message::Reader { reader: 0, event: ReaderEvent::tapped(chip) });
            }
            78 => {
                // The process was stopped: everything that was typed meanwhile comes at once.
                self.now += 5_000;
                self.type_out("uq0900", 0, &[]);
            }
            79 => self.feed(Message::DaemonGone),
            80 => {
                // A person who knows what they do.
                let opens = self.random.of(&['v', 'a', 'u']);
                for key in [KeyCode::Char(opens), KeyCode::Enter] {
                    self.pass(700);
                    self.press(key.into());
                }
                self.pass(700);
            }
            _ => {}
        }
        let pause = self.random.of(&[0, 0, 5, 40, 120, 240, 260, 400, 1_500]);
        self.pass(pause);
        if self.model.over {
            // Nothing that comes behind it acts.
            self.type_out("0900000095902", 0, &[KeyCode::Enter.into()]);
            self.pass(400);
            self.model = fresh();
        }
        if self.strokes.len() > 4_000 {
            self.strokes.drain(..2_000);
        }
    }
}

fn reward() -> RewardView {
    RewardView {
        reward_id: "5687".to_owned(),
        title: "Voordeel".to_owned(),
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

fn activity() -> ActivityView {
    ActivityView {
        event_id: "5a0967f9".to_owned(),
        title: "Festiviteit".to_owned(),
        checkin_points: 1,
        chosen: true,
        open: true,
        prices: Vec::new(),
        checkin_codes: vec![CODES[0].to_owned()],
    }
}

#[test]
fn a_monkey_at_the_console_writes_and_takes_back_nothing_that_it_did_not_ask_for() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("MONKEY_SEED").unwrap_or(20_261_121);
    let _replay = Replay(seed);
    let mut world = World::new(seed);
    let drawing = Drawing {
        texts: Texts::new(Language::Nl),
        theme: Theme::Plain,
        pictures: Pictures::new(Picker::halfblocks()),
    };
    for event in 0..number("MONKEY_EVENTS").unwrap_or(EVENTS) {
        world.event();
        // A window may be made any size.
        if event % 500 == 0 {
            let (width, height) = (1 + world.random.below(120), 1 + world.random.below(50));
            let backend =
                TestBackend::new(u16::try_from(width).unwrap(), u16::try_from(height).unwrap());
            let mut terminal = Terminal::new(backend).unwrap();
            terminal.draw(|frame| draw(frame, &world.model, &drawing)).unwrap();
        }
    }
    println!("{:?}", world.done);
    for what in ["tapped", "scanned", "taken back", "redeemed", "chosen", "quit"] {
        assert!(
            world.done.contains_key(what),
            "the monkey never got as far as {what}: {:?}",
            world.done
        );
    }
}
