//! What a counter decides and offers, as the types of the desk API.

use crdt_model::counter::{
    self, AccountAge, Decision, PassShown, Rule, Sold, Tariff, Tariffs, Verdict,
};
use crdt_model::decide::RewardOffer;
use crdt_model::entry::EntryRef;
use crdt_model::time::UnixMillis;

use desk_api::types::{
    Answer, Kind, PassView, PolicyRule, RewardView, SaleView, TariffView, TariffsView,
};

/// The answer that a decision makes. `entry` is where its entry stands, `pass` the pass with it.
pub(super) fn answer(
    decision: &Decision,
    at: UnixMillis,
    entry: Option<EntryRef>,
    pass: Option<PassView>,
) -> Answer {
    Answer {
        verdict: decision.verdict_kind(),
        reason: decision.reason(),
        kind: kind(decision.kind),
        provisional: matches!(decision.verdict, Verdict::Provisional(_)),
        at: at.0,
        entry,
        points_change: decision.points_change,
        pass,
        title: decision.title.clone(),
        earlier_at: decision.earlier_at.map(|at| at.0),
        policy: decision.rule.map(policy),
        authenticity: decision.authenticity,
    }
}

pub(super) fn kind(kind: counter::Kind) -> Kind {
    match kind {
        counter::Kind::CheckIn => Kind::CheckIn,
        counter::Kind::Visit => Kind::Visit,
        counter::Kind::ExternalVisit => Kind::ExternalVisit,
        counter::Kind::Redemption => Kind::Redemption,
        counter::Kind::TicketSale => Kind::TicketSale,
        counter::Kind::Void => Kind::Void,
        counter::Kind::Unknown => Kind::Unknown,
    }
}

fn policy(rule: Rule) -> PolicyRule {
    match rule {
        Rule::UnknownCard { taken_today, most_a_day } => {
            PolicyRule::UnknownCard { taken_today, most_a_day }
        }
        Rule::AccountAge(AccountAge { age, points_allowed }) => {
            PolicyRule::AccountAge { age, points_allowed }
        }
    }
}

pub(super) fn pass(shown: &PassShown<'_>) -> PassView {
    PassView {
        pass_id: shown.pass,
        programme: shown.programme,
        telling_digits: shown.telling_digits.to_owned(),
        points: shown.points,
        debt: shown.debt,
        valid_until: shown.valid_until.map(|day| day.to_string()),
        visits: shown.visits,
    }
}

pub(super) fn reward(offer: &RewardOffer<'_>, units_left: Option<u32>) -> RewardView {
    RewardView {
        reward_id: offer.reward.reward_id.clone(),
        title: offer.reward.title.clone(),
        kind: offer.reward.kind,
        points: offer.reward.points,
        redeemable: offer.answer.is_ok(),
        points_lacking: offer.points_lacking,
        reason: offer.answer.err(),
        last_chance: offer.last_chance,
        categories: offer.reward.categories.clone(),
        for_kids: offer.reward.for_kids,
        sport: offer.reward.sport,
        featured: offer.reward.featured,
        units_left,
    }
}

pub(super) fn tariffs(tariffs: Tariffs) -> TariffsView {
    TariffsView {
        event_id: tariffs.event_id,
        regular_price_cents: tariffs.regular_price,
        available: tariffs.available.into_iter().map(tariff).collect(),
        social_tariff_reason: tariffs.social_tariff,
    }
}

fn tariff(tariff: Tariff) -> TariffView {
    TariffView {
        id: tariff.id,
        name: tariff.name,
        kind: tariff.sort.code().to_owned(),
        price_cents: tariff.price,
        remaining: tariff.remaining,
    }
}

pub(super) fn sale(Sold { sale, tariff: of }: Sold) -> SaleView {
    let tickets = u32::from(sale.tickets);
    SaleView {
        tickets: sale.tickets,
        tariff: tariff(of),
        to_pay_cents: sale.to_pay(),
        city_cents: sale.shares.city.times(tickets),
        organiser_cents: sale.shares.organiser.times(tickets),
    }
}
