"""The tests' own Neo4j: it answers, survives a kill with its data, and speaks TLS to those who know its authority."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import neo4j_server
import pytest
from neo4j.exceptions import ServiceUnavailable
from neo4j_server import QUICK_START, Neo4jServer, running

pytestmark = pytest.mark.slow

COUNT = "MATCH (n:Gene) RETURN count(n) AS n"


def _count(server: Neo4jServer, uri: str = "") -> int:
    with server.driver(uri) as driver:
        return int(driver.execute_query(COUNT).records[0]["n"])


def test_the_server_is_the_version_asked_for_and_empty(neo4j: Neo4jServer) -> None:
    with neo4j.driver() as driver:
        kernel = driver.execute_query("CALL dbms.components() YIELD name, versions, edition WHERE name = 'Neo4j Kernel' RETURN *").records[
            0
        ]
        schema = driver.execute_query("SHOW INDEXES YIELD type WHERE type <> 'LOOKUP' RETURN *").records
    assert (kernel["versions"], kernel["edition"], schema, _count(neo4j)) == ([neo4j.version], "community", [], 0)


def test_what_was_committed_is_there_after_a_kill_and_an_offline_import_replaces_it(neo4j_version: str, tmp_path: Path) -> None:
    (tmp_path / "genes.csv").write_text("id:ID,name\n1,PCSK9\n2,APOE\n", encoding="utf-8")
    with running(neo4j_version, tmp_path / "home", java_options=QUICK_START) as server:
        with server.driver() as driver:
            driver.execute_query("UNWIND range(1, 1000) AS i CREATE (:Gene {id: i})")
        server.kill()
        assert server.pid is None
        server.start()
        assert _count(server) == 1000
        server.stop()
        server.admin_import(["neo4j", "--overwrite-destination=true", f"--nodes=Gene={tmp_path / 'genes.csv'}"])
        server.start()
        assert _count(server) == 2


def test_tls_connects_those_who_know_the_authority_and_no_others(
    neo4j_version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(neo4j_version, tmp_path / "home", tls=True, java_options=QUICK_START) as server:
        assert _count(server, f"neo4j+ssc://{server.address}") == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        assert _count(server, f"neo4j+s://{server.address}") == 0
        (tmp_path / "other").mkdir()
        monkeypatch.setenv("SSL_CERT_FILE", str(neo4j_server.certificate(tmp_path / "other")))
        with pytest.raises(ServiceUnavailable, match="SSLCertVerificationError"), server.driver(f"bolt+s://{server.address}") as driver:
            driver.verify_connectivity()
        with pytest.raises(ServiceUnavailable), server.driver(f"bolt://{server.address}") as driver:
            driver.verify_connectivity()


def test_a_server_that_ends_as_it_starts_says_why(neo4j_version: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"no\.such\.setting"), running(neo4j_version, tmp_path, settings=["no.such.setting=1"]):
        pass


def _without_maven(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a test of this file where nothing can be assembled."""
    test = f"{__file__}::test_a_server_that_ends_as_it_starts_says_why"
    hidden = {"KGBUILD_NEO4J_CACHE": str(tmp_path), "PATH": "", "KGBUILD_REQUIRE_NEO4J": ""}
    return subprocess.run([sys.executable, "-m", "pytest", test], env=os.environ | hidden | environment, capture_output=True, text=True)


def test_without_maven_it_is_said_that_tests_were_skipped_and_what_to_install(tmp_path: Path) -> None:
    done = _without_maven(tmp_path)
    assert done.returncode == 0
    assert "2 skipped" in done.stdout
    assert re.search(r"2 tests against a real Neo4j were SKIPPED on this machine:\n  no (Maven|Java) ", done.stdout)


def test_without_maven_continuous_integration_fails(tmp_path: Path) -> None:
    done = _without_maven(tmp_path, KGBUILD_REQUIRE_NEO4J="1")
    assert done.returncode == 1
    assert "KGBUILD_REQUIRE_NEO4J is set, but no" in done.stdout
