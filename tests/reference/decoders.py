"""Makes random checkpoints of two sizes, and from the very same weights their decoders as ONNX graphs.

`cargo xtask compare` measures both in one browser. So that a graph without a vision tower can be asked the same
question, the tower says of every picture what the image token's own embedding says: its last product has weights of
zero and that embedding as bias. The picture takes one token, whose position is the same on all three axes.

`decoders.py DIR` writes, for each size, `DIR/<size>/`:

    checkpoint/   what this project loads, f32
    photo.png     the picture
    plain.onnx    the graph of standard operators
    fused.onnx    the graph of onnxruntime's own operators
    asked.json    the question, the prompt's ids, sizes, and the ids that transformers answers
"""

import argparse
import sys
from pathlib import Path

import torch
from transformers import PreTrainedModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

import checkpoints
import oracle
import pictures
import tiny_tokenizer
from checkpoints import Shape
from onnx_decoder import Graph

# Both programs are asked in this project's words: core/src/prompt/question.rs.
QUESTION = "Which aircraft variant is this?"
INSTRUCTION = "First think inside <think> </think>, then give the final answer inside <answer> </answer>."
PICTURE_SIZE = 28
NEW_TOKENS = 64
# Sums of another order differ by some millionths; the best two scores of each step are further apart.
LEAST_MARGIN = 1e-3

# What a vision tower needs to be one; it looks once an answer, which is not measured.
VISION = {
    "vision_hidden": 32,
    "vision_intermediate": 40,
    "vision_depth": 1,
    "vision_heads": 2,
    "window": 112,
    "full_attention_blocks": (0,),
    "min_pixels": PICTURE_SIZE**2,
    "max_pixels": PICTURE_SIZE**2,
}

# By size: the tokens that its tokenizer learns, and its numbers.
DECODERS = {
    # The decoder of the embedded model nano.
    "nano": (
        959,
        Shape(
            seed=501,
            hidden=128,
            intermediate=384,
            layers=4,
            heads=4,
            kv_heads=2,
            mrope_section=(4, 6, 6),
            vocab=1024,
            tied=True,
            **VISION,
        ),
    ),
    # About 25 million parameters: what a browser holds in f32 without thought.
    "25m": (
        8000,
        Shape(
            seed=502,
            hidden=384,
            intermediate=1536,
            layers=10,
            heads=6,
            kv_heads=2,
            mrope_section=(8, 12, 12),
            vocab=8192,
            tied=True,
            **VISION,
        ),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the sizes' folders are to be made")
    arguments = parser.parse_args()
    for name, (learnt_tokens, shape) in DECODERS.items():
        make(name, learnt_tokens, shape, arguments.folder / name)


def make(name: str, learnt_tokens: int, shape: Shape, folder: Path) -> None:
    """Everything of one size."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    pictures.scene(PICTURE_SIZE, PICTURE_SIZE, 50).save(folder / "photo.png")
    weights = make_checkpoint(learnt_tokens, shape, checkpoint)
    asked = ask_transformers(checkpoint, folder)
    decoder = {name: tensor for name, tensor in weights.items() if not name.startswith("visual.")}
    parameters = sum(tensor.numel() for tensor in decoder.values())
    config = checkpoints.text_fields(shape)
    for is_fused in (False, True):
        Graph(config, decoder, is_fused).save(folder / ("fused.onnx" if is_fused else "plain.onnx"))
    facts = {
        "parameters": parameters,
        "layers": shape.layers,
        "kvHeads": shape.kv_heads,
        "headDim": shape.hidden // shape.heads,
    }
    checkpoints.write_json(folder / "asked.json", facts | asked)
    print(f"{name}: a decoder of {parameters / 1e6:.2f} million parameters", file=sys.stderr)


def make_checkpoint(learnt_tokens: int, shape: Shape, folder: Path) -> dict[str, torch.Tensor]:
    """A checkpoint whose answers never end; returns its weights under the published names."""
    tokenizer = tiny_tokenizer.medium(learnt_tokens)
    config = checkpoints.flat_config(shape, tokenizer, "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration")
    checkpoints.write_json(folder / "config.json", config)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig.from_pretrained(folder))
    checkpoints.randomise(model, shape.seed)
    checkpoints.silence(model, tokenizer.token_to_id("<|endoftext|>"), shape.vocab)
    blind(model)
    weights = checkpoints.published_names(model)
    weights.pop("lm_head.weight")
    checkpoints.save_tensors(weights, folder / "model.safetensors")
    checkpoints.write_tokenizer(tokenizer, folder, template_in_config=False)
    checkpoints.write_json(folder / "chat_template.json", {"chat_template": checkpoints.CHAT_TEMPLATE})
    checkpoints.write_preprocessor(shape, folder, "Qwen2_5_VLProcessor")
    checkpoints.write_generation_config(tokenizer, folder, repetition_penalty=1.0)
    return weights


def blind(model: PreTrainedModel) -> None:
    """Makes the vision tower say of every picture what the image token's embedding says."""
    last = model.model.visual.merger.mlp[-1]
    image_token = model.get_input_embeddings().weight[model.config.image_token_id]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(image_token)


def ask_transformers(checkpoint: Path, folder: Path) -> dict:
    """The prompt's ids and the greedy answer to it."""
    asked = oracle.load(checkpoint)
    parts = [{"type": "image", "image": "photo.png"}, {"type": "text", "text": f"{QUESTION}\n{INSTRUCTION}"}]
    _, inputs = oracle.prepare(asked, [{"role": "user", "content": parts}], folder)
    [answer], margin = oracle.greedy(asked, inputs, NEW_TOKENS)
    assert margin > LEAST_MARGIN, f"the best two scores of a step are {margin:.6f} apart: choose another seed"
    return {"question": QUESTION, "promptIds": inputs["input_ids"][0].tolist(), "answerIds": answer, "margin": margin}


if __name__ == "__main__":
    main()
