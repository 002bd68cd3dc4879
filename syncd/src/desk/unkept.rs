//! What the hub said for a small file of its own (an answer to a request, the grants, the card keys), where the file could
//! not be written. It does not depend on the cursors, so no other session is needed: it is kept in memory, and each look after
//! the disk writes it again. For as long as it is not written, the desk says that the disk does not do what it is asked.

use std::collections::BTreeMap;
use std::io;

use crdt_model::stock::GrantedUnits;
use sync_protocol::card_keys::SealedCardKeys;
use sync_protocol::request::{RequestAnswer, RequestId};

use super::Desk;
use crate::disk::DiskTrouble;

/// Answers, grants and card keys that are not written yet. At the most one answer for each request that waits.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    answers: BTreeMap<RequestId, RequestAnswer>,
    grants: Option<Vec<GrantedUnits>>,
    card_keys: Option<SealedCardKeys>,
    trouble: Option<DiskTrouble>,
}

impl Unkept {
    /// Whether what may be handed out is not written yet.
    pub(super) fn awaits_grants(&self) -> bool {
        self.grants.is_some()
    }

    /// Why something is not written yet.
    pub(super) fn trouble(&self) -> Option<DiskTrouble> {
        self.trouble
    }
}

impl Desk {
    /// Keeps the hub's answer to a request: at once, or as soon as its file can be written.
    pub(super) fn keep_answer(&mut self, answer: RequestAnswer) {
        self.unkept.answers.insert(answer.id, answer);
        self.keep_what_was_not_kept();
    }

    /// Keeps what the hub says that this desk may hand out: at once, or as soon as its file can be written.
    pub(super) fn keep_grants(&mut self, grants: Vec<GrantedUnits>) {
        self.unkept.grants = Some(grants);
        self.keep_what_was_not_kept();
    }

    /// Keeps the card keys that the hub sealed to this desk: at once, or as soon as their file can be written. Until then
    /// those that were here before are used.
    pub(super) fn keep_card_keys(&mut self, sealed: SealedCardKeys) {
        self.unkept.card_keys = Some(sealed);
        self.keep_what_was_not_kept();
    }

    /// Writes what is not written yet.
    pub(super) fn keep_what_was_not_kept(&mut self) {
        let Unkept { answers, grants, card_keys, .. } = &self.unkept;
        if answers.is_empty() && grants.is_none() && card_keys.is_none() {
            return;
        }
        let written = self.write_the_unkept().err();
        let trouble = written.as_ref().map(DiskTrouble::of_failed_write);
        if let (Some(error), true) = (&written, self.unkept.trouble != trouble) {
            tracing::error!(%error, "a request or the stock file cannot be written; it is tried again");
            self.health.alarm().notify_one();
        }
        self.unkept.trouble = trouble;
    }

    fn write_the_unkept(&mut self) -> io::Result<()> {
        // One file that cannot be written keeps no other from being written.
        let mut failed = None;
        let at = self.time.clock.latest().0;
        // That the hub told so much, before what it told: a desk that keeps an answer and forgets its number says nothing
        // of it to a hub that is put back to before.
        if !self.unkept.answers.is_empty()
            && let Err(error) = self.knowledge.store.flush()
        {
            return Err(io::Error::other(error.to_string()));
        }
        for (id, answer) in std::mem::take(&mut self.unkept.answers) {
            if let Err(error) = self.requests.answered(&answer, at) {
                self.unkept.answers.insert(id, answer);
                failed = Some(error);
            }
        }
        if let Some(grants) = self.unkept.grants.take()
            && let Err(error) = self.granted(grants.clone())
        {
            self.unkept.grants = Some(grants);
            failed = Some(error);
        }
        if let Some(sealed) = self.unkept.card_keys.take()
            && let Err(error) = self.take_card_keys(&sealed)
        {
            self.unkept.card_keys = Some(sealed);
            failed = Some(error);
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crdt_model::ids::RewardId;
    use crdt_model::stock::{GrantId, Units};
    use sync_protocol::request::{RequestKind, SealedRequest};

    use super::*;
    use crate::desk::tests::desk;
    use crate::links::Peer;
    use desk_api::types::{Health, Trouble};

    fn look(desk: &mut Desk) {
        let tried = desk.trials().run();
        desk.look_after(&tried);
    }

    #[test]
    fn an_answer_and_grants_whose_files_cannot_be_written_end_no_session_and_are_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = desk(folder.path());
        let clocks = desk.read_clocks();
        desk.begin_session(Peer::Hub, clocks);
        let session = desk.sessions();
        let id = RequestId([1; 16]);
        let request = SealedRequest { id, sealed: vec![1; 40] };
        desk.requests.add(&request, RequestKind::ReportLost, 20, None).unwrap();
        // As root may do whatever it wants, something else stands in the way.
        let (requests, moved) = (folder.path().join("requests"), folder.path().join("moved"));
        fs::rename(&requests, &moved).unwrap();
        fs::write(&requests, "no folder").unwrap();
        let stock = folder.path().join("stock");
        fs::create_dir(&stock).unwrap();
        desk.keep_answer(RequestAnswer { id, refused: None, number: None });
        let units = Units { first: 3, count: 5 };
        desk.keep_grants(vec![GrantedUnits { grant: GrantId(7), reward: RewardId(2), units }]);
        look(&mut desk);
        assert_eq!(desk.status().disk, Health::Trouble(Trouble::DiskFails));
        assert!(desk.keeps(Peer::Hub), "the catalogue does not depend on it");
        assert_eq!((desk.sessions(), desk.requests.waiting_count()), (session, 1));
        fs::remove_dir(&stock).unwrap();
        look(&mut desk);
        assert_eq!(desk.units.stock_file.kept().grants.len(), 1, "one does not wait for the other");
        fs::remove_file(&requests).unwrap();
        fs::rename(&moved, &requests).unwrap();
        look(&mut desk);
        assert_eq!(desk.status().disk, Health::Fine);
        assert_eq!((desk.sessions(), desk.requests.waiting_count()), (session, 0));
    }

    #[test]
    fn a_trouble_that_ends_without_a_word_is_published_by_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = desk(folder.path());
        look(&mut desk);
        let mut events = desk.subscribe();
        look(&mut desk);
        assert!(events.try_recv().is_err(), "nothing changed");
        desk.links.set_diverged(Peer::Hub, true);
        look(&mut desk);
        assert!(desk.status().beside.contains(&Trouble::NameUsedTwice));
        assert!(events.try_recv().is_ok());
        desk.links.set_diverged(Peer::Hub, false);
        look(&mut desk);
        assert!(events.try_recv().is_ok());
        assert_eq!(desk.status().beside, []);
        while events.try_recv().is_ok() {}
        desk.disk_failed(DiskTrouble::Full);
        assert!(events.try_recv().is_ok());
        desk.disk_took_it();
        look(&mut desk);
        assert!(events.try_recv().is_ok(), "it was said between two looks");
    }
}
