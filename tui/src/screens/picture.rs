//! The holder's picture, to be compared with the visitor: beside the verdict, for a while.

use std::cell::RefCell;

use i18n_embed_fl::fl;
use image::DynamicImage;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use ratatui_image::picker::Picker;
use ratatui_image::protocol::StatefulProtocol;
use ratatui_image::{FilterType, Resize, StatefulImage};

use crate::app::Model;
use crate::screens::desk::Drawing;

/// How this terminal shows pictures, and the one that it shows now.
pub struct Pictures {
    picker: Picker,
    /// The moment of the verdict that it belongs to, and the picture in the terminal's own form.
    now: RefCell<Option<(i64, StatefulProtocol)>>,
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pictures(…)")
    }
}

impl Pictures {
    /// Pictures as this terminal shows them.
    pub fn new(picker: Picker) -> Self {
        Self { picker, now: RefCell::new(None) }
    }

    fn show(&self, frame: &mut Frame<'_>, area: Rect, of: i64, picture: &DynamicImage) {
        let mut now = self.now.borrow_mut();
        if now.as_ref().is_none_or(|(known, _)| *known != of) {
            *now = Some((of, self.picker.new_resize_protocol(picture.clone())));
        }
        if let Some((_, protocol)) = now.as_mut() {
            let fit = StatefulImage::default().resize(Resize::Scale(Some(FilterType::Triangle)));
            frame.render_stateful_widget(fit, area, protocol);
        }
    }

    fn forget(&self) {
        *self.now.borrow_mut() = None;
    }
}

/// Draws the picture over this area, where there is one to compare.
pub fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, drawing: &Drawing) {
    let (Some(seconds), Some(shown)) = (model.seconds_of_picture(), &model.shown) else {
        drawing.pictures.forget();
        return;
    };
    let Some(picture) = shown.holder.as_ref().and_then(|holder| holder.picture()) else { return };
    let loader = &drawing.texts.loader;
    let title = fl!(loader, "title-picture", seconds = seconds);
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    let [above, below] = Layout::vertical([Constraint::Min(0), Constraint::Length(2)]).areas(inner);
    drawing.pictures.show(frame, above, shown.since, picture);
    let said = Paragraph::new(fl!(loader, "compare-picture")).wrap(Wrap { trim: true });
    frame.render_widget(said, below);
}
