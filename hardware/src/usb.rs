//! Readers on USB, as the kernel lists them below `/sys`: which are plugged in, and where.
//!
//! Everything is read below a root folder, so that a machine can be made up in a test.

use std::fs;
use std::path::{Path, PathBuf};

/// A reader by its USB numbers. Sources: libnfc 1.8 (`drivers/pn53x_usb.c`, `drivers/acr122_usb.c`) and
/// the list of readers that the CCID driver supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    vendor: u16,
    product: u16,
    /// What people call it.
    pub name: &'static str,
    /// What drives it.
    pub driver: Driver,
}

/// What drives a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// libnfc's driver for PN531 and PN533.
    Pn53xUsb,
    /// libnfc's driver for the ACR122 family.
    Acr122Usb,
    /// PC/SC.
    Pcsc,
}

impl Driver {
    /// What libnfc calls it, where it is one of libnfc's.
    pub fn of_libnfc(self) -> Option<&'static str> {
        match self {
            Self::Pn53xUsb => Some("pn53x_usb"),
            Self::Acr122Usb => Some("acr122_usb"),
            Self::Pcsc => None,
        }
    }
}

const KNOWN: [Known; 16] = [
    known(0x04cc, 0x0531, "Philips PN531", Driver::Pn53xUsb),
    known(0x04cc, 0x2533, "NXP PN533", Driver::Pn53xUsb),
    known(0x04e6, 0x5591, "SCM SCL3711", Driver::Pn53xUsb),
    known(0x04e6, 0x5594, "SCM SCL3712", Driver::Pn53xUsb),
    known(0x054c, 0x0193, "Sony PN531", Driver::Pn53xUsb),
    known(0x054c, 0x02e1, "Sony FeliCa S360 (PN533)", Driver::Pn53xUsb),
    known(0x1fd3, 0x0608, "ASK LoGO", Driver::Pn53xUsb),
    known(0x072f, 0x2200, "ACS ACR122U", Driver::Acr122Usb),
    known(0x072f, 0x2214, "ACS ACR1222", Driver::Acr122Usb),
    known(0x072f, 0x90cc, "Touchatag", Driver::Acr122Usb),
    known(0x072f, 0x223b, "ACS ACR1252U", Driver::Pcsc),
    known(0x072f, 0x223e, "ACS ACR1252U", Driver::Pcsc),
    known(0x076b, 0x5321, "Omnikey 5321", Driver::Pcsc),
    known(0x076b, 0x5422, "Omnikey 5422", Driver::Pcsc),
    known(0x04e6, 0x5790, "Identiv uTrust 3700", Driver::Pcsc),
    known(0x04e6, 0x5724, "Identiv uTrust 4701", Driver::Pcsc),
];

const fn known(vendor: u16, product: u16, name: &'static str, driver: Driver) -> Known {
    Known { vendor, product, name, driver }
}

/// A reader that is plugged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsbReader {
    /// Which it is.
    pub known: Known,
    /// Where it is plugged in, as the kernel names ports: `1-2`, behind a hub `1-2.4`. It stays when the
    /// reader is unplugged and comes back; the device number does not.
    pub port: String,
    /// The number of its bus.
    pub bus: u16,
    /// Its number on the bus: another at each time that it is plugged in.
    pub device: u16,
    /// Its device node.
    pub node: PathBuf,
    /// The kernel driver that holds its interface.
    pub held_by: Option<String>,
}

impl UsbReader {
    /// What libnfc calls it until it is unplugged, where libnfc drives it.
    fn connection(&self) -> Option<String> {
        let driver = self.known.driver.of_libnfc()?;
        Some(format!("{driver}:{:03}:{:03}", self.bus, self.device))
    }
}

/// The readers that are plugged in, by port.
pub fn readers(root: &Path) -> Vec<UsbReader> {
    let devices = root.join("sys/bus/usb/devices");
    entries(&devices).iter().filter_map(|path| reader(root, &devices, path)).collect()
}

fn reader(root: &Path, devices: &Path, path: &Path) -> Option<UsbReader> {
    let text = |name: &str| Some(fs::read_to_string(path.join(name)).ok()?.trim().to_owned());
    let hex = |name: &str| u16::from_str_radix(&text(name)?, 16).ok();
    let number = |name: &str| -> Option<u16> { text(name)?.parse().ok() };
    let numbers = (hex("idVendor")?, hex("idProduct")?);
    let known = KNOWN.iter().find(|it| (it.vendor, it.product) == numbers)?;
    let (bus, device) = (number("busnum").unwrap_or(0), number("devnum").unwrap_or(0));
    let port = path.file_name()?.to_string_lossy().into_owned();
    let held_by = fs::read_link(devices.join(format!("{port}:1.0/driver"))).ok();
    let held_by = held_by.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
    let node = root.join(format!("dev/bus/usb/{bus:03}/{device:03}"));
    Some(UsbReader { known: *known, port, bus, device, node, held_by })
}

/// What to open for a connection string of libnfc's, or of ours: `pn53x_usb@1-2` is the reader on that port.
/// Nothing where it is one on USB that is not plugged in; any other string is itself.
pub fn plugged_in(root: &Path, connection: &str) -> Option<String> {
    let (driver, place) = match connection.split_once(['@', ':']) {
        Some((driver, place)) => (driver, Some(place)),
        None => (connection, None),
    };
    if KNOWN.iter().all(|known| known.driver.of_libnfc() != Some(driver)) {
        return Some(connection.to_owned());
    }
    let by_port = connection.contains('@');
    readers(root).into_iter().find_map(|reader| {
        let open =
            reader.connection().filter(|_| reader.known.driver.of_libnfc() == Some(driver))?;
        match place {
            Some(place) if by_port => (reader.port == place).then_some(open),
            // A bus alone, or bus and device, as libnfc has them. Both are always said: with less than that
            // libnfc 1.8 takes the first device that it may open, whatever it is.
            Some(_) => open.starts_with(connection).then_some(open),
            None => Some(open),
        }
    })
}

/// What is in a folder, by name; nothing where there is none.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plug(root: &Path, port: &str, (vendor, product): (&str, &str), device: u16) {
        let folder = root.join("sys/bus/usb/devices").join(port);
        fs::create_dir_all(&folder).unwrap();
        let device = format!("{device}\n");
        for (name, text) in
            [("idVendor", vendor), ("idProduct", product), ("busnum", "1\n"), ("devnum", &device)]
        {
            fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn a_reader_is_known_by_its_port_whatever_number_it_has_this_time() {
        let machine = tempfile::tempdir().unwrap();
        let root = machine.path();
        let open = |connection| plugged_in(root, connection);
        assert_eq!(open("pn53x_usb@1-2"), None);
        assert_eq!(open("pn53x_usb"), None);
        plug(root, "1-2", ("04e6\n", "5591\n"), 5);
        plug(root, "1-3.1", ("04cc\n", "2533\n"), 6);
        plug(root, "1-4", ("072f\n", "2200\n"), 7);
        assert_eq!(open("pn53x_usb@1-2").as_deref(), Some("pn53x_usb:001:005"));
        assert_eq!(open("pn53x_usb@1-3.1").as_deref(), Some("pn53x_usb:001:006"));
        assert_eq!(open("pn53x_usb@1-4"), None, "another driver's");
        assert_eq!(open("acr122_usb@1-4").as_deref(), Some("acr122_usb:001:007"));
        for (chosen, opened) in [
            ("pn53x_usb", "pn53x_usb:001:005"),
            ("pn53x_usb:001", "pn53x_usb:001:005"),
            ("pn53x_usb:001:006", "pn53x_usb:001:006"),
            ("acr122_usb", "acr122_usb:001:007"),
        ] {
            assert_eq!(open(chosen).as_deref(), Some(opened), "and no other device");
        }
        assert_eq!(open("pn53x_usb:001:009"), None);
        // Unplugged and plugged in again.
        fs::remove_dir_all(root.join("sys/bus/usb/devices/1-2")).unwrap();
        assert_eq!(open("pn53x_usb@1-2"), None);
        plug(root, "1-2", ("04e6\n", "5591\n"), 9);
        assert_eq!(open("pn53x_usb@1-2").as_deref(), Some("pn53x_usb:001:009"));
    }

    #[test]
    fn the_udev_rule_has_every_reader_that_libnfc_drives() {
        let rule = include_str!("../../packaging/60-stempel-readers.rules");
        for known in KNOWN.iter().filter(|known| known.driver.of_libnfc().is_some()) {
            let Known { vendor, product, name, .. } = known;
            let line =
                format!("ATTR{{idVendor}}==\"{vendor:04x}\", ATTR{{idProduct}}==\"{product:04x}\"");
            assert!(rule.contains(&line), "{name}: {line}");
        }
    }

    #[test]
    fn what_is_not_on_usb_is_itself() {
        let machine = tempfile::tempdir().unwrap();
        for connection in ["pn532_uart:/dev/ttyUSB0", "arygon:/dev/ttyACM0", "pn532_i2c:/dev/i2c-1"]
        {
            assert_eq!(plugged_in(machine.path(), connection).as_deref(), Some(connection));
        }
    }
}
