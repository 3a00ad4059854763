//! The photos of a set: where they lie, that all can be read, whose bytes they are, and what is shown of them.

use super::data_set::sha256;
use super::{DataSet, Row, Settings, Variant};
use crate::bounded::read_image;
use crate::cli::message;
use crate::commands::read_photo;
use anyhow::{Result, bail};
use image::{Rgb, RgbImage};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Photos that stand for all where a set has none of its own at all: its root is another one.
const SHOWN: usize = 10;

/// Photos from which on it is worth a word that they are read before the start.
const MANY: usize = 1000;

/// What a blank picture is filled with.
const GREY: Rgb<u8> = Rgb([127; 3]);

/// Joins photos to the roots that were given: `DIR` for all, `SET=DIR` for a data set or one split of it.
/// The narrower root counts, whichever was typed first.
///
/// # Errors
/// A root names no set.
pub fn place_photos(sets: &mut [DataSet], roots: &[String]) -> Result<()> {
    let named = |root: &str| -> Option<(String, String)> {
        let (name, folder) = root.split_once('=').filter(|_| !Path::new(root).is_dir())?;
        Some((name.to_owned(), folder.to_owned()))
    };
    // From wide to narrow, so that the narrower one is laid over.
    let mut placed = vec![0; roots.len()];
    for width in [Width::All, Width::DataSet, Width::Split] {
        for (root, placed) in roots.iter().zip(&mut placed) {
            let named = named(root);
            for set in sets.iter_mut() {
                let folder = match (&named, width) {
                    (None, Width::All) => root,
                    (Some((name, folder)), Width::DataSet) if *name == set.dataset => folder,
                    (Some((name, folder)), Width::Split) if *name == set.name => folder,
                    _ => continue,
                };
                *placed += 1;
                for row in &mut set.rows {
                    row.image_path = Path::new(folder).join(&row.image);
                }
            }
        }
    }
    if let Some((root, _)) = roots.iter().zip(placed).find(|(_, placed)| *placed == 0) {
        let names: Vec<&str> = sets.iter().map(|set| set.name.as_str()).collect();
        bail!("--image-root {root} names no set\nhint: the sets are {}", names.join(", "));
    }
    Ok(())
}

/// How many sets a root is for.
#[derive(Debug, Clone, Copy)]
enum Width {
    All,
    DataSet,
    Split,
}

/// Refuses sets whose photos are not all there, and names all that are not. Of a set without any, where
/// the root must be wrong, the first few.
///
/// # Errors
/// Photos are missing.
pub fn refuse_missing(sets: &[DataSet]) -> Result<()> {
    let mut message = String::new();
    let (mut missing, mut total) = (0, 0);
    for set in sets {
        let lacking: Vec<&Row> = set.rows.iter().filter(|row| !row.image_path.is_file()).collect();
        (missing, total) = (missing + lacking.len(), total + set.rows.len());
        if lacking.is_empty() {
            continue;
        }
        write!(message, "\n  {}: {} of {}", set.file.display(), lacking.len(), set.rows.len())?;
        let shown = if lacking.len() == set.rows.len() { SHOWN } else { lacking.len() };
        for row in lacking.iter().take(shown) {
            write!(message, "\n    {}", row.image_path.display())?;
        }
        if lacking.len() > shown {
            write!(message, "\n    and all {} others", lacking.len() - shown)?;
        }
    }
    if missing > 0 {
        bail!(
            "{missing} of {total} photos are missing{message}\nhint: --image-root names the folder that paths are \
             relative to, --image-root SET=DIR that of one set"
        );
    }
    Ok(())
}

/// Hash over the bytes of all photos of a set, in the order of its rows, wherever they lie. What cannot be
/// read counts as no bytes: [`refuse_unreadable`] names it.
#[must_use]
pub fn photos_sha256(set: &DataSet) -> String {
    if set.rows.len() >= MANY {
        eprintln!("{}: reading {} photos, to know them again", set.name, set.rows.len());
    }
    let one = |row: &Row| read_image(&row.image_path).map(|bytes| sha256(&bytes)).unwrap_or_default();
    let sums: Vec<String> = set.rows.par_iter().map(one).collect();
    sha256(sums.join("\n").as_bytes())
}

/// The files of some rows, each once.
#[must_use]
pub fn photo_files<'set>(rows: impl Iterator<Item = &'set Row>) -> BTreeSet<&'set Path> {
    rows.map(|row| row.image_path.as_path()).collect()
}

/// Decodes photos side by side, and refuses all at once that are none, or that the model cannot look at,
/// so that no run breaks off at one of them.
///
/// # Errors
/// There are such photos; the message names each.
pub fn refuse_unreadable(
    photos: &BTreeSet<&Path>,
    check: impl Fn(&Path, &RgbImage) -> Result<()> + Sync,
) -> Result<()> {
    if photos.len() >= MANY {
        eprintln!("looking at {} photos, whether all can be read", photos.len());
    }
    let photos: Vec<&Path> = photos.iter().copied().collect();
    let wrong: Vec<String> = photos
        .par_iter()
        .filter_map(|path| read_photo(path).and_then(|photo| check(path, &photo)).err())
        .map(|error| message(&error))
        .collect();
    let Some(first) = wrong.first() else { return Ok(()) };
    let causes: Vec<&str> = wrong.iter().map(|text| text.split("\nhint: ").next().unwrap_or(text)).collect();
    let hint = first.split_once("\nhint: ").map_or("replace them, or leave out their rows", |(_, hint)| hint);
    bail!(
        "{} of {} photos cannot be asked about\n  {}\nhint: {hint}",
        wrong.len(),
        photos.len(),
        causes.join("\n  ")
    );
}

/// The photo that is shown for a row, and where it lies: its own, another class's, or a grey picture of
/// the same size.
///
/// # Errors
/// It cannot be read.
pub fn shown_photo<'set>(
    set: &'set DataSet,
    settings: &Settings,
    number: usize,
) -> Result<(&'set Path, RgbImage)> {
    let path = &set.rows[settings.shown(set, number)].image_path;
    let photo = read_photo(path)?;
    let photo = match settings.variant {
        Variant::BlankImage => RgbImage::from_pixel(photo.width(), photo.height(), GREY),
        _ => photo,
    };
    Ok((path, photo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Split;
    use crate::evaluate::rows::tests::row;
    use crate::evaluate::settings::tests::settings;
    use std::path::PathBuf;

    fn set(name: &str, photos: &[PathBuf]) -> DataSet {
        let rows = photos.iter().map(|path| Row { image_path: path.clone(), ..row() });
        DataSet {
            name: name.into(),
            dataset: name.split('_').next().unwrap_or_default().into(),
            split: Some(Split::Seen),
            file: "x".into(),
            sha256: String::new(),
            rows: rows.collect(),
        }
    }

    #[test]
    fn the_narrower_root_counts_in_any_order() {
        let roots = ["all".to_owned(), "bird=birds".to_owned(), "bird_unseen=rare".to_owned()];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1]] {
            let mut sets =
                ["bird_seen", "bird_unseen", "car_seen"].map(|name| set(name, &["own".into()])).to_vec();
            place_photos(&mut sets, &order.map(|at: usize| roots[at].clone())).expect("three roots");
            let found: Vec<_> = sets.iter().map(|set| set.rows[0].image_path.display().to_string()).collect();
            assert_eq!(found, ["birds/a320/1.jpg", "rare/a320/1.jpg", "all/a320/1.jpg"], "{order:?}");
        }
        let error = place_photos(&mut [set("car_seen", &[])], &roots).expect_err("no birds");
        assert!(error.to_string().contains("bird=birds"), "{error}");
    }

    /// Names of a folder and two pictures in it: one of 3 × 2 red pixels, one that is none.
    fn pictures(name: &str) -> (PathBuf, PathBuf, PathBuf) {
        let folder = std::env::temp_dir().join(format!("fine-r1-photos-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let (red, broken) = (folder.join("red.png"), folder.join("broken.png"));
        RgbImage::from_pixel(3, 2, Rgb([255, 0, 0])).save(&red).expect("a temporary file");
        std::fs::write(&broken, b"\x89PNG\r\n\x1a\n").expect("a temporary file");
        (folder, red, broken)
    }

    #[test]
    fn a_blank_picture_is_grey_and_as_large_as_the_photo() {
        let (folder, red, _) = pictures("blank");
        let set = set("a_seen", &[red]);
        let shown = |variant| shown_photo(&set, &settings(variant), 0).expect("a photo").1;
        assert_eq!(shown(Variant::BlankImage), RgbImage::from_pixel(3, 2, Rgb([127, 127, 127])));
        assert_eq!(shown(Variant::Plain), RgbImage::from_pixel(3, 2, Rgb([255, 0, 0])));
        std::fs::remove_dir_all(folder).expect("a temporary folder");
    }

    #[test]
    fn photos_are_known_by_their_bytes_and_named_where_they_are_none() {
        let (folder, red, broken) = pictures("bytes");
        let copy = folder.join("copy.png");
        std::fs::copy(&red, &copy).expect("room for a copy");
        let sum = |photos: &[&PathBuf]| {
            photos_sha256(&set("a_seen", &photos.iter().map(|path| (*path).clone()).collect::<Vec<_>>()))
        };
        assert_eq!(sum(&[&red, &broken]), sum(&[&copy, &broken]));
        assert_ne!(sum(&[&red, &broken]), sum(&[&broken, &red]));
        let both = set("a_seen", &[red.clone(), broken, red]);
        let files = photo_files(both.rows.iter());
        let error = refuse_unreadable(&files, |_, _| Ok(())).expect_err("one is none");
        let text = error.to_string();
        assert!(text.starts_with("1 of 2 photos") && text.contains("broken.png: "), "{text}");
        let error = refuse_unreadable(&files, |_, _| bail!("too red")).expect_err("both are refused");
        assert!(error.to_string().contains("2 of 2 photos") && error.to_string().contains("too red"));
        std::fs::remove_dir_all(folder).expect("a temporary folder");
    }
}
