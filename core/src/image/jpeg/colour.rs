//! From the colours of the file to RGB, as libjpeg-turbo takes them to be, and as Pillow mixes inks.
//!
//! - which colours they are: <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdapimin.c#L127>
//! - YCbCr: <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdcolor.c>
//! - inks, which Pillow takes for inverted, as Adobe writes them:
//!   <https://github.com/python-pillow/Pillow/blob/12.0.0/src/libImaging/Convert.c>

use super::frame::Frame;

/// What the components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Grey.
    Grey,
    /// Red, green, blue.
    Rgb,
    /// Brightness, and its difference to blue and to red.
    YCbCr,
    /// Cyan, magenta, yellow, black, each inverted.
    Cmyk,
    /// Inverted inks; the first three as brightness and differences.
    Ycck,
}

impl Colours {
    /// Guesses, since no part of the header must say it.
    pub fn new(frame: &Frame, jfif: bool, adobe: Option<u8>) -> Self {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match (ids.len(), adobe) {
            (1, _) => Self::Grey,
            (3, _) if jfif => Self::YCbCr,
            (3, Some(0)) => Self::Rgb,
            (3, None) if ids == *b"RGB" => Self::Rgb,
            (3, _) => Self::YCbCr,
            (_, None | Some(0)) => Self::Cmyk,
            (_, Some(_)) => Self::Ycck,
        }
    }

    /// A row of pixels from a row of each component, all at least as long.
    pub fn convert(self, rows: &[&[u8]], pixels: &mut [[u8; 3]]) {
        let width = pixels.len();
        let rows: Vec<&[u8]> = rows.iter().map(|row| &row[..width]).collect();
        match (self, rows.as_slice()) {
            (Self::YCbCr, [y, cb, cr]) => {
                let parts = pixels.chunks_mut(SIDE_BY_SIDE).zip(y.chunks(SIDE_BY_SIDE));
                let parts = parts.zip(cb.chunks(SIDE_BY_SIDE)).zip(cr.chunks(SIDE_BY_SIDE));
                for (((pixels, y), cb), cr) in parts {
                    rgb_side_by_side(y, cb, cr, pixels);
                }
            }
            (Self::Rgb, [red, green, blue]) => {
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = [red[x], green[x], blue[x]];
                }
            }
            (Self::Cmyk, [cyan, magenta, yellow, black]) => {
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = mix([cyan[x], magenta[x], yellow[x]].map(|ink| !ink), black[x]);
                }
            }
            (Self::Ycck, [y, cb, cr, black]) => {
                for (x, pixel) in pixels.iter_mut().enumerate() {
                    *pixel = mix(rgb(y[x], cb[x], cr[x]), black[x]);
                }
            }
            (_, rows) => {
                for (pixel, &grey) in pixels.iter_mut().zip(rows[0]) {
                    *pixel = [grey; 3];
                }
            }
        }
    }
}

/// `value * 2^16`, rounded.
const fn fixed(value: f64) -> i32 {
    (value * 65536.0 + 0.5) as i32
}

#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((fixed(1.40200) * cr + HALF) >> 16);
    let green = y + ((HALF - fixed(0.34414) * cb - fixed(0.71414) * cr) >> 16);
    let blue = y + ((fixed(1.77200) * cb + HALF) >> 16);
    [red.clamp(0, 255) as u8, green.clamp(0, 255) as u8, blue.clamp(0, 255) as u8]
}

/// So many pixels are converted together, which lets the compiler use vectors.
const SIDE_BY_SIDE: usize = 32;

#[inline(always)]
fn rgb_side_by_side(y: &[u8], cb: &[u8], cr: &[u8], pixels: &mut [[u8; 3]]) {
    let (Ok(y), Ok(cb), Ok(cr)) = (y.try_into(), cb.try_into(), cr.try_into()) else {
        for (x, pixel) in pixels.iter_mut().enumerate() {
            *pixel = rgb(y[x], cb[x], cr[x]);
        }
        return;
    };
    let (y, cb, cr): (&[u8; SIDE_BY_SIDE], &[u8; SIDE_BY_SIDE], &[u8; SIDE_BY_SIDE]) = (y, cb, cr);
    let mut channels = [[0; SIDE_BY_SIDE]; 3];
    for x in 0..SIDE_BY_SIDE {
        let [red, green, blue] = rgb(y[x], cb[x], cr[x]);
        channels[0][x] = red;
        channels[1][x] = green;
        channels[2][x] = blue;
    }
    let [red, green, blue] = &channels;
    for (pixel, ((red, green), blue)) in pixels.iter_mut().zip(red.iter().zip(green).zip(blue)) {
        *pixel = [*red, *green, *blue];
    }
}

/// Inks over white paper; `light` is what black ink lets through.
#[inline(always)]
fn mix(inks: [u8; 3], light: u8) -> [u8; 3] {
    inks.map(|ink| {
        let product = u32::from(ink) * u32::from(light) + 128;
        let covered = ((product >> 8) + product) >> 8;
        light.saturating_sub(covered as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_as_pillow_does() {
        // (Y, Cb, Cr) and Pillow 12.3.0's RGB of the same.
        let vectors = [
            ([0, 0, 0], [0, 135, 0]),
            ([255, 255, 255], [255, 121, 255]),
            ([128, 128, 128], [128, 128, 128]),
            ([16, 200, 30], [0, 61, 144]),
            ([235, 30, 220], [255, 203, 61]),
            ([81, 90, 240], [238, 14, 14]),
            ([145, 54, 34], [13, 238, 14]),
            ([1, 127, 129], [2, 1, 0]),
            ([200, 129, 127], [199, 200, 202]),
            ([77, 255, 0], [0, 125, 255]),
        ];
        for (input, expected) in vectors {
            let [y, cb, cr] = input;
            assert_eq!(rgb(y, cb, cr), expected, "{input:?}");
            // Alone at the end of a row as in a whole run.
            let rows = [vec![y; 33], vec![cb; 33], vec![cr; 33]];
            let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
            let mut pixels = [[0; 3]; 33];
            Colours::YCbCr.convert(&rows, &mut pixels);
            assert_eq!(pixels, [expected; 33], "{input:?}");
        }
    }

    #[test]
    fn inks_lie_over_white() {
        assert_eq!(mix([0, 0, 0], 255), [255; 3], "no ink");
        assert_eq!(mix([255, 0, 0], 255), [0, 255, 255], "cyan");
        assert_eq!(mix([0, 0, 0], 100), [100; 3], "some black");
        assert_eq!(mix([128, 10, 250], 200), [100, 192, 4], "all of them");
    }
}
