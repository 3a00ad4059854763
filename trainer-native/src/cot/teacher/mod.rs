//! Who writes: one interface for templates over an attribute file, a checkpoint on this machine, and a
//! server that speaks OpenAI's chat protocol.

mod data_url;
mod facts;
mod local;
mod retry;
mod server;

pub use data_url::data_url;
pub use facts::FactsTeacher;
pub use local::LocalTeacher;
pub use retry::Retry;
pub use server::{ServerOptions, ServerTeacher};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What an answer is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A description of the picture, from which visual concepts are chosen.
    Description,
    /// A chain of thought in four parts.
    Rationale,
}

impl Purpose {
    /// As files spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Rationale => "rationale",
        }
    }
}

/// One question about one picture.
#[derive(Debug, Clone)]
pub struct Question {
    /// What the answer is for.
    pub purpose: Purpose,
    /// Where the picture lies.
    pub image: PathBuf,
    /// The true name of what it shows.
    pub label: String,
    /// All that is said besides the picture.
    pub prompt: String,
    /// Most tokens of the answer.
    pub max_new_tokens: usize,
    /// Randomness; 0 takes the likeliest token.
    pub temperature: f64,
    /// Makes the answer repeatable, where the teacher can.
    pub seed: u64,
}

/// What an answer cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of the question, its picture included.
    pub prompt: u64,
    /// Of the answer.
    pub completion: u64,
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.completion += other.completion;
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// As the teacher wrote it.
    pub text: String,
    /// Whether the teacher came to its end; false where the limit of tokens cut it.
    pub complete: bool,
    /// What it cost; zero where the teacher does not count.
    pub tokens: Tokens,
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub enum TeacherError {
    /// This question alone gets none; others may.
    #[error("{0}")]
    Refused(String),
    /// No further question will be answered.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Somebody who answers questions about pictures, several at a time if asked from several threads.
pub trait Teacher: Sync {
    /// Who it is, and everything besides the question that decides its answers.
    fn name(&self) -> String;

    /// Answers one question.
    ///
    /// # Errors
    /// [`TeacherError::Refused`] concerns this question, [`TeacherError::Failed`] ends the run.
    fn ask(&self, question: &Question) -> Result<Reply, TeacherError>;
}
