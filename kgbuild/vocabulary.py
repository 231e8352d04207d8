"""Vocabularies and identifiers: what a CURIE looks like, how a code is spelled, when two names are equal.

Prefixes are bioregistry's preferred forms where it has one; the extension (PheCodes, UK Biobank fields, free text and
what kgbuild makes itself) is marked below. A test compares the map with `curies` and bioregistry's spelling.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

__all__ = [
    "PREFIXES",
    "VOCABULARIES",
    "Vocabulary",
    "code_curie",
    "content_id",
    "curie_from_uri",
    "gene_symbol_id",
    "normalise_curie",
    "normalise_name",
    "text_id",
    "variant_id",
    "vocabulary_of",
]

# prefix -> the start of its IRIs
PREFIXES: dict[str, str] = {
    "BTO": "http://purl.obolibrary.org/obo/BTO_",
    "CHEBI": "http://purl.obolibrary.org/obo/CHEBI_",
    "CL": "http://purl.obolibrary.org/obo/CL_",
    "DOID": "http://purl.obolibrary.org/obo/DOID_",
    "EFO": "http://www.ebi.ac.uk/efo/EFO_",
    "FBBT": "http://purl.obolibrary.org/obo/FBbt_",
    "GO": "http://purl.obolibrary.org/obo/GO_",
    "HANCESTRO": "http://purl.obolibrary.org/obo/HANCESTRO_",
    "HP": "http://purl.obolibrary.org/obo/HP_",
    "MONDO": "http://purl.obolibrary.org/obo/MONDO_",
    "MP": "http://purl.obolibrary.org/obo/MP_",
    "NCBIGene": "http://www.ncbi.nlm.nih.gov/gene/",
    "NCBITaxon": "http://purl.obolibrary.org/obo/NCBITaxon_",
    "NCIT": "http://purl.obolibrary.org/obo/NCIT_",
    "OBA": "http://purl.obolibrary.org/obo/OBA_",
    "OBI": "http://purl.obolibrary.org/obo/OBI_",
    "OGMS": "http://purl.obolibrary.org/obo/OGMS_",
    "OTAR": "http://www.ebi.ac.uk/efo/OTAR_",
    "Orphanet": "http://www.orpha.net/ORDO/Orphanet_",
    "UBERON": "http://purl.obolibrary.org/obo/UBERON_",
    "dbsnp": "https://www.ncbi.nlm.nih.gov/snp/",
    "drugbank": "https://go.drugbank.com/drugs/",
    "ensembl": "https://identifiers.org/ensembl:",
    "gcst": "https://www.ebi.ac.uk/gwas/studies/",
    "hgnc": "https://identifiers.org/hgnc:",
    "icd10": "https://icd.who.int/browse10/2019/en#/",
    "icd10cm": "https://icd.codes/icd10cm/",
    "icd9cm": "http://icd9.chrisendres.com/index.php?action=child&recordid=",
    "mesh": "https://meshb.nlm.nih.gov/record/ui?ui=",
    "omim": "https://omim.org/entry/",
    "pubmed": "https://pubmed.ncbi.nlm.nih.gov/",
    "reactome": "https://reactome.org/content/detail/",
    # the extension: not in bioregistry
    "finngen": "https://risteys.finngen.fi/endpoints/",
    "msigdb": "https://www.gsea-msigdb.org/gsea/msigdb/cards/",
    "phecode": "https://phewascatalog.org/phecodes/",
    "phecodex": "https://phewascatalog.org/phecodesX/",
    "ukb.field": "https://biobank.ndph.ox.ac.uk/ukb/field.cgi?id=",
    # the extension: ids that kgbuild makes; the local part is a hash or a number in a workspace's own file
    "text": "https://w3id.org/kgbuild/text/",
    "harmonised": "https://w3id.org/kgbuild/harmonised/",
    "symbol": "https://w3id.org/kgbuild/symbol/",
    "variantset": "https://w3id.org/kgbuild/variantset/",
    "primekg.group": "https://w3id.org/kgbuild/primekg/group/",
}

_CASELESS = {prefix.lower(): prefix for prefix in PREFIXES} | {"orpha": "Orphanet", "ordo": "Orphanet", "ncbitaxon": "NCBITaxon"}

# IRI starts seen in files beside the canonical ones
_OTHER_IRIS = {
    "http://www.orpha.net/ORDO/Orphanet_": "Orphanet",
    "https://www.orpha.net/ORDO/Orphanet_": "Orphanet",
    "https://www.ebi.ac.uk/efo/EFO_": "EFO",
    "http://www.ebi.ac.uk/efo/": None,  # http://www.ebi.ac.uk/efo/MONDO_… is seen too: fall through to PREFIX_local
}


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary that concepts come from.

    `coded` says that it keeps its entries apart on purpose, so two of them are never merged (two texts may be).
    """

    key: str
    title: str
    prefix: str | None  # None: the ids have many prefixes
    coded: bool = True


VOCABULARIES: dict[str, Vocabulary] = {
    v.key: v
    for v in (
        Vocabulary("efo", "Experimental Factor Ontology, with the classes it imports", None),
        Vocabulary("icd10", "ICD-10 (WHO)", "icd10"),
        Vocabulary("icd10cm", "ICD-10-CM", "icd10cm"),
        Vocabulary("icd9cm", "ICD-9-CM", "icd9cm"),
        Vocabulary("phecode", "Phecode 1.2", "phecode"),
        Vocabulary("phecodex", "PhecodeX", "phecodex"),
        Vocabulary("finngen", "FinnGen endpoints", "finngen"),
        Vocabulary("mondo", "Mondo Disease Ontology", "MONDO"),
        Vocabulary("doid", "Human Disease Ontology", "DOID"),
        Vocabulary("primekg", "nodes of a PrimeKG-shaped graph", None),
        Vocabulary("text", "free text", "text", coded=False),
    )
}


def curie_from_uri(uri: str) -> str | None:
    """Turn an IRI into a CURIE; None when no prefix is known for it.

    >>> curie_from_uri("http://www.ebi.ac.uk/efo/EFO_0001360")
    'EFO:0001360'
    >>> curie_from_uri("http://www.ebi.ac.uk/efo/MONDO_0005148")
    'MONDO:0005148'
    >>> curie_from_uri("http://example.org/x") is None
    True
    """
    uri = uri.strip()
    for start, prefix in sorted(_OTHER_IRIS.items(), key=lambda item: -len(item[0])):
        if prefix and uri.startswith(start):
            return f"{prefix}:{uri[len(start) :]}"
    for prefix, start in PREFIXES.items():
        if uri.startswith(start):
            return f"{prefix}:{uri[len(start) :]}"
    tail = re.fullmatch(r"https?://\S*/([A-Za-z]+)_(\w+)", uri)
    prefix = _CASELESS.get(tail[1].lower()) if tail else None
    return f"{prefix}:{tail[2]}" if tail and prefix else None


def normalise_curie(text: str) -> str | None:
    """Spell a CURIE with the canonical prefix; None when it is not one or the prefix is unknown.

    >>> normalise_curie("efo:0001360"), normalise_curie("EFO_0001360"), normalise_curie("ORPHA:558")
    ('EFO:0001360', 'EFO:0001360', 'Orphanet:558')
    >>> normalise_curie("none of these") is None
    True
    """
    match = re.fullmatch(r"\s*([A-Za-z][A-Za-z0-9.]*)[:_](\S+)\s*", text)
    prefix = _CASELESS.get(match[1].lower()) if match else None
    return f"{prefix}:{match[2]}" if match and prefix else None


def code_curie(vocabulary: str, code: str) -> str:
    """Spell a code of a coded vocabulary as a CURIE: dots where the vocabulary has them, case as it has it.

    PheCodes are strings and stay as written. Raises ValueError for an empty code or one that its vocabulary cannot hold.

    >>> code_curie("icd10cm", "E119"), code_curie("icd10", "e11.9"), code_curie("icd9cm", "25000")
    ('icd10cm:E11.9', 'icd10:E11.9', 'icd9cm:250.00')
    >>> code_curie("icd9cm", "E9500"), code_curie("phecode", "008"), code_curie("icd10cm", "E11")
    ('icd9cm:E950.0', 'phecode:008', 'icd10cm:E11')
    """
    code = code.strip()
    prefix = VOCABULARIES[vocabulary].prefix
    if prefix is None:
        raise ValueError(f"vocabulary {vocabulary} has no prefix of its own")
    if vocabulary in {"icd10", "icd10cm"}:
        bare = code.replace(".", "").upper()
        if not re.fullmatch(r"[A-Z][0-9A][0-9A-Z][0-9A-Z]{0,4}", bare):  # QA0.…: ICD-10-CM since 2025
            raise ValueError("expected a letter, a digit, a digit or letter, then up to four more, e.g. E11.9")
        code = bare if len(bare) == 3 else f"{bare[:3]}.{bare[3:]}"
    elif vocabulary == "icd9cm":
        bare = code.replace(".", "").upper()
        if not re.fullmatch(r"[0-9]{3,5}|V[0-9]{2,4}|E[0-9]{3,4}", bare):
            raise ValueError("expected three to five digits, V and two to four, or E and three or four, e.g. 250.00")
        stem = 4 if bare.startswith("E") else 3
        code = bare if len(bare) == stem else f"{bare[:stem]}.{bare[stem:]}"
    elif vocabulary in {"mondo", "doid"}:
        code = code.split(":", 1)[-1]
    if not code or re.search(r"\s", code):
        raise ValueError("expected a code without spaces")
    return f"{prefix}:{code}"


def vocabulary_of(curie: str) -> str:
    """Name the vocabulary that a code or text of a person's own list is from; `text` where its prefix is no vocabulary's.

    >>> vocabulary_of("icd10cm:E11"), vocabulary_of("text:0a"), vocabulary_of("other:1")
    ('icd10cm', 'text', 'text')
    """
    prefix = curie.partition(":")[0]
    return next((key for key, v in VOCABULARIES.items() if v.prefix == prefix), "text")


def variant_id(rs_id: str) -> str | None:
    """Give `dbsnp:rs…` for a well-formed rs id, else None.

    >>> variant_id(" RS7903146 "), variant_id("rs12a"), variant_id("chr1:123")
    ('dbsnp:rs7903146', None, None)
    """
    rs_id = rs_id.strip().lower()
    return f"dbsnp:{rs_id}" if re.fullmatch(r"rs[1-9][0-9]*", rs_id) else None


def gene_symbol_id(symbol: str) -> str:
    """Give the id of a gene known by symbol only."""
    return f"symbol:{symbol.strip()}"


def content_id(prefix: str, *parts: str) -> str:
    """Make an id from content: the same parts give the same id on every machine.

    >>> content_id("text", "asthma") == content_id("text", "asthma") != content_id("text", "asthma", "")
    True
    """
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]
    return f"{prefix}:{digest}"


def text_id(text: str) -> str:
    r"""Give the id of a free text: a hash of its NFC form without outer space.

    >>> text_id("Café") == text_id("Cafe\u0301 ")
    True
    """
    return content_id("text", unicodedata.normalize("NFC", text).strip())


_SPELLINGS = {  # British to American, and the commonest abbreviations of code lists; words, after lower-casing
    "tumour": "tumor", "tumours": "tumor", "anaemia": "anemia", "oedema": "edema", "haemorrhage": "hemorrhage",
    "haemorrhagic": "hemorrhagic", "leukaemia": "leukemia", "oesophagus": "esophagus", "oesophageal": "esophageal",
    "ischaemic": "ischemic", "ischaemia": "ischemia", "diarrhoea": "diarrhea", "coeliac": "celiac", "foetal": "fetal",
    "paediatric": "pediatric", "haemophilia": "hemophilia", "oestrogen": "estrogen", "anaesthesia": "anesthesia",
    "hypoglycaemia": "hypoglycemia", "hyperglycaemia": "hyperglycemia", "hypercholesterolaemia": "hypercholesterolemia",
    "orthopaedic": "orthopedic", "gynaecological": "gynecological", "haematological": "hematological",
    "ii": "2", "i": "1", "iii": "3", "iv": "4",
}  # fmt: skip


def normalise_name(name: str) -> str:
    """Fold a name for comparison: case, accents, punctuation, possessives, British spelling, Roman numerals.

    Two names with one normal form are *lexically equal*; that is evidence, not identity. Text in other scripts is kept.

    >>> normalise_name("Crohn's disease"), normalise_name("Type II Diabetes-mellitus")
    ('crohn disease', 'type 2 diabetes mellitus')
    """
    text = unicodedata.normalize("NFKD", name)
    text = "".join(ch for ch in text if not unicodedata.combining(ch)).casefold()
    text = re.sub(r"['’`]s\b", "", text)
    words = re.findall(r"\w+", text)
    return " ".join(_SPELLINGS.get(word, word) for word in words)
