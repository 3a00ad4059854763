"""Images per second of `trainer-native evaluate`, against a plain loop over transformers on the same checkpoint.

The random checkpoint of 110 million parameters from `speed.py`, airliners photos, the closed world's prompt, answers
of a fixed length. The loop is the one that people write: a photo at a time, `generate`, greedy, f32, sdpa. Both run
on two threads, in turns; neither's time includes loading. The table has medians.

`evaluate_speed.py DIR --binary PATH` makes the checkpoint in DIR where it is not there yet.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import speed

AIRLINERS = Path(__file__).resolve().parent.parent / "data" / "airliners"
INSTRUCTION = "First think inside <think> </think>, then give the final answer inside <answer> </answer>."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the checkpoint is, or is to be made")
    parser.add_argument("--binary", type=Path, required=True, help="this project's command line program")
    parser.add_argument("--images", type=int, default=16, help="photos a round (default: %(default)s)")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of an answer (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=16, help="answers that ours decodes together (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    arguments = parser.parse_args()
    os.environ |= speed.THREAD_SETTINGS
    speed.prepare_folder(arguments.folder)
    rows = pick_rows(arguments)
    loop = load_loop(arguments)
    theirs, ours = [], []
    for _ in range(arguments.rounds):
        theirs.append(loop(rows))
        ours.append(run_binary(arguments))
    left, right = statistics.median(theirs), statistics.median(ours)
    print("| | images/s |\n|---|---:|")
    print(f"| transformers, a photo at a time | {left:.3f} |\n| ours, {arguments.batch} together | {right:.3f} |")
    print(f"| ours / theirs | {right / left:.2f} |")


def pick_rows(arguments: argparse.Namespace) -> list[dict]:
    """Photos of all classes, as a file for the binary too."""
    lines = (AIRLINERS / "test_seen.jsonl").read_text(encoding="utf-8").splitlines()
    lines = lines[:: max(1, len(lines) // arguments.images)][: arguments.images]
    (arguments.folder / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [json.loads(line) for line in lines]


def load_loop(arguments: argparse.Namespace):
    """The plain loop: rows to images per second."""
    import torch
    from transformers import GenerationConfig

    import oracle
    import pictures

    torch.set_num_threads(speed.THREADS)
    asked = oracle.load(arguments.folder, attention="sdpa")
    asked.model.generation_config = GenerationConfig()
    settings = GenerationConfig(max_new_tokens=arguments.new_tokens, do_sample=False, eos_token_id=None, pad_token_id=0)

    @torch.inference_mode()
    def loop(rows: list[dict]) -> float:
        begin = time.perf_counter()
        for row in rows:
            question = f"{row['question']}\nOptions: {', '.join(row['options'])}.\n{INSTRUCTION}"
            content = [{"type": "image", "image": row["image_path"]}, {"type": "text", "text": question}]
            prompt = oracle.render(asked.processor, [{"role": "user", "content": content}])
            photo = pictures.decode(AIRLINERS / row["image_path"])
            inputs = oracle.encode(asked.processor, [prompt], [photo])
            output = asked.model.generate(**inputs, generation_config=settings)
            answer = output[0, inputs["input_ids"].shape[1] :]
            if len(answer) != arguments.new_tokens:
                sys.exit(f"an answer of transformers has {len(answer)} tokens")
        return len(rows) / (time.perf_counter() - begin)

    return loop


def run_binary(arguments: argparse.Namespace) -> float:
    """What the binary says of itself: images per second since the checkpoint was loaded."""
    command = [arguments.binary, "evaluate", "--model", arguments.folder, "--data", arguments.folder / "rows.jsonl"]
    command += ["--image-root", AIRLINERS, "--task", "closed", "--ablate", "none", "--json"]
    command += ["--max-new-tokens", arguments.new_tokens, "--batch", arguments.batch]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    lines = {line["key"]: line["sets"][0]["value"] for line in json.loads(done.stdout)["lines"]}
    if lines["new_tokens"] != arguments.new_tokens:
        sys.exit(f"answers of ours have {lines['new_tokens']} tokens on average")
    return float(re.findall(r"([0-9.]+) images/s", done.stderr)[-1])


if __name__ == "__main__":
    main()
