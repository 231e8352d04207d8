"""A network in bfloat16 in, the same one out with its weights laid out once as the processor's matrix unit wants them.

Otherwise oneDNN lays them out anew in every call, which costs a fifth of each product, and more of a small batch. The two
operators are those that torch's own compiler puts in place of a linear layer on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["PackedLinear", "pack_linears"]

PACKABLE = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")  # model types that ask nothing of a linear layer but its product
ROWS = 2048  # tokens of the batches to come: the layout is right for any number, and best for such


def pack_linears(model: Any) -> None:
    """Pack the linear layers of a model in place, where it is one of those that may be and this build of torch can.

    Only for reading: what is packed can be neither trained, copied nor saved.
    """
    if getattr(model.config, "model_type", None) in PACKABLE and model.device.type == "cpu" and _can_pack():
        _pack(model)


class PackedLinear(nn.Module):
    """A linear layer for reading."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("packed", torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS))
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Multiply, and add the bias."""
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "none", [], "")
        return product


def _pack(network: nn.Module) -> None:
    for name, part in list(network.named_children()):
        if type(part) is nn.Linear and part.weight.dtype == torch.bfloat16:
            setattr(network, name, PackedLinear(part))
        else:
            _pack(part)


def _can_pack() -> bool:
    operators = torch.ops.mkldnn
    wanted = ("_is_mkldnn_bf16_supported", "_reorder_linear_weight", "_linear_pointwise")
    return all(hasattr(operators, name) for name in wanted) and bool(operators._is_mkldnn_bf16_supported())
