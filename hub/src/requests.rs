//! Requests about people and their cards: opened, done once, answered. Nothing of what they say is
//! logged, and of the request only its name and what became of it is kept.

use catalogue_file::HolderRow;
use crdt_model::catalogue::{
    Card, CardName, CardStatus, HolderStatus, LookupKey, Membership, MembershipStatus, PassRecord,
    Programme, SocialTariffRight,
};
use crdt_model::ids::{ChipNumber, DeviceId, Identification, UitpasNumber};
use crdt_model::time::day_number;
use sync_protocol::request::{Registration, Request, RequestAnswer, RequestError, SealedRequest};

use crate::db::{DatabaseError, Db, HubError, Writing};
use crate::holders::{self, HolderProblem, Sealed, Sealing, Step};
use crate::import::{coupons, granted_by_residence, telling_digits};
use crate::ledgers::fold_passes;
use crate::records::{entries, imported, passes, requests as kept, runs};
use crate::secrets::{lookup_key, request_key};

/// How often what was sealed turns out not to fit any more, before the desk is left to ask again.
const MOST_TRIES: usize = 5;

/// Opens a request, does what it asks, and says what became of it. A repeat is answered the same. One
/// of a kind that only a newer hub knows is not answered: it waits at its desk until this hub is
/// updated.
///
/// # Errors
/// [`HubError`]; nothing is then done, and the desk asks again.
pub async fn answer(
    db: &Db,
    device: DeviceId,
    public_key: &[u8],
    request: &SealedRequest,
) -> Result<Option<RequestAnswer>, HubError> {
    let id = request.id;
    if let Some(refused) = kept::answered(&mut db.read().await?, id).await? {
        let number = runs::reached(&mut db.read().await?).await?;
        return Ok(Some(RequestAnswer { id, refused, number: Some(number) }));
    }
    let key = request_key(db).await?;
    let lookup = lookup_key(db).await?;
    let opened = match key.open(request, public_key) {
        Ok(opened) => Ok(opened),
        Err(RequestError::Contents) => {
            tracing::error!(%id, %device, "a request of a kind that only a newer hub knows");
            return Ok(None);
        }
        Err(error) => Err(error.to_string()),
    };
    let mut sealed = None;
    for _ in 0..MOST_TRIES {
        let mut writing = db.write().await?;
        kept::lock(&mut writing, id).await?;
        if let Some(refused) = kept::answered(&mut writing, id).await? {
            let number = runs::reached(&mut writing).await?;
            return Ok(Some(RequestAnswer { id, refused, number: Some(number) }));
        }
        let (kind, paid) = match &opened {
            Ok(opened) => (opened.kind().name(), paid(opened)),
            Err(_) => ("UNREADABLE", None),
        };
        let done = match &opened {
            Ok(opened) => {
                let mut desk = AtHub { writing: &mut writing, lookup: &lookup, sealed: &sealed };
                desk.act(opened.clone()).await
            }
            Err(sentence) => Err(Refused::Sentence(sentence.clone())),
        };
        let refused = match done {
            Ok(()) => None,
            Err(Refused::Sentence(sentence)) => {
                // What is refused is refused whole: the half that was done is undone.
                writing.rollback().await?;
                writing = db.write().await?;
                kept::lock(&mut writing, id).await?;
                if let Some(refused) = kept::answered(&mut writing, id).await? {
                    let number = runs::reached(&mut writing).await?;
                    return Ok(Some(RequestAnswer { id, refused, number: Some(number) }));
                }
                Some(sentence)
            }
            // Sealing takes long, and everybody waits for the turn: it is given on meanwhile.
            Err(Refused::First(of)) => {
                writing.rollback().await?;
                sealed = match holders::seal(*of, &lookup, db.surroundings()).await {
                    Ok(sealed) => Some(sealed),
                    Err(HolderProblem::Hub(error)) => return Err(error),
                    Err(problem @ HolderProblem::Row { .. }) => {
                        return Err(HubError::Record(problem.to_string()));
                    }
                };
                continue;
            }
            Err(Refused::Hub(error)) => return Err(error),
        };
        let paid = paid.filter(|_| refused.is_none());
        kept::keep(&mut writing, id, device, kind, refused.as_deref(), paid).await?;
        writing.is_told().await?;
        let number = writing.commit().await?;
        tracing::info!(%id, %device, kind, done = refused.is_none(), "a request was answered");
        return Ok(Some(RequestAnswer { id, refused, number }));
    }
    Err(HubError::Record("a pass changed whenever a request about it was sealed".to_owned()))
}

/// What was paid at the desk, in cents.
fn paid(request: &Request) -> Option<u32> {
    match request {
        Request::Register(registration) => Some(registration.paid.0),
        Request::LinkChip { .. } | Request::ReportLost { .. } | Request::Replace { .. } => None,
    }
}

/// Why a request is not done.
enum Refused {
    /// For the people at the desk: what is wrong and what to do, without naming anybody.
    Sentence(String),
    /// This is to be sealed first, outside the turn.
    First(Box<Sealing>),
    Hub(HubError),
}

impl From<HubError> for Refused {
    fn from(error: HubError) -> Self {
        Self::Hub(error)
    }
}

impl From<DatabaseError> for Refused {
    fn from(error: DatabaseError) -> Self {
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
    writing: &'a mut Writing,
    lookup: &'a LookupKey,
    /// What was sealed for it, where it was looked at before.
    sealed: &'a Option<Sealed>,
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
        // Looked at again once it is locked: the card may have moved to another pass in between.
        let owner = passes::of_card(self.writing, card).await?;
        if let Some(owner) = owner {
            passes::lock(self.writing, [owner.id]).await?;
        }
        match passes::of_card(self.writing, card).await? {
            Some(pass) => Ok(pass.record),
            None => refused("no pass has this card. Compare the number with the card"),
        }
    }

    /// Locks the passes of these cards in the order of their ids, before either is looked at.
    async fn lock_both(
        &mut self,
        one: &Identification,
        other: &Identification,
    ) -> Result<(), Refused> {
        let owners = passes::owners(self.writing, [one.to_string(), other.to_string()]).await?;
        passes::lock(self.writing, owners.into_values()).await?;
        Ok(())
    }

    async fn step(&mut self, record: &PassRecord, step: Step) -> Result<(), Refused> {
        match holders::take_step(self.writing, record.pass, step, self.sealed.as_ref()).await? {
            None => Ok(()),
            Some(first) => Err(Refused::First(Box::new(first))),
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
        passes::write_changed(self.writing, record).await?;
        // What a file said before this is not what it says of this.
        Ok(imported::forget_status(self.writing, record.pass.0).await?)
    }

    /// Gives a pass a chip, and the entries that were written under it before it was known.
    async fn give_chip(
        &mut self,
        record: &mut PassRecord,
        chip: ChipNumber,
        status: CardStatus,
    ) -> Result<(), Refused> {
        let (text, pass) = (chip.to_string(), record.pass.0);
        let card = Identification::Chip(chip);
        entries::lock_chip(self.writing, &text).await?;
        passes::add_cards(self.writing, vec![(card.to_string(), pass)]).await?;
        let owners = passes::owners(self.writing, [card.to_string()]).await?;
        if owners.values().any(|owner| *owner != pass) {
            return refused("this chip belongs to another pass. Tap the card again, alone");
        }
        let name = self.name(&card);
        match record.cards.iter_mut().find(|known| known.name == name) {
            Some(known) => known.status = status,
            None => record.cards.push(Card { name, status }),
        }
        entries::give_chips(self.writing, &[(text, pass)]).await?;
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
        let known = coupons(self.writing).await?;
        let by_residence: Vec<_> = known
            .into_iter()
            .filter(|(_, _, residence)| !residence.0.is_empty())
            .map(|(coupon, _, residence)| (coupon, residence))
            .collect();
        record.coupons = granted_by_residence(&by_residence, new.postal_code.as_deref()).collect();
        if let Some(chip) = new.chip {
            self.give_chip(&mut record, chip, CardStatus::Active).await?;
        }
        self.write(&record).await?;
        let (municipality, birth_year) = (new.postal_code, i32::from(new.date_of_birth.year()));
        let pass = record.pass;
        passes::write_holder_facts(self.writing, pass.0, municipality, Some(birth_year)).await?;
        let cards = passes::cards_in_use(self.writing, self.lookup, &record).await?;
        let holder =
            HolderRow { name: new.name, date_of_birth: Some(new.date_of_birth), picture: None };
        let step = holders::keep(self.writing, self.lookup, pass, &cards, &holder).await?;
        self.step(&record, step).await?;
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
        let step = holders::add_card(self.writing, self.lookup, record.pass, chip).await?;
        self.step(&record, step).await?;
        Ok(self.settle(&record).await?)
    }

    async fn report_lost(&mut self, card: &Identification) -> Result<(), Refused> {
        let mut record = self.pass_of(card).await?;
        if record.card_status(&self.name(card)) != CardStatus::Active {
            return refused("this card is not in use, so it cannot be reported lost");
        }
        block_current(&mut record);
        self.write(&record).await?;
        let step = holders::seal_anew(self.writing, record.pass, &[]).await?;
        self.step(&record, step).await
    }

    /// The pass keeps its account; the new card comes from the stock, where a pass without a holder
    /// was made for it. That one keeps no card.
    async fn replace(
        &mut self,
        old: &Identification,
        new: UitpasNumber,
        chip: Option<ChipNumber>,
    ) -> Result<(), Refused> {
        self.lock_both(old, &Identification::Uitpas(new)).await?;
        let mut record = self.pass_of(old).await?;
        if record.programme != Programme::Uitpas {
            return refused("only an individual UiTPAS is replaced at a desk");
        }
        let mut from_stock = self.card_in_stock(new).await?;
        if from_stock.pass == record.pass {
            return refused(NOT_IN_STOCK);
        }
        block_current(&mut record);
        passes::move_cards(self.writing, from_stock.pass.0, record.pass.0).await?;
        let moved = std::mem::take(&mut from_stock.cards);
        record.cards.extend(moved.iter().map(|it| Card { status: CardStatus::Active, ..*it }));
        if let Some(chip) = chip {
            self.give_chip(&mut record, chip, CardStatus::Active).await?;
        }
        record.telling_digits = telling_digits(&Identification::Uitpas(new));
        // The emptied one first: a desk that takes them in this order finds the card at its new pass.
        self.write(&from_stock).await?;
        self.write(&record).await?;
        let cards = passes::cards_in_use(self.writing, self.lookup, &record).await?;
        let step = holders::seal_anew(self.writing, record.pass, &cards).await?;
        self.step(&record, step).await?;
        Ok(self.settle(&record).await?)
    }

    /// Entries that were waiting for the pass's chip count from now on.
    async fn settle(&mut self, record: &PassRecord) -> Result<(), HubError> {
        fold_passes(self.writing, &std::iter::once(record.pass.0).collect()).await
    }
}

/// A physical card has a number and a chip, which stand in the record one by one: whichever of them
/// was said, all that is in use is blocked.
fn block_current(record: &mut PassRecord) {
    for card in record.cards.iter_mut().filter(|card| card.status == CardStatus::Active) {
        card.status = CardStatus::Blocked;
    }
}
