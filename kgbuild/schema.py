"""The graph's schema, once: labels, edge types, their properties, Biolink names. Schema files, import headers, KGX
columns, validation and the page in docs are made from it.

Every domain node has the label `Entity` and one more. In an embedded engine the second label extends the first; in Neo4j
a node carries both. A property that an element lacks is left out, never written as an empty string.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "EDGE_TYPES",
    "NODE_LABELS",
    "PRIMEKG_LABELS",
    "RELATIONS",
    "SCHEMA_VERSION",
    "EdgeType",
    "NodeLabel",
    "Property",
    "Relation",
    "arrow_type",
]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Property:
    """A property: its name, its type ("string", "int", "float", "bool", "list<string>", "list<float>") and its meaning."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class NodeLabel:
    """A label beside `Entity`, its Biolink category, and what its nodes carry beyond the common properties."""

    label: str
    category: str
    meaning: str
    properties: tuple[Property, ...] = ()

    @property
    def all_properties(self) -> tuple[Property, ...]:
        return (*COMMON, *self.properties)


@dataclass(frozen=True)
class EdgeType:
    """An edge type, its Biolink predicate, and how its knowledge came to be.

    `knowledge_level` and `agent_type` are Biolink's enumerations; an edge may carry its own where they differ by row.
    """

    type: str
    predicate: str
    meaning: str
    knowledge_level: str
    agent_type: str
    properties: tuple[Property, ...] = ()

    @property
    def all_properties(self) -> tuple[Property, ...]:
        return (Property("id", "string", "made from content: the same fact has the same id in every build"), *self.properties, SOURCE)


SOURCE = Property("source", "string", "key of the source, or `kgbuild` for what it concluded")

COMMON = (
    Property("id", "string", "CURIE, unique"),
    Property("name", "string", "preferred name"),
    Property("kind", "string", "the label beside Entity, as a property"),
    Property("vocabulary", "string", "vocabulary the node comes from"),
    Property("synonyms", "list<string>", "other names"),
    Property("search_text", "string", "every name, one per line: what full text indexes"),
    Property("obsolete", "bool", "no longer live in its vocabulary"),
    SOURCE,
)

_LOCUS = (
    Property("chromosome", "string", "1..22, X, Y, MT"),
    Property("position", "int", "1-based, on `build`"),
    Property("build", "string", "GRCh37 or GRCh38"),
    Property("locus", "string", "LD block (European), window, or MHC"),
    Property("in_mhc", "bool", "chr6:25-34 Mb on GRCh38"),
    Property("consequence", "string", "most severe consequence"),
    Property("variant_kind", "string", "single, haplotype, interaction or other"),
)
_EMBEDDING = Property("embedding", "list<float>", "vector in the model's space, length 1; null where there is none")

NODE_LABELS: dict[str, NodeLabel] = {
    n.label: n
    for n in (
        NodeLabel(
            "HarmonisedConcept",
            "biolink:DiseaseOrPhenotypicFeature",
            "a group of concepts that are the same thing: start here",
            (
                Property("concept_kind", "string", "kind of the group's centre"),
                Property("n_members", "int", "members"),
                Property("n_associations", "int", "associations of its members"),
                _EMBEDDING,
            ),
        ),
        NodeLabel("Disease", "biolink:Disease", "a disease"),
        NodeLabel("Phenotype", "biolink:PhenotypicFeature", "a sign, symptom, trait; also what nothing else is known of"),
        NodeLabel("Measurement", "biolink:ClinicalMeasurement", "a measured quantity"),
        NodeLabel(
            "ClinicalCode",
            "biolink:DiseaseOrPhenotypicFeature",
            "a code of ICD, PheCode or a registry",
            (Property("group", "string", "chapter"),),
        ),
        NodeLabel(
            "FreeText",
            "biolink:PhenotypicFeature",
            "a phenotype as somebody wrote it",
            (Property("qualifiers", "list<string>", "see kgbuild.qualifiers"),),
        ),
        NodeLabel("Variant", "biolink:SequenceVariant", "a variant, or a set that was tested as one", (*_LOCUS, _EMBEDDING)),
        NodeLabel("Gene", "biolink:Gene", "a gene", (Property("ensembl_ids", "list<string>", "without version"),)),
        NodeLabel("Drug", "biolink:Drug", "a drug"),
        NodeLabel("Pathway", "biolink:Pathway", "a pathway"),
        NodeLabel("BiologicalProcess", "biolink:BiologicalProcess", "GO biological process"),
        NodeLabel("MolecularFunction", "biolink:MolecularActivity", "GO molecular function"),
        NodeLabel("CellularComponent", "biolink:CellularComponent", "GO cellular component"),
        NodeLabel("Anatomy", "biolink:AnatomicalEntity", "an anatomical structure"),
        NodeLabel("Exposure", "biolink:ExposureEvent", "an exposure"),
    )
}

_ASSOCIATION = (
    Property("association_id", "string", "id of the association: an association to a trait and to its term has two edges and one of these"),
    Property("association_kind", "string", "gwas or biobank"),
    Property("trait", "string", "the trait as written"),
    Property("term_relation", "string", "as_written, single, named, union"),
    Property("qualifiers", "list<string>", "see kgbuild.qualifiers"),
    Property("neg_log10_p", "float", "-log10 p"),
    Property("p_censored", "bool", "p was written as 0"),
    Property("genome_wide", "bool", "p <= 5e-8"),
    Property("effect_type", "string", "odds_ratio, beta or z"),
    Property("effect", "float", "as reported; a beta with its sign where direction is known"),
    Property("effect_lower", "float", "lower end of the 95 % interval"),
    Property("effect_upper", "float", "upper end"),
    Property("effect_unit", "string", "unit of a beta"),
    Property("direction", "string", "increase or decrease"),
    Property("effect_allele", "string", "allele that the effect belongs to"),
    Property("effect_allele_frequency", "float", "0 to 1"),
    Property("study", "string", "gcst:…"),
    Property("publication", "string", "pubmed:…"),
    Property("n", "int", "samples"),
    Property("ancestry", "string", "as read off the sample text"),
    Property("flags", "list<string>", "quality flags"),
)
_LINK = (
    Property("similarity", "float", "raw cosine"),
    Property("p_target", "float", "a curator would file the first under the second"),
    Property("p_same", "float", "they are the same thing"),
    Property("justification", "string", "semapv term"),
    Property("decision", "string", "accept or review"),
    Property("calibration", "string", "which fit gave the probabilities"),
)

EDGE_TYPES: dict[str, EdgeType] = {
    e.type: e
    for e in (
        EdgeType("MEMBER_OF", "biolink:close_match", "concept -> its harmonised concept", "prediction", "automated_agent", (Property("p_same", "float", "1 for the centre"), Property("justification", "string", "semapv term"))),
        EdgeType("SAME_AS", "biolink:exact_match", "link held to be the same thing", "prediction", "automated_agent", _LINK),
        EdgeType("BROADER_THAN", "biolink:narrow_match", "the first is broader than the second: followed by queries, never glued", "prediction", "automated_agent", _LINK),
        EdgeType("XREF", "biolink:related_to", "a vocabulary's own cross-reference: evidence, not identity", "knowledge_assertion", "manual_agent", (Property("predicate", "string", "xref or broader"),)),
        EdgeType("IS_A", "biolink:subclass_of", "child -> parent", "knowledge_assertion", "manual_agent"),
        EdgeType("ASSOCIATED_WITH", "biolink:associated_with", "variant -> trait as written, or the term it names", "statistical_association", "data_analysis_pipeline", _ASSOCIATION),
        EdgeType("EQTL_OF", "biolink:affects", "variant -> gene whose expression it goes with", "statistical_association", "data_analysis_pipeline",
            (Property("tissue", "string", "where it was measured"), Property("effect_allele", "string", "allele"), Property("beta", "float", "effect on expression"),
             Property("se", "float", "standard error"), Property("neg_log10_p", "float", "-log10 p"))),
        EdgeType("NEAREST_GENE", "biolink:located_in", "variant -> gene in MAPPED_GENE: nearest by position, no more", "knowledge_assertion", "data_analysis_pipeline"),
        EdgeType("PART_OF_SET", "biolink:part_of", "variant -> haplotype or interaction it belongs to", "knowledge_assertion", "manual_agent"),
        EdgeType("TARGETS", "biolink:interacts_with", "drug -> gene it acts on", "knowledge_assertion", "manual_agent"),
        EdgeType("ENZYME_OF", "biolink:interacts_with", "gene -> drug it metabolises", "knowledge_assertion", "manual_agent"),
        EdgeType("CARRIER_OF", "biolink:interacts_with", "gene -> drug it carries", "knowledge_assertion", "manual_agent"),
        EdgeType("TRANSPORTER_OF", "biolink:interacts_with", "gene -> drug it transports", "knowledge_assertion", "manual_agent"),
        EdgeType("INDICATED_FOR", "biolink:treats", "drug -> disease", "knowledge_assertion", "manual_agent"),
        EdgeType("CONTRAINDICATED_FOR", "biolink:contraindicated_in", "drug -> disease", "knowledge_assertion", "manual_agent"),
        EdgeType("OFF_LABEL_FOR", "biolink:applied_to_treat", "drug -> disease", "knowledge_assertion", "manual_agent"),
        EdgeType("HAS_SIDE_EFFECT", "biolink:has_side_effect", "drug -> phenotype", "knowledge_assertion", "manual_agent"),
        EdgeType("INTERACTS_WITH", "biolink:interacts_with", "gene - gene or drug - drug, in one direction", "knowledge_assertion", "manual_agent"),
        EdgeType("GENE_ASSOCIATED_WITH", "biolink:gene_associated_with_condition", "gene -> disease or phenotype", "knowledge_assertion", "manual_agent"),
        EdgeType("HAS_PHENOTYPE", "biolink:has_phenotype", "disease -> phenotype", "knowledge_assertion", "manual_agent"),
        EdgeType("LACKS_PHENOTYPE", "biolink:has_phenotype", "disease -> phenotype it is without (negated)", "knowledge_assertion", "manual_agent"),
        EdgeType("PARTICIPATES_IN", "biolink:participates_in", "gene -> pathway, process, function or component", "knowledge_assertion", "manual_agent"),
        EdgeType("EXPRESSED_IN", "biolink:expressed_in", "gene -> anatomy", "knowledge_assertion", "manual_agent"),
        EdgeType("NOT_EXPRESSED_IN", "biolink:expressed_in", "gene -> anatomy it is absent from (negated)", "knowledge_assertion", "manual_agent"),
        EdgeType("RELATED_IN_HIERARCHY", "biolink:related_to", "parent and child in a hierarchy whose direction the file does not give", "knowledge_assertion", "manual_agent"),
        EdgeType("LINKED_TO_EXPOSURE", "biolink:associated_with", "exposure - anything", "knowledge_assertion", "manual_agent"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Relation:
    """How a PrimeKG-shaped row becomes an edge: the edge type and the node type the edge starts at."""

    edge_type: str
    from_type: str  # x_type or y_type value at the start of the edge; "" for a symmetric one (smaller id first)
    to_type: str


# (relation, display_relation or "*") -> edge; `drug_protein` holds targets, enzymes, carriers and transporters: four things
RELATIONS: dict[tuple[str, str], Relation] = {
    ("protein_protein", "*"): Relation("INTERACTS_WITH", "", ""),
    ("drug_drug", "*"): Relation("INTERACTS_WITH", "", ""),
    ("drug_protein", "target"): Relation("TARGETS", "drug", "gene/protein"),
    ("drug_protein", "enzyme"): Relation("ENZYME_OF", "gene/protein", "drug"),
    ("drug_protein", "carrier"): Relation("CARRIER_OF", "gene/protein", "drug"),
    ("drug_protein", "transporter"): Relation("TRANSPORTER_OF", "gene/protein", "drug"),
    ("indication", "*"): Relation("INDICATED_FOR", "drug", "disease"),
    ("contraindication", "*"): Relation("CONTRAINDICATED_FOR", "drug", "disease"),
    ("off-label use", "*"): Relation("OFF_LABEL_FOR", "drug", "disease"),
    ("drug_effect", "*"): Relation("HAS_SIDE_EFFECT", "drug", "effect/phenotype"),
    ("disease_protein", "*"): Relation("GENE_ASSOCIATED_WITH", "gene/protein", "disease"),
    ("phenotype_protein", "*"): Relation("GENE_ASSOCIATED_WITH", "gene/protein", "effect/phenotype"),
    ("disease_phenotype_positive", "*"): Relation("HAS_PHENOTYPE", "disease", "effect/phenotype"),
    ("disease_phenotype_negative", "*"): Relation("LACKS_PHENOTYPE", "disease", "effect/phenotype"),
    # parent-child: PrimeKG stores both directions, so which end is the child is not in the file
    ("disease_disease", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("phenotype_phenotype", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("bioprocess_bioprocess", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("molfunc_molfunc", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("cellcomp_cellcomp", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("pathway_pathway", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("anatomy_anatomy", "*"): Relation("RELATED_IN_HIERARCHY", "", ""),
    ("exposure_exposure", "*"): Relation("LINKED_TO_EXPOSURE", "", ""),
    ("exposure_protein", "*"): Relation("LINKED_TO_EXPOSURE", "exposure", "gene/protein"),
    ("exposure_disease", "*"): Relation("LINKED_TO_EXPOSURE", "exposure", "disease"),
    ("exposure_bioprocess", "*"): Relation("LINKED_TO_EXPOSURE", "exposure", "biological_process"),
    ("exposure_molfunc", "*"): Relation("LINKED_TO_EXPOSURE", "exposure", "molecular_function"),
    ("exposure_cellcomp", "*"): Relation("LINKED_TO_EXPOSURE", "exposure", "cellular_component"),
    ("bioprocess_protein", "*"): Relation("PARTICIPATES_IN", "gene/protein", "biological_process"),
    ("molfunc_protein", "*"): Relation("PARTICIPATES_IN", "gene/protein", "molecular_function"),
    ("cellcomp_protein", "*"): Relation("PARTICIPATES_IN", "gene/protein", "cellular_component"),
    ("pathway_protein", "*"): Relation("PARTICIPATES_IN", "gene/protein", "pathway"),
    ("anatomy_protein_present", "*"): Relation("EXPRESSED_IN", "gene/protein", "anatomy"),
    ("anatomy_protein_absent", "*"): Relation("NOT_EXPRESSED_IN", "gene/protein", "anatomy"),
    # not PrimeKG: a vocabulary's own hierarchy
    ("is_a", "*"): Relation("IS_A", "", ""),
}

# PrimeKG node types -> label
PRIMEKG_LABELS = {
    "gene/protein": "Gene",
    "drug": "Drug",
    "disease": "Disease",
    "effect/phenotype": "Phenotype",
    "pathway": "Pathway",
    "biological_process": "BiologicalProcess",
    "molecular_function": "MolecularFunction",
    "cellular_component": "CellularComponent",
    "anatomy": "Anatomy",
    "exposure": "Exposure",
}


def arrow_type(type_: str) -> pa.DataType:
    """Give the Arrow type that a property's type is stored as; "list<int>" is for the `Build` node alone."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "list<string>": pa.list_(pa.string()),
        "list<int>": pa.list_(pa.int64()),
        "list<float>": pa.list_(pa.float32()),
    }[type_]
