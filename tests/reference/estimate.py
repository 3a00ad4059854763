"""Holds `estimate` against runs: for three recipes, the peak memory and the time reckoned and measured.

`estimate.py DIR --binary PATH` makes data and checkpoints in DIR (nano's own, the tiny golden one, and a random one
of about 110 million parameters), asks `estimate`, runs `sft` and reads the peak that the kernel reports. Ends with 1
where a peak is more than 15 % off.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOLERANCE = 0.15
STEPS = 4

# name, checkpoint, picture, answer, rows, settings
RECIPES = [
    ("tiny", "tiny", "square.png", "It has many colours. " * 12, {"per_device_train_batch_size": 16}),
    ("nano", "nano", "square.png", "It has many colours. " * 8, {"per_device_train_batch_size": 16, "workers": 2, "gradient_accumulation_steps": 2, "optim": "muon"}),
    ("nano-recomputed", "nano", "square.png", "It has many colours. " * 8, {"per_device_train_batch_size": 32, "gradient_checkpointing": True}),
    ("bench-110m", "bench", "square.png", "It has many colours. " * 12, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
    ("bench-110m-recomputed", "bench", "square.png", "It has many colours. " * 12, {"per_device_train_batch_size": 4, "gradient_checkpointing": True}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where data, checkpoints and runs are made")
    parser.add_argument("--binary", type=Path, required=True, help="trainer-native, built for release")
    parser.add_argument("--only", action="append", help="a recipe's name, repeatable; all of them where absent")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print("| recipe | peak reckoned, MiB | measured | ratio | step reckoned, s | measured | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    worst = 0.0
    for name, checkpoint, picture, answer, settings in RECIPES:
        if arguments.only and name not in arguments.only:
            continue
        recipe = write_recipe(arguments.folder, name, checkpoint, picture, answer, settings, arguments.binary)
        reckoned = json.loads(run([arguments.binary, "estimate", "--recipe", recipe, "--json"])[0])
        output = Path(recipe).parent / "run"
        shutil.rmtree(output, ignore_errors=True)
        _, peak, _ = run([arguments.binary, "sft", "--recipe", recipe])
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        batch = settings["per_device_train_batch_size"] * settings.get("gradient_accumulation_steps", 1)
        steps = sorted(batch / line["samples_per_sec"] for line in lines[1:])
        step = steps[len(steps) // 2]
        ratio = reckoned["peak_bytes"] / peak
        worst = max(worst, abs(ratio - 1))
        print(
            f"| {name} | {reckoned['peak_bytes'] / 2**20:.0f} | {peak / 2**20:.0f} | {ratio:.2f} "
            f"| {reckoned['step_secs']:.2f} | {step:.2f} | {reckoned['step_secs'] / step:.2f} |",
            flush=True,
        )
        parts = {part: f"{size / 2**20:.0f}" for part, size in reckoned["memory"].items()}
        print(f"  {name}: {parts}", file=sys.stderr)
    if worst > TOLERANCE:
        sys.exit(f"a peak is {worst:.0%} off, more than {TOLERANCE:.0%}")


def checkpoint_folder(folder: Path, kind: str, binary: Path) -> Path:
    """The tiny golden checkpoint, the shipped nano, or a fresh one of 110 million parameters."""
    if kind == "tiny":
        return ROOT / "tests/golden/checkpoints/qwen2_5_vl-untied"
    if kind == "nano":
        return ROOT / "trainer-native/models/nano-base"
    made = folder / "checkpoint-110m"
    if not made.exists():
        corpus = folder / "corpus.txt"
        corpus.write_text((ROOT / "README.md").read_text(encoding="utf-8") * 4, encoding="utf-8")
        run([binary, "init", "--preset", "bench-110m", "--corpus", corpus, "--out", made])
    return made


def write_recipe(
    folder: Path, name: str, checkpoint: str, picture: str, answer: str, settings: dict, binary: Path
) -> str:
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "tests/golden/images" / picture, place / picture)
    row = {
        "conversations": [{"from": "human", "value": "<image>What is it?"}, {"from": "gpt", "value": answer}],
        "images": [picture],
    }
    (place / "rows.json").write_text(json.dumps([row] * 256), encoding="utf-8")
    (place / "dataset_info.json").write_text(
        json.dumps({"rows": {"file_name": "rows.json", "formatting": "sharegpt"}}), encoding="utf-8"
    )
    entries = {
        "model_name_or_path": str(checkpoint_folder(folder, checkpoint, binary)),
        "dataset_dir": str(place),
        "dataset": "rows",
        "output_dir": str(place / "run"),
        "max_steps": STEPS,
        "logging_steps": 1,
        "learning_rate": 1e-5,
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
    } | settings
    path = place / "recipe.toml"
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in entries.items()), encoding="utf-8")
    return str(path)


def run(command: list) -> tuple[str, int, float]:
    """Output, peak memory in bytes and seconds of a program that must succeed."""
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}")
        output.seek(0)
        return output.read().decode(), usage.ru_maxrss * 1024, time.perf_counter() - begun


if __name__ == "__main__":
    main()
