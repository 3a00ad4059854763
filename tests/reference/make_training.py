"""Makes `golden/cases/training.json`: six steps of fine-tuning by a plain torch loop, in f32, in many settings.

The settings are written in the keys of our recipes, which are LlamaFactory's. The loop is what they mean in
transformers: `torch.optim.AdamW` with weight decay on all but norms and biases, `clip_grad_norm_`, the schedules of
`transformers.get_scheduler`, labels as LlamaFactory's qwen2_vl template sets them, and a step's loss either over all
its labels alike or as the mean of its micro-batches' means. Samples come in the order of the file.

AdamW makes a whole step of a gradient that is nothing but rounding, so that a large learning rate carries the last bits
of the first step into the third digit of the sixth. Every run is made in f64 too, and must stay within `ROUNDING` of
its f32: what is left between torch and others is then theirs.
"""

import json
from pathlib import Path

import torch
from transformers import get_scheduler

import oracle

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
IMAGES = GOLDEN / "images"
STEPS = 6
ROUNDING = 3e-5

# Question, answer, pictures. The answers differ in length, so that means of means differ from means over tokens.
SAMPLES = [
    ("What is it?", "A dot.", ["tiny.png"]),
    ("Which one is it, and why do you say so?", "<think>It is dull.</think><answer>The grey one</answer>", ["grey.png"]),
    ("How do they differ?", "In colour, and the second is grey all over.", ["palette.png", "grey.png"]),
    ("Why?", "Because.", []),
    ("Name it.", "<think>Red, then green, then blue.</think><answer>A palette</answer>", ["palette.png"]),
    ("Is it small?", "Yes, it is.", ["tiny.png"]),
    ("Say nothing much.", "Nothing much, and that at some length, with a comma or two.", []),
    ("What is grey?", "This.", ["grey.png"]),
]

BASE = {
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "learning_rate": 2e-4,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 2,
    "weight_decay": 0.1,
    "max_grad_norm": 1.0,
    "freeze_vision_tower": False,
    "freeze_multi_modal_projector": False,
    "freeze_language_model": False,
}

RUNS = {
    "everything": ("qwen2_5_vl-untied", {}),
    "frozen-vision": ("qwen2_5_vl-untied", {"freeze_vision_tower": True, "freeze_multi_modal_projector": True}),
    "merger-alone": ("qwen2_5_vl-untied", {"freeze_vision_tower": True, "freeze_language_model": True}),
    "vision-alone": ("qwen2_5_vl-untied", {"freeze_multi_modal_projector": True, "freeze_language_model": True}),
    "accumulation": ("qwen2_5_vl-untied", {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4}),
    "mean-of-means": (
        "qwen2_5_vl-untied",
        {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4, "loss_averaging": "micro_batch"},
    ),
    "not-clipped": ("qwen2_5_vl-untied", {"max_grad_norm": 0.0, "lr_scheduler_type": "linear"}),
    "hardly-moved": (
        "qwen2_5_vl-untied",
        {
            "max_grad_norm": 0.05,
            "learning_rate": 1e-4,
            "adam_epsilon": 1e-5,
            "weight_decay": 0.0,
            "lr_scheduler_type": "constant",
            "warmup_steps": 0,
        },
    ),
    "ratio": ("qwen2_5_vl-untied", {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 0, "warmup_ratio": 0.4}),
    "decayed": ("qwen2_5_vl-untied", {"weight_decay": 10.0}),
    "tied": ("qwen2_5_vl-tied-bf16", {}),
    "qwen2-vl": ("qwen2_vl", {}),
}


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    runs = [run(name, checkpoint, BASE | changes) for name, (checkpoint, changes) in RUNS.items()]
    for single in runs:
        double = run(single["name"], single["checkpoint"], single["settings"], torch.float64)
        gap = max(abs(left - right) for left, right in zip(single["losses"], double["losses"]))
        assert gap < ROUNDING, f"{single['name']}: f32 and f64 differ by {gap}"
    by_name = {run["name"]: run["losses"] for run in runs}
    for changed in ("frozen-vision", "mean-of-means", "not-clipped", "decayed"):
        reference = "accumulation" if changed == "mean-of-means" else "everything"
        gap = max(abs(left - right) for left, right in zip(by_name[changed], by_name[reference]))
        assert gap > 1e-2, f"{changed} hardly differs from {reference}: {gap}"
    golden = {"rows": [row(*sample) for sample in SAMPLES], "runs": runs}
    path = GOLDEN / "cases" / "training.json"
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}: {path.stat().st_size} bytes")


def row(question: str, answer: str, images: list[str]) -> dict:
    """The sample in LlamaFactory's sharegpt form."""
    return {
        "conversations": [
            {"from": "human", "value": "<image>" * len(images) + question},
            {"from": "gpt", "value": answer},
        ],
        "images": images,
    }


def sample_inputs(asked: oracle.Oracle, indices: list[int]) -> tuple[dict, torch.Tensor]:
    """A micro-batch, padded on the right, and its labels: the answer, its end token and the newline after it."""
    texts, images, prompt_lengths = [], [], []
    for index in indices:
        question, answer, names = SAMPLES[index]
        parts = [{"type": "image", "image": name} for name in names] + [{"type": "text", "text": question}]
        turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": answer}]
        prompt, inputs = oracle.prepare(asked, turns[:1], IMAGES)
        whole = oracle.render(asked.processor, turns, add_generation_prompt=False)
        assert whole == f"{prompt}{answer}<|im_end|>\n", whole
        texts.append(whole)
        images.extend(oracle.images_of(turns, IMAGES))
        prompt_lengths.append(inputs["input_ids"].shape[1])
    inputs = oracle.encode(asked.processor, texts, images, padding_side="right")
    if images:
        inputs["pixel_values"] = inputs["pixel_values"].to(asked.model.dtype)
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    for labels_row, length in zip(labels, prompt_lengths):
        labels_row[:length] = -100
    return inputs, labels


def loss_sum(asked: oracle.Oracle, indices: list[int]) -> tuple[torch.Tensor, int]:
    """The summed cross-entropy of a micro-batch, and the number of its labels."""
    inputs, labels = sample_inputs(asked, indices)
    logits = asked.model(**inputs, use_cache=False).logits[:, :-1].flatten(0, 1)
    targets = labels[:, 1:].flatten()
    total = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
    return total, int((targets != -100).sum())


def freeze(model: torch.nn.Module, settings: dict) -> None:
    for name, parameter in model.named_parameters():
        part = "visual.merger." if ".merger." in name else "visual." if "visual." in name else ""
        key = {
            "visual.merger.": "freeze_multi_modal_projector",
            "visual.": "freeze_vision_tower",
            "": "freeze_language_model",
        }[part]
        parameter.requires_grad = not settings[key]


def is_decayed(name: str) -> bool:
    """Norms and biases are not."""
    return not (name.endswith(".bias") or "norm" in name or "ln_q" in name)


def run(name: str, checkpoint: str, settings: dict, dtype: torch.dtype = torch.float32) -> dict:
    asked = oracle.load(GOLDEN / "checkpoints" / checkpoint)
    asked.model.to(dtype)
    freeze(asked.model, settings)
    trained = [(name, parameter) for name, parameter in asked.model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for name, parameter in trained if is_decayed(name)], "weight_decay": settings["weight_decay"]},
        {"params": [parameter for name, parameter in trained if not is_decayed(name)], "weight_decay": 0.0},
    ]
    rate, epsilon = settings["learning_rate"], settings.get("adam_epsilon", 1e-8)
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.999), eps=epsilon, foreach=False)
    # As transformers' Trainer: steps win over the ratio, which is rounded up.
    warmup = settings["warmup_steps"] or -int(-settings.get("warmup_ratio", 0.0) * STEPS // 1)
    schedule = get_scheduler(settings["lr_scheduler_type"], optimizer, num_warmup_steps=warmup, num_training_steps=STEPS)
    size, count = settings["per_device_train_batch_size"], settings["gradient_accumulation_steps"]
    batch = size * count
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        start = step * batch % len(SAMPLES)
        micro_batches = [list(range(start + part * size, start + (part + 1) * size)) for part in range(count)]
        sums = [loss_sum(asked, micro_batch) for micro_batch in micro_batches]
        if settings.get("loss_averaging") == "micro_batch":
            loss = sum(total / labels for total, labels in sums) / len(sums)
        else:
            loss = sum(total for total, _ in sums) / sum(labels for _, labels in sums)
        loss.backward()
        parameters = [parameter for _, parameter in trained]
        limit = settings["max_grad_norm"] or float("inf")
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, limit).item())
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    print(f"{name:14} {str(dtype):14} {' '.join(f'{loss:.5f}' for loss in losses)}")
    return {
        "name": name,
        "checkpoint": checkpoint,
        "settings": settings,
        "losses": losses,
        "grad_norms": norms,
        "learning_rates": rates,
    }


if __name__ == "__main__":
    main()
