"""Makes `tests/golden/rl/objectives.json`: losses of reinforcement learning and their gradients, by torch's autograd.

Everything is written anew here from the formulas of the papers' released code, in f64, by the shortest way and
without a thought for memory: the Rust side must find the same numbers by its own. Cases are random; logits are
spread far enough for every clip and clamp to bite somewhere, which is asserted.
"""

import json
import math
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parent.parent / "golden" / "rl" / "objectives.json"
SEEDS = [5, 9]
LENGTHS = [4, 2, 3]
MICRO_BATCHES = [[0, 1], [2]]
VOCAB = 6
DIGITS = 9


def policy_loss(kind, change, log_prob, advantage, mask, low, high, dual=3.0, tau=(1.0, 1.05)):
    """`compute_policy_loss` of EasyR1: a loss for every token."""
    if kind in ("gspo", "gspo_token"):
        whole = (change * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)
        if kind == "gspo":
            change = whole * mask
        else:
            change = whole.detach() + log_prob - log_prob.detach()
    ratio = change.clamp(-20, 20).exp()
    clipped = change.clamp(math.log(1 - low), math.log(1 + high)).exp()
    if kind == "cispo":
        return -advantage * log_prob * clipped.detach()
    if kind == "sapo":
        gates = [4 / t * torch.sigmoid(t * (ratio - 1)) for t in tau]
        return -advantage * torch.where(advantage >= 0, gates[0], gates[1])
    higher = torch.maximum(-advantage * ratio, -advantage * clipped)
    return torch.where(advantage < 0, torch.minimum(higher, -advantage * dual), higher)


def k3(difference):
    difference = difference.clamp(-20, 20)
    return difference.exp() - difference - 1


def kl(kind, log_prob, reference):
    difference = log_prob - reference
    return {
        "k1": lambda: difference,
        "k2": lambda: difference.square() / 2,
        "k3": lambda: k3(-difference).clamp(-10, 10),
        "abs": lambda: difference.abs(),
    }[kind]()


def contrast(ratio, clamp, own, other):
    value = k3(other - own) if ratio == "code" else k3(own - other)
    if clamp == "released":
        return value.clamp(-10, 10)
    if clamp == "soft":
        return torch.where(value > 10, 10 * (1 + (value.clamp(min=10) / 10).log()), value)
    return value


OBJECTIVES = {
    "grpo": dict(high=0.3, kl=0.01),
    "dapo": dict(high=0.28),
    "papo": dict(high=0.28, contrast=0.01, own_entropy=0.03, contrast_entropy=0.03),
    "noisy-rollout": dict(high=0.2, own_entropy=-1e-3),
    "tapo": dict(high=0.28, contrast=0.01, own_entropy=0.03, contrast_entropy=0.03),
}
PRESETS = {
    "released": dict(micro_batch_mean=True, clamp="released", gradient=False, true_entropy=False),
    "corrected": dict(micro_batch_mean=False, clamp="soft", gradient=True, true_entropy=True),
}


def padded_mask():
    return torch.tensor([[float(t < n) for t in range(max(LENGTHS))] for n in LENGTHS], dtype=torch.float64)


def draw(seed):
    torch.manual_seed(seed)
    shape = (len(LENGTHS), max(LENGTHS))
    own = 1.5 * torch.randn(*shape, VOCAB, dtype=torch.float64)
    other = own + 4.0 * torch.randn(*shape, VOCAB, dtype=torch.float64)
    targets = torch.randint(0, VOCAB, shape)
    log_prob = own.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    old = log_prob + 0.6 * torch.randn(*shape, dtype=torch.float64)
    reference = log_prob + torch.randn(*shape, dtype=torch.float64)
    advantage = torch.randn(len(LENGTHS), dtype=torch.float64)
    return dict(own=own, other=other, targets=targets, old=old, reference=reference, advantage=advantage)


def scores(logits, targets):
    log_probs = logits.log_softmax(-1)
    return log_probs.gather(-1, targets[..., None])[..., 0], -(log_probs.exp() * log_probs).sum(-1)


def objective_case(name, preset, drawn):
    settings, switches, mask = OBJECTIVES[name], PRESETS[preset], padded_mask()
    own = drawn["own"].clone().requires_grad_()
    other = drawn["other"].clone().requires_grad_()
    # NoisyRollout's code takes the entropy of the distribution.
    true_entropy = switches["true_entropy"] or name == "noisy-rollout"
    loss = torch.zeros((), dtype=torch.float64)
    for rows in MICRO_BATCHES:
        here = mask[rows]
        count = here.sum() * len(MICRO_BATCHES) if switches["micro_batch_mean"] else mask.sum()
        mean = lambda tokens: (tokens * here).sum() / count
        log_prob, entropy = scores(own[rows], drawn["targets"][rows])
        other_log_prob, other_entropy = scores(other[rows], drawn["targets"][rows])
        if not switches["gradient"]:
            other_log_prob, other_entropy = other_log_prob.detach(), other_entropy.detach()
        advantage = drawn["advantage"][rows, None].expand_as(here)
        tokens = policy_loss("ppo", log_prob - drawn["old"][rows], log_prob, advantage, here, 0.2, settings["high"])
        loss = loss + mean(tokens)
        if "kl" in settings:
            loss = loss + settings["kl"] * mean(kl("k3", log_prob, drawn["reference"][rows]))
        if "own_entropy" in settings:
            loss = loss + settings["own_entropy"] * mean(entropy if true_entropy else -log_prob)
        if "contrast" in settings:
            apart = contrast("code", switches["clamp"], log_prob, other_log_prob)
            loss = loss - settings["contrast"] * mean(apart)
            undecided = other_entropy if switches["true_entropy"] else -other_log_prob
            loss = loss + settings["contrast_entropy"] * mean(undecided)
    loss.backward()
    other_gradient = torch.zeros_like(other) if other.grad is None else other.grad
    return dict(
        objective=name, preset=preset, loss=loss.item(), own_gradient=ragged(own.grad), other_gradient=ragged(other_gradient)
    )


def token_case(name, function, log_prob, *others):
    log_prob = log_prob.clone().requires_grad_()
    others = [other.clone().requires_grad_() for other in others]
    mask = padded_mask()
    value = function(log_prob, *others)
    (value * mask).sum().backward()
    case = dict(name=name, tokens=ragged(value), gradient=ragged(log_prob.grad))
    if others and others[0].grad is not None:
        case["other_gradient"] = ragged(others[0].grad)
    return case


def ragged(tensor):
    """Rows without padding; everything inside a row in one list."""
    return [[round(x, DIGITS) for x in row[:n].flatten().tolist()] for row, n in zip(tensor.detach(), LENGTHS)]


def main():
    cases = []
    for seed in SEEDS:
        drawn, mask = draw(seed), padded_mask()
        # What follows shall hold for the numbers that are written.
        for key in ("own", "other", "old", "reference", "advantage"):
            drawn[key] = (drawn[key] * 10**DIGITS).round() / 10**DIGITS
        log_prob, _ = scores(drawn["own"], drawn["targets"])
        other, _ = scores(drawn["other"], drawn["targets"])
        advantage = drawn["advantage"][:, None].expand_as(mask)
        surrogates = [
            token_case(
                kind,
                lambda own, kind=kind: policy_loss(kind, own - drawn["old"], own, advantage, mask, 0.2, 0.28),
                log_prob,
            )
            for kind in ("ppo", "gspo", "gspo_token", "cispo", "sapo")
        ]
        kls = [
            token_case(kind, lambda own, kind=kind: kl(kind, own, drawn["reference"]), log_prob)
            for kind in ("k1", "k2", "k3", "abs")
        ]
        contrasts = [
            token_case(f"{ratio} {clamp}", lambda own, far, r=ratio, c=clamp: contrast(r, c, own, far), log_prob, other)
            for ratio in ("code", "printed")
            for clamp in ("released", "soft", "unbounded")
        ]
        cases.append(
            dict(
                seed=seed,
                targets=[row[:n].tolist() for row, n in zip(drawn["targets"], LENGTHS)],
                own_logits=ragged(drawn["own"]),
                other_logits=ragged(drawn["other"]),
                log_prob=ragged(log_prob),
                other_log_prob=ragged(other),
                old=ragged(drawn["old"]),
                reference=ragged(drawn["reference"]),
                advantage=[round(x, DIGITS) for x in drawn["advantage"].tolist()],
                surrogates=surrogates,
                kls=kls,
                contrasts=contrasts,
                objectives=[objective_case(name, preset, drawn) for name in OBJECTIVES for preset in PRESETS],
            )
        )
    unbounded = [x for c in cases for row in c["contrasts"][2]["tokens"] for x in row]
    assert any(x > 10 for x in unbounded) and any(x < 10 for x in unbounded), "the clamp of contrasts bites somewhere"
    flat = [x for c in cases for row in c["surrogates"][0]["gradient"] for x in row]
    assert any(x == 0 for x in flat) and any(x != 0 for x in flat), "the clip bites somewhere"
    OUT.parent.mkdir(parents=True, exist_ok=True)
    head = dict(lengths=LENGTHS, micro_batches=MICRO_BATCHES, vocab=VOCAB)
    OUT.write_text(json.dumps({**head, "cases": cases}, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
