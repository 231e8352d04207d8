"""Links, groups, tables and a graph's files in; mapping tables (SSSOM, CSV, JSON, OMOP) and graphs (KGX, CSV) for other tools out.

A row goes out only if every source it was made from may be passed on (`redistributable` in the table `sources`); what stays
out is counted by source. Everything is written column by column from Arrow, and a file appears under its name when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import kgbuild
from kgbuild import tables
from kgbuild.candidate_sets import CandidateSets, read_candidate_sets
from kgbuild.errors import UsageError
from kgbuild.links import COMPOSED
from kgbuild.omop import omop_tables
from kgbuild.schema import EDGE_TYPES, NODE_LABELS, EdgeType, Property
from kgbuild.stores import GraphFiles
from kgbuild.vocabulary import PREFIXES, content_id
from kgbuild.workspace import write_whole

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "BIOLINK_PREFIXES",
    "EXTENSIONS",
    "GRAPH_FORMATS",
    "MAPPING_FORMATS",
    "SSSOM_COLUMNS",
    "WIDE_COLUMNS",
    "ExportSummary",
    "export_graph",
    "export_mappings",
    "list_records",
    "mapping_records",
    "mapping_tables",
    "unescape",
    "write_sssom",
]

Progress = Callable[[str, int, int], None]

MAPPING_FORMATS = ("sssom", "csv", "json", "omop")
GRAPH_FORMATS = ("kgx", "csv")

# https://mapping-commons.github.io/sssom/Mapping/
SSSOM_COLUMNS: dict[str, str] = {
    "subject_id": "code or text, as a CURIE",
    "subject_label": "its name, as its source writes it",
    "predicate_id": "skos:exactMatch, broadMatch (the object is broader), narrowMatch or closeMatch",
    "predicate_modifier": "Not: a curator rejected the match; else empty",
    "object_id": "target term",
    "object_label": "its preferred name",
    "mapping_justification": "semapv term; one row a justification",
    "confidence": "probability that the written predicate is right; empty for a curator's statement, a part of what the subject names, and where nothing is calibrated",
    "similarity_score": "raw cosine, clipped to [0, 1]",
    "similarity_measure": "cosine similarity, as a Wikidata CURIE, where there is a similarity_score",
    "subject_source": "vocabulary of the subject",
    "subject_source_version": "release of the file it came from",
    "object_source": "vocabulary of the object",
    "object_source_version": "release of the file it came from",
    "mapping_tool": "kgbuild",
    "mapping_tool_version": "version of kgbuild",
    "mapping_date": "when the links were made; empty where that is not known",
    "record_id": "made from subject, predicate, object and justification: the same statement has the same id in every export",
}

# declared in the header as `extension_definitions`: column -> (xsd type, meaning)
EXTENSIONS: dict[str, tuple[str, str]] = {
    "p_target": ("xsd:double", "probability that a curator would file the subject under the object"),
    "p_same": ("xsd:double", "probability that both are the same thing"),
    "decision": ("xsd:string", "accept, review or reject"),
    "calibration": ("xsd:string", "which fit gave the probabilities, curated, decision (a person's, in the workspace), or uncalibrated"),
    "composition": ("xsd:string", "the subject names several things, the object one of them: any (one or another), or all (together)"),
    "in_candidate_set": ("xsd:boolean", "one of the terms among which the right one is with 90 %, if there is one; empty: uncalibrated"),
}

WIDE_COLUMNS: dict[str, str] = {
    "subject_id": "code or text, as a CURIE",
    "code": "the subject without its prefix, as text",
    "subject_label": "its name, as its source writes it",
    "subject_vocabulary": "vocabulary of the subject",
    "harmonised_id": "harmonised concept that it is a member of",
    "object_id": "the accepted term, or, when asked for, the best one under review; empty: none of these",
    "object_label": "its preferred name",
    "predicate": "exact, broad (the object is broader), narrow or close",
    "similarity": "raw cosine",
    "p_target": EXTENSIONS["p_target"][1],
    "p_same": EXTENSIONS["p_same"][1],
    "decision": "accept, review, or reject (every candidate was)",
    "justification": "semapv term",
    "calibration": EXTENSIONS["calibration"][1],
    "other_object_ids": "further accepted terms, joined by |",
    "rejected_object_ids": "terms that a curator rejected, joined by |",
}

_PREDICATES = {  # a rejection is of sameness: `Not` exactMatch says no more than the curator did
    "exact": "skos:exactMatch",
    "broad": "skos:broadMatch",
    "narrow": "skos:narrowMatch",
    "close": "skos:closeMatch",
    "not": "skos:exactMatch",
}
_COSINE = "wikidata:Q1784941"
_UNSPECIFIED_LICENCE = "https://w3id.org/sssom/license/unspecified"
_IN_BIOREGISTRY = {"efo", "icd10", "icd10cm", "icd9cm", "mondo", "doid"}
_RECORD_PREFIXES = {
    "bioregistry": "https://bioregistry.io/registry/",
    "kgbuild": "https://w3id.org/kgbuild/",
    "kgbuild.record": "https://w3id.org/kgbuild/record/",
    "kgbuild.vocabulary": "https://w3id.org/kgbuild/vocabulary/",
    "semapv": "https://w3id.org/semapv/vocab/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "sssom": "https://w3id.org/sssom/",
    "wikidata": "http://www.wikidata.org/entity/",
}

# our prefixes -> those of Biolink's prefix map, where it spells them otherwise; the ICD clinical modifications have none there
BIOLINK_PREFIXES = {
    "dbsnp": "DBSNP",
    "drugbank": "DRUGBANK",
    "ensembl": "ENSEMBL",
    "hgnc": "HGNC",
    "icd10": "ICD10",
    "mesh": "MESH",
    "msigdb": "MSigDB",
    "omim": "OMIM",
    "Orphanet": "orphanet",
    "pubmed": "PMID",
    "reactome": "REACT",
}
_NOT_EXPORTED = {"embedding", "search_text", "kind"}  # vectors; made from name and synonyms; said by `category`
_KGX_NAMES = {
    "synonyms": "synonym",
    "source": "provided_by",
    "obsolete": "deprecated",
    "publication": "publications",
    "predicate": "original_predicate",
}
_INFORES = {"gwas-catalog": "infores:gwas-catalog", "obo": "infores:efo"}  # kind of source -> information resource
_NEGATED = {"LACKS_PHENOTYPE", "NOT_EXPRESSED_IN"}
_CURATED = "semapv:ManualMappingCuration"
_BATCH_ROWS = 65_536
_END_WITHHELD = "(an end is withheld)"


@dataclass(frozen=True)
class ExportSummary:
    """What was written, and what was held back.

    `rows` counts mappings by decision, or nodes by label and edges by type; `withheld` counts by the source that may not be passed on.
    """

    files: tuple[Path, ...]
    rows: Mapping[str, int] = field(default_factory=dict)
    withheld: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        return sum(self.rows.values())

    @property
    def n_withheld(self) -> int:
        return sum(self.withheld.values())


def export_mappings(
    tables_dir: Path,
    links_dir: Path,
    out: Path,
    *,
    format: str = "sssom",
    include_restricted: bool = False,
    include_review: bool = False,
    mapping_date: str | None = None,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write the harmonised mapping table to `out`: a file, or for `omop` a folder.

    Accepted links go out, and what curators rejected (`Not`); with `include_review` also what awaits review.

    Args:
        format: `sssom` (TSV, one row a justification), `csv` (one row a source code), `json` (the SSSOM records) or `omop`
            (SOURCE_TO_CONCEPT_MAP, with the rows of CONCEPT and VOCABULARY that it needs).
        include_restricted: Write rows, too, whose source may not be passed on: for your own use.
        mapping_date: When the links were made, ISO 8601.

    Raises:
        UsageError: There is no such format.
    """
    report = progress or _silent
    report("export mappings", 0, 3)
    chosen = _chosen(tables_dir, links_dir, format, include_restricted, include_review, mapping_date)
    report("export mappings", 2, 3)
    files: tuple[Path, ...] = (out,)
    if format == "csv":
        _write_table(chosen.tables["mappings"], out)
    elif format == "omop":
        out.mkdir(parents=True, exist_ok=True)
        files = tuple(out / f"{name}.csv" for name in chosen.tables)
        for path, table in zip(files, chosen.tables.values(), strict=True):
            _write_table(table, path)
    else:
        (write_sssom if format == "sssom" else _write_json)(chosen.tables["mappings"], out, sources=chosen.sources)
    report("export mappings", 3, 3)
    return ExportSummary(files, chosen.rows, chosen.withheld)


def mapping_tables(
    tables_dir: Path,
    links_dir: Path,
    *,
    format: str = "csv",
    include_restricted: bool = False,
    include_review: bool = False,
    mapping_date: str | None = None,
) -> dict[str, pa.Table]:
    """Give what `export_mappings` writes as Arrow tables, for a data frame: "mappings", or the tables of OMOP by their names.

    Raises:
        UsageError: There is no such format.
    """
    return _chosen(tables_dir, links_dir, format, include_restricted, include_review, mapping_date).tables


@dataclass(frozen=True)
class _Chosen:
    """What goes out, and the count of what goes and what stays."""

    tables: dict[str, pa.Table]
    sources: pa.Table
    rows: dict[str, int]
    withheld: dict[str, int]


def _chosen(
    tables_dir: Path, links_dir: Path, format: str, include_restricted: bool, include_review: bool, mapping_date: str | None
) -> _Chosen:
    import pyarrow.compute as pc

    _refuse_unknown(format, MAPPING_FORMATS)
    links = tables.read(links_dir, "links")
    concepts = tables.read(tables_dir, "concepts", ["id", "name", "vocabulary", "kind", "source"])
    sources = tables.read(tables_dir, "sources")
    wanted = pc.or_(pc.equal(links["decision"], "accept"), pc.equal(links["predicate"], "not"))
    if include_review:
        wanted = pc.or_(wanted, pc.equal(links["decision"], "review"))
    blocked = _blocking_source(links, concepts, [] if include_restricted else _restricted(sources))
    withheld = Counter(s for s in blocked.filter(wanted).to_pylist() if s is not None)
    passable = pc.is_null(blocked)
    going = links.filter(pc.and_(wanted, passable))
    decisions = going.column("decision")
    if format == "csv":
        groups = tables.read(links_dir, "groups", ["group_id", "member_id"])
        made = {"mappings": _wide(links.filter(passable), concepts, groups, include_review=include_review)}
        decisions = made["mappings"].column("decision")
    elif format == "omop":
        going = going.filter(pc.not_equal(going["predicate"], "not"))
        decisions = going.column("decision")
        made = omop_tables(going, concepts, date=mapping_date, version=_release(concepts, sources, going))
    else:
        sets = read_candidate_sets(links_dir)
        made = {"mappings": mapping_records(going, concepts, sources, mapping_date=mapping_date, sets=sets)}
    return _Chosen(made, sources, dict(sorted(Counter(decisions.to_pylist()).items())), dict(sorted(withheld.items())))


def _release(concepts: pa.Table, sources: pa.Table, links: pa.Table) -> str | None:
    """Give the release of the terms that are mapped to, where it is one."""
    import pyarrow.compute as pc

    source = pc.unique(_looked_up(links["object_id"], concepts, "id", ["source"])["source"])
    releases = pc.unique(pc.drop_null(_looked_up(source, sources, "source", ["version"])["version"])).to_pylist()
    return str(releases[0]) if len(releases) == 1 else None


def mapping_records(
    links: pa.Table, concepts: pa.Table, sources: pa.Table, *, mapping_date: str | None = None, sets: CandidateSets | None = None
) -> pa.Table:
    """Turn links into SSSOM records: columns SSSOM_COLUMNS and EXTENSIONS, sorted by subject and rank.

    Args:
        links: Columns of the table `links`.
        concepts: At least id, name, vocabulary and source; ends that are not among them get no label and no source.
        sources: The table `sources`.
        mapping_date: When the links were made, ISO 8601.
        sets: Which candidates are in their subject's set.
    """
    links = links.sort_by([(c, "ascending") for c in ("subject_id", "rank", "object_id", "predicate", "justification")])
    return _records(links.combine_chunks(), concepts, sources, mapping_date, sets)


def list_records(answers: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Turn the answers for a person's own list (`kgbuild.links.map_texts`) into SSSOM records, in their order."""
    import pyarrow as pa

    columns = {name: pa.array([answer.get(name) for answer in answers], _record_type(name)) for name in (*SSSOM_COLUMNS, *EXTENSIONS)}
    return _completed(columns, None)


def _record_type(name: str) -> pa.DataType:
    import pyarrow as pa

    if name == "in_candidate_set":
        return pa.bool_()
    return pa.float64() if name in {"confidence", "similarity_score", "p_target", "p_same"} else pa.string()


def _records(
    links: pa.Table, concepts: pa.Table, sources: pa.Table, mapping_date: str | None, sets: CandidateSets | None = None
) -> pa.Table:
    import pyarrow.compute as pc

    columns: dict[str, Any] = {
        "subject_id": links["subject_id"],
        "object_id": links["object_id"],
        "mapping_justification": links["justification"],
    }
    for end in ("subject", "object"):
        found = _looked_up(columns[f"{end}_id"], concepts, "id", ["name", "vocabulary", "source"])
        columns[f"{end}_label"] = found["name"]
        columns[f"{end}_source"] = _replaced(found["vocabulary"], _vocabulary_curie)
        columns[f"{end}_source_version"] = _looked_up(found["source"], sources, "source", ["version"])["version"]
    columns["predicate_id"] = _replaced(links["predicate"], _PREDICATES.__getitem__)
    columns["predicate_modifier"] = pc.if_else(pc.equal(links["predicate"], "not"), "Not", None)
    columns["composition"] = _composition(links)
    columns["confidence"] = pc.if_else(pc.is_null(columns["composition"]), _rounded(_confidence(links)), None)
    columns["similarity_score"] = _rounded(_clipped(links["similarity"]))
    columns |= {name: _rounded(links[name]) for name in ("p_target", "p_same")}
    columns |= {name: links[name] for name in ("decision", "calibration")}
    columns["in_candidate_set"] = _in_set(links, concepts, sets)
    return _completed(columns, mapping_date)


def _composition(links: pa.Table) -> Any:
    """Read how the parts of a composite text are put together from the evidence; null for other links."""
    import pyarrow as pa
    import pyarrow.compute as pc

    evidence = links["evidence"].combine_chunks()
    said = pc.struct_field(pc.extract_regex(evidence.flatten(), f"^{COMPOSED}=(?P<kind>.*)$"), "kind")
    rows = pa.table({"row": pc.list_parent_indices(evidence), "kind": said}).filter(pc.is_valid(said))
    return _looked_up(pa.array(range(links.num_rows), pa.int64()), rows, "row", ["kind"])["kind"]


def _in_set(links: pa.Table, concepts: pa.Table, sets: CandidateSets | None) -> Any:
    """Tell which links are in their subject's candidate set; null for what is uncalibrated, or no candidate of a subject."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if sets is None:
        return pa.nulls(links.num_rows, pa.bool_())
    vocabularies = _looked_up(links["subject_id"], concepts, "id", ["vocabulary"])["vocabulary"].to_numpy(zero_copy_only=False)
    inside = pa.array(sets.contains(links["p_target"].to_numpy(), vocabularies, links["rank"].to_numpy() == 1))
    return pc.if_else(pc.and_(pc.is_valid(links["p_target"]), pc.greater(links["rank"], 0)), inside, None)


def _completed(columns: dict[str, Any], mapping_date: str | None) -> pa.Table:
    """Add what is the same for every record, and its id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    n = len(columns["subject_id"])
    columns["similarity_measure"] = pc.if_else(pc.is_valid(columns["similarity_score"]), _COSINE, None)
    columns["mapping_tool"] = pa.repeat("kgbuild", n)
    columns["mapping_tool_version"] = pa.repeat(kgbuild.__version__, n)
    columns["mapping_date"] = pa.nulls(n, pa.string()) if mapping_date is None else pa.repeat(mapping_date, n)
    identifying = ("subject_id", "predicate_id", "predicate_modifier", "object_id", "mapping_justification")
    columns["record_id"] = _record_ids(*(columns[name] for name in identifying))
    return pa.table({name: columns[name] for name in (*SSSOM_COLUMNS, *EXTENSIONS)})


def write_sssom(
    records: pa.Table,
    out: Path,
    *,
    sources: pa.Table | None = None,
    extensions: Mapping[str, tuple[str, str]] = EXTENSIONS,
    always: Sequence[str] = (),
) -> None:
    """Write records as SSSOM 1.1 TSV with its metadata header; columns without a value are left out.

    Args:
        records: SSSOM_COLUMNS and extensions, or some of them; further columns are not written.
        sources: The table `sources`: their releases and licences go into the header.
        extensions: Columns beyond the standard's: name -> (xsd type, meaning).
        always: Columns to write although they hold no value: somebody is to fill them in.
    """
    records = _with_values(records, extensions, always)
    with write_whole(out) as aside, aside.open("wb") as handle:
        for line in _yaml(_metadata(records, sources, extensions)):
            handle.write(f"#{line}\n".encode())
        _write_rows(handle, records, delimiter="\t")


def export_graph(
    graph: GraphFiles,
    out: Path,
    *,
    tables_dir: Path,
    format: str = "kgx",
    include_restricted: bool = False,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write a graph to the folder `out`: nodes.tsv and edges.tsv (`kgx`), or one CSV file per label and edge type (`csv`).

    A node whose source may not be passed on stays out with its edges, and so do names that only such a source has.

    Raises:
        UsageError: There is no such format.
    """
    _refuse_unknown(format, GRAPH_FORMATS)
    sources = tables.read(tables_dir, "sources")
    gate = _Gate([] if include_restricted else _restricted(sources), graph, tables_dir)
    counts = graph.counts()
    total = sum(counts.nodes.values()) + sum(counts.edges.values())
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        if progress:
            progress("export graph", done, total)

    infores = {
        key: _INFORES.get(kind, f"infores:kgbuild-{key}")
        for key, kind in zip(sources["source"].to_pylist(), sources["kind"].to_pylist(), strict=True)
    }
    write = _write_kgx if format == "kgx" else _write_csv
    files, rows = write(graph, out, gate, infores, advance)
    return ExportSummary(tuple(files), rows, dict(sorted(gate.withheld.items())))


_ESCAPED = re.compile(r"%(25|7C|0A|0D|09)")


def unescape(value: str) -> str:
    r"""Undo the escaping of values in KGX and list cells: `%7C` is a pipe, `%0A`, `%0D`, `%09` line ends and tab, `%25` a percent sign before one of these.

    Readers of KGX split every cell at a pipe, so a pipe inside a value must not appear as one.

    >>> unescape("a%7Cb, 95 %, %257C")
    'a|b, 95 %, %7C'
    """
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)


# rows as text


def _write_rows(handle: BinaryIO, table: pa.Table, *, delimiter: str, header: bool = True) -> None:
    """Write a table as delimited text: quoted where a cell needs it (RFC 4180), lists joined by escaped pipes, null as an empty cell."""
    import pyarrow.compute as pc

    if header:
        handle.write((delimiter.join(table.column_names) + "\n").encode())
    for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS):
        _write_lines(handle, [_quoted(_as_text(column), delimiter) for column in batch.columns], delimiter, pc)


def _write_table(table: pa.Table, out: Path) -> None:
    with write_whole(out) as aside, aside.open("wb") as handle:
        _write_rows(handle, table, delimiter=",")


def _write_lines(handle: BinaryIO, columns: Sequence[Any], delimiter: str, pc: Any) -> None:
    import pyarrow as pa

    if not columns or not len(columns[0]):
        return
    lines = pc.binary_join_element_wise(*columns, delimiter, null_handling="replace", null_replacement="")
    everything = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
    handle.write(pc.binary_join(everything, "\n")[0].as_py().encode())
    handle.write(b"\n")


def _as_text(column: Any, *, escape: bool = False) -> Any:
    """Spell a column as strings; with `escape`, single values are escaped too, not only those in lists."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type):
        values = _escaped(column.flatten().cast(pa.string()))
        return pc.binary_join(_relisted(column, values), "|")
    column = column.cast(pa.string())
    return _escaped(column) if escape else column


def _relisted(lists: Any, values: Any) -> Any:
    """Put other values into the same lists; a null list becomes an empty one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))]).cast(pa.int32())
    return pa.ListArray.from_arrays(offsets, values)


def _escaped(texts: Any) -> Any:
    import pyarrow.compute as pc

    texts = pc.replace_substring_regex(texts, "%(25|7C|0A|0D|09)", r"%25\1")
    for character in "|\n\r\t":
        texts = pc.replace_substring(texts, character, f"%{ord(character):02X}")
    return texts


def _quoted(texts: Any, delimiter: str) -> Any:
    import pyarrow.compute as pc

    quoted = pc.binary_join_element_wise('"', pc.replace_substring(texts, '"', '""'), '"', "")
    return pc.if_else(pc.match_substring_regex(texts, f'[{delimiter}"\r\n]'), quoted, texts)


# mappings


def _restricted(sources: pa.Table) -> list[str]:
    import pyarrow.compute as pc

    keys: list[str] = sources.filter(pc.invert(sources["redistributable"]))["source"].to_pylist()
    return keys


def _blocking_source(links: pa.Table, concepts: pa.Table, restricted: Sequence[str]) -> Any:
    """Name, for each link, the first restricted source that it was made from (subject, object, curated rows); null: none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not restricted:
        return pa.nulls(links.num_rows, pa.string())
    keys = pa.array(restricted, pa.string())
    blocking = []
    for end in ("subject_id", "object_id"):
        source = _looked_up(links[end], concepts, "id", ["source"])["source"]
        blocking.append(pc.if_else(pc.is_in(source, keys), source, None))
    evidence = links["evidence"].combine_chunks()
    cited = pc.struct_field(pc.extract_regex(evidence.flatten(), r"^(?P<source>.+):\d+$"), "source")
    rows = pa.table({"row": pc.list_parent_indices(evidence), "source": cited}).filter(pc.fill_null(pc.is_in(cited, keys), False))
    first = rows.group_by("row", use_threads=False).aggregate([("source", "first")])
    blocking.append(_looked_up(pa.array(range(links.num_rows), pa.int64()), first, "row", ["source_first"])["source_first"])
    return pc.coalesce(*blocking)


def _looked_up(keys: Any, table: pa.Table, key: str, columns: Sequence[str]) -> dict[str, Any]:
    """Take, for each key, the values of the table's first row with it; null where there is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    keys = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    wanted = table[key].combine_chunks()
    at = pc.index_in(keys.cast(wanted.type), wanted)
    at = pc.if_else(pc.is_null(keys), None, at)
    return {name: table[name].combine_chunks().take(at) for name in columns}


def _replaced(column: Any, spelling: Callable[[str], str]) -> Any:
    """Replace each of a column's few different values."""
    import pyarrow as pa

    encoded = column.combine_chunks().dictionary_encode() if isinstance(column, pa.ChunkedArray) else column.dictionary_encode()
    values = pa.array([None if v is None else spelling(v) for v in encoded.dictionary.to_pylist()], pa.string())
    return values.take(encoded.indices)


def _vocabulary_curie(vocabulary: str) -> str:
    return f"bioregistry:{vocabulary}" if vocabulary in _IN_BIOREGISTRY else f"kgbuild.vocabulary:{vocabulary}"


def _confidence(links: pa.Table) -> Any:
    """Give the probability of the predicate: the same; filed there; filed there and not the same. A curator's word has none."""
    import pyarrow.compute as pc

    same, target = links["p_same"], links["p_target"]
    filed_not_same = _clipped(pc.subtract(target, pc.fill_null(same, 0.0)))
    cases = pc.make_struct(pc.equal(links["justification"], _CURATED), pc.equal(links["predicate"], "exact"), pc.equal(links["predicate"], "close"),
                           pc.is_in(links["predicate"], _strings(["broad", "narrow"])), field_names=list("abcd"))  # fmt: skip
    return pc.case_when(cases, _null_double(), same, target, filed_not_same)


def _strings(values: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string())


def _null_double() -> Any:
    import pyarrow as pa

    return pa.scalar(None, pa.float64())


def _clipped(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.min_element_wise(pc.max_element_wise(column, 0.0, skip_nulls=False), 1.0, skip_nulls=False)


def _rounded(column: Any) -> Any:
    import pyarrow.compute as pc

    return pc.round(column, 6)


def _record_ids(*columns: Any) -> Any:
    """Hash each row; equal rows get an ordinal, for record ids must differ within a set."""
    import pyarrow as pa

    seen: Counter[tuple[str, ...]] = Counter()
    ids = []
    for row in zip(*(column.to_pylist() for column in columns), strict=True):
        parts = tuple(part or "" for part in row)
        seen[parts] += 1
        ids.append(content_id("kgbuild.record", *parts, *([str(seen[parts])] if seen[parts] > 1 else [])))
    return pa.array(ids, pa.string())


def _with_values(records: pa.Table, extensions: Mapping[str, tuple[str, str]] = EXTENSIONS, asked_for: Sequence[str] = ()) -> pa.Table:
    """Keep the known columns that hold any value, in the standard's order; those that are always there stay."""
    always = {"subject_id", "predicate_id", "object_id", "mapping_justification", *asked_for}
    present = [name for name in (*SSSOM_COLUMNS, *extensions) if name in records.column_names]
    return records.select([name for name in present if name in always or records[name].null_count < records.num_rows])


def _metadata(records: pa.Table, sources: pa.Table | None, extensions: Mapping[str, tuple[str, str]] = EXTENSIONS) -> dict[str, Any]:
    declared = [
        {"slot_name": name, "property": f"kgbuild:{name}", "type_hint": hint}
        for name, (hint, _) in extensions.items()
        if name in records.column_names
    ]
    metadata: dict[str, Any] = {
        "sssom_version": "1.1",
        "mapping_set_id": f"https://w3id.org/kgbuild/mappings/{_set_hash(records)}",
        "mapping_set_title": "Phenotype mappings harmonised by kgbuild",
        # each source keeps its own licence (below); nobody here can grant one for all of them
        "license": _UNSPECIFIED_LICENCE,
        "curie_map": _curie_map(records),
        "extension_definitions": declared,
        "comment": "confidence is the probability of the written predicate: p_same for exactMatch, p_target for closeMatch, p_target - p_same for broadMatch and narrowMatch",
    }
    if sources is not None:
        metadata["other"] = "; ".join(
            f"source {row['source']}: {row['file']}, {row['version'] or 'no version stated'}, {row['licence'] or 'no licence stated'}"
            for row in sources.to_pylist()
        )
    return {key: value for key, value in metadata.items() if value}


def _set_hash(records: pa.Table) -> str:
    digest = hashlib.sha256()
    for name in records.column_names:
        digest.update("\x1f".join([name, *map(str, records[name].to_pylist())]).encode())
    return digest.hexdigest()[:20]


def _curie_map(records: pa.Table) -> dict[str, str]:
    """Give the IRI of each prefix that occurs."""
    import pyarrow.compute as pc

    known = PREFIXES | _RECORD_PREFIXES
    curies = [
        name
        for name in records.column_names
        if name.endswith("_id") or name in {"mapping_justification", "similarity_measure", "subject_source", "object_source"}
    ]
    found = {"kgbuild"} | {
        p
        for name in curies
        for p in pc.unique(pc.list_element(pc.split_pattern(pc.drop_null(records[name]), ":", max_splits=1), 0)).to_pylist()
    }
    return {prefix: known.get(prefix, f"https://bioregistry.io/{prefix}:") for prefix in sorted(found)}


def _yaml(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Spell the header: JSON strings are YAML strings."""
    for key, value in metadata.items():
        if isinstance(value, dict):
            yield f"{key}:"
            yield from (f"  {name}: {json.dumps(text, ensure_ascii=False)}" for name, text in value.items())
        elif isinstance(value, list):
            yield f"{key}:"
            for entry in value:
                for n, (name, text) in enumerate(entry.items()):
                    yield f"{'  ' if n else '- '}{name}: {json.dumps(text, ensure_ascii=False)}"
        else:
            yield f"{key}: {json.dumps(value, ensure_ascii=False)}"


def _write_json(records: pa.Table, out: Path, *, sources: pa.Table | None = None) -> None:
    """Write records as SSSOM/JSON, one mapping a line, in the form that sssom reads: prefixes as `@context`, standard slots only.

    What the TSV has in extension columns is said in `other`, as `name=value`.
    """
    records = _with_values(records)
    metadata = _metadata(records, sources)
    metadata = {"@context": metadata.pop("curie_map"), **metadata}
    metadata.pop("extension_definitions", None)
    with write_whole(out) as aside, aside.open("w", encoding="utf-8") as handle:
        handle.write(json.dumps(metadata, ensure_ascii=False, indent=1).removesuffix("\n}") + ',\n "mappings": [')
        separator = "\n"
        for batch in records.to_batches(max_chunksize=_BATCH_ROWS):
            for row in batch.to_pylist():
                said = "; ".join(f"{name}={row.pop(name)}" for name in EXTENSIONS if row.get(name) is not None)
                filled = {k: v for k, v in (row | {"other": said or None}).items() if v is not None}
                handle.write(f"{separator}  {json.dumps(filled, ensure_ascii=False)}")
                separator = ",\n"
        handle.write("\n ]\n}\n")


def _wide(links: pa.Table, concepts: pa.Table, groups: pa.Table, *, include_review: bool) -> pa.Table:
    """Give one row per subject: its best accepted term (or the best under review), the others, and its harmonised concept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    frame = links.drop_columns(["evidence", "matched_name"]).to_pandas()
    frame = frame[frame["rank"] > 0]  # 0: a person's decision on another pair than a code and a term
    order = {"accept": 0, "review": 1, "reject": 2}
    frame["order"] = frame["decision"].map(order)
    frame = frame.sort_values(["subject_id", "order", "rank", "object_id"], kind="stable")
    accepted = frame[(frame["decision"] == "accept") & (frame["predicate"] != "not")]
    further = accepted[accepted.duplicated("subject_id")].groupby("subject_id")["object_id"].agg("|".join)
    rejected = (
        frame[frame["predicate"] == "not"].drop_duplicates(["subject_id", "object_id"]).groupby("subject_id")["object_id"].agg("|".join)
    )
    # a curator's rejection is no answer: it speaks for its subject only where nothing else does
    best = frame.assign(order=frame["order"].where(frame["predicate"] != "not", 3)).sort_values(["subject_id", "order"], kind="stable")
    best = best.drop_duplicates("subject_id")
    answered = (best["decision"] == "accept") | ((best["decision"] == "review") & include_review)
    answered &= best["predicate"] != "not"
    blank = ["object_id", "predicate", "similarity", "p_target", "p_same", "justification", "calibration"]
    best = best.assign(other_object_ids=best["subject_id"].map(further), rejected_object_ids=best["subject_id"].map(rejected))
    best[blank] = best[blank].where(answered)
    table = pa.Table.from_pandas(best, preserve_index=False)
    subject = _looked_up(table["subject_id"], concepts, "id", ["name", "vocabulary"])
    columns = {name: table[name] for name in table.column_names} | {
        "code": pc.replace_substring_regex(table["subject_id"], "^[^:]*:", ""),
        "subject_label": subject["name"],
        "subject_vocabulary": subject["vocabulary"],
        "harmonised_id": _looked_up(table["subject_id"], groups, "member_id", ["group_id"])["group_id"],
        "object_label": _looked_up(table["object_id"].cast(pa.string()), concepts, "id", ["name"])["name"],
    }
    return pa.table({name: columns[name] for name in WIDE_COLUMNS})


# graphs


class _Gate:
    """Decides what of a graph may go out, and counts what may not."""

    def __init__(self, restricted: Sequence[str], graph: GraphFiles, tables_dir: Path) -> None:
        self.restricted = _strings(restricted)
        self.withheld: Counter[str] = Counter()
        self.nodes = _strings([])
        self.names = _strings([])
        if restricted:
            self.nodes = self._restricted_nodes(graph)
            self.names = self._restricted_names(tables_dir)

    def _restricted_nodes(self, graph: GraphFiles) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        parts = [pq.read_table(path, columns=["id", "source"]) for path in graph.node_files().values()]
        nodes = pa.concat_tables(parts) if parts else pa.table({"id": self.nodes, "source": self.nodes})
        return nodes.filter(pc.is_in(nodes["source"], self.restricted))["id"].combine_chunks()

    def _restricted_names(self, tables_dir: Path) -> Any:
        """Give the names that only restricted sources have."""
        import pyarrow.compute as pc

        names = tables.read(tables_dir, "names", ["name", "source"])
        barred = pc.is_in(names["source"], self.restricted)
        theirs, free = pc.unique(names.filter(barred)["name"]), pc.unique(names.filter(pc.invert(barred))["name"])
        return theirs.filter(pc.invert(pc.is_in(theirs, free)))

    def pass_nodes(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow.compute as pc

        if not len(self.restricted):
            return batch
        batch = self._count_and_drop(batch, pc.is_in(batch["source"], self.restricted), batch["source"])
        if len(self.names):
            at = batch.schema.names.index
            named = pc.if_else(pc.is_in(batch["name"], self.names), batch["id"], batch["name"])
            batch = batch.set_column(at("name"), "name", named)
            batch = batch.set_column(at("synonyms"), "synonyms", _without(batch["synonyms"], self.names))
        return batch

    def pass_edges(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(self.restricted):
            return batch
        batch = self._count_and_drop(batch, pc.is_in(batch["source"], self.restricted), batch["source"])
        severed = pc.or_(pc.is_in(batch["start_id"], self.nodes), pc.is_in(batch["end_id"], self.nodes))
        return self._count_and_drop(batch, severed, pa.repeat(_END_WITHHELD, batch.num_rows))

    def _count_and_drop(self, batch: pa.RecordBatch, barred: Any, reasons: Any) -> pa.RecordBatch:
        import pyarrow.compute as pc

        self.withheld.update(reasons.filter(barred).to_pylist())
        return batch.filter(pc.invert(barred))


def _without(lists: Any, unwanted: Any) -> Any:
    """Take values out of lists; a null list becomes an empty one."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    values = lists.flatten()
    kept = pc.invert(pc.is_in(values, unwanted))
    parents = np.asarray(pc.list_parent_indices(lists).filter(kept))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(parents, minlength=len(lists)))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values.filter(kept))


Written = tuple[list[Path], dict[str, int]]


def _write_csv(graph: GraphFiles, out: Path, gate: _Gate, _infores: Mapping[str, str], advance: Callable[[int], None]) -> Written:
    """Write nodes/<Label>.csv and edges/<TYPE>.csv with the schema's own property names and ids."""
    files, rows = [], {}
    for folder, parts, pass_through in (("nodes", graph.node_files(), gate.pass_nodes), ("edges", graph.edge_files(), gate.pass_edges)):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for name, path in parts.items():
            target = out / folder / f"{name}.csv"
            rows[name] = 0
            with write_whole(target) as aside, aside.open("wb") as handle:
                for n, batch in enumerate(_batches(path)):
                    advance(batch.num_rows)
                    passed = pass_through(batch)
                    rows[name] += passed.num_rows
                    _write_rows(handle, _as_table(passed), delimiter=",", header=n == 0)
            files.append(target)
    return files, rows


def _write_kgx(graph: GraphFiles, out: Path, gate: _Gate, infores: Mapping[str, str], advance: Callable[[int], None]) -> Written:
    """Write nodes.tsv and edges.tsv: every property that any label or type has is a column; cells are never quoted."""
    out.mkdir(parents=True, exist_ok=True)
    node_columns = ["id", "category", *_kgx_columns((n.all_properties for n in NODE_LABELS.values()), leave_out={"id"})]
    fixed = ["id", "subject", "predicate", "object", "knowledge_level", "agent_type", "primary_knowledge_source", "negated"]
    edge_columns = [*fixed, *_kgx_columns((e.all_properties for e in EDGE_TYPES.values()), leave_out={"id"})]
    rows: dict[str, int] = {}
    files = [out / "nodes.tsv", out / "edges.tsv"]
    with write_whole(files[0]) as aside, aside.open("wb") as handle:
        _kgx_header(handle, node_columns)
        for label, path in graph.node_files().items():
            rows[label] = 0
            for batch in _batches(path):
                advance(batch.num_rows)
                passed = gate.pass_nodes(batch)
                rows[label] += passed.num_rows
                _kgx_rows(handle, passed, node_columns, {"category": NODE_LABELS[label].category})
    with write_whole(files[1]) as aside, aside.open("wb") as handle:
        _kgx_header(handle, edge_columns)
        for type_, path in graph.edge_files().items():
            rows[type_] = 0
            for batch in _batches(path):
                advance(batch.num_rows)
                passed = gate.pass_edges(batch)
                rows[type_] += passed.num_rows
                _kgx_rows(handle, passed, edge_columns, _edge_columns(passed, EDGE_TYPES[type_], infores))
    return files, rows


def _kgx_columns(properties: Iterable[Sequence[Property]], *, leave_out: set[str]) -> list[str]:
    names = dict.fromkeys(p.name for several in properties for p in several if p.name not in _NOT_EXPORTED | leave_out)
    return [_KGX_NAMES.get(name, name) for name in names]


def _kgx_header(handle: BinaryIO, columns: Sequence[str]) -> None:
    handle.write(("\t".join(columns) + "\n").encode())


def _edge_columns(batch: pa.RecordBatch, edge: EdgeType, infores: Mapping[str, str]) -> dict[str, Any]:
    """Make the columns that Biolink asks of every edge; a link that a curator made is no prediction."""
    import pyarrow.compute as pc

    columns: dict[str, Any] = {
        "subject": _escaped(_biolink_ids(batch["start_id"])),
        "predicate": edge.predicate,
        "object": _escaped(_biolink_ids(batch["end_id"])),
        "knowledge_level": edge.knowledge_level,
        "agent_type": edge.agent_type,
        "primary_knowledge_source": _replaced(batch["source"], lambda key: infores.get(key, "infores:kgbuild")),
        "negated": "true" if edge.type in _NEGATED else None,
    }
    if "justification" in batch.schema.names:
        curated = pc.fill_null(pc.equal(batch["justification"], _CURATED), False)
        columns["knowledge_level"] = pc.if_else(curated, "knowledge_assertion", edge.knowledge_level)
        columns["agent_type"] = pc.if_else(curated, "manual_agent", edge.agent_type)
    return columns


def _kgx_rows(handle: BinaryIO, batch: pa.RecordBatch, columns: Sequence[str], made: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    present = {_KGX_NAMES.get(name, name): name for name in batch.schema.names}
    texts = []
    for name in columns:
        value = made.get(name)
        if value is None and name in made:
            texts.append(pa.nulls(batch.num_rows, pa.string()))
        elif isinstance(value, str):
            texts.append(pa.repeat(value, batch.num_rows))
        elif value is not None:
            texts.append(value)
        elif name not in present:
            texts.append(pa.nulls(batch.num_rows, pa.string()))
        elif name in {"id", "publications"}:
            texts.append(_escaped(_biolink_ids(batch[present[name]])))
        else:
            texts.append(_as_text(batch[present[name]], escape=True))
    _write_lines(handle, texts, "\t", pc)


def _biolink_ids(ids: Any) -> Any:
    """Spell CURIEs with Biolink's prefixes."""
    import pyarrow.compute as pc

    for ours, theirs in BIOLINK_PREFIXES.items():
        ids = pc.replace_substring_regex(ids, f"^{re.escape(ours)}:", f"{theirs}:")
    return ids


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    columns = [name for name in file.schema_arrow.names if name not in _NOT_EXPORTED]
    yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=columns)


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _refuse_unknown(format: str, known: Sequence[str]) -> None:
    if format not in known:
        raise UsageError(f"no export format is called {format!r}", advice=f"Known formats: {', '.join(known)}.")


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report to nobody."""
