//! Keyboard layouts. A scanner sends key positions, not characters: where it is set to another layout than the computer,
//! each key comes out as what the computer has in that place.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// A keyboard layout, as the keys of the scanner or of the computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layout {
    /// QWERTY, as in the United States: how scanners leave the factory.
    Qwerty,
    /// AZERTY, as in Belgium.
    Belgian,
    /// AZERTY, as in France.
    French,
    /// QWERTZ, as in Germany.
    German,
}

/// Each layout's keys in the same order, row by row: without Shift, then with it.
const KEYS: [(Layout, &str, &str); 4] = [
    (
        Layout::Qwerty,
        "`1234567890-=qwertyuiop[]asdfghjkl;'\\zxcvbnm,./",
        "~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"|ZXCVBNM<>?",
    ),
    (
        Layout::Belgian,
        "²&é\"'(§è!çà)-azertyuiop^$qsdfghjklmùµwxcvbn,;:=",
        "³1234567890°_AZERTYUIOP¨*QSDFGHJKLM%£WXCVBN?./+",
    ),
    (
        Layout::French,
        "²&é\"'(-è_çà)=azertyuiop^$qsdfghjklmù*wxcvbn,;:!",
        "~1234567890°+AZERTYUIOP¨£QSDFGHJKLM%µWXCVBN?./§",
    ),
    (
        Layout::German,
        "^1234567890ß´qwertzuiopü+asdfghjklöä#yxcvbnm,.-",
        "°!\"§$%&/()=?`QWERTZUIOPÜ*ASDFGHJKLÖÄ'YXCVBNM;:_",
    ),
];

/// A layout's keys: without Shift, then with it.
struct Keys {
    layout: Layout,
    keys: [Vec<char>; 2],
}

static LAYOUTS: LazyLock<Vec<Keys>> = LazyLock::new(|| {
    let keys = |(layout, plain, shifted): &(Layout, &str, &str)| Keys {
        layout: *layout,
        keys: [plain.chars().collect(), shifted.chars().collect()],
    };
    KEYS.iter().map(keys).collect()
});

impl Keys {
    /// Whether Shift is pressed for a character, and in which place its key is.
    fn place(&self, c: char) -> Option<(usize, usize)> {
        let of = |shift: usize| Some((shift, self.keys[shift].iter().position(|key| *key == c)?));
        of(0).or_else(|| of(1))
    }

    fn at(&self, (shift, place): (usize, usize)) -> Option<char> {
        self.keys[shift].get(place).copied()
    }
}

/// What a scanner meant by this text, for each pair of layouts that differ: the computer's layout, and the text as the
/// scanner's layout has its keys. Pairs in which a character has no key are left out.
pub(super) fn meant(text: &str) -> impl Iterator<Item = (Layout, String)> {
    LAYOUTS.iter().flat_map(move |desk| {
        let places: Option<Vec<_>> = text.chars().map(|c| desk.place(c)).collect();
        let scanners = LAYOUTS.iter().filter(move |scanner| scanner.layout != desk.layout);
        scanners.filter_map(move |scanner| {
            let text = places.as_ref()?.iter().map(|place| scanner.at(*place));
            Some((desk.layout, text.collect::<Option<String>>()?))
        })
    })
}

/// What this scanner types on this computer when it reads a text: the opposite of [`meant`], for tests and the docs.
pub(super) fn typed(text: &str, desk: Layout, scanner: Layout) -> Option<String> {
    let keys = |layout| LAYOUTS.iter().find(|known| known.layout == layout);
    let (of_desk, of_scanner) = (keys(desk)?, keys(scanner)?);
    text.chars().map(|c| of_desk.at(of_scanner.place(c)?)).collect()
}

impl Layout {
    /// The computer's layout, among those that explain what a scanner typed: this is Belgium, so where several do, the
    /// Belgian one. Nothing where several others do.
    pub(super) fn of_computer(explaining: &BTreeSet<Self>) -> Option<Self> {
        if explaining.contains(&Self::Belgian) {
            return Some(Self::Belgian);
        }
        explaining.first().copied().filter(|_| explaining.len() == 1)
    }

    /// What a scanner that is set to another layout types on a computer with this one; nothing where a character has no
    /// key.
    pub fn of_scanner(self, scanner: Self, text: &str) -> Option<String> {
        typed(text, self, scanner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_has_a_place_for_each_key_of_the_others() {
        for (layout, plain, shifted) in KEYS {
            assert_eq!(plain.chars().count(), KEYS[0].1.chars().count(), "{layout:?}");
            assert_eq!(shifted.chars().count(), KEYS[0].2.chars().count(), "{layout:?}");
        }
    }

    #[test]
    fn what_a_scanner_types_on_another_layout_is_among_what_it_may_have_meant() {
        for (scanner, ..) in KEYS {
            for (desk, ..) in KEYS {
                for text in ["0900000095902", "MPM000112233"] {
                    let Some(came) = desk.of_scanner(scanner, text) else { continue };
                    let found = meant(&came).any(|(_, meant)| meant == text);
                    assert!(found || came == text, "{scanner:?} on {desk:?}: {came}");
                }
            }
        }
        let row = Layout::Belgian.of_scanner(Layout::Qwerty, "1234567890");
        assert_eq!(row.as_deref(), Some("&é\"'(§è!çà"));
    }
}
