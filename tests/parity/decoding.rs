//! The decode loop: greedy answers, the penalty, the cache, several answers to one prompt.

use burn::tensor::{DType, Tensor};
use fine_r1_core::generate::{SamplingOptions, Session, SessionOptions, Step, StopReason, StopRules};
use fine_r1_core::model::Prompt;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::recognizer::{AnswerOptions, CheckpointFiles, Outcome, Processor, Recognizer};
use fine_r1_tests::{CASES, CHECKPOINTS, Largest, ModelCase, checkpoint_files, golden, load, prepare};
use serde_json::{Value, json};

/// The cache changes only the order in which attention sums.
const CACHED_LOGITS: f32 = 1e-4;

/// Decodes to the last of `max_new_tokens`, ends ignored; a list of steps for every answer.
pub fn decode(
    recognizer: &Recognizer,
    prompts: &[&Prompt],
    sampling: SamplingOptions,
    answers: usize,
    max_new_tokens: usize,
) -> Vec<Vec<Step>> {
    let stop = StopRules { max_new_tokens, ..StopRules::default() };
    let options = SessionOptions { sampling, stop, answers };
    let processor = recognizer.processor();
    let mut session =
        Session::begin(recognizer.model(), processor.config(), processor.tokenizer(), prompts, options)
            .expect("usable prompts");
    let mut rows = vec![Vec::new(); prompts.len() * answers];
    while !session.is_finished() {
        for step in pollster::block_on(session.step()).expect("a step") {
            rows[step.row].push(step);
        }
    }
    assert!(pollster::block_on(session.step()).expect("nothing").is_empty(), "a finished session goes on");
    rows
}

pub fn ids(steps: &[Step]) -> Vec<u32> {
    steps.iter().map(|step| step.id).collect()
}

#[test]
fn greedy_answers_are_those_of_transformers() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            let rows =
                decode(&recognizer, &[&prompt], SamplingOptions::default(), 1, expected.greedy_ids.len());
            assert_eq!(ids(&rows[0]), expected.greedy_ids, "{checkpoint} {case}");
            let text: String = rows[0].iter().map(|step| step.text.as_str()).collect();
            assert_eq!(text, expected.greedy_text, "{checkpoint} {case}");
            assert_eq!(
                rows[0].last().and_then(|step| step.stop),
                Some(StopReason::Length),
                "{checkpoint} {case}"
            );
        }
    }
}

/// Prompts that enter while other answers are in the making, longer or shorter than those, are answered as
/// they would be alone, and so are those that were there before.
#[test]
fn prompts_may_enter_at_any_time() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let processor = recognizer.processor();
        let read = |case: &str| {
            let (case, _) = ModelCase::read(checkpoint, case);
            (prepare(&recognizer, &case.messages).prompt, case.greedy_ids)
        };
        let cases = ["two-images", "text-only", "one-image", "multi-turn"].map(read);
        let (lengths, longest): (Vec<usize>, usize) = {
            let lengths: Vec<usize> = cases.iter().map(|(prompt, _)| prompt.ids.len()).collect();
            let longest = cases.iter().map(|(_, ids)| ids.len()).max().expect("cases");
            (lengths, longest)
        };
        assert!(
            lengths[1] < lengths[0] && lengths[2] > lengths[0],
            "shorter and longer ones enter: {lengths:?}"
        );
        let stop = StopRules { max_new_tokens: longest, ..StopRules::default() };
        let options = SessionOptions { sampling: SamplingOptions::default(), stop, answers: 2 };
        let mut session = Session::begin(
            recognizer.model(),
            processor.config(),
            processor.tokenizer(),
            &[&cases[0].0],
            options,
        )
        .expect("a usable prompt");
        let mut rows = vec![Vec::new(); 8];
        let mut waiting = 1;
        let mut rounds = 0;
        while !session.is_finished() || waiting < cases.len() {
            // One enters before the first token, one after three, one when all others have ended.
            let enters = match waiting {
                1 => true,
                2 => rounds == 3,
                _ => session.is_finished(),
            };
            let steps = if enters && waiting < cases.len() {
                waiting += 1;
                pollster::block_on(session.admit(processor.tokenizer(), &[&cases[waiting - 1].0], &[0]))
            } else {
                pollster::block_on(session.step())
            };
            for step in steps.expect("steps") {
                rows[step.row].push(step);
            }
            rounds += 1;
        }
        for (row, steps) in rows.iter().enumerate() {
            let expected = &cases[row / 2].1;
            assert_eq!(&ids(&steps[..expected.len()]), expected, "{checkpoint}, answer {row}");
            assert_eq!(steps.len(), longest, "{checkpoint}, answer {row}");
        }
    }
}

/// What a step says of its token's probability is what scoring the whole answer says, also where a token
/// is banned, at another temperature, and for a row beside a longer one.
#[test]
fn tokens_tell_how_likely_they_were() {
    assert_tokens_tell(false);
}

/// The same where the scores never leave the device; the same seed draws the same tokens again.
#[test]
fn tokens_that_the_device_draws_tell_how_likely_they_were() {
    assert_eq!(assert_tokens_tell(true), assert_tokens_tell(true));
}

/// Returns the tokens of four answers.
fn assert_tokens_tell(draws_on_device: bool) -> Vec<Vec<u32>> {
    const TEMPERATURE: f64 = 0.7;
    let recognizer = load("qwen2_5_vl-untied");
    let prompts = ["one-image", "text-only"].map(|case| {
        let (case, _) = ModelCase::read("qwen2_5_vl-untied", case);
        (prepare(&recognizer, &case.messages).prompt, case.greedy_ids[0])
    });
    let processor = recognizer.processor();
    let sampling =
        SamplingOptions { temperature: TEMPERATURE, top_p: 0.9, seed: 4, ..SamplingOptions::default() };
    let stop = StopRules { max_new_tokens: 6, ..StopRules::default() };
    let borrowed: Vec<&Prompt> = prompts.iter().map(|(prompt, _)| prompt).collect();
    let banned = prompts.each_ref().map(|(_, likeliest)| *likeliest);
    let options = SessionOptions { sampling, stop, answers: 2 };
    let mut session =
        Session::begin(recognizer.model(), processor.config(), processor.tokenizer(), &borrowed, options)
            .expect("usable prompts")
            .with_log_probs()
            .with_banned(&banned)
            .with_draws_on_device(draws_on_device);
    let mut rows = vec![Vec::new(); 4];
    while !session.is_finished() {
        for step in pollster::block_on(session.step()).expect("a step") {
            rows[step.row].push(step);
        }
    }
    let mut largest = Largest::new("log-probabilities of drawn tokens", CACHED_LOGITS);
    for (row, steps) in rows.iter().enumerate() {
        let prompt = borrowed[row / 2];
        assert!(ids(steps).iter().all(|id| !banned.contains(id)), "row {row}: a banned token");
        let mut whole = prompt.clone();
        whole.ids.extend(ids(steps));
        whole.positions.push_text(steps.len());
        let model = recognizer.model();
        let embedded = model.embed(&[&whole], PaddingSide::Right, processor.config());
        let states = model.read(embedded, None, processor.config());
        let [_, seq, hidden] = states.dims();
        let states = states.narrow(1, seq - steps.len() - 1, steps.len()).reshape([steps.len(), hidden]);
        let scores = burn::tensor::activation::log_softmax(model.logits(states) / TEMPERATURE, 1);
        let scores: Vec<f32> = scores.into_data().iter::<f32>().collect();
        let vocab = processor.config().text.vocab_size;
        for (place, step) in steps.iter().enumerate() {
            let expected = scores[place * vocab + step.id as usize];
            largest.compare(&format!("row {row}"), &[step.log_prob.expect("asked for")], &[expected]);
        }
    }
    largest.check();
    rows.iter().map(|steps| ids(steps)).collect()
}

#[test]
fn penalised_answers_are_those_of_transformers() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (case, _) = ModelCase::read(checkpoint, "one-image");
        let expected = case.penalised_greedy_ids.expect("one-image has a penalised answer");
        let repetition_penalty = case.repetition_penalty.expect("one-image has a penalty");
        assert_ne!(expected, case.greedy_ids, "{checkpoint}: the penalty changes the answer");
        let prompt = prepare(&recognizer, &case.messages).prompt;
        let sampling = SamplingOptions { repetition_penalty, ..SamplingOptions::default() };
        let rows = decode(&recognizer, &[&prompt], sampling, 1, expected.len());
        assert_eq!(ids(&rows[0]), expected, "{checkpoint}");
    }
}

/// A golden checkpoint with some fields of a file written anew.
fn load_changed(checkpoint: &str, change: impl Fn(&mut CheckpointFiles)) -> Recognizer {
    let mut files = checkpoint_files(&golden("checkpoints").join(checkpoint));
    change(&mut files);
    let processor = Processor::new(&files).expect("usable files");
    let (_, model) = load(checkpoint).into_parts();
    Recognizer::new(processor, model)
}

fn set(text: &str, field: &str, value: impl Into<Value>) -> String {
    let mut json: Value = serde_json::from_str(text).expect("JSON");
    let nested = json.get("text_config").is_some() && field == "max_position_embeddings";
    let place = if nested { &mut json["text_config"] } else { &mut json };
    place[field] = value.into();
    json.to_string()
}

fn answer(recognizer: &Recognizer, case: &ModelCase, stop_strings: Vec<String>) -> Outcome {
    let prepared = prepare(recognizer, &case.messages);
    let max_new_tokens = case.greedy_ids.len();
    let options = AnswerOptions { sampling: SamplingOptions::default(), max_new_tokens, stop_strings };
    let mut answer = recognizer.answer(&prepared, &options).expect("a usable prompt");
    while pollster::block_on(answer.next()).expect("a step").is_some() {}
    answer.finish()
}

/// The golden answers have no end token, so the checkpoint is told that a later token is one: alone,
/// as a number, or in a list.
#[test]
fn an_answer_ends_at_the_checkpoints_end_tokens() {
    for checkpoint in CHECKPOINTS {
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let end = expected.greedy_ids[20];
            let place = expected.greedy_ids.iter().position(|id| *id == end).expect("it is there");
            for ends in [json!(end), json!([412, end])] {
                let recognizer = load_changed(checkpoint, |files| {
                    let generation = files.generation.as_deref().expect("a generation config");
                    files.generation = Some(set(generation, "eos_token_id", ends.clone()));
                });
                let outcome = answer(&recognizer, &expected, Vec::new());
                assert_eq!(outcome.token_ids, expected.greedy_ids[..=place], "{checkpoint} {case}");
                assert_eq!(outcome.stop, StopReason::EndToken, "{checkpoint} {case}");
                let text = recognizer
                    .processor()
                    .tokenizer()
                    .decode(&outcome.token_ids[..place], true)
                    .expect("text");
                assert_eq!(outcome.text, text, "{checkpoint} {case}: the end token is no part of the text");
            }
        }
    }
}

#[test]
fn an_answer_ends_where_the_context_does() {
    const ROOM: usize = 5;
    for checkpoint in CHECKPOINTS {
        let (expected, _) = ModelCase::read(checkpoint, "one-image");
        let with_context = |context: usize| {
            load_changed(checkpoint, |files| {
                files.config = set(&files.config, "max_position_embeddings", context)
            })
        };
        let seq = expected.input_ids.len();
        let outcome = answer(&with_context(seq + ROOM), &expected, Vec::new());
        assert_eq!(outcome.token_ids, expected.greedy_ids[..ROOM], "{checkpoint}");
        assert_eq!(outcome.stop, StopReason::ContextFull, "{checkpoint}");

        let full = with_context(seq);
        let prepared = prepare(&full, &expected.messages);
        let options = AnswerOptions {
            sampling: SamplingOptions::default(),
            max_new_tokens: 1,
            stop_strings: Vec::new(),
        };
        let error = full.answer(&prepared, &options).expect_err("no room for an answer");
        let named = [seq, seq].map(|number| number.to_string());
        assert!(named.iter().all(|number| error.to_string().contains(number)), "{checkpoint}: {error}");
    }
}

#[test]
fn an_answer_ends_before_a_stop_string() {
    let recognizer = load("qwen2_5_vl-untied");
    let (expected, _) = ModelCase::read("qwen2_5_vl-untied", "one-image");
    // Across a border between tokens: the last letters of one and the first of the next.
    let (before, _) = expected.greedy_text.split_once("us-").expect("the golden answer says so");
    let outcome = answer(&recognizer, &expected, vec!["never".into(), "us-".into()]);
    assert_eq!(outcome.text, before);
    assert_eq!(outcome.stop, StopReason::StopString);
    assert!(expected.greedy_ids.starts_with(&outcome.token_ids));
}

/// Token by token with the cache, against one pass over prompt and answer.
#[test]
fn the_cache_changes_nothing() {
    let mut largest = Largest::new("cached logits", CACHED_LOGITS);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (model, config) = (recognizer.model(), recognizer.processor().config());
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            let answer = &expected.greedy_ids;
            let floats = |states: Tensor<3>| {
                let [_, rows, hidden] = states.dims();
                let data = model.logits(states.reshape([rows, hidden])).into_data();
                data.convert_dtype(DType::F32).as_slice::<f32>().expect("numbers").to_vec()
            };

            let mut whole = prompt.clone();
            whole.ids.extend(answer);
            whole.positions.push_text(answer.len());
            let states = model.read(model.embed(&[&whole], PaddingSide::Right, config), None, config);
            let full = floats(states.narrow(1, prompt.ids.len() - 1, answer.len()));
            let vocab = config.text.vocab_size;
            let best: Vec<u32> = full.chunks_exact(vocab).map(argmax).collect();
            assert_eq!(&best, answer, "{checkpoint} {case}: the full pass");

            let embedded = model.embed(&[&prompt], PaddingSide::Left, config);
            let seq = prompt.ids.len();
            let mut cache = model.cache(seq + answer.len(), embedded.starts.clone(), config);
            let mut states = model.read(embedded, Some(&mut cache), config).narrow(1, seq - 1, 1);
            for (step, id) in answer.iter().enumerate() {
                let at = format!("{checkpoint} {case} step {step}");
                largest.compare(&at, &floats(states), &full[step * vocab..(step + 1) * vocab]);
                let position = prompt.positions.next + step as i32;
                states = model.step(&[*id], &[position], &mut cache, config);
            }
            assert_eq!(cache.len(), seq + answer.len(), "{checkpoint} {case}");
        }
    }
    largest.check();
}

/// Each token of a scored answer is as likely as the full pass says, and none is likelier.
#[test]
fn the_score_of_an_answer_is_that_of_its_likeliest_tokens() {
    let mut scored = 0;
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let tokenizer = recognizer.processor().tokenizer();
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let prepared = prepare(&recognizer, &expected.messages);
            // The longest beginning of the answer that its own text spells.
            let count = (1..=expected.greedy_ids.len())
                .rev()
                .find(|count| {
                    let text = tokenizer.decode(&expected.greedy_ids[..*count], false).expect("text");
                    tokenizer.encode(&text).expect("ids") == expected.greedy_ids[..*count]
                })
                .unwrap_or(0);
            if count == 0 {
                continue;
            }
            let text = tokenizer.decode(&expected.greedy_ids[..count], false).expect("text");
            let score = pollster::block_on(recognizer.score(&prepared, &text)).expect("a score");
            assert_eq!(score.token_ids, expected.greedy_ids[..count], "{checkpoint} {case}");
            for log_prob in &score.log_probs {
                // The likeliest of `vocab` tokens has at least an equal share.
                let share = -(recognizer.processor().config().text.vocab_size as f32).ln();
                assert!((share..=0.0).contains(log_prob), "{checkpoint} {case}: {:?}", score.log_probs);
            }
            scored += count;
        }
    }
    println!("{scored} tokens scored");
    assert!(scored > 0, "no answer is spelled by its own text");
}

#[test]
fn answers_that_share_a_prefill_equal_single_answers() {
    let sampled = SamplingOptions { temperature: 1.0, seed: 11, ..SamplingOptions::default() };
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        for case in ["text-only", "two-images"] {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            let rows = decode(&recognizer, &[&prompt], SamplingOptions::default(), 3, 24);
            for (number, row) in rows.iter().enumerate() {
                assert_eq!(ids(row), expected.greedy_ids[..24], "{checkpoint} {case} answer {number}");
            }
            let single = decode(&recognizer, &[&prompt], sampled.clone(), 1, 24);
            let rows = decode(&recognizer, &[&prompt], sampled.clone(), 3, 24);
            assert_eq!(ids(&rows[0]), ids(&single[0]), "{checkpoint} {case}: sampled with the same stream");
            assert_ne!(
                ids(&rows[0]),
                ids(&rows[1]),
                "{checkpoint} {case}: every answer draws its own tokens"
            );
        }
    }
}

/// Answers of different lengths: rows leave the batch one by one, and the others go on undisturbed.
#[test]
fn an_answer_that_ends_does_not_disturb_the_others() {
    let recognizer = load("qwen2_5_vl-untied");
    let (expected, _) = ModelCase::read("qwen2_5_vl-untied", "one-image");
    let prompt = prepare(&recognizer, &expected.messages).prompt;
    let sampled = SamplingOptions { temperature: 1.0, seed: 5, ..SamplingOptions::default() };
    let whole = decode(&recognizer, &[&prompt], sampled.clone(), 4, 32);
    // What answer 1 says at its tenth token ends every answer that says it.
    let end = whole[1][9].id;
    let stop = StopRules { ids: vec![end], max_new_tokens: 32, ..StopRules::default() };
    let options = SessionOptions { sampling: sampled, stop, answers: 4 };
    let processor = recognizer.processor();
    let mut session =
        Session::begin(recognizer.model(), processor.config(), processor.tokenizer(), &[&prompt], options)
            .expect("a usable prompt");
    let mut rows = vec![Vec::new(); 4];
    while !session.is_finished() {
        for step in pollster::block_on(session.step()).expect("a step") {
            rows[step.row].push(step.id);
        }
    }
    for (number, (row, whole)) in rows.iter().zip(&whole).enumerate() {
        let whole = ids(whole);
        let kept = whole.iter().position(|id| *id == end).map_or(whole.len(), |place| place + 1);
        assert_eq!(*row, whole[..kept], "answer {number}");
    }
}

fn argmax(scores: &[f32]) -> u32 {
    let best = (0..scores.len()).max_by(|left, right| scores[*left].total_cmp(&scores[*right]));
    best.expect("a vocabulary") as u32
}
