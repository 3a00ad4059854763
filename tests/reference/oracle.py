"""transformers, asked in the one way that every script here asks it: f32, eager attention, one thread.

Pictures are decoded by `pictures.decode` before transformers sees them, and prepared by its Pillow image
processor. The processor's `mm_token_type_ids` always goes to the model: without it transformers 5 silently
falls back to one-dimensional positions.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers import AutoProcessor, BatchFeature, GenerationConfig, PreTrainedModel, ProcessorMixin
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import pictures

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


@dataclass
class Oracle:
    model: PreTrainedModel
    processor: ProcessorMixin

    @property
    def image_token(self) -> int:
        return self.model.config.image_token_id


def load_processor(folder: Path) -> ProcessorMixin:
    """The folder's processor, with the Pillow image processor."""
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor = Qwen2VLImageProcessorPil.from_pretrained(folder)
    return processor


def load_model(folder: Path, attention: str = "eager") -> PreTrainedModel:
    """The model of the class that the config names, its weights raised to f32; every weight must be in the files."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    model_class = getattr(transformers, config["architectures"][0])
    model, loading = model_class.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention, output_loading_info=True
    )
    for kind, keys in loading.items():
        assert not keys, f"{folder}: {kind}: {sorted(keys)[:5]}"
    return model.eval()


def load(folder: Path, attention: str = "eager") -> Oracle:
    """The checkpoint's model and processor."""
    return Oracle(load_model(folder, attention), load_processor(folder))


def images_of(messages: list[dict], folder: Path) -> list:
    """The decoded pictures that the messages name, in order; paths are relative to `folder`."""
    parts = [part for message in messages if not isinstance(message["content"], str) for part in message["content"]]
    return [pictures.decode(folder / part["image"]) for part in parts if part["type"] == "image"]


def render(processor: ProcessorMixin, messages: list[dict], **options: object) -> str:
    """The prompt before placeholders are repeated."""
    options = {"add_generation_prompt": True} | options
    return processor.apply_chat_template(messages, tokenize=False, **options)


def encode(processor: ProcessorMixin, prompts: list[str], images: list, padding_side: str = "left") -> BatchFeature:
    """The model's inputs, rows padded on `padding_side` to the longest."""
    return processor(
        text=prompts, images=images or None, padding=True, padding_side=padding_side, return_tensors="pt"
    )


def prepare(oracle: Oracle, messages: list[dict], folder: Path, **options: object) -> tuple[str, BatchFeature]:
    """One conversation's prompt and inputs."""
    prompt = render(oracle.processor, messages, **options)
    return prompt, encode(oracle.processor, [prompt], images_of(messages, folder))


def positions(oracle: Oracle, inputs: BatchFeature) -> tuple[torch.Tensor, torch.Tensor]:
    """Position ids [3, batch, seq] and deltas [batch]; checks that an image has three different axes."""
    ids, deltas = oracle.model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        image_grid_thw=inputs.get("image_grid_thw"),
        attention_mask=inputs["attention_mask"],
    )
    inside = ids[:, inputs["input_ids"] == oracle.image_token]
    if inside.shape[1] > 0:
        assert not torch.equal(inside[0], inside[1]), "the time and height axes agree inside an image"
        assert not torch.equal(inside[1], inside[2]), "the height and width axes agree inside an image"
    return ids, deltas.flatten()


@torch.no_grad()
def logits(oracle: Oracle, inputs: BatchFeature) -> torch.Tensor:
    """Logits [batch, seq, vocab]."""
    return oracle.model(**inputs, use_cache=False).logits


def with_continuation(inputs: BatchFeature, tokens: list[int]) -> BatchFeature:
    """The inputs of one conversation with text tokens appended."""
    extended = BatchFeature(dict(inputs))
    more = torch.tensor([tokens], dtype=torch.long)
    for key, value in (
        ("input_ids", more),
        ("attention_mask", torch.ones_like(more)),
        ("mm_token_type_ids", torch.zeros_like(more)),
    ):
        extended[key] = torch.cat([inputs[key], value.to(inputs[key].dtype)], dim=1)
    return extended


def continuation_log_probs(oracle: Oracle, inputs: BatchFeature, tokens: list[int]) -> torch.Tensor:
    """The log-probability of each token of a continuation, at temperature 1."""
    prompt_length = inputs["input_ids"].shape[1]
    scores = logits(oracle, with_continuation(inputs, tokens))[0, prompt_length - 1 : -1]
    return scores.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])[:, 0]


@torch.no_grad()
def greedy(oracle: Oracle, inputs: BatchFeature, new_tokens: int, repetition_penalty: float = 1.0):
    """`new_tokens` ids a row, never stopped, and the smallest gap between the best two scores."""
    oracle.model.generation_config = GenerationConfig()
    settings = GenerationConfig(
        max_new_tokens=new_tokens,
        do_sample=False,
        repetition_penalty=repetition_penalty,
        eos_token_id=None,
        pad_token_id=oracle.processor.tokenizer.pad_token_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    output = oracle.model.generate(**inputs, generation_config=settings)
    answers = output.sequences[:, inputs["input_ids"].shape[1] :]
    assert answers.shape[1] == new_tokens, f"{answers.shape[1]} tokens instead of {new_tokens}"
    best = torch.stack(output.scores).topk(2, dim=-1).values
    return answers.tolist(), (best[..., 0] - best[..., 1]).min().item()
