"""Fine-tuning side by side: a plain torch loop and our binary, in turns, on one random checkpoint of about 110 million
parameters. Prints tokens a second and peak memory of both, and the ratios.

Both are in f32 on two threads, train everything with AdamW, see the same samples in the same order, and count the
same tokens; the first step of each is left out of the pace. Each side is a process of its own, whose peak memory the
kernel reports.

`train_speed.py DIR --binary PATH [--batch N] [--steps N] [--checkpointing]`
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = 2
ROUNDS = 2
PICTURE_SIZE = 224
QUESTION = "What is in this picture?"
ANSWER = "There is a scene with three shapes in front of a gradient, and some noise over all of it. " * 4
THREAD_SETTINGS = {
    name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the checkpoint is, or is to be made")
    parser.add_argument("--binary", type=Path, help="trainer-native, built for release")
    parser.add_argument("--batch", type=int, default=2, help="samples of a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=4, help="steps of a round (default: %(default)s)")
    parser.add_argument("--checkpointing", action="store_true", help="recompute activations, on both sides")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(arguments)
        return
    if not arguments.binary:
        parser.error("--binary is needed")
    prepare_folder(arguments.folder)
    measured: dict[str, list[dict]] = {"torch": [], "ours": []}
    for _ in range(ROUNDS):
        measured["torch"].append(run_torch(arguments))
        measured["ours"].append(run_ours(arguments))
    report(measured)


def prepare_folder(folder: Path) -> None:
    """The checkpoint of `speed.py`, and a photograph."""
    if (folder / "model.safetensors").exists() and (folder / "scene.png").exists():
        return
    code = (
        "import sys; from pathlib import Path; import checkpoints, pictures; folder = Path(sys.argv[1]);"
        "print(f'{checkpoints.make_speed(folder) / 1e6:.1f} million parameters', file=sys.stderr);"
        f"pictures.scene({PICTURE_SIZE}, {PICTURE_SIZE}, 50).save(folder / 'scene.png')"
    )
    here = Path(__file__).resolve().parent
    subprocess.run([sys.executable, "-c", code, str(folder.resolve())], cwd=here, check=True)


def wait(process: subprocess.Popen) -> float:
    """Peak memory in MiB of a child that must succeed."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"ended with {process.returncode}: {process.args}")
    return usage.ru_maxrss / 1024


def run_torch(arguments: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, str(arguments.folder), "--worker", "--batch", str(arguments.batch)]
    command += ["--steps", str(arguments.steps), *(["--checkpointing"] if arguments.checkpointing else [])]
    environment = os.environ | THREAD_SETTINGS | {"OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=environment)
        peak = wait(process)
        output.seek(0)
        return json.loads(output.read()) | {"peak_mib": peak}


def run_ours(arguments: argparse.Namespace) -> dict:
    folder, output = arguments.folder, arguments.folder / "run"
    shutil.rmtree(output, ignore_errors=True)
    row = {
        "conversations": [
            {"from": "human", "value": f"<image>{QUESTION}"},
            {"from": "gpt", "value": ANSWER},
        ],
        "images": ["scene.png"],
    }
    (folder / "rows.json").write_text(json.dumps([row] * (arguments.batch * arguments.steps)), encoding="utf-8")
    (folder / "dataset_info.json").write_text(
        json.dumps({"rows": {"file_name": "rows.json", "formatting": "sharegpt"}}), encoding="utf-8"
    )
    recipe = {
        "model_name_or_path": str(folder),
        "dataset_dir": str(folder),
        "dataset": "rows",
        "output_dir": str(output),
        "max_steps": arguments.steps,
        "per_device_train_batch_size": arguments.batch,
        "learning_rate": 1e-5,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_steps": 1000,
        "disable_shuffling": True,
        "gradient_checkpointing": arguments.checkpointing,
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
    }
    path = folder / "recipe.toml"
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.items()), encoding="utf-8")
    command = [str(arguments.binary), "sft", "--recipe", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | THREAD_SETTINGS)
    peak = wait(process)
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    paces = [line["tokens_per_sec"] for line in lines[1:]]
    tokens = round(lines[1]["tokens_per_sec"] / lines[1]["samples_per_sec"] * arguments.batch)
    return {"tokens_per_sec": paces, "tokens": tokens, "losses": [line["loss"] for line in lines], "peak_mib": peak}


def serve(arguments: argparse.Namespace) -> None:
    """The child: a plain loop over the same samples."""
    import torch

    import oracle

    torch.set_num_threads(THREADS)
    asked = oracle.load(arguments.folder, attention="sdpa")
    model = asked.model.train()
    if arguments.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    decayed = [parameter for parameter in model.parameters()]
    optimizer = torch.optim.AdamW(decayed, lr=1e-5, weight_decay=0.0)
    parts = [{"type": "image", "image": "scene.png"}, {"type": "text", "text": QUESTION}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": ANSWER}]
    prompt, asked_inputs = oracle.prepare(asked, turns[:1], arguments.folder)
    whole = oracle.render(asked.processor, turns, add_generation_prompt=False)
    paces, losses, tokens = [], [], 0
    for _ in range(arguments.steps):
        begin = time.perf_counter()
        images = oracle.images_of(turns, arguments.folder) * arguments.batch
        inputs = oracle.encode(asked.processor, [whole] * arguments.batch, images, padding_side="right")
        labels = inputs["input_ids"].clone()
        labels[:, : asked_inputs["input_ids"].shape[1]] = -100
        logits = model(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        tokens = inputs["input_ids"].numel()
        paces.append(tokens / (time.perf_counter() - begin))
    print(json.dumps({"tokens_per_sec": paces[1:], "tokens": tokens, "losses": losses}))


def report(measured: dict[str, list[dict]]) -> None:
    theirs, ours = measured["torch"], measured["ours"]
    if theirs[0]["tokens"] != ours[0]["tokens"]:
        sys.exit(f"{theirs[0]['tokens']} and {ours[0]['tokens']} tokens a step: the comparison is void")
    gap = max(abs(left - right) for left, right in zip(theirs[0]["losses"], ours[0]["losses"]))
    print(f"{ours[0]['tokens']} tokens a step; largest difference of a loss {gap:.1e}")
    print("| measure | torch | ours | ours / torch |")
    print("| --- | ---: | ---: | ---: |")
    pace = [statistics.median(pace for run in side for pace in run["tokens_per_sec"]) for side in (theirs, ours)]
    peak = [statistics.median(run["peak_mib"] for run in side) for side in (theirs, ours)]
    print(f"| tokens/s | {pace[0]:.1f} | {pace[1]:.1f} | {pace[1] / pace[0]:.2f} |")
    print(f"| peak memory, MiB | {peak[0]:.0f} | {peak[1]:.0f} | {peak[1] / peak[0]:.2f} |")


if __name__ == "__main__":
    main()
