//! Photos that cannot be read are refused by name; whatever can be read is.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use std::fs;
use std::io::Write;

fn read_golden(name: &str) -> Vec<u8> {
    fs::read(golden_image(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A PNG that announces this size and has hardly any pixels.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let [width, height] = [width, height].map(u32::to_be_bytes);
    // 8 bits, RGB, and the only methods there are.
    let header = [&width[..], &height[..], &[8, 2, 0, 0, 0]].concat();
    // A deflate stream of one stored block of no bytes.
    let pixels = [0x78, 0x01, 0x01, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01];
    for (kind, body) in [(b"IHDR", header.as_slice()), (b"IDAT", pixels.as_slice()), (b"IEND", &[])] {
        png.extend(png_chunk(kind, body));
    }
    png
}

fn png_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let checked = [kind, body].concat();
    let length = (body.len() as u32).to_be_bytes();
    [&length[..], &checked, &crc32(&checked).to_be_bytes()].concat()
}

/// The checksum of PNG chunks (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let update = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(u32::MAX, update)
}

#[test]
fn photos_that_cannot_be_read_are_refused_by_name() {
    let model = golden_checkpoint("qwen2_vl");
    let scratch = Scratch::new();
    let rgb = read_golden("rgb.png");
    let mut flipped = rgb.clone();
    let middle = rgb.len() / 2;
    flipped[middle] ^= 0xff;
    let jpeg = read_golden("baseline.jpg");
    // The marker of the frame says how pixels are coded.
    let mut arithmetic = jpeg.clone();
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
    arithmetic[frame + 1] = 0xc9;
    let mut jpeg_bomb = jpeg.clone();
    jpeg_bomb[frame + 5..frame + 9].fill(0xff);
    // Screen, a palette of two colours, one frame as large as the screen, and one code of pixels.
    let gif_bomb = [
        b"GIF89a".as_slice(),
        &[0xff; 4],
        &[0x80, 0, 0],
        &[0; 6],
        b",\0\0\0\0",
        &[0xff; 4],
        &[0, 2, 2, 0x44, 1, 0, 0x3b],
    ]
    .concat();
    let mut bmp_bomb = read_golden("picture.bmp");
    bmp_bomb[18..22].copy_from_slice(&60_000_u32.to_le_bytes());
    bmp_bomb[22..26].copy_from_slice(&60_000_u32.to_le_bytes());
    let mut webp = read_golden("lossless.webp");
    webp.truncate(webp.len() / 2);
    let files: [(&str, Vec<u8>, &[&str]); 16] = [
        ("empty.png", Vec::new(), &["0 bytes"]),
        ("text.png", b"This is no picture.".to_vec(), &["unknown image format"]),
        ("page.jpg", b"<!DOCTYPE html><html></html>".to_vec(), &["unknown image format"]),
        ("corrupt.png", flipped, &["corrupt png"]),
        ("truncated.png", rgb[..rgb.len() / 2].to_vec(), &["truncated png"]),
        ("header.png", rgb[..20].to_vec(), &["png"]),
        ("truncated.jpg", jpeg[..jpeg.len() / 2].to_vec(), &["truncated jpeg"]),
        ("almost.jpg", jpeg[..jpeg.len() - 2].to_vec(), &["truncated jpeg"]),
        ("arithmetic.jpg", arithmetic, &["unsupported jpeg", "arithmetic coding is not supported", "hint: "]),
        ("truncated.webp", webp, &["webp"]),
        ("bomb.png", png_of(60_000, 60_000), &["60000 x 60000"]),
        ("bomb.jpg", jpeg_bomb, &["65535 x 65535"]),
        ("bomb.bmp", bmp_bomb, &["60000 x 60000"]),
        ("bomb.gif", gif_bomb, &["65535 x 65535"]),
        ("flat.png", png_of(0, 5), &["png"]),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".to_vec(), &["heic"]),
    ];
    let mut refusals = Refusals::default();
    for (name, bytes, words) in files {
        let path = scratch.write(name, bytes);
        let named: Vec<&str> = words.iter().copied().chain([path.as_str()]).collect();
        refusals.expect(name, ["recognize", &path, "--model", &model], &named);
    }
    let missing = scratch.arg("missing.png");
    refusals.expect("missing file", ["recognize", &missing, "--model", &model], &[&missing]);
    let folder = scratch.dir();
    refusals.expect("folder", ["recognize", &folder, "--model", &model], &[&folder, "folder"]);
    let under_file = scratch.arg("text.png/photo.png");
    refusals.expect("file as folder", ["recognize", &under_file, "--model", &model], &[&under_file]);
    let thin = scratch.arg("thin.png");
    image::RgbImage::new(1000, 2).save(&thin).expect("a picture");
    refusals.expect("too thin", ["recognize", &thin, "--model", &model], &[&thin, "1000 x 2"]);
    refusals.check();
}

/// The second photo is looked at before the first is answered.
#[test]
fn one_bad_photo_among_good_ones_refuses_all() {
    let model = golden_checkpoint("qwen2_vl");
    let scratch = Scratch::new();
    let bad = scratch.write("bad.png", "no picture");
    let good = golden_image("tiny.png");
    let thin = scratch.arg("thin.png");
    image::RgbImage::new(1000, 2).save(&thin).expect("a picture");
    let mut refusals = Refusals::default();
    refusals.expect(
        "bad second",
        ["recognize", &good, &bad, "--model", &model, "--max-new-tokens", "1"],
        &[&bad],
    );
    refusals.expect(
        "thin second",
        ["recognize", &good, &thin, "--model", &model, "--max-new-tokens", "1"],
        &[&thin],
    );
    refusals.check();
}

#[test]
fn the_content_counts_and_not_the_name() {
    let model = golden_checkpoint("qwen2_vl");
    let scratch = Scratch::new();
    let ask = |path: &str| {
        let run = trainer(["recognize", path, "--model", &model, "--max-new-tokens", "4", "--json"]);
        run.json()["token_ids"].clone()
    };
    let expected = ask(&golden_image("rgb.png"));
    for name in ["photo.jpg", "photo.txt", "photo", "Фото 飞机.png", "a b'c.png"] {
        let path = scratch.write(name, read_golden("rgb.png"));
        assert_eq!(ask(&path), expected, "{name}");
    }
}

/// A picture of every golden format goes through.
#[test]
fn every_golden_picture_is_read() {
    let model = golden_checkpoint("qwen2_vl");
    let names = fine_r1_tests::ImagesFile::read().images.into_iter().map(|image| golden_image(&image.file));
    let names: Vec<String> = names.collect();
    let fixed = ["recognize", "--model", &model, "--max-new-tokens", "1", "--json"].map(str::to_owned);
    assert_eq!(trainer(fixed.iter().chain(&names)).json_lines().len(), names.len());
}

/// A profile is of no use here, and one of a few bytes may unfold to gigabytes: the pixels are read without it.
#[cfg(target_os = "linux")]
#[test]
fn a_profile_that_unfolds_without_end_takes_no_memory() {
    const UNFOLDED_MIB: usize = 200;
    /// The program, a tiny model and the photo.
    const MOST_MIB: u64 = 128;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..UNFOLDED_MIB {
        packed.write_all(&vec![0; 1 << 20]).expect("room");
    }
    // Its name, and the only method there is.
    let profile = [b"bomb\0\0".as_slice(), &packed.finish().expect("room")].concat();
    // Behind the signature and the header.
    let mut png = read_golden("rgb.png");
    png.splice(33..33, png_chunk(b"iCCP", &profile));
    let (scratch, model) = (Scratch::new(), golden_checkpoint("qwen2_vl"));
    let bomb = scratch.write("profile.png", png);
    let peak =
        crate::program::peak_bytes(["recognize", &bomb, "--model", &model, "--max-new-tokens", "1"], 0);
    assert!(peak >> 20 < MOST_MIB, "{} MiB", peak >> 20);
}
