//! What is the matter, in the volunteer's language: readers, disk, clock, and what just failed.
//! Details for operators are in the daemon's log and in what `stempel doctor` finds.

use crdt_model::decide::Reason;
use desk_api::client::ClientError;
use desk_api::types::{HubLink, Problem, ProblemKind, Status, Trouble};
use hardware::reader::NoReader;
use i18n_embed_fl::fl;

use super::Texts;
use crate::scan::NotRead;

/// Something that just failed, kept until it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// No daemon listens.
    NoDaemon,
    /// The line to the daemon broke, or its answer cannot be read: nobody knows whether it wrote.
    BrokeOff {
        /// What broke, or cannot be read.
        detail: String,
    },
    /// The daemon says what is the matter.
    Problem(Problem),
    /// What is on the screen was not counted.
    NothingToTakeBack,
    /// A thread or task of the console panicked.
    ConsoleFault,
    /// What was scanned or typed is no card and no code of the desk.
    NotRead(NotRead),
    /// Characters came in quick succession, and no Enter.
    NoEnter,
    /// Several keys were pressed at once.
    OneAtATime,
    /// There is no loudspeaker.
    NoSounds {
        /// What the system says.
        detail: String,
    },
}

impl Notice {
    /// Whether it says that a scan was not read.
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::NotRead(_) | Self::NoEnter)
    }
}

impl From<ClientError> for Notice {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoDaemon { .. } => Self::NoDaemon,
            ClientError::Io(detail) => Self::BrokeOff { detail },
            ClientError::Problem(problem) => Self::Problem(problem),
        }
    }
}

impl Texts {
    /// Why there is no reader, and what to do.
    pub fn no_reader(&self, why: &NoReader) -> String {
        let loader = &self.loader;
        match why {
            NoReader::NotFound => fl!(loader, "no-reader-found"),
            NoReader::Unplugged { reader } => {
                fl!(loader, "no-reader-unplugged", reader = reader.as_str())
            }
            NoReader::NotOpened { reader } => {
                fl!(loader, "no-reader-opened", reader = reader.as_str())
            }
            NoReader::Silent { .. } => fl!(loader, "no-reader-silent"),
            NoReader::NotNamed { wanted, others } if others.is_empty() => {
                fl!(loader, "no-reader-named", wanted = wanted.as_str())
            }
            NoReader::NotNamed { wanted, others } => {
                let others = others.join(", ");
                fl!(loader, "no-reader-named-but", wanted = wanted.as_str(), others = others)
            }
            NoReader::NoService => fl!(loader, "no-reader-service"),
            NoReader::NoAccess => fl!(loader, "no-reader-access"),
            NoReader::System { detail } => {
                fl!(loader, "no-reader-system", detail = detail.as_str())
            }
        }
    }

    /// The link to the hub and how the desk is, in the order in which they are said: of a desk that records nothing, that
    /// comes first.
    pub fn in_order<T>(status: &Status, link: T, health: T) -> [T; 2] {
        if status.records() { [link, health] } else { [health, link] }
    }

    /// How the link to the hub stands, since this time of the day. A desk that `records` nothing is not told to go on.
    pub fn link(&self, link: &HubLink, since: &str, records: bool) -> String {
        let loader = &self.loader;
        match link {
            HubLink::Connected => fl!(loader, "status-connected"),
            HubLink::Offline { .. } if records => fl!(loader, "status-offline", time = since),
            HubLink::Offline { .. } => fl!(loader, "status-offline-only", time = since),
            HubLink::CannotStore { .. } => fl!(loader, "status-hub-cannot-store"),
            HubLink::Refused { .. } => fl!(loader, "status-refused"),
        }
    }

    /// What is the matter with a part of the desk.
    pub fn trouble(&self, trouble: &Trouble) -> String {
        let loader = &self.loader;
        match trouble {
            Trouble::DiskFull => fl!(loader, "trouble-disk-full"),
            Trouble::DiskQuota => fl!(loader, "trouble-disk-quota"),
            Trouble::DiskReadOnly => fl!(loader, "trouble-disk-read-only"),
            Trouble::DiskFails => fl!(loader, "trouble-disk-fails"),
            Trouble::LedgerLacking => fl!(loader, "trouble-ledger-lacking"),
            Trouble::LedgerEndCut => fl!(loader, "trouble-ledger-end-cut"),
            Trouble::LedgerMended { entries } => {
                fl!(loader, "trouble-ledger-mended", entries = entries)
            }
            Trouble::LedgerDamaged { saved, lost } => {
                fl!(loader, "trouble-ledger-damaged", saved = saved, lost = lost)
            }
            Trouble::LedgerWrittenAgain { entries } => {
                fl!(loader, "trouble-ledger-written-again", entries = entries)
            }
            Trouble::NameUsedTwice => fl!(loader, "trouble-name-used-twice"),
            Trouble::FolderOlder { units } => {
                fl!(loader, "trouble-folder-older", units = units)
            }
            Trouble::UnitsLimited { units } => {
                fl!(loader, "trouble-units-limited", units = units)
            }
            Trouble::PassListDamaged { passes, of, .. } => {
                fl!(loader, "trouble-pass-list-damaged", passes = passes, of = of)
            }
            Trouble::PassListOfEarlierVersion { .. } => {
                fl!(loader, "trouble-pass-list-of-earlier-version")
            }
            Trouble::PassListLacking => fl!(loader, "trouble-pass-list-lacking"),
            Trouble::PassListClosed { .. } => fl!(loader, "trouble-pass-list-closed"),
            Trouble::ClockOff { minutes, ahead: true } => {
                fl!(loader, "trouble-clock-ahead", span = self.span(*minutes))
            }
            Trouble::ClockOff { minutes, ahead: false } => {
                fl!(loader, "trouble-clock-behind", span = self.span(*minutes))
            }
            Trouble::HubRestored { entries } => {
                fl!(loader, "trouble-hub-restored", entries = entries)
            }
            Trouble::PartRestarted { .. } => fl!(loader, "trouble-part-restarted"),
            Trouble::PartFails { .. } => fl!(loader, "trouble-part-fails"),
            Trouble::SocketGone { .. } => fl!(loader, "trouble-socket-gone"),
            Trouble::ClockImplausible { ahead: true } => fl!(loader, "trouble-clock-in-the-future"),
            Trouble::ClockImplausible { ahead: false } => fl!(loader, "trouble-clock-in-the-past"),
            Trouble::ClockJumped { minutes, ahead: true } => {
                fl!(loader, "trouble-clock-put-forward", span = self.span(*minutes))
            }
            Trouble::ClockJumped { minutes, ahead: false } => {
                fl!(loader, "trouble-clock-put-back", span = self.span(*minutes))
            }
            Trouble::HubClockOff { minutes, ahead: true } => {
                fl!(loader, "trouble-hub-clock-ahead", span = self.span(*minutes))
            }
            Trouble::HubClockOff { minutes, ahead: false } => {
                fl!(loader, "trouble-hub-clock-behind", span = self.span(*minutes))
            }
        }
    }

    /// So many minutes, in the unit in which there are at least two.
    fn span(&self, minutes: u64) -> String {
        let loader = &self.loader;
        // To the nearest: somebody sets the clock by it.
        let (hours, days) = ((minutes + 30) / 60, (minutes + 12 * 60) / (24 * 60));
        match (minutes, hours) {
            (..120, _) => fl!(loader, "span-minutes", count = minutes),
            (_, ..48) => fl!(loader, "span-hours", count = hours),
            _ if days < 730 => fl!(loader, "span-days", count = days),
            _ => fl!(loader, "span-years", count = (days / 365)),
        }
    }

    /// What just failed: what it means, and what to do.
    pub fn notice(&self, notice: &Notice) -> String {
        let loader = &self.loader;
        match notice {
            Notice::NoDaemon => fl!(loader, "status-no-daemon"),
            Notice::BrokeOff { detail } => {
                fl!(loader, "failed-broke-off", detail = detail.as_str())
            }
            Notice::Problem(problem) => self.problem(problem),
            Notice::NothingToTakeBack => self.reason(Reason::NothingToTakeBack),
            Notice::ConsoleFault => fl!(loader, "failed-console"),
            Notice::NotRead(why) => self.not_read(*why),
            Notice::NoEnter => fl!(loader, "not-read-no-enter"),
            Notice::OneAtATime => fl!(loader, "one-at-a-time"),
            Notice::NoSounds { detail } => {
                fl!(loader, "failed-no-sounds", detail = detail.as_str())
            }
        }
    }

    fn problem(&self, problem: &Problem) -> String {
        let loader = &self.loader;
        match problem.kind() {
            Some(ProblemKind::Reason(reason)) => self.reason(reason),
            Some(ProblemKind::DiskFull) => fl!(loader, "failed-disk-full"),
            Some(ProblemKind::DiskQuota) => fl!(loader, "failed-disk-quota"),
            Some(ProblemKind::DiskReadOnly) => fl!(loader, "failed-disk-read-only"),
            Some(ProblemKind::Disk) => fl!(loader, "failed-disk"),
            Some(ProblemKind::Store) => fl!(loader, "failed-store"),
            Some(ProblemKind::EntryNotFound) => fl!(loader, "failed-entry-not-found"),
            Some(ProblemKind::CheckNotFound) => fl!(loader, "failed-check-not-found"),
            Some(ProblemKind::NoPrice) => fl!(loader, "to-pay-none"),
            Some(ProblemKind::NoHolder) => fl!(loader, "no-picture"),
            // The console asks for none of these, or asks rightly: whoever sees this is to tell.
            Some(
                ProblemKind::NoRequestKey
                | ProblemKind::InvalidData
                | ProblemKind::InvalidSyntax
                | ProblemKind::BodyMissing
                | ProblemKind::QueryParameterMissing
                | ProblemKind::NoSuchResource,
            )
            | None => fl!(loader, "failed-otherwise", detail = problem.detail.as_str()),
        }
    }
}

/// One of each, for tests.
#[cfg(test)]
pub(crate) fn every_trouble() -> Vec<Trouble> {
    vec![
        Trouble::DiskFull,
        Trouble::DiskQuota,
        Trouble::DiskReadOnly,
        Trouble::DiskFails,
        Trouble::LedgerLacking,
        Trouble::LedgerEndCut,
        Trouble::LedgerMended { entries: 2 },
        Trouble::LedgerDamaged { saved: 7, lost: 3 },
        Trouble::LedgerWrittenAgain { entries: 80 },
        Trouble::NameUsedTwice,
        Trouble::FolderOlder { units: 18 },
        Trouble::UnitsLimited { units: 2 },
        Trouble::PassListDamaged { detail: "a page".to_owned(), passes: 1, of: 2 },
        Trouble::PassListOfEarlierVersion { passes: 2 },
        Trouble::PassListLacking,
        Trouble::PassListClosed { detail: "a lock".to_owned() },
        Trouble::ClockOff { minutes: 90, ahead: true },
        Trouble::ClockOff { minutes: 90, ahead: false },
        Trouble::HubRestored { entries: 12 },
        Trouble::PartRestarted { part: "link".to_owned() },
        Trouble::PartFails { part: "link".to_owned() },
        Trouble::SocketGone { detail: "taken".to_owned() },
        Trouble::ClockImplausible { ahead: true },
        Trouble::ClockImplausible { ahead: false },
        Trouble::ClockJumped { minutes: 180, ahead: true },
        Trouble::ClockJumped { minutes: 180, ahead: false },
        Trouble::HubClockOff { minutes: 2 * 24 * 60, ahead: true },
        Trouble::HubClockOff { minutes: 2 * 24 * 60, ahead: false },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::i18n::Language;

    /// Each in both languages, no two the same.
    fn differ<T>(things: &[T], say: impl Fn(&Texts, &T) -> String) {
        let languages = [Language::Nl, Language::En].map(Texts::new);
        let said: BTreeSet<String> =
            languages.iter().flat_map(|texts| things.iter().map(|it| say(texts, it))).collect();
        assert_eq!(said.len(), 2 * things.len(), "{said:#?}");
        assert!(said.iter().all(|sentence| sentence.ends_with('.')), "{said:#?}");
    }

    #[test]
    fn what_is_the_matter_with_a_reader_is_said_in_both_languages() {
        let reader = || "desk".to_owned();
        let not_named = |others| NoReader::NotNamed { wanted: reader(), others };
        let all = [
            NoReader::NotFound,
            NoReader::Unplugged { reader: reader() },
            NoReader::NotOpened { reader: reader() },
            NoReader::Silent { detail: "timeout".to_owned() },
            not_named(Vec::new()),
            not_named(vec!["kiosk".to_owned()]),
            NoReader::NoService,
            NoReader::NoAccess,
            NoReader::System { detail: "libnfc".to_owned() },
        ];
        differ(&all, Texts::no_reader);
    }

    #[test]
    fn what_is_the_matter_with_the_desk_is_said_in_both_languages() {
        differ(&every_trouble(), Texts::trouble);
    }

    #[test]
    fn a_span_is_said_in_the_unit_in_which_there_are_at_least_two() {
        let texts = Texts::new(Language::Nl);
        for (minutes, said) in [
            (3, "3 minuten"),
            (119, "119 minuten"),
            (180, "3 uur"),
            (47 * 60, "47 uur"),
            (48 * 60, "2 dagen"),
            (29_927_000, "56 jaar"),
        ] {
            assert_eq!(texts.span(minutes).replace(['\u{2068}', '\u{2069}'], ""), said);
        }
    }

    #[test]
    fn what_failed_is_said_in_both_languages_and_a_reason_has_the_words_of_a_verdict() {
        let problem = |kind| Notice::Problem(Problem::new(kind, 500, "later words".to_owned()));
        let all = [
            Notice::NoDaemon,
            Notice::NothingToTakeBack,
            Notice::NoEnter,
            Notice::OneAtATime,
            Notice::BrokeOff { detail: "end of file".to_owned() },
            Notice::NoSounds { detail: "no card".to_owned() },
            problem(ProblemKind::DiskFull),
            problem(ProblemKind::DiskQuota),
            problem(ProblemKind::DiskReadOnly),
            problem(ProblemKind::Disk),
            problem(ProblemKind::Store),
            problem(ProblemKind::EntryNotFound),
            problem(ProblemKind::CheckNotFound),
            problem(ProblemKind::NoPrice),
            problem(ProblemKind::NoHolder),
            problem(ProblemKind::InvalidData),
        ];
        differ(&all, Texts::notice);
        let texts = Texts::new(Language::Nl);
        let reason = Reason::PassNotFound;
        assert_eq!(texts.notice(&problem(ProblemKind::Reason(reason))), texts.reason(reason));
        let unknown = problem(ProblemKind::InvalidData);
        assert!(texts.notice(&unknown).contains("later words"), "nothing is kept back");
    }
}
