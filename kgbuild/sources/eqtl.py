"""An eQTL table (variant, gene, beta, se, p, under the names that common sources use) comes in; variant-gene associations go out.

The work is done by distinct cell and by column: half a million rows take seconds. An association keeps the allele its effect
belongs to; GTEx names variants `chr_pos_ref_alt_b38`, and its slope is for ALT.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import head, header_of, read_columns
from kgbuild.sources.measures import GENOME_WIDE, NamedVariant, clean, in_mhc, is_palindromic, number, p_value, rs_or_place, sequence
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import content_id, gene_symbol_id

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["VERSION", "gene_id", "read", "recognise"]

VERSION = 1

_REQUIRED = {
    "variant": ("rsid", "rs_id", "rs_id_dbSNP155_GRCh38p13", "rs_id_dbSNP151_GRCh38p7", "SNP", "snps", "snp_id", "variant_id", "variant"),
    "gene": ("gene_id", "Phenotype", "phenotype_id", "molecular_trait_id", "ensembl_gene_id", "gene"),
    "p": ("pval", "p", "pvalue", "p_value", "p-value", "pval_nominal"),
}
_OPTIONAL = {
    "beta": ("beta", "slope", "effect", "b"),
    "se": ("se", "slope_se", "standard_error", "beta_se"),
    "effect_allele": ("effect_allele", "alt", "alt_allele", "assessed_allele"),
    "other_allele": ("other_allele", "ref", "ref_allele", "non_effect_allele"),
    "frequency": ("eaf", "effect_allele_frequency"),
    "n": ("n", "samplesize", "sample_size", "n_samples"),
    "tissue": ("tissue", "tissue_label", "qtl_group"),
    "symbol": ("gene_name", "gene_symbol", "symbol", "hgnc"),
}
_GENE = re.compile(r"ENSG\d{11}")
_HALF_INTERVAL = 1.959963984540054  # standard errors on either side, 95 %


def recognise(sample: Sample) -> Recognised | None:
    """Know an eQTL table by its columns and by Ensembl gene ids in the one that should hold genes."""
    delimiter, names = header_of(sample.lines)
    places = {name.casefold(): place for place, name in reversed(list(enumerate(names)))}
    spellings = {**_REQUIRED, **_OPTIONAL}
    found = {key: next((places[s.casefold()] for s in spellings[key] if s.casefold() in places), -1) for key in spellings}
    if min(found[key] for key in ("variant", "gene", "p", "beta")) < 0:
        return None
    rows = [line.split(delimiter) for line in sample.lines[1:51]]
    genes = [row[found["gene"]].strip('" ') for row in rows if len(row) > found["gene"]]
    if not genes or sum(bool(_GENE.match(gene)) for gene in genes) * 2 < len(genes):
        return None
    tissue = re.sub(r"[_-]*eqtls?\b.*", "", sample.path.name.partition(".")[0], flags=re.IGNORECASE).replace("_", " ")
    why = f"columns {names[found['variant']]}, {names[found['gene']]} (Ensembl gene ids) and {names[found['p']]}"
    options = {} if found["tissue"] >= 0 else {"tissue": tissue}
    return Recognised("eqtl", version_in(sample.path.name), why, options, subset=says_subset(sample.path.name))


def gene_id(cell: str) -> str:
    """Give the id of a gene: an Ensembl id without its version, else a symbol.

    >>> gene_id("ENSG00000000460.11"), gene_id("ENSG00000182378.13_PAR_Y"), gene_id("TCF7L2")
    ('ensembl:ENSG00000000460', 'ensembl:ENSG00000182378', 'symbol:TCF7L2')
    """
    match = _GENE.match(cell.strip())
    return f"ensembl:{match[0]}" if match else gene_symbol_id(cell)


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read variant-gene associations.

    Options: `tissue` (for a table without such a column), `p_threshold` (rows above it are rejected), `build` (of the places in
    variants' names that do not state it).

    Raises:
        SourceError: A column is missing, or the file is damaged.
    """
    delimiter, _ = header_of(head(path, 1))
    table, malformed = read_columns(path, delimiter=delimiter, quoted=delimiter != "\t", columns=_REQUIRED, optional=_OPTIONAL)
    ledger = Ledger(source)
    for line, what in malformed:
        ledger.reject(line, "wrong number of cells", what)
    frame = table.to_pandas(strings_to_categorical=True)
    frame = _readable(frame, ledger, options.get("p_threshold"))
    frame = _without_repeats(frame, ledger)
    ledger.keep(0, rows=len(frame))
    variants = [rs_or_place(name, options.get("build")) for name in frame["variant"].cat.categories]
    made = {
        "associations": _associations(frame, variants, source, str(options.get("tissue") or "") or None),
        "variants": _variants(frame, variants, source),
        "genes": _genes(frame, source),
    }
    return Harvest(made, ledger, version_in(path.name))


def _each(frame: pd.DataFrame, name: str, function: Callable[[str], Any]) -> np.ndarray[Any, Any]:
    """Apply a function to each distinct cell of a column; None all the way when the file has no such column."""
    import numpy as np

    if name not in frame:
        return np.full(len(frame), None, dtype=object)
    values = np.empty(len(frame[name].cat.categories) + 1, dtype=object)
    values[:-1] = [function(cell) for cell in frame[name].cat.categories]
    return values[frame[name].cat.codes.to_numpy()]  # type: ignore[no-any-return]


def _numbers(frame: pd.DataFrame, name: str) -> np.ndarray[Any, Any]:
    return _each(frame, name, number).astype(float)


def _readable(frame: pd.DataFrame, ledger: Ledger, threshold: float | None) -> pd.DataFrame:
    """Reject rows without a variant, a gene or a readable p, or above the threshold; add the columns neg_log10_p and p_censored."""
    import numpy as np

    parsed = {cell: p_value(cell) for cell in frame["p"].cat.categories}
    frame["neg_log10_p"] = _each(frame, "p", lambda cell: p.neg_log10 if (p := parsed[cell]) else None).astype(float)
    frame["p_censored"] = _each(frame, "p", lambda cell: bool((p := parsed[cell]) and p.censored)).astype(bool)
    least = -math.log10(threshold) - 1e-9 if threshold else -1.0
    checks = {
        "no variant": ("variant", _each(frame, "variant", _is_blank).astype(bool)),
        "no gene": ("gene", _each(frame, "gene", _is_blank).astype(bool)),
        "p is not a number from 0 to 1": ("p", frame["neg_log10_p"].isna().to_numpy()),
        "p above the threshold": ("p", (frame["neg_log10_p"] < least).to_numpy()),
    }
    left = np.ones(len(frame), dtype=bool)
    for reason, (column, bad) in checks.items():
        rejected = frame[left & bad]
        if len(rejected):
            ledger.reject_many(rejected["line"].tolist(), reason, rejected[column].astype(str).tolist())
        left &= ~bad
    return frame[left].reset_index(drop=True)


def _is_blank(cell: str) -> bool:
    return clean(cell) in {"", "NA", "."}


def _without_repeats(frame: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """Merge rows that are the same in every column that is read."""
    cells = [name for name in frame.columns if name != "line"]
    again = frame.duplicated(cells)
    if again.any():
        alike = frame[frame.duplicated(cells, keep=False)]
        first = alike.groupby(cells, observed=True)["line"].transform("min")
        ledger.merge_many(frame["line"][again].tolist(), "the same row again", [f"line {line}" for line in first[again]])
    return frame[~again].reset_index(drop=True)


def _associations(frame: pd.DataFrame, variants: Sequence[NamedVariant], source: str, tissue: str | None) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    n = len(frame)
    beta, se, samples = _numbers(frame, "beta"), _numbers(frame, "se"), _numbers(frame, "n")
    frequency = _numbers(frame, "frequency")
    frequency[~((frequency >= 0) & (frequency <= 1))] = np.nan
    tissues = _each(frame, "tissue", lambda cell: clean(cell) or tissue) if "tissue" in frame else np.full(n, tissue, dtype=object)
    effect_allele, other_allele = _alleles(frame, variants)
    named = np.array([allele is not None for allele in effect_allele], dtype=bool)
    neg_log10_p = frame["neg_log10_p"].to_numpy()
    columns = {
        "id": _ids(tissues, _each(frame, "gene", gene_id), _each(frame, "variant", clean), effect_allele, other_allele, frame),
        "kind": pa.repeat("eqtl", n),
        "variant_id": _of_variant(frame, [v.id for v in variants]),
        "object_id": _each(frame, "gene", gene_id),
        "object_name": _each(frame, "gene", clean),
        "tissue": tissues,
        "neg_log10_p": neg_log10_p,
        "p_censored": frame["p_censored"],
        "genome_wide": neg_log10_p >= GENOME_WIDE,
        "effect_type": _chosen(n, {"beta": ~np.isnan(beta)}),
        "effect": beta,
        "direction": _chosen(n, {"increase": named & (beta > 0), "decrease": named & (beta < 0)}),
        "effect_lower": beta - _HALF_INTERVAL * se,
        "effect_upper": beta + _HALF_INTERVAL * se,
        "se": se,
        "effect_allele": effect_allele,
        "other_allele": other_allele,
        "effect_allele_frequency": frequency,
        "n": pa.array(samples, from_pandas=True).cast(pa.int64(), safe=False),
        "flags": _flags(
            {
                "subsignificant": neg_log10_p < GENOME_WIDE,
                "p_censored": frame["p_censored"].to_numpy(),
                "no_effect": np.isnan(beta),
                "no_effect_allele": ~named,
                "palindromic": np.array([is_palindromic(*pair) for pair in zip(effect_allele, other_allele, strict=True)], dtype=bool),
                "not_an_rs_id": _of_variant(frame, [v.kind == "other" for v in variants]).astype(bool),
            }
        ),
        "source": pa.repeat(source, n),
        "line": frame["line"],
    }
    return tables.from_columns("associations", n, columns)


def _of_variant(frame: pd.DataFrame, values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Spread values, one for each distinct variant name, over the rows."""
    import numpy as np

    return np.array(values, dtype=object)[frame["variant"].cat.codes.to_numpy()]  # type: ignore[no-any-return]


def _alleles(frame: pd.DataFrame, variants: Sequence[NamedVariant]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give the effect allele and the other one: as the columns say, else ALT and REF of the variant's name."""
    if "effect_allele" in frame:
        return _each(frame, "effect_allele", sequence), _each(frame, "other_allele", sequence)
    return _of_variant(frame, [v.alt for v in variants]), _of_variant(frame, [v.ref for v in variants])


def _chosen(n: int, choices: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Give each row the word whose mask holds for it, else None."""
    import numpy as np

    words = np.full(n, None, dtype=object)
    for word, mask in choices.items():
        words[mask] = word
    return words


def _ids(*parts: Any) -> list[str]:
    """Hash what identifies a row (tissue, gene, variant, alleles), with an ordinal among equals that only their content decides."""
    *identity, frame = parts
    keys = list(zip(*([cell or "" for cell in column] for column in identity), strict=True))
    ordinals = [0] * len(keys)
    if len(set(keys)) < len(keys):
        groups: dict[tuple[str, ...], list[int]] = {}
        for place, key in enumerate(keys):
            groups.setdefault(key, []).append(place)
        for places in groups.values():
            if len(places) > 1:
                cells = frame.iloc[places].drop(columns="line").astype(str).agg("\x1f".join, axis=1)
                for ordinal, place in enumerate(cells.sort_values(kind="stable").index):
                    ordinals[place] = ordinal
    return [content_id("association", "eqtl", *key, str(ordinal)) for key, ordinal in zip(keys, ordinals, strict=True)]


def _flags(masks: Mapping[str, np.ndarray[Any, Any]]) -> pa.Array:
    """Give each row the list of the flags that hold for it: one list is made for each combination, and taken."""
    import numpy as np
    import pyarrow as pa

    bits = sum(mask.astype(np.int64) << place for place, mask in enumerate(masks.values()))
    distinct, inverse = np.unique(bits, return_inverse=True)
    lists = [[flag for place, flag in enumerate(masks) if code >> place & 1] for code in distinct.tolist()]
    return pa.array(lists, pa.list_(pa.string())).take(pa.array(inverse))


def _variants(frame: pd.DataFrame, variants: Sequence[NamedVariant], source: str) -> pa.Table:
    first = frame.groupby("variant", observed=True)["line"].min()
    rows: dict[str, tuple[Any, ...]] = {}
    for name, v in sorted(zip(frame["variant"].cat.categories, variants, strict=True), key=lambda item: first.get(item[0], 0)):
        if name in first.index and v.id not in rows:
            members = (clean(name),) if v.kind == "other" else ()
            mhc = v.build == "GRCh38" and in_mhc(v.chromosome, v.position)
            rows[v.id] = (v.id, v.kind, members, v.chromosome, v.position, v.build, None, (), None, mhc, None, source, int(first[name]))
    return tables.from_rows("variants", rows.values())


def _genes(frame: pd.DataFrame, source: str) -> pa.Table:
    keys = ["gene", "symbol"] if "symbol" in frame else ["gene"]
    rows: dict[str, tuple[Any, ...]] = {}
    for row in frame.drop_duplicates(keys)[[*keys, "line"]].itertuples(index=False):
        curie = gene_id(row.gene)
        symbol = clean(str(row.symbol)) if "symbol" in frame else ""
        symbol = curie if _is_blank(symbol) else symbol
        ensembl = [curie.partition(":")[2]] if curie.startswith("ensembl:") else []
        rows.setdefault(curie, (curie, symbol, ensembl, source, int(row.line)))
    return tables.from_rows("genes", rows.values())
