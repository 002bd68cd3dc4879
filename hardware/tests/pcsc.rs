//! The PC/SC driver with the real libpcsclite and pcscd, on the virtual reader of vsmartcard-vpcd.
//!
//! Each test has a pcscd of its own that knows nothing of the system's: pcscd is handed its socket as
//! systemd hands it over (its path is compiled in, but a socket that is passed on is taken as it is),
//! and libpcsclite is told the path by `PCSCLITE_CSOCK_NAME`. A process cannot set its own environment
//! safely, so each test runs itself once more as a child that has it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]
#![cfg(feature = "pcsc")]

#[path = "shared/keys.rs"]
mod keys;

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crdt_model::authenticity::Authenticity;
use crdt_model::ids::ChipNumber;
use hardware::authentic::keyring::Keyring;
use hardware::card::{Attendant, CardChannel, Presented};
use hardware::emulator::card::SharedCard;
use hardware::emulator::ntag424::Ntag424;
use hardware::emulator::type2::{Model, Type2};
use hardware::emulator::vpcd::{Answer, Card, VirtualSlot};
use hardware::pcsc::PcscReader;
use hardware::reader::{NoReader, ReaderEvent, ReaderHandle, Signal, Tap, spawn};
use keys::{checking, converse_through, making};

/// Far longer than anything takes: only a failure waits so long.
const LONG: Duration = Duration::from_secs(20);

/// Longer than pcscd takes to see whether there is a card: 0.4 s.
const QUIET: Duration = Duration::from_millis(1_200);

/// Where the child finds its folder.
const FOLDER: &str = "STEMPEL_PCSC_TEST";

const PCSCD: &str = "/usr/sbin/pcscd";
const DRIVER: &str = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so";

/// Passes standard input on as the socket, and has pcscd killed when whoever started it ends.
const START: &str = "exec 3<&0 </dev/null
export LISTEN_FDS=1 LISTEN_PID=$$
exec setpriv --pdeathsig KILL \"$0\" --foreground --config \"$1\"";

/// Runs `test` in a process of its own, with its own pcscd, which is not started yet.
fn alone(test: &str, body: impl FnOnce(&mut Service)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = PathBuf::from(folder);
        File::create(folder.join("begun")).unwrap();
        body(&mut Service { folder, ports: Ports::claim(), daemon: None });
        return;
    }
    for (path, package) in
        [(PCSCD, "pcscd"), (DRIVER, "vsmartcard-vpcd"), ("/usr/bin/setpriv", "util-linux")]
    {
        assert!(
            Path::new(path).exists(),
            "{path} is missing: apt-get install pcscd vsmartcard-vpcd ({package} has it)"
        );
    }
    let folder = tempfile::Builder::new().prefix("pcsc").tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .env("PCSCLITE_CSOCK_NAME", folder.path().join("socket"))
        .output()
        .unwrap();
    let log = fs::read_to_string(folder.path().join("pcscd.log")).unwrap_or_default();
    println!("{}", String::from_utf8_lossy(&child.stdout));
    assert!(
        child.status.success(),
        "{}\npcscd says: {log}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert!(folder.path().join("begun").exists(), "no test is called {test}");
}

/// A pcscd. It is killed when this is dropped.
struct Service {
    folder: PathBuf,
    ports: Ports,
    daemon: Option<Child>,
}

impl Service {
    /// Gives it as many virtual readers as there are names, each with two slots, which answer in the
    /// order of the names.
    fn configure(&self, names: &[&str]) -> Vec<VirtualSlot> {
        let readers = self.folder.join("readers");
        fs::create_dir_all(&readers).unwrap();
        // One file for all: of several, pcscd takes them in whatever order.
        let (mut configuration, mut slots) = (String::new(), Vec::new());
        for (name, port) in names.iter().zip(self.ports.of_readers()) {
            // The driver keeps its slots in static variables: each reader needs one of its own.
            let driver = self.folder.join(format!("{port}.so"));
            fs::copy(DRIVER, &driver).unwrap();
            configuration += &format!(
                "FRIENDLYNAME \"{name}\"\nDEVICENAME /dev/null:{port}\nLIBPATH {}\nCHANNELID {port}\n",
                driver.display()
            );
            slots.extend([VirtualSlot::at(port), VirtualSlot::at(port + 1)]);
        }
        fs::write(readers.join("virtual"), configuration).unwrap();
        slots
    }

    fn start(&mut self) {
        self.stop();
        let readers = self.folder.join("readers");
        fs::create_dir_all(&readers).unwrap();
        let socket = self.folder.join("socket");
        // It is not there the first time.
        let _ = fs::remove_file(&socket);
        // Whoever connects from now on waits for pcscd, which is not there yet.
        let listener = UnixListener::bind(&socket).unwrap();
        let log =
            File::options().create(true).append(true).open(self.folder.join("pcscd.log")).unwrap();
        let daemon = Command::new("sh")
            .args(["-c", START, PCSCD])
            .arg(&readers)
            .stdin(OwnedFd::from(listener))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(daemon);
    }

    fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended by itself.
            let _ = daemon.kill();
            daemon.wait().unwrap();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ports that this process has to itself, below those that the system hands out.
struct Ports {
    first: u16,
    /// What keeps other tests away from them; it goes with the process.
    _claim: UnixListener,
}

impl Ports {
    /// For five readers, of two slots each.
    const COUNT: u16 = 10;

    fn claim() -> Self {
        let claimed = (20_000..32_000).step_by(usize::from(Self::COUNT)).find_map(|first| {
            let name = format!("stempel-vpcd-{first}");
            let claim =
                UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()?;
            let free = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok();
            (first..first + Self::COUNT).all(free).then_some(Self { first, _claim: claim })
        });
        claimed.expect("there are free ports")
    }

    fn of_readers(&self) -> impl Iterator<Item = u16> {
        (self.first..self.first + Self::COUNT).step_by(2)
    }
}

fn listen(name: Option<&str>) -> (ReaderHandle, Receiver<ReaderEvent>) {
    let mut handle = spawn(PcscReader::new(name.map(str::to_owned))).unwrap();
    let events = handle.events().unwrap();
    (handle, events)
}

/// A service with one reader called Desk, its first slot, and the driver that follows both. It leaves
/// real readers alone, should there be any.
fn desk(service: &mut Service) -> (VirtualSlot, ReaderHandle, Receiver<ReaderEvent>) {
    let slot = service.configure(&["Desk"]).swap_remove(0);
    service.start();
    let (handle, events) = listen(Some("desk"));
    assert_eq!(heard(&events), ready("Desk 00 00, Desk 00 01"));
    (slot, handle, events)
}

#[track_caller]
fn heard(events: &Receiver<ReaderEvent>) -> ReaderEvent {
    events.recv_timeout(LONG).unwrap()
}

#[track_caller]
fn nothing_is_heard(events: &Receiver<ReaderEvent>) {
    assert_eq!(events.recv_timeout(QUIET), Err(RecvTimeoutError::Timeout));
}

#[track_caller]
fn lost(event: ReaderEvent) -> NoReader {
    match event {
        ReaderEvent::Lost { why } => why,
        other => panic!("{other:?} instead of Lost"),
    }
}

fn ready(name: &str) -> ReaderEvent {
    ReaderEvent::Ready { name: name.to_owned() }
}

fn chip(text: &str) -> ChipNumber {
    text.parse().unwrap()
}

#[test]
fn a_card_is_tapped_stays_is_removed_and_is_the_same_tap_when_it_comes_back_at_once() {
    alone(
        "a_card_is_tapped_stays_is_removed_and_is_the_same_tap_when_it_comes_back_at_once",
        |service| {
            let (mut slot, _handle, events) = desk(service);
            let uid = chip("04784CDAEE3880");
            slot.insert(uid.bytes()).unwrap();
            assert_eq!(heard(&events), ReaderEvent::tapped(uid));
            // pcscd takes its power off meanwhile: nothing is said of that.
            nothing_is_heard(&events);
            slot.remove();
            assert_eq!(heard(&events), ReaderEvent::Removed(uid));
            slot.insert(uid.bytes()).unwrap();
            nothing_is_heard(&events);
        },
    );
}

#[test]
fn emulated_cards_of_both_kinds_are_tapped() {
    alone("emulated_cards_of_both_kinds_are_tapped", |service| {
        let (mut slot, _handle, events) = desk(service);
        let (tag, chip_card) = (chip("04784CDAEE3880"), chip("04363CDAEE3880"));
        let uid = |chip: ChipNumber| chip.bytes().try_into().unwrap();
        for (uid, card) in [
            (tag, SharedCard::new(Type2::new(Model::Ntag213, uid(tag), 0))),
            (chip_card, SharedCard::new(Ntag424::new(uid(chip_card), 0))),
        ] {
            slot.insert_shared(&card).unwrap();
            assert_eq!(heard(&events), ReaderEvent::tapped(uid));
            slot.remove();
            assert_eq!(heard(&events), ReaderEvent::Removed(uid));
        }
    });
}

/// Checks each card with these keys; what it proved is the name of its check.
struct Checks(Arc<Keyring>);

impl Attendant for Checks {
    fn attend(&self, card: &Presented, channel: &mut dyn CardChannel) -> Option<String> {
        let (found, _) = converse_through(&self.0, card, channel);
        Some(format!("{:?}", found.authenticity()))
    }
}

#[test]
fn cards_of_both_kinds_prove_themselves_and_one_without_a_pass_does_not() {
    alone("cards_of_both_kinds_prove_themselves_and_one_without_a_pass_does_not", |service| {
        let mut slot = service.configure(&["desk"]).remove(0);
        service.start();
        let reader = PcscReader::new(None).attended_by(Arc::new(Checks(checking(&[1]))));
        let mut handle = spawn(reader).unwrap();
        let events = handle.events().unwrap();
        while !matches!(heard(&events), ReaderEvent::Ready { .. }) {}
        let tag = |n| Type2::new(Model::Ntag213, [4, n, 0x4c, 0xda, 0xee, 0x38, 0x80], 0);
        let chip = Ntag424::new([4, 3, 0x4c, 0xda, 0xee, 0x38, 0x80], 0);
        let (signed, keyed) = (SharedCard::new(tag(1)), SharedCard::new(chip));
        for card in [&signed, &keyed] {
            card.lay_down();
            keys::make(&making(&[1]), card).unwrap();
        }
        for (card, proof) in [
            (signed, Authenticity::Signed),
            (keyed, Authenticity::Cryptographic),
            (SharedCard::new(tag(2)), Authenticity::UidOnly),
        ] {
            let uid = card.presented().unwrap().chip;
            slot.insert_shared(&card).unwrap();
            let check = Some(format!("{proof:?}"));
            assert_eq!(heard(&events), ReaderEvent::Tapped(Tap { chip: uid, check }));
            slot.remove();
            assert_eq!(heard(&events), ReaderEvent::Removed(uid));
        }
    });
}

/// The card goes when the reader is told to sound: so it shows that it was.
#[test]
fn an_acr122_is_told_to_light_up_and_to_sound() {
    alone("an_acr122_is_told_to_light_up_and_to_sound", |service| {
        let mut slot = service.configure(&["ACS ACR122U"]).remove(0);
        service.start();
        let mut handle = spawn(PcscReader::new(None)).unwrap();
        let events = handle.events().unwrap();
        while !matches!(heard(&events), ReaderEvent::Ready { .. }) {}
        let uid = chip("04784CDAEE3880");
        let welcome = [0xff, 0x00, 0x40, 0xaa, 0x04, 2, 1, 1, 1];
        slot.insert_card(Card::new(uid.bytes()).and(&welcome, Answer::TakenAway)).unwrap();
        assert_eq!(heard(&events), ReaderEvent::tapped(uid));
        handle.signal(Signal::Refused);
        nothing_is_heard(&events);
        handle.signal(Signal::Welcome);
        assert_eq!(heard(&events), ReaderEvent::Removed(uid));
    });
}

#[test]
fn cards_with_four_seven_and_ten_bytes_follow_each_other_and_random_ones_are_told_apart() {
    alone(
        "cards_with_four_seven_and_ten_bytes_follow_each_other_and_random_ones_are_told_apart",
        |service| {
            let (mut slot, _handle, events) = desk(service);
            for text in ["DEADBEEF", "04363CDAEE3880", "04010203040506070809"] {
                slot.insert(chip(text).bytes()).unwrap();
                assert_eq!(heard(&events), ReaderEvent::tapped(chip(text)));
                slot.remove();
                assert_eq!(heard(&events), ReaderEvent::Removed(chip(text)));
            }
            slot.insert(&[0x08, 0x12, 0x34, 0x56]).unwrap();
            assert_eq!(heard(&events), ReaderEvent::RandomUid);
            slot.remove();
            nothing_is_heard(&events);
        },
    );
}

#[test]
fn a_card_that_cannot_be_read_is_to_be_shown_again_and_the_next_one_is_taken() {
    alone("a_card_that_cannot_be_read_is_to_be_shown_again_and_the_next_one_is_taken", |service| {
        let (mut slot, _handle, events) = desk(service);
        slot.insert_card(Card::new(&[1, 2, 3, 4]).with_atr(&[0xa5; 20])).unwrap();
        assert_eq!(heard(&events), ReaderEvent::ReadError, "an ATR that is none");
        slot.remove();
        let bytes = |bytes: &[u8]| Answer::Bytes(bytes.to_vec());
        for (which, answer) in [
            ("a reader that failed", bytes(&[0x63, 0x00])),
            ("a card without a UID", bytes(&[0x6a, 0x81])),
            ("a single byte", bytes(&[0x90])),
            ("garbage", bytes(&[0xa5; 200])),
            ("more than an answer may have", bytes(&[0xa5; 2_000])),
            ("a UID of a length that there is not", bytes(&[1, 2, 3, 4, 5, 0x90, 0x00])),
            // The last: pcscd does not see that a card went which went while it talked to it, if another
            // comes soon enough. That one is taken for the same, which is read again.
            ("a card taken away in the middle of the exchange", Answer::TakenAway),
        ] {
            slot.insert_card(Card::which_answers(answer)).unwrap();
            println!("{which}");
            assert_eq!(heard(&events), ReaderEvent::ReadError);
            slot.remove();
        }
        let uid = chip("04784CDAEE3880");
        slot.insert(uid.bytes()).unwrap();
        assert_eq!(heard(&events), ReaderEvent::tapped(uid));
    });
}

#[test]
fn of_a_hundred_taps_and_removals_none_is_missed_and_none_doubled() {
    alone("of_a_hundred_taps_and_removals_none_is_missed_and_none_doubled", |service| {
        let mut slots = service.configure(&["A", "B", "C", "D", "E"]);
        assert_eq!(slots.len(), 10);
        service.start();
        let (_handle, events) = listen(None);
        let first = heard(&events);
        assert!(matches!(first, ReaderEvent::Ready { .. }), "{first:?}");
        for round in 0..10 {
            let mut waited: Vec<ChipNumber> = (0..10)
                .map(|slot| ChipNumber::from_bytes(&[4, round, slot, 0, 0, 0, 0]).unwrap())
                .collect();
            let uids = waited.clone();
            for (slot, uid) in slots.iter_mut().zip(&uids) {
                slot.insert(uid.bytes()).unwrap();
            }
            while !waited.is_empty() {
                let uid = match heard(&events) {
                    ReaderEvent::Tapped(tap) => tap.chip,
                    other => panic!("{other:?} instead of a tap"),
                };
                let place = waited.iter().position(|known| *known == uid);
                waited.remove(place.expect("no tap is doubled"));
            }
            slots.iter_mut().for_each(VirtualSlot::remove);
            waited = uids;
            while !waited.is_empty() {
                let uid = match heard(&events) {
                    ReaderEvent::Removed(uid) => uid,
                    other => panic!("{other:?} instead of a removal"),
                };
                let place = waited.iter().position(|known| *known == uid);
                waited.remove(place.expect("no removal is doubled"));
            }
        }
        nothing_is_heard(&events);
    });
}

/// The service is found, and takes this card.
#[track_caller]
fn comes_and_takes(events: &Receiver<ReaderEvent>, slot: &mut VirtualSlot, uid: ChipNumber) {
    assert_eq!(heard(events), ready("Desk 00 00, Desk 00 01"));
    slot.insert(uid.bytes()).unwrap();
    assert_eq!(heard(events), ReaderEvent::tapped(uid));
}

/// The service stopped, and this card lay there.
#[track_caller]
fn takes_the_card_with_it(events: &Receiver<ReaderEvent>, uid: ChipNumber) {
    assert_eq!(heard(events), ReaderEvent::Removed(uid));
    assert_eq!(lost(heard(events)), NoReader::NoService);
}

#[test]
fn a_service_that_stops_is_lost_and_comes_back_by_itself() {
    alone("a_service_that_stops_is_lost_and_comes_back_by_itself", |service| {
        let mut slot = service.configure(&["Desk"]).swap_remove(0);
        let (_handle, events) = listen(Some("desk"));
        assert_eq!(lost(heard(&events)), NoReader::NoService);

        service.start();
        let uid = chip("04784CDAEE3880");
        comes_and_takes(&events, &mut slot, uid);

        service.stop();
        takes_the_card_with_it(&events, uid);
        // It is tried again more than once, and said once.
        nothing_is_heard(&events);

        service.start();
        let uid = chip("04363CDAEE3880");
        comes_and_takes(&events, &mut slot, uid);

        // The service comes back and the reader does not.
        service.stop();
        takes_the_card_with_it(&events, uid);
        fs::remove_dir_all(service.folder.join("readers")).unwrap();
        service.start();
        let why = lost(heard(&events));
        assert!(matches!(why, NoReader::Unplugged { .. }), "{why}");
    });
}

#[test]
fn a_reader_is_chosen_by_a_part_of_its_name() {
    alone("a_reader_is_chosen_by_a_part_of_its_name", |service| {
        let mut slots = service.configure(&["Kiosk", "Desk"]);
        service.start();
        let (handle, events) = listen(Some("lost property"));
        let why = lost(heard(&events)).to_string();
        assert!(why.starts_with("no reader is called lost property"), "{why}");
        assert!(why.contains("Kiosk 00 00, Kiosk 00 01, Desk 00 00, Desk 00 01"), "{why}");
        // libpcsclite does not like two readers in one process.
        drop(handle);

        let (_handle, events) = listen(Some("desk 00 00"));
        assert_eq!(heard(&events), ready("Desk 00 00"));
        slots[0].insert(&[1; 7]).unwrap();
        slots[3].insert(&[2; 7]).unwrap();
        nothing_is_heard(&events);
        slots[2].insert(chip("DEADBEEF").bytes()).unwrap();
        assert_eq!(heard(&events), ReaderEvent::tapped(chip("DEADBEEF")));
    });
}

#[test]
fn a_reader_that_waits_for_a_card_ends_when_nobody_listens_any_more() {
    alone("a_reader_that_waits_for_a_card_ends_when_nobody_listens_any_more", |service| {
        service.configure(&["Desk"]);
        service.start();
        for name in ["desk", "no such reader"] {
            let (handle, events) = listen(Some(name));
            heard(&events);
            drop(handle);
            assert_eq!(events.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
        }
    });
}
