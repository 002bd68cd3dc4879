//! The console: terminal, reader and daemon brought together. It moves messages; [`crate::app`]
//! says what they mean.

use std::io;
use std::time::{Duration, Instant};

use crossterm::event::{self, Event as TerminalEvent, KeyEvent, KeyEventKind};
use ratatui_image::picker::Picker;
use syncd::desk_api::client::DeskClient;
use tokio::sync::mpsc;
use tokio::time::Interval;

use crate::app::{Message, Model};
use crate::feedback;
use crate::i18n::{Language, Notice, Texts};
use crate::readers::Readers;
use crate::scan::Settings;
use crate::scan::wedge::{Input, Pressed, Wedge};
use crate::screens::desk::{Drawing, draw};
use crate::screens::picture::Pictures;
use crate::surroundings::{Surroundings, now, venue_zone};
use crate::terminal::{Ended, Interruption, Screen, Signals, fault_count, take_faults};
use crate::theme::Theme;
use service::out;

/// Keys that wait for the console at the most.
const QUEUE: usize = 256;

/// How often the clock ticks.
const TICK: Duration = Duration::from_millis(250);

/// Opens the console and runs it until it is quit, or a signal ends it. The terminal is then as it was.
///
/// # Errors
/// Whatever the terminal says.
pub async fn run(
    client: DeskClient,
    readers: Readers,
    scanner: Settings,
    feedback: feedback::Settings,
    language: Language,
) -> io::Result<Ended> {
    let slots = readers.slots();
    let (surroundings, receiver) = Surroundings::start(client, &readers, feedback)?;
    let signals = Signals::listen()?;
    let screen = Screen::take()?;
    let model = Model { scanner: scanner.clone(), ..Model::new(language, slots, now()) };
    let (presses, pressed) = mpsc::channel(QUEUE);
    let others = surroundings.sender();
    let clock = Instant::now();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let listened_to = match event {
                TerminalEvent::Key(key) if key.kind == KeyEventKind::Press => {
                    presses.blocking_send((Typed::Key(key), milliseconds(clock))).is_ok()
                }
                TerminalEvent::Paste(text) => {
                    presses.blocking_send((Typed::Paste(text), milliseconds(clock))).is_ok()
                }
                TerminalEvent::Resize(..) => others.blocking_send(Message::Tick(now())).is_ok(),
                _ => true,
            };
            if !listened_to {
                return;
            }
        }
    });
    let heard = Heard { pressed, receiver, wedge: Wedge::new(scanner), clock };
    // The screen is given back when this returns, before anything is printed.
    let ended = show(screen, signals, model, &surroundings, heard).await;
    for fault in take_faults() {
        out::error(&format!("stempel: a part of the console failed: {fault}"));
    }
    drop(surroundings);
    ended
}

async fn show(
    mut screen: Screen,
    mut signals: Signals,
    mut model: Model,
    surroundings: &Surroundings,
    mut heard: Heard,
) -> io::Result<Ended> {
    let mut drawing = Drawing {
        texts: Texts::new(model.language),
        theme: Theme::of_environment(),
        zone: venue_zone(),
        pictures: Pictures::new(pictures()),
    };
    let mut ticks = tokio::time::interval(TICK);
    let mut language = model.language;
    let mut faults = 0;
    while !model.over {
        screen.draw(|frame| draw(frame, &model, &drawing))?;
        let mut messages = tokio::select! {
            interruption = signals.next() => match interruption {
                Interruption::End(signal) => return Ok(Ended::Signal(signal)),
                Interruption::Suspend => {
                    screen.suspend();
                    continue;
                }
                Interruption::Resume => {
                    screen.resume()?;
                    continue;
                }
            },
            messages = heard.next(&mut ticks, model.screen) => match messages {
                Some(messages) => messages,
                None => return Err(io::Error::other("the terminal gives no keys any more")),
            },
        };
        if fault_count() > faults {
            faults = fault_count();
            messages.push(Message::Failed { notice: Notice::ConsoleFault, tapped: None });
        }
        model.typing = heard.wedge.typing();
        for command in messages.into_iter().flat_map(|message| model.update(message)) {
            surroundings.carry_out(command);
        }
        if model.language != language {
            language = model.language;
            drawing.texts = Texts::new(language);
        }
    }
    Ok(Ended::Quit)
}

/// What comes from the keyboard.
enum Typed {
    Key(KeyEvent),
    Paste(String),
}

/// Milliseconds of a clock that never jumps: the speed of a scanner is no matter of the clock on the wall.
fn milliseconds(clock: Instant) -> i64 {
    i64::try_from(clock.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// What the console hears.
struct Heard {
    /// What was typed, and when: however long a picture takes to draw, a scan is told by its speed.
    pressed: mpsc::Receiver<(Typed, i64)>,
    receiver: mpsc::Receiver<Message>,
    wedge: Wedge,
    /// The clock of the keyboard.
    clock: Instant,
}

impl Heard {
    /// What comes next, all that has come meanwhile with it; nothing where nobody speaks any more. `screen` is what the
    /// screen shows.
    async fn next(&mut self, ticks: &mut Interval, screen: u64) -> Option<Vec<Message>> {
        let held = self.wedge.due();
        let mut messages = tokio::select! {
            // What was pressed tells whether what is held was waited for in vain: so it is heard first.
            biased;
            pressed = self.pressed.recv() => {
                let (typed, at) = pressed?;
                self.typed(typed, at, screen)
            }
            message = self.receiver.recv() => vec![message?],
            () = until(held, self.clock), if held.is_some() => {
                inputs(self.wedge.expire(milliseconds(self.clock)))
            }
            _ = ticks.tick() => vec![Message::Tick(now())],
        };
        while let Ok((typed, at)) = self.pressed.try_recv() {
            messages.extend(self.typed(typed, at, screen));
        }
        for _ in 0..QUEUE {
            let Ok(message) = self.receiver.try_recv() else { break };
            messages.push(message);
        }
        Some(messages)
    }

    /// Keys and pastes as messages.
    fn typed(&mut self, typed: Typed, at: i64, screen: u64) -> Vec<Message> {
        match typed {
            Typed::Key(key) => inputs(self.wedge.key(Pressed { key, at, screen })),
            Typed::Paste(text) => {
                let mut messages = inputs(self.wedge.paste(at));
                messages.push(Message::Pasted(text));
                messages
            }
        }
    }
}

fn inputs(inputs: Vec<Input>) -> Vec<Message> {
    inputs.into_iter().map(Message::Input).collect()
}

/// Until this moment of the keyboard's clock.
async fn until(moment: Option<i64>, clock: Instant) {
    let left = moment.map_or(0, |moment| moment - milliseconds(clock));
    tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
}

/// How this terminal shows pictures. It is asked only where it says in its environment that it may:
/// one that does not answer would swallow the first key.
fn pictures() -> Picker {
    const GRAPHICAL: [&str; 6] = ["kitty", "sixel", "foot", "mlterm", "wezterm", "ghostty"];
    let names = ["TERM", "TERM_PROGRAM"].map(|name| std::env::var(name).unwrap_or_default());
    let may = |name: &String| {
        let name = name.to_ascii_lowercase();
        name == "iterm.app" || GRAPHICAL.iter().any(|graphical| name.contains(graphical))
    };
    if names.iter().any(may) {
        Picker::from_query_stdio().unwrap_or_else(|_| Picker::halfblocks())
    } else {
        Picker::halfblocks()
    }
}
