// question: Which variants do two traits share, with which effects?
// A shared variant is not colocalisation: the two signals may be different ones in one block of LD.
// parameter trait (concept): name, CURIE, or the id of anything merged into it
// parameter children (bool = true): also the terms below it in the ontology
// parameter qualified (bool = false): also traits that are adjusted for something, an age at onset, a response to a drug and so on
// parameter min_neg_log10_p (float = 7.3): leave out weaker associations; 7.3 is p = 5e-8
// parameter other (concept): the other trait, likewise
// parameter limit (int = 20): most variants to give
// column variant (string): variant
// column locus (string): locus; null where nothing is known
// column in_mhc (bool): lies in the MHC
// column effect_allele (string): allele of the first trait's strongest association
// column effect_type (string): odds_ratio, beta or z
// column effect (float): effect on the first trait
// column neg_log10_p (float): -log10 p for the first trait
// column other_effect_allele (string): allele of the other trait's strongest association; compare it before the effects
// column other_effect_type (string): odds_ratio, beta or z
// column other_effect (float): effect on the other trait
// column other_neg_log10_p (float): -log10 p for the other trait
// example: kgbuild query shared-variants --trait "type 2 diabetes" --other "coronary artery disease"

CALL {
  // the concepts that the trait stands for: the same (rank 0), below it (1), accepted as narrower than one of these (2)
  MATCH (start:Entity {id: $trait})
  OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
  WITH coalesce(whole, start) AS home
  OPTIONAL MATCH (home)<-[:MEMBER_OF]-(member)
  WITH home, collect(member) AS members
  WITH [home] + members AS same
  UNWIND same AS concept
  OPTIONAL MATCH (concept)<-[:IS_A*1..]-(child) WHERE $children
  WITH same, collect(DISTINCT child) AS children
  UNWIND CASE WHEN size(children) = 0 THEN [null] ELSE children END AS child
  OPTIONAL MATCH (child)-[:MEMBER_OF]->(:HarmonisedConcept)<-[:MEMBER_OF]-(twin)
  WITH same, children, collect(CASE WHEN twin IS NULL THEN null ELSE {concept: twin, through: child, rank: 1} END) AS twins
  UNWIND [c IN same | {concept: c, through: c, rank: 0}] + [c IN children | {concept: c, through: c, rank: 1}] + twins AS step
  WITH step.concept AS concept, step.through.id AS through, step.rank AS rank
  OPTIONAL MATCH (concept)-[:BROADER_THAN {decision: 'accept'}]->(narrower)
  UNWIND CASE WHEN narrower IS NULL THEN [{id: concept.id, through: through, rank: rank}]
              ELSE [{id: concept.id, through: through, rank: rank}, {id: narrower.id, through: concept.id, rank: 2}] END AS step
  WITH step.id AS id, step.rank AS rank, step.through AS through
  ORDER BY rank, through
  WITH id, head(collect({rank: rank, through: through})) AS step
  // what is associated with them
  MATCH (:Entity {id: id})<-[a:ASSOCIATED_WITH]-(v:Variant)
  WHERE coalesce(a.neg_log10_p, 0.0) >= $min_neg_log10_p
    AND ($qualified OR all(q IN coalesce(a.qualifiers, []) WHERE q IN ['measured_in', 'severity']))
  WITH v.id AS variant, a.association_id AS association, a.neg_log10_p AS p
  ORDER BY p DESC, association
  RETURN variant, max(p) AS p, head(collect(association)) AS association, 0 AS side
  UNION ALL
  // the concepts that the other trait stands for: the same (rank 0), below it (1), accepted as narrower than one of these (2)
  MATCH (start:Entity {id: $other})
  OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
  WITH coalesce(whole, start) AS home
  OPTIONAL MATCH (home)<-[:MEMBER_OF]-(member)
  WITH home, collect(member) AS members
  WITH [home] + members AS same
  UNWIND same AS concept
  OPTIONAL MATCH (concept)<-[:IS_A*1..]-(child) WHERE $children
  WITH same, collect(DISTINCT child) AS children
  UNWIND CASE WHEN size(children) = 0 THEN [null] ELSE children END AS child
  OPTIONAL MATCH (child)-[:MEMBER_OF]->(:HarmonisedConcept)<-[:MEMBER_OF]-(twin)
  WITH same, children, collect(CASE WHEN twin IS NULL THEN null ELSE {concept: twin, through: child, rank: 1} END) AS twins
  UNWIND [c IN same | {concept: c, through: c, rank: 0}] + [c IN children | {concept: c, through: c, rank: 1}] + twins AS step
  WITH step.concept AS concept, step.through.id AS through, step.rank AS rank
  OPTIONAL MATCH (concept)-[:BROADER_THAN {decision: 'accept'}]->(narrower)
  UNWIND CASE WHEN narrower IS NULL THEN [{id: concept.id, through: through, rank: rank}]
              ELSE [{id: concept.id, through: through, rank: rank}, {id: narrower.id, through: concept.id, rank: 2}] END AS step
  WITH step.id AS id, step.rank AS rank, step.through AS through
  ORDER BY rank, through
  WITH id, head(collect({rank: rank, through: through})) AS step
  // what is associated with them
  MATCH (:Entity {id: id})<-[a:ASSOCIATED_WITH]-(v:Variant)
  WHERE coalesce(a.neg_log10_p, 0.0) >= $min_neg_log10_p
    AND ($qualified OR all(q IN coalesce(a.qualifiers, []) WHERE q IN ['measured_in', 'severity']))
  WITH v.id AS variant, a.association_id AS association, a.neg_log10_p AS p
  ORDER BY p DESC, association
  RETURN variant, max(p) AS p, head(collect(association)) AS association, 1 AS side
}
WITH variant, side, p, association
ORDER BY side
WITH variant, collect(association) AS associations, collect(p) AS strengths
WHERE size(associations) = 2
WITH variant, associations, strengths
ORDER BY strengths[0] DESC, variant
LIMIT $limit
MATCH (v:Entity {id: variant})-[a:ASSOCIATED_WITH {association_id: associations[0]}]->()
WITH v, associations, a
ORDER BY a.id
WITH v, associations, head(collect(a)) AS a
MATCH (v)-[b:ASSOCIATED_WITH {association_id: associations[1]}]->()
WITH v, a, b
ORDER BY b.id
WITH v, a, head(collect(b)) AS b
RETURN v.name AS variant, v.locus AS locus, coalesce(v.in_mhc, false) AS in_mhc, a.effect_allele AS effect_allele,
       a.effect_type AS effect_type, a.effect AS effect, a.neg_log10_p AS neg_log10_p, b.effect_allele AS other_effect_allele,
       b.effect_type AS other_effect_type, b.effect AS other_effect, b.neg_log10_p AS other_neg_log10_p
ORDER BY neg_log10_p DESC, v.id
