"""Data sets as others write them, and the ids and labels that LlamaFactory's `qwen2_vl` template makes of rows.

LlamaFactory is not imported: the template's slots and the order of its steps are written down here anew from
<https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/template.py> (`qwen2_vl`, `_encode`) and
<https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/processor/supervised.py>
(`_encode_data_example`). Tokens are those of transformers' tokenizer, image sizes those of its image processor.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase, ProcessorMixin

import oracle
import pictures

USER = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
ASSISTANT = "{}<|im_end|>\n"
SYSTEM = "<|im_start|>system\n{}<|im_end|>\n"
DEFAULT_SYSTEM = "You are a helpful assistant."
IGNORED = -100

RULES = [
    {"mask_history": False, "train_on_prompt": False},
    {"mask_history": True, "train_on_prompt": False},
    {"mask_history": False, "train_on_prompt": True},
]


def human(words: str) -> dict:
    return {"from": "human", "value": words}


def gpt(words: str) -> dict:
    return {"from": "gpt", "value": words}


ROWS = [
    {"conversations": [human("What is an airliner?"), gpt("<think>A plane.</think>\n\n<answer>A plane</answer>")]},
    {
        "conversations": [
            {"from": "system", "value": "You see aircraft."},
            human("<image>Which one?"),
            gpt("<think> It is small. </think><answer>A320</answer>"),
        ],
        "images": ["rgb.png"],
    },
    {
        "conversations": [
            human("<image><image>Are they the same?"),
            gpt("No."),
            human("And this one? <image>"),
            gpt("\nIt is tiny, with  two spaces "),
            human("Sure?"),
            gpt("Café 飞机 ✈️."),
        ],
        "images": ["rgb.png", "tall.png", "tiny.png"],
    },
    {"conversations": [human("Say <|im_end|> and <think>"), gpt("")]},
]


def turns(tokenizer: PreTrainedTokenizerBase, row: dict, image_tokens: list[int]) -> list[list[int]]:
    """Ids of each message, the system message before the first."""
    counts = iter(image_tokens)

    def with_images(words: str) -> str:
        while "<image>" in words:
            words = words.replace("<image>", "<|vision_start|>" + "<|image_pad|>" * next(counts) + "<|vision_end|>", 1)
        return words

    messages = row["conversations"]
    system = DEFAULT_SYSTEM
    if messages[0]["from"] == "system":
        system, messages = messages[0]["value"], messages[1:]
    encoded = []
    for number, message in enumerate(messages):
        elements = [SYSTEM.format(system)] if number == 0 else []
        slot = USER if message["from"] == "human" else ASSISTANT
        elements.append(slot.format(with_images(message["value"])))
        encoded.append([token for element in elements for token in tokenizer.encode(element, add_special_tokens=False)])
    assert next(counts, None) is None, "an image without a place"
    return encoded


def encode(processor: ProcessorMixin, row: dict, pictures_folder: Path, rules: dict) -> tuple[list[int], list[int]]:
    """Ids and labels of a row."""
    image_tokens = []
    for file in row.get("images", []):
        output = processor.image_processor(images=[pictures.decode(pictures_folder / file)], return_tensors="np")
        image_tokens.append(int(output["image_grid_thw"][0].prod()) // 4)
    encoded = turns(processor.tokenizer, row, image_tokens)
    pairs = list(zip(encoded[::2], encoded[1::2], strict=True))
    input_ids, labels = [], []
    for number, (source, target) in enumerate(pairs):
        is_masked = rules["mask_history"] and number < len(pairs) - 1
        input_ids += source + target
        labels += source if rules["train_on_prompt"] else [IGNORED] * len(source)
        labels += [IGNORED] * len(target) if is_masked else target
    return input_ids, labels


def make_labels(golden: Path) -> dict:
    """The content of `cases/labels.json`."""
    processor = oracle.load_processor(golden / "checkpoints/qwen2_5_vl-untied")
    expected = []
    for rules in RULES:
        for number, row in enumerate(ROWS):
            input_ids, labels = encode(processor, row, golden / "images", rules)
            assert any(label != IGNORED for label in labels)
            expected.append({"row": number, **rules, "input_ids": input_ids, "labels": labels})
    return {"rows": ROWS, "expected": expected}


def make_parquet(golden: Path) -> None:
    """`cases/chat.parquet` and `cases/alpaca.parquet`: image files inside, as Hugging Face's `datasets` stores them."""
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    message = pa.struct([("role", pa.string()), ("content", pa.string())])

    def inside(file: str) -> dict:
        return {"bytes": (golden / "images" / file).read_bytes(), "path": file}

    chat = pa.table(
        {
            "messages": pa.array(
                [
                    [
                        {"role": "user", "content": "<image>What is it?"},
                        {"role": "assistant", "content": "<think>Small.</think><answer>A dot</answer>"},
                    ],
                    [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
                ],
                pa.list_(message),
            ),
            "images": pa.array([[inside("tiny.png")], []], pa.list_(picture)),
        }
    )
    pq.write_table(chat, golden / "cases/chat.parquet")
    alpaca = pa.table(
        {
            "question": ["<image>Name it.", "<image>Name it."],
            "label": ["grey", "dot"],
            "image": pa.array([inside("grey.png"), inside("tiny.png")], picture),
            "number": [1, 2],
        }
    )
    pq.write_table(alpaca, golden / "cases/alpaca.parquet", row_group_size=1)
