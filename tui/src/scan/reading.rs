//! What a line is: a card's number, the code of an activity of this desk, or not read, and why.
//!
//! What a scanner is known to do to a code is undone where no doubt is left: the number's check digit agrees, or the
//! desk has that very code. Everything else is said, so that it is nobody's card and nobody's activity.

use std::collections::BTreeSet;

use crdt_model::ids::{ChipNumber, Identification, UitpasNumber};

use super::layouts::{self, Layout};
use super::settings::Settings;

/// Who typed a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A scanner: numbers have no blanks, and no type of card stands before them.
    Scanned,
    /// A person: blanks and hyphens between groups are passed over, `museumkaart:12345678` is a card.
    Typed,
}

/// What the desk knows, beside the forms of numbers.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// How its scanner is set.
    pub settings: &'a Settings,
    /// The check-in codes of its activities; nothing before the daemon has said them.
    pub codes: Option<&'a [String]>,
}

/// What a line is.
#[derive(Clone, PartialEq, Eq)]
pub enum Reading {
    /// Nothing was typed.
    Nothing,
    /// A card, as `POST /v1/taps` takes it.
    Card(String),
    /// The check-in code of one of the desk's activities, as the desk has it.
    Code(String),
    /// Neither.
    NotRead(NotRead),
}

/// Shows no number.
impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Card(number) => write!(f, "Card({} characters)", number.len()),
            Self::Code(code) => f.debug_tuple("Code").field(code).finish(),
            Self::NotRead(why) => f.debug_tuple("NotRead").field(why).finish(),
        }
    }
}

/// Why a line was not read: what is most likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotRead {
    /// The scanner is set to another keyboard layout than the computer.
    Layout,
    /// The scanner sends something before or after the number.
    Prefix,
    /// Digits are missing.
    DigitsMissing,
    /// There are too many digits.
    TooManyDigits,
    /// The check digit does not agree.
    Misread,
    /// Two codes came without an end between them.
    TwoNumbers,
    /// There are control characters within it.
    ControlCharacters,
    /// It differs from the desk's codes in the case of its letters, and more than one fits.
    CaseChanged,
    /// It is no code of this desk.
    UnknownCode,
    /// It may be a code: the daemon has not said yet which codes the desk has.
    CodesNotKnown,
}

impl NotRead {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Layout,
        Self::Prefix,
        Self::DigitsMissing,
        Self::TooManyDigits,
        Self::Misread,
        Self::TwoNumbers,
        Self::ControlCharacters,
        Self::CaseChanged,
        Self::UnknownCode,
        Self::CodesNotKnown,
    ];
}

/// What was set right, so that a line could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PutRight {
    /// Control characters or blanks around it were taken off.
    Framing,
    /// An AIM prefix (`]C1`) was taken off.
    AimPrefix,
    /// Each key was moved to where the scanner has it.
    Layout,
    /// A leading zero that was swallowed was put back.
    LeadingZero,
    /// The case of its letters was changed back.
    Case,
}

/// A line that was read, and what had to be set right for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What it is.
    pub reading: Reading,
    /// What was set right.
    pub put_right: BTreeSet<PutRight>,
    /// The computer's keyboard layout, where the scanner's is another and only one can be meant.
    pub layout: Option<Layout>,
}

/// What a line is, without its end.
pub fn read(line: &str, source: Source, known: Known<'_>) -> Read {
    let framed = |c: char| c.is_control() || c.is_whitespace();
    let trimmed = line.trim_matches(framed);
    let mut put_right = BTreeSet::new();
    if trimmed.len() < line.len() && source == Source::Scanned {
        put_right.insert(PutRight::Framing);
    }
    if trimmed.is_empty() {
        return Read { reading: Reading::Nothing, put_right, layout: None };
    }
    let text = known.settings.stripped(trimmed);
    let found = as_it_is(text, source, known)
        .map(|reading| (reading, BTreeSet::new()))
        .or_else(|| without_prefix(text, known))
        .map(|(reading, more)| (reading, more, BTreeSet::new()))
        .or_else(|| as_meant(text, known));
    let (reading, more, layouts) = found.unwrap_or_else(|| {
        let why = why_not(text, known);
        let layouts =
            if why == NotRead::Layout { layouts_of_digits(text) } else { BTreeSet::new() };
        (Reading::NotRead(why), BTreeSet::new(), layouts)
    });
    put_right.extend(more);
    Read { reading, put_right, layout: Layout::of_computer(&layouts) }
}

/// A text that needs nothing set right but a zero or the case of its letters.
fn settled(text: &str, source: Source, known: Known<'_>) -> Option<(Reading, BTreeSet<PutRight>)> {
    as_it_is(text, source, known).map(|reading| (reading, BTreeSet::new())).or_else(|| {
        let zero = with_leading_zero(text).map(|card| (Reading::Card(card), PutRight::LeadingZero));
        let (reading, put_right) = zero.or_else(|| {
            of_another_case(text, known).map(|code| (Reading::Code(code), PutRight::Case))
        })?;
        Some((reading, BTreeSet::from([put_right])))
    })
}

fn as_it_is(text: &str, source: Source, known: Known<'_>) -> Option<Reading> {
    if known.codes.is_some_and(|codes| codes.iter().any(|code| code == text)) {
        return Some(Reading::Code(text.to_owned()));
    }
    if let Some(card_type) = known.settings.external(text) {
        return Some(Reading::Card(format!("{card_type}:{text}")));
    }
    let card = match text.parse::<Identification>().ok()? {
        // No scanner says what type an external card is, and a code may have a colon, too.
        Identification::External(_) => {
            source == Source::Typed
                && of_another_case(text, known).is_none()
                && !is_number_before_colon(text)
                && !begins_with_a_code(text, known)
        }
        Identification::Chip(_) => !is_doubtful_chip(text, source),
        Identification::Uitpas(_) | Identification::MuseumPass(_) => {
            source == Source::Typed || text.chars().all(|c| c.is_ascii_alphanumeric())
        }
    };
    card.then(|| Reading::Card(text.to_owned()))
}

/// Whether what could be a chip number may as well be something else: `DEAD-BEEF` is a label, and a card's number with a
/// digit too many, or behind a scanner's prefix of one letter, has 14 characters, as the number of a chip has. A number
/// that was cut off, or the short code of a product, has 8 digits, as the number of a shorter chip may have.
fn is_doubtful_chip(text: &str, source: Source) -> bool {
    let pairs = |separator: char| text.split(separator).all(|pair| pair.len() == 2);
    let plain = text.chars().all(|c| c.is_ascii_hexdigit());
    if !plain && source == Source::Scanned && !pairs(':') && !pairs('-') {
        return true;
    }
    holds_a_number(text)
        || has_a_digit_too_many(text)
        || (source == Source::Scanned && (is_ean_8(text) || is_cut_off(text)))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a text is a UiTPAS number with one digit more, wherever that stands.
fn has_a_digit_too_many(text: &str) -> bool {
    let without = |place: usize| {
        let digits = text.chars().zip(0..).filter(|(_, at)| *at != place);
        digits.map(|(c, _)| c).collect::<String>().parse::<UitpasNumber>().is_ok()
    };
    text.len() == UitpasNumber::DIGITS + 1 && is_digits(text) && (0..text.len()).any(without)
}

/// Whether a text is an EAN-8: the check digit agrees, with the weights 3 and 1 in turn (GS1 General Specifications,
/// 7.9).
fn is_ean_8(text: &str) -> bool {
    let weighed = |(digit, place): (u8, usize)| {
        u32::from(digit - b'0') * if place.is_multiple_of(2) { 3 } else { 1 }
    };
    text.len() == LEAST_DIGITS
        && is_digits(text)
        && text.bytes().zip(0..).map(weighed).sum::<u32>().is_multiple_of(10)
}

/// Whether eight digits begin as the numbers of UiTPAS do: the rest of the number is missing.
fn is_cut_off(text: &str) -> bool {
    text.len() == LEAST_DIGITS && is_digits(text) && text.starts_with("0900")
}

/// The desk's codes that are long enough to be told from the beginning of something else.
fn long_codes(known: Known<'_>) -> impl Iterator<Item = &String> {
    known.codes.unwrap_or_default().iter().filter(|code| code.chars().count() >= LEAST)
}

fn begins_with_a_code(text: &str, known: Known<'_>) -> bool {
    let lower = text.to_lowercase();
    long_codes(known).any(|code| lower.starts_with(&code.to_lowercase()))
}

/// Whether what stands before a colon is a number, and no type of card: two codes ran together.
fn is_number_before_colon(text: &str) -> bool {
    const MOST_DIGITS: usize = 3;
    let before = text.split(':').next().unwrap_or_default();
    before.chars().filter(char::is_ascii_digit).count() > MOST_DIGITS
}

/// Whether a UiTPAS number stands somewhere in a text.
fn holds_a_number(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    characters
        .windows(UitpasNumber::DIGITS)
        .any(|window| window.iter().collect::<String>().parse::<UitpasNumber>().is_ok())
}

/// A scanner that makes the shorter code of an EAN swallows the zero that it begins with. A number that begins with a
/// zero still has it: then it is another digit that is missing.
fn with_leading_zero(text: &str) -> Option<String> {
    let fits = text.len() + 1 == UitpasNumber::DIGITS && !text.starts_with('0');
    let whole = format!("0{text}");
    (fits && whole.parse::<UitpasNumber>().is_ok()).then_some(whole)
}

/// The desk's code that differs in the case of its letters only, where it is the only one.
fn of_another_case(text: &str, known: Known<'_>) -> Option<String> {
    let mut fitting = fitting_codes(text, known);
    let code = fitting.next()?;
    fitting.next().is_none().then(|| code.to_owned())
}

fn fitting_codes<'a>(text: &'a str, known: Known<'a>) -> impl Iterator<Item = &'a str> {
    let codes = known.codes.unwrap_or_default().iter().map(|code| &code[..]);
    codes.filter(move |code| code.to_lowercase() == text.to_lowercase())
}

/// A text behind an AIM prefix (ISO/IEC 15424): a bracket, a letter for the kind of code, and a character.
fn without_aim_prefix(text: &str) -> Option<&str> {
    let mut characters = text.char_indices();
    let bracket = characters.next().is_some_and(|(_, c)| c == ']');
    let kind = characters.next().is_some_and(|(_, c)| c.is_ascii_alphabetic());
    let modifier = characters.next().is_some_and(|(_, c)| c.is_ascii_alphanumeric());
    let (rest, _) = characters.next()?;
    (bracket && kind && modifier).then(|| &text[rest..])
}

fn without_prefix(text: &str, known: Known<'_>) -> Option<(Reading, BTreeSet<PutRight>)> {
    // A desk may be set to read numbers behind a prefix of its own, with the AIM prefix before that.
    let bare = without_aim_prefix(text).map(|bare| known.settings.stripped(bare));
    let (reading, mut put_right) = settled(bare.unwrap_or(text), Source::Scanned, known)?;
    if bare.is_some() {
        put_right.insert(PutRight::AimPrefix);
    }
    Some((reading, put_right))
}

/// What a scanner of another layout meant, where only one thing can be meant: the check digit agrees, or it is a code of
/// this desk, or a museumPASS. With it come the layouts that the computer may have for that.
fn as_meant(
    text: &str,
    known: Known<'_>,
) -> Option<(Reading, BTreeSet<PutRight>, BTreeSet<Layout>)> {
    let mut found: Option<(Reading, BTreeSet<PutRight>)> = None;
    let mut layouts = BTreeSet::new();
    for (layout, meant) in layouts::meant(text) {
        let Some((reading, mut put_right)) = without_prefix(&meant, known) else { continue };
        // Nothing about a chip number shows that it was moved rightly.
        let proved = match &reading {
            Reading::Card(card) => !matches!(card.parse(), Ok(Identification::Chip(_))),
            Reading::Code(_) => true,
            Reading::Nothing | Reading::NotRead(_) => false,
        };
        if !proved {
            continue;
        }
        put_right.insert(PutRight::Layout);
        layouts.insert(layout);
        match &found {
            Some((other, _)) if *other != reading => return None,
            // The simplest explanation stays.
            Some((_, before)) if before.len() <= put_right.len() => {}
            _ => found = Some((reading, put_right)),
        }
    }
    found.map(|(reading, put_right)| (reading, put_right, layouts))
}

/// The layouts that the computer may have where a text is digits on the scanner's.
fn layouts_of_digits(text: &str) -> BTreeSet<Layout> {
    let is_number = |meant: &str| {
        let meant = without_aim_prefix(meant).unwrap_or(meant);
        why_no_number(meant).is_some() && meant.len() >= LEAST_DIGITS
    };
    layouts::meant(text).filter(|(_, meant)| is_number(meant)).map(|(layout, _)| layout).collect()
}

/// Why a text that is neither card nor code was not read.
fn why_not(text: &str, known: Known<'_>) -> NotRead {
    if is_two(text, known) {
        return NotRead::TwoNumbers;
    }
    if text.chars().any(char::is_control) {
        return NotRead::ControlCharacters;
    }
    let bare = without_aim_prefix(text).unwrap_or(text);
    if let Some(why) = why_no_number(bare) {
        return why;
    }
    if fitting_codes(bare, known).next().is_some() {
        return NotRead::CaseChanged;
    }
    // A number among characters that are none: whoever sets the scanner knows what it sends there.
    if holds_a_number(bare) {
        return NotRead::Prefix;
    }
    // Signs of the row of digits only: no code is made of those.
    if !layouts_of_digits(text).is_empty() {
        return NotRead::Layout;
    }
    match known.codes {
        Some(_) => NotRead::UnknownCode,
        None => NotRead::CodesNotKnown,
    }
}

/// Digits at the least that were meant as a card's number.
const LEAST_DIGITS: usize = 8;

fn why_no_number(text: &str) -> Option<NotRead> {
    let upper = text.to_ascii_uppercase();
    if upper.strip_prefix("MPM").is_some_and(|rest| rest.is_empty() || is_digits(rest)) {
        return Some(if text.len() < 12 { NotRead::DigitsMissing } else { NotRead::TooManyDigits });
    }
    let plain: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    is_digits(&plain).then(|| match plain.len().cmp(&UitpasNumber::DIGITS) {
        std::cmp::Ordering::Less => NotRead::DigitsMissing,
        std::cmp::Ordering::Equal => NotRead::Misread,
        std::cmp::Ordering::Greater => NotRead::TooManyDigits,
    })
}

/// Characters of a code, or of what stands behind one, at the least: less is part of something else.
const LEAST: usize = 4;

/// Whether the text starts with a complete number or code and has at least [`LEAST`] more characters.
fn is_two(text: &str, known: Known<'_>) -> bool {
    let separated = |c: char| c.is_control() || c.is_whitespace();
    let begins_with_one = |text: &str| {
        let code = |code: &String| text.starts_with(&code[..]) && text.len() >= code.len() + LEAST;
        let number = text
            .get(..UitpasNumber::DIGITS)
            .is_some_and(|number| number.parse::<UitpasNumber>().is_ok());
        let swallowed = text
            .get(..UitpasNumber::DIGITS - 1)
            .is_some_and(|number| with_leading_zero(number).is_some());
        let rest = text.chars().count().saturating_sub(UitpasNumber::DIGITS);
        ((number || swallowed) && rest >= LEAST)
            || long_codes(known).any(code)
            || text.to_ascii_uppercase().get(1..).is_some_and(|behind| {
                text.to_ascii_uppercase().starts_with("MPM") && behind.contains("MPM")
            })
    };
    let parts: Vec<&str> = text.split(separated).filter(|part| part.len() >= LEAST).collect();
    let bare = |text: &str| without_aim_prefix(text).map_or_else(|| text.to_owned(), str::to_owned);
    let each_is_one = |part: &&str| settled(&bare(part), Source::Scanned, known).is_some();
    let meant = || layouts::meant(text).map(|(_, meant)| meant);
    (parts.len() > 1 && parts.iter().all(each_is_one))
        || begins_with_one(&bare(text))
        || meant().any(|meant| {
            let meant = bare(&meant);
            meant.len() >= 2 * UitpasNumber::DIGITS - 2
                && meant.bytes().all(|b| b.is_ascii_digit())
                && begins_with_one(&meant)
        })
}

/// Whether a card is read by its chip number: nothing about such a number shows that it is whole.
pub fn is_chip(card: &str) -> bool {
    card.parse::<ChipNumber>().is_ok()
}

#[cfg(test)]
mod tests;
