"""Loads an adapter folder with PEFT and holds its log-probabilities against what our `score --adapter` printed.

It shows that what the Rust side trains and saves loads in PEFT unchanged. Exits 1 when anything differs.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from peft import PeftModel

import oracle

# f32 on both sides: only the order of sums differs.
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("adapter", type=Path, metavar="ADAPTER", help="the adapter folder to check")
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="the checkpoint it was trained on")
    parser.add_argument("--messages", type=Path, required=True, metavar="FILE", help="what was asked")
    parser.add_argument("--score", type=Path, required=True, metavar="FILE", help="what `score --adapter --json` printed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    asked = oracle.load(arguments.base)
    score = json.loads(arguments.score.read_text(encoding="utf-8"))
    messages = json.loads(arguments.messages.read_text(encoding="utf-8"))
    _, inputs = oracle.prepare(asked, messages, arguments.messages.parent)
    plain = oracle.continuation_log_probs(asked, inputs, score["token_ids"])
    asked.model = PeftModel.from_pretrained(asked.model, arguments.adapter).eval()
    with torch.no_grad():
        log_probs = oracle.continuation_log_probs(asked, inputs, score["token_ids"])
    difference = (log_probs - torch.tensor(score["log_probs"])).abs().max().item()
    change = (log_probs - plain).abs().max().item()
    print(f"log-probabilities in PEFT  max difference {difference:.3e}, the adapter changed them by up to {change:.3e}")
    if not difference < TOLERANCE < change:
        sys.exit(f"{arguments.adapter} differs in PEFT by more than {TOLERANCE}, or changes nothing")
    print(f"{arguments.adapter} is the same adapter in PEFT")


if __name__ == "__main__":
    main()
