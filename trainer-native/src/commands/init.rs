//! `init`: a fresh checkpoint, with a byte-level BPE tokenizer trained on a corpus.
//!
//! The tokenizer has Qwen2's form: NFC, its pre-tokenizer pattern, byte-level BPE, and its special
//! tokens after the learnt ones. <https://arxiv.org/abs/2407.10671> section 2.1.

use crate::checkpoint;
use crate::cli::InitArgs;
use crate::device;
use anyhow::{Context, Result, anyhow, bail};
use fine_r1_core::config::{GenerationConfig, ModelConfig, Preset, TokenIdList, TokenIds, preset};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::CheckpointFiles;
use fine_r1_core::weights::Precision;
use serde_json::json;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, SplitDelimiterBehavior,
    TokenizerBuilder, TokenizerImpl,
};

/// How Qwen2 cuts text before merging bytes.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Qwen2-VL's special tokens in their order.
const SPECIAL_TOKENS: [&str; 14] = [
    END_OF_TEXT,
    "<|im_start|>",
    END_OF_TURN,
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
];
const END_OF_TEXT: &str = "<|endoftext|>";
const END_OF_TURN: &str = "<|im_end|>";

/// Writes the conversation as Qwen2-VL checkpoints do.
const TEMPLATE: &str = include_str!("init/chat_template.jinja");

/// What the template writes around every message.
const TEMPLATE_WORDS: [&str; 4] = ["system\n", "You are a helpful assistant.\n", "user\n", "assistant\n"];

type Bpe = TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// Trains the tokenizer, draws the weights and writes the checkpoint.
///
/// # Errors
/// The corpus is missing or too small for the tokenizer, or the folder cannot be written.
pub fn run(arguments: &InitArgs) -> Result<()> {
    checkpoint::refuse_filled(&arguments.out)?;
    let mut preset = preset(&arguments.preset).context("an unknown preset")?;
    let corpus = checkpoint::read_text(&arguments.corpus)?;
    if corpus.trim().is_empty() {
        bail!(
            "{} has no words\nhint: give texts of the kind that the model is to read and write",
            arguments.corpus.display()
        );
    }
    let tokenizer = train_tokenizer(&corpus, preset.tokenizer_vocab)
        .with_context(|| format!("cannot train a tokenizer on {}", arguments.corpus.display()))?;
    let id = |token: &str| tokenizer.token_to_id(token).with_context(|| format!("no token {token}"));
    preset.model.tokens = TokenIds {
        image: id("<|image_pad|>")?,
        video: id("<|video_pad|>")?,
        vision_start: id("<|vision_start|>")?,
        vision_end: id("<|vision_end|>")?,
    };
    preset.model.bos_token_id = Some(id(END_OF_TEXT)?);
    preset.model.eos_token_id = TokenIdList::One(id(END_OF_TURN)?);
    let files = files(&preset, &tokenizer)?;
    let device = device::storage()?;
    device.device.seed(arguments.seed);
    let model = VisionLanguageModel::new(&preset.model, &device.device);
    checkpoint::save(&arguments.out, &files, &preset.model, &model, Precision::F32)?;
    eprintln!(
        "wrote {}: {} with {} tokens in the tokenizer",
        arguments.out.display(),
        preset.name,
        tokenizer.get_vocab_size(true)
    );
    Ok(())
}

fn train_tokenizer(corpus: &str, vocab: usize) -> Result<Bpe> {
    let failed = |error: tokenizers::Error| anyhow!("{error}");
    let split = Split::new(SplitPattern::Regex(PATTERN.into()), SplitDelimiterBehavior::Isolated, false)
        .map_err(failed)?;
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer: Bpe = TokenizerBuilder::new()
        .with_model(BPE::default())
        .with_normalizer(Some(NormalizerWrapper::from(NFC)))
        .with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(vec![split.into(), bytes.into()]))))
        .with_post_processor(Some(PostProcessorWrapper::from(bytes)))
        .with_decoder(Some(DecoderWrapper::from(ByteLevel::default())))
        .build()
        .map_err(failed)?;
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(vocab - SPECIAL_TOKENS.len())
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    // The template's own words stand in every prompt: they become whole tokens too.
    let lines = corpus.lines().chain(TEMPLATE_WORDS).map(str::to_owned);
    tokenizer.train(&mut trainer, lines).map_err(failed)?;
    let special: Vec<AddedToken> =
        SPECIAL_TOKENS.iter().map(|token| AddedToken::from(*token, true)).collect();
    tokenizer.add_special_tokens(special).map_err(failed)?;
    let found = tokenizer.get_vocab_size(true);
    if found > vocab {
        bail!("the tokenizer has {found} tokens, the model {vocab}");
    }
    Ok(tokenizer)
}

fn files(preset: &Preset, tokenizer: &Bpe) -> Result<CheckpointFiles> {
    let pretty = |value: &serde_json::Value| serde_json::to_string_pretty(value).map(|text| text + "\n");
    let config: &ModelConfig = &preset.model;
    let generation = GenerationConfig {
        eos_token_id: serde_json::from_value(json!([config.eos_token_id, config.bos_token_id]))?,
        pad_token_id: config.bos_token_id,
        bos_token_id: config.bos_token_id,
        ..GenerationConfig::default()
    };
    let mut preprocessor = serde_json::to_value(&preset.preprocessor)?;
    preprocessor["processor_class"] = json!("Qwen2_5_VLProcessor");
    let tokenizer_config = json!({
        "tokenizer_class": "Qwen2Tokenizer",
        "processor_class": "Qwen2_5_VLProcessor",
        "add_bos_token": false,
        "add_prefix_space": false,
        "bos_token": null,
        "eos_token": END_OF_TURN,
        "pad_token": END_OF_TEXT,
        "unk_token": null,
        "errors": "replace",
        "clean_up_tokenization_spaces": false,
        "model_max_length": config.text.max_position_embeddings,
        "additional_special_tokens": SPECIAL_TOKENS[1..],
        "chat_template": TEMPLATE,
    });
    Ok(CheckpointFiles {
        config: config.to_json(),
        generation: Some(pretty(&serde_json::to_value(generation)?)?),
        preprocessor: Some(pretty(&preprocessor)?),
        processor: None,
        tokenizer: tokenizer.to_string(false).map_err(|error| anyhow!("{error}"))?.into_bytes(),
        tokenizer_config: Some(pretty(&tokenizer_config)?),
        template_jinja: Some(TEMPLATE.into()),
        template_json: None,
    })
}
