//! A curve of a run as an SVG: every point as it was, and smoothed as LlamaFactory smooths losses.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/extras/ploting.py>

use anyhow::{Result, anyhow};
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 540);

/// A curve of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Name of its file.
    pub file: &'static str,
    /// What stands above it.
    pub caption: &'static str,
    /// Steps, and what they brought.
    pub made: Vec<(f64, f64)>,
    /// The same on samples that are not trained on.
    pub held_out: Vec<(f64, f64)>,
}

/// Draws a curve over steps; `None` where it has no points.
///
/// # Errors
/// The drawing library fails.
pub fn draw(drawing: &Drawing) -> Result<Option<String>> {
    if drawing.made.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    paint(&mut text, drawing).map_err(|error| anyhow!("cannot draw {}: {error}", drawing.file))?;
    Ok(Some(text))
}

type Outcome = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn paint(text: &mut String, drawing: &Drawing) -> Outcome {
    let Drawing { made, held_out, .. } = drawing;
    let values = made.iter().chain(held_out).map(|(_, value)| *value);
    let highest = values.clone().fold(f64::MIN, f64::max);
    let lowest = values.fold(f64::MAX, f64::min);
    let margin = ((highest - lowest) * 0.05).max(1e-3);
    let last = made.iter().chain(held_out).map(|(step, _)| *step).fold(1.0, f64::max);

    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(drawing.caption, ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last, lowest - margin..highest + margin)?;
    chart.configure_mesh().x_desc("step").light_line_style(WHITE).draw()?;
    let grey = RGBColor(150, 170, 200);
    chart.draw_series(LineSeries::new(made.iter().copied(), &grey))?.label("each").legend(sample(grey));
    chart
        .draw_series(LineSeries::new(smooth(made), BLUE.stroke_width(2)))?
        .label("smoothed")
        .legend(sample(BLUE));
    if !held_out.is_empty() {
        chart
            .draw_series(LineSeries::new(held_out.iter().copied(), RED.stroke_width(2)))?
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
    let mut last = points.first().map_or(0.0, |(_, value)| *value);
    points
        .iter()
        .map(|(step, value)| {
            last = last * kept + value * (1.0 - kept);
            (*step, last)
        })
        .collect()
}
