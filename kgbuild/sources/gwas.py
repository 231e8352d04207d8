"""GWAS Catalog associations: the catalogue's unquoted TSV (column names of 2015 and of now) comes in; associations, variants
and the traits as written go out.

An association belongs to the trait as the study wrote it. The ontology terms that the catalogue files the trait under stand
beside it with a word on how far they may be trusted (`term_relation`); ingest, which knows the terms' names, settles the rest.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.qualifiers import qualifiers
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import header_of, read_columns
from kgbuild.sources.measures import GENOME_WIDE, PValue, chromosome, clean, in_mhc, iso_date, number, p_value, rs_or_place, sequence
from kgbuild.sources.release import says_subset
from kgbuild.vocabulary import content_id, curie_from_uri, text_id, variant_id

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FLAGS", "VERSION", "Effect", "alleles", "effect_of", "read", "recognise", "sample_size", "term_relation", "variant_names"]

VERSION = 1

# flag -> what it warns of; eqtl, biobank and ingest use the same words
FLAGS: dict[str, str] = {
    "subsignificant": "p > 5e-8",
    "p_censored": "p was written as 0",
    "no_effect": "no effect is given",
    "no_effect_allele": "the allele that the effect belongs to is not named: its magnitude is kept, its direction is unknown",
    "effect_type_unknown": "a number without a unit that cannot be told to be an odds ratio",
    "odd_effect": "the effect is infinite, or not a number; it is left out",
    "interval_excludes_effect": "the effect lies outside its own interval; no standard error is made from it",
    "palindromic": "A/T or C/G: the strand cannot be told, the alleles are never flipped",
    "multi_snp": "a haplotype or an interaction: one association of a set",
    "comma_list": "several variants with commas between them, read as a haplotype",
    "not_an_rs_id": "the variant's name is no rs id: it is kept under its own name and joined with nothing",
    "in_mhc": "in the MHC: one locus, whatever the variant",
    "unmapped_trait": "the source files the trait under no ontology term",
    "unknown_term": "a term's IRI has no known prefix; it is left out",
    "composite_trait": "the source files the trait under several terms",
}

_REQUIRED = {
    "trait": ("DISEASE/TRAIT",),
    "snps": ("SNPS",),
    "allele": ("STRONGEST SNP-RISK ALLELE",),
    "p": ("P-VALUE",),
}  # fmt: skip
_OPTIONAL = {
    "mlog": ("PVALUE_MLOG",),
    "p_text": ("P-VALUE (TEXT)",),
    "effect": ("OR or BETA",),
    "ci": ("95% CI (TEXT)",),
    "publication": ("PUBMEDID", "PUBMED ID"),
    "study": ("STUDY ACCESSION",),
    "date": ("DATE",),
    "added": ("DATE ADDED TO CATALOG",),
    "samples": ("INITIAL SAMPLE SIZE", "INITIAL SAMPLE DESCRIPTION"),
    "chromosome": ("CHR_ID",),
    "position": ("CHR_POS",),
    "genes": ("MAPPED_GENE",),
    "consequence": ("CONTEXT",),
    "merged": ("MERGED",),
    "current": ("SNP_ID_CURRENT",),
    "frequency": ("RISK ALLELE FREQUENCY",),
    "mapped": ("MAPPED_TRAIT",),
    "uris": ("MAPPED_TRAIT_URI",),
    # not used, but two rows are the same row only when these agree too
    "author": ("FIRST AUTHOR",),
    "title": ("STUDY",),
    "replication": ("REPLICATION SAMPLE SIZE", "REPLICATION SAMPLE DESCRIPTION"),
    "region": ("REGION",),
    "reported": ("REPORTED GENE(S)",),
    "platform": ("PLATFORM [SNPS PASSING QC]",),
    "technology": ("GENOTYPING TECHNOLOGY",),
}
_PARSED = ("line", *_REQUIRED, *list(_OPTIONAL)[: list(_OPTIONAL).index("author")])


class _Row(NamedTuple):
    """The cells of one row that are read, by key."""

    line: int
    trait: str
    snps: str
    allele: str
    p: str
    mlog: str
    p_text: str
    effect: str
    ci: str
    publication: str
    study: str
    date: str
    added: str
    samples: str
    chromosome: str
    position: str
    genes: str
    consequence: str
    merged: str
    current: str
    frequency: str
    mapped: str
    uris: str


def recognise(sample: Sample) -> Recognised | None:
    """Know the catalogue by its columns; a release date or a word like "sample" is read off the file's name."""
    delimiter, names = header_of(sample.lines)
    present = {name.casefold() for name in names}
    if delimiter != "\t" or not all(spellings[0].casefold() in present for spellings in _REQUIRED.values()):
        return None
    name = sample.path.name
    date = re.search(r"\d{4}-\d{2}-\d{2}", name)
    why = "columns SNPS, STRONGEST SNP-RISK ALLELE, P-VALUE and DISEASE/TRAIT"
    return Recognised("gwas-catalog", version=date[0] if date else "", why=why, options={"build": "GRCh38"},
                      subset=says_subset(name))  # fmt: skip


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read associations.

    Options: `build` of the positions (default GRCh38, which every release since 2015 uses).

    Raises:
        SourceError: The file is not the catalogue's TSV, or is damaged.
    """
    table, malformed = read_columns(path, delimiter="\t", quoted=False, columns=_REQUIRED, optional=_OPTIONAL)
    ledger = Ledger(source)
    for line, what in malformed:
        ledger.reject(line, "wrong number of cells", what)
    harvest = _Collector(source, str(options.get("build", "GRCh38")), ledger)
    ordinals = _ordinals(table, ledger)
    for row, ordinal in zip(_rows(table), ordinals, strict=True):
        if ordinal >= 0:
            harvest.add(row, ordinal)
    return harvest.harvest()


def _rows(table: pa.Table) -> Iterator[_Row]:
    present = set(table.column_names)
    for batch in table.to_batches(max_chunksize=1 << 15):
        columns = [batch.column(name).to_pylist() if name in present else [""] * batch.num_rows for name in _PARSED]
        yield from map(_Row._make, zip(*columns, strict=True))


_KEY = ("study", "publication", "snps", "allele", "trait", "p_text")


def _key(study: str, publication: str, snps: str, allele: str, trait: str, p_text: str) -> tuple[str, ...]:
    """Give the columns that identify an association; measured values are not among them, because corrections change them."""
    return (study.strip() or publication.strip(), snps.strip(), allele.strip(), trait.strip(), p_text.strip())


def _ordinals(table: pa.Table, ledger: Ledger) -> list[int]:
    """Give each row its ordinal among the rows of its key, by content, so that the order of the file does not matter; -1: merged."""
    present = set(table.column_names)
    columns = [table.column(name).to_pylist() if name in present else [""] * table.num_rows for name in _KEY]
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, cells in enumerate(zip(*columns, strict=True)):
        groups[_key(*cells)].append(place)
    ordinals = [0] * table.num_rows
    shared = [places for places in groups.values() if len(places) > 1]
    cells_of = _whole_rows(table, [place for places in shared for place in places])
    for places in shared:
        first: dict[tuple[str, ...], int] = {}
        for place in places:
            line, cells = cells_of[place]
            if cells in first:
                ledger.merge(line, "the same row again", f"line {cells_of[first[cells]][0]}")
                ordinals[place] = -1
            else:
                first[cells] = place
        for ordinal, cells in enumerate(sorted(first)):
            ordinals[first[cells]] = ordinal
    return ordinals


def _whole_rows(table: pa.Table, places: Sequence[int]) -> dict[int, tuple[int, tuple[str, ...]]]:
    if not places:
        return {}
    columns = table.take(list(places)).to_pydict()
    lines = columns.pop("line")
    return dict(zip(places, zip(lines, zip(*columns.values(), strict=True), strict=True), strict=True))


@dataclass
class _Variant:
    """What the rows of one variant say of it; a SNP's place and genes are facts of the SNP, so the first row that has them is believed."""

    kind: str
    line: int
    members: tuple[str, ...] = ()
    chromosome: str | None = None
    position: int | None = None
    build: str | None = None
    consequence: str | None = None
    genes: tuple[str, ...] = ()
    mhc: bool = False
    complete: bool = False

    def learn(self, place: _Place) -> None:
        self.chromosome = self.chromosome or place.chromosome
        if self.position is None and place.chromosome == self.chromosome:
            self.position, self.build = place.position, place.build
        self.consequence = self.consequence or place.consequence
        self.genes = self.genes or place.genes
        self.mhc = self.mhc or place.mhc
        self.complete = bool(self.position and self.consequence and self.genes)


class _Place(NamedTuple):
    """What one row says of where a variant lies."""

    chromosome: str | None = None
    position: int | None = None
    build: str | None = None
    consequence: str | None = None
    genes: tuple[str, ...] = ()
    mhc: bool = False


class _Trait(NamedTuple):
    """A trait as written: its id, its name, and the qualifiers in it."""

    id: str
    name: str
    qualifiers: tuple[str, ...]


@dataclass
class _Collector:
    """Gathers table rows while the file is read."""

    source: str
    build: str
    ledger: Ledger
    variants: dict[str, _Variant] = field(default_factory=dict)
    traits: dict[str, tuple[_Trait, int]] = field(default_factory=dict)
    forwarded: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # (old, new) -> [rows, first line]
    associations: list[tuple[Any, ...]] = field(default_factory=list)
    latest: str | None = ""  # None: a row says no date, so the file states no release

    def add(self, row: _Row, ordinal: int) -> None:
        """Turn one row into an association, or reject it."""
        trait_name, snps = _clean(row.trait), _clean(row.snps)
        p, readable = _p_of(row.p, row.mlog)
        if not trait_name or not snps:
            self.ledger.reject(row.line, "no variant" if trait_name else "no trait", f"{row.snps}\t{row.trait}")
        elif not readable:
            self.ledger.reject(row.line, "p is not a number from 0 to 1", row.p or row.mlog)
        else:
            self.ledger.keep(row.line)
            self.associations.append(self._association(row, ordinal, trait_name, snps, p))

    def _association(self, row: _Row, ordinal: int, trait_name: str, snps: str, p: PValue | None) -> tuple[Any, ...]:
        flags: list[str] = []
        variant = self._variant(row, snps, flags)
        trait = self._trait(trait_name, row.line)
        p_text = _clean(row.p_text) or None
        term_ids, unknown = _terms(row.uris)
        found = trait.qualifiers if p_text is None else _both(trait.qualifiers, p_text)
        allele = alleles(row.allele)
        added = _date(row.added)
        self.latest = max(self.latest, added) if added and self.latest is not None else None
        effect = (
            effect_of(row.effect, row.ci, named=allele is not None, date=added or _date(row.date), p=p)
            if row.effect or row.ci
            else _NO_EFFECT
        )
        genome_wide = p is not None and p.neg_log10 >= GENOME_WIDE
        flags += [
            flag
            for flag, holds in (
                ("subsignificant", p is not None and not genome_wide),
                ("p_censored", p is not None and p.censored),
                ("no_effect", effect.value is None),
                ("no_effect_allele", allele is None),
                ("unmapped_trait", not term_ids),
                ("unknown_term", unknown),
                ("composite_trait", len(term_ids) > 1),
            )
            if holds
        ] + list(effect.flags)
        n, ancestry = sample_size(row.samples)
        return (
            content_id("association", *_key(row.study, row.publication, row.snps, row.allele, row.trait, row.p_text), str(ordinal)),
            "gwas", variant, trait.id, trait.name, term_ids, term_relation(trait.name, row.mapped, len(term_ids), found), (), found,
            _prefixed("gcst", row.study, r"GCST\d+"), _prefixed("pubmed", row.publication, r"\d+"), _date(row.date), None, p_text,
            p.neg_log10 if p else None, bool(p and p.censored), genome_wide,
            effect.type, effect.value, effect.unit, effect.direction, effect.lower, effect.upper, effect.se,
            allele, None, _frequency(row.frequency), n, ancestry, flags, self.source, row.line,
        )  # fmt: skip

    def _trait(self, name: str, line: int) -> _Trait:
        if name not in self.traits:
            self.traits[name] = (_Trait(text_id(name), name, qualifiers(name)), line)
        return self.traits[name][0]

    def _variant(self, row: _Row, snps: str, flags: list[str]) -> str:
        kind, names, commas = variant_names(snps)
        if kind == "single":
            return self._single(row, names[0], flags)
        flags += ["multi_snp", "comma_list"] if commas else ["multi_snp"]
        places = _member_places(row, len(names), self.build)
        members = [self._member(row.line, name, place, flags) for name, place in zip(names, places, strict=True)]
        curie = content_id("variantset", kind, *sorted(set(members)))
        chromosomes = {place.chromosome for place in places}
        variant = self.variants.setdefault(curie, _Variant(kind, row.line, tuple(members), complete=True))
        if len(chromosomes) == 1:
            variant.chromosome = variant.chromosome or chromosomes.pop()
        variant.mhc = variant.mhc or any(place.mhc for place in places)
        return curie

    def _single(self, row: _Row, name: str, flags: list[str]) -> str:
        curie, old = _current(name, row.current)
        if old:
            self.forwarded.setdefault((old, curie), [0, row.line])[0] += 1
        if curie:
            variant = self.variants.get(curie)
            if variant is None:
                variant = self.variants[curie] = _Variant("single", row.line)
            if not variant.complete:
                variant.learn(_place(row.chromosome, row.position, row.consequence, row.genes, self.build))
            return curie
        return self._member(row.line, name, _place(row.chromosome, row.position, row.consequence, row.genes, self.build), flags)

    def _member(self, line: int, name: str, place: _Place, flags: list[str]) -> str:
        named = rs_or_place(name)
        if named.kind == "other":
            if "not_an_rs_id" not in flags:
                flags.append("not_an_rs_id")
            # the catalogue's place is on its build; one that only the name tells is on a build that nobody states
            place = (
                place
                if place.position
                else place._replace(chromosome=named.chromosome or place.chromosome, position=named.position, build=None)
            )
        variant = self.variants.setdefault(named.id, _Variant(named.kind, line, (name,) if named.kind == "other" else ()))
        variant.learn(place)
        return named.id

    def harvest(self) -> Harvest:
        """Make the tables."""
        source = self.source
        by_id: dict[str, tuple[_Trait, int]] = {}
        for trait, line in self.traits.values():  # two spellings of one NFC form are one text
            by_id.setdefault(trait.id, (trait, line))
        made = {
            "associations": tables.from_rows("associations", self.associations),
            "variants": tables.from_rows("variants", (
                (curie, v.kind, v.members, v.chromosome, v.position, v.build if v.position else None, v.consequence, v.genes, None,
                 v.mhc or (v.build == "GRCh38" and in_mhc(v.chromosome, v.position)), None, source, v.line)
                for curie, v in self.variants.items())),
            "concepts": tables.from_rows("concepts", ((t.id, t.name, "text", "FreeText", False, None, True, source, line) for t, line in by_id.values())),
            "names": tables.from_rows("names", ((t.id, t.name, "label", source, line) for t, line in by_id.values())),
            "forwardings": tables.from_rows("forwardings", ((old, new, "merged rs id", rows, source, line) for (old, new), (rows, line) in self.forwarded.items())),
        }  # fmt: skip
        return Harvest(made, self.ledger, self.latest or "")


# ---- cells -----------------------------------------------------------------------------------------------------------


def _p_of(text: str, mlog: str) -> tuple[PValue | None, bool]:
    """Take -log10 p from the log column, else from the text; and tell whether what is written there can be read at all.

    >>> _p_of("2E-9", "8.69"), _p_of("0.0", ""), _p_of("", ""), _p_of("3", "-0.47")
    ((PValue(neg_log10=8.69, censored=False), True), (PValue(neg_log10=323.0, censored=True), True), (None, True), (None, False))
    """
    logged = number(mlog)
    if logged is not None and (logged > 0 or (logged == 0 and not text.strip())):
        return PValue(logged, False), True
    p = p_value(text) if text.strip() else None
    return p, p is not None or not (text.strip() or mlog.strip())


def variant_names(snps: str) -> tuple[str, tuple[str, ...], bool]:
    """Split a cell of variants into its kind (single, haplotype, interaction), its names, and whether commas part them.

    >>> variant_names("rs1; rs2"), variant_names("rs1 x rs2"), variant_names("rs1, rs2"), variant_names("rs1;")
    (('haplotype', ('rs1', 'rs2'), False), ('interaction', ('rs1', 'rs2'), False), ('haplotype', ('rs1', 'rs2'), True), ('single', ('rs1',), False))
    """
    if " " not in snps and ";" not in snps and "," not in snps:
        return "single", (snps,), False
    names = tuple(dict.fromkeys(name for name in re.split(r"\s*[;,]\s*|\s+[xX×]\s+", snps) if name))
    if len(names) < 2:
        return "single", names or (snps,), False
    crossed = re.search(r"\s[xX×]\s", snps)
    return ("interaction" if crossed else "haplotype"), names, "," in snps


def alleles(cell: str) -> str | None:
    r"""Give the allele (of a set: the alleles) that the effect belongs to; None unless every one is named.

    >>> alleles("rs7903146-T"), alleles("rs1 -?"), alleles("rs1-A; rs2-T"), alleles("rs1-A x rs2-?"), alleles("rs1-ct\u00a0"), alleles("rs1")
    ('T', None, 'A; T', None, 'CT', None)
    """
    if cell.endswith("-?") and ";" not in cell:
        return None
    parts = [clean(part) for part in re.split(r"[;,]|\s[xX×]\s", cell)]
    named = [sequence(part.rpartition("-")[2]) if "-" in part else None for part in parts if part]
    return "; ".join(str(allele) for allele in named) if named and None not in named else None


@lru_cache(maxsize=1 << 18)
def _current(name: str, current: str) -> tuple[str, str]:
    """Give the id a variant has today ("" for no rs id), and the id it was written under where that was merged into today's.

    >>> _current("rs12", "12"), _current("rs12", "7"), _current("rs12a", "12a")
    (('dbsnp:rs12', ''), ('dbsnp:rs7', 'dbsnp:rs12'), ('', ''))
    """
    written = variant_id(name) or ""
    now = variant_id(f"rs{current.strip()}") if current else None
    return (now, written or name) if now and now != written else (written, "")


@lru_cache(maxsize=1 << 18)
def _clean(cell: str) -> str:
    return clean(cell)


@lru_cache(maxsize=1 << 16)
def _place(chrom: str, position: str, consequence: str, genes: str, build: str) -> _Place:
    plain = chromosome(chrom)
    on_contig = bool(chrom) and not re.fullmatch(r"(chr)?\w{1,2}", chrom.strip(), re.IGNORECASE)
    known = int(position) if position.strip().isdigit() and plain and not on_contig else None
    return _Place(plain, known, build if known else None, clean(consequence) or None, _genes(genes), "MHC" in chrom)


def _member_places(row: _Row, members: int, build: str) -> list[_Place]:
    """Give each member of a set its own place where the cells list as many as there are members."""

    def parts(cell: str) -> list[str]:
        found = re.split(r"\s*;\s*|\s+[xX×]\s+", clean(cell))
        return found if len(found) == members else [""] * members

    cells = zip(*(parts(cell) for cell in (row.chromosome, row.position, row.consequence, row.genes)), strict=True)
    places = [_place(*cell, build) for cell in cells]
    whole = chromosome(row.chromosome)
    return [place._replace(chromosome=whole) if whole and not place.chromosome else place for place in places]


@lru_cache(maxsize=1 << 16)
def _genes(cell: str) -> tuple[str, ...]:
    """List the nearest genes: `A - B` (on both sides), `A, B` (overlapping).

    >>> _genes("SNRPGP16 - AP003171.1"), _genes("AC006994.2, ACADL"), _genes("NR")
    (('SNRPGP16', 'AP003171.1'), ('AC006994.2', 'ACADL'), ())
    """
    names = re.split(r"\s+-\s+|[,;]\s*|\s+[xX×]\s+", clean(cell))
    return tuple(dict.fromkeys(name for name in names if name and name not in {"NR", "-", "intergenic", "No mapped genes"}))


@lru_cache(maxsize=1 << 16)
def _terms(cell: str) -> tuple[tuple[str, ...], bool]:
    """Read the ontology terms of a cell, and tell whether one of them has an unknown prefix."""
    found = [curie_from_uri(uri) for uri in re.split(r"[,|\s]+", cell) if uri]
    return tuple(dict.fromkeys(curie for curie in found if curie)), None in found


@lru_cache(maxsize=1 << 12)
def _date(cell: str) -> str | None:
    return iso_date(cell) if cell else None


@lru_cache(maxsize=1 << 14)
def _both(found: tuple[str, ...], p_text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*found, *qualifiers(p_text))))


@lru_cache(maxsize=1 << 15)
def _prefixed(prefix: str, cell: str, pattern: str) -> str | None:
    local = cell.strip()
    return f"{prefix}:{local}" if local and re.fullmatch(pattern, local) else None


def _frequency(cell: str) -> float | None:
    value = number(cell)
    return value if value is not None and 0 <= value <= 1 else None


# ---- traits ----------------------------------------------------------------------------------------------------------

_OR = re.compile(r"\b(and/or|or)\b", re.IGNORECASE)
_IN = re.compile(r"\S\s+in\s+\S", re.IGNORECASE)
_MEASURED = re.compile(
    r"\b(measurements?|levels?|ratios?|rates?|concentrations?|counts?|volumes?|pressure|FEV1?|FVC|density|thickness|intensity|metabolites?|index|height|weight"
    r"|circumference|traits?|scores?|interval|change|decline|function|response)\b",
    re.IGNORECASE,
)
# a term that is called so carries the qualifier itself, in other words than texts use
_CARRIED = {"adjusted_for": re.compile(r"adjusted", re.IGNORECASE), "response_to": re.compile(r"response", re.IGNORECASE)}


@lru_cache(maxsize=1 << 16)
def term_relation(trait: str, terms: str, n_terms: int, found: tuple[str, ...]) -> str | None:
    """Tell how a trait's terms relate to it, as far as the row alone tells.

    One term is `single`, unless the trait has a qualifier that the term has not: then it is the `context`. Of several, "A or B"
    is a `union`, "A in B" an `intersection` (two diseases) or `context` (something measured in people with a disease), all else `unresolved`.

    >>> term_relation("Asthma", "asthma", 1, ()), term_relation("Asthma (age of onset)", "asthma", 1, ("age_at_onset",))
    ('single', 'context')
    >>> term_relation("Age at menarche", "age at menarche", 1, ("age_at_onset",))
    'single'
    >>> term_relation("Hay fever and/or eczema", "hay fever, eczema", 2, ()), term_relation("Hay fever in eczema", "hay fever, eczema", 2, ())
    ('union', 'intersection')
    >>> term_relation("Urate levels in gout", "urate measurement, gout", 2, ()), term_relation("Obesity-related traits", "BMI, fat", 2, ())
    ('context', 'unresolved')
    """
    if n_terms == 0:
        return None
    carried = {*qualifiers(terms), *(key for key, pattern in _CARRIED.items() if pattern.search(terms))}
    extra = [key for key in found if key not in carried]
    if n_terms == 1:
        return "context" if extra else "single"
    outside = re.sub(r"\([^()]*\)", " ", trait)
    if _OR.search(outside) and not extra:
        return "union"
    if found:
        return "context"
    if _IN.search(outside):
        return "context" if _MEASURED.search(outside) or _MEASURED.search(terms) else "intersection"
    return "unresolved"


# ---- samples ---------------------------------------------------------------------------------------------------------

_COUNT = re.compile(
    r"^(?:a total of|approximately|up to|at least|at most|more than|over|about|around|~|>|<)?\s*(\d{1,3}(?:,\d{3})+|\d+)\b(?!\s*(?:families|pedigrees)\b)\s*",
    re.IGNORECASE,
)
_POPULATIONS = (
    "African American", "African British", "African", "Afro-Caribbean", "Hispanic/Latino", "Hispanic/Latin American", "Hispanic", "Latino", "Latin American",
    "Mexican American", "Native Hawaiian", "Native American", "Filipino", "Japanese", "Korean", "Han Chinese", "Chinese", "South Asian", "East Asian", "Asian",
    "European", "British", "Finnish", "Orcadian", "Indian", "Arab", "Middle Eastern", "Ashkenazi Jewish", "Black", "Old Order Amish",
)  # fmt: skip


@lru_cache(maxsize=1 << 16)
def sample_size(text: str) -> tuple[int | None, str | None]:
    """Add up the people in a sample description, and list their ancestries.

    Only a number at the head of a phrase counts people; "type 2", "from 200 families" or "aged 60" do not.

    >>> sample_size("682 European ancestry cases, 1,300 European ancestry controls")
    (1982, 'European')
    >>> sample_size("up to 921 Hispanic children from 319 families, 10 Han Chinese ancestry type 2 diabetes cases")
    (931, 'Hispanic; Han Chinese')
    >>> sample_size("NR")
    (None, None)
    """
    total, ancestries = 0, []
    for phrase in re.split(r",\s+|;\s*", text):
        count = _COUNT.match(phrase)
        total += int(count[1].replace(",", "")) if count else 0
        people = phrase[count.end() :] if count else phrase
        stated = re.match(r"(.{1,80}?)\s+ancestry\b", people)
        ancestries.append(stated[1] if stated else next((p for p in _POPULATIONS if people.startswith(p)), ""))
    return total or None, "; ".join(dict.fromkeys(a for a in ancestries if a)) or None


# ---- effects ---------------------------------------------------------------------------------------------------------


class Effect(NamedTuple):
    """An effect as reported: a beta signed where its direction is known."""

    type: str | None = None
    value: float | None = None
    unit: str | None = None
    direction: str | None = None
    lower: float | None = None
    upper: float | None = None
    se: float | None = None
    flags: tuple[str, ...] = ()


_NO_EFFECT = Effect()
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_INTERVAL = re.compile(rf"^[\s\[(%]*({_NUMBER})\s*(?:-|to|,|;|\*{{2,3}})\s*({_NUMBER})[\])\s]*")
_NOT_REPORTED = re.compile(r"^\s*(?:\[?NR\b\]?\s*)+")
_DIRECTIONS = (
    ("increase", re.compile(r"\b(incre\w*|higher|taller|older|longer|greater|larger|more)\b", re.IGNORECASE)),
    ("decrease", re.compile(r"\b(decr\w*|lower|shorter|younger|smaller|fewer|less|reduction)\b", re.IGNORECASE)),
)
_UNIT = re.compile(
    r"%|\bs\.d|\b(units?|sd|z[- ]?(scores?|units?)|[mnpuµμ]?g|kg|[mnuµμ]?mol|mm\s?hg|[cm]?m|[mdf]?l|ms|bpm|kcal|min|years?|months?|weeks?|days?|points?|beta)\b(?!\s*(only|cohort|stage|set))",
    re.IGNORECASE,
)
_UNEXPLAINED = re.compile(r"variance|outcome", re.IGNORECASE)
_Z_UNIT = re.compile(r"^z[- ]?scores?$", re.IGNORECASE)
_DASHES = str.maketrans({"\N{EN DASH}": "-", "\N{EM DASH}": "-", "\N{MINUS SIGN}": "-", "\N{HYPHEN}": "-", "\N{NON-BREAKING HYPHEN}": "-"})
_TWO_SIDES = 2 * 1.959963984540054  # a 95 % interval is this many standard errors wide


def effect_of(value_text: str, ci_text: str, *, named: bool, date: str | None = None, p: PValue | None = None) -> Effect:
    """Read an effect from its number and the text of its interval, which tells odds ratios from betas.

    A word of direction ("unit increase") or a unit makes a beta; its sign is in the word. A z score that fits the p value is a
    z statistic. A number without unit is an odds ratio if it is 1 or more (the catalogue turned odds ratios round until 2021, with
    their allele), or if the row is younger; a smaller one may be either and stays untyped. `named` says whether the allele that the
    effect belongs to is known: without it the magnitude stays and the direction goes.

    >>> effect_of("0.5", "[0.3-0.7] unit decrease", named=True)[:6]
    ('beta', -0.5, 'unit', 'decrease', -0.7, -0.3)
    >>> effect_of("0.5", "[0.3-0.7] unit decrease", named=False)[:6]
    ('beta', 0.5, 'unit', None, 0.3, 0.7)
    >>> effect_of("1.2", "[1.1–1.3]", named=True)[:6]
    ('odds_ratio', 1.2, None, 'increase', 1.1, 1.3)
    >>> effect_of("0.04", "[NR]", named=True, date="2012-01-01")
    Effect(type=None, value=0.04, unit=None, direction=None, lower=None, upper=None, se=None, flags=('effect_type_unknown',))
    """
    value = number(value_text)
    if value is None:
        return Effect(flags=("odd_effect",)) if value_text.strip() and value_text.strip() != "NR" else _NO_EFFECT
    lower, upper, words = _interval(ci_text)
    direction, unit = _direction_and_unit(words)
    flags: tuple[str, ...] = ()
    if unit is None and direction is None:
        kind, direction = _unitless(value, lower, date, words)
        flags = ("effect_type_unknown",) if kind is None else ()
    else:
        kind = "z" if unit and _Z_UNIT.match(unit) and _is_z_statistic(value, p) else "beta"
        unit = unit or "unit"
    direction = direction if named else None
    if kind in {"beta", "z"} and direction == "decrease" and value > 0:
        value, lower, upper = -value, *_flipped(value, lower, upper)
    elif direction == "increase" and value < 0:
        direction = None  # "-0.3 unit increase" contradicts itself
    if lower is not None and upper is not None and not _contains(lower, value, upper):
        return Effect(kind, value, unit, direction, lower, upper, None, (*flags, "interval_excludes_effect"))
    return Effect(kind, value, unit, direction, lower, upper, _standard_error(kind, lower, upper), flags)


@lru_cache(maxsize=1 << 15)
def _interval(text: str) -> tuple[float | None, float | None, str]:
    """Take the interval off the head of a text; give the words that follow it."""
    text = clean(text).translate(_DASHES)
    match = _INTERVAL.match(text)
    if match:
        one, other = sorted((float(match[1]), float(match[2])))
        return one, other, text[match.end() :].strip()
    return None, None, _NOT_REPORTED.sub("", text).strip()


@lru_cache(maxsize=1 << 12)
def _direction_and_unit(words: str) -> tuple[str | None, str | None]:
    """Tell direction and unit by the words after an interval; (None, None) when they are a mere remark.

    >>> _direction_and_unit("(mg/dL decrease)"), _direction_and_unit("unit increase (replication)"), _direction_and_unit("(Oncoarray)")
    (('decrease', 'mg/dL'), ('increase', 'unit'), (None, None))
    >>> _direction_and_unit("(fewer cigarettes per day)"), _direction_and_unit("(% SD)"), _direction_and_unit("% variance explained")
    (('decrease', 'cigarettes per day'), (None, '% SD'), (None, None))
    """
    words = _NOT_REPORTED.sub("", words)
    hits = [(match.start(), match.end(), direction) for direction, pattern in _DIRECTIONS if (match := pattern.search(words))]
    if not hits:
        bare = _bare(words)
        return None, (bare or None) if _UNIT.search(bare) and not _UNEXPLAINED.search(bare) else None
    start, end, direction = min(hits)
    before, after = _bare(words[:start]), _bare(words[end:])
    return (direction if len(hits) == 1 else None), before or after or None


def _bare(words: str) -> str:
    """Drop brackets around words, and those that lost their partner.

    >>> _bare("(ln(fl) "), _bare("(% SD)"), _bare("((women))")
    ('ln(fl)', '% SD', 'women')
    """
    words = words.strip(" []")
    while words.startswith("(") and (words.endswith(")") or words.count("(") > words.count(")")):
        words = words[1:].removesuffix(")" if words.count("(") <= words.count(")") else "").strip()
    return words.rstrip(") ") if words.count(")") > words.count("(") else words


def _unitless(value: float, lower: float | None, date: str | None, words: str) -> tuple[str | None, str | None]:
    if value <= 0 or (lower is not None and lower < 0) or _UNEXPLAINED.search(words) or (value < 1 and (date or "") < "2021"):
        return None, None
    return "odds_ratio", "increase" if value > 1 else "decrease" if value < 1 else None


def _is_z_statistic(value: float, p: PValue | None) -> bool:
    """Tell whether a z score is the statistic behind the p value (within the rounding of p), not an effect in units of one."""
    z = abs(value)
    expected = -math.log10(math.erfc(z / math.sqrt(2))) if z < 37 else (z * z / 2 + math.log(z * math.sqrt(math.pi / 2))) / math.log(10)
    return p is not None and not p.censored and abs(expected - p.neg_log10) < max(0.5, 0.02 * p.neg_log10)


def _flipped(value: float, lower: float | None, upper: float | None) -> tuple[float | None, float | None]:
    """Give an interval the sign of its effect, unless it has it already ("0.3, [-0.4, -0.2] decrease")."""
    if lower is None or upper is None or (_contains(lower, -value, upper) and not _contains(lower, value, upper)):
        return lower, upper
    return -upper, -lower


def _contains(lower: float, value: float, upper: float) -> bool:
    slack = 0.01 * max(abs(value), upper - lower) + 1e-9  # effects and ends are rounded separately
    return lower - slack <= value <= upper + slack


def _standard_error(kind: str | None, lower: float | None, upper: float | None) -> float | None:
    if kind is None or lower is None or upper is None or upper <= lower:
        return None
    if kind == "odds_ratio":
        return math.log(upper / lower) / _TWO_SIDES if lower > 0 else None
    return (upper - lower) / _TWO_SIDES
