"""What the golden cases are: conversations, layouts and sizes, as tables."""


def image(file: str) -> dict:
    return {"type": "image", "image": file}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def user(*content: dict) -> dict:
    return {"role": "user", "content": list(content)}


MODEL_CASES = {
    "text-only": [{"role": "user", "content": "What is an airliner?"}],
    "one-image": [user(image("square.png"), text("What is in this picture?"))],
    "image-above-max": [
        {"role": "system", "content": "Answer in one word."},
        user(text("Look: "), image("wide.png"), text(" Which model is it?")),
    ],
    "image-below-min": [user(image("tiny.png"), text("Describe the image."))],
    "two-images": [user(image("rgb.png"), image("tall.png"), text("Are they the same?"))],
    "multi-turn": [
        user(image("rgb.png"), text("What is this?")),
        {"role": "assistant", "content": [text("An airliner, seen from the left.")]},
        user(text("And this one? "), image("tiny.png")),
    ],
}

# Rows of the batch, of different lengths and numbers of images.
BATCH_ROWS = ["text-only", "two-images", "image-below-min"]

# The case whose every stage is kept, and whose greedy answer is also made with a repetition penalty.
STAGES_CASE = "one-image"
PENALTY = 1.3

# Cases whose logits are kept at every position; elsewhere a few positions are enough.
WHOLE_LOGITS = {"text-only"}

PROMPT_CASES = {
    "system-default": ([user(text("Hello, what is this?"))], {}),
    "system-given": (
        [{"role": "system", "content": "You see aircraft."}, user(image("rgb.png"), text("Which one?"))],
        {},
    ),
    "system-parts": ([{"role": "system", "content": [text("Be brief. "), text("Be exact.")]}, user(text("Yes?"))], {}),
    "multi-turn": (MODEL_CASES["multi-turn"], {}),
    "two-images": (MODEL_CASES["two-images"], {}),
    "two-images-with-ids": (MODEL_CASES["two-images"], {"add_vision_id": True}),
    "image-after-text": ([user(text("Before "), image("wide.png"), text(" after"))], {}),
    "plain-string": ([{"role": "user", "content": "Is it plain?"}], {}),
    "no-generation-prompt": (
        [user(image("tiny.png"), text("What?")), {"role": "assistant", "content": "An Airbus A380."}],
        {"add_generation_prompt": False},
    ),
    "unicode": (
        [user(text("Café naïve cafe\u0301 — 飞机 ✈️ 👩‍✈️ 👨‍👩‍👧‍👦 🇫🇷 Ǆ ﬁ Å Å नमस्ते السلام \u200b\ufeff"))],
        {},
    ),
    "code": ([user(text("def f(x):\n\treturn {'a': x[0] ** 2}  # <tag> & \"quote\"\n\n\nprint(f([1.5e-3]))"))], {}),
    "whitespace": ([user(text("  two  spaces\n\n\n  three\r\nlines \t tab \u00a0nbsp\u3000wide\n \n"))], {}),
    "digits": ([user(text("A320-200 747-8 1234567890 3.14 ٣٤٥ ½ ² Ⅷ 10,000ft"))], {}),
    "contractions": ([user(text("It's WE'RE i'll don't O'Neil's 'tis y'all'd've"))], {}),
    "special-tokens-in-text": ([user(text("<think>a</think><|im_end|><tool_call><|endoftext|>b <|im_start|"))], {}),
    "empty": ([user(text(""))], {}),
}

TOKENIZER_TEXTS = [
    "",
    " ",
    "\n",
    "Hello",
    " Hello",
    "hello world",
    "飞机",
    "👩‍✈️",
    "e\u0301",
    "\u1e9b\u0323",
    "a\r\n\r\nb",
    "   a",
    "1234",
    "x1y2",
    "'S 'd",
    "<|im_start|>user\nhi<|im_end|>",
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<answer>A</answer>",
    "\x00\x7f\x80",
]

SMART_RESIZES = [
    # height, width, factor, min_pixels, max_pixels
    *[(size, size, 28, 3136, 12845056) for size in (1, 13, 14, 15, 27, 28, 41, 42, 43, 56, 69, 70, 71, 98, 126, 224)],
    *[(height, 448, 28, 3136, 12845056) for height in (14, 42, 70, 98, 126, 154)],
    (61, 97, 28, 3136, 28224),
    (200, 30, 28, 3136, 28224),
    (140, 280, 28, 3136, 28224),
    (9, 12, 28, 3136, 28224),
    (140, 140, 28, 3136, 12544),
    (168, 168, 28, 3136, 28224),
    (169, 169, 28, 3136, 28224),
    (1080, 1920, 28, 3136, 1003520),
    (1080, 1920, 28, 3136, 12845056),
    (4000, 6000, 28, 3136, 12845056),
    (10000, 10000, 28, 3136, 12845056),
    (768, 1024, 28, 200704, 401408),
    (100, 100, 28, 200704, 401408),
    (500, 500, 32, 65536, 16777216),
    (333, 777, 32, 65536, 262144),
    (1, 200, 28, 3136, 12845056),
    (200, 1, 28, 3136, 12845056),
    (10, 1999, 28, 3136, 12845056),
    (10, 2000, 28, 3136, 12845056),
    (10, 2001, 28, 3136, 12845056),
    (20, 4000, 28, 3136, 28224),
    (2, 401, 28, 3136, 12845056),
    (2479, 3508, 28, 3136, 451584),
    (50, 70, 14, 196, 1960),
]

# picture, target width, target height
RESIZES = [
    ("rgb.png", 112, 56),
    ("rgb.png", 84, 56),
    ("rgb.png", 33, 17),
    ("rgb.png", 97, 30),
    ("rgb.png", 97, 61),
    ("tall.png", 28, 196),
    ("tall.png", 7, 23),
    ("wide.png", 224, 112),
    ("wide.png", 31, 140),
    ("tiny.png", 84, 56),
    ("tiny.png", 5, 71),
    ("square.png", 1, 1),
    ("grey.png", 56, 28),
]

# picture, min_pixels, max_pixels
PIXEL_VALUES = [
    ("rgb.png", 3136, 28224),
    ("tall.png", 3136, 28224),
    ("wide.png", 3136, 12544),
    ("tiny.png", 3136, 28224),
    ("grey.png", 3136, 28224),
]

# Runs of text tokens (a number) and images (a grid of patches [t, h, w]). Images must not touch: transformers
# tells them apart by the text between them.
POSITION_LAYOUTS = [
    [5],
    [3, [1, 4, 4], 2],
    [[1, 2, 2], 1],
    [4, [1, 2, 12], 3],
    [4, [1, 12, 2], 3],
    [2, [1, 4, 6], 1, [1, 8, 2], 5],
    [1, [1, 2, 2], 1, [1, 4, 2], 1, [1, 2, 6], 1],
    [6, [1, 6, 4]],
    [1, [3, 4, 6], 2],
    [2, [1, 16, 10], 3, [1, 2, 4], 2, [1, 4, 4], 7],
]
