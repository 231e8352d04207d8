"""The typed tables that sources become: one definition from which Parquet schemas and docs/formats.md are made.

In: rows that a reader has checked. Out: Parquet files under ``tables-<key>/`` that later stages trust.
Every row ends with `source` (a key of the `sources` table, which knows licence and hash) and `line`
(1-based line of the file it came from; for OBO the line of the stanza).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild.errors import WorkspaceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TABLES", "Column", "Table", "concatenate", "empty", "from_columns", "from_rows", "names_by_id", "read", "schema", "write"]


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type by name ("string", "int64", "float64", "bool", "list<string>") and its meaning."""

    name: str
    type: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table: what a row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]


_PROVENANCE = (
    Column("source", "string", "key of the source in the table `sources`"),
    Column("line", "int64", "line of that source's file, counted from 1"),
)


def _table(name: str, row: str, *columns: Column) -> Table:
    return Table(name, row, (*columns, *_PROVENANCE))


def _required(name: str, type_: str, meaning: str) -> Column:
    return Column(name, type_, meaning)


def _optional(name: str, type_: str, meaning: str) -> Column:
    return Column(name, type_, meaning, nullable=True)


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "sources",
            "one file that was read",
            (
                _required("source", "string", "key, as in kgbuild.toml"),
                _required("kind", "string", "reader that read it"),
                _required("file", "string", "file name without folders"),
                _required("sha256", "string", "hash of the file's bytes"),
                _optional("version", "string", "release, as the file states it, else as configured"),
                _optional("licence", "string", "licence in words"),
                _required("redistributable", "bool", "may rows be passed on in exports"),
                _required("rows_in", "int64", "rows (or stanzas) in the file"),
                _required("rows_kept", "int64", "rows that became table rows"),
                _required("rows_merged", "int64", "rows that say what another row says"),
                _required("rows_rejected", "int64", "rows refused, with a reason"),
            ),
        ),
        _table(
            "concepts",
            "one concept: an ontology class, a code, a free text, a node of the knowledge graph",
            _required("id", "string", "CURIE"),
            _required("name", "string", "preferred name as the source writes it"),
            _required("vocabulary", "string", "key of kgbuild.vocabulary.VOCABULARIES"),
            _required("kind", "string", "key of kgbuild.schema.NODE_LABELS, e.g. Disease, ClinicalCode, FreeText"),
            _required("obsolete", "bool", "no longer live in its vocabulary"),
            _optional("group", "string", "chapter or group text that the source files it under"),
            _required("selectable", "bool", "false for a header code or a grouping class that no record carries"),
        ),
        _table(
            "names",
            "one name of one concept",
            _required("concept_id", "string", "CURIE"),
            _required("name", "string", "the name, as written"),
            _required("role", "string", "label, synonym (exact) or short"),
        ),
        _table(
            "xrefs",
            "one statement between identifiers of two vocabularies",
            _required("subject_id", "string", "CURIE"),
            _required("predicate", "string", "xref (evidence only), replaced_by, broader (a roll-up: the object is broader)"),
            _required("object_id", "string", "CURIE"),
        ),
        _table(
            "variants",
            "one variant, or one set of variants that an association is about",
            _required("id", "string", "dbsnp:rs… ; hg38/hg19 place `GRCh38:chr:pos:ref:alt`; `variantset:` + hash of the members"),
            _required("kind", "string", "single, haplotype, interaction, or other (an HLA allele, an array's own name)"),
            _required("members", "list<string>", "members of a set, in written order; empty for a single variant"),
            _optional("chromosome", "string", "1..22, X, Y, MT"),
            _optional("position", "int64", "1-based, on `build`"),
            _optional("build", "string", "GRCh37 or GRCh38 as the source states; null: unknown, not joined by place"),
            _optional("consequence", "string", "most severe consequence as the source names it"),
            _required("nearest_genes", "list<string>", "symbols in MAPPED_GENE: nearest by position, no more"),
            _optional("locus", "string", "ld:<block>, window:<chrom>:<Mb>, or MHC; null: nothing known"),
            _required("in_mhc", "bool", "chr6:25-34 Mb on GRCh38"),
            _optional("locus_span", "int64", "base pairs of the LD block or window"),
        ),
        _table(
            "associations",
            "one measured variant-phenotype or variant-gene association",
            _required("id", "string", "hash of the identifying columns + ordinal among equals"),
            _required("kind", "string", "gwas, biobank or eqtl"),
            _required("variant_id", "string", "id in `variants`"),
            _required("object_id", "string", "the trait as written (`text:`…), the phenotype code, or the gene"),
            _required("object_name", "string", "as written"),
            _required("term_ids", "list<string>", "ontology terms the source files it under, obsolete ones forwarded"),
            _optional("term_relation", "string", "single, named, union, intersection, context, unresolved (several); null: no term"),
            _required("named_term_ids", "list<string>", "those of term_ids that the row's own text names: they get edges"),
            _required("qualifiers", "list<string>", "keys of kgbuild.qualifiers.QUALIFIERS found in the trait's text"),
            _optional("study", "string", "gcst:GCST…"),
            _optional("publication", "string", "pubmed:…"),
            _optional("date", "string", "date of publication, ISO 8601"),
            _optional("tissue", "string", "for an eQTL"),
            _optional("p_text", "string", "P-VALUE (TEXT)"),
            _optional("neg_log10_p", "float64", "-log10 p; at least this much when p_censored"),
            _required("p_censored", "bool", "p was written as 0: the true -log10 p is larger"),
            _required("genome_wide", "bool", "p <= 5e-8"),
            _optional("effect_type", "string", "odds_ratio, beta, z; null: none given"),
            _optional("effect", "float64", "as reported: an odds ratio, or a beta with its sign where `direction` is known"),
            _optional("effect_unit", "string", "unit text of a beta"),
            _optional("direction", "string", "increase, decrease; null: unknown"),
            _optional("effect_lower", "float64", "lower end of the 95 % interval"),
            _optional("effect_upper", "float64", "upper end"),
            _optional("se", "float64", "standard error on the scale of the effect (log odds for an odds ratio)"),
            _optional("effect_allele", "string", "the allele that the effect belongs to; null when written `-?`"),
            _optional("other_allele", "string", "the other allele"),
            _optional("effect_allele_frequency", "float64", "0 to 1"),
            _optional("n", "int64", "samples in the initial study, added up"),
            _optional("ancestry", "string", "as read off the sample text"),
            _required("flags", "list<string>", "quality flags, see kgbuild.sources.gwas.FLAGS"),
        ),
        _table(
            "loci",
            "the LD interval of one variant",
            _required("variant_id", "string", "dbsnp:rs…"),
            _required("chromosome", "string", "1..22, X"),
            _required("left", "int64", "leftmost base pair of the interval"),
            _required("right", "int64", "rightmost"),
            _required("block", "string", "block that joins overlapping intervals"),
        ),
        _table(
            "relations",
            "one edge between concepts or genes",
            _required("id", "string", "hash of subject, predicate, object"),
            _required("subject_id", "string", "CURIE"),
            _required("predicate", "string", "edge type of kgbuild.schema.EDGE_TYPES, e.g. IS_A, TARGETS, PARTICIPATES_IN"),
            _required("object_id", "string", "CURIE"),
        ),
        _table(
            "mappings",
            "one curated statement: this text or code belongs to that term",
            _required("subject_id", "string", "CURIE; `text:`… when only a text is given"),
            _required("subject_label", "string", "as the curator saw it"),
            _required("vocabulary", "string", "vocabulary of the subject"),
            _required("predicate", "string", "exact, broad (the object is broader), narrow, close, or unspecified"),
            _required("object_id", "string", "CURIE, obsolete ones forwarded"),
            _required("judged", "string", "valid or invalid"),
            _required("use", "string", "fit (training, features, curated links) or evaluate (never any of these)"),
            _required("set", "string", "the curators' set, e.g. finngen"),
        ),
        _table(
            "genes",
            "one gene, joined over the identifiers it came with",
            _required("id", "string", "NCBIGene:… when known, else ensembl:… , else symbol:…"),
            _required("symbol", "string", "HGNC-style symbol; the id when there is none"),
            _required("ensembl_ids", "list<string>", "without version"),
        ),
        _table(
            "forwardings",
            "one identifier that was replaced on the way in",
            _required("old_id", "string", "as written"),
            _required("new_id", "string", "as used"),
            _required("reason", "string", "replaced_by, merged rs id, case, dot, or cross-reference"),
            _required("rows", "int64", "rows in which it was replaced"),
        ),
        # what `harmonise` concludes
        Table(
            "links",
            "one link from a concept to a target term, with its evidence",
            (
                _required("subject_id", "string", "CURIE of the code or text"),
                _required("object_id", "string", "CURIE of the target term"),
                _required(
                    "rank",
                    "int64",
                    "1 for the candidate with the highest p_target; what people said comes first; 0 for a decision on a pair that is not searched",
                ),
                _required("predicate", "string", "exact, broad (the object is broader), narrow, close, or not (a curator rejected it)"),
                _optional("similarity", "float64", "raw cosine, highest over the names of both; null for a link nobody measured"),
                _optional("p_target", "float64", "a curator would file the subject under the object; null: uncalibrated"),
                _optional("p_same", "float64", "both are the same thing; null: uncalibrated"),
                _required("decision", "string", "accept, review or reject"),
                _required("justification", "string", "semapv CURIE"),
                _required("matched_name", "string", "the name of the object that was nearest"),
                _required(
                    "calibration",
                    "string",
                    "which fit gave the probabilities, or `curated`, `decision` (a person's, in this workspace), or `uncalibrated`",
                ),
                _required(
                    "evidence",
                    "list<string>",
                    "who said so, as `source:line` or `decisions:line`; features as `name=value`, the weightiest with what they add to the log odds of p_target, compared with the mean of the subject's candidates",
                ),
            ),
        ),
        Table(
            "groups",
            "one concept's place in a harmonised concept",
            (
                _required("group_id", "string", "harmonised:…"),
                _required("member_id", "string", "CURIE"),
                _required("is_centre", "bool", "the concept that the star is around"),
                _required("p_same", "float64", "with the centre; 1 for the centre itself"),
                _required("justification", "string", "semapv CURIE"),
            ),
        ),
    )
}


def schema(name: str) -> pa.Schema:
    """Give the Arrow schema of a table; the types are spelled as Arrow spells them."""
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.nullable) for c in TABLES[name].columns])


def from_rows(name: str, rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Build a table from row tuples in the order of its columns.

    Raises:
        ValueError: A row is too short or too long, or a required value is missing.
    """
    import pyarrow as pa

    expected = schema(name)
    columns = list(zip(*rows, strict=True))
    if not columns:
        return empty(name)
    if len(columns) != len(expected):
        raise ValueError(f"table {name} has {len(expected)} columns, the rows have {len(columns)}")
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, expected, strict=True)]
    return _checked(name, pa.Table.from_arrays(arrays, schema=expected))


def from_columns(name: str, n_rows: int, columns: Mapping[str, Any]) -> pa.Table:
    """Build a table from whole columns (Arrow, numpy, pandas or lists); a column that is left out is null, or lists of nothing.

    Raises:
        ValueError: A column is not the table's, has another length, or a required value is missing.
    """
    import pyarrow as pa

    expected = schema(name)
    unknown = set(columns) - set(expected.names)
    if unknown:
        raise ValueError(f"table {name} has no column {', '.join(sorted(unknown))}")
    if n_rows == 0:
        return expected.empty_table()
    arrays = []
    for field in expected:
        column = columns.get(field.name)
        if column is None:
            nothing = pa.types.is_list(field.type)
            column = (
                pa.ListArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n_rows + 1), pa.array([], pa.string()))
                if nothing
                else pa.nulls(n_rows, field.type)
            )
        elif not isinstance(column, pa.Array | pa.ChunkedArray):
            column = pa.array(column, type=field.type, from_pandas=True)
        if len(column) != n_rows:
            raise ValueError(f"table {name}: column {field.name} has {len(column)} rows, expected {n_rows}")
        arrays.append(column.cast(field.type))
    return _checked(name, pa.Table.from_arrays(arrays, schema=expected))


def empty(name: str) -> pa.Table:
    """Give a table without rows."""
    return schema(name).empty_table()


def concatenate(name: str, tables: Iterable[pa.Table]) -> pa.Table:
    """Join tables of one schema, in order."""
    import pyarrow as pa

    return pa.concat_tables([empty(name), *tables])


def write(folder: Path, tables: Mapping[str, pa.Table]) -> None:
    """Write each table to `folder`/<name>.parquet, checked against its schema."""
    import pyarrow.parquet as pq

    for name, table in tables.items():
        pq.write_table(_checked(name, table), folder / f"{name}.parquet", compression="zstd")


def read(folder: Path, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one table, or some of its columns.

    Raises:
        WorkspaceError: The file is not there.
    """
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    if not path.exists():
        raise WorkspaceError(f"{path} is missing", advice="Run `kgbuild ingest` to make the tables again.")
    return pq.read_table(path, columns=None if columns is None else list(columns))


def names_by_id(folder: Path) -> dict[str, str]:
    """Give the name of each concept and the symbol of each gene in a folder of tables."""
    concepts = read(folder, "concepts", ["id", "name"]).to_pydict()
    genes = read(folder, "genes", ["id", "symbol"]).to_pydict()
    return dict(zip(genes["id"], genes["symbol"], strict=True)) | dict(zip(concepts["id"], concepts["name"], strict=True))


def _checked(name: str, table: pa.Table) -> pa.Table:
    expected = schema(name)
    if table.schema.names != expected.names:
        raise ValueError(f"table {name}: columns are {table.schema.names}, expected {expected.names}")
    table = table.cast(expected)
    for field in expected:
        if not field.nullable and table.column(field.name).null_count:
            raise ValueError(f"table {name}: column {field.name} must not be empty")
    return table
