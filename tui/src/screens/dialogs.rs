//! What lies over the desk's screen: help, a number, a choice.

use desk_api::types::RewardView;
use i18n_embed_fl::fl;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use crate::app::{Dialog, Model, Question};
use crate::clock;
use crate::i18n::Texts;
use crate::keys;
use crate::screens::desk::Drawing;

/// A dialog's width inside its border, where the screen has room for it.
const WIDTH: usize = 70;

/// Draws a dialog over the screen.
pub fn draw(frame: &mut Frame<'_>, dialog: &Dialog, model: &Model, drawing: &Drawing) {
    let (texts, theme) = (&drawing.texts, drawing.theme);
    let loader = &texts.loader;
    let choice = |labels: Vec<String>, chosen: usize| -> Vec<Line<'static>> {
        let lines = labels.into_iter().enumerate().map(|(place, label)| {
            if place == chosen {
                Line::styled(format!("› {label}"), theme.chosen())
            } else {
                Line::from(format!("  {label}"))
            }
        });
        lines.chain([Line::default(), Line::from(fl!(loader, "dialog-hint"))]).collect()
    };
    let (title, lines, cursor) = match dialog {
        Dialog::Help => {
            let mut lines = vec![
                Line::from(fl!(loader, "help-1")),
                Line::from(fl!(loader, "help-2")),
                Line::from(fl!(loader, "help-3")),
                Line::from(fl!(loader, "help-4")),
                Line::default(),
            ];
            let keys = keys::footer(texts);
            lines.extend(keys.chunks(3).map(|keys| {
                Line::from(keys.iter().map(|key| format!("{key:22}")).collect::<String>())
            }));
            (fl!(loader, "dialog-help"), lines, (0, 0))
        }
        Dialog::Number(typed) => {
            let lines = vec![
                Line::from(typed.clone()),
                Line::default(),
                Line::from(fl!(loader, "dialog-hint")),
            ];
            (fl!(loader, "dialog-number"), lines, (u16::try_from(typed.len()).unwrap_or(0), 0))
        }
        Dialog::Activities(activities, chosen) => {
            let labels = activities.iter().map(|activity| activity.title.clone()).collect();
            let row = u16::try_from(*chosen).unwrap_or(0);
            (fl!(loader, "dialog-activities"), choice(labels, *chosen), (0, row))
        }
        Dialog::Rewards(chosen) => {
            let rewards = model.shown.as_ref().map(|shown| &shown.rewards[..]).unwrap_or_default();
            let labels = rewards
                .iter()
                .map(|reward| format!("{} ({})", reward.title, price(reward, texts)))
                .collect();
            let row = u16::try_from(*chosen).unwrap_or(0);
            (fl!(loader, "dialog-rewards"), choice(labels, *chosen), (0, row))
        }
        Dialog::Question(question) => {
            let lines = vec![
                Line::from(asked(question, drawing)),
                Line::default(),
                Line::from(fl!(loader, "question-hint")),
            ];
            (fl!(loader, "dialog-question"), lines, (0, 0))
        }
    };
    // A line that is too long for the dialog takes two.
    let rows: usize = lines.iter().map(|line| 1 + line.width().saturating_sub(1) / WIDTH).sum();
    let area = middle(frame.area(), u16::try_from(rows).unwrap_or(u16::MAX));
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), inner);
    frame.set_cursor_position((inner.x + cursor.0, inner.y + cursor.1));
}

/// A question, in words.
fn asked(question: &Question, drawing: &Drawing) -> String {
    let texts = &drawing.texts;
    match question {
        Question::TakeBack(answer) => {
            let time = clock::seconds(answer.at);
            texts.take_back(answer, &time)
        }
        Question::Quit => fl!(texts.loader, "question-quit"),
    }
}

/// A reward's price, in words.
pub fn price(reward: &RewardView, texts: &Texts) -> String {
    match reward.points {
        0 => fl!(texts.loader, "reward-free"),
        points => fl!(texts.loader, "points-now", points = points),
    }
}

fn middle(area: Rect, lines: u16) -> Rect {
    let width = area.width.saturating_sub(4).min(u16::try_from(WIDTH + 2).unwrap_or(u16::MAX));
    let height = lines.saturating_add(2).min(area.height);
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}
