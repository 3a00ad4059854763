//! GIFs whose first frame does not cover the screen, or reaches past it, as Pillow shows them:
//! <https://github.com/python-pillow/Pillow/blob/12.3.0/src/PIL/GifImagePlugin.py>.
//!
//! Format: <https://www.w3.org/Graphics/GIF/spec-gif89a.txt>.

use ::image::{Rgb, RgbImage};
use std::borrow::Cow;

/// The first frame of a GIF.
struct Frame {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
    is_transparent: bool,
    /// The first colour of its palette.
    first: [u8; 3],
}

/// The same file with a screen that holds its first frame.
pub fn with_whole_frame(bytes: &[u8]) -> Cow<'_, [u8]> {
    let Some((frame, [width, height])) = first_frame(bytes).zip(screen(bytes)) else { return bytes.into() };
    let sides = [frame.right.max(width), frame.bottom.max(height)].map(u16::try_from);
    match sides {
        [Ok(wide), Ok(high)] if (u32::from(wide), u32::from(high)) != (width, height) => {
            let mut bytes = bytes.to_vec();
            bytes[6..8].copy_from_slice(&wide.to_le_bytes());
            bytes[8..10].copy_from_slice(&high.to_le_bytes());
            bytes.into()
        }
        _ => bytes.into(),
    }
}

/// The decoded picture; where the frame does not reach it has the palette's first colour, unless the frame
/// is transparent.
pub fn fill_uncovered(bytes: &[u8], mut image: RgbImage) -> RgbImage {
    let Some(frame) = first_frame(bytes).filter(|frame| !frame.is_transparent) else { return image };
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        if !(frame.left..frame.right).contains(&x) || !(frame.top..frame.bottom).contains(&y) {
            *pixel = Rgb(frame.first);
        }
    }
    image
}

/// Width and height of the screen.
fn screen(bytes: &[u8]) -> Option<[u32; 2]> {
    Some([short(bytes, 6)?, short(bytes, 8)?])
}

fn short(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)))
}

/// Bytes of the palette that these flags announce.
fn palette_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

fn first_frame(bytes: &[u8]) -> Option<Frame> {
    const EXTENSION: u8 = 0x21;
    const FRAME: u8 = 0x2c;
    const CONTROL: u8 = 0xf9;
    if !bytes.starts_with(b"GIF8") {
        return None;
    }
    let global = palette_bytes(*bytes.get(10)?);
    let mut is_transparent = false;
    let mut at = 13 + global;
    loop {
        match *bytes.get(at)? {
            EXTENSION => {
                if *bytes.get(at + 1)? == CONTROL {
                    is_transparent = bytes.get(at + 3)? & 1 == 1;
                }
                at += 2;
                while *bytes.get(at)? != 0 {
                    at += 1 + usize::from(bytes[at]);
                }
                at += 1;
            }
            FRAME => {
                let [left, top] = [short(bytes, at + 1)?, short(bytes, at + 3)?];
                let [width, height] = [short(bytes, at + 5)?, short(bytes, at + 7)?];
                let palette = match palette_bytes(*bytes.get(at + 9)?) {
                    0 if global == 0 => None,
                    0 => bytes.get(13..),
                    _ => bytes.get(at + 10..),
                };
                let first = palette.and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
                let (right, bottom) = (left + width, top + height);
                return Some(Frame { left, top, right, bottom, is_transparent, first });
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{DecodeLimits, decode, decoded_size};
    use ::image::codecs::gif::GifEncoder;
    use ::image::{ExtendedColorType, RgbaImage};

    /// A frame of 2 x 1 pixels, red and blue, on a screen of another size.
    fn gif(width: u16, height: u16) -> (Vec<u8>, [u8; 3]) {
        let frame = RgbaImage::from_raw(2, 1, vec![255, 0, 0, 255, 0, 0, 255, 255]).expect("two pixels");
        let mut bytes = Vec::new();
        GifEncoder::new(&mut bytes).encode(frame.as_raw(), 2, 1, ExtendedColorType::Rgba8).expect("a GIF");
        bytes[6..8].copy_from_slice(&width.to_le_bytes());
        bytes[8..10].copy_from_slice(&height.to_le_bytes());
        let first = first_frame(&bytes).expect("a frame").first;
        (bytes, first)
    }

    #[test]
    fn what_the_frame_leaves_open_has_the_first_colour() {
        let (bytes, first) = gif(3, 2);
        let image = decode(&bytes, &DecodeLimits::default()).expect("a GIF");
        let pixels: Vec<[u8; 3]> = image.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [[255, 0, 0], [0, 0, 255], first, first, first, first]);
        assert!(first == [255, 0, 0] || first == [0, 0, 255], "{first:?}");
    }

    #[test]
    fn a_frame_past_the_screen_is_shown_whole() {
        let (bytes, _) = gif(1, 1);
        assert_eq!(decoded_size(&bytes, &DecodeLimits::default()), Ok((2, 1)));
        let image = decode(&bytes, &DecodeLimits::default()).expect("a GIF");
        assert_eq!(image.as_raw(), &[255, 0, 0, 0, 0, 255]);
    }
}
