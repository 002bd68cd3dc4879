//! The console: terminal, reader and daemon brought together. It moves messages; [`crate::app`]
//! says what they mean.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossterm::event::{self, Event as TerminalEvent, KeyEventKind};
use desk_api::client::DeskClient;
use ratatui_image::picker::Picker;
use tokio::sync::mpsc;
use tokio::time::Interval;

use crate::app::{Message, Model};
use crate::clock::{self, Moment};
use crate::feedback;
use crate::i18n::{Language, Notice, Texts};
use crate::readers::Readers;
use crate::scan::Settings;
use crate::scan::wedge::{Input, Pressed, Wedge};
use crate::screens::desk::{Drawing, draw};
use crate::screens::picture::Pictures;
use crate::surroundings::Surroundings;
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
    let model = Model { scanner: scanner.clone(), ..Model::new(language, slots, Moment::now()) };
    let (presses, pressed) = mpsc::channel(QUEUE);
    let others = surroundings.sender();
    let on_screen = Arc::new(AtomicU64::new(model.screen));
    let drawn = Arc::clone(&on_screen);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let (at, screen) = (clock::steady(), on_screen.load(Ordering::Acquire));
            let listened_to = match event {
                TerminalEvent::Key(key) if key.kind == KeyEventKind::Press => {
                    let pressed = Pressed { key, at, screen };
                    presses.blocking_send(Typed::Key(pressed)).is_ok()
                }
                TerminalEvent::Paste(text) => presses.blocking_send(Typed::Paste(text, at)).is_ok(),
                TerminalEvent::Resize(..) => {
                    others.blocking_send(Message::Tick(Moment::now())).is_ok()
                }
                _ => true,
            };
            if !listened_to {
                return;
            }
        }
    });
    let heard = Heard { pressed, receiver, wedge: Wedge::new(scanner), drawn };
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
        pictures: Pictures::new(pictures()),
    };
    let mut ticks = tokio::time::interval(TICK);
    let mut language = model.language;
    let mut faults = 0;
    let mut suspended = false;
    while !model.over {
        // Between SIGTSTP and SIGCONT the terminal is another's.
        if !suspended {
            screen.draw(|frame| draw(frame, &model, &drawing))?;
            heard.drawn.store(model.screen, Ordering::Release);
        }
        let mut messages = tokio::select! {
            interruption = signals.next() => match interruption {
                Interruption::End(signal) => return Ok(Ended::Signal(signal)),
                Interruption::Suspend => {
                    screen.suspend();
                    suspended = true;
                    continue;
                }
                Interruption::Resume => {
                    screen.resume()?;
                    suspended = false;
                    continue;
                }
            },
            messages = heard.next(&mut ticks) => match messages {
                Some(messages) => messages,
                None => return Err(io::Error::other("the terminal gives no keys any more")),
            },
        };
        if fault_count() > faults {
            faults = fault_count();
            messages.push(Message::Failed { notice: Notice::ConsoleFault, tapped: None });
        }
        model.typing = heard.wedge.typing();
        // What comes now comes at this moment, and not at that of the last tick.
        model.update(Message::Tick(Moment::now()));
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
    Key(Pressed),
    /// A text that was pasted, and when.
    Paste(String, i64),
}

/// What the console hears.
struct Heard {
    /// What was typed, with its times: however long a picture takes to draw, a scan is told by its speed.
    pressed: mpsc::Receiver<Typed>,
    receiver: mpsc::Receiver<Message>,
    wedge: Wedge,
    /// What the screen shows ([`Model::screen`]), for the thread that reads the keyboard: a key is about what was drawn
    /// when it was pressed.
    drawn: Arc<AtomicU64>,
}

impl Heard {
    /// What comes next, all that has come meanwhile with it; nothing where nobody speaks any more.
    async fn next(&mut self, ticks: &mut Interval) -> Option<Vec<Message>> {
        let held = self.wedge.due();
        let mut messages = tokio::select! {
            // Keys are polled first: a new key may extend what is held.
            biased;
            pressed = self.pressed.recv() => {
                self.typed(pressed?)
            }
            message = self.receiver.recv() => vec![message?],
            () = until(held), if held.is_some() => {
                inputs(self.wedge.expire(clock::steady()))
            }
            _ = ticks.tick() => vec![Message::Tick(Moment::now())],
        };
        while let Ok(typed) = self.pressed.try_recv() {
            messages.extend(self.typed(typed));
        }
        for _ in 0..QUEUE {
            let Ok(message) = self.receiver.try_recv() else { break };
            messages.push(message);
        }
        Some(messages)
    }

    /// Keys and pastes as messages.
    fn typed(&mut self, typed: Typed) -> Vec<Message> {
        match typed {
            Typed::Key(pressed) => inputs(self.wedge.key(pressed)),
            Typed::Paste(text, at) => {
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
async fn until(moment: Option<i64>) {
    let left = moment.map_or(0, |moment| moment - clock::steady());
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
