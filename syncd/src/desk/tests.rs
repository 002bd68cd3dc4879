//! A desk that has never seen its hub.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use hardware::card::Speaks;

use super::*;
use crate::desk_api::types::CardCheckRequest;

fn desk(folder: &std::path::Path) -> Desk {
    let folder = DeskFolder::new(folder);
    let enrolment = Enrolment {
        venue: "museum-de-reede".parse().unwrap(),
        venue_name: "Museum De Reede".to_owned(),
        desk_name: "Balie 1".to_owned(),
        time_zone: "Europe/Brussels".to_owned(),
        hub_addresses: Vec::new(),
        hub_key: [1; 32],
        lookup_key: [2; 32],
        request_key: None,
    };
    enrolment.write(&folder).unwrap();
    Desk::open(folder, 1).unwrap().0
}

/// Whoever hands in a device that plays a new card gets the keys of the number that it shows: so a desk that
/// does not know which numbers are those of passes gives out none.
#[test]
fn a_card_is_not_made_where_the_pass_list_cannot_tell_whether_its_number_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(folder.path());
    let now = UnixMillis(1_795_000_000_000);
    let day = 86_400_000;
    let refused = |desk: &mut Desk, again, wall| {
        let chip_number = "04784CDAEE3880".parse().unwrap();
        let request =
            CardCheckRequest { chip_number, speaks: Some(Speaks::Type2), make: true, again };
        desk.begin_card_check(&request, wall).failed.unwrap()
    };
    assert!(refused(&mut desk, false, now).contains("pass list"), "it was never there");
    // This desk was given no keys, so that is as far as it goes.
    assert!(refused(&mut desk, true, now).contains("no keys"), "somebody knows the card");
    desk.store.set_cursor(Cursor::CatalogueAt, u64::try_from(now.0).unwrap()).unwrap();
    assert!(refused(&mut desk, false, now.plus(day - 1)).contains("no keys"));
    assert!(refused(&mut desk, false, now.plus(day)).contains("pass list"), "a day old");
    desk.store_health = Health::Trouble(Trouble::PassListDamaged { detail: "a page".to_owned() });
    assert!(refused(&mut desk, false, now).contains("pass list"), "not whole");
}
