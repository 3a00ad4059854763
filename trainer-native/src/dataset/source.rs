//! A data set by its name: rows in whatever form become conversations.

use super::info::{Entry, Form};
use super::rows::read_rows;
use super::{Cell, Conversation, RowError, RowProblem, alpaca, chat, images, tools};
use anyhow::Result;
use fine_r1_core::prompt::image_count;
use std::path::Path;

/// The rows of a data set.
#[derive(Debug)]
pub struct DataSet {
    /// Its name in `dataset_info.json`.
    pub name: String,
    /// Conversations, or why a row is none.
    pub rows: Vec<Result<Conversation, RowProblem>>,
    /// So many rows are taken; all where absent.
    pub num_samples: Option<usize>,
}

/// Reads a data set. Paths of images are relative to `media_dir`; that the images are there is looked
/// after, that they can be read is not.
///
/// # Errors
/// The description or a file is missing or malformed. Rows have errors of their own, so that all of
/// them can be told at once.
pub fn read_dataset(dataset_dir: &Path, name: &str, media_dir: &Path) -> Result<DataSet> {
    let entry = Entry::find(dataset_dir, name)?;
    let read = |row: super::rows::RawRow| {
        let conversation = row.cell.and_then(|cell| read_row(&cell, &entry, media_dir));
        match conversation {
            Ok(conversation) => Ok(Conversation { source: row.source, ..conversation }),
            Err(error) => Err(RowProblem { source_row: row.source, error }),
        }
    };
    let rows = read_rows(&entry.path)?.into_iter().map(read).collect();
    Ok(DataSet { name: name.to_owned(), rows, num_samples: entry.num_samples })
}

fn read_row(row: &Cell, entry: &Entry, media_dir: &Path) -> Result<Conversation, RowError> {
    if !matches!(row, Cell::Object(_)) {
        return Err(RowError::Shape { found: row.kind().to_owned() });
    }
    refuse_unsupported(row, entry)?;
    let (mut messages, addresses) = match entry.form {
        Form::Alpaca => {
            let messages = alpaca::read(row, entry)?;
            let places = image_count(&messages);
            (messages, vec![None; places])
        }
        Form::Sharegpt | Form::Openai => chat::read(row, entry)?,
    };
    if let Some(field) = entry.column("tools")
        && let Some(list) = row.get(field)
    {
        tools::introduce(&mut messages, field, list)?;
    }
    let beside = match entry.column("images") {
        Some(field) => images::read_images(row, field, media_dir)?,
        None => Vec::new(),
    };
    let unnamed = addresses.iter().filter(|address| address.is_none()).count();
    if unnamed != beside.len() {
        return Err(RowError::ImageCount { places: unnamed, images: beside.len() });
    }
    let mut beside = beside.into_iter();
    let mut images = Vec::with_capacity(addresses.len());
    for (index, address) in addresses.iter().enumerate() {
        let image = match address {
            Some(address) => Some(images::ImageSource::at(address, index + 1, media_dir)?),
            None => beside.next(),
        };
        images.extend(image);
    }
    for image in &images {
        if let images::ImageSource::File(path) = image
            && !path.is_file()
        {
            return Err(RowError::ImageMissing { path: path.clone() });
        }
    }
    let confounder = entry.column("confounder").and_then(|field| row.get(field)).and_then(Cell::as_text);
    Ok(Conversation { source: String::new(), messages, images, confounder: confounder.map(str::to_owned) })
}

/// What the model cannot be shown must not be left out in silence.
fn refuse_unsupported(row: &Cell, entry: &Entry) -> Result<(), RowError> {
    for (column, what) in [("videos", "videos"), ("audios", "sounds")] {
        let cell = entry.column(column).and_then(|field| row.get(field));
        let is_empty = match cell {
            None => true,
            Some(Cell::Text(text)) => text.is_empty() || text == "[]",
            Some(Cell::List(cells)) => cells.is_empty(),
            Some(_) => false,
        };
        if !is_empty {
            return Err(RowError::Unsupported { what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(row: Value) -> RowError {
        let entry = Entry::named(Form::Sharegpt, &[("videos", "videos")], &[]);
        read_row(&row.into(), &entry, Path::new("nowhere")).expect_err("a row that cannot be trained on")
    }

    #[test]
    fn images_and_their_places_must_match() {
        let turns =
            |text: &str| json!([{ "from": "human", "value": text }, { "from": "gpt", "value": "A dot." }]);
        for (row, expected) in [
            (json!(3), "the row is a number"),
            (json!({ "conversations": turns("<image>x"), "images": [7] }), "`images` has a number"),
            (
                json!({ "conversations": turns("x"), "images": "a.png" }),
                "0 <image> tags, the row has 1 images",
            ),
            (json!({ "conversations": turns("<image>x") }), "1 <image> tags, the row has 0 images"),
            (json!({ "conversations": turns("<image>x"), "images": "a.png" }), "a.png is missing"),
            (json!({ "conversations": turns("x"), "videos": ["a.mp4"] }), "the row has videos"),
        ] {
            let error = read(row.clone());
            assert!(error.to_string().contains(expected), "{row}: {error}");
            assert!(!error.hint().is_empty());
        }
    }
}
