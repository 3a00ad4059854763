//! Stanford Cars, <https://www.kaggle.com/datasets/jessicali9530/stanford-cars-dataset> (the authors' page is gone),
//! in its two forms: `cars_train/`, `cars_test/`, `devkit/`, `cars_test_annos_withlabels.mat`; or `car_ims/` with
//! `cars_annos.mat`. Fields: <https://github.com/pytorch/vision/blob/v0.21.0/torchvision/datasets/stanford_cars.py>.

use super::{Part, Row};
use crate::dataset::matlab::{Array, MatFile};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// Pictures in order of the annotations, those for training first.
///
/// # Errors
/// A file is missing or malformed.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let whole = root.join("cars_annos.mat");
    if whole.is_file() {
        return read_whole(&whole, part);
    }
    let meta = MatFile::read(&root.join("devkit/cars_meta.mat"))?;
    let names = meta.texts("class_names")?;
    let mut rows = Vec::new();
    if part.admits(false) {
        rows.extend(read_part(&root.join("devkit/cars_train_annos.mat"), "cars_train", &names)?);
    }
    if part.admits(true) {
        let file = "cars_test_annos_withlabels.mat";
        let found = [root.join(file), root.join("devkit").join(file)].into_iter().find(|path| path.is_file());
        let Some(path) = found else {
            bail!(
                "{} is missing, the devkit has no labels for testing\nhint: put {file} beside the devkit",
                root.join(file).display()
            );
        };
        rows.extend(read_part(&path, "cars_test", &names)?);
    }
    Ok(rows)
}

fn read_part(path: &Path, folder: &str, names: &[&str]) -> Result<Vec<Row>> {
    let file = MatFile::read(path)?;
    let rows = file.records("annotations")?.iter().map(|record| {
        let image = field(record, "fname")?.text()?;
        Ok((format!("{folder}/{image}"), class(record, names)?))
    });
    rows.collect::<Result<_>>().with_context(|| path.display().to_string())
}

fn read_whole(path: &Path, part: Part) -> Result<Vec<Row>> {
    let file = MatFile::read(path)?;
    let names = file.texts("class_names")?;
    let mut rows = Vec::new();
    for record in file.records("annotations")? {
        let row = || -> Result<Option<Row>> {
            let is_test = field(record, "test")?.number()? != 0.0;
            let image = field(record, "relative_im_path")?.text()?.to_owned();
            let label = class(record, &names)?;
            Ok(part.admits(is_test).then_some((image, label)))
        };
        rows.extend(row().with_context(|| path.display().to_string())?);
    }
    Ok(rows)
}

fn class(record: &BTreeMap<String, Array>, names: &[&str]) -> Result<String> {
    let number = field(record, "class")?.number()?;
    let name = (number >= 1.0).then(|| names.get(number as usize - 1)).flatten();
    Ok((*name.with_context(|| format!("class {number} has no name among {}", names.len()))?).to_owned())
}

fn field<'record>(record: &'record BTreeMap<String, Array>, name: &str) -> Result<&'record Array> {
    record
        .get(name)
        .with_context(|| format!("an annotation has no `{name}`\nhint: unpack the official archive anew"))
}
