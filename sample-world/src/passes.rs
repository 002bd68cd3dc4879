//! Passes. What a pass is follows from the world's seed and the pass's place; only which passes have
//! a holder follows from the passes before it.

use catalogue_file::{
    EarlierCardRow, GrantedCouponRow, HolderRow, MembershipRow, PassRow, SocialTariffRow,
    SubscriptionRow,
};
use crdt_model::catalogue::{
    CardStatus, GRACE_DAYS, HolderStatus, MembershipStatus, Programme, SocialTariff,
};
use jiff::Span;
use jiff::civil::Date;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::holders::{Ages, Holders};
use super::numbers::{Generation, Numbers};
use super::places::Region;
use super::{Stream, World, coupons, one_of};

/// So many museumPASSes have a holder, with a picture, whatever the size of the world: sealing one
/// takes the hub some 80 ms.
pub(super) const MUSEUMPASS_HOLDERS: u32 = 40;

/// So many UiTPASes have a holder, without a picture: the contract knows none.
pub(super) const UITPAS_HOLDERS: u32 = 20;

const MUSEUMPASS_AGES: Ages = Ages { youngest: 18, oldest: 86 };
const UITPAS_AGES: Ages = Ages { youngest: 5, oldest: 90 };

/// Makes passes, one after the other.
#[derive(Debug)]
pub(super) struct Passes {
    world: World,
    numbers: Numbers,
    holders: Holders,
    museumpass_holders: u32,
    uitpas_holders: u32,
}

/// How the right to a social tariff stands today, in the region where the pass was issued.
fn drawn_right(random: &mut ChaCha20Rng) -> SocialTariff {
    match random.random_range(0..1000u32) {
        0..115 => SocialTariff::Active,
        115..130 => SocialTariff::Grace,
        130..150 => SocialTariff::Expired,
        150..163 => SocialTariff::Suspended,
        163..180 => SocialTariff::OtherRegion,
        _ => SocialTariff::None,
    }
}

/// The row of a right that stands like this. Most rights end with a year.
fn right_row(
    right: SocialTariff,
    world: &World,
    random: &mut ChaCha20Rng,
) -> Option<SocialTariffRow> {
    let years = random.random_range(0..3i32);
    let days = random.random_range(0..600i32);
    let ends_with_a_year = world.today.saturating_add(Span::new().years(years)).last_of_year();
    let (end_date, suspended_until_date) = match right {
        SocialTariff::None => return None,
        SocialTariff::Active | SocialTariff::OtherRegion if days % 5 == 0 => {
            (world.day(1 + days), None)
        }
        SocialTariff::Active | SocialTariff::OtherRegion => (ends_with_a_year, None),
        // Not to the last day: a world is used for some days after its own.
        SocialTariff::Grace => (world.day(-1 - days % (GRACE_DAYS - 10)), None),
        SocialTariff::Expired => (world.day(-GRACE_DAYS - 1 - days), None),
        SocialTariff::Suspended => (ends_with_a_year, Some(world.day(7 + days % 50))),
    };
    Some(SocialTariffRow { end_date, suspended_until_date })
}

impl Passes {
    pub(super) fn of(world: &World) -> Self {
        Self {
            world: *world,
            numbers: Numbers::of(world.seed),
            holders: Holders::of(world),
            museumpass_holders: 0,
            uitpas_holders: 0,
        }
    }

    /// The pass at this place. Places are asked for in their order.
    pub(super) fn pass(&mut self, place: u32) -> PassRow {
        let random = &mut Stream::Pass(place).random(self.world.seed);
        match random.random_range(0..100u32) {
            0..80 => self.uitpas(place, random),
            80..82 => self.group(place, random),
            82..98 => self.museumpass(place, random),
            _ => self.in_stock(place, random),
        }
    }

    fn uitpas(&mut self, place: u32, random: &mut ChaCha20Rng) -> PassRow {
        let card_status = match random.random_range(0..1000u32) {
            0..20 => CardStatus::Blocked,
            20..26 => CardStatus::Deleted,
            26..33 => CardStatus::Provisioned,
            _ => CardStatus::Active,
        };
        if card_status == CardStatus::Provisioned {
            return PassRow { card_status, ..self.in_stock(place, random) };
        }
        let region = Region::drawn(random);
        let right = drawn_right(random);
        // Some were given the right after the card.
        let issued_with = matches!(
            right,
            SocialTariff::Active
                | SocialTariff::Grace
                | SocialTariff::Expired
                | SocialTariff::Suspended
        ) && !random.random_ratio(1, 10);
        let memberships = self.memberships(region, right, random);
        let postal_code = one_of(random, region.postal_codes());
        let named = self.uitpas_holders < UITPAS_HOLDERS && card_status == CardStatus::Active;
        let mut row = PassRow {
            uitpas_number: Some(self.numbers.uitpas(
                place,
                region,
                issued_with,
                Generation::Current,
            )),
            // Some have no card but a number in an app.
            chip_number: (!random.random_ratio(1, 50))
                .then(|| self.numbers.chip(place, Generation::Current)),
            card_status,
            holder_status: if random.random_ratio(7, 1000) {
                HolderStatus::Blocked
            } else {
                HolderStatus::Registered
            },
            earlier_cards: self.earlier_cards(place, Some((region, issued_with))),
            postal_code: (!random.random_ratio(1, 40)).then(|| (*postal_code).to_owned()),
            coupons: self.coupons(memberships.len() > 1, random),
            points: points(random),
            memberships,
            ..blank(Programme::Uitpas, card_status)
        };
        if named {
            self.uitpas_holders += 1;
            row.holder = Some(self.holders.next(UITPAS_AGES, false, random));
        }
        row
    }

    /// Memberships of the region where the pass was issued and sometimes of another. Some are not in
    /// force.
    fn memberships(
        &self,
        region: Region,
        right: SocialTariff,
        random: &mut ChaCha20Rng,
    ) -> Vec<MembershipRow> {
        let row = right_row(right, &self.world, random);
        let (here, elsewhere) =
            if right == SocialTariff::OtherRegion { (None, row) } else { (row, None) };
        let in_force = MembershipRow {
            card_system: region.card_system(),
            status: MembershipStatus::Active,
            end_date: None,
            suspended_until_date: None,
            social_tariff: here,
        };
        let first = match random.random_range(0..1000u32) {
            0..12 => MembershipRow { status: MembershipStatus::Blocked, ..in_force },
            12..32 => {
                let ended = self.world.day(-random.random_range(1..400i32));
                MembershipRow { end_date: Some(ended), ..in_force }
            }
            32..44 => {
                let again = self.world.day(random.random_range(5..60i32));
                MembershipRow { suspended_until_date: Some(again), ..in_force }
            }
            44..150 => {
                let last = self.world.day(random.random_range(10..700i32));
                MembershipRow { end_date: Some(last), ..in_force }
            }
            _ => in_force,
        };
        let is_member_elsewhere = right == SocialTariff::OtherRegion || random.random_ratio(6, 100);
        let second = is_member_elsewhere.then(|| MembershipRow {
            card_system: region.other(random).card_system(),
            status: MembershipStatus::Active,
            end_date: None,
            suspended_until_date: None,
            social_tariff: elsewhere,
        });
        [first].into_iter().chain(second).collect()
    }

    fn coupons(&self, is_of_two_regions: bool, random: &mut ChaCha20Rng) -> Vec<GrantedCouponRow> {
        let granted = |coupon: &str, first: i32, last: i32| GrantedCouponRow {
            coupon: coupon.to_owned(),
            validity_period: self.world.period(first, last),
        };
        match random.random_range(0..100u32) {
            0..3 => vec![granted(coupons::CONCERT, -30, 90)],
            3 => vec![granted(coupons::CONCERT, -200, -20)],
            4 => vec![granted(coupons::CONCERT, 15, 120)],
            _ if is_of_two_regions => vec![granted(coupons::OTHER_REGION, -90, 270)],
            _ => Vec::new(),
        }
    }

    fn group(&self, place: u32, random: &mut ChaCha20Rng) -> PassRow {
        let region = Region::drawn(random);
        let with_tariff = random.random_ratio(3, 5);
        let right = if with_tariff { SocialTariff::Active } else { SocialTariff::None };
        let card_status =
            if random.random_ratio(3, 100) { CardStatus::Blocked } else { CardStatus::Active };
        let coupon = GrantedCouponRow {
            coupon: coupons::GROUP.to_owned(),
            validity_period: self.world.period(-100, 265),
        };
        PassRow {
            uitpas_number: Some(self.numbers.uitpas(
                place,
                region,
                with_tariff,
                Generation::Current,
            )),
            chip_number: Some(self.numbers.chip(place, Generation::Current)),
            earlier_cards: self.earlier_cards(place, Some((region, with_tariff))),
            memberships: vec![MembershipRow {
                card_system: region.card_system(),
                status: MembershipStatus::Active,
                end_date: None,
                suspended_until_date: None,
                social_tariff: right_row(right, &self.world, random),
            }],
            coupons: if with_tariff { Vec::new() } else { vec![coupon] },
            total_tickets_per_year: with_tariff.then(|| 5 * random.random_range(2..=12u32)),
            ..blank(Programme::UitpasGroup, card_status)
        }
    }

    fn museumpass(&mut self, place: u32, random: &mut ChaCha20Rng) -> PassRow {
        let card_status =
            if random.random_ratio(2, 100) { CardStatus::Blocked } else { CardStatus::Active };
        let holder_status = match random.random_range(0..100u32) {
            0 => HolderStatus::Blocked,
            1..6 => HolderStatus::Unregistered,
            _ => HolderStatus::Registered,
        };
        let is_registered = holder_status == HolderStatus::Registered;
        let live_in = Region::drawn(random);
        PassRow {
            museumpass_number: Some(self.numbers.museumpass(place, random)),
            chip_number: Some(self.numbers.chip(place, Generation::Current)),
            holder_status,
            earlier_cards: self.earlier_cards(place, None),
            subscription_end_date: Some(self.subscription_end(random)),
            subscription: Some(if random.random_ratio(1, 8) {
                SubscriptionRow::Reduced
            } else {
                SubscriptionRow::Standard
            }),
            postal_code: is_registered
                .then(|| (*one_of(random, live_in.postal_codes())).to_owned()),
            holder: if is_registered { self.museumpass_holder(random) } else { None },
            ..blank(Programme::Museumpass, card_status)
        }
    }

    fn museumpass_holder(&mut self, random: &mut ChaCha20Rng) -> Option<HolderRow> {
        if self.museumpass_holders == MUSEUMPASS_HOLDERS {
            return None;
        }
        self.museumpass_holders += 1;
        Some(self.holders.next(MUSEUMPASS_AGES, true, random))
    }

    /// A subscription is for a year; one in ten was not renewed.
    fn subscription_end(&self, random: &mut ChaCha20Rng) -> Date {
        self.world.day(if random.random_ratio(1, 10) {
            -random.random_range(1..250i32)
        } else {
            random.random_range(1..=365i32)
        })
    }

    /// A UiTPAS at a desk, ready to be sold.
    fn in_stock(&self, place: u32, random: &mut ChaCha20Rng) -> PassRow {
        let region = Region::drawn(random);
        let for_tariff = random.random_ratio(1, 4);
        PassRow {
            uitpas_number: Some(self.numbers.uitpas(
                place,
                region,
                for_tariff,
                Generation::Current,
            )),
            chip_number: Some(self.numbers.chip(place, Generation::Current)),
            holder_status: HolderStatus::Unregistered,
            ..blank(Programme::Uitpas, CardStatus::LocalStock)
        }
    }

    /// The card that a pass had before, under its own UiTPAS number where it had one.
    fn earlier_cards(&self, place: u32, uitpas: Option<(Region, bool)>) -> Vec<EarlierCardRow> {
        let card = || EarlierCardRow {
            uitpas_number: uitpas.map(|(region, with_tariff)| {
                self.numbers.uitpas(place, region, with_tariff, Generation::Replaced)
            }),
            chip_number: Some(self.numbers.chip(place, Generation::Replaced)),
        };
        self.numbers.was_replaced(place).then(card).into_iter().collect()
    }
}

/// From 0 to 400, mostly a few: the product of three parts, each as likely as another.
fn points(random: &mut ChaCha20Rng) -> u32 {
    let mut part = || random.random_range(0..=100u32);
    400 * part() / 100 * part() / 100 * part() / 100
}

fn blank(programme: Programme, card_status: CardStatus) -> PassRow {
    PassRow {
        programme,
        uitpas_number: None,
        museumpass_number: None,
        chip_number: None,
        card_status,
        holder_status: HolderStatus::Registered,
        earlier_cards: Vec::new(),
        memberships: Vec::new(),
        subscription_end_date: None,
        subscription: None,
        postal_code: None,
        coupons: Vec::new(),
        total_tickets_per_year: None,
        points: 0,
        holder: None,
    }
}
