"""Measures transformers, and this project's binary, on the same random checkpoint of about 110 million parameters.

Both run on two threads in f32, in turns, and the medians are compared. transformers lives in a child process, so
its peak memory is its own; it is asked in one line of JSON and answers in one. Memory of the binary is the peak
that the kernel reports when it ends. Both have answered once before the first answer that counts. `prefill` is the vision
tower and the prompt up to the first logits; for transformers it starts from pixel values that are already made, and `prepare` is the time it takes to make them.

`speed.py DIR` measures transformers alone; `speed.py DIR --binary PATH` both.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = 2
NEW_TOKENS = 64
PREFILL_ROUNDS = 5
DECODE_ROUNDS = 3
ANSWERS = 3
QUESTION = "What is in this picture?"
PICTURE_SIZE = 448
THREAD_SETTINGS = {
    name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the checkpoint is, or is to be made")
    parser.add_argument("--binary", type=Path, help="this project's command line program, built for release")
    parser.add_argument("--question", default=QUESTION, help="the question that transformers is asked (default: %(default)s)")
    parser.add_argument("--binary-argument", action="append", default=[], help="one more argument for the binary, repeatable")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(arguments.folder, arguments.question)
        return
    prepare_folder(arguments.folder)
    measured = measure(arguments)
    report(measured)


def prepare_folder(folder: Path) -> None:
    """Makes the checkpoint and the photograph, in a child so that this process stays small."""
    if (folder / "model.safetensors").exists() and photo(folder).exists():
        return
    code = (
        "import sys; from pathlib import Path; import checkpoints, pictures; folder = Path(sys.argv[1]);"
        "print(f'{checkpoints.make_speed(folder) / 1e6:.1f} million parameters', file=sys.stderr);"
        f"pictures.scene({PICTURE_SIZE}, {PICTURE_SIZE}, 50).save(sys.argv[2])"
    )
    here = Path(__file__).resolve().parent
    subprocess.run([sys.executable, "-c", code, str(folder.resolve()), str(photo(folder).resolve())], cwd=here, check=True)


def photo(folder: Path) -> Path:
    return folder / "photo.png"


def messages(question: str) -> list[dict]:
    """What both are asked: the photograph, named relative to the folder, and the question."""
    parts = [{"type": "image", "image": "photo.png"}, {"type": "text", "text": question}]
    return [{"role": "user", "content": parts}]


def write_messages(arguments: argparse.Namespace) -> Path:
    path = arguments.folder / "messages.json"
    path.write_text(json.dumps(messages(arguments.question)), encoding="utf-8")
    return path


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Both programs in turns: `{"theirs": {what: [measurements]}, "ours": {...}}`."""
    theirs: dict[str, list[float]] = {}
    ours: dict[str, list[float]] = {}
    worker = start_worker(arguments)
    collect(theirs, ask(worker, "load"))
    for number in range(PREFILL_ROUNDS):
        collect(theirs, ask(worker, "prefill"))
        if number < DECODE_ROUNDS:
            collect(theirs, ask(worker, "decode"))
        if arguments.binary:
            collect(ours, run_binary(arguments))
    collect(theirs, ask(worker, "memory"))
    worker.stdin.close()
    worker.wait()
    return {"theirs": theirs, "ours": ours}


def collect(into: dict[str, list[float]], measurements: dict[str, float]) -> None:
    for name, value in measurements.items():
        into.setdefault(name, []).append(value)


def start_worker(arguments: argparse.Namespace) -> subprocess.Popen:
    command = [sys.executable, __file__, str(arguments.folder), "--worker", "--question", arguments.question]
    environment = os.environ | THREAD_SETTINGS | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(worker: subprocess.Popen, what: str) -> dict[str, float]:
    worker.stdin.write(what + "\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        sys.exit(f"the transformers process ended while measuring {what}")
    return json.loads(answer)


def run_binary(arguments: argparse.Namespace) -> dict[str, float]:
    """One run of the binary: what it says of itself, its whole time and its peak memory."""
    command = [
        str(arguments.binary),
        "recognize",
        *["--messages", str(write_messages(arguments))] * ANSWERS,
        "--model",
        str(arguments.folder),
        "--json",
        "--max-new-tokens",
        str(NEW_TOKENS),
        "--temperature",
        "0",
        *arguments.binary_argument,
    ]
    with tempfile.TemporaryFile() as output:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, env=os.environ | THREAD_SETTINGS)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        whole = time.perf_counter() - begin
        output.seek(0)
        text = output.read().decode("utf-8")
    if process.returncode != 0:
        sys.exit(f"the binary exited with {process.returncode}: {' '.join(command)}")
    said = [json.loads(line) for line in text.splitlines()]
    warm = said[1:]
    return {
        "prefill_secs": statistics.median(answer["prefill_secs"] for answer in warm),
        "first_prefill_secs": said[0]["prefill_secs"],
        "tokens_per_sec": statistics.median(answer["tokens_per_sec"] for answer in warm),
        "prompt_tokens": float(said[0]["prompt_tokens"]),
        "new_tokens": float(said[0]["new_tokens"]),
        "peak_mib": usage.ru_maxrss / 1024,
        "whole_run_secs": whole,
    }


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(folder: Path, question: str) -> None:
    """The child: loads when told, then measures on request."""
    import torch

    import oracle

    torch.set_num_threads(THREADS)
    state: dict = {}

    def load() -> dict[str, float]:
        begin = time.perf_counter()
        state["asked"] = oracle.load(folder, attention="sdpa")
        loaded = time.perf_counter()
        _, state["inputs"] = oracle.prepare(state["asked"], messages(question), folder)
        prepared = time.perf_counter()
        measured = {
            "load_secs": loaded - begin,
            "peak_after_load_mib": peak_mib(),
            "prepare_secs": prepared - loaded,
            "prompt_tokens": float(state["inputs"]["input_ids"].shape[1]),
        }
        prefill()
        return measured

    @torch.inference_mode()
    def prefill() -> dict[str, float]:
        state["asked"].model.model.rope_deltas = None
        begin = time.perf_counter()
        state["asked"].model(**state["inputs"], use_cache=True, logits_to_keep=1)
        return {"prefill_secs": time.perf_counter() - begin}

    @torch.inference_mode()
    def decode() -> dict[str, float]:
        """The time of the tokens after the first, so that the prefill is left out."""
        model, inputs = state["asked"].model, state["inputs"]
        model.model.rope_deltas = None
        length = inputs["input_ids"].shape[1]
        output = model(**inputs, use_cache=True, logits_to_keep=1)
        token = output.logits[:, -1].argmax(-1, keepdim=True)
        delta = model.model.rope_deltas
        begin = time.perf_counter()
        for step in range(NEW_TOKENS - 1):
            position = (torch.tensor([[length + step]]) + delta).expand(3, 1, 1)
            output = model(
                input_ids=token, position_ids=position, past_key_values=output.past_key_values, use_cache=True
            )
            token = output.logits[:, -1].argmax(-1, keepdim=True)
        return {"tokens_per_sec": (NEW_TOKENS - 1) / (time.perf_counter() - begin)}

    def memory() -> dict[str, float]:
        return {"peak_mib": peak_mib()}

    measures = {"load": load, "prefill": prefill, "decode": decode, "memory": memory}
    for line in sys.stdin:
        print(json.dumps(measures[line.strip()]()), flush=True)


def report(measured: dict[str, dict[str, list[float]]]) -> None:
    """A Markdown table of medians, and of ours over theirs."""
    theirs, ours = measured["theirs"], measured["ours"]
    print("| measure | transformers | ours | ours / theirs |")
    print("| --- | ---: | ---: | ---: |")
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        left = statistics.median(theirs[name]) if name in theirs else None
        right = statistics.median(ours[name]) if name in ours else None
        ratio = f"{right / left:.2f}" if left and right is not None else ""
        print(f"| {name} | {number(left)} | {number(right)} | {ratio} |")
    if "prompt_tokens" in ours and ours["prompt_tokens"][0] != theirs["prompt_tokens"][0]:
        sys.exit("the prompts have different lengths: the comparison is void")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 10 else f"{value:.1f}"


if __name__ == "__main__":
    main()
