"""A transformer in, the same one out with an attention that is made for names: a dozen tokens, no mask.

The fused kernels of torch are made for long texts: on ten tokens they spend their time on starting up, once for each text and
head. Here all texts and heads of a batch are two batched products in fp32, and the softmax between them runs over the whole
array, since rows of ten numbers do not fill a vector register.
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["short_attention", "use_short_attention"]

NAME = "short"  # what transformers calls it
LONGEST = 64  # tokens; longer texts are left to the fused kernel
LARGEST_LOGIT = 80.0  # e^80 is a float still: no maximum has to be taken away first; what lies beyond counts as this


def use_short_attention(model: Any) -> None:
    """Let a model on a CPU attend by `short_attention` where it may, and by torch's fused kernel as before elsewhere."""
    if getattr(model.config, "_attn_implementation", None) != "sdpa" or model.device.type != "cpu":
        return
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import sdpa_mask
    except ImportError:  # an older release: it stays as it is
        return
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def short_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scaling: float) -> torch.Tensor:
    """Attend everywhere.

    Args:
        query: (texts, heads, tokens, width).
        key: Likewise.
        value: Likewise.
        scaling: What the products are multiplied by.

    Returns:
        (texts, heads, tokens, width), in fp32.
    """
    texts, heads, tokens, width = query.shape
    q, k, v = (_laid_out(side).view(texts * heads, tokens, width) for side in (query, key, value))
    share = torch.baddbmm(q.new_empty(1), q, k.transpose(1, 2), beta=0, alpha=scaling).clamp_(max=LARGEST_LOGIT).exp_()
    total = share.reshape(-1, tokens) @ share.new_ones(tokens, 1)  # a product, since sums of short rows are slow as well
    return torch.bmm(share, v).div_(total.view(texts * heads, tokens, 1)).view(texts, heads, tokens, width)


def _laid_out(side: torch.Tensor) -> torch.Tensor:
    """Lay out by text and head and widen, in one go; `to` and `contiguous` go twice."""
    return torch.empty(side.shape).copy_(side) if side.dtype != torch.float32 else side.contiguous()


def _attend(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: torch.Tensor | None, **more: Any
) -> tuple[torch.Tensor, None]:
    """Do what transformers asks of an attention."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    one_way = more["is_causal"] if more.get("is_causal") is not None else getattr(module, "is_causal", True)
    plain = attention_mask is None and not one_way and not more.get("dropout") and more.get("position_bias") is None
    if plain and query.shape == key.shape == value.shape and query.shape[2] <= LONGEST and (scaling := more.get("scaling")):
        return short_attention(query, key, value, scaling=scaling).transpose(1, 2).to(query.dtype).contiguous(), None
    attended: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    return attended
