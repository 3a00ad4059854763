"""Makes `tests/golden/sentence`: a tiny random sentence embedder of the BERT family, and what transformers answers.

The folder is laid out as sentence-transformers lays out all-MiniLM-L6-v2. Vectors are the mean over all tokens of
the last states, divided by their length, as that model's card computes them.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from make_golden import write_json, write_tensors

OUT = Path(__file__).resolve().parent.parent / "golden" / "sentence"
LONGEST = 16
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "black hood",
    "The bird has a bright yellow belly, and two white bars on each wing.",
    "Un caf\u00e9 na\u00efve \u2014 \u9ce5",
    "",
    "long thin curved bill; long thin curved bill; long thin curved bill; long thin curved bill; again",
    "A",
    "  WHITE   wing-bars!  ",
]
CORPUS = [
    "the bird has a black hood and a bright yellow belly with white wing bars on each wing",
    "long thin curved bill grey back orange breast the tail is dark and the legs are short",
    "a narrow body aircraft with two engines under the wings and a high tail",
    "un cafe naive a flower with five petals and a dark centre",
] * 4


def make_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=160, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    tokenizer.decoder = decoders.WordPiece()
    # Published files carry a limit and a padding of their own.
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return tokenizer


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(20261125)
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "1_Pooling").mkdir(parents=True)
    tokenizer = make_tokenizer()
    tokenizer.save(str(OUT / "tokenizer.json"))
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size() + 3,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=32,
        initializer_range=0.4,
    )
    model = BertModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "LayerNorm" in name or name.endswith("bias"):
                weight.add_(torch.randn_like(weight) * 0.2)
    config.architectures = ["BertModel"]
    (OUT / "config.json").write_text(config.to_json_string() + "\n")
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    # Older files carry the numbers of the positions.
    weights["embeddings.position_ids"] = torch.arange(config.max_position_embeddings).unsqueeze(0)
    save_file(weights, OUT / "model.safetensors", metadata={"format": "pt"})
    pooling = {"word_embedding_dimension": 24, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    write_json(OUT / "1_Pooling" / "config.json", pooling)
    write_json(OUT / "sentence_bert_config.json", {"max_seq_length": LONGEST, "do_lower_case": False})

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")
    inputs = fast(TEXTS, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
    with torch.no_grad():
        states = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1).float()
    mean = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    first = torch.nn.functional.normalize(states[:, 0], dim=1)
    products = mean @ mean.T
    spread = (products - torch.eye(len(TEXTS))).abs().max().item()
    assert spread < 0.999, f"two texts have the same vector: {spread}"
    ids = [row[bits.bool()].tolist() for row, bits in zip(inputs["input_ids"], inputs["attention_mask"])]
    assert max(map(len, ids)) == LONGEST, "one text must be cut"
    write_json(OUT / "cases.json", {"texts": TEXTS, "token_ids": ids})
    write_tensors(OUT / "cases.safetensors", {"mean": mean, "first": first})
    print(f"{sum(path.stat().st_size for path in OUT.rglob('*') if path.is_file()) / 1e3:.0f} kB, spread {spread:.3f}")


if __name__ == "__main__":
    main()
