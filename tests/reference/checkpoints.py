"""Complete, tiny, random checkpoints in the layouts found in the wild.

A checkpoint is described by a `Shape`; the weights depend on its seed alone. They are drawn wider than a
fresh model's, and norms and biases are random too, so that every weight matters to the logits.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import (
    GenerationConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLVideoProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import tiny_tokenizer

# The template published with Qwen2-VL and Qwen2.5-VL.
CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}"
    "{{ message['content'] }}<|im_end|>\n"
    "{% else %}"
    "{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}"
    "{{ content['text'] }}"
    "{% endif %}"
    "{% endfor %}<|im_end|>\n"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

IMAGE_MEAN = [0.48145466, 0.4578275, 0.40821073]
IMAGE_STD = [0.26862954, 0.26130258, 0.27577711]


@dataclass(frozen=True)
class Shape:
    """The numbers that make a checkpoint."""

    seed: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    mrope_section: tuple[int, int, int]
    vocab: int
    tied: bool
    vision_hidden: int
    vision_intermediate: int
    vision_depth: int
    vision_heads: int
    window: int
    full_attention_blocks: tuple[int, ...]
    min_pixels: int
    max_pixels: int


UNTIED = Shape(
    seed=103,
    hidden=32,
    intermediate=56,
    layers=2,
    heads=4,
    kv_heads=2,
    mrope_section=(2, 1, 1),
    vocab=448,
    tied=False,
    vision_hidden=32,
    vision_intermediate=40,
    vision_depth=4,
    vision_heads=2,
    window=112,
    full_attention_blocks=(1, 3),
    min_pixels=56 * 56,
    max_pixels=28 * 28 * 36,
)

TIED = Shape(
    seed=202,
    hidden=48,
    intermediate=80,
    layers=3,
    heads=4,
    kv_heads=2,
    mrope_section=(2, 2, 2),
    vocab=432,
    tied=True,
    vision_hidden=32,
    vision_intermediate=52,
    vision_depth=3,
    vision_heads=2,
    window=56,
    full_attention_blocks=(1,),
    min_pixels=56 * 56,
    max_pixels=28 * 28 * 16,
)

QWEN2_VL = Shape(
    seed=307,
    hidden=32,
    intermediate=64,
    layers=2,
    heads=4,
    kv_heads=1,
    mrope_section=(2, 1, 1),
    vocab=432,
    tied=False,
    vision_hidden=32,
    vision_intermediate=64,
    vision_depth=3,
    vision_heads=4,
    window=0,
    full_attention_blocks=(),
    min_pixels=28 * 28 * 3,
    max_pixels=28 * 28 * 36,
)

# About 110 million parameters, for measuring speed.
SPEED = Shape(
    seed=404,
    hidden=640,
    intermediate=2560,
    layers=14,
    heads=10,
    kv_heads=2,
    mrope_section=(8, 12, 12),
    vocab=8192,
    tied=True,
    vision_hidden=384,
    vision_intermediate=1536,
    vision_depth=8,
    vision_heads=6,
    window=112,
    full_attention_blocks=(3, 7),
    min_pixels=56 * 56,
    max_pixels=28 * 28 * 1280,
)


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def token_ids(tokenizer: Tokenizer) -> dict:
    """The ids that a model's config names."""
    return {
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "vision_start_token_id": tokenizer.token_to_id("<|vision_start|>"),
        "vision_end_token_id": tokenizer.token_to_id("<|vision_end|>"),
        "vision_token_id": tokenizer.token_to_id("<|vision_pad|>"),
        "image_token_id": tokenizer.token_to_id("<|image_pad|>"),
        "video_token_id": tokenizer.token_to_id("<|video_pad|>"),
    }


def text_fields(shape: Shape) -> dict:
    """The language model's config fields, as published."""
    return {
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.intermediate,
        "max_position_embeddings": 4096,
        "max_window_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 4096,
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": shape.vocab,
        "rope_scaling": {"type": "mrope", "mrope_section": list(shape.mrope_section)},
    }


def vision_fields_2_5(shape: Shape) -> dict:
    """Qwen2.5-VL's `vision_config`, as published."""
    return {
        "depth": shape.vision_depth,
        "hidden_act": "silu",
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_intermediate,
        "num_heads": shape.vision_heads,
        "in_chans": 3,
        "out_hidden_size": shape.hidden,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "window_size": shape.window,
        "fullatt_block_indexes": list(shape.full_attention_blocks),
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    }


def vision_fields_2(shape: Shape) -> dict:
    """Qwen2-VL's `vision_config`, as published: `hidden_size` is the language model's."""
    return {
        "depth": shape.vision_depth,
        "embed_dim": shape.vision_hidden,
        "mlp_ratio": shape.vision_intermediate // shape.vision_hidden,
        "num_heads": shape.vision_heads,
        "in_chans": 3,
        "hidden_size": shape.hidden,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "spatial_patch_size": 14,
        "temporal_patch_size": 2,
    }


def flat_config(shape: Shape, tokenizer: Tokenizer, model_type: str, architecture: str) -> dict:
    """`config.json` in the published layout: the language model's fields at the top level."""
    vision = vision_fields_2_5(shape) if model_type == "qwen2_5_vl" else vision_fields_2(shape)
    return {
        "architectures": [architecture],
        **token_ids(tokenizer),
        "model_type": model_type,
        **text_fields(shape),
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "float32",
        "transformers_version": "4.41.2",
        "vision_config": vision,
    }


def randomise(model: PreTrainedModel, seed: int) -> None:
    """Draws every parameter anew, in the order of the names."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        drawn = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            parameter.copy_(rescaled(name, drawn))


def rescaled(name: str, drawn: torch.Tensor) -> torch.Tensor:
    """A standard normal draw at the scale that suits the parameter."""
    if name.endswith(".bias"):
        return 0.2 * drawn
    if drawn.ndim == 1:
        return 1.0 + 0.3 * drawn
    if "embed_tokens" in name:
        return 0.6 * drawn
    if "lm_head" in name:
        return 0.5 * drawn
    fan_in = drawn.numel() // drawn.shape[0]
    gain = 1.0 if "patch_embed" in name else 1.4
    return gain / math.sqrt(fan_in) * drawn


def silence(model: PreTrainedModel, first: int, last: int) -> None:
    """Zeroes the output rows of tokens `first..last`, whose logit is then 0: never the largest."""
    with torch.no_grad():
        model.get_output_embeddings().weight[first:last] = 0


def published_names(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The tensors under the names of the published checkpoints: `model.layers`, `visual`."""
    renamed = {}
    for name, tensor in model.state_dict().items():
        name = name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
        renamed[name] = tensor.contiguous()
    return dict(sorted(renamed.items()))


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """One safetensors file, with the usual rights."""
    save_file(tensors, path, metadata={"format": "pt"})
    os.chmod(path, 0o644)


def save_shards(tensors: dict[str, torch.Tensor], folder: Path, shards: int) -> None:
    """Saves the tensors in `shards` files of about the same size, with their index."""
    total = sum(tensor.nbytes for tensor in tensors.values())
    files = [f"model-{number + 1:05}-of-{shards:05}.safetensors" for number in range(shards)]
    weight_map, contents, written = {}, {file: {} for file in files}, 0
    for name, tensor in tensors.items():
        file = files[min(written * shards // total, shards - 1)]
        weight_map[name] = file
        contents[file][name] = tensor
        written += tensor.nbytes
    for file, content in contents.items():
        save_tensors(content, folder / file)
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))},
    )


def write_tokenizer(tokenizer: Tokenizer, folder: Path, template_in_config: bool) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    template = CHAT_TEMPLATE if template_in_config else None
    write_json(folder / "tokenizer_config.json", tiny_tokenizer.tokenizer_config(tokenizer, template))


def write_preprocessor(shape: Shape, folder: Path, processor_class: str) -> None:
    """`preprocessor_config.json` in the published layout."""
    write_json(
        folder / "preprocessor_config.json",
        {
            "min_pixels": shape.min_pixels,
            "max_pixels": shape.max_pixels,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": IMAGE_MEAN,
            "image_std": IMAGE_STD,
            "image_processor_type": "Qwen2VLImageProcessor",
            "processor_class": processor_class,
        },
    )


def write_generation_config(tokenizer: Tokenizer, folder: Path, **fields: object) -> None:
    ids = token_ids(tokenizer)
    write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": ids["bos_token_id"],
            "pad_token_id": ids["bos_token_id"],
            "do_sample": True,
            "eos_token_id": [ids["eos_token_id"], ids["bos_token_id"]],
            **fields,
            "transformers_version": "4.49.0",
        },
    )


def nested_config_2_5(shape: Shape, tokenizer: Tokenizer, dtype: str) -> Qwen2_5_VLConfig:
    """The same fields as transformers holds them today."""
    ids = token_ids(tokenizer)
    vision = vision_fields_2_5(shape)
    del vision["in_chans"], vision["spatial_patch_size"], ids["vision_token_id"]
    text = text_fields(shape) | {key: ids.pop(key) for key in ("bos_token_id", "eos_token_id")}
    return Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=shape.tied, dtype=dtype, **ids
    )


def make_untied(folder: Path) -> None:
    """Qwen2.5-VL, untied, f32: flat config, published names, two shards, `chat_template.json`."""
    folder.mkdir(parents=True)
    tokenizer, shape = tiny_tokenizer.tiny(), UNTIED
    config = flat_config(shape, tokenizer, "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration")
    write_json(folder / "config.json", config)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig.from_pretrained(folder))
    randomise(model, shape.seed)
    silence(model, tokenizer.get_vocab_size(), shape.vocab)
    save_shards(published_names(model), folder, shards=2)
    write_tokenizer(tokenizer, folder, template_in_config=False)
    write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    write_preprocessor(shape, folder, "Qwen2_5_VLProcessor")
    write_generation_config(tokenizer, folder, repetition_penalty=1.05, temperature=0.000001)


def make_tied_bf16(folder: Path) -> None:
    """Qwen2.5-VL, tied, bf16: every file as transformers itself saves it today."""
    folder.mkdir(parents=True)
    tokenizer, shape = tiny_tokenizer.tiny(), TIED
    model = Qwen2_5_VLForConditionalGeneration(nested_config_2_5(shape, tokenizer, "bfloat16"))
    randomise(model, shape.seed)
    model = model.bfloat16()
    ids = token_ids(tokenizer)
    model.generation_config = GenerationConfig(
        bos_token_id=ids["bos_token_id"], pad_token_id=ids["bos_token_id"], eos_token_id=ids["eos_token_id"]
    )
    model.save_pretrained(folder)
    os.chmod(folder / "model.safetensors", 0o644)
    image_processor = Qwen2VLImageProcessorPil(min_pixels=shape.min_pixels, max_pixels=shape.max_pixels)
    processor = Qwen2_5_VLProcessor(
        image_processor=image_processor,
        tokenizer=saved_tokenizer(tokenizer, folder),
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )
    processor.save_pretrained(folder)
    image_processor.save_pretrained(folder)


def saved_tokenizer(tokenizer: Tokenizer, folder: Path) -> Qwen2Tokenizer:
    """The tokenizer as transformers loads it from the published files."""
    write_tokenizer(tokenizer, folder, template_in_config=False)
    return Qwen2Tokenizer.from_pretrained(folder)


def make_qwen2_vl(folder: Path) -> None:
    """Qwen2-VL, untied, f32: flat config, the names of transformers 4.52 and later, one file."""
    folder.mkdir(parents=True)
    tokenizer, shape = tiny_tokenizer.tiny(), QWEN2_VL
    config = flat_config(shape, tokenizer, "qwen2_vl", "Qwen2VLForConditionalGeneration")
    write_json(folder / "config.json", config)
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_pretrained(folder))
    randomise(model, shape.seed)
    tensors = {name: tensor.contiguous() for name, tensor in sorted(model.state_dict().items())}
    save_tensors(tensors, folder / "model.safetensors")
    write_tokenizer(tokenizer, folder, template_in_config=True)
    write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    write_preprocessor(shape, folder, "Qwen2VLProcessor")
    write_generation_config(tokenizer, folder, temperature=0.01, top_p=0.001, top_k=1)


def make_speed(folder: Path) -> int:
    """The checkpoint for measuring speed; tokens that would end an answer never win. Returns its parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, shape = tiny_tokenizer.medium(), SPEED
    config = flat_config(shape, tokenizer, "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration")
    write_json(folder / "config.json", config)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig.from_pretrained(folder))
    randomise(model, shape.seed)
    silence(model, tokenizer.token_to_id("<|endoftext|>"), shape.vocab)
    tensors = published_names(model)
    tensors.pop("lm_head.weight")
    save_tensors(tensors, folder / "model.safetensors")
    write_tokenizer(tokenizer, folder, template_in_config=False)
    write_json(folder / "chat_template.json", {"chat_template": CHAT_TEMPLATE})
    write_preprocessor(shape, folder, "Qwen2_5_VLProcessor")
    write_generation_config(tokenizer, folder, repetition_penalty=1.0)
    return sum(tensor.numel() for tensor in tensors.values())
