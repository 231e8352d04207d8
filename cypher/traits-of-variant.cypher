// question: Which traits is a variant associated with, over all studies?
// parameter variant (variant): rs id, or a variant's id
// parameter min_neg_log10_p (float = 0.0): leave out weaker associations; 7.3 is p = 5e-8
// parameter limit (int = 50): most rows to give
// column trait (string): the trait as the study wrote it
// column concept (string): the harmonised concept it belongs to
// column concept_id (string): its id
// column qualifiers (list<string>): what sets the text apart from the thing it names
// column terms (list<string>): ontology terms that the source names for it
// column effect_allele (string): allele that the effect belongs to
// column effect_type (string): odds_ratio, beta or z
// column effect (float): as reported; a beta with its sign where the direction is known
// column effect_lower (float): lower end of the 95 % interval
// column effect_upper (float): upper end
// column neg_log10_p (float): -log10 p
// column study (string): study
// column publication (string): publication
// example: kgbuild query traits-of-variant --variant rs7903146

MATCH (v:Entity {id: $variant})-[a:ASSOCIATED_WITH]->(target)
WHERE coalesce(a.neg_log10_p, 0.0) >= $min_neg_log10_p
WITH a, target, a.term_relation = 'as_written' AS written
ORDER BY target.name, target.id
WITH a.association_id AS association, collect({a: a, target: target, written: written}) AS ends
WITH association, head([e IN ends WHERE e.written] + ends) AS best, [e IN ends WHERE NOT e.written | e.target.name] AS terms
WITH association, best.a AS a, best.target AS target, terms
ORDER BY coalesce(a.neg_log10_p, 0.0) DESC, association
LIMIT $limit
OPTIONAL MATCH (target)-[:MEMBER_OF]->(concept:HarmonisedConcept)
RETURN a.trait AS trait, concept.name AS concept, concept.id AS concept_id, coalesce(a.qualifiers, []) AS qualifiers, terms,
       a.effect_allele AS effect_allele, a.effect_type AS effect_type, a.effect AS effect, a.effect_lower AS effect_lower,
       a.effect_upper AS effect_upper, a.neg_log10_p AS neg_log10_p, a.study AS study, a.publication AS publication
ORDER BY coalesce(neg_log10_p, 0.0) DESC, association
