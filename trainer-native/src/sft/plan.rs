//! Which rows a run trains on, in which sequences and steps, and which it only measures itself by.
//!
//! Everything here is decided by data, recipe and seed before the first step; a step is a function of
//! its number, so that a run can go on in its middle.

use super::packing::pack;
use super::survey::{Row, SurveyedSet, refuse_problems};
use super::{Overlong, SftRecipe};
use crate::dataset::{Conversation, SetSize, epoch_order, grouped_order, select};
use anyhow::{Result, bail};

/// The data of a run.
#[derive(Debug)]
pub struct Plan {
    rows: Vec<Row>,
    /// Rows that share a sequence; one row each where nothing is packed.
    sequences: Vec<Vec<usize>>,
    /// Tokens of every sequence.
    lengths: Vec<usize>,
    validation: Vec<usize>,
    left_out: usize,
    seed: u64,
    micro_batch: usize,
    batch: usize,
    is_grouped: bool,
    is_shuffled: bool,
}

impl Plan {
    /// Leaves out rows that are too long, mixes sets, puts rows aside for validation, and packs.
    ///
    /// # Errors
    /// Rows cannot be trained on, are too long where that is refused, or none are left.
    pub fn new(recipe: &SftRecipe, sets: Vec<SurveyedSet>) -> Result<Self> {
        refuse_problems(&sets)?;
        let mut rows = Vec::new();
        let (mut sizes, mut firsts, mut validation) = (Vec::new(), Vec::new(), Vec::new());
        let mut long = Vec::new();
        for set in sets {
            let first = rows.len();
            for row in set.rows {
                if row.measure.tokens > recipe.cutoff_len {
                    long.push(row);
                } else {
                    rows.push(row);
                }
            }
            if set.is_held_out {
                validation.extend(first..rows.len());
            } else {
                sizes.push(SetSize { rows: rows.len() - first, num_samples: set.num_samples });
                firsts.push(first);
            }
        }
        refuse_long(&long, &rows, recipe)?;
        let selection = select(
            &sizes,
            recipe.mix_strategy,
            &recipe.interleave_probs,
            |count| recipe.validation_rows(count),
            recipe.seed,
        );
        validation.extend(selection.validation.iter().map(|(set, row)| firsts[*set] + row));
        let training: Vec<usize> = selection.training.iter().map(|(set, row)| firsts[*set] + row).collect();
        if training.is_empty() {
            bail!(
                "no row is left to train on: {} are put aside by val_size\nhint: lower val_size, or add rows",
                validation.len()
            );
        }
        let tokens: Vec<usize> = training.iter().map(|row| rows[*row].measure.tokens).collect();
        let groups = if recipe.is_packing() {
            pack(&tokens, recipe.cutoff_len)
        } else {
            (0..training.len()).map(|sample| vec![sample]).collect()
        };
        let lengths = groups.iter().map(|group| group.iter().map(|sample| tokens[*sample]).sum()).collect();
        let sequences =
            groups.iter().map(|group| group.iter().map(|sample| training[*sample]).collect()).collect();
        Ok(Self {
            rows,
            sequences,
            lengths,
            validation,
            left_out: long.len(),
            seed: recipe.seed,
            micro_batch: recipe.per_device_train_batch_size,
            batch: recipe.samples_per_step(),
            is_grouped: recipe.group_by_length,
            is_shuffled: !recipe.disable_shuffling,
        })
    }

    /// Steps that see every sequence once.
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.sequences.len().div_ceil(self.batch)
    }

    /// Samples of an epoch.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.sequences.iter().map(Vec::len).sum()
    }

    /// Sequences of an epoch: as many as samples where nothing is packed.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.sequences.len()
    }

    /// Rows that were longer than `cutoff_len`.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// What a step sees: the next sequences of the epoch's order, which starts anew where it ends.
    #[must_use]
    pub fn step(&self, step: usize) -> Vec<Vec<&Conversation>> {
        let conversations = |rows: Vec<_>| rows.into_iter().map(|row: &Row| &row.conversation).collect();
        self.rows(step).into_iter().map(conversations).collect()
    }

    /// The rows of [`Self::step`], with what is known of their length.
    #[must_use]
    pub fn rows(&self, step: usize) -> Vec<Vec<&Row>> {
        let steps = self.steps_per_epoch();
        let order = self.order((step / steps) as u64);
        let start = step % steps * self.batch;
        let end = (start + self.batch).min(order.len());
        let rows = |sequence: &usize| self.sequences[*sequence].iter().map(|row| &self.rows[*row]).collect();
        order[start..end].iter().map(rows).collect()
    }

    /// The rows that are trained on, some of them several times where data sets are drawn.
    #[must_use]
    pub fn training(&self) -> Vec<&Conversation> {
        self.sequences.iter().flatten().map(|row| &self.rows[*row].conversation).collect()
    }

    /// The rows that are only measured by.
    #[must_use]
    pub fn validation(&self) -> Vec<&Conversation> {
        self.validation.iter().map(|row| &self.rows[*row].conversation).collect()
    }

    /// The share of computed tokens that is padding, in the first epoch.
    #[must_use]
    pub fn padding(&self) -> f64 {
        let order = self.order(0);
        let mut computed = 0;
        for step in order.chunks(self.batch) {
            for micro_batch in step.chunks(self.micro_batch) {
                let longest = micro_batch.iter().map(|sequence| self.lengths[*sequence]).max().unwrap_or(0);
                computed += longest * micro_batch.len();
            }
        }
        1.0 - self.lengths.iter().sum::<usize>() as f64 / computed.max(1) as f64
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        if self.is_grouped {
            grouped_order(&self.lengths, self.seed, epoch, self.micro_batch, self.batch)
        } else if self.is_shuffled {
            epoch_order(self.sequences.len(), self.seed, epoch)
        } else {
            (0..self.sequences.len()).collect()
        }
    }
}

/// Refuses rows that are too long, if that is wished or none is left.
fn refuse_long(long: &[Row], rows: &[Row], recipe: &SftRecipe) -> Result<()> {
    /// So many of them are listed.
    const LISTED: usize = 5;
    if long.is_empty() || (recipe.overlong == Overlong::Drop && !rows.is_empty()) {
        return Ok(());
    }
    let listed: Vec<String> = long
        .iter()
        .take(LISTED)
        .map(|row| format!("{}: {} tokens", row.conversation.source, row.measure.tokens))
        .collect();
    let more = if long.len() > LISTED { "\n  …" } else { "" };
    let longest = long.iter().map(|row| row.measure.tokens).max().unwrap_or(0);
    bail!(
        "{} of {} samples are longer than cutoff_len ({})\n  {}{more}\nhint: set cutoff_len={longest} to keep all, or \
         reduce image_max_pixels",
        long.len(),
        long.len() + rows.len(),
        recipe.cutoff_len,
        listed.join("\n  ")
    );
}
