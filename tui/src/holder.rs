//! The sealed part of a pass record, opened with the card that is on the screen, and kept only as
//! long as it is there.

use crdt_model::catalogue::LookupKey;
use crdt_model::holder::{CardSecret, SealedHolder};
use crdt_model::ids::Identification;
use data_encoding::BASE64;
use desk_api::types::SealedView;
use image::DynamicImage;
use thiserror::Error;
use zeroize::Zeroizing;

/// Pixels of a picture's longer side at the most, once it is decoded: a hostile file of a few
/// kilobytes must not take gigabytes.
const MOST_PIXELS: u32 = 4096;

/// A holder on the screen. What is dropped is overwritten, as far as it is our own: a picture that
/// was handed to the terminal is the terminal's.
pub struct Holder {
    name: Zeroizing<String>,
    picture: Option<DynamicImage>,
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Holder(…)")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(DynamicImage::ImageRgb8(picture)) = &mut self.picture {
            zeroize::Zeroize::zeroize(&mut **picture);
        }
    }
}

/// Why a sealed part stays closed. Nothing of it is said.
#[derive(Debug, Error)]
#[error("the sealed part of this pass cannot be opened with this card")]
pub struct Closed;

impl Holder {
    /// Opens a sealed part with the card that was shown. This takes some 40 ms, on purpose.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn open(sealed: &SealedView, card: &str) -> Result<Self, Closed> {
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| Closed);
        let card: Identification = card.parse().map_err(|_| Closed)?;
        let key: [u8; 32] = decode(&sealed.lookup_key)?.try_into().map_err(|_| Closed)?;
        let part: SealedHolder = minicbor::decode(&decode(&sealed.sealed)?).map_err(|_| Closed)?;
        let opened = part
            .open(sealed.pass_id, &CardSecret::of(&card, &LookupKey(key)))
            .map_err(|_| Closed)?;
        let picture = opened.picture.as_ref().and_then(|picture| decoded(picture.bytes()));
        Ok(Self { name: Zeroizing::new(opened.details.name().to_owned()), picture })
    }

    /// A holder of this name. For tests.
    pub fn named(name: &str, picture: Option<DynamicImage>) -> Self {
        Self { name: Zeroizing::new(name.to_owned()), picture }
    }

    /// The first name and the first letter of the last one: enough to greet somebody.
    pub fn short_name(&self) -> Zeroizing<String> {
        let mut words = self.name.split_whitespace();
        let mut short = Zeroizing::new(words.next().unwrap_or_default().to_owned());
        if let Some(letter) = words.next_back().and_then(|last| last.chars().next()) {
            short.push(' ');
            short.push(letter);
            short.push('.');
        }
        short
    }

    /// The picture, where there is one.
    pub fn picture(&self) -> Option<&DynamicImage> {
        self.picture.as_ref()
    }
}

fn decoded(file: &[u8]) -> Option<DynamicImage> {
    let mut reader =
        image::ImageReader::new(std::io::Cursor::new(file)).with_guessed_format().ok()?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MOST_PIXELS);
    limits.max_image_height = Some(MOST_PIXELS);
    limits.max_alloc = Some(64 * 1024 * 1024);
    reader.limits(limits);
    Some(DynamicImage::ImageRgb8(reader.decode().ok()?.into_rgb8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_first_name_and_a_letter_are_shown() {
        let short = |name: &str| Holder::named(name, None).short_name().to_string();
        assert_eq!(short("Sophie Peeters"), "Sophie P.");
        assert_eq!(short("Aya van der Proef"), "Aya P.");
        assert_eq!(short("Fien"), "Fien");
        assert_eq!(short(""), "");
        assert_eq!(format!("{:?}", Holder::named("Fien Fictief", None)), "Holder(…)");
    }

    #[test]
    fn bytes_that_are_no_picture_are_no_picture() {
        assert!(decoded(b"").is_none());
        assert!(decoded(&[0xff; 300]).is_none());
    }
}
