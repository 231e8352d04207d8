"""A biobank's table of phenotype-variant results (code, variant, effect, se, p, n) comes in; associations of its codes go out.

Options: `vocabulary` of the codes (phecode, icd10, finngen, text …; default text), `build` of places (default unknown: such
variants are kept and joined with nothing), `study`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild import tables
from kgbuild.errors import ConfigurationError
from kgbuild.ledger import Ledger
from kgbuild.qualifiers import qualifiers
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import head, header_of, read_columns
from kgbuild.sources.measures import (
    GENOME_WIDE,
    NamedVariant,
    PValue,
    chromosome,
    clean,
    in_mhc,
    is_palindromic,
    number,
    p_value,
    place_id,
    rs_or_place,
    sequence,
)
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import VOCABULARIES, code_curie, content_id, text_id

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["VERSION", "read", "recognise"]

VERSION = 1

# effect type -> names of the column that holds such an effect
_EFFECTS = {
    "beta": ("beta", "effect", "effect_size", "log_or", "logor", "b"),
    "odds_ratio": ("or", "odds_ratio", "oddsratio"),
    "z": ("z", "zscore", "z_score", "z-score", "tstat"),
}
_REQUIRED = {
    "code": ("code", "phecode", "phenocode", "icd10", "endpoint", "trait_code", "phenotype_id", "pheno", "phenotype"),
    "p": ("p", "pval", "pvalue", "p_value", "p-value"),
}
_OPTIONAL = {
    "variant": ("variant", "rsid", "rs_id", "rsids", "snp", "snp_id", "variant_id", "marker"),
    "name": ("name", "description", "phenotype_description", "phenostring", "phenotype_string", "trait", "label"),
    **_EFFECTS,
    "se": ("se", "sebeta", "standard_error", "stderr"),
    "n": ("n", "n_samples", "sample_size", "samplesize", "n_total"),
    "n_cases": ("n_cases", "num_cases", "cases"),
    "n_controls": ("n_controls", "num_controls", "controls"),
    "chromosome": ("chrom", "chr", "chromosome", "#chrom"),
    "position": ("pos", "position", "bp", "base_pair_location"),
    "effect_allele": ("effect_allele", "alt", "a1", "allele1", "tested_allele"),
    "other_allele": ("other_allele", "ref", "a2", "allele2", "a0"),
    "frequency": ("eaf", "effect_allele_frequency", "af", "af_alt"),
    "ancestry": ("ancestry", "pop", "population"),
}
_BETAMATCH = ("rsid", "endpoint", "trait", "beta", "source_file")


class _Row(NamedTuple):
    """The cells of one row, by key; empty where the file has no such column."""

    line: int
    code: str
    p: str
    variant: str
    name: str
    beta: str
    odds_ratio: str
    z: str
    se: str
    n: str
    n_cases: str
    n_controls: str
    chromosome: str
    position: str
    effect_allele: str
    other_allele: str
    frequency: str
    ancestry: str


def recognise(sample: Sample) -> Recognised | None:
    """Know a table of phenotype-variant results by its columns.

    FinnGen's `betamatch` table has them too, and is none: it lists published hits that FinnGen checked, repeated by ancestry.
    It is a part of nothing whole, so it is left out unless somebody asks for it.
    """
    _, names = header_of(sample.lines)
    present = {name.casefold() for name in names}
    version, name = version_in(sample.path.name), sample.path.name
    if present.issuperset(_BETAMATCH):
        why = "published hits that FinnGen checked, not biobank correlations: left out unless asked for"
        return Recognised("biobank", version, why, {"vocabulary": "finngen", "build": "GRCh38"}, unasked=True)
    found = {key: next((s for s in spellings if s in present), "") for key, spellings in {**_REQUIRED, **_OPTIONAL}.items()}
    variant = found["variant"] or (found["chromosome"] and found["position"] and found["effect_allele"] and found["other_allele"])
    if not (found["code"] and found["p"] and variant and any(found[kind] for kind in _EFFECTS)):
        return None
    vocabulary = next((key for key in ("phecode", "icd10") if found["code"] == key), "finngen" if found["code"] == "endpoint" else "text")
    why = f"columns {found['code']}, {found['variant'] or 'chromosome and position'}, {found['p']}"
    return Recognised("biobank", version, why, {"vocabulary": vocabulary}, subset=says_subset(name))


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read phenotype-variant results; a row with several codes (`A|B`) is an association of each.

    Raises:
        ConfigurationError: The vocabulary is not known.
        SourceError: A column is missing, or the file is damaged.
    """
    vocabulary = str(options.get("vocabulary", "text"))
    if vocabulary not in VOCABULARIES:
        raise ConfigurationError(
            f"{path}: no vocabulary is called {vocabulary!r}", advice=f"Set `vocabulary` to one of {', '.join(VOCABULARIES)}."
        )
    delimiter, _ = header_of(head(path, 1))
    table, malformed = read_columns(path, delimiter=delimiter, quoted=delimiter != "\t", columns=_REQUIRED, optional=_OPTIONAL)
    ledger = Ledger(source)
    for line, what in malformed:
        ledger.reject(line, "wrong number of cells", what)
    collector = _Collector(source, vocabulary, options.get("build"), str(options.get("study") or "") or None, ledger)
    seen: dict[tuple[str, ...], int] = {}
    for row in _rows(table):
        first = seen.setdefault(row[1:], row.line)
        if first != row.line:
            ledger.merge(row.line, "the same row again", f"line {first}")
        else:
            collector.add(row)
    return collector.harvest(version_in(path.name))


def _rows(table: pa.Table) -> Iterator[_Row]:
    present = set(table.column_names)
    for batch in table.to_batches(max_chunksize=1 << 15):
        columns = [batch.column(name).to_pylist() if name in present else [""] * batch.num_rows for name in _Row._fields]
        yield from map(_Row._make, zip(*columns, strict=True))


@dataclass
class _Collector:
    """Gathers table rows while the file is read."""

    source: str
    vocabulary: str
    build: str | None
    study: str | None
    ledger: Ledger
    concepts: dict[str, tuple[str, int]] = field(default_factory=dict)  # id -> name, line
    variants: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    associations: list[tuple[Any, ...]] = field(default_factory=list)
    ordinals: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def add(self, row: _Row) -> None:
        """Turn one row into an association of each of its codes, or reject it."""
        variant, p = self._variant(row), p_value(row.p) if row.p.strip() else None
        codes = self._codes(row)
        if variant is None:
            self.ledger.reject(row.line, "no variant", row.variant)
        elif not codes:
            self.ledger.reject(row.line, f"not a code of {self.vocabulary}", row.code)
        elif p is None and row.p.strip():
            self.ledger.reject(row.line, "p is not a number from 0 to 1", row.p)
        else:
            self.ledger.keep(row.line)
            self._keep_variant(row, variant)
            for curie, code in codes:
                self._keep_concept(curie, clean(row.name) or code, row.line)
                self.associations.append(self._association(row, variant, curie, clean(row.name) or code, p))

    def _codes(self, row: _Row) -> list[tuple[str, str]]:
        codes = [clean(code) for code in row.code.split("|") if clean(code)] if self.vocabulary != "text" else [clean(row.code)]
        try:
            return [(text_id(code) if self.vocabulary == "text" else code_curie(self.vocabulary, code), code) for code in codes if code]
        except ValueError:
            return []

    def _variant(self, row: _Row) -> NamedVariant | None:
        name = clean(row.variant)
        if name not in {"", "NA", "."}:
            return rs_or_place(name, self.build)
        chrom, position = chromosome(row.chromosome), row.position.strip()
        ref, alt = sequence(row.other_allele), sequence(row.effect_allele)
        if not (chrom and position.isdigit() and ref and alt):
            return None
        if not self.build:
            return rs_or_place(f"{chrom}:{position}:{ref}:{alt}")
        return NamedVariant(place_id(self.build, chrom, int(position), ref, alt), "single", chrom, int(position), self.build, ref, alt)

    def _keep_variant(self, row: _Row, v: NamedVariant) -> None:
        if v.id in self.variants:
            return
        chrom, position, build = v.chromosome, v.position, v.build
        if position is None and row.position.strip().isdigit():
            chrom, position, build = chromosome(row.chromosome), int(row.position), self.build
        members = (clean(row.variant) or f"{chrom}:{position}",) if v.kind == "other" else ()
        mhc = build == "GRCh38" and in_mhc(chrom, position)
        self.variants[v.id] = (v.id, v.kind, members, chrom, position, build, None, (), None, mhc, None, self.source, row.line)

    def _keep_concept(self, curie: str, name: str, line: int) -> None:
        self.concepts.setdefault(curie, (name, line))

    def _association(self, row: _Row, variant: NamedVariant, curie: str, name: str, p: PValue | None) -> tuple[Any, ...]:
        allele, other = sequence(row.effect_allele) or variant.alt, sequence(row.other_allele) or variant.ref
        kind, effect, se, lower, upper = _effect(row)
        key = (self.study or "", curie, clean(row.name), variant.id, allele or "", other or "", clean(row.ancestry))
        self.ordinals[key] += 1
        genome_wide = p is not None and p.neg_log10 >= GENOME_WIDE
        flags = [
            flag
            for flag, holds in (
                ("subsignificant", p is not None and not genome_wide),
                ("p_censored", p is not None and p.censored),
                ("no_effect", effect is None),
                ("no_effect_allele", allele is None),
                ("palindromic", is_palindromic(allele, other)),
                ("not_an_rs_id", variant.kind == "other"),
            )
            if holds
        ]
        return (
            content_id("association", "biobank", *key, str(self.ordinals[key] - 1)), "biobank", variant.id, curie, name, (), None, (), qualifiers(name),
            self.study, None, None, None, None, p.neg_log10 if p else None, bool(p and p.censored), genome_wide,
            kind, effect, None, _direction(kind, effect, allele), lower, upper, se,
            allele, other, _frequency(row.frequency), _samples(row), clean(row.ancestry) or None, flags, self.source, row.line,
        )  # fmt: skip

    def harvest(self, version: str) -> Harvest:
        """Make the tables."""
        kind, source = "FreeText" if self.vocabulary == "text" else "ClinicalCode", self.source
        concepts = [(curie, name, self.vocabulary, kind, False, None, True, source, line) for curie, (name, line) in self.concepts.items()]
        names = [(curie, name, "label", source, line) for curie, (name, line) in self.concepts.items()]
        made = {"associations": self.associations, "variants": list(self.variants.values()), "concepts": concepts, "names": names}
        return Harvest({name: tables.from_rows(name, rows) for name, rows in made.items()}, self.ledger, version)


def _effect(row: _Row) -> tuple[str | None, float | None, float | None, float | None, float | None]:
    """Give type, effect, standard error (log odds for an odds ratio) and 95 % interval."""
    for kind in _EFFECTS:
        value = number(getattr(row, kind))
        if value is None or (kind == "odds_ratio" and value <= 0):
            continue
        se = number(row.se)
        if se is None or se <= 0 or kind == "z":
            return kind, value, None, None, None
        if kind == "odds_ratio":
            return kind, value, se, value * math.exp(-1.959963984540054 * se), value * math.exp(1.959963984540054 * se)
        return kind, value, se, value - 1.959963984540054 * se, value + 1.959963984540054 * se
    return None, None, None, None, None


def _direction(kind: str | None, effect: float | None, allele: str | None) -> str | None:
    """Tell which way the named allele goes; unknown without allele or effect."""
    neutral = 1.0 if kind == "odds_ratio" else 0.0
    if effect is None or allele is None or effect == neutral:
        return None
    return "increase" if effect > neutral else "decrease"


def _samples(row: _Row) -> int | None:
    total = number(row.n)
    parts = [number(row.n_cases), number(row.n_controls)]
    if total is None and None not in parts:
        total = sum(part for part in parts if part is not None)
    return round(total) if total is not None and total > 0 else None


def _frequency(cell: str) -> float | None:
    value = number(cell)
    return value if value is not None and 0 <= value <= 1 else None
