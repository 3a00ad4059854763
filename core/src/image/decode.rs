//! Turns the bytes of an image file into upright 8-bit RGB, as Pillow would, within limits.
//!
//! Transparency is laid over white with the integer rounding of Pillow's `alpha_composite`:
//! <https://github.com/python-pillow/Pillow/blob/12.0.0/src/libImaging/AlphaComposite.c>

use std::error::Error;
use std::io::Cursor;

use ::image::error::{ImageError as CrateError, LimitErrorKind};
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::{ImageError, bmp, gif, jpeg, orientation};

/// The most bytes a pixel takes while it is decoded: four 16-bit channels, held twice.
const DECODER_BYTES_PER_PIXEL: u64 = 16;

/// Room for what a PNG has besides pixels: colour profiles of printers take half a megabyte.
const PROFILE_BYTES: u64 = 4 << 20;

/// What a file may cost before it is refused.
///
/// The peak while decoding is at most about 16 bytes a pixel (16-bit RGBA), commonly 9 (progressive
/// JPEG) or fewer, next to the file itself and 4 MiB for a PNG's profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// The most pixels (width times height) a header may announce.
    pub max_pixels: u64,
    /// The most bytes the encoded file may have.
    pub max_bytes: usize,
}

impl Default for DecodeLimits {
    /// 8192 x 8192 pixels (the 50 and 61 megapixel cameras pass) and 64 MiB.
    fn default() -> Self {
        Self { max_pixels: 8192 * 8192, max_bytes: 64 << 20 }
    }
}

/// Decodes a PNG, JPEG, WebP, BMP or GIF (its first frame), told apart by content.
///
/// The result is upright (all eight EXIF orientations applied, from JPEG, PNG and WebP), opaque
/// (transparency laid over white) and 8 bits deep (of 16-bit channels the high byte). Colour
/// profiles are left aside, as Pillow's `convert("RGB")` does. The pixels of a JPEG are those of Pillow
/// to the bit.
///
/// # Shapes
/// `bytes` of any length -> `[height, width, 3]`, row-major.
///
/// # Errors
/// A file that is empty, over the limits, of another format, truncated or corrupt. The limits are
/// held against the header, before room for the pixels is made. A JPEG whose end marker is
/// missing is truncated, even where a decoder would fill the rest with grey, unless something else
/// follows the whole of its pixels; one that was cut and then given an end marker passes: both as in
/// Pillow. JPEGs with arithmetic coding, lossless ones and those of 12 bits a channel are not
/// supported.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<RgbImage, ImageError> {
    if is_jpeg(bytes, limits)? {
        let jpeg::Picture { image, facts } = jpeg::decode(bytes, limits.max_pixels, most_memory(limits))?;
        return Ok(upright(image, jpeg_orientation(&facts)));
    }
    let bytes = &*gif::with_whole_frame(bytes);
    let Header { decoder, format, orientation, blame } = read_header(bytes, limits)?;
    let image = DynamicImage::from_decoder(decoder).map_err(blame)?;
    let image = match format {
        ImageFormat::Bmp => bmp::round_down(bytes, flatten(image)),
        ImageFormat::Gif => gif::fill_uncovered(bytes, flatten(image)),
        _ => flatten(image),
    };
    Ok(upright(image, orientation))
}

/// Width and height in pixels that [`decode`] would give, from the header alone.
///
/// The beginning of a file is enough where it holds the header; the orientation of a PNG may stand at
/// its end.
///
/// # Errors
/// Those of [`decode`], less what only shows in the pixels.
pub fn decoded_size(bytes: &[u8], limits: &DecodeLimits) -> Result<(u32, u32), ImageError> {
    let ((width, height), orientation) = if is_jpeg(bytes, limits)? {
        let facts = jpeg::facts(bytes, limits.max_pixels)?;
        ((facts.width, facts.height), jpeg_orientation(&facts))
    } else {
        let bytes = &*gif::with_whole_frame(bytes);
        let header = read_header(bytes, limits)?;
        (header.decoder.dimensions(), header.orientation)
    };
    Ok(match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => (height, width),
        _ => (width, height),
    })
}

/// Whether a file is a JPEG; the bytes are held against their limit.
fn is_jpeg(bytes: &[u8], limits: &DecodeLimits) -> Result<bool, ImageError> {
    if bytes.is_empty() {
        return Err(ImageError::Empty);
    }
    if bytes.len() > limits.max_bytes {
        return Err(ImageError::TooManyBytes { limit_bytes: limits.max_bytes, found_bytes: bytes.len() });
    }
    Ok(sniff(bytes)?.0 == ImageFormat::Jpeg)
}

/// Bytes that a decoder may take.
fn most_memory(limits: &DecodeLimits) -> u64 {
    memory_of(limits.max_pixels, limits.max_bytes)
}

fn memory_of(pixels: u64, file_bytes: usize) -> u64 {
    pixels.saturating_mul(DECODER_BYTES_PER_PIXEL).saturating_add(file_bytes as u64)
}

/// Pixels that a PNG's first chunk announces: a profile behind it may be a few bytes that unfold to gigabytes.
fn png_pixels(format: ImageFormat, bytes: &[u8]) -> Option<u64> {
    let number = |at: usize| Some(u64::from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)));
    if format == ImageFormat::Png { Some(number(16)?.saturating_mul(number(20)?)) } else { None }
}

fn jpeg_orientation(facts: &jpeg::Facts) -> Orientation {
    orientation::find(facts.exif, || facts.xmp.map(<[u8]>::to_vec))
}

/// A file whose pixels are still to come.
struct Header<D, B> {
    decoder: D,
    format: ImageFormat,
    orientation: Orientation,
    /// Puts the decoder's complaints into this room's words.
    blame: B,
}

fn read_header<'bytes>(
    bytes: &'bytes [u8],
    limits: &DecodeLimits,
) -> Result<Header<impl ImageDecoder + 'bytes, impl Fn(CrateError) -> ImageError + Copy + 'bytes>, ImageError>
{
    let (format, name) = sniff(bytes)?;
    let max_alloc = match png_pixels(format, bytes) {
        Some(pixels) => memory_of(pixels.min(limits.max_pixels), bytes.len()).saturating_add(PROFILE_BYTES),
        None => most_memory(limits),
    };
    let blame = move |error| match error {
        CrateError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            ImageError::TooMuchMemory { format: name, limit_bytes: max_alloc }
        }
        _ if ends_early(format, bytes) => truncated(name, bytes),
        error => blame(error, name),
    };

    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder_limits = Limits::no_limits();
    decoder_limits.max_alloc = Some(max_alloc);
    reader.limits(decoder_limits);
    let mut decoder = reader.into_decoder().map_err(blame)?;

    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(ImageError::TooManyPixels { limit_pixels: limits.max_pixels, width, height });
    }
    if width == 0 || height == 0 {
        return Err(ImageError::NoPixels { width, height });
    }
    // A broken EXIF block is no reason to refuse good pixels: they stay as they lie.
    let exif = match format {
        ImageFormat::Png => find_png_chunk(bytes, b"eXIf").map(<[u8]>::to_vec),
        // The decoder would make room for whatever length the chunk announces.
        ImageFormat::WebP => find_webp_chunk(bytes, b"EXIF").map(<[u8]>::to_vec),
        _ => decoder.exif_metadata().ok().flatten(),
    };
    let orientation = orientation::find(exif.as_deref(), || match format {
        ImageFormat::WebP => find_webp_chunk(bytes, b"XMP ").map(<[u8]>::to_vec),
        ImageFormat::Png => decoder.xmp_metadata().ok().flatten(),
        _ => None,
    });
    Ok(Header { decoder, format, orientation, blame })
}

/// The format by the first bytes, with the name that messages use.
fn sniff(bytes: &[u8]) -> Result<(ImageFormat, &'static str), ImageError> {
    match ::image::guess_format(bytes) {
        Ok(ImageFormat::Png) => Ok((ImageFormat::Png, "png")),
        Ok(ImageFormat::Jpeg) => Ok((ImageFormat::Jpeg, "jpeg")),
        Ok(ImageFormat::WebP) => Ok((ImageFormat::WebP, "webp")),
        Ok(ImageFormat::Bmp) => Ok((ImageFormat::Bmp, "bmp")),
        Ok(ImageFormat::Gif) => Ok((ImageFormat::Gif, "gif")),
        Ok(other) => Err(ImageError::UnknownFormat {
            found: other.extensions_str().first().map_or("another format", |name| name).to_string(),
        }),
        // HEIC, from telephones: an ISO media file, whose brand follows.
        Err(_) if bytes.get(4..8) == Some(b"ftyp") && bytes.len() >= 12 => {
            Err(ImageError::UnknownFormat { found: bytes[8..12].escape_ascii().to_string() })
        }
        Err(_) => {
            let first: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            Err(ImageError::UnknownFormat { found: format!("bytes {}", first.join(" ")) })
        }
    }
}

/// The error for a file that ends before its pixels do.
fn truncated(format: &'static str, bytes: &[u8]) -> ImageError {
    ImageError::Truncated { format, found_bytes: bytes.len() }
}

/// Puts a decoder's complaint about a whole file into this room's words.
fn blame(error: CrateError, format: &'static str) -> ImageError {
    match error {
        CrateError::Unsupported(feature) => {
            ImageError::UnsupportedFeature { format, feature: plain(&feature) }
        }
        CrateError::Decoding(error) => {
            ImageError::Corrupt { format, reason: error.source().map_or_else(|| plain(&error), plain) }
        }
        error => ImageError::Corrupt { format, reason: plain(&error) },
    }
}

/// A decoder's message on one line, without the capital it may begin with.
fn plain(error: &(impl Error + ?Sized)) -> String {
    let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let mut letters = message.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            format!("{}{}", first.to_lowercase(), &message[first.len_utf8()..])
        }
        _ => message,
    }
}

/// Whether the file lacks the end that its format prescribes.
fn ends_early(format: ImageFormat, bytes: &[u8]) -> bool {
    let announced = |at: usize| {
        let size = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        size.map_or(u64::MAX, |size| u64::from(u32::from_le_bytes(*size)))
    };
    match format {
        ImageFormat::Png => find_png_chunk(bytes, b"IEND").is_none(),
        // RIFF counts what follows its own eight bytes.
        ImageFormat::WebP => announced(4).saturating_add(8) > bytes.len() as u64,
        ImageFormat::Bmp => announced(2) > bytes.len() as u64,
        ImageFormat::Gif => bytes.last() != Some(&0x3b),
        _ => false,
    }
}

/// The body of the first PNG chunk of a kind, wherever it lies: `eXIf` may follow the pixels.
fn find_png_chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let body = rest.get(8..)?;
        if rest.get(4..8)? == kind {
            return body.get(..length);
        }
        rest = body.get(length.checked_add(4)?..)?;
    }
}

/// The body of the first WebP chunk of a kind; a chunk of an odd length is followed by a zero.
fn find_webp_chunk<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = bytes.get(12..)?;
    loop {
        let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?) as usize;
        let body = rest.get(8..)?;
        if rest.first_chunk()? == kind {
            return body.get(..length);
        }
        rest = body.get(length.checked_next_multiple_of(2)?..)?;
    }
}

/// Turns and mirrors the image as its camera was held.
fn upright(image: RgbImage, orientation: Orientation) -> RgbImage {
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation);
    image.into_rgb8()
}

/// Any decoded image as opaque 8-bit RGB.
fn flatten(image: DynamicImage) -> RgbImage {
    let (width, height) = (image.width(), image.height());
    let values: Vec<u8> = match image {
        DynamicImage::ImageRgb8(image) => return image,
        DynamicImage::ImageRgba8(image) => pixels(image.as_raw(), over_white),
        DynamicImage::ImageLuma8(image) => pixels(image.as_raw(), |[grey]| [grey; 3]),
        DynamicImage::ImageLumaA8(image) => {
            pixels(image.as_raw(), |[grey, alpha]| over_white([grey, grey, grey, alpha]))
        }
        DynamicImage::ImageRgb16(image) => pixels(image.as_raw(), |pixel: [u16; 3]| pixel.map(high_byte)),
        DynamicImage::ImageRgba16(image) => {
            pixels(image.as_raw(), |pixel: [u16; 4]| over_white(pixel.map(high_byte)))
        }
        DynamicImage::ImageLuma16(image) => pixels(image.as_raw(), |[grey]: [u16; 1]| [high_byte(grey); 3]),
        DynamicImage::ImageLumaA16(image) => pixels(image.as_raw(), |pixel: [u16; 2]| {
            let [grey, alpha] = pixel.map(high_byte);
            over_white([grey, grey, grey, alpha])
        }),
        other => return other.into_rgb8(),
    };
    RgbImage::from_raw(width, height, values).expect("three values were made for each pixel")
}

/// Every pixel of `CHANNELS` values through a function to RGB.
fn pixels<Value: Copy, const CHANNELS: usize>(
    values: &[Value],
    to_rgb: impl Fn([Value; CHANNELS]) -> [u8; 3],
) -> Vec<u8> {
    let (pixels, _) = values.as_chunks::<CHANNELS>();
    pixels.iter().flat_map(|&pixel| to_rgb(pixel)).collect()
}

/// The upper eight of sixteen bits, not rounded: what Pillow keeps.
fn high_byte(value: u16) -> u8 {
    (value >> 8) as u8
}

/// One RGBA pixel over opaque white, in the fixed point of Pillow's `ImagingAlphaComposite`.
fn over_white([red, green, blue, alpha]: [u8; 4]) -> [u8; 3] {
    const PRECISION_BITS: u32 = 7;
    let source_weight = u32::from(alpha) << PRECISION_BITS;
    let white_weight = (255 << PRECISION_BITS) - source_weight;
    [red, green, blue].map(|value| {
        let sum = u32::from(value) * source_weight + 255 * white_weight + (0x80 << PRECISION_BITS);
        ((((sum >> 8) + sum) >> 8) >> PRECISION_BITS) as u8
    })
}

#[cfg(test)]
mod tests {
    use ::image::codecs::jpeg::JpegEncoder;
    use ::image::codecs::png::PngEncoder;
    use ::image::codecs::webp::WebPEncoder;
    use ::image::{ExtendedColorType, GrayAlphaImage, ImageEncoder, Rgb, RgbaImage};

    use super::*;

    fn source(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x * 40) as u8, (y * 60) as u8, 9]))
    }

    fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decode_freely(bytes: &[u8]) -> Result<RgbImage, ImageError> {
        decode(bytes, &DecodeLimits::default())
    }

    /// A little-endian EXIF block that holds an orientation and nothing else.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        block
    }

    #[test]
    fn lossless_formats_keep_every_value() {
        let image = source(6, 4);
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
            assert_eq!(decode_freely(&encode(image.clone(), format)).as_ref(), Ok(&image), "{format:?}");
        }
    }

    #[test]
    fn gif_gives_its_first_frame() {
        // The encoder makes up a palette: two colours survive that exactly.
        let image = RgbImage::from_fn(4, 3, |x, _| Rgb([if x < 2 { 0 } else { 255 }; 3]));
        let rgba: RgbaImage = DynamicImage::from(image.clone()).into_rgba8();
        assert_eq!(decode_freely(&encode(rgba, ImageFormat::Gif)), Ok(image));
    }

    #[test]
    fn jpeg_is_near_what_went_in() {
        let image = RgbImage::from_pixel(20, 12, Rgb([200, 100, 50]));
        let decoded = decode_freely(&encode(image, ImageFormat::Jpeg)).unwrap();
        assert_eq!(decoded.dimensions(), (20, 12));
        let near = |pixel: &Rgb<u8>| {
            pixel.0.iter().zip([200_u8, 100, 50]).all(|(&found, sent)| found.abs_diff(sent) <= 3)
        };
        assert!(decoded.pixels().all(near), "{:?}", decoded.get_pixel(0, 0));
    }

    #[test]
    fn transparency_lies_over_white_as_in_pillow() {
        // (value, alpha, Pillow 12.1.0's alpha_composite over white).
        let vectors = [
            (0, 0, 255),
            (0, 1, 254),
            (0, 127, 128),
            (0, 128, 127),
            (0, 254, 1),
            (0, 255, 0),
            (100, 3, 253),
            (100, 77, 208),
            (100, 200, 133),
            (200, 51, 244),
            (254, 128, 254),
            (255, 60, 255),
            (13, 249, 19),
            (77, 33, 232),
        ];
        for (value, alpha, expected) in vectors {
            assert_eq!(over_white([value, value, value, alpha]), [expected; 3], "{value} {alpha}");
            let grey = GrayAlphaImage::from_pixel(1, 1, ::image::LumaA([value, alpha]));
            let decoded = decode_freely(&encode(grey, ImageFormat::Png)).unwrap();
            assert_eq!(decoded.as_raw(), &[expected; 3]);
        }
    }

    #[test]
    fn sixteen_bits_keep_the_high_byte() {
        let deep = ::image::ImageBuffer::from_pixel(1, 1, Rgb([0x12ff_u16, 0xff80, 0x00ff]));
        let bytes = encode(DynamicImage::ImageRgb16(deep), ImageFormat::Png);
        assert_eq!(decode_freely(&bytes).unwrap().as_raw(), &[0x12, 0xff, 0x00]);
    }

    #[test]
    fn every_orientation_is_set_upright() {
        // Left and right, above and below, as the pixels of a 2 x 2 image lie in the file.
        let [a, b, c, d] = [Rgb([1, 0, 0]), Rgb([2, 0, 0]), Rgb([3, 0, 0]), Rgb([4, 0, 0])];
        let file = RgbImage::from_fn(2, 2, |x, y| [[a, b], [c, d]][y as usize][x as usize]);
        let expected = [
            [a, b, c, d],
            [b, a, d, c],
            [d, c, b, a],
            [c, d, a, b],
            [a, c, b, d],
            [c, a, d, b],
            [d, b, c, a],
            [b, d, a, c],
        ];
        for (code, expected) in (1..).zip(expected) {
            let mut bytes = Vec::new();
            let mut encoder = PngEncoder::new(&mut bytes);
            encoder.set_exif_metadata(exif(code)).unwrap();
            encoder.write_image(file.as_raw(), 2, 2, ExtendedColorType::Rgb8).unwrap();
            let upright = decode_freely(&bytes).unwrap();
            assert_eq!(upright.pixels().copied().collect::<Vec<_>>(), expected, "{code}");
            let mut bytes = Vec::new();
            let mut encoder = PngEncoder::new(&mut bytes);
            encoder.set_exif_metadata(exif(code)).unwrap();
            encoder.write_image(source(6, 4).as_raw(), 6, 4, ExtendedColorType::Rgb8).unwrap();
            let dimensions = decode_freely(&bytes).unwrap().dimensions();
            assert_eq!(decoded_size(&bytes, &DecodeLimits::default()), Ok(dimensions), "{code}");
        }
    }

    #[test]
    fn jpeg_turns_too() {
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif(6)).unwrap();
        encoder.write_image(source(6, 4).as_raw(), 6, 4, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(decode_freely(&bytes).unwrap().dimensions(), (4, 6));
    }

    #[test]
    fn webp_turns_too_unless_its_exif_lies_about_its_length() {
        let mut bytes = Vec::new();
        let mut encoder = WebPEncoder::new_lossless(&mut bytes);
        encoder.set_exif_metadata(exif(6)).unwrap();
        encoder.encode(source(6, 4).as_raw(), 6, 4, ExtendedColorType::Rgb8).unwrap();
        assert_eq!(find_webp_chunk(&bytes, b"EXIF"), Some(exif(6).as_slice()));
        assert_eq!(decode_freely(&bytes).unwrap().dimensions(), (4, 6));

        let at = bytes.windows(4).position(|word| word == b"EXIF").unwrap() + 4;
        for length in [u32::MAX, u32::MAX - 1, 1 << 30] {
            bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
            assert_eq!(find_webp_chunk(&bytes, b"EXIF"), None);
            assert_eq!(find_webp_chunk(&bytes, b"XMP "), None);
            assert_eq!(decode_freely(&bytes).unwrap().dimensions(), (6, 4));
        }
    }

    #[test]
    fn no_beginning_of_a_file_passes_for_the_whole() {
        for format in
            [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif]
        {
            let image = DynamicImage::from(source(9, 7));
            let whole = match format {
                // The encoder takes no RGB.
                ImageFormat::Gif => encode(image.into_rgba8(), format),
                _ => encode(image, format),
            };
            let pixels = decode_freely(&whole).unwrap();
            for length in 0..whole.len() {
                // Other formats may lack their last bytes, where no pixel is left.
                match decode_freely(&whole[..length]) {
                    Ok(image) => assert!(
                        format != ImageFormat::Jpeg && image == pixels,
                        "{format:?}, {length} of {} bytes",
                        whole.len()
                    ),
                    Err(error) => assert!(
                        matches!(
                            error,
                            ImageError::Empty
                                | ImageError::UnknownFormat { .. }
                                | ImageError::Truncated { .. }
                        ),
                        "{format:?}, {length} of {} bytes: {error}",
                        whole.len()
                    ),
                }
            }
        }
    }

    #[test]
    fn a_jpeg_without_its_end_is_truncated() {
        let whole = encode(source(60, 40), ImageFormat::Jpeg);
        assert_eq!(
            decode_freely(&whole[..whole.len() - 2]),
            Err(ImageError::Truncated { format: "jpeg", found_bytes: whole.len() - 2 })
        );
        let padded = [whole.as_slice(), b"and more"].concat();
        assert!(decode_freely(&padded).is_ok(), "bytes after the end are none of the image's");
    }

    #[test]
    fn limits_hold_before_pixels_are_decoded() {
        let bytes = encode(source(6, 4), ImageFormat::Png);
        let few_bytes = DecodeLimits { max_bytes: 10, ..DecodeLimits::default() };
        assert_eq!(
            decode(&bytes, &few_bytes),
            Err(ImageError::TooManyBytes { limit_bytes: 10, found_bytes: bytes.len() })
        );
        let few_pixels = DecodeLimits { max_pixels: 23, ..DecodeLimits::default() };
        assert_eq!(
            decode(&bytes, &few_pixels),
            Err(ImageError::TooManyPixels { limit_pixels: 23, width: 6, height: 4 })
        );
        // A bomb: 58 bytes of bitmap that announce ten gigabytes of pixels.
        let mut bomb = encode(source(1, 1), ImageFormat::Bmp);
        bomb[18..22].copy_from_slice(&60_000_i32.to_le_bytes());
        bomb[22..26].copy_from_slice(&60_000_i32.to_le_bytes());
        assert!(matches!(decode_freely(&bomb), Err(ImageError::TooManyPixels { .. })));
    }

    #[test]
    fn names_what_it_cannot_read() {
        assert_eq!(decode_freely(b""), Err(ImageError::Empty));
        let unknown = |found: &str| Err(ImageError::UnknownFormat { found: found.to_string() });
        assert_eq!(decode_freely(b"hello"), unknown("bytes 68 65 6c 6c 6f"));
        assert_eq!(decode_freely(b"II*\0and more"), unknown("tiff"));
        assert_eq!(decode_freely(b"\0\0\0\x18ftypheic\0\0\0\0"), unknown("heic"));
        let mut corrupt = encode(source(6, 4), ImageFormat::Png);
        corrupt[20] ^= 1;
        assert!(matches!(decode_freely(&corrupt), Err(ImageError::Corrupt { format: "png", .. })));
    }
}
