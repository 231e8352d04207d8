"""Neo4j Browser shows the graph as the style says, its guide plays, and the saved queries run."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neo4j_browser_page as browser
import pytest
from neo4j_server import VERSIONS, Neo4jServer

from kgbuild.schema import NODE_LABELS

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "cypher" / "browser")]

import neo4j_browser  # noqa: E402 - on the path since the line above
import serve  # noqa: E402 - likewise

STYLE = ROOT / "cypher" / "browser" / "style.grass"
COLOURS = dict(re.findall(r"node\.(\w+) \{\s*color: (#\w+);", STYLE.read_text(encoding="utf-8")))
PARAMETERS = {name: value for name, (value, _) in neo4j_browser.EXAMPLE.items()}
ONE_OF_EACH = "UNWIND $labels AS label CREATE (n:Entity {id: label, name: label}) SET n:$(label)"

# a trait with everything that a prioritisation walks along
WALK = """
CREATE (c:Entity:HarmonisedConcept {id: 'harmonised:x', name: 'diabetes', search_text: 'diabetes', n_members: 2, n_associations: 1})
CREATE (d:Entity:Disease {id: 'EFO:1', name: 'diabetes', search_text: 'diabetes'}), (f:Entity:FreeText {id: 'text:1', name: 'Diabetes'})
CREATE (p:Entity:Disease {id: 'EFO:0', name: 'metabolic disease'})
CREATE (v:Entity:Variant {id: 'dbsnp:rs1', name: 'rs1', locus: '1:1'})
CREATE (g:Entity:Gene {id: 'NCBIGene:1', name: 'PPARG'}), (h:Entity:Gene {id: 'NCBIGene:2', name: 'KCNJ11'})
CREATE (w:Entity:Pathway {id: 'R:1', name: 'Insulin processing'}), (t:Entity:Drug {id: 'DB:1', name: 'Nateglinide'})
CREATE (d)-[:MEMBER_OF {p_same: 1.0}]->(c), (f)-[:MEMBER_OF {p_same: 0.9}]->(c), (f)-[:SAME_AS {p_same: 0.9}]->(d), (d)-[:IS_A]->(p)
CREATE (v)-[:ASSOCIATED_WITH {id: 'a', neg_log10_p: 9.0}]->(f)
CREATE (v)-[:NEAREST_GENE]->(g), (v)-[:EQTL_OF {tissue: 'liver'}]->(h), (t)-[:TARGETS]->(h), (t)-[:INDICATED_FOR]->(d)
CREATE (g)-[:PARTICIPATES_IN]->(w), (h)-[:PARTICIPATES_IN]->(w)
"""


@pytest.mark.parametrize("query", neo4j_browser.queries(), ids=lambda query: query.name)
def test_a_saved_query_only_reads_and_asks_for_known_parameters(query: Any) -> None:
    assert not re.search(r"\b(CREATE|MERGE|SET|DELETE|DROP)\b|\bapoc\.", query.cypher)
    assert set(re.findall(r"\$(\w+)", query.cypher)) <= set(PARAMETERS)
    assert query.about


@pytest.mark.slow
def test_every_saved_query_finds_something_on_every_version(neo4j: Neo4jServer) -> None:
    parameters = {"trait": "diabetes", "concept": "harmonised:x", "variant": "dbsnp:rs1"}
    with neo4j.driver() as driver:
        driver.execute_query(WALK)
        driver.execute_query("CREATE FULLTEXT INDEX kg_names FOR (n:Entity) ON EACH [n.search_text]")
        driver.execute_query("CALL db.awaitIndexes(60)")
        found = {query.number: len(driver.execute_query(query.cypher, parameters).records) for query in neo4j_browser.queries()}
    assert found == {"0": 1, "1": 1, "2": 2, "3": 2, "4": 2, "5": 2, "6": 1, "7": 2, "8": 2}


@pytest.mark.slow
def test_the_browser_draws_every_label_in_its_colour_with_its_name(neo4j_servers: Callable[[str], Neo4jServer], chromium: str) -> None:
    server = neo4j_servers(VERSIONS[0])
    server.empty()
    with server.driver() as driver:
        driver.execute_query(ONE_OF_EACH, labels=list(NODE_LABELS))
    with browser.opened(server) as page:
        browser.drop(page, STYLE)
        browser.run(page, "MATCH (n:Entity) RETURN n")
        assert browser.nodes_drawn(page) == len(NODE_LABELS)
        colours = page.locator("g.node circle.b-outline").evaluate_all("circles => circles.map(c => c.getAttribute('fill'))")
        names = "".join(page.locator("g.node text").all_text_contents())
    assert sorted(colours) == sorted(COLOURS[label] for label in NODE_LABELS)
    assert [label for label in NODE_LABELS if label[:8] not in names] == []


@pytest.mark.slow
def test_the_guide_plays_and_its_boxes_run(neo4j_servers: Callable[[str], Neo4jServer], chromium: str) -> None:
    server = neo4j_servers(VERSIONS[0])
    with serve.server() as guide, browser.opened(server) as page:
        threading.Thread(target=guide.serve_forever, daemon=True).start()
        browser.run(page, f":play http://localhost:{neo4j_browser.PORT}/guide.html")
        page.click("pre.runnable >> nth=0")
        page.keyboard.press("Control+Enter")
        assert PARAMETERS["concept"] in page.inner_text("[data-testid=rawParamData]")
        guide.shutdown()
    assert serve.PORT == neo4j_browser.PORT
