"""A template's name and parameters in, an answer as rows out: the Cypher files of `cypher/`, their headers, and how they run.

Each file starts with its contract, as comments:

    // question: Which variants does a trait have?
    // parameter trait (concept): name, CURIE or id of the trait
    // parameter limit (int = 20): most rows to give
    // column variant (string): rs id
    // example: kgbuild query variants-of-trait --trait "type 2 diabetes"

A parameter of type `concept` or `variant` is looked up first, so that a person may write a name where the Cypher wants an
id; one of type `words` is also passed as `$<name>_query`, a full-text query that asks for each of its words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kgbuild.errors import QueryError
from kgbuild.stores import GraphReader
from kgbuild.vocabulary import normalise_curie, normalise_name, variant_id

__all__ = ["Answer", "Column", "Parameter", "Template", "parse_arguments", "parse_template", "run", "run_cypher", "templates"]

_PARAMETER_TYPES = ("string", "int", "float", "bool", "words", "concept", "variant")
_COLUMN_TYPES = ("string", "int", "float", "bool", "list<string>")
_CONCEPT_KINDS = {"HarmonisedConcept", "Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText"}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_HEADER = re.compile(r"//\s*(question|parameter|column|example)\b:?\s*(.*)")
_FIELD = re.compile(r"(?P<name>[a-z][a-z0-9_]*) \((?P<type>[a-z<>]+)(?: = (?P<default>[^)]*))?\): (?P<meaning>\S.*)")


@dataclass(frozen=True)
class Parameter:
    """What a template wants to know; `default` is None where it must be told."""

    name: str
    type: str
    meaning: str
    default: Any = None

    def parse(self, value: Any) -> Any:
        """Turn what a person wrote into the parameter's type; a value that has it already stays.

        Raises:
            QueryError: The text is not of that type.

        >>> Parameter("limit", "int", "rows").parse("20"), Parameter("children", "bool", "too").parse("no")
        (20, False)
        """
        wanted: tuple[type, ...] = {"int": (int,), "float": (int, float), "bool": (bool,)}.get(self.type, (str,))
        if isinstance(value, wanted) and not (isinstance(value, bool) and self.type != "bool"):
            return value
        text = str(value).strip()
        try:
            if self.type == "bool":
                return _BOOLEANS[text.lower()]
            return {"int": int, "float": float}[self.type](text)
        except (KeyError, ValueError):
            example = {"int": "a whole number such as 20", "float": "a number such as 7.3", "bool": "true or false"}.get(self.type, "text")
            raise QueryError(f"{_option(self.name)} is {text!r}", advice=f"Expected {example}: {self.meaning}.") from None


@dataclass(frozen=True)
class Column:
    """One column of an answer."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Template:
    """A question in Cypher, with its contract."""

    name: str
    question: str
    parameters: tuple[Parameter, ...]
    columns: tuple[Column, ...]
    example: str
    cypher: str

    def as_dict(self) -> dict[str, Any]:
        """Give the contract as plain values, for JSON."""
        parameters = [{"name": p.name, "type": p.type, "default": p.default, "meaning": p.meaning} for p in self.parameters]
        columns = [{"name": c.name, "type": c.type, "meaning": c.meaning} for c in self.columns]
        return {"name": self.name, "question": self.question, "parameters": parameters, "columns": columns, "example": self.example}

    def summary(self) -> str:
        """Give the contract as a few lines for `kgbuild query --list`."""
        lines = [f"{self.name}", f"    {self.question}"]
        for p in self.parameters:
            default = "" if p.default is None else f" (default {str(p.default).lower() if p.type == 'bool' else p.default})"
            lines.append(f"    {_option(p.name)} {p.type.upper()}  {p.meaning}{default}")
        return "\n".join([*lines, f"    e.g. {self.example}", ""])


@dataclass(frozen=True)
class Answer:
    """An answer: the columns in order, and one dict per row."""

    columns: list[str]
    rows: list[dict[str, Any]]


@cache
def templates() -> dict[str, Template]:
    """Give every template by name, sorted."""
    installed, checkout = Path(__file__).parent / "cypher", Path(__file__).parent.parent / "cypher"
    folder = installed if installed.is_dir() else checkout
    return {path.stem: parse_template(path, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.cypher"))}


def parse_template(path: Path, text: str) -> Template:
    """Read one template and check its contract.

    Raises:
        QueryError: A header line is malformed or missing, or the Cypher uses a parameter that the header does not name.
    """
    found: dict[str, list[tuple[int, str]]] = {"question": [], "parameter": [], "column": [], "example": []}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _HEADER.fullmatch(line.strip()):
            found[match[1]].append((number, match[2]))
    for key in ("question", "example"):
        if len(found[key]) != 1:
            raise QueryError(f"{path}: {len(found[key])} lines say `// {key}:`, expected one")
    parameters = tuple(_parameter(path, number, line) for number, line in found["parameter"])
    columns = tuple(_column(path, number, line) for number, line in found["column"])
    if not columns:
        raise QueryError(f"{path}: no line says `// column NAME (TYPE): MEANING`")
    code = re.sub(r"(?m)^\s*//.*$", "", text)
    used, named = set(re.findall(r"\$(\w+)", code)), {p.name for p in parameters}
    made = {f"{p.name}_query" for p in parameters if p.type == "words"}
    if wrong := sorted((used - made) ^ named):
        raise QueryError(
            f"{path}: header and Cypher disagree on ${', $'.join(wrong)}", advice="Name each parameter in the header, and use it."
        )
    return Template(path.stem, found["question"][0][1], parameters, columns, found["example"][0][1], code.strip())


def run(store: GraphReader, name: str, parameters: Mapping[str, Any]) -> Answer:
    """Answer a template; names of traits and rs ids are looked up, defaults filled in.

    Raises:
        QueryError: There is no such template or parameter, one is missing, or a value is not what it should be.
    """
    template = _template(name)
    values = _values(template, parameters)
    given: dict[str, Any] = {}
    for parameter in template.parameters:
        value = values[parameter.name]
        if parameter.type == "words":
            given[f"{parameter.name}_query"] = _all_words(value)
            if not given[f"{parameter.name}_query"]:
                raise QueryError(f"{_option(parameter.name)} is {value!r}, which holds no word", advice=f"Expected {parameter.meaning}.")
        given[parameter.name] = _LOOKUPS[parameter.type](store, value) if parameter.type in _LOOKUPS else value
    columns = [column.name for column in template.columns]
    rows = store.query(template.cypher, {key: value for key, value in given.items() if f"${key}" in template.cypher})
    return Answer(columns, [{column: row[column] for column in columns} for row in rows])


def run_cypher(store: GraphReader, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
    """Answer Cypher that a person wrote; it may read only.

    Raises:
        QueryError: It is empty, not understood, or would write.
    """
    if not text.strip():
        raise QueryError("the query is empty", advice='For example: --cypher "MATCH (d:Drug) RETURN d.name ORDER BY d.name LIMIT 5"')
    rows = store.query(text, parameters)
    return Answer(list(rows[0]) if rows else [], rows)


def parse_arguments(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Turn `--name value`, `--name=value` and a bare `--name` of a yes-or-no parameter into values.

    Raises:
        QueryError: There is no such template or parameter, or a value is missing or not of its type.
    """
    template = _template(name)
    types = {parameter.name: parameter.type for parameter in template.parameters}
    values: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if not option.startswith("--"):
            raise QueryError(f"{option!r} is not a parameter", advice=f"Write --NAME VALUE; {_parameters_of(template)}")
        key = option[2:].replace("-", "_")
        _check_known(template, [key])
        if not equals:
            bare = not rest or rest[0].startswith("--")
            if bare and types[key] != "bool":
                raise QueryError(f"{_option(key)} has no value", advice=_parameters_of(template))
            value = "true" if bare else rest.pop(0)
        values[key] = value
    return _values(template, values)


def _parameter(path: Path, number: int, line: str) -> Parameter:
    match = _field(path, number, line, "parameter", _PARAMETER_TYPES)
    parameter = Parameter(match["name"], match["type"], match["meaning"].rstrip("."))
    if match["default"] is None:
        return parameter
    return Parameter(parameter.name, parameter.type, parameter.meaning, parameter.parse(match["default"]))


def _column(path: Path, number: int, line: str) -> Column:
    match = _field(path, number, line, "column", _COLUMN_TYPES)
    return Column(match["name"], match["type"], match["meaning"].rstrip("."))


def _field(path: Path, number: int, line: str, what: str, types: Iterable[str]) -> re.Match[str]:
    match = _FIELD.fullmatch(line)
    if not match:
        raise QueryError(f"{path}, line {number}: {line!r} is not a {what}", advice=f"Expected `// {what} NAME (TYPE): MEANING`.")
    if match["type"] not in types:
        raise QueryError(f"{path}, line {number}: no {what} has the type {match['type']!r}", advice=f"Types: {', '.join(types)}.")
    return match


def _template(name: str) -> Template:
    known = templates()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise QueryError(f"there is no template called {name!r}", advice=f"{meant}Templates: {', '.join(known)}.")
    return known[name]


def _values(template: Template, parameters: Mapping[str, Any]) -> dict[str, Any]:
    _check_known(template, parameters)
    missing = [p.name for p in template.parameters if p.default is None and parameters.get(p.name) in (None, "")]
    if missing:
        raise QueryError(f"{template.name} wants {' and '.join(map(_option, missing))}", advice=f"For example: {template.example}")
    return {p.name: p.parse(parameters[p.name]) if p.name in parameters else p.default for p in template.parameters}


def _check_known(template: Template, names: Iterable[str]) -> None:
    known = [parameter.name for parameter in template.parameters]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"Did you mean {_option(near[0])}? " if near else ""
            raise QueryError(f"{template.name} has no parameter {_option(name)}", advice=meant + _parameters_of(template))


def _parameters_of(template: Template) -> str:
    return f"Parameters: {', '.join(_option(p.name) for p in template.parameters) or 'none'}."


def _option(name: str) -> str:
    """Spell a parameter as it is typed."""
    return f"--{name.replace('_', '-')}"


def _all_words(text: str) -> str:
    r"""Write a full-text query that asks for every word; the index's own analyser takes each apart.

    >>> print(_all_words("Crohn's \"disease\" -"))
    +"Crohn's" +"disease"
    """
    words = [re.sub(r'["\\]', " ", word).strip() for word in text.split()]
    return " ".join(f'+"{word}"' for word in words if re.search(r"\w", word))


def _concept(store: GraphReader, text: str) -> str:
    """Give the id that a name, a CURIE or an id stands for.

    A name must be one that a concept has, whatever its case and punctuation; the first of several is that of the concept
    called so, then the one with the most associations.
    """
    for curie in dict.fromkeys((text.strip(), normalise_curie(text) or text.strip())):
        for row in run(store, "describe", {"id": curie}).rows:
            if row["kind"] not in _CONCEPT_KINDS and row["concept_id"] is None:
                raise QueryError(
                    f"{curie} is a {row['kind']}, expected a trait", advice="`kgbuild query concept-search --text …` finds traits."
                )
            return str(row["id"])
    rows = _concepts_named(store, text)
    for row in rows:
        if row["matched"] in ("name", "synonym") or normalise_name(row["name"]) == normalise_name(text):
            return str(row["id"])
    near = "; ".join(f"{row['name']} ({row['id']})" for row in rows[:5])
    advice = f"Did you mean one of these? {near}" if near else "Try fewer words with `kgbuild query concept-search --text …`."
    raise QueryError(f"no trait is called {text!r}", advice=advice)


def _concepts_named(store: GraphReader, text: str) -> list[dict[str, Any]]:
    """Find concepts with all words of a text, else with some of them."""
    words = _all_words(text)
    for query in (words, re.sub(r'(^| )\+"', r'\1"', words)) if words else ():
        rows = store.query(_template("concept-search").cypher, {"text": text.strip(), "text_query": query, "limit": 50})
        if rows:
            return rows
    return []


def _variant(store: GraphReader, text: str) -> str:
    curie = variant_id(text) or text.strip()
    if not run(store, "describe", {"id": curie}).rows:
        raise QueryError(f"the graph has no variant {text!r}", advice="Expected an rs id such as rs7903146, or a variant's id.")
    return curie


_LOOKUPS = {"concept": _concept, "variant": _variant}
