"""A BERT in, one that reads names fast in bfloat16 on a CPU out: the same sums, in an order that a processor's matrix unit likes.

The words of many texts are rows of one matrix, whatever text they belong to, filled up to a few sizes. Otherwise oneDNN compiles each
product anew for every number of rows, an eighth of the time of reading 5,000 names; and lays its weights out anew in every call, a
fifth of each product. Query, key and value are one product; GELU and the sums with what goes past a layer are done by the product
before them. Only the attention goes text by text. The operators are those that torch's own compiler puts in place of a linear layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from embedder.attention import LONGEST, short_attention

__all__ = ["BertReader", "bert_reader"]

ROWS = 2048  # words of the batches to come: the layout of the weights is right for any number, and best for such
FEWEST_ROWS = 32
PLAIN = {  # what a configuration must say for its network to be the one below; a model that does not say it has its default
    "hidden_act": "gelu",
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
}


def bert_reader(model: Any) -> BertReader | None:
    """Give the reader of a model on a CPU, or None where it is no plain BERT or where this build of torch lacks the operators."""
    plain = all(getattr(model.config, name, value) == value for name, value in PLAIN.items())
    if type(model).__name__ != "BertModel" or not plain or model.device.type != "cpu" or not _can_pack():
        return None
    return BertReader(model)


class BertReader:
    """Reads; what is packed can be neither trained nor saved.

    Args:
        model: A `transformers.BertModel`, in fp32 on the CPU; it is not changed.
    """

    def __init__(self, model: Any) -> None:
        self._heads = int(model.config.num_attention_heads)
        words = model.embeddings
        self._words = _half(words.word_embeddings.weight)
        self._positions = _half(words.position_embeddings.weight + words.token_type_embeddings.weight[0])  # names are all of one type
        self._norm = _Norm(words.LayerNorm)
        self._layers = [_Layer(layer) for layer in model.encoder.layer]

    def __call__(self, texts: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Read.

        Args:
            texts: Ids of words, (texts, words) for each length there is.

        Returns:
            The last hidden state of each, (texts, words, width).
        """
        words = sum(ids.numel() for ids in texts)
        ids = torch.zeros(_filled_up(words), dtype=torch.int64)
        places = torch.zeros_like(ids)
        torch.cat([ids_.reshape(-1) for ids_ in texts], out=ids[:words])
        torch.cat([torch.arange(length).repeat(number) for number, length in map(torch.Tensor.size, texts)], out=places[:words])
        rows = self._norm(self._words[ids] + self._positions[places])
        for layer in self._layers:
            query_key_value = layer.query_key_value(rows)
            mixed = torch.zeros_like(rows)
            start = 0
            for number, length in map(torch.Tensor.size, texts):
                part = slice(start, start + number * length)
                by_head = mixed[part].view(number, length, self._heads, -1).transpose(1, 2)
                by_head.copy_(_attend(*query_key_value[part].view(number, length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)))
                start = part.stop
            rows = layer.attended_norm(layer.attended(mixed, past=rows))
            rows = layer.norm(layer.down(layer.up(rows), past=rows))
        lengths = [ids_.numel() for ids_ in texts]
        return [part.view(*ids_.shape, -1) for part, ids_ in zip(torch.split(rows[:words], lengths), texts, strict=True)]

    def weights(self) -> list[torch.Tensor]:
        """Give the weights that are in memory."""
        parts = [part for layer in self._layers for part in vars(layer).values()]
        return [self._words, self._positions, *(weights for part in [self._norm, *parts] for weights in (part.weight, part.bias))]


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    if query.shape[2] <= LONGEST:
        return short_attention(query, key, value, scaling=query.shape[3] ** -0.5)
    return scaled_dot_product_attention(query, key, value)


class _Layer:
    def __init__(self, layer: Any) -> None:
        attention = layer.attention
        self.query_key_value = _Product(attention.self.query, attention.self.key, attention.self.value)
        self.attended = _Product(attention.output.dense)
        self.attended_norm = _Norm(attention.output.LayerNorm)
        self.up = _Product(layer.intermediate.dense, then="gelu")
        self.down = _Product(layer.output.dense)
        self.norm = _Norm(layer.output.LayerNorm)


class _Product:
    """One or more linear layers of the same rows, side by side."""

    def __init__(self, *layers: Any, then: str = "none") -> None:
        weight = torch.cat([layer.weight for layer in layers])
        self.weight = torch.ops.mkldnn._reorder_linear_weight(_half(weight), ROWS)
        self.bias = _half(torch.cat([layer.bias for layer in layers]))
        self._then = then

    def __call__(self, rows: torch.Tensor, past: torch.Tensor | None = None) -> torch.Tensor:
        """Multiply, add the bias, and either what goes past or what comes then."""
        operator = torch.ops.mkldnn._linear_pointwise
        if past is not None:
            product: torch.Tensor = operator.binary(rows, past, self.weight, self.bias, "add")
        else:
            product = operator(rows, self.weight, self.bias, self._then, [], "none" if self._then == "gelu" else "")
        return product


class _Norm:
    def __init__(self, norm: Any) -> None:
        self.weight, self.bias, self._eps = _half(norm.weight), _half(norm.bias), norm.eps

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.layer_norm(rows, rows.shape[-1:], self.weight, self.bias, self._eps)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to(torch.bfloat16).contiguous()


def _filled_up(rows: int) -> int:
    """Give the next power of two.

    >>> [_filled_up(rows) for rows in (1, 33, 2041, 2048)]
    [32, 64, 2048, 2048]
    """
    return max(FEWEST_ROWS, 1 << (rows - 1).bit_length())


def _can_pack() -> bool:
    operators = torch.ops.mkldnn
    wanted = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    return all(hasattr(operators, name) for name in wanted) and bool(operators._is_mkldnn_bf16_supported())
