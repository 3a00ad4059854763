//! The journal on disk.

use super::*;

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("journal-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).expect("a folder");
    path
}

fn training(step: usize, loss: Option<f64>) -> Entry {
    Entry::Training(Training {
        step,
        total_steps: 9,
        epoch: 0.5,
        loss,
        grad_norm: 1.0,
        learning_rate: 1e-3,
        tokens_per_sec: 10.0,
        samples_per_sec: 1.0,
        remaining_secs: 5.0,
    })
}

fn steps(folder: &Path) -> Vec<usize> {
    read::<Entry>(folder).expect("a log").iter().map(|(_, line)| line.step()).collect()
}

#[test]
fn later_steps_and_half_lines_are_forgotten() {
    let folder = folder("resumed");
    let mut journal = Journal::open(&folder, 0).expect("a journal");
    for step in 1..=4 {
        journal.write(training(step, Some(step as f64))).expect("room");
    }
    journal
        .write(Entry::Evaluation(Evaluation { step: 4, eval_loss: 0.5, eval_accuracy: None }))
        .expect("room");
    let path = folder.join(LOG);
    let text = fs::read_to_string(&path).expect("a log");
    fs::write(&path, text + "{\"step\":5,\"tot").expect("room");
    assert_eq!(steps(&folder), [1, 2, 3, 4, 4]);
    let mut journal = Journal::<Entry>::open(&folder, 3).expect("a journal");
    assert_eq!(steps(&folder), [1, 2, 3]);
    assert_eq!(journal.lines().len(), 3);
    journal.write(training(4, None)).expect("room");
    assert_eq!(steps(&folder), [1, 2, 3, 4]);
    journal.plot().expect("a drawing");
    let drawing = fs::read_to_string(folder.join("loss.svg")).expect("a drawing");
    assert!(drawing.starts_with("<svg") && drawing.contains("smoothed"), "{drawing}");
    assert!(!drawing.contains("held out"), "that was forgotten");
    assert_eq!(fs::read_dir(folder.join("tensorboard")).expect("events").count(), 2);
    fs::remove_dir_all(folder).expect("our folder");
}

#[test]
fn a_run_without_losses_has_no_drawing() {
    let folder = folder("empty");
    let mut journal = Journal::open(&folder, 0).expect("a journal");
    journal.write(training(1, None)).expect("room");
    journal.plot().expect("nothing to draw");
    assert!(!folder.join("loss.svg").exists());
    fs::remove_dir_all(folder).expect("our folder");
}
