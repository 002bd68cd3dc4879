//! Passes, their cards and coupons: some thousands in one transaction, with a few statements for all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use crdt_model::account::Account;
use crdt_model::catalogue::{
    Card, CardName, CardStatus, GrantedCoupon, LookupKey, Membership, PassRecord, SocialTariffRight,
};
use crdt_model::ids::{Identification, PassId};
use crdt_model::time::day_number;

use super::{
    CatalogueFile, Grants, ImportError, Imported, MembershipRow, PASSES_AT_ONCE, PassRow, at,
    cards_of, granted_by_residence, hash_of, telling_digits, together,
};
use crate::db::Line;
use crate::db::{Db, HubError};
use crate::ledgers::fold_passes;
use crate::records::imported::{self, Said};
use crate::records::passes::{self, Pass};
use crate::records::{entries, holders};

/// Cards that are looked up in one go.
const CARDS_AT_ONCE: usize = 4_096;

impl Grants {
    /// Whether a row names only coupons that there are.
    pub(super) fn judge(&self, place: usize, row: &PassRow) -> Result<(), ImportError> {
        match row.coupons.iter().find(|it| !self.coupons.contains_key(&it.coupon)) {
            None => Ok(()),
            Some(it) => {
                let why = format!("there is no coupon {}", it.coupon);
                together(format!("passes[{place}].coupons"), &why)
            }
        }
    }

    /// The coupons that a pass is granted, by name and by where its holder lives.
    fn granted(&self, row: &PassRow) -> Vec<GrantedCoupon> {
        let by_name = row.coupons.iter().filter_map(|it| {
            Some(GrantedCoupon {
                coupon: *self.coupons.get(&it.coupon)?,
                begin: at(&it.validity_period.begin),
                end: it.validity_period.end.as_ref().map(at),
            })
        });
        let mut granted: Vec<GrantedCoupon> = by_name.collect();
        let of_here = granted_by_residence(&self.by_residence, row.postal_code.as_deref());
        let new = of_here.filter(|it| !granted.iter().any(|known| known.coupon == it.coupon));
        let new: Vec<_> = new.collect();
        granted.extend(new);
        granted
    }
}

/// Whether the cards of each row are those of one pass, as the database is now.
pub(super) async fn judge(db: &Db, file: &CatalogueFile) -> Result<(), ImportError> {
    for (chunk, rows) in file.passes.chunks(PASSES_AT_ONCE).enumerate() {
        let cards: Vec<Vec<String>> = rows
            .iter()
            .map(|row| cards_of(row).map(|(_, card)| card.to_string()).collect())
            .collect();
        let owners = owners(&mut db.read().await?, cards.iter().flatten().cloned()).await?;
        if owners.is_empty() {
            continue;
        }
        for (place, cards) in cards.iter().enumerate() {
            if belongs_to_two(cards, &owners) {
                let place = chunk * PASSES_AT_ONCE + place;
                return together(format!("passes[{place}].chipNumber"), OTHERS_CARD);
            }
        }
    }
    Ok(())
}

const OTHERS_CARD: &str = "another pass has this card";

async fn owners(
    reading: &mut crate::db::Reading,
    cards: impl IntoIterator<Item = String>,
) -> Result<HashMap<String, u64>, HubError> {
    let cards: Vec<String> = cards.into_iter().collect();
    let mut owners = HashMap::new();
    for some in cards.chunks(CARDS_AT_ONCE) {
        owners.extend(passes::owners(reading, some.iter().cloned()).await?);
    }
    Ok(owners)
}

fn belongs_to_two(cards: &[String], owners: &HashMap<String, u64>) -> bool {
    let mut of = cards.iter().filter_map(|card| owners.get(card));
    let first = of.next();
    of.any(|owner| Some(owner) != first)
}

/// A row, and what of it needs no database: hashes take longest of all.
pub(super) struct Prepared<'a> {
    place: usize,
    row: &'a PassRow,
    cards: Vec<Identification>,
    texts: Vec<String>,
    names: Vec<CardName>,
    hash: Vec<u8>,
}

/// Prepares these rows, before the turn.
pub(super) fn prepared<'a>(
    lookup: &LookupKey,
    rows: &'a [PassRow],
    places: Range<usize>,
) -> Vec<Prepared<'a>> {
    let prepared = places.map(|place| {
        let row = &rows[place];
        let cards: Vec<Identification> = cards_of(row).map(|(_, card)| card).collect();
        let texts = cards.iter().map(ToString::to_string).collect();
        let names = cards.iter().map(|card| CardName(lookup.card_key(card))).collect();
        Prepared { place, row, cards, texts, names, hash: hash_of(row) }
    });
    prepared.collect()
}

/// What the database knows of some rows.
struct Known {
    owners: HashMap<String, u64>,
    said: HashMap<String, Said>,
    passes: BTreeMap<u64, Pass>,
    with_holder: HashSet<u64>,
}

/// Takes rows in one transaction, and says how many: up to one that is about the same pass as one before it.
pub(super) async fn take(
    db: &Db,
    grants: &Grants,
    mut rows: Vec<Prepared<'_>>,
    done: &mut Imported,
    to_seal: &mut Vec<(usize, PassId)>,
) -> Result<usize, ImportError> {
    let mut writing = db.write().await?;
    let owners = owners(&mut writing, rows.iter().flat_map(|it| it.texts.iter().cloned())).await?;
    let owner = |it: &Prepared| it.texts.iter().find_map(|card| owners.get(card).copied());
    let mut seen = HashSet::new();
    let fitting = rows.iter().take_while(|it| owner(it).is_none_or(|id| seen.insert(id)));
    let many = fitting.count();
    rows.truncate(many);
    let numbers: Vec<String> = rows.iter().filter_map(|it| it.texts.first().cloned()).collect();
    let said = imported::said(&mut writing, numbers).await?;
    let passes = passes::lock(&mut writing, rows.iter().filter_map(&owner)).await?;
    let with_holder = rows.iter().filter(|it| it.row.holder.is_some()).filter_map(&owner);
    let with_holder = holders::which(&mut writing, with_holder).await?;
    let known = Known { owners: owners.clone(), said, passes, with_holder };
    let new = rows.iter().filter(|it| owner(it).is_none()).count();
    let mut next = if new == 0 { 0 } else { writing.ids("pass", new, 1).await? };
    if let Some(beside) = db.beside().filter(|_| new > 0) {
        // Before the database: an id that a desk was told names no other pass, whatever becomes of it.
        beside.append(&[Line::Passes { up_to: next + new as u64 - 1 }])?;
    }
    let chips_wait = entries::any_wait(&mut writing).await?;

    let (mut written, mut cards, mut kept, mut chips) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for it in &rows {
        let Some(number) = it.texts.first() else { continue };
        let id = owner(it).unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        let pass = PassId(id);
        let has_holder = known.with_holder.contains(&id);
        let before = known.passes.get(&id);
        let said = known.said.get(number);
        if before.is_some() && said.is_some_and(|said| said.row_hash == it.hash) {
            if it.row.holder.is_some() && !has_holder {
                to_seal.push((it.place, pass));
            }
            done.same += 1;
            continue;
        }
        if belongs_to_two(&it.texts, &known.owners) {
            let field = format!("passes[{}].chipNumber", it.place);
            return Err(ImportError::Meanwhile { field, why: OTHERS_CARD });
        }
        written.push(passes::Imported {
            record: record(grants, it, pass, before, said),
            opening_points: u64::from(it.row.points),
            subscription: it.row.subscription.map(|it| format!("{it:?}")),
            municipality: it.row.postal_code.clone(),
            birth_year: born(it.row),
        });
        let new_cards = it.texts.iter().filter(|card| !known.owners.contains_key(*card));
        cards.extend(new_cards.map(|card| (card.clone(), id)));
        kept.push((number.clone(), it.hash.clone(), said_as(it.row.card_status)));
        if it.row.holder.is_some() {
            to_seal.push((it.place, pass));
        }
        done.changed += 1;
        if let Some(chip) = it.row.chip_number.filter(|_| chips_wait) {
            chips.push((chip.to_string(), id));
        }
    }
    passes::write_imported(&mut writing, &written).await?;
    passes::add_cards(&mut writing, cards).await?;
    imported::keep(&mut writing, kept).await?;
    // Entries that were written under the chip number before the pass was known are its own.
    let settled: BTreeSet<u64> =
        entries::give_chips(&mut writing, &chips).await?.into_iter().collect();
    fold_passes(&mut writing, &settled).await?;
    writing.commit().await?;
    Ok(many)
}

fn born(row: &PassRow) -> Option<i32> {
    Some(i32::from(row.holder.as_ref()?.date_of_birth?.year()))
}

/// What a row makes of a pass.
fn record(
    grants: &Grants,
    it: &Prepared<'_>,
    pass: PassId,
    before: Option<&Pass>,
    said: Option<&Said>,
) -> PassRecord {
    let row = it.row;
    let blocked = row
        .earlier_cards
        .iter()
        .flat_map(|it| [it.uitpas_number.is_some(), it.chip_number.is_some()]);
    let current = it.cards.len() - blocked.filter(|is_there| *is_there).count();
    let mut named: Vec<Card> = before.map(|it| it.record.cards.clone()).unwrap_or_default();
    // What a desk asked for since is newer than the file: a card that was reported lost is not given back, and
    // one that was sold does not lie in the stock again. A file may still block what is in use.
    let changed_at_desk = before.is_some_and(|it| it.changed_at_desk);
    let own_status = named.iter().find(|card| card.name == it.names[0]).map(|card| card.status);
    let sold = changed_at_desk
        && is_unused(row.card_status)
        && own_status.is_some_and(|status| !is_unused(status));
    // A block that the file itself has set it may lift.
    let blocked_by_file = said
        .and_then(|said| said.card_status.as_ref())
        .is_some_and(|said| [CardStatus::Blocked, CardStatus::Deleted].map(said_as).contains(said));
    let lifts = blocked_by_file && row.card_status == CardStatus::Active;
    let follows = |known, said| !changed_at_desk || lifts || may_follow(known, said);
    for (position, name) in it.names.iter().enumerate() {
        let status = if position < current { row.card_status } else { CardStatus::Blocked };
        match named.iter_mut().find(|known| known.name == *name) {
            Some(known) if follows(known.status, status) => known.status = status,
            Some(_) => {}
            // A chip that is new to the file is part of the card whose number was known: lost or sold with it.
            None => {
                let known =
                    own_status.filter(|known| position < current && !follows(*known, status));
                named.push(Card { name: *name, status: known.unwrap_or(status) });
            }
        }
    }
    let account = before.map_or_else(
        || Account { earned: u64::from(row.points), ..Account::default() },
        |it| it.record.account.clone(),
    );
    let mut record = PassRecord {
        holder: row.holder_status,
        memberships: row.memberships.iter().map(membership).collect(),
        valid_until: row.subscription_end_date.map(day_number),
        coupons: grants.granted(row),
        telling_digits: telling_digits(&it.cards[0]),
        cards: named,
        account,
        tickets_per_year: row.total_tickets_per_year,
        ..PassRecord::new(pass, row.programme)
    };
    if let Some(before) = before.map(|it| &it.record).filter(|_| changed_at_desk) {
        if own_status.is_some() {
            record.telling_digits.clone_from(&before.telling_digits);
        }
        if sold {
            // The row is that of a card in the stock: it says nothing of whoever has it now.
            (record.holder, record.memberships) = (before.holder, before.memberships.clone());
            (record.coupons, record.valid_until) = (before.coupons.clone(), before.valid_until);
            record.tickets_per_year = before.tickets_per_year;
        }
    }
    record
}

fn membership(row: &MembershipRow) -> Membership {
    Membership {
        card_system: row.card_system,
        status: row.status,
        ends: row.end_date.map(day_number),
        suspended_until: row.suspended_until_date.map(day_number),
        social_tariff: row.social_tariff.as_ref().map(|right| SocialTariffRight {
            ends: day_number(right.end_date),
            suspended_until: right.suspended_until_date.map(day_number),
        }),
    }
}

/// A card's status as it is kept beside the row that said it.
fn said_as(status: CardStatus) -> String {
    format!("{status:?}")
}

/// Whether nobody was given a card of this status.
fn is_unused(status: CardStatus) -> bool {
    matches!(status, CardStatus::Provisioned | CardStatus::LocalStock)
}

/// Whether a file may say this of a card that a desk's request changed: it may give out what lies in a stock, and block
/// whatever there is.
fn may_follow(known: CardStatus, said: CardStatus) -> bool {
    is_unused(known) || matches!(said, CardStatus::Blocked | CardStatus::Deleted)
}
