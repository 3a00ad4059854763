//! Bitmaps of 16 bits a pixel, whose five and six bits Pillow stretches to eight by rounding down:
//! <https://github.com/python-pillow/Pillow/blob/12.3.0/src/libImaging/Unpack.c>.

use ::image::RgbImage;

/// The decoded picture with the values that Pillow gives it.
pub fn round_down(bytes: &[u8], mut image: RgbImage) -> RgbImage {
    let Some(green_bits) = green_bits(bytes) else { return image };
    let channels = [5, green_bits, 5].map(|bits: u32| {
        let largest = (1_u32 << bits) - 1;
        // The decoder rounds to the nearest, which tells what was stored.
        std::array::from_fn::<u8, 256, _>(|value| {
            let stored = (value as u32 * largest + 127) / 255;
            (stored * 255 / largest) as u8
        })
    });
    for pixel in image.pixels_mut() {
        for (value, table) in pixel.0.iter_mut().zip(&channels) {
            *value = table[usize::from(*value)];
        }
    }
    image
}

/// Bits of the green channel where the file has 16 bits a pixel in one of the two usual layouts.
fn green_bits(bytes: &[u8]) -> Option<u32> {
    const PLAIN: u32 = 0;
    const BIT_FIELDS: u32 = 3;
    let long = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let short = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    if long(14)? < 40 || short(28)? != 16 {
        return None;
    }
    match (long(30)?, long(58)) {
        (PLAIN, _) | (BIT_FIELDS, Some(0x03e0)) => Some(5),
        (BIT_FIELDS, Some(0x07e0)) => Some(6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::image::{DecodeLimits, decode};

    /// A bitmap of one row of pixels; `green` is the green mask, or nothing for the plain layout.
    fn bitmap(pixels: &[u16; 2], green: Option<u32>) -> Vec<u8> {
        let masks = green.map(|green| [if green == 0x7e0 { 0xf800 } else { 0x7c00 }, green, 0x1f_u32]);
        let masks: Vec<u8> = masks.into_iter().flatten().flat_map(u32::to_le_bytes).collect();
        let start = 54 + masks.len() as u32;
        let mut bytes = b"BM".to_vec();
        for number in [start + 4, 0, start, 40, 2, 1] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([1, 0, 16, 0]);
        for number in [if green.is_some() { 3_u32 } else { 0 }, 4, 0, 0, 0, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(masks);
        bytes.extend(pixels.iter().flat_map(|pixel| pixel.to_le_bytes()));
        bytes
    }

    #[test]
    fn values_are_those_of_pillow() {
        // Red 3, green 3 and blue 29; then all bits.
        let five = [3 << 10 | 3 << 5 | 29, 0x7fff];
        let six = [3 << 11 | 3 << 5 | 29, 0xffff];
        for (bytes, green) in
            [(bitmap(&five, None), 24), (bitmap(&five, Some(0x3e0)), 24), (bitmap(&six, Some(0x7e0)), 12)]
        {
            let image = decode(&bytes, &DecodeLimits::default()).expect("a bitmap");
            assert_eq!(image.as_raw(), &[24, green, 238, 255, 255, 255]);
        }
    }
}
