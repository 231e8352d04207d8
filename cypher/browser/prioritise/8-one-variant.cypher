// 8 Look at one variant: every trait it is associated with
// `:param variant => 'dbsnp:rs7903146'`. One variant, many phenotypes: what else would change, and in which direction.
MATCH (v:Variant {id: $variant})-[a:ASSOCIATED_WITH]->(trait:Entity)
WITH v, trait, max(a.neg_log10_p) AS neg_log10_p
ORDER BY neg_log10_p DESC, trait.id
LIMIT 25
MATCH path = (v)-[:ASSOCIATED_WITH]->(trait)
OPTIONAL MATCH whole = (trait)-[:MEMBER_OF]->(concept:HarmonisedConcept)
WHERE concept.n_members > 1
OPTIONAL MATCH gene = (v)-[:EQTL_OF|NEAREST_GENE]->(:Gene)
RETURN path, whole, gene
