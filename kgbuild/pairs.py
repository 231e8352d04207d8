"""Tables in, training pairs out: what goes with what, how much it counts, and what must stay out.

Five tasks. `synonyms`: a concept's label and its other names. `relations`: the names of both ends of an edge. `gwas`: a
trait and a variant. `eqtl`: a gene's symbol and a variant. `biobank`: a phenotype and a variant, by their correlation.
Held-out SNP-trait pairs, pairs of concepts and synonyms never enter, nor does what is filed of an evaluated mapping subject.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.concept_pairs import HeldOut
from kgbuild.kin import trait_kin
from kgbuild.splits import loci_of, trait_groups
from kgbuild.units import term_twins
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from embedder.data import Task, TrainingData

__all__ = ["VERSION", "PairOptions", "Pairs", "build_pairs", "correlation", "effect_weights"]

VERSION = 6  # of what this module, splits and the trainer make of the same tables

MAX_WEIGHT = 2.0
MIN_WEIGHT = 0.05  # a weight must be positive; an odds ratio of 1 says next to nothing
WIDE_BLOCK = 1_000_000  # base pairs; a wider LD block says nothing about an unseen SNP
DEVIATIONS = ("sd", "s.d.", "standard deviation", "z-score", "z score")  # units of a beta that are standard deviations
SAME_THING = ("exact", "close", "unspecified")  # predicates of curated mappings that make a synonym


@dataclass(frozen=True)
class PairOptions:
    """What is taken from the tables.

    `mappings` adds curated mappings to the synonyms. The probabilities of links are fitted on the same mappings, so with
    it that fit sees vectors that already know its answers: off unless that is accounted for.
    """

    least_neg_log10_p: float = 5.0
    relations_total: int = 325_000
    eqtl_per_gene: int = 20
    mappings: bool = False
    seed: int = 20261121


@dataclass(frozen=True)
class Pairs:
    """What a model is trained on, and the account of it: rows used and rows left out, by task and reason."""

    data: TrainingData
    counts: dict[str, int]


def build_pairs(
    folder: Path,
    *,
    snp_traits: pd.DataFrame | None = None,
    mappings: pd.DataFrame | None = None,
    concepts: pd.DataFrame | None = None,
    synonyms: pd.DataFrame | None = None,
    options: PairOptions | None = None,
) -> Pairs:
    """Build the training data from a folder of tables.

    Args:
        folder: Where `kgbuild.tables.read` finds them.
        snp_traits: What `split_snp_traits` holds out.
        mappings: What `split_mappings` holds out.
        concepts: What `split_concepts` holds out.
        synonyms: What `split_synonyms` holds out.
        options: What is taken.
    """
    builder = _Builder(folder, options or PairOptions(), _Hidden.of(snp_traits, mappings, synonyms), concepts)
    for add in (builder.synonyms, builder.relations, builder.gwas, builder.eqtl, builder.biobank):
        add()
    return Pairs(builder.data(), dict(builder.counts))


def correlation(z: npt.ArrayLike, n: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Give the correlation of a variant and a phenotype from a z statistic and the number of samples.

    >>> correlation([3.0], [102.0]).round(4).tolist()
    [0.2873]
    """
    import numpy as np

    z, n = np.asarray(z, dtype=float), np.asarray(n, dtype=float)
    return np.asarray(z / np.sqrt(z**2 + n - 2))


def effect_weights(
    effect_type: Iterable[str | None], effect: npt.ArrayLike, unit: Iterable[str | None], frequency: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Give each association its weight in (0, 2]: its effect over the median effect of its kind; 1 where that is not known.

    Odds ratios count by ``|log OR|``; betas in standard deviations by ``|beta| sqrt(2 f (1 - f))``. They are never mixed,
    and a beta of another unit counts 1.

    >>> effect_weights(["odds_ratio"] * 3 + ["beta"], [1.1, 1.21, 3.0, 5.0], [None] * 3 + ["mm"], [0.5] * 4).tolist()
    [0.5, 1.0, 2.0, 1.0]
    """
    import numpy as np

    kinds = np.array([kind or "" for kind in effect_type], dtype=object)
    effects = np.asarray(effect, dtype=float)
    frequencies = np.asarray(frequency, dtype=float)
    deviations = np.array([_is_deviation(text) for text in unit], dtype=bool)
    sizes = np.full(len(kinds), np.nan)
    ratio = (kinds == "odds_ratio") & (effects > 0)
    beta = (kinds == "beta") & deviations
    sizes[ratio] = np.abs(np.log(effects[ratio]))
    sizes[beta] = np.abs(effects[beta]) * np.sqrt(2 * frequencies[beta] * (1 - frequencies[beta]))
    weights = np.ones(len(kinds), dtype=np.float32)
    for rows in (ratio & np.isfinite(sizes), beta & np.isfinite(sizes)):
        median = float(np.median(sizes[rows])) if rows.any() else 0.0
        if median > 0:
            weights[rows] = np.clip(sizes[rows] / median, MIN_WEIGHT, MAX_WEIGHT).round(4)
    return weights


def _is_deviation(unit: str | None) -> bool:
    words = f" {(unit or '').casefold()} "
    return any(f" {word} " in words or f" {word}s " in words for word in DEVIATIONS)


@dataclass(frozen=True)
class _Hidden:
    """What must not be seen: pairs of a trait and a variant, units of a trait and a place, association rows, mapping subjects.

    A unit's place is a variant, the locus where a trait is held out with all of it, or "" where it is held out everywhere.
    """

    pairs: frozenset[tuple[str, str]] = frozenset()
    units: frozenset[tuple[str, str]] = frozenset()
    rows: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()  # in their normal form

    @classmethod
    def of(cls, snp_traits: pd.DataFrame | None, mappings: pd.DataFrame | None, synonyms: pd.DataFrame | None) -> _Hidden:
        pairs: set[tuple[str, str]] = set()
        units: set[tuple[str, str]] = set()
        rows: set[str] = set()
        if snp_traits is not None:
            rows.update(snp_traits["association_id"])
            held = snp_traits[snp_traits["association_id"] == ""]
            pairs.update(zip(held["object_id"], held["variant_id"], strict=True))
            units.update(zip(held["trait_group"], held["variant_id"], strict=True))
            with_locus = held[held["by"] == "locus"]
            units.update(zip(with_locus["trait_group"], with_locus["locus"], strict=True))
            units.update((group, "") for group in held.loc[held["by"] == "trait", "trait_group"])
        subjects = frozenset() if mappings is None else frozenset(mappings["subject_id"])
        labels = frozenset() if mappings is None else frozenset(map(normalise_name, mappings["subject_label"]))
        names = frozenset() if synonyms is None else frozenset(map(normalise_name, synonyms["name"]))
        return cls(frozenset(pairs), frozenset(units), frozenset(rows - {""}), subjects, labels, names)

    def has_unit(self, term: str, variant: str, locus: str | None) -> bool:
        """Tell whether a term and a variant belong to a unit."""
        return bool(self.units) and any((term, place) in self.units for place in (variant, locus, "") if place is not None)


@dataclass
class _Builder:
    """Texts and SNPs numbered as they are met, tasks as they are made."""

    folder: Path
    options: PairOptions
    hidden: _Hidden
    concepts: pd.DataFrame | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._snps: dict[str, int] = {}
        self._groups: dict[str, int] = {}
        self._tasks: list[Task] = []
        self._concept_names = _preferred_names(self.folder)
        variants = tables.read(self.folder, "variants", ["id", "kind", "chromosome", "position", "locus", "in_mhc", "locus_span"])
        self._loci = loci_of(variants)
        self._blocks = _telling_blocks(variants)
        self._traits: dict[str, str] = {}
        self._twins = term_twins(tables.read(self.folder, "concepts", ["id", "name", "vocabulary", "kind"]))

    def synonyms(self) -> None:
        """Pair each label with the concept's other names; curated mappings too where that is wanted."""
        names = tables.read(self.folder, "names", ["concept_id", "name", "role"]).to_pandas()
        short = names["role"] == "short"  # "Lacerat intrns musc l idx fngr": a code list's own abbreviations teach no synonyms
        self.counts["synonyms: abbreviations left out"] += int(short.sum())
        names = names[~short]
        names["label"] = names["concept_id"].map(self._concept_names)
        held = names["name"].map(normalise_name).isin(self.hidden.names)
        self.counts["synonyms: held-out names left out"] += int(held.sum())
        names = names[~held]
        pairs = names[names["label"].notna() & (names["label"].str.casefold() != names["name"].str.casefold())]
        frames = [pairs[["label", "name"]].set_axis(["left", "right"], axis=1)]
        self.counts["synonyms: names"] += len(pairs)
        if self.options.mappings:
            frames.append(self._curated())
        self._add("synonyms", _concatenated(frames), {})

    def _curated(self) -> pd.DataFrame:
        frame, hidden = self._mappings()
        self.counts["synonyms: mappings of evaluated subjects left out"] += hidden
        frame = frame.assign(right=frame["object_id"].map(self._concept_names)).dropna(subset=["right"])
        self.counts["synonyms: mappings"] += len(frame)
        return frame[["subject_label", "right"]].set_axis(["left", "right"], axis=1)

    def _mappings(self) -> tuple[pd.DataFrame, int]:
        """Give the curated mappings that may be seen, and how many may not."""
        frame = tables.read(self.folder, "mappings").to_pandas()
        usable = (frame["use"] == "fit") & (frame["judged"] == "valid") & frame["predicate"].isin(SAME_THING)
        shown = ~frame["subject_id"].isin(self.hidden.subjects) & ~self._evaluated(frame["subject_label"])
        return frame[usable & shown], int((usable & ~shown).sum())

    def relations(self) -> None:
        """Pair the names of both ends, at most so many of one predicate that all fit into the total."""
        frame = tables.read(self.folder, "relations", ["subject_id", "predicate", "object_id"]).to_pandas()
        left, right = frame["subject_id"].map(self._concept_names), frame["object_id"].map(self._concept_names)
        frame = frame.assign(left=left, right=right).dropna(subset=["left", "right"])
        if self.concepts is not None and len(self.concepts):
            ids = [*frame["subject_id"].unique(), *frame["object_id"].unique()]
            held = HeldOut.of(self.folder, self.concepts, ids)(frame["subject_id"], frame["object_id"])
            self.counts["relations: held-out edges left out"] += int(held.sum())
            frame = frame[~held]
        kept = _capped(frame, self.options.relations_total, self.options.seed)
        self.counts["relations: edges"] += len(kept)
        self.counts["relations: edges beyond the cap left out"] += len(frame) - len(kept)
        self._add("relations", kept[["left", "right"]], {})

    def gwas(self) -> None:
        """Pair each trait as written, and the terms that it names, with the variant."""
        rows = self._associations("gwas")
        if not len(rows):
            return
        traits = rows[["object_name", "variant_id", "trait_group", "weight"]].set_axis(["left", "right", "group", "weight"], axis=1)
        # what is filed of an evaluated text must not reach the term through a shared variant
        shown = rows[~self._evaluated(rows["object_name"])]
        self.counts["gwas: terms of evaluated texts left out"] += len(rows) - len(shown)
        plain = shown[shown["qualifiers"].map(len) == 0]
        named = plain[["named_term_ids", "variant_id", "weight"]].explode("named_term_ids").dropna(subset=["named_term_ids"])
        held = self._in_held_units(named["named_term_ids"], named["variant_id"])
        self.counts["gwas: terms of held-out pairs left out"] += int(held.sum())
        named = named[~held]
        named = named.assign(left=named["named_term_ids"].map(self._concept_names)).dropna(subset=["left"])
        named = named[["left", "variant_id", "named_term_ids", "weight"]].set_axis(["left", "right", "group", "weight"], axis=1)
        self.counts["gwas: pairs with a trait as written"] += len(traits)
        self.counts["gwas: pairs with a named term"] += len(named)
        self._add("gwas", _concatenated([traits, named]), self._loci)

    def eqtl(self) -> None:
        """Pair each gene's symbol with its leads: one a block and tissue, and those that GWAS also has."""
        frame = self._rows("eqtl", ["variant_id", "object_id", "tissue", "neg_log10_p"])
        genes = tables.read(self.folder, "genes", ["id", "symbol"]).to_pandas()
        symbols = genes[genes["symbol"] != genes["id"]].set_index("id")["symbol"]
        frame = frame.assign(left=frame["object_id"].map(symbols))
        self.counts["eqtl: rows of genes without a symbol left out"] += int(frame["left"].isna().sum())
        frame = frame[frame["left"].notna() & ~frame["left"].str.startswith("ENSG", na=False)]
        frame = frame[_in(self._loci, frame["variant_id"])]
        known = _in(self._snps, frame["variant_id"])
        frame = frame.assign(locus=self._quarter_windows(frame["variant_id"]), tissue=frame["tissue"].fillna(""), known=known)
        frame = frame.sort_values(["neg_log10_p", "variant_id"], ascending=[False, True], kind="stable")
        lead = ~frame.duplicated(["object_id", "tissue", "locus"])
        kept = frame[lead | frame["known"]]
        kept = kept[kept.groupby("object_id").cumcount() < self.options.eqtl_per_gene]
        self.counts["eqtl: pairs"] += len(kept)
        self.counts["eqtl: rows of a signal that has its lead left out"] += len(frame) - len(kept)
        self._add("eqtl", kept[["left", "variant_id"]].set_axis(["left", "right"], axis=1), self._loci)

    def biobank(self) -> None:
        """Pair phenotypes and variants of biobank tables by their correlation; without n there is none."""
        import numpy as np

        rows = self._associations("biobank")
        if not len(rows):
            return
        effect = rows["effect"].to_numpy(dtype=float)
        effect = np.where(rows["effect_type"] == "odds_ratio", np.log(np.where(effect > 0, effect, np.nan)), effect)
        z = np.where(rows["effect_type"] == "z", effect, effect / rows["se"].to_numpy(dtype=float))
        r = np.abs(correlation(z, rows["n"].to_numpy(dtype=float, na_value=np.nan)))
        rows = rows[np.isfinite(r)].assign(weight=_by_median(r[np.isfinite(r)]))
        self.counts["biobank: rows without a correlation (no n, no standard error) left out"] += int((~np.isfinite(r)).sum())
        self.counts["biobank: pairs"] += len(rows)
        pairs = rows[["object_name", "variant_id", "trait_group", "weight"]].set_axis(["left", "right", "group", "weight"], axis=1)
        self._add("biobank", pairs, self._loci)

    def data(self) -> TrainingData:
        """Give what was gathered; SNPs that no pair names but whose block is known come last."""
        import numpy as np

        from embedder.data import TrainingData

        used = {self._blocks[snp] for snp in self._snps if snp in self._blocks}
        for snp, block in self._blocks.items():
            if block in used:
                self._snps.setdefault(snp, len(self._snps))
        numbers = {block: number for number, block in enumerate(sorted(used))}
        blocks = np.fromiter((numbers.get(self._blocks.get(snp, ""), -1) for snp in self._snps), dtype=np.int64, count=len(self._snps))
        self.counts["texts"], self.counts["variants"], self.counts["LD blocks"] = len(self._texts), len(self._snps), len(numbers)
        return TrainingData(texts=list(self._texts), snps=list(self._snps), snp_blocks=blocks, tasks=self._tasks)

    def _associations(self, kind: str) -> pd.DataFrame:
        """Give the rows of a kind that may be trained on, with trait group and weight."""
        columns = [
            "id",
            "variant_id",
            "object_id",
            "object_name",
            "term_ids",
            "term_relation",
            "named_term_ids",
            "qualifiers",
            "neg_log10_p",
        ]
        columns += ["effect_type", "effect", "effect_unit", "effect_allele_frequency", "se", "n"]
        rows = self._rows(kind, columns)
        if not len(rows):
            return rows
        single = _in(self._loci, rows["variant_id"])
        strong = (rows["neg_log10_p"] >= self.options.least_neg_log10_p).to_numpy()
        held = _among(self.hidden.pairs, rows["object_id"], rows["variant_id"]) | rows["id"].isin(self.hidden.rows).to_numpy()
        self.counts[f"{kind}: rows of a variant set left out"] += int((~single).sum())
        self.counts[f"{kind}: rows above the p threshold left out"] += int((single & ~strong).sum())
        self.counts[f"{kind}: held-out rows left out"] += int((single & strong & held).sum())
        rows = rows[single & strong & ~held]
        weights = effect_weights(rows["effect_type"], rows["effect"], rows["effect_unit"], rows["effect_allele_frequency"])
        return rows.assign(weight=weights, trait_group=rows["object_id"].map(self._trait_groups()))

    def _rows(self, kind: str, columns: list[str]) -> pd.DataFrame:
        import pyarrow.compute as pc

        rows = tables.read(self.folder, "associations", ["kind", *columns])
        frame: pd.DataFrame = rows.filter(pc.equal(rows["kind"], kind)).select(columns).to_pandas()
        for column in frame.columns.intersection(["effect_type", "effect_unit"]):
            frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
        return frame

    def _trait_groups(self) -> dict[str, str]:
        if not self._traits:
            import pyarrow.compute as pc

            rows = tables.read(self.folder, "associations", ["kind", "object_id", "object_name", "term_ids"])
            self._traits = trait_groups(rows.filter(pc.not_equal(rows["kind"], "eqtl")), self._twins)
        return self._traits

    def _kin(self, groups: pd.Series[str]) -> npt.NDArray[np.int64]:
        named = {group: self._groups[group] for group in groups.unique()}
        return trait_kin(self.folder, named, codes=self._trait_groups(), mappings=self._mappings()[0])

    def _in_held_units(self, terms: pd.Series[str], variants: pd.Series[str]) -> npt.NDArray[np.bool_]:
        import numpy as np

        pairs = zip(terms.tolist(), variants.tolist(), strict=True)
        return np.array([self.hidden.has_unit(self._twins.get(term, term), snp, self._loci.get(snp)) for term, snp in pairs], dtype=bool)

    def _quarter_windows(self, variants: pd.Series[str]) -> list[str]:
        """Give each variant's LD block, else its 250 kb window, else nothing: unplaced ones count as one signal."""
        frame = (
            tables.read(self.folder, "variants", ["id", "chromosome", "position"])
            .to_pandas()
            .drop_duplicates("id")
            .set_index("id")
            .loc[variants.unique()]
        )
        window = frame["chromosome"].fillna("").astype(str) + ":" + (frame["position"] // 250_000).fillna(-1).astype(int).astype(str)
        named = {variant: self._blocks.get(variant) or place for variant, place in window.items()}
        return [named[variant] for variant in variants.tolist()]

    def _evaluated(self, texts: pd.Series[str]) -> npt.NDArray[np.bool_]:
        """Tell which texts are, in their normal form, the label of an evaluated subject."""
        import numpy as np
        import pandas as pd

        numbers, distinct = pd.factorize(texts)
        hidden = np.array([normalise_name(text) in self.hidden.labels for text in distinct], dtype=bool)
        return np.asarray(hidden[numbers])

    def _add(self, name: str, pairs: pd.DataFrame, loci: Mapping[str, str | None]) -> None:
        """Give numbers to the two sides of a task; of equal pairs the one with the largest weight stays. With loci, the right side are SNPs."""
        import numpy as np

        from embedder.data import Task

        if "weight" in pairs.columns:
            pairs = pairs.sort_values("weight", ascending=False, kind="stable")
        pairs = pairs.drop_duplicates(["left", "right"]).sort_values(["left", "right"], kind="stable")
        if not len(pairs):
            return
        right_numbers = self._snps if loci else self._texts
        self._tasks.append(
            Task(
                name,
                left=_numbers(pairs["left"], self._texts),
                right=_numbers(pairs["right"], right_numbers),
                weight=pairs["weight"].to_numpy(dtype=np.float32) if "weight" in pairs.columns else np.ones(len(pairs), dtype=np.float32),
                left_kind="text",
                right_kind="snp" if loci else "text",
                left_group=_numbers(pairs["group"], self._groups) if "group" in pairs.columns else None,
                right_group=_numbers(pairs["right"].map(lambda snp: loci.get(snp) or snp), self._groups) if loci else None,
                left_kin=self._kin(pairs["group"]) if "group" in pairs.columns else None,
            )
        )
        self.counts[f"{name}: distinct pairs"] += len(pairs)


def _numbers(values: pd.Series[str], numbers: dict[str, int]) -> npt.NDArray[np.int64]:
    """Give numbers to values, new ones after those that are known."""
    import numpy as np
    import pandas as pd

    codes, distinct = pd.factorize(values)
    known = np.array([numbers.setdefault(value, len(numbers)) for value in distinct.tolist()], dtype=np.int64)
    return np.asarray(known[codes])


def _in(known: Mapping[str, Any], values: pd.Series[str]) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.array([value in known for value in values.tolist()], dtype=bool)


def _among(hidden: frozenset[tuple[str, str]], first: pd.Series[str], second: pd.Series[str]) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.array([pair in hidden for pair in zip(first.tolist(), second.tolist(), strict=True)], dtype=bool)


def _preferred_names(folder: Path) -> dict[str, str]:
    """Give the name of each concept and the symbol of each gene."""
    concepts = tables.read(folder, "concepts", ["id", "name"]).to_pydict()
    genes = tables.read(folder, "genes", ["id", "symbol"]).to_pydict()
    named = {id_: symbol for id_, symbol in zip(genes["id"], genes["symbol"], strict=True) if symbol != id_}
    return named | dict(zip(concepts["id"], concepts["name"], strict=True))


def _telling_blocks(variants: Any) -> dict[str, str]:
    """Give the LD block of each variant whose block says something: not the MHC, not a block over 1 Mb."""
    frame = variants.select(["id", "locus", "in_mhc", "locus_span"]).to_pydict()
    return {
        id_: locus
        for id_, locus, in_mhc, span in zip(*frame.values(), strict=True)
        if locus is not None and locus.startswith("ld:") and not in_mhc and (span is None or span <= WIDE_BLOCK)
    }


def _capped(frame: pd.DataFrame, total: int, seed: int) -> pd.DataFrame:
    """Keep at most as many rows of each predicate as lets all of them fit into `total`; which ones, the seed says."""
    sizes = sorted(frame["predicate"].value_counts().tolist())
    cap, left = 0, total
    for place, size in enumerate(sizes):
        cap = left // (len(sizes) - place)
        if size > cap:
            break
        left, cap = left - size, size
    order = frame.sample(frac=1.0, random_state=seed)
    return frame.loc[order[order.groupby("predicate").cumcount() < cap].index.sort_values()]


def _by_median(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    import numpy as np

    median = float(np.median(values)) if len(values) else 0.0
    return np.clip(values / median if median > 0 else np.ones(len(values)), MIN_WEIGHT, MAX_WEIGHT).astype(np.float32)


def _concatenated(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)
