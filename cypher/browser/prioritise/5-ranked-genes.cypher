// 5 Rank the genes: how many loci point at each, by which evidence, and is there a drug
// A table. Its first rows are the candidates worth a closer look; `genes-of-trait` of kgbuild also follows narrower terms.
MATCH (:HarmonisedConcept {id: $concept})<-[:MEMBER_OF]-()<-[a:ASSOCIATED_WITH]-(v:Variant)-[e:EQTL_OF|NEAREST_GENE]->(gene:Gene)
WHERE a.neg_log10_p >= 7.3
WITH gene, count(DISTINCT coalesce(v.locus, v.id)) AS loci, count(DISTINCT v) AS variants, max(a.neg_log10_p) AS neg_log10_p,
     collect(DISTINCT CASE type(e) WHEN 'EQTL_OF' THEN 'eQTL' ELSE 'nearest' END) AS evidence
OPTIONAL MATCH (gene)<-[:TARGETS]-(drug:Drug)
WITH gene, loci, variants, neg_log10_p, evidence, collect(DISTINCT drug.name) AS drugs
RETURN gene.name AS gene, gene.id AS id, loci, variants, round(neg_log10_p, 1) AS neg_log10_p, evidence, drugs[..5] AS drugs
ORDER BY size(drugs) > 0 DESC, size(evidence) DESC, neg_log10_p DESC, id
LIMIT 25
