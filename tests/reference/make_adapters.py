"""Makes `tests/golden/adapters` and `tests/golden/cases/adapters.*`: what PEFT and bitsandbytes answer.

Three adapters with random weights on `qwen2_5_vl-untied`, saved by PEFT; the logits with each of them, merged
and not; the losses of a plain torch loop that trains each; and blocks of 4 and 8 bits.
"""

import json
import shutil
from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch
from peft import LoraConfig, get_peft_model

import oracle
from make_golden import CONTINUATION, write_json, write_tensors

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
CHECKPOINT = "qwen2_5_vl-untied"
CASE = "one-image"

DECODER_LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VISION_LAYERS = ["qkv", "proj", "gate_proj", "up_proj", "down_proj"]

# Settings of PEFT, whether the vision tower is adapted, too, and the deviation of the random factors.
ADAPTERS = {
    "lora": ({"r": 4, "lora_alpha": 8}, False, 0.15),
    "rslora": ({"r": 4, "lora_alpha": 6, "use_rslora": True, "modules_to_save": ["lm_head"]}, True, 0.05),
    "dora": ({"r": 3, "lora_alpha": 6, "use_dora": True}, False, 0.15),
}

# The training loop's constants.
STEPS = 5
TRAINING = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "weight_decay": 0.1}
MAX_GRAD_NORM = 1.0

# PEFT's merged weights against its unmerged ones.
SELF_AGREEMENT = 1e-4

# The losses of the loop in f32 against the same in f64: factors so large that rounding decides where a run goes
# would be worthless as a reference.
LOSS_AGREEMENT = 2e-5


def target_names(model: torch.nn.Module, with_vision: bool) -> list[str]:
    """Full names of the layers, as LlamaFactory gives them for `lora_target: all`."""
    kinds = DECODER_LAYERS + (VISION_LAYERS if with_vision else [])
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and name.rsplit(".", 1)[-1] in kinds
        and (with_vision or "visual" not in name)
    ]


def adapted(name: str, seed: int) -> tuple[oracle.Oracle, torch.nn.Module]:
    """The checkpoint with an adapter that changes every answer."""
    settings, with_vision, deviation = ADAPTERS[name]
    asked = oracle.load(GOLDEN / "checkpoints" / CHECKPOINT)
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=target_names(asked.model, with_vision), **settings)
    model = get_peft_model(asked.model, config)
    model.peft_config["default"].base_model_name_or_path = CHECKPOINT
    torch.manual_seed(seed)
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            if "lora_A" in key or "lora_B" in key:
                parameter.normal_(0.0, deviation)
            elif "lora_magnitude_vector" in key:
                parameter.mul_(1.0 + 0.1 * torch.randn_like(parameter))
            elif "modules_to_save" in key:
                parameter.add_(0.02 * torch.randn_like(parameter))
    return asked, model.eval()


def losses(model: torch.nn.Module, inputs: dict, labels: list[int]) -> list[float]:
    """The mean cross-entropy of the labels before each step of AdamW."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": TRAINING["weight_decay"]},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups,
        lr=TRAINING["learning_rate"],
        betas=(TRAINING["beta_1"], TRAINING["beta_2"]),
        eps=TRAINING["epsilon"],
    )
    prompt_length = inputs["input_ids"].shape[1]
    extended = oracle.with_continuation(inputs, labels)
    found = []
    for _ in range(STEPS):
        scores = model(**extended, use_cache=False).logits[0, prompt_length - 1 : -1]
        loss = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
        optimizer.step()
        found.append(loss.item())
    return found


def describe_adapter(name: str, seed: int) -> tuple[dict, dict]:
    """Saves an adapter; its record and its tensors."""
    asked, model = adapted(name, seed)
    folder = GOLDEN / "adapters" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    # PEFT keeps the names in a set, whose order changes from run to run.
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / "adapter_model.safetensors").chmod(0o644)
    case = json.loads((GOLDEN / "cases" / CHECKPOINT / f"{CASE}.json").read_text(encoding="utf-8"))
    _, inputs = oracle.prepare(asked, case["messages"], GOLDEN / "images")
    labels = case["continuation_token_ids"]
    asked.model = model
    with torch.no_grad():
        logits = oracle.logits(asked, inputs)[0, case["logit_positions"]]
        log_probs = oracle.continuation_log_probs(asked, inputs, labels)
    record = {
        "name": name,
        "checkpoint": CHECKPOINT,
        "case": CASE,
        "continuation": CONTINUATION,
        "continuation_log_probs": log_probs.tolist(),
        "losses": losses(model, inputs, labels),
    }
    double = adapted(name, seed)[1].double()
    exact = losses(double, inputs | {"pixel_values": inputs["pixel_values"].double()}, labels)
    difference = max(abs(loss - other) for loss, other in zip(record["losses"], exact, strict=True))
    assert difference < LOSS_AGREEMENT, f"{name}: losses differ by {difference} from those in f64"
    # The loop has changed the model: the merged logits are those of a fresh one.
    asked, model = adapted(name, seed)
    asked.model = model.merge_and_unload()
    with torch.no_grad():
        merged = oracle.logits(asked, inputs)[0, case["logit_positions"]]
    assert (merged - logits).abs().max() < SELF_AGREEMENT, f"{name}: merged and unmerged differ"
    return record, {f"{name}.logits": logits, f"{name}.merged_logits": merged}


def nf4_by_hand(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Packed codes, scales and the numbers they stand for, from the published table alone."""
    table = np.array(
        [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
         -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
         0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
         0.7229568362236023, 1.0], dtype=np.float32)  # fmt: skip
    blocks = weight.reshape(-1, 64)
    scales = np.abs(blocks).max(axis=1)
    codes = np.abs((blocks / scales[:, None])[..., None] - table).argmin(axis=-1).astype(np.uint8)
    numbers = table[codes] * scales[:, None]
    flat = codes.reshape(-1, 2)
    return flat[:, 0] << 4 | flat[:, 1], scales, numbers.reshape(weight.shape)


def describe_blocks() -> dict[str, np.ndarray]:
    """A matrix whose rows are no whole blocks, in 4 bits by bitsandbytes and by hand, and in 8 bits by hand."""
    weight = np.random.default_rng(7).normal(0.0, 0.05, (96, 56)).astype(np.float32)
    weight[3] *= 20.0
    codes, scales, numbers = nf4_by_hand(weight)
    packed, state = bnb.quantize_4bit(torch.tensor(weight), blocksize=64, quant_type="nf4")
    assert np.array_equal(packed.numpy().ravel(), codes), "bitsandbytes has other codes"
    assert np.array_equal(state.absmax.numpy(), scales), "bitsandbytes has other scales"
    assert np.allclose(bnb.dequantize_4bit(packed, state).numpy(), numbers, atol=1e-7)
    packed, state = bnb.quantize_4bit(torch.tensor(weight), blocksize=64, quant_type="nf4", compress_statistics=True)
    doubly = bnb.dequantize_4bit(packed, state).numpy()
    blocks = weight.reshape(-1, 64)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    eighth = np.rint(blocks / largest * 127.0) * (largest / 127.0)
    return {
        "nf4.weight": weight,
        "nf4.codes": codes,
        "nf4.scales": scales,
        "nf4.numbers": numbers,
        "nf4.double_numbers": doubly,
        "int8.numbers": eighth.reshape(weight.shape).astype(np.float32),
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    records, tensors = [], {}
    for seed, name in enumerate(ADAPTERS):
        record, found = describe_adapter(name, seed)
        records.append(record)
        tensors.update(found)
        print(f"{name:8} losses {record['losses']}")
    tensors.update(describe_blocks())
    training = TRAINING | {"max_grad_norm": MAX_GRAD_NORM}
    write_json(GOLDEN / "cases" / "adapters.json", {"training": training, "adapters": records})
    write_tensors(GOLDEN / "cases" / "adapters.safetensors", tensors)


if __name__ == "__main__":
    main()
