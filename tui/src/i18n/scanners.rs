//! What is said about scanners: why a scan was not read, what was set right, and what to set.

use i18n_embed_fl::fl;

use super::Texts;
use crate::scan::{Advice, Layout, NotRead, PutRight, Settings};

impl Texts {
    /// Why a scan was not read, and what to do.
    pub fn not_read(&self, why: NotRead) -> String {
        let loader = &self.loader;
        match why {
            NotRead::Layout => fl!(loader, "not-read-layout"),
            NotRead::Prefix => fl!(loader, "not-read-prefix"),
            NotRead::DigitsMissing => fl!(loader, "not-read-digits-missing"),
            NotRead::TooManyDigits => fl!(loader, "not-read-too-many-digits"),
            NotRead::Misread => fl!(loader, "not-read-misread"),
            NotRead::TwoNumbers => fl!(loader, "not-read-two-numbers"),
            NotRead::ControlCharacters => fl!(loader, "not-read-control-characters"),
            NotRead::CaseChanged => fl!(loader, "not-read-case-changed"),
            NotRead::UnknownCode => fl!(loader, "not-read-unknown-code"),
            NotRead::CodesNotKnown => fl!(loader, "not-read-codes-not-known"),
        }
    }

    /// What was set right so that a scan could be read.
    pub fn put_right(&self, what: PutRight) -> String {
        let loader = &self.loader;
        match what {
            PutRight::Framing => fl!(loader, "put-right-framing"),
            PutRight::AimPrefix => fl!(loader, "put-right-aim-prefix"),
            PutRight::Layout => fl!(loader, "put-right-layout"),
            PutRight::LeadingZero => fl!(loader, "put-right-leading-zero"),
            PutRight::Case => fl!(loader, "put-right-case"),
        }
    }

    /// What to set on the scanner of a desk with these settings.
    pub fn advice(&self, advice: Advice, settings: &Settings) -> String {
        let loader = &self.loader;
        match advice {
            Advice::Nothing => fl!(loader, "advice-nothing"),
            Advice::SendEnter => fl!(loader, "advice-send-enter"),
            Advice::KeyboardLayout(layout) => {
                let layout = match layout {
                    Some(Layout::Qwerty) => "qwerty",
                    Some(Layout::Belgian) => "belgian",
                    Some(Layout::French) => "french",
                    Some(Layout::German) => "german",
                    None => "unknown",
                };
                fl!(loader, "advice-keyboard-layout", layout = layout)
            }
            Advice::NoPrefix => fl!(loader, "advice-no-prefix"),
            Advice::NoControlCharacters => fl!(loader, "advice-no-control-characters"),
            Advice::AllDigits => fl!(loader, "advice-all-digits"),
            Advice::KeepCase => fl!(loader, "advice-keep-case"),
            Advice::Faster => {
                let most = settings.quiet();
                fl!(loader, "advice-faster", most = most)
            }
            Advice::OtherCode => fl!(loader, "advice-other-code"),
            Advice::ScanAgain => fl!(loader, "advice-scan-again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::i18n::Language;

    #[test]
    fn everything_about_scanners_is_said_in_both_languages() {
        let mut said = BTreeSet::new();
        for texts in [Language::Nl, Language::En].map(Texts::new) {
            let why = NotRead::ALL.map(|why| texts.not_read(why));
            let advice = Advice::ALL.map(|advice| texts.advice(advice, &Settings::default()));
            for sentence in why.into_iter().chain(advice) {
                assert!(sentence.ends_with('.'), "{sentence}");
                assert!(said.insert(sentence.clone()), "twice: {sentence}");
            }
        }
    }
}
