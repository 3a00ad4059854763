"""torch beside `trainer-native gpu-check`: the same measurements of the same sizes on the same device.

Reads one JSON object on stdin (device, sizes, config.json, a prompt, the parts to measure) and writes a measurement a line on stdout, under
the name and in the unit that `gpu-check` has for it. torch alone is enough for the ceilings; the model is transformers',
with random weights that are made on the device, sdpa attention and the cache that it takes by itself.

`gpu-check --torch PYTHON` runs it; by itself: `gpu_peer.py < asked.json`.
"""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

WARM_UPS = 2
LEARNING_RATE = 1e-5
TOP_P = 0.99
CONTRAST = 0.01


@dataclass
class Asked:
    device: torch.device
    dtype: torch.dtype
    sizes: dict
    config: dict
    prompt: dict
    parts: list[str]


def main() -> None:
    asked = json.load(sys.stdin)
    sizes = asked["sizes"]
    device = torch.device(asked["device"])
    dtype = getattr(torch, sizes["dtype"])
    asked = Asked(device, dtype, sizes, asked["config"], asked["prompt"], asked["parts"])
    torch.manual_seed(7)
    if "ceilings" in asked.parts:
        attempt(["copy", "matmul", "product with one row"], lambda: ceilings(asked))
    if "inference" in asked.parts:
        batches = [f"decode, batch {batch}" for batch in sizes["batches"]]
        attempt(["prefill", *batches], lambda: inference(asked))
    for trained in ("LoRA", "full"):
        if "sft" in asked.parts:
            attempt([f"SFT step, {trained}"], lambda: fine_tuning(asked, trained))
        if "tapo" in asked.parts:
            names = [f"TAPO {part}, {trained}" for part in ("rollout", "update", "step")]
            attempt(names, lambda: tapo(asked, trained))


def attempt(names: list[str], measure: Callable[[], None]) -> None:
    """Measures; what fails is told as such under all of its names, and what comes after it is still measured."""
    try:
        measure()
    except (ImportError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        for name in names:
            print(json.dumps({"what": name, "failure": reason}), flush=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tell(what: str, value: float, reserved_bytes: int | None = None) -> None:
    print(json.dumps({"what": what, "value": value, "reserved_bytes": reserved_bytes}), flush=True)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reserved(device: torch.device) -> int | None:
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None


def median_secs(asked: Asked, work: Callable[[], object]) -> float:
    secs = []
    for number in range(WARM_UPS + asked.sizes["rounds"]):
        wait(asked.device)
        begun = time.perf_counter()
        work()
        wait(asked.device)
        if number >= WARM_UPS:
            secs.append(time.perf_counter() - begun)
    return statistics.median(secs)


@torch.inference_mode()
def ceilings(asked: Asked) -> None:
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=asked.device, dtype=asked.dtype)

    size = torch.empty(0, dtype=asked.dtype).element_size()
    numbers = random(1, asked.sizes["copy_bytes"] // size)
    tell("copy", 2 * numbers.numel() * size / median_secs(asked, lambda: numbers * 2) / 1e9)
    del numbers
    side = asked.sizes["matmul_side"]
    left, right, row = random(side, side), random(side, side), random(1, side)
    tell("matmul", 2 * side**3 / median_secs(asked, lambda: left @ right) / 1e12)
    tell("product with one row", side * side * size / median_secs(asked, lambda: row @ left.T) / 1e9)


def make_model(asked: Asked, dtype: torch.dtype):
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = Qwen2_5_VLConfig(**{name: value for name, value in asked.config.items() if name != "torch_dtype"})
    config._attn_implementation = "sdpa"
    # Else the model is made in the precision that the file names.
    config.dtype = dtype
    with torch.device(asked.device):
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            return Qwen2_5_VLForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(previous)


def inputs_of(asked: Asked, answers: torch.Tensor | None = None, rows: int = 1) -> dict[str, torch.Tensor]:
    """The prompt `rows` times, each with its picture, and perhaps an answer behind it."""
    ids = torch.tensor([asked.prompt["ids"]], device=asked.device).repeat(rows, 1)
    if answers is not None:
        ids = torch.cat([ids, answers], 1)
    grids = torch.tensor(asked.prompt["grids"], device=asked.device)
    patches = int(grids.prod(1).sum())
    pixels = torch.randn(patches, asked.prompt["patch_dim"], device=asked.device, dtype=asked.dtype)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": pixels.repeat(rows, 1),
        "image_grid_thw": grids.repeat(rows, 1),
        "mm_token_type_ids": (ids == asked.config["image_token_id"]).int(),
    }


@torch.inference_mode()
def inference(asked: Asked) -> None:
    model = make_model(asked, asked.dtype).eval()
    inputs = inputs_of(asked)
    length = inputs["input_ids"].shape[1]

    def prefill():
        model.model.rope_deltas = None
        return model(**inputs, use_cache=True, logits_to_keep=1)

    tell("prefill", length / median_secs(asked, lambda: prefill().logits.argmax(-1).cpu()))
    steps = asked.sizes["new_tokens"] - 1
    for batch in asked.sizes["batches"]:
        secs = []
        for number in range(1 + asked.sizes["rounds"]):
            output = prefill()
            cache = output.past_key_values
            cache.batch_repeat_interleave(batch)
            token = output.logits[:, -1].argmax(-1, keepdim=True).repeat(batch, 1)
            delta = model.model.rope_deltas
            wait(asked.device)
            begun = time.perf_counter()
            for step in range(steps):
                position = (torch.tensor([[length + step]], device=asked.device) + delta).expand(3, batch, 1)
                output = model(input_ids=token, position_ids=position, past_key_values=cache, use_cache=True)
                token = output.logits[:, -1].argmax(-1, keepdim=True)
                # The host learns every token, as it must to see where an answer ends.
                token.cpu()
            if number > 0:
                secs.append((time.perf_counter() - begun) / steps)
        tell(f"decode, batch {batch}", batch / statistics.median(secs))


def trainable(asked: Asked, trained: str):
    """Weights in f32 under autocast where all are trained, as Trainer's `bf16` has it; frozen ones in the precision."""
    if trained == "full":
        return make_model(asked, torch.float32).train()
    from peft import LoraConfig, get_peft_model

    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=asked.sizes["lora_rank"], target_modules=targets, exclude_modules=".*visual.*")
    return get_peft_model(make_model(asked, asked.dtype), config).train()


def freeze_tower(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if "visual" in name:
            parameter.requires_grad_(False)


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(parameters, lr=LEARNING_RATE, fused=parameters[0].device.type == "cuda")


def token_log_probs(asked: Asked, model, inputs: dict[str, torch.Tensor], count: int) -> torch.Tensor:
    """How likely the last `count` tokens are."""
    with torch.autocast(asked.device.type, asked.dtype, enabled=asked.dtype != torch.float32):
        logits = model(**inputs, use_cache=False, logits_to_keep=count + 1).logits[:, :-1]
    targets = inputs["input_ids"][:, -count:].flatten()
    return -torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets, reduction="none")


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    torch.nn.utils.clip_grad_norm_([parameter for parameter in model.parameters() if parameter.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad()


def fine_tuning(asked: Asked, trained: str) -> None:
    if asked.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(asked.device)
    model = trainable(asked, trained)
    freeze_tower(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = optimizer_of(model)
    samples = asked.sizes["sft_samples"]
    count = asked.prompt["answer_tokens"]
    answers = torch.randint(0, 256, (samples, count), device=asked.device)
    inputs = inputs_of(asked, answers, samples)

    def once() -> None:
        (-token_log_probs(asked, model, inputs, count).mean()).backward()
        step(model, optimizer)

    secs = median_secs(asked, once)
    tell(f"SFT step, {trained}", inputs["input_ids"].numel() / secs, reserved(asked.device))


def tapo(asked: Asked, trained: str) -> None:
    """Answers to two pictures of every question, learnt from with their own picture and held against a third."""
    if asked.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(asked.device)
    sizes = asked.sizes
    model = trainable(asked, trained)
    if trained == "LoRA":
        freeze_tower(model)
    optimizer = optimizer_of(model)
    rows = 2 * sizes["tapo_questions"] * sizes["tapo_answers"]
    tokens, micro = sizes["new_tokens"], sizes["tapo_micro_batch"]

    def draw() -> torch.Tensor:
        model.eval()
        prompt = inputs_of(asked, rows=rows)
        with torch.inference_mode(), torch.autocast(asked.device.type, asked.dtype, enabled=asked.dtype != torch.float32):
            whole = model.generate(
                **prompt, do_sample=True, temperature=1.0, top_p=TOP_P, top_k=0, min_new_tokens=tokens, max_new_tokens=tokens
            )
        model.train()
        return whole[:, prompt["input_ids"].shape[1] :].clone()

    def learn(answers: torch.Tensor) -> None:
        for start in range(0, rows, micro):
            part = answers[start : start + micro]
            other = inputs_of(asked, part, len(part))
            with torch.no_grad():
                away = token_log_probs(asked, model, other, tokens)
            own = token_log_probs(asked, model, inputs_of(asked, part, len(part)), tokens)
            advantage = torch.ones_like(own)
            advantage[::2] = -1
            apart = (away - own).clamp(-10, 10)
            loss = -(torch.exp(own - own.detach()) * advantage) - CONTRAST * (apart.exp() - apart - 1)
            (loss.sum() / (rows * tokens)).backward()
        step(model, optimizer)

    drawing, learning = [], []
    for number in range(1 + sizes["rounds"]):
        wait(asked.device)
        begun = time.perf_counter()
        answers = draw()
        wait(asked.device)
        drawn = time.perf_counter()
        learn(answers)
        wait(asked.device)
        if number > 0:
            drawing.append(drawn - begun)
            learning.append(time.perf_counter() - drawn)
    whole = rows * (len(asked.prompt["ids"]) + tokens)
    draw_secs, learn_secs = statistics.median(drawing), statistics.median(learning)
    tell(f"TAPO rollout, {trained}", rows * tokens / draw_secs)
    tell(f"TAPO update, {trained}", whole / learn_secs)
    tell(f"TAPO step, {trained}", whole / (draw_secs + learn_secs), reserved(asked.device))


if __name__ == "__main__":
    main()
