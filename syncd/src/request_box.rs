//! Requests about people's cards, kept on the disk until the hub has answered: one file for each,
//! sealed, so that nobody reads them here. What was answered is remembered without its contents.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crdt_model::money::Cents;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use sync_protocol::request::{RequestAnswer, RequestId, RequestKind, SealedRequest};

use crate::desk_api::types::{RequestState, RequestView};
use crate::paths::{sync_folder_of, write_durably};

/// Answered requests that are remembered.
const REMEMBERED: usize = 100;

/// A request's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(flatten)]
    view: RequestView,
    /// The sealed contents in base64, until they are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

/// The box.
#[derive(Debug)]
pub struct RequestBox {
    folder: PathBuf,
    kept: BTreeMap<RequestId, Kept>,
}

impl RequestBox {
    /// Opens the box in this folder. A file that cannot be read is left where it is and logged.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let mut opened = Self { folder: folder.to_owned(), kept: BTreeMap::new() };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(opened),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let kept: Option<Kept> =
                fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            match kept.and_then(|kept| Some((kept.view.id.parse().ok()?, kept))) {
                Some((id, kept)) => drop(opened.kept.insert(id, kept)),
                None => {
                    tracing::error!(file = %path.display(), "a request cannot be read; it is left");
                }
            }
        }
        Ok(opened)
    }

    fn write(&self, id: RequestId, kept: &Kept) -> io::Result<()> {
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder)?;
            // The folder's own name, too, is to be there after a power cut.
            sync_folder_of(&self.folder)?;
        }
        let json = serde_json::to_vec_pretty(kept).unwrap_or_default();
        write_durably(&self.path(id), &json)
    }

    fn path(&self, id: RequestId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// Keeps a request: durable before this returns.
    ///
    /// # Errors
    /// Whatever the file system says; the request is then not made.
    pub fn add(
        &mut self,
        request: &SealedRequest,
        kind: RequestKind,
        at: i64,
        to_pay_cents: Option<Cents>,
    ) -> io::Result<RequestView> {
        let view = RequestView {
            id: request.id.to_string(),
            kind,
            at,
            state: RequestState::Waiting,
            to_pay_cents,
        };
        let kept = Kept { view: view.clone(), sealed: Some(BASE64.encode(&request.sealed)) };
        self.write(request.id, &kept)?;
        self.kept.insert(request.id, kept);
        Ok(view)
    }

    /// Notes the hub's answer, and forgets the contents.
    ///
    /// # Errors
    /// Whatever the file system says; the request is then sent again, and answered the same.
    pub fn answered(&mut self, answer: &RequestAnswer) -> io::Result<()> {
        let Some(kept) = self.kept.get(&answer.id) else { return Ok(()) };
        let state = match &answer.refused {
            None => RequestState::Done,
            Some(sentence) => RequestState::Refused { sentence: sentence.clone() },
        };
        let answered = Kept { view: RequestView { state, ..kept.view.clone() }, sealed: None };
        self.write(answer.id, &answered)?;
        self.kept.insert(answer.id, answered);
        self.forget_the_oldest();
        Ok(())
    }

    fn forget_the_oldest(&mut self) {
        let mut answered: Vec<(i64, RequestId)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.sealed.is_none())
            .map(|(id, kept)| (kept.view.at, *id))
            .collect();
        answered.sort_unstable();
        let too_many = answered.len().saturating_sub(REMEMBERED);
        for (_, id) in answered.into_iter().take(too_many) {
            if fs::remove_file(self.path(id)).is_ok() {
                self.kept.remove(&id);
            }
        }
    }

    /// Requests that the hub has not answered, oldest first.
    pub fn waiting(&self) -> Vec<SealedRequest> {
        let mut waiting: Vec<(i64, SealedRequest)> = self
            .kept
            .iter()
            .filter_map(|(id, kept)| {
                let sealed = BASE64.decode(kept.sealed.as_ref()?.as_bytes()).ok()?;
                Some((kept.view.at, SealedRequest { id: *id, sealed }))
            })
            .collect();
        waiting.sort_by_key(|(at, request)| (*at, request.id));
        waiting.into_iter().map(|(_, request)| request).collect()
    }

    /// How many wait.
    pub fn waiting_count(&self) -> u64 {
        self.kept.values().filter(|kept| kept.sealed.is_some()).count() as u64
    }

    /// All that is remembered, newest first.
    pub fn views(&self) -> Vec<RequestView> {
        let mut views: Vec<_> = self.kept.values().map(|kept| kept.view.clone()).collect();
        views.sort_by_key(|view| std::cmp::Reverse((view.at, view.id.clone())));
        views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(n: u8) -> SealedRequest {
        SealedRequest { id: RequestId([n; 16]), sealed: vec![n; 40] }
    }

    #[test]
    fn a_request_survives_a_restart_until_it_is_answered_and_then_without_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = RequestBox::open(folder.path()).unwrap();
        first.add(&request(2), RequestKind::ReportLost, 20, None).unwrap();
        first.add(&request(1), RequestKind::Register, 30, Some(Cents(500))).unwrap();
        drop(first);

        let mut second = RequestBox::open(folder.path()).unwrap();
        assert_eq!(second.waiting(), [request(2), request(1)], "oldest first");
        let refused = Some("take another card".to_owned());
        second.answered(&RequestAnswer { id: RequestId([2; 16]), refused, number: None }).unwrap();
        second
            .answered(&RequestAnswer { id: RequestId([9; 16]), refused: None, number: None })
            .unwrap();
        drop(second);

        let third = RequestBox::open(folder.path()).unwrap();
        assert_eq!(third.waiting(), [request(1)]);
        assert_eq!((third.waiting_count(), third.views().len()), (1, 2));
        assert!(matches!(third.views()[1].state, RequestState::Refused { .. }));
        let file = fs::read_to_string(folder.path().join(format!("{}.json", RequestId([2; 16]))));
        assert!(!file.unwrap().contains("sealed"));
    }

    #[test]
    fn a_file_that_is_no_request_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.json"), "{").unwrap();
        assert!(RequestBox::open(folder.path()).unwrap().waiting().is_empty());
        assert!(folder.path().join("x.json").exists());
    }
}
