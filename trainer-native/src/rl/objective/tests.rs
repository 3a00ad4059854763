//! Every objective against torch's autograd, and against vectors reckoned by hand.
//!
//! `tests/reference/make_rl_golden.py` makes the file.

use super::*;
use crate::device;
use crate::rl::average::Totals;
use crate::rl::contrast::{ContrastClamp, ContrastRatio};
use crate::rl::log_prob::token_scores;
use crate::rl::parity::Preset;
use crate::rl::surrogate::{Surrogate, SurrogateTokens};
use burn::tensor::TensorData;
use serde::Deserialize;

/// What f32 may differ from the reference's f64, in losses and in derivatives.
const TOLERANCE: f32 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    lengths: Vec<usize>,
    micro_batches: Vec<Vec<usize>>,
    vocab: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    targets: Vec<Vec<i32>>,
    own_logits: PerToken,
    other_logits: PerToken,
    log_prob: PerToken,
    other_log_prob: PerToken,
    old: PerToken,
    reference: PerToken,
    advantage: Vec<f32>,
    surrogates: Vec<TokenCase>,
    kls: Vec<TokenCase>,
    contrasts: Vec<TokenCase>,
    objectives: Vec<ObjectiveCase>,
}

#[derive(Deserialize)]
struct TokenCase {
    name: String,
    tokens: PerToken,
    gradient: PerToken,
    other_gradient: Option<PerToken>,
}

#[derive(Deserialize)]
struct ObjectiveCase {
    objective: String,
    preset: Preset,
    loss: f32,
    own_gradient: PerToken,
    other_gradient: PerToken,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/rl/objectives.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).expect("golden cases")
}

fn device() -> Device {
    device::storage().expect("a processor").device.autodiff()
}

#[track_caller]
fn assert_close(what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{what}, row {row}");
        for (found, expected) in found.iter().zip(expected) {
            // Relative where numbers are large: k3 reaches thousands where nothing bounds it.
            let allowed = TOLERANCE * expected.abs().max(1.0);
            assert!((found - expected).abs() <= allowed, "{what}, row {row}: {found}, expected {expected}");
        }
    }
}

/// Scores of some rows, and what becomes of the derivatives by them on the way back to the logits.
struct Logits {
    leaf: Tensor<2>,
    log_prob: Tensor<1>,
    entropy: Option<Tensor<1>>,
    lengths: Vec<usize>,
}

impl Logits {
    fn new(logits: &[Vec<f32>], targets: &[Vec<i32>], vocab: usize, with_entropy: bool) -> Self {
        let values = logits.concat();
        let rows = values.len() / vocab;
        let leaf = Tensor::<2>::from_data(TensorData::new(values, [rows, vocab]), &device()).require_grad();
        let (log_prob, entropy) = token_scores(leaf.clone(), &targets.concat(), with_entropy);
        Self { leaf, log_prob, entropy, lengths: targets.iter().map(Vec::len).collect() }
    }

    fn scores(&self) -> TokenScores {
        let split = |tensor: &Tensor<1>| {
            let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
            let mut rest = values.as_slice();
            self.lengths
                .iter()
                .map(|length| {
                    let (row, after) = rest.split_at(*length);
                    rest = after;
                    row.to_vec()
                })
                .collect::<PerToken>()
        };
        TokenScores {
            log_prob: split(&self.log_prob),
            entropy: self.entropy.as_ref().map(split).unwrap_or_default(),
        }
    }

    fn backward(self, gradients: &TokenGradients, vocab: usize) -> PerToken {
        let weight = |rows: &PerToken| Tensor::<1>::from_floats(rows.concat().as_slice(), &device());
        let mut loss = (self.log_prob * weight(&gradients.log_prob)).sum();
        if let Some(entropy) = self.entropy {
            loss = loss + (entropy * weight(&gradients.entropy)).sum();
        }
        let gradient = self.leaf.grad(&loss.backward()).expect("logits are differentiated by");
        let values: Vec<f32> = gradient.into_data().iter::<f32>().collect();
        let mut rest = values.as_slice();
        let mut rows = Vec::new();
        for length in self.lengths {
            let (row, after) = rest.split_at(length * vocab);
            rest = after;
            rows.push(row.to_vec());
        }
        rows
    }
}

#[test]
fn every_objective_has_the_loss_and_gradient_of_the_reference() {
    let golden = golden();
    for case in &golden.cases {
        for expected in &case.objectives {
            check_objective(&golden, case, expected);
        }
    }
}

fn check_objective(golden: &Golden, case: &Case, expected: &ObjectiveCase) {
    let objective = Objective::from_str(&expected.objective, false).expect("an objective");
    let mut recipe = objective.defaults();
    recipe.parity = expected.preset.apply(recipe.parity);
    let settings = recipe.loss(recipe.kl.coefficient);
    let vocab = golden.vocab;
    let totals = Totals {
        answers: golden.lengths.len(),
        tokens: golden.lengths.iter().sum(),
        micro_batches: golden.micro_batches.len(),
    };
    let mut loss = 0.0;
    let mut own_gradient = vec![Vec::new(); golden.lengths.len()];
    let mut other_gradient = own_gradient.clone();
    for rows in &golden.micro_batches {
        let pick = |all: &PerToken| rows.iter().map(|row| all[*row].clone()).collect::<PerToken>();
        let targets: Vec<Vec<i32>> = rows.iter().map(|row| case.targets[*row].clone()).collect();
        let lengths: Vec<usize> = rows.iter().map(|row| golden.lengths[*row]).collect();
        let own = Logits::new(&pick(&case.own_logits), &targets, vocab, settings.needs_entropy());
        let other = Logits::new(&pick(&case.other_logits), &targets, vocab, settings.needs_entropy());
        let weights = recipe.parity.average.weights(&lengths, totals, 4);
        let contrast = recipe.active_contrasts().next().map(|(_, view)| view.coefficient);
        let batch = TokenBatch {
            own: own.scores(),
            old: Some(pick(&case.old)),
            reference: recipe.needs_reference().then(|| pick(&case.reference)),
            contrasts: contrast
                .map(|coefficient| ContrastScores { coefficient, left: 1.0, scores: other.scores() })
                .into_iter()
                .collect(),
            advantages: rows.iter().map(|row| vec![case.advantage[*row]; golden.lengths[*row]]).collect(),
            token_weights: weights.clone(),
            weights,
        };
        let found = evaluate(&batch, &settings, &device::storage().expect("a processor").device);
        loss += found.parts.total as f32;
        let back = own.backward(&found.own, vocab);
        let other_back = match found.contrasts.into_iter().next().flatten() {
            Some(gradients) => other.backward(&gradients, vocab),
            None => lengths.iter().map(|length| vec![0.0; length * vocab]).collect(),
        };
        for (row, (own, other)) in rows.iter().zip(back.into_iter().zip(other_back)) {
            own_gradient[*row] = own;
            other_gradient[*row] = other;
        }
    }
    let what = format!("{} {:?}", expected.objective, expected.preset);
    assert!((loss - expected.loss).abs() < TOLERANCE, "{what}: loss {loss}, expected {}", expected.loss);
    assert_close(&what, &own_gradient, &expected.own_gradient);
    assert_close(&what, &other_gradient, &expected.other_gradient);
}

/// Checks a function of log-probabilities, and its derivatives.
fn check_tokens(expected: &TokenCase, own: Tensor<2>, other: Option<Tensor<2>>, value: Tensor<2>) {
    let lengths = lengths(&expected.tokens);
    assert_close(&expected.name, &rows(value.clone(), &lengths), &expected.tokens);
    let gradients = (value * mask(&lengths, &device())).sum().backward();
    let read = |leaf: &Tensor<2>| {
        let gradient = leaf.grad(&gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like());
        rows(gradient, &lengths)
    };
    assert_close(&expected.name, &read(&own), &expected.gradient);
    if let (Some(other), Some(gradient)) = (other, &expected.other_gradient) {
        assert_close(&expected.name, &read(&other), gradient);
    }
}

fn surrogate_of(golden: &Golden, case: &Case, name: &str, own: Tensor<2>) -> SurrogateTokens {
    let kind: Surrogate = serde_json::from_value(name.into()).expect("the name of a surrogate");
    let settings = PolicySettings { surrogate: kind, clip_high: 0.28, ..PolicySettings::default() };
    let lengths = golden.lengths.iter();
    let advantages: PerToken =
        case.advantage.iter().zip(lengths).map(|(advantage, length)| vec![*advantage; *length]).collect();
    let device = device();
    surrogate(
        &settings,
        own,
        padded(&case.old, &device),
        padded(&advantages, &device),
        mask(&golden.lengths, &device),
    )
}

/// Where a clip holds a token back, neither side has a gradient, and the cases reach every clip: the values and
/// gradients that are compared are also those beyond it.
#[test]
fn the_cases_reach_every_clip() {
    let golden = golden();
    for name in ["ppo", "gspo", "gspo_token"] {
        let mut reached = [0; 3];
        for case in &golden.cases {
            let expected = case.surrogates.iter().find(|expected| expected.name == name).expect("a case");
            let found = surrogate_of(&golden, case, name, padded(&case.log_prob, &device()));
            for (clip, reached) in
                [found.clip_high, found.clip_low, found.clip_dual].into_iter().zip(&mut reached)
            {
                let held_back = rows(clip, &golden.lengths).concat();
                for (held_back, gradient) in held_back.into_iter().zip(expected.gradient.concat()) {
                    if held_back > 0.0 {
                        *reached += 1;
                        assert_eq!(gradient, 0.0, "{name}");
                    }
                }
            }
        }
        assert!(reached.iter().all(|reached| *reached > 0), "{name}: {reached:?} from above, below, dual");
    }
}

#[test]
fn every_part_has_the_value_and_gradient_of_the_reference() {
    let golden = golden();
    let device = device();
    for case in &golden.cases {
        let leaf = |rows: &PerToken| padded(rows, &device).require_grad();
        for expected in &case.surrogates {
            let own = leaf(&case.log_prob);
            let tokens = surrogate_of(&golden, case, &expected.name, own.clone());
            check_tokens(expected, own, None, tokens.loss);
        }
        for expected in &case.kls {
            let kind: KlEstimator =
                serde_json::from_value(expected.name.as_str().into()).expect("the name of an estimator");
            let own = leaf(&case.log_prob);
            let value = distance(kind, own.clone(), padded(&case.reference, &device));
            check_tokens(expected, own, None, value);
        }
        for expected in &case.contrasts {
            let (ratio, clamp) = expected.name.split_once(' ').expect("two words");
            let ratio: ContrastRatio = serde_json::from_value(ratio.into()).expect("a ratio");
            let clamp: ContrastClamp = serde_json::from_value(clamp.into()).expect("a clamp");
            let (own, other) = (leaf(&case.log_prob), leaf(&case.other_log_prob));
            let value = contrast(ratio, clamp, own.clone(), other.clone());
            check_tokens(expected, own, Some(other), value);
        }
    }
}

/// Two answers of three and two tokens, reckoned by hand in double precision.
fn by_hand(contrasts: Vec<ContrastScores>, reference: bool, weights: Vec<f64>) -> TokenBatch {
    let scores = |log_prob: [&[f32]; 2]| TokenScores {
        log_prob: log_prob.map(<[f32]>::to_vec).to_vec(),
        entropy: Vec::new(),
    };
    TokenBatch {
        own: scores([&[-0.8, -0.6, -1.5], &[-1.0, -1.1]]),
        old: Some(vec![vec![-1.0, -0.5, -2.0], vec![-0.7, -1.2]]),
        reference: reference.then(|| vec![vec![-1.1, -0.4, -1.8], vec![-0.9, -1.0]]),
        contrasts,
        advantages: vec![vec![1.0; 3], vec![-1.0; 2]],
        token_weights: vec![0.2; 2],
        weights,
    }
}

fn masked(coefficient: f64) -> Vec<ContrastScores> {
    let scores =
        TokenScores { log_prob: vec![vec![-1.6, -0.7, -1.0], vec![-1.0, -2.1]], entropy: Vec::new() };
    vec![ContrastScores { coefficient, left: 1.0, scores }]
}

#[test]
fn the_composite_vector_is_met() {
    let device = device::storage().expect("a processor").device;
    let mut papo = Objective::Papo.defaults();
    let found = evaluate(&by_hand(masked(0.01), false, vec![0.2; 2]), &papo.loss(0.0), &device);
    let parts = found.parts;
    for (what, found, expected) in [
        ("loss", parts.total, -0.233_355_4),
        ("surrogate", parts.policy, -0.300_213_9),
        ("contrast", parts.contrast, 0.154_153_4),
        ("entropy", parts.entropy, 1.0),
        ("entropy under the mask", parts.contrast_entropy, 1.28),
        ("shift", parts.shift, -0.08),
    ] {
        assert!((found - expected).abs() < 1e-6, "{what}: {found}, expected {expected}");
    }
    let expected = [vec![-0.251_381_9, -0.187_157_8, -0.004_702_6], vec![-0.006, 0.213_769_9]];
    assert_close("gradient", &found.own.log_prob, &expected);
    assert!(found.contrasts.iter().all(Option::is_none), "nothing flows through the mask");

    // PAPO on GRPO: near a reference, without entropies.
    papo.kl = Objective::Grpo.defaults().kl;
    papo.entropy = EntropySettings::default();
    papo.policy.clip_high = 0.28;
    let grpo = evaluate(&by_hand(masked(0.02), true, vec![0.2; 2]), &papo.loss(0.01), &device).parts;
    assert!((grpo.kl - 0.022_676_2).abs() < 1e-6 && (grpo.total + 0.303_070_2).abs() < 1e-6, "{grpo:?}");

    let sequences = by_hand(Vec::new(), false, vec![1.0 / 6.0, 0.25]);
    let dapo = Objective::Dapo.defaults();
    let by_sequence = evaluate(&sequences, &dapo.loss(0.0), &device).parts.policy;
    assert!((by_sequence + 0.091_414).abs() < 1e-6, "{by_sequence}");
}

#[test]
fn the_other_surrogates_meet_the_composite_vector() {
    let device = device::storage().expect("a processor").device;
    for (kind, expected) in
        [(Surrogate::Gspo, -0.370_906_7), (Surrogate::Cispo, 0.284_867_3), (Surrogate::Sapo, -0.619_061_4)]
    {
        let mut recipe = Objective::Dapo.defaults();
        recipe.policy.surrogate = kind;
        let batch = by_hand(Vec::new(), false, vec![0.2; 2]);
        let found = evaluate(&batch, &recipe.loss(0.0), &device).parts.policy;
        assert!((found - expected).abs() < 1e-6, "{kind:?}: {found}, expected {expected}");
    }
}
