"""A small byte-level BPE with exactly Qwen2's normaliser, pre-tokenizer, decoder and added tokens.

Only the vocabulary differs from the published one: it is learnt here from a few paragraphs, so a
checkpoint of some hundred kilobytes can carry it. As in Qwen, the added tokens come after the
learnt ones, and the model's vocabulary may be larger than the tokenizer's.
"""

import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

PRE_TOKENIZER_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
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
]

# Added tokens that `skip_special_tokens` keeps.
PLAIN_ADDED_TOKENS = [
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
]

PARAGRAPHS = [
    "You are a helpful assistant. Describe the image. What is in this picture? The user asks, and the assistant "
    "answers in a few words.",
    "The airliner has two engines under the wings, a low tail and a long fuselage. The engines of the other "
    "airliner are mounted on the rear fuselage, so its tail is high.",
    "system user assistant\nsystem user assistant\nWhich of these aircraft is shown? The answer is one of the "
    "options. Think first, then answer.",
    "It's the model that we'd compare: they're not the same, and I'll say what I've seen, don't you think?",
    "In 2024 there were 1234 pictures of 567 models, 89.0 percent of them photographs.",
    "def main():\n    for index in range(10):\n        print(index)\n    return None\n",
    "Un avion à réaction est représenté. Ein Flugzeug über den Wolken. 这是一张飞机的图片。飞机在天空中。",
]


def learn(corpus: list[str], learnt_tokens: int) -> Tokenizer:
    """Learns `learnt_tokens` tokens from `corpus` and appends Qwen's added tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZER_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=learnt_tokens,
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    if tokenizer.get_vocab_size() != learnt_tokens:
        raise ValueError(f"the corpus only gave {tokenizer.get_vocab_size()} of {learnt_tokens} tokens")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN_ADDED_TOKENS])
    return tokenizer


def tiny() -> Tokenizer:
    """410 learnt tokens and 22 added ones: 432."""
    return learn(PARAGRAPHS, 410)


def medium(learnt_tokens: int = 8000, seed: int = 7) -> Tokenizer:
    """A larger vocabulary learnt from made-up words, for measuring speed."""
    rng = random.Random(seed)
    syllables = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 5))) for _ in range(30_000)]
    return learn([*PARAGRAPHS, " ".join(words)], learnt_tokens)


def tokenizer_config(tokenizer: Tokenizer, chat_template: str | None) -> dict:
    """`tokenizer_config.json` in the published layout."""
    added = [(token, True) for token in SPECIAL_TOKENS] + [(token, False) for token in PLAIN_ADDED_TOKENS]
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": special,
            }
            for token, special in added
        },
        "additional_special_tokens": SPECIAL_TOKENS[1:],
        "bos_token": None,
    }
    if chat_template is not None:
        config["chat_template"] = chat_template
    config |= {
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    return config
