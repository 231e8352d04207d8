"""Training data small enough to check by eye, and a random BERT of two layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from embedder import PRESETS, HashedNgramEncoder, Task, TrainingData

ENCODER = HashedNgramEncoder(64)
SMALL = replace(PRESETS["default"], dimension=32, epochs=30, batch_size=16, precision="fp32")


def little_data(n_traits: int = 8, n_snps: int = 24) -> TrainingData:
    """Each SNP goes with one trait; SNPs of a trait share a block; the last SNP has a block and no pair."""
    snps = np.arange(n_snps - 1)
    trait = snps % n_traits
    gwas = Task("gwas", trait, snps, np.ones(len(snps), dtype=np.float32), "text", "snp", left_group=trait, right_group=trait)
    words = Task("synonyms", np.arange(n_traits), np.arange(n_traits) + n_traits, np.ones(n_traits, dtype=np.float32))
    texts = [f"trait {chr(97 + i) * 5}" for i in range(n_traits)] + [f"{chr(97 + i) * 5} disease" for i in range(n_traits)]
    return TrainingData(texts, [f"dbsnp:rs{i + 1}" for i in range(n_snps)], np.arange(n_snps) % n_traits, [gwas, words])


def write_tiny_bert(folder: Path) -> Path:
    """Write a random BERT of two layers with a tokenizer of letters."""
    import torch
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    vocabulary = {token: number for number, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters])}
    vocabulary |= {f"##{token}": len(vocabulary) + number for number, token in enumerate(letters)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_padding(length=64)  # as MiniLM's file does
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"
    ).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 128}
    BertModel(BertConfig(vocab_size=len(vocabulary), **sizes)).save_pretrained(folder)
    return folder
