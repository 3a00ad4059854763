"""The decoder of a checkpoint as an ONNX graph with its cache as inputs and outputs, node by node.

It comes in two forms, both with the weights transposed to `[in, out]`, as exporters leave them, and both ending in
the id of the best token, so that no scores leave the device:

- plain: standard operators alone, as an export from PyTorch has them, but without its repeated keys and values: the
  heads that share a key are folded into rows, as this project does it;
- fused: the operators of onnxruntime that `onnxruntime-genai` builds its models of. Query, key and value are one
  product, and `GroupQueryAttention` turns, stores and attends.
  https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GroupQueryAttention

Inputs: `input_ids` int64 `[1, seq]`; `past.<layer>.key` and `.value` f32 `[1, kv_heads, past, head_dim]`; plain:
`position_ids` int64 `[seq]`; fused: `last_index` int32 `[1]` and `total_length` int32 `[1]`, past and new together.
Outputs: `next_id` int64 `[1, 1]`; `present.<layer>.key` and `.value`, one `seq` longer than `past`.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
# What onnxruntime-web 1.30 and all before it for years read.
IR_VERSION = 8
CONTRIBUTED = "com.microsoft"


class Graph:
    """The graph of one decoder, whose weights have the published names."""

    def __init__(self, config: dict, weights: dict[str, torch.Tensor], is_fused: bool) -> None:
        self.config, self.is_fused = config, is_fused
        self.weights = {name: tensor.numpy() for name, tensor in weights.items()}
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim = config["hidden_size"] // self.heads
        self.layers, self.epsilon = config["num_hidden_layers"], config["rms_norm_eps"]
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self.named = 0

    def save(self, path: Path) -> None:
        """Builds the graph and writes it, weights included."""
        self.build()
        inputs = [value("input_ids", TensorProto.INT64, [1, "seq"])]
        if self.is_fused:
            inputs += [value(name, TensorProto.INT32, [1]) for name in ("last_index", "total_length")]
        else:
            inputs.append(value("position_ids", TensorProto.INT64, ["seq"]))
        outputs = [value("next_id", TensorProto.INT64, [1, 1])]
        for name in (f"{layer}.{kind}" for layer in range(self.layers) for kind in ("key", "value")):
            for when, among in (("past", inputs), ("present", outputs)):
                shape = [1, self.kv_heads, when, self.head_dim]
                among.append(value(f"{when}.{name}", TensorProto.FLOAT, shape))
        graph = helper.make_graph(self.nodes, "decoder", inputs, outputs, list(self.initializers.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)

    def build(self) -> None:
        states = self.node("Gather", self.weight("model.embed_tokens.weight"), "input_ids", axis=0)
        cos, sin = self.angles()
        if not self.is_fused:
            cos, sin = (self.node("Gather", table, "position_ids", axis=0) for table in (cos, sin))
            self.mask()
        branch = None
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            normed, states = self.norm(f"{prefix}.input_layernorm.weight", states, branch)
            attend = self.attend_fused if self.is_fused else self.attend_plain
            branch = self.product(f"{prefix}.self_attn.o_proj", attend(layer, normed, cos, sin))
            normed, states = self.norm(f"{prefix}.post_attention_layernorm.weight", states, branch)
            branch = self.feed_forward(f"{prefix}.mlp", normed)
        normed, _ = self.norm("model.norm.weight", states, branch)
        # Only the last token's scores are wanted.
        last = self.node("Gather", normed, self.constant("last", np.array([-1], np.int64)), axis=1)
        head = self.constant("head", self.weights["model.embed_tokens.weight"].T)
        scores = self.node("MatMul", last, head)
        best = self.node("ArgMax", scores, axis=-1, keepdims=0)
        self.node("Identity", best, outputs=["next_id"])

    def attend_plain(self, layer: int, states: str, cos: str, sin: str) -> str:
        """Attention of standard operators; `cos` and `sin` are `[seq, head_dim / 2]`."""
        prefix, group = f"model.layers.{layer}.self_attn", self.heads // self.kv_heads
        query = self.rotate(self.split(self.product(f"{prefix}.q_proj", states), self.heads), cos, sin)
        key = self.rotate(self.split(self.product(f"{prefix}.k_proj", states), self.kv_heads), cos, sin)
        new_value = self.split(self.product(f"{prefix}.v_proj", states), self.kv_heads)
        key = self.node("Concat", f"past.{layer}.key", key, axis=2, outputs=[f"present.{layer}.key"])
        all_values = self.node("Concat", f"past.{layer}.value", new_value, axis=2, outputs=[f"present.{layer}.value"])
        query = self.node("Mul", query, self.constant("scale", np.float32(self.head_dim**-0.5)))
        query = self.reshape(query, [1, self.kv_heads, -1, self.head_dim])
        scores = self.node("MatMul", query, self.node("Transpose", key, perm=[0, 1, 3, 2]))
        split = self.node("Concat", self.constant("groups", np.array([self.kv_heads, group], np.int64)), "mask_shape", axis=0)
        scores = self.node("Add", self.node("Reshape", scores, split), "mask")
        shares = self.node("Softmax", scores, axis=-1)
        folded = self.node(
            "Concat", self.constant("folded", np.array([1, self.kv_heads, -1], np.int64)), "total", axis=0
        )
        attended = self.node("MatMul", self.node("Reshape", shares, folded), all_values)
        attended = self.reshape(attended, [1, self.heads, -1, self.head_dim])
        attended = self.node("Transpose", attended, perm=[0, 2, 1, 3])
        return self.reshape(attended, [1, -1, self.heads * self.head_dim])

    def attend_fused(self, layer: int, states: str, cos: str, sin: str) -> str:
        """Attention of one operator; `cos` and `sin` are `[positions, head_dim / 2]`."""
        prefix = f"model.layers.{layer}.self_attn"
        names = [f"{prefix}.{kind}_proj" for kind in "qkv"]
        weight = np.concatenate([self.weights[f"{name}.weight"] for name in names])
        bias = np.concatenate([self.weights[f"{name}.bias"] for name in names])
        packed = self.node("MatMul", states, self.constant(f"{prefix}.qkv.weight", weight.T))
        packed = self.node("Add", packed, self.constant(f"{prefix}.qkv.bias", bias))
        pasts = [f"past.{layer}.key", f"past.{layer}.value"]
        return self.node(
            "GroupQueryAttention",
            *[packed, "", "", *pasts, "last_index", "total_length", cos, sin],
            domain=CONTRIBUTED,
            outputs=[f"attended.{layer}", f"present.{layer}.key", f"present.{layer}.value"],
            num_heads=self.heads,
            kv_num_heads=self.kv_heads,
            scale=self.head_dim**-0.5,
            do_rotary=1,
            rotary_interleaved=0,
        )

    def mask(self) -> None:
        """`mask` f32 `[seq, total]`, `mask_shape` its shape, `total` int64 `[1]`: a token sees itself and those before."""
        past = self.node("Shape", "past.0.key", start=2, end=3)
        seq = self.node("Shape", "position_ids")
        total = self.node("Add", past, seq, outputs=["total"])
        zero, one = self.constant("zero", np.int64(0)), self.constant("one", np.int64(1))
        limit = self.node("Squeeze", total, self.constant("first_axis", np.array([0], np.int64)))
        keys = self.node("Range", zero, limit, one)
        rows = self.node("Unsqueeze", "position_ids", self.constant("second_axis", np.array([1], np.int64)))
        hidden = self.constant("hidden_score", np.float32(-1e9))
        visible = self.node("LessOrEqual", keys, rows)
        self.node("Where", visible, self.constant("visible_score", np.float32(0)), hidden, outputs=["mask"])
        self.node("Concat", seq, total, axis=0, outputs=["mask_shape"])

    def angles(self) -> tuple[str, str]:
        """Tables `[positions, head_dim / 2]` of cosines and sines, computed in f32 as the checkpoint's own."""
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.int64).float() / self.head_dim
        frequencies = 1.0 / (self.config["rope_theta"] ** exponents)
        positions = torch.arange(self.config["max_position_embeddings"]).float()
        angles = positions[:, None] * frequencies[None, :]
        return self.constant("cosines", angles.cos().numpy()), self.constant("sines", angles.sin().numpy())

    def rotate(self, states: str, cos: str, sin: str) -> str:
        """Turns `[1, heads, seq, head_dim]` in its half-split form."""
        halves = [self.fresh("half"), self.fresh("half")]
        self.node("Split", states, axis=-1, outputs=halves)
        first, second = halves
        left = self.node("Sub", self.node("Mul", first, cos), self.node("Mul", second, sin))
        right = self.node("Add", self.node("Mul", second, cos), self.node("Mul", first, sin))
        return self.node("Concat", left, right, axis=-1)

    def norm(self, name: str, states: str, branch: str | None) -> tuple[str, str]:
        """Adds a branch, where there is one, and normalises: `(normalised, sum)`."""
        weight = self.weight(name)
        if self.is_fused and branch:
            outputs = [self.fresh("normed"), "", "", self.fresh("sum")]
            options = {"domain": CONTRIBUTED, "epsilon": self.epsilon, "outputs": outputs}
            return self.node("SkipSimplifiedLayerNormalization", states, branch, weight, **options), outputs[3]
        total = self.node("Add", states, branch) if branch else states
        if self.is_fused:
            # onnxruntime keeps this one in the standard domain.
            options = {"axis": -1, "epsilon": self.epsilon, "stash_type": 1}
            return self.node("SimplifiedLayerNormalization", total, weight, **options), total
        squares = self.node("Pow", total, self.constant("two", np.float32(2)))
        mean = self.node("ReduceMean", squares, axes=[-1])
        deviation = self.node("Sqrt", self.node("Add", mean, self.constant("epsilon", np.float32(self.epsilon))))
        return self.node("Mul", self.node("Div", total, deviation), weight), total

    def feed_forward(self, prefix: str, states: str) -> str:
        gate = self.product(f"{prefix}.gate_proj", states)
        gate = self.node("Mul", gate, self.node("Sigmoid", gate))
        return self.product(f"{prefix}.down_proj", self.node("Mul", gate, self.product(f"{prefix}.up_proj", states)))

    def product(self, name: str, states: str) -> str:
        """`states Wᵀ`, and the bias where the checkpoint has one."""
        out = self.node("MatMul", states, self.constant(f"{name}.weight", self.weights[f"{name}.weight"].T))
        return self.node("Add", out, self.weight(f"{name}.bias")) if f"{name}.bias" in self.weights else out

    def split(self, states: str, heads: int) -> str:
        """`[1, seq, heads × head_dim]` to `[1, heads, seq, head_dim]`."""
        return self.node("Transpose", self.reshape(states, [1, -1, heads, self.head_dim]), perm=[0, 2, 1, 3])

    def reshape(self, states: str, shape: list[int]) -> str:
        name = "shape_" + "_".join(map(str, shape))
        return self.node("Reshape", states, self.constant(name, np.array(shape, np.int64)))

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def constant(self, name: str, array: np.ndarray | np.generic) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(np.shape(array)), name)
        return name

    def node(self, kind: str, *inputs: str, outputs: list[str] | None = None, **attributes: object) -> str:
        """Appends a node and returns its first output."""
        outputs = outputs or [self.fresh(kind.lower())]
        self.nodes.append(helper.make_node(kind, list(inputs), outputs, **attributes))
        return outputs[0]

    def fresh(self, kind: str) -> str:
        """A name that no other value has."""
        self.named += 1
        return f"{kind}_{self.named}"


def value(name: str, kind: int, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)
