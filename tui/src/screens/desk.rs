//! The desk's screen: the verdict large, what the pass can have, the last taps, the status.

use crdt_model::catalogue::Programme;
use crdt_model::decide::{Reason, VerdictKind};
use desk_api::types::{Health, HistoryRow, HubLink, HubState, PolicyRule, Status};
use hardware::reader::ReaderEvent;
use i18n_embed_fl::fl;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};
use tui_big_text::{BigText, PixelSize};

use crate::app::{Amount, Model, ReaderState, Shown};
use crate::clock;
use crate::i18n::{Texts, sign};
use crate::keys;
use crate::screens::dialogs;
use crate::screens::picture::{self, Pictures};
use crate::theme::Theme;

/// What drawing needs beside the model.
#[derive(Debug)]
pub struct Drawing {
    /// The texts.
    pub texts: Texts,
    /// The colours.
    pub theme: Theme,
    /// How pictures are shown.
    pub pictures: Pictures,
}

/// Lines of the status where all is well, and at the most: what is the matter is not cut off on the smallest screen, and
/// the last row of the history still shows there.
const STATUS_LINES: u16 = 2;
const MOST_STATUS_LINES: u16 = 6;

/// Columns of a long word.
const WORD: usize = 12;

/// Draws the console.
pub fn draw(frame: &mut Frame<'_>, model: &Model, drawing: &Drawing) {
    let status_lines = status_lines(model, drawing);
    let [header, verdict, history, status, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(12),
        Constraint::Min(2),
        Constraint::Length(status_height(&status_lines, frame.area().width)),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    draw_header(frame, header, model, drawing);
    let [left, right] =
        Layout::horizontal([Constraint::Min(40), Constraint::Length(26)]).areas(verdict);
    draw_verdict(frame, left, model, drawing);
    draw_rewards(frame, right, model, drawing);
    draw_history(frame, history, model, drawing);
    picture::draw(
        frame,
        right.union(Rect { x: right.x, width: right.width, ..history }),
        model,
        drawing,
    );
    frame.render_widget(Paragraph::new(status_lines).wrap(Wrap { trim: false }), status);
    draw_footer(frame, footer, model, drawing);
    // The cursor is where the eye should be: on the sentence, or in the dialog.
    frame.set_cursor_position((left.x + 1, left.y + 5));
    if let Some(dialog) = model.dialog_shown() {
        dialogs::draw(frame, &dialog, model, drawing);
    }
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, model: &Model, drawing: &Drawing) {
    let texts = &drawing.texts;
    let left = model.status.as_ref().map_or_else(String::new, |status| {
        let activity = status.activity.as_ref().map(|activity| activity.title.clone());
        let activity = activity.unwrap_or_else(|| fl!(texts.loader, "no-activity"));
        format!(" {} · {} · {activity}", status.venue_name, status.desk_name)
    });
    let now = clock::at_venue(model.desk_time()).strftime("%d-%m-%Y %H:%M").to_string();
    let languages = match model.language {
        crate::i18n::Language::Nl => "[NL] en",
        crate::i18n::Language::En => "nl [EN]",
    };
    let right = format!("{now}  {languages} ");
    let width = u16::try_from(right.chars().count()).unwrap_or(u16::MAX);
    let [wide, narrow] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    let room = usize::from(wide.width.saturating_sub(2));
    let left = match left.char_indices().nth(room) {
        Some((cut, _)) => format!("{}… ", &left[..cut]),
        None => left,
    };
    frame.render_widget(Line::from(left), wide);
    frame.render_widget(Line::from(right), narrow);
}

fn draw_verdict(frame: &mut Frame<'_>, area: Rect, model: &Model, drawing: &Drawing) {
    let texts = &drawing.texts;
    let Some(shown) = &model.shown else {
        let mut block = Block::bordered().title(format!(" {} ", fl!(texts.loader, "title-last")));
        if let Some(group) = group_line(model, drawing) {
            block = block.title_bottom(group);
        }
        let mut inner = block.inner(area);
        frame.render_widget(block, area);
        // What could not be read is as large as a verdict: nobody is to wave a visitor on.
        if model.notice.as_ref().is_some_and(|(notice, _)| notice.is_unread()) {
            let [word, rest] =
                Layout::vertical([Constraint::Length(4), Constraint::Min(0)]).areas(inner);
            draw_word(frame, word, VerdictKind::Retry, drawing);
            inner = rest;
        }
        let mut lines = notices(model, drawing);
        lines.push(Line::from(fl!(texts.loader, "present-card")));
        frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), inner);
        return;
    };
    let when = clock::seconds(shown.answer.at);
    let mut block =
        Block::bordered().title(format!(" {} · {when} ", fl!(texts.loader, "title-last")));
    if let Some(group) = group_line(model, drawing) {
        block = block.title_bottom(group);
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [word, rest] = Layout::vertical([Constraint::Length(4), Constraint::Min(0)]).areas(inner);
    let style = drawing.theme.verdict(shown.answer.verdict);
    draw_word(frame, word, shown.answer.verdict, drawing);
    // They are newer than the verdict, and there may be no room behind it.
    let mut lines = notices(model, drawing);
    lines.push(Line::from(vec![
        Span::styled(format!("{} ", sign(shown.answer.verdict)), style),
        Span::styled(texts.sentence(&shown.answer), Style::new().add_modifier(Modifier::BOLD)),
    ]));
    lines.extend(
        details(shown, drawing).into_iter().map(|detail| Line::from(format!("  {detail}"))),
    );
    if shown.answer.pass.is_some() {
        lines.push(to_pay(model, drawing));
    }
    if let Some(left) = model.undo_left() {
        let left = format!("{}:{:02}", left / 60_000, left / 1000 % 60);
        lines.push(Line::from(format!("  {}", fl!(texts.loader, "undo-left", left = left))));
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), rest);
}

/// A verdict's word, large.
fn draw_word(frame: &mut Frame<'_>, area: Rect, verdict: VerdictKind, drawing: &Drawing) {
    let large = BigText::builder()
        .pixel_size(PixelSize::Quadrant)
        .style(drawing.theme.verdict(verdict))
        .lines(vec![drawing.texts.word(verdict).into()])
        .build();
    frame.render_widget(large, area);
}

/// The row "to pay": the same for every pass, until somebody asks for the amount (invariant 11).
fn to_pay(model: &Model, drawing: &Drawing) -> Line<'static> {
    let (texts, loader) = (&drawing.texts, &drawing.texts.loader);
    let said = match model.amount {
        None => fl!(loader, "to-pay-hint"),
        Some(Amount { to_pay: None, .. }) => fl!(loader, "to-pay-none"),
        Some(Amount { to_pay: Some(cents), of_group, .. }) => {
            let amount = texts.euros(cents);
            if of_group {
                fl!(loader, "to-pay-group", amount = amount)
            } else {
                fl!(loader, "to-pay", amount = amount)
            }
        }
    };
    Line::from(format!("  {said}"))
}

/// A group that is coming in, or its sums.
fn group_line(model: &Model, drawing: &Drawing) -> Option<Line<'static>> {
    let loader = &drawing.texts.loader;
    let group = model.group.as_ref()?;
    let (ok, points) = (group.ok, group.points);
    let said = match group.closed {
        None => fl!(loader, "group-open", taps = group.cards.len(), ok = ok, points = points),
        Some(taps) => fl!(loader, "group-closed", taps = taps, ok = ok, points = points),
    };
    Some(Line::styled(format!(" {said} "), Style::new().add_modifier(Modifier::BOLD)))
}

/// The rule of the venue's policy that an answer rests on.
fn policy_line(rule: PolicyRule, drawing: &Drawing) -> String {
    let loader = &drawing.texts.loader;
    match rule {
        PolicyRule::UnknownCard { taken_today, most_a_day: Some(most) } => {
            fl!(loader, "policy-unknown-card", taken = taken_today, most = most)
        }
        PolicyRule::UnknownCard { most_a_day: None, .. } => fl!(loader, "policy-unknown-card-any"),
        PolicyRule::AccountAge { age: Some(age), points_allowed } => {
            let hours = age / 3_600_000;
            match points_allowed {
                Some(points) => fl!(loader, "policy-account-age", hours = hours, points = points),
                None => fl!(loader, "policy-account-age-any", hours = hours),
            }
        }
        PolicyRule::AccountAge { age: None, points_allowed } => {
            let points = points_allowed.unwrap_or(u32::MAX);
            fl!(loader, "policy-account-never", points = points)
        }
    }
}

fn details(shown: &Shown, drawing: &Drawing) -> Vec<String> {
    let texts = &drawing.texts;
    let mut details = Vec::new();
    if let Some(pass) = &shown.answer.pass {
        let programme = texts.programme(Some(pass.programme));
        // Whoever is known by name needs no digits beside it.
        let mut line = match &shown.holder {
            Some(holder) => format!("{programme} · {}", holder.short_name().as_str()),
            None => format!("{programme} …{}", pass.telling_digits),
        };
        if let Some(until) = &pass.valid_until {
            let day = until.parse::<jiff::civil::Date>();
            let day =
                day.map_or_else(|_| until.clone(), |day| day.strftime("%d-%m-%Y").to_string());
            line = format!("{line} · {}", fl!(texts.loader, "valid-until", day = day));
        } else if pass.programme != Programme::Museumpass {
            let points = fl!(texts.loader, "points-now", points = pass.points);
            line = format!("{line} · {points}");
        }
        if pass.debt > 0 {
            line = format!("{line} {}", fl!(texts.loader, "points-debt", debt = pass.debt));
        }
        details.push(line);
    }
    details.extend(shown.answer.authenticity.and_then(|proof| texts.authenticity(proof)));
    if let Some(title) = &shown.answer.title {
        let change = shown.answer.points_change;
        details.push(if change == 0 { title.clone() } else { format!("{title} ({change:+})") });
    }
    if let Some(earlier) = shown.answer.earlier_at {
        let time = clock::minutes(earlier);
        details.push(fl!(texts.loader, "earlier-at", time = time));
    }
    details.extend(shown.answer.policy.map(|rule| policy_line(rule, drawing)));
    details
}

fn notices(model: &Model, drawing: &Drawing) -> Vec<Line<'static>> {
    let texts = &drawing.texts;
    let reader = model.reader_notice.as_ref().and_then(|(event, _)| match event {
        ReaderEvent::TwoCards => Some(fl!(texts.loader, "two-cards")),
        ReaderEvent::ReadError => Some(fl!(texts.loader, "read-error")),
        ReaderEvent::RandomUid => Some(fl!(texts.loader, "random-uid")),
        _ => None,
    });
    let code = model.code.as_ref().map(|_| fl!(texts.loader, "code-scanned"));
    let failed = model.notice.as_ref().map(|(notice, _)| texts.notice(notice));
    let all = code.into_iter().chain(reader).chain(failed);
    all.map(|notice| Line::styled(notice, drawing.theme.trouble())).collect()
}

fn draw_rewards(frame: &mut Frame<'_>, area: Rect, model: &Model, drawing: &Drawing) {
    let texts = &drawing.texts;
    let block = Block::bordered().title(format!(" {} ", fl!(texts.loader, "title-rewards")));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(shown) = &model.shown else { return };
    let mut lines: Vec<Line<'_>> = Vec::new();
    for reward in &shown.rewards {
        let price = match reward.reason {
            None => dialogs::price(reward, texts),
            Some(Reason::RewardPassholderPointsConstraint) => {
                fl!(texts.loader, "reward-lacking", points = reward.points_lacking)
            }
            Some(Reason::RewardVolumeConstraint) => fl!(texts.loader, "reward-none-left"),
            Some(Reason::CardProofRequired) => fl!(texts.loader, "reward-needs-proof"),
            Some(_) => fl!(texts.loader, "reward-later"),
        };
        let style = if reward.redeemable { Style::new() } else { drawing.theme.quiet() };
        let mark = if reward.redeemable { "•" } else { "◦" };
        lines.push(Line::styled(format!("{mark} {} ({price})", reward.title), style));
    }
    if lines.is_empty() && shown.answer.pass.is_some() {
        lines.push(Line::from(fl!(texts.loader, "rewards-none")));
    }
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), inner);
}

fn draw_history(frame: &mut Frame<'_>, area: Rect, model: &Model, drawing: &Drawing) {
    let texts = &drawing.texts;
    let count = model.status.as_ref().map(|status| status.today).unwrap_or_default();
    let title = fl!(texts.loader, "title-today", taps = count.taps, ok = count.ok);
    let block = Block::bordered().title(format!(" {title} "));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines: Vec<Line<'_>> = model
        .rows
        .iter()
        .take(usize::from(inner.height))
        .map(|row| history_line(row, drawing))
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn history_line(row: &HistoryRow, drawing: &Drawing) -> Line<'static> {
    let (texts, answer) = (&drawing.texts, &row.answer);
    let pass = texts.whose(answer);
    let what = match answer.points_change {
        _ if answer.entry.is_none() => fl!(texts.loader, "kind-not-counted"),
        0 => texts.kind(answer.kind),
        change => format!("{} {change:+}", texts.kind(answer.kind)),
    };
    let hub = match (&row.hub, texts.outcome(row.outcome)) {
        (state, Some(outcome)) => format!("{} {outcome}", texts.hub(state)),
        (state, None) => texts.hub(state),
    };
    let hub_style = match row.hub {
        HubState::Quarantined { .. } => drawing.theme.trouble(),
        HubState::Waiting | HubState::Accepted | HubState::NotSent => Style::new(),
    };
    let verdict = format!("{} {:8}", sign(answer.verdict), texts.word(answer.verdict));
    Line::from(vec![
        Span::raw(format!("{}  ", clock::seconds(answer.at))),
        Span::styled(verdict, drawing.theme.verdict(answer.verdict)),
        Span::raw(format!("{pass:20} {what:13} ")),
        Span::styled(hub, hub_style),
    ])
}

fn status_lines(model: &Model, drawing: &Drawing) -> Vec<Line<'static>> {
    let Some(status) = &model.status else {
        let text = fl!(drawing.texts.loader, "status-no-daemon");
        return vec![Line::styled(text, drawing.theme.trouble())];
    };
    let (hub, health) = (hub_line(status, drawing), health_line(status, model, drawing));
    Texts::in_order(status, hub, health).into()
}

/// Lines of the status: two, and more where what is the matter takes more.
fn status_height(lines: &[Line<'_>], width: u16) -> u16 {
    // Words that do not fit are taken whole to the next line: some room is lost at the ends.
    let (width, room) = (usize::from(width), usize::from(width).saturating_sub(WORD).max(1));
    let needed = |line: &Line<'_>| match line.width() {
        fits if fits <= width => 1,
        long => long.div_ceil(room),
    };
    let needed = lines.iter().map(needed).sum::<usize>();
    u16::try_from(needed).unwrap_or(MOST_STATUS_LINES).clamp(STATUS_LINES, MOST_STATUS_LINES)
}

fn hub_line(status: &Status, drawing: &Drawing) -> Line<'static> {
    let loader = &drawing.texts.loader;
    let since = clock::minutes(status.hub_since);
    let link = drawing.texts.link(&status.hub, &since, status.records());
    let style = match &status.hub {
        HubLink::Connected => Style::new(),
        HubLink::Offline { .. } | HubLink::CannotStore { .. } | HubLink::Refused { .. } => {
            drawing.theme.trouble()
        }
    };
    let pending = fl!(loader, "status-pending", pending = status.pending);
    let mut spans = vec![Span::styled(format!(" {link} "), style), Span::raw(pending)];
    if status.requests_waiting > 0 {
        let requests = fl!(loader, "requests-waiting", count = status.requests_waiting);
        spans.push(Span::raw(format!(" {requests}")));
    }
    Line::from(spans)
}

fn health_line(status: &Status, model: &Model, drawing: &Drawing) -> Line<'static> {
    let texts = &drawing.texts;
    let loader = &texts.loader;
    let list = match status.catalogue_at {
        Some(at) => {
            let time = clock::minutes(at);
            fl!(loader, "status-list", time = time)
        }
        None => fl!(loader, "status-list-none"),
    };
    let reader = match model.reader() {
        ReaderState::None => (fl!(loader, "reader-none"), true),
        ReaderState::Starting => (fl!(loader, "reader-starting"), true),
        ReaderState::Ready => (fl!(loader, "reader-ready"), true),
        ReaderState::Lost(why) => {
            let why = texts.no_reader(&why);
            (fl!(loader, "reader-lost", why = why), false)
        }
    };
    let health = |health: &Health, fine: String, trouble: String| match health {
        Health::Fine => (fine, true),
        Health::Trouble(what) => (format!("{trouble} {}", texts.trouble(what)), false),
    };
    let disk = health(&status.disk, fl!(loader, "disk-fine"), fl!(loader, "disk-trouble"));
    let clock = health(&status.clock, fl!(loader, "clock-fine"), fl!(loader, "clock-trouble"));
    let store = match &status.store {
        Health::Fine => None,
        Health::Trouble(what) => Some((texts.trouble(what), false)),
    };
    // What is the matter comes first, for a narrow screen cuts the end off.
    let mut parts: Vec<(String, bool)> = vec![(list, true), reader, disk, clock];
    parts.extend(store);
    parts.extend(status.beside.iter().map(|trouble| (texts.trouble(trouble), false)));
    parts.sort_by_key(|(_, fine)| *fine);
    let mut spans = vec![Span::raw(" ")];
    for (place, (text, fine)) in parts.into_iter().enumerate() {
        let style = if fine { Style::new() } else { drawing.theme.trouble() };
        if place > 0 {
            spans.push(Span::raw(" · "));
        }
        spans.push(Span::styled(text, style));
    }
    Line::from(spans)
}

fn draw_footer(frame: &mut Frame<'_>, area: Rect, model: &Model, drawing: &Drawing) {
    let keys = keys::footer(&drawing.texts);
    let line = |keys: &[String]| format!(" {}", keys.join("  "));
    let (first, second) = keys.split_at(keys.len().div_ceil(2));
    let mut second = line(second);
    if model.shown.is_some() {
        let clears = fl!(drawing.texts.loader, "clears-in", seconds = model.seconds_shown());
        let width = usize::from(area.width);
        let used = second.chars().count() + clears.chars().count() + 1;
        second = format!("{second}{}{clears}", " ".repeat(width.saturating_sub(used)));
    }
    frame.render_widget(Paragraph::new(vec![Line::from(line(first)), Line::from(second)]), area);
}
