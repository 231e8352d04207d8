"""Near misses: pairs that look alike and must never become one. Concepts, links and groups in; which pairs did, out.

The pairs are checked with every build and the outcome is printed: what is linked as exact is a fault of the links, a curated
row that is wrong, or somebody's decision, and is to be looked at. It is not merged, unless somebody decided so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PAIRS", "VERSION", "Pair", "check", "near_misses"]

VERSION = 2


class Pair(NamedTuple):
    """Two things that are told apart, each under the names that vocabularies give it."""

    kind: str
    left: tuple[str, ...]
    right: tuple[str, ...]


def _pairs(kind: str, *pairs: str) -> tuple[Pair, ...]:
    """Read `name | other name <> name | other name`."""
    sides = [[tuple(name.strip() for name in side.split("|")) for side in pair.split("<>")] for pair in pairs]
    return tuple(Pair(kind, left, right) for left, right in sides)


PAIRS: tuple[Pair, ...] = (
    *_pairs(
        "type",
        "type 1 diabetes mellitus | type 1 diabetes | insulin-dependent diabetes mellitus | T1D"
        " <> type 2 diabetes mellitus | type 2 diabetes | non-insulin-dependent diabetes mellitus | T2D | T2DM | NIDDM",
        "bipolar I disorder | bipolar disorder type 1 <> bipolar II disorder | bipolar disorder type 2",
        "neurofibromatosis type 1 | neurofibromatosis 1 <> neurofibromatosis type 2 | neurofibromatosis 2",
        "autosomal dominant polycystic kidney disease | polycystic kidney, autosomal dominant"
        " <> autosomal recessive polycystic kidney disease | polycystic kidney, autosomal recessive",
        "hepatitis B virus infection | hepatitis B | viral hepatitis B <> hepatitis C virus infection | hepatitis C | viral hepatitis C",
        "hepatitis A virus infection | hepatitis A | viral hepatitis A <> hepatitis B virus infection | hepatitis B | viral hepatitis B",
        "vitamin B12 deficiency <> vitamin D deficiency",
        "factor VIII deficiency | hemophilia A <> factor IX deficiency | hemophilia B",
    ),
    *_pairs(
        "bowel",
        "Crohn's disease | Crohn disease | regional enteritis <> ulcerative colitis | ulcerative colitis (chronic)",
        "Crohn's disease | Crohn disease | regional enteritis <> inflammatory bowel disease | inflammatory bowel diseases",
        "ulcerative colitis <> inflammatory bowel disease | inflammatory bowel diseases",
        "irritable bowel syndrome <> inflammatory bowel disease | inflammatory bowel diseases",
    ),
    *_pairs(
        "hypo and hyper",
        "hypothyroidism <> hyperthyroidism | thyrotoxicosis",
        "hypoparathyroidism <> hyperparathyroidism",
        "hypotension | low blood pressure <> hypertension | high blood pressure | essential hypertension",
        "hypoglycemia <> hyperglycemia",
        "hypokalemia | hypopotassemia <> hyperkalemia | hyperpotassemia",
        "hyponatremia <> hypernatremia",
        "hypocalcemia <> hypercalcemia",
        "hypomagnesemia <> hypermagnesemia",
        "hypothermia <> hyperthermia",
        "hypopituitarism <> hyperpituitarism",
        "hypoventilation <> hyperventilation",
        "hypermetropia | hyperopia <> myopia",
    ),
    *_pairs(
        "lipoprotein",
        "high density lipoprotein cholesterol measurement | HDL cholesterol | HDL cholesterol levels | HDL-C"
        " <> low density lipoprotein cholesterol measurement | LDL cholesterol | LDL cholesterol levels | LDL-C | LDL direct",
        "very low density lipoprotein cholesterol measurement | VLDL cholesterol | VLDL cholesterol levels"
        " <> low density lipoprotein cholesterol measurement | LDL cholesterol | LDL cholesterol levels | LDL-C | LDL direct",
        "non-high density lipoprotein cholesterol measurement | non-HDL cholesterol | non-HDL cholesterol levels"
        " <> high density lipoprotein cholesterol measurement | HDL cholesterol | HDL cholesterol levels | HDL-C",
        "apolipoprotein A 1 measurement | apolipoprotein A1 levels | apolipoprotein A <> apolipoprotein B measurement | apolipoprotein B levels | apolipoprotein B",
        "total cholesterol measurement | cholesterol, total | total cholesterol levels"
        " <> low density lipoprotein cholesterol measurement | LDL cholesterol | LDL cholesterol levels | LDL-C | LDL direct",
        "systolic blood pressure <> diastolic blood pressure",
    ),
    *_pairs(
        "benign and malignant",
        "benign neoplasm of breast | breast benign neoplasm <> malignant neoplasm of breast | breast cancer | breast carcinoma | malignant breast neoplasm",
        "benign neoplasm of colon | colonic benign neoplasm <> malignant neoplasm of colon | colon cancer | colon carcinoma | colonic malignant neoplasm",
        "benign neoplasm of ovary | ovarian benign neoplasm <> malignant neoplasm of ovary | ovarian cancer | ovarian carcinoma | ovarian malignant neoplasm",
        "benign neoplasm of prostate | prostatic hyperplasia | benign prostatic hyperplasia | hyperplasia of prostate"
        " <> malignant neoplasm of prostate | prostate cancer | prostate carcinoma | cancer of prostate",
        "benign neoplasm of skin | skin benign neoplasm <> malignant neoplasm of skin | skin cancer | skin carcinoma | cancer of skin",
        "benign neoplasm of thyroid gland | thyroid adenoma <> malignant neoplasm of thyroid gland | thyroid cancer | thyroid carcinoma",
        "benign neoplasm of brain | brain benign neoplasm <> malignant neoplasm of brain | brain cancer | malignant brain neoplasm | cancer of brain",
        "melanocytic nevus | melanocytic nevi <> melanoma | malignant melanoma | malignant melanoma of skin | cutaneous melanoma",
        "carcinoma in situ of breast | breast carcinoma in situ <> malignant neoplasm of breast | breast cancer | breast carcinoma",
    ),
    *_pairs(
        "acute and chronic",
        "acute pancreatitis <> chronic pancreatitis",
        "acute bronchitis <> chronic bronchitis",
        "acute sinusitis <> chronic sinusitis",
        "acute lymphocytic leukemia | acute lymphoblastic leukemia | acute lymphoid leukemia <> chronic lymphocytic leukemia | chronic lymphoid leukemia",
        "acute myeloid leukemia <> chronic myelogenous leukemia | chronic myeloid leukemia",
        "acute kidney failure | acute renal failure | acute kidney injury <> chronic kidney disease | chronic renal failure | chronic kidney failure",
        "acute hepatitis <> chronic hepatitis",
        "acute tonsillitis <> chronic tonsillitis",
        "acute gastritis <> chronic gastritis",
        "acute pain <> chronic pain",
    ),
    *_pairs(
        "disease and measurement",
        "diabetes mellitus | diabetes <> glucose measurement | blood glucose | fasting blood glucose measurement | fasting blood glucose | glucose | HbA1c measurement | HbA1c",
        "hypertension | high blood pressure | essential hypertension <> blood pressure | blood pressure measurement | systolic blood pressure | diastolic blood pressure",
        "obesity <> body mass index | BMI | body mass index (BMI)",
        "gout <> urate measurement | urate | uric acid measurement | urate levels | serum urate levels",
        "anemia <> hemoglobin measurement | hemoglobin | haemoglobin concentration | hemoglobin concentration | hemoglobin levels",
        "osteoporosis <> bone mineral density | bone density | heel bone mineral density | bone mineral density measurement",
        "chronic kidney disease <> glomerular filtration rate | estimated glomerular filtration rate | creatinine measurement | creatinine",
        "vitamin D deficiency <> vitamin D measurement | vitamin D | vitamin D levels",
        "hypercholesterolemia | pure hypercholesterolemia <> total cholesterol measurement | cholesterol, total | total cholesterol levels | cholesterol",
        "hypertriglyceridemia <> triglyceride measurement | triglycerides | triglyceride levels",
    ),
    *_pairs(
        "neighbours",
        "rheumatoid arthritis <> osteoarthritis | osteoarthrosis",
        "osteoarthritis | osteoarthrosis <> osteoporosis",
        "myocardial infarction | heart attack <> heart failure | congestive heart failure",
        "multiple sclerosis <> amyotrophic lateral sclerosis",
        "atrial fibrillation <> ventricular fibrillation",
        "ischemic stroke | cerebral infarction <> hemorrhagic stroke | intracerebral hemorrhage",
        "asthma <> chronic obstructive pulmonary disease | COPD | chronic airway obstruction",
        "open-angle glaucoma <> angle-closure glaucoma",
        "anorexia nervosa <> bulimia nervosa",
        "systemic lupus erythematosus <> cutaneous lupus erythematosus",
    ),
)  # fmt: skip


def check(links: pa.Table, groups: pa.Table, concepts: pa.Table, names: pa.Table) -> dict[str, Any]:
    """Count the pairs of which both sides are loaded, and name those that were merged or linked as exact.

    Args:
        links: Table `links`.
        groups: Table `groups`.
        concepts: Table `concepts`; obsolete ones play no part.
        names: Table `names`.
    """
    sides = _sides(concepts, names)
    loaded = [number for number in range(len(PAIRS)) if {(number, 0), (number, 1)} <= {side for found in sides.values() for side in found}]
    members: dict[str, list[str]] = {}
    for group, member in zip(groups["group_id"].to_pylist(), groups["member_id"].to_pylist(), strict=True):
        if member in sides:
            members.setdefault(group, []).append(member)
    merged = [
        (number, a, b) for inside in members.values() for a in inside for b in inside for number in _opposed(sides[a], sides[b], first=0)
    ]
    exact = _opposed_links(links, sides)
    return {"pairs": len(PAIRS), "loaded": len(loaded), "merged": _told(merged, "and"), "linked_exact": _told(exact, "->")}


def near_misses(links: pa.Table, concepts: pa.Table, names: pa.Table) -> frozenset[frozenset[str]]:
    """Give the pairs of ids that stand on opposite sides and are linked as exact: `merge` keeps them apart, whoever linked them.

    Args:
        links: Table `links`.
        concepts: Table `concepts`.
        names: Table `names`.
    """
    return frozenset(frozenset((a, b)) for _, a, b in _opposed_links(links, _sides(concepts, names)))


def _opposed_links(links: pa.Table, sides: Mapping[str, frozenset[tuple[int, int]]]) -> list[tuple[int, str, str]]:
    return [
        (number, a, b)
        for a, b in _exact(links)
        if a in sides and b in sides
        for number in (*_opposed(sides[a], sides[b], first=0), *_opposed(sides[a], sides[b], first=1))
    ]


def _sides(concepts: pa.Table, names: pa.Table) -> dict[str, frozenset[tuple[int, int]]]:
    """Say of each concept on which sides of which pairs it stands: by its preferred name, else by its other names."""
    by_name: dict[str, set[tuple[int, int]]] = {}
    for number, pair in enumerate(PAIRS):
        for side, several in enumerate((pair.left, pair.right)):
            for name in several:
                by_name.setdefault(normalise_name(name), set()).add((number, side))
    known = {normalise_name(name): found for name, found in by_name.items()}
    rows = concepts.select(["id", "name", "obsolete"]).to_pydict()
    live = {id_: name for id_, name, old in zip(*rows.values(), strict=True) if not old}
    found = {id_: frozenset(known.get(normalise_name(name), ())) for id_, name in live.items()}
    others: dict[str, set[tuple[int, int]]] = {}
    for id_, name in zip(names["concept_id"].to_pylist(), names["name"].to_pylist(), strict=True):
        if id_ in live and not found[id_]:
            others.setdefault(id_, set()).update(known.get(normalise_name(name), ()))
    # a synonym on both sides of a pair says nothing about it
    clear = {id_: frozenset((n, side) for n, side in several if (n, 1 - side) not in several) for id_, several in others.items()}
    return {id_: several for id_, several in (found | clear).items() if several}


def _opposed(left: Iterable[tuple[int, int]], right: Iterable[tuple[int, int]], *, first: int) -> list[int]:
    """List the pairs of which one concept stands on side `first` and the other opposite."""
    theirs = set(right)
    return sorted(number for number, side in left if side == first and (number, 1 - first) in theirs)


def _exact(links: pa.Table) -> list[tuple[str, str]]:
    import pyarrow.compute as pc

    rows = links.filter(pc.and_(pc.equal(links["decision"], "accept"), pc.equal(links["predicate"], "exact")))
    return list(zip(rows["subject_id"].to_pylist(), rows["object_id"].to_pylist(), strict=True))


def _told(found: Iterable[tuple[int, str, str]], between: str) -> list[str]:
    return [f"{PAIRS[number].left[0]} / {PAIRS[number].right[0]}: {a} {between} {b}" for number, a, b in sorted(set(found))]
