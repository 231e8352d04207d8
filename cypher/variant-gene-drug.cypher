// question: Which drugs act on the genes that a variant points at?
// parameter variant (variant): rs id, or a variant's id
// parameter limit (int = 50): most rows to give
// column variant (string): variant
// column gene (string): gene
// column gene_id (string): its id
// column evidence (list<string>): eqtl, nearest: how the variant points at the gene; neither says that it is the cause
// column tissues (list<string>): where the eQTL was measured
// column drug (string): drug that acts on the gene; null where none is known
// column drug_id (string): its id
// column indications (list<string>): diseases it is indicated for
// example: kgbuild query variant-gene-drug --variant rs2476601

MATCH (v:Entity {id: $variant})-[e:EQTL_OF|NEAREST_GENE]->(gene:Gene)
WITH v, gene, e.tissue AS tissue, type(e) AS kind
ORDER BY tissue
WITH v, gene, collect(DISTINCT tissue) AS tissues, collect(DISTINCT kind) AS kinds
OPTIONAL MATCH (gene)<-[:TARGETS]-(drug:Drug)
WITH DISTINCT v, gene, tissues, kinds, drug
OPTIONAL MATCH (drug)-[:INDICATED_FOR]->(disease)
WITH v, gene, tissues, kinds, drug, disease
ORDER BY disease.name, disease.id
WITH v, gene, tissues, kinds, drug, collect(DISTINCT disease.name) AS indications
RETURN v.name AS variant, gene.name AS gene, gene.id AS gene_id,
       [k IN ['EQTL_OF', 'NEAREST_GENE'] WHERE k IN kinds | CASE k WHEN 'EQTL_OF' THEN 'eqtl' ELSE 'nearest' END] AS evidence,
       tissues, drug.name AS drug, drug.id AS drug_id, indications
ORDER BY gene, gene_id, coalesce(drug_id, '')
LIMIT $limit
