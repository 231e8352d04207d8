// question: Which drugs act on genes that a trait's variants point at (variant -> gene -> drug)?
// Only targets count: an enzyme that breaks a drug down is not what it acts on. A gene is reached by an eQTL or as the nearest by
// position; neither says that the gene is the cause.
// parameter trait (concept): name, CURIE, or the id of anything merged into it
// parameter children (bool = true): also the terms below it in the ontology
// parameter qualified (bool = false): also traits that are adjusted for something, an age at onset, a response to a drug and so on
// parameter min_neg_log10_p (float = 7.3): leave out weaker associations; 7.3 is p = 5e-8
// parameter limit (int = 20): most rows to give
// column variant (string): the variant with the strongest association among those that point at the gene
// column neg_log10_p (float): its -log10 p
// column in_mhc (bool): it lies in the MHC
// column gene (string): gene
// column gene_id (string): its id
// column evidence (list<string>): eqtl, nearest: how the variants point at the gene
// column drug (string): drug that acts on the gene
// column drug_id (string): its id
// column indications (list<string>): diseases it is indicated for
// column indicated (bool): one of them is the trait, or below it
// example: kgbuild query drugs-for-trait --trait "rheumatoid arthritis" --limit 10

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
// one row a gene that a drug acts on, then one a drug
MATCH (v)-[e:EQTL_OF|NEAREST_GENE]->(gene:Gene)<-[:TARGETS]-(drug:Drug)
WITH gene.id AS gene_id, drug.id AS drug_id, v.id AS variant, p, type(e) AS kind
ORDER BY p DESC, variant
WITH gene_id, drug_id, head(collect(variant)) AS variant, max(p) AS p, collect(DISTINCT kind) AS kinds
ORDER BY p DESC, gene_id, drug_id
LIMIT $limit
MATCH (gene:Entity {id: gene_id})
MATCH (drug:Entity {id: drug_id})
MATCH (lead:Entity {id: variant})
MATCH (start:Entity {id: $trait})
OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
WITH gene, drug, lead, p, kinds, coalesce(whole, start) AS home
OPTIONAL MATCH (drug)-[:INDICATED_FOR]->(disease)
WITH gene, drug, lead, p, kinds, home, disease
ORDER BY disease.name, disease.id
WITH gene, drug, lead, p, kinds, home, collect(DISTINCT disease) AS diseases
RETURN lead.name AS variant, p AS neg_log10_p, coalesce(lead.in_mhc, false) AS in_mhc, gene.name AS gene, gene.id AS gene_id,
       [k IN ['EQTL_OF', 'NEAREST_GENE'] WHERE k IN kinds | CASE k WHEN 'EQTL_OF' THEN 'eqtl' ELSE 'nearest' END] AS evidence,
       drug.name AS drug, drug.id AS drug_id,
       [d IN diseases | d.name] AS indications,
       any(d IN diseases WHERE EXISTS { MATCH (d)-[:IS_A|MEMBER_OF*0..]->(home) }) AS indicated
ORDER BY neg_log10_p DESC, gene_id, drug_id
