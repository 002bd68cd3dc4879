//! What one checks in to, and when it is open.

use jiff::ToSpan;
use jiff::civil::{Date, Time, Weekday};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::tariff::DistributionKey;
use crate::ids::{ActivityId, CardSystemId, OrganiserId, VenueId};
use crate::limits::PeriodLimit;
use crate::money::Cents;
use crate::time::{Calendar, UnixMillis};

/// What one checks in to (contract: event and its `EventSettings`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Activity {
    /// The hub's serial number.
    #[n(0)]
    pub activity: ActivityId,
    /// The contract's `eventId`.
    #[n(1)]
    pub event_id: String,
    /// Its title.
    #[n(2)]
    pub title: String,
    /// The venue where it takes place.
    #[n(3)]
    pub venue: VenueId,
    /// Points for one check-in.
    #[n(4)]
    pub checkin_points: u32,
    /// How often one pass may check in.
    #[n(5)]
    pub checkin_limit: Option<PeriodLimit>,
    /// Who organises it.
    #[n(6)]
    pub organiser: Option<OrganiserId>,
    /// The card systems that it belongs to: where the social tariff counts.
    #[n(7)]
    pub card_systems: Vec<CardSystemId>,
    /// When it is open.
    #[n(8)]
    pub opening_hours: OpeningHours,
    /// How many tickets one pass may buy at a discount (contract: `passholderTicketLimit`).
    #[n(9)]
    pub ticket_limit: Option<PeriodLimit>,
    /// Its regular prices, the usual one first.
    #[n(10)]
    pub prices: Vec<PriceCategory>,
    /// How the social tariff is made in each of its card systems.
    #[n(11)]
    pub distribution_keys: Vec<DistributionKey>,
    /// Codes by which one checks in to it, as its QR code says them.
    #[n(12)]
    pub checkin_codes: Vec<CheckinCode>,
}

impl Activity {
    /// An activity that is always open, without limits, prices or card systems.
    pub fn new(activity: ActivityId, event_id: &str, title: &str, venue: VenueId) -> Self {
        Self {
            activity,
            event_id: event_id.to_owned(),
            title: title.to_owned(),
            venue,
            checkin_points: 1,
            checkin_limit: None,
            organiser: None,
            card_systems: Vec::new(),
            opening_hours: OpeningHours::default(),
            ticket_limit: None,
            prices: Vec::new(),
            distribution_keys: Vec::new(),
            checkin_codes: Vec::new(),
        }
    }
}

/// One regular price of an activity (contract: `regularPrice`, `regularPriceLabel`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceCategory {
    /// For whom, such as `Volwassenen`.
    #[n(0)]
    pub label: String,
    /// The price before any discount, in cents.
    #[n(1)]
    #[serde(rename = "cents")]
    pub price: Cents,
}

/// A code by which one checks in (contract: `POST /passholders/{passholderId}/checkins`).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct CheckinCode {
    /// What the QR code says.
    #[n(0)]
    pub code: String,
    /// Until when it is taken; `None` where it does not end.
    #[n(1)]
    pub ends: Option<UnixMillis>,
}

/// When an activity is open, in the venue's local time. Check-ins are taken then and for a margin
/// before and after (UiTPAS 4.0, `POST /checkins`). Nothing said means always.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OpeningHours {
    /// First local day, as days since 1970-01-01.
    #[n(0)]
    #[serde(with = "as_date", skip_serializing_if = "Option::is_none")]
    pub first_day: Option<i32>,
    /// Last local day.
    #[n(1)]
    #[serde(with = "as_date", skip_serializing_if = "Option::is_none")]
    pub last_day: Option<i32>,
    /// The hours of each week; none means the whole day.
    #[n(2)]
    pub weekly: Vec<Weekly>,
    /// Minutes before opening in which check-ins are taken.
    #[n(3)]
    pub margin_before: u16,
    /// Minutes after closing in which check-ins are taken.
    #[n(4)]
    pub margin_after: u16,
}

/// Opening hours that come back every week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Weekly {
    /// Days of the week, Monday is 1, Sunday 7.
    #[n(0)]
    pub days: Vec<u8>,
    /// When it opens, in minutes after midnight.
    #[n(1)]
    #[serde(with = "as_clock")]
    pub opens: u16,
    /// When it closes, in minutes after midnight; not later than it opens means on the day after.
    #[n(2)]
    #[serde(with = "as_clock")]
    pub closes: u16,
}

impl OpeningHours {
    /// Whether check-ins are taken at this moment, the margins included.
    pub fn takes_checkins(&self, calendar: &Calendar, now: UnixMillis) -> bool {
        let before = i64::from(self.margin_before) * 60_000;
        let after = i64::from(self.margin_after) * 60_000;
        let today = calendar.day(now);
        // Hours of yesterday may go on past midnight, those of tomorrow begin before it.
        let days = [today.yesterday(), Ok(today), today.tomorrow()];
        days.into_iter().flatten().filter(|day| self.has(*day)).any(|day| {
            self.hours_on(day).any(|(opens, closes)| {
                let (Some(opens), Some(closes)) =
                    (local(calendar, day, opens), local(calendar, day, closes))
                else {
                    return false;
                };
                opens.plus(-before) <= now && now < closes.plus(after)
            })
        })
    }

    fn has(&self, day: Date) -> bool {
        let day = crate::time::day_number(day);
        self.first_day.is_none_or(|first| first <= day)
            && self.last_day.is_none_or(|last| day <= last)
    }

    /// The hours of this day in minutes after its midnight.
    fn hours_on(&self, day: Date) -> impl Iterator<Item = (u32, u32)> {
        const DAY: u32 = 24 * 60;
        let weekday = weekday_number(day.weekday());
        let whole_day = self.weekly.is_empty().then_some((0, DAY));
        let hours = self.weekly.iter().filter(move |weekly| weekly.days.contains(&weekday));
        hours
            .map(|weekly| {
                let (opens, closes) = (u32::from(weekly.opens), u32::from(weekly.closes));
                (opens, if closes > opens { closes } else { closes + DAY })
            })
            .chain(whole_day)
    }
}

fn weekday_number(weekday: Weekday) -> u8 {
    weekday.to_monday_one_offset().unsigned_abs()
}

/// So many minutes by the clock on the wall after this day's midnight. An hour that daylight saving
/// leaves out counts as the hour behind it.
fn local(calendar: &Calendar, day: Date, minutes: u32) -> Option<UnixMillis> {
    let day = day.checked_add(i64::from(minutes / (24 * 60)).days()).ok()?;
    let (hour, minute) = (minutes % (24 * 60) / 60, minutes % 60);
    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()?;
    calendar.moment(day.to_datetime(time))
}

mod as_clock {
    //! Minutes after midnight as `09:30`; `24:00` is the end of the day.

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(minutes: &u16, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{:02}:{:02}", minutes / 60, minutes % 60))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
        let text = String::deserialize(from)?;
        let parts = text.split_once(':').and_then(|(hours, minutes)| {
            Some((hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?))
        });
        match parts {
            Some((hours, minutes))
                if minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0)) =>
            {
                Ok(hours * 60 + minutes)
            }
            _ => Err(serde::de::Error::custom("a time of day is written as in 09:30")),
        }
    }
}

mod as_date {
    //! Days since 1970-01-01 as `2026-11-21`.

    use jiff::civil::Date;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::{date_of_day_number, day_number};

    #[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(day: &Option<i32>, to: S) -> Result<S::Ok, S::Error> {
        day.and_then(date_of_day_number).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i32>, D::Error> {
        Ok(Option::<Date>::deserialize(from)?.map(day_number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::brussels;

    fn at(text: &str) -> UnixMillis {
        let at: jiff::Timestamp = text.parse().unwrap();
        UnixMillis(at.as_millisecond())
    }

    fn hours(days: &[u8], opens: u16, closes: u16) -> OpeningHours {
        OpeningHours {
            weekly: vec![Weekly { days: days.to_vec(), opens, closes }],
            margin_before: 30,
            margin_after: 60,
            ..OpeningHours::default()
        }
    }

    #[test]
    fn check_ins_are_taken_within_the_hours_and_their_margins() {
        // A Saturday, 10:00 to 17:00 Brussels time, which is UTC+1 in November.
        let museum = hours(&[6], 10 * 60, 17 * 60);
        let takes = |time: &str| museum.takes_checkins(&brussels(), at(time));
        assert!(!takes("2026-11-21T08:29:59Z"));
        assert!(takes("2026-11-21T08:30:00Z"));
        assert!(takes("2026-11-21T16:59:59Z"));
        assert!(!takes("2026-11-21T17:00:00Z"));
        assert!(!takes("2026-11-22T12:00:00Z"), "a Sunday");
    }

    #[test]
    fn a_concert_may_go_on_past_midnight() {
        let concert = hours(&[6], 20 * 60, 60);
        let takes = |time: &str| concert.takes_checkins(&brussels(), at(time));
        assert!(takes("2026-11-22T00:59:59Z"), "01:59 on Sunday, an hour after it closed");
        assert!(!takes("2026-11-22T01:00:00Z"));
        assert!(!takes("2026-11-21T00:30:00Z"), "not on Saturday morning");
    }

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall_when_it_is_put_forward_and_back() {
        let museum = OpeningHours { margin_before: 0, margin_after: 0, ..hours(&[7], 600, 1020) };
        let takes = |time: &str| museum.takes_checkins(&brussels(), at(time));
        // 29 March 2026: from UTC+1 to UTC+2. 25 October: back.
        assert!(!takes("2026-03-29T07:59:59Z") && takes("2026-03-29T08:00:00Z"));
        assert!(!takes("2026-10-25T08:59:59Z") && takes("2026-10-25T09:00:00Z"));
        assert!(takes("2026-10-25T15:59:59Z") && !takes("2026-10-25T16:00:00Z"));
    }

    #[test]
    fn days_bound_an_activity_and_nothing_said_means_always() {
        let day = |text: &str| Some(crate::time::day_number(text.parse().unwrap()));
        let weekend = OpeningHours {
            first_day: day("2026-11-21"),
            last_day: day("2026-11-22"),
            ..OpeningHours::default()
        };
        let takes = |time: &str| weekend.takes_checkins(&brussels(), at(time));
        assert!(!takes("2026-11-20T22:59:59Z") && takes("2026-11-20T23:00:00Z"));
        assert!(takes("2026-11-22T22:59:59Z") && !takes("2026-11-22T23:00:00Z"));
        assert!(OpeningHours::default().takes_checkins(&brussels(), at("1999-01-01T00:00:00Z")));
    }

    #[test]
    fn opening_hours_are_written_as_people_write_them() {
        let json = r#"{"firstDay":"2026-11-21","weekly":[{"days":[6,7],"opens":"10:00","closes":"17:30"}],"marginBefore":30,"marginAfter":0}"#;
        let hours: OpeningHours = serde_json::from_str(json).unwrap();
        assert_eq!((hours.weekly[0].opens, hours.weekly[0].closes), (600, 1050));
        assert_eq!(serde_json::to_string(&hours).unwrap(), json);
        for wrong in ["25:00", "24:01", "1093:00", "10:60", "10"] {
            assert!(serde_json::from_str::<OpeningHours>(&json.replace("17:30", wrong)).is_err());
        }
    }
}
