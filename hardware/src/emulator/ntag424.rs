//! An NTAG 424 DNA: three files, five AES keys, and an NDEF file that says something new at every
//! reading (NT4H2421Gx rev 3.0; AN12196 rev 2.0). Not emulated: LRP mode, random UIDs, delays after
//! failed authentications, file counters, SetConfiguration.

use super::dialogue::{ADDITIONAL_FRAME, AUTHENTICATE_EV2_FIRST, ApduCard, CommMode, Dialogue};
use super::iso_dep::{Apdu, StoredKey, answer, status};
use super::random::Random;
use super::sdm::{Reading, Sdm};

/// The DF name of the application, and the identifiers of its three files.
const APPLICATION: [u8; 7] = [0xd2, 0x76, 0x00, 0x00, 0x85, 0x01, 0x01];
const FILES: [[u8; 2]; 3] = [[0xe1, 0x03], [0xe1, 0x04], [0xe1, 0x05]];

/// Where the NDEF file stands among them: the only one that mirrors.
const NDEF: usize = 1;

/// The capability container as the factory writes it.
const CAPABILITIES: [u8; 23] = [
    0x00, 0x17, 0x20, 0x01, 0x00, 0x00, 0xff, 0x04, 0x06, 0xe1, 0x04, 0x01, 0x00, 0x00, 0x00, 0x05,
    0x06, 0xe1, 0x05, 0x00, 0x80, 0x82, 0x83,
];

/// Bytes of an answer at the most, without its status.
const LONGEST: usize = 256;

/// The access right that everybody has, and the one that nobody has.
const FREE: u8 = 0x0e;
const NEVER: u8 = 0x0f;

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    mode: CommMode,
    /// As ChangeFileSettings has them: read-write and change, then read and write.
    rights: [u8; 2],
    content: Vec<u8>,
    sdm: Option<Sdm>,
}

impl File {
    fn new(mode: CommMode, rights: [u8; 2], size: usize, content: &[u8]) -> Self {
        let mut content = content.to_vec();
        content.resize(size, 0);
        Self { mode, rights, content, sdm: None }
    }

    /// The keys that may do this, each a number, [`FREE`] or [`NEVER`].
    fn who_may(&self, access: Access) -> [u8; 2] {
        let [[read_write, change], [read, write]] =
            self.rights.map(|byte| [byte >> 4, byte & 0x0f]);
        match access {
            Access::Read => [read, read_write],
            Access::Write => [write, read_write],
            Access::Change => [change, change],
        }
    }

    /// How a command is protected that does this under this key, if it may.
    fn mode_for(&self, access: Access, key: Option<u8>) -> Result<CommMode, u16> {
        let who = self.who_may(access);
        if key.is_some_and(|key| who.contains(&key)) {
            // Settings are changed in CommMode.Full, whatever the file's own.
            Ok(if access == Access::Change { CommMode::Full } else { self.mode })
        } else if who.contains(&FREE) {
            Ok(CommMode::Plain)
        } else if who == [NEVER; 2] {
            Err(status::PERMISSION_DENIED)
        } else {
            Err(status::AUTHENTICATION)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Change,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Selected {
    #[default]
    Nothing,
    Application,
    File(usize),
}

/// An NTAG 424 DNA.
#[derive(Debug)]
pub struct Ntag424 {
    uid: [u8; 7],
    keys: [StoredKey; 5],
    files: [File; 3],
    /// SDMReadCtr, 24 bits.
    readings: u32,
    random: Random,
    // What follows goes with the power.
    selected: Selected,
    dialogue: Dialogue,
    /// This selection's reading is counted.
    counted: bool,
}

impl Ntag424 {
    /// A chip as it comes from the factory: all keys zero, the NDEF file empty and open to all. Its
    /// random numbers follow from `seed`.
    pub fn new(uid: [u8; 7], seed: u64) -> Self {
        Self {
            uid,
            keys: [StoredKey::default(); 5],
            files: [
                File::new(CommMode::Plain, [0x00, 0xe0], 32, &CAPABILITIES),
                File::new(CommMode::Plain, [0xe0, 0xee], 256, &[]),
                File::new(CommMode::Full, [0x30, 0x23], 128, &[0x00, 0x7e]),
            ],
            readings: 0,
            random: Random::of(seed),
            selected: Selected::Nothing,
            dialogue: Dialogue::default(),
            counted: false,
        }
    }

    /// The chip's UID.
    pub fn uid(&self) -> [u8; 7] {
        self.uid
    }

    /// The key of this number, 0 to 4.
    pub fn key(&self, number: usize) -> Option<[u8; 16]> {
        self.keys.get(number).map(|key| key.bytes)
    }

    /// What lies in the file of this number, 1 to 3 (the NDEF file is 2), without mirrors.
    pub fn file(&self, number: usize) -> Option<&[u8]> {
        Some(&self.files.get(number.checked_sub(1)?)?.content)
    }

    /// How often the NDEF file was read while it mirrored (SDMReadCtr).
    pub fn readings(&self) -> u32 {
        self.readings
    }

    /// Ends selection and session.
    pub(super) fn power_off(&mut self) {
        self.selected = Selected::Nothing;
        self.dialogue = Dialogue::default();
        self.counted = false;
    }

    /// ISOSelectFile: the card's root, its application, or a file in it.
    fn select(&mut self, apdu: &Apdu<'_>) -> u16 {
        let selected = match (apdu.parameters, apdu.data) {
            ([0x00, _], [] | [0x3f, 0x00]) => Selected::Nothing,
            ([0x04, _], data) if data == APPLICATION => Selected::Application,
            ([0x00 | 0x02, _], data) if self.selected != Selected::Nothing => {
                match FILES.iter().position(|file| file == data) {
                    Some(file) => Selected::File(file),
                    None => return status::ISO_NOT_FOUND,
                }
            }
            ([0x00 | 0x02 | 0x04, _], _) => return status::ISO_NOT_FOUND,
            _ => return status::ISO_PARAMETERS,
        };
        if !matches!(selected, Selected::File(_)) {
            self.dialogue = Dialogue::default();
        }
        self.selected = selected;
        self.counted = false;
        status::DONE
    }

    /// The file and the offset that P1 and P2 tell: of the selected file, or of one by its short
    /// identifier, which then is selected.
    fn place(&mut self, [p1, p2]: [u8; 2]) -> Result<(usize, usize), u16> {
        if self.selected == Selected::Nothing {
            return Err(status::ISO_NOT_FOUND);
        }
        if p1 & 0x80 == 0 {
            let Selected::File(file) = self.selected else { return Err(status::ISO_NOT_FOUND) };
            return Ok((file, usize::from(u16::from_be_bytes([p1, p2]))));
        }
        let file = usize::from(p1 & 0x1f).checked_sub(3).filter(|file| *file < FILES.len());
        let file = file.ok_or(status::ISO_NOT_FOUND)?;
        self.selected = Selected::File(file);
        Ok((file, usize::from(p2)))
    }

    fn read_binary(&mut self, apdu: &Apdu<'_>) -> Result<Vec<u8>, u16> {
        let (file, offset) = self.place(apdu.parameters)?;
        let mode = self.files[file].mode_for(Access::Read, self.dialogue.key_number());
        if mode != Ok(CommMode::Plain) {
            return Err(status::ISO_SECURITY);
        }
        let content = self.shown(file);
        let rest = content.get(offset..).ok_or(status::ISO_PARAMETERS)?;
        Ok(answer(&rest[..rest.len().min(apdu.expected)], status::DONE))
    }

    fn update_binary(&mut self, apdu: &Apdu<'_>) -> u16 {
        let (file, offset) = match self.place(apdu.parameters) {
            Ok(place) => place,
            Err(status) => return status,
        };
        let mode = self.files[file].mode_for(Access::Write, self.dialogue.key_number());
        if mode != Ok(CommMode::Plain) {
            return status::ISO_SECURITY;
        }
        let end = offset + apdu.data.len();
        match self.files[file].content.get_mut(offset..end) {
            Some(_) if apdu.data.is_empty() => status::ISO_LENGTH,
            Some(room) => {
                room.copy_from_slice(apdu.data);
                status::DONE
            }
            None => status::ISO_PARAMETERS,
        }
    }

    /// What a file shows: outside of a session, a file that mirrors shows what it mirrors.
    fn shown(&mut self, file: usize) -> Vec<u8> {
        let File { content, sdm, .. } = &self.files[file];
        match sdm {
            Some(sdm) if self.dialogue.key_number().is_none() => {
                if !self.counted {
                    self.counted = true;
                    self.readings = (self.readings + 1).min(0x00ff_ffff);
                }
                // The same for all of one reading, which may take several commands.
                let random = Random::of(u64::from(self.readings)).next();
                let reading = Reading { uid: self.uid, counter: self.readings, random };
                sdm.mirrored(content, &reading, &self.keys)
            }
            _ => content.clone(),
        }
    }

    fn authenticate(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let [number, capabilities, rest @ ..] = data else { return Err(status::LENGTH) };
        if rest.len() != usize::from(*capabilities) || rest.len() > 6 {
            return Err(status::LENGTH);
        }
        let key = self.keys.get(usize::from(*number)).ok_or(status::NO_SUCH_KEY)?.bytes;
        Ok(self.dialogue.challenge(*number, key, &mut self.random))
    }

    fn read_data(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let file = file_number(*data.first().ok_or(status::LENGTH)?)?;
        let mode = self.files[file].mode_for(Access::Read, self.dialogue.key_number())?;
        // What the command says is never encrypted: it is all header.
        let (header, rest) = self.dialogue.received(0xad, mode, 7, data)?;
        if !rest.is_empty() {
            return Err(status::LENGTH);
        }
        let (offset, length) = range(header);
        let content = self.shown(file);
        let rest = content.get(offset..).ok_or(status::BOUNDARY)?;
        let part = if length == 0 { rest } else { rest.get(..length).ok_or(status::BOUNDARY)? };
        let answer = self.dialogue.answered(mode, part);
        // The length of an answer is a byte, of which 0 means 256; the status comes on top.
        if answer.len() > LONGEST + 2 { Err(status::LENGTH) } else { Ok(answer) }
    }

    fn write_data(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let file = file_number(*data.first().ok_or(status::LENGTH)?)?;
        let mode = self.files[file].mode_for(Access::Write, self.dialogue.key_number())?;
        let (header, new) = self.dialogue.received(0x8d, mode, 7, data)?;
        let (offset, length) = range(header);
        if new.len() != length || new.is_empty() {
            return Err(status::LENGTH);
        }
        let room = self.files[file].content.get_mut(offset..offset + length);
        room.ok_or(status::BOUNDARY)?.copy_from_slice(&new);
        Ok(self.dialogue.answered(mode, &[]))
    }

    fn change_file_settings(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        let number = file_number(*data.first().ok_or(status::LENGTH)?)?;
        let file = &mut self.files[number];
        let mode = file.mode_for(Access::Change, self.dialogue.key_number())?;
        let (_, settings) = self.dialogue.received(0x5f, mode, 1, data)?;
        let [option, low, high, rest @ ..] = &settings[..] else { return Err(status::LENGTH) };
        let comm_mode = match option & 0x03 {
            0x01 => CommMode::Mac,
            0x03 => CommMode::Full,
            _ => CommMode::Plain,
        };
        let rights = [*low, *high];
        let known = |right: u8| !(5..FREE).contains(&right);
        if option & !0x43 != 0 || !rights.iter().all(|two| known(two >> 4) && known(two & 0x0f)) {
            return Err(status::PARAMETER);
        }
        let sdm = match (option & 0x40 != 0, rest) {
            (true, _) if number != NDEF => return Err(status::PARAMETER),
            (true, rest) => Some(Sdm::parse(rest, file.content.len())?),
            (false, []) => None,
            (false, _) => return Err(status::LENGTH),
        };
        if sdm.is_some() && file.sdm.is_none() {
            // It counts anew from where mirroring is switched on.
            self.readings = 0;
        }
        (file.mode, file.rights, file.sdm) = (comm_mode, rights, sdm);
        Ok(self.dialogue.answered(mode, &[]))
    }

    fn change_key(&mut self, data: &[u8]) -> Result<Vec<u8>, u16> {
        if self.dialogue.key_number() != Some(0) {
            return Err(status::AUTHENTICATION);
        }
        let (header, new) = self.dialogue.received(0xc4, CommMode::Full, 1, data)?;
        let number = header[0];
        let key = self.keys.get_mut(usize::from(number)).ok_or(status::NO_SUCH_KEY)?;
        *key = key.changed(&new, number == 0)?;
        Ok(if number == 0 {
            self.dialogue.over()
        } else {
            self.dialogue.answered(CommMode::Full, &[])
        })
    }

    /// GetVersion's three frames: hardware, software, and this chip.
    fn version(&self) -> [Vec<u8>; 3] {
        [
            vec![0x04, 0x04, 0x02, 0x30, 0x00, 0x11, 0x05],
            vec![0x04, 0x04, 0x02, 0x01, 0x02, 0x11, 0x05],
            // Batch, week and year of production.
            [&self.uid[..], &[0xcf, 0x39, 0xd4, 0x49, 0x80, 0x34, 0x20]].concat(),
        ]
    }
}

/// Where the file of this number stands.
fn file_number(number: u8) -> Result<usize, u16> {
    let file = usize::from(number).checked_sub(1).filter(|file| *file < FILES.len());
    file.ok_or(status::NO_SUCH_FILE)
}

/// The offset and the length in a header of a file number and twice three bytes.
fn range(header: &[u8]) -> (usize, usize) {
    let number = |at: usize| {
        (at..at + 3)
            .rev()
            .fold(0, |sum, at| sum << 8 | header.get(at).copied().map_or(0, usize::from))
    };
    (number(1), number(4))
}

/// What GetFileSettings says: a file of standard data.
fn settings_of(file: &File) -> Vec<u8> {
    let mode = match file.mode {
        CommMode::Plain => 0x00,
        CommMode::Mac => 0x01,
        CommMode::Full => 0x03,
    };
    let mirrors = if file.sdm.is_some() { 0x40 } else { 0x00 };
    // At the most 256 bytes.
    let [_, _, middle, low] = u32::try_from(file.content.len()).unwrap_or(u32::MAX).to_be_bytes();
    let head = [0x00, mode | mirrors, file.rights[0], file.rights[1], low, middle, 0x00];
    let sdm = file.sdm.as_ref().map_or(&[][..], |sdm| &sdm.settings);
    [&head[..], sdm].concat()
}

impl ApduCard for Ntag424 {
    fn dialogue(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    fn native(&mut self, instruction: u8, data: &[u8]) -> Result<Vec<u8>, u16> {
        if instruction == ADDITIONAL_FRAME {
            return Ok(self.dialogue.additional_frame(data));
        }
        let mac_if_open = self.dialogue.mac_if_open();
        if instruction == 0x60 {
            self.dialogue.received(instruction, mac_if_open, 0, data)?;
            return Ok(self.dialogue.answered_in_frames(&self.version()));
        }
        if self.selected == Selected::Nothing {
            return Err(status::PERMISSION_DENIED);
        }
        match instruction {
            AUTHENTICATE_EV2_FIRST => self.authenticate(data),
            0xad => self.read_data(data),
            0x8d => self.write_data(data),
            0x5f => self.change_file_settings(data),
            0xc4 => self.change_key(data),
            // GetFileSettings.
            0xf5 => {
                let (header, _) = self.dialogue.received(instruction, mac_if_open, 1, data)?;
                let settings = settings_of(&self.files[file_number(header[0])?]);
                Ok(self.dialogue.answered(mac_if_open, &settings))
            }
            // GetKeyVersion.
            0x64 => {
                let (header, _) = self.dialogue.received(instruction, mac_if_open, 1, data)?;
                let key = self.keys.get(usize::from(header[0])).ok_or(status::NO_SUCH_KEY)?;
                Ok(self.dialogue.answered(mac_if_open, &[key.version]))
            }
            // GetCardUID.
            0x51 => {
                self.dialogue.received(instruction, CommMode::Mac, 0, data)?;
                Ok(self.dialogue.answered(CommMode::Full, &self.uid))
            }
            _ => Err(status::ILLEGAL_COMMAND),
        }
    }

    fn iso(&mut self, apdu: &Apdu<'_>) -> Vec<u8> {
        match apdu.instruction {
            0xa4 => answer(&[], self.select(apdu)),
            0xb0 => self.read_binary(apdu).unwrap_or_else(|status| answer(&[], status)),
            0xd6 => answer(&[], self.update_binary(apdu)),
            _ => answer(&[], status::ISO_INSTRUCTION),
        }
    }
}

#[cfg(test)]
mod tests;
