//! What the hub's machine asks, in which order, and what it says: with a driver that writes everything down.

use crdt_model::catalogue::{Activity, Item, ItemName};
use crdt_model::ids::{ActivityId, PassId, RewardId};
use crdt_model::stock::{GrantId, GrantedUnits, Units};
use sync_protocol::catalogue;
use sync_protocol::desk::DeskView;
use sync_protocol::feed::{Found, Need, News, Note, Numbered, Standing, Taken, Tops};
use sync_protocol::frame::frame;
use sync_protocol::heartbeat::{BEAT_EVERY, DESK_SILENCE, Ticks};
use sync_protocol::hub::{End, FIRST_WORD, HubSession, NOTED_EACH, Step};
use sync_protocol::message::{
    CataloguePage, DeskBeat, DeskMessage, Goodbye, GoodbyeKind, Hello, HubMessage,
    PROTOCOL_VERSION, Wanted, Welcome,
};
use sync_protocol::version::{GoOn, Restored, Seen, Version};

use crate::desk::{Desk, venue};
use crate::driver::{CLOCK, Heard, known, plain, run, runs, session};
use crate::sessions::{batch_of, desk_with};

fn up(message: &DeskMessage) -> Vec<u8> {
    frame(&message.to_bytes())
}

/// A desk that was told everything up to this number of run 1.
fn seen(number: u64) -> Seen {
    let list = vec![Version { run: 1, number }];
    Seen {
        catalogue: list.clone(),
        venue: list.clone(),
        holders: list.clone(),
        notices: list.clone(),
        any: list,
    }
}

fn hello(seen: Option<Seen>) -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        software: "test".to_owned(),
        clock: 0,
        catalogue_version: 0,
        venue_version: 0,
        acknowledged: 0,
        pending: Vec::new(),
        holders_version: Some(0),
        run: Some(7),
        seen,
        enrolled: None,
    }
}

fn tops(number: u64) -> Tops {
    Tops { catalogue: number, venue: number, holders: number, notices: number }
}

fn activity(id: u32) -> Item {
    let event = format!("event-{id}");
    Item::Activity(Activity::new(ActivityId(id), &event, "Story hour", venue()))
}

/// The answers of a hub that has come to number 5,000, everywhere.
fn full(need: &Need) -> Found {
    match need {
        Need::Desk(_) => Found::Desk(Box::new(known(tops(5_000)))),
        Need::Runs(_) => Found::Runs(runs(5_000)),
        Need::Log { .. } => Found::Log { rows: Vec::new(), reached: 5_000 },
        Need::Notices { .. } => Found::Notices { notices: Vec::new(), to: 5_000 },
        Need::Page { .. } => Found::Page {
            items: vec![Numbered { number: 5_000, item: activity(1) }],
            to: 5_000,
            last: true,
        },
        Need::DenyList { behind: 0, .. } => {
            Found::DenyList(vec![Numbered { number: 4_000, item: activity(9) }])
        }
        Need::Holders { .. } => Found::Holders { parts: Vec::new(), to: 5_000 },
        other => plain(other),
    }
}

/// A session that was opened by this hello, with what was asked and said until it waits.
fn opened(hello: Hello, answer: impl FnMut(&Need) -> Found) -> (HubSession, Heard) {
    let mut session = session();
    session.receive(&up(&DeskMessage::Hello(hello)));
    let heard = run(&mut session, answer);
    (session, heard)
}

fn kinds(needs: &[Need]) -> Vec<&'static str> {
    let kind = |need: &Need| match need {
        Need::Desk(_) => "desk",
        Need::Runs(_) => "runs",
        Need::Enrol(_) => "enrol",
        Need::Held(_) => "held",
        Need::Take(_) => "take",
        Need::Request(_) => "request",
        Need::Wanted(_) => "wanted",
        Need::Closing(_) => "closing",
        Need::Stated(_) => "stated",
        Need::KeepNotices(_) => "keep notices",
        Need::KeepSealingKey(_) => "keep sealing key",
        Need::Log { .. } => "log",
        Need::Grants => "grants",
        Need::CardKeys { .. } => "card keys",
        Need::Notices { .. } => "notices",
        Need::DenyList { .. } => "deny list",
        Need::Page { .. } => "page",
        Need::Items { .. } => "items",
        Need::SealedParts { .. } => "sealed parts",
        Need::Holders { .. } => "holders",
        Need::Note(_) => "note",
    };
    needs.iter().map(kind).collect()
}

#[test]
fn a_desk_is_told_ledgers_first_and_sealed_parts_behind_everything_else() {
    let (_, heard) = opened(hello(Some(seen(0))), full);
    assert_eq!(
        kinds(&heard.needs),
        ["desk", "runs", "note", "log", "grants", "notices", "deny list", "page", "holders"]
    );
}

#[test]
fn a_session_without_news_asks_nothing_and_with_news_only_what_moved() {
    let (mut session, heard) = opened(hello(Some(seen(5_000))), full);
    assert_eq!(kinds(&heard.needs), ["desk", "runs", "note", "grants"]);
    let beat = DeskMessage::Beat(DeskBeat { number: 1, clock: 0 });
    for _ in 0..100 {
        session.receive(&up(&beat));
        assert_eq!(kinds(&run(&mut session, full).needs), [""; 0], "a beat is answered by itself");
    }
    for (news, asks) in [
        (News::Venue(5_000), None),
        (News::Catalogue { number: 4_999, urgent: false }, None),
        (News::Run(Version { run: 2, number: 5_000 }), None),
        (News::UsedTwice(true), None),
        (News::Venue(5_001), Some("log")),
        (News::Catalogue { number: 5_001, urgent: false }, Some("page")),
        (News::Holders(5_001), Some("holders")),
        (News::Notices(5_001), Some("notices")),
        (News::Grants, Some("grants")),
        (News::CardKeys, Some("card keys")),
    ] {
        session.news(news.clone());
        let asked = kinds(&run(&mut session, plain).needs);
        assert_eq!(asked, asks.into_iter().collect::<Vec<_>>(), "{news:?}");
        assert_eq!(kinds(&run(&mut session, plain).needs), [""; 0], "once is enough: {news:?}");
    }
}

#[test]
fn what_moved_while_it_was_looked_up_is_asked_for_again() {
    let (mut session, _) = opened(hello(Some(seen(5_000))), full);
    session.news(News::Venue(5_001));
    assert!(matches!(session.step(), Step::Need(Need::Log { from: 5_000, .. })));
    session.news(News::Venue(5_002));
    session.found(Found::Log { rows: Vec::new(), reached: 5_001 });
    let heard = run(&mut session, |need| match need {
        Need::Log { from: 5_001, .. } => Found::Log { rows: Vec::new(), reached: 5_002 },
        other => panic!("{other:?}"),
    });
    assert_eq!(heard.said, [HubMessage::Advance(5_001), HubMessage::Advance(5_002)]);
    // Found nothing, though it moved: what moved meanwhile is not forgotten.
    session.news(News::Venue(5_003));
    assert!(matches!(session.step(), Step::Need(Need::Log { from: 5_002, .. })));
    session.news(News::Venue(5_004));
    session.found(Found::Log { rows: Vec::new(), reached: 5_002 });
    assert!(matches!(session.step(), Step::Need(Need::Log { from: 5_002, .. })));
}

/// A large catalogue on its way does not hold up the acknowledgements.
#[test]
fn what_a_desk_says_is_taken_before_it_is_told_more() {
    let mut session = session();
    session.receive(&up(&DeskMessage::Hello(hello(Some(seen(0))))));
    let mut order = Vec::new();
    loop {
        match session.step() {
            Step::Need(need) => {
                order.extend(kinds(std::slice::from_ref(&need)));
                if matches!(need, Need::Page { from: 0, .. }) {
                    session.receive(&up(&DeskMessage::Batch(batch_of(&mut desk_with(0..3)))));
                }
                session.found(match need {
                    Need::Page { from, .. } => Found::Page {
                        items: vec![Numbered { number: from + 1_000, item: activity(1) }],
                        to: from + 1_000,
                        last: from == 4_000,
                    },
                    need => full(&need),
                });
            }
            Step::Send(_) => {}
            Step::Wait { .. } => break,
            Step::End(end) => panic!("{end}"),
        }
    }
    let first = order.iter().position(|it| *it == "page").unwrap();
    assert_eq!(&order[first..first + 3], ["page", "take", "page"]);
}

#[test]
fn a_pass_that_must_be_refused_overtakes_a_catalogue_that_is_under_way() {
    let mut session = session();
    session.receive(&up(&DeskMessage::Hello(hello(Some(seen(0))))));
    let mut order = Vec::new();
    let mut blocked = false;
    loop {
        match session.step() {
            Step::Need(need) => {
                order.push(need.clone());
                session.found(match need {
                    Need::Page { from, .. } => Found::Page {
                        items: vec![Numbered { number: from + 1_000, item: activity(1) }],
                        to: from + 1_000,
                        last: false,
                    },
                    Need::DenyList { behind: 4_000, .. } => {
                        Found::DenyList(vec![Numbered { number: 5_001, item: activity(3) }])
                    }
                    need => full(&need),
                });
                if !blocked && matches!(order.last(), Some(Need::Page { .. })) {
                    blocked = true;
                    session.news(News::Catalogue { number: 5_001, urgent: true });
                }
            }
            Step::Send(_) => {}
            Step::Wait { .. } => break,
            Step::End(end) => panic!("{end}"),
        }
        if order.len() > 9 {
            break;
        }
    }
    let first = order.iter().position(|it| matches!(it, Need::Page { .. })).unwrap();
    assert!(matches!(order[first + 1], Need::DenyList { behind: 4_000, .. }), "{order:?}");
}

/// The page of the deny list says up to which number it holds something, and moves nothing.
#[test]
fn a_page_of_the_deny_list_is_stamped() {
    let (_, heard) = opened(hello(Some(seen(0))), full);
    let pages = heard.said.iter().filter_map(|said| match said {
        HubMessage::Page(page) => Some((page.from, page.to, page.stamp, page.last)),
        _ => None,
    });
    assert_eq!(pages.collect::<Vec<_>>(), [(0, 0, Some(4_000), false), (0, 5_000, None, true)]);
}

fn granted(units: u32) -> Found {
    let units = Units { first: 1, count: units };
    let grants = vec![GrantedUnits { grant: GrantId(1), reward: RewardId(2), units }];
    Found::Granted { grants, none_left: None, number: Some(5_000) }
}

/// The desk was told up to 5,500 of a copy of the database that ended at 5,000.
#[test]
fn a_restored_hub_holds_back_what_the_desk_must_name_or_state_first() {
    let answer = |need: &Need| match need {
        Need::Grants => granted(3),
        Need::Items { names, up_to: 5_000 } => {
            let standing = |name: &ItemName| match name {
                ItemName::Activity(ActivityId(1)) => Standing::Is(activity(1)),
                ItemName::Activity(ActivityId(2)) => Standing::Later,
                _ => Standing::Gone,
            };
            Found::Items(names.iter().map(standing).collect())
        }
        Need::SealedParts { passes, up_to: 5_000, .. } => {
            assert_eq!(passes[..], [PassId(4)]);
            Found::SealedParts(vec![Standing::Gone])
        }
        need => full(need),
    };
    let (mut session, heard) = opened(hello(Some(seen(5_500))), answer);
    assert_eq!(kinds(&heard.needs), ["desk", "runs", "note", "note"]);
    assert!(matches!(&heard.needs[2], Need::Note(Note::Restored { lost: Some(_) })));
    let HubMessage::Welcome(welcome) = &heard.said[0] else { panic!("{:?}", heard.said) };
    let Welcome { run: told, go_on, restored, .. } = welcome.clone();
    assert_eq!(told, Some(Version { run: 1, number: 0 }));
    let all = GoOn { catalogue: 5_000, venue: 5_000, holders: 5_000, notices: 5_000 };
    assert_eq!((go_on, restored), (Some(all), Some(Restored { common: 5_000 })));

    // What moves is told, but for the catalogue, the sealed parts, and what the desk may hand out.
    for news in [
        News::Venue(5_001),
        News::Catalogue { number: 5_001, urgent: true },
        News::Holders(5_001),
        News::Grants,
    ] {
        session.news(news);
    }
    let at_5001 = |need: &Need| match need {
        Need::Log { .. } => Found::Log { rows: Vec::new(), reached: 5_001 },
        Need::Page { from: 5_000, .. } => Found::Page {
            items: vec![Numbered { number: 5_001, item: activity(2) }],
            to: 5_001,
            last: true,
        },
        Need::Holders { .. } => Found::Holders { parts: Vec::new(), to: 5_001 },
        need => answer(need),
    };
    assert_eq!(kinds(&run(&mut session, at_5001).needs), ["log"]);
    session.receive(&up(&DeskMessage::Stated(Desk::new(0).key().sign_stated(&[]))));
    assert_eq!(kinds(&run(&mut session, at_5001).needs), ["stated", "grants"]);

    let names = [1, 2, 3].map(|id| ItemName::Activity(ActivityId(id)));
    session.receive(&up(&DeskMessage::Again(names.to_vec(), false)));
    let heard = run(&mut session, at_5001);
    assert_eq!(kinds(&heard.needs), ["items"]);
    let gone = Item::Gone(ItemName::Activity(ActivityId(3)));
    let items = catalogue::pack(&[activity(1), gone]);
    let page = |items: Vec<u8>, again_done| CataloguePage {
        from: 5_000,
        to: 5_000,
        last: false,
        items,
        stamp: Some(5_000),
        again_done,
    };
    assert_eq!(heard.said, [HubMessage::Page(page(items, false))]);

    session.receive(&up(&DeskMessage::Again(vec![ItemName::Pass(PassId(4))], true)));
    let heard = run(&mut session, at_5001);
    assert_eq!(kinds(&heard.needs), ["items", "sealed parts", "page", "holders"]);
    let gone = catalogue::pack(&[Item::Gone(ItemName::Pass(PassId(4)))]);
    assert_eq!(heard.said[0], HubMessage::Page(page(gone, false)));
    let HubMessage::Holders(parts) = &heard.said[1] else { panic!("{:?}", heard.said) };
    assert_eq!((parts.to, parts.stamp, parts.holders.len()), (5_000, Some(5_000), 1));
    assert_eq!(parts.holders[0].sealed, None);
    assert_eq!(heard.said[2], HubMessage::Page(page(catalogue::pack(&[]), true)));
    let HubMessage::Page(next) = &heard.said[3] else { panic!("{:?}", heard.said) };
    assert_eq!((next.from, next.to), (5_000, 5_001));
}

#[test]
fn a_desk_that_tells_no_pairs_is_told_nothing_of_runs_and_goes_on_by_its_versions() {
    let versions = |version| Hello {
        catalogue_version: version,
        venue_version: version,
        holders_version: Some(version),
        ..hello(None)
    };
    let (mut session, heard) = opened(versions(5_000), full);
    assert_eq!(kinds(&heard.needs), ["desk", "note", "grants"]);
    session.news(News::Run(Version { run: 2, number: 5_000 }));
    session.news(News::Notices(6_000));
    let heard = run(&mut session, full);
    assert!(heard.said.is_empty() && heard.needs.is_empty(), "{heard:?}");
    // One that is ahead begins again.
    let (_, heard) = opened(versions(5_001), full);
    assert!(kinds(&heard.needs).contains(&"page"));
    assert!(heard.said.iter().all(|said| !matches!(said, HubMessage::Notices(..))));
    let HubMessage::Welcome(welcome) = &heard.said[0] else { panic!("{:?}", heard.said) };
    assert_eq!((welcome.run, welcome.go_on, welcome.restored), (None, None, None));
}

#[test]
fn a_hub_that_holds_fewer_entries_than_it_acknowledged_tells_the_venue_from_the_beginning() {
    let more = Hello { acknowledged: 1_000_001, ..hello(Some(seen(5_000))) };
    let (_, heard) = opened(more, full);
    let HubMessage::Welcome(welcome) = &heard.said[0] else { panic!("{:?}", heard.said) };
    assert!(welcome.lost && welcome.restored.is_none());
    assert!(heard.needs.iter().any(|need| matches!(need, Need::Log { from: 0, .. })));
    assert!(
        heard.needs.iter().any(|need| matches!(need, Need::Note(Note::Came { lost: true, .. })))
    );
}

/// What a hub numbers in a new run is only told behind that run: else the desk would note it with the old one.
#[test]
fn a_run_that_is_opened_is_said_before_what_it_numbers() {
    let mut session = session();
    session.receive(&up(&DeskMessage::Hello(hello(Some(seen(5_000))))));
    let run_2 = Version { run: 2, number: 5_000 };
    // While the desk is looked up, too.
    assert!(matches!(session.step(), Step::Need(Need::Desk(_))));
    session.news(News::Run(run_2));
    session.found(full(&Need::Desk(Box::new(hello(None)))));
    let heard = run(&mut session, full);
    let said: Vec<_> = heard.said.iter().map(std::mem::discriminant).collect();
    assert_eq!(said[1], std::mem::discriminant(&HubMessage::Run(run_2)));
    session.news(News::Run(run_2));
    let run_3 = Version { run: 3, number: 5_001 };
    session.news(News::Run(run_3));
    session.news(News::Venue(5_002));
    let heard = run(&mut session, |_| Found::Log { rows: Vec::new(), reached: 5_002 });
    assert_eq!(heard.said, [HubMessage::Run(run_3), HubMessage::Advance(5_002)]);
}

#[test]
fn invariant_7_a_revoked_desk_is_told_nothing_more() {
    let is_goodbye = |said: &HubMessage| {
        matches!(said, HubMessage::Goodbye(Goodbye { kind: GoodbyeKind::NotEnrolled, .. }))
    };
    let (_, heard) = opened(hello(Some(seen(0))), |need| match need {
        Need::Desk(_) => Found::NotEnrolled,
        other => panic!("{other:?}"),
    });
    assert!(is_goodbye(&heard.said[0]) && heard.said.len() == 1);
    // While it was looked up what the desk lacks, and by itself.
    let (_, heard) = opened(hello(Some(seen(0))), |need| match need {
        Need::Page { .. } => Found::NotEnrolled,
        other => full(other),
    });
    assert!(is_goodbye(heard.said.last().unwrap()), "{:?}", heard.said);
    let (mut session, _) = opened(hello(Some(seen(0))), full);
    session.news(News::Revoked);
    session.news(News::Venue(6_000));
    session.receive(&up(&DeskMessage::Batch(batch_of(&mut desk_with(0..3)))));
    let heard = run(&mut session, full);
    assert!(heard.needs.is_empty() && is_goodbye(&heard.said[0]) && heard.said.len() == 1);
    assert!(matches!(heard.end, Some(End::Goodbye(_))));
}

#[test]
fn a_hub_that_cannot_store_says_so_and_one_that_stops_hangs_up() {
    let (mut session, _) = opened(hello(Some(seen(0))), full);
    session.news(News::CannotStore("the disk is full".to_owned()));
    let heard = run(&mut session, full);
    let Some(HubMessage::Goodbye(goodbye)) = heard.said.last() else { panic!("{heard:?}") };
    assert_eq!(goodbye.kind, GoodbyeKind::CannotStore);
    let (mut session, _) = opened(hello(Some(seen(0))), full);
    session.news(News::Stopping);
    assert_eq!(run(&mut session, full).end, Some(End::Stopping));
}

#[test]
fn whoever_says_nothing_and_a_desk_that_falls_silent_are_given_up() {
    let mut silent = session();
    assert_eq!(silent.step(), Step::Wait { until: Some(Ticks(FIRST_WORD)) });
    silent.tick(Ticks(FIRST_WORD - 1), CLOCK);
    assert!(matches!(silent.step(), Step::Wait { .. }));
    silent.tick(Ticks(FIRST_WORD), CLOCK);
    assert_eq!(silent.step(), Step::End(End::NoHello));

    // A desk that does not beat may say nothing for as long as it likes.
    let (mut session, heard) = opened(hello(Some(seen(0))), full);
    assert_eq!(heard.until, None);
    session.receive(&up(&DeskMessage::Beat(DeskBeat { number: 1, clock: 0 })));
    let heard = run(&mut session, full);
    assert_eq!(heard.until, Some(Ticks(DESK_SILENCE)));
    // The hub takes long to answer, and the desk waits for it.
    session.receive(&up(&DeskMessage::Wanted(vec![Wanted {
        reward: RewardId(1),
        units: 3,
        now: true,
    }])));
    assert!(matches!(session.step(), Step::Need(Need::Wanted(_))));
    session.tick(Ticks(5 * DESK_SILENCE), CLOCK);
    session.found(granted(3));
    assert_eq!(run(&mut session, full).end, None);
    session.tick(Ticks(6 * DESK_SILENCE), CLOCK);
    assert_eq!(run(&mut session, full).end, Some(End::Silent));
}

#[test]
fn a_hub_that_takes_long_to_answer_shows_that_it_lives() {
    let (mut session, _) = opened(hello(Some(seen(0))), full);
    session.receive(&up(&DeskMessage::Batch(batch_of(&mut desk_with(0..3)))));
    assert!(matches!(session.step(), Step::Need(Need::Take(_))));
    assert_eq!(session.step(), Step::Wait { until: Some(Ticks(BEAT_EVERY)) });
    for n in 1..4 {
        session.tick(Ticks(n * BEAT_EVERY), CLOCK);
        assert!(matches!(session.step(), Step::Send(_)), "beat {n}");
        assert_eq!(session.step(), Step::Wait { until: Some(Ticks((n + 1) * BEAT_EVERY)) });
    }
    session.found(Found::Taken(vec![Taken::Held { sequence: 3, number: Some(5_001) }]));
    let heard = run(&mut session, |_| Found::Log { rows: Vec::new(), reached: 5_001 });
    assert!(matches!(heard.said[..], [HubMessage::Ack(_), HubMessage::Advance(5_001)]));
}

#[test]
fn batches_behind_each_other_are_taken_together_and_each_is_answered() {
    let (mut session, _) = opened(hello(Some(seen(5_000))), full);
    let batch = batch_of(&mut desk_with(0..3));
    let said = [
        DeskMessage::Batch(batch.clone()),
        DeskMessage::Batch(batch.clone()),
        DeskMessage::Wanted(vec![Wanted { reward: RewardId(1), units: 3, now: true }]),
        DeskMessage::Batch(batch.clone()),
    ];
    session.receive(&said.iter().flat_map(up).collect::<Vec<u8>>());
    assert!(!session.has_read_all());
    let heard = run(&mut session, |need| match need {
        Need::Take(batches) => {
            let held = Taken::Held { sequence: 3, number: None };
            Found::Taken(vec![held; batches.len()])
        }
        Need::Wanted(_) => granted(3),
        need => full(need),
    });
    assert!(session.has_read_all());
    let [Need::Take(first), Need::Wanted(_), Need::Take(last)] = &heard.needs[..] else {
        panic!("{:?}", heard.needs)
    };
    assert_eq!((first.len(), last.len()), (2, 1));
    let [HubMessage::Ack(_), HubMessage::Ack(_), HubMessage::Grants(..), HubMessage::Ack(_)] =
        &heard.said[..]
    else {
        panic!("{:?}", heard.said)
    };
}

/// A desk may say as much as fits a line at once that needs nothing: no step is as deep as that is long.
#[test]
fn a_flood_of_words_that_need_nothing_is_read() {
    let (mut session, _) = opened(hello(Some(seen(5_000))), full);
    let flood: Vec<u8> = (0..100_000).flat_map(|n| up(&DeskMessage::Have(n, n))).collect();
    session.receive(&flood);
    assert_eq!(run(&mut session, full).end, None);
    assert!(session.has_read_all());
}

#[test]
fn what_a_desk_has_is_noted_from_time_to_time() {
    let (mut session, _) = opened(hello(Some(seen(5_000))), full);
    let notes = |heard: &Heard| -> Vec<Note> {
        let note = |need: &Need| match need {
            Need::Note(note) => Some(note.clone()),
            _ => None,
        };
        heard.needs.iter().filter_map(note).collect()
    };
    let has = |catalogue, venue| Note::Heard { has: Some((catalogue, venue)), clock_offset: None };
    session.receive(&up(&DeskMessage::Have(1, 2)));
    assert_eq!(notes(&run(&mut session, full)), [has(1, 2)]);
    session.receive(&up(&DeskMessage::Have(3, 4)));
    session.receive(&up(&DeskMessage::Have(5, 6)));
    let heard = run(&mut session, full);
    assert_eq!((notes(&heard), heard.until), (vec![], Some(Ticks(NOTED_EACH))));
    session.tick(Ticks(NOTED_EACH), CLOCK);
    assert_eq!(notes(&run(&mut session, full)), [has(5, 6)]);
    // A clock that moved by more than a second, once.
    session.tick(Ticks(2 * NOTED_EACH), CLOCK);
    for clock in [900, 1_100, 1_200] {
        session.receive(&up(&DeskMessage::Beat(DeskBeat { number: 1, clock })));
    }
    let moved = Note::Heard { has: None, clock_offset: Some(1_200) };
    assert_eq!(notes(&run(&mut session, full)), [moved]);
    // What was not noted yet when the line broke.
    session.receive(&up(&DeskMessage::Have(7, 8)));
    run(&mut session, full);
    assert_eq!(session.last_note(), Some(has(7, 8)));
    assert_eq!(session.last_note(), None);
}

#[test]
fn an_item_that_fits_no_page_is_noted_and_left_out() {
    let huge = Activity {
        title: "x".repeat(catalogue::MAX_PAGE_BYTES),
        ..Activity::new(ActivityId(2), "event-2", "", venue())
    };
    let items = [activity(1), Item::Activity(huge), activity(3)];
    let items: Vec<Numbered> =
        (1..).zip(items).map(|(number, item)| Numbered { number, item }).collect();
    let (_, heard) = opened(hello(Some(seen(0))), |need| match need {
        Need::Desk(_) => Found::Desk(Box::new(known(Tops { catalogue: 3, ..Tops::default() }))),
        Need::Page { from: 0, .. } => Found::Page { items: items.clone(), to: 3, last: true },
        other => plain(other),
    });
    let large = Note::TooLarge(vec![ItemName::Activity(ActivityId(2))]);
    assert!(heard.needs.contains(&Need::Note(large)));
    let Some(HubMessage::Page(page)) = heard.said.last() else { panic!("{:?}", heard.said) };
    assert_eq!(catalogue::unpack(&page.items).unwrap(), [activity(1), activity(3)]);
    assert_eq!((page.to, page.last), (3, true));
}

#[test]
fn a_driver_that_answers_what_was_not_asked_ends_the_session() {
    let mut session = session();
    session.found(Found::Done);
    assert_eq!(session.step(), Step::End(End::NotAsked));
    let (_, heard) = opened(hello(Some(seen(0))), |_| Found::Done);
    assert_eq!(heard.end, Some(End::NotAsked));
}
