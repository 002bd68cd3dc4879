//! Desks that are enrolled in the middle of a world, over a line as any desk is.

use rand::RngExt;
use sync_protocol::frame::{FrameReader, frame};
use sync_protocol::message::{DeskMessage, Enrol, Enrolled, HubMessage, PROTOCOL_VERSION};
use syncd::enrolment::Enrolment;

use crate::desk::{self, Desk};
use crate::hub::{Turn, hub_public_key, venue};
use crate::template;
use crate::world::World;

/// A key that no desk has.
const STRANGER: u8 = 99;

/// An invitation that was used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invited {
    token: [u8; 16],
}

/// What came of showing an invitation.
enum Shown {
    Enrolled(Box<Enrolled>),
    Refused,
    /// The hub was killed before it answered.
    Nothing,
}

impl World {
    /// Another desk is enrolled. Where the hub dies before it answers, the desk shows its invitation again.
    pub(crate) async fn enrol_another(&mut self) {
        let n = u8::try_from(self.desks.len()).unwrap();
        let name = format!("Balie {n}");
        let invitation =
            hub::registry::invite(&self.hub.db, venue(), &name, Vec::new(), hub_public_key()).await;
        let token = invitation.unwrap().token;
        let mut enrolled = None;
        while enrolled.is_none() {
            let crash = self.random.random_bool(0.3);
            match self.show(token, n, crash).await {
                Shown::Enrolled(it) => enrolled = Some(it),
                Shown::Nothing => {
                    self.count("desks enrolled by a hub that was killed before it said so");
                }
                Shown::Refused => panic!("an invitation that was never used is refused"),
            }
        }
        self.count("desks enrolled");
        let Some(enrolled) = enrolled else { return };
        let enrolment = Enrolment {
            venue: enrolled.venue,
            venue_name: enrolled.venue_name,
            desk_name: enrolled.desk_name,
            time_zone: enrolled.time_zone,
            lookup_key: enrolled.lookup_key,
            request_key: enrolled.request_key,
            ..template::enrolment(&self.hub.db, n).await
        };
        let world = self.hub.surroundings.clone();
        self.invited.push(Invited { token });
        let notice = enrolled.notice.expect("this hub has a journal");
        self.join(Desk::enrolled(n, 0, world, (&enrolment, Some(notice)), self.hub.planted));
    }

    async fn show(&mut self, token: [u8; 16], n: u8, crash: bool) -> Shown {
        let key = desk::key(n);
        let mut session = self.hub.session(key.public_key());
        let shown = Enrol { token: token.to_vec(), protocol: PROTOCOL_VERSION };
        let said = frame(&DeskMessage::Enrol(shown).to_bytes());
        match session.turn(&said, &mut self.hub, crash).await {
            Turn::Crashed => {
                self.restart().await;
                Shown::Nothing
            }
            Turn::Said(said) | Turn::Over(said) => {
                let mut reader = FrameReader::default();
                reader.push(&said);
                let answer = reader.next_frame().unwrap().expect("an answer");
                match HubMessage::from_bytes(answer).unwrap() {
                    HubMessage::Enrolled(enrolled) => Shown::Enrolled(Box::new(enrolled)),
                    HubMessage::Goodbye(_) => Shown::Refused,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// Whoever finds an invitation that was used gets nothing for it, also from a hub that was put back (invariant 12).
    pub(crate) async fn check_invitations(&mut self) {
        for Invited { token } in self.invited.clone() {
            let shown = self.show(token, STRANGER, false).await;
            // What is known to remain: a machine that was put back whole, whose desks do not know of it.
            let refused = matches!(shown, Shown::Refused) || self.all_put_back;
            assert!(refused, "invariant 12: an invitation was used twice");
        }
    }
}
