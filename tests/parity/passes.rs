//! Passes of our own over the processor's memory, and their gradients, beside burn's operations.

use burn::tensor::activation::{silu, softmax};
use burn::tensor::{DType, Device, Tensor, TensorData};
use fine_r1_core::passes;
use fine_r1_tests::{Largest, numbers};

/// Sums in another order and exponentials of another kind, on numbers up to 2 and sums of some hundred.
const OTHER_ORDER: f32 = 3e-5;

/// A tensor whose gradient is asked for.
fn leaf<const D: usize>(shape: [usize; D], seed: u32) -> Tensor<D> {
    constant(shape, seed).require_grad()
}

fn constant<const D: usize>(shape: [usize; D], seed: u32) -> Tensor<D> {
    let data = TensorData::new(numbers(shape.iter().product(), seed), shape);
    Tensor::from_data(data, (&Device::flex().autodiff(), DType::F32))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Output and gradients of two ways to compute the same from the same leaves; the gradient of the output is another
/// everywhere.
struct Ways<'test> {
    what: &'test str,
    largest: Largest,
}

impl<'test> Ways<'test> {
    fn of(what: &'test str) -> Self {
        Self { what, largest: Largest::new("passes", OTHER_ORDER) }
    }

    fn compare<const D: usize, const E: usize>(
        mut self,
        [ours, plain]: [Tensor<D>; 2],
        leaves: &[(&str, Tensor<E>)],
    ) -> Self {
        let weights = constant(plain.dims(), 99);
        let [mut of_ours, mut of_plain] =
            [&ours, &plain].map(|output| (output.clone() * weights.clone()).sum().backward());
        for (name, leaf) in leaves {
            let [found, expected] = [&mut of_ours, &mut of_plain]
                .map(|gradients| leaf.grad_remove(gradients).expect("a gradient"));
            self.largest.compare(&format!("{} by {name}", self.what), &values(found), &values(expected));
        }
        self.largest.compare(self.what, &values(ours), &values(plain));
        self
    }

    fn check(self) {
        self.largest.check();
    }
}

#[test]
fn gates_equal_burns() {
    for (shape, what) in [([1, 1, 5], "a few"), ([3, 70, 131], "many")] {
        let (gate, up) = (leaf(shape, 1), leaf(shape, 2));
        assert!(passes::apply_to(&gate));
        // Far from zero, too.
        let far = || gate.clone() * 30.0;
        let ours = passes::swiglu(far(), up.clone());
        let plain = silu(far()) * up.clone();
        Ways::of(what).compare([ours, plain], &[("gate", gate), ("up", up)]).check();
    }
}

#[test]
fn gates_that_lie_askew_or_are_shared_are_left_alone() {
    let (gate, up) = (constant([40, 30], 3).inner(), constant([40, 30], 4).inner());
    let mut largest = Largest::new("askew", OTHER_ORDER);
    let turned = passes::swiglu(gate.clone().transpose(), up.clone().transpose());
    let part = passes::swiglu(gate.clone().narrow(0, 3, 7), up.clone().narrow(0, 3, 7));
    let plain = silu(gate.clone()) * up;
    largest.compare("transposed", &values(turned), &values(plain.clone().transpose()));
    largest.compare("narrowed", &values(part), &values(plain.narrow(0, 3, 7)));
    largest.compare("untouched", &values(gate), &numbers(1200, 3));
    largest.check();
}

#[test]
fn norms_equal_burns() {
    const EPSILON: f64 = 1e-6;
    for (shape, what) in [([1, 1, 7], "a row"), ([2, 150, 131], "many")] {
        let (input, weight) = (leaf(shape, 5), leaf([shape[2]], 6));
        let ours = passes::rms_norm(input.clone(), weight.clone(), EPSILON);
        let plain = || {
            let scale = (input.clone().square().mean_dim(2) + EPSILON).sqrt().recip();
            input.clone() * scale * weight.clone().unsqueeze()
        };
        Ways::of(what).compare([ours, plain()], &[("input", input.clone())]).check();
        let ours = passes::rms_norm(input.clone(), weight.clone(), EPSILON);
        Ways::of(what).compare([ours, plain()], &[("weight", weight.clone())]).check();
    }
}

#[test]
fn softmaxes_equal_burns() {
    let [batch, heads, rows, keys] = [2, 3, 40, 57];
    for (bias, what) in [
        (None, "no bias"),
        (Some([1, 1, 20, keys]), "rows of a group"),
        (Some([2, 1, 1, keys]), "a row a batch"),
        (Some([2, 1, 20, keys]), "both"),
    ] {
        let scores = leaf([batch, heads, rows, keys], 7);
        let bias = bias.map(|shape| {
            let bias = constant(shape, 8);
            // Some are masked; of every row some are not.
            bias.clone().mask_fill(bias.greater_elem(0.5), f32::NEG_INFINITY)
        });
        let far = || scores.clone() * 10.0;
        let ours = passes::biased_softmax(far(), bias.clone());
        let sum = match bias {
            None => far(),
            Some(bias) => {
                let [bias_batch, _, bias_rows, _] = bias.dims();
                let apart = far().reshape([batch, heads, rows / bias_rows, bias_rows, keys]);
                let bias = bias.reshape([bias_batch, 1, 1, bias_rows, keys]);
                (apart + bias).reshape([batch, heads, rows, keys])
            }
        };
        Ways::of(what).compare([ours, softmax(sum, 3)], &[("scores", scores)]).check();
    }
}

#[test]
fn rotations_equal_burns() {
    let [batch, heads, seq, head_dim] = [2, 3, 50, 14];
    let half = head_dim / 2;
    for angles in [1, batch] {
        let flat = leaf([batch, seq, heads * head_dim], 9);
        let (cos, sin) = (constant([angles, 1, seq, half], 10), constant([angles, 1, seq, half], 11));
        // Heads side by side, as projections leave them, and one after the other.
        let apart = || flat.clone().reshape([batch, seq, heads, head_dim]).swap_dims(1, 2);
        for (input, what) in [(apart(), "side by side"), (apart() * 1.0, "one by one")] {
            let ours = passes::rotate(input, cos.clone(), sin.clone());
            let [first, second] = [0, half].map(|start| apart().narrow(3, start, half));
            let plain = Tensor::cat(
                vec![
                    first.clone() * cos.clone() - second.clone() * sin.clone(),
                    second * cos.clone() + first * sin.clone(),
                ],
                3,
            );
            Ways::of(what).compare([ours, plain], &[("input", flat.clone())]).check();
        }
    }
}

#[test]
fn edits_reach_every_number_once_and_leave_shared_ones_alone() {
    let [first, second] = [12, 13].map(|seed| constant([100_003], seed).inner());
    let kept = first.clone();
    let squares = passes::sum_of_squares(&first).expect("in memory");
    let [sum, other] = passes::edit([first, second], |[first, second]| {
        for (first, second) in first.iter_mut().zip(second) {
            *first += *second;
            *second = 1.0;
        }
    })
    .expect("in memory");
    let (first, second) = (numbers(100_003, 12), numbers(100_003, 13));
    let mut largest = Largest::new("edits", 0.0);
    let sums: Vec<f32> = first.iter().zip(&second).map(|(first, second)| first + second).collect();
    largest.compare("sum", &values(sum), &sums);
    largest.compare("other", &values(other), &vec![1.0; 100_003]);
    largest.compare("kept", &values(kept), &first);
    largest.check();
    let exact: f64 = first.iter().map(|number| f64::from(*number).powi(2)).sum();
    assert!((f64::from(squares) / exact - 1.0).abs() < 1e-6, "{squares}, expected {exact}");
}

#[test]
fn other_precisions_and_recorded_tensors_are_not_taken() {
    let recorded = leaf([6], 14);
    assert!(passes::apply_to(&recorded) && passes::sum_of_squares(&recorded).is_none());
    assert!(passes::edit([recorded], |_| ()).is_err());
    let half = constant([6], 15).cast(DType::F16);
    assert!(!passes::apply_to(&half) && passes::sum_of_squares(&half.inner()).is_none());
}

#[test]
fn what_is_no_number_stays_none() {
    let odd = |values: [f32; 3]| {
        Tensor::<4>::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 3]), (&Device::flex(), DType::F32))
    };
    for row in [
        [f32::NAN, 0.0, 1.0],
        [f32::INFINITY, 0.0, 1.0],
        [f32::NEG_INFINITY; 3],
        [0.0, f32::NEG_INFINITY, f32::NAN],
    ] {
        let nans = |tensor: Tensor<4>| values(tensor).into_iter().map(f32::is_nan).collect::<Vec<_>>();
        let (ours, plain) = (passes::biased_softmax(odd(row), None), softmax(odd(row), 3));
        assert!(nans(ours.clone()).contains(&true), "{row:?} became {ours}");
        assert_eq!(nans(ours)[1], nans(plain)[1], "softmax of {row:?}");
        let ours = passes::swiglu(odd(row), odd([1.0; 3]));
        assert_eq!(nans(ours), nans(silu(odd(row))), "gate of {row:?}");
    }
    let weight = Tensor::<1>::from_floats([1.0; 3], &Device::flex());
    let normed = values(passes::rms_norm(odd([f32::NAN, 0.0, 1.0]), weight, 1e-6));
    assert!(normed.iter().all(|number| number.is_nan()), "{normed:?}");
}

#[test]
fn nothing_becomes_nothing() {
    let nothing = || constant([2, 3, 0, 4], 16).inner();
    assert_eq!(passes::swiglu(nothing(), nothing()).dims(), [2, 3, 0, 4]);
    assert_eq!(passes::biased_softmax(nothing(), None).dims(), [2, 3, 0, 4]);
    let no_width = constant([2, 3, 4, 0], 17).inner();
    assert_eq!(passes::biased_softmax(no_width, None).dims(), [2, 3, 4, 0]);
    let weight = constant([4], 18).inner();
    assert_eq!(passes::rms_norm(nothing(), weight, 1e-6).dims(), [2, 3, 0, 4]);
}

#[test]
#[should_panic(expected = "arrays of the same whole rows")]
fn tensors_of_other_lengths_are_not_edited_together() {
    let [short, long] = [(5, 19), (6, 20)].map(|(count, seed)| constant([count], seed).inner());
    drop(passes::edit([short, long], |_| ()));
}

#[test]
fn one_parent_is_enough_and_both_may_be_one() {
    let (input, weight) = (leaf([3, 40], 21), leaf([40], 22));
    for (what, ours, plain, leaf) in [
        (
            "frozen weight",
            passes::rms_norm(input.clone(), constant([40], 22), 0.0),
            input.clone() * input.clone().square().mean_dim(1).sqrt().recip() * weight.clone().unsqueeze(),
            &input,
        ),
        (
            "one for both",
            passes::swiglu(input.clone(), input.clone()),
            silu(input.clone()) * input.clone(),
            &input,
        ),
        (
            "frozen gate",
            passes::swiglu(constant([3, 40], 23), input.clone()),
            silu(constant([3, 40], 23)) * input.clone(),
            &input,
        ),
    ] {
        Ways::of(what).compare([ours, plain], &[("input", leaf.clone())]).check();
    }
    let untracked = passes::swiglu(constant([3, 40], 24), constant([3, 40], 25));
    assert!(!untracked.is_tracked());
}

#[test]
fn devices_that_recompute_have_the_same_gradients() {
    let of = |device: Device| {
        let data = TensorData::new(numbers(3 * 40, 26), [3, 40]);
        let input = Tensor::<2>::from_data(data, (&device, DType::F32)).require_grad();
        let weight = Tensor::<1>::ones([40], &device);
        let normed = passes::rms_norm(input.clone() * 2.0, weight, 1e-6);
        let output = passes::swiglu(normed.clone() * 3.0, normed);
        values(input.grad(&output.sum().backward()).expect("a gradient"))
    };
    let kept = of(Device::flex().autodiff());
    assert_eq!(of(Device::flex().autodiff().gradient_checkpointing()), kept);
}
