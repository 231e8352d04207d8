"""A small target vocabulary and curated mappings in the hashed encoder's space, for tests of linking."""

from __future__ import annotations

from typing import Any

import numpy as np

from embedder import EncoderSpec, open_encoder, unit_rows
from kgbuild.features import Subjects, Terms
from kgbuild.neighbours import Names
from kgbuild.vocabulary import text_id

SITES = [
    "skin",
    "lung",
    "liver",
    "kidney",
    "colon",
    "breast",
    "thyroid",
    "stomach",
    "bladder",
    "ovary",
    "pancreas",
    "larynx",
    "tongue",
    "bone",
    "testis",
    "uterus",
    "rectum",
    "brain",
    "lip",
    "spleen",
]
FORMS = ("malignant neoplasm", "benign neoplasm", "acute inflammation", "chronic inflammation", "injury", "measurement")


def embed(texts: list[str]) -> np.ndarray:
    return unit_rows(open_encoder(EncoderSpec("hashed")).encode(list(texts))).astype(np.float32)


def names(concepts: dict[str, list[str]]) -> Names:
    texts = [name for of in concepts.values() for name in of]
    owners = [row for row, of in enumerate(concepts.values()) for _ in of]
    return Names(list(concepts), texts, np.array(owners, np.int64), embed(texts))


def terms(concepts: dict[str, list[str]], kinds: list[str] | None = None, parents: tuple[tuple[str, str], ...] = ()) -> Terms:
    return Terms(names(concepts), kinds or ["Disease"] * len(concepts), parents)


def subjects(concepts: dict[str, tuple[str, str]]) -> Subjects:
    """Take id -> (name, vocabulary)."""
    return Subjects(names({id_: [name] for id_, (name, _) in concepts.items()}), [vocabulary for _, vocabulary in concepts.values()])


def organ_terms() -> Terms:
    """Six terms for each of twenty organs, most with a synonym."""
    concepts, kinds = {}, []
    for form in FORMS:
        for site in SITES:
            concepts[f"EFO:{len(concepts)}"] = [f"{site} {form}", f"{form} of {site}"]
            kinds.append("Measurement" if form == "measurement" else "Disease")
    return terms(concepts, kinds)


def organ_gold() -> list[dict[str, Any]]:
    """Curated rows: most texts reordered, some residual ones filed under the broader term; two sets of curators."""
    rows = []
    for number, (form, site) in enumerate((form, site) for form in FORMS for site in SITES):
        texts = [
            (f"{form}, {site}", "exact"),
            (f"{form} of the {site}", "exact"),
            (f"Other {form} of {site}", "broad"),
            (f"{site} {form}".title(), "exact"),
        ]
        for line, (text, predicate) in enumerate(texts):
            rows.append(
                {
                    "subject_id": text_id(text), "subject_label": text, "vocabulary": "text", "predicate": predicate, "object_id": f"EFO:{number}",
                    "judged": "valid", "use": "fit", "set": f"curators {line % 2}", "source": "gold", "line": 4 * number + line,
                }
            )  # fmt: skip
    return rows
