"""A small graph, literally: some fifty nodes with everything the templates need. `write` makes its Parquet files; tests compute
their golden answers from the same rows in plain Python.

Type 2 diabetes is merged from an ontology class, two codes, a text and an obsolete class; it has a parent, a child term, a
text that an accepted link calls narrower, one whose link is only for review, and one that is about age at onset. rs7903146 and
rs12255372 lie in one LD block; rs7903146 has parallel associations of two studies; two variants lie in the MHC; rs5219 has no
locus; a haplotype is one association of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property, arrow_type
from kgbuild.stores import GraphFiles

Row = dict[str, Any]

ODD_NAMES = (
    "Crohn's \"x\"; a|b, 3',5'-cyclic \\ back\\slash\\n",
    "line one\nline two\ttab\r\nline three",
    "🧬 emoji 👩🏽\u200d🔬 café e\u0301",
    "\u200fסוכרת מסוג 2\u200f داء السكري",
    "{braces} $dollar `backtick` #12:3 %s {{}} NULL null \x1f",
)
LONG_SYNONYM = "very long synonym " * 1821  # 32 kB


def _node(id: str, name: str, vocabulary: str, *synonyms: str, **more: Any) -> Row:
    return {
        "id": id,
        "name": name,
        "vocabulary": vocabulary,
        "synonyms": list(synonyms),
        "search_text": "\n".join([name, *synonyms]),
        "obsolete": False,
        "source": "test",
    } | more


def _concept(key: str, name: str, kind: str, members: int, associations: int, vector: list[float] | None, *synonyms: str) -> Row:
    more = {"concept_kind": kind, "n_members": members, "n_associations": associations, "embedding": vector}
    return _node(f"harmonised:{key}", name, "kgbuild", *synonyms, **more, source="kgbuild")


def _variant(rs: str, locus: str | None, chromosome: str, position: int, *, mhc: bool = False) -> Row:
    more = {"chromosome": chromosome, "position": position, "build": "GRCh38", "locus": locus, "in_mhc": mhc, "variant_kind": "single"}
    return _node(f"dbsnp:{rs}", rs, "dbsnp", **more)


NODES: dict[str, list[Row]] = {
    "HarmonisedConcept": [
        _concept("1", "type 2 diabetes mellitus", "Disease", 5, 8, [1.0, 0.0, 0.0, 0.0], "NIDDM", "Type 2 diabetes"),
        _concept("2", "diabetes mellitus", "Disease", 2, 0, [0.8, 0.6, 0.0, 0.0], "diabetes"),
        _concept("3", "diabetic nephropathy in type 2 diabetes", "Disease", 2, 1, [0.6, 0.0, 0.8, 0.0]),
        _concept("4", "Type 2 diabetes in Europeans", "FreeText", 1, 1, None),
        _concept("5", "Type 2 diabetes (age of onset)", "FreeText", 1, 1, None),
        _concept("6", "Insulin levels", "FreeText", 1, 1, None),
        _concept("7", "rheumatoid arthritis", "Disease", 2, 3, [0.0, 0.0, 0.0, 1.0], "RA"),
        _concept("8", ODD_NAMES[0], "FreeText", 1, 1, None),
        _concept("9", "Crohn's disease", "Disease", 1, 0, [0.0, 1.0, 0.0, 0.0], "regional enteritis"),
    ],
    "Disease": [
        _node("MONDO:0005148", "type 2 diabetes mellitus", "efo", "NIDDM"),
        _node("MONDO:0005015", "diabetes mellitus", "efo", "diabetes"),
        _node("EFO:0004996", "diabetic nephropathy in type 2 diabetes", "efo"),
        _node("EFO:0000685", "rheumatoid arthritis", "efo", "RA"),
        _node("EFO:0000384", "Crohn's disease", "efo", "regional enteritis"),
        _node("EFO:0001360", "type II diabetes mellitus", "efo", obsolete=True, search_text=None),
    ],
    "ClinicalCode": [
        _node("icd10:E11", "Non-insulin-dependent diabetes mellitus", "icd10", group="E10-E14 Diabetes"),
        _node("phecode:250.2", "Type 2 diabetes", "phecode", group="endocrine/metabolic"),
        _node("phecode:250", "Diabetes mellitus", "phecode", group="endocrine/metabolic"),
        _node("icd10:M06.9", "Rheumatoid arthritis, unspecified", "icd10"),
    ],
    "FreeText": [
        _node("text:t2d", "Type 2 diabetes", "text", qualifiers=[]),
        _node("text:nephropathy", "Diabetic nephropathy in T2D", "text", qualifiers=[]),
        _node("text:europeans", "Type 2 diabetes in Europeans", "text", qualifiers=["measured_in"]),
        _node("text:onset", "Type 2 diabetes (age of onset)", "text", qualifiers=["age_at_onset"]),
        _node("text:insulin", "Insulin levels", "text", qualifiers=[]),
        _node("text:odd", ODD_NAMES[0], "text", *ODD_NAMES[1:], LONG_SYNONYM, qualifiers=[]),
    ],
    "Variant": [
        _variant("rs7903146", "ld:10:1", "10", 112998590),
        _variant("rs12255372", "ld:10:1", "10", 113049143),
        _variant("rs9271366", "MHC", "6", 32619077, mhc=True),
        _variant("rs3135388", "MHC", "6", 32445274, mhc=True),
        _variant("rs5219", None, "11", 17388025),
        _variant("rs13266634", "ld:8:4", "8", 117172544),
        _variant("rs2476601", "ld:1:9", "1", 113834946),
        _variant("rs1057910", None, "10", 94981296),
        _variant("rs1801282", "ld:3:2", "3", 12351626),
        _node("variantset:h1", "rs7903146; rs12255372", "kgbuild", variant_kind="haplotype", in_mhc=False),
    ],
    "Gene": [
        _node("NCBIGene:6934", "TCF7L2", "gene", ensembl_ids=["ENSG00000148737"]),
        _node("NCBIGene:3767", "KCNJ11", "gene", ensembl_ids=["ENSG00000187486"]),
        _node("NCBIGene:169026", "SLC30A8", "gene"),
        _node("NCBIGene:3123", "HLA-DRB1", "gene"),
        _node("NCBIGene:26191", "PTPN22", "gene"),
        _node("NCBIGene:1559", "CYP2C9", "gene"),
        _node("NCBIGene:5468", "PPARG", "gene"),
        _node("symbol:LOC1", "LOC1", "gene"),
    ],
    "Drug": [
        _node("drugbank:DB01016", "Glyburide", "primekg"),
        _node("drugbank:DB01132", "Pioglitazone", "primekg"),
        _node("drugbank:DB01281", "Abatacept", "primekg"),
    ],
    "Pathway": [
        _node("reactome:R-HSA-1", "Regulation of insulin secretion", "primekg"),
        _node("reactome:R-HSA-2", "Signalling by WNT", "primekg"),
    ],
    "BiologicalProcess": [_node("GO:0030073", "insulin secretion", "primekg")],
}
for _label, _rows in NODES.items():
    for _row in _rows:
        _row["kind"] = _label


def _edge(start: str, end: str, **more: Any) -> Row:
    return {
        "start_id": start,
        "end_id": end,
        "id": f"{start}|{end}|{more.get('association_id', more.get('tissue', ''))}",
        "source": "test",
    } | more


def _association(key: str, variant: str, text: str, term: str | None, p: float, **more: Any) -> list[Row]:
    """Give the edge to the trait as written and, where the source names a term, the one to that."""
    facts = {
        "association_id": key,
        "association_kind": "gwas",
        "neg_log10_p": p,
        "p_censored": False,
        "genome_wide": p >= 7.30103,
        "qualifiers": [],
        "flags": [],
        "trait": next(row["name"] for row in NODES["FreeText"] if row["id"] == text),
    } | more
    written = [_edge(variant, text, term_relation="as_written", **facts)]
    return written if term is None else [*written, _edge(variant, term, term_relation="single", **facts)]


def _link(start: str, end: str, similarity: float, p_target: float, p_same: float, decision: str) -> Row:
    return _edge(start, end, similarity=similarity, p_target=p_target, p_same=p_same, decision=decision,
                 justification="semapv:SemanticSimilarityThresholdMatching", calibration="text-efo", source="kgbuild")  # fmt: skip


def _member(concept: str, group: str, p_same: float = 1.0, justification: str = "semapv:LexicalMatching") -> Row:
    return _edge(concept, f"harmonised:{group}", p_same=p_same, justification=justification, source="kgbuild")


_OR = {"effect_type": "odds_ratio", "effect_allele": "T"}
_BETA = {"effect_type": "beta", "effect_unit": "SD"}
EDGES: dict[str, list[Row]] = {
    "MEMBER_OF": [
        _member("MONDO:0005148", "1"),
        _member("text:t2d", "1", 0.99),
        _member("phecode:250.2", "1", 0.97),
        _member("icd10:E11", "1", 0.93, "semapv:ManualMappingCuration"),
        _member("EFO:0001360", "1", 1.0, "semapv:MappingChaining"),
        _member("MONDO:0005015", "2"),
        _member("phecode:250", "2", 0.96),
        _member("EFO:0004996", "3"),
        _member("text:nephropathy", "3", 0.91),
        _member("text:europeans", "4"),
        _member("text:onset", "5"),
        _member("text:insulin", "6"),
        _member("EFO:0000685", "7"),
        _member("icd10:M06.9", "7", 0.92),
        _member("text:odd", "8"),
        _member("EFO:0000384", "9"),
    ],
    "SAME_AS": [
        _link("text:t2d", "MONDO:0005148", 0.93, 0.99, 0.99, "accept"),
        _link("phecode:250.2", "MONDO:0005148", 0.91, 0.98, 0.97, "accept"),
        _link("icd10:E11", "MONDO:0005148", 0.78, 0.95, 0.93, "accept"),
        _link("text:odd", "EFO:0000384", 0.55, 0.41, 0.3, "review"),
    ],
    "BROADER_THAN": [
        _link("MONDO:0005148", "text:europeans", 0.85, 0.96, 0.2, "accept"),
        _link("MONDO:0005148", "text:onset", 0.8, 0.9, 0.1, "accept"),
        _link("MONDO:0005148", "text:insulin", 0.4, 0.3, 0.05, "review"),
    ],
    "IS_A": [
        _edge("MONDO:0005148", "MONDO:0005015"),
        _edge("EFO:0004996", "MONDO:0005148"),
    ],
    "XREF": [_edge("MONDO:0005148", "icd10:E11", predicate="xref")],
    "ASSOCIATED_WITH": [
        *_association("a01", "dbsnp:rs7903146", "text:t2d", "MONDO:0005148", 120.0, effect=1.37, effect_lower=1.31, effect_upper=1.43,
                      study="gcst:GCST1", publication="pubmed:1", n=60000, ancestry="European", **_OR),
        *_association("a02", "dbsnp:rs7903146", "text:t2d", "MONDO:0005148", 31.0, effect=1.4, study="gcst:GCST2", publication="pubmed:2", **_OR),
        *_association("a03", "dbsnp:rs7903146", "text:t2d", None, 12.0, effect=1.3, study="gcst:GCST3", publication="pubmed:2", **_OR),
        *_association("a04", "dbsnp:rs12255372", "text:t2d", "MONDO:0005148", 80.0, effect=1.3, study="gcst:GCST1", publication="pubmed:1", **_OR),
        *_association("a05", "dbsnp:rs9271366", "text:t2d", "MONDO:0005148", 9.0, effect=0.9, study="gcst:GCST2", publication="pubmed:2", **_OR),
        *_association("a06", "dbsnp:rs5219", "text:europeans", None, 20.0, effect=-0.12, effect_lower=-0.2, effect_upper=-0.04,
                      effect_allele="C", direction="decrease", study="gcst:GCST4", publication="pubmed:4", qualifiers=["measured_in"], **_BETA),
        *_association("a07", "dbsnp:rs13266634", "text:nephropathy", "EFO:0004996", 15.0, study="gcst:GCST5", publication="pubmed:5"),
        *_association("a08", "dbsnp:rs2476601", "text:onset", "MONDO:0005148", 22.0, effect=0.3, study="gcst:GCST6", publication="pubmed:6",
                      qualifiers=["age_at_onset"], **_BETA),
        *_association("a09", "dbsnp:rs1801282", "text:insulin", None, 30.0, effect=0.5, study="gcst:GCST7", publication="pubmed:7", **_BETA),
        *_association("a10", "dbsnp:rs1057910", "text:t2d", "MONDO:0005148", 5.2, study="gcst:GCST8", publication="pubmed:8"),
        *_association("a11", "variantset:h1", "text:t2d", "MONDO:0005148", 10.0, study="gcst:GCST9", publication="pubmed:9"),
        *_association("a12", "dbsnp:rs2476601", "text:odd", "EFO:0000685", 170.0, p_censored=True, effect=1.8, effect_allele="A",
                      effect_type="odds_ratio", study="gcst:GCST10", publication="pubmed:10"),
        *_association("a13", "dbsnp:rs9271366", "text:odd", "EFO:0000685", 323.0, study="gcst:GCST10", publication="pubmed:10"),
        *_association("a14", "dbsnp:rs3135388", "text:odd", "EFO:0000685", 200.0, study="gcst:GCST10", publication="pubmed:10"),
    ],
    "EQTL_OF": [
        _edge("dbsnp:rs7903146", "NCBIGene:6934", tissue="pancreas", effect_allele="T", beta=0.2, se=0.01, neg_log10_p=50.0),
        _edge("dbsnp:rs7903146", "NCBIGene:6934", tissue="monocyte", effect_allele="T", beta=-0.1, se=0.01, neg_log10_p=9.0),
        _edge("dbsnp:rs5219", "NCBIGene:3767", tissue="monocyte", effect_allele="C", beta=0.4, se=0.05, neg_log10_p=11.0),
        _edge("dbsnp:rs3135388", "NCBIGene:3123", tissue="monocyte", effect_allele="A", beta=1.4, se=0.05, neg_log10_p=60.0),
    ],
    "NEAREST_GENE": [
        _edge("dbsnp:rs7903146", "NCBIGene:6934"),
        _edge("dbsnp:rs12255372", "NCBIGene:6934"),
        _edge("dbsnp:rs5219", "NCBIGene:3767"),
        _edge("dbsnp:rs5219", "symbol:LOC1"),
        _edge("dbsnp:rs13266634", "NCBIGene:169026"),
        _edge("dbsnp:rs9271366", "NCBIGene:3123"),
        _edge("dbsnp:rs2476601", "NCBIGene:26191"),
        _edge("dbsnp:rs1057910", "NCBIGene:1559"),
        _edge("dbsnp:rs1801282", "NCBIGene:5468"),
    ],
    "PART_OF_SET": [_edge("dbsnp:rs7903146", "variantset:h1"), _edge("dbsnp:rs12255372", "variantset:h1")],
    "TARGETS": [
        _edge("drugbank:DB01016", "NCBIGene:3767"),
        _edge("drugbank:DB01132", "NCBIGene:5468"),
        _edge("drugbank:DB01281", "NCBIGene:3123"),
    ],
    "ENZYME_OF": [_edge("NCBIGene:1559", "drugbank:DB01016")],
    "INDICATED_FOR": [
        _edge("drugbank:DB01016", "MONDO:0005148"),
        _edge("drugbank:DB01132", "MONDO:0005148"),
        _edge("drugbank:DB01281", "EFO:0000685"),
        _edge("drugbank:DB01281", "EFO:0000384"),
    ],
    "PARTICIPATES_IN": [
        _edge("NCBIGene:3767", "reactome:R-HSA-1"),
        _edge("NCBIGene:6934", "reactome:R-HSA-1"),
        _edge("NCBIGene:6934", "reactome:R-HSA-2"),
        _edge("NCBIGene:5468", "reactome:R-HSA-2"),
        _edge("NCBIGene:3767", "GO:0030073"),
    ],
}  # fmt: skip

BUILD: Row = {"kgbuild_version": "0.1.0", "schema_version": 1, "sources": [{"source": "test", "sha256": "0" * 64}]}


def write(folder: Path, *, vectors: bool = True) -> GraphFiles:
    """Write the graph's Parquet files below a folder; `vectors=False` leaves the column `embedding` out."""
    for name in ("nodes", "edges"):
        (folder / name).mkdir(parents=True)
    for label, rows in NODES.items():
        properties = [p for p in NODE_LABELS[label].all_properties if vectors or p.name != "embedding"]
        _write(folder / "nodes" / f"{label}.parquet", rows, properties)
    ends = [Property("start_id", "string", "start"), Property("end_id", "string", "end")]
    for type_, rows in EDGES.items():
        _write(folder / "edges" / f"{type_}.parquet", rows, [*ends, *EDGE_TYPES[type_].all_properties])
    return GraphFiles(folder)


def _write(path: Path, rows: list[Row], properties: list[Property]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(p.name, arrow_type(p.type)) for p in properties])
    if unknown := {key for row in rows for key in row} - set(schema.names) - {"embedding"}:
        raise ValueError(f"{path.name}: the schema has no {unknown}")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
