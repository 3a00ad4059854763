//! A linear probe on the vision tower: how much a plain ridge classifier reads from its features.
//!
//! Features are the tower's tokens after the merger, averaged over the image, each dimension brought
//! to zero mean and unit variance; ridge regression on one-hot labels, its strength chosen by 4-fold
//! cross-validation on the training rows.

use super::Row;
use anyhow::{Result, anyhow};
use fine_r1_core::recognizer::Recognizer;
use std::collections::BTreeMap;
use std::path::Path;

/// Strengths that cross-validation chooses from, as multiples of the number of rows.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0];
const FOLDS: usize = 4;

/// Fits on `train`; for every row of `test`, 1 where it names it rightly, else 0. Rows of classes that
/// `train` lacks count as wrong.
///
/// # Errors
/// A photo cannot be read, or the device failed.
pub fn probe_hits(recognizer: &Recognizer, train: &[Row], test: &[Row]) -> Result<Vec<f64>> {
    let names: BTreeMap<&str, usize> = {
        let mut names: Vec<&str> = train.iter().map(|row| row.ground_truth.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().zip(0..).collect()
    };
    let classes = names.len();
    let class = |row: &Row| names.get(row.ground_truth.as_str()).copied();
    let labels: Vec<usize> = train.iter().filter_map(class).collect();
    let (mut seen, mut unseen) = (features(recognizer, train)?, features(recognizer, test)?);
    standardize(&mut seen, &mut unseen);
    let folds = |hold: usize| {
        let pick =
            |held: bool| (0..seen.len()).filter(move |row| (row % FOLDS == hold) == held).collect::<Vec<_>>();
        (pick(false), pick(true))
    };
    let hits = |strength: f64| -> usize {
        (0..FOLDS)
            .map(|hold| {
                let (fit_on, test_on) = folds(hold);
                let x: Vec<&[f64]> = fit_on.iter().map(|row| seen[*row].as_slice()).collect();
                let y: Vec<usize> = fit_on.iter().map(|row| labels[*row]).collect();
                let weights = ridge(&x, &y, classes, strength * x.len() as f64);
                test_on.iter().filter(|row| predict(&weights, &seen[**row]) == labels[**row]).count()
            })
            .sum()
    };
    let best = STRENGTHS
        .into_iter()
        .map(|strength| (hits(strength), strength))
        .max_by_key(|(hits, _)| *hits)
        .map_or(1.0, |(_, strength)| strength);
    let x: Vec<&[f64]> = seen.iter().map(Vec::as_slice).collect();
    let weights = ridge(&x, &labels, classes, best * x.len() as f64);
    let is_right = |(row, x): (&Row, &Vec<f64>)| class(row) == Some(predict(&weights, x));
    Ok(test.iter().zip(&unseen).map(|pair| f64::from(u8::from(is_right(pair)))).collect())
}

fn features(recognizer: &Recognizer, rows: &[Row]) -> Result<Vec<Vec<f64>>> {
    rows.iter().map(|row| feature(recognizer, &row.image_path)).collect()
}

fn feature(recognizer: &Recognizer, photo: &Path) -> Result<Vec<f64>> {
    let photo = crate::commands::read_photo(photo)?;
    let patches = recognizer.processor().look_ready(&photo).map_err(|error| anyhow!("{error}"))?;
    let tokens = recognizer
        .model()
        .look(&[&patches], recognizer.processor().config())
        .ok_or_else(|| anyhow!("an image has features"))?;
    let data = tokens.mean_dim(0).try_into_data().map_err(|error| anyhow!("the device failed: {error:?}"))?;
    // The last feature is the constant one.
    Ok(data.iter::<f64>().chain([1.0]).collect())
}

/// Zero mean and unit variance in every dimension of the training rows.
fn standardize(train: &mut [Vec<f64>], test: &mut [Vec<f64>]) {
    let width = train.first().map_or(0, Vec::len);
    // The constant stays.
    for column in 0..width.saturating_sub(1) {
        let count = train.len() as f64;
        let mean = train.iter().map(|row| row[column]).sum::<f64>() / count;
        let variance = train.iter().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance.sqrt() + 1e-9);
        for row in train.iter_mut().chain(test.iter_mut()) {
            row[column] = (row[column] - mean) * scale;
        }
    }
}

/// Solves `(XᵀX + λI) W = XᵀY` for one-hot `Y`; returns `W` as one weight row per class.
fn ridge(x: &[&[f64]], labels: &[usize], classes: usize, strength: f64) -> Vec<Vec<f64>> {
    let width = x.first().map_or(0, |row| row.len());
    let mut matrix = vec![vec![0.0; width]; width];
    let mut right = vec![vec![0.0; width]; classes];
    for (row, label) in x.iter().zip(labels) {
        for (i, left) in row.iter().enumerate() {
            right[*label][i] += left;
            for (j, value) in row.iter().enumerate() {
                matrix[i][j] += left * value;
            }
        }
    }
    for (index, row) in matrix.iter_mut().enumerate() {
        row[index] += strength;
    }
    solve(matrix, right)
}

/// Solves a symmetric positive definite system for several right-hand sides by Cholesky's method.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let width = matrix.len();
    for column in 0..width {
        for row in column..width {
            let dot: f64 = (0..column).map(|k| matrix[row][k] * matrix[column][k]).sum();
            let value = matrix[row][column] - dot;
            matrix[row][column] =
                if row == column { value.max(1e-12).sqrt() } else { value / matrix[column][column] };
        }
    }
    for side in &mut right {
        for row in 0..width {
            let dot: f64 = (0..row).map(|k| matrix[row][k] * side[k]).sum();
            side[row] = (side[row] - dot) / matrix[row][row];
        }
        for row in (0..width).rev() {
            let dot: f64 = (row + 1..width).map(|k| matrix[k][row] * side[k]).sum();
            side[row] = (side[row] - dot) / matrix[row][row];
        }
    }
    right
}

fn predict(weights: &[Vec<f64>], x: &[f64]) -> usize {
    let score = |weights: &Vec<f64>| weights.iter().zip(x).map(|(weight, x)| weight * x).sum::<f64>();
    let best = weights.iter().map(score).enumerate().max_by(|left, right| left.1.total_cmp(&right.1));
    best.map_or(0, |(class, _)| class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cholesky_solves_a_known_system() {
        let solution = solve(vec![vec![4.0, 2.0], vec![2.0, 3.0]], vec![vec![8.0, 7.0]]);
        assert!((solution[0][0] - 1.25).abs() < 1e-12 && (solution[0][1] - 1.5).abs() < 1e-12);
    }

    #[test]
    fn ridge_separates_what_a_line_separates() {
        let rows = [[2.0, 1.0], [1.5, 1.0], [-1.0, 1.0], [-2.5, 1.0]];
        let x: Vec<&[f64]> = rows.iter().map(<[f64; 2]>::as_slice).collect();
        let weights = ridge(&x, &[1, 1, 0, 0], 2, 0.01);
        assert_eq!(rows.map(|row| predict(&weights, &row)), [1, 1, 0, 0]);
    }
}
