"""Loads a checkpoint folder with transformers and holds its logits against a golden case.

It shows that what the Rust side saves loads in transformers unchanged: prompt, tokens, pictures and logits
are all made from the folder. Exits 1 when anything differs.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

import oracle

GOLDEN = Path(__file__).resolve().parent.parent / "golden"

# f32 on both sides and the same code: only the order of sums may differ between two machines.
TOLERANCE = 1e-4


def differences(folder: Path, processor_folder: Path, record: dict, tensors: dict) -> dict[str, float]:
    """The largest difference of each thing compared; infinite where lengths or tokens differ."""
    asked = oracle.Oracle(oracle.load_model(folder), oracle.load_processor(processor_folder))
    prompt, inputs = oracle.prepare(asked, record["messages"], GOLDEN / "images")
    tokens = inputs["input_ids"][0].tolist()
    found = {
        "prompt": 0.0 if prompt == record["prompt"] else float("inf"),
        "input_ids": 0.0 if tokens == record["input_ids"] else float("inf"),
    }
    if found["input_ids"] > 0:
        return found
    scores = oracle.logits(asked, inputs)[0, record["logit_positions"]]
    found["logits"] = (scores - tensors["logits"]).abs().max().item()
    log_probs = oracle.continuation_log_probs(asked, inputs, record["continuation_token_ids"])
    found["continuation_log_probs"] = (log_probs - tensors["continuation_log_probs"]).abs().max().item()
    if "vision_features" in tensors:
        output = asked.model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        features = torch.cat(list(output.pooler_output), dim=0)
        found["vision_features"] = (features - tensors["vision_features"]).abs().max().item()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="the checkpoint folder to check")
    parser.add_argument("--golden", required=True, metavar="CASE", help="such as qwen2_5_vl-untied/one-image")
    parser.add_argument("--processor", type=Path, metavar="DIR", help="where tokenizer and template lie, if not in DIR")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    case = GOLDEN / "cases" / arguments.golden
    record = json.loads(case.with_name(case.name + ".json").read_text(encoding="utf-8"))
    tensors = load_file(case.with_name(case.name + ".safetensors"))
    with torch.no_grad():
        found = differences(arguments.folder, arguments.processor or arguments.folder, record, tensors)
    for name, difference in found.items():
        print(f"{name:24} max difference {difference:.3e}")
    if any(difference > TOLERANCE for difference in found.values()):
        sys.exit(f"{arguments.folder} differs from {arguments.golden} by more than {TOLERANCE}")
    print(f"{arguments.folder} equals {arguments.golden}")


if __name__ == "__main__":
    main()
