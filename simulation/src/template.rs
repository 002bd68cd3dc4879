//! What stands in each world's hub at the beginning: made once, then copied.

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt_model::account::Account;
use crdt_model::catalogue::{
    Activity, Card, CardName, CardStatus, Membership, MembershipStatus, PassRecord, Programme,
};
use crdt_model::ids::{ActivityId, CardSystemId, Identification, PassId, UitpasNumber};
use crdt_model::limits::{PeriodLimit, PeriodType};
use hub::db::{Db, Moves, sql};
use hub::records::passes::{Imported, write_imported};
use sync_protocol::invitation::key_fingerprint;
use syncd::enrolment::Enrolment;
use tokio::sync::Mutex;

use crate::desk;
use crate::hub::{Files, Simulated, folder, hub_public_key, open, venue};

/// Passes that the desks see: few, so that desks meet on their accounts.
pub(crate) const PASSES: u64 = 8;

/// Passes of a world whose catalogue fits no page: then the deny list goes ahead.
const MANY: u64 = 1_100;

/// Points that each of them has before its entries.
pub(crate) const POINTS: u64 = 30;

/// Passes behind these, whose holders' names are sealed.
pub(crate) const WITH_HOLDER: u64 = 2;

/// Units of the limited reward.
pub(crate) const UNITS: u32 = 40;

/// The files of a hub with so many desks, by whether its catalogue is large.
pub(crate) async fn of(desks: u8, large: bool) -> Arc<Files> {
    static MADE: Mutex<BTreeMap<(u8, bool), Arc<Files>>> = Mutex::const_new(BTreeMap::new());
    let mut made = MADE.lock().await;
    if let Some(files) = made.get(&(desks, large)) {
        return files.clone();
    }
    let folder = folder();
    let db = open(folder.path(), Simulated::new(1)).await;
    fill(&db, desks, if large { MANY } else { PASSES }).await;
    db.close().await;
    let files = Arc::new(Files::of(folder.path()));
    made.insert((desks, large), files.clone());
    files
}

/// The chip of a pass.
pub(crate) fn chip(pass: u64) -> Identification {
    Identification::Chip(format!("04{pass:012X}").parse().unwrap())
}

/// What the desk with this number was told when it was enrolled.
pub(crate) async fn enrolment(db: &Db, n: u8) -> Enrolment {
    Enrolment {
        venue: venue().clone(),
        venue_name: "De Reede".to_owned(),
        desk_name: format!("Balie {n}"),
        time_zone: "Europe/Brussels".to_owned(),
        hub_addresses: Vec::new(),
        hub_key: key_fingerprint(hub_public_key()),
        lookup_key: hub::secrets::lookup_key(db).await.unwrap().0,
        request_key: Some(hub::secrets::request_key(db).await.unwrap().public_key()),
    }
}

/// A file that names the passes behind the others, with a holder whose name has so many letters.
fn with_holders(letters: usize) -> String {
    let rows = (0..WITH_HOLDER).map(|n| {
        let number = UitpasNumber::with_check_digit(&format!("0900{n:06}00")).unwrap();
        format!(
            r#"{{"programme": "UITPAS", "uitpasNumber": "{number}", "cardStatus": "ACTIVE",
                "memberships": [{{"cardSystem": 1}}],
                "holder": {{"name": "{}", "dateOfBirth": "1990-01-01"}}}}"#,
            "N".repeat(letters)
        )
    });
    format!(r#"{{"passes": [{}]}}"#, rows.collect::<Vec<_>>().join(","))
}

/// Gives the holders other names, which are sealed anew: slow, as it is meant to be.
pub(crate) async fn change_holders(db: &Db, letters: usize) {
    let file = hub::import::read(&with_holders(letters)).unwrap();
    hub::import::import(db, &file).await.unwrap();
}

/// Keeps an activity under a new number.
pub(crate) async fn change_activity(db: &Db, id: u32, points: u32) {
    let event_id = format!("event-{id}");
    let activity = Activity {
        checkin_points: points,
        // An account is folded by the limits of its time: they stay as they are.
        checkin_limit: Some(PeriodLimit { volume: 2, period_type: PeriodType::Day }),
        ..Activity::new(ActivityId(id), &event_id, "Story hour", venue().clone())
    };
    let mut writing = db.write().await.unwrap();
    let version = writing.version(Moves::Catalogue).await.unwrap();
    let keep = "INSERT INTO activity (id, event_id, venue, record, version)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET record = excluded.record, version = excluded.version";
    let keep = sql(keep).bind(id).bind(&event_id).bind(venue().as_str());
    let keep = keep.bind(minicbor::to_vec(&activity).unwrap()).bind(version);
    writing.execute(keep).await.unwrap();
    writing.commit().await.unwrap();
}

async fn fill(db: &Db, desks: u8, passes: u64) {
    hub::registry::add_venue(db, venue(), "De Reede").await.unwrap();
    for n in 0..desks {
        let name = format!("Balie {n}");
        let invitation = hub::registry::invite(db, venue(), &name, Vec::new(), &[0; 32]).await;
        let key = desk::key(n);
        let token = invitation.unwrap().token;
        hub::registry::enrol(db, &token, key.public_key()).await.unwrap().unwrap();
    }
    let lookup = hub::secrets::lookup_key(db).await.unwrap();
    let pass = |number: u64| Imported {
        record: PassRecord {
            memberships: vec![Membership {
                card_system: CardSystemId(1),
                status: MembershipStatus::Active,
                ends: None,
                suspended_until: None,
                social_tariff: None,
            }],
            telling_digits: "0959".to_owned(),
            cards: vec![Card {
                name: CardName(lookup.card_key(&chip(number))),
                status: CardStatus::Active,
            }],
            account: Account { earned: POINTS, ..Account::default() },
            ..PassRecord::new(PassId(number), Programme::Uitpas)
        },
        opening_points: POINTS,
        subscription: None,
        municipality: None,
        birth_year: None,
    };
    let all: Vec<Imported> = (1..=passes).map(pass).collect();
    let mut writing = db.write().await.unwrap();
    write_imported(&mut writing, &all).await.unwrap();
    writing.ids("pass", 1, passes).await.unwrap();
    for number in 1..=PASSES {
        let card = sql("INSERT INTO card (identification, pass) VALUES ($1, $2)");
        writing.execute(card.bind(chip(number).to_string()).bind(number)).await.unwrap();
    }
    writing.commit().await.unwrap();
    for id in 1..=3 {
        change_activity(db, id, 1).await;
    }
    let file = format!(
        r#"{{"rewards": [{{"id": "tas", "title": "Stoffen tas", "type": "POINTS", "points": 1,
            "maxAvailableUnits": {UNITS}}}]}}"#
    );
    hub::import::import(db, &hub::import::read(&file).unwrap()).await.unwrap();
    change_holders(db, 3).await;
    hub::card_keys::make(db, hub::card_keys::Kind::Keys).await.unwrap();
}
