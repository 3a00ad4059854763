//! Tensors as numbers in memory, and work laid over threads.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{Bytes, DType, Shape, Tensor};
use pulp::Arch;
#[cfg(feature = "parallel")]
use rayon::prelude::*;

/// Numbers that are worth a thread's while, and stay in its cache.
const PIECE: usize = 1 << 14;
/// Sums that grow side by side, as many on every processor: results do not depend on its vectors' width.
const LANES: usize = 16;

/// Whether passes apply to a tensor: f32 in the processor's memory.
#[must_use]
pub fn apply_to<const D: usize>(tensor: &Tensor<D>) -> bool {
    let device = tensor.device().inner();
    let is_known = cfg!(feature = "training") || !tensor.is_autodiff();
    is_known && tensor.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// Changes tensors of one length in place, a piece of all of them at a time; one that others hold, too, is copied first.
///
/// # Errors
/// The tensors as they were, if passes do not [apply](apply_to) to them or gradients are recorded.
///
/// # Panics
/// The lengths differ.
pub fn edit<const N: usize>(
    tensors: [Tensor<1>; N],
    work: impl Fn([&mut [f32]; N]) + Sync,
) -> Result<[Tensor<1>; N], [Tensor<1>; N]> {
    if !tensors.iter().all(|tensor| apply_to(tensor) && !tensor.is_autodiff()) {
        return Err(tensors);
    }
    let mut tensors = tensors.map(|tensor| owned(primitive(tensor)));
    let arrays = tensors.each_mut().map(FlexTensor::storage_mut);
    in_pieces(
        arrays,
        1,
        #[inline(always)]
        |_, piece| work(piece),
    );
    Ok(tensors.map(Tensor::from_primitive::<Flex>))
}

/// `Σ xᵢ²`; `None` as the error of [`edit`]. The numbers are at hand: nobody is waited for.
#[must_use]
pub fn sum_of_squares(tensor: &Tensor<1>) -> Option<f32> {
    if !apply_to(tensor) || tensor.is_autodiff() {
        return None;
    }
    let tensor = primitive(tensor.clone()).to_contiguous();
    let pieces = numbers(&tensor).chunks(PIECE).collect();
    let sums = over_pieces(
        pieces,
        #[inline(always)]
        |_, piece| dot(piece, piece),
    );
    Some(sums.into_iter().sum())
}

fn primitive(tensor: Tensor<1>) -> FlexTensor {
    tensor.try_into_primitive::<Flex>().expect("a tensor in the processor's memory")
}

/// All numbers of a tensor whose rows follow one another.
pub fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous f32")
}

/// A tensor of new numbers.
pub fn tensor(numbers: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape), DType::F32)
}

/// Lets `work` change a tensor's rows as [`in_pieces`], in place where nobody else holds them; elsewhere every piece is
/// copied just before.
pub fn changed<R: Send>(
    tensor: FlexTensor,
    width: usize,
    work: impl Fn(usize, &mut [f32]) -> R + Sync,
) -> (FlexTensor, Vec<R>) {
    let mut tensor = owned(tensor);
    if let Some(rows) = tensor.try_storage_mut() {
        let results = in_pieces(
            [rows],
            width,
            #[inline(always)]
            |first, [rows]| work(first, rows),
        );
        return (tensor, results);
    }
    let source = numbers(&tensor);
    let mut target = vec![0.0; source.len()];
    let results = in_pieces(
        [&mut target],
        width,
        #[inline(always)]
        |first, [rows]| {
            rows.copy_from_slice(&source[first * width..][..rows.len()]);
            work(first, rows)
        },
    );
    (self::tensor(target, tensor.layout().shape().clone()), results)
}

/// A tensor whose storage is nothing but its numbers, in their order.
pub fn owned(tensor: FlexTensor) -> FlexTensor {
    let count = tensor.layout().num_elements();
    let is_whole = tensor.layout().contiguous_offsets() == Some((0, count));
    let has_more = tensor.bytes().len() != count * size_of::<f32>();
    if is_whole && !has_more { tensor } else { tensor.to_contiguous() }
}

/// Gives pieces of whole rows to threads, the same rows of every array: the number of the first, and the rows themselves.
/// Returns what the pieces give, in their order.
///
/// What `work` calls must be inlined into it: only then it gets the processor's vector instructions.
///
/// # Panics
/// The arrays differ in length, or are not made of whole rows.
pub fn in_pieces<R: Send, const N: usize>(
    arrays: [&mut [f32]; N],
    width: usize,
    work: impl Fn(usize, [&mut [f32]; N]) -> R + Sync,
) -> Vec<R> {
    let length = arrays[0].len();
    if arrays.iter().all(|array| array.is_empty()) {
        return Vec::new();
    }
    let fits = length.is_multiple_of(width) && arrays.iter().all(|array| array.len() == length);
    assert!(fits, "arrays of the same whole rows");
    let rows = (PIECE / width).max(1);
    let mut chunks = arrays.map(|array| array.chunks_mut(rows * width));
    let pieces: Vec<[&mut [f32]; N]> = (0..length.div_ceil(rows * width))
        .map(|_| chunks.each_mut().map(|chunks| chunks.next().expect("as many pieces of every array")))
        .collect();
    over_pieces(
        pieces,
        #[inline(always)]
        |index, piece| work(index * rows, piece),
    )
}

fn over_pieces<P: Send, R: Send>(pieces: Vec<P>, work: impl Fn(usize, P) -> R + Sync) -> Vec<R> {
    let work = |(index, piece)| {
        Arch::new().dispatch(
            #[inline(always)]
            || work(index, piece),
        )
    };
    #[cfg(feature = "parallel")]
    if pieces.len() > 1 {
        return pieces.into_par_iter().enumerate().map(work).collect();
    }
    pieces.into_iter().enumerate().map(work).collect()
}

/// `Σ xᵢ yᵢ`, in an order that is the same on every processor.
#[inline(always)]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest = lefts.remainder().iter().zip(rights.remainder());
    for (left, right) in lefts.zip(rights) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    sums.iter().sum::<f32>() + rest.map(|(left, right)| left * right).sum::<f32>()
}

/// `Σ xᵢ`, in such an order.
#[inline(always)]
pub fn sum(numbers: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let pieces = numbers.chunks_exact(LANES);
    let rest = pieces.remainder();
    for piece in pieces {
        for lane in 0..LANES {
            sums[lane] += piece[lane];
        }
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// The largest number; NaN counts for nothing.
#[inline(always)]
pub fn largest(numbers: &[f32]) -> f32 {
    let mut tops = [f32::NEG_INFINITY; LANES];
    let pieces = numbers.chunks_exact(LANES);
    let rest = pieces.remainder();
    for piece in pieces {
        for lane in 0..LANES {
            tops[lane] = larger(tops[lane], piece[lane]);
        }
    }
    tops.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// `max` without its care for NaN, which costs half of the time.
#[inline(always)]
fn larger(left: f32, right: f32) -> f32 {
    if right > left { right } else { left }
}
