//! What a command line asks of which set, and in which words.

use super::{DataSet, Prompts, Question, Settings, Task, Variant, can_ask, fingerprint, is_contrastive};
use crate::checkpoint;
use crate::cli::{Ablation, EvaluateArgs};
use anyhow::{Result, bail};

/// What is asked of which set.
pub struct Plan {
    /// The sets.
    pub sets: Vec<DataSet>,
    /// Questions and the set that each is for.
    pub questions: Vec<(usize, Question)>,
    /// The checkpoint as it was named.
    pub model: String,
    /// Its fingerprint.
    pub model_sha256: String,
    /// Name of the prompts; of CLIP and SigLIP the sentence around a name.
    pub prompt: String,
    /// CLIP or SigLIP, which only choose.
    pub chooses: bool,
}

impl Plan {
    /// Plans a run.
    ///
    /// # Errors
    /// Flags do not fit together, or there is nothing to ask.
    pub fn new(arguments: &EvaluateArgs, sets: Vec<DataSet>) -> Result<Self> {
        let folder = arguments.model.as_deref();
        let chooses = folder.is_some_and(is_contrastive);
        let prompts = match (arguments.answer_only, chooses) {
            (true, _) => Prompts::trained().without_thought()?,
            (false, true) => Prompts::trained(),
            (false, false) => Prompts::find(&arguments.prompt)?,
        };
        let tasks = tasks(arguments, chooses)?;
        if chooses && arguments.probe.is_some() {
            bail!("the linear probe looks through Qwen2-VL and Qwen2.5-VL alone\nhint: leave out --probe");
        }
        if chooses && arguments.adapter.is_some() {
            bail!("adapters are for Qwen2-VL and Qwen2.5-VL alone\nhint: leave out --adapter");
        }
        if arguments.score_options && arguments.samples > 1 {
            bail!(
                "samples give shares already, by their votes\nhint: leave out --score-options or --samples"
            );
        }
        if arguments.samples > 1 && arguments.temperature == 0.0 {
            bail!("--temperature 0 gives the same answer {} times\nhint: leave it out", arguments.samples);
        }
        let adapter = arguments.adapter.as_deref();
        let mut model = folder.map_or(checkpoint::EMBEDDED.to_owned(), |path| path.display().to_string());
        if let Some(adapter) = adapter {
            model = format!("{model} + {}", adapter.display());
        }
        let mut plan = Self {
            model,
            model_sha256: fingerprint(folder, adapter)?,
            prompt: if chooses { arguments.class_prompt.clone() } else { prompts.name.clone() },
            sets: Vec::new(),
            questions: Vec::new(),
            chooses,
        };
        for (index, set) in sets.iter().enumerate() {
            for task in &tasks {
                if !can_ask(set, *task) {
                    eprintln!("{}: {} left out, because rows have no options", set.name, task.title());
                    continue;
                }
                for variant in variants(arguments, *task, chooses) {
                    let prompts = match variant {
                        Variant::NoThinking => prompts.without_thought()?,
                        _ => prompts.clone(),
                    };
                    let settings = plan.settings(arguments, set, *task, variant, &prompts);
                    plan.questions.push((index, Question { settings, prompts }));
                }
            }
        }
        if plan.questions.is_empty() {
            bail!("there is nothing to ask\nhint: the closed world needs rows with `options`");
        }
        plan.sets = sets;
        Ok(plan)
    }

    fn settings(
        &self,
        arguments: &EvaluateArgs,
        set: &DataSet,
        task: Task,
        variant: Variant,
        prompts: &Prompts,
    ) -> Settings {
        let is_sampled = arguments.samples > 1 && !self.chooses;
        let prompt = if self.chooses { arguments.class_prompt.as_str() } else { prompts.template(task) };
        Settings {
            set: set.name.clone(),
            data_sha256: set.sha256.clone(),
            model_sha256: self.model_sha256.clone(),
            task,
            variant,
            prompt: prompt.to_owned(),
            seed: arguments.seed,
            max_new_tokens: if self.chooses { 0 } else { arguments.max_new_tokens },
            samples: if is_sampled { arguments.samples } else { 1 },
            temperature: if is_sampled { arguments.temperature } else { 0.0 },
            top_p: if is_sampled { arguments.top_p } else { 1.0 },
            scores_options: arguments.score_options
                && task == Task::ClosedWorld
                && variant == Variant::Plain
                && !self.chooses,
        }
    }
}

/// The tasks that the model can be asked.
fn tasks(arguments: &EvaluateArgs, chooses: bool) -> Result<Vec<Task>> {
    let mut tasks = arguments.task.clone();
    tasks.dedup();
    if !chooses {
        return Ok(tasks);
    }
    if arguments.ablate.contains(&Ablation::NoThinking) {
        bail!("CLIP and SigLIP do not think\nhint: leave out --ablate no-thinking");
    }
    if !tasks.contains(&Task::ClosedWorld) {
        bail!("CLIP and SigLIP can only choose among options\nhint: take --task closed");
    }
    Ok(vec![Task::ClosedWorld])
}

/// A task as it is, in released order where asked for, and with parts taken away.
fn variants(arguments: &EvaluateArgs, task: Task, chooses: bool) -> Vec<Variant> {
    let mut variants = vec![Variant::Plain];
    // What chooses by likeness alone knows no order.
    if arguments.released_order && task == Task::ClosedWorld && !chooses {
        variants.push(Variant::ReleasedOrder);
    }
    for ablation in &arguments.ablate {
        let variant = match ablation {
            Ablation::None => continue,
            Ablation::NoThinking => Variant::NoThinking,
            Ablation::ShuffledImage => Variant::ShuffledImage,
            Ablation::BlankImage => Variant::BlankImage,
        };
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    variants
}
