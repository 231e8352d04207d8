"""Templates: their contracts, their parameters, and the golden answers, computed here from the small graph's rows alone."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import neo4j_server
import pytest
import small_graph
from small_graph import EDGES, NODES, Row
from store_contract import EXPECTED, load_small_graph, served

from kgbuild.errors import QueryError
from kgbuild.queries import Parameter, parse_arguments, parse_template, run, run_cypher, templates
from kgbuild.stores import GraphFiles, GraphReader
from kgbuild.stores.bolt import BoltStore, address_of
from kgbuild.stores.embedded import EmbeddedStore
from kgbuild.stores.neo4j import Neo4jStore

HEADER = """// question: Which?
// parameter trait (concept): the trait
// parameter limit (int = 20): most rows
// column name (string): its name
// example: kgbuild query x --trait y
"""
BODY = "MATCH (e:Entity {id: $trait}) RETURN e.name AS name ORDER BY e.id LIMIT $limit"
NODE: dict[str, Row] = {row["id"]: row for rows in NODES.values() for row in rows}
GROUP_OF = {edge["start_id"]: edge["end_id"] for edge in EDGES["MEMBER_OF"]}


# ---------------------------------------------------------------- contracts and parameters


def test_there_are_at_least_ten_templates() -> None:
    assert len(templates()) >= 10


@pytest.mark.parametrize("name", templates())
def test_the_example_of_a_template_is_one_that_could_be_typed(name: str) -> None:
    command = shlex.split(templates()[name].example)
    assert command[:3] == ["kgbuild", "query", name]
    assert set(parse_arguments(name, command[3:])) == {parameter.name for parameter in templates()[name].parameters}


@pytest.mark.parametrize("name", templates())
def test_a_template_keeps_the_rules_for_both_engines(name: str) -> None:
    cypher = templates()[name].cypher
    returned = cypher[cypher.rindex("RETURN") :]
    assert not re.search(r"\bapoc\.|\bSHORTEST\b|vector\.similarity|\b(CREATE|MERGE|SET|DELETE|DROP)\b", cypher)
    assert "ORDER BY" in returned
    assert [column.name for column in templates()[name].columns] == _returned_names(returned)


def _returned_names(returned: str) -> list[str]:
    """Name the columns of a RETURN clause: the last word of each of its parts."""
    text = re.sub(r"\s+", " ", returned.split("ORDER BY")[0].removeprefix("RETURN")).strip()
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [re.split(r"[\s.]", part.strip())[-1] for part in [*parts, text[start:]]]


def test_the_templates_about_a_trait_agree_on_what_it_stands_for() -> None:
    reach = {
        re.sub(r"(?m)^\s+", "", part)
        for t in templates().values()
        for part in re.findall(r"(?s)MATCH \(start:Entity \{id: \$trait\}\).*?AS step\n(?=\s*(?:WITH collect|//))", t.cypher)
    }
    assert len(reach) == 1


def test_a_template_is_read() -> None:
    template = parse_template(Path("x.cypher"), HEADER + BODY)
    assert (template.name, template.question, template.example, template.cypher) == ("x", "Which?", "kgbuild query x --trait y", BODY)
    assert template.parameters == (Parameter("trait", "concept", "the trait"), Parameter("limit", "int", "most rows", 20))
    assert [(c.name, c.type, c.meaning) for c in template.columns] == [("name", "string", "its name")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BODY, "x.cypher: 0 lines say `// question:`, expected one"),
        (HEADER + "// example: twice\n" + BODY, "x.cypher: 2 lines say `// example:`"),
        (HEADER.replace("// column name (string): its name\n", "") + BODY, "x.cypher: no line says `// column"),
        (HEADER.replace("(int = 20)", "(number)") + BODY, "x.cypher, line 3: no parameter has the type 'number'"),
        (HEADER.replace("(int = 20)", "int") + BODY, "x.cypher, line 3: 'limit int: most rows' is not a parameter"),
        (HEADER.replace("= 20", "= many") + BODY, "--limit is 'many'"),
        (HEADER + BODY.replace("$limit", "$most"), r"disagree on \$limit, \$most"),
    ],
)
def test_a_bad_template_is_refused_with_the_place(text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        parse_template(Path("x.cypher"), text)


def test_arguments_become_values_and_defaults_are_filled_in() -> None:
    assert parse_arguments("variants-of-trait", ["--trait", "asthma", "--limit=5", "--min-neg-log10-p", "5", "--qualified"]) == {
        "trait": "asthma", "children": True, "qualified": True, "min_neg_log10_p": 5.0, "limit": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("variants-of-trai", [], "no template called 'variants-of-trai'\n  Did you mean variants-of-trait?"),
        ("variants-of-trait", ["--triat", "x"], "no parameter --triat\n  Did you mean --trait?"),
        ("variants-of-trait", [], "wants --trait\n  For example: kgbuild query variants-of-trait"),
        ("variants-of-trait", ["--trait"], "--trait has no value\n  Parameters: --trait, --children"),
        ("variants-of-trait", ["asthma"], "'asthma' is not a parameter\n  Write --NAME VALUE"),
        ("variants-of-trait", ["--trait", "x", "--limit", "all"], "--limit is 'all'\n  Expected a whole number such as 20"),
        ("variants-of-trait", ["--trait", "x", "--children", "some"], "--children is 'some'\n  Expected true or false"),
    ],
)
def test_a_wrong_argument_is_refused_and_the_right_ones_named(name: str, arguments: list[str], says: str) -> None:
    with pytest.raises(QueryError, match=re.escape(says)):
        parse_arguments(name, arguments)


# ---------------------------------------------------------------- golden answers, in plain Python


def steps_of(trait: str, children: bool = True) -> dict[str, tuple[int, str]]:
    """Give concept -> (rank, through) for all that a trait stands for; the nearest way wins."""
    members = defaultdict(list)
    for member, group in GROUP_OF.items():
        members[group].append(member)
    home = GROUP_OF.get(trait, trait)
    found = [(0, concept, concept) for concept in [home, *members[home]]]
    below: set[str] = set()
    frontier = {concept for _, _, concept in found}
    while children and frontier:
        frontier = {e["start_id"] for e in EDGES["IS_A"] if e["end_id"] in frontier} - below
        below |= frontier
    for child in below:
        found += [(1, child, twin) for twin in {child, *members.get(GROUP_OF.get(child, ""), [])}]
    for _, _, concept in list(found):
        found += [(2, concept, e["end_id"]) for e in EDGES["BROADER_THAN"] if e["start_id"] == concept and e["decision"] == "accept"]
    nearest: dict[str, tuple[int, str]] = {}
    for rank, through, concept in sorted(found):
        nearest.setdefault(concept, (rank, through))
    return nearest


def associations_of(trait: str, *, children: bool = True, qualified: bool = False, least: float = 7.3) -> list[Row]:
    steps = steps_of(trait, children)
    return [
        edge
        for edge in EDGES["ASSOCIATED_WITH"]
        if edge["end_id"] in steps
        and edge["neg_log10_p"] >= least
        and (qualified or set(edge["qualifiers"]) <= {"measured_in", "severity"})
    ]


def strength(edge: Row) -> tuple[float, str]:
    return -edge["neg_log10_p"], edge["association_id"]


def place_of(variant: str) -> str:
    return str(NODE[variant].get("locus") or variant)


def gene_edges(variants: set[str]) -> list[tuple[str, str, str]]:
    kinds = (("EQTL_OF", "eqtl"), ("NEAREST_GENE", "nearest"))
    return [(edge["start_id"], edge["end_id"], kind) for type_, kind in kinds for edge in EDGES[type_] if edge["start_id"] in variants]


def strongest(trait: str, **how: Any) -> dict[str, Row]:
    """Give variant -> its strongest association with the trait."""
    best: dict[str, Row] = {}
    for edge in sorted(associations_of(trait, **how), key=strength):
        best.setdefault(edge["start_id"], edge)
    return best


def variants_of_trait(trait: str, *, limit: int = 20, **how: Any) -> list[Row]:
    steps, edges = steps_of(trait, how.get("children", True)), associations_of(trait, **how)
    loci: dict[str, list[str]] = defaultdict(list)
    for variant, edge in sorted(strongest(trait, **how).items(), key=lambda item: (-item[1]["neg_log10_p"], item[0])):
        loci[place_of(edge["start_id"])].append(variant)
    rows = []
    for rank, variants in enumerate(list(loci.values())[:limit], 1):
        lead = variants[0]
        association = min((e for e in edges if e["start_id"] == lead), key=strength)["association_id"]
        edge = min((e for e in edges if e["association_id"] == association), key=lambda e: (*steps[e["end_id"]], e["id"]))
        how_far, through = steps[edge["end_id"]]
        genes = sorted({(kind, NODE[gene]["name"]) for _, gene, kind in gene_edges({lead})})
        rows.append({
            "rank": rank, "variant": NODE[lead]["name"], "locus": NODE[lead].get("locus"), "in_mhc": NODE[lead]["in_mhc"],
            **{key: edge.get(key) for key in ("effect_allele", "effect_type", "effect", "effect_lower", "effect_upper", "neg_log10_p", "p_censored")},
            "n_publications": len({e["publication"] for e in edges if e["start_id"] == lead}), "n_variants": len(variants),
            "genes": [f"{gene} ({kind})" for kind, gene in genes], "trait": edge["trait"], "link": ["member", "child", "broader"][how_far],
            "through_term": NODE[through]["name"], "through_id": through, "study": edge["study"], "publication": edge["publication"],
        })  # fmt: skip
    return rows


def genes_of_trait(trait: str, *, limit: int = 20, **how: Any) -> list[Row]:
    best = strongest(trait, **how)
    by_gene: dict[str, set[tuple[float, str, str]]] = defaultdict(set)
    for variant, gene, kind in gene_edges(set(best)):
        by_gene[gene].add((-best[variant]["neg_log10_p"], variant, kind))
    rows = []
    for gene, found in by_gene.items():
        minus_p, lead, _ = min(found)
        variants = {variant for _, variant, _ in found}
        rows.append({
            "gene": NODE[gene]["name"], "gene_id": gene, "evidence": sorted({kind for _, _, kind in found}), "n_variants": len(variants),
            "n_loci": len({place_of(v) for v in variants}), "in_mhc": any(NODE[v]["in_mhc"] for v in variants),
            "variant": NODE[lead]["name"], "neg_log10_p": -minus_p,
        })  # fmt: skip
    return sorted(rows, key=lambda row: (-row["neg_log10_p"], row["gene_id"]))[:limit]


def drugs_for_trait(trait: str, *, limit: int = 20, **how: Any) -> list[Row]:
    best = strongest(trait, **how)
    rows = []
    for gene in genes_of_trait(trait, limit=1000, **how):
        for target in EDGES["TARGETS"]:
            if target["end_id"] == gene["gene_id"]:
                drug = target["start_id"]
                lead = min((-best[v]["neg_log10_p"], v) for v, g, _ in gene_edges(set(best)) if g == gene["gene_id"])[1]
                diseases = {e["end_id"] for e in EDGES["INDICATED_FOR"] if e["start_id"] == drug}
                within = {c for c, (rank, _) in steps_of(trait).items() if rank < 2}
                rows.append({
                    "variant": NODE[lead]["name"], "neg_log10_p": gene["neg_log10_p"], "in_mhc": NODE[lead]["in_mhc"], "gene": gene["gene"],
                    "gene_id": gene["gene_id"], "evidence": gene["evidence"], "drug": NODE[drug]["name"], "drug_id": drug,
                    "indications": sorted(NODE[d]["name"] for d in diseases), "indicated": bool(diseases & within),
                })  # fmt: skip
    return rows[:limit]


def pathways_of_trait(trait: str, *, limit: int = 20, **how: Any) -> list[Row]:
    best = strongest(trait, **how)
    found = {(gene, place_of(variant)) for variant, gene, _ in gene_edges(set(best))}
    rows = []
    for pathway in NODES["Pathway"]:
        inside = {e["start_id"] for e in EDGES["PARTICIPATES_IN"] if e["end_id"] == pathway["id"]}
        hits = {(gene, place) for gene, place in found if gene in inside}
        if hits:
            genes = {gene for gene, _ in hits}
            rows.append({
                "pathway": pathway["name"], "pathway_id": pathway["id"], "n_genes": len(genes), "n_loci": len({place for _, place in hits}),
                "genes": sorted(NODE[g]["name"] for g in genes), "n_genes_in_pathway": len(inside),
            })  # fmt: skip
    return sorted(rows, key=lambda row: (-row["n_loci"], -row["n_genes"], row["pathway_id"]))[:limit]


def shared_variants(trait: str, other: str, **how: Any) -> list[Row]:
    first, second = strongest(trait, **how), strongest(other, **how)
    shared = sorted(set(first) & set(second), key=lambda v: (-first[v]["neg_log10_p"], v))
    keys = ("effect_allele", "effect_type", "effect", "neg_log10_p")
    return [
        {"variant": NODE[v]["name"], "locus": NODE[v].get("locus"), "in_mhc": NODE[v]["in_mhc"]}
        | {key: first[v].get(key) for key in keys}
        | {f"other_{key}": second[v].get(key) for key in keys}
        for v in shared
    ]


def traits_of_variant(variant: str, *, least: float = 0.0) -> list[Row]:
    edges = [e for e in EDGES["ASSOCIATED_WITH"] if e["start_id"] == variant and e["neg_log10_p"] >= least]
    rows = []
    for edge in sorted((e for e in edges if e["term_relation"] == "as_written"), key=strength):
        group = GROUP_OF[edge["end_id"]]
        terms = [NODE[e["end_id"]]["name"] for e in edges if e["association_id"] == edge["association_id"] and e is not edge]
        keys = ("effect_allele", "effect_type", "effect", "effect_lower", "effect_upper", "neg_log10_p", "study", "publication")
        rows.append(
            {"trait": edge["trait"], "concept": NODE[group]["name"], "concept_id": group, "qualifiers": edge["qualifiers"], "terms": terms}
            | {key: edge.get(key) for key in keys}
        )
    return rows


def variant_gene_drug(variant: str) -> list[Row]:
    rows = []
    genes = {gene for _, gene, _ in gene_edges({variant})}
    for gene in sorted(genes, key=lambda g: (NODE[g]["name"], g)):
        for drug in sorted(e["start_id"] for e in EDGES["TARGETS"] if e["end_id"] == gene) or [None]:
            rows.append({
                "variant": NODE[variant]["name"], "gene": NODE[gene]["name"], "gene_id": gene,
                "evidence": sorted({kind for _, g, kind in gene_edges({variant}) if g == gene}),
                "tissues": sorted(e["tissue"] for e in EDGES["EQTL_OF"] if (e["start_id"], e["end_id"]) == (variant, gene)),
                "drug": drug and NODE[drug]["name"], "drug_id": drug,
                "indications": sorted(NODE[e["end_id"]]["name"] for e in EDGES["INDICATED_FOR"] if e["start_id"] == drug),
            })  # fmt: skip
    return rows


def why_merged(concept: str) -> list[Row]:
    home = GROUP_OF.get(concept, concept)
    rows = [
        {"concept": NODE[home]["name"], "concept_id": home, "member": e["start_id"], "vocabulary": NODE[e["start_id"]]["vocabulary"],
         "name": NODE[e["start_id"]]["name"], "synonyms": NODE[e["start_id"]]["synonyms"], "obsolete": NODE[e["start_id"]]["obsolete"],
         "p_same": e["p_same"], "justification": e["justification"],
         "n_associations": sum(a["end_id"] == e["start_id"] for a in EDGES["ASSOCIATED_WITH"])}
        for e in EDGES["MEMBER_OF"] if e["end_id"] == home
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["obsolete"], -row["p_same"], row["member"]))


def links_of_concept(concept: str) -> list[Row]:
    home = GROUP_OF.get(concept, concept)
    members = {member for member, group in GROUP_OF.items() if group == home}
    rows = []
    for type_, forward, backward in (("SAME_AS", "same", "same"), ("BROADER_THAN", "narrower", "broader")):
        for edge in EDGES[type_]:
            for member, other, relation in ((edge["start_id"], edge["end_id"], forward), (edge["end_id"], edge["start_id"], backward)):
                if member in members:
                    rows.append({
                        "member": member, "member_name": NODE[member]["name"], "relation": relation, "other": other,
                        "other_name": NODE[other]["name"], "vocabulary": NODE[other]["vocabulary"],
                        **{key: edge[key] for key in ("decision", "similarity", "p_target", "p_same", "justification", "calibration")},
                    })  # fmt: skip
    return sorted(rows, key=lambda row: (-row["p_target"], row["member"], row["other"], row["relation"]))


def parents_and_children(concept: str) -> list[Row]:
    home = GROUP_OF.get(concept, concept)
    members = {member for member, group in GROUP_OF.items() if group == home}
    found = [(e["start_id"], e["end_id"], "is_a") for e in EDGES["IS_A"]]
    found += [(e["end_id"], e["start_id"], "link") for e in EDGES["BROADER_THAN"] if e["decision"] == "accept"]
    rows = [("parent", by, child, parent) for child, parent, by in found if child in members]
    rows += [("child", by, parent, child) for child, parent, by in found if parent in members]
    rows.sort(key=lambda row: (row[0] == "child", *row[1:]))
    return [
        {"place": place, "through": by, "member": member, "other": other, "other_name": NODE[other]["name"],
         "n_associations": NODE[GROUP_OF[other]]["n_associations"]}
        for place, by, member, other in rows
    ]  # fmt: skip


def neighbours_by_vector(concept: str, *, limit: int = 10) -> list[Row]:
    home = NODE[GROUP_OF.get(concept, concept)]
    rows = [
        {"concept": row["name"], "concept_id": row["id"], "concept_kind": row["concept_kind"], "n_members": row["n_members"],
         "similarity": pytest.approx(sum(a * b for a, b in zip(row["embedding"], home["embedding"], strict=True)), abs=1e-3),
         "n_associations": row["n_associations"]}
        for row in NODES["HarmonisedConcept"] if row["embedding"] and row["id"] != home["id"]
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row["similarity"].expected, row["concept_id"]))[:limit]


def concept_search(text: str) -> list[Row]:
    words = text.lower().split()
    rows = []
    for node in NODES["HarmonisedConcept"]:
        names = [name.lower() for name in node["search_text"].split("\n")]
        found = re.findall(r"[\w']+", node["search_text"].lower())
        if all(word in found for word in words):
            how = "name" if node["name"].lower() == text.lower() else "synonym" if text.lower() in names else "words"
            rows.append({"id": node["id"], "name": node["name"], "matched": how, "concept_kind": node["concept_kind"],
                         "n_members": node["n_members"], "n_associations": node["n_associations"], "score": None})  # fmt: skip
    return sorted(rows, key=lambda row: (["name", "synonym", "words"].index(row["matched"]), row["id"]))


def describe(id: str) -> list[Row]:
    node = NODE.get(id)
    group = GROUP_OF.get(id)
    keys = ("id", "name", "kind", "vocabulary", "synonyms", "obsolete", "source")
    return [{key: node[key] for key in keys} | {"concept": group and NODE[group]["name"], "concept_id": group}] if node else []


def counts() -> list[Row]:
    nodes = [{"what": "node", "name": name, "n": n} for name, n in sorted(EXPECTED.nodes.items())]
    return nodes + [{"what": "edge", "name": name, "n": n} for name, n in sorted(EXPECTED.edges.items())]


# ---------------------------------------------------------------- what the stores answer

T2D, RA = "MONDO:0005148", "EFO:0000685"
CASES: list[tuple[str, dict[str, Any], Callable[[], list[Row]]]] = [
    ("variants-of-trait", {"trait": "type 2 diabetes"}, lambda: variants_of_trait(T2D)),
    ("variants-of-trait", {"trait": "icd10:E11", "children": False, "limit": 2}, lambda: variants_of_trait(T2D, children=False, limit=2)),
    (
        "variants-of-trait",
        {"trait": "EFO_0001360", "qualified": True, "min_neg_log10_p": 0.0},
        lambda: variants_of_trait(T2D, qualified=True, least=0),
    ),
    ("variants-of-trait", {"trait": "Diabetes"}, lambda: variants_of_trait("MONDO:0005015")),
    ("variants-of-trait", {"trait": "Crohn disease"}, lambda: []),
    ("genes-of-trait", {"trait": T2D, "min_neg_log10_p": 5.0}, lambda: genes_of_trait(T2D, least=5)),
    ("genes-of-trait", {"trait": "RA", "limit": 1}, lambda: genes_of_trait(RA, limit=1)),
    ("drugs-for-trait", {"trait": T2D}, lambda: drugs_for_trait(T2D)),
    ("drugs-for-trait", {"trait": "harmonised:7"}, lambda: drugs_for_trait("harmonised:7")),
    ("pathways-of-trait", {"trait": T2D}, lambda: pathways_of_trait(T2D)),
    ("shared-variants", {"trait": T2D, "other": "rheumatoid arthritis"}, lambda: shared_variants(T2D, RA)),
    ("shared-variants", {"trait": RA, "other": T2D, "qualified": True}, lambda: shared_variants(RA, T2D, qualified=True)),
    ("traits-of-variant", {"variant": "rs7903146"}, lambda: traits_of_variant("dbsnp:rs7903146")),
    ("traits-of-variant", {"variant": "RS2476601", "min_neg_log10_p": 50}, lambda: traits_of_variant("dbsnp:rs2476601", least=50)),
    ("variant-gene-drug", {"variant": "rs5219"}, lambda: variant_gene_drug("dbsnp:rs5219")),
    ("variant-gene-drug", {"variant": "rs1057910"}, lambda: variant_gene_drug("dbsnp:rs1057910")),
    ("why-merged", {"concept": "NIDDM"}, lambda: why_merged(T2D)),
    ("why-merged", {"concept": small_graph.ODD_NAMES[0]}, lambda: why_merged("text:odd")),
    ("links-of-concept", {"concept": T2D}, lambda: links_of_concept(T2D)),
    ("links-of-concept", {"concept": "Insulin levels"}, lambda: links_of_concept("text:insulin")),
    ("parents-and-children", {"concept": T2D}, lambda: parents_and_children(T2D)),
    ("parents-and-children", {"concept": "text:europeans"}, lambda: parents_and_children("text:europeans")),
    ("neighbours-by-vector", {"concept": T2D, "limit": 2}, lambda: neighbours_by_vector(T2D, limit=2)),  # the third is a tie
    ("neighbours-by-vector", {"concept": "text:onset"}, lambda: []),
    ("concept-search", {"text": "Type 2 diabetes"}, lambda: concept_search("Type 2 diabetes")),
    ("concept-search", {"text": "crohn's"}, lambda: concept_search("crohn's")),
    ("describe", {"id": "phecode:250.2"}, lambda: describe("phecode:250.2")),
    ("describe", {"id": "nothing"}, lambda: describe("nothing")),
    ("counts", {}, counts),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load_small_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module", params=["embedded", "bolt", *neo4j_server.VERSIONS])
def store(
    request: pytest.FixtureRequest,
    database: Path,
    tmp_path_factory: pytest.TempPathFactory,
    neo4j_servers: Callable[[str], neo4j_server.Neo4jServer],
) -> Iterator[GraphReader]:
    """Give the small graph in the embedded engine, behind its Bolt server, and in each version of Neo4j."""
    if request.param == "embedded":
        with EmbeddedStore.open(database) as store:
            yield store
    elif request.param == "bolt":
        with served(database, tmp_path_factory.mktemp("serve")) as (where, _), BoltStore.connect(where) as store:
            yield store
    else:
        server = neo4j_servers(request.param)
        server.empty()
        with Neo4jStore.connect(address_of("neo4j", environment=server.environment)) as store:
            store.load(GraphFiles(database.parent), build=small_graph.BUILD)
            yield store


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters", "golden"), CASES, ids=[f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)])
def test_a_template_gives_the_golden_answer(
    store: GraphReader, name: str, parameters: dict[str, Any], golden: Callable[[], list[Row]]
) -> None:
    answer = run(store, name, parameters)
    rows = answer.rows
    if name == "concept-search":  # the score is the engine's own, and orders what is not an exact name
        rows = sorted(
            ({**row, "score": None} for row in rows), key=lambda row: (["name", "synonym", "words"].index(row["matched"]), row["id"])
        )
    assert rows == golden()
    assert answer.columns == [column.name for column in templates()[name].columns]


def test_every_template_has_a_golden_answer_with_rows() -> None:
    assert {name for name, _, golden in CASES if golden()} == set(templates())


@pytest.mark.slow
def test_a_trait_that_nobody_knows_is_refused_with_the_nearest_names(store: GraphReader) -> None:
    with pytest.raises(
        QueryError, match=r"no trait is called 'rheumatoid'\n  Did you mean one of these\? rheumatoid arthritis \(harmonised:7\)"
    ):
        run(store, "variants-of-trait", {"trait": "rheumatoid"})
    with pytest.raises(QueryError, match=r"no trait is called '!\?'"):
        run(store, "variants-of-trait", {"trait": "!?"})
    with pytest.raises(QueryError, match="holds no word"):
        run(store, "concept-search", {"text": "!?"})


@pytest.mark.slow
def test_a_gene_is_no_trait_and_an_unknown_variant_is_said_so(store: GraphReader) -> None:
    with pytest.raises(QueryError, match="NCBIGene:3767 is a Gene, expected a trait"):
        run(store, "variants-of-trait", {"trait": "NCBIGene:3767"})
    with pytest.raises(QueryError, match="no variant 'rs1'"):
        run(store, "traits-of-variant", {"variant": "rs1"})


@pytest.mark.slow
def test_free_cypher_is_answered_with_its_columns(store: GraphReader) -> None:
    answer = run_cypher(store, "MATCH (d:Drug) RETURN d.id AS id, d.name AS name ORDER BY id LIMIT $n", {"n": 1})
    assert (answer.columns, answer.rows) == (["id", "name"], [{"id": "drugbank:DB01016", "name": "Glyburide"}])
    with pytest.raises(QueryError, match="empty"):
        run_cypher(store, " ")
