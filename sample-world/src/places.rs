//! Regions, organisers and venues. All but Museum De Reede are invented.

use catalogue_file::{CardSystemRow, VenueRow};
use crdt_model::catalogue::{DistributionRule, MembershipPrice};
use crdt_model::ids::{CardSystemId, OrganiserId};
use crdt_model::money::{Cents, Percentages};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::{Stream, sound};

/// A card system with what is known of the people in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Region {
    Gent,
    Paspartoe,
    Mechelen,
}

impl Region {
    pub(super) const ALL: [Self; 3] = [Self::Gent, Self::Paspartoe, Self::Mechelen];

    pub(super) fn card_system(self) -> CardSystemId {
        CardSystemId(match self {
            Self::Gent => 1,
            Self::Paspartoe => 2,
            Self::Mechelen => 3,
        })
    }

    /// What its UiTPAS numbers begin with: five digits.
    pub(super) fn number_prefix(self) -> &'static str {
        match self {
            Self::Gent => "09000",
            Self::Paspartoe => "10000",
            Self::Mechelen => "15000",
        }
    }

    pub(super) fn postal_codes(self) -> &'static [&'static str] {
        match self {
            Self::Gent => &GENT,
            Self::Paspartoe => &BRUSSELS,
            Self::Mechelen => &MECHELEN,
        }
    }

    pub(super) fn drawn(random: &mut ChaCha20Rng) -> Self {
        match random.random_range(0..100u32) {
            0..45 => Self::Gent,
            45..75 => Self::Paspartoe,
            _ => Self::Mechelen,
        }
    }

    /// Another region than this.
    pub(super) fn other(self, random: &mut ChaCha20Rng) -> Self {
        let [first, second] = match self {
            Self::Gent => [Self::Paspartoe, Self::Mechelen],
            Self::Paspartoe => [Self::Gent, Self::Mechelen],
            Self::Mechelen => [Self::Gent, Self::Paspartoe],
        };
        if random.random() { first } else { second }
    }
}

pub(super) const GENT: [&str; 12] = [
    "9000", "9030", "9031", "9032", "9040", "9041", "9042", "9050", "9051", "9052", "9090", "9820",
];
pub(super) const BRUSSELS: [&str; 19] = [
    "1000", "1020", "1030", "1040", "1050", "1060", "1070", "1080", "1081", "1082", "1083", "1090",
    "1120", "1140", "1160", "1180", "1190", "1200", "1210",
];
pub(super) const MECHELEN: [&str; 4] = ["2800", "2801", "2811", "2812"];

/// The card systems that the dataset does not have.
pub(super) fn card_systems() -> Vec<CardSystemRow> {
    let price = |label: &str, cents, below_age, social_tariff| MembershipPrice {
        label: label.to_owned(),
        price: Cents(cents),
        from_age: 0,
        below_age,
        social_tariff,
    };
    vec![CardSystemRow {
        id: Region::Mechelen.card_system(),
        name: "UiTPAS Mechelen".to_owned(),
        membership_prices: vec![
            price("Volwassene", 500, None, false),
            price("Jonger dan 18", 200, Some(18), false),
            price("Kansentarief", 100, None, true),
        ],
    }]
}

/// Who offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Organiser {
    /// The dataset's.
    Reede,
    CityOfGent,
    BrusselsMuseum,
    BrusselsCentre,
    CityOfMechelen,
}

/// The organisers' ids.
#[derive(Debug)]
pub(super) struct Organisers {
    drawn: [OrganiserId; 4],
}

impl Organisers {
    pub(super) fn of(seed: u64) -> Self {
        let mut random = Stream::Organisers.random(seed);
        Self { drawn: std::array::from_fn(|_| sound(uuid(&mut random).parse())) }
    }

    pub(super) fn id(&self, organiser: Organiser) -> OrganiserId {
        let [gent, museum, centre, mechelen] = &self.drawn;
        match organiser {
            Organiser::Reede => sound("0ce87cbc-9299-4528-8d35-92225dc9489f".parse()),
            Organiser::CityOfGent => gent.clone(),
            Organiser::BrusselsMuseum => museum.clone(),
            Organiser::BrusselsCentre => centre.clone(),
            Organiser::CityOfMechelen => mechelen.clone(),
        }
    }
}

/// A text in the form of a random UUID, as the contract's ids are.
pub(super) fn uuid(random: &mut ChaCha20Rng) -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = random.random::<u128>() & !(VERSION | VARIANT) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Venue {
    /// The dataset's: a museum.
    Reede,
    /// A museum in Mechelen.
    LostThings,
    /// A museum in Brussels.
    StreetNoise,
    /// A culture centre in Gent.
    PoppyWorks,
    /// A community centre in Brussels.
    TramStop,
    /// A culture centre in Mechelen.
    Bucket,
    /// A library in Gent.
    BookmarkLibrary,
    /// A library in Mechelen.
    DogEarLibrary,
}

impl Venue {
    /// All that the dataset does not have.
    const OWN: [Self; 7] = [
        Self::LostThings,
        Self::StreetNoise,
        Self::PoppyWorks,
        Self::TramStop,
        Self::Bucket,
        Self::BookmarkLibrary,
        Self::DogEarLibrary,
    ];

    /// Its id and its name.
    pub(super) fn named(self) -> (&'static str, &'static str) {
        match self {
            Self::Reede => ("museum-de-reede", "Museum De Reede"),
            Self::LostThings => {
                ("museum-van-verloren-voorwerpen", "Museum van Verloren Voorwerpen")
            }
            Self::StreetNoise => ("museum-voor-straatlawaai", "Museum voor Straatlawaai"),
            Self::PoppyWorks => ("de-klaproosfabriek", "Cultuurcentrum De Klaproosfabriek"),
            Self::TramStop => ("de-zevende-tramhalte", "Gemeenschapscentrum De Zevende Tramhalte"),
            Self::Bucket => ("de-blusemmer", "Cultuurcentrum De Blusemmer"),
            Self::BookmarkLibrary => ("de-bladwijzerij", "Bibliotheek De Bladwijzerij"),
            Self::DogEarLibrary => ("het-omgevouwen-hoekje", "Bibliotheek Het Omgevouwen Hoekje"),
        }
    }

    pub(super) fn region(self) -> Region {
        match self {
            Self::Reede | Self::PoppyWorks | Self::BookmarkLibrary => Region::Gent,
            Self::StreetNoise | Self::TramStop => Region::Paspartoe,
            Self::LostThings | Self::Bucket | Self::DogEarLibrary => Region::Mechelen,
        }
    }

    pub(super) fn organiser(self) -> Organiser {
        match self {
            Self::Reede => Organiser::Reede,
            Self::PoppyWorks | Self::BookmarkLibrary => Organiser::CityOfGent,
            Self::StreetNoise => Organiser::BrusselsMuseum,
            Self::TramStop => Organiser::BrusselsCentre,
            Self::LostThings | Self::Bucket | Self::DogEarLibrary => Organiser::CityOfMechelen,
        }
    }

    /// How the social tariff is made here, in a region.
    pub(super) fn rule(self, region: Region) -> DistributionRule {
        let fixed =
            |cents, city_percent| DistributionRule::Fixed { holder: Cents(cents), city_percent };
        match (region, self) {
            (Region::Gent, Self::PoppyWorks) => fixed(200, 50),
            (Region::Gent, Self::BookmarkLibrary) => fixed(150, 50),
            (Region::Gent | Region::Mechelen, _) => {
                DistributionRule::Percentage(sound(Percentages::new(20, 40, 40)))
            }
            (Region::Paspartoe, Self::TramStop) => fixed(150, 60),
            (Region::Paspartoe, _) => fixed(200, 60),
        }
    }
}

/// The venues that the dataset does not have.
pub(super) fn venues(organisers: &Organisers) -> Vec<VenueRow> {
    let row = |venue: Venue| {
        let (id, name) = venue.named();
        VenueRow {
            id: sound(id.parse()),
            name: name.to_owned(),
            organizer: Some(organisers.id(venue.organiser())),
            policy: None,
        }
    };
    Venue::OWN.into_iter().map(row).collect()
}
