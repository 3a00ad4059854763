"""Makes everything in `tests/golden`: pictures, tiny checkpoints, and what transformers answers about them.

Every file is a function of this folder and of the versions in `requirements.txt`: a second run gives the
same bytes. `tests/golden/README.md` says what each file holds.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

import checkpoints
import oracle
import pictures
import training_rows
from cases import (
    BATCH_ROWS,
    MODEL_CASES,
    PENALTY,
    PIXEL_VALUES,
    POSITION_LAYOUTS,
    PROMPT_CASES,
    RESIZES,
    SMART_RESIZES,
    STAGES_CASE,
    TOKENIZER_TEXTS,
    WHOLE_LOGITS,
)
from oracle import Oracle

HERE = Path(__file__).resolve().parent
GREEDY_TOKENS = 48
BATCH_GREEDY_TOKENS = 16
CONTINUATION = "The airliner has 2 engines."

# Agreement asked of transformers with itself: a padded row against the row alone, eager against sdpa.
SELF_AGREEMENT = 2e-4

# The best two scores of a greedy step are at least this far apart, so that a sum in another order cannot swap them.
SMALLEST_MARGIN = 4e-3

MAKERS = {
    "qwen2_5_vl-untied": checkpoints.make_untied,
    "qwen2_5_vl-tied-bf16": checkpoints.make_tied_bf16,
    "qwen2_vl": checkpoints.make_qwen2_vl,
}


def write_json(path: Path, value: dict) -> None:
    """JSON with one line for every field, or for every item of a list of records."""

    def line(item: object) -> str:
        return json.dumps(item, ensure_ascii=False, separators=(", ", ": "))

    fields = []
    for key, field in value.items():
        if isinstance(field, list) and field and isinstance(field[0], dict):
            rows = ",\n".join("    " + line(item) for item in field)
            fields.append(f"  {line(key)}: [\n{rows}\n  ]")
        else:
            fields.append(f"  {line(key)}: {line(field)}")
    path.write_text("{\n" + ",\n".join(fields) + "\n}\n", encoding="utf-8")


def write_tensors(path: Path, tensors: dict[str, np.ndarray | torch.Tensor]) -> None:
    """safetensors, sorted by name; floats as f32."""
    arrays = {}
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else tensor
        array = array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array
        arrays[name] = np.ascontiguousarray(array)
    save_file(arrays, path)
    os.chmod(path, 0o644)


def describe_pictures(folder: Path) -> list[dict]:
    """Every picture's size and a hash of its decoded bytes."""
    records = []
    for path in sorted(folder.iterdir()):
        rgb = np.asarray(pictures.decode(path))
        with Image.open(path) as opened:
            container, mode = opened.format, opened.mode
        records.append(
            {
                "file": path.name,
                "format": container,
                "mode": mode,
                "width": rgb.shape[1],
                "height": rgb.shape[0],
                "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
                "mean": [round(float(value), 4) for value in rgb.reshape(-1, 3).mean(axis=0)],
            }
        )
    return records


def describe_smart_resizes() -> list[dict]:
    """What transformers' rule makes of a table of sizes; null where it refuses."""
    records = []
    for height, width, factor, min_pixels, max_pixels in SMART_RESIZES:
        try:
            resized = list(smart_resize(height, width, factor, min_pixels, max_pixels))
        except ValueError:
            resized = None
        records.append(
            {
                "height": height,
                "width": width,
                "factor": factor,
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "resized": resized,
            }
        )
    return records


def describe_resizes(folder: Path) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Pillow's bicubic resize to given sizes."""
    records, tensors = [], {}
    for file, width, height in RESIZES:
        name = f"resize.{file}.{width}x{height}"
        resized = pictures.decode(folder / file).resize((width, height), Image.Resampling.BICUBIC)
        tensors[name] = np.asarray(resized)
        records.append({"file": file, "width": width, "height": height, "tensor": name})
    return records, tensors


def describe_pixel_values(folder: Path) -> tuple[list[dict], dict[str, np.ndarray]]:
    """What the Pillow image processor gives the model.

    A pixel value is one of 256 a channel, and both temporal slices are the same, so codes and a table hold
    it without loss; the first picture is also kept as it is.
    """
    records, tensors = [], {}
    table = value_of_code()
    tensors["value_of_code"] = table
    for file, min_pixels, max_pixels in PIXEL_VALUES:
        processor = Qwen2VLImageProcessorPil(min_pixels=min_pixels, max_pixels=max_pixels)
        output = processor(images=[pictures.decode(folder / file)], return_tensors="np")
        values = output["pixel_values"].astype(np.float32)
        if not records:
            tensors[f"pixel_values.{file}"] = values
        split = values.reshape(len(values), 3, 2, 196)
        assert np.array_equal(split[:, :, 0], split[:, :, 1]), "the temporal slices differ"
        codes = np.stack([np.searchsorted(table[channel], split[:, channel, 0]) for channel in range(3)], axis=1)
        restored = np.stack([table[channel][codes[:, channel]] for channel in range(3)], axis=1)
        assert np.array_equal(restored, split[:, :, 0]), "a pixel value is not in the table"
        tensors[f"pixel_codes.{file}"] = codes.astype(np.uint8)
        records.append(
            {
                "file": file,
                "min_pixels": min_pixels,
                "max_pixels": max_pixels,
                "grid_thw": output["image_grid_thw"][0].tolist(),
                "tensor": f"pixel_codes.{file}",
            }
        )
    return records, tensors


def value_of_code() -> np.ndarray:
    """The normalised value [3, 256] of every 8-bit sample in every channel, from the processor itself."""
    every = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (3, 1, 1))
    processor = Qwen2VLImageProcessorPil()
    return processor.normalize(processor.rescale(every, 1 / 255), checkpoints.IMAGE_MEAN, checkpoints.IMAGE_STD)[:, :, 0]


def make_images(golden: Path) -> None:
    """`images/`, and `cases/images.{json,safetensors}`."""
    folder = golden / "images"
    pictures.make_pictures(folder)
    decoded = describe_pictures(folder)
    resizes, resize_tensors = describe_resizes(folder)
    values, value_tensors = describe_pixel_values(folder)
    write_json(
        golden / "cases/images.json",
        {"images": decoded, "smart_resizes": describe_smart_resizes(), "resizes": resizes, "pixel_values": values},
    )
    write_tensors(golden / "cases/images.safetensors", resize_tensors | value_tensors)


def make_photos(golden: Path) -> None:
    """`cases/photos.json`: the first photo of every class in `data/airliners`, after decoding."""
    data = HERE.parent / "data/airliners"
    photos = []
    for folder in sorted(path for path in (data / "images").glob("*/*") if path.is_dir()):
        path = min(folder.glob("*.jpg"))
        rgb = np.asarray(pictures.decode(path))
        photos.append(
            {
                "file": path.relative_to(data).as_posix(),
                "width": rgb.shape[1],
                "height": rgb.shape[0],
                "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest(),
            }
        )
    write_json(golden / "cases/photos.json", {"photos": photos})


def make_prompts(golden: Path) -> None:
    """`cases/prompts.json`: conversations as text and tokens, and the tokenizer alone."""
    processor = oracle.load_processor(golden / "checkpoints/qwen2_5_vl-untied")
    tokenizer = processor.tokenizer
    conversations = []
    for name, (messages, options) in PROMPT_CASES.items():
        images = oracle.images_of(messages, golden / "images")
        prompt = oracle.render(processor, messages, **options)
        inputs = oracle.encode(processor, [prompt], images)
        grids = inputs["image_grid_thw"].tolist() if images else []
        conversations.append(
            {
                "name": name,
                "messages": messages,
                "add_generation_prompt": options.get("add_generation_prompt", True),
                "add_vision_id": options.get("add_vision_id", False),
                "text": prompt,
                "token_ids": tokenizer(prompt)["input_ids"],
                "image_grid_thw": grids,
                "expanded_token_ids": inputs["input_ids"][0].tolist(),
            }
        )
    texts = []
    for words in TOKENIZER_TEXTS:
        ids = tokenizer(words)["input_ids"]
        texts.append(
            {
                "text": words,
                "token_ids": ids,
                "decoded": tokenizer.decode(ids),
                "decoded_without_special": tokenizer.decode(ids, skip_special_tokens=True),
            }
        )
    write_json(golden / "cases/prompts.json", {"conversations": conversations, "texts": texts})


def make_positions(golden: Path) -> None:
    """`cases/positions.json`: position ids of hand-made layouts, straight from `get_rope_index`."""
    asked = oracle.load(golden / "checkpoints/qwen2_5_vl-untied")
    records = []
    for layout in POSITION_LAYOUTS:
        kinds, tokens, grids = [], [], []
        for run in layout:
            count = run if isinstance(run, int) else math.prod(run) // 4
            if not isinstance(run, int):
                grids.append(run)
            kinds += [0 if isinstance(run, int) else 1] * count
            tokens += [1 if isinstance(run, int) else asked.image_token] * count
        ids, deltas = asked.model.model.get_rope_index(
            torch.tensor([tokens]),
            mm_token_type_ids=torch.tensor([kinds]),
            image_grid_thw=torch.tensor(grids) if grids else None,
        )
        records.append({"layout": layout, "position_ids": ids[:, 0].tolist(), "rope_delta": deltas.item()})
    write_json(golden / "cases/positions.json", {"spatial_merge_size": 2, "layouts": records})


def make_training_rows(golden: Path) -> None:
    """`cases/labels.json` and two Parquet files."""
    write_json(golden / "cases/labels.json", training_rows.make_labels(golden))
    training_rows.make_parquet(golden)


def logit_positions(name: str, tokens: list[int], image_token: int) -> list[int]:
    """Which positions' logits a case keeps: all, or the first, the last six and some around each image."""
    if name in WHOLE_LOGITS:
        return list(range(len(tokens)))
    kept = {0, *range(len(tokens) - 6, len(tokens))}
    inside = [position for position, token in enumerate(tokens) if token == image_token]
    for position in inside:
        if tokens[position - 1] != image_token:
            kept |= {position - 1, position, position + 1}
        if tokens[position + 1] != image_token:
            kept |= {position, position + 1}
    return sorted(kept)


def record_stages(asked: Oracle, inputs: dict) -> dict[str, torch.Tensor]:
    """The output of every stage, by forward hooks; vision stages are in the order the tower holds its patches."""
    stages, hooks = {}, []

    def keep(name: str, module: torch.nn.Module) -> None:
        def hook(_module: object, _arguments: object, output: object) -> None:
            output = output[0] if isinstance(output, tuple) else output
            stages[f"stage.{name}"] = output.detach().clone().reshape(-1, output.shape[-1])

        hooks.append(module.register_forward_hook(hook))

    visual, language = asked.model.model.visual, asked.model.model.language_model
    keep("vision.patch_embed", visual.patch_embed)
    for number, block in enumerate(visual.blocks):
        keep(f"vision.blocks.{number}", block)
    keep("vision.merger", visual.merger)
    for number, layer in enumerate(language.layers):
        keep(f"language.layers.{number}", layer)
    keep("language.norm", language.norm)
    oracle.logits(asked, inputs)
    for hook in hooks:
        hook.remove()
    return stages


@torch.no_grad()
def vision_features(asked: Oracle, inputs: dict) -> torch.Tensor:
    """Features [merged, hidden] of all images, in the order of the placeholders."""
    output = asked.model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    return torch.cat(list(output.pooler_output), dim=0)


def check_positions_matter(asked: Oracle, inputs: dict, scores: torch.Tensor) -> None:
    """With one-dimensional positions the logits must be different, or the case would prove little."""
    flat = {key: value for key, value in inputs.items() if key != "mm_token_type_ids"}
    flat["position_ids"] = torch.arange(inputs["input_ids"].shape[1]).expand(3, 1, -1)
    difference = (oracle.logits(asked, flat) - scores).abs().max().item()
    assert difference > 0.05, f"positions move the logits by {difference} only"


def check_greedy(asked: Oracle, inputs: dict, answer: list[int], name: str) -> None:
    """Decoding with the cache must equal the best token of one forward over prompt and answer."""
    asked.model.model.rope_deltas = None
    scores = oracle.logits(asked, oracle.with_continuation(inputs, answer))
    best = scores[0, inputs["input_ids"].shape[1] - 1 : -1].argmax(-1).tolist()
    assert best == answer, f"{name}: decoding with the cache differs from the whole forward"


def make_model_case(asked: Oracle, sdpa: Oracle, golden: Path, checkpoint: str, name: str) -> None:
    """`cases/<checkpoint>/<name>.{json,safetensors}`."""
    messages = MODEL_CASES[name]
    prompt, inputs = oracle.prepare(asked, messages, golden / "images")
    tokens = inputs["input_ids"][0].tolist()
    position_ids, deltas = oracle.positions(asked, inputs)
    scores = oracle.logits(asked, inputs)
    difference = (oracle.logits(sdpa, inputs) - scores).abs().max().item()
    assert difference < SELF_AGREEMENT, f"{checkpoint} {name}: sdpa differs from eager by {difference}"

    kept = logit_positions(name, tokens, asked.image_token)
    continuation = asked.processor.tokenizer(CONTINUATION)["input_ids"]
    log_probs = oracle.continuation_log_probs(asked, inputs, continuation)
    answers, margin = oracle.greedy(asked, inputs, GREEDY_TOKENS)
    check_greedy(asked, inputs, answers[0], name)
    tensors = {"logits": scores[0, kept], "continuation_log_probs": log_probs}
    record = {
        "checkpoint": checkpoint,
        "messages": messages,
        "prompt": prompt,
        "input_ids": tokens,
        "image_grid_thw": inputs["image_grid_thw"].tolist() if "image_grid_thw" in inputs else [],
        "position_ids": position_ids[:, 0].tolist(),
        "rope_delta": deltas.item(),
        "logit_positions": kept,
        "continuation": CONTINUATION,
        "continuation_token_ids": continuation,
        "continuation_log_probs": [float(np.float32(value)) for value in log_probs],
        "greedy_ids": answers[0],
        "greedy_margin": margin,
        "greedy_text": asked.processor.tokenizer.decode(answers[0], skip_special_tokens=True),
    }
    if "pixel_values" in inputs:
        check_positions_matter(asked, inputs, scores)
        tensors["vision_features"] = vision_features(asked, inputs)
    if name == STAGES_CASE:
        tensors |= record_stages(asked, inputs)
        penalised, penalised_margin = oracle.greedy(asked, inputs, GREEDY_TOKENS, PENALTY)
        margin = min(margin, penalised_margin)
        record |= {
            "repetition_penalty": PENALTY,
            "penalised_greedy_ids": penalised[0],
            "penalised_greedy_margin": penalised_margin,
        }
    assert margin > SMALLEST_MARGIN, f"{checkpoint} {name}: two scores are only {margin} apart"
    folder = golden / "cases" / checkpoint
    write_json(folder / f"{name}.json", record)
    write_tensors(folder / f"{name}.safetensors", tensors)
    distinct = len(set(answers[0]))
    print(f"{checkpoint:22} {name:16} {len(tokens):4} tokens, {distinct:2} distinct in the answer, margin {margin:.4f}")


def make_batch_case(asked: Oracle, golden: Path, checkpoint: str) -> None:
    """`cases/<checkpoint>/batch.{json,safetensors}`: three prompts padded on either side."""
    prompts = [oracle.render(asked.processor, MODEL_CASES[name]) for name in BATCH_ROWS]
    images = [picture for name in BATCH_ROWS for picture in oracle.images_of(MODEL_CASES[name], golden / "images")]
    alone = [oracle.prepare(asked, MODEL_CASES[name], golden / "images")[1] for name in BATCH_ROWS]
    expected = torch.stack([oracle.logits(asked, inputs)[0, -1] for inputs in alone])
    record = {
        "checkpoint": checkpoint,
        "rows": [{"case": name, "prompt": prompt} for name, prompt in zip(BATCH_ROWS, prompts, strict=True)],
        "pad_token_id": asked.processor.tokenizer.pad_token_id,
    }
    tensors = {}
    for side in ("left", "right"):
        inputs = oracle.encode(asked.processor, prompts, images, padding_side=side)
        position_ids, deltas = oracle.positions(asked, inputs)
        mask = inputs["attention_mask"]
        last = mask.shape[1] - 1 - mask.flip(1).argmax(1)
        scores = oracle.logits(asked, inputs)[torch.arange(len(prompts)), last]
        difference = (scores - expected).abs().max().item()
        assert difference < SELF_AGREEMENT, f"{checkpoint}: rows padded on the {side} differ by {difference}"
        tensors[f"{side}.logits"] = scores
        record["image_grid_thw"] = inputs["image_grid_thw"].tolist()
        record[side] = {
            "input_ids": inputs["input_ids"].tolist(),
            "attention_mask": mask.tolist(),
            "position_ids": position_ids.tolist(),
            "rope_deltas": deltas.tolist(),
            "last": last.tolist(),
        }
        if side == "left":
            answers, margin = oracle.greedy(asked, inputs, BATCH_GREEDY_TOKENS)
            record |= {"greedy_ids": answers, "greedy_margin": margin}
    assert margin > SMALLEST_MARGIN, f"{checkpoint} batch: two scores are only {margin} apart"
    folder = golden / "cases" / checkpoint
    write_json(folder / "batch.json", record)
    write_tensors(folder / "batch.safetensors", tensors)


def make_models(golden: Path) -> None:
    """The checkpoints, and what transformers answers with them."""
    for checkpoint, make in MAKERS.items():
        folder = golden / "checkpoints" / checkpoint
        make(folder)
        asked, sdpa = oracle.load(folder), oracle.load(folder, attention="sdpa")
        (golden / "cases" / checkpoint).mkdir(parents=True)
        for name in MODEL_CASES:
            make_model_case(asked, sdpa, golden, checkpoint, name)
        make_batch_case(asked, golden, checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE.parent / "golden", help="where to write (default: %(default)s)")
    golden = parser.parse_args().out
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for made in ("images", "checkpoints", "cases"):
        shutil.rmtree(golden / made, ignore_errors=True)
        (golden / made).mkdir(parents=True)
    make_images(golden)
    make_photos(golden)
    make_models(golden)
    make_prompts(golden)
    make_positions(golden)
    make_training_rows(golden)
    total = sum(path.stat().st_size for path in golden.rglob("*") if path.is_file())
    print(f"{total / 1e6:.2f} MB in {golden}")


if __name__ == "__main__":
    main()
