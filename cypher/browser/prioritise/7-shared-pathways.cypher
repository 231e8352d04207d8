// 7 See where the genes meet: pathways and processes that several of them take part in
// One gene may be chance; several genes of one pathway are a lead. The MHC is left out: its genes are inherited together and always meet.
MATCH (:HarmonisedConcept {id: $concept})<-[:MEMBER_OF]-()<-[a:ASSOCIATED_WITH]-(v:Variant)-[:EQTL_OF|NEAREST_GENE]->(gene:Gene)
WHERE a.neg_log10_p >= 7.3 AND NOT coalesce(v.in_mhc, false)
WITH collect(DISTINCT gene) AS genes
UNWIND genes AS gene
MATCH (gene)-[:PARTICIPATES_IN]->(set:Entity)
WITH set, collect(DISTINCT gene) AS members, COUNT { (set)<-[:PARTICIPATES_IN]-() } AS size
WHERE size(members) >= 2
WITH set, members
ORDER BY toFloat(size(members)) / size DESC, size(members) DESC, set.id
LIMIT 8
UNWIND members AS gene
MATCH path = (gene)-[:PARTICIPATES_IN]->(set)
RETURN path
