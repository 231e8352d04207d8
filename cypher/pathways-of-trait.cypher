// question: Which pathways hold the genes that a trait's variants point at?
// A count, not a test of enrichment: large pathways come first by chance.
// parameter trait (concept): name, CURIE, or the id of anything merged into it
// parameter children (bool = true): also the terms below it in the ontology
// parameter qualified (bool = false): also traits that are adjusted for something, an age at onset, a response to a drug and so on
// parameter min_neg_log10_p (float = 7.3): leave out weaker associations; 7.3 is p = 5e-8
// parameter limit (int = 20): most pathways to give
// column pathway (string): pathway
// column pathway_id (string): its id
// column n_genes (int): genes of the trait in it
// column n_loci (int): loci that these genes were reached from; a variant without one counts for itself
// column genes (list<string>): these genes
// column n_genes_in_pathway (int): all genes in it
// example: kgbuild query pathways-of-trait --trait asthma --limit 10

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
WITH DISTINCT v
// one row a pathway
MATCH (v)-[:EQTL_OF|NEAREST_GENE]->(gene:Gene)
WITH DISTINCT gene, coalesce(v.locus, v.id) AS place
MATCH (gene)-[:PARTICIPATES_IN]->(pathway:Pathway)
WITH pathway.id AS pathway_id, gene.id AS gene_id, gene.name AS gene, place
ORDER BY gene, gene_id
WITH pathway_id, collect(DISTINCT gene) AS genes, count(DISTINCT gene_id) AS n_genes, count(DISTINCT place) AS n_loci
ORDER BY n_loci DESC, n_genes DESC, pathway_id
LIMIT $limit
MATCH (pathway:Entity {id: pathway_id})
OPTIONAL MATCH (pathway)<-[:PARTICIPATES_IN]-(any_gene:Gene)
RETURN pathway.name AS pathway, pathway_id, n_genes, n_loci, genes, count(DISTINCT any_gene) AS n_genes_in_pathway
ORDER BY n_loci DESC, n_genes DESC, pathway_id
