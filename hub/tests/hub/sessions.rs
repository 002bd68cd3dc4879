//! Whole sessions over QUIC, with the desk's own state machine.

use crdt_model::catalogue::CardStatus;
use hub::db::{Db, sql};
use sync_protocol::frame::{FrameReader, frame};
use sync_protocol::invitation::key_fingerprint;
use sync_protocol::message::{
    DeskMessage, Enrol, GoodbyeKind, Hello, HubMessage, PROTOCOL_VERSION,
};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::desk::{
    Address, Ending, TestDesk, check_in, count, execute, hub_folder, hub_with_passes, points,
    put_pass, put_passes, venue,
};

pub struct RunningHub {
    pub address: Address,
    pub db: Db,
    pub folder: TempDir,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Result<(), hub::db::HubError>>,
}

impl RunningHub {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = hub_with_passes(folder.path()).await;
        let (ready, listening) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let root = folder.path().to_owned();
        let task = tokio::spawn(async move {
            let folder = hub_folder(&root).await;
            let stopped = async move { drop(stopped.await) };
            let ready = |address| _ = ready.send(address);
            hub::endpoint::serve(&folder, "[::1]:0".parse().unwrap(), ready, stopped).await
        });
        let (_, public_key) = hub_folder(folder.path()).await.key().unwrap();
        let address = Address { at: listening.await.unwrap(), key: key_fingerprint(&public_key) };
        Self { address, db, folder, stop, task }
    }
}

/// Says one thing to the hub and gives its answer.
pub async fn ask(hub: &RunningHub, desk: &TestDesk, message: DeskMessage) -> HubMessage {
    let (_endpoint, connection) = desk.connect(hub.address).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&frame(&message.to_bytes())).await.unwrap();
    let mut reader = FrameReader::default();
    loop {
        let chunk = receive.read_chunk(usize::MAX, true).await.unwrap().expect("an answer");
        reader.push(&chunk.bytes);
        if let Some(contents) = reader.next_frame().unwrap() {
            return HubMessage::from_bytes(contents).unwrap();
        }
    }
}

pub fn hello(protocol: u16) -> DeskMessage {
    DeskMessage::Hello(Hello {
        protocol,
        software: "test".to_owned(),
        clock: 0,
        catalogue_version: 0,
        venue_version: 0,
        acknowledged: 0,
        pending: Vec::new(),
        holders_version: None,
        run: None,
        seen: None,
        enrolled: None,
    })
}

/// Says hello in this run of a daemon, and gives whether the hub says that the desk is used twice.
async fn used_twice(hub: &RunningHub, desk: &TestDesk, run: u32) -> bool {
    say_hello(hub, desk, run, 0, |_| {}).await
}

/// The same of a desk of which the hub has said that it holds so many entries, with what else the hub says before.
async fn say_hello(
    hub: &RunningHub,
    desk: &TestDesk,
    run: u32,
    acknowledged: u64,
    mut said: impl FnMut(HubMessage),
) -> bool {
    let DeskMessage::Hello(hello) = hello(PROTOCOL_VERSION) else { panic!("a hello") };
    let hello = DeskMessage::Hello(Hello { run: Some(run), acknowledged, ..hello });
    let (_endpoint, connection) = desk.connect(hub.address).await;
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&frame(&hello.to_bytes())).await.unwrap();
    let mut reader = FrameReader::default();
    loop {
        while let Some(contents) = reader.next_frame().unwrap() {
            match HubMessage::from_bytes(contents).unwrap() {
                HubMessage::UsedTwice(used_twice) => return used_twice,
                other => said(other),
            }
        }
        let chunk = receive.read_chunk(usize::MAX, true).await.unwrap().expect("an answer");
        reader.push(&chunk.bytes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_is_welcomed_and_hears_of_the_hub_while_another_process_writes() {
    let hub = RunningHub::start().await;
    let desk = TestDesk::enrolled(&hub.db, "Balie").await;
    // On PostgreSQL it is the desk's own row that the other one holds.
    let mut other = hub.db.write().await.unwrap();
    other.all(sql("SELECT id FROM device").locking()).await.unwrap();
    let mut other = Some(other);
    let mut said = Vec::new();
    say_hello(&hub, &desk, 1, 0, |message| {
        if matches!(message, HubMessage::Beat(_)) {
            // It is dropped in a task of its own, and with that given up.
            other.take();
        }
        said.push(message);
    })
    .await;
    assert!(matches!(said[..], [HubMessage::Welcome(_), HubMessage::Beat(_)]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_claims_to_have_sent_what_the_hub_never_held_is_noted_once_and_without_its_number()
 {
    let hub = RunningHub::start().await;
    let desk = TestDesk::enrolled(&hub.db, "Balie").await;
    let noted = async || {
        let devices = hub::registry::devices(&hub.db).await.unwrap();
        (devices[0].sent_again_at, devices[0].sent_again)
    };
    say_hello(&hub, &desk, 1, u64::MAX, |_| {}).await;
    let first = noted().await;
    assert!(first.0.is_some());
    assert_eq!(first.1, 0, "the hub holds none of its entries");
    say_hello(&hub, &desk, 1, u64::MAX, |_| {}).await;
    assert_eq!(noted().await, first);
}

/// Two copies of a desk that are never linked at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_comes_back_after_another_one_shows_that_a_desk_was_copied() {
    let hub = RunningHub::start().await;
    let desk = TestDesk::enrolled(&hub.db, "Balie").await;
    for run in [1, 1, 2, 2, 3] {
        assert!(!used_twice(&hub, &desk, run).await, "started anew, or linked anew");
    }
    assert!(used_twice(&hub, &desk, 2).await);
    assert!(used_twice(&hub, &desk, 3).await, "and its copy is told");
    let devices = hub::registry::devices(&hub.db).await.unwrap();
    assert!(devices[0].used_twice_since.is_some());
    // A day later nothing has shown it again.
    execute(&hub.db, sql("UPDATE device SET used_twice_at = used_twice_at - 86400001")).await;
    assert!(!used_twice(&hub, &desk, 3).await, "it is over");
    assert_eq!(hub::registry::devices(&hub.db).await.unwrap()[0].used_twice_since, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_acknowledged_and_the_catalogue_arrives() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    for number in 0..10_000u64 {
        desk.append(check_in(number % 10 + 1, i64::try_from(number / 60).unwrap()));
    }
    let writer = desk.writer;
    let ending = desk
        .talk(hub.address, |desk| {
            desk.acknowledged.get(&writer) == Some(&10_000) && desk.catalogue_version >= 11
        })
        .await;
    assert!(matches!(ending, Ending::Done));
    assert_eq!(count(&hub.db, "entry").await, 10_000);
    assert_eq!(points(&hub.db, 3).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_desk_records_the_other_is_sent() {
    let hub = RunningHub::start().await;
    let mut one = TestDesk::enrolled(&hub.db, "Balie").await;
    let mut other = TestDesk::enrolled(&hub.db, "Kiosk").await;
    for pass in 1..=5 {
        one.append(check_in(pass, 0));
    }
    let writer = one.writer;
    let waiting = {
        let address = hub.address;
        tokio::spawn(async move {
            other.talk(address, |desk| desk.ledger.position(&writer).sequence == 5).await;
            other
        })
    };
    one.talk(hub.address, |desk| desk.acknowledged.get(&writer) == Some(&5)).await;
    let other = waiting.await.unwrap();
    assert_eq!(other.ledger.position(&writer), one.ledger.position(&writer));
    assert!(other.heard.iter().all(|heard| !heard.contains("refused")), "{:?}", other.heard);
    // What it wrote itself a desk is not sent again.
    assert!(one.heard.iter().all(|heard| !heard.contains("shared")), "{:?}", one.heard);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_comes_late_gets_the_whole_log_in_batches_that_it_can_judge() {
    let hub = RunningHub::start().await;
    let mut desks =
        [TestDesk::enrolled(&hub.db, "Balie").await, TestDesk::enrolled(&hub.db, "Kiosk").await];
    for number in 0..300 {
        for desk in &mut desks {
            desk.append(check_in(number % 10 + 1, i64::try_from(number).unwrap()));
            let last = desk.ledger.position(&desk.writer).sequence;
            hub::ledgers::take(&hub.db, &venue(), desk.key.device(), &desk.batch(last, last))
                .await
                .unwrap();
        }
    }
    let writers = desks.each_ref().map(|desk| desk.writer);
    let mut late = TestDesk::enrolled(&hub.db, "Ingang").await;
    late.talk(hub.address, |desk| {
        writers.iter().all(|writer| desk.ledger.position(writer).sequence == 300)
    })
    .await;
    assert!(late.heard.iter().all(|heard| !heard.contains("refused")), "{:?}", late.heard);
    let shares = late.heard.iter().filter(|heard| heard.starts_with("shared")).count();
    assert!(shares < 600, "rows of one list are put together, {shares} shares");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_restored_from_a_backup_gets_everything_again() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    for pass in 1..=5 {
        desk.append(check_in(pass, 0));
    }
    let writer = desk.writer;
    desk.talk(hub.address, |desk| desk.acknowledged.get(&writer) == Some(&5)).await;
    for delete in ["DELETE FROM entry", "DELETE FROM list", "DELETE FROM accepted"] {
        execute(&hub.db, sql(delete)).await;
    }
    desk.heard.clear();
    desk.talk(hub.address, |desk| desk.acknowledged.get(&writer) == Some(&5)).await;
    assert!(desk.heard.contains(&"welcome, lost true".to_owned()), "{:?}", desk.heard);
    assert_eq!(count(&hub.db, "entry").await, 5);
}

/// Says that the hub has said welcome, the first time.
fn say_once(welcome: &mut Option<oneshot::Sender<()>>) {
    if let Some(welcome) = welcome.take() {
        welcome.send(()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_is_revoked_while_it_is_connected_and_stays_out() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    let device = desk.key.device();
    let db = hub.db.clone();
    let (welcome, welcomed) = oneshot::channel();
    let revoking = tokio::spawn(async move {
        welcomed.await.unwrap();
        hub::registry::revoke(&db, device).await.unwrap();
    });
    let mut welcome = Some(welcome);
    for _ in 0..2 {
        let never = |_: &TestDesk| {
            say_once(&mut welcome);
            false
        };
        match desk.talk(hub.address, never).await {
            Ending::Goodbye(goodbye) => assert_eq!(goodbye.kind, GoodbyeKind::NotEnrolled),
            Ending::Done => unreachable!("it waits for ever"),
        }
    }
    revoking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_other_versions_are_told_why() {
    let hub = RunningHub::start().await;
    let stranger = TestDesk::new();
    let enrolled = TestDesk::enrolled(&hub.db, "Balie").await;
    for (desk, message, expected) in [
        (&stranger, hello(PROTOCOL_VERSION), GoodbyeKind::NotEnrolled),
        (&enrolled, hello(PROTOCOL_VERSION + 1), GoodbyeKind::Version),
        (&enrolled, DeskMessage::Have(0, 0), GoodbyeKind::Malformed),
    ] {
        match ask(&hub, desk, message.clone()).await {
            HubMessage::Goodbye(goodbye) => assert_eq!(goodbye.kind, expected, "{message:?}"),
            other => panic!("{message:?} was answered with {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_works_once_and_the_hub_says_what_is_wrong_with_another() {
    let hub = RunningHub::start().await;
    let (_, hub_key) = hub_folder(hub.folder.path()).await.key().unwrap();
    let invitation =
        hub::registry::invite(&hub.db, &venue(), "Balie", Vec::new(), &hub_key).await.unwrap();
    let enrol = |token: &[u8]| {
        DeskMessage::Enrol(Enrol { token: token.to_vec(), protocol: PROTOCOL_VERSION })
    };
    let (one, other) = (TestDesk::new(), TestDesk::new());
    match ask(&hub, &one, enrol(&invitation.token)).await {
        HubMessage::Enrolled(enrolled) => {
            assert_eq!((enrolled.venue, enrolled.desk_name.as_str()), (venue(), "Balie"));
        }
        unexpected => panic!("{unexpected:?}"),
    }
    let mut sentences = Vec::new();
    for token in [invitation.token, [9; 16]] {
        match ask(&hub, &other, enrol(&token)).await {
            HubMessage::Goodbye(goodbye) => {
                assert_eq!(goodbye.kind, GoodbyeKind::Invitation);
                sentences.push(goodbye.sentence);
            }
            unexpected => panic!("{unexpected:?}"),
        }
    }
    let late =
        hub::registry::invite(&hub.db, &venue(), "Laat", Vec::new(), &hub_key).await.unwrap();
    execute(&hub.db, sql("UPDATE invitation SET expires_at = 1 WHERE name = 'Laat'")).await;
    match ask(&hub, &other, enrol(&late.token)).await {
        HubMessage::Goodbye(goodbye) => sentences.push(goodbye.sentence),
        unexpected => panic!("{unexpected:?}"),
    }
    for (sentence, word) in sentences.iter().zip(["used", "no such", "too old"]) {
        assert!(sentence.contains(word), "{sentence}");
    }
}

/// The answer to an enrolment may be lost on its way. The same desk with the same invitation is
/// given it again; nobody else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_desk_whose_answer_was_lost_may_show_its_invitation_again() {
    let hub = RunningHub::start().await;
    let invitation =
        hub::registry::invite(&hub.db, &venue(), "Balie", Vec::new(), &[0; 32]).await.unwrap();
    let desk = TestDesk::new();
    for _ in 0..2 {
        let enrol = Enrol { token: invitation.token.to_vec(), protocol: PROTOCOL_VERSION };
        let answer = ask(&hub, &desk, DeskMessage::Enrol(enrol)).await;
        assert!(matches!(answer, HubMessage::Enrolled(_)), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_changes_reaches_connected_desks() {
    let hub = RunningHub::start().await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    desk.talk(hub.address, |desk| desk.catalogue_version >= 11).await;
    let db = hub.db.clone();
    let (welcome, welcomed) = oneshot::channel();
    let changing = tokio::spawn(async move {
        welcomed.await.unwrap();
        put_pass(&db, 77, CardStatus::Blocked).await;
    });
    let mut welcome = Some(welcome);
    let has_it = |desk: &TestDesk| {
        say_once(&mut welcome);
        desk.catalogue_version >= 12
    };
    let ending = desk.talk(hub.address, has_it).await;
    assert!(matches!(ending, Ending::Done));
    changing.await.unwrap();
}

/// A large catalogue on its way to the desk must not hold up what the desk has to tell.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_acknowledged_while_a_large_catalogue_is_on_its_way() {
    let hub = RunningHub::start().await;
    put_passes(&hub.db, 1001..=61_000, CardStatus::Active).await;
    let mut desk = TestDesk::enrolled(&hub.db, "Balie").await;
    for number in 0..20_000u64 {
        desk.append(check_in(number % 10 + 1, i64::try_from(number / 60).unwrap()));
    }
    let writer = desk.writer;
    let ending =
        desk.talk(hub.address, |desk| desk.acknowledged.get(&writer) == Some(&20_000)).await;
    assert!(matches!(ending, Ending::Done));
    println!("acknowledged behind {} of some 62 pages", desk.pages);
    assert!(desk.pages < 40, "{} pages came first", desk.pages);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_hub_on_the_same_folder_is_refused_and_a_stopped_one_frees_it() {
    let hub = RunningHub::start().await;
    let folder = hub_folder(hub.folder.path()).await;
    let second = hub::endpoint::serve(&folder, "[::1]:0".parse().unwrap(), |_| {}, async {}).await;
    // On PostgreSQL any number may.
    let refused = matches!(second, Err(hub::db::HubError::AlreadyServing { .. }));
    assert_eq!(refused, !hub.db.is_postgres(), "{second:?}");
    hub.stop.send(()).unwrap();
    hub.task.await.unwrap().unwrap();
    hub::endpoint::serve(&folder, "[::1]:0".parse().unwrap(), |_| {}, async {}).await.unwrap();
}

/// A desk that lost a part of its ledgers waits until it has come to the version of the welcome: so that is its own
/// venue's, and not that of whoever wrote last anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn the_welcome_tells_how_far_the_log_of_the_desks_own_venue_goes() {
    let hub = RunningHub::start().await;
    let mut one = TestDesk::enrolled(&hub.db, "Balie 1").await;
    one.append(check_in(1, 0));
    // A Welcome, too, says how far the list is held: up to 0.
    let writer = one.writer;
    one.talk(hub.address, |desk| desk.acknowledged.get(&writer) == Some(&1)).await;
    let insert = "INSERT INTO accepted (version, venue, day, writer, first, last, signature)
         VALUES (900, 'another-venue', 1, $1, 1, 1, $1)";
    execute(&hub.db, sql(insert).bind([0u8])).await;
    let mut two = TestDesk::enrolled(&hub.db, "Balie 2").await;
    two.talk(hub.address, |desk| desk.venue_version > 0).await;
    assert_eq!(two.welcomed_at, Some(two.venue_version));
}
