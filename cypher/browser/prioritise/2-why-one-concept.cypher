// 2 See what became one concept, and why
// The members around their concept. SAME_AS edges carry the probability that two are the same thing; XREF is what a vocabulary itself says.
MATCH one = (c:HarmonisedConcept {id: $concept})<-[:MEMBER_OF]-(member)
OPTIONAL MATCH why = (member)-[:SAME_AS|XREF]-(:Entity)-[:MEMBER_OF]->(c)
RETURN one, why
