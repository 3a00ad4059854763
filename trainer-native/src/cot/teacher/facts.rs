//! The teacher that needs no model: templates over an attribute file ([`crate::cot::rationale`]), in
//! the four parts that every teacher is asked for.

use super::{Purpose, Question, Reply, Teacher, TeacherError, Tokens};
use crate::cot::facts::Fleet;
use crate::cot::rationale::{Parts, open_parts};
use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// Writes what the attribute file says of a label; it never looks at a picture.
#[derive(Debug)]
pub struct FactsTeacher {
    fleet: Fleet,
}

impl FactsTeacher {
    /// Reads `variants.json`.
    ///
    /// # Errors
    /// It is missing or malformed.
    pub fn read(variants: &Path) -> Result<Self> {
        Ok(Self { fleet: Fleet::read(variants)? })
    }
}

impl Teacher for FactsTeacher {
    fn name(&self) -> String {
        "facts".into()
    }

    fn ask(&self, question: &Question) -> Result<Reply, TeacherError> {
        let refused = |reason: String| Err(TeacherError::Refused(reason));
        if question.purpose == Purpose::Description {
            return refused("templates describe nothing; leave out --concepts".into());
        }
        let Some(truth) = self.fleet.get(&question.label) else {
            return refused(format!("`{}` is not in the variants file", question.label));
        };
        let mut random = ChaCha8Rng::seed_from_u64(question.seed);
        let Parts { analysis, candidates, comparison } = match open_parts(&self.fleet, truth, &mut random) {
            Ok(parts) => parts,
            Err(error) => return refused(error.to_string()),
        };
        let text = format!(
            "<analysis>{analysis}</analysis>\n<options>\n{}\n</options>\n<comparison>{comparison}</comparison>\n\
             <prediction>{}</prediction>",
            candidates.join("\n"),
            truth.name
        );
        Ok(Reply { text, complete: true, tokens: Tokens::default() })
    }
}
