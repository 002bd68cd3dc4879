//! Portraits, drawn: no two alike, so that comparing a picture with the visitor can be shown without
//! showing anybody.
//!
//! All measures are whole numbers, so that every machine draws the same. A picture is drawn at twice
//! its size and halved, which smooths its edges.

use std::ops::Range;

use png::{BitDepth, ColorType, Compression, Encoder};
use rand::RngExt;
use rand_chacha::ChaCha20Rng;

use super::{one_of, sound};

/// A picture's width and height in pixels.
pub(super) const SIZE: (u32, u32) = (96, 128);

/// The sheet's width and height: twice a picture's.
const SHEET: (i32, i32) = (192, 256);

type Colour = [u8; 3];

const SKINS: [Colour; 6] = [
    [0xf8, 0xd9, 0xc0],
    [0xee, 0xbf, 0x9a],
    [0xd9, 0x9f, 0x73],
    [0xb7, 0x7b, 0x4f],
    [0x8d, 0x58, 0x36],
    [0x5e, 0x3a, 0x25],
];
const HAIRS: [Colour; 7] = [
    [0x1d, 0x18, 0x16],
    [0x4a, 0x2f, 0x1d],
    [0x7a, 0x4a, 0x26],
    [0xa8, 0x43, 0x1f],
    [0xd8, 0xa9, 0x4a],
    [0xee, 0xd4, 0x8f],
    [0x35, 0x45, 0x7a],
];
const GREYS: [Colour; 3] = [[0x9a, 0x9a, 0x9a], [0xc4, 0xc2, 0xbd], [0xea, 0xe8, 0xe4]];
const EYES: [Colour; 4] =
    [[0x3b, 0x24, 0x14], [0x2f, 0x6d, 0x9e], [0x3d, 0x7a, 0x45], [0x5b, 0x63, 0x6b]];
const SHIRTS: [Colour; 8] = [
    [0xc0, 0x39, 0x2b],
    [0x1f, 0x6f, 0xb2],
    [0x27, 0x8a, 0x5b],
    [0xf0, 0xb4, 0x29],
    [0x6c, 0x3f, 0x99],
    [0x26, 0x2b, 0x33],
    [0xe7, 0x6f, 0x8a],
    [0xf4, 0xf1, 0xea],
];
const WALLS: [Colour; 6] = [
    [0xcf, 0xe3, 0xf1],
    [0xde, 0xea, 0xd3],
    [0xf3, 0xe3, 0xc3],
    [0xe6, 0xd9, 0xee],
    [0xd9, 0xdd, 0xe0],
    [0xf4, 0xd6, 0xd2],
];
const FRAMES: [Colour; 3] = [[0x20, 0x20, 0x24], [0x8b, 0x2d, 0x2d], [0x2b, 0x57, 0x8b]];
const LIPS: Colour = [0xa8, 0x3f, 0x45];
const WHITE: Colour = [0xff, 0xff, 0xff];

/// How somebody wears their hair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bald,
    Short,
    Long,
    Bun,
    Curls,
    Parting,
}

const STYLES: [Style; 8] = [
    Style::Short,
    Style::Long,
    Style::Bun,
    Style::Curls,
    Style::Parting,
    Style::Short,
    Style::Long,
    Style::Bald,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mouth {
    Smile,
    Straight,
    Laugh,
}

const MOUTHS: [Mouth; 3] = [Mouth::Smile, Mouth::Straight, Mouth::Laugh];

/// A picture of somebody of this age: a PNG file of some 2 KiB.
pub(super) fn portrait(age: u32, random: &mut ChaCha20Rng) -> Vec<u8> {
    let face = Face::drawn(age, random);
    let mut sheet = Sheet::of(face.wall);
    face.draw(&mut sheet);
    sheet.png()
}

/// What a face looks like.
#[derive(Debug)]
struct Face {
    wall: Colour,
    shirt: Colour,
    collar: bool,
    skin: Colour,
    hair: Colour,
    style: Style,
    eyes: Colour,
    mouth: Mouth,
    frames: Option<Colour>,
    beard: bool,
    /// Half the width of the head.
    width: i32,
    /// Half its height.
    height: i32,
}

impl Face {
    fn drawn(age: u32, random: &mut ChaCha20Rng) -> Self {
        let grown = age >= 20;
        let grey = age > 60 || age > 45 && random.random_ratio(1, 3);
        let style = *one_of(random, &STYLES);
        Self {
            wall: *one_of(random, &WALLS),
            shirt: *one_of(random, &SHIRTS),
            collar: random.random_ratio(1, 3),
            skin: *one_of(random, &SKINS),
            hair: if grey { *one_of(random, &GREYS) } else { *one_of(random, &HAIRS) },
            style: if style == Style::Bald && !grown { Style::Curls } else { style },
            eyes: *one_of(random, &EYES),
            mouth: *one_of(random, &MOUTHS),
            frames: random.random_ratio(1, 3).then(|| *one_of(random, &FRAMES)),
            beard: grown && matches!(style, Style::Bald | Style::Short) && random.random(),
            width: random.random_range(44..=52),
            height: random.random_range(56..=64),
        }
    }

    fn draw(&self, sheet: &mut Sheet) {
        let Self { shirt, skin, hair, width, height, .. } = *self;
        let shade = mixed(skin, [0x60, 0x30, 0x20], 4);
        match self.style {
            Style::Long => {
                sheet.ellipse((96, 108), (width + 14, height + 8), hair);
                sheet.rectangle((96 - width - 14, 108), (96 + width + 14, 196), hair);
            }
            Style::Bun => sheet.ellipse((96, 108 - height - 4), (22, 20), hair),
            Style::Curls => {
                for (x, y) in [(-48, -24), (-38, -50), (-14, -64), (14, -64), (38, -50), (48, -24)]
                {
                    sheet.ellipse((96 + x, 108 + y), (24, 24), hair);
                }
            }
            Style::Bald | Style::Short | Style::Parting => {}
        }
        // Shoulders, neck, ears, head.
        sheet.ellipse((96, 262), (84, 68), shirt);
        sheet.rectangle((78, 150), (114, 204), shade);
        sheet.ellipse((96, 204), (18, 14), shade);
        if self.collar {
            let collar = mixed(shirt, WHITE, 2);
            sheet.triangle((74, 196), 24, collar);
            sheet.triangle((118, 196), 24, collar);
        }
        sheet.ellipse((96 - width, 114), (10, 14), shade);
        sheet.ellipse((96 + width, 114), (10, 14), shade);
        sheet.ellipse((96, 108), (width, height), skin);
        if self.beard {
            sheet.ellipse_within(128..256, (96, 116), (width, height - 4), hair);
            sheet.ellipse((96, 142), (28, 16), skin);
        }
        match self.style {
            Style::Bald => {}
            Style::Short | Style::Long | Style::Bun | Style::Curls => {
                sheet.ellipse_within(0..108 - height / 2, (96, 104), (width + 3, height + 4), hair);
            }
            Style::Parting => {
                sheet.ellipse_within(
                    0..108 - height * 4 / 7,
                    (96, 104),
                    (width + 3, height + 6),
                    hair,
                );
                sheet.ellipse_within(0..96, (66, 92), (width * 2 / 3, height / 2), hair);
            }
        }
        self.draw_eyes(sheet);
        sheet.ellipse((96, 124), (7, 10), shade);
        match self.mouth {
            Mouth::Smile => sheet.ellipse_within(144..256, (96, 142), (20, 10), LIPS),
            Mouth::Straight => sheet.rectangle((80, 144), (112, 149), LIPS),
            Mouth::Laugh => {
                sheet.ellipse_within(141..256, (96, 140), (22, 16), LIPS);
                sheet.rectangle((82, 141), (110, 146), WHITE);
            }
        }
    }

    fn draw_eyes(&self, sheet: &mut Sheet) {
        let brow = mixed(self.hair, [0, 0, 0], 4);
        for x in [74, 118] {
            if let Some(frames) = self.frames {
                sheet.ellipse((x, 106), (19, 17), frames);
                sheet.ellipse((x, 106), (15, 13), mixed(self.skin, WHITE, 2));
            }
            sheet.rectangle((x - 13, 84), (x + 13, 88), brow);
            sheet.ellipse((x, 106), (11, 8), WHITE);
            sheet.ellipse((x, 106), (6, 7), self.eyes);
            sheet.ellipse((x, 106), (3, 3), [0, 0, 0]);
        }
        if let Some(frames) = self.frames {
            sheet.rectangle((92, 103), (100, 107), frames);
        }
    }
}

/// A colour with one part in so many of another in it.
fn mixed(colour: Colour, other: Colour, part: u16) -> Colour {
    let mixed = |it: usize| (u16::from(colour[it]) * (part - 1) + u16::from(other[it])) / part;
    [0, 1, 2].map(|it| u8::try_from(mixed(it)).unwrap_or(u8::MAX))
}

/// What is drawn on.
struct Sheet {
    colours: Vec<Colour>,
}

impl Sheet {
    fn of(colour: Colour) -> Self {
        Self { colours: vec![colour; 192 * 256] }
    }

    /// Paints these rows as far to the left and right of `x` as the shape reaches in each.
    fn paint(&mut self, x: i32, rows: Range<i32>, colour: Colour, reach: impl Fn(i32) -> i32) {
        for y in rows.start.max(0)..rows.end.min(SHEET.1) {
            let reach = reach(y);
            let (left, right) = ((x - reach).max(0), (x + reach).min(SHEET.0));
            let row = y * SHEET.0;
            if let (Ok(left), Ok(right)) =
                (usize::try_from(row + left), usize::try_from(row + right))
                && left < right
            {
                self.colours[left..right].fill(colour);
            }
        }
    }

    /// An ellipse around a centre with two half axes.
    fn ellipse(&mut self, centre: (i32, i32), axes: (i32, i32), colour: Colour) {
        self.ellipse_within(0..SHEET.1, centre, axes, colour);
    }

    /// The part of an ellipse that lies in these rows.
    fn ellipse_within(
        &mut self,
        rows: Range<i32>,
        centre: (i32, i32),
        axes: (i32, i32),
        colour: Colour,
    ) {
        let rows = rows.start.max(centre.1 - axes.1)..rows.end.min(centre.1 + axes.1);
        self.paint(centre.0, rows, colour, |y| {
            let down = y - centre.1;
            axes.0 * (axes.1 * axes.1 - down * down).max(0).isqrt() / axes.1
        });
    }

    /// A rectangle between two corners.
    fn rectangle(&mut self, from: (i32, i32), to: (i32, i32), colour: Colour) {
        let half = (to.0 - from.0) / 2;
        self.paint(from.0 + half, from.1..to.1, colour, |_| half);
    }

    /// A triangle that stands on its tip, as wide as it is high.
    fn triangle(&mut self, middle: (i32, i32), size: i32, colour: Colour) {
        let tip = middle.1 + size;
        self.paint(middle.0, middle.1..tip, colour, |y| (tip - y) / 2);
    }

    /// The sheet, halved, as a PNG file.
    fn png(&self) -> Vec<u8> {
        let (width, height) = SIZE;
        let sheet_width = 2 * width as usize;
        let mut pixels = Vec::with_capacity((width * height * 3) as usize);
        for rows in self.colours.chunks_exact(2 * sheet_width) {
            let (upper, lower) = rows.split_at(sheet_width);
            for (upper, lower) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                pixels.extend([0, 1, 2].map(|channel| {
                    let sum: u16 = upper.iter().chain(lower).map(|it| u16::from(it[channel])).sum();
                    u8::try_from(sum / 4).unwrap_or(u8::MAX)
                }));
            }
        }
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, width, height);
        encoder.set_color(ColorType::Rgb);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_compression(Compression::High);
        let mut writer = sound(encoder.write_header());
        sound(writer.write_image_data(&pixels));
        sound(writer.finish());
        file
    }
}
