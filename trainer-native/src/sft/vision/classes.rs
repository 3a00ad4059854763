//! The answers of a data set as classes.

use crate::dataset::Conversation;
use anyhow::{Result, bail};
use fine_r1_core::prompt::{Content, Part, Role};
use std::collections::BTreeMap;

/// The distinct answers, in the order of their spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(BTreeMap<String, usize>);

impl Classes {
    /// The classes of some rows, each of which shows one picture.
    ///
    /// # Errors
    /// There is one answer only, or hardly any that comes twice, or a row has not one picture.
    pub fn of(rows: &[&Conversation]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|row| row.images.len() != 1) {
            bail!(
                "{}: {} images\nhint: the stage `vision` takes rows with one image each",
                row.source,
                row.images.len()
            );
        }
        let mut classes: BTreeMap<String, usize> = rows.iter().map(|row| (answer(row), 0)).collect();
        if classes.len() < 2 || classes.len() * 2 > rows.len() {
            bail!(
                "{} different answers in {} rows are no classes\nhint: the stage `vision` takes a data set that \
                 names what is seen, as `cot --teacher facts --kind name` writes it",
                classes.len(),
                rows.len()
            );
        }
        for (number, class) in classes.values_mut().zip(0..) {
            *number = class;
        }
        Ok(Self(classes))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The class of a row; `None` where no row that the classes were taken from has its answer.
    #[must_use]
    pub fn class(&self, row: &Conversation) -> Option<usize> {
        self.0.get(&answer(row)).copied()
    }
}

/// What the assistant says last.
fn answer(row: &Conversation) -> String {
    let last = row.messages.iter().rfind(|message| message.role == Role::Assistant);
    let text = match last.map(|message| &message.content) {
        Some(Content::Text(text)) => text.clone(),
        Some(Content::Parts(parts)) => parts
            .iter()
            .filter_map(|part| match part {
                Part::Text { text } => Some(text.as_str()),
                Part::Image { .. } => None,
            })
            .collect(),
        None => String::new(),
    };
    text.trim().to_owned()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::dataset::ImageSource;
    use fine_r1_core::prompt::Message;

    /// A row of one name.
    pub fn row(name: &str, images: usize) -> Conversation {
        Conversation {
            source: "rows.json, row 1".into(),
            messages: vec![
                Message::text(Role::User, "Name this aircraft."),
                Message::text(Role::Assistant, name),
            ],
            images: vec![ImageSource::File("photo.png".into()); images],
            confounder: None,
        }
    }

    #[test]
    fn answers_are_numbered_by_their_spelling() {
        let rows: Vec<_> = ["B", "A", "B", " A\n", "B"].map(|name| row(name, 1)).to_vec();
        let classes = Classes::of(&rows.iter().collect::<Vec<_>>()).expect("two classes");
        assert_eq!(classes.len(), 2);
        assert_eq!(rows.iter().map(|row| classes.class(row)).collect::<Vec<_>>(), [1, 0, 1, 0, 1].map(Some));
        assert_eq!(classes.class(&row("C", 1)), None);
    }

    #[test]
    fn what_is_no_class_is_refused() {
        for (rows, expected) in [
            (vec![row("A", 1), row("A", 1)], "1 different answers in 2 rows"),
            (vec![row("A", 1), row("B", 1), row("C", 1)], "3 different answers in 3 rows"),
            (vec![row("A", 1), row("A", 2)], "rows.json, row 1: 2 images"),
        ] {
            let error = Classes::of(&rows.iter().collect::<Vec<_>>()).expect_err(expected).to_string();
            assert!(error.contains(expected) && error.contains("\nhint: "), "{error}");
        }
    }
}
