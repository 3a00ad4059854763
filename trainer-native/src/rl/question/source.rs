//! A picture of a question: a file, or one inside the row.

use super::Question;
use crate::dataset::ImageSource;
use anyhow::Result;
use std::borrow::Cow;

/// A picture on disk or in the row itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(pub(super) ImageSource);

impl Source {
    /// The encoded file and its name, for messages.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, question: &Question) -> Result<(Cow<'_, [u8]>, String)> {
        let name = match &self.0 {
            ImageSource::File(path) => path.display().to_string(),
            ImageSource::Inside { name, .. } => format!("{}: {name}", question.source),
        };
        Ok((self.0.read()?, name))
    }
}
