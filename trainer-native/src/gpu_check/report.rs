//! What was found, as a table for people and as JSON for machines.

use super::ceilings::{Ceilings, find};
use super::comparison::Comparison;
use super::peer::Measured;
use crate::checkpoint::{create_folder, write_file};
use crate::cli::message;
use crate::device::OpenDevice;
use anyhow::Result;
use burn::tensor::Device;
use fine_r1_core::config::Preset;
use fine_r1_core::weights::Precision;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// A pace, and what it is held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// What was measured.
    pub what: String,
    /// What the value counts.
    pub unit: &'static str,
    /// The pace.
    pub value: f64,
    /// Seconds of one step, pass or product.
    pub secs: f64,
    /// What cannot be exceeded.
    pub ceiling: Option<Ceiling>,
    /// Bytes that the device holds at the end, pages kept for the next step included.
    pub reserved_bytes: Option<u64>,
    /// torch's value.
    pub torch: Option<f64>,
    /// torch's bytes.
    pub torch_reserved_bytes: Option<u64>,
    /// Our value over torch's.
    pub over_torch: Option<f64>,
}

/// What bounds a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceiling {
    /// Which of the ceilings is nearer.
    pub name: &'static str,
    /// The value that it allows.
    pub value: f64,
    /// The measured share of that.
    pub share: f64,
}

impl Measurement {
    /// A pace that nothing is known to bound.
    #[must_use]
    pub fn new(what: &str, unit: &'static str, value: f64, secs: f64) -> Self {
        Self {
            what: what.to_owned(),
            unit,
            value,
            secs,
            ceiling: None,
            reserved_bytes: None,
            torch: None,
            torch_reserved_bytes: None,
            over_torch: None,
        }
    }

    /// Bounded by the products that it takes.
    #[must_use]
    pub fn held_against_products(self, flops: f64, ceilings: Ceilings) -> Self {
        self.held_against_both(0.0, flops, ceilings)
    }

    /// Bounded by the bytes that it reads and by the products that it takes, whichever takes longer.
    #[must_use]
    pub fn held_against_both(mut self, bytes: f64, flops: f64, ceilings: Ceilings) -> Self {
        let reading = ceilings.bytes_per_sec.map_or(0.0, |pace| bytes / pace);
        let multiplying = ceilings.flops.map_or(0.0, |pace| flops / pace);
        let (name, least_secs) =
            if reading > multiplying { ("memory", reading) } else { ("products", multiplying) };
        if least_secs > 0.0 {
            let share = least_secs / self.secs;
            self.ceiling = Some(Ceiling { name, value: self.value / share, share });
        }
        self
    }

    /// With the memory that the device holds now.
    #[must_use]
    pub fn with_memory_of(mut self, device: &Device) -> Self {
        self.reserved_bytes = device.memory_pool_usage().map(|usage| usage.bytes_reserved);
        self
    }
}

/// Something that could not be compared or measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// What.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Everything that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// The device, as `--device` calls it.
    pub device: &'static str,
    /// The device, as it calls itself.
    pub hardware: String,
    /// Sizes of the checkpoint that was measured.
    pub preset: &'static str,
    /// Its precision.
    pub dtype: &'static str,
    /// Results that were computed twice.
    pub comparisons: Vec<Comparison>,
    /// Paces.
    pub measurements: Vec<Measurement>,
    /// What could not be done.
    pub failures: Vec<Failure>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// What measurements are held against.
    #[serde(skip)]
    pub ceilings: Ceilings,
}

impl Report {
    /// Nothing found yet.
    #[must_use]
    pub fn new(device: &OpenDevice, preset: &Preset, precision: Precision) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            device: device.name,
            hardware: device.hardware(),
            preset: preset.name,
            dtype: precision.torch_name(),
            comparisons: Vec::new(),
            measurements: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
            ceilings: Ceilings::default(),
        }
    }

    /// Takes note of paces.
    pub fn add(&mut self, measurements: Vec<Measurement>) {
        self.measurements.extend(measurements);
        self.ceilings = find(&self.measurements);
    }

    /// Takes note of something that failed.
    pub fn fail(&mut self, what: String, error: &anyhow::Error) {
        let reason = message(error);
        eprintln!("failed: {what}: {reason}");
        self.failures.push(Failure { what, reason });
    }

    /// Takes note of something that was left out.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Puts torch's paces beside ours.
    pub fn join(&mut self, measured: Vec<Measured>) {
        for theirs in measured {
            if let Some(reason) = theirs.failure {
                self.failures.push(Failure { what: format!("torch: {}", theirs.what), reason });
                continue;
            }
            if let Some(ours) = self.measurements.iter_mut().find(|ours| ours.what == theirs.what) {
                ours.torch = theirs.value;
                ours.torch_reserved_bytes = theirs.reserved_bytes;
                ours.over_torch = theirs.value.map(|value| ours.value / value);
            }
        }
    }

    /// Whether everything was done, and every comparison passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.comparisons.iter().all(|comparison| comparison.passed)
    }

    /// Writes `gpu-check.md` and `gpu-check.json`.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        create_folder(folder)?;
        write_file(&folder.join("gpu-check.md"), self.markdown().as_bytes())?;
        write_file(&folder.join("gpu-check.json"), serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// The report as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("# {} on {}\n", self.hardware, self.device);
        if !self.comparisons.is_empty() {
            text += "\nThe embedded model beside the processor in f32:\n\n";
            text += "| result | dtype | relative error | tolerance | |\n|---|---|---:|---:|---|\n";
            for Comparison { what, dtype, error, tolerance, passed } in &self.comparisons {
                let passed = if *passed { "passed" } else { "**failed**" };
                line(&mut text, &[what, dtype, &format!("{error:.1e}"), &format!("{tolerance:.0e}"), passed]);
            }
        }
        if !self.measurements.is_empty() {
            let _ = write!(text, "\nRandom weights of the sizes of {} in {}:\n\n", self.preset, self.dtype);
            text +=
                "| measure | value | | ms | of the ceiling | memory | torch | ours / torch | its memory |\n";
            text += "|---|---:|---|---:|---|---:|---:|---:|---:|\n";
            for one in &self.measurements {
                let ceiling =
                    one.ceiling.map(|ceiling| format!("{:.1} % of {}", ceiling.share * 100.0, ceiling.name));
                line(
                    &mut text,
                    &[
                        &one.what,
                        &number(one.value),
                        one.unit,
                        &number(one.secs * 1e3),
                        &ceiling.unwrap_or_default(),
                        &one.reserved_bytes.map(gibibytes).unwrap_or_default(),
                        &one.torch.map(number).unwrap_or_default(),
                        &one.over_torch.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                        &one.torch_reserved_bytes.map(gibibytes).unwrap_or_default(),
                    ],
                );
            }
        }
        if !self.failures.is_empty() {
            text += "\n| failed | why |\n|---|---|\n";
            for Failure { what, reason } in &self.failures {
                line(&mut text, &[what, &reason.replace('\n', " ").replace('|', "/")]);
            }
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

fn line(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings { bytes_per_sec: Some(2e12), flops: Some(5e14) };

    #[test]
    fn the_nearer_ceiling_bounds() {
        let step = Measurement::new("step", "tokens/s", 100.0, 0.010);
        let read = step.clone().held_against_both(1e10, 1e11, CEILINGS).ceiling.expect("a ceiling");
        assert_eq!((read.name, read.value), ("memory", 200.0));
        assert!((read.share - 0.5).abs() < 1e-9);
        let multiplied = step.clone().held_against_products(2.5e12, CEILINGS).ceiling.expect("a ceiling");
        assert_eq!(multiplied.name, "products");
        assert!((multiplied.share - 0.5).abs() < 1e-9);
        assert_eq!(
            step.held_against_both(1e10, 1e11, Ceilings::default()).ceiling,
            None,
            "nothing was measured"
        );
    }
}
