//! Pictures.

use crate::allocation::watch;
use crate::edits::{edits, spoil};
use crate::fuzz;
use fine_r1_core::image::{DecodeLimits, ImageSettings, decode, preprocess};
use fine_r1_tests::{ImagesFile, golden};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, sample};
use std::fs;

/// Small enough that a header's lie about the size would be seen at once.
const LIMITS: DecodeLimits = DecodeLimits { max_pixels: 1 << 18, max_bytes: 1 << 18 };
/// What the documentation of the limits promises, 16 bytes a pixel and the file itself; and the room
/// that the WebP decoder makes for a part of up to 2^24 bytes before it looks whether it is there.
const MAX_ALLOCATION: usize = (LIMITS.max_pixels as usize) * 16 + LIMITS.max_bytes + (1 << 24);

fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (decoded, largest) = watch(|| decode(bytes, &LIMITS));
    prop_assert!(largest <= MAX_ALLOCATION, "{largest} bytes at once for a file of {}", bytes.len());
    match decoded {
        Ok(photo) => {
            let (width, height) = photo.dimensions();
            prop_assert!(u64::from(width) * u64::from(height) <= LIMITS.max_pixels, "{width} x {height}");
            let settings = ImageSettings { max_pixels: 28_224, ..ImageSettings::default() };
            if let Ok(patches) = preprocess(&photo, &settings) {
                prop_assert!(
                    patches.values.iter().all(|value| value.is_finite()),
                    "a pixel value is no number"
                );
            }
        }
        Err(error) => {
            prop_assert!(!error.hint().is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
    }
    Ok(())
}

#[test]
fn spoilt_pictures_decode_or_are_refused() {
    let pictures: Vec<(String, Vec<u8>)> = ImagesFile::read()
        .images
        .into_iter()
        .map(|image| {
            let bytes = fs::read(golden("images").join(&image.file)).expect("a golden picture");
            (image.file, bytes)
        })
        .collect();
    let names: Vec<usize> = (0..pictures.len()).collect();
    // Headers decide about memory, so they are spoilt more often than pixels.
    let reach = prop_oneof![Just(64_usize), Just(600), Just(usize::MAX)];
    fuzz("spoilt pictures", 20_000, (sample::select(names), edits(), reach), |(picture, edits, reach)| {
        check(&spoil(&pictures[picture].1, &edits, reach))
    });
}

/// A chunk of a picture of a few bytes that says of itself that it has gigabytes. Where addresses have
/// 32 bits, making room for it ends the program.
#[test]
fn a_chunk_that_lies_about_its_length_gets_no_memory() {
    let plain = fs::read(golden("images/lossless.webp")).expect("a golden picture");
    let (width, height) = decode(&plain, &LIMITS).expect("a sound picture").dimensions();
    // An extended header, which announces EXIF; then the picture; then EXIF of this length.
    let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    for length in [u32::MAX, i32::MAX as u32, 1 << 30] {
        let extended = [b"VP8X\x0a\0\0\0\x08\0\0\0".to_vec(), side(width), side(height)].concat();
        let body = [b"WEBP", extended.as_slice(), &plain[12..], b"EXIF", &length.to_le_bytes(), b"Exif\0\0"]
            .concat();
        let file = [b"RIFF", (body.len() as u32).to_le_bytes().as_slice(), &body].concat();
        let (decoded, largest) = watch(|| decode(&file, &LIMITS));
        assert!(largest <= MAX_ALLOCATION, "{largest} bytes at once for a file of {}", file.len());
        assert!(decoded.is_ok(), "a broken EXIF block is no reason to refuse good pixels: {decoded:?}");
    }
}

#[test]
fn noise_is_refused() {
    let beginnings: [&[u8]; 7] = [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"RIFF\xff\xff\0\0WEBPVP8 ",
        b"BM",
        b"GIF89a",
        b"RIFF\x20\0\0\0WEBPVP8L",
    ];
    let noise = (sample::select(beginnings.to_vec()), vec(any::<u8>(), 0..400));
    fuzz("noise as pictures", 40_000, noise.prop_map(|(begin, rest)| [begin, &rest].concat()), |bytes| {
        check(&bytes)
    });
}
