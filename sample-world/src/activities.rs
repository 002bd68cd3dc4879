//! Activities. Titles, prices and hours are invented; the days are counted from the world's.

use catalogue_file::{ActivityRow, CheckinCodeRow};
use crdt_model::catalogue::{DistributionKey, OpeningHours, PriceCategory, Weekly};
use crdt_model::limits::{PeriodLimit, PeriodType};
use crdt_model::money::Cents;
use crdt_model::time::day_number;

use super::places::{Organisers, Region, Venue, uuid};
use super::{Stream, World, sound};

/// Minutes before opening and after closing in which check-ins are taken.
const MARGIN: u16 = 30;

/// An activity as it is thought of.
#[derive(Debug, Clone, Copy)]
struct Plan {
    venue: Venue,
    title: &'static str,
    prices: &'static [(&'static str, u32)],
    points: u32,
    limit: Option<PeriodLimit>,
    hours: Option<Hours>,
    days: Option<(i32, i32)>,
    tickets: Option<PeriodLimit>,
    also_for: Option<Region>,
}

/// Hours that come back every week: days from Monday, 1, to Sunday, 7, and times of day.
#[derive(Debug, Clone, Copy)]
struct Hours {
    days: &'static [u8],
    opens: (u16, u16),
    closes: (u16, u16),
}

const fn hours(days: &'static [u8], opens: (u16, u16), closes: (u16, u16)) -> Hours {
    Hours { days, opens, closes }
}

/// At most so many times in one period.
pub(super) const fn at_most(volume: u32, period_type: PeriodType) -> PeriodLimit {
    PeriodLimit { volume, period_type }
}

/// One point, one check-in a day, always open.
const fn at(venue: Venue, title: &'static str, prices: &'static [(&'static str, u32)]) -> Plan {
    Plan {
        venue,
        title,
        prices,
        points: 1,
        limit: Some(at_most(1, PeriodType::Day)),
        hours: None,
        days: None,
        tickets: None,
        also_for: None,
    }
}

impl Plan {
    const fn points(self, points: u32) -> Self {
        Self { points, ..self }
    }

    const fn limit(self, volume: u32, period: PeriodType) -> Self {
        Self { limit: Some(at_most(volume, period)), ..self }
    }

    const fn unlimited(self) -> Self {
        Self { limit: None, ..self }
    }

    const fn open(self, hours: Hours) -> Self {
        Self { hours: Some(hours), ..self }
    }

    /// From one day to another, counted from the world's.
    const fn days(self, first: i32, last: i32) -> Self {
        Self { days: Some((first, last)), ..self }
    }

    const fn tickets(self, volume: u32, period: PeriodType) -> Self {
        Self { tickets: Some(at_most(volume, period)), ..self }
    }

    const fn also_for(self, region: Region) -> Self {
        Self { also_for: Some(region), ..self }
    }
}

const MUSEUM: Hours = hours(&[2, 3, 4, 5, 6, 7], (10, 0), (17, 0));
const LIBRARY: Hours = hours(&[1, 2, 3, 4, 5, 6], (10, 0), (19, 0));
const LATE_CONCERT: Hours = hours(&[5, 6], (20, 30), (0, 30));
const PLAY: Hours = hours(&[4, 5, 6], (20, 0), (22, 30));
const MATINEE: Hours = hours(&[7], (14, 0), (16, 30));
const WEDNESDAY: Hours = hours(&[3], (13, 30), (17, 0));

const FREE: &[(&str, u32)] = &[("Gratis", 0)];

const PLANS: [Plan; 38] = {
    use PeriodType::{Absolute, Day, Month, Quarter, Week, Year};
    use Venue::{
        BookmarkLibrary, Bucket, DogEarLibrary, LostThings, PoppyWorks, Reede, StreetNoise,
        TramStop,
    };

    [
        // Museum De Reede
        at(
            Reede,
            "Vaste collectie: grafiek op de kade",
            &[("Volwassenen", 1000), ("65+", 800), ("12 tot 26 jaar", 500)],
        )
        .open(MUSEUM)
        .also_for(Region::Paspartoe),
        at(
            Reede,
            "Tijdelijke tentoonstelling: Inkt en Ijzel",
            &[("Volwassenen", 1400), ("12 tot 26 jaar", 700)],
        )
        .points(2)
        .open(MUSEUM)
        .days(-30, 60)
        .tickets(2, Quarter),
        at(Reede, "Avondrondleiding bij zaklamplicht", &[("Volwassenen", 1200), ("Kinderen", 600)])
            .points(2)
            .limit(1, Week)
            .open(hours(&[4], (19, 0), (22, 0)))
            .tickets(1, Week),
        at(Reede, "Drukken met aardappels: gezinsatelier", &[("Per deelnemer", 600)])
            .points(3)
            .limit(3, Month)
            .open(MATINEE)
            .tickets(4, Day),
        at(
            Reede,
            "Nocturne: muziek tussen de prenten",
            &[("Volwassenen", 1800), ("Studenten", 900)],
        )
        .points(2)
        .open(hours(&[5, 6], (21, 0), (1, 0)))
        .also_for(Region::Paspartoe),
        // Museum van Verloren Voorwerpen
        at(
            LostThings,
            "Vaste collectie: de linkerhandschoenen",
            &[("Volwassenen", 900), ("Jonger dan 26", 400)],
        )
        .open(MUSEUM),
        at(
            LostThings,
            "Expo Honderd paraplu's",
            &[("Volwassenen", 1100), ("Jonger dan 26", 500), ("65+", 900)],
        )
        .points(2)
        .open(MUSEUM)
        .days(-14, 45)
        .tickets(2, Month),
        at(LostThings, "Zoektocht voor speurneuzen van 6 tot 12", &[("Kinderen", 300)])
            .points(2)
            .limit(1, Week)
            .open(WEDNESDAY),
        at(LostThings, "Depot open: een zondag achter de schermen", &[("Volwassenen", 700)])
            .points(3)
            .limit(1, Month)
            .open(MATINEE)
            .tickets(2, Absolute),
        at(
            LostThings,
            "Lezing: wat een sleutelbos vertelt",
            &[("Volwassenen", 800), ("Studenten", 400)],
        )
        .open(hours(&[2], (20, 0), (22, 0))),
        // Museum voor Straatlawaai
        at(
            StreetNoise,
            "Vaste collectie: van klaxon tot carillon",
            &[("Volwassenen", 1200), ("Studenten", 800), ("Kinderen", 300)],
        )
        .open(MUSEUM)
        .tickets(4, Month),
        at(StreetNoise, "Expo De stille dinsdag", &[("Volwassenen", 1300), ("Studenten", 900)])
            .points(2)
            .open(hours(&[2], (9, 30), (18, 0)))
            .days(-60, 7),
        at(StreetNoise, "Bouw je eigen deurbel", &[("Per deelnemer", 1500)])
            .points(3)
            .limit(1, Month)
            .open(hours(&[6], (13, 0), (16, 0)))
            .tickets(2, Year),
        at(
            StreetNoise,
            "Luisterwandeling door de Marollenstraatjes",
            &[("Volwassenen", 900), ("Kinderen", 450)],
        )
        .points(2)
        .limit(1, Week)
        .open(MATINEE),
        at(
            StreetNoise,
            "Nachtconcert voor drie tramwissels",
            &[("Volwassenen", 2200), ("Studenten", 1400)],
        )
        .points(2)
        .open(LATE_CONCERT)
        .tickets(2, Week)
        .also_for(Region::Gent),
        // Cultuurcentrum De Klaproosfabriek
        at(
            PoppyWorks,
            "Toneel: De koning van de zolder",
            &[("Rang 1", 2400), ("Rang 2", 1800), ("Jonger dan 26", 1000)],
        )
        .points(2)
        .open(PLAY)
        .tickets(2, Week),
        at(
            PoppyWorks,
            "Dans: Twaalf schaduwen en een stoel",
            &[("Basistarief", 2000), ("Jonger dan 26", 1000)],
        )
        .points(2)
        .open(PLAY)
        .days(10, 24),
        at(PoppyWorks, "Concert: Fanfare De Natte Lucifer", &[("Basistarief", 1600)])
            .open(LATE_CONCERT)
            .tickets(4, Day),
        at(
            PoppyWorks,
            "Familievoorstelling: De beer die niet wou slapen",
            &[("Volwassenen", 1200), ("Kinderen", 800)],
        )
        .points(2)
        .limit(1, Week)
        .open(MATINEE),
        at(PoppyWorks, "Schrijfcafé", FREE).limit(1, Week).open(hours(&[1], (19, 30), (22, 0))),
        at(PoppyWorks, "Zomerbar in de drooghal", FREE).unlimited().days(-120, -20),
        // Gemeenschapscentrum De Zevende Tramhalte
        at(TramStop, "Babbelkoffie Nederlands", FREE).limit(3, Month).open(hours(
            &[2, 4],
            (9, 30),
            (11, 30),
        )),
        at(TramStop, "Wijkkoor: instappen tot het refrein", &[("Basistarief", 500)])
            .limit(1, Week)
            .open(hours(&[3], (19, 0), (21, 0)))
            .tickets(4, Month),
        at(
            TramStop,
            "Filmclub: de laatste voorstelling van meneer Nul",
            &[("Basistarief", 600), ("Studenten", 400)],
        )
        .open(hours(&[5], (20, 0), (23, 0))),
        at(TramStop, "Circusatelier voor wankele beginners", &[("Kinderen", 700)])
            .points(2)
            .limit(1, Week)
            .open(WEDNESDAY)
            .tickets(8, Quarter),
        at(
            TramStop,
            "Dansnacht: van zevenen tot zevenen",
            &[("Voorverkoop", 1000), ("Aan de deur", 1400)],
        )
        .points(2)
        .open(hours(&[6], (19, 0), (7, 0)))
        .tickets(2, Day),
        // Cultuurcentrum De Blusemmer
        at(
            Bucket,
            "Opera in de brandweerkazerne",
            &[("Rang 1", 3500), ("Rang 2", 2800), ("Jonger dan 26", 1500)],
        )
        .points(3)
        .open(PLAY)
        .days(3, 17)
        .tickets(2, Absolute),
        at(
            Bucket,
            "Comedy: Alles onder controle",
            &[("Basistarief", 1900), ("Jonger dan 26", 1100)],
        )
        .points(2)
        .open(PLAY)
        .tickets(2, Week),
        at(
            Bucket,
            "Concert: Het Vergeetachtig Strijkkwartet",
            &[("Basistarief", 2100), ("65+", 1700)],
        )
        .points(2)
        .open(hours(&[4, 7], (20, 0), (22, 0))),
        at(Bucket, "Jazz na middernacht", &[("Basistarief", 1500)])
            .open(hours(&[5, 6], (22, 0), (2, 30)))
            .tickets(2, Day),
        at(
            Bucket,
            "Poppenspel: De draak met hoogtevrees",
            &[("Volwassenen", 900), ("Kinderen", 600)],
        )
        .points(2)
        .open(MATINEE)
        .tickets(6, Month),
        at(Bucket, "Week van de stille muziek", &[("Dagkaart", 800), ("Weekkaart", 2500)])
            .points(2)
            .days(-3, 3),
        // Bibliotheek De Bladwijzerij
        at(BookmarkLibrary, "Bibliotheekbezoek", FREE).open(LIBRARY),
        at(BookmarkLibrary, "Voorleesuur op de kussens", FREE)
            .points(2)
            .limit(1, Week)
            .open(hours(&[3, 6], (10, 30), (11, 30))),
        at(
            BookmarkLibrary,
            "Auteurslezing: een boek in één zin",
            &[("Basistarief", 800), ("Leden", 500)],
        )
        .open(hours(&[4], (20, 0), (22, 0)))
        .tickets(1, Month),
        // Bibliotheek Het Omgevouwen Hoekje
        at(DogEarLibrary, "Bibliotheekbezoek", FREE).open(LIBRARY),
        at(DogEarLibrary, "Repaircafé voor boeken met een losse rug", FREE)
            .limit(3, Month)
            .open(hours(&[6], (10, 0), (13, 0))),
        at(DogEarLibrary, "Leesclub De Trage Bladzijde", &[("Basistarief", 300)])
            .limit(1, Month)
            .open(hours(&[2], (19, 30), (21, 30))),
    ]
};

/// The activities that the dataset does not have.
pub(super) fn activities(world: &World, organisers: &Organisers) -> Vec<ActivityRow> {
    let mut random = Stream::Activities.random(world.seed);
    PLANS.iter().map(|plan| row(plan, uuid(&mut random), world, organisers)).collect()
}

fn row(plan: &Plan, event_id: String, world: &World, organisers: &Organisers) -> ActivityRow {
    let regions = || [plan.venue.region()].into_iter().chain(plan.also_for);
    let key = |region: Region| DistributionKey {
        card_system: region.card_system(),
        rule: plan.venue.rule(region),
    };
    let price = |(label, cents): &(&str, u32)| PriceCategory {
        label: (*label).to_owned(),
        price: Cents(*cents),
    };
    ActivityRow {
        title: plan.title.to_owned(),
        venue: sound(plan.venue.named().0.parse()),
        checkin_points: plan.points,
        checkin_limit: plan.limit,
        organizer: Some(organisers.id(plan.venue.organiser())),
        card_systems: regions().map(Region::card_system).collect(),
        opening_hours: opening_hours(plan, world),
        passholder_ticket_limit: plan.tickets,
        prices: plan.prices.iter().map(price).collect(),
        distribution_keys: regions().map(key).collect(),
        checkin_codes: vec![CheckinCodeRow {
            code: format!("stempel:{}", &event_id[..8]),
            ends: plan.days.map(|(_, last)| world.end_of(last)),
        }],
        event_id,
    }
}

fn opening_hours(plan: &Plan, world: &World) -> OpeningHours {
    let minutes = |(hour, minute): (u16, u16)| hour * 60 + minute;
    let day = |days: i32| day_number(world.day(days));
    let weekly = plan.hours.map(|hours| Weekly {
        days: hours.days.to_vec(),
        opens: minutes(hours.opens),
        closes: minutes(hours.closes),
    });
    let margin = if weekly.is_some() { MARGIN } else { 0 };
    OpeningHours {
        first_day: plan.days.map(|(first, _)| day(first)),
        last_day: plan.days.map(|(_, last)| day(last)),
        weekly: weekly.into_iter().collect(),
        margin_before: margin,
        margin_after: margin,
    }
}
