//! How the camera was held, from the places where Pillow looks: EXIF first, then XMP.
//!
//! <https://github.com/python-pillow/Pillow/blob/12.3.0/src/PIL/Image.py>; EXIF's directory is that of TIFF 6.0,
//! <https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf>.

use ::image::metadata::Orientation;

/// The tag of the orientation.
const TAG: u16 = 0x0112;

/// The orientation that EXIF names, or else XMP; upright where neither does. A broken block is passed over.
pub fn find(exif: Option<&[u8]>, xmp: impl FnOnce() -> Option<Vec<u8>>) -> Orientation {
    let code = exif.and_then(from_exif).or_else(|| from_xmp(&xmp()?));
    code.and_then(|code| Orientation::from_exif(u8::try_from(code).ok()?))
        .unwrap_or(Orientation::NoTransforms)
}

/// The code in an EXIF block, with or without the prefix that some WebP writers leave; whole numbers of
/// any width are read.
fn from_exif(block: &[u8]) -> Option<u32> {
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let is_little = match block.first_chunk::<4>()? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *block.get(at..)?.first_chunk()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *block.get(at..)?.first_chunk()?;
        Some(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = usize::try_from(long(4)?).ok()?;
    let entry = (0..usize::from(short(directory)?))
        .map(|index| directory.saturating_add(2 + 12 * index))
        .find(|entry| short(*entry) == Some(TAG) && long(entry + 4) == Some(1))?;
    match short(entry + 2)? {
        // Bytes, shorts and longs, without and with a sign.
        1 | 6 => block.get(entry + 8).copied().map(u32::from),
        3 | 8 => short(entry + 8).map(u32::from),
        4 | 9 => long(entry + 8),
        _ => None,
    }
}

/// The code in an XMP packet: an attribute or an element.
fn from_xmp(packet: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"tiff:Orientation";
    packet.windows(NAME.len()).enumerate().filter(|(_, word)| *word == NAME).find_map(|(at, _)| {
        let rest = &packet[at + NAME.len()..];
        let rest = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">"))?;
        rest.first().filter(|digit| digit.is_ascii_digit()).map(|digit| u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(is_little: bool, format: u16, value: &[u8; 4]) -> Vec<u8> {
        let short = |number: u16| if is_little { number.to_le_bytes() } else { number.to_be_bytes() };
        let long = |number: u32| if is_little { number.to_le_bytes() } else { number.to_be_bytes() };
        let start: &[u8] = if is_little { b"II*\0" } else { b"MM\0*" };
        [start, &long(8), &short(1), &short(TAG), &short(format), &long(1), value, &long(0)].concat()
    }

    #[test]
    fn every_width_of_number_is_read_in_both_byte_orders() {
        for (is_little, format, value) in [
            (true, 3, [6, 0, 0, 0]),
            (true, 4, [6, 0, 0, 0]),
            (true, 1, [6, 0, 0, 0]),
            (false, 3, [0, 6, 0, 0]),
            (false, 4, [0, 0, 0, 6]),
        ] {
            let exif = block(is_little, format, &value);
            assert_eq!(find(Some(&exif), || None), Orientation::Rotate90, "{is_little} {format}");
            let prefixed = [b"Exif\0\0".as_slice(), &exif].concat();
            assert_eq!(find(Some(&prefixed), || None), Orientation::Rotate90);
            for length in 0..exif.len() {
                find(Some(&exif[..length]), || None);
            }
        }
        assert_eq!(find(Some(&block(true, 4, &[0, 1, 0, 0])), || None), Orientation::NoTransforms);
    }

    #[test]
    fn xmp_speaks_where_exif_does_not() {
        let attribute = || Some(br#"<rdf:Description tiff:Orientation="3"/>"#.to_vec());
        let element = || Some(b"<tiff:Orientation>8</tiff:Orientation>".to_vec());
        assert_eq!(find(None, attribute), Orientation::Rotate180);
        assert_eq!(find(None, element), Orientation::Rotate270);
        assert_eq!(find(Some(&block(true, 3, &[6, 0, 0, 0])), attribute), Orientation::Rotate90);
        assert_eq!(find(None, || Some(b"tiff:Orientation".to_vec())), Orientation::NoTransforms);
    }
}
