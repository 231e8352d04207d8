// 4 Rank the variants: the strongest of each locus, with the genes they point at
// Genome-wide associations only. The number on a teal edge is -log10 p. An eQTL edge shows the tissue; "nearest" means nearest by position and no more.
MATCH (c:HarmonisedConcept {id: $concept})<-[:MEMBER_OF]-(member)<-[a:ASSOCIATED_WITH]-(v:Variant)
WHERE a.neg_log10_p >= 7.3
WITH c, coalesce(v.locus, v.id) AS locus, v, a, member
ORDER BY a.neg_log10_p DESC, v.id, a.id
WITH c, locus, head(collect({variant: v, association: a, member: member})) AS lead
ORDER BY lead.association.neg_log10_p DESC, lead.variant.id
LIMIT 12
WITH c, lead.variant AS v, lead.association AS a, lead.member AS member
MATCH trait = (member)-[:MEMBER_OF]->(c)
OPTIONAL MATCH genes = (v)-[:EQTL_OF|NEAREST_GENE]->(:Gene)
RETURN v, a, trait, genes
