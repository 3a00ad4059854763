//! Reinforcement learning with the program: every objective learns, pictures are used as configured, and how a
//! run is spread over threads and micro-batches makes no difference.

use crate::colours::Colours;
use crate::run::weights;
use fine_r1_tests::{Largest, golden};

/// What another order of sums may do to a weight after a step whose optimizer does not magnify it.
const OTHER_ORDER: f32 = 1e-5;
/// Answers are drawn and learnt from by the same core; what is left is the order of sums, with and without a cache.
const MISMATCH: f64 = 1e-3;

#[track_caller]
fn assert_learns(verb: &str, settings: &[&str]) {
    let colours = Colours::new();
    colours.train(verb, "run", &[&["max_steps=25"], settings].concat());
    let rewards = colours.column("run", "/reward/overall");
    let mean = |rewards: &[f64]| rewards.iter().sum::<f64>() / rewards.len() as f64;
    let last = mean(&rewards[rewards.len() - 3..]);
    assert!(rewards[0] < 0.3 && last > 0.9, "{verb} {settings:?}: {rewards:.2?}");
    // A step that learnt nothing has measured none.
    let log = colours.log("run");
    let mismatch: Vec<f64> = log.iter().filter_map(|line| line["mismatch_max"].as_f64()).collect();
    assert!(!mismatch.is_empty() && mismatch.iter().all(|apart| *apart < MISMATCH), "{verb}: {mismatch:?}");
}

#[test]
fn every_objective_learns() {
    for verb in ["grpo", "dapo", "papo", "noisy-rollout", "tapo"] {
        assert_learns(verb, &[]);
    }
}

/// The name must stand as a word of its own and without the other one, which a random model says in one of fifty
/// answers of eight tokens: longer answers and more questions than elsewhere, so that some are right.
#[test]
fn the_corrected_presets_learn() {
    for verb in ["papo", "tapo"] {
        assert_learns(
            verb,
            &[
                "parity.preset=corrected",
                "max_steps=40",
                "rollout.max_new_tokens=8",
                "rollout.prompts_per_step=12",
                "rollout.prompts_per_try=12",
            ],
        );
    }
}

#[test]
fn every_estimator_learns() {
    for estimator in ["dr_grpo", "rloo", "reinforce_plus_plus", "remax"] {
        assert_learns("grpo", &[&format!("advantage={estimator}"), "views.anchor.answers=10"]);
    }
}

/// This estimator wants one right answer in a group and is content with it: as soon as the second best is right as
/// well, nothing is weighed. In groups of two that is no earlier than all are right; in groups of ten a fifth would do.
#[test]
fn one_right_answer_of_a_group_is_learnt() {
    assert_learns(
        "grpo",
        &[
            "advantage=pass_k",
            "views.anchor.answers=2",
            "rollout.prompts_per_step=24",
            "rollout.prompts_per_try=24",
        ],
    );
}

#[test]
fn every_surrogate_learns() {
    for surrogate in ["gspo", "gspo_token", "cispo", "sapo"] {
        // Three updates a step, so that ratios differ from 1.
        let surrogate = format!("policy.surrogate={surrogate}");
        assert_learns("grpo", &[&surrogate, "update.prompts_per_update=2", "update.learning_rate=2e-3"]);
    }
}

#[test]
fn a_reference_can_be_charged_in_the_reward() {
    assert_learns(
        "grpo",
        &["kl.place=reward", "kl.target=0.1", "kl.estimator=k1", "views.anchor.answers=10"],
    );
    let colours = Colours::new();
    let settings = ["kl.place=reward", "kl.target=0.1", "kl.horizon=300", "max_steps=6"];
    colours.train("grpo", "run", &settings);
    let coefficients = colours.column("run", "/kl_coefficient");
    assert!(coefficients[0] == 0.01 && coefficients[5] != 0.01, "it steers: {coefficients:?}");
}

/// Answers that are the same for all pictures need no picture: nothing but the contrast makes them depend on it.
/// Over five seeds, since in a model of this size a single run wanders: over eight the contrast became 2.4 and 2.6 times what
/// it was under PAPO and TAPO, and 0.9 times under GRPO, which over three was between 0.8 and 1.3.
#[test]
fn a_contrast_grows_where_it_is_asked_for() {
    let colours = Colours::new();
    colours.write_rows("same.jsonl", "a", "a", |_| ());
    let rows = colours.rows("same.jsonl");
    // At the first step and over the last three.
    let contrast = |verb: &str, picture: &str, weight: f64| {
        let (mut first, mut last) = (0.0, 0.0);
        for seed in 1..=5 {
            let run = format!("{verb}-{picture}-{seed}");
            let settings = [
                format!("seed={seed}"),
                format!("contrasts.{picture}.coefficient={weight:?}"),
                format!("contrasts.{picture}.measured=true"),
            ];
            // All black, so that every step is held against the same picture.
            let fixed = ["max_steps=24", "filter.enabled=false", "mask.probability=1.0", &rows];
            let settings: Vec<&str> = fixed.into_iter().chain(settings.iter().map(String::as_str)).collect();
            colours.train(verb, &run, &settings);
            let contrast = colours.column(&run, "/loss/contrast");
            first += contrast[0];
            last += contrast[21..].iter().sum::<f64>() / 3.0;
        }
        last / first
    };
    for (verb, picture) in [("papo", "mask"), ("tapo", "negative")] {
        let (asked, unasked) = (contrast(verb, picture, 0.1), contrast("grpo", picture, 0.0));
        assert!(asked > 1.4, "{verb}: the contrast is {asked:.2} times what it was");
        assert!(
            asked > 1.5 * unasked,
            "the contrast is {asked:.2} times what it was, under grpo {unasked:.2}"
        );
    }
}

/// Only pictures that answers are drawn from, learnt from or held against can change what is learnt.
#[test]
fn answers_are_learnt_from_the_picture_that_is_configured() {
    let colours = Colours::new();
    // The anchor becomes the picture of the other colour.
    colours.write_rows("swapped.jsonl", "a", "s", |row| row["images"] = row["image_aug"].clone());
    colours.write_rows("moved.jsonl", "a", "s", |row| row["image_noisy"] = row["image_aug"].clone());
    let learn = |run: &str, file: &str, condition: &str| {
        let condition = format!("views.positive.conditioned_on={condition}");
        let rows = colours.rows(file);
        let settings = [
            "max_steps=1",
            "filter.enabled=false",
            "views.anchor.answers=0",
            "contrasts.negative.coefficient=0.0",
        ];
        colours.train("tapo", run, &[settings.as_slice(), &[&condition, &rows]].concat());
        colours.bytes(run, "model.safetensors")
    };
    let own = learn("own", "rows.jsonl", "own");
    assert!(own == learn("own-swapped", "swapped.jsonl", "own"), "the anchor plays no part");
    assert!(own != learn("own-moved", "moved.jsonl", "own"), "the positive picture does");
    let anchor = learn("anchor", "rows.jsonl", "anchor");
    assert!(anchor != own && anchor != learn("anchor-swapped", "swapped.jsonl", "anchor"), "the anchor does");
}

#[test]
fn micro_batches_and_workers_do_not_change_what_is_learnt() {
    let colours = Colours::new();
    // An optimizer that divides by about one does not magnify what the order of sums leaves.
    let learn = |run: &str, settings: &[&str]| {
        let fixed =
            ["max_steps=2", "filter.enabled=false", "update.adam_epsilon=1.0", "update.learning_rate=0.1"];
        colours.train("tapo", run, &[fixed.as_slice(), settings].concat());
        colours.bytes(run, "model.safetensors")
    };
    let whole = learn("whole", &["update.micro_batch_size=60"]);
    let other = learn("parts", &["update.micro_batch_size=7"]);
    let two = learn("two", &["update.micro_batch_size=7", "workers=2"]);
    assert!(
        two == learn("again", &["update.micro_batch_size=7", "workers=2"]),
        "the same run has the same bits"
    );
    let few_tokens = learn("tokens", &["update.micro_batch_size=60", "update.micro_batch_tokens=300"]);
    assert!(few_tokens != whole, "a bound on tokens cuts micro-batches");
    let recomputed =
        learn("recomputed", &["update.micro_batch_size=7", "update.gradient_checkpointing=true"]);
    let mut largest = Largest::new("weights by other micro-batches", OTHER_ORDER);
    for parts in [&other, &two, &few_tokens, &recomputed] {
        for ((name, whole), (_, parts)) in weights(&whole).iter().zip(weights(parts)) {
            largest.compare(name, &parts, whole);
        }
    }
    largest.check();
    let released = learn("released", &["update.micro_batch_size=7", "parity.preset=released"]);
    assert!(released != two, "the mean of micro-batches' means is another one");
}

/// With nothing trained that makes them, features are kept for the whole step, and the reference's are the same;
/// with a merger that is trained they are made anew by every pass. The language model's first update depends on
/// neither.
#[test]
fn features_that_are_kept_for_a_step_teach_what_others_teach() {
    let colours = Colours::new();
    let learn = |run: &str, settings: &[&str]| {
        let fixed = [
            "max_steps=1",
            "filter.enabled=false",
            "freeze_vision_tower=true",
            "kl.coefficient=0.1",
            "update.micro_batch_size=7",
            "update.adam_epsilon=1.0",
            "update.learning_rate=0.1",
            "update.max_grad_norm=0.0",
        ];
        colours.train("tapo", run, &[fixed.as_slice(), settings].concat());
        weights(&colours.bytes(run, "model.safetensors"))
    };
    let made_anew = learn("anew", &[]);
    let kept = learn("kept", &["freeze_multi_modal_projector=true"]);
    let by_two = learn("two", &["freeze_multi_modal_projector=true", "workers=2"]);
    let mut largest = Largest::new("weights by features that are kept", OTHER_ORDER);
    let mut merger_moved = false;
    for (((name, made_anew), (_, kept)), (_, by_two)) in made_anew.iter().zip(&kept).zip(&by_two) {
        if name.starts_with("visual.merger.") {
            merger_moved |= made_anew != kept;
        } else {
            largest.compare(name, kept, made_anew);
        }
        largest.compare(name, by_two, kept);
    }
    largest.check();
    assert!(merger_moved, "a merger that is not frozen is trained");
}

#[test]
fn a_user_judges_with_a_program_of_their_own() {
    let colours = Colours::new();
    // Wants an `e`, and to be told of all columns.
    let judge = r#"while read -r line; do id=${line#*\"id\":}; id=${id%%,*}; said=${line#*\"response\":\"}; said=${said%%\",*}
        case $line in *image_noisy*) ;; *) exit 1;; esac
        case $said in *e*) score=1;; *) score=0;; esac; echo "{\"id\":$id,\"overall\":$score,\"seen\":1}"; done"#;
    let command = format!("reward.command.argv=[\"sh\", \"-c\", '''{judge}''']");
    colours.train("grpo", "run", &["max_steps=20", "reward.accuracy=0.0", &command]);
    let scores = colours.column("run", "/reward/command");
    assert!(scores[0] < 0.6 && scores[19] > 0.9, "{scores:.2?}");
    assert_eq!(colours.column("run", "/reward/command~1seen"), [1.0; 20]);

    let broken = colours.attempt(
        "grpo",
        "broken",
        &["max_steps=2", "reward.command.argv=[\"sh\", \"-c\", \"exit 3\"]"],
    );
    assert_eq!(broken.code, Some(2), "{}", broken.stderr);
    assert!(
        broken.stderr.contains("the reward command") && broken.stderr.contains("hint: "),
        "{}",
        broken.stderr
    );
}

#[test]
fn a_model_of_texts_gives_credit_for_what_is_nearly_right() {
    let colours = Colours::new();
    let similarity = |run: &str, settings: &[&str]| {
        let fixed = ["max_steps=1", "reward.similarity=1.0", "filter.key=similarity"];
        let said = colours.train("grpo", run, &[fixed.as_slice(), settings].concat());
        (said, colours.column(run, "/reward/similarity")[0])
    };
    let (said, by_spelling) = similarity("spelling", &[]);
    assert!(!said.contains("is measured by"), "{said}");
    for (folder, kind) in [("sentence", "sentence embedder"), ("contrastive/siglip", "SigLIP")] {
        let embedder = format!("reward.embedder={}", golden(folder).display());
        let (said, by_meaning) = similarity(kind, &[&embedder]);
        assert!(said.contains(&format!("reward.similarity is measured by {kind}")), "{said}");
        assert!(by_meaning > 0.0 && by_meaning <= 1.0, "{kind}: {by_meaning}");
        assert!((by_meaning - by_spelling).abs() > 1e-3, "{kind}: {by_meaning}, by spelling {by_spelling}");
    }
}
