//! Enrolling: a new desk shows its invitation to the hub that the invitation names, and to no other.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lines::connect::{ConnectError, connect};
use lines::peer_key;
use sync_protocol::frame::{FrameReader, frame};
use sync_protocol::invitation::{Invitation, InvitationError};
use sync_protocol::message::{DeskMessage, Enrol, HubMessage, PROTOCOL_VERSION};
use sync_protocol::notice::SignedNotice;
use thiserror::Error;

use crate::enrolment::{Enrolment, IdentityError, key};
use crate::notice_file::NoticeFile;
use crate::paths::DeskFolder;

/// So long an answer to an enrolment is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a desk could not be enrolled. Nothing was changed, except where it says so.
#[derive(Debug, Error)]
pub enum EnrolError {
    /// The text is not an invitation.
    #[error("{0}. Copy it again from the operator's message, or scan its QR code")]
    Invitation(#[from] InvitationError),
    /// The desk belongs to a venue already.
    #[error(
        "this folder is already enrolled for {venue}. To enrol it anew, move {folder} away first: its ledgers may hold entries that the hub does not have yet"
    )]
    AlreadyEnrolled {
        /// Which venue.
        venue: String,
        /// Which folder.
        folder: String,
    },
    /// The hub cannot be reached, or is another one.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The hub says no.
    #[error("the hub did not take the invitation: {sentence}")]
    Refused {
        /// The hub's sentence.
        sentence: String,
    },
    /// The line broke before the answer came. The invitation may have been used up.
    #[error(
        "the hub did not answer: {why}. Try again; if the hub then says that the invitation was used, ask for a new one"
    )]
    NoAnswer {
        /// What happened.
        why: String,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Enrols the desk whose folder this is, with an invitation's text.
///
/// # Errors
/// [`EnrolError`].
pub async fn enrol(folder: &Path, invitation: &str) -> Result<Enrolment, EnrolError> {
    let folder = DeskFolder::new(folder);
    let invitation: Invitation = invitation.parse()?;
    match Enrolment::read(&folder) {
        Ok(enrolment) => {
            return Err(EnrolError::AlreadyEnrolled {
                venue: enrolment.venue_name,
                folder: folder.root().display().to_string(),
            });
        }
        // A damaged one is what a new invitation is for.
        Err(IdentityError::NotEnrolled | IdentityError::Damaged { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    folder
        .create()
        .map_err(|error| IdentityError::Disk { path: folder.root().to_owned(), error })?;
    let (_, der) = match key(&folder) {
        // So is a damaged key: it is left beside, for whoever wants to save it.
        Err(IdentityError::Damaged { path, .. }) => {
            fs::rename(&path, path.with_extension("damaged"))
                .map_err(|error| IdentityError::Disk { path, error })?;
            key(&folder)?
        }
        found => found?,
    };
    let (_endpoint, connection, pinned) =
        connect(&der, invitation.hub_key, &invitation.addresses).await?;
    debug_assert!(!pinned.other_key.load(Ordering::Relaxed), "a connection has the pinned key");
    let message =
        DeskMessage::Enrol(Enrol { token: invitation.token.to_vec(), protocol: PROTOCOL_VERSION });
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask(&connection, &message))
        .await
        .map_err(|_| EnrolError::NoAnswer { why: "it took too long".to_owned() })?
        .map_err(|error| EnrolError::NoAnswer { why: error.to_string() })?;
    connection.close(0u32.into(), b"");
    match answer {
        HubMessage::Enrolled(enrolled) => {
            let enrolment = Enrolment {
                venue: enrolled.venue,
                venue_name: enrolled.venue_name,
                desk_name: enrolled.desk_name,
                time_zone: enrolled.time_zone,
                hub_addresses: invitation.addresses,
                hub_key: invitation.hub_key,
                lookup_key: enrolled.lookup_key,
                request_key: enrolled.request_key,
            };
            keep_notice(&folder, &connection, enrolled.notice)?;
            enrolment.write(&folder)?;
            Ok(enrolment)
        }
        HubMessage::Goodbye(goodbye) => Err(EnrolError::Refused { sentence: goodbye.sentence }),
        _ => Err(EnrolError::NoAnswer { why: "it said something else".to_owned() }),
    }
}

/// Keeps what the hub signed of the enrolment.
fn keep_notice(
    folder: &DeskFolder,
    connection: &quinn::Connection,
    notice: Option<SignedNotice>,
) -> Result<(), IdentityError> {
    let hub = peer_key(connection).unwrap_or_default();
    let kept = NoticeFile::open(&folder.notices()).keep(notice.into_iter().collect(), &hub, None);
    kept.map_err(|error| IdentityError::Disk { path: folder.notices(), error })
}

async fn ask(connection: &quinn::Connection, message: &DeskMessage) -> anyhow::Result<HubMessage> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&frame(&message.to_bytes())).await?;
    let (mut reader, mut buffer) = (FrameReader::default(), [0; 4096]);
    loop {
        let Some(count) = receive.read(&mut buffer).await? else {
            anyhow::bail!("the line was closed");
        };
        reader.push(&buffer[..count]);
        if let Some(contents) = reader.next_frame()? {
            return Ok(HubMessage::from_bytes(contents)?);
        }
    }
}
