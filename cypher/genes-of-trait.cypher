// question: Which genes do a trait's variants point at, and by which evidence?
// parameter trait (concept): name, CURIE, or the id of anything merged into it
// parameter children (bool = true): also the terms below it in the ontology
// parameter qualified (bool = false): also traits that are adjusted for something, an age at onset, a response to a drug and so on
// parameter min_neg_log10_p (float = 7.3): leave out weaker associations; 7.3 is p = 5e-8
// parameter limit (int = 20): most genes to give
// column gene (string): symbol
// column gene_id (string): its id
// column evidence (list<string>): eqtl, nearest
// column n_variants (int): variants of the trait that point at it
// column n_loci (int): loci they lie in; a variant without one counts for itself
// column in_mhc (bool): one of them lies in the MHC
// column variant (string): the one with the strongest association
// column neg_log10_p (float): its -log10 p
// example: kgbuild query genes-of-trait --trait asthma --limit 10

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
WITH v, max(a.neg_log10_p) AS p
// one row a gene
MATCH (v)-[e:EQTL_OF|NEAREST_GENE]->(gene:Gene)
WITH gene.id AS gene_id, v.id AS id, v.name AS variant, coalesce(v.locus, v.id) AS place, CASE WHEN v.in_mhc THEN 1 ELSE 0 END AS in_mhc,
     p, type(e) AS kind
ORDER BY p DESC, id
WITH gene_id, head(collect(variant)) AS variant, max(p) AS neg_log10_p, count(DISTINCT id) AS n_variants,
     count(DISTINCT place) AS n_loci, max(in_mhc) AS in_mhc, collect(DISTINCT kind) AS kinds
ORDER BY neg_log10_p DESC, gene_id
LIMIT $limit
MATCH (gene:Entity {id: gene_id})
RETURN gene.name AS gene, gene_id,
       [k IN ['EQTL_OF', 'NEAREST_GENE'] WHERE k IN kinds | CASE k WHEN 'EQTL_OF' THEN 'eqtl' ELSE 'nearest' END] AS evidence,
       n_variants, n_loci, in_mhc = 1 AS in_mhc, variant, neg_log10_p
ORDER BY neg_log10_p DESC, gene_id
