"""A graph's files in; a folder of CSV files, and the `neo4j-admin database import full` command that reads them, out.

The bulk way into an empty Neo4j database. Headers are made from kgbuild.schema and lie beside the data, every delimiter is
written out, and nodes and edges carry what the batches over Bolt give them, `content_hash` and the `Build` node included: a
`kgbuild populate --to` afterwards finds everything up to date and only makes the indexes.

The importer has no escape inside a list, so list items are joined by U+001F and a list that holds it is refused, as is one
that it would read as something else. An empty list is to the importer no list at all.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild.errors import StoreError, UsageError
from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property, arrow_type
from kgbuild.stores import Counts, GraphFiles, Progress, check_ends, check_names
from kgbuild.stores.neo4j_schema import CONTENT_HASH, build_node, content_hashes
from kgbuild.workspace import file_hash, write_whole

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCRIPT", "VERSIONS", "ImportFolder", "import_command", "write_import"]

SCRIPT = "import.sh"
VERSIONS = ("5.26", "2026.08")  # that the tests import into; others from 5.26 on take the same options

_ITEM = "\x1f"
_TYPES = {
    "string": "string",
    "int": "long",
    "float": "double",
    "bool": "boolean",
    "list<string>": "string[]",
    "list<int>": "long[]",
    "list<float>": "double[]",  # what the driver makes of Python floats; float[] would be another value
}
_ENDS = (Property("start_id", "string", "start"), Property("end_id", "string", "end"))
_FIELDS = {"nodes": {"id": "id:ID"}, "edges": {"start_id": ":START_ID", "end_id": ":END_ID"}}  # other columns: name:type
_NEEDED = {"nodes": {"id"}, "edges": {"id", "start_id", "end_id"}}
_OLDEST = (5, 26)
# first version that knows it -> option; https://neo4j.com/docs/operations-manual/current/import/full-import/
_OPTIONS: tuple[tuple[tuple[int, int], str], ...] = (
    (_OLDEST, "--input-encoding=UTF-8"),
    (_OLDEST, "--delimiter=,"),
    (_OLDEST, "--array-delimiter=U+001F"),
    ((2026, 6), "--vector-delimiter=U+001E"),  # the default may be another option's character
    (_OLDEST, '--quote="'),
    (_OLDEST, "--legacy-style-quoting=false"),
    (_OLDEST, "--ignore-empty-strings=false"),
    (_OLDEST, "--trim-strings=false"),
    (_OLDEST, "--multiline-fields=true"),
    (_OLDEST, "--multiline-fields-format=v1"),  # v2 looks for the last row from a block's end backwards, and fails inside such a text
    (_OLDEST, "--id-type=string"),
    (_OLDEST, "--skip-duplicate-nodes=false"),
    (_OLDEST, "--skip-bad-relationships=false"),
)
_WRITERS = 2  # files that are written at a time
_BLOCK = 50_000  # rows in memory at a time
_WIDE_BLOCK = 2_000  # the same, where rows carry vectors


@dataclass(frozen=True)
class ImportFolder:
    """A folder to import: nodes/, edges/, and import.sh, which runs `command` in it."""

    folder: Path
    command: tuple[str, ...]
    counts: Counts


def write_import(
    graph: GraphFiles,
    out: Path,
    *,
    version: str,
    build: Mapping[str, Any],
    database: str = "neo4j",
    progress: Progress | None = None,
) -> ImportFolder:
    """Write the folder `out`, which appears when it is whole and takes the place of an earlier one.

    Args:
        version: Of the Neo4j that will import, e.g. 5.26 or 2026.08.1.
        build: Facts for the `Build` node.

    Raises:
        StoreError: The files are not as the schema says, or hold a list that no import can give back.
        UsageError: `out` holds something else, or there is no such version or database name.
    """
    _version(version)
    _refuse_odd_name(database)
    _refuse_other_folders(out)
    check_names(graph)
    check_ends(graph)
    counts = graph.counts()
    parts = [_Part("nodes", label, path, counts.nodes[label]) for label, path in graph.node_files().items() if counts.nodes[label]]
    parts += [_Part("edges", type_, path, counts.edges[type_]) for type_, path in graph.edge_files().items() if counts.edges[type_]]
    labels, types = ([part.name for part in parts if part.kind == kind] for kind in ("nodes", "edges"))
    command = import_command(labels, types, version=version, database=database)
    with write_whole(out) as aside:
        _write_parts(aside, parts, progress or (lambda *_: None))
        digests = {name: file_hash(path) for name, path in (graph.node_files() | graph.edge_files()).items()}
        _write_build(aside / "nodes", build_node(build, counts, state="complete", digests=digests, vanished={}))
        (aside / SCRIPT).write_text(_script(command, version), encoding="utf-8")
        (aside / SCRIPT).chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
    return ImportFolder(out, command, counts)


def import_command(labels: Sequence[str], types: Sequence[str], *, version: str, database: str = "neo4j") -> tuple[str, ...]:
    """Give the command, to be run in the import's folder.

    >>> import_command(["Gene"], ["IS_A"], version="5.26")[-3:]
    ('--nodes=Entity:Gene=nodes/Gene-header.csv,nodes/Gene.csv', '--nodes=Build=nodes/Build-header.csv,nodes/Build.csv',
     '--relationships=IS_A=edges/IS_A-header.csv,edges/IS_A.csv')
    """
    wanted = _version(version)
    return (
        *("neo4j-admin", "database", "import", "full", database),
        *(option for since, option in _OPTIONS if wanted >= since),
        *(f"--nodes=Entity:{label}=nodes/{label}-header.csv,nodes/{label}.csv" for label in labels),
        "--nodes=Build=nodes/Build-header.csv,nodes/Build.csv",
        *(f"--relationships={type_}=edges/{type_}-header.csv,edges/{type_}.csv" for type_ in types),
    )


def _version(version: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,4})\.(\d{1,2})(\.\d+)*", version)
    parsed = (int(found[1]), int(found[2])) if found else (0, 0)
    if parsed < _OLDEST:
        raise UsageError(f"{version!r} is no Neo4j version from 5.26 on", advice=f"The import is tested with {' and '.join(VERSIONS)}.")
    return parsed


def _refuse_odd_name(database: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9.-]{2,62}", database):
        raise UsageError(
            f"{database!r} is no database name", advice="Neo4j wants 3 to 63 letters, digits, dots and dashes, a letter first."
        )


def _refuse_other_folders(out: Path) -> None:
    """Raise where `out` holds what no import put there; the importer leaves its report beside our files."""
    if not out.exists():
        return
    ours = {"nodes", "edges", SCRIPT}
    if not out.is_dir() or any(path.name not in ours and "report" not in path.name for path in out.iterdir()):
        raise UsageError(f"{out} holds something else than an import", advice="Name another folder, or remove it.")


def _script(command: Sequence[str], version: str) -> str:
    program, *words = command
    arguments = [" ".join(words[:4]), *map(shlex.quote, words[4:])]
    return "\n".join(
        [
            "#!/bin/sh",
            f"# Imports the graph into a new database of Neo4j {version}: on the server's machine, as its user, while it is stopped.",
            "# Where the server has run before, its database is there already: --overwrite-destination=true erases and replaces it.",
            "set -eu",
            'cd "$(dirname "$0")"',
            f'exec "${{NEO4J_ADMIN:-{program}}}" ' + " \\\n  ".join(arguments) + ' \\\n  "$@"',
            "",
        ]
    )


# one file


class _Part(NamedTuple):
    """A label or an edge type that has rows: `kind` is nodes or edges."""

    kind: str
    name: str
    path: Path
    rows: int


def _write_parts(out: Path, parts: Sequence[_Part], tell: Progress) -> None:
    for kind in ("nodes", "edges"):
        (out / kind).mkdir(parents=True)
    with ThreadPoolExecutor(_WRITERS) as pool:  # Arrow works outside Python's lock
        largest_first = sorted(parts, key=lambda part: -part.rows)
        for _ in pool.map(lambda part: _write_part(out, part, tell), largest_first):
            pass  # the first error is raised here


def _write_part(out: Path, part: _Part, tell: Progress) -> None:
    """Write <kind>/<name>-header.csv and <kind>/<name>.csv."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kind, name, path, rows = part
    properties = (NODE_LABELS[name] if kind == "nodes" else EDGE_TYPES[name]).all_properties
    types = {p.name: p.type for p in (*_ENDS, *properties)}
    file = pq.ParquetFile(path)
    columns = file.schema_arrow.names
    if lacking := sorted(_NEEDED[kind] - set(columns)):
        raise StoreError(f"{path} has no column {lacking[0]}", advice="Build the graph again: `kgbuild populate`.")
    fields = [_FIELDS[kind].get(column, f"{column}:{_TYPES[types[column]]}") for column in columns]
    _write_header(out / kind / f"{name}-header.csv", [*fields, f"{CONTENT_HASH}:long"])

    def blocks() -> Iterator[list[Any]]:
        done = 0
        for block in file.iter_batches(batch_size=_WIDE_BLOCK if "embedding" in columns else _BLOCK):
            cells = [_cells(block.column(column), types[column], column, block.column("id"), path) for column in columns]
            yield [*cells, pa.array(content_hashes(block))]
            done += block.num_rows
            tell(name, done, rows)

    _write_rows(out / kind / f"{name}.csv", blocks())


def _write_header(path: Path, fields: Sequence[str]) -> None:
    path.write_text(",".join(fields) + "\n", encoding="utf-8")


def _write_rows(path: Path, blocks: Iterator[list[Any]]) -> None:
    """Write columns as CSV: texts in quotes, "" for an empty one, nothing for null."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    options = pa_csv.WriteOptions(include_header=False, batch_size=_BLOCK, delimiter=",", quoting_style="needed")
    writer = None
    with path.open("wb") as handle:
        for columns in blocks:
            batch = pa.RecordBatch.from_arrays(columns, names=[str(n) for n in range(len(columns))])
            if writer is None:
                writer = pa_csv.CSVWriter(handle, batch.schema, write_options=options)
            writer.write_batch(batch)
        if writer is not None:
            writer.close()


def _write_build(folder: Path, properties: Mapping[str, Any]) -> None:
    """Write the `Build` node, whose id lives in a space of its own."""
    import pyarrow as pa

    if odd := [name for name in properties if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]:
        raise StoreError(f"{odd[0]!r} is no property name", advice="Names are lower-case letters, digits and underscores.")
    types = {name: _type_of(value) for name, value in properties.items()}
    _write_header(
        folder / "Build-header.csv", ["id:ID(Build)" if name == "id" else f"{name}:{_TYPES[type_]}" for name, type_ in types.items()]
    )
    ids = pa.array([properties["id"]])
    cells = [_cells(pa.array([value], arrow_type(types[name])), types[name], name, ids, "the build") for name, value in properties.items()]
    _write_rows(folder / "Build.csv", iter([cells]))


def _type_of(value: Any) -> str:
    """Give the schema's word for a value's type.

    >>> _type_of(True), _type_of(3), _type_of(["a"])
    ('bool', 'int', 'list<string>')
    """
    if isinstance(value, list):
        return f"list<{_type_of(value[0]) if value else 'string'}>"
    return "bool" if isinstance(value, bool) else {str: "string", int: "int", float: "float"}[type(value)]


# one column


def _cells(column: pa.Array, type_: str, name: str, ids: pa.Array, where: object) -> pa.Array:
    """Make a column what is written of it: lists become one text."""
    import pyarrow.compute as pc

    if column.type != arrow_type(type_):
        raise StoreError(f"{where}: {name} is {column.type}, and the schema says {type_}", advice="Build the graph again: `kgbuild populate`.")  # fmt: skip
    if name in _NEEDED["edges"] and pc.any(pc.or_kleene(column.is_null(), pc.equal(column, ""))).as_py():
        raise StoreError(f"{where}: a row has no {name}", advice="Build the graph again: `kgbuild populate`.")
    if not type_.startswith("list"):
        return _spelled(column) if type_ == "float" else column
    _refuse_what_cannot_come_back(column, name, ids, where)
    if type_ != "list<string>":
        column = _list_like(column, _spelled(column.flatten(), as_text=True))
    return pc.binary_join(column, _ITEM)


def _list_like(column: pa.Array, values: pa.Array) -> pa.Array:
    """Give lists as long as a column's, and as null, of other values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0)
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], ends.type), ends])
    return pa.ListArray.from_arrays(offsets, values, mask=column.is_null())


def _spelled(numbers: pa.Array, *, as_text: bool = False) -> pa.Array:
    """Spell numbers as Java reads them; as they are, where CSV does that."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(numbers.type):
        return numbers.cast(pa.string())
    numbers = numbers.cast(pa.float64())
    finite = pc.all(pc.is_finite(numbers)).as_py() is not False
    if finite and not as_text:
        return numbers
    text = numbers.cast(pa.string())
    if finite:
        return text
    return pc.replace_substring(pc.replace_substring(text, "inf", "Infinity"), "nan", "NaN")


def _refuse_what_cannot_come_back(lists: pa.Array, name: str, ids: pa.Array, where: object) -> None:
    """Raise where a list holds nothing but "", null, or the character between items: the importer would read another list."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, parents = lists.flatten(), pc.list_parent_indices(lists)
    troubles = {"null": (values.is_null(), "which no list in Neo4j can")}
    if pa.types.is_string(values.type):
        alone = pc.equal(pc.take(pc.list_value_length(lists), parents), 1)
        troubles['only ""'] = (pc.and_(alone, pc.equal(values, "")), "which the importer takes for an empty list")
        troubles["U+001F"] = (pc.match_substring(values, _ITEM), "which parts the items of a list there")
    for what, (mask, why) in troubles.items():
        rows = parents.filter(mask.fill_null(False))
        if len(rows):
            value = lists[rows[0].as_py()].as_py()
            raise StoreError(
                f"{where}: {name} of {ids[rows[0].as_py()].as_py()!r} holds {what}, {why}: {str(value)[:200]}",
                advice="Load over Bolt instead (`kgbuild populate --to`), or correct the source.",
            )
