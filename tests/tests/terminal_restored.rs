//! Whatever ends the console, the terminal is as it was. No daemon is needed for that.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use rustix::process::Signal;
use rustix::termios::{LocalModes, OutputModes, Termios};
use stempel_tests::program;
use stempel_tests::terminal::Terminal;
use tui::terminal::{Screen, fault_count, take_faults};

const NOWHERE: [&str; 6] = ["--folder", "/nowhere/desk", "--language", "nl", "--reader", "none"];

/// What the console shows as soon as it has drawn itself.
const DRAWN: &str = "F2";

fn is_raw(modes: &Termios) -> bool {
    !modes.local_modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
}

fn console() -> Terminal {
    let mut terminal = Terminal::open(&NOWHERE);
    terminal.wait_for(DRAWN);
    assert!(is_raw(&terminal.modes()) && terminal.screen().alternate_screen());
    terminal
}

/// The terminal is what it was at a login.
fn assert_given_back(terminal: &Terminal) {
    let modes = terminal.modes();
    let canonical = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    assert!(modes.local_modes.contains(canonical), "{modes:?}");
    assert!(modes.output_modes.contains(OutputModes::OPOST), "{modes:?}");
    let screen = terminal.screen();
    assert!(!screen.alternate_screen(), "the alternate screen was left");
    assert!(!screen.bracketed_paste(), "pastes are plain text again");
    assert!(!screen.hide_cursor(), "the cursor is seen");
}

#[test]
fn the_terminal_is_given_back_whichever_signal_ends_the_console() {
    for (signal, number) in
        [(Signal::TERM, 15), (Signal::INT, 2), (Signal::HUP, 1), (Signal::QUIT, 3)]
    {
        let mut terminal = console();
        terminal.signal(signal);
        assert_eq!(terminal.wait_for_end().exit_code(), 128 + number, "{signal:?}");
        assert_given_back(&terminal);
    }
}

#[test]
fn after_a_stop_and_a_continue_the_console_is_raw_and_drawn_again() {
    let mut terminal = console();
    // SIGTSTP can be heard: the terminal is given back before the console stops.
    terminal.signal(Signal::TSTP);
    terminal.wait_until_stopped();
    assert!(!is_raw(&terminal.modes()), "whoever has the terminal now can type");
    terminal.forget_screen();
    terminal.signal(Signal::CONT);
    terminal.wait_for(DRAWN);
    assert!(is_raw(&terminal.modes()) && terminal.screen().alternate_screen());

    // SIGSTOP cannot: a shell puts the terminal right, and writes on it.
    terminal.signal(Signal::STOP);
    terminal.wait_until_stopped();
    terminal.change_modes(|modes| {
        modes.local_modes |= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    });
    terminal.forget_screen();
    terminal.signal(Signal::CONT);
    terminal.wait_for(DRAWN);
    assert!(is_raw(&terminal.modes()));
    terminal.signal(Signal::TERM);
    terminal.wait_for_end();
    assert_given_back(&terminal);
}

#[test]
fn a_console_that_starts_in_a_terminal_that_was_left_raw_leaves_it_sane() {
    let mut terminal = Terminal::run(&program("stempel"), &NOWHERE, &[], Termios::make_raw);
    terminal.wait_for(DRAWN);
    terminal.signal(Signal::TERM);
    terminal.wait_for_end();
    assert_given_back(&terminal);
}

/// Set where this test is its own child, which panics: `here` on the console's thread, `beside` on another one.
const PANICS: &str = "STEMPEL_TEST_PANICS";

#[test]
fn after_a_panic_the_terminal_is_given_back_and_what_happened_can_be_read() {
    match std::env::var(PANICS).as_deref() {
        Ok("here") => {
            let mut screen = Screen::take().unwrap();
            screen.draw(|_| panic!("planted while drawing")).unwrap();
        }
        Ok(_) => {
            let mut screen = Screen::take().unwrap();
            let ended = std::thread::spawn(|| panic!("planted beside the console")).join();
            assert!(ended.is_err() && fault_count() == 1);
            screen.draw(|frame| frame.render_widget("the console goes on", frame.area())).unwrap();
            drop(screen);
            eprintln!("{}", take_faults().join("\n"));
        }
        Err(_) => {
            let this = std::env::current_exe().unwrap();
            let name = "after_a_panic_the_terminal_is_given_back_and_what_happened_can_be_read";
            let arguments = ["--exact", name, "--nocapture", "--test-threads", "1"];
            for (place, said) in
                [("here", "planted while drawing"), ("beside", "planted beside the console")]
            {
                let mut terminal = Terminal::run(&this, &arguments, &[(PANICS, place)], |_| {});
                terminal.wait_for_end();
                assert_given_back(&terminal);
                let written = String::from_utf8_lossy(&terminal.written);
                let (_, after) = written.rsplit_once("\x1b[?1049l").unwrap();
                assert!(after.contains(said), "{place}: {after:?}");
            }
        }
    }
}
