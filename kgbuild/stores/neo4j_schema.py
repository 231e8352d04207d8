"""kgbuild.schema in; what Neo4j needs to know of it out: constraints, indexes, and the hashes by which rows are compared.

Both ways into Neo4j keep to it: the batches over Bolt (`neo4j`) and the import of files (`neo4j_admin`). Every node and edge
carries `content_hash`, made from all its other properties, so that a second load reads hashes back and sends what differs.
Index names are those of the embedded engine, so the same templates run on both. Neo4j Community Edition, 5.26 (LTS) or later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kgbuild.stores import NAME_INDEX, VECTOR_INDEX, VECTOR_LABEL, Counts, build_properties

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["CONSTRAINTS", "CONTENT_HASH", "build_node", "content_hashes", "id_hashes", "index_names", "indexes"]

CONTENT_HASH = "content_hash"

CONSTRAINTS = (
    "CREATE CONSTRAINT kg_id IF NOT EXISTS FOR (n:Entity) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT kg_build IF NOT EXISTS FOR (n:Build) REQUIRE n.id IS UNIQUE",
)

# range indexes hold short keys only: a key over some 8 kB fails the write, so names are found by full text
_RANGES = {
    "kg_variant_place": "FOR (n:Variant) ON (n.chromosome, n.position)",
    "kg_variant_locus": "FOR (n:Variant) ON (n.locus)",
    "kg_association_study": "FOR ()-[r:ASSOCIATED_WITH]-() ON (r.study)",
}


def indexes(vector_width: int) -> list[str]:
    """Give the statements that make the indexes, to be run after a first load; `vector_width` 0 leaves the vector index out."""
    statements = [f"CREATE INDEX {name} IF NOT EXISTS {what}" for name, what in _RANGES.items()]
    statements.append(f"CREATE FULLTEXT INDEX {NAME_INDEX} IF NOT EXISTS FOR (n:Entity) ON EACH [n.search_text]")
    if vector_width:
        # quantised vectors would give a cosine of .8 as .802: what is called similarity is the cosine itself
        config = f"`vector.dimensions`: {vector_width}, `vector.similarity_function`: 'cosine', `vector.quantization.enabled`: false"
        settings = f"{{indexConfig: {{{config}}}}}"
        statements.append(f"CREATE VECTOR INDEX {VECTOR_INDEX} IF NOT EXISTS FOR (n:{VECTOR_LABEL}) ON (n.embedding) OPTIONS {settings}")
    return statements


def index_names() -> list[str]:
    """Give the names of all constraints and indexes, but the vector index's: a graph may have no vectors."""
    return ["kg_id", "kg_build", *_RANGES, NAME_INDEX]


def build_node(
    build: Mapping[str, Any], counts: Counts, *, state: str, digests: Mapping[str, str], vanished: Mapping[str, int]
) -> dict[str, Any]:
    """Give the properties of the `Build` node, by which a load knows the database for its own and sees how far another one came.

    Args:
        state: "loading" or "complete".
        digests: Label or edge type -> sha256 of the file that it was loaded from, once it is all there.
        vanished: Label or edge type -> rows that are in the database and no more in the files.
    """
    return {
        **build_properties(build, counts),
        "state": state,
        "digests": json.dumps(dict(digests), sort_keys=True),
        "vanished": json.dumps(dict(vanished), sort_keys=True),
    }


# between the cells of a row, between the items of a list, and in place of what is absent: none is in a name that was read
_CELL, _ITEM, _ABSENT = "\x1e", "\x1f", "\x00"

_CONTENT_KEY, _ID_KEYS = "kgbuild: content", ("kgbuild:first id", "kgbuild:other id")  # 16 bytes each


def content_hashes(block: pa.RecordBatch) -> np.ndarray:
    """Hash each row of a block, by its columns' names and values: int64 (rows,), the same in every run and on every machine."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    names = sorted(block.schema.names)
    header = pa.scalar(hashlib.sha256(_CELL.join(names).encode()).hexdigest()[:16], pa.large_string())
    cells = [_as_text(block.column(name)) for name in names]
    between = pa.scalar(_CELL, pa.large_string())
    rows = pc.binary_join_element_wise(header, *cells, between, null_handling="replace", null_replacement=_ABSENT)
    hashes: np.ndarray = _hash_strings(rows, _CONTENT_KEY).view(np.int64)
    return hashes


def id_hashes(ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Hash ids twice, uint64 each: together 128 bits, so that millions of ids can be told apart without keeping them."""
    first, second = _ID_KEYS
    return _hash_strings(ids, first), _hash_strings(ids, second)


def _hash_strings(strings: pa.Array, key: str) -> np.ndarray:
    from pandas.util import hash_array

    hashes: np.ndarray = hash_array(strings.to_numpy(zero_copy_only=False), hash_key=key, categorize=False)
    return hashes


def _as_text(column: pa.Array) -> pa.Array:
    """Write a column's cells as text; a list's length goes first, so that [] and [""] differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_list(column.type):
        return pc.cast(column, pa.large_string())
    if pa.types.is_floating(column.type.value_type):
        return pa.array([cell.values.to_numpy().tobytes().hex() if cell.is_valid else None for cell in column], pa.large_string())
    lengths = pc.cast(pc.list_value_length(column), pa.large_string())
    items = pc.cast(pc.binary_join(column, _ITEM), pa.large_string())
    return pc.binary_join_element_wise(lengths, items, pa.scalar(_ITEM, pa.large_string()))
