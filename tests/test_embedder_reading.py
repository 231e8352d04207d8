"""What makes reading names fast on a CPU changes nothing about the vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from embedder import EncoderSpec, open_encoder, unit_rows

pytestmark = pytest.mark.slow

KINDS = ["bert", "distilbert", "electra", "roberta", "xlm-roberta"]


def tiny_model(kind: str) -> Any:
    """Make a tiny network of a kind, with weights large enough for the attention to choose."""
    import torch
    from transformers import AutoConfig, AutoModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 90,
             "max_position_embeddings": 120, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "embedding_size": 32}  # fmt: skip
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(kind, **sizes)).eval()
    for weights in model.parameters():
        if weights.ndim == 2:
            torch.nn.init.normal_(weights, std=0.3)
    return model


def read(model: Any, tokens: int) -> np.ndarray[Any, Any]:
    import torch

    with torch.inference_mode():
        ids = torch.arange(5 * tokens).reshape(5, tokens) % 80 + 5
        return np.asarray(model(input_ids=ids).last_hidden_state.float())


@pytest.mark.parametrize("kind", KINDS)
def test_the_short_attention_gives_what_the_fused_kernel_gives(kind: str) -> None:
    from embedder.attention import NAME, use_short_attention

    model = tiny_model(kind)
    exact = {tokens: read(model, tokens) for tokens in (1, 9, 70)}
    use_short_attention(model)
    assert model.config._attn_implementation == NAME
    for tokens, hidden in exact.items():
        np.testing.assert_allclose(read(model, tokens), hidden, atol=2e-5)


def test_a_mask_is_kept_by_the_short_attention() -> None:
    import torch

    from embedder.attention import use_short_attention

    model = tiny_model("bert")
    use_short_attention(model)
    ids, mask = torch.tensor([[5, 6, 7, 0]]), torch.tensor([[1, 1, 1, 0]])
    with torch.inference_mode():
        masked = model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :3]
        alone = model(input_ids=ids[:, :3]).last_hidden_state
    torch.testing.assert_close(masked, alone, atol=2e-5, rtol=0)


def test_a_logit_beyond_what_a_float_holds_takes_the_whole_share() -> None:
    import torch

    from embedder.attention import short_attention

    query = torch.tensor([[[[300.0], [0.0]]]])
    value = torch.tensor([[[[1.0], [3.0]]]])
    assert short_attention(query, torch.tensor([[[[1.0], [0.0]]]]), value, scaling=1.0).flatten().tolist() == [1.0, 2.0]


def test_a_reader_of_a_bert_gives_what_the_network_gives() -> None:
    import torch

    from embedder.bert import bert_reader

    model = tiny_model("bert")
    reader = bert_reader(model)
    if reader is None:  # a build of torch, or a processor, that cannot pack
        assert not torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return
    texts = [torch.arange(number * length).reshape(number, length) % 80 + 5 for number, length in ((1, 1), (5, 9), (3, 33), (2, 70))]
    with torch.inference_mode():
        for ids, hidden in zip(texts, reader(texts), strict=True):
            exact = model(input_ids=ids).last_hidden_state
            assert hidden.shape == exact.shape
            assert torch.cosine_similarity(hidden.float(), exact, dim=-1).min() > 0.999
    assert {weights.dtype for weights in reader.weights()} == {torch.bfloat16}
    layer = 4 * 2 + 2 * 2  # four products, two norms
    assert len(reader.weights()) == 2 + 2 + 2 * layer


@pytest.mark.parametrize("change", [{"hidden_act": "gelu_new"}, {"is_decoder": True}])
def test_what_is_no_plain_bert_has_no_reader(change: dict[str, Any]) -> None:
    from embedder.bert import bert_reader

    model = tiny_model("bert")
    for name, value in change.items():
        setattr(model.config, name, value)
    assert bert_reader(model) is None
    assert bert_reader(tiny_model("electra")) is None


def test_the_packaged_model_in_bfloat16_agrees_with_one_text_at_a_time_in_fp32() -> None:
    import torch
    from transformers import AutoModel

    from embedder.encoder import _packaged

    texts = ["asthma", "type 2 diabetes mellitus", "body mass index adjusted for smoking", "age at onset of Parkinson's disease"]
    encoder = open_encoder(EncoderSpec("minilm", precision="bf16"))
    stock = AutoModel.from_pretrained(str(_packaged()))
    with torch.inference_mode():
        exact = [stock(input_ids=torch.tensor([ids])).last_hidden_state.mean(dim=1)[0].numpy() for ids in encoder.tokens(texts)]  # type: ignore[attr-defined]
    assert (unit_rows(encoder.encode(texts)) * unit_rows(np.stack(exact))).sum(axis=1).min() > 0.9995


def test_a_tuned_copy_of_an_encoder_in_bfloat16_reads_with_its_own_weights() -> None:
    encoder: Any = open_encoder(EncoderSpec("minilm", precision="bf16"))
    same = encoder.with_module(encoder.module_to_train())
    assert (unit_rows(same.encode(["gout"])) @ unit_rows(encoder.encode(["gout"])).T).min() > 0.9999
