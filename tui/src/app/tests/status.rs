//! How the desk is, on the smallest screen.

use super::*;
use crate::i18n::troubles::every_trouble;

/// What stands on the screen, without frames and line ends.
fn words(text: &str) -> String {
    let text = text.replace(['\u{2068}', '\u{2069}', '"'], "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_the_matter_is_said_whole_on_the_smallest_screen_however_the_hub_is() {
    let since = "a trouble".to_owned();
    let links = [
        HubLink::Connected,
        HubLink::Offline { why: since.clone() },
        HubLink::CannotStore { why: since.clone() },
        HubLink::Refused { why: since },
    ];
    for language in [Language::Nl, Language::En] {
        for link in &links {
            for trouble in every_trouble() {
                let mut model = model();
                model.language = language;
                let said = Texts::new(language).trouble(&trouble);
                let status = Status { beside: vec![trouble], ..status(link.clone(), 1_234) };
                model.update(Message::Daemon(Event::Status(Box::new(status))));
                let screen = screen(&model);
                assert!(words(&screen).contains(&words(&said)), "{said}\n{screen}");
            }
        }
    }
}
