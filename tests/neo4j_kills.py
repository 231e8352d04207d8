"""A graph and a Neo4j server in; a log of loads that were killed at random moments, and of what the next one made of it, out.

    python tests/neo4j_kills.py GRAPH_FOLDER [MOMENTS] [VERSION]

Each round starts from an empty database. A load runs in a process of its own; after a random part of the time that a whole
one takes (one moment in each of as many equal parts), the client or the server is killed (SIGKILL). The load is then given
again, and every row of the database is compared with the files, property by property.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import neo4j_server
from neo4j_server import Neo4jServer

from kgbuild.stores import GraphFiles, verification
from kgbuild.stores.bolt import address_of
from kgbuild.stores.neo4j import Neo4jStore

__all__ = ["Killed", "kill_and_load"]

_LOAD = """
import sys
from pathlib import Path
from kgbuild.stores import GraphFiles
from kgbuild.stores.bolt import address_of
from kgbuild.stores.neo4j import Neo4jStore
graph = GraphFiles(Path(sys.argv[1]))
with Neo4jStore.connect(address_of("neo4j")) as store:
    print("connected", flush=True)
    store.load(graph, build=graph.build())
"""


@dataclass(frozen=True)
class Killed:
    """One round: who was killed, when, what the database held then, and what was wrong with it after the next load."""

    who: str
    seconds: float
    rows_then: int
    created: int
    changed: int
    wrong: list[str]

    def line(self) -> str:
        state = "; ".join(self.wrong) or "as after one clean load"
        return (
            f"{self.who:6} killed after {self.seconds:5.2f} s: {self.rows_then:7,} rows there, "
            f"the next load created {self.created:7,} and changed {self.changed}: {state}"
        )


def kill_and_load(server: Neo4jServer, graph: GraphFiles, moments: int, *, seed: int = 0) -> Iterator[Killed]:
    """Kill the client and the server in turn."""
    chance = random.Random(seed)
    whole = [_seconds_of_a_load(server, graph) for _ in range(2)][1]  # the first one warms the server's Java up
    for number in range(moments):
        server.empty()
        yield _round(server, graph, "client" if number % 2 == 0 else "server", whole * (number + chance.random()) / moments)


def _seconds_of_a_load(server: Neo4jServer, graph: GraphFiles) -> float:
    """Give the time from a connection to the end of a whole load; as long must a moment be looked for in."""
    server.empty()
    process = _loading(server, graph)
    started = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - started


def _loading(server: Neo4jServer, graph: GraphFiles) -> subprocess.Popen[str]:
    """Start a load, and come back when it is connected."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOAD, str(graph.folder)],
        env=os.environ | server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "connected\n"
    return process


def _round(server: Neo4jServer, graph: GraphFiles, who: str, seconds: float) -> Killed:
    process = _loading(server, graph)
    time.sleep(seconds)
    if who == "server":
        server.kill()
        server.start()
    process.kill()
    process.wait()
    with Neo4jStore.connect(address_of("neo4j", environment=server.environment)) as store:
        there = store.counts()
        loaded = store.load(graph, build=graph.build())
        wrong = verification.verify(graph, store, rows=0)
    return Killed(
        who,
        seconds,
        sum(there.nodes.values()) + sum(there.edges.values()),
        sum(loaded.created.values()),
        sum(loaded.changed.values()),
        [*wrong.counts, *wrong.differences],
    )


def _main(folder: str, moments: str = "20", version: str = neo4j_server.VERSIONS[0]) -> None:
    with tempfile.TemporaryDirectory() as home, neo4j_server.running(version, Path(home)) as server:
        rounds = []
        for killed in kill_and_load(server, GraphFiles(Path(folder)), int(moments)):
            rounds.append(killed)
            print(f"Neo4j {version}: {killed.line()}", flush=True)
    bad = sum(bool(killed.wrong) for killed in rounds)
    print(f"{len(rounds)} moments, {bad} of them with another graph in the end")
    sys.exit(bool(bad))


if __name__ == "__main__":
    _main(*sys.argv[1:])
