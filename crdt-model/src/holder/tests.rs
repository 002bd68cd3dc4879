use proptest::prelude::*;

use super::*;
use crate::samples::cases;

/// The least that Argon2id takes: these tests are about locks, not about how hard they are.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };

const PASS: PassId = PassId(7);
const LOOKUP: LookupKey = LookupKey([3; 32]);
const CHIP: &str = "04784CDAEE3880";
const NUMBER: &str = "0900000095902";
const OTHER_NUMBER: &str = "0900000067513";

/// What this file's `sealed_for` made of Fien De Wachter, without a picture, for [`CHIP`].
const SEALED_BY_FORMAT_1: &str = "
    835901280101010101010101010101010101010101010101010101012f1e04c4e44e75262932b5742c77436a08
    5b9f27071b73a824b1262f7e80be61e1b9c2c7fe7a7eebe30849921d39b58e7f45c2493490f002020ed1505651
    4b0443fa3f5a3250ed66c4dfd1fa4be9b41ec80cd6f68954e4927ba6c224f9e17691f1ea53928f03bc024e94c5
    cf854f510f866941a01412a97fe4687c295534ca529e3b509797216bd0d339119fe31b8a8f2c0dd981e71ffb4b
    13e85f8a72cf1b3682355fc707ea45586f0c00eed727a999c139689bae8491e119b064d920916b68e26b2f17e0
    2880a170abc303f4cf093247d77f6085295c4e0501813349fb5d639a298077eb2b9bbe1d6b3a871515f48c4ba4
    c9a63da2bcc240e68ea3f35327d62ab708bda3b5cf7e1084a74578e08289f6818450c88961ea540af15f6435dd
    9f5d282c53584802020202020202020202020202020202020202020202020241b668d9721568efcb6e95fe6cec
    4179244308588b4ef3fb1584d88330b0dd1221ecb2e6291bf5f12251a6a74ca97e1d0801
";

fn card(text: &str) -> CardSecret {
    CardSecret::of(&text.parse().unwrap(), &LOOKUP)
}

fn key() -> ContentKey {
    ContentKey::new([9; 32])
}

/// Nonces that never repeat, as random ones never do.
fn nonces() -> impl FnMut() -> [u8; NONCE_BYTES] {
    let mut next = 0u8;
    move || {
        next += 1;
        [next; NONCE_BYTES]
    }
}

fn holder(name: &str, picture: Option<&[u8]>) -> Holder {
    Holder {
        details: Details::new(name.to_owned(), Some("1984-05-30".parse().unwrap())).unwrap(),
        picture: picture.map(|bytes| Picture::from_file(jpeg(bytes)).unwrap()),
    }
}

fn jpeg(content: &[u8]) -> Vec<u8> {
    [&[0xff, 0xd8, 0xff, 0xe0], content].concat()
}

fn somebody() -> Holder {
    holder("Fien De Wachter", Some(b"a portrait"))
}

fn sealed_for(holder: &Holder, cards: &[&str]) -> SealedHolder {
    let cards: Vec<CardSecret> = cards.iter().map(|text| card(text)).collect();
    seal(holder, PASS, &key(), &cards, CHEAP, &mut nonces()).unwrap()
}

#[test]
fn a_holder_opens_with_the_chip_and_with_the_number() {
    let sealed = sealed_for(&somebody(), &[CHIP, NUMBER]);
    for text in [CHIP, NUMBER] {
        let opened = sealed.open(PASS, &card(text)).unwrap();
        assert_eq!(opened.details.name(), "Fien De Wachter");
        assert_eq!(opened.details.date_of_birth(), Some("1984-05-30".parse().unwrap()));
        let picture = opened.picture.unwrap();
        assert_eq!(picture.bytes(), jpeg(b"a portrait"));
    }
}

#[test]
fn one_unlocking_gives_the_name_and_the_picture_apart() {
    let mut sealed = sealed_for(&somebody(), &[CHIP]);
    let key = sealed.unlock(PASS, &card(CHIP)).unwrap();
    assert!(sealed.details(PASS, &key).unwrap() == somebody().details);

    let apart = sealed.picture.take().unwrap();
    assert_eq!(sealed.picture(PASS, &key), Ok(None));
    assert_eq!(open_picture(&apart, PASS, &key).ok(), somebody().picture);
}

#[test]
fn a_holder_does_not_open_with_another_card_or_under_another_look_up_key() {
    let sealed = sealed_for(&somebody(), &[CHIP, NUMBER]);
    assert_eq!(sealed.open(PASS, &card(OTHER_NUMBER)), Err(OpenError::NoLock));

    let elsewhere = CardSecret::of(&CHIP.parse().unwrap(), &LookupKey([4; 32]));
    assert_eq!(sealed.open(PASS, &elsewhere), Err(OpenError::NoLock));
}

/// Invariant 8: whoever has the record but not the look-up key cannot try numbers.
#[test]
fn a_lock_found_by_its_name_does_not_open_without_the_look_up_key() {
    let sealed = sealed_for(&somebody(), &[NUMBER]);
    let mut guess = CardSecret::of(&NUMBER.parse().unwrap(), &LookupKey([4; 32]));
    guess.name = sealed.locks[0].card;
    assert_eq!(sealed.open(PASS, &guess), Err(OpenError::Damaged { part: Part::Lock }));
}

#[test]
fn a_lock_put_under_another_cards_name_does_not_open() {
    let mut sealed = sealed_for(&somebody(), &[NUMBER]);
    sealed.locks[0].card = card(OTHER_NUMBER).name();
    assert_eq!(
        sealed.open(PASS, &card(OTHER_NUMBER)),
        Err(OpenError::Damaged { part: Part::Lock })
    );
}

#[test]
fn nothing_sealed_for_one_pass_opens_as_anothers_or_as_another_part() {
    let other = PassId(8);
    let mut sealed = sealed_for(&somebody(), &[CHIP]);
    assert_eq!(sealed.open(other, &card(CHIP)), Err(OpenError::Damaged { part: Part::Lock }));
    assert_eq!(sealed.details(other, &key()), Err(OpenError::Damaged { part: Part::Details }));
    assert_eq!(sealed.picture(other, &key()), Err(OpenError::Damaged { part: Part::Picture }));

    sealed.picture = Some(sealed.details.to_vec());
    assert_eq!(sealed.picture(PASS, &key()), Err(OpenError::Damaged { part: Part::Picture }));
}

#[test]
fn a_replaced_cards_lock_is_removed_and_the_new_cards_added() {
    let mut sealed = sealed_for(&somebody(), &[CHIP, NUMBER]);
    assert!(sealed.remove_lock(&card(NUMBER).name()));
    assert!(!sealed.remove_lock(&card(NUMBER).name()));
    sealed.add_lock(PASS, &key(), &card(OTHER_NUMBER), CHEAP, &mut nonces()).unwrap();

    assert_eq!(sealed.open(PASS, &card(NUMBER)), Err(OpenError::NoLock));
    assert_eq!(sealed.open(PASS, &card(CHIP)), Ok(somebody()));
    assert_eq!(sealed.open(PASS, &card(OTHER_NUMBER)), Ok(somebody()));
}

#[test]
fn a_card_has_one_lock_and_a_pass_eight() {
    let mut sealed = sealed_for(&somebody(), &[CHIP]);
    for number in 0..MAX_LOCKS - 1 {
        let more = card(&format!("MPM{number:08}"));
        sealed.add_lock(PASS, &key(), &more, CHEAP, &mut nonces()).unwrap();
        sealed.add_lock(PASS, &key(), &card(CHIP), CHEAP, &mut nonces()).unwrap();
    }
    assert_eq!(sealed.locks.len(), MAX_LOCKS);
    let one_more = sealed.add_lock(PASS, &key(), &card(NUMBER), CHEAP, &mut nonces());
    assert_eq!(one_more, Err(SealError::TooManyLocks));

    // The store of records keeps values under 4 KiB; the picture lies elsewhere.
    sealed.picture = None;
    for lock in &mut sealed.locks {
        (lock.memory_kib, lock.passes) = (Cost::STANDARD.memory_kib, Cost::STANDARD.passes);
    }
    assert!(minicbor::to_vec(&sealed).unwrap().len() < 1536);
}

#[test]
fn a_lock_is_not_made_with_another_passes_key_nor_a_seal_for_nobody() {
    let mut sealed = sealed_for(&somebody(), &[CHIP]);
    let other = ContentKey::new([8; 32]);
    let added = sealed.add_lock(PASS, &other, &card(NUMBER), CHEAP, &mut nonces());
    assert_eq!(added, Err(SealError::OtherKey));
    let nobodys = seal(&somebody(), PASS, &key(), &[], CHEAP, &mut nonces());
    assert_eq!(nobodys, Err(SealError::NoCard));
}

#[test]
fn equal_holders_have_different_bytes_and_equal_lengths() {
    let mut nonces = nonces();
    let mut sealed_once = |name: &str, pass| {
        let holder = holder(name, Some(name.as_bytes()));
        seal(&holder, pass, &key(), &[card(CHIP)], CHEAP, &mut nonces).unwrap()
    };
    let (one, two) = (sealed_once("Jo", PASS), sealed_once("Jo", PASS));
    assert_ne!(one.details, two.details);
    assert_ne!(one.picture, two.picture);
    assert_ne!(one.locks[0].wrapped, two.locks[0].wrapped);

    let long = sealed_once(&"Maximiliaan ".repeat(16), PassId(u64::MAX));
    assert_eq!(minicbor::to_vec(&one).unwrap().len(), minicbor::to_vec(&long).unwrap().len());
}

#[test]
fn names_and_pictures_have_bounds_and_what_fits_them_comes_back() {
    let name = |bytes| Details::new("x".repeat(bytes), None);
    assert_eq!(name(MAX_NAME_BYTES + 1), Err(HolderError::NameTooLong { bytes: 201 }));
    let file = |bytes| Picture::from_file(jpeg(&vec![7; bytes - 4]));
    assert_eq!(
        file(MAX_PICTURE_BYTES + 1),
        Err(HolderError::PictureTooLarge { bytes: MAX_PICTURE_BYTES + 1 })
    );
    assert_eq!(Picture::from_file(b"GIF89a".to_vec()), Err(HolderError::PictureFormat));
    assert!(Picture::from_file(b"\x89PNG\r\n\x1a\n...".to_vec()).is_ok());

    for born in [Date::MIN, Date::MAX] {
        let largest = Holder {
            details: Details::new("x".repeat(MAX_NAME_BYTES), Some(born)).unwrap(),
            picture: Some(file(MAX_PICTURE_BYTES).unwrap()),
        };
        let sealed = sealed_for(&largest, &[CHIP]);
        assert_eq!(sealed.picture.as_ref().map(Vec::len), Some(MAX_SEALED_PICTURE_BYTES));
        assert_eq!(sealed.open(PASS, &card(CHIP)), Ok(largest));
    }
}

#[test]
fn a_hostile_catalogue_cannot_make_a_desk_take_memory_or_time() {
    let mut sealed = sealed_for(&somebody(), &[CHIP]);
    for (memory_kib, passes) in [
        (Cost::MOST_MEMORY_KIB + 1, 1),
        (u32::MAX, u32::MAX),
        (8, Cost::MOST_PASSES + 1),
        (7, 1),
        (8, 0),
    ] {
        (sealed.locks[0].memory_kib, sealed.locks[0].passes) = (memory_kib, passes);
        let refused = CostRefused { memory_kib, passes };
        assert_eq!(sealed.unlock(PASS, &card(CHIP)), Err(OpenError::Cost(refused)));
        let cost = Cost { memory_kib, passes };
        let sealing = seal(&somebody(), PASS, &key(), &[card(CHIP)], cost, &mut nonces());
        assert_eq!(sealing, Err(SealError::Cost(refused)));
    }

    let bytes = MAX_SEALED_PICTURE_BYTES + 1;
    sealed.picture = Some(vec![0; bytes]);
    assert_eq!(sealed.picture(PASS, &key()), Err(OpenError::TooLarge { bytes }));
    sealed.picture = Some(vec![0; NONCE_BYTES + TAG_BYTES - 1]);
    let damaged = OpenError::Damaged { part: Part::Picture };
    assert_eq!(sealed.picture(PASS, &key()), Err(damaged));
}

#[test]
fn what_a_faulty_hub_sealed_is_an_error() {
    let mut details = [0; SEALED_DETAILS_BYTES];
    details[NONCE_BYTES] = 0x17;
    encrypt(&mut details, &key().0, [0; NONCE_BYTES], &Part::Details.of(PASS)).unwrap();
    let mut sealed = SealedHolder { details, picture: None, locks: Vec::new() };
    let malformed = |part| Err(OpenError::Malformed { part });
    assert_eq!(sealed.details(PASS, &key()).map(drop), malformed(Part::Details));

    let mut picture = vec![0xff; 64];
    encrypt(&mut picture, &key().0, [0; NONCE_BYTES], &Part::Picture.of(PASS)).unwrap();
    sealed.picture = Some(picture);
    assert_eq!(sealed.picture(PASS, &key()).map(drop), malformed(Part::Picture));
}

#[test]
fn the_standard_cost_is_one_that_desks_pay() {
    let sealed =
        seal(&somebody(), PASS, &key(), &[card(CHIP)], Cost::STANDARD, &mut nonces()).unwrap();
    assert_eq!(sealed.locks[0].cost(), Cost::STANDARD);
    assert_eq!(sealed.open(PASS, &card(CHIP)), Ok(somebody()));
}

#[test]
fn no_debug_output_shows_a_secret() {
    let sealed = sealed_for(&somebody(), &[CHIP, NUMBER]);
    let opened = sealed.open(PASS, &card(NUMBER));
    let picture = &somebody().picture;
    let shown = format!(
        "{opened:?} {:?} {picture:?} {:?} {:?} {sealed:?} {:?} {:?}",
        somebody().details,
        key(),
        card(NUMBER),
        sealed.locks,
        Details::new("Fien".repeat(100), None),
    );
    assert_eq!(
        shown,
        "Ok(Holder(…)) Details(…) Some(Picture(…)) ContentKey(…) CardSecret(…) SealedHolder(…) \
         [Lock(…), Lock(…)] Err(NameTooLong { bytes: 400 })"
    );
}

#[test]
fn what_is_secret_overwrites_itself() {
    fn overwrites_itself<T: ZeroizeOnDrop>() {}
    overwrites_itself::<Holder>();
    overwrites_itself::<Details>();
    overwrites_itself::<Picture>();
    overwrites_itself::<ContentKey>();
    overwrites_itself::<CardSecret>();

    let Holder { mut details, picture } = somebody();
    details.zeroize();
    assert_eq!((details.name(), details.date_of_birth()), ("", None));
    let mut picture = picture.unwrap();
    picture.zeroize();
    assert!(picture.bytes().is_empty());
    let (mut key, mut card) = (key(), card(NUMBER));
    key.zeroize();
    card.zeroize();
    assert_eq!((key.0, card.secret), ([0; 32], [0; 32]));
}

/// The text of a card tells its kind, so one HMAC over the text keeps the kinds apart.
#[test]
fn a_cards_secret_is_its_own_and_not_its_name() {
    let texts = [CHIP, NUMBER, OTHER_NUMBER, "MPM00012345", "12345678"];
    for (place, text) in texts.iter().enumerate() {
        let identification: Identification = text.parse().unwrap();
        assert_eq!(identification.to_string().parse(), Ok(identification));
        let one = card(text);
        assert_ne!(one.secret[..16], one.name().0);
        for other in &texts[..place] {
            assert_ne!(one.secret, card(other).secret);
        }
    }
}

#[test]
fn what_this_release_sealed_opens_for_ever() {
    let hexadecimal: String = SEALED_BY_FORMAT_1.split_whitespace().collect();
    let bytes: Vec<u8> = (0..hexadecimal.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&hexadecimal[place..place + 2], 16).unwrap())
        .collect();
    let sealed: SealedHolder = minicbor::decode(&bytes).unwrap();
    assert_eq!(sealed.open(PASS, &card(CHIP)), Ok(holder("Fien De Wachter", None)));
    assert_eq!(sealed, sealed_for(&holder("Fien De Wachter", None), &[CHIP]));
}

proptest! {
    #![proptest_config(cases(1024))]

    /// Invariant 8, and that nobody on the way can change who somebody is.
    #[test]
    fn with_one_bit_changed_anywhere_it_does_not_open(at in any::<prop::sample::Index>(), bit in 0..8) {
        let sealed = sealed_for(&somebody(), &[CHIP]);
        let mut bytes = minicbor::to_vec(&sealed).unwrap();
        let place = at.index(bytes.len());
        bytes[place] ^= 1u8 << bit;
        if let Ok(changed) = minicbor::decode::<SealedHolder>(&bytes) {
            prop_assert!(changed.open(PASS, &card(CHIP)).is_err(), "byte {place}, bit {bit}");
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_holder_comes_back_from_its_bytes(
        name in "\\PC{0,50}",
        born in prop::option::of(-40_000i32..40_000),
        picture in prop::option::of(prop::collection::vec(any::<u8>(), 0..9000)),
    ) {
        let born = born.and_then(date_of_day_number);
        let holder = || Holder {
            details: Details::new(name.clone(), born).unwrap(),
            picture: picture.as_ref().map(|bytes| Picture::from_file(jpeg(bytes)).unwrap()),
        };
        let bytes = minicbor::to_vec(sealed_for(&holder(), &[NUMBER])).unwrap();
        let sealed: SealedHolder = minicbor::decode(&bytes).unwrap();
        prop_assert!(sealed.open(PASS, &card(NUMBER)) == Ok(holder()));
    }
}
