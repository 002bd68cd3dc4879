//! `stempel demo`: a hub, a daemon and a reader that plays a script, with a sample world of 2,000
//! fictional passes around the public test dataset, in a folder that is gone afterwards.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

use desk_api::client::{ClientError, DeskClient};
use desk_api::place::socket_in;
use desk_api::types::{Answer, Event, HubLink, Status};
use hardware::scripted::{ScriptError, ScriptedReader};
use thiserror::Error;

use crate::console;
use crate::enrol::{EnrolError, enrol};
use crate::feedback;
use crate::i18n::{Language, Texts};
use crate::plain;
use crate::processes::{ProcessError, Running, beside, run as run_program};
use crate::readers::{ReaderChoice, Readers};
use crate::terminal::Ended;
use service::say;

/// An activity of the sample catalogue that is always open.
const ACTIVITY: &str = "5a0967f9-cc06-4c3c-9206-30481a767434";

/// The venue of the sample catalogue.
const VENUE: &str = "museum-de-reede";

/// So long the demonstration waits for desk and hub to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the demonstration's reader does, over and over. All cards are of the public test dataset
/// or made up.
const SCRIPT: &str = "\
wait 1500
tap 04784CDAEE3880   # a UiTPAS
wait 700
remove
wait 2500
tap 04A1B2C3D4E5F0   # a museumPASS
wait 700
remove
wait 2500
tap 04784CDAEE3880   # the first again
wait 700
remove
wait 2500
tap 04B00412F15284   # blocked
wait 700
remove
wait 2500
tap 0411223344556677889A # unknown
wait 700
remove
wait 2500
tap 04363CDAEE3880
wait 700
remove
wait 2500
tap 04A1B2C3D4E5F1   # expired
wait 700
remove
wait 2500
again
";

/// A museumPASS of the sample catalogue. The console's demonstration taps one with a picture instead.
const MUSEUMPASS: &str = "04A1B2C3D4E5F0";

/// What is tapped without a console.
const TAPPED: [&str; 7] = [
    "04784CDAEE3880",
    "04363CDAEE3880",
    "04784CDAEE3880",
    "04B00412F15284",
    "04A1B2C3D4E5F0",
    "0411223344556677889A",
    "1000000520006",
];

/// Whose points are compared at the end.
const COMPARED: [&str; 4] = ["0900000095902", "0900000067513", "1000000520006", "MPM000112233"];

/// Why the demonstration failed.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The temporary folder cannot be made.
    #[error("no temporary folder can be made: {0}")]
    Folder(std::io::Error),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The desk could not be enrolled.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The daemon says no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The terminal says no.
    #[error("the terminal: {0}")]
    Terminal(std::io::Error),
    /// The script is wrong.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// Desk and hub did not come to agree.
    #[error("{0}")]
    Disagreement(String),
}

/// A small world: a hub and one enrolled desk.
struct World {
    folder: tempfile::TempDir,
    hub_program: PathBuf,
    hub: Option<Running>,
    address: String,
    _desk: Running,
    client: DeskClient,
    /// The chip of a museumPASS whose holder has a picture.
    portrait: Option<String>,
}

/// Runs the demonstration.
///
/// # Errors
/// [`DemoError`].
pub async fn run(headless: bool, language: Language) -> Result<Ended, DemoError> {
    let mut world = World::begin().await?;
    if headless {
        without_console(&mut world, language).await?;
        return Ok(Ended::Quit);
    }
    let script = match &world.portrait {
        Some(chip) => SCRIPT.replace(MUSEUMPASS, chip),
        None => SCRIPT.to_owned(),
    };
    let reader = Readers::one(ReaderChoice::Script(ScriptedReader::parse(&script)?));
    let scanner = crate::scan::Settings::default();
    let client = world.client.clone();
    let feedback = feedback::Settings::default();
    console::run(client, reader, scanner, feedback, language).await.map_err(DemoError::Terminal)
}

impl World {
    async fn begin() -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("stempel-demo-")
            .tempdir()
            .map_err(DemoError::Folder)?;
        let hub_program = beside("stempel-hub");
        let hub_folder = text(&folder.path().join("hub"));
        let catalogue = folder.path().join("catalogue.json");
        let in_hub = |arguments: &[&str]| {
            run_program(&hub_program, &[&["--folder", &hub_folder], arguments].concat())
        };
        let sample = in_hub(&["sample-data"])?;
        std::fs::write(&catalogue, &sample).map_err(DemoError::Folder)?;
        let portrait = with_picture(&sample);
        in_hub(&["import", "catalogue", &text(&catalogue)])?;
        let address = free_address().map_err(DemoError::Folder)?;
        let hub = start_hub(&hub_program, folder.path(), &address)?;
        let invitation = in_hub(&[
            "device",
            "invite",
            "--venue",
            VENUE,
            "--name",
            "Balie 1",
            "--address",
            &address,
            "--plain",
        ])?;
        let desk_folder = folder.path().join("desk");
        enrol(&desk_folder, invitation.trim())?;
        let desk = Running::start(
            &beside("stempel-syncd"),
            &["--folder", &text(&desk_folder), "--marks", &text(&folder.path().join("marks"))],
            "ready on ",
            &folder.path().join("desk.log"),
        )?;
        let client = DeskClient::new(socket_in(&desk_folder));
        let hub = Some(hub);
        let world = Self { folder, hub_program, hub, address, _desk: desk, client, portrait };
        world.wait_for("the pass list", |status| status.catalogue_at.is_some()).await?;
        world.client.choose_activity(ACTIVITY).await?;
        Ok(world)
    }

    /// Waits until the desk's status is as wanted.
    async fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&Status) -> bool,
    ) -> Result<(), DemoError> {
        let mut events = self.client.events().await?;
        let waited = tokio::time::timeout(PATIENCE, async {
            while let Some(event) = events.next().await {
                if let Event::Status(status) = event?
                    && wanted(&status)
                {
                    return Ok(true);
                }
            }
            Ok::<_, ClientError>(false)
        });
        match waited.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(false)) | Err(_) => Err(DemoError::Disagreement(format!("{what} did not come"))),
        }
    }

    /// The points that the hub has for a pass.
    fn points_at_hub(&self, pass: &str) -> Result<u64, DemoError> {
        let hub_folder = text(&self.folder.path().join("hub"));
        let shown = run_program(
            &self.hub_program,
            &["--folder", &hub_folder, "show", "pass", pass, "--json"],
        )?;
        let json: serde_json::Value = serde_json::from_str(&shown)
            .map_err(|error| DemoError::Disagreement(error.to_string()))?;
        json.get("points").and_then(serde_json::Value::as_u64).ok_or_else(|| {
            DemoError::Disagreement("the hub does not say how many points a pass has".to_owned())
        })
    }
}

/// The chip of a valid museumPASS in the sample whose holder has a picture.
fn with_picture(sample: &str) -> Option<String> {
    let sample: serde_json::Value = serde_json::from_str(sample).ok()?;
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    let valid = |pass: &&serde_json::Value| {
        pass["programme"] == "MUSEUMPASS"
            && pass["cardStatus"] == "ACTIVE"
            && matches!(pass["holderStatus"].as_str(), None | Some("REGISTERED"))
            && pass["holder"]["picture"].is_string()
            && pass["subscriptionEndDate"].as_str().is_some_and(|last| last > &today[..])
            && pass["chipNumber"].is_string()
    };
    let found = sample["passes"].as_array()?.iter().find(valid)?;
    found["chipNumber"].as_str().map(ToOwned::to_owned)
}

fn start_hub(program: &Path, folder: &Path, address: &str) -> Result<Running, ProcessError> {
    let hub_folder = text(&folder.join("hub"));
    let arguments = ["--folder", &hub_folder, "serve", "--listen", address];
    Running::start(program, &arguments, "listening on ", &folder.join("hub.log"))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// An address of this machine that nobody listens on.
fn free_address() -> std::io::Result<String> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

async fn without_console(world: &mut World, language: Language) -> Result<(), DemoError> {
    let texts = Texts::new(language);
    say!("the hub is stopped: the desk is on its own");
    world.hub = None;
    world.wait_for("the end of the link", |status| status.hub != HubLink::Connected).await?;
    for card in TAPPED {
        say("tap", &world.client.tap(card).await?, &texts);
    }
    let rewards = world.client.rewards(COMPARED[0], None).await?;
    if let Some(reward) = rewards.iter().find(|reward| reward.redeemable && reward.points > 0) {
        let answer = world.client.redeem(COMPARED[0], None, &reward.reward_id).await?;
        say("redeem", &answer, &texts);
    }
    say("tap", &world.client.tap("04CEE7528E6180").await?, &texts);
    say("void", &world.client.void(None).await?, &texts);
    say!("{}", plain::status_line(&world.client.status().await?, &texts));
    say!("the hub is started again");
    world.hub = Some(start_hub(&world.hub_program, world.folder.path(), &world.address)?);
    world.wait_for("the hub's acknowledgement", |status| status.pending == 0).await?;
    let mut differ = Vec::new();
    for pass in COMPARED {
        let desk = world.client.pass(pass).await?.points;
        let hub = world.points_at_hub(pass)?;
        say!("{pass}: desk {desk} points, hub {hub} points");
        if desk != hub {
            differ.push(pass);
        }
    }
    if !differ.is_empty() {
        return Err(DemoError::Disagreement("desk and hub do not have the same points".to_owned()));
    }
    say!("pending {}", world.client.status().await?.pending);
    Ok(())
}

fn say(what: &str, answer: &Answer, texts: &Texts) {
    say!("{what:7} {}", plain::line(answer, texts));
}
