"""How large the effect of a SNP on a trait is expected to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from little_tables import association, variant, write

from embedder import HashedNgramEncoder, unit_rows
from kgbuild.effects import FEATURES, LARGEST, PRIOR, Effects, fit, known_effects
from kgbuild.errors import ModelError
from kgbuild.evidence import Evidence
from kgbuild.pairs import build_pairs

ENCODER = HashedNgramEncoder(128)
REGIONS = {f"dbsnp:rs{number}": ("1", 7) for number in (1, 2, 3)} | {"dbsnp:rs4": ("9", 1)}


def odds(trait: str, number: int, ratio: float | None, **more: object) -> dict[str, object]:
    return association(trait, number, effect=ratio, effect_type=None if ratio is None else "odds_ratio", **more)


def some(folder: Path) -> tuple[Evidence, Effects]:
    """rs1 (a ratio of 3 for asthma) and rs2 share a block, rs3 lies in their region, rs4 elsewhere."""
    rows = [odds("Asthma", 1, 3.0, effect_allele_frequency=0.9), odds("Gout", 2, None), odds("Gout", 3, None), odds("Gout", 4, 0.5)]
    write(folder, variants=[variant(1, "ld:1:1"), variant(2, "ld:1:1"), variant(3), variant(4)], associations=rows)
    evidence = Evidence.of(build_pairs(folder).data, regions=REGIONS)
    return evidence, Effects.of(evidence, known_effects(folder), REGIONS)


def test_a_ratio_below_one_is_as_large_as_its_inverse_and_betas_do_not_count(tmp_path: Path) -> None:
    rows = [odds("A", 1, 0.25), odds("A", 2, 5000.0), association("A", 3, effect=2.0, effect_type="beta"), odds("A", 4, None)]
    write(tmp_path, variants=[variant(number) for number in (1, 2, 3, 4)], associations=rows)
    sizes = known_effects(tmp_path)["size"].tolist()
    assert sizes[:2] == pytest.approx([np.log(4), LARGEST])
    assert np.isnan(sizes[2:]).all()


def test_what_is_hidden_is_not_seen(tmp_path: Path) -> None:
    some(tmp_path)
    every = known_effects(tmp_path)
    rows = association("Asthma", 1)
    hidden = known_effects(tmp_path, {(rows["object_id"], rows["variant_id"])})
    assert (len(every), len(hidden)) == (4, 3)
    assert "Asthma" not in set(hidden["object_name"])


def test_ratios_of_alike_traits_count_more_the_nearer_they_are(tmp_path: Path) -> None:
    evidence, effects = some(tmp_path)
    vectors = unit_rows(ENCODER.encode(["Asthma"]))
    known = unit_rows(ENCODER.encode(list(evidence.texts)))
    rows = np.array([evidence.snp_rows[f"dbsnp:rs{number}"] for number in (1, 2, 3, 4)])
    nearby = effects.features(vectors, known, np.zeros(4, dtype=np.int64), rows)[:, 0]
    assert nearby[0] > nearby[1] > nearby[2] > nearby[3]
    mean = (np.log(3) + np.log(2)) / 2
    assert nearby[2] == pytest.approx((PRIOR * mean + 0.5 * np.log(3)) / (PRIOR + 0.5), abs=1e-4)  # alone in its region, with a cosine of 1


def test_what_is_known_of_a_snp_alone(tmp_path: Path) -> None:
    evidence, effects = some(tmp_path)
    facts = pd.DataFrame(effects.facts, index=list(evidence.snps), columns=list(FEATURES[1:]))
    assert facts.loc["dbsnp:rs1", "log frequency"] == pytest.approx(np.log(0.1))
    assert facts["frequency unknown"].tolist() == [0, 1, 1, 1]
    assert facts["no LD block"].tolist() == [0, 0, 1, 1]


def test_effects_are_read_as_they_were_written_and_none_is_none(tmp_path: Path) -> None:
    _, effects = some(tmp_path)
    assert Effects.load(tmp_path) is None
    effects.save(tmp_path)
    read = Effects.load(tmp_path)
    assert read is not None
    np.testing.assert_array_equal(read.facts, effects.facts)
    np.testing.assert_array_equal(read.by["region"].members, effects.by["region"].members)
    assert (read.weights, read.size.tolist()) == ((), effects.size.tolist())
    (tmp_path / "effects.json").write_text('{"features": ["another"], "weights": []}')
    with pytest.raises(ModelError, match="earlier version"):
        Effects.load(tmp_path)


def test_the_fit_finds_what_sizes_depend_on_and_says_nothing_of_few(tmp_path: Path) -> None:
    _, effects = some(tmp_path)
    random = np.random.default_rng(0)
    features = random.normal(size=(400, len(FEATURES))).astype(np.float32)
    size = (1.0 + 0.5 * features[:, 0] - 0.25 * features[:, 5] + 0.1 * random.normal(size=400)).astype(np.float32)
    fitted = fit(effects, features, size)
    assert np.array(fitted.weights)[[0, 1, 6]] == pytest.approx([1.0, 0.5, -0.25], abs=0.05)
    assert np.corrcoef(fitted.expected(features), size)[0, 1] > 0.9
    other = features.copy()
    other[:, 0] = 0
    np.testing.assert_array_equal(fitted.expected_of_snp(features), fitted.expected_of_snp(other))  # whatever the trait
    assert np.array(fitted.weights_of_snp)[5] == pytest.approx(-0.25, abs=0.1)
    few = fit(effects, features[:20], size[:20])
    assert few.weights == ()
    assert not few.expected(features).any()
