//! Numbers of answers' tokens: a row for every answer on the host, padded to one length on the device.

use burn::tensor::{Device, Tensor, TensorData};

/// A number for every token of every answer; answers differ in length.
pub type PerToken = Vec<Vec<f32>>;

/// Lengths of the answers, in tokens.
#[must_use]
pub fn lengths(rows: &[Vec<f32>]) -> Vec<usize> {
    rows.iter().map(Vec::len).collect()
}

/// Puts rows under each other, shorter ones filled up with zeros.
///
/// # Shapes
/// - output: `[rollouts, tokens]`
#[must_use]
pub fn padded(rows: &[Vec<f32>], device: &Device) -> Tensor<2> {
    let tokens = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut values = Vec::with_capacity(rows.len() * tokens);
    for row in rows {
        values.extend_from_slice(row);
        values.resize(values.len() + tokens - row.len(), 0.0);
    }
    Tensor::from_data(TensorData::new(values, [rows.len(), tokens]), device)
}

/// 1 where an answer has a token, 0 where it was filled up.
///
/// # Shapes
/// - output: `[rollouts, tokens]`
#[must_use]
pub fn mask(lengths: &[usize], device: &Device) -> Tensor<2> {
    let rows: PerToken = lengths.iter().map(|length| vec![1.0; *length]).collect();
    padded(&rows, device)
}

/// A number for every answer.
///
/// # Shapes
/// - output: `[rollouts, 1]`
#[must_use]
pub fn column(values: &[f64], device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count, 1]), device)
}

/// Reads padded numbers back as rows.
///
/// # Panics
/// The device failed.
#[must_use]
pub fn rows(padded: Tensor<2>, lengths: &[usize]) -> PerToken {
    let [_, tokens] = padded.dims();
    if tokens == 0 {
        return lengths.iter().map(|_| Vec::new()).collect();
    }
    let data = padded.into_data();
    let values: Vec<f32> = data.iter::<f32>().collect();
    values.chunks_exact(tokens).zip(lengths).map(|(row, length)| row[..*length].to_vec()).collect()
}
