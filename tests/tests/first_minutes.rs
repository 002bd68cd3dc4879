//! From a fresh clone to the demonstration: what `./dev` installs, and that nothing is built twice.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The crates that are built along these edges, each with its features.
fn crates(edges: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--offline", "--locked", "--workspace", "--prefix", "none"];
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--format", "{p} {f}", "--edges", edges])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

/// Cargo builds a crate again where it is wanted with other features. `./dev demo` builds without the dev-dependencies
/// and `./dev test` with them: so one that gives a feature to a crate that the programs use has to stand among the
/// ordinary dependencies.
#[test]
fn what_the_demonstration_has_built_is_not_built_again_for_the_tests() {
    for (demonstration, tests) in [
        ("normal,no-proc-macro", "normal,dev,no-proc-macro"),
        // What runs in the compiler besides.
        ("normal,build", "normal,build,dev"),
    ] {
        let tests = crates(tests);
        let again: Vec<_> = crates(demonstration).difference(&tests).cloned().collect();
        assert_eq!(again, Vec::<String>::new(), "along {demonstration}");
    }
}

#[test]
fn sqlite_is_compiled_once_and_no_macro_of_sqlx_compiles_it_again() {
    let built = crates("normal,build");
    let named = |name: &str| built.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(named("libsqlite3-sys "), 1);
    assert_eq!(named("sqlx-macros"), 0);
}

/// A machine of which only `./dev` sees this: a home, and a folder of programs that say what they were asked.
struct Machine(tempfile::TempDir);

impl Machine {
    /// With what every Debian has, and packages that are installed already.
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(machine.0.path().join("home/.cargo/bin")).unwrap();
        fs::create_dir_all(machine.0.path().join("bin")).unwrap();
        for tool in [
            "bash", "sh", "cut", "df", "tail", "tr", "sort", "head", "grep", "cat", "chmod",
            "dirname", "cp",
        ] {
            let real = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
            let real = real.iter().find(|path| path.exists()).expect("a Debian has it");
            symlink(real, machine.0.path().join("bin").join(tool)).unwrap();
        }
        machine.program("dpkg-query", "[ \"$3\" = rustup ] || echo 'install ok installed'");
        machine.program("apt-cache", "exit 100");
        machine.program("id", "echo 0");
        machine.program("apt-get", "");
        machine
    }

    /// Puts a program on the path. It notes how it was called before it does what it does.
    fn program(&self, name: &str, does: &str) {
        self.write(&format!("bin/{name}"), name, does);
    }

    fn write(&self, path: &str, name: &str, does: &str) {
        let home = self.0.path().display();
        let path = self.0.path().join(path);
        fs::write(&path, format!("#!/bin/sh\necho \"{name} $*\" >>{home}/asked\n{does}\n"))
            .unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A Rust of this version, as Debian's packages install it.
    fn rust(&self, version: &str) {
        self.program("rustc", &format!("echo 'rustc {version} (of a test)'"));
        self.program("cargo", "");
    }

    /// What the script of rustup.rs does, once it is run: it installs a new Rust in the home.
    fn script_of_rustup(&self) {
        let shelf = self.0.path().join("shelf");
        fs::create_dir(&shelf).unwrap();
        self.write("shelf/rustc", "rustc", "echo 'rustc 9.99.0 (of a test)'");
        self.write("shelf/cargo", "cargo", "");
        let (home, shelf) = (self.0.path().display(), shelf.display());
        let script =
            format!("echo \"script $*\" >>{home}/asked; cp {shelf}/* \"$HOME/.cargo/bin\"");
        self.program("curl", &format!("cat <<'END'\n{script}\nEND"));
    }

    fn setup(&self) -> Output {
        Command::new(Path::new(ROOT).join("dev"))
            .arg("setup")
            .env_clear()
            .env("HOME", self.0.path().join("home"))
            .env("PATH", self.0.path().join("bin"))
            .output()
            .unwrap()
    }

    /// What was asked of programs, in order, where it has to do with installing Rust.
    fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.0.path().join("asked")).unwrap_or_default();
        let told = ["curl", "script", "apt-get", "rustup"];
        asked
            .lines()
            .filter(|line| told.iter().any(|t| line.starts_with(t)))
            .map(String::from)
            .collect()
    }
}

fn assert_succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const OFFICIAL: [&str; 2] =
    ["curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs", "script -y --profile minimal"];

#[test]
fn debian_12_which_has_no_package_of_rustup_gets_rust_by_the_official_script() {
    let machine = Machine::new();
    machine.script_of_rustup();
    assert_succeeds(&machine.setup());
    assert_eq!(machine.asked(), OFFICIAL);
    assert_succeeds(&machine.setup());
    assert_eq!(machine.asked(), OFFICIAL, "and only once");
}

#[test]
fn a_rust_that_is_too_old_stays_and_a_newer_one_is_installed_beside_it() {
    let machine = Machine::new();
    machine.rust("1.63.0");
    machine.script_of_rustup();
    assert_succeeds(&machine.setup());
    assert_eq!(machine.asked(), OFFICIAL);
}

#[test]
fn where_rustup_is_a_package_the_package_is_installed() {
    let machine = Machine::new();
    machine.program("apt-cache", "");
    machine.program("rustup", "");
    let bin = machine.0.path().join("bin");
    // Only once it is installed it is there.
    fs::rename(bin.join("rustup"), machine.0.path().join("rustup")).unwrap();
    machine.write("rustc", "rustc", "echo 'rustc 9.99.0 (of a test)'");
    machine.write("cargo", "cargo", "");
    let folder = machine.0.path().display();
    machine.program(
        "apt-get",
        &format!(
            "[ \"$1\" = update ] || cp {folder}/rustup {folder}/rustc {folder}/cargo {folder}/bin"
        ),
    );
    assert_succeeds(&machine.setup());
    assert_eq!(
        machine.asked(),
        [
            "apt-get update -q",
            "apt-get install -y -q --no-install-recommends rustup",
            "rustup default stable"
        ]
    );
}

#[test]
fn an_old_toolchain_of_rustup_stays_the_default_and_a_stable_one_is_installed() {
    let machine = Machine::new();
    machine.program("rustup", "");
    machine.rust("1.70.0");
    machine.program(
        "rustc",
        "[ \"$RUSTUP_TOOLCHAIN\" = stable ] && echo 'rustc 9.99.0 (new)' || echo 'rustc 1.70.0 (old)'",
    );
    assert_succeeds(&machine.setup());
    assert_eq!(machine.asked(), ["rustup toolchain install stable --profile minimal"]);
}

#[test]
fn a_rust_that_is_new_enough_is_left_alone() {
    let machine = Machine::new();
    machine.rust("9.99.0");
    assert_succeeds(&machine.setup());
    assert_eq!(machine.asked(), Vec::<String>::new());
}

#[test]
fn where_the_script_brings_nothing_it_is_said_which_rust_is_needed() {
    let machine = Machine::new();
    machine.rust("1.63.0");
    machine.program("curl", "");
    let output = machine.setup();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("rustc 1.63.0 (of a test) is here, Stempel needs Rust 1.95"), "{said}");
}
