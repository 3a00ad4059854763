//! Runs of reinforcement learning: what they write, how they are gone on with whenever they ended, and what they
//! say when nothing can be learnt.

use crate::colours::Colours;
use crate::run::weights;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::process::Child;
#[cfg(unix)]
use std::time::Duration;
use std::time::Instant;

/// So long may the first steps take on a busy machine.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(60);
const WEIGHTS: &str = "model.safetensors";

#[test]
fn a_run_tells_of_itself() {
    let colours = Colours::new();
    colours.train("tapo", "run", &["max_steps=4"]);
    for (file, caption) in [("reward.svg", "mean reward"), ("loss.svg", "loss")] {
        let drawing = String::from_utf8(colours.bytes("run", file)).expect("UTF-8");
        assert!(drawing.starts_with("<svg") && drawing.contains(caption), "{file}: {drawing}");
    }
    let resolved = String::from_utf8(colours.bytes("run", "recipe.toml")).expect("UTF-8");
    assert!(resolved.contains("objective = \"tapo\"") && resolved.contains("max_steps = 4"), "{resolved}");
    let provenance: Value =
        serde_json::from_slice(&colours.bytes("run", "provenance.jsonl")).expect("one line");
    assert_eq!((&provenance["seed"], &provenance["from_step"]), (&1.into(), &0.into()));
    assert_eq!(provenance["arguments"][0], "tapo");
    let events = colours.entries("run/tensorboard");
    assert_eq!(events.len(), 1);
    let events = colours.bytes("run", &format!("tensorboard/{}", events[0]));
    let has = |text: &str| events.windows(text.len()).any(|window| window == text.as_bytes());
    for tag in [
        "reward/overall",
        "reward/accuracy",
        "reward/format",
        "reward/best_of_group",
        "train/loss",
        "train/learning_rate",
        "answers/tokens",
        "policy/kl",
        "policy/entropy",
        "policy/clip_high",
        "policy/clip_low",
        "policy/clip_dual",
    ] {
        assert!(has(tag), "{tag}");
    }
    for clip in ["clip_high", "clip_low", "clip_dual"] {
        assert_eq!(colours.column("run", &format!("/loss/{clip}")).len(), 4);
    }
}

/// Weights in bf16, parts with learning rates of their own, and an average at the end: as in fine-tuning.
#[test]
fn weights_in_bf16_have_masters_and_go_on_from_them() {
    let colours = Colours::new();
    let settings = ["max_steps=4", "save_steps=2", "filter.enabled=false", "bf16=true"];
    colours.train("tapo", "whole", &settings);
    let bytes = colours.bytes("whole", WEIGHTS);
    let tensors = SafeTensors::deserialize(&bytes).expect("a sound file");
    assert!(tensors.iter().all(|(_, view)| view.dtype() == Dtype::BF16));
    colours.copy_state("whole", "resumed", 2);
    colours.resume("tapo", "resumed", &settings);
    for file in [WEIGHTS, "checkpoint-4/optimizer.safetensors"] {
        assert!(colours.bytes("whole", file) == colours.bytes("resumed", file), "{file} differs");
    }
}

#[test]
fn parts_have_learning_rates_of_their_own_and_a_run_may_end_with_an_average() {
    let colours = Colours::new();
    let learn = |run: &str, settings: &[&str]| {
        let fixed = ["max_steps=1", "filter.enabled=false"];
        colours.train("grpo", run, &[fixed.as_slice(), settings].concat());
        weights(&colours.bytes(run, WEIGHTS))
    };
    let all = learn("all", &[]);
    let parts = learn("parts", &["update.vision_tower_lr=1e-12", "update.mm_projector_lr=1e-12"]);
    let frozen = learn("frozen", &["freeze_vision_tower=true", "freeze_multi_modal_projector=true"]);
    let apart = |one: &[f32], other: &[f32]| {
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
    };
    for (((name, all), (_, parts)), (_, frozen)) in all.iter().zip(&parts).zip(&frozen) {
        if name.starts_with("visual.") {
            assert!(apart(parts, frozen) < 1e-6, "{name} stays where it is");
        } else {
            assert!(parts == all, "{name} moves as it does elsewhere");
        }
    }
    assert!(all.iter().zip(&frozen).any(|(all, frozen)| all.0.starts_with("visual.") && all != frozen));

    let settings = ["max_steps=2", "save_steps=1", "save_total_limit=2", "update.ema_decay=0.5"];
    let averaged = learn("average", &settings);
    let last = weights(&colours.bytes("average", "checkpoint-2/model.safetensors"));
    assert!(averaged != last, "the average lags behind");
}

#[test]
fn a_run_that_was_resumed_is_the_run_that_was_not() {
    // Four of six questions a step: the run is stopped in the middle of an epoch.
    let settings = ["max_steps=6", "save_steps=3", "rollout.prompts_per_step=4", "rollout.prompts_per_try=4"];
    for (verb, more) in
        [("tapo", "workers=2"), ("grpo", "kl.target=0.1"), ("noisy-rollout", "noise.middle_step=3")]
    {
        let colours = Colours::new();
        let settings = [settings.as_slice(), &[more]].concat();
        colours.train(verb, "whole", &settings);
        colours.copy_state("whole", "resumed", 3);
        colours.resume(verb, "resumed", &settings);
        for file in
            ["model.safetensors", "checkpoint-6/optimizer.safetensors", "checkpoint-6/trainer_state.json"]
        {
            let is_same = colours.bytes("whole", file) == colours.bytes("resumed", file);
            assert!(is_same, "{verb}: {file} differs");
        }
        assert_eq!(colours.column("resumed", "/step"), [4.0, 5.0, 6.0], "{verb}");
        let rewards = |run: &str| colours.column(run, "/reward/overall");
        assert_eq!(rewards("whole")[3..], rewards("resumed")[..], "{verb}");
    }
}

/// Killed at moments spread over the start of the program, some steps, and the writing of their states.
#[test]
fn a_run_that_is_killed_five_times_is_the_run_that_was_left_alone() {
    let colours = Colours::new();
    let settings = ["max_steps=30", "save_steps=1", "save_total_limit=2", "filter.enabled=false"];
    let begun = Instant::now();
    colours.train("tapo", "short", &[settings.as_slice(), &["max_steps=1"]].concat());
    let start = begun.elapsed();
    colours.train("tapo", "whole", &settings);
    let step = begun.elapsed().saturating_sub(start * 2) / 29;
    // What matters is that the moments differ.
    for share in [0.9, 0.35, 0.6, 0.97, 0.75] {
        let program = colours.start_or_resume("tapo", "killed", &settings);
        std::thread::sleep((start + step * 5).mul_f64(share));
        end(program);
        for state in colours.states("killed") {
            let bytes = colours.bytes("killed", &format!("{state}/trainer_state.json"));
            let facts: Value = serde_json::from_slice(&bytes).expect("JSON");
            assert_eq!(state, format!("checkpoint-{}", facts["step"]), "every state that is there is whole");
        }
    }
    let output = colours.start_or_resume("tapo", "killed", &settings).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for file in [
        WEIGHTS,
        "checkpoint-30/model.safetensors",
        "checkpoint-30/optimizer.safetensors",
        "checkpoint-30/trainer_state.json",
    ] {
        assert!(colours.bytes("whole", file) == colours.bytes("killed", file), "{file} differs");
    }
    let steps: Vec<f64> = (1..=30).map(f64::from).collect();
    assert_eq!(colours.column("killed", "/step"), steps, "every step is told of once");
    let rewards = |run: &str| colours.column(run, "/reward/overall");
    assert_eq!(rewards("killed"), rewards("whole"), "the same answers were drawn");
    assert!(!colours.entries("killed").iter().any(|name| name.starts_with("unfinished")));
}

fn end(mut program: Child) {
    // It may have ended by itself.
    drop(program.kill());
    program.wait().expect("the program ends");
}

/// Ctrl-C ends a run after the step it is in, and nothing is lost.
#[cfg(unix)]
#[test]
fn an_interrupted_run_can_be_gone_on_with() {
    let colours = Colours::new();
    let settings = ["save_steps=100000", "filter.enabled=false"];
    let program = colours.start("dapo", "run", &[settings.as_slice(), &["max_steps=100000"]].concat());
    let receiver = program.id().to_string();
    let said = interrupt(&colours, program, &receiver);
    let made = colours.log("run").len();
    assert!(said.contains(&format!("stopped after step {made}; go on with --resume")), "{said}");
    assert_eq!(colours.states("run"), [format!("checkpoint-{made}")]);

    let total = format!("max_steps={}", made + 2);
    colours.resume("dapo", "run", &[settings.as_slice(), &[&total]].concat());
    assert_eq!(colours.log("run").len(), made + 2);
    colours.train("dapo", "whole", &[settings.as_slice(), &[&total]].concat());
    assert!(colours.bytes("run", WEIGHTS) == colours.bytes("whole", WEIGHTS), "it is the run left alone");
}

/// In a terminal Ctrl-C goes to a whole group of processes; the judge stays until the step is over.
#[cfg(unix)]
#[test]
fn an_interrupt_of_the_group_leaves_the_judge_alone() {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    let colours = Colours::new();
    // So slow that the interrupt finds it at work.
    let judge = r#"while read -r line; do id=${line#*\"id\":}; id=${id%%,*}; sleep 0.02
        echo "{\"id\":$id,\"overall\":$((id % 2))}"; done"#;
    let command = format!("reward.command.argv=[\"sh\", \"-c\", '''{judge}''']");
    let settings = ["max_steps=100000", "filter.enabled=false", "reward.command.restarts=0", &command];
    let program = Command::new(fine_r1_tests::program::program())
        .args(colours.arguments("dapo", "run", &settings))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("the program starts");
    let receiver = format!("-{}", program.id());
    let said = interrupt(&colours, program, &receiver);
    assert!(said.contains("go on with --resume"), "{said}");
}

/// Sends what Ctrl-C sends once the program has made some steps; gives what it said to its end.
#[cfg(unix)]
fn interrupt(colours: &Colours, program: Child, receiver: &str) -> String {
    let begun = Instant::now();
    while colours.log("run").len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "no steps were made");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = std::process::Command::new("kill").args(["-INT", "--", receiver]).status();
    assert!(sent.expect("kill starts").success(), "the signal is sent");
    let output = program.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

#[test]
fn a_run_is_gone_on_with_as_it_was_begun_or_says_what_differs() {
    let colours = Colours::new();
    let settings = ["max_steps=2", "save_steps=1", "filter.enabled=false"];
    colours.train("tapo", "run", &settings);
    let refused = colours.attempt_to_resume("grpo", "run", &settings);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("a run of `tapo`, which cannot be gone on with as `grpo`\nhint: "),
        "{}",
        refused.stderr
    );
    let recipe = colours.bytes("run", "recipe.toml");
    assert!(String::from_utf8_lossy(&recipe).contains("objective = \"tapo\""), "it is left as it was");
    let changed = ["max_steps=3", "seed=5", "update.learning_rate=0.25"];
    let said = colours.resume("tapo", "run", &[settings.as_slice(), &changed].concat());
    for difference in ["max_steps is 3, was 2", "seed is 5, was 1", "update.learning_rate is 0.25, was 0.005"]
    {
        let line = format!("warning: gone on with otherwise than before: {difference}");
        assert!(said.contains(&line), "{difference}: {said}");
    }
    assert_eq!(said.matches("otherwise than before").count(), 3, "{said}");
}

#[test]
fn a_run_that_learns_nothing_ends_and_says_why() {
    let colours = Colours::new();
    colours.write_rows("hopeless.jsonl", "no such answer", "no such answer", |_| ());
    let hopeless = colours.rows("hopeless.jsonl");
    let run = colours.attempt("dapo", "run", &["max_steps=50", &hopeless]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("steps 1 to 5 learnt nothing: 0 of the 90 groups drawn"), "{}", run.stderr);
    assert_eq!(colours.column("run", "/tries"), [3.0; 5]);

    // Without filter every step is made, and moves nothing.
    let alike = colours.attempt("dapo", "alike", &["max_steps=50", "filter.enabled=false", &hopeless]);
    assert_eq!(alike.code, Some(2), "{}", alike.stderr);
    assert!(
        alike.stderr.contains("in none of the 30 groups drawn did answers differ in reward")
            && alike.stderr.contains("warning: no answer differs in reward"),
        "{}",
        alike.stderr
    );

    let solved = colours.train("dapo", "solved", &["max_steps=200"]);
    assert!(solved.contains("nothing is left to learn"), "{solved}");
}

#[test]
fn numbers_that_are_none_are_told_by_step_and_remedy() {
    let colours = Colours::new();
    let attempt = |run: &str, setting: &str| {
        let attempt = colours.attempt("dapo", run, &["max_steps=50", "filter.enabled=false", setting]);
        assert_eq!(attempt.code, Some(2), "{}", attempt.stderr);
        assert!(attempt.stderr.contains("hint: lower update.learning_rate"), "{}", attempt.stderr);
        attempt.stderr
    };
    // The first update spoils the weights, and nothing can be drawn from them: the checkpoint is not to blame.
    let spoiled = attempt("spoiled", "update.learning_rate=1e30");
    assert!(spoiled.contains("step 2: the policy's scores are not numbers (NaN)"), "{spoiled}");
    assert!(spoiled.contains("it is 1e30") && !spoiled.contains("download"), "{spoiled}");

    // A loss beyond f32, update after update.
    let skipped = attempt("skipped", "entropy.own=1e39");
    assert!(
        skipped.contains("steps 1 to 5 learnt nothing: the loss or the gradient of 5 updates was no number"),
        "{skipped}"
    );
    assert!(!skipped.contains("easier questions"), "{skipped}");
    assert_eq!(colours.column("skipped", "/updates_skipped"), [1.0; 5]);
}
