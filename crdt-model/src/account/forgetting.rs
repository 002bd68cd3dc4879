//! What a pass record leaves out of an account: uses of periods that decide nothing any more.
//!
//! No clock has a say in it. What is recent is read from the pass's own uses, so a hub whose clock is a
//! year ahead forgets nothing that a desk still needs, and a pass that nobody has shown for a year keeps
//! what it was last used for.

use super::{Account, Limited, Uses};

/// A desk's date may be so many days before the newest use, and its decisions are still the same: a
/// desk whose clock is behind, or a use that was dated ahead.
pub const MARGIN_DAYS: i32 = 7;

/// Windows that are kept of each limited thing and kind of period, however old they are: the newest four. A hub whose
/// clock was ahead for a while leaves uses of days that have not come yet, and those must not make the use of today old.
pub const NEWEST_KEPT: usize = 4;

/// Uses in a record at the most: 256, about 4 KB. More than this is five limited things a week, each
/// other ones, all year.
pub const MOST_USES: usize = 256;

impl Account {
    /// The first day, in days since 1970-01-01, of which [`Account::forget_old`] keeps all uses.
    ///
    /// It is [`MARGIN_DAYS`] before the newest use. But one desk may have dated a use a year ahead, and
    /// that must not make the uses of today old. So it goes on from the newest use of *before* those
    /// days, where there is one.
    pub fn decides_from(&self) -> i32 {
        let all = || self.uses.iter().filter_map(|uses| uses.window.days());
        let Some(newest) = all().map(|(first, _)| first).max() else { return i32::MIN };
        let recent = newest.saturating_sub(MARGIN_DAYS);
        let before = all().filter(|(_, last)| *last < recent).map(|(first, _)| first).max();
        before.map_or(recent, |before| before.saturating_sub(MARGIN_DAYS))
    }

    /// Forgets the uses of periods that ended before [`Account::decides_from`], but for the [`NEWEST_KEPT`] of each
    /// limited thing and kind of period. Where more than [`MOST_USES`] remain, those go first that the hub can set right afterwards, and of periods that
    /// ended first: an uncounted check-in costs nobody anything, a reward that is handed out twice does.
    pub fn forget_old(&mut self) {
        let from = self.decides_from();
        // In order of what, of which kind and when: those of one thing and kind stand together, the newest last.
        let (mut run, mut newer) = (None, 0);
        let kept = self.uses.iter().rev().map(|uses| {
            let this = Some((&uses.of, uses.window.period_type));
            newer = if run == this { newer + 1 } else { 0 };
            run = this;
            newer < NEWEST_KEPT || uses.window.days().is_none_or(|(_, last)| last >= from)
        });
        let kept: Vec<bool> = kept.collect();
        let mut kept = kept.into_iter().rev();
        self.uses.retain(|_| kept.next().unwrap_or(true));
        if self.uses.len() <= MOST_USES {
            return;
        }
        let newest = self.uses.iter().filter_map(|uses| uses.window.days()).map(|(first, _)| first);
        let newest = newest.max().unwrap_or(i32::MIN);
        let worth = |uses: &Uses| {
            let last = uses.window.days().map_or(i32::MAX, |(_, last)| last);
            let handed_out = match uses.of {
                Limited::CheckIn(_) | Limited::Visit(_) => false,
                Limited::Redemption(_)
                | Limited::Ticket(_)
                | Limited::Coupon(_)
                | Limited::GroupTicket => true,
            };
            (last >= newest, handed_out, last)
        };
        let mut order: Vec<usize> = (0..self.uses.len()).collect();
        order.sort_by_key(|place| std::cmp::Reverse(worth(&self.uses[*place])));
        order.truncate(MOST_USES);
        order.sort_unstable();
        self.uses = order.into_iter().map(|place| self.uses[place].clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{ActivityId, RewardId};
    use crate::limits::{PeriodLimit, PeriodType, Window};
    use crate::samples::cases;
    use crate::time::{date_of_day_number, day_number};

    const PERIODS: [PeriodType; 6] = [
        PeriodType::Absolute,
        PeriodType::Day,
        PeriodType::Week,
        PeriodType::Month,
        PeriodType::Quarter,
        PeriodType::Year,
    ];

    fn day(text: &str) -> i32 {
        day_number(text.parse().unwrap())
    }

    fn limited(n: u32) -> Limited {
        if n.is_multiple_of(2) {
            Limited::Redemption(RewardId(n))
        } else {
            Limited::CheckIn(ActivityId(n))
        }
    }

    /// An account that was used for these things under limits of these periods on these days.
    fn used(uses: &[(u32, PeriodType, i32)]) -> Account {
        let mut account = Account::default();
        for (of, period, day) in uses {
            account.add_uses(limited(*of), period.window(date_of_day_number(*day).unwrap()), 1);
        }
        account
    }

    fn cut(account: &Account) -> Account {
        let mut cut = account.clone();
        cut.forget_old();
        cut
    }

    fn windows(account: &Account) -> Vec<Window> {
        account.uses.iter().map(|uses| uses.window).collect()
    }

    #[test]
    fn uses_of_long_ago_are_forgotten_and_recent_ones_and_those_that_last_are_kept() {
        let (today, before, long_ago) = (day("2026-11-26"), day("2026-10-01"), day("2026-09-01"));
        let account = used(&[
            (1, PeriodType::Day, today),
            (1, PeriodType::Day, before),
            (1, PeriodType::Day, long_ago),
            (1, PeriodType::Day, long_ago - 1),
            (1, PeriodType::Day, long_ago - 2),
            (1, PeriodType::Day, long_ago - 3),
            (3, PeriodType::Year, long_ago),
            (5, PeriodType::Year, day("2025-05-05")),
            (7, PeriodType::Absolute, day("2020-01-01")),
        ]);
        let window = |period: PeriodType, day| period.window(date_of_day_number(day).unwrap());
        assert_eq!(
            windows(&cut(&account)),
            [
                window(PeriodType::Day, long_ago - 1),
                window(PeriodType::Day, long_ago),
                window(PeriodType::Day, before),
                window(PeriodType::Day, today),
                window(PeriodType::Year, today),
                window(PeriodType::Year, day("2025-05-05")),
                window(PeriodType::Absolute, 0),
            ]
        );
    }

    /// A hub that was a year ahead for more than a week.
    #[test]
    fn uses_of_two_wrong_days_ahead_make_nothing_of_today_old() {
        let today = day("2026-11-26");
        for period in PERIODS {
            let account = used(&[
                (2, period, today),
                (1, PeriodType::Day, today + 365),
                (2, period, today + 365),
                (1, PeriodType::Day, today + 375),
                (2, period, today + 375),
            ]);
            assert_eq!(cut(&account), account, "{period:?}");
        }
    }

    /// Both a hub's and a desk's clock were a year ahead once.
    #[test]
    fn one_use_that_is_dated_a_year_ahead_makes_nothing_of_today_old() {
        let (today, ahead) = (day("2026-11-26"), day("2027-11-26"));
        for period in PERIODS {
            let account = used(&[(2, period, today), (1, PeriodType::Day, ahead)]);
            assert_eq!(cut(&account), account, "{period:?}");
        }
    }

    #[test]
    fn a_record_keeps_so_many_uses_and_of_them_what_was_handed_out_last() {
        let today = day("2026-11-26");
        let many: Vec<_> = (0..1000).map(|n| (n, PeriodType::Year, today)).collect();
        let kept = cut(&used(&many));
        assert_eq!(kept.uses.len(), MOST_USES);
        assert!(kept.uses.iter().all(|uses| matches!(uses.of, Limited::Redemption(_))));
        let mut sorted = kept.uses.clone();
        sorted.sort_by(|a, b| (&a.of, a.window).cmp(&(&b.of, b.window)));
        assert_eq!(sorted, kept.uses, "they are found by bisection");
        assert!(minicbor::to_vec(&kept).unwrap().len() < 4096);
    }

    proptest! {
        #![proptest_config(cases(2048))]

        /// What a desk decides on any day from a week before the newest use on, for ever, and on any
        /// day near the use before that, is what it would decide with the whole account.
        #[test]
        fn a_desk_decides_with_the_record_as_with_the_whole_account(
            uses in prop::collection::vec(
                (0u32..5, prop::sample::select(&PERIODS[..]), 0i32..900), 0..60),
            from_newest in -MARGIN_DAYS..800,
            any_day in 0i32..1000,
            volume in 1u32..4,
        ) {
            let begin = day("2025-01-01");
            let uses: Vec<_> = uses.into_iter().map(|(of, p, d)| (of, p, begin + d)).collect();
            let account = used(&uses);
            let kept = cut(&account);
            prop_assert!(kept.uses.len() <= MOST_USES);
            let newest = uses.iter().map(|(_, _, day)| *day).max().unwrap_or(begin);
            let date = date_of_day_number(newest + from_newest).unwrap();
            for of in (0..5).map(limited) {
                for period_type in PERIODS {
                    let limit = PeriodLimit { volume, period_type };
                    prop_assert_eq!(kept.room(&of, limit, date), account.room(&of, limit, date));
                    let day = kept.decides_from().max(begin + any_day);
                    let window = period_type.window(date_of_day_number(day).unwrap());
                    prop_assert_eq!(kept.times(&of, window), account.times(&of, window));
                }
            }
            prop_assert_eq!(&cut(&kept), &kept, "what is kept stays kept");
        }
    }
}
