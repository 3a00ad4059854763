//! The losses of a run as an SVG: each as it was, and smoothed as LlamaFactory smooths them.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/extras/ploting.py>

use super::Entry;
use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 540);

/// Draws losses over steps; `None` where there are none.
///
/// # Errors
/// The drawing library fails.
pub fn draw(entries: &[Entry]) -> Result<Option<String>> {
    let trained: Vec<(f64, f64)> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Training(line) => Some((line.step as f64, line.loss?)),
            Entry::Evaluation(_) => None,
        })
        .collect();
    let measured: Vec<(f64, f64)> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Training(_) => None,
            Entry::Evaluation(line) => Some((line.step as f64, line.eval_loss)),
        })
        .collect();
    if trained.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    paint(&mut text, &trained, &measured).map_err(|error| anyhow!("cannot draw the losses: {error}"))?;
    Ok(Some(text))
}

type Outcome = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn paint(text: &mut String, trained: &[(f64, f64)], measured: &[(f64, f64)]) -> Outcome {
    let losses = trained.iter().chain(measured).map(|(_, loss)| *loss);
    let highest = losses.clone().fold(f64::MIN, f64::max);
    let lowest = losses.fold(f64::MAX, f64::min);
    let margin = ((highest - lowest) * 0.05).max(1e-3);
    let last = trained.iter().chain(measured).map(|(step, _)| *step).fold(1.0, f64::max);

    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("loss", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, lowest - margin..highest + margin)?;
    chart.configure_mesh().x_desc("step").light_line_style(WHITE).draw()?;
    let grey = RGBColor(150, 170, 200);
    chart.draw_series(LineSeries::new(trained.iter().copied(), &grey))?.label("each").legend(sample(grey));
    chart
        .draw_series(LineSeries::new(smooth(trained), BLUE.stroke_width(2)))?
        .label("smoothed")
        .legend(sample(BLUE));
    if !measured.is_empty() {
        chart
            .draw_series(LineSeries::new(measured.iter().copied(), RED.stroke_width(2)))?
            .label("held out")
            .legend(sample(RED));
    }
    chart.configure_series_labels().background_style(WHITE).border_style(BLACK.mix(0.3)).draw()?;
    area.present()
}

/// The line beside a label.
fn sample(colour: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour)
}

/// A running mean that forgets the more slowly the longer the run is.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let kept = 1.8 * (1.0 / (1.0 + (-0.05 * points.len() as f64).exp()) - 0.5);
    let mut last = points.first().map_or(0.0, |(_, loss)| *loss);
    points
        .iter()
        .map(|(step, loss)| {
            last = last * kept + loss * (1.0 - kept);
            (*step, last)
        })
        .collect()
}
