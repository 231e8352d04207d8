"""A graph's files in; the same graph through BioCypher out: as files for neo4j-admin, or online into a running server.

Run by neo4j_loading.py with the Python of an environment of its own, in which kgbuild need not be:

    python -m venv biocypher && biocypher/bin/pip install 'biocypher[neo4j]==0.17.0'

BioCypher gets what its own adapters give it: an iterator of tuples. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from biocypher import BioCypher

TYPES = {"string": "str", "int": "int", "float": "float", "bool": "bool", "list<string>": "str[]", "list<float>": "float[]"}
ONLINE_BATCH = 10_000  # rows a call: one call is one transaction, and keeps what was asked in memory


def biocypher(folder: Path, schema: dict[str, Any], settings: dict[str, Any], *, offline: bool) -> BioCypher:
    """Configure BioCypher from the schema's labels, types and properties, without an ontology to fetch."""
    entries = {
        name: {
            "represented_as": kind,
            "input_label": name,
            "properties": {key: TYPES[type_] for key, type_ in properties.items() if key != "id"},
        }
        for kind in ("node", "edge")
        for name, properties in schema[kind].items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.yaml").write_text(yaml.safe_dump(entries))
    configuration = {
        "biocypher": {
            "dbms": "neo4j",
            "offline": offline,
            "strict_mode": False,
            "head_ontology": None,
            "log_to_disk": False,
            "debug": False,
        },
        "neo4j": settings,
    }
    (folder / "biocypher.yaml").write_text(yaml.safe_dump(configuration))
    os.chdir(folder)
    return BioCypher(
        biocypher_config_path=str(folder / "biocypher.yaml"),
        schema_config_path=str(folder / "schema.yaml"),
        output_directory=str(folder / "files"),
    )


def nodes(graph: Path) -> Iterator[tuple[Any, ...]]:
    """Give (id, label, properties) of each node."""
    for path in sorted((graph / "nodes").glob("*.parquet")):
        for row in rows(path):
            yield row.pop("id"), path.stem, row


def edges(graph: Path) -> Iterator[tuple[Any, ...]]:
    """Give (id, start, end, type, properties) of each edge."""
    for path in sorted((graph / "edges").glob("*.parquet")):
        for row in rows(path):
            yield row.pop("id"), row.pop("start_id"), row.pop("end_id"), path.stem, row


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read rows as dicts."""
    for block in pq.ParquetFile(path).iter_batches(batch_size=10_000):
        yield from block.to_pylist()


def write(graph: Path, out: Path, schema: dict[str, Any], file_format: str) -> dict[str, Any]:
    """Write the files and the import call."""
    # a tab, because ids are written without quotes and some hold a comma
    settings = {"file_format": file_format, "csv_column_delimiter": "\\t", "import_call_bin_prefix": "BIN/"}
    writer = biocypher(out, schema, settings, offline=True)
    begun = time.perf_counter()
    writer.write_nodes(nodes(graph))
    writer.write_edges(edges(graph))
    call = writer.write_import_call()
    return {"seconds": time.perf_counter() - begun, "call": str(call)}


def online(graph: Path, out: Path, schema: dict[str, Any], limit: float) -> dict[str, Any]:
    """Merge nodes, then edges, into the server that the environment names, each until its time is up."""
    where = {"uri": os.environ["NEO4J_URI"], "user": os.environ["NEO4J_USERNAME"], "password": os.environ["NEO4J_PASSWORD"]}
    writer = biocypher(out, schema, {**where, "database_name": "neo4j", "wipe": True, "multi_db": False}, offline=False)
    done, whole = {"nodes": 0, "edges": 0}, True
    seconds = {"nodes": 0.0, "edges": 0.0}
    for what, merge, source in (("nodes", writer.merge_nodes, nodes(graph)), ("edges", writer.merge_edges, edges(graph))):
        begun = time.perf_counter()
        size = ONLINE_BATCH if what == "nodes" else ONLINE_BATCH // 10
        while chunk := list(itertools.islice(source, size)):
            merge(chunk)
            done[what] += len(chunk)
            seconds[what] = time.perf_counter() - begun
            if seconds[what] > limit:
                whole = False
                break
    return {"done": done, "seconds": seconds, "whole": whole}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["csv", "parquet", "online"])
    parser.add_argument("graph", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("schema", type=Path)
    parser.add_argument("--limit", type=float, default=300, help="seconds that online mode may take for nodes, and again for edges")
    arguments = parser.parse_args()
    graph, out, schema = arguments.graph.absolute(), arguments.out.absolute(), json.loads(arguments.schema.read_text())
    answer = online(graph, out, schema, arguments.limit) if arguments.mode == "online" else write(graph, out, schema, arguments.mode)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps(answer | {"megabytes": int(peak[1]) // 1024 if peak else 0}))
