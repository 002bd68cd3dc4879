//! Who may come in at a restored hub: whoever was let in, and nobody who was shut out.

use crdt_model::decide::Reason;
use desk_api::types::HubLink;
use stempel_tests::older_copy::{OlderCopy, Part};
use stempel_tests::{Desk, Hub, catalogue, pass_number};
use syncd::enrol::{EnrolError, enrol};

use super::{
    LAST, LOST, POINTS, answered, block, device, device_of, enrolled, entries, import_new, linked,
    record, refusal,
};

/// Restores a hub and starts it. Where its database alone was restored, no desk is there to tell it anything; where
/// the whole machine was, this one is, and has told it.
async fn restore_beside(hub: &mut Hub, older: &OlderCopy, part: Part, desk: &mut Desk) {
    hub.restore(older);
    match part {
        Part::Database => {
            desk.stop();
            hub.go();
        }
        Part::Machine => {
            // More changes than it has lost, so that the desk hears of the last one in any case.
            import_new(hub, LAST - 1);
            import_new(hub, LAST);
            hub.go();
            desk.learns(LAST).await;
        }
    }
}

/// Invariant 7, too.
async fn a_revoked_desk_stays_out(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let mut other = Desk::start(world.path(), &hub, "balie-1").await;
    let mut stolen = Desk::start(world.path(), &hub, "balie-2").await;
    let older = hub.older_copy(part);
    hub.run(&["device", "revoke", &device_of(&stolen).await]);
    stolen.wait_for("the end of its link", |status| !linked(status)).await;
    stolen.stop();
    import_new(&hub, LOST);
    other.learns(LOST).await;

    restore_beside(&mut hub, &older, part, &mut other).await;
    stolen.go();
    stolen.client.tap(&pass_number(3)).await.unwrap();
    let link = answered(&stolen).await;
    assert!(matches!(link, HubLink::Refused { .. }), "{link:?}");
    let at_hub = device(&hub, "balie-2").unwrap();
    assert_eq!(at_hub["revoked"], true, "{at_hub}");
    assert_eq!(entries(&hub), 0, "it adds nothing");
    assert!(stolen.client.pass(&pass_number(LAST)).await.is_err(), "and receives nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_desk_that_was_revoked_stays_out_of_a_hub_with_a_restored_database() {
    a_revoked_desk_stays_out(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_desk_that_was_revoked_stays_out_of_a_hub_on_a_restored_machine() {
    a_revoked_desk_stays_out(Part::Machine).await;
}

/// One invitation is used before the hub is restored, another is not.
async fn a_used_invitation_is_not_valid_again(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let mut other = Desk::start(world.path(), &hub, "balie-1").await;
    let (used, unused) = (hub.invite("balie-2"), hub.invite("balie-3"));
    let older = hub.older_copy(part);
    enrol(&world.path().join("balie-2"), &used).await.unwrap();
    import_new(&hub, LOST);
    other.learns(LOST).await;

    restore_beside(&mut hub, &older, part, &mut other).await;
    let again = enrol(&world.path().join("found-it"), &used).await;
    assert!(matches!(again, Err(EnrolError::Refused { .. })), "{again:?}");
    let first = enrol(&world.path().join("balie-3"), &unused).await;
    assert!(first.is_ok(), "nobody has used this one: {first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_used_invitation_is_not_valid_again_at_a_hub_with_a_restored_database() {
    a_used_invitation_is_not_valid_again(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_used_invitation_is_not_valid_again_at_a_hub_on_a_restored_machine() {
    a_used_invitation_is_not_valid_again(Part::Machine).await;
}

/// The copy does not know the desk at all.
async fn a_desk_enrolled_since_goes_on(part: Part) {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let older = hub.older_copy(part);
    let desk = Desk::start(world.path(), &hub, "balie-1").await;
    record(&desk, 3..5).await;

    hub.restore(&older);
    desk.wait_for("the end of the link", |status| !linked(status)).await;
    block(&hub, 1);
    import_new(&hub, LAST);
    hub.go();
    assert_eq!(answered(&desk).await, HubLink::Connected);
    desk.learns(LAST).await;
    assert_eq!(refusal(&desk, 1).await, Some(Reason::CardBlocked));
    record(&desk, [5]).await;
    assert_eq!(entries(&hub), 3, "what it had recorded, and what it records");
    let at_hub = device(&hub, "balie-1").unwrap();
    assert_eq!(at_hub["revoked"], false, "{at_hub}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_desk_enrolled_since_goes_on_at_a_hub_with_a_restored_database() {
    a_desk_enrolled_since_goes_on(Part::Database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_desk_enrolled_since_goes_on_at_a_hub_on_a_restored_machine() {
    a_desk_enrolled_since_goes_on(Part::Machine).await;
}

/// A desk that was enrolled since and then revoked: nobody that the copy knows, and no reason to let it in.
#[tokio::test(flavor = "multi_thread")]
async fn invariant_12_a_desk_enrolled_and_revoked_since_stays_out_of_a_restored_hub() {
    let world = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(world.path(), &catalogue(10, POINTS));
    let older = hub.older_copy(Part::Database);
    let folder = enrolled(world.path(), &hub, "balie-2").await;
    let mut stolen = Desk::of_folder(folder);
    stolen.wait_for("the pass list", |status| status.catalogue_at.is_some()).await;
    hub.run(&["device", "revoke", &device_of(&stolen).await]);
    stolen.wait_for("the end of its link", |status| !linked(status)).await;
    stolen.stop();

    hub.restore(&older);
    hub.go();
    stolen.go();
    let link = answered(&stolen).await;
    assert!(matches!(link, HubLink::Refused { .. }), "{link:?}");
}
