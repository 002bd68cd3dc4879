//! `stempel doctor reader`: which readers are plugged in, who drives them, and what stands in the way.
//! It only looks; what it finds is a sentence with what to do.
//!
//! Everything is read below a root folder, so that a machine can be made up in a test.

pub mod scanner;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hardware::usb::{Driver, Known, UsbReader, entries, readers};
use rustix::fs::{Access, access};
use serde::Serialize;

/// Kernel modules that take PN53x readers for themselves.
const GRABBING: [&str; 2] = ["pn533_usb", "pn533"];

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Hint,
    /// It stands in the way.
    Trouble,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How grave it is.
    pub grade: Grade,
    /// What is so.
    pub what: String,
    /// What to do about it, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub do_this: Option<String>,
}

impl Finding {
    fn fine(what: String) -> Self {
        Self { grade: Grade::Fine, what, do_this: None }
    }

    fn new(grade: Grade, what: String, do_this: &str) -> Self {
        Self { grade, what, do_this: Some(do_this.to_owned()) }
    }
}

/// Looks at the machine below this root (`/`).
pub fn look(root: &Path) -> Vec<Finding> {
    let modules = modules(root);
    // Where systemd starts it when it is asked for, there is its socket and no process.
    let pcscd = runs(root, "pcscd") || root.join("run/pcscd/pcscd.comm").exists();
    let readers = readers(root);
    let mut found = Vec::new();
    for reader in &readers {
        let same = |other: &&UsbReader| other.known.driver == reader.known.driver;
        let others = readers.iter().filter(same).count() > 1;
        found.extend(findings(reader, &modules, pcscd, others));
    }
    let mut findings = found;
    // Many a computer has buses for other things: they are worth a word where nothing else was found.
    let mut ports = ports(root);
    ports.retain(|port| readers.is_empty() || port.kind.driver == "pn532_uart");
    findings.extend(ports.iter().map(Port::finding));
    if readers.is_empty() && ports.is_empty() {
        findings.push(Finding::new(
            Grade::Trouble,
            "No reader was found: neither on USB nor on a serial port, I2C or SPI.".to_owned(),
            "Plug the reader in, try another cable or port, and run this again. Without a reader: stempel --reader none",
        ));
    }
    findings
}

/// What stands in the way of a reader on USB. `others` says that it must be told from others of its driver.
fn findings(
    reader: &UsbReader,
    modules: &BTreeSet<String>,
    pcscd: bool,
    others: bool,
) -> Vec<Finding> {
    let Known { name, driver, .. } = reader.known;
    let mut findings = Vec::new();
    if driver != Driver::Pcsc {
        if access(&reader.node, Access::READ_OK | Access::WRITE_OK).is_err() {
            findings.push(Finding::new(
                    Grade::Trouble,
                    format!("{name}: this user may not use {}.", reader.node.display()),
                    "Install the udev rule and join the group: sudo cp packaging/60-stempel-readers.rules /etc/udev/rules.d/ && sudo udevadm control --reload && sudo usermod -aG plugdev $USER; then plug the reader in again and log in anew",
                ));
        }
        let grabbed = reader.held_by.as_deref().is_some_and(|it| GRABBING.contains(&it));
        if grabbed || GRABBING.iter().any(|module| modules.contains(*module)) {
            let (grade, takes) =
                if grabbed { (Grade::Trouble, "takes") } else { (Grade::Hint, "may take") };
            findings.push(Finding::new(
                    grade,
                    format!("{name}: the kernel's own NFC driver {takes} this reader."),
                    "Keep it away: printf 'blacklist pn533_usb\\nblacklist pn533\\nblacklist nfc\\n' | sudo tee /etc/modprobe.d/stempel-nfc.conf && sudo modprobe -r pn533_usb; then plug the reader in again",
                ));
        }
        if pcscd {
            findings.push(Finding::new(
                    Grade::Hint,
                    format!("{name}: pcscd runs and may hold this reader."),
                    "Use it through PC/SC (stempel --reader pcsc), or stop pcscd: sudo systemctl disable --now pcscd.socket pcscd",
                ));
        }
    } else if !pcscd {
        findings.push(Finding::new(
                Grade::Trouble,
                format!("{name}: this reader is driven through PC/SC, and pcscd does not run."),
                "Install and start it: sudo apt install pcscd && sudo systemctl enable --now pcscd.socket",
            ));
    }
    if findings.iter().all(|finding| finding.grade != Grade::Trouble) {
        let how = driver.of_libnfc().map_or("PC/SC", |_| "libnfc");
        let found = Finding::fine(format!("{name}: found; {how} drives it."));
        let by_port = driver
            .of_libnfc()
            .filter(|_| others)
            .map(|driver| format!("To choose this one: stempel --reader {driver}@{}", reader.port));
        findings.insert(0, Finding { do_this: by_port, ..found });
    }
    findings
}

/// A port on which a reader may be that no system can tell from something else.
struct Port {
    path: PathBuf,
    kind: &'static PortKind,
}

/// What kind of port it is, by how its name begins; what libnfc calls a PN532 there, and whose it is.
struct PortKind {
    begins: &'static str,
    name: &'static str,
    driver: &'static str,
    group: &'static str,
}

const PORTS: [PortKind; 4] = [
    port_kind("ttyUSB", "a serial port", "pn532_uart", "dialout"),
    port_kind("ttyACM", "a serial port", "pn532_uart", "dialout"),
    port_kind("i2c-", "an I2C bus", "pn532_i2c", "i2c"),
    port_kind("spidev", "an SPI bus", "pn532_spi", "spi"),
];

const fn port_kind(
    begins: &'static str,
    name: &'static str,
    driver: &'static str,
    group: &'static str,
) -> PortKind {
    PortKind { begins, name, driver, group }
}

/// Ports on which a PN532 may be, or on a serial one an Arygon.
fn ports(root: &Path) -> Vec<Port> {
    let port = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let kind = PORTS.iter().find(|kind| name.starts_with(kind.begins))?;
        Some(Port { path, kind })
    };
    entries(&root.join("dev")).into_iter().filter_map(port).collect()
}

impl Port {
    fn finding(&self) -> Finding {
        let shown = self.path.display();
        let PortKind { name, driver, group, .. } = self.kind;
        if access(&self.path, Access::READ_OK | Access::WRITE_OK).is_ok() {
            Finding::new(
                Grade::Hint,
                format!("{shown}: {name}. A PN532 may be on it."),
                &format!("Try it: stempel --reader {driver}:{shown}"),
            )
        } else {
            Finding::new(
                Grade::Trouble,
                format!("{shown}: {name} that this user may not use."),
                &format!("Join its group and log in anew: sudo usermod -aG {group} $USER"),
            )
        }
    }
}

fn modules(root: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(root.join("proc/modules")).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

fn runs(root: &Path, program: &str) -> bool {
    entries(&root.join("proc")).iter().any(|process| {
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == program)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine made up of files.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, path: &str, contents: &str) -> &Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
            self
        }

        fn usb(&self, vendor: &str, product: &str) -> &Self {
            self.file("sys/bus/usb/devices/1-2/idVendor", vendor)
                .file("sys/bus/usb/devices/1-2/idProduct", product)
                .file("sys/bus/usb/devices/1-2/busnum", "1\n")
                .file("sys/bus/usb/devices/1-2/devnum", "7\n")
                .file("dev/bus/usb/001/007", "")
        }

        fn found(&self) -> Vec<(Grade, String)> {
            let found = look(self.0.path()).into_iter();
            found.map(|finding| (finding.grade, finding.what)).collect()
        }
    }

    #[test]
    fn a_reader_that_nothing_keeps_away_is_fine() {
        let machine = Machine::new();
        machine.usb("072f\n", "2200\n");
        let found = machine.found();
        assert_eq!(found, [(Grade::Fine, "ACS ACR122U: found; libnfc drives it.".to_owned())]);
    }

    #[test]
    fn what_takes_a_reader_away_is_named_with_what_to_do() {
        let machine = Machine::new();
        machine.usb("04cc", "2533").file("proc/modules", "pn533_usb 16384 0 - Live 0x0\n");
        let (found, hint) = (machine.found()[0].clone(), machine.found()[1].clone());
        assert_eq!(found, (Grade::Fine, "NXP PN533: found; libnfc drives it.".to_owned()));
        assert_eq!(hint.0, Grade::Hint, "it is there, and does not hold this reader");
        assert!(hint.1.contains("driver may take this reader"));
        let driver = machine.0.path().join("sys/bus/usb/devices/1-2:1.0/driver");
        fs::create_dir_all(driver.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("../../drivers/pn533_usb", driver).unwrap();
        assert_eq!(machine.found()[0].0, Grade::Trouble);
        assert!(machine.found()[0].1.contains("kernel's own NFC driver takes"));
        let machine = Machine::new();
        machine.usb("072f", "2200").file("proc/812/comm", "pcscd\n");
        assert!(machine.found().iter().any(|(_, what)| what.contains("pcscd runs")));
        let machine = Machine::new();
        machine.usb("076b", "5422");
        let found = look(machine.0.path());
        assert!(found[0].what.contains("pcscd does not run"));
        assert!(found[0].do_this.as_ref().unwrap().contains("apt install pcscd"));
        // systemd starts it when it is asked for: until then there is its socket.
        machine.file("run/pcscd/pcscd.comm", "");
        assert_eq!(machine.found()[0].0, Grade::Fine);
    }

    #[test]
    fn two_sticks_are_told_apart_by_their_ports() {
        let machine = Machine::new();
        machine.usb("04cc", "2533");
        assert_eq!(look(machine.0.path())[0].do_this, None, "there is one");
        for (name, text) in [("idVendor", "04e6"), ("idProduct", "5591"), ("devnum", "8")] {
            machine.file(&format!("sys/bus/usb/devices/1-3/{name}"), text);
        }
        machine.file("dev/bus/usb/000/008", "");
        let told: Vec<_> = look(machine.0.path()).into_iter().filter_map(|it| it.do_this).collect();
        assert!(told[0].ends_with("--reader pn53x_usb@1-2"), "{told:?}");
        assert!(told[1].ends_with("--reader pn53x_usb@1-3"), "{told:?}");
    }

    #[test]
    fn nothing_at_all_and_a_serial_port_are_said() {
        let machine = Machine::new();
        assert!(machine.found()[0].1.starts_with("No reader was found"));
        machine.file("dev/ttyUSB0", "");
        let found = look(machine.0.path());
        assert_eq!(found.len(), 1);
        assert!(found[0].do_this.as_ref().unwrap().contains("--reader pn532_uart:"));
        let board = Machine::new();
        board.file("dev/i2c-1", "").file("dev/spidev0.0", "");
        let tries: Vec<_> = look(board.0.path()).into_iter().filter_map(|it| it.do_this).collect();
        assert!(tries[0].contains("--reader pn532_i2c:") && tries[1].contains("pn532_spi:"));
        // Beside a reader on USB a bus is most likely something else's.
        board.usb("072f", "2200");
        assert!(look(board.0.path()).iter().all(|finding| !finding.what.contains("bus")));
    }
}
