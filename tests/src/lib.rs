//! A small world of real processes for the end-to-end tests: a hub, desks, and what they say.
//!
//! The programs must be built before (`./dev test` does it): they lie beside the tests' folder.

pub mod faked_clock;
pub mod lossy_line;
pub mod older_copy;
pub mod small_disk;
pub mod terminal;
pub mod waiting;

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crdt_model::ids::UitpasNumber;
use desk_api::client::DeskClient;
use desk_api::types::{Event, Status};
use syncd::enrol::enrol;
use tui::processes::Running;

use faked_clock::{FakedClock, with_clock};

/// So long a condition is waited for: far longer than it takes. Only a failure waits so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The venue of all desks.
pub const VENUE: &str = "museum-de-reede";

/// The activity at which one check-in a day counts.
pub const ACTIVITY: &str = "5a0967f9-cc06-4c3c-9206-30481a767434";

/// A program of Stempel: it lies beside this one, or above it where this one is a test.
///
/// # Panics
/// Where the programs were not built.
pub fn program(name: &str) -> PathBuf {
    if Path::new(name).is_absolute() {
        return name.into();
    }
    let this = std::env::current_exe().expect("a program knows where it is");
    let found = this.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    found
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not built: cargo build --workspace --bins"))
}

/// Runs a program to its end.
///
/// # Panics
/// Where it cannot be started.
pub fn output(name: &str, arguments: &[&str]) -> Output {
    Command::new(program(name)).args(arguments).output().expect("the program can be started")
}

/// What a program that must succeed prints.
///
/// # Panics
/// Where it fails.
pub fn succeed(name: &str, arguments: &[&str]) -> String {
    let output = output(name, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number of the n-th pass of [`catalogue`].
///
/// # Panics
/// Where `n` has more than five digits.
pub fn pass_number(n: u32) -> String {
    UitpasNumber::with_check_digit(&format!("0900{n:06}00"))
        .expect("twelve digits have a check digit")
        .to_string()
}

/// A catalogue of fictional passes, each with so many points.
pub fn catalogue(passes: u32, points: u32) -> String {
    let passes: Vec<_> = (0..passes)
        .map(|n| {
            serde_json::json!({
                "programme": "UITPAS", "uitpasNumber": pass_number(n),
                "cardStatus": "ACTIVE", "memberships": [{ "cardSystem": 1 }], "points": points,
            })
        })
        .collect();
    serde_json::json!({
        "venues": [{ "id": VENUE, "name": "Museum De Reede" }],
        "activities": [{
            "eventId": ACTIVITY, "title": "Festiviteit", "venue": VENUE, "checkinPoints": 1,
            "checkinLimit": { "volume": 1, "periodType": "DAY" },
        }],
        "rewards": [{ "id": "5687", "title": "Voordeel", "type": "POINTS", "points": 5 }],
        "passes": passes,
    })
    .to_string()
}

/// A hub in a folder of its own, running or stopped, at an address that stays the same.
#[derive(Debug)]
pub struct Hub {
    folder: PathBuf,
    /// Where it listens.
    pub address: String,
    /// Where its database is, unless that is a file in its folder.
    database: Option<String>,
    clock: Option<FakedClock>,
    running: Option<Running>,
}

/// A schema for one hub on the PostgreSQL that `STEMPEL_TEST_POSTGRES` names, where it names one.
fn database_of(folder: &Path) -> Option<String> {
    let server = std::env::var("STEMPEL_TEST_POSTGRES").ok()?;
    let name: String =
        folder.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = format!("t_{}", name.to_lowercase());
    let create = format!("CREATE SCHEMA IF NOT EXISTS {name}");
    let made = Command::new("psql").args([&server, "--quiet", "--command", &create]).status();
    assert!(made.is_ok_and(|status| status.success()), "psql makes a schema");
    let join = if server.contains('?') { '&' } else { '?' };
    Some(format!("{server}{join}options[search_path]={name}"))
}

impl Hub {
    /// A hub with this catalogue, running.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(world: &Path, catalogue: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        let address = socket.local_addr().expect("it has an address").to_string();
        drop(socket);
        let file = world.join("catalogue.json");
        std::fs::write(&file, catalogue).expect("the world's folder can be written");
        let folder = world.join("hub");
        let database = database_of(&folder);
        let mut hub = Self { folder, address, database, clock: None, running: None };
        hub.run(&["import", "catalogue", &file.display().to_string()]);
        hub.go();
        hub
    }

    /// Another process of this hub, running: in a folder of its own with the same key, on the same database, which must
    /// be a server's.
    ///
    /// # Panics
    /// Where the database is a file, or it does not start.
    #[must_use]
    pub fn another(&self, world: &Path, name: &str) -> Self {
        let database = self.database.clone();
        assert!(database.is_some(), "one file is served by one process");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
        let address = socket.local_addr().expect("it has an address").to_string();
        drop(socket);
        let folder = world.join(name);
        std::fs::create_dir(&folder).expect("the world's folder can be written");
        let key = std::fs::copy(self.folder.join("hub.key"), folder.join("hub.key"));
        key.expect("the hub has a key");
        let mut hub = Self { folder, address, database, clock: None, running: None };
        hub.go();
        hub
    }

    /// The arguments that say which hub it is.
    fn place(&self) -> Vec<&str> {
        let folder = self.folder.to_str().expect("the tests' folders have plain names");
        let mut place = vec!["--folder", folder];
        if let Some(database) = &self.database {
            place.extend(["--database", database]);
        }
        place
    }

    /// Runs one of its commands, which must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let arguments = [&self.place()[..], arguments].concat();
        let (program, arguments) = with_clock("stempel-hub", &arguments, self.clock.as_ref());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        succeed(&program.display().to_string(), &arguments)
    }

    /// Starts it.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn go(&mut self) {
        let arguments = [&self.place()[..], &["serve", "--listen", &self.address]].concat();
        let log = self.folder.with_extension("log");
        let (program, arguments) = with_clock("stempel-hub", &arguments, self.clock.as_ref());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let running = Running::start(&program, &arguments, "listening on ", &log);
        self.running = Some(running.expect("the hub starts"));
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its database is, unless that is a file in its folder.
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The id of its process.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn process(&self) -> u32 {
        self.running.as_ref().expect("the hub runs").id()
    }

    /// Sets its clock so many milliseconds ahead of this computer's: at once where it was started with a
    /// clock of its own, else from its next start on.
    pub fn set_clock(&mut self, ahead: i64) {
        self.clock = Some(FakedClock::ahead(&self.folder, ahead));
    }

    /// Stops it.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Kills it, with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Imports another catalogue.
    ///
    /// # Panics
    /// Where that fails.
    pub fn import(&self, catalogue: &str) {
        let file = self.folder.with_extension("more.json");
        std::fs::write(&file, catalogue).expect("the world's folder can be written");
        self.run(&["import", "catalogue", &file.display().to_string()]);
    }

    /// An invitation for a desk of this name.
    pub fn invite(&self, name: &str) -> String {
        self.invite_to(name, &[&self.address])
    }

    /// An invitation for a desk of this name, which tries these addresses in their order.
    pub fn invite_to(&self, name: &str, addresses: &[&str]) -> String {
        let mut arguments = vec!["device", "invite", "--venue", VENUE, "--name", name, "--plain"];
        for address in addresses {
            arguments.extend(["--address", address]);
        }
        self.run(&arguments).trim().to_owned()
    }

    /// What a command prints as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let said = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&said).expect("--json prints JSON")
    }
}

/// A desk in a folder of its own, running or stopped.
#[derive(Debug)]
pub struct Desk {
    /// Its folder.
    pub folder: PathBuf,
    /// Its API.
    pub client: DeskClient,
    /// Its computer's folder of marks: that of all desks of the same world, unless a test says otherwise.
    pub marks: PathBuf,
    clock: Option<FakedClock>,
    running: Option<Running>,
}

impl Desk {
    /// A desk, enrolled at this hub, running, with its activity chosen.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn start(world: &Path, hub: &Hub, name: &str) -> Self {
        let desk = Self::start_without_activity(world, hub, name).await;
        desk.client.choose_activity(ACTIVITY).await.expect("the activity is there");
        desk
    }

    /// A desk, enrolled at this hub, running, at which no activity is chosen.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn start_without_activity(world: &Path, hub: &Hub, name: &str) -> Self {
        Self::invited(world, &hub.invite(name), name).await
    }

    /// A desk, enrolled with this invitation, running, at which no activity is chosen.
    ///
    /// # Panics
    /// Where any of that fails.
    pub async fn invited(world: &Path, invitation: &str, name: &str) -> Self {
        let folder = world.join(name);
        enrol(&folder, invitation).await.expect("the invitation is taken");
        let client = DeskClient::new(folder.join("desk.sock"));
        let marks = folder.with_file_name("marks");
        let mut desk = Self { folder, client, marks, clock: None, running: None };
        desk.go();
        desk.wait_for("the pass list", |status| status.catalogue_at.is_some()).await;
        desk
    }

    /// A desk of a folder that is there already, running.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn of_folder(folder: PathBuf) -> Self {
        let marks = folder.with_file_name("marks");
        Self::of_folder_with_marks(folder, marks)
    }

    /// The same on the computer that has these marks, running.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn of_folder_with_marks(folder: PathBuf, marks: PathBuf) -> Self {
        let client = DeskClient::new(folder.join("desk.sock"));
        let mut desk = Self { folder, client, marks, clock: None, running: None };
        desk.go();
        desk
    }

    /// Starts its daemon.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn go(&mut self) {
        let folder = self.folder.display().to_string();
        let log = self.folder.with_extension("log");
        let marks = self.marks.display().to_string();
        let arguments = ["--folder", &folder, "--marks", &marks];
        let (program, arguments) = with_clock("stempel-syncd", &arguments, self.clock.as_ref());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let started = Running::start(&program, &arguments, "ready on ", &log);
        self.running = Some(started.expect("the daemon starts"));
    }

    /// Sets its clock so many milliseconds ahead of this computer's: at once where its daemon was started
    /// with a clock of its own, else from its next start on.
    pub fn set_clock(&mut self, ahead: i64) {
        self.clock = Some(FakedClock::ahead(&self.folder, ahead));
    }

    /// Starts its daemon under this clock.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn go_by(&mut self, clock: &FakedClock) {
        self.clock = Some(clock.clone());
        self.go();
    }

    /// The memory that its daemon has resident, in MiB.
    ///
    /// # Panics
    /// Where it does not run, or this is no Linux.
    pub fn resident_mib(&self) -> f64 {
        let id = self.running.as_ref().expect("the daemon runs").id();
        let status =
            std::fs::read_to_string(format!("/proc/{id}/status")).expect("it has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kib.expect("a status tells the memory") / 1024.0
    }

    /// Kills its daemon, with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Stops its daemon.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Waits until its status is as wanted.
    ///
    /// # Panics
    /// Where that does not come.
    pub async fn wait_for(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let waited = tokio::time::timeout(PATIENCE, async {
            let mut events = self.client.events().await.expect("the daemon answers");
            loop {
                match events.next().await.expect("the events go on").expect("an event is one") {
                    Event::Status(status) if wanted(&status) => return *status,
                    _ => {}
                }
            }
        });
        match waited.await {
            Ok(status) => status,
            Err(_) => panic!("{what} did not come: {:?}", self.client.status().await),
        }
    }
}
