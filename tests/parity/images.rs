//! Decoding, the size rule, the resize, and pixel values.

use fine_r1_core::image::{
    DecodeLimits, Grid, ImageSettings, decode, preprocess, resize_bicubic, smart_resize,
};
use fine_r1_tests::{DecodedImage, ImagesFile, Largest, PhotosFile, TensorFile, open_image, workspace};
use image::RgbImage;
use sha2::{Digest, Sha256};
use std::fs;

/// Normalisation is one subtraction and one division of numbers below 3 in f32.
const PIXEL_VALUES: f32 = 1e-6;

fn hash(image: &RgbImage) -> String {
    Sha256::digest(image.as_raw()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_decode_to_the_very_bytes() {
    for expected in ImagesFile::read().images {
        let found = open_image(&expected.file);
        assert_eq!(found.dimensions(), (expected.width, expected.height), "{}", expected.file);
        let DecodedImage { file, format, mode, .. } = &expected;
        assert_eq!(hash(&found), expected.rgb_sha256, "{file} ({format}, {mode})");
    }
}

#[test]
fn photos_of_a_camera_decode_to_the_very_bytes() {
    let photos = PhotosFile::read().photos;
    assert!(photos.len() >= 10, "{}", photos.len());
    for expected in photos {
        let path = workspace().join("tests/data/airliners").join(&expected.file);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let found = decode(&bytes, &DecodeLimits::default()).expect("a sound photo");
        assert_eq!(found.dimensions(), (expected.width, expected.height), "{}", expected.file);
        assert_eq!(hash(&found), expected.rgb_sha256, "{}", expected.file);
    }
}

#[test]
fn the_size_rule_is_that_of_transformers() {
    for row in ImagesFile::read().smart_resizes {
        let found = smart_resize(row.height, row.width, row.factor, row.min_pixels, row.max_pixels).ok();
        assert_eq!(found, row.resized, "{row:?}");
    }
}

#[test]
fn the_resize_is_pillows_bit_for_bit() {
    let (images, tensors) = (ImagesFile::read(), TensorFile::read("cases/images.safetensors"));
    for row in &images.resizes {
        let source = open_image(&row.file);
        let found = resize_bicubic(&source, row.width, row.height);
        let expected = tensors.bytes(&row.tensor);
        assert_eq!(expected.shape, [row.height as usize, row.width as usize, 3], "{}", row.tensor);
        let differing = found.as_raw().iter().zip(&expected.values).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 0, "{}: values that differ of {}", row.tensor, expected.values.len());
        assert_eq!(found.as_raw().len(), expected.values.len(), "{}", row.tensor);
    }
}

#[test]
fn pixel_values_and_grids_are_those_of_the_processor() {
    let (images, tensors) = (ImagesFile::read(), TensorFile::read("cases/images.safetensors"));
    let value_of_code = tensors.floats("value_of_code");
    let mut largest = Largest::new("pixel values", PIXEL_VALUES);
    let mut whole = 0;
    for row in &images.pixel_values {
        let source = open_image(&row.file);
        let settings = ImageSettings {
            min_pixels: row.min_pixels,
            max_pixels: row.max_pixels,
            ..ImageSettings::default()
        };
        let found = preprocess(&source, &settings).expect("a usable picture");
        let [t, h, w] = row.grid_thw;
        assert_eq!(found.grid, Grid { t, h, w }, "{}", row.file);
        let codes = tensors.bytes(&row.tensor);
        let patches = codes.shape[0];
        assert_eq!(
            (codes.shape.as_slice(), found.patch_dim),
            ([t * h * w, 3, 196].as_slice(), 1176),
            "{}",
            row.file
        );
        let mut expected = Vec::with_capacity(patches * 1176);
        for patch in codes.values.chunks_exact(3 * 196) {
            for (channel, samples) in patch.chunks_exact(196).enumerate() {
                let values =
                    samples.iter().map(|code| value_of_code.values[channel * 256 + usize::from(*code)]);
                // Both frames of a photo are the same.
                expected.extend(values.clone());
                expected.extend(values);
            }
        }
        largest.compare(&row.file, &found.values, &expected);
        let name = format!("pixel_values.{}", row.file);
        if tensors.names().contains(&name) {
            let expected = tensors.floats(&name);
            assert_eq!(expected.shape, [patches, 1176]);
            largest.compare(&name, &found.values, &expected.values);
            whole += 1;
        }
    }
    assert_eq!(whole, 1, "one picture is kept as it is");
    largest.check();
}
