use super::*;

const EMPTY: State = State::EMPTY;
const PRESENT: State = State::PRESENT;

fn chip(n: u8) -> ChipNumber {
    ChipNumber::from_bytes(&[n; 7]).unwrap()
}

fn names(names: &[&str]) -> Vec<CString> {
    names.iter().map(|name| CString::new(*name).unwrap()).collect()
}

fn ready(name: &str) -> ReaderEvent {
    ReaderEvent::Ready { name: name.to_owned() }
}

fn lost(why: NoReader) -> ReaderEvent {
    ReaderEvent::Lost { why }
}

fn unplugged(reader: &str) -> ReaderEvent {
    lost(NoReader::Unplugged { reader: reader.to_owned() })
}

/// A slot to which things happen, ten times a second.
struct Played {
    slot: Slot,
    now: Instant,
}

impl Played {
    fn new() -> Self {
        Self { slot: Slot::new(c"desk".to_owned()), now: Instant::now() }
    }

    fn round(
        &mut self,
        change: Option<(State, u32)>,
        card: Result<Uid, NoUid>,
    ) -> Vec<ReaderEvent> {
        self.now += HELD;
        let now = self.now;
        let mut events =
            change.map(|(state, count)| self.slot.changed(state, count, now)).unwrap_or_default();
        events.extend(self.slot.read(|_| card, || now));
        events
    }
}

const NOT_READ: Result<Uid, NoUid> = Err(NoUid::CutShort);

#[test]
fn an_answer_is_a_uid_or_says_why_it_is_none() {
    let fixed = |uid: &[u8]| Ok(Uid::Fixed(ChipNumber::from_bytes(uid).unwrap()));
    for (answer, expected) in [
        (&[0xde, 0xad, 0xbe, 0xef, 0x90, 0][..], fixed(&[0xde, 0xad, 0xbe, 0xef])),
        (&[4, 1, 2, 3, 4, 5, 6, 0x90, 0], fixed(&[4, 1, 2, 3, 4, 5, 6])),
        (&[4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x90, 0], fixed(&[4, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
        (&[8, 1, 2, 3, 0x90, 0], Ok(Uid::Random)),
        (&[8, 1, 2, 3, 4, 5, 6, 0x90, 0], fixed(&[8, 1, 2, 3, 4, 5, 6])),
        (&[0x63, 0], Err(NoUid::Failed)),
        (&[0x6a, 0x81], Err(NoUid::NotSupported)),
        (&[0x6d, 0], Err(NoUid::Refused { sw1: 0x6d, sw2: 0 })),
        (&[4, 1, 2, 3, 0x62, 0x82], Err(NoUid::Refused { sw1: 0x62, sw2: 0x82 })),
        (&[0x90, 0], Err(NoUid::Length(ChipNumberError::Length { bytes: 0 }))),
        (&[0xe0; 8], Err(NoUid::Refused { sw1: 0xe0, sw2: 0xe0 })),
        (&[0x90], Err(NoUid::CutShort)),
        (&[], Err(NoUid::CutShort)),
    ] {
        assert_eq!(Uid::of_answer(answer), expected, "{answer:02X?}");
    }
}

#[test]
fn a_card_that_others_use_while_it_lies_there_is_one_tap() {
    let mut played = Played::new();
    let card = Ok(Uid::Fixed(chip(1)));
    assert_eq!(played.round(Some((EMPTY, 0)), NOT_READ), []);
    assert_eq!(played.round(Some((PRESENT, 1)), card), [ReaderEvent::tapped(chip(1))]);
    assert_eq!(played.round(Some((PRESENT | State::INUSE, 1)), NOT_READ), []);
    assert_eq!(played.round(Some((PRESENT, 1)), NOT_READ), []);
    assert_eq!(played.round(None, NOT_READ), []);
    assert_eq!(played.round(Some((EMPTY, 2)), NOT_READ), [ReaderEvent::Removed(chip(1))]);
}

#[test]
fn a_card_that_is_exchanged_for_another_between_two_rounds_is_removed_and_tapped() {
    let mut played = Played::new();
    played.round(Some((PRESENT, 1)), Ok(Uid::Fixed(chip(1))));
    assert_eq!(
        played.round(Some((PRESENT, 3)), Ok(Uid::Fixed(chip(2)))),
        [ReaderEvent::Removed(chip(1)), ReaderEvent::tapped(chip(2))]
    );
}

#[test]
fn a_card_that_is_counted_after_it_is_seen_is_one_tap() {
    let mut played = Played::new();
    let card = Ok(Uid::Fixed(chip(1)));
    assert_eq!(played.round(Some((PRESENT, 0xffff)), card), [ReaderEvent::tapped(chip(1))]);
    assert_eq!(played.round(Some((PRESENT, 0)), NOT_READ), []);
    let other = Ok(Uid::Fixed(chip(2)));
    assert_eq!(
        played.round(Some((PRESENT, 1)), other),
        [ReaderEvent::Removed(chip(1)), ReaderEvent::tapped(chip(2))]
    );
    assert_eq!(played.round(Some((PRESENT, 2)), NOT_READ), [], "the other was counted late too");
}

#[test]
fn a_card_that_lay_there_for_long_and_comes_back_at_once_is_the_same_tap() {
    let mut played = Played::new();
    let card = Ok(Uid::Fixed(chip(1)));
    played.round(Some((PRESENT, 1)), card);
    for _ in 0..100 {
        assert_eq!(played.round(None, NOT_READ), []);
    }
    assert_eq!(played.round(Some((EMPTY, 2)), NOT_READ), [ReaderEvent::Removed(chip(1))]);
    assert_eq!(played.round(Some((PRESENT, 3)), card), []);
}

#[test]
fn a_card_that_another_program_holds_is_waited_for_before_it_is_an_error() {
    let mut played = Played::new();
    let held = Err(NoUid::Unreachable(Error::SharingViolation));
    assert_eq!(played.round(Some((PRESENT, 1)), held), []);
    let rounds = (1..100).find(|_| played.round(None, held) == [ReaderEvent::ReadError]);
    assert_eq!(rounds, Some(20), "two seconds");
    let said: Vec<_> = (0..20).flat_map(|_| played.round(None, held)).collect();
    assert_eq!(said, [], "it is said once");
    let card = Ok(Uid::Fixed(chip(1)));
    let said: Vec<_> = (0..10).flat_map(|_| played.round(None, card)).collect();
    assert_eq!(said, [ReaderEvent::tapped(chip(1))], "it is let go");
}

#[test]
fn a_card_that_cannot_be_read_is_said_once_for_each_time_that_it_is_shown() {
    let mut played = Played::new();
    for (count, card, said) in [
        (1, Err(NoUid::Failed), ReaderEvent::ReadError),
        (3, Ok(Uid::Random), ReaderEvent::RandomUid),
        (5, Ok(Uid::Random), ReaderEvent::RandomUid),
    ] {
        assert_eq!(played.round(Some((PRESENT, count)), card), [said]);
        let more: Vec<_> = (0..30).flat_map(|_| played.round(None, card)).collect();
        assert_eq!(more, []);
    }
}

#[test]
fn readers_that_come_and_go_are_named() {
    let (mut readers, now) = (Readers::new(None), Instant::now());
    assert_eq!(readers.listed(vec![], now), [lost(NoReader::NotFound)]);
    assert_eq!(readers.listed(vec![], now), []);
    assert_eq!(readers.listed(names(&["desk", "desk SAM 1"]), now), [ready("desk")]);
    assert_eq!(readers.listed(names(&["desk", "kiosk"]), now), [ready("desk, kiosk")]);
    readers.slots[0].changed(PRESENT, 1, now);
    readers.read(|_| Ok(Uid::Fixed(chip(1))), || now);
    assert_eq!(
        readers.listed(names(&["kiosk"]), now),
        [ReaderEvent::Removed(chip(1)), unplugged("desk")],
        "that the other one is there does not take its place"
    );
    assert_eq!(readers.slots.len(), 1, "and is followed");
    assert_eq!(readers.listed(vec![], now), [unplugged("desk, kiosk")]);
    assert_eq!(readers.listed(vec![], now), []);
    assert_eq!(readers.states.len(), 1);
    assert_eq!(readers.listed(names(&["kiosk"]), now), [unplugged("desk")]);
    assert_eq!(readers.listed(names(&["desk 01", "kiosk"]), now), [ready("kiosk, desk 01")]);
}

/// An identity card in a slot for such cards is nobody's trouble, however long it stays.
#[test]
fn a_card_with_contacts_is_left_alone() {
    let mut played = Played::new();
    assert_eq!(played.round(Some((PRESENT, 1)), Err(NoUid::WithContacts)), []);
    let more: Vec<_> = (0..30).flat_map(|_| played.round(None, Err(NoUid::Failed))).collect();
    assert_eq!(more, [], "it is not even asked again");
    let pass = played.round(Some((PRESENT, 3)), Ok(Uid::Fixed(chip(1))));
    assert_eq!(pass, [ReaderEvent::tapped(chip(1))]);
    // A DESFire, an NTAG, and an identity card.
    assert!(is_of_contactless_card(&[0x3b, 0x81, 0x80, 0x01, 0x80, 0x80]));
    assert!(is_of_contactless_card(&[0x3b, 0x8f, 0x80, 0x01, 0x80, 0x4f]));
    assert!(!is_of_contactless_card(&[0x3b, 0x98, 0x13, 0x40, 0x0a, 0xa5]));
    assert!(!is_of_contactless_card(&[]));
}

#[test]
fn a_reader_is_chosen_by_a_part_of_its_name_and_the_others_are_offered() {
    let (mut readers, now) = (Readers::new(Some("omnikey".to_owned())), Instant::now());
    let not_named = |others: &[&str]| {
        let others = others.iter().map(|&name| name.to_owned()).collect();
        NoReader::NotNamed { wanted: "omnikey".to_owned(), others }
    };
    assert_eq!(readers.listed(vec![], now), [lost(not_named(&[]))]);
    let others = ["ACS ACR1252", "Identiv uTrust"];
    assert_eq!(readers.listed(names(&others), now), [lost(not_named(&others))]);
    assert_eq!(
        not_named(&others).to_string(),
        "no reader is called omnikey: plug it in, or choose one of ACS ACR1252, Identiv uTrust"
    );
    let listed = names(&["ACS ACR1252", "HID OMNIKEY 5022 CL 00 00"]);
    assert_eq!(readers.listed(listed, now), [ready("HID OMNIKEY 5022 CL 00 00")]);
}

#[test]
fn a_service_that_stops_takes_the_cards_with_it_and_is_said_to_be_lost_once() {
    let (mut readers, now) = (Readers::new(None), Instant::now());
    readers.listed(names(&["desk"]), now);
    readers.slots[0].changed(PRESENT, 1, now);
    readers.read(|_| Ok(Uid::Fixed(chip(1))), || now);
    let said = readers.lost(Error::CommError, now);
    assert!(
        matches!(
            &said[..],
            [ReaderEvent::Removed(_), ReaderEvent::Lost { why: NoReader::NoService }]
        ),
        "{said:?}"
    );
    assert_eq!(readers.lost(Error::NoService, now), []);
    assert_eq!(readers.listed(names(&["desk"]), now), [ready("desk")]);
    assert_eq!(readers.slots[0].changed(PRESENT, 1, now), []);
    assert_eq!(
        readers
            .read(|_| Ok(Uid::Fixed(chip(1))), || now)
            .into_iter()
            .map(|(_, it)| it)
            .collect::<Vec<_>>(),
        [],
        "the card that lies there was tapped already"
    );
}
