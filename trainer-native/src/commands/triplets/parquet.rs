//! The rows as Parquet with their pictures inside, as Hugging Face keeps data sets with pictures: a list of
//! `{"bytes", "path"}` in each column of pictures, and the word `Image` for it in the file's metadata.
//!
//! The released TAPO code looks for paths of positives and negatives in the folder that it was started in alone;
//! pictures inside are found from anywhere. Columns: <https://huggingface.co/datasets/StevenHH2000/Fine-R1-Stage2-data>;
//! metadata: <https://github.com/huggingface/datasets/blob/3.6.0/src/datasets/arrow_writer.py>.

use super::rows::TripletRow;
use crate::bounded::read_image;
use crate::checkpoint::write_file_with;
use anyhow::{Context, Result};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Rows that are held and written together.
const GROUP_ROWS: usize = 100;

/// The five released columns, in their order.
const SCHEMA: &str = "message triplets {
  optional group images (LIST) { repeated group list { optional group element {
    optional binary bytes; optional binary path (UTF8);
  } } }
  optional binary problem (UTF8);
  optional binary answer (UTF8);
  optional group image_noisy (LIST) { repeated group list { optional group element {
    optional binary bytes; optional binary path (UTF8);
  } } }
  optional group image_aug (LIST) { repeated group list { optional group element {
    optional binary bytes; optional binary path (UTF8);
  } } }
}";

/// How deep a text lies in the schema: it may be missing.
const TEXT_LEVEL: i16 = 1;
/// How deep the parts of a picture lie: column, place in the list, picture and part may be missing.
const PICTURE_LEVEL: i16 = 4;

/// Writes the rows.
///
/// # Errors
/// A picture cannot be read, or the disk is full.
pub fn write(path: &Path, rows: &[TripletRow]) -> Result<()> {
    write_file_with(path, |temporary| write_rows(File::create(temporary)?, rows))
}

fn write_rows(file: File, rows: &[TripletRow]) -> Result<()> {
    let images = json!({ "feature": { "_type": "Image" }, "_type": "Sequence" });
    let text = json!({ "dtype": "string", "_type": "Value" });
    let features = json!({
        "images": images, "problem": text, "answer": text, "image_noisy": images, "image_aug": images,
    });
    let metadata = json!({ "info": { "features": features } }).to_string();
    // Encoded pictures are all different, and nobody asks for the smallest of them.
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![KeyValue::new("huggingface".to_owned(), metadata)]))
        .build();
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = writer.next_row_group()?;
        write_pictures(&mut group, rows.iter().map(|row| row.anchor.as_path()))?;
        write_texts(&mut group, rows.iter().map(|row| row.problem.as_str()))?;
        write_texts(&mut group, rows.iter().map(|row| row.answer.as_str()))?;
        write_pictures(&mut group, rows.iter().map(|row| row.positive.as_path()))?;
        write_pictures(&mut group, rows.iter().map(|row| row.negative.as_path()))?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// A column of lists of one picture.
fn write_pictures<'row>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    paths: impl Iterator<Item = &'row Path> + Clone,
) -> Result<()> {
    let bytes = paths.clone().map(|path| Ok(read_image(path)?.into())).collect::<Result<Vec<ByteArray>>>()?;
    write_leaves(group, &bytes, PICTURE_LEVEL)?;
    let name = |path: &Path| ByteArray::from(&*path.file_name().unwrap_or_default().to_string_lossy());
    write_leaves(group, &paths.map(name).collect::<Vec<_>>(), PICTURE_LEVEL)
}

fn write_texts<'row>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    texts: impl Iterator<Item = &'row str>,
) -> Result<()> {
    write_leaves(group, &texts.map(ByteArray::from).collect::<Vec<_>>(), TEXT_LEVEL)
}

/// The next column of the schema, one value for every row and none missing.
fn write_leaves(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[ByteArray],
    level: i16,
) -> Result<()> {
    let mut column = group.next_column()?.context("the schema has no further column")?;
    let (present, first_of_list) = (vec![level; values.len()], vec![0; values.len()]);
    let repetition = (level == PICTURE_LEVEL).then_some(first_of_list.as_slice());
    column.typed::<ByteArrayType>().write_batch(values, Some(&present), repetition)?;
    column.close()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;
    use crate::dataset::{Cell, ImageSource, read_images, read_rows};
    use std::fs;

    #[test]
    fn what_is_written_is_read_back() {
        let folder = Folder::new();
        let picture = |name: String| {
            let path = folder.path().join(&name);
            fs::write(&path, format!("bytes of {name}")).expect("a file");
            path
        };
        let rows: Vec<TripletRow> = (0..2 * GROUP_ROWS + 3)
            .map(|number| TripletRow {
                problem: format!("<image>Question {number}?"),
                answer: format!("Ä{number}"),
                anchor: picture(format!("{number}.jpg")),
                positive: picture(format!("{number}-p.jpg")),
                negative: picture(format!("{number}-n.jpg")),
                negative_label: "other".to_owned(),
            })
            .collect();
        let path = folder.path().join("rows.parquet");
        write(&path, &rows).expect("a file");
        let found = read_rows(&path).expect("rows");
        assert_eq!(found.len(), rows.len());
        for (found, row) in found.iter().zip(&rows) {
            let cell = found.cell.as_ref().expect("a row");
            let Cell::Object(fields) = cell else { panic!("{cell:?}") };
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            assert_eq!(names, ["answer", "image_aug", "image_noisy", "images", "problem"]);
            assert_eq!(cell.get("problem").and_then(Cell::as_text), Some(row.problem.as_str()));
            assert_eq!(cell.get("answer").and_then(Cell::as_text), Some(row.answer.as_str()));
            for (column, path) in
                [("images", &row.anchor), ("image_noisy", &row.positive), ("image_aug", &row.negative)]
            {
                let images = read_images(cell, column, Path::new("")).expect("pictures");
                let [ImageSource::Inside { bytes, .. }] = images.as_slice() else { panic!("{images:?}") };
                assert_eq!(bytes.as_ref(), fs::read(path).expect("a file"));
                let name = path.file_name().and_then(|name| name.to_str());
                let first = cell.get(column).and_then(Cell::as_list).expect("a list")[0].get("path");
                assert_eq!(first.and_then(Cell::as_text), name);
            }
        }
    }
}
