//! Tickets: what they cost a pass, and their sale.

use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::{Activity, PassRecord};
use crdt_model::decide::{self, Offer, Offers, Reason, Standing};
use crdt_model::entry::{Fact, TariffKind};
use crdt_model::ids::Identification;
use crdt_model::money::{Cents, Shares};
use crdt_model::time::UnixMillis;
use desk_api::types::{Kind, SaleAnswer, SaleRequest, SaleView, TariffView, TariffsView};

use super::answers::Decided;
use super::{Desk, Refusal};

impl Desk {
    /// The activity that is asked for, or the desk's own.
    fn asked_activity(&self, event_id: Option<&str>) -> Result<&Activity, Refusal> {
        match event_id {
            Some(event_id) => self.activities.iter().find(|it| it.event_id == event_id),
            None => self.activity(),
        }
        .ok_or(Refusal::NoSuchActivity)
    }

    /// What a pass pays for a ticket, the lowest price first.
    ///
    /// # Errors
    /// [`Refusal`]: also [`Refusal::Not`] where the pass buys nothing as a pass.
    pub fn tariffs(
        &self,
        pass: &str,
        event_id: Option<&str>,
        regular_price: Option<Cents>,
        wall: UnixMillis,
    ) -> Result<TariffsView, Refusal> {
        let card: Identification = pass.parse()?;
        let record = self.record(&card)?.ok_or(Refusal::NoSuchPass)?;
        let activity = self.asked_activity(event_id)?;
        let price = regular_price_of(activity, regular_price)?;
        let account = self.account(&record, Some(&card));
        let now = self.next_at(wall);
        let standing = self.standing(&record, &account, &card, Authenticity::UidOnly, now);
        let offers = decide::offers(standing, activity, &self.coupons, price, &self.here(now))
            .map_err(Refusal::Not)?;
        Ok(TariffsView {
            event_id: activity.event_id.clone(),
            regular_price_cents: price,
            available: offers.available.iter().map(|offer| tariff_view(offer)).collect(),
            social_tariff_reason: offers.social_tariff,
        })
    }

    /// Sells tickets: all of them at one tariff, or none.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn sell(&mut self, sale: &SaleRequest, wall: UnixMillis) -> Result<SaleAnswer, Refusal> {
        let card: Identification = sale.pass.parse()?;
        let authenticity = self.checks.authenticity(sale.check.as_deref(), &card)?;
        let now = self.next_at(wall);
        if authenticity == Authenticity::Refuted {
            let answer = self.answer_forged(Kind::TicketSale, now);
            return Ok(SaleAnswer { answer, sale: None });
        }
        let Some(record) = self.record(&card)? else {
            let answer = self.answer_unknown_pass(Kind::TicketSale, now);
            return Ok(SaleAnswer { answer, sale: None });
        };
        let Ok(activity) = self.asked_activity(sale.event_id.as_deref()) else {
            let reason = match sale.event_id {
                Some(_) => Reason::EventNotFound,
                None => Reason::NoActivityChosen,
            };
            let decided = Decided::of(Kind::TicketSale, None, Err(reason));
            let answer = self.answer(&record, Some(&card), decided, now)?;
            return Ok(SaleAnswer { answer, sale: None });
        };
        let price = regular_price_of(activity, sale.regular_price_cents)?;
        let account = self.account(&record, Some(&card));
        let standing = self.standing(&record, &account, &card, authenticity, now);
        let (of, title) = (activity.activity, activity.title.clone());
        let (outcome, view) = match self.decide_sale(standing, activity, price, sale, now) {
            Ok((sold, tariff)) => {
                let view = sale_view(&sold, tariff);
                let decide::Sale { tariff, tickets, shares } = sold;
                let fact = Fact::TicketSale { activity: of, tickets, tariff, shares };
                (Ok((fact, 0)), Some(view))
            }
            Err(reason) => (Err(reason), None),
        };
        let decided = Decided::of(Kind::TicketSale, Some(title), outcome);
        let answer = self.answer(&record, Some(&card), decided, now)?;
        Ok(SaleAnswer { answer, sale: view })
    }

    fn decide_sale(
        &self,
        standing: Standing<'_>,
        activity: &Activity,
        price: Cents,
        sale: &SaleRequest,
        now: UnixMillis,
    ) -> Result<(decide::Sale, TariffView), Reason> {
        let offers = decide::offers(standing, activity, &self.coupons, price, &self.here(now))?;
        let asked = match &sale.tariff_id {
            Some(id) => Some(self.tariff_of_id(id, standing.record, &offers)?),
            None => None,
        };
        let sold = decide::sell(&offers, asked, sale.tickets.unwrap_or(1))?;
        let offer = offers.available.iter().find(|offer| offer.tariff == sold.tariff);
        Ok((sold, offer.map_or_else(|| regular_view(price), tariff_view)))
    }

    /// Which tariff an id means: one that is offered, or one whose lack has a reason of its own.
    fn tariff_of_id(
        &self,
        id: &str,
        record: &PassRecord,
        offers: &Offers<'_>,
    ) -> Result<TariffKind, Reason> {
        if let Some(offer) = offers.available.iter().find(|offer| tariff_id(offer) == id) {
            return Ok(offer.tariff);
        }
        if id.starts_with(SOCIAL) {
            return Ok(TariffKind::SocialTariff);
        }
        let coupon = self.coupons.iter().find(|coupon| coupon.coupon_id == id);
        let granted = |coupon| record.coupons.iter().any(|granted| granted.coupon == coupon);
        match coupon {
            Some(coupon) if granted(coupon.coupon) => Ok(TariffKind::Coupon(coupon.coupon)),
            _ => Err(Reason::InvalidCoupon),
        }
    }
}

const SOCIAL: &str = "SOCIALTARIFF";

fn regular_price_of(activity: &Activity, asked: Option<Cents>) -> Result<Cents, Refusal> {
    asked.or_else(|| activity.prices.first().map(|it| it.price)).ok_or(Refusal::NoPrice)
}

fn tariff_id(offer: &Offer<'_>) -> String {
    match (offer.tariff, offer.coupon, offer.card_system) {
        (TariffKind::SocialTariff, _, Some(system)) => format!("{SOCIAL}-{}", system.0),
        (TariffKind::SocialTariff, _, None) => SOCIAL.to_owned(),
        (TariffKind::Coupon(_), Some(coupon), _) => coupon.coupon_id.clone(),
        (TariffKind::Coupon(coupon), None, _) => coupon.0.to_string(),
        (TariffKind::Regular, ..) => "REGULAR".to_owned(),
    }
}

fn tariff_view(offer: &Offer<'_>) -> TariffView {
    let (kind, name) = match offer.tariff {
        TariffKind::Regular => ("REGULAR", "Basistarief"),
        TariffKind::SocialTariff => (SOCIAL, "UiTPAS Kansentarief"),
        TariffKind::Coupon(_) => ("COUPON", offer.coupon.map_or("", |coupon| &coupon.name[..])),
    };
    TariffView {
        id: tariff_id(offer),
        name: name.to_owned(),
        kind: kind.to_owned(),
        price_cents: offer.shares.holder,
        remaining: offer.remaining,
    }
}

fn regular_view(price: Cents) -> TariffView {
    tariff_view(&Offer {
        tariff: TariffKind::Regular,
        coupon: None,
        card_system: None,
        shares: Shares::regular(price),
        remaining: 0,
    })
}

fn sale_view(sold: &decide::Sale, tariff: TariffView) -> SaleView {
    let tickets = u32::from(sold.tickets);
    SaleView {
        tickets: sold.tickets,
        tariff,
        to_pay_cents: sold.to_pay(),
        city_cents: sold.shares.city.times(tickets),
        organiser_cents: sold.shares.organiser.times(tickets),
    }
}
