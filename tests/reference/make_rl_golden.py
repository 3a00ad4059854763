"""Makes `tests/golden/rl/objectives.json`: losses of reinforcement learning and their gradients, by torch's autograd.

Everything is written anew here from the formulas of the papers' released code, in f64, by the shortest way and
without a thought for memory: the Rust side must find the same numbers by its own. Cases are random around what is
listed in `CASES`, spread so that every clip and clamp bites somewhere and leaves alone somewhere else; `check_bites`
asserts that of each by its name, and that nothing stands so near an edge that f32 could fall on its other side.
"""

import json
import math
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parent.parent / "golden" / "rl" / "objectives.json"
# Of every answer: whether it is good, and by how much its tokens have become likelier on average.
CASES = [
    dict(seed=5, answers=[(1, 0.6), (-1, -0.7), (-1, 1.5)]),
    dict(seed=9, answers=[(-1, 0.1), (1, -0.5), (1, 0.1)]),
]
# Answer and token that only the picture itself, or only the contrast, makes likely: beyond the bound of a difference.
OWN_ALONE, OTHER_ALONE = (0, 1), (2, 2)
# The one that the reference finds hopeless.
FAR_FROM_REFERENCE = (1, 0)
LENGTHS = [4, 2, 3]
MICRO_BATCHES = [[0, 1], [2]]
VOCAB = 6
# The clip of the surrogates alone; objectives have upper ones of their own.
LOW, HIGH = 0.2, 0.28
DIGITS = 9
# The released bounds of a difference of log-probabilities, of a distance, and of the ratio of a bad answer's token.
LARGEST_DIFFERENCE, LARGEST_DISTANCE, DUAL = 20.0, 10.0, 3.0
# So far from an edge everything stays.
MARGIN = 1e-4


def policy_loss(kind, change, log_prob, advantage, mask, low, high, dual=DUAL, tau=(1.0, 1.05)):
    """`compute_policy_loss` of EasyR1: a loss for every token."""
    if kind in ("gspo", "gspo_token"):
        whole = (change * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True)
        if kind == "gspo":
            change = whole * mask
        else:
            change = whole.detach() + log_prob - log_prob.detach()
    ratio = change.clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE).exp()
    clipped = change.clamp(math.log(1 - low), math.log(1 + high)).exp()
    if kind == "cispo":
        return -advantage * log_prob * clipped.detach()
    if kind == "sapo":
        gates = [4 / t * torch.sigmoid(t * (ratio - 1)) for t in tau]
        return -advantage * torch.where(advantage >= 0, gates[0], gates[1])
    higher = torch.maximum(-advantage * ratio, -advantage * clipped)
    return torch.where(advantage < 0, torch.minimum(higher, -advantage * dual), higher)


def k3(difference):
    difference = difference.clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE)
    return difference.exp() - difference - 1


def kl(kind, log_prob, reference):
    difference = log_prob - reference
    return {
        "k1": lambda: difference,
        "k2": lambda: difference.square() / 2,
        "k3": lambda: k3(-difference).clamp(-LARGEST_DISTANCE, LARGEST_DISTANCE),
        "abs": lambda: difference.abs(),
    }[kind]()


def contrast(ratio, clamp, own, other):
    value = k3(other - own) if ratio == "code" else k3(own - other)
    if clamp == "released":
        return value.clamp(-LARGEST_DISTANCE, LARGEST_DISTANCE)
    if clamp == "soft":
        tail = LARGEST_DISTANCE * (1 + (value.clamp(min=LARGEST_DISTANCE) / LARGEST_DISTANCE).log())
        return torch.where(value > LARGEST_DISTANCE, tail, value)
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


def draw(case):
    torch.manual_seed(case["seed"])
    shape = (len(LENGTHS), max(LENGTHS))
    own = 1.5 * torch.randn(*shape, VOCAB, dtype=torch.float64)
    other = own + 4.0 * torch.randn(*shape, VOCAB, dtype=torch.float64)
    targets = torch.randint(0, VOCAB, shape)
    for (answer, token), likely, unlikely in ((OWN_ALONE, own, other), (OTHER_ALONE, other, own)):
        likely[answer, token, targets[answer, token]] += 8.0
        unlikely[answer, token, targets[answer, token]] -= 34.0
    log_prob = own.log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    signs, shifts = (torch.tensor(column, dtype=torch.float64) for column in zip(*case["answers"]))
    old = log_prob - shifts[:, None] - 0.5 * torch.randn(*shape, dtype=torch.float64)
    reference = log_prob + 3.0 * torch.randn(*shape, dtype=torch.float64)
    reference[FAR_FROM_REFERENCE] -= 14.0
    advantage = signs * (0.3 + torch.rand(len(LENGTHS), dtype=torch.float64))
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
        change = log_prob - drawn["old"][rows]
        tokens = policy_loss("ppo", change, log_prob, advantage, here, LOW, settings["high"])
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


def check_bites(all_drawn):
    """Every clip and clamp bites somewhere and leaves alone somewhere else, and nothing stands on an edge."""
    is_token = torch.cat([padded_mask().bool() for _ in all_drawn])
    column = lambda key: torch.cat([drawn[key] for drawn in all_drawn])
    scored = [[scores(drawn[key], drawn["targets"])[0] for drawn in all_drawn] for key in ("own", "other")]
    log_prob, other = (torch.cat(part) for part in scored)
    advantage = column("advantage")[:, None].expand_as(log_prob)
    change = log_prob - column("old")
    count = is_token.sum(-1, keepdim=True)
    whole = ((change * is_token).sum(-1, keepdim=True) / count).expand_as(change)
    bites = {}
    for kind, moved in (("token", change), ("answer", whole)):
        for high in sorted({HIGH, *(settings["high"] for settings in OBJECTIVES.values())}):
            bites[f"upper clip {high} of a good {kind}"] = (advantage > 0, moved, math.log(1 + high))
        bites[f"lower clip of a bad {kind}"] = (advantage < 0, -moved, -math.log(1 - LOW))
        bites[f"dual clip of a bad {kind}"] = (advantage < 0, moved, math.log(DUAL))
    # CISPO clips whatever the sign.
    bites["upper clip of a bad token"] = (advantage < 0, change, math.log(1 + HIGH))
    bites["lower clip of a good token"] = (advantage > 0, -change, -math.log(1 - LOW))
    everywhere = torch.ones_like(is_token)
    for what, difference in (
        ("reference", column("reference") - log_prob),
        ("contrast by code", other - log_prob),
        ("contrast as printed", log_prob - other),
    ):
        bites[f"{what}: clamp of the distance where it is likelier"] = (difference > 0, k3(difference), LARGEST_DISTANCE)
        bites[f"{what}: clamp of the distance where it is less likely"] = (
            difference < 0,
            k3(difference),
            LARGEST_DISTANCE,
        )
    for what, difference in (("above", other - log_prob), ("below", log_prob - other)):
        bites[f"contrast: bound of the difference from {what}"] = (everywhere, difference, LARGEST_DIFFERENCE)
    for what, (where, value, edge) in bites.items():
        value = value[where & is_token]
        assert (value > edge + MARGIN).any(), f"{what}: bites nowhere"
        assert (value < edge - MARGIN).any(), f"{what}: bites everywhere"
        assert ((value - edge).abs() > MARGIN).all(), f"{what}: something stands on its edge"
        print(f"{what}: {(value > edge).sum()} of {len(value)}")


def main():
    cases = []
    all_drawn = [draw(case) for case in CASES]
    for drawn in all_drawn:
        # What follows shall hold for the numbers that are written.
        for key in ("own", "other", "old", "reference", "advantage"):
            drawn[key] = (drawn[key] * 10**DIGITS).round() / 10**DIGITS
    check_bites(all_drawn)
    for case, drawn in zip(CASES, all_drawn):
        mask = padded_mask()
        log_prob, _ = scores(drawn["own"], drawn["targets"])
        other, _ = scores(drawn["other"], drawn["targets"])
        advantage = drawn["advantage"][:, None].expand_as(mask)
        surrogates = [
            token_case(
                kind,
                lambda own, kind=kind: policy_loss(kind, own - drawn["old"], own, advantage, mask, LOW, HIGH),
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
                seed=case["seed"],
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
    OUT.parent.mkdir(parents=True, exist_ok=True)
    head = dict(lengths=LENGTHS, micro_batches=MICRO_BATCHES, vocab=VOCAB)
    OUT.write_text(json.dumps({**head, "cases": cases}, separators=(",", ":")) + "\n")
    print(OUT, OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
