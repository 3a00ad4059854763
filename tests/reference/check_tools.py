"""Holds rows with calls of tools, as `sft` trains on them, against LlamaFactory's own code.

`check_tools.py LLAMAFACTORY PROGRAM`: every row of the glaive_toolcall demo sets of a checkout of LlamaFactory must come
to the text, and to the trained text, that its `QwenToolUtils` and the turns of its template `qwen2_vl` make of it.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Tokenizer

CHECKPOINT = Path(__file__).parents[1] / "golden/checkpoints/qwen2_5_vl-untied"
SETS = ("glaive_toolcall_en_demo", "glaive_toolcall_zh_demo")


def load_tool_utils(checkout: Path):
    """LlamaFactory's module alone, without what the package imports."""
    path = checkout / "src/llamafactory/data/tool_utils.py"
    spec = importlib.util.spec_from_file_location("tool_utils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def render(row: dict, utils) -> tuple[str, str]:
    """The whole text of a row, and what of it is trained."""
    tools = json.loads(row["tools"]) if row["tools"] else []
    told = utils.QwenToolUtils.tool_formatter(tools) if tools else ""
    whole = f"<|im_start|>system\nYou are a helpful assistant.{told}<|im_end|>\n"
    trained = ""
    for turn in row["conversations"]:
        text = turn["value"]
        if turn["from"] == "human":
            whole += f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        elif turn["from"] == "observation":
            whole += f"<|im_start|>user\n<tool_response>\n{text}\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
        else:
            if turn["from"] == "function_call":
                calls = json.loads(text)
                calls = calls if isinstance(calls, list) else [calls]
                made = [utils.FunctionCall(call["name"], json.dumps(call["arguments"], ensure_ascii=False)) for call in calls]
                text = utils.QwenToolUtils.function_formatter(made)
            whole += f"{text}<|im_end|>\n"
            trained += f"{text}<|im_end|>\n"
    return whole, trained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llamafactory", type=Path, metavar="LLAMAFACTORY", help="its checkout")
    parser.add_argument("program", type=Path, metavar="PROGRAM", help="trainer-native")
    arguments = parser.parse_args()
    utils = load_tool_utils(arguments.llamafactory)
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    compared = 0
    for name in SETS:
        rows = json.loads((arguments.llamafactory / f"data/{name}.json").read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder) / "recipe.toml"
            recipe.write_text(
                f"model_name_or_path = '{CHECKPOINT}'\ndataset_dir = '{arguments.llamafactory / 'data'}'\n"
                f"dataset = '{name}'\noutput_dir = '{folder}/run'\nmax_steps = 1\ncutoff_len = 100000\n",
                encoding="utf-8",
            )
            command = [arguments.program, "sft", "--recipe", recipe, "--check-data", "--json", "--show", str(len(rows))]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        report = json.loads(run.stdout) if run.stdout else sys.exit(run.stderr)
        if len(report["samples"]) != len(rows):
            sys.exit(f"{name}: {len(report['samples'])} of {len(rows)} rows are trained on: {report['problems'][:3]}")
        for number, (row, sample) in enumerate(zip(rows, report["samples"]), 1):
            whole, trained = render(row, utils)
            found = tokenizer.decode(sample["input_ids"], skip_special_tokens=False)
            for wanted, text in ((whole, found), (trained, sample["trained_text"])):
                if wanted != text:
                    sys.exit(f"{name}, row {number}:\n{text}\ninstead of\n{wanted}")
            compared += 1
    print(f"{compared} rows are rendered and trained as LlamaFactory does")


if __name__ == "__main__":
    main()
