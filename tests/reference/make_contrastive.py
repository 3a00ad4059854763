"""Makes `tests/golden/contrastive`: a tiny random SigLIP and a tiny random CLIP, and what transformers answers.

Every file is a function of this script and of the versions in `requirements.txt`. The SigLIP checkpoint has a
SentencePiece model of its own, with normalisation rules, learnt here; its `tokenizer.json` is the conversion that
the published checkpoints carry, and the golden ids are those of `SiglipTokenizer`, which reads `spiece.model`.
"""

import io
import json
import os
import random
import string
import tempfile
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel
from transformers.convert_slow_tokenizer import import_protobuf
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.clip.tokenization_clip import CLIPTokenizer
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip.tokenization_siglip import SiglipTokenizer

import pictures
from make_golden import write_json, write_tensors

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parent / "golden"
OUT = GOLDEN / "contrastive"
IMAGES = ["rgb.png", "wide.png", "tall.png", "tiny.png", "grey.jpg"]
SEQUENCE = 20
TEXTS = [
    "a photo of a Black-footed  Albatross!",
    "object",
    "Boeing 737-800",
    "Honda Accord Coupe 2012",
    "\uff21\ufb01ne caf\u00e9 \u2014 na\u00efve\u00a0flower",
    "",
    "  ",
    "a photo of the american goldfinch with wings and tail " * 4,
    "\u200b\u9ce5 \u98db\u884c\u200b\u6a5f",
    "it's the collie's <|endoftext|> border",
]
WORDS = (
    "a photo of the airliner bird car flower boeing airbus aircraft engine wings tail petunia mexican collie border "
    "honda coupe black footed albatross object animal 737 320 200 800 american goldfinch"
).split()
# Full width A, the ligature fi, the no-break space and the long dash, as SentencePiece's own rules have them; the
# zero-width space goes.
RULES = "FF21\t41\nFB01\t66 69\nA0\t20\n2014\t2D\n200B\t\n"


def main() -> None:
    torch.set_num_threads(1)
    record = {"texts": TEXTS, "images": IMAGES, "sequence": SEQUENCE}
    tensors = {}
    for name, make in (("siglip", make_siglip), ("clip", make_clip)):
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        model, tokenize, processor = make(folder)
        answers, ids = ask(model, tokenize, processor)
        record[f"{name}_ids"] = ids
        tensors |= {f"{name}.{key}": value for key, value in answers.items()}
    write_json(OUT / "cases.json", record)
    write_tensors(OUT / "cases.safetensors", tensors)


def corpus() -> list[str]:
    rng = random.Random(3)
    return [" ".join(rng.choices(WORDS, k=rng.randint(2, 7))) for _ in range(400)]


@torch.no_grad()
def ask(model, tokenize, processor) -> tuple[dict[str, torch.Tensor], list[list[int]]]:
    """Unit embeddings of all texts and pictures, logits of all pairs, and one picture's pixels."""
    ids = [tokenize(text) for text in TEXTS]
    photos = [pictures.decode(GOLDEN / "images" / file) for file in IMAGES]
    pixels = processor(images=photos, return_tensors="pt")["pixel_values"]
    longest = max(len(row) for row in ids)
    # CLIP reads up to its end token: what stands behind it does not matter.
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    output = model(input_ids=padded, pixel_values=pixels)
    return {
        "pixel_values": pixels,
        "text_embeds": output.text_embeds,
        "image_embeds": output.image_embeds,
        "logits_per_image": output.logits_per_image,
    }, ids


def randomise(model, seed: int) -> None:
    """Wider weights than a fresh model's, and norms and biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith("bias") or name == "logit_bias":
                parameter.copy_(0.1 * noise)
            elif name == "logit_scale":
                parameter.fill_(2.3)
            else:
                parameter.copy_(noise * 0.25)


def save(model, folder: Path, config: dict, preprocessor: dict) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    os.chmod(folder / "model.safetensors", 0o644)
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", preprocessor)


def make_siglip(folder: Path):
    # The published files leave out what is a default: here the activation, and the width of the projection.
    towers = {
        "text_config": {
            "model_type": "siglip_text_model",
            "vocab_size": 160,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": SEQUENCE,
        },
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 56,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            # One row and column of pixels is left over, as in SigLIP's patch 14 at 384 pixels.
            "image_size": 33,
            "patch_size": 8,
        },
    }
    model = SiglipModel(SiglipConfig(**towers)).eval()
    randomise(model, 11)
    preprocessor = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "SiglipProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 33, "width": 33},
    }
    save(model, folder, {"architectures": ["SiglipModel"], "model_type": "siglip", **towers}, preprocessor)
    slow, proto = learn_sentencepiece()
    convert_sentencepiece(proto).save(str(folder / "tokenizer.json"))
    tokens = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    write_json(
        folder / "tokenizer_config.json",
        {"do_lower_case": True, "model_max_length": SEQUENCE, "tokenizer_class": "SiglipTokenizer", **tokens},
    )

    def tokenize(text: str) -> list[int]:
        return slow(text, padding="max_length", truncation=True, max_length=SEQUENCE).input_ids

    return model, tokenize, SiglipImageProcessorPil(**{key: preprocessor[key] for key in ("size", "image_mean", "image_std")})


def learn_sentencepiece():
    """A Unigram model of 160 pieces with normalisation rules, and transformers' tokenizer over it."""
    writer = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch) / "rules.tsv"
        rules.write_text(RULES, encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()),
            model_writer=writer,
            vocab_size=160,
            model_type="unigram",
            normalization_rule_tsv=str(rules),
            control_symbols=["<pad>"],
            pad_id=-1,
            bos_id=-1,
            eos_id=1,
            unk_id=2,
            hard_vocab_limit=False,
            minloglevel=2,
        )
        path = Path(scratch) / "spiece.model"
        path.write_bytes(writer.getvalue())
        slow = SiglipTokenizer(str(path), model_max_length=SEQUENCE)
    proto = import_protobuf().ModelProto()
    proto.ParseFromString(writer.getvalue())
    return slow, proto


def convert_sentencepiece(proto) -> Tokenizer:
    """The conversion that published SigLIP checkpoints carry: canonical text first, then SentencePiece's rules."""
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=proto.trainer_spec.unk_id, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex("[" + "".join("\\" + mark for mark in string.punctuation) + "]"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken("</s>", normalized=False, special=True)])
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(single=["$A", "</s>"], special_tokens=[("</s>", end)])
    return tokenizer


def make_clip(folder: Path):
    tokenizer, vocab_size = learn_clip(folder)
    end = tokenizer.eos_token_id
    towers = {
        "projection_dim": 24,
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": vocab_size,
            "hidden_size": 32,
            "intermediate_size": 48,
            "projection_dim": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": SEQUENCE,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": end,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": 40,
            "intermediate_size": 56,
            "projection_dim": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
    }
    model = CLIPModel(CLIPConfig(**towers)).eval()
    randomise(model, 12)
    preprocessor = {
        "crop_size": 32,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "size": 32,
    }
    save(model, folder, {"architectures": ["CLIPModel"], "model_type": "clip", **towers}, preprocessor)

    def tokenize(text: str) -> list[int]:
        return tokenizer(text, truncation=True, max_length=SEQUENCE).input_ids

    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return model, tokenize, processor


def learn_clip(folder: Path) -> tuple[CLIPTokenizer, int]:
    """A byte-level BPE with CLIP's end-of-word mark, in CLIP's tokenizer."""
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=640, show_progress=False, initial_alphabet=alphabet, end_of_word_suffix="</w>"
    )
    learner.train_from_iterator(corpus(), trainer)
    learnt = json.loads(learner.to_str())["model"]
    vocab = alphabet + [letter + "</w>" for letter in alphabet]
    vocab += [token for token in learnt["vocab"] if token not in set(vocab)]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    merges = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = CLIPTokenizer(
        vocab={token: index for index, token in enumerate(vocab)}, merges=merges, model_max_length=SEQUENCE
    )
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    config = {"model_max_length": SEQUENCE, "tokenizer_class": "CLIPTokenizer", **tokens}
    write_json(folder / "tokenizer_config.json", config)
    return tokenizer, len(vocab)


if __name__ == "__main__":
    main()
