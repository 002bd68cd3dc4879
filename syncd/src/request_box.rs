//! Requests about people's cards, kept on the disk until the hub has answered, and two weeks longer: one file for each,
//! sealed, so that nobody reads them here. A hub that was restored from an older copy is told those again that it had
//! answered and forgot. After that what was asked is remembered without its contents.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crdt_model::money::Cents;
use data_encoding::BASE64;
use desk_api::types::{RequestState, RequestView};
use serde::{Deserialize, Serialize};
use sync_protocol::request::{RequestAnswer, RequestId, RequestKind, SealedRequest};

use crate::paths::{sync_folder_of, write_durably};

/// Answered requests that are shown.
const REMEMBERED: usize = 100;

/// How long an answered request is kept sealed, in milliseconds: nobody puts back a copy of a hub that is older than two
/// weeks without asking what the desks know.
const KEPT_FOR: i64 = 14 * 24 * 60 * 60 * 1000;

/// Answered requests that are kept sealed, at the most: 70 on each day of two weeks.
const MOST_KEPT: usize = 1_000;

/// Bytes of answered requests that are kept sealed, at the most: a request has some 300.
const MOST_KEPT_BYTES: usize = 4 * 1024 * 1024;

/// When and as what the hub answered.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    /// In milliseconds since the epoch, by this desk's clock.
    at: i64,
    /// The hub's number behind it, where it said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
}

/// A request's file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(flatten)]
    view: RequestView,
    /// The sealed contents in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answered: Option<Answered>,
}

impl Kept {
    fn waits(&self) -> bool {
        self.view.state == RequestState::Waiting
    }

    fn request(&self, id: RequestId) -> Option<SealedRequest> {
        let sealed = BASE64.decode(self.sealed.as_ref()?.as_bytes()).ok()?;
        Some(SealedRequest { id, sealed })
    }
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
        let sealed = Some(BASE64.encode(&request.sealed));
        let kept = Kept { view: view.clone(), sealed, answered: None };
        self.write(request.id, &kept)?;
        self.kept.insert(request.id, kept);
        Ok(view)
    }

    /// Notes the hub's answer, which it gave at this time by the desk's clock, in milliseconds since the epoch. One that
    /// the hub gave before is replaced: a hub that was restored answers again.
    ///
    /// # Errors
    /// Whatever the file system says; the request is then sent again, and answered the same.
    pub fn answered(&mut self, answer: &RequestAnswer, at: i64) -> io::Result<()> {
        let Some(kept) = self.kept.get(&answer.id) else { return Ok(()) };
        let state = match &answer.refused {
            None => RequestState::Done,
            Some(sentence) => RequestState::Refused { sentence: sentence.clone() },
        };
        let answered = Some(Answered { at, number: answer.number });
        let view = RequestView { state, ..kept.view.clone() };
        let answered = Kept { view, sealed: kept.sealed.clone(), answered };
        self.write(answer.id, &answered)?;
        self.kept.insert(answer.id, answered);
        self.forget_the_oldest(at);
        Ok(())
    }

    /// Forgets the contents of what was answered long before this time, and that it was asked where there is much of it.
    pub fn forget_the_oldest(&mut self, now: i64) {
        let answered = self.kept.iter().filter(|(_, kept)| !kept.waits());
        let mut answered: Vec<_> = answered
            .map(|(id, kept)| {
                let at = kept.answered.map_or(kept.view.at, |it| it.at);
                (at, kept.view.at, *id, kept.sealed.as_ref().map(String::len))
            })
            .collect();
        answered.sort_unstable_by(|one, other| other.cmp(one));
        let (mut number, mut bytes) = (0, 0);
        for (place, (at, _, id, sealed)) in answered.into_iter().enumerate() {
            number += usize::from(sealed.is_some());
            bytes += sealed.unwrap_or_default();
            let kept = sealed.is_some()
                && now.saturating_sub(at) < KEPT_FOR
                && number <= MOST_KEPT
                && bytes <= MOST_KEPT_BYTES;
            if kept || place < REMEMBERED && sealed.is_none() {
                continue;
            }
            // What cannot be written or removed now is forgotten the next time.
            if place >= REMEMBERED {
                if fs::remove_file(self.path(id)).is_ok() {
                    self.kept.remove(&id);
                }
            } else if let Some(known) = self.kept.get(&id) {
                let without = Kept { sealed: None, ..known.clone() };
                if self.write(id, &without).is_ok() {
                    self.kept.insert(id, without);
                }
            }
        }
    }

    /// Requests that the hub has not answered, oldest first.
    pub fn waiting(&self) -> Vec<SealedRequest> {
        self.sealed(Kept::waits)
    }

    /// Requests that the hub answered with a number beyond this one, or without any, oldest first.
    pub fn answered_beyond(&self, number: u64) -> Vec<SealedRequest> {
        self.sealed(|kept| {
            kept.answered.is_some_and(|it| it.number.is_none_or(|known| known > number))
        })
    }

    fn sealed(&self, of: impl Fn(&Kept) -> bool) -> Vec<SealedRequest> {
        let found = self.kept.iter().filter(|(_, kept)| of(kept));
        let mut found: Vec<_> =
            found.filter_map(|(id, kept)| Some((kept.view.at, kept.request(*id)?))).collect();
        found.sort_by_key(|(at, request)| (*at, request.id));
        found.into_iter().map(|(_, request)| request).collect()
    }

    /// How many wait.
    pub fn waiting_count(&self) -> u64 {
        self.kept.values().filter(|kept| kept.waits()).count() as u64
    }

    /// What waits, and the last that were answered, newest first.
    pub fn views(&self) -> Vec<RequestView> {
        let mut views: Vec<_> = self.kept.values().map(|kept| kept.view.clone()).collect();
        views.sort_by_key(|view| std::cmp::Reverse((view.at, view.id.clone())));
        let mut answered = 0;
        views.retain(|view| {
            answered += usize::from(view.state != RequestState::Waiting);
            view.state == RequestState::Waiting || answered <= REMEMBERED
        });
        views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(n: u8) -> SealedRequest {
        SealedRequest { id: RequestId([n; 16]), sealed: vec![n; 40] }
    }

    fn answer(n: u8, number: u64) -> RequestAnswer {
        RequestAnswer { id: RequestId([n; 16]), refused: None, number: Some(number) }
    }

    const DAY: i64 = 24 * 60 * 60 * 1000;

    #[test]
    fn a_hub_that_was_restored_is_given_what_it_answered_beyond_what_both_know() {
        let folder = tempfile::tempdir().unwrap();
        let mut requests = RequestBox::open(folder.path()).unwrap();
        for n in 1..5 {
            requests.add(&request(n), RequestKind::ReportLost, n.into(), None).unwrap();
        }
        for (n, number) in [(1, 7), (2, 8), (3, 9)] {
            requests.answered(&answer(n, number), 100).unwrap();
        }
        drop(requests);
        let mut requests = RequestBox::open(folder.path()).unwrap();
        assert_eq!(requests.answered_beyond(7), [request(2), request(3)]);
        assert_eq!((requests.waiting(), requests.waiting_count()), (vec![request(4)], 1));
        let shown = requests.views();
        assert_eq!(shown[1].state, RequestState::Done, "shown as done meanwhile");
        // Its new answer replaces the one that it forgot.
        let refused = Some("another desk was first".to_owned());
        requests.answered(&RequestAnswer { refused, ..answer(3, 8) }, 200).unwrap();
        assert!(matches!(requests.views()[1].state, RequestState::Refused { .. }));
        assert_eq!(requests.answered_beyond(8), []);
    }

    #[test]
    fn what_was_answered_is_kept_sealed_for_two_weeks_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let mut requests = RequestBox::open(folder.path()).unwrap();
        for n in 1..4 {
            requests.add(&request(n), RequestKind::ReportLost, n.into(), None).unwrap();
            requests.answered(&answer(n, 5), DAY * i64::from(n)).unwrap();
        }
        requests.forget_the_oldest(16 * DAY - 1);
        assert_eq!(requests.answered_beyond(0), [request(2), request(3)]);
        assert_eq!(requests.views().len(), 3, "that it was asked is still shown");
        let file = fs::read_to_string(folder.path().join(format!("{}.json", RequestId([1; 16]))));
        assert!(!file.unwrap().contains("sealed"));
        let large = SealedRequest { id: RequestId([9; 16]), sealed: vec![9; MOST_KEPT_BYTES / 2] };
        requests.add(&large, RequestKind::ReportLost, 9, None).unwrap();
        requests.answered(&answer(9, 5), 4 * DAY).unwrap();
        let larger = SealedRequest { id: RequestId([8; 16]), ..large.clone() };
        requests.add(&larger, RequestKind::ReportLost, 8, None).unwrap();
        requests.answered(&answer(8, 5), 5 * DAY).unwrap();
        assert_eq!(requests.answered_beyond(0), [larger], "the newest that fits");
    }

    #[test]
    fn a_request_survives_a_restart_until_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = RequestBox::open(folder.path()).unwrap();
        first.add(&request(2), RequestKind::ReportLost, 20, None).unwrap();
        first.add(&request(1), RequestKind::Register, 30, Some(Cents(500))).unwrap();
        drop(first);

        let mut second = RequestBox::open(folder.path()).unwrap();
        assert_eq!(second.waiting(), [request(2), request(1)], "oldest first");
        let refused = Some("take another card".to_owned());
        second
            .answered(&RequestAnswer { id: RequestId([2; 16]), refused, number: None }, 40)
            .unwrap();
        second.answered(&answer(9, 1), 40).unwrap();
        drop(second);

        let third = RequestBox::open(folder.path()).unwrap();
        assert_eq!(third.waiting(), [request(1)]);
        assert_eq!((third.waiting_count(), third.views().len()), (1, 2));
        assert!(matches!(third.views()[1].state, RequestState::Refused { .. }));
    }

    #[test]
    fn a_file_that_is_no_request_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.json"), "{").unwrap();
        assert!(RequestBox::open(folder.path()).unwrap().waiting().is_empty());
        assert!(folder.path().join("x.json").exists());
    }
}
