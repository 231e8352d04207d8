"""Measure what others answer to the same texts, from the same names of the same terms, in one table.

python docs/benchmarks/mapping_peers.py --environments FOLDER                        # the packaged data
python docs/benchmarks/mapping_peers.py --environments FOLDER --efo efo.obo.gz --mappings dev.tsv --fit shipped

FOLDER holds an environment for each peer that is no part of kgbuild's own; a peer whose environment is not there says so in
its row. They are made with

    for peer in rapidfuzz text2term gilda; do python -m venv FOLDER/$peer && FOLDER/$peer/bin/pip install $peer; done

Every peer runs in a process of its own, with one thread where it heeds OMP_NUM_THREADS, and gets a list of texts and the names
of the live terms, nothing else; all are asked for ten terms, best first, and keep their defaults. Figures are means over the
curators' sets (each counts the same), on subjects with a term that is live. ECE is of the first answer's score where that is
between 0 and 1; a text without an answer counts as one of score 0. Seconds are those of the processor (other work on the
machine moves them less than the clock), with what has to be prepared for this list of terms (reading it, indexing it,
encoding its names, fitting) before the stroke; memory is the process's peak.

kgbuild answers twice: from the text alone, and with the codes that terms cite themselves. Its probabilities are fitted on
the curated rows that are not asked for (the packaged data), on `--fit FILE`, or are those that ship (`--fit shipped`: only for
mappings that have no part in these).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

os.environ.setdefault("OMP_NUM_THREADS", "1")

TOP = 10
PACKAGED = Path(__file__).parents[2] / "kgbuild" / "data"
Answers = list[list[tuple[str, float | None]]]  # for each text: (term, score), best first
Names = list[tuple[str, str]]  # (term, name), the preferred name of each first


def timed(prepare: Callable[[], Callable[[Sequence[str]], Answers]], texts: Sequence[str]) -> tuple[Answers, float, float]:
    """Run a peer; give its answers, the seconds to prepare, and those to answer."""
    start = time.process_time()
    answer = prepare()
    ready = time.process_time()
    answers = answer(texts)
    return answers, ready - start, time.process_time() - ready


# ---------------------------------------------------------------- the peers: each imports its own library alone


def by_form(form: Callable[[str], str]) -> Callable[[Names, Path], Callable[[], Any]]:
    """Answer with every term that has a name of the same form, in the order of ids."""

    def peer(names: Names, _folder: Path) -> Callable[[], Any]:
        def prepare() -> Callable[[Sequence[str]], Answers]:
            index: dict[str, list[str]] = {}
            for term, name in names:
                index.setdefault(form(name), []).append(term)
            return lambda texts: [[(t, None) for t in sorted(set(index.get(form(text), [])))][:TOP] for text in texts]

        return prepare

    return peer


def normalised(names: Names, folder: Path) -> Callable[[], Any]:
    """Answer with lexically equal names, as kgbuild folds them."""
    from kgbuild.vocabulary import normalise_name

    return by_form(normalise_name)(names, folder)


def rapidfuzz(names: Names, _folder: Path) -> Callable[[], Any]:
    """Answer by the ratio of sorted words (token_sort_ratio), the best name of each term."""

    def prepare() -> Callable[[Sequence[str]], Answers]:
        from rapidfuzz import fuzz, process, utils

        processed = [utils.default_process(name) for _, name in names]

        def answer(texts: Sequence[str]) -> Answers:
            found = []
            for text in texts:
                best = process.extract(utils.default_process(text), processed, scorer=fuzz.token_sort_ratio, processor=None, limit=5 * TOP)
                found.append(best_of_terms((names[row][0], score / 100) for _, score, row in best))
            return found

        return answer

    return prepare


def tfidf(names: Names, _folder: Path) -> Callable[[], Any]:
    """Answer by the cosine of character 3-grams (TF-IDF), the best name of each term."""

    def prepare() -> Callable[[Sequence[str]], Answers]:
        from sklearn.feature_extraction.text import TfidfVectorizer

        grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), sublinear_tf=True)
        matrix = grams.fit_transform(name for _, name in names).T.tocsr()

        def answer(texts: Sequence[str]) -> Answers:
            found = []
            for text in texts:
                row = (grams.transform([text]) @ matrix).tocsr()
                order = sorted(zip(-row.data, row.indices, strict=True))[: 5 * TOP]
                found.append(best_of_terms((names[column][0], -float(score)) for score, column in order))
            return found

        return answer

    return prepare


def text2term(names: Names, folder: Path) -> Callable[[], Any]:
    """Answer with text2term's default mapper (TF-IDF), from an ontology that holds these names."""

    def prepare() -> Callable[[Sequence[str]], Answers]:
        import text2term as library

        path = folder / "terms.owl"
        path.write_text(as_owl(names), encoding="utf-8")
        os.chdir(folder)  # it keeps its cache and log there
        library.cache_ontology(str(path), ontology_acronym="TERMS")

        def answer(texts: Sequence[str]) -> Answers:
            table = library.map_terms(list(texts), "TERMS", use_cache=True, max_mappings=TOP, min_score=0.0)
            place = {text: row for row, text in enumerate(texts)}
            found: Answers = [[] for _ in texts]
            for text, iri, score in zip(table["Source Term"], table["Mapped Term IRI"], table["Mapping Score"], strict=True):
                found[place[text]].append((iri.removeprefix(IRI).replace("_", ":", 1), float(score)))
            return [sorted(several, key=lambda one: -one[1]) for several in found]

        return answer

    return prepare


def gilda(names: Names, _folder: Path) -> Callable[[], Any]:
    """Answer with a Gilda grounder of these names."""

    def prepare() -> Callable[[Sequence[str]], Answers]:
        from gilda.grounder import Grounder
        from gilda.process import normalize
        from gilda.term import Term

        labels: dict[str, str] = {}
        terms: dict[str, list[Any]] = {}
        for term, name in names:
            label = labels.setdefault(term, name)
            prefix = term.partition(":")[0]
            made = Term(normalize(name), name, prefix, term, label, "name" if label == name else "synonym", "terms")
            terms.setdefault(made.norm_text, []).append(made)
        grounder = Grounder(terms)
        return lambda texts: [[(match.term.id, float(match.score)) for match in grounder.ground(text)][:TOP] for text in texts]

    return prepare


def minilm(names: Names, _folder: Path) -> Callable[[], Any]:
    """Answer by the cosine of MiniLM's vectors, the nearest name of each term."""

    def prepare() -> Callable[[Sequence[str]], Answers]:
        from kgbuild import neighbours

        terms = kgbuild_names(names)

        def answer(texts: Sequence[str]) -> Answers:
            import numpy as np

            asked = neighbours.Names([str(n) for n in range(len(texts))], list(texts), np.arange(len(texts)), encode(list(texts)))
            pairs = neighbours.candidates(asked, terms, TOP)
            found: Answers = [[] for _ in texts]
            for subject, target, similarity in zip(pairs["subject"], pairs["target"], pairs["similarity"], strict=True):
                found[subject].append((terms.ids[target], float(similarity)))
            return [several[:TOP] for several in found]

        return answer

    return prepare


@dataclass(frozen=True)
class Peer:
    """A way to answer: its environment under the folder (None: kgbuild's own), and what makes it."""

    environment: str | None
    make: Callable[[Names, Path], Callable[[], Any]]


PEERS: dict[str, Peer] = {
    "exact match": Peer(None, by_form(str.casefold)),
    "normalised match": Peer(None, normalised),
    "rapidfuzz, token_sort_ratio": Peer("rapidfuzz", rapidfuzz),
    "TF-IDF, character 3-grams": Peer(None, tfidf),
    "text2term, its default": Peer("text2term", text2term),
    "gilda": Peer("gilda", gilda),
    "MiniLM, cosine": Peer(None, minilm),
}
OURS = {"kgbuild, text alone": False, "kgbuild, with cross-references": True}


def best_of_terms(scored: Any) -> list[tuple[str, float | None]]:
    """Keep the first, so the best, entry of each term."""
    kept: dict[str, float] = {}
    for term, score in scored:
        kept.setdefault(term, score)
    return list(kept.items())[:TOP]  # type: ignore[arg-type]


IRI = "http://example.org/"


def as_owl(names: Names) -> str:
    """Spell terms as OWL: the first name is the label, the others are exact synonyms."""
    lines = [
        '<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:owl="http://www.w3.org/2002/07/owl#"',
        ' xmlns:rdfs="http://www.w3.org/2000/01/rdf-schema#" xmlns:oboInOwl="http://www.geneontology.org/formats/oboInOwl#">',
        f'<owl:Ontology rdf:about="{IRI}terms"/>',
        '<owl:AnnotationProperty rdf:about="http://www.geneontology.org/formats/oboInOwl#hasExactSynonym"/>',
    ]
    by_term: dict[str, list[str]] = {}
    for term, name in names:
        by_term.setdefault(term, []).append(escape(name))
    for term, (label, *others) in by_term.items():
        more = "".join(f"<oboInOwl:hasExactSynonym>{name}</oboInOwl:hasExactSynonym>" for name in others)
        lines.append(f'<owl:Class rdf:about="{IRI}{term.replace(":", "_", 1)}"><rdfs:label>{label}</rdfs:label>{more}</owl:Class>')
    return "\n".join([*lines, "</rdf:RDF>"])


def encode(texts: list[str]) -> Any:
    """Give MiniLM's vectors, unit length."""
    from embedder import EncoderSpec, open_encoder, unit_rows

    return unit_rows(open_encoder(EncoderSpec("minilm")).encode(texts))


def kgbuild_names(names: Names) -> Any:
    """Give the terms' names with their vectors."""
    import numpy as np

    from kgbuild.neighbours import Names as Listed

    row: dict[str, int] = {}
    owners = [row.setdefault(term, len(row)) for term, _ in names]
    texts = [name for _, name in names]
    return Listed(list(row), texts, np.array(owners, np.int64), encode(texts))


# ---------------------------------------------------------------- one peer, in its own process


def run_peer(name: str, folder: Path) -> None:
    """Answer the folder's texts and print how long it took."""
    names = [(term, text) for term, text in read_rows(folder / "names.tsv")]
    texts = [text for (text,) in read_rows(folder / "texts.tsv")]
    answers, prepared, seconds = timed(PEERS[name].make(names, folder), texts)
    report(folder, name, dict(zip(texts, answers, strict=True)), prepared, seconds)


def run_ours(folder: Path, fit: str) -> None:
    """Answer every judged subject, twice: what its vocabulary is, and for the second row its code, may count."""
    import pandas as pd

    from kgbuild import calibration as calibrating
    from kgbuild.features import Terms

    start = time.process_time()
    names = [(term, text) for term, text in read_rows(folder / "names.tsv")]
    given = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
    terms = Terms(kgbuild_names(names), given["kinds"], [tuple(pair) for pair in given["parents"]])
    xrefs = pd.DataFrame(given["xrefs"], columns=["subject_id", "predicate", "object_id"])
    asked, rest = (pd.read_csv(folder / f"{part}.tsv", sep="\t", dtype=str, keep_default_na=False) for part in ("asked", "rest"))
    same, cited = calibrating.equivalents(xrefs), calibrating.cited_codes(xrefs, terms.names.ids)
    fitted = calibrating.default_calibration()
    if fit != "shipped":
        shown = cited[~cited["subject_id"].isin(set(asked["subject_id"]))]
        gold = calibrating.gold_pairs(
            rest, terms, encode, same=same, cited=shown, absent=calibrating.ABSENT, repeat_absent=True, most=calibrating.MOST
        )
        made = calibrating.fit(gold, encoder="minilm", relations_from=fitted)
        if made is None:
            sys.exit("too few curated rows to fit on")
        fitted = made
    prepared = time.process_time() - start
    for name, codes in OURS.items():
        ready = time.process_time()
        gold = calibrating.gold_pairs(asked, terms, encode, same=same, cited=cited if codes else None)
        p = fitted.p_target(gold.pairs, gold.features, gold.vocabularies[gold.pairs["subject"].to_numpy()], gold.citations)
        frame = gold.pairs.assign(p=p).sort_values(["subject", "p"], ascending=[True, False], kind="stable")
        answers: dict[str, list[tuple[str, float]]] = {}
        for subject, target, score in zip(frame["subject"], frame["target"], frame["p"], strict=True):
            key = f"{gold.sets[subject]}\x1f{gold.subjects.names.texts[subject]}"
            answers.setdefault(key, []).append((terms.names.ids[target], float(score)))
        report(folder, name, {key: several[:TOP] for key, several in answers.items()}, prepared, time.process_time() - ready)


def report(folder: Path, name: str, answers: dict[str, Any], prepared: float, seconds: float) -> None:
    """Leave the answers for the process that asked."""
    found = {"answers": answers, "prepared": prepared, "seconds": seconds, "megabytes": peak_megabytes()}
    (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


def peak_megabytes() -> float:
    """Give the most memory that this process held; `ru_maxrss` would count its parent's, too."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def read_rows(path: Path) -> list[list[str]]:
    """Read a table that `write_rows` wrote."""
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle, delimiter="\t"))


def write_rows(path: Path, rows: Any) -> None:
    """Write a table without a header."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, delimiter="\t").writerows(rows)


# ---------------------------------------------------------------- asking all of them


@dataclass(frozen=True)
class Judged:
    """A subject with the terms that its curators hold to be right."""

    set: str
    text: str
    right: frozenset[str]


def prepare(folder: Path, efo: Path, mappings: Path, fit: str, sets: Sequence[str]) -> list[Judged]:
    """Write what the peers are given; give the subjects that are judged."""
    import pandas as pd
    import pyarrow as pa

    from kgbuild.calibration import equivalents
    from kgbuild.evaluation.mapping import split_gold
    from kgbuild.sources import mappings as curated
    from kgbuild.sources import obo

    made = {name: table.to_pandas() for name, table in obo.read(efo, source="efo", options={}).tables.items()}
    concepts = made["concepts"][~made["concepts"]["obsolete"]]
    live, names = set(concepts["id"]), made["names"]
    names = names[names["concept_id"].isin(live)]
    names = names.assign(later=names["role"] != "label").sort_values(["concept_id", "later"], kind="stable")
    write_rows(folder / "names.tsv", zip(names["concept_id"], names["name"], strict=True))
    kind = dict(zip(concepts["id"], concepts["kind"], strict=True))
    parents = made["relations"].loc[made["relations"]["predicate"] == "IS_A", ["subject_id", "object_id"]].to_numpy().tolist()
    xrefs = made["xrefs"][["subject_id", "predicate", "object_id"]]
    given = {"kinds": [kind[id_] for id_ in dict.fromkeys(names["concept_id"])], "parents": parents, "xrefs": xrefs.to_numpy().tolist()}
    (folder / "terms.json").write_text(json.dumps(given), encoding="utf-8")
    table = curated.read(mappings, source="mappings", options={}).tables["mappings"]
    if fit in {"rest", "shipped"}:
        rest, asked = split_gold(table) if fit == "rest" else (table.slice(0, 0).to_pandas(), table.to_pandas())
    else:
        more = curated.read(Path(fit), source="fit", options={}).tables["mappings"]
        asked = table.to_pandas()
        both = pd.concat([more.to_pandas().assign(use="fit"), asked.assign(use="evaluate")])
        rest, asked = split_gold(pa.Table.from_pandas(both, table.schema, preserve_index=False))
    asked = asked[asked["object_id"].isin(live)]
    asked = asked[asked["set"].isin(sets)] if sets else asked
    same = equivalents(made["xrefs"])
    judged = []
    for (set_, text), group in asked[asked["judged"] == "valid"].groupby(["set", "subject_label"], sort=True):
        right = frozenset(group["object_id"]).union(*(same.get(id_, frozenset()) for id_ in group["object_id"]))
        judged.append(Judged(set_, text, right))
    for part, frame in (("asked", asked), ("rest", rest)):
        frame.to_csv(folder / f"{part}.tsv", sep="\t", index=False)
    write_rows(folder / "texts.tsv", ((text,) for text in dict.fromkeys(one.text for one in judged)))
    return judged


def ask(name: str, folder: Path, python: Path | str, fit: str) -> dict[str, Any]:
    """Run one peer in a process of its own; give its answers, seconds and peak memory (MB), or why it failed."""
    answers = folder / f"{name}.json"
    if name != list(OURS)[-1]:  # both rows of kgbuild come from one process: what is prepared is the same
        answers.unlink(missing_ok=True)
        command = [str(python), str(Path(__file__).resolve()), "--run", name, "--folder", str(folder), "--fit", fit]
        with (folder / "log.txt").open("w", encoding="utf-8") as log:
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if not answers.exists():
        last = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return {"failed": last[-1][:100] if last else "it gave no answer"}
    found: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def figures(judged: Sequence[Judged], answers: dict[str, list[list[Any]]]) -> dict[str, float | None]:
    """Compute means over sets: how often the first term is right, one of ten, and the calibration error of the first's score."""
    import numpy as np

    from kgbuild.evaluation.mapping import expected_calibration_error

    by_set: dict[str, list[tuple[bool, bool, float | None]]] = {}
    for one in judged:
        found = answers.get(one.text, answers.get(f"{one.set}\x1f{one.text}", []))
        right = [term in one.right for term, _ in found]
        by_set.setdefault(one.set, []).append((right[:1] == [True], any(right), found[0][1] if found else 0.0))
    scored = all(score is not None and 0 <= score <= 1.0001 for rows in by_set.values() for *_, score in rows)
    errors = (
        [expected_calibration_error(np.array([r[2] for r in rows]), np.array([r[0] for r in rows])) for rows in by_set.values()]
        if scored
        else []
    )
    first, ten = (float(np.mean([np.mean([row[n] for row in rows]) for rows in by_set.values()])) for n in (0, 1))
    return {"Hits@1": first, "Hits@10": ten, "ECE": float(np.mean(errors)) if errors else None}


def row(name: str, cells: Sequence[str]) -> str:
    """Spell one row of the table."""
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Ask every peer and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, help="folder with an environment for each peer")
    parser.add_argument("--efo", type=Path, default=PACKAGED / "efo.obo.gz", help="target terms, OBO")
    parser.add_argument("--mappings", type=Path, default=PACKAGED / "mappings.tsv.gz", help="curated mappings to ask for")
    parser.add_argument("--fit", default="rest", help="what kgbuild's probabilities are fitted on: the `rest`, a FILE, or `shipped`")
    parser.add_argument("--sets", nargs="*", default=[], help="curators' sets; default: all")
    parser.add_argument("--only", nargs="*", default=[], help="rows whose name holds one of these")
    parser.add_argument("--folder", type=Path, help="working folder; default: a temporary one")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_ours(options.folder, options.fit) if options.run in OURS else run_peer(options.run, options.folder)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as made:
        folder = (options.folder or Path(made)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for old in OURS:
            (folder / f"{old}.json").unlink(missing_ok=True)
        judged = prepare(folder, options.efo, options.mappings, options.fit, options.sets)
        counts = ", ".join(f"{name} {sum(one.set == name for one in judged)}" for name in sorted({one.set for one in judged}))
        print(f"{len(judged)} subjects ({counts}); {len(read_rows(folder / 'names.tsv')):,} names\n")
        print(row("way", ["Hits@1", "Hits@10", "ECE", "seconds", "MB"]) + "\n|---|---|---|---|---|---|", flush=True)
        for name in (*PEERS, *OURS):
            if options.only and not any(part in name for part in options.only):
                continue
            environment = PEERS[name].environment if name in PEERS else None
            python = options.environments / environment / "bin" / "python" if environment and options.environments else sys.executable
            if environment and not Path(python).exists():
                print(row(name, [f"not measured: no environment `{environment}`", "", "", "", ""]), flush=True)
                continue
            found = ask(name, folder, python, options.fit)
            if "failed" in found:
                print(row(name, [f"failed: {re.sub('[|]', '/', found['failed'])}", "", "", "", ""]), flush=True)
                continue
            measured = figures(judged, found["answers"])
            cells = [f"{value:.3f}" if value is not None else "" for value in measured.values()]
            print(row(name, [*cells, f"{found['prepared']:.0f} / {found['seconds']:.0f}", f"{found['megabytes']:,.0f}"]), flush=True)


if __name__ == "__main__":
    main()
