//! The whole way: headers, scans, samples, pixels.
//!
//! Files of one scan become samples block by block. Where several scans add up, coefficients are kept
//! until the end of the file, as libjpeg-turbo keeps them:
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdapistd.c>

use ::image::RgbImage;

use super::bits::Bits;
use super::coefficients::Coefficients;
use super::colour::Colours;
use super::frame::Frame;
use super::header::{Header, Stop};
use super::plane::Plane;
use super::progressive::Progressive;
use super::reader::Reader;
use super::scan::Scan;
use super::sequential::{AtOnce, Kept, Sequential};
use super::smooth::{self, Precision, Progress, Smoothed};
use super::upsample::Method;
use super::{FORMAT, ImageError, corrupt, idct, unsupported};

/// More scans than any encoder makes: each may cost the time of the whole picture for a few bytes.
const MOST_SCANS: usize = 500;

/// A picture as it lies in the file.
pub struct Picture<'a> {
    /// Not turned yet.
    pub image: RgbImage,
    /// What stands before it.
    pub facts: Facts<'a>,
}

/// What a file says of its picture before the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// Width in pixels, of the picture as it lies.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The EXIF block, without its name.
    pub exif: Option<&'a [u8]>,
    /// The XMP packet, without its name.
    pub xmp: Option<&'a [u8]>,
}

impl<'a> Facts<'a> {
    fn of(header: &Header<'a>) -> Self {
        let frame = header.frame();
        let (width, height) = (frame.width as u32, frame.height as u32);
        Self { width, height, exif: header.exif, xmp: header.xmp }
    }
}

/// Reads what stands before the pixels.
///
/// # Errors
/// Those of [`decode`], less what only shows in the pixels.
pub fn facts(bytes: &[u8], max_pixels: u64) -> Result<Facts<'_>, ImageError> {
    let mut header = Header::default();
    begin(&mut Reader::new(bytes), &mut header)?;
    refuse_pixels(header.frame(), max_pixels)?;
    Ok(Facts::of(&header))
}

/// Reads up to the first scan.
fn begin<'a>(reader: &mut Reader<'a>, header: &mut Header<'a>) -> Result<Scan, ImageError> {
    match header.advance(reader)? {
        Stop::Scan(scan) => Ok(scan),
        Stop::End => Err(corrupt("it ends before its pixels begin")),
    }
}

/// Decodes a file that begins as a JPEG does.
///
/// # Errors
/// It announces more than `max_pixels`, takes more memory than `max_bytes`, ends too early, contradicts
/// itself, or is of a kind that is not read here (arithmetic coding, lossless, hierarchical, 12 bits).
pub fn decode(bytes: &[u8], max_pixels: u64, max_bytes: u64) -> Result<Picture<'_>, ImageError> {
    let mut reader = Reader::new(bytes);
    let mut header = Header::default();
    let scan = begin(&mut reader, &mut header)?;
    let (frame, facts) = (header.frame(), Facts::of(&header));
    let colours = Colours::new(frame, header.jfif, header.adobe);
    let methods = frame.components.iter().map(|component| Method::new(component, frame));
    let methods = methods.collect::<Result<Vec<_>, _>>()?;
    let is_one_scan = scan.parts.len() == frame.components.len() && !frame.progressive;
    refuse_bombs(frame, is_one_scan, max_pixels, max_bytes)?;
    let planes = match is_one_scan {
        true => read_one_scan(scan, reader, &mut header)?,
        false => read_scans(scan, reader, &mut header)?,
    };
    Ok(Picture { image: merge(header.frame(), &planes, &methods, colours), facts })
}

/// Reads the only scan and what follows it.
fn read_one_scan<'a>(
    scan: Scan,
    reader: Reader<'a>,
    header: &mut Header<'a>,
) -> Result<Vec<Plane>, ImageError> {
    header.huffman.complete();
    header.latch_steps(&scan)?;
    let frame = header.frame();
    let mut planes: Vec<_> = frame.components.iter().map(Plane::new).collect();
    let mut decoder = AtOnce { sequential: Sequential::new(&scan, header)?, frame, planes: &mut planes };
    let mut bits = Bits::new(reader);
    scan.read(frame, header.restart_interval, &mut bits, &mut decoder)?;
    let is_ample = bits.is_ample();
    match header.advance(&mut bits.reader) {
        Ok(Stop::Scan(_)) => Err(corrupt("a scan after the last")),
        // Pillow, too, lets the end be missing where all pixels are there and something follows them.
        Err(ImageError::Truncated { .. }) if is_ample => Ok(planes),
        Ok(Stop::End) => Ok(planes),
        Err(error) => Err(error),
    }
}

/// Reads all scans and what stands between them.
fn read_scans<'a>(
    mut scan: Scan,
    mut reader: Reader<'a>,
    header: &mut Header<'a>,
) -> Result<Vec<Plane>, ImageError> {
    if !header.frame().progressive {
        header.huffman.complete();
    }
    let mut coefficients: Vec<_> = header.frame().components.iter().map(Coefficients::new).collect();
    let mut precisions = vec![Precision::new(); coefficients.len()];
    for number in 0..MOST_SCANS {
        header.latch_steps(&scan)?;
        let mut bits = Bits::new(reader);
        let last_good_row = keep(&scan, header, &mut bits, &mut coefficients)?;
        let is_first_scan = number == 0;
        if header.frame().progressive {
            for part in &scan.parts {
                precisions[part.component].note(&scan, is_first_scan);
            }
        }
        reader = bits.reader;
        match header.advance(&mut reader)? {
            Stop::Scan(next) => scan = next,
            Stop::End => {
                let progress = Progress { last_good_row, is_first_scan };
                return Ok(transform(header.frame(), coefficients, &precisions, progress));
            }
        }
    }
    Err(unsupported(format!("more than {MOST_SCANS} scans are not supported")))
}

/// Holds the limits against the header, before room for anything is made.
fn refuse_bombs(frame: &Frame, is_one_scan: bool, max_pixels: u64, max_bytes: u64) -> Result<(), ImageError> {
    refuse_pixels(frame, max_pixels)?;
    let pixels = frame.width as u64 * frame.height as u64;
    // A byte a sample, three a pixel, and where scans add up, two a coefficient.
    let a_sample = if is_one_scan { 1 } else { 3 };
    if frame.padded_samples() * a_sample + pixels * 3 > max_bytes {
        return Err(ImageError::TooMuchMemory { format: FORMAT, limit_bytes: max_bytes });
    }
    Ok(())
}

fn refuse_pixels(frame: &Frame, max_pixels: u64) -> Result<(), ImageError> {
    if frame.width as u64 * frame.height as u64 > max_pixels {
        let (width, height) = (frame.width as u32, frame.height as u32);
        return Err(ImageError::TooManyPixels { limit_pixels: max_pixels, width, height });
    }
    Ok(())
}

/// Reads one of several scans; gives the last row of units that it has begun.
fn keep(
    scan: &Scan,
    header: &Header,
    bits: &mut Bits,
    coefficients: &mut [Coefficients],
) -> Result<usize, ImageError> {
    let frame = header.frame();
    if frame.progressive {
        let mut decoder = Progressive::new(scan, header, coefficients)?;
        scan.read(frame, header.restart_interval, bits, &mut decoder)
    } else {
        let mut decoder = Kept { sequential: Sequential::new(scan, header)?, coefficients };
        scan.read(frame, header.restart_interval, bits, &mut decoder)
    }
}

/// Samples of all components; coefficients that are done with give their room back.
fn transform(
    frame: &Frame,
    coefficients: Vec<Coefficients>,
    precisions: &[Precision],
    progress: Progress,
) -> Vec<Plane> {
    let is_smoothed = smooth::is_useful(frame, precisions);
    let units = frame.units().1;
    let parts = frame.components.iter().zip(coefficients).zip(precisions);
    parts
        .map(|((component, coefficients), precision)| {
            let mut plane = Plane::new(component);
            // A component that no scan brought is all zeros.
            let steps = component.steps.as_ref().unwrap_or(&[0; 64]);
            let smoothed = Smoothed { coefficients: &coefficients, component, precision, progress, units };
            for row in 0..component.rows {
                for column in 0..component.columns {
                    let samples = if is_smoothed {
                        idct::inverse(&smoothed.block(column, row), steps)
                    } else {
                        idct::inverse(coefficients.block(column, row), steps)
                    };
                    plane.put(column, row, &samples);
                }
            }
            plane
        })
        .collect()
}

/// Pixels, from components as large as they came.
fn merge(frame: &Frame, planes: &[Plane], methods: &[Method], colours: Colours) -> RgbImage {
    let mut image = RgbImage::new(frame.width as u32, frame.height as u32);
    let (pixels, _) = image.as_chunks_mut::<3>();
    let mut rooms = vec![Vec::new(); planes.len()];
    for (y, pixels) in pixels.chunks_exact_mut(frame.width).enumerate() {
        let parts = planes.iter().zip(methods).zip(&mut rooms);
        let rows: Vec<&[u8]> = parts.map(|((plane, method), room)| method.row(plane, y, room)).collect();
        colours.convert(&rows, pixels);
    }
    image
}

#[cfg(test)]
mod tests {
    use ::image::codecs::jpeg::JpegEncoder;
    use ::image::{Rgb, RgbImage};

    use super::*;

    fn file() -> Vec<u8> {
        let image = RgbImage::from_fn(20, 12, |x, y| Rgb([(x * 9) as u8, (y * 20) as u8, 70]));
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&image).unwrap();
        bytes
    }

    fn find(bytes: &[u8], marker: u8) -> usize {
        bytes.windows(2).position(|pair| pair == [0xff, marker]).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<RgbImage, ImageError> {
        decode(bytes, 1000, 1 << 20).map(|picture| picture.image)
    }

    #[test]
    fn kinds_that_are_not_read_are_called_so() {
        let frame = find(&file(), 0xc0);
        for (marker, word) in [
            (0xc3, "lossless"),
            (0xc5, "hierarchical"),
            (0xc9, "arithmetic"),
            (0xca, "arithmetic"),
            (0xcb, "lossless"),
            (0xce, "hierarchical"),
        ] {
            let mut bytes = file();
            bytes[frame + 1] = marker;
            let error = read(&bytes).unwrap_err();
            assert!(matches!(error, ImageError::UnsupportedFeature { format: FORMAT, .. }), "{error:?}");
            assert!(
                error.to_string().contains(word) && error.to_string().contains("not supported"),
                "{error}"
            );
        }
        for (at, value, word) in [(4, 12, "12 bits"), (9, 2, "2 channels")] {
            let mut bytes = file();
            bytes[frame + at] = value;
            let error = read(&bytes).unwrap_err();
            assert!(matches!(error, ImageError::UnsupportedFeature { .. }), "{error:?}");
            assert!(error.to_string().contains(word), "{error}");
        }
        let mut bytes = file();
        bytes[frame + 11] = 0x31;
        bytes[frame + 14] = 0x21;
        assert!(matches!(read(&bytes), Err(ImageError::UnsupportedFeature { .. })), "three samples to two");
    }

    #[test]
    fn files_that_contradict_themselves_are_corrupt() {
        let corrupt = |bytes: &[u8], what: &str| match read(bytes) {
            Err(ImageError::Corrupt { format: FORMAT, .. }) => {}
            other => panic!("{what}: {other:?}"),
        };
        let whole = file();
        let (frame, scan) = (find(&whole, 0xc0), find(&whole, 0xda));
        corrupt(b"\xff\xd8\xff\xd9", "no pixels");
        corrupt(&[&whole[..scan], b"\xff\xd9"].concat(), "no scan");
        corrupt(&[&whole[..frame], &whole[scan..]].concat(), "no frame");
        corrupt(&[&whole[..scan], &whole[frame..]].concat(), "two frames");
        let mut edited = whole.clone();
        edited[scan + 5] = 99;
        corrupt(&edited, "a scan of an unknown component");
        let mut edited = whole.clone();
        edited[scan + 6] = 0x33;
        corrupt(&edited, "a scan with an unknown table");
        let mut edited = whole.clone();
        edited[frame + 11] = 0x51;
        corrupt(&edited, "a sampling factor of five");
        let mut edited = whole.clone();
        edited[frame + 12] = 3;
        corrupt(&edited, "an unknown quantisation table");
        let mut edited = whole;
        edited[frame + 1] = 0xc2;
        corrupt(&edited, "a progressive scan of all coefficients");
    }

    #[test]
    fn the_end_may_be_missing_where_something_else_follows() {
        let whole = file();
        let cut = &whole[..whole.len() - 2];
        assert!(matches!(read(cut), Err(ImageError::Truncated { .. })));
        assert_eq!(read(&[cut, &[0; 8]].concat()), read(&whole));
        assert_eq!(read(&[cut, b"\xff\xe5\xff\xff"].concat()), read(&whole));
        assert!(matches!(read(&[cut, b"\xff\xc8"].concat()), Err(ImageError::Corrupt { .. })));
    }

    #[test]
    fn a_bomb_takes_no_memory() {
        let mut bytes = file();
        let frame = find(&bytes, 0xc0);
        bytes[frame + 5..frame + 9].fill(0xff);
        assert_eq!(
            read(&bytes),
            Err(ImageError::TooManyPixels { limit_pixels: 1000, width: 65_535, height: 65_535 })
        );
        // Few pixels, but each row takes a block's width.
        bytes[frame + 5..frame + 9].copy_from_slice(&[0x03, 0xe8, 0, 1]);
        bytes[frame + 11] = 0x14;
        let few_bytes = decode(&bytes, 1000, 10_000).map(|picture| picture.image);
        assert_eq!(few_bytes, Err(ImageError::TooMuchMemory { format: FORMAT, limit_bytes: 10_000 }));
        bytes[frame + 5..frame + 7].fill(0);
        assert_eq!(read(&bytes), Err(ImageError::NoPixels { width: 1, height: 0 }));
    }

    #[test]
    fn scans_without_end_are_refused() {
        let mut bytes = file();
        let (frame, scan) = (find(&bytes, 0xc0), find(&bytes, 0xda));
        bytes[frame + 1] = 0xc2;
        bytes.truncate(scan);
        let scans = |count: usize| b"\xff\xda\0\x08\x01\x01\0\0\0\0\0".repeat(count);
        let some = [bytes.as_slice(), &scans(MOST_SCANS), b"\xff\xd9"].concat();
        assert!(read(&some).is_ok(), "{:?}", read(&some));
        let many = [bytes.as_slice(), &scans(MOST_SCANS + 1), b"\xff\xd9"].concat();
        assert!(matches!(read(&many), Err(ImageError::UnsupportedFeature { .. })));
    }

    #[test]
    fn the_first_exif_block_counts() {
        let bytes = file();
        let block = |text: &[u8]| [b"\xff\xe1\0\x0a", text].concat();
        let with =
            [&bytes[..2], &block(b"other..."), &block(b"Exif\0\0AA"), &block(b"Exif\0\0BB"), &bytes[2..]];
        assert_eq!(decode(&with.concat(), 1000, 1 << 20).unwrap().facts.exif, Some(b"AA".as_slice()));
        assert_eq!(decode(&bytes, 1000, 1 << 20).unwrap().facts.exif, None);
    }
}
