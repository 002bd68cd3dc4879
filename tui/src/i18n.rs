//! The texts for the people at the desk, in their language. Every reason and every word stands in
//! a Fluent file, checked when the program is compiled.

mod scanners;
pub(crate) mod troubles;

use crdt_model::authenticity::Authenticity;
use crdt_model::catalogue::Programme;
use crdt_model::decide::{Reason, VerdictKind};
use crdt_model::money::Cents;
use desk_api::types::{Answer, HubState, Kind, Outcome};
use i18n_embed::LanguageLoader;
use i18n_embed::fluent::FluentLanguageLoader;
use i18n_embed_fl::fl;
use rust_embed::RustEmbed;
use unic_langid::{LanguageIdentifier, langid};

pub use self::troubles::Notice;

#[derive(RustEmbed)]
#[folder = "i18n/"]
struct Files;

/// The languages of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Dutch.
    Nl,
    /// English.
    En,
}

impl Language {
    /// The language that this environment asks for (`LC_ALL`, `LANG`); Dutch where it asks for none
    /// that the console has.
    pub fn of_environment() -> Self {
        let asked = std::env::var("LC_ALL").or_else(|_| std::env::var("LANG")).unwrap_or_default();
        if asked.starts_with("en") { Self::En } else { Self::Nl }
    }

    /// The next one, for the language key.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Nl => Self::En,
            Self::En => Self::Nl,
        }
    }

    /// Its two letters.
    pub fn code(self) -> &'static str {
        match self {
            Self::Nl => "nl",
            Self::En => "en",
        }
    }

    fn identifier(self) -> LanguageIdentifier {
        match self {
            Self::Nl => langid!("nl"),
            Self::En => langid!("en"),
        }
    }
}

/// The texts in one language.
#[derive(Debug)]
pub struct Texts {
    /// For `fl!`.
    pub loader: FluentLanguageLoader,
}

impl Texts {
    /// The texts in this language.
    pub fn new(language: Language) -> Self {
        let loader = FluentLanguageLoader::new("tui", langid!("en"));
        // The files are compiled in, so this fails in no installation or in all: the fallback, which
        // `fl!` checked, then speaks.
        let _ = loader.load_languages(&Files, &[language.identifier()]);
        loader.set_use_isolating(false);
        Self { loader }
    }

    /// The verdict's word, six letters at most where the language has it.
    pub fn word(&self, verdict: VerdictKind) -> String {
        match verdict {
            VerdictKind::Ok => fl!(self.loader, "word-ok"),
            VerdictKind::Again => fl!(self.loader, "word-again"),
            VerdictKind::Ask => fl!(self.loader, "word-ask"),
            VerdictKind::Stop => fl!(self.loader, "word-stop"),
            VerdictKind::Retry => fl!(self.loader, "word-retry"),
        }
    }

    /// The sentence for a reason: what happened, what it means, what to do.
    pub fn reason(&self, reason: Reason) -> String {
        let loader = &self.loader;
        match reason {
            Reason::CardBlocked => fl!(loader, "reason-card-blocked"),
            Reason::UitpasHolderBlocked => fl!(loader, "reason-uitpas-holder-blocked"),
            Reason::InvalidCardStatus => fl!(loader, "reason-invalid-card-status"),
            Reason::InvalidUitpasNumber => fl!(loader, "reason-invalid-uitpas-number"),
            Reason::PassNotFound => fl!(loader, "reason-pass-not-found"),
            Reason::PassholderNoActiveCardsystems => {
                fl!(loader, "reason-passholder-no-active-cardsystems")
            }
            Reason::MaximumReached => fl!(loader, "reason-maximum-reached"),
            Reason::CheckinNotAllowed => fl!(loader, "reason-checkin-not-allowed"),
            Reason::CheckinCodeInvalid => fl!(loader, "reason-checkin-code-invalid"),
            Reason::CheckinCodeExpired => fl!(loader, "reason-checkin-code-expired"),
            Reason::EventNotFound => fl!(loader, "reason-event-not-found"),
            Reason::SocialTariffExpired => fl!(loader, "reason-social-tariff-expired"),
            Reason::SocialTariffSuspended => fl!(loader, "reason-social-tariff-suspended"),
            Reason::SocialTariffNotAvailable => fl!(loader, "reason-social-tariff-not-available"),
            Reason::InvalidCoupon => fl!(loader, "reason-invalid-coupon"),
            Reason::InvalidNumberOfTickets => fl!(loader, "reason-invalid-number-of-tickets"),
            Reason::RewardPassholderPointsConstraint => {
                fl!(loader, "reason-reward-passholder-points-constraint")
            }
            Reason::RewardPassholderVolumeConstraint => {
                fl!(loader, "reason-reward-passholder-volume-constraint")
            }
            Reason::RewardVolumeConstraint => fl!(loader, "reason-reward-volume-constraint"),
            Reason::RewardNoUnitHere => fl!(loader, "reason-reward-no-unit-here"),
            Reason::RewardPeriodConstraint => fl!(loader, "reason-reward-period-constraint"),
            Reason::RewardPassholderNoApplicableCardsystems => {
                fl!(loader, "reason-reward-passholder-no-applicable-cardsystems")
            }
            Reason::RewardOnlineOnly => fl!(loader, "reason-reward-online-only"),
            Reason::RewardOtherOrganizer => fl!(loader, "reason-reward-other-organizer"),
            Reason::RewardNotFound => fl!(loader, "reason-reward-not-found"),
            Reason::Expired => fl!(loader, "reason-expired"),
            Reason::MuseumCardBlocked => fl!(loader, "reason-museum-card-blocked"),
            Reason::PassholderBlocked => fl!(loader, "reason-passholder-blocked"),
            Reason::MaximumUnregisteredVisitsReached => {
                fl!(loader, "reason-maximum-unregistered-visits-reached")
            }
            Reason::AccountTooOld => fl!(loader, "reason-account-too-old"),
            Reason::OfflinePointsConstraint => fl!(loader, "reason-offline-points-constraint"),
            Reason::UnknownCardsUsedUp => fl!(loader, "reason-unknown-cards-used-up"),
            Reason::CardProofRequired => fl!(loader, "reason-card-proof-required"),
            Reason::CardNotGenuine => fl!(loader, "reason-card-not-genuine"),
            Reason::ExternalCardNotAccepted => fl!(loader, "reason-external-card-not-accepted"),
            Reason::NoActivityChosen => fl!(loader, "reason-no-activity-chosen"),
            Reason::AlreadyTakenBack => fl!(loader, "reason-already-taken-back"),
            Reason::TooLateToTakeBack => fl!(loader, "reason-too-late-to-take-back"),
            Reason::NothingToTakeBack => fl!(loader, "reason-nothing-to-take-back"),
        }
    }

    /// What an answer says to the volunteer.
    pub fn sentence(&self, answer: &Answer) -> String {
        if let Some(reason) = answer.reason {
            return self.reason(reason);
        }
        match answer.kind {
            Kind::CheckIn => fl!(self.loader, "says-check-in"),
            Kind::Visit => fl!(self.loader, "says-visit"),
            Kind::ExternalVisit => fl!(self.loader, "says-external-visit"),
            Kind::TicketSale => fl!(self.loader, "says-ticket-sale"),
            Kind::Redemption => fl!(self.loader, "says-redemption"),
            Kind::Void => fl!(self.loader, "says-void"),
            Kind::Unknown => fl!(self.loader, "says-unknown"),
        }
    }

    /// What a card proved of itself; nothing where that is what most cards prove.
    pub fn authenticity(&self, proof: Authenticity) -> Option<String> {
        match proof {
            Authenticity::UidOnly => None,
            Authenticity::Refuted => Some(fl!(self.loader, "card-refuted")),
            Authenticity::Signed => Some(fl!(self.loader, "card-signed")),
            Authenticity::Cryptographic => Some(fl!(self.loader, "card-proved")),
        }
    }

    /// The pass's platform.
    pub fn programme(&self, programme: Option<Programme>) -> String {
        match programme {
            Some(Programme::Uitpas) => fl!(self.loader, "pass-uitpas"),
            Some(Programme::UitpasGroup) => fl!(self.loader, "pass-uitpas-group"),
            Some(Programme::External) => fl!(self.loader, "pass-external"),
            Some(Programme::Museumpass) => fl!(self.loader, "pass-museumpass"),
            None => fl!(self.loader, "pass-unknown"),
        }
    }

    /// Whose an answer is, without saying who.
    pub fn whose(&self, answer: &Answer) -> String {
        match &answer.pass {
            Some(pass) => {
                format!("{} …{}", self.programme(Some(pass.programme)), pass.telling_digits)
            }
            None if answer.kind == Kind::ExternalVisit => self.programme(Some(Programme::External)),
            None => self.programme(None),
        }
    }

    /// The question whether to take this back.
    pub fn take_back(&self, answer: &Answer, time: &str) -> String {
        let (pass, what) = (self.whose(answer), self.kind(answer.kind));
        fl!(self.loader, "question-take-back", time = time, pass = pass, what = what)
    }

    /// What was asked, in a word.
    pub fn kind(&self, kind: Kind) -> String {
        match kind {
            Kind::CheckIn => fl!(self.loader, "kind-check-in"),
            Kind::Visit => fl!(self.loader, "kind-visit"),
            Kind::ExternalVisit => fl!(self.loader, "kind-external-visit"),
            Kind::TicketSale => fl!(self.loader, "kind-ticket-sale"),
            Kind::Redemption => fl!(self.loader, "kind-redemption"),
            Kind::Void => fl!(self.loader, "kind-void"),
            Kind::Unknown => fl!(self.loader, "kind-unknown"),
        }
    }

    /// An amount in euros, as people here write it.
    pub fn euros(&self, amount: Cents) -> String {
        let text = amount.to_string();
        let (euros, cents) = text.split_once('.').unwrap_or((&text, "00"));
        fl!(self.loader, "euros", euros = euros, cents = cents)
    }

    /// What the hub made of an entry.
    pub fn hub(&self, state: &HubState) -> String {
        match state {
            HubState::Waiting => fl!(self.loader, "hub-waiting"),
            HubState::Accepted => fl!(self.loader, "hub-accepted"),
            HubState::Quarantined { .. } => fl!(self.loader, "hub-quarantined"),
            HubState::NotSent => fl!(self.loader, "hub-not-sent"),
        }
    }

    /// What an entry counts for, where that is worth saying.
    pub fn outcome(&self, outcome: Outcome) -> Option<String> {
        match outcome {
            Outcome::Counted | Outcome::NotCounted => None,
            Outcome::OverLimit => Some(fl!(self.loader, "outcome-over-limit")),
            Outcome::TakenBack => Some(fl!(self.loader, "outcome-taken-back")),
            Outcome::LeftDebt => Some(fl!(self.loader, "outcome-left-debt")),
        }
    }
}

/// The sign of a verdict: it tells the five apart where there is no colour.
pub fn sign(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Ok => "✔",
        VerdictKind::Again => "▲",
        VerdictKind::Ask => "?",
        VerdictKind::Stop => "✖",
        VerdictKind::Retry => "↻",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_sentence_of_its_own_in_both_languages() {
        let (dutch, english) = (Texts::new(Language::Nl), Texts::new(Language::En));
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            let (nl, en) = (dutch.reason(*reason), english.reason(*reason));
            assert_ne!(nl, en, "{reason}");
            assert!(seen.insert(nl) && seen.insert(en), "{reason}");
        }
    }

    #[test]
    fn both_files_have_the_same_messages() {
        let names = |text: &str| -> Vec<String> {
            let named =
                text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
            named.filter_map(|line| Some(line.split_once(" =")?.0.to_owned())).collect()
        };
        let (dutch, english) =
            (include_str!("../i18n/nl/tui.ftl"), include_str!("../i18n/en/tui.ftl"));
        assert_eq!(names(dutch), names(english));
    }

    #[test]
    fn the_five_verdicts_differ_in_word_and_sign() {
        let all = [
            VerdictKind::Ok,
            VerdictKind::Again,
            VerdictKind::Ask,
            VerdictKind::Stop,
            VerdictKind::Retry,
        ];
        for language in [Language::Nl, Language::En] {
            let texts = Texts::new(language);
            let words: std::collections::BTreeSet<_> = all.map(|v| texts.word(v)).into();
            assert_eq!(words.len(), 5);
        }
        assert_eq!(std::collections::BTreeSet::from(all.map(sign)).len(), 5);
    }
}
