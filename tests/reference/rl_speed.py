"""Reinforcement learning side by side: a plain loop over transformers and torch, and our `grpo`, in turns.

The random checkpoint of 110 million parameters from `speed.py`, airliners photos, answers of a fixed length drawn at
temperature 1 from the whole distribution. The loop is the one that people write: `generate` with
`num_return_sequences`, a pass for the older scores, a pass with gradient (clipped surrogate, mean over all tokens, no
reference), micro-batches, a bounded gradient, AdamW. Both are in f32 on two threads and train everything; both have
done once what counts afterwards. A rollout goes from photos on disk to answers, an update from answers to moved
weights; neither's time includes loading. The tables have medians; tokens are new ones, those of answers.

Rollouts are measured with one prompt for all sequences, which ours reads once, and with a prompt each. Ours makes one
update of a step's answers, begins it where the answers were drawn, and so needs no pass for older scores; the last
rows show the loop without that pass as well.

`rl_speed.py DIR --binary PATH` makes the checkpoint in DIR where it is not there yet. A run of ours takes 2 GB there
while it lasts.
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

import evaluate_speed
import speed
import train_speed

QUESTION = "Which aircraft variant is this?"
# Small enough for answers to stay what they are, turn after turn.
LEARNING_RATE = 1e-6
WEIGHT_DECAY = 1e-2
CLIP_LOW = 0.2
CLIP_HIGH = 0.3
LARGEST_NORM = 1.0
# Steps of a run of ours; all but the first count.
STEPS = 2
# Every other answer is right, so that there is something to learn.
JUDGE = """import json, sys
for line in sys.stdin:
    number = json.loads(line)["id"]
    print(json.dumps({"id": number, "overall": number % 2}), flush=True)
"""
JUDGED = {"reward.accuracy": 0.0, "reward.format": 0.0, "reward.command.argv": [sys.executable, "-c", JUDGE]}
# No group is above the bound, so that nothing is learnt; single answers are compared with nobody.
ROLLOUTS_ALONE = {
    "advantage": "reinforce_plus_plus",
    "filter.enabled": True,
    "filter.low": 1.0,
    "filter.high": 2.0,
    "filter.max_tries": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="where the checkpoint is, or is to be made")
    parser.add_argument("--binary", type=Path, required=True, help="trainer-native, built for release")
    parser.add_argument("--only", choices=["rollouts", "steps"], help="one of the two tables; both where absent")
    parser.add_argument(
        "--sequences", type=counts, default="1,8,32,64", help="answers of a rollout (default: %(default)s)"
    )
    parser.add_argument("--prompts", type=int, default=4, help="prompts of a step (default: %(default)s)")
    parser.add_argument("--answers", type=int, default=8, help="answers to each of them (default: %(default)s)")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens of an answer (default: %(default)s)")
    parser.add_argument("--micro-batch", type=int, default=8, help="answers of a micro-batch (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="workers of ours (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(arguments)
        return
    os.environ |= speed.THREAD_SETTINGS
    speed.prepare_folder(arguments.folder)
    if arguments.only != "steps":
        measure_rollouts(arguments)
    if arguments.only != "rollouts":
        measure_steps(arguments)


def counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


def layouts(arguments: argparse.Namespace) -> list[tuple[int, int]]:
    """Prompts, and answers to each: one prompt for all sequences, and a prompt each."""
    pairs = [pair for count in arguments.sequences for pair in ((1, count), (count, 1))]
    return list(dict.fromkeys(pairs))


def measure_rollouts(arguments: argparse.Namespace) -> None:
    worker = start_worker()
    print(f"answers of {arguments.new_tokens} tokens; ours with {arguments.workers} workers\n")
    print("| sequences | prompts | transformers, tokens/s | ours, tokens/s | ours / theirs |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for prompts, answers in layouts(arguments):
        theirs, ours = take_turns(arguments, worker, "draw", prompts, answers)
        tokens = prompts * answers * arguments.new_tokens
        left, right = (tokens / statistics.median(side["rollout_secs"]) for side in (theirs, ours))
        print(f"| {prompts * answers} | {prompts} | {left:.1f} | {right:.1f} | {right / left:.2f} |", flush=True)
    print()
    finish(worker)


def measure_steps(arguments: argparse.Namespace) -> None:
    prompts, answers = arguments.prompts, arguments.answers
    worker = start_worker()
    theirs, ours = take_turns(arguments, worker, "step", prompts, answers)
    peaks = [finish(worker), statistics.median(ours["peak_mib"])]
    length = read_prompt_tokens(arguments)
    if length != theirs["prompt_tokens"][0]:
        sys.exit(f"prompts of {theirs['prompt_tokens'][0]} and {length} tokens: the comparison is void")
    print(
        f"{prompts} prompts of {length} tokens, {answers} answers of {arguments.new_tokens} tokens to each, "
        f"micro-batches of {arguments.micro_batch}; ours with {arguments.workers} workers\n"
    )
    print("| measure | transformers and torch | ours | ours / theirs |")
    print("| --- | ---: | ---: | ---: |")
    tokens = prompts * answers * arguments.new_tokens

    def row(name: str, parts: list[str]) -> None:
        """Tokens a second of some parts of a step together; a part that ours does not have takes it no time."""
        left, right = (tokens / statistics.median(together(side, parts)) for side in (theirs, ours))
        print(f"| {name}, tokens/s | {left:.1f} | {right:.1f} | {right / left:.2f} |")

    row("rollout", ["rollout_secs"])
    row("update", ["scores_secs", "update_secs"])
    row("step", ["rollout_secs", "scores_secs", "update_secs"])
    row("update without older scores", ["update_secs"])
    row("step without older scores", ["rollout_secs", "update_secs"])
    print(f"| peak memory, MiB | {peaks[0]:.0f} | {peaks[1]:.0f} | {peaks[1] / peaks[0]:.2f} |")


def together(side: dict[str, list[float]], parts: list[str]) -> list[float]:
    """Seconds of these parts, turn by turn."""
    return [sum(secs) for secs in zip(*(side[part] for part in parts if part in side))]


def take_turns(
    arguments: argparse.Namespace, worker: subprocess.Popen, what: str, prompts: int, answers: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Theirs and ours: `{what: [measurements]}`."""
    theirs: dict[str, list[float]] = {}
    ours: dict[str, list[float]] = {}
    asked = f"{what} {prompts} {answers}"
    speed.ask(worker, asked)
    for _ in range(arguments.rounds):
        speed.collect(theirs, speed.ask(worker, asked))
        speed.collect(ours, run_ours(arguments, what, prompts, answers))
    return theirs, ours


def start_worker() -> subprocess.Popen:
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def finish(worker: subprocess.Popen) -> float:
    """Peak memory in MiB of a worker that has nothing left to do."""
    worker.stdin.close()
    return train_speed.wait(worker)


def pick_rows(count: int) -> list[dict]:
    """Photos of all classes."""
    lines = (evaluate_speed.AIRLINERS / "train.jsonl").read_text(encoding="utf-8").splitlines()
    if count > len(lines):
        sys.exit(f"there are {len(lines)} photos, not {count}")
    return [json.loads(line) for line in lines[:: len(lines) // count][:count]]


def write_recipe(arguments: argparse.Namespace, what: str, prompts: int, answers: int) -> Path:
    """A run that asks the same rows in every step."""
    folder = arguments.folder
    rows = "".join(json.dumps(row) + "\n" for row in pick_rows(prompts))
    (folder / "rl_rows.jsonl").write_text(rows, encoding="utf-8")
    recipe = {
        "model_name_or_path": str(folder),
        "output_dir": str(folder / "rl_run"),
        "max_steps": STEPS,
        "save_steps": 1000,
        "workers": arguments.workers,
        "data.train_files": [str(folder / "rl_rows.jsonl")],
        "data.image_dir": str(evaluate_speed.AIRLINERS),
        "data.question": QUESTION,
        "data.format_prompt": f"{{content}}\n{evaluate_speed.INSTRUCTION}",
        "rollout.prompts_per_step": prompts,
        "rollout.prompts_per_try": 0,
        "rollout.temperature": 1.0,
        "rollout.top_p": 1.0,
        "rollout.max_new_tokens": arguments.new_tokens,
        "rollout.decode_batch": prompts * answers,
        "update.prompts_per_update": 0,
        "update.micro_batch_size": arguments.micro_batch,
        "update.learning_rate": LEARNING_RATE,
        "update.weight_decay": WEIGHT_DECAY,
        "update.max_grad_norm": LARGEST_NORM,
        "views.anchor.answers": answers,
        "policy.clip_low": CLIP_LOW,
        "policy.clip_high": CLIP_HIGH,
        "kl.coefficient": 0.0,
    }
    recipe |= JUDGED if what == "step" else ROLLOUTS_ALONE
    path = folder / "rl_recipe.toml"
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.items()), encoding="utf-8")
    return path


def run_ours(arguments: argparse.Namespace, what: str, prompts: int, answers: int) -> dict[str, float]:
    """What a run of ours says of itself, and its peak memory."""
    output = arguments.folder / "rl_run"
    shutil.rmtree(output, ignore_errors=True)
    recipe = write_recipe(arguments, what, prompts, answers)
    _, peak = run([arguments.binary, "grpo", "--recipe", recipe, "--device", "flex"])
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    shutil.rmtree(output)
    for line in lines:
        drawn = round(line["rollout_secs"] * line["rollout_tokens_per_sec"])
        if drawn != prompts * answers * arguments.new_tokens:
            sys.exit(f"answers of ours have {drawn / (prompts * answers)} tokens on average")
        if (line["grad_norm"] > 0) != (what == "step") or line["updates_skipped"] > 0:
            sys.exit(f"the gradient of ours has the norm {line['grad_norm']}")
    names = ["rollout_secs", "update_secs"] if what == "step" else ["rollout_secs"]
    medians = {name: statistics.median(line[name] for line in lines[1:]) for name in names}
    return medians | {"peak_mib": peak}


def read_prompt_tokens(arguments: argparse.Namespace) -> int:
    """How long prompts of ours are, which `estimate` tells with their answers."""
    prompts, answers = arguments.prompts, arguments.answers
    recipe = write_recipe(arguments, "step", prompts, answers)
    said, _ = run([arguments.binary, "estimate", "grpo", "--recipe", recipe, "--device", "flex", "--json"])
    return round(json.loads(said)["tokens_per_step"] / (prompts * answers)) - arguments.new_tokens


def run(command: list) -> tuple[str, float]:
    """Output and peak memory in MiB of a program that must succeed."""
    command = [str(part) for part in command]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(command, stdout=output, stderr=talk)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        talk.seek(0)
        if process.returncode != 0:
            sys.exit(f"{talk.read().decode()}ended with {process.returncode}: {' '.join(command)}")
        return output.read().decode(), usage.ru_maxrss / 1024


def serve(arguments: argparse.Namespace) -> None:
    """The child: the plain loop, as much of it as a line of stdin asks for."""
    import torch
    from transformers import GenerationConfig

    import oracle
    import pictures

    torch.set_num_threads(speed.THREADS)
    asked = oracle.load(arguments.folder, attention="sdpa")
    model = asked.model
    model.generation_config = GenerationConfig()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    new_tokens = arguments.new_tokens

    def encode(rows: list[dict]):
        text = f"{QUESTION}\n{evaluate_speed.INSTRUCTION}"
        contents = [[{"type": "image", "image": row["image"]}, {"type": "text", "text": text}] for row in rows]
        prompts = [oracle.render(asked.processor, [{"role": "user", "content": content}]) for content in contents]
        photos = [pictures.decode(evaluate_speed.AIRLINERS / row["image"]) for row in rows]
        return oracle.encode(asked.processor, prompts, photos)

    def draw(inputs, answers: int) -> torch.Tensor:
        """Prompts and answers, a row for every answer."""
        settings = GenerationConfig(
            max_new_tokens=new_tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            num_return_sequences=answers,
            eos_token_id=None,
            pad_token_id=0,
        )
        model.eval()
        drawn = model.generate(**inputs, generation_config=settings)
        prompts, length = inputs["input_ids"].shape
        if drawn.shape != (prompts * answers, length + new_tokens):
            sys.exit(f"transformers drew {list(drawn.shape)} tokens")
        return drawn

    def micro_batches(inputs, drawn: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        """What the model reads to score answers, each behind its own prompt and photo."""
        grids = inputs["image_grid_thw"]
        pixels = inputs["pixel_values"].split(grids.prod(1).tolist())
        answers = len(drawn) // len(grids)
        batches = []
        for rows in torch.arange(len(drawn)).split(arguments.micro_batch):
            prompts = rows // answers
            ones = torch.ones(len(rows), new_tokens, dtype=torch.long)
            batches.append(
                {
                    "input_ids": drawn[rows],
                    "attention_mask": torch.cat([inputs["attention_mask"][prompts], ones], 1),
                    "mm_token_type_ids": torch.cat([inputs["mm_token_type_ids"][prompts], 0 * ones], 1),
                    "pixel_values": torch.cat([pixels[prompt] for prompt in prompts]),
                    "image_grid_thw": grids[prompts],
                }
            )
        return batches

    def score(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The log-probability of every token of the answers."""
        model.model.rope_deltas = None
        logits = model(**batch, use_cache=False, logits_to_keep=new_tokens + 1).logits[:, :-1]
        answers = batch["input_ids"][:, -new_tokens:]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="none")
        return -losses.view(answers.shape)

    def learn(batches: list[dict[str, torch.Tensor]], old: list[torch.Tensor]) -> None:
        model.train()
        tokens = sum(scores.numel() for scores in old)
        for batch, before in zip(batches, old):
            # Every other answer is right.
            advantages = torch.where(torch.arange(len(before)) % 2 == 1, 1.0, -1.0)[:, None]
            ratios = (score(batch) - before).exp()
            bounded = ratios.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
            loss = -torch.minimum(ratios * advantages, bounded * advantages).sum() / tokens
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), LARGEST_NORM)
        optimizer.step()
        optimizer.zero_grad()

    def measure(what: str, prompts: int, answers: int) -> dict[str, float]:
        times = [time.perf_counter()]
        inputs = encode(pick_rows(prompts))
        drawn = draw(inputs, answers)
        times.append(time.perf_counter())
        if what == "step":
            batches = micro_batches(inputs, drawn)
            with torch.no_grad():
                old = [score(batch) for batch in batches]
            times.append(time.perf_counter())
            learn(batches, old)
            times.append(time.perf_counter())
        parts = zip(("rollout_secs", "scores_secs", "update_secs"), times, times[1:])
        secs = {part: end - begin for part, begin, end in parts}
        return secs | {"prompt_tokens": inputs["input_ids"].shape[1]}

    for line in sys.stdin:
        what, prompts, answers = line.split()
        print(json.dumps(measure(what, int(prompts), int(answers))), flush=True)


if __name__ == "__main__":
    main()
