//! The console's model, and what every message makes of it. Pure: time, keys, cards and answers come
//! in as messages, and what is to be done comes out as commands.

use crdt_model::authenticity::Authenticity;
use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::entry::EntryRef;
use crdt_model::money::Cents;
use crossterm::event::KeyEvent;
use desk_api::types::{ActivityView, Answer, Event, HistoryRow, Kind, RewardView, Status};
use hardware::reader::{NoReader, ReaderEvent, Tap};

use crate::clock::Moment;
use crate::holder::Holder;
use crate::i18n::{Language, Notice};
use crate::scan::wedge::Input;
use crate::scan::{Settings, Source};

mod group;
mod input;
mod questions;

pub use self::group::{Amount, Group};
pub use self::questions::Question;

/// So long a verdict stays on the screen, in milliseconds.
pub const SHOWN_FOR: i64 = 30_000;

/// So long a picture stays on the screen, in milliseconds.
pub const PICTURE_FOR: i64 = 15_000;

/// So long an amount stays on the screen, in milliseconds.
pub const AMOUNT_FOR: i64 = 3_000;

/// Rows of the history that are kept.
const ROWS: usize = 100;

/// A card as it was shown: its number and, where it lay on a reader, the check that was made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCard {
    /// The number, as `POST /v1/taps` takes it.
    pub number: String,
    /// The name of the check.
    pub check: Option<String>,
    /// Which reader it lay on.
    pub reader: Option<usize>,
}

impl From<String> for ShownCard {
    /// A card whose number was typed or scanned.
    fn from(number: String) -> Self {
        Self { number, check: None, reader: None }
    }
}

impl ShownCard {
    /// A card that was put on this reader.
    pub fn on(reader: usize, tap: Tap) -> Self {
        Self { number: tap.chip.to_string(), check: tap.check, reader: Some(reader) }
    }
}

/// What happens.
#[derive(Debug)]
pub enum Message {
    /// The clocks.
    Tick(Moment),
    /// A key was pressed, and nothing else with it.
    Key(KeyEvent),
    /// What was typed or scanned.
    Input(Input),
    /// Text was pasted.
    Pasted(String),
    /// A line was typed or scanned, by this.
    Line(String, Source),
    /// A reader says something.
    Reader {
        /// Which, in the order in which they were chosen.
        reader: usize,
        /// What.
        event: ReaderEvent,
    },
    /// The daemon says something.
    Daemon(Event),
    /// The daemon does not answer.
    DaemonGone,
    /// The last taps, newest first.
    History(Vec<HistoryRow>),
    /// An answer came. `card` is the card it is about, where one was shown.
    Answered {
        /// What the daemon says.
        answer: Box<Answer>,
        /// The card.
        card: Option<ShownCard>,
    },
    /// There is no answer.
    Failed {
        /// Why.
        notice: Notice,
        /// The card, where it was its tap that failed.
        tapped: Option<ShownCard>,
    },
    /// What the pass with this card can have.
    Rewards {
        /// The card's number.
        card: String,
        /// What it can have.
        rewards: Vec<RewardView>,
    },
    /// What is to be paid, by one pass or by a group.
    Amount {
        /// The numbers of the cards.
        cards: Vec<String>,
        /// The amount; nothing where no price is known.
        to_pay: Option<Cents>,
    },
    /// The sealed part of the pass with this card is open.
    Holder {
        /// The card that opened it.
        card: String,
        /// Its holder.
        holder: Box<Holder>,
    },
    /// The venue's activities.
    Activities(Vec<ActivityView>),
    /// The check-in codes of the venue's activities.
    Codes {
        /// The codes.
        codes: Vec<String>,
        /// The version of the catalogue that has them, or an earlier one.
        catalogue_version: u64,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Ask the daemon about a card.
    Tap {
        /// The card.
        card: ShownCard,
        /// An activity's code that was scanned before.
        code: Option<String>,
    },
    /// Hand out a reward.
    Redeem {
        /// To whom.
        card: ShownCard,
        /// Which.
        reward_id: String,
    },
    /// Take this entry back.
    Void(EntryRef),
    /// Ask what a pass can have.
    LoadRewards(ShownCard),
    /// Ask what a ticket costs each of these cards, and add it up.
    LoadAmount(Vec<String>),
    /// Open the sealed part of a pass with its card.
    OpenHolder(String),
    /// Ask for the activities.
    LoadActivities,
    /// Ask for the check-in codes of the activities, as of this version of the catalogue.
    LoadCodes(u64),
    /// Choose the activity.
    ChooseActivity(String),
    /// Let a verdict be heard and seen beside the screen, on this reader where the card lies on one.
    Signal(VerdictKind, Option<usize>),
    /// Have its reader forget a card whose tap came to nothing: it is to be shown again.
    Forget(ShownCard),
}

/// How the reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReaderState {
    /// None was asked for.
    None,
    /// It has not said yet how it is.
    Starting,
    /// It works.
    Ready,
    /// It is gone.
    Lost(NoReader),
}

/// A reader, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderSlot {
    /// How it is.
    pub state: ReaderState,
    /// Nobody has said that it is there: it is looked for.
    pub looked_for: bool,
    /// It was looked for, and it was there: so it may not be missing any more.
    was_there: bool,
}

impl ReaderSlot {
    /// A reader that has not said anything.
    pub fn new(looked_for: bool) -> Self {
        Self { state: ReaderState::Starting, looked_for, was_there: false }
    }

    fn is_lost(&self) -> bool {
        matches!(self.state, ReaderState::Lost(_))
    }
}

/// What lies over the desk's screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Dialog {
    /// Help.
    Help,
    /// A number is being typed.
    Number(String),
    /// An activity is being chosen.
    Activities(Vec<ActivityView>, usize),
    /// A reward is being chosen.
    Rewards(usize),
    /// Something is asked again before it is done.
    Question(Question),
}

/// The verdict on the screen.
#[derive(Debug)]
pub struct Shown {
    /// The answer.
    pub answer: Answer,
    /// The card, kept only as long as it is on the screen, so that a reward can follow.
    pub card: Option<ShownCard>,
    /// What the pass can have.
    pub rewards: Vec<RewardView>,
    /// Whose it is, where the card opened that.
    pub holder: Option<Box<Holder>>,
    /// When it came ([`Moment::steady`]).
    pub since: i64,
}

/// Everything that the console knows.
#[derive(Debug)]
pub struct Model {
    /// The clocks. Whatever is kept "and when" has the steady one's time.
    pub now: Moment,
    /// The language.
    pub language: Language,
    /// The desk's state; `None` before the daemon first answered, or while it does not.
    pub status: Option<Status>,
    /// The last taps, newest first.
    pub rows: Vec<HistoryRow>,
    /// The verdict on the screen.
    pub shown: Option<Shown>,
    /// What is to be paid, for a moment.
    pub amount: Option<Amount>,
    /// A group that is coming in, or just came.
    pub group: Option<Group>,
    /// What lies over it.
    pub dialog: Option<Dialog>,
    /// What of a number was typed when a card took the screen, and when: whoever was typing goes on.
    pub put_by: Option<(String, i64)>,
    /// How the readers are, in the order in which they were chosen.
    pub readers: Vec<ReaderSlot>,
    /// An activity's code that was scanned, for the next card, and when.
    pub code: Option<(String, i64)>,
    /// How the scanner is set.
    pub scanner: Settings,
    /// The check-in codes of the desk's activities; nothing before the daemon has said them.
    pub codes: Option<Vec<String>>,
    /// The version of the catalogue as of which the codes are known.
    pub codes_version: Option<u64>,
    /// Counts up with each verdict that comes or goes: whoever pressed a key meant what the screen showed then.
    pub screen: u64,
    /// What was scanned last without an end, and when: a code that stops in its middle may go on.
    pub broken: Option<(String, i64)>,
    /// What a person is typing, before it is complete.
    pub typing: Option<String>,
    /// What just failed, and when.
    pub notice: Option<(Notice, i64)>,
    /// What a reader last could not read, and when.
    pub reader_notice: Option<(ReaderEvent, i64)>,
    /// Whether the console is to end.
    pub over: bool,
}

impl Model {
    /// The model before anything has happened.
    pub fn new(language: Language, readers: Vec<ReaderSlot>, now: Moment) -> Self {
        Self {
            now,
            language,
            status: None,
            rows: Vec::new(),
            shown: None,
            amount: None,
            group: None,
            dialog: None,
            put_by: None,
            readers,
            code: None,
            scanner: Settings::default(),
            codes: None,
            codes_version: None,
            screen: 0,
            broken: None,
            typing: None,
            notice: None,
            reader_notice: None,
            over: false,
        }
    }

    /// Seconds until the verdict is wiped.
    pub fn seconds_shown(&self) -> i64 {
        self.shown
            .as_ref()
            .map_or(0, |shown| (shown.since + SHOWN_FOR - self.now.steady + 999) / 1000)
    }

    /// Seconds until the picture is wiped; nothing where there is none.
    pub fn seconds_of_picture(&self) -> Option<i64> {
        let shown = self.shown.as_ref()?;
        shown.holder.as_ref()?.picture()?;
        let left = shown.since + PICTURE_FOR - self.now.steady;
        (left > 0).then_some((left + 999) / 1000)
    }

    /// The time that the desk goes by: this computer's clock, or what the desk makes of it where that is wrong.
    pub fn desk_time(&self) -> i64 {
        let correction = self.status.as_ref().map_or(0, |status| status.clock_correction);
        self.now.wall.saturating_add(correction)
    }

    /// Milliseconds left to take back what is on the screen, where that is possible.
    pub fn undo_left(&self) -> Option<i64> {
        let shown = self.shown.as_ref()?;
        let window = self.status.as_ref()?.undo_window;
        let takes_back = shown.answer.entry.is_some() && shown.answer.kind != Kind::Void;
        let left = shown.answer.at + window - self.desk_time();
        (takes_back && left > 0).then_some(left)
    }

    /// What a message makes of the model, and what is to be done.
    pub fn update(&mut self, message: Message) -> Vec<Command> {
        if self.over {
            return Vec::new(); // Input after the quit key is discarded.
        }
        match message {
            Message::Tick(now) => self.tick(now),
            Message::Key(key) => return self.pressed(&key, false),
            Message::Input(input) => return self.input(input),
            Message::Pasted(text) => return self.pasted(&text),
            Message::Line(line, source) => return self.line(&line, source),
            Message::Reader { reader, event } => return self.heard_reader(reader, event),
            Message::Daemon(event) => return self.daemon(event),
            Message::DaemonGone => self.status = None,
            Message::History(rows) => self.rows = rows,
            Message::Answered { answer, card } => return self.answered(*answer, card),
            Message::Failed { notice, tapped } => return self.failed(notice, tapped),
            // What is being chosen is a place in the list on the screen: another list may have something else there.
            Message::Rewards { .. } if matches!(self.dialog, Some(Dialog::Rewards(_))) => {}
            // Another card may lie there meanwhile: then nobody sees what came for the one before.
            Message::Rewards { card, rewards } => {
                if let Some(shown) = self.shown_with(&card) {
                    shown.rewards = rewards;
                }
            }
            Message::Amount { cards, to_pay } => {
                if cards == self.cards_to_pay() {
                    let of_group = self.open_group().is_some();
                    self.amount = Some(Amount { to_pay, of_group, since: self.now.steady });
                }
            }
            Message::Holder { card, holder } => {
                if let Some(shown) = self.shown_with(&card) {
                    shown.holder = Some(holder);
                }
            }
            // Whoever began to type meanwhile is not to choose with the Enter behind it.
            Message::Activities(_) if self.dialog.is_some() => {}
            Message::Activities(activities) => {
                let chosen = activities.iter().position(|a| a.chosen).unwrap_or_default();
                self.dialog = Some(Dialog::Activities(activities, chosen));
            }
            Message::Codes { codes, catalogue_version } => {
                self.codes = Some(codes);
                self.codes_version = Some(catalogue_version);
            }
        }
        Vec::new()
    }

    /// What is on the screen, where it is about the card with this number.
    fn shown_with(&mut self, card: &str) -> Option<&mut Shown> {
        let shown = self.shown.as_mut()?;
        shown.card.as_ref().is_some_and(|shown| shown.number == card).then_some(shown)
    }

    fn tick(&mut self, moment: Moment) {
        self.now = moment;
        let now = moment.steady;
        self.notice.take_if(|(_, since)| now >= *since + SHOWN_FOR);
        self.reader_notice.take_if(|(_, since)| now >= *since + SHOWN_FOR);
        if self.code.as_ref().is_some_and(|(_, since)| now >= since + SHOWN_FOR) {
            self.code = None;
        }
        if self.amount.is_some_and(|amount| now >= amount.since + AMOUNT_FOR) {
            self.amount = None;
        }
        if let Some(shown) = &mut self.shown
            && now >= shown.since + PICTURE_FOR
        {
            shown.holder = None;
        }
        if self.shown.as_ref().is_some_and(|shown| now >= shown.since + SHOWN_FOR) {
            self.wipe();
        }
    }

    /// Another verdict, or none, is on the screen from now on. What lies over it was about the one before.
    fn set_shown(&mut self, shown: Option<Shown>) {
        self.shown = shown;
        self.screen += 1;
        if matches!(self.dialog, Some(Dialog::Rewards(_) | Dialog::Question(Question::TakeBack(_))))
        {
            self.dialog = None;
        }
    }

    fn wipe(&mut self) {
        self.set_shown(None);
        self.amount = None;
        self.code = None;
        self.notice = None;
        self.reader_notice = None;
        if self.group.as_ref().is_some_and(|group| group.closed.is_some()) {
            self.group = None;
        }
    }

    /// Something failed. Where it was a tap, the verdict on the screen is about somebody else.
    fn failed(&mut self, notice: Notice, tapped: Option<ShownCard>) -> Vec<Command> {
        // Where nobody knows whether it was written, the same card is the same tap.
        let again = !matches!(notice, Notice::BrokeOff { .. });
        if tapped.is_some() {
            self.wipe();
        }
        self.notice = Some((notice, self.now.steady));
        let reader = tapped.as_ref().and_then(|card| card.reader);
        let mut commands = vec![Command::Signal(VerdictKind::Retry, reader)];
        commands.extend(tapped.filter(|_| again).map(Command::Forget));
        commands
    }

    fn answered(&mut self, answer: Answer, card: Option<ShownCard>) -> Vec<Command> {
        let reader = card.as_ref().and_then(|card| card.reader);
        let mut commands = vec![Command::Signal(answer.verdict, reader)];
        // Whoever is asked to show the card again does so at once. A redemption's card has tapped already.
        let asked = answer.verdict == VerdictKind::Retry
            || answer.reason == Some(Reason::CardProofRequired);
        let again = asked && answer.entry.is_none() && answer.kind != Kind::Redemption;
        commands.extend(card.clone().filter(|_| again).map(Command::Forget));
        // Nothing is asked with a forged card: it buys nothing and is nobody of a group.
        let card = card.filter(|_| answer.authenticity != Some(Authenticity::Refuted));
        let wants_rewards = answer.pass.as_ref().is_some_and(|pass| pass.points > 0);
        if let (Some(card), true) = (&card, wants_rewards) {
            commands.push(Command::LoadRewards(card.clone()));
        }
        if let (Some(card), true) = (&card, answer.pass.is_some()) {
            commands.push(Command::OpenHolder(card.number.clone()));
        }
        self.join_group(&answer, card.as_ref().map(|card| &card.number[..]));
        self.notice = None;
        self.reader_notice = None;
        self.amount = None;
        let (rewards, since) = (Vec::new(), self.now.steady);
        self.set_shown(Some(Shown { answer, card, rewards, holder: None, since }));
        commands
    }

    fn daemon(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Status(status) => {
                let version = status.catalogue_version;
                self.status = Some(*status);
                if self.codes_version != Some(version) {
                    return vec![Command::LoadCodes(version)];
                }
            }
            Event::Row(row) => {
                if let Some(known) = self.rows.iter_mut().find(|known| known.id == row.id) {
                    *known = *row;
                } else {
                    self.rows.insert(0, *row);
                    self.rows.truncate(ROWS);
                }
            }
            // The console asks for the history anew when it hears this: see `console`.
            Event::Missed => {}
        }
        Vec::new()
    }

    /// How the readers are, taken together: what is the matter with one of them, unless it may be missing.
    pub fn reader(&self) -> ReaderState {
        let ready = self.readers.iter().any(|reader| reader.state == ReaderState::Ready);
        let may_be_missing = |it: &ReaderSlot| ready && it.looked_for && !it.was_there;
        let lost = self.readers.iter().find(|it| it.is_lost() && !may_be_missing(it));
        match lost {
            Some(lost) => lost.state.clone(),
            None if self.readers.is_empty() => ReaderState::None,
            None if ready => ReaderState::Ready,
            None => ReaderState::Starting,
        }
    }

    fn heard_reader(&mut self, reader: usize, event: ReaderEvent) -> Vec<Command> {
        match event {
            ReaderEvent::Ready { .. } => self.set_reader(reader, ReaderState::Ready),
            ReaderEvent::Lost { why } => self.set_reader(reader, ReaderState::Lost(why)),
            ReaderEvent::Tapped(tap) => return self.tapped(ShownCard::on(reader, tap)),
            ReaderEvent::Removed(_) => {}
            ReaderEvent::TwoCards | ReaderEvent::ReadError | ReaderEvent::RandomUid => {
                self.reader_notice = Some((event, self.now.steady));
                return vec![Command::Signal(VerdictKind::Retry, Some(reader))];
            }
        }
        Vec::new()
    }

    fn set_reader(&mut self, reader: usize, state: ReaderState) {
        let Some(known) = self.readers.get_mut(reader) else { return };
        let found = known.looked_for && state == ReaderState::Ready;
        known.was_there |= found;
        known.state = state;
        if found {
            // It may be one that another driver had, and lost to this one.
            for other in self.readers.iter_mut().filter(|other| other.is_lost()) {
                other.was_there = false;
            }
        }
    }

    /// A tap is a tap whatever lies over the screen; a dialog makes room for it.
    fn tapped(&mut self, card: ShownCard) -> Vec<Command> {
        self.interrupt_typing();
        vec![self.tap(card)]
    }

    /// The question about a card, with the code that was scanned for it.
    fn tap(&mut self, card: ShownCard) -> Command {
        let code = self.code.take().map(|(code, _)| code);
        Command::Tap { card, code }
    }
}

#[cfg(test)]
mod tests;
