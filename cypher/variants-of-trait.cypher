// question: Which loci does a trait have, over all its merged names, one lead variant each?
// The lead is the variant with the highest -log10 p of its locus (an LD block in Europeans, a window, or the whole MHC); a variant
// without a locus stands for itself. A gene is named with its evidence: eqtl, or nearest by position, no more.
// parameter trait (concept): name, CURIE, or the id of anything merged into it
// parameter children (bool = true): also the terms below it in the ontology
// parameter qualified (bool = false): also traits that are adjusted for something, an age at onset, a response to a drug and so on
// parameter min_neg_log10_p (float = 7.3): leave out weaker associations; 7.3 is p = 5e-8
// parameter limit (int = 20): most loci to give
// column rank (int): 1 for the strongest
// column variant (string): lead variant
// column locus (string): locus; null where nothing is known
// column in_mhc (bool): lies in the MHC
// column effect_allele (string): allele that the effect belongs to
// column effect_type (string): odds_ratio, beta or z
// column effect (float): as reported; a beta with its sign where the direction is known
// column effect_lower (float): lower end of the 95 % interval
// column effect_upper (float): upper end
// column neg_log10_p (float): -log10 p of the strongest association
// column p_censored (bool): p was written as 0, the true -log10 p is larger
// column n_publications (int): publications that report the lead variant for the trait
// column n_variants (int): variants of the locus that are associated with the trait
// column genes (list<string>): genes of the lead variant, each with its evidence
// column trait (string): the trait as the study wrote it
// column link (string): member (the same thing), child (a term below it) or broader (an accepted link to something narrower)
// column through_term (string): the concept through which the row came
// column through_id (string): its id
// column study (string): study of the strongest association
// column publication (string): its publication
// example: kgbuild query variants-of-trait --trait "type 2 diabetes" --limit 10

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
WITH collect({id: id, rank: step.rank, through: step.through}) AS steps
CALL {
  WITH steps
  UNWIND steps AS step
  WITH step.id AS id
  // what is associated with them
  MATCH (:Entity {id: id})<-[a:ASSOCIATED_WITH]-(v:Variant)
  WHERE coalesce(a.neg_log10_p, 0.0) >= $min_neg_log10_p
    AND ($qualified OR all(q IN coalesce(a.qualifiers, []) WHERE q IN ['measured_in', 'severity']))
  // the strongest association of each variant, then the strongest variant of each locus
  WITH v.id AS variant, coalesce(v.locus, v.id) AS place, a.association_id AS association, a.neg_log10_p AS p, a.publication AS publication
  ORDER BY p DESC, association
  WITH variant, place, max(p) AS p, head(collect(association)) AS association, count(DISTINCT publication) AS n_publications
  ORDER BY p DESC, variant
  WITH place, max(p) AS p, head(collect({variant: variant, association: association, n_publications: n_publications})) AS lead,
       count(variant) AS n_variants
  ORDER BY p DESC, lead.variant
  LIMIT $limit
  RETURN collect({lead: lead, n_variants: n_variants}) AS leads
}
UNWIND range(0, size(leads) - 1) AS i
WITH i + 1 AS rank, leads[i].lead AS lead, leads[i].n_variants AS n_variants, steps
// of the two edges of an association, the one that is nearer to the trait
MATCH (v:Entity {id: lead.variant})-[a:ASSOCIATED_WITH {association_id: lead.association}]->(target)
WITH rank, lead, n_variants, v, a, head([s IN steps WHERE s.id = target.id]) AS step
WHERE step IS NOT NULL
WITH rank, lead, n_variants, v, a, step
ORDER BY rank, step.rank, step.through, a.id
WITH rank, lead, n_variants, v, head(collect(a)) AS a, head(collect(step)) AS step
MATCH (through:Entity {id: step.through})
OPTIONAL MATCH (v)-[e:EQTL_OF|NEAREST_GENE]->(gene:Gene)
WITH rank, lead, n_variants, v, a, step, through, gene, type(e) AS kind
ORDER BY rank, kind, gene.name, gene.id
WITH rank, lead, n_variants, v, a, step, through,
     collect(DISTINCT gene.name + CASE kind WHEN 'EQTL_OF' THEN ' (eqtl)' ELSE ' (nearest)' END) AS genes
RETURN rank, v.name AS variant, v.locus AS locus, coalesce(v.in_mhc, false) AS in_mhc, a.effect_allele AS effect_allele,
       a.effect_type AS effect_type, a.effect AS effect, a.effect_lower AS effect_lower, a.effect_upper AS effect_upper,
       a.neg_log10_p AS neg_log10_p, coalesce(a.p_censored, false) AS p_censored, lead.n_publications AS n_publications, n_variants,
       genes, a.trait AS trait, ['member', 'child', 'broader'][step.rank] AS link, through.name AS through_term,
       through.id AS through_id, a.study AS study, a.publication AS publication
ORDER BY rank
