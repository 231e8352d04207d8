"""One finished workspace for all tests that only read: tiny, the hashed encoder, no torch. One Neo4j server of each version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import neo4j_browser_page
import neo4j_server
import pytest
from filelock import FileLock

from kgbuild.workspace import Workspace

_FINISH = """
import json, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from kgbuild import pipeline
from tiny import tiny_workspace
folder = Path(sys.argv[1])
workspace = tiny_workspace(folder)
pipeline.train(workspace)
pipeline.populate(workspace)
heavy = {"torch", "transformers"} & set(sys.modules)
(folder / "modules.json").write_text(json.dumps(sorted(heavy)))
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Build it once for all the processes that test side by side."""
    shared = tmp_path_factory.getbasetemp()
    if shared.name.startswith("popen-gw"):
        shared = shared.parent
    folder = shared / "tiny"
    with FileLock(shared / "tiny.lock"):
        if not (folder / "modules.json").exists():
            folder.mkdir()
            subprocess.run([sys.executable, "-c", _FINISH, str(folder), str(Path(__file__).parent)], check=True)
    return Workspace.open(folder / "ws")


@pytest.fixture
def root(finished: Workspace) -> Path:
    return finished.root


# --- Neo4j: real servers, where this machine can run them --------------------------------------------------------------

_NO_SERVER = "needs Neo4j: "


def require_neo4j(version: str) -> None:
    """Skip the test where a version cannot run here; with KGBUILD_REQUIRE_NEO4J=1 (continuous integration) fail."""
    _skip_or_fail(neo4j_server.missing(version))


def _skip_or_fail(reason: str | None) -> None:
    if reason and os.environ.get("KGBUILD_REQUIRE_NEO4J") == "1":
        pytest.fail(f"KGBUILD_REQUIRE_NEO4J is set, but {reason}", pytrace=False)
    if reason:
        pytest.skip(_NO_SERVER + reason)


@pytest.fixture(scope="session")
def neo4j_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], neo4j_server.Neo4jServer]]:
    """Give the shared server of a version: started when first asked for, stopped when the tests end."""
    servers: dict[str, neo4j_server.Neo4jServer] = {}
    with ExitStack() as stack:

        def shared(version: str) -> neo4j_server.Neo4jServer:
            require_neo4j(version)
            if version not in servers:
                home = tmp_path_factory.mktemp("neo4j") / version
                servers[version] = stack.enter_context(neo4j_server.running(version, home, java_options=neo4j_server.QUICK_START))
            return servers[version]

        yield shared


@pytest.fixture(params=neo4j_server.VERSIONS)
def neo4j(request: pytest.FixtureRequest, neo4j_servers: Callable[[str], neo4j_server.Neo4jServer]) -> neo4j_server.Neo4jServer:
    """Give a running server with an empty database: the test runs once for each version."""
    server = neo4j_servers(request.param)
    server.empty()
    return server


@pytest.fixture(params=neo4j_server.VERSIONS)
def neo4j_version(request: pytest.FixtureRequest) -> str:
    """Name a version that can run here, for tests that make a server of their own."""
    require_neo4j(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Name the Chromium that pages are opened in; skipped or failed like a server that is missing."""
    found = neo4j_browser_page.chromium()
    _skip_or_fail(None if found else "no Chromium to open pages in. On Debian: apt install chromium")
    return str(found)


@pytest.fixture(scope="session")
def compose_config() -> Callable[[Path], list[str]]:
    """Give the command that checks a Compose file: Docker's, or the library below it where only Go is installed."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return lambda path: ["docker", "compose", "--file", str(path), "config"]
    _skip_or_fail(None if shutil.which("go") else "neither `docker compose` nor Go to check docker-compose.yml with")
    return lambda path: ["go", "run", "-C", str(Path(__file__).parent / "compose_config"), ".", str(path)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say plainly that tests against Neo4j did not run, and why: a skip is easily overlooked."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if isinstance(report.longrepr, tuple)]
    ours = [reason.removeprefix("Skipped: ").removeprefix(_NO_SERVER) for reason in reasons if _NO_SERVER in reason]
    if ours:
        terminalreporter.section("Neo4j", yellow=True)
        terminalreporter.line(f"{len(ours)} tests against a real Neo4j were SKIPPED on this machine:")
        for reason in sorted(set(ours)):
            terminalreporter.line(f"  {reason}")


@pytest.fixture
def four_threads() -> Iterator[None]:
    """Let torch share its work out, however few cores there are."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(threads)
