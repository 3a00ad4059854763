//! Means of every image's tokens, weighted by attention.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;

/// Pools the tokens of each image by each query.
///
/// # Shapes
/// - `tokens`: `[merged, hidden]`, image after image
/// - `queries`: `[queries, hidden]`
/// - `counts`: the tokens of every image
/// - output: `[images, queries × hidden]`
#[must_use]
pub fn pool(tokens: Tensor<2>, queries: Tensor<2>, counts: &[usize]) -> Tensor<2> {
    let [count, hidden] = queries.dims();
    let scores = tokens.clone().matmul(queries.transpose()) * (hidden as f32).powf(-0.5);
    let mut first = 0;
    let means = counts
        .chunk_by(|left, right| left == right)
        .map(|alike| {
            let (images, length) = (alike.len(), alike[0]);
            let total = images * length;
            let tokens = tokens.clone().narrow(0, first, total).reshape([images, length, hidden]);
            let scores = scores.clone().narrow(0, first, total).reshape([images, length, count]);
            first += total;
            softmax(scores, 1).swap_dims(1, 2).matmul(tokens).reshape([images, count * hidden])
        })
        .collect();
    Tensor::cat(means, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn images_of_different_sizes_are_pooled_each_by_itself() {
        let device = Device::flex();
        let tokens = Tensor::<2>::from_data([[1.0, 0.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]], &device);
        // The first query finds all tokens alike, the second looks at the largest second number.
        let queries = Tensor::<2>::from_data([[0.0, 0.0], [0.0, 1000.0]], &device);
        let pooled: Vec<f32> = pool(tokens, queries, &[2, 1, 1]).into_data().iter().collect();
        assert_eq!(pooled, [2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 5.0, 6.0, 7.0, 8.0, 7.0, 8.0]);
    }
}
