//! Coupons: by where somebody lives, by activity, or by name.

use catalogue_file::{ActivityRow, CouponRow};
use crdt_model::catalogue::{Discount, Residence};
use crdt_model::limits::PeriodType;
use crdt_model::money::Cents;

use super::activities::at_most;
use super::places::{BRUSSELS, GENT, MECHELEN, Venue};

/// The dataset's coupon for visitors from another region.
pub(super) const OTHER_REGION: &str = "COUPON-ANDERE-REGIO";

/// The dataset's coupon for groups.
pub(super) const GROUP: &str = "COUPON-GROEP";

/// A coupon for one concert, granted by name.
pub(super) const CONCERT: &str = "COUPON-EERSTE-CONCERT";

/// The coupons that the dataset does not have.
pub(super) fn coupons(activities: &[ActivityRow]) -> Vec<CouponRow> {
    let held_at = |venue: Venue| {
        let here = activities.iter().filter(move |it| it.venue.as_str() == venue.named().0);
        here.map(|it| it.event_id.clone())
    };
    let concerts = activities
        .iter()
        .filter(|it| it.title.starts_with("Concert") || it.title.starts_with("Nachtconcert"));
    let living_in =
        |codes: &[&str]| Residence(codes.iter().map(|code| (*code).to_owned()).collect());
    vec![
        CouponRow {
            id: "COUPON-STADSBON-GENT".to_owned(),
            name: "Stadsbon Gent".to_owned(),
            discount: Discount::Cents(Cents(500)),
            city_percent: 100,
            limit: Some(at_most(1, PeriodType::Absolute)),
            activities: Vec::new(),
            residence: living_in(&GENT),
        },
        CouponRow {
            id: "COUPON-GEZIN-BRUSSEL".to_owned(),
            name: "Gezinsbon Brussel".to_owned(),
            discount: Discount::Cents(Cents(300)),
            city_percent: 50,
            limit: Some(at_most(4, PeriodType::Day)),
            activities: held_at(Venue::TramStop).collect(),
            residence: living_in(&BRUSSELS),
        },
        CouponRow {
            id: "COUPON-THUIS-IN-MECHELEN".to_owned(),
            name: "Thuis in Mechelen".to_owned(),
            discount: Discount::Percent(50),
            city_percent: 75,
            limit: Some(at_most(1, PeriodType::Day)),
            activities: held_at(Venue::LostThings).chain(held_at(Venue::Bucket)).collect(),
            residence: living_in(&MECHELEN),
        },
        CouponRow {
            id: CONCERT.to_owned(),
            name: "Mijn eerste concert".to_owned(),
            discount: Discount::Percent(25),
            city_percent: 0,
            limit: Some(at_most(1, PeriodType::Absolute)),
            activities: concerts.map(|it| it.event_id.clone()).collect(),
            residence: Residence::default(),
        },
    ]
}
