// 6 Walk from variants over genes to drugs, and what the drugs are for
// The genes with a drug whose variants are strongest. A drug that is for this trait already shows that the walk works; one that is for something else may be one to repurpose.
MATCH (c:HarmonisedConcept {id: $concept})<-[:MEMBER_OF]-(member)<-[a:ASSOCIATED_WITH]-(v:Variant)-[:EQTL_OF|NEAREST_GENE]->(gene:Gene)<-[:TARGETS]-(:Drug)
WHERE a.neg_log10_p >= 5
WITH DISTINCT c, member, a, v, gene
ORDER BY a.neg_log10_p DESC, v.id, a.id
WITH c, gene, head(collect({variant: v, association: a, member: member})) AS lead
ORDER BY lead.association.neg_log10_p DESC, gene.id
LIMIT 6
WITH c, gene, lead.variant AS v, lead.association AS a, lead.member AS member
MATCH trait = (member)-[:MEMBER_OF]->(c)
MATCH points = (v)-[:EQTL_OF|NEAREST_GENE]->(gene)
CALL (gene) {
  MATCH treats = (gene)<-[:TARGETS]-(drug:Drug)
  OPTIONAL MATCH used = (drug)-[:INDICATED_FOR]->(:Entity)
  WITH drug, treats, collect(used)[..2] AS uses
  ORDER BY size(uses) DESC, drug.id
  LIMIT 4
  RETURN collect(treats) AS drugs, collect(uses) AS uses
}
RETURN trait, a, points, drugs, uses
