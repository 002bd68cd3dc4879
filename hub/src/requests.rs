//! Requests about people and their cards: opened, done once, answered. Nothing of what they say is
//! logged, and of the request only its name and what became of it is kept.

use catalogue_file::HolderRow;
use crdt_model::catalogue::{
    Card, CardName, CardStatus, HolderStatus, LookupKey, Membership, MembershipStatus, PassRecord,
    Programme, SocialTariffRight,
};
use crdt_model::ids::{ChipNumber, DeviceId, Identification, UitpasNumber};
use crdt_model::time::day_number;
use sqlx::{Row, SqliteConnection, SqlitePool};
use sync_protocol::request::{Registration, Request, RequestAnswer, RequestError, SealedRequest};

use crate::catalogue::next_version;
use crate::db::{HubError, Writing, lookup_key, request_key, to_sql, wall_clock};
use crate::import::{coupons, granted_by_residence, is_active, telling_digits};
use crate::ledgers::{encoded, fold_passes};
use crate::{holders, holders::HolderProblem};

/// Opens a request, does what it asks, and says what became of it. A repeat is answered the same. One
/// of a kind that only a newer hub knows is not answered: it waits at its desk until this hub is
/// updated.
///
/// # Errors
/// [`HubError`]; nothing is then done, and the desk asks again.
pub async fn answer(
    pool: &SqlitePool,
    device: DeviceId,
    public_key: &[u8],
    request: &SealedRequest,
) -> Result<Option<RequestAnswer>, HubError> {
    let key = request_key(pool).await?;
    let lookup = lookup_key(pool).await?;
    let mut turn = Writing::begin(pool).await?;
    let writing = &mut turn.transaction;
    let before: Option<Option<String>> =
        sqlx::query_scalar("SELECT refused FROM request WHERE id = ?")
            .bind(&request.id.0[..])
            .fetch_optional(&mut **writing)
            .await?;
    if let Some(refused) = before {
        return Ok(Some(RequestAnswer { id: request.id, refused, number: None }));
    }
    let (kind, refused, paid) = match key.open(request, public_key) {
        Ok(opened) => {
            let kind = opened.kind().name();
            let paid = match &opened {
                Request::Register(registration) => Some(registration.paid.0),
                Request::LinkChip { .. } | Request::ReportLost { .. } | Request::Replace { .. } => {
                    None
                }
            };
            // What is refused is refused whole: the half that was done is undone.
            sqlx::query("SAVEPOINT asked").execute(&mut **writing).await?;
            let mut desk = AtHub { connection: writing, lookup };
            match desk.act(opened).await {
                Ok(()) => {
                    sqlx::query("RELEASE asked").execute(&mut **writing).await?;
                    (kind, None, paid)
                }
                Err(Refused::Sentence(sentence)) => {
                    sqlx::query("ROLLBACK TO asked").execute(&mut **writing).await?;
                    sqlx::query("RELEASE asked").execute(&mut **writing).await?;
                    (kind, Some(sentence), None)
                }
                Err(Refused::Hub(error)) => return Err(error),
            }
        }
        Err(RequestError::Contents) => {
            tracing::error!(id = %request.id, %device, "a request of a kind that only a newer hub knows");
            return Ok(None);
        }
        Err(error) => ("UNREADABLE", Some(error.to_string()), None),
    };
    sqlx::query(
        "INSERT INTO request (id, device, kind, refused, at, paid_cents) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(&request.id.0[..])
    .bind(&device.0[..])
    .bind(kind)
    .bind(&refused)
    .bind(wall_clock().0)
    .bind(paid)
    .execute(&mut **writing)
    .await?;
    turn.transaction.commit().await?;
    tracing::info!(id = %request.id, %device, kind, done = refused.is_none(), "a request was answered");
    Ok(Some(RequestAnswer { id: request.id, refused, number: None }))
}

/// Why a request is not done.
enum Refused {
    /// For the people at the desk: what is wrong and what to do, without naming anybody.
    Sentence(String),
    Hub(HubError),
}

impl From<HubError> for Refused {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self::Hub(error.into())
    }
}

impl From<HolderProblem> for Refused {
    fn from(problem: HolderProblem) -> Self {
        match problem {
            HolderProblem::Hub(error) => Self::Hub(error),
            HolderProblem::Row { .. } => Self::Sentence(problem.to_string()),
        }
    }
}

fn refused<T>(sentence: &str) -> Result<T, Refused> {
    Err(Refused::Sentence(sentence.to_owned()))
}

/// The contract registers on cards in `LOCAL_STOCK` only.
const NOT_IN_STOCK: &str =
    "this card is not from a stock: it was given to somebody before, or blocked. Take another card";

struct AtHub<'a> {
    connection: &'a mut SqliteConnection,
    lookup: LookupKey,
}

impl AtHub<'_> {
    async fn act(&mut self, request: Request) -> Result<(), Refused> {
        match request {
            Request::Register(registration) => self.register(registration).await,
            Request::LinkChip { number, chip } => self.link(number, chip).await,
            Request::ReportLost { card } => self.report_lost(&card).await,
            Request::Replace { old, new, chip } => self.replace(&old, new, chip).await,
        }
    }

    fn name(&self, card: &Identification) -> CardName {
        CardName(self.lookup.card_key(card))
    }

    async fn pass_of(&mut self, card: &Identification) -> Result<PassRecord, Refused> {
        let row = sqlx::query(
            "SELECT p.record FROM pass p JOIN card c ON c.pass = p.id WHERE c.identification = ?",
        )
        .bind(card.to_string())
        .fetch_optional(&mut *self.connection)
        .await?;
        match row {
            Some(row) => Ok(minicbor::decode(row.get(0)).map_err(HubError::from)?),
            None => refused("no pass has this card. Compare the number with the card"),
        }
    }

    /// The pass of a card that lies in a desk's stock.
    async fn card_in_stock(&mut self, number: UitpasNumber) -> Result<PassRecord, Refused> {
        let card = Identification::Uitpas(number);
        let record = self.pass_of(&card).await?;
        let in_stock = record.card_status(&self.name(&card)) == CardStatus::LocalStock;
        if in_stock && record.programme == Programme::Uitpas {
            Ok(record)
        } else {
            refused(NOT_IN_STOCK)
        }
    }

    async fn write(&mut self, record: &PassRecord) -> Result<(), Refused> {
        sqlx::query(
            "UPDATE pass SET record = ?, active = ?, version = ?, changed_at_desk = 1 WHERE id = ?",
        )
        .bind(encoded(record)?)
        .bind(is_active(record))
        .bind(next_version(self.connection).await?)
        .bind(to_sql(record.pass.0))
        .execute(&mut *self.connection)
        .await?;
        // What a file said before this is not what it says of this.
        sqlx::query(
            "UPDATE imported SET card_status = NULL
             WHERE number IN (SELECT identification FROM card WHERE pass = ?)",
        )
        .bind(to_sql(record.pass.0))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// Gives a pass a chip, and the entries that were written under it before it was known.
    async fn give_chip(
        &mut self,
        record: &mut PassRecord,
        chip: ChipNumber,
        status: CardStatus,
    ) -> Result<(), Refused> {
        let card = Identification::Chip(chip);
        let owner: Option<i64> =
            sqlx::query_scalar("SELECT pass FROM card WHERE identification = ?")
                .bind(card.to_string())
                .fetch_optional(&mut *self.connection)
                .await?;
        let pass = to_sql(record.pass.0);
        if owner.is_some_and(|owner| owner != pass) {
            return refused("this chip belongs to another pass. Tap the card again, alone");
        }
        sqlx::query("INSERT OR IGNORE INTO card (identification, pass) VALUES (?, ?)")
            .bind(card.to_string())
            .bind(pass)
            .execute(&mut *self.connection)
            .await?;
        let name = self.name(&card);
        match record.cards.iter_mut().find(|known| known.name == name) {
            Some(known) => known.status = status,
            None => record.cards.push(Card { name, status }),
        }
        sqlx::query("UPDATE entry SET pass = ? WHERE chip = ? AND pass IS NULL")
            .bind(pass)
            .bind(chip.to_string())
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn register(&mut self, new: Registration) -> Result<(), Refused> {
        let mut record = self.card_in_stock(new.number).await?;
        if new.name.trim().is_empty() {
            return refused("a holder needs a name");
        }
        for card in &mut record.cards {
            card.status = CardStatus::Active;
        }
        record.holder = HolderStatus::Registered;
        record.memberships.retain(|it| it.card_system != new.card_system);
        record.memberships.push(Membership {
            card_system: new.card_system,
            status: MembershipStatus::Active,
            ends: None,
            suspended_until: None,
            social_tariff: new
                .social_tariff_ends
                .map(|day| SocialTariffRight { ends: day_number(day), suspended_until: None }),
        });
        let known = coupons(self.connection).await?;
        let by_residence: Vec<_> = known
            .into_iter()
            .filter(|(_, _, residence)| !residence.0.is_empty())
            .map(|(coupon, _, residence)| (coupon, residence))
            .collect();
        record.coupons = granted_by_residence(&by_residence, new.postal_code.as_deref()).collect();
        if let Some(chip) = new.chip {
            self.give_chip(&mut record, chip, CardStatus::Active).await?;
        }
        sqlx::query("UPDATE pass SET postal_code = ? WHERE id = ?")
            .bind(&new.postal_code)
            .bind(to_sql(record.pass.0))
            .execute(&mut *self.connection)
            .await?;
        self.write(&record).await?;
        let cards = cards_in_use(self.connection, &self.lookup, &record).await?;
        let holder =
            HolderRow { name: new.name, date_of_birth: Some(new.date_of_birth), picture: None };
        holders::keep(self.connection, &self.lookup, record.pass, &cards, &holder).await?;
        Ok(self.settle(&record).await?)
    }

    async fn link(&mut self, number: UitpasNumber, chip: ChipNumber) -> Result<(), Refused> {
        let card = Identification::Uitpas(number);
        let mut record = self.pass_of(&card).await?;
        let status = record.card_status(&self.name(&card));
        if !matches!(status, CardStatus::Active | CardStatus::LocalStock) {
            return refused("the card of this number is blocked. Take another card");
        }
        self.give_chip(&mut record, chip, status).await?;
        self.write(&record).await?;
        let chip = Identification::Chip(chip);
        holders::add_card(self.connection, &self.lookup, record.pass, &chip).await?;
        Ok(self.settle(&record).await?)
    }

    async fn report_lost(&mut self, card: &Identification) -> Result<(), Refused> {
        let mut record = self.pass_of(card).await?;
        if record.card_status(&self.name(card)) != CardStatus::Active {
            return refused("this card is not in use, so it cannot be reported lost");
        }
        block_current(&mut record);
        self.write(&record).await?;
        Ok(holders::seal_anew(self.connection, &self.lookup, record.pass, &[]).await?)
    }

    /// The pass keeps its account; the new card comes from the stock, where a pass without a holder
    /// was made for it. That one keeps no card.
    async fn replace(
        &mut self,
        old: &Identification,
        new: UitpasNumber,
        chip: Option<ChipNumber>,
    ) -> Result<(), Refused> {
        let mut record = self.pass_of(old).await?;
        if record.programme != Programme::Uitpas {
            return refused("only an individual UiTPAS is replaced at a desk");
        }
        let mut from_stock = self.card_in_stock(new).await?;
        if from_stock.pass == record.pass {
            return refused(NOT_IN_STOCK);
        }
        block_current(&mut record);
        sqlx::query("UPDATE card SET pass = ? WHERE pass = ?")
            .bind(to_sql(record.pass.0))
            .bind(to_sql(from_stock.pass.0))
            .execute(&mut *self.connection)
            .await?;
        let moved = std::mem::take(&mut from_stock.cards);
        record.cards.extend(moved.iter().map(|it| Card { status: CardStatus::Active, ..*it }));
        if let Some(chip) = chip {
            self.give_chip(&mut record, chip, CardStatus::Active).await?;
        }
        record.telling_digits = telling_digits(&Identification::Uitpas(new));
        // The emptied one first: a desk that takes them in this order finds the card at its new pass.
        self.write(&from_stock).await?;
        self.write(&record).await?;
        let cards = cards_in_use(self.connection, &self.lookup, &record).await?;
        holders::seal_anew(self.connection, &self.lookup, record.pass, &cards).await?;
        Ok(self.settle(&record).await?)
    }

    /// Entries that were waiting for the pass's chip count from now on.
    async fn settle(&mut self, record: &PassRecord) -> Result<(), HubError> {
        fold_passes(self.connection, &std::iter::once(to_sql(record.pass.0)).collect()).await
    }
}

/// The cards of a pass that are in use.
pub(crate) async fn cards_in_use(
    connection: &mut SqliteConnection,
    lookup: &LookupKey,
    record: &PassRecord,
) -> Result<Vec<Identification>, HubError> {
    let texts: Vec<String> = sqlx::query_scalar("SELECT identification FROM card WHERE pass = ?")
        .bind(to_sql(record.pass.0))
        .fetch_all(connection)
        .await?;
    let cards = texts.iter().filter_map(|text| text.parse::<Identification>().ok());
    let in_use = |card: &Identification| {
        record.card_status(&CardName(lookup.card_key(card))) == CardStatus::Active
    };
    Ok(cards.filter(in_use).collect())
}

/// A physical card has a number and a chip, which stand in the record one by one: whichever of them
/// was said, all that is in use is blocked.
fn block_current(record: &mut PassRecord) {
    for card in record.cards.iter_mut().filter(|card| card.status == CardStatus::Active) {
        card.status = CardStatus::Blocked;
    }
}
