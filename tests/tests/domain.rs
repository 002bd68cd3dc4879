//! The rules of the passes, with the real processes: every reason on the command line, sales, cards,
//! units of limited rewards, and what the hub corrects.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::collections::{BTreeMap, BTreeSet};

use crdt_model::authenticity::Authenticity;
use crdt_model::decide::{Reason, VerdictKind};
use desk_api::types::{
    CardAnswer, CardCheckRequest, HubLink, Outcome, RequestBody, RequestState, SaleRequest, Status,
};
use hardware::authentic::ndef::{self, Record, TypeFormat};
use hardware::authentic::signed::RECORD_TYPE;
use hardware::card::{Answered, Command, Speaks};
use serde_json::{Value, json};
use stempel_tests::{ACTIVITY, Desk, Hub, VENUE, output, pass_number};

const ORGANISER: &str = "0ce87cbc-9299-4528-8d35-92225dc9489f";

/// A UiTPAS of this number, with these fields beside.
fn uitpas(n: u32, more: Value) -> Value {
    let mut pass = json!({
        "programme": "UITPAS", "uitpasNumber": pass_number(n), "cardStatus": "ACTIVE",
        "memberships": [{ "cardSystem": 1 }], "points": 30,
    });
    merge(&mut pass, more);
    pass
}

fn museumpass(n: u32, more: Value) -> Value {
    let mut pass = json!({
        "programme": "MUSEUMPASS", "museumpassNumber": museum_number(n), "cardStatus": "ACTIVE",
        "subscriptionEndDate": "2099-12-31",
    });
    merge(&mut pass, more);
    pass
}

fn museum_number(n: u32) -> String {
    format!("MPM{n:09}")
}

fn merge(pass: &mut Value, more: Value) {
    if let (Value::Object(pass), Value::Object(more)) = (pass, more) {
        pass.extend(more);
    }
}

fn with_right(ends: &str, suspended_until: Option<&str>) -> Value {
    json!({ "memberships": [{ "cardSystem": 1, "socialTariff": {
        "endDate": ends, "suspendedUntilDate": suspended_until } }] })
}

fn world(passes: &[Value]) -> String {
    let reward = |id: &str, more: Value| {
        let mut reward = json!({ "id": id, "title": id, "type": "POINTS", "points": 10 });
        merge(&mut reward, more);
        reward
    };
    let past = json!({ "begin": "2020-01-01T00:00:00Z", "end": "2020-12-31T00:00:00Z" });
    let daily = json!({ "volume": 1, "periodType": "DAY" });
    json!({
        "policy": { "unknownCardsADay": 1, "unregisteredVisits": 0, "externalCards": [
            { "cardType": "museumkaart", "name": "Museumkaart", "allowed": true }],
            "redemptions": [{ "upToHours": 24, "points": 10 }],
            "proofs": { "redemptions": [{ "fromPoints": 20, "atLeast": "signed" }] } },
        "venues": [{ "id": VENUE, "name": "Museum De Reede", "organizer": ORGANISER }],
        "cardSystems": [{ "id": 1, "name": "UiTPAS Regio Gent", "membershipPrices": [
            { "label": "Volwassene", "cents": 500 },
            { "label": "Onder 18", "cents": 200, "belowAge": 18 }] }],
        "activities": [{
            "eventId": ACTIVITY, "title": "Festiviteit", "venue": VENUE, "checkinPoints": 1,
            "checkinLimit": daily, "cardSystems": [1], "organizer": ORGANISER,
            "prices": [{ "label": "Basis", "cents": 1001 }],
            "distributionKeys": [{ "cardSystem": 1, "rule": {
                "percentage": { "holder": 20, "city": 40, "organiser": 40 } } }],
            "checkinCodes": [{ "code": "zaal" },
                { "code": "gisteren", "ends": "2020-01-01T00:00:00Z" }],
        }],
        "rewards": [
            reward("plain", json!({})),
            reward("cheap", json!({ "points": 1 })),
            reward("dear", json!({ "points": 1000 })),
            reward("proved", json!({ "points": 20 })),
            reward("once", json!({ "points": 1, "redeemConstraint": daily })),
            reward("none-left", json!({ "points": 1, "maxAvailableUnits": 0 })),
            reward("over", json!({ "redeemPeriod": past })),
            reward("online", json!({ "online": true })),
            reward("elsewhere", json!({ "organizers": ["een-ander"] })),
            reward("other-region", json!({ "applicableCardSystems": [2] })),
            reward("few", json!({ "points": 1, "maxAvailableUnits": 10 })),
        ],
        "passes": passes,
    })
    .to_string()
}

/// What a command of the desk says as JSON, whichever way it ends.
fn said(desk: &Desk, arguments: &[&str]) -> Value {
    let folder = desk.folder.display().to_string();
    let output = output("stempel", &[&["--folder", &folder], arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"))
}

/// The reason that a command gives: in the answer, or as the kind of a problem.
fn reason(desk: &Desk, arguments: &[&str]) -> Option<Reason> {
    let said = said(desk, arguments);
    let text = said["reason"].as_str().or_else(|| said["type"].as_str()?.rsplit('/').next());
    text.map(|text| text.parse().unwrap_or_else(|_| panic!("{arguments:?}: {said}")))
}

/// A chip that somebody put on a tag of their own.
const FORGED: &str = "04784CDAEE3880";

/// The name of a check in which a tag with that chip number shows a pass that nobody signed. The desk
/// checks cards as soon as it has keys.
async fn check_of_a_forgery(desk: &Desk) -> String {
    let request = CardCheckRequest {
        chip_number: FORGED.parse().unwrap(),
        speaks: Some(Speaks::Type2),
        make: false,
        again: false,
    };
    let kind = RECORD_TYPE.as_bytes();
    let record = Record { format: TypeFormat::External, kind, payload: &[0xff] };
    let mut memory = vec![0; 12];
    memory.extend([0xe1, 0x10, 0x12, 0x00]);
    memory.extend(ndef::type_2_pages(&record.message().unwrap()).unwrap());
    memory.resize(144, 0);
    loop {
        let mut view = desk.client.begin_card_check(&request).await.unwrap();
        if view.ask.is_none() {
            continue;
        }
        while let Some(Command::ReadPages { from }) = view.ask {
            let at = usize::from(from) * 4;
            let answer = Some(Answered(memory[at..at + 16].to_vec()));
            let answer = CardAnswer { answer, broken: None };
            view = desk.client.answer_card_check(&view.check, &answer).await.unwrap();
        }
        assert_eq!(view.authenticity, Some(Authenticity::Refuted), "{view:?}");
        return view.check;
    }
}

fn offline(status: &Status) -> bool {
    status.hub != HubLink::Connected
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reason_is_reached_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let passes = [
        uitpas(1, json!({})),
        uitpas(2, json!({ "cardStatus": "BLOCKED" })),
        uitpas(3, json!({ "holderStatus": "BLOCKED" })),
        uitpas(4, json!({ "cardStatus": "LOCAL_STOCK", "memberships": [] })),
        uitpas(5, json!({ "memberships": [] })),
        uitpas(6, json!({ "programme": "UITPAS_GROUP" })),
        uitpas(7, with_right("2020-12-31", None)),
        uitpas(8, with_right("2099-12-31", Some("2099-01-01"))),
        museumpass(1, json!({ "subscriptionEndDate": "2020-12-31" })),
        museumpass(2, json!({ "cardStatus": "BLOCKED" })),
        museumpass(3, json!({ "holderStatus": "BLOCKED" })),
        museumpass(4, json!({ "holderStatus": "UNREGISTERED" })),
        uitpas(9, json!({ "chipNumber": FORGED })),
    ];
    let mut hub = Hub::start(folder.path(), &world(&passes));
    let new_desk = Desk::start_without_activity(folder.path(), &hub, "balie-0").await;
    let desk = Desk::start(folder.path(), &hub, "balie-1").await;
    let mut reached = BTreeSet::new();
    let mut expect = |arguments: &[&str], expected: Reason| {
        assert_eq!(reason(&desk, arguments), Some(expected), "{arguments:?}");
        reached.insert(expected.code());
    };
    let n = pass_number;
    let one = n(1);
    let one = one.as_str();

    expect(&["tap", "0900000095903"], Reason::InvalidUitpasNumber);
    expect(&["tap", &n(2)], Reason::CardBlocked);
    expect(&["tap", &n(3)], Reason::UitpasHolderBlocked);
    expect(&["tap", &n(4)], Reason::InvalidCardStatus);
    expect(&["tap", &n(5)], Reason::PassholderNoActiveCardsystems);
    expect(&["tap", &n(6)], Reason::CheckinNotAllowed);
    expect(&["tap", one, "--code", "nergens"], Reason::CheckinCodeInvalid);
    expect(&["tap", one, "--code", "gisteren"], Reason::CheckinCodeExpired);
    assert_eq!(reason(&desk, &["tap", one, "--code", "zaal"]), None);
    expect(&["tap", one], Reason::MaximumReached);
    expect(&["tap", "0411223344556677889A"], Reason::PassNotFound);
    expect(&["tap", "0411223344556677889B"], Reason::UnknownCardsUsedUp);
    assert_eq!(reason(&desk, &["tap", "museumkaart:12345678"]), None);
    expect(&["tap", "museumkaart:12345678"], Reason::MaximumReached);
    expect(&["tap", "bibkaart:12345678"], Reason::ExternalCardNotAccepted);
    expect(&["tap", &museum_number(1)], Reason::Expired);
    expect(&["tap", &museum_number(2)], Reason::MuseumCardBlocked);
    expect(&["tap", &museum_number(3)], Reason::PassholderBlocked);
    expect(&["tap", &museum_number(4)], Reason::MaximumUnregisteredVisitsReached);
    assert_eq!(reason(&new_desk, &["tap", one]), Some(Reason::NoActivityChosen));

    expect(&["sell", one, "--event", "nergens"], Reason::EventNotFound);
    expect(&["sell", &n(7), "--tariff", "SOCIALTARIFF-1"], Reason::SocialTariffExpired);
    expect(&["sell", &n(8), "--tariff", "SOCIALTARIFF-1"], Reason::SocialTariffSuspended);
    expect(&["sell", one, "--tariff", "SOCIALTARIFF-1"], Reason::SocialTariffNotAvailable);
    expect(&["sell", one, "--tariff", "BON"], Reason::InvalidCoupon);
    expect(&["sell", one, "--tickets", "101"], Reason::InvalidNumberOfTickets);

    expect(&["redeem", one, "nergens"], Reason::RewardNotFound);
    expect(&["redeem", one, "dear"], Reason::RewardPassholderPointsConstraint);
    expect(&["redeem", one, "none-left"], Reason::RewardVolumeConstraint);
    expect(&["redeem", one, "over"], Reason::RewardPeriodConstraint);
    expect(&["redeem", one, "proved"], Reason::CardProofRequired);
    hub.run(&["card-keys", "new"]);
    let forged = check_of_a_forgery(&desk).await;
    expect(&["tap", FORGED, "--check", &forged], Reason::CardNotGenuine);
    expect(&["redeem", FORGED, "cheap", "--check", &forged], Reason::CardNotGenuine);
    let sale =
        SaleRequest { pass: FORGED.to_owned(), check: Some(forged), ..SaleRequest::default() };
    let sold = desk.client.sell(&sale).await.unwrap();
    assert_eq!((sold.answer.reason, sold.sale), (Some(Reason::CardNotGenuine), None));
    // A check that is not known may have been of a forgery.
    let unknown = said(&desk, &["tap", FORGED, "--check", "nonsense"]);
    assert!(unknown["type"].as_str().unwrap().ends_with("/check-not-found"), "{unknown}");
    expect(&["redeem", one, "online"], Reason::RewardOnlineOnly);
    expect(&["redeem", one, "elsewhere"], Reason::RewardOtherOrganizer);
    expect(&["redeem", one, "other-region"], Reason::RewardPassholderNoApplicableCardsystems);
    let redeemed = said(&desk, &["redeem", one, "once"]);
    expect(&["redeem", one, "once"], Reason::RewardPassholderVolumeConstraint);

    let entry = redeemed["entry"].as_str().unwrap();
    let void = said(&desk, &["void", entry]);
    assert_eq!(void["verdict"], "ok", "{void}");
    expect(&["void", entry], Reason::AlreadyTakenBack);
    expect(&["void", void["entry"].as_str().unwrap()], Reason::NothingToTakeBack);

    // Offline: no more than ten points of an account until the hub has seen them.
    let kept = said(&desk, &["redeem", one, "cheap"]);
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    hub.stop();
    desk.wait_for("the end of the link", offline).await;
    let on_an_old_account = said(&desk, &["redeem", one, "plain"]);
    assert_eq!(on_an_old_account["policy"]["rule"], "account-age", "{on_an_old_account}");
    expect(&["redeem", one, "plain"], Reason::OfflinePointsConstraint);
    expect(&["redeem", &n(8), "none-left"], Reason::RewardNoUnitHere);
    hub.go();
    let policy =
        json!({ "policy": { "undoWindowSeconds": 0, "redemptions": [{ "upToHours": 0 }] } });
    hub.import(&policy.to_string());
    desk.wait_for("the new policy", |status| status.undo_window == 0).await;
    hub.stop();
    desk.wait_for("the end of the link", offline).await;
    expect(&["redeem", one, "cheap"], Reason::AccountTooOld);
    expect(&["void", kept["entry"].as_str().unwrap()], Reason::TooLateToTakeBack);

    reached.insert(Reason::NoActivityChosen.code());
    let all: BTreeSet<_> = Reason::ALL.iter().map(Reason::code).collect();
    assert_eq!(reached, all);
}

/// Invariant 11: what is said of two passes that differ only in their tariff is the same, but for the
/// price that somebody asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_costs_what_the_tariff_says_and_nothing_else_tells_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let passes = [uitpas(1, json!({})), uitpas(2, with_right("2099-12-31", None))];
    let hub = Hub::start(folder.path(), &world(&passes));
    let desk = Desk::start(folder.path(), &hub, "balie-1").await;
    let (plain, entitled) = (pass_number(1), pass_number(2));
    let sale = |pass: &str| SaleRequest {
        pass: pass.to_owned(),
        tickets: Some(3),
        ..SaleRequest::default()
    };
    let mut answers = Vec::new();
    for (pass, to_pay) in [(&plain, 3003), (&entitled, 600)] {
        let tapped = desk.client.tap(pass).await.unwrap();
        let sold = desk.client.sell(&sale(pass)).await.unwrap();
        let view = sold.sale.unwrap();
        assert_eq!(view.to_pay_cents.0, to_pay);
        let parts = view.to_pay_cents.0 + view.city_cents.0 + view.organiser_cents.0;
        assert_eq!(parts, 3 * 1001, "the shares add up to the price");
        let told = |answer: &desk_api::types::Answer| {
            let mut told = serde_json::to_value(answer).unwrap();
            for own in ["at", "entry"] {
                told.as_object_mut().unwrap().remove(own);
            }
            for own in ["passId", "tellingDigits"] {
                told["pass"].as_object_mut().unwrap().remove(own);
            }
            told
        };
        answers.push((told(&tapped), told(&sold.answer)));
    }
    assert_eq!(answers[0], answers[1]);
    let refused = SaleRequest { tariff_id: Some("SOCIALTARIFF-1".to_owned()), ..sale(&plain) };
    let rows = desk.client.history().await.unwrap().len();
    assert_eq!(desk.client.sell(&refused).await.unwrap().answer.verdict, VerdictKind::Stop);
    assert_eq!(desk.client.history().await.unwrap().len(), rows, "and no row tells of it");
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    assert_eq!(hub.json(&["show", "totals"])["entries"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_sold_offline_is_registered_when_the_hub_is_back_and_its_tap_counts() {
    let folder = tempfile::tempdir().unwrap();
    let stock = json!({ "cardStatus": "LOCAL_STOCK", "memberships": [], "points": 0 });
    let mut hub = Hub::start(folder.path(), &world(&[uitpas(1, stock), uitpas(2, json!({}))]));
    let mut desk = Desk::start(folder.path(), &hub, "balie-1").await;
    hub.stop();
    desk.wait_for("the end of the link", offline).await;
    let (number, chip) = (pass_number(1), "04FFEEDDCCBBAA");
    let asked = said(
        &desk,
        &[
            "pass",
            "sell",
            "--number",
            &number,
            "--chip",
            chip,
            "--name",
            "Fien Fictief",
            "--born",
            "2015-06-01",
        ],
    );
    assert_eq!((&asked["state"], &asked["toPayCents"]), (&json!("waiting"), &json!(200)));
    let tapped = desk.client.tap(chip).await.unwrap();
    assert!(tapped.provisional, "the hub does not know yet whose chip that is: {tapped:?}");
    let in_use = RequestBody::Register {
        uitpas_number: pass_number(2).parse().unwrap(),
        chip_number: None,
        name: "Fien Fictief".to_owned(),
        date_of_birth: "2015-06-01".parse().unwrap(),
        postal_code: None,
        card_system: None,
        social_tariff_ends: None,
    };
    let refused = desk.client.request(&in_use).await;
    assert!(refused.unwrap_err().to_string().contains("Take another card"));

    // Nothing of the holder is readable on the disk, and a kill loses nothing.
    desk.kill();
    let kept = files(&desk.folder);
    assert!(kept.len() > 5);
    for (path, contents) in &kept {
        let holds = |text: &str| contents.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!holds("Fien") && !holds("2015-06-01"), "{path}");
    }
    desk.go();
    hub.go();
    desk.wait_for("the answer", |status| {
        status.requests_waiting == 0 && status.pending == 0 && !offline(status)
    })
    .await;
    let requests = desk.client.requests().await.unwrap();
    assert_eq!(requests[0].state, RequestState::Done);
    let shown = hub.json(&["show", "pass", &number]);
    assert_eq!((&shown["cardStatus"], &shown["points"]), (&json!("ACTIVE"), &json!(1)));
    desk.client.request(&RequestBody::ReportLost { pass: number.clone() }).await.unwrap();
    let answer = wait_until(&desk, &number, Reason::CardBlocked).await;
    assert_eq!(answer, Some(Reason::CardBlocked));
}

/// Taps until the catalogue's news have reached the desk: each page is an event of the status.
async fn wait_until(desk: &Desk, pass: &str, expected: Reason) -> Option<Reason> {
    let mut events = desk.client.events().await.unwrap();
    loop {
        let reason = desk.client.tap(pass).await.unwrap().reason;
        if reason == Some(expected) {
            return reason;
        }
        events.next().await?.ok()?;
    }
}

/// All files of a folder with their contents.
fn files(folder: &std::path::Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(contents) = std::fs::read(&path) {
            found.insert(path.display().to_string(), contents);
        }
    }
    found
}

/// Invariant 5, with the real processes: two desks, each on its own, never hand out more than there is.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_two_desks_on_their_own_hand_out_no_more_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let passes: Vec<Value> = (0..40).map(|n| uitpas(n, json!({}))).collect();
    let mut hub = Hub::start(folder.path(), &world(&passes));
    let one = Desk::start(folder.path(), &hub, "balie-1").await;
    let two = Desk::start(folder.path(), &hub, "balie-2").await;
    // Seven of ten are granted ahead, three are kept back.
    wait_for_stock(&[&one, &two], 7).await;
    hub.stop();
    one.wait_for("the end of the link", offline).await;
    two.wait_for("the end of the link", offline).await;
    let mut handed_out = 0;
    for n in 0..40 {
        let desk = if n % 2 == 0 { &one } else { &two };
        let answer = desk.client.redeem(&pass_number(n), None, "few").await.unwrap();
        match answer.reason {
            None => handed_out += 1,
            // Nobody has said that none is left, and three are.
            Some(reason) => assert_eq!(reason, Reason::RewardNoUnitHere),
        }
    }
    assert_eq!(handed_out, 7);
    hub.go();
    one.wait_for("pending 0", |status| status.pending == 0 && !offline(status)).await;
    two.wait_for("pending 0", |status| status.pending == 0 && !offline(status)).await;
    // Online, the last ones go to whoever stands at a desk, at the first attempt.
    for n in 0..40 {
        let desk = if n % 3 == 0 { &one } else { &two };
        let mut answer = desk.client.redeem(&pass_number(n), None, "few").await.unwrap();
        // A busy machine may take longer than a visitor waits.
        while answer.reason == Some(Reason::RewardNoUnitHere) {
            answer = desk.client.redeem(&pass_number(n), None, "few").await.unwrap();
        }
        let expected = (handed_out == 10).then_some(Reason::RewardVolumeConstraint);
        assert_eq!(answer.reason, expected, "{handed_out} of ten are handed out");
        handed_out += usize::from(answer.reason.is_none());
    }
    assert_eq!(handed_out, 10);
    one.wait_for("pending 0", |status| status.pending == 0).await;
    two.wait_for("pending 0", |status| status.pending == 0).await;
    let stock = hub.json(&["stock", "list"]);
    let few = stock.as_array().unwrap().iter().find(|it| it["rewardId"] == "few").unwrap();
    assert_eq!((&few["used"], &few["free"], &few["total"]), (&json!(10), &json!(0), &json!(10)));
    assert_eq!((&few["handedOutTwice"], &few["breaches"]), (&json!(0), &json!([])));
}

/// Waits until these desks hold so many units of the limited reward together.
async fn wait_for_stock(desks: &[&Desk], units: u32) {
    let mut events = desks[0].client.events().await.unwrap();
    let mut others = desks[1].client.events().await.unwrap();
    loop {
        let mut held = 0;
        for desk in desks {
            let stock = desk.client.stock().await.unwrap();
            held += stock.iter().find(|it| it.reward_id == "few").map_or(0, |it| it.left);
        }
        if held == units {
            return;
        }
        tokio::select! {
            event = events.next() => drop(event.unwrap().unwrap()),
            event = others.next() => drop(event.unwrap().unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hub_takes_back_is_taken_back_on_the_desks_screen_too() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path(), &world(&[uitpas(1, json!({}))]));
    let desk = Desk::start(folder.path(), &hub, "balie-1").await;
    let answer = desk.client.tap(&pass_number(1)).await.unwrap();
    desk.wait_for("pending 0", |status| status.pending == 0).await;
    let entry = answer.entry.unwrap().to_string();
    hub.run(&["correct", "void", VENUE, &entry]);
    let mut events = desk.client.events().await.unwrap();
    while desk.client.history().await.unwrap()[0].outcome != Outcome::TakenBack {
        events.next().await.unwrap().unwrap();
    }
    while desk.client.pass(&pass_number(1)).await.unwrap().points != 30 {
        events.next().await.unwrap().unwrap();
    }
    assert_eq!(hub.json(&["show", "pass", &pass_number(1)])["points"], 30);
}
