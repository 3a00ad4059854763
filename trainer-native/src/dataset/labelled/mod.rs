//! Labelled pictures: a folder per class, a table, or one of the six sets of fine-grained recognition as their
//! official archives unpack.

mod aircraft;
mod cars;
mod classes;
mod columns;
mod cub;
mod dogs;
mod flowers;
mod folders;
mod layout;
mod pets;
mod shots;
mod table;

pub use classes::Classes;
pub use layout::Layout;
pub use shots::few_shots;

use anyhow::{Result, bail};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Extensions of pictures that are read.
const EXTENSIONS: [&str; 6] = ["jpg", "jpeg", "png", "webp", "bmp", "gif"];

/// One labelled picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// Its path as the set writes it, relative to the set's folder, with `/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it shows.
    pub label: String,
    /// What is asked about it, where a table says that.
    pub question: Option<String>,
}

/// Which part of a set, as its authors parted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// For training, validation included.
    Train,
    /// For testing.
    Test,
    /// All of it.
    All,
}

impl Part {
    /// Whether a picture that is for testing, or not, belongs to the part.
    #[must_use]
    pub fn admits(self, is_test: bool) -> bool {
        match self {
            Self::Train => !is_test,
            Self::Test => is_test,
            Self::All => true,
        }
    }
}

/// Pictures with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledSet {
    /// How they lie.
    pub layout: Layout,
    /// The folder that names are relative to.
    pub root: PathBuf,
    /// In the set's own order.
    pub images: Vec<LabelledImage>,
}

impl LabelledSet {
    /// Reads a part of the set at `path`; the layout is recognised where none is given. `image_root` is what a table's
    /// paths are relative to, its own folder where absent.
    ///
    /// # Errors
    /// A file of the layout or a picture is missing or malformed, or a picture has two labels.
    pub fn read(path: &Path, layout: Option<Layout>, part: Part, image_root: Option<&Path>) -> Result<Self> {
        let (layout, root) = Layout::find(path, layout)?;
        let asked = |rows: Vec<Row>| rows.into_iter().map(|row| (row, None)).collect();
        let rows: Vec<Asked> = match layout {
            Layout::Folders => asked(folders::read(&root, part)?),
            Layout::Csv => table::read_csv(path, part)?,
            Layout::Jsonl => table::read_jsonl(path, part)?,
            Layout::Cub => asked(cub::read(&root, part)?),
            Layout::Cars => asked(cars::read(&root, part)?),
            Layout::Dogs => asked(dogs::read(&root, part)?),
            Layout::Flowers => asked(flowers::read(&root, part)?),
            Layout::Pets => asked(pets::read(&root, part)?),
            Layout::Aircraft => asked(aircraft::read(&root, part)?),
        };
        if rows.is_empty() {
            bail!("{} has no pictures of this part\nhint: --part all takes every picture", path.display());
        }
        let root = match (image_root, layout) {
            (None, _) => root,
            (Some(image_root), Layout::Csv | Layout::Jsonl) => image_root.to_owned(),
            (Some(_), _) => bail!(
                "{} has its pictures beside their labels\nhint: leave out --image-root, which is for .csv and .jsonl files",
                path.display()
            ),
        };
        let images = gather(path, &root, layout, rows)?;
        Ok(Self { layout, root, images })
    }

    /// Number of different labels.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.images.iter().map(|image| image.label.as_str()).collect::<std::collections::BTreeSet<_>>().len()
    }
}

/// Name and label of a picture.
type Row = (String, String);
/// The same, and what is asked about the picture.
type Asked = (Row, Option<String>);

/// Puts every picture to its place; all must be there, each with one label.
fn gather(path: &Path, root: &Path, layout: Layout, rows: Vec<Asked>) -> Result<Vec<LabelledImage>> {
    let mut images: Vec<LabelledImage> = Vec::with_capacity(rows.len());
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for ((name, label), question) in rows {
        let label = classes::released_spelling(layout, &label).map_or(label, str::to_owned);
        if label.is_empty() {
            bail!("{}: {name} has an empty label\nhint: give every picture a label", path.display());
        }
        if let Some(earlier) = known.get(&name) {
            let earlier = &images[*earlier].label;
            if *earlier != label {
                bail!(
                    "{}: {name} is labelled `{earlier}` and `{label}`\nhint: give every picture one label",
                    path.display()
                );
            }
            continue;
        }
        known.insert(name.clone(), images.len());
        images.push(LabelledImage { path: root.join(&name), name, label, question });
    }
    let missing: Vec<&LabelledImage> = images.iter().filter(|image| !image.path.is_file()).collect();
    if let Some(first) = missing.first() {
        bail!(
            "{} of {} pictures of {} are missing, the first is {}\nhint: unpack the pictures beside their labels",
            missing.len(),
            images.len(),
            path.display(),
            first.path.display()
        );
    }
    Ok(images)
}

/// A name of a folder or class without underscores.
fn readable(name: &str) -> String {
    name.replace('_', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;
    use std::fs;

    fn write(folder: &Folder, name: &str, text: &str) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_picture_has_one_label_and_is_there() {
        let folder = Folder::new();
        write(&folder, "a.jpg", "");
        write(&folder, "rows.csv", "image,label\na.jpg,A\na.jpg,A\n");
        let path = folder.path().join("rows.csv");
        assert_eq!(LabelledSet::read(&path, None, Part::Train, None).unwrap().images.len(), 1);
        write(&folder, "rows.csv", "image,label\na.jpg,A\na.jpg,B\n");
        assert!(
            LabelledSet::read(&path, None, Part::Train, None)
                .unwrap_err()
                .to_string()
                .contains("`A` and `B`")
        );
        write(&folder, "rows.csv", "image,label\na.jpg,A\nb.jpg,B\n");
        let message = LabelledSet::read(&path, None, Part::Train, None).unwrap_err().to_string();
        assert!(message.contains("1 of 2") && message.contains("b.jpg"), "{message}");
    }
}
