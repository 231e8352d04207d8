"""Files are recognised by their heads, and of several of one kind the best is chosen, with the reason."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import KINDS, Recognised, reader
from kgbuild.sources.recognise import Choice, choose, recognise_file, recognise_folder, sample

DATA = Path(str(files("kgbuild"))) / "data"

OBO = "format-version: 1.2\ndata-version: {}\nontology: {}\n\n[Term]\nid: EFO:1\nname: x\n"
MAPPINGS = "source\tsubject_id\tsubject_label\tobject_id\tpredicate\tjudged\tsplit\nx\t\ta\tEFO:1\t\t\t{}\n"
FILES = {
    "README.md": "# Data\n",
    ".hidden.tsv": "old_id\tnew_id\n",
    "notes.txt": "to do\n",
    "empty.tsv": "",
    "efo/efo.obo": OBO.format("http://www.ebi.ac.uk/efo/releases/v3.74.0/efo.owl", "efo"),
    "efo/old.obo": OBO.format("2.87", "efo") + "x: y\n" * 99,
    "efo/mondo.obo": OBO.format("releases/2024-01-03", "mondo"),
    "mini/efo.obo": OBO.format("http://www.ebi.ac.uk/efo/releases/v3.74.0/efo.owl", "efo"),
    "mappings/train.tsv": MAPPINGS.format("train"),
    "mappings/dev.tsv": MAPPINGS.format("dev"),
    "mini/mappings.tsv": MAPPINGS.format("train"),
    "phecode/map.csv": "vocabulary_id,code,phecode\nICD9CM,001,008\n",
    "phecode/map_icd10.csv": "vocabulary_id,code,phecode\nICD10,A00,008\n",
    "phecode/rolled.csv": '"ICD9","ICD9 String","PheCode"\n"001","Cholera","008"\n' + '"002","Typhoid","008"\n' * 9,
    "phecode/x.csv": "code,vocabulary_id,phecode\n281,ICD9CM,BI_160\n",
    "ld/a.tsv": "SNP\tchrom\tleft\tright\tblock\nrs1\t1\t1\t2\tb\n",
    "ld/b.tsv": "SNP\tchrom\tleft\tright\tblock\nrs1\t1\t1\t2\tb\nrs2\t1\t1\t2\tb\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_every_file_of_a_folder_is_recognised_unrecognised_or_skipped(folder: Path) -> None:
    found = recognise_folder(folder)
    assert [path.relative_to(folder).as_posix() for path in found.skipped] == [".hidden.tsv", "README.md"]
    assert [path.name for path in found.unrecognised] == ["empty.tsv", "notes.txt"]
    assert sorted([*found.skipped, *found.unrecognised, *(path for path, _ in found.recognised)]) == sorted(folder / name for name in FILES)
    assert [path.name for path, recognised in found.recognised if recognised.subset] == ["efo.obo", "mappings.tsv"]


def test_the_newest_whole_richest_largest_file_of_each_flavour_is_chosen(folder: Path) -> None:
    choices = {c.path.relative_to(folder).as_posix(): (c.enabled, c.reason) for c in choose(recognise_folder(folder).recognised)}
    assert choices == {
        "efo/efo.obo": (True, "chosen before efo/old.obo, mini/efo.obo"),
        "efo/mondo.obo": (True, "the only one: OBO stanzas of the ontology mondo"),
        "efo/old.obo": (False, "older (2.87) than release 3.74.0 in efo/efo.obo"),
        "ld/a.tsv": (False, "smaller than ld/b.tsv"),
        "ld/b.tsv": (True, "chosen before ld/a.tsv"),
        "mappings/dev.tsv": (True, "held out: evaluated, never trained on"),
        "mappings/train.tsv": (True, "columns subject_label and object_id"),
        "mini/efo.obo": (False, "a subset, beside the whole efo/efo.obo"),
        "mini/mappings.tsv": (False, "a subset; mappings/dev.tsv, mappings/train.tsv are there"),
        "phecode/map.csv": (True, "chosen before phecode/rolled.csv"),
        "phecode/map_icd10.csv": (True, "the only one: codes and phecodes: icd10 to phecode"),
        "phecode/rolled.csv": (False, "says less than phecode/map.csv"),
        "phecode/x.csv": (True, "the only one: codes and phecodes: icd9cm to phecodex"),
    }


def test_a_mapping_file_that_is_held_out_is_never_for_training(folder: Path) -> None:
    uses = {
        c.path.name: c.recognised.options["use"]
        for c in choose(recognise_folder(folder).recognised)
        if c.recognised.kind == "curated-mappings"
    }
    assert uses == {"train.tsv": "fit", "dev.tsv": "evaluate", "mappings.tsv": "fit"}


def test_a_subset_is_used_where_there_is_nothing_else(folder: Path) -> None:
    choices = choose(recognise_folder(folder / "mini").recognised)
    assert [(c.path.name, c.enabled) for c in choices] == [("efo.obo", True), ("mappings.tsv", True)]
    alone = Recognised("gwas-catalog", subset=True)
    assert choose([(folder / "efo" / "efo.obo", alone)]) == [Choice(folder / "efo" / "efo.obo", alone, True, "the only one: ")]


def test_a_file_that_nobody_asked_for_is_left_out_with_its_reason(folder: Path) -> None:
    hits = Recognised("biobank", why="published hits", unasked=True)
    assert choose([(folder / "notes.txt", hits)]) == [Choice(folder / "notes.txt", hits, False, "published hits")]


def test_sizes_of_packed_and_plain_files_are_compared_unpacked(tmp_path: Path) -> None:
    (tmp_path / "large.tsv.gz").write_bytes(gzip.compress(b"a\n" * 10_000))
    (tmp_path / "small.tsv").write_bytes(b"a\n" * 1_000)
    choices = choose([(tmp_path / name, Recognised("primekg")) for name in ("small.tsv", "large.tsv.gz")])
    assert [c.enabled for c in choices] == [False, True]


def test_every_packaged_file_is_recognised_as_what_it_is() -> None:
    kinds = {path.name: recognised.kind for path, recognised in recognise_folder(DATA).recognised}
    assert kinds == {
        "blueprint_monocyte_eqtl.tsv.gz": "eqtl",
        "efo.obo.gz": "obo",
        "ensembl_to_symbol.tsv.gz": "ensembl-symbols",
        "gwas-catalog-associations.tsv.gz": "gwas-catalog",
        "icd10cm-order-2021.txt.gz": "icd10cm-order",
        "icd9cm.tsv": "icd9cm",
        "kg.csv.gz": "primekg",
        "mappings.tsv.gz": "curated-mappings",
        "phecode_map.csv": "phecode-map",
        "phenotypes.tsv": "free-text",
        "pheinfo.csv": "phecode-definitions",
        "snp_ld_blocks.tsv.gz": "ld-blocks",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_recognises_an_empty_or_a_binary_file(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty").write_bytes(b"")
    assert [reader(kind).recognise(sample(tmp_path / name)) for name in ("x.bin", "empty", "missing")] == [None, None, None]


def test_a_truncated_gzip_file_is_recognised_by_what_can_be_read(tmp_path: Path) -> None:
    whole = (DATA / "efo.obo.gz").read_bytes()
    (tmp_path / "efo.obo.gz").write_bytes(whole[: len(whole) // 2])
    recognised = recognise_file(tmp_path / "efo.obo.gz")
    assert recognised is not None
    assert (recognised.kind, recognised.version) == ("obo", "3.74.0")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        recognise_folder(tmp_path / "none")
