//! What the desk asks of the hub about somebody's card: sealed at once, kept, sent until answered.

use crdt_model::catalogue::{CardName, CardStatus, CardSystem};
use crdt_model::ids::{CardSystemId, Identification, UitpasNumber};
use crdt_model::money::Cents;
use crdt_model::time::UnixMillis;
use desk_api::types::{MembershipPriceView, RequestBody, RequestView};
use jiff::civil::Date;
use rand::RngExt;
use sync_protocol::request::{Registration, Request, RequestId, seal_request};

use super::{Desk, Refusal};

impl Desk {
    /// Seals a request and keeps it. What a registration costs is in the answer.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is then kept.
    pub fn request(&mut self, body: RequestBody, wall: UnixMillis) -> Result<RequestView, Refusal> {
        let hub = self.enrolment.request_key.ok_or(Refusal::NoRequestKey)?;
        let (request, to_pay) = self.request_of(body, wall)?;
        let mut random = self.time.surroundings.stream();
        let id = RequestId(random.random());
        let sealed = seal_request(&request, id, &hub, self.key.public_key(), &mut random)?;
        let view = self
            .requests
            .add(&sealed, request.kind(), wall.0, to_pay)
            .map_err(Refusal::RequestNotKept)?;
        self.wake_links();
        self.publish_status();
        Ok(view)
    }

    fn request_of(
        &self,
        body: RequestBody,
        wall: UnixMillis,
    ) -> Result<(Request, Option<Cents>), Refusal> {
        Ok(match body {
            RequestBody::Register {
                uitpas_number,
                chip_number,
                name,
                date_of_birth,
                postal_code,
                card_system,
                social_tariff_ends,
            } => {
                let system = self.card_system(card_system)?;
                let today = self.calendar.day(wall);
                if date_of_birth > today || name.trim().is_empty() {
                    return Err(Refusal::Registration);
                }
                self.can_be_sold(uitpas_number)?;
                let due = social_tariff_ends.is_some();
                let price = system
                    .membership_price(date_of_birth, due, today)
                    .ok_or(Refusal::NoMembershipPrice)?;
                let registration = Registration {
                    number: uitpas_number,
                    chip: chip_number,
                    name: name.trim().to_owned(),
                    date_of_birth,
                    postal_code,
                    card_system: system.card_system,
                    social_tariff_ends,
                    paid: price.price,
                };
                (Request::Register(registration), Some(price.price))
            }
            RequestBody::LinkChip { uitpas_number, chip_number } => {
                (Request::LinkChip { number: uitpas_number, chip: chip_number }, None)
            }
            RequestBody::ReportLost { pass } => (Request::ReportLost { card: pass.parse()? }, None),
            RequestBody::Replace { pass, uitpas_number, chip_number } => {
                let old = pass.parse()?;
                (Request::Replace { old, new: uitpas_number, chip: chip_number }, None)
            }
        })
    }

    /// Before money is taken: whether the card is one from a stock, as far as this desk knows it.
    fn can_be_sold(&self, number: UitpasNumber) -> Result<(), Refusal> {
        let card = Identification::Uitpas(number);
        let Some(record) = self.knowledge.record(&card)? else { return Ok(()) };
        let name = CardName(self.knowledge.lookup.card_key(&card));
        match record.card_status(&name) {
            CardStatus::LocalStock => Ok(()),
            _ => Err(Refusal::NotInStock),
        }
    }

    /// The asked card system; where nothing is asked, the only one there is.
    fn card_system(&self, asked: Option<CardSystemId>) -> Result<&CardSystem, Refusal> {
        let found = match (asked, &self.knowledge.card_systems[..]) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(asked), all) => all.iter().find(|system| system.card_system == asked),
        };
        found.ok_or(Refusal::CardSystem)
    }

    /// Requests, newest first.
    pub fn requests(&self) -> Vec<RequestView> {
        self.requests.views()
    }

    /// What a pass of each card system costs for somebody born on this day.
    pub fn membership_prices(
        &self,
        born: Date,
        social_tariff: bool,
        wall: UnixMillis,
    ) -> Vec<MembershipPriceView> {
        let today = self.calendar.day(wall);
        self.knowledge
            .card_systems
            .iter()
            .filter_map(|system| {
                let price = system.membership_price(born, social_tariff, today)?;
                Some(MembershipPriceView {
                    card_system: system.card_system,
                    name: system.name.clone(),
                    label: price.label.clone(),
                    price_cents: price.price,
                })
            })
            .collect()
    }
}
