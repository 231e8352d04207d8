"""Qualifiers: words that make a phenotype text mean something other than the thing it names.

"Type 2 diabetes (age of onset)" is not type 2 diabetes; "Other specified diabetes" is wider than what it names;
"Body mass index adjusted for smoking" is a different measurement. Rules are data; the first column is the key that
tables and features carry.
"""

from __future__ import annotations

import re

__all__ = ["QUALIFIERS", "RESIDUALS", "is_composite", "is_residual", "qualifiers"]

QUALIFIERS: dict[str, str] = {
    "adjusted_for": r"\badj(usted|usting|\.)?\s*(for|by)\b|adjBMI\b|\badjustment\b",
    "interaction": r"\binteraction\b|\bx\s+\w+\s+interaction|\bgene-environment\b|\b[12]\s?df\b|\bstratified\b",
    "age_at_onset": r"\bage (at|of)\b.*\b(onset|diagnosis|menarche|menopause|first|death)\b|\bage[- ]at[- ]onset\b|\bage of onset\b|\bonset age\b",
    "response_to": r"\b(response|responsiveness|resistance|sensitivity|toxicity|adverse (event|reaction|effect)s?|intolerance)\b.*\b(to|in|with|from)\b|\btreatment (response|outcome)\b|-induced\b",
    "survival": r"\b(survival|mortality|prognosis|progression|remission|recurrence|relapse|time to)\b",
    "family_history": r"\bfamily history\b|\bparental (history|longevity|lifespan)\b|\bproxy\b|\billnesses of (father|mother|siblings?)\b|\b(maternal|paternal) history\b",
    "medication_for": r"\bmedication(s)?( use)?\b|\buse of\b.*\b(drugs?|agents?|medication)\b|\btreatment (with|for)\b",
    "without": r"\bwithout\b|\bnot? (having|with)\b|\bexcluding\b",
    "history_of": r"\b(personal )?history of\b|\bsequelae?\b|\bscreening for\b|\bencounter\b|\bsuspected\b|\bfear of\b",
    "measured_in": r"\bin (patients|individuals|subjects|people|those|carriers|smokers|never smokers|children|women|men)\b|\bamong\b",
    "severity": r"\b(severity|severe|mild|number of|quantity|count of episodes)\b",
}  # fmt: skip

RESIDUALS: dict[str, str] = {
    "other": r"^\s*(other|others)\b|\bother(s)?\s*(and|/|or)\s*(un)?specified\b|[,;(]\s*other\b|\bother specified\b",
    "unspecified": r"\bunspecified\b|\bNOS\b|\bnot otherwise specified\b",
    "nec": r"\bNEC\b|\b(not )?elsewhere classified\b",
    "ill_defined": r"\bill[- ]defined\b|\bsymptoms and signs\b",
    "with": r"\bwith\b.*\b(complications?|manifestations?|involvement|mention)\b|\bwith other\b",
}

_QUALIFIERS = {key: re.compile(pattern, re.IGNORECASE) for key, pattern in QUALIFIERS.items()}
_RESIDUALS = {key: re.compile(pattern, re.IGNORECASE) for key, pattern in RESIDUALS.items()}
_COMPOSITE = re.compile(r"\w\s*(,|;|/)\s*\w.*\b(and|or)\b|\b(and/or|or|and)\b|\S\s*/\s*\S", re.IGNORECASE)


def qualifiers(text: str) -> tuple[str, ...]:
    """Name the qualifiers in a text, in the order of the table.

    >>> qualifiers("Type 2 diabetes (age of onset)"), qualifiers("Waist circumference adjusted for BMI"), qualifiers("Asthma")
    (('age_at_onset',), ('adjusted_for',), ())
    """
    return tuple(key for key, pattern in _QUALIFIERS.items() if pattern.search(text))


def is_residual(text: str) -> bool:
    """Tell whether a text is a residual category (other, NEC, NOS, unspecified, with complications).

    >>> is_residual("Other specified diabetes mellitus"), is_residual("Diabetes mellitus, NOS"), is_residual("Diabetes mellitus")
    (True, True, False)
    """
    return any(pattern.search(text) for pattern in _RESIDUALS.values())


def is_composite(text: str) -> bool:
    """Tell whether a text seems to name several things ("asthma, hay fever or eczema").

    >>> is_composite("Asthma, hay fever or eczema"), is_composite("Asthma")
    (True, False)
    """
    return bool(_COMPOSITE.search(text))
