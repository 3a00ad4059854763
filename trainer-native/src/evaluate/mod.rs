//! Measures a checkpoint on labelled photos: closed world, open world, with parts taken away, and beside
//! the baselines that show what the figures are worth.
//!
//! Section 5.1 of the Fine-R1 paper, <https://arxiv.org/abs/2602.07605>. The released evaluation files name
//! the true class first in every row, so options are shuffled here by a seed.
//!
//! ```text
//! data sets + prompts -> plan of settings -> what is missing -> ask or choose -> result file
//! result file -> records -> summary, table, report; two of them -> comparison
//! ```

mod answerer;
mod ask;
mod baselines;
mod confusion;
mod contrastive;
mod data_set;
mod fingerprint;
mod interval;
mod material;
mod measure;
mod paired;
mod photos;
mod plan;
mod probe;
mod prompts;
mod published;
mod record;
mod report;
mod rows;
mod settings;
mod similarity;
mod store;
mod summary;
mod table;
mod text_embedder;

pub use answerer::Model;
pub use ask::{Question, ask, can_ask};
pub use baselines::{always_first, random_choice};
pub use contrastive::{Chooser, is_contrastive, load as load_contrastive, photo_vectors};
pub use data_set::{DataSet, Split, read_sets};
pub use fingerprint::fingerprint;
pub use material::Material;
pub use paired::compare;
pub use photos::{photo_files, refuse_unreadable};
pub use plan::Plan;
pub use probe::probe_hits;
pub use prompts::Prompts;
pub use published::Published;
pub use record::{Output, Record};
pub use report::html;
pub use rows::Row;
pub use settings::{Settings, Shard, Task, Variant};
pub use similarity::{Categories, Similarity};
pub use store::{Results, Store};
pub use summary::{PromptFacts, SetFacts, Summary};
pub use table::{comparison, markdown};
pub use text_embedder::{TextEmbedder, open_text_embedder};
