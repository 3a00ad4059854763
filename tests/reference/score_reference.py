"""Prints, as one JSON object, what transformers makes of a conversation and a continuation.

The messages file is a JSON list of messages with content parts, pictures named by path relative to the file:
`[{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]}]`.
"""

import argparse
import json
from pathlib import Path

import torch

import oracle


def score(folder: Path, messages_file: Path, continuation: str) -> dict:
    """The prompt, its tokens and positions, and the continuation's tokens with their log-probabilities."""
    asked = oracle.load(folder)
    messages = json.loads(messages_file.read_text(encoding="utf-8"))
    prompt, inputs = oracle.prepare(asked, messages, messages_file.parent)
    position_ids, deltas = oracle.positions(asked, inputs)
    tokens = asked.processor.tokenizer(continuation)["input_ids"]
    log_probs = oracle.continuation_log_probs(asked, inputs, tokens)
    return {
        "prompt": prompt,
        "prompt_token_ids": inputs["input_ids"][0].tolist(),
        "image_grid_thw": inputs["image_grid_thw"].tolist() if "image_grid_thw" in inputs else [],
        "position_ids": position_ids[:, 0].tolist(),
        "rope_delta": deltas.item(),
        "token_ids": tokens,
        "log_probs": log_probs.tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the checkpoint folder")
    parser.add_argument("--messages", type=Path, required=True, metavar="FILE", help="the conversation, as JSON")
    parser.add_argument("--continuation", required=True, metavar="TEXT", help="the answer to score")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(score(arguments.model, arguments.messages, arguments.continuation), ensure_ascii=False))


if __name__ == "__main__":
    main()
