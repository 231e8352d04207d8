"""Measure what linking takes: more and more codes against all terms, and the same codes against more and more terms.

python docs/benchmarks/harmonising.py WORKSPACE                # one whose links are made; it is only read

Each row runs in a process of its own, which reads the tables, encodes the names (into a cache that is empty when the script
starts, so the first row that needs a name pays for it), searches, measures, decides, and gives the table `links`. Calibration
and curated rows are those of the workspace. Codes are drawn by the hash of their id; texts of GWAS traits are a row of their
own. The largest row is run once more: it has nothing left to encode. Seconds are those of the processor, all threads together
(other work on the machine moves them less than the clock); MB is the process's peak.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CODES = (1_000, 10_000, 50_000, 95_358)
TERMS = (1_000, 4_000, 16_000)  # and all of them
PER_TERMS = 5_000  # codes that are linked to each of these


def drawn(ids: list[str], n: int) -> list[int]:
    """Give the rows of n ids, by their hash."""
    order = sorted(range(len(ids)), key=lambda row: hashlib.sha256(ids[row].encode()).digest())
    return sorted(order[:n])


def measure(workspace: Path, vocabulary: str, n: int, n_terms: int, cache: Path) -> dict[str, Any]:
    """Link n subjects of a vocabulary to n_terms terms (0: all); give seconds by part, texts encoded, and memory."""
    import numpy as np

    from embedder import EncoderSpec, open_encoder, unit_rows
    from kgbuild import links, tables
    from kgbuild.calibration import Calibration
    from kgbuild.features import Subjects, Terms
    from kgbuild.vectors import VectorCache, encode_texts
    from kgbuild.workspace import Workspace

    opened = Workspace.open(workspace)
    tables_dir, links_dir = opened.folder("tables"), opened.folder("links")
    encoder, vectors, spent = open_encoder(EncoderSpec("minilm")), VectorCache(cache), {"encoded": 0, "encoding": 0.0}
    encode_alone = encoder.encode

    def counted(texts: Any, **arguments: Any) -> Any:
        start = time.process_time()
        made = encode_alone(texts, **arguments)
        spent["encoding"] += time.process_time() - start
        spent["encoded"] += len(texts)
        return made

    encoder.encode = counted  # type: ignore[method-assign]

    def embed(texts: list[str]) -> Any:
        return unit_rows(encode_texts(texts, encoder, vectors))

    def nothing(texts: list[str]) -> Any:
        return np.zeros((len(texts), 1), np.float32)

    start = time.process_time()
    terms = links.read_terms(tables_dir, nothing)
    rows = np.array(drawn(terms.names.ids, n_terms or len(terms.names.ids)))
    kept = terms.names.of(rows)
    terms = Terms(_embedded(kept, embed), [terms.kinds[row] for row in rows], terms.parents)
    subjects = links.read_subjects(tables_dir, nothing)
    of_vocabulary = [row for row, name in enumerate(subjects.vocabularies) if name == vocabulary]
    chosen = drawn([subjects.names.ids[row] for row in of_vocabulary], n)
    asked = Subjects(_embedded(subjects.names.of(np.array([of_vocabulary[row] for row in chosen])), embed), [vocabulary] * len(chosen))
    read = time.process_time() - start - spent["encoding"]
    calibration = links_dir / "calibration.json"
    start = time.process_time()
    made = links.link(
        asked,
        terms,
        mappings=tables.read(tables_dir, "mappings").to_pandas(),
        xrefs=tables.read(tables_dir, "xrefs").to_pandas(),
        calibration=Calibration.from_json(calibration.read_text(encoding="utf-8")) if calibration.exists() else None,
    )
    linking = time.process_time() - start
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {
        "subjects": len(chosen), "terms": len(rows), "names": len(terms.names.texts), "links": made.num_rows, "read": read, "linking": linking,
        "megabytes": int(found[1]) / 1024 if found else float("nan"), **spent,
    }  # fmt: skip


def _embedded(names: Any, embed: Any) -> Any:
    from dataclasses import replace

    return replace(names, vectors=embed(names.texts))


def run(workspace: Path, vocabulary: str, n: int, n_terms: int, cache: Path) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, str(workspace), "--measure", vocabulary, str(n), str(n_terms), "--cache", str(cache)]
    made = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(made.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run every row and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--cache", type=Path, help="folder for vectors; default: a new one")
    parser.add_argument("--codes", type=int, nargs="*", default=CODES, help="how many ICD-10-CM codes")
    parser.add_argument("--texts", type=int, default=25_000, help="how many texts of traits")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        vocabulary, n, n_terms = options.measure
        print(json.dumps(measure(options.workspace, vocabulary, int(n), int(n_terms), options.cache)))
        return
    with tempfile.TemporaryDirectory() as made:
        cache = options.cache or Path(made)
        print(
            "| linked | terms | names encoded | s to encode | s to read | s to link | ms a subject | MB |\n|---|---|---|---|---|---|---|---|"
        )
        rows = [("icd10cm", n, 0) for n in options.codes] + [("text", options.texts, 0), ("icd10cm", max(options.codes), 0)]
        rows += [("icd10cm", min(PER_TERMS, max(options.codes)), n) for n in (*TERMS, 0)]
        for vocabulary, n, n_terms in rows:
            found = run(options.workspace, vocabulary, n, n_terms, cache)
            cells = [f"{found['subjects']:,} {vocabulary}", f"{found['terms']:,}", f"{found['encoded']:,}"]
            cells += [f"{found[name]:.0f}" for name in ("encoding", "read", "linking")]
            cells += [f"{1000 * found['linking'] / max(found['subjects'], 1):.2f}", f"{found['megabytes']:,.0f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
