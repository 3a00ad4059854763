//! Which of the things that were said about a picture tell it from other pictures: an information bottleneck.
//!
//! Shi et al. 2025 (SelfSynthX), <https://arxiv.org/abs/2502.14044>, which Fine-R1 names as its source;
//! <https://github.com/sycny/SelfSynthX/blob/e16e807d460077088e4cae0e2364f77f5b8896ed/src/step1.2_concepts_gen.py>.
//! For a concept `b`, the descriptions `A` of its picture and `C` of all other pictures, all of them vectors of
//! length 1: `score(b) = Σ_a log( e^{a·b/τ} / (e^{a·b/τ} + Σ_c e^{b·c/τ}) )`.
//!
//! Where we differ: the concepts of a picture are the lines of its own descriptions; there they are a list that a
//! model wrote for the class.

use super::structure::{bare, without_bullet};

/// τ: smaller makes single near neighbours count more. The source's default.
pub const TEMPERATURE: f64 = 0.1;
/// Kept are scores above the mean by so many standard deviations.
const DEVIATIONS: f64 = 0.4;
/// At least so many are kept.
const FEWEST: usize = 3;
/// A line that is longer is no concept.
const LONGEST_CONCEPT: usize = 120;

/// The features that descriptions list, each once; lines that name the label are left out.
#[must_use]
pub fn candidates(descriptions: &[String], label: &str) -> Vec<String> {
    let label = words(label);
    let mut found: Vec<String> = Vec::new();
    for line in descriptions.iter().flat_map(|text| text.lines()) {
        let line = bare(without_bullet(line));
        let lower = line.to_lowercase();
        let names_label = words(&line).windows(label.len().max(1)).any(|some| *some == label);
        let usable = !line.is_empty() && line.chars().count() <= LONGEST_CONCEPT && !names_label;
        if usable && !found.iter().any(|earlier| earlier.to_lowercase() == lower) {
            found.push(line);
        }
    }
    found
}

/// The score of every concept, at most 0.
///
/// # Shapes
/// All vectors have one length, `hidden`, and Euclidean norm 1.
#[must_use]
pub fn scores(concepts: &[Vec<f32>], own: &[Vec<f32>], others: &[&[f32]], temperature: f64) -> Vec<f64> {
    concepts
        .iter()
        .map(|concept| {
            let near: Vec<f64> = others.iter().map(|other| dot(concept, other) / temperature).collect();
            own.iter()
                .map(|description| {
                    let positive = dot(concept, description) / temperature;
                    positive - log_sum_exp(positive, &near)
                })
                .sum()
        })
        .collect()
}

/// Numbers of the concepts to keep, the highest score first.
#[must_use]
pub fn select(scores: &[f64]) -> Vec<usize> {
    let count = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let threshold = mean + DEVIATIONS * variance.sqrt();
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|left, right| scores[*right].total_cmp(&scores[*left]));
    let kept = order.iter().filter(|index| scores[**index] > threshold).count();
    order.truncate(kept.max(FEWEST));
    order
}

/// Words in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(left * right)).sum()
}

/// `log(e^first + Σ e^rest)` without overflow.
fn log_sum_exp(first: f64, rest: &[f64]) -> f64 {
    let largest = rest.iter().copied().fold(first, f64::max);
    let sum: f64 = std::iter::once(&first).chain(rest).map(|value| (value - largest).exp()).sum();
    largest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_formula() {
        let own = [vec![1.0, 0.0], vec![0.6, 0.8]];
        let others = [vec![0.0, 1.0], vec![-1.0, 0.0]];
        let others: Vec<&[f32]> = others.iter().map(Vec::as_slice).collect();
        let concept = vec![vec![1.0_f32, 0.0]];
        // By hand: b·a is 1 and 0.6, b·c is 0 and -1, τ is 0.5.
        let part = |positive: f64| (positive.exp() / (positive.exp() + 0f64.exp() + (-2f64).exp())).ln();
        let expected = part(2.0) + part(1.2);
        let found = scores(&concept, &own, &others, 0.5)[0];
        // The dot products are sums of two f32 products.
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        // Without other pictures nothing can tell more than another.
        assert_eq!(scores(&concept, &own, &[], 0.5), [0.0]);
    }

    #[test]
    fn large_exponents_do_not_overflow() {
        let concept = vec![vec![1.0_f32, 0.0]];
        let same = [1.0_f32, 0.0];
        let found = scores(&concept, &concept, &[&same, &same], 1e-4)[0];
        assert!((found - (1.0 / 3.0_f64).ln()).abs() < 1e-9);
    }

    #[test]
    fn what_stands_out_is_kept_and_three_at_least() {
        assert_eq!(select(&[-9.0, -1.0, -8.0, -1.5, -9.5, -2.0, -1.2]), [1, 6, 3, 5]);
        assert_eq!(select(&[-5.0, -1.0, -9.0, -9.0, -9.0, -9.0]), [1, 0, 2]);
        assert_eq!(select(&[-1.0]), [0]);
        assert!(select(&[]).is_empty());
    }

    #[test]
    fn concepts_are_lines_without_dress_and_without_the_name() {
        let descriptions = [
            "- Black hood.\n2. white wing bars\n\n* the Scott Oriole itself".to_owned(),
            "black HOOD\n4.5 cm bill".to_owned(),
        ];
        assert_eq!(
            candidates(&descriptions, "Scott Oriole"),
            ["Black hood", "white wing bars", "4.5 cm bill"]
        );
    }
}
