//! Holds a device against the processor, and measures it: what one command on a machine with a GPU tells.
//!
//! First every stage of the embedded model is computed twice, on the device and on the processor, from the
//! same numbers: forwards, decoding, recognition, a step of fine-tuning (weights, adapter, adapter on
//! quantised weights) and one of TAPO. Then the ceilings of the device are measured (what its memory and its
//! products give), and a checkpoint of random weights that is made on the device: prefill, decoding, and
//! steps of training, each as a share of the ceiling that bounds it and, where there is a torch, beside it.
//!
//! What fails is reported beside what does not, and what was found is written after every part: on a strange
//! machine half a table is worth having.

mod ceilings;
mod clock;
mod comparison;
mod decoding;
mod fine_tuning;
mod load;
mod parity;
mod peer;
mod report;
mod stages;
mod subject;
mod tapo;
mod training;

pub use load::Load;
pub use peer::Torch;
pub use report::Report;

use crate::device::{self, DeviceChoice, OpenDevice};
use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use fine_r1_core::config::{Preset, preset};
use fine_r1_core::weights::Precision;
use load::Sizes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use subject::Subject;

/// What can be asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The same numbers as on the processor.
    Parity,
    /// What memory and products give; other parts are held against them.
    Ceilings,
    /// Prefill and decoding.
    Inference,
    /// Steps of supervised fine-tuning.
    Sft,
    /// Steps of TAPO.
    Tapo,
}

/// What is timed, in this order.
const MEASURED: [Part; 4] = [Part::Ceilings, Part::Inference, Part::Sft, Part::Tapo];

impl Part {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What to check.
#[derive(Debug)]
pub struct Settings {
    /// What is checked.
    pub device: DeviceChoice,
    /// Sizes of the checkpoint that is measured.
    pub preset: String,
    /// Its precision.
    pub precision: Precision,
    /// Photos that the embedded model recognises; made-up ones where empty.
    pub photos: Vec<PathBuf>,
    /// How much is measured.
    pub load: Load,
    /// What is done; everything where empty.
    pub only: Vec<Part>,
    /// Who is measured beside us.
    pub torch: Option<Torch>,
    /// Where the report is written after every part.
    pub out: Option<PathBuf>,
}

/// Checks and measures.
///
/// # Errors
/// A device cannot be opened, or the report not written. What fails on the device is in the report.
pub fn run(settings: &Settings) -> Result<Report> {
    let device = device::open(settings.device)?;
    let processor = device::open(DeviceChoice::Flex)?;
    let preset = preset(&settings.preset).context("an unknown preset")?;
    let precision = settings.precision;
    ensure!(
        device.device.supports_dtype(precision.dtype()),
        "{} does not compute in {}\nhint: give --dtype f32",
        device.name,
        precision.torch_name()
    );
    let mut report = Report::new(&device, &preset, precision);
    let asks = |part: &Part| settings.only.is_empty() || settings.only.contains(part);
    let mut check = Check { settings, device, processor, preset, report: &mut report };
    if asks(&Part::Parity) {
        check.parity()?;
    }
    let parts: Vec<Part> = MEASURED.into_iter().filter(asks).collect();
    for part in &parts {
        check.measure(*part)?;
    }
    check.beside_torch(&parts)?;
    Ok(report)
}

struct Check<'run> {
    settings: &'run Settings,
    device: OpenDevice,
    processor: OpenDevice,
    preset: Preset,
    report: &'run mut Report,
}

impl Check<'_> {
    fn parity(&mut self) -> Result<()> {
        for precision in [Precision::F32, Precision::Bf16] {
            if !self.device.device.supports_dtype(precision.dtype()) {
                self.report.note(format!(
                    "{} does not compute in {}",
                    self.device.name,
                    precision.torch_name()
                ));
                continue;
            }
            let pair = parity::Pair { device: &self.device, processor: &self.processor, precision };
            for (name, compare) in parity::ALL {
                eprintln!("comparing in {}: {name}", precision.torch_name());
                match guarded(|| compare(&pair, &self.settings.photos)) {
                    Ok(comparisons) => self.report.comparisons.extend(comparisons),
                    Err(error) => self.report.fail(format!("{name}, {}", precision.torch_name()), &error),
                }
            }
            self.save()?;
        }
        Ok(())
    }

    fn measure(&mut self, part: Part) -> Result<()> {
        let sizes = Sizes::new(&self.preset, self.settings.precision, &self.settings.load);
        let subject = Subject::new(&self.preset, &sizes)?;
        let (device, ceilings) = (&self.device, self.report.ceilings);
        let measured = guarded(|| match part {
            Part::Parity => Ok(Vec::new()),
            Part::Ceilings => ceilings::measure(&sizes, &device.device),
            Part::Inference => decoding::measure(&subject, &sizes, ceilings, &device.device),
            Part::Sft => training::measure_sft(&subject, &sizes, ceilings, &device.device),
            Part::Tapo => training::measure_tapo(&subject, &sizes, ceilings, &device.device),
        });
        match measured {
            Ok(measurements) => self.report.add(measurements),
            Err(error) => self.report.fail(part.name(), &error),
        }
        self.device.device.memory_cleanup();
        self.save()
    }

    fn beside_torch(&mut self, parts: &[Part]) -> Result<()> {
        let Some(torch) = &self.settings.torch else { return Ok(()) };
        let sizes = Sizes::new(&self.preset, self.settings.precision, &self.settings.load);
        let subject = Subject::new(&self.preset, &sizes)?;
        eprintln!("measuring torch");
        let parts = parts.iter().map(|part| part.name()).collect();
        match torch.measure(&subject, &sizes, self.device.name, parts) {
            Ok(measured) => self.report.join(measured),
            Err(error) => self.report.fail("torch".to_owned(), &error),
        }
        self.save()
    }

    fn save(&self) -> Result<()> {
        match &self.settings.out {
            Some(folder) => self.report.save(folder),
            None => Ok(()),
        }
    }
}

/// Work that may panic: burn panics where a device fails.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(anyhow!("panicked: {said}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_reason() {
        let failed = guarded(|| -> Result<()> { panic!("out of memory, {} GiB", 80) });
        assert_eq!(failed.expect_err("it panicked").to_string(), "panicked: out of memory, 80 GiB");
        assert_eq!(guarded(|| Ok(3)).expect("it did not"), 3);
    }
}
