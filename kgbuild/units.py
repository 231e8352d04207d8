"""Tables in, what must stay on one side of a split out: twins of a term, families of traits, days of publications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["publication_days", "term_twins", "trait_families"]

NO_TERMS = ("ClinicalCode", "FreeText")  # kinds of concepts that no association is filed under
MANY_TRAITS = 8  # a term with more traits right below it groups unlike things ("disease", "measurement"): they are no siblings


def term_twins(concepts: pa.Table) -> dict[str, str]:
    """Give each term that shares its name with others of its vocabulary (HP and MONDO asthma in EFO) the least id of them."""
    columns = concepts.select(["id", "name", "vocabulary", "kind"]).to_pydict()
    by_name: dict[tuple[str, str], list[str]] = {}
    for id_, name, vocabulary, kind in zip(*columns.values(), strict=True):
        if kind not in NO_TERMS:
            by_name.setdefault((vocabulary, normalise_name(name)), []).append(id_)
    return {id_: min(twins) for twins in by_name.values() if len(twins) > 1 for id_ in twins}


def trait_families(groups: Iterable[str], is_a: Iterable[tuple[str, str]], together: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """Give each trait group its family, named after the least of it: parents, children and siblings, and those of them.

    Args:
        groups: Trait groups: terms, or names of texts without one.
        is_a: (child, parent) of terms.
        together: Further pairs of groups that belong together (a composite trait and a term that it is filed under).

    >>> trait_families(["t2d", "t1d", "gout"], [("t2d", "diabetes"), ("t1d", "diabetes")])
    {'gout': 'gout', 't1d': 't1d', 't2d': 't1d'}
    """
    import networkx as nx

    known = set(groups)
    edges = [(child, parent) for child, parent in is_a if child in known]
    n_below = Counter(parent for _, parent in edges)
    graph = nx.Graph()
    graph.add_nodes_from(sorted(known))
    graph.add_edges_from((child, parent) for child, parent in edges if parent in known or n_below[parent] <= MANY_TRAITS)
    graph.add_edges_from((a, b) for a, b in together if a in known and b in known)
    families: dict[str, str] = {}
    for members in nx.connected_components(graph):
        traits = sorted(known.intersection(members))
        families |= dict.fromkeys(traits, traits[0])
    return dict(sorted(families.items()))


def publication_days(frame: pd.DataFrame) -> dict[str, float]:
    """Give each publication its day (days since year 1): its date, else what its PubMed number says among those with a date.

    PubMed counts upwards, so a number lies between two dates; beyond the last one the line goes on.

    Args:
        frame: Columns publication (`pubmed:…`) and date (ISO 8601 or nothing).

    >>> import pandas as pd
    >>> rows = [("pubmed:100", "2020-01-01"), ("pubmed:200", "2020-01-11"), ("pubmed:150", None), ("pubmed:300", None)]
    >>> days = publication_days(pd.DataFrame(rows, columns=["publication", "date"]))
    >>> [date.fromordinal(round(days[f"pubmed:{n}"])).isoformat() for n in (150, 300)]
    ['2020-01-06', '2020-01-21']
    """
    import numpy as np

    known = frame.dropna(subset=["publication"]).groupby("publication")["date"].min()
    days = {name: float(date.fromisoformat(text[:10]).toordinal()) for name, text in known.items() if isinstance(text, str)}
    numbers = {name: int(name.removeprefix("pubmed:")) for name in known.index if name.removeprefix("pubmed:").isdigit()}
    dated = sorted((numbers[name], day) for name, day in days.items() if name in numbers)
    if len(dated) < 2:
        return days
    x, y = (np.array(values, dtype=float) for values in zip(*dated, strict=True))
    rate = (y[-1] - y[0]) / max(x[-1] - x[0], 1.0)
    # a late number with an early date (an erratum, a typing error) must not bend the line back
    y = np.maximum.accumulate(np.minimum(y, np.minimum.accumulate(y[::-1])[::-1] + 365.0))
    for name, number in numbers.items():
        if name not in days:
            days[name] = float(np.interp(number, x, y) + rate * max(0.0, number - x[-1]))
    return days
