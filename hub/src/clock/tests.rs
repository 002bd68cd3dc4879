use super::*;

const NOW: UnixMillis = UnixMillis(1_795_258_800_000);
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// What is said when the newest receipt was so long before now, and desks are off by so much.
fn said(newest_before: Option<i64>, offsets: &[i64]) -> Witnesses {
    let newest = newest_before.map(|before| NOW.plus(-before));
    Witnesses { now: NOW, newest, offsets: offsets.to_vec() }
}

#[test]
fn a_hub_alone_believes_its_clock() {
    let alone = said(None, &[]);
    assert_eq!(alone.doubt(), None);
    assert_eq!(alone.receipt(), ReceiptTime { at: NOW, sure: true });
}

#[test]
fn a_clock_before_the_newest_receipt_is_in_doubt_and_receipts_do_not_go_back() {
    let behind = said(Some(-2 * DAY), &[]);
    assert_eq!(behind.doubt(), Some(Doubt::BeforeNewestReceipt { behind: 2 * DAY }));
    let receipt = behind.receipt();
    assert_eq!(receipt, ReceiptTime { at: NOW.plus(2 * DAY), sure: false });
    assert_eq!(receipt.receipt(None), None, "it disproves nobody's time");
    let by_seconds = said(Some(-3000), &[]);
    assert_eq!(by_seconds.doubt(), None);
    assert_eq!(by_seconds.receipt(), ReceiptTime { at: NOW.plus(3000), sure: true });
}

#[test]
fn three_desks_that_agree_make_a_hub_doubt_its_clock_and_two_do_not() {
    let off = [2 * DAY, 2 * DAY + 60_000, 2 * DAY - 60_000];
    assert_eq!(
        said(None, &off).doubt(),
        Some(Doubt::DesksDisagree { desks_ahead: 2 * DAY, desks: 3 })
    );
    assert_eq!(said(None, &off[..2]).doubt(), None);
    assert_eq!(said(None, &[2 * DAY, -DAY, 2 * HOUR]).doubt(), None, "they do not agree");
    assert_eq!(said(None, &[2 * DAY, 2 * DAY, 0]).doubt(), None, "two against two");
    assert!(said(None, &[2 * DAY, 2 * DAY, 2 * DAY, 0]).doubt().is_some());
    assert_eq!(said(None, &[2 * DAY, 2 * DAY, 2 * DAY, 0, 0, 0]).doubt(), None);
}

#[test]
fn the_desks_word_makes_receipts_later_and_never_earlier() {
    let behind = said(None, &[2 * DAY; 3]);
    assert_eq!(behind.receipt(), ReceiptTime { at: NOW.plus(2 * DAY), sure: true });
    let ahead = said(Some(HOUR), &[-365 * DAY; 3]);
    assert_eq!(ahead.doubt(), Some(Doubt::DesksDisagree { desks_ahead: -365 * DAY, desks: 3 }));
    assert_eq!(ahead.receipt(), ReceiptTime { at: NOW, sure: true });
}

/// A clock that was a year ahead and is put right must not date receipts a year ahead for a year.
#[test]
fn desks_confirm_a_clock_that_was_put_right() {
    let put_right = said(Some(-365 * DAY), &[0, 1000, -1000]);
    assert_eq!(put_right.doubt(), None);
    assert_eq!(put_right.receipt(), ReceiptTime { at: NOW, sure: true });
}

#[test]
fn a_moment_after_the_receipt_bounds_nothing() {
    let time = ReceiptTime { at: NOW, sure: true };
    let receipt = |held| time.receipt(Some(held)).unwrap().not_before;
    assert_eq!(receipt(NOW.plus(-HOUR)), Some(NOW.plus(-HOUR)));
    assert_eq!(receipt(NOW.plus(365 * DAY)), None);
}

#[test]
fn spans_are_said_as_people_say_them() {
    let said = [90_000, -10_800_000, 2 * DAY, 1_800_000].map(|span| Span(span).to_string());
    assert_eq!(said, ["90 s", "3 h", "2 days", "30 min"]);
}
