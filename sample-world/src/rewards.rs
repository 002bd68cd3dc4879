//! Rewards. What they are is invented; the days are counted from the world's.

use catalogue_file::RewardRow;
use crdt_model::catalogue::{Category, RewardKind};
use crdt_model::limits::{PeriodLimit, PeriodType};

use super::World;
use super::activities::at_most;
use super::places::{Organiser, Organisers, Region};

/// The contract's id of the first reward here: behind those of the dataset.
const FIRST_ID: u32 = 6001;

/// A reward as it is thought of.
#[derive(Debug, Clone, Copy)]
struct Plan {
    title: &'static str,
    kind: RewardKind,
    points: u32,
    limit: Option<PeriodLimit>,
    redeemed: Option<(i32, i32)>,
    shown: Option<(i32, i32)>,
    regions: &'static [Region],
    organiser: Option<Organiser>,
    units: Option<u32>,
    category: Category,
    marks: &'static [Mark],
}

/// What more is said of a reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Online,
    ForKids,
    Sport,
    Featured,
}

/// A reward of a region, as often as one likes, at any time.
const fn costing(
    points: u32,
    title: &'static str,
    category: Category,
    regions: &'static [Region],
) -> Plan {
    Plan {
        title,
        kind: RewardKind::Points,
        points,
        limit: None,
        redeemed: None,
        shown: None,
        regions,
        organiser: None,
        units: None,
        category,
        marks: &[],
    }
}

/// A welcome reward: once for everybody in a region.
const fn welcome(title: &'static str, category: Category, regions: &'static [Region]) -> Plan {
    Plan {
        kind: RewardKind::Welcome,
        limit: Some(at_most(1, PeriodType::Absolute)),
        ..costing(0, title, category, regions)
    }
}

impl Plan {
    const fn limit(self, volume: u32, period: PeriodType) -> Self {
        Self { limit: Some(at_most(volume, period)), ..self }
    }

    /// Redeemed from one day to another, counted from the world's.
    const fn redeemed(self, first: i32, last: i32) -> Self {
        Self { redeemed: Some((first, last)), ..self }
    }

    /// Shown from one day to another, counted from the world's.
    const fn shown(self, first: i32, last: i32) -> Self {
        Self { shown: Some((first, last)), ..self }
    }

    const fn only_at(self, organiser: Organiser) -> Self {
        Self { organiser: Some(organiser), ..self }
    }

    const fn stock(self, units: u32) -> Self {
        Self { units: Some(units), ..self }
    }

    const fn marked(self, marks: &'static [Mark]) -> Self {
        Self { marks, ..self }
    }
}

const GENT: &[Region] = &[Region::Gent];
const PASPARTOE: &[Region] = &[Region::Paspartoe];
const MECHELEN: &[Region] = &[Region::Mechelen];
const EVERYWHERE: &[Region] = &Region::ALL;

const PLANS: [Plan; 19] = {
    use Category::{Activity, FoodAndDrink, GoodCause, Item};
    use Mark::{Featured, ForKids, Online, Sport};
    use Organiser::{BrusselsCentre, BrusselsMuseum, CityOfGent, CityOfMechelen, Reede};
    use PeriodType::{Absolute, Day, Month, Week, Year};

    [
        // Everywhere
        costing(10, "Een boom in het Voorbeeldbos", GoodCause, EVERYWHERE).marked(&[Featured]),
        costing(15, "Digitale stadswandeling voor thuis", Activity, EVERYWHERE).marked(&[Online]),
        costing(50, "Zwemkaart van vijf beurten", Activity, EVERYWHERE)
            .limit(2, Year)
            .stock(500)
            .marked(&[Sport]),
        costing(150, "Weekend in een tipi van de Proefhoeve", Activity, EVERYWHERE)
            .limit(1, Absolute)
            .stock(3)
            .marked(&[Featured]),
        // Gent
        costing(12, "Koffie met een stuk taart", FoodAndDrink, GENT)
            .only_at(Reede)
            .limit(1, Day)
            .marked(&[Featured]),
        costing(20, "Linnen tas met de kade erop", Item, GENT).only_at(Reede).stock(40),
        costing(30, "Rondleiding voor twee", Activity, GENT)
            .only_at(Reede)
            .limit(1, Month)
            .redeemed(-60, 5),
        costing(25, "Duoticket voor de matinee", Activity, GENT)
            .only_at(CityOfGent)
            .redeemed(-30, 90)
            .shown(-40, 60),
        welcome("Welkom: een warme chocolademelk", FoodAndDrink, GENT).only_at(CityOfGent),
        costing(5, "Kleurboek van de fabriekspoes", Item, GENT).limit(1, Week).marked(&[ForKids]),
        // Brussels
        costing(18, "Koptelefoon te leen en een wafel toe", FoodAndDrink, PASPARTOE)
            .only_at(BrusselsMuseum)
            .limit(1, Week),
        costing(40, "Stemvork van het huis", Item, PASPARTOE)
            .only_at(BrusselsMuseum)
            .stock(25)
            .redeemed(-10, 9),
        costing(60, "Vijf lessen jongleren", Activity, PASPARTOE)
            .only_at(BrusselsCentre)
            .redeemed(14, 120)
            .marked(&[ForKids, Sport]),
        welcome("Welkom: gratis dagticket", Activity, PASPARTOE).shown(-365, 365),
        // Mechelen
        costing(8, "Sleutelhanger met een verloren sleutel", Item, MECHELEN)
            .only_at(CityOfMechelen)
            .stock(150)
            .marked(&[ForKids]),
        costing(35, "Vrijkaart voor het poppenspel", Activity, MECHELEN)
            .only_at(CityOfMechelen)
            .limit(2, Month)
            .redeemed(-20, 2)
            .marked(&[ForKids]),
        costing(75, "Etentje voor twee in de kazerne", FoodAndDrink, MECHELEN)
            .only_at(CityOfMechelen)
            .redeemed(-120, -15),
        welcome("Welkom: een leesbrilletje van karton", Item, MECHELEN).stock(60),
        costing(100, "Een voetbaltruitje met je naam", Item, MECHELEN)
            .limit(1, Year)
            .redeemed(-5, 45)
            .shown(-5, 45)
            .marked(&[Sport, Online]),
    ]
};

/// The rewards that the dataset does not have.
pub(super) fn rewards(world: &World, organisers: &Organisers) -> Vec<RewardRow> {
    let is_marked = |plan: &Plan, mark| plan.marks.contains(&mark);
    let row = |(id, plan): (u32, &Plan)| RewardRow {
        id: id.to_string(),
        title: plan.title.to_owned(),
        kind: plan.kind,
        points: plan.points,
        redeem_constraint: plan.limit,
        redeem_period: plan.redeemed.map(|(first, last)| world.period(first, last)),
        publication_period: plan.shown.map(|(first, last)| world.period(first, last)),
        applicable_card_systems: plan.regions.iter().map(|region| region.card_system()).collect(),
        organizers: plan.organiser.map(|organiser| organisers.id(organiser)).into_iter().collect(),
        max_available_units: plan.units,
        online: is_marked(plan, Mark::Online),
        categories: vec![plan.category],
        for_kids: is_marked(plan, Mark::ForKids),
        sport: is_marked(plan, Mark::Sport),
        featured: is_marked(plan, Mark::Featured),
    };
    (FIRST_ID..).zip(&PLANS).map(row).collect()
}
