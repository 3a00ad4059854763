//! Training with the program: a tiny model learns, and how a run is spread over threads, stopped and
//! gone on with makes no difference to what it learns.

mod adapter;
mod colours;
mod data;
mod drill;
mod rl;
mod rl_adapter;
mod rl_runs;
mod run;
mod settings;
mod torch;
mod vision;

use fine_r1_tests::Largest;
use run::Folder;
#[cfg(unix)]
use std::time::{Duration, Instant};

/// What summing gradients on other threads may do to a weight; all sums have a fixed order, so that it
/// is nothing in practice.
const OTHER_THREADS: f32 = 1e-5;

#[test]
fn the_loss_falls() {
    let folder = Folder::new();
    folder.train("run", &["max_steps=30", "learning_rate=0.01", "lr_scheduler_type=constant"]);
    let losses: Vec<f64> =
        folder.log("run").iter().map(|line| line["loss"].as_f64().expect("a number")).collect();
    assert_eq!(losses.len(), 30);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..3]), mean(&losses[27..]));
    // Four made-up answers are soon known by heart.
    assert!(last < first / 4.0, "from {first:.3} to {last:.3}: {losses:.3?}");
}

#[test]
fn a_run_that_was_resumed_is_the_run_that_was_not() {
    for optim in ["optim=adamw", "optim=muon"] {
        let folder = Folder::new();
        let settings = ["max_steps=6", "save_steps=3", "warmup_steps=2", "weight_decay=0.1", optim];
        folder.train("whole", &settings);
        folder.copy_state("whole", "resumed", 3);
        folder.resume("resumed", &settings);
        for file in
            ["model.safetensors", "checkpoint-6/model.safetensors", "checkpoint-6/optimizer.safetensors"]
        {
            let (whole, resumed) = (folder.bytes("whole", file), folder.bytes("resumed", file));
            assert!(whole == resumed, "{optim}: {file} differs");
        }
        assert_eq!(folder.steps("resumed"), [4, 5, 6], "{optim}");
    }
}

#[test]
fn two_workers_learn_what_one_learns() {
    let folder = Folder::new();
    let settings = ["max_steps=4", "per_device_train_batch_size=1", "gradient_accumulation_steps=3"];
    let train = |name: &str, workers: &str| {
        folder.train(name, &[settings.as_slice(), &[workers]].concat());
        folder.bytes(name, "model.safetensors")
    };
    let (one, two, again) =
        (train("one", "workers=1"), train("two", "workers=2"), train("again", "workers=2"));
    assert!(two == again, "the same run has the same bits");
    assert!(run::weights(&one) != run::weights_at_start(), "something was learnt");
    let mut largest = Largest::new("weights by two workers", OTHER_THREADS);
    for ((name, one), (_, two)) in run::weights(&one).iter().zip(run::weights(&two)) {
        largest.compare(name, &two, one);
    }
    largest.check();
}

/// Ctrl-C ends a run after the step it is in, and nothing is lost.
#[cfg(unix)]
#[test]
fn an_interrupted_run_can_be_gone_on_with() {
    use std::process::Command;

    /// So long may a step of the tiny model take on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    let folder = Folder::new();
    let program = folder.start("run", &["max_steps=100000", "save_steps=100000"]);
    let begun = Instant::now();
    while folder.log("run").is_empty() {
        assert!(begun.elapsed() < PATIENCE, "no step was made");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = Command::new("kill").args(["-INT", &program.id().to_string()]).status().expect("kill starts");
    assert!(sent.success(), "the signal is sent");
    let output = program.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let step = *folder.steps("run").last().expect("a line");
    assert!(said.contains(&format!("stopped after step {step}; go on with --resume")), "{said}");

    folder.resume("run", &[&format!("max_steps={}", step + 2)]);
    assert_eq!(folder.steps("run"), (1..=step + 2).collect::<Vec<_>>());
    assert!(!folder.bytes("run", "model.safetensors").is_empty());
}
