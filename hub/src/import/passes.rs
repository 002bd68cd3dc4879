//! Passes, their cards, coupons and holders.

use crdt_model::account::Account;
use crdt_model::catalogue::{
    Card, CardName, CardStatus, GrantedCoupon, Membership, PassRecord, SocialTariffRight,
};
use crdt_model::ids::{Identification, PassId};
use crdt_model::time::day_number;

use super::{
    ImportError, Importing, MembershipRow, PassRow, at, cards_of, granted_by_residence, hash_of,
    is_active, telling_digits, together,
};
use crate::db::HubError;
use crate::ledgers::encoded;

impl Importing<'_> {
    /// The coupons that a pass is granted, by name and by where its holder lives.
    pub(super) fn granted(
        &self,
        place: usize,
        row: &PassRow,
    ) -> Result<Vec<GrantedCoupon>, ImportError> {
        let mut granted = Vec::new();
        for it in &row.coupons {
            let Some(coupon) = self.coupons.get(&it.coupon) else {
                let why = format!("there is no coupon {}", it.coupon);
                return together(format!("passes[{place}].coupons"), &why);
            };
            granted.push(GrantedCoupon {
                coupon: *coupon,
                begin: at(&it.validity_period.begin),
                end: it.validity_period.end.as_ref().map(at),
            });
        }
        let of_here = granted_by_residence(&self.by_residence, row.postal_code.as_deref());
        let new = of_here.filter(|it| !granted.iter().any(|known| known.coupon == it.coupon));
        let new: Vec<_> = new.collect();
        granted.extend(new);
        Ok(granted)
    }

    /// Imports a pass; says which it is where entries were waiting for it.
    pub(super) async fn pass(
        &mut self,
        place: usize,
        row: &PassRow,
    ) -> Result<Option<i64>, ImportError> {
        let cards: Vec<Identification> = cards_of(row).map(|(_, card)| card).collect();
        let Some(number) = cards.first() else { return Ok(None) };
        let row_hash = hash_of(row);
        // What the last file said: the whole row, and the card's state where no desk has asked for anything since.
        let taken: Option<(Vec<u8>, Option<String>)> =
            sqlx::query_as("SELECT row_hash, card_status FROM imported WHERE number = ?")
                .bind(number.to_string())
                .fetch_optional(&mut *self.connection)
                .await?;
        let (taken, said_before) = taken.unzip();
        let (id, before) = self.pass_of_any(&cards).await?;
        let pass_id = PassId(u64::try_from(id).unwrap_or_default());
        if taken.as_ref() == Some(&row_hash) && before.is_some() {
            if row.holder.is_some() && self.lacks_holder(id).await? {
                self.to_seal.push((place, pass_id));
            }
            self.count(false);
            return Ok(None);
        }
        let before: Option<PassRecord> =
            before.map(|record| minicbor::decode(&record)).transpose().map_err(HubError::from)?;
        let blocked = row
            .earlier_cards
            .iter()
            .flat_map(|it| [it.uitpas_number.is_some(), it.chip_number.is_some()]);
        let current = cards.len() - blocked.filter(|is_there| *is_there).count();
        let mut named: Vec<Card> = before.iter().flat_map(|record| record.cards.clone()).collect();
        // What a desk asked for since is newer than the file: a card that was reported lost is not given back, and
        // one that was sold does not lie in the stock again. A file may still block what is in use.
        let changed_at_desk = before.is_some() && self.is_changed_at_desk(id).await?;
        let own = CardName(self.lookup.card_key(number));
        let own_status = named.iter().find(|it| it.name == own).map(|it| it.status);
        let sold = changed_at_desk
            && is_unused(row.card_status)
            && own_status.is_some_and(|status| !is_unused(status));
        // A block that the file itself has set it may lift.
        let blocked_by_file = said_before.flatten().is_some_and(|said| {
            [CardStatus::Blocked, CardStatus::Deleted].map(said_as).contains(&said)
        });
        let lifts = blocked_by_file && row.card_status == CardStatus::Active;
        let follows = |known, said| !changed_at_desk || lifts || may_follow(known, said);
        for (position, card) in cards.iter().enumerate() {
            let status = if position < current { row.card_status } else { CardStatus::Blocked };
            let name = CardName(self.lookup.card_key(card));
            match named.iter_mut().find(|known| known.name == name) {
                Some(known) if follows(known.status, status) => known.status = status,
                Some(_) => {}
                // A chip that is new to the file is part of the card whose number was known: lost or sold with it.
                None => {
                    let known =
                        own_status.filter(|known| position < current && !follows(*known, status));
                    named.push(Card { name, status: known.unwrap_or(status) });
                }
            }
        }
        let account = before.as_ref().map_or_else(
            || Account { earned: u64::from(row.points), ..Account::default() },
            |record| record.account.clone(),
        );
        let mut record = PassRecord {
            holder: row.holder_status,
            memberships: row.memberships.iter().map(membership).collect(),
            valid_until: row.subscription_end_date.map(day_number),
            coupons: self.granted(place, row)?,
            telling_digits: telling_digits(number),
            cards: named,
            account,
            tickets_per_year: row.total_tickets_per_year,
            ..PassRecord::new(pass_id, row.programme)
        };
        if let (Some(before), true) = (before, changed_at_desk) {
            if own_status.is_some() {
                record.telling_digits = before.telling_digits;
            }
            if sold {
                // The row is that of a card in the stock: it says nothing of whoever has it now.
                (record.holder, record.memberships) = (before.holder, before.memberships);
                (record.coupons, record.valid_until) = (before.coupons, before.valid_until);
                record.tickets_per_year = before.tickets_per_year;
            }
        }
        // The row is another one than was last taken, or the first: also where the record is the same,
        // for a subscription or a postal code stand beside it.
        sqlx::query(
            "INSERT INTO pass (id, record, opening_points, active, version, subscription, postal_code)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE
             SET record = ?2, active = ?4, version = ?5, subscription = ?6, postal_code = ?7",
        )
        .bind(id)
        .bind(encoded(&record)?)
        .bind(i64::from(row.points))
        .bind(is_active(&record))
        .bind(self.versions.next())
        .bind(row.subscription.map(|it| format!("{it:?}")))
        .bind(&row.postal_code)
        .execute(&mut *self.connection)
        .await?;
        for card in &cards {
            self.card(place, id, card).await?;
        }
        sqlx::query(
            "INSERT OR REPLACE INTO imported (number, row_hash, card_status) VALUES (?, ?, ?)",
        )
        .bind(number.to_string())
        .bind(row_hash)
        .bind(said_as(row.card_status))
        .execute(&mut *self.connection)
        .await?;
        if row.holder.is_some() {
            self.to_seal.push((place, pass_id));
        }
        self.count(true);
        let Some(chip) = row.chip_number.filter(|_| self.chips_are_waiting) else {
            return Ok(None);
        };
        // Entries that were written under the chip number before the pass was known are its own.
        let settled = sqlx::query("UPDATE entry SET pass = ? WHERE chip = ? AND pass IS NULL")
            .bind(id)
            .bind(chip.to_string())
            .execute(&mut *self.connection)
            .await?;
        Ok((settled.rows_affected() > 0).then_some(id))
    }

    /// The pass that carries any of these cards, or a new id.
    pub(super) async fn pass_of_any(
        &mut self,
        cards: &[Identification],
    ) -> Result<(i64, Option<Vec<u8>>), ImportError> {
        let mut found = (0, None);
        for card in cards {
            found = self
                .known(
                    "SELECT p.id, p.record FROM pass p JOIN card c ON c.pass = p.id WHERE c.identification = ?",
                    &card.to_string(),
                    "SELECT COALESCE(MAX(id), 0) FROM pass",
                )
                .await?;
            if found.1.is_some() {
                break;
            }
        }
        Ok(found)
    }

    async fn is_changed_at_desk(&mut self, pass: i64) -> Result<bool, ImportError> {
        let changed: Option<bool> =
            sqlx::query_scalar("SELECT changed_at_desk FROM pass WHERE id = ?")
                .bind(pass)
                .fetch_optional(&mut *self.connection)
                .await?;
        Ok(changed.unwrap_or_default())
    }

    pub(super) async fn lacks_holder(&mut self, pass: i64) -> Result<bool, ImportError> {
        let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM holder WHERE pass = ?")
            .bind(pass)
            .fetch_optional(&mut *self.connection)
            .await?;
        Ok(known.is_none())
    }

    pub(super) async fn card(
        &mut self,
        place: usize,
        pass: i64,
        card: &Identification,
    ) -> Result<(), ImportError> {
        let text = card.to_string();
        let added = sqlx::query("INSERT OR IGNORE INTO card (identification, pass) VALUES (?, ?)")
            .bind(&text)
            .bind(pass)
            .execute(&mut *self.connection)
            .await?;
        if added.rows_affected() > 0 {
            return Ok(());
        }
        let owner: i64 = sqlx::query_scalar("SELECT pass FROM card WHERE identification = ?")
            .bind(&text)
            .fetch_one(&mut *self.connection)
            .await?;
        if owner == pass {
            Ok(())
        } else {
            together(format!("passes[{place}].chipNumber"), "another pass has this card")
        }
    }
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
