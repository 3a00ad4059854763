//! Where questions are handed in: looked up among earlier answers, else asked and kept.

use super::answers::{Answers, key};
use super::report::Cost;
use crate::cot::teacher::{Question, Reply, Teacher, TeacherError};
use std::sync::{Mutex, PoisonError};

/// A teacher, its earlier answers, and the bill.
pub struct Desk<'run> {
    teacher: &'run dyn Teacher,
    name: String,
    answers: Answers,
    cost: Mutex<Cost>,
}

impl<'run> Desk<'run> {
    /// Nothing asked yet.
    #[must_use]
    pub fn new(teacher: &'run dyn Teacher, answers: Answers) -> Self {
        Self { teacher, name: teacher.name(), answers, cost: Mutex::default() }
    }

    /// Who is asked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The answer to a question about the picture called `image`.
    ///
    /// # Errors
    /// The teacher's, or the file of answers cannot be written.
    pub fn ask(&self, image: &str, question: &Question) -> Result<Reply, TeacherError> {
        let key = key(&self.name, image, question);
        let (reply, is_new) = match self.answers.get(&key) {
            Some(reply) => (reply.clone(), false),
            None => {
                let reply = self.teacher.ask(question)?;
                self.answers.record(&key, image, question, &reply)?;
                (reply, true)
            }
        };
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        cost.add(question.purpose, reply.tokens, is_new);
        Ok(reply)
    }

    /// The bill.
    #[must_use]
    pub fn into_cost(self) -> Cost {
        self.cost.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
