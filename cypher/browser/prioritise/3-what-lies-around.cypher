// 3 See what lies around it
// Terms above and below in the ontologies, and narrower phenotypes that are linked but never merged (BROADER_THAN).
MATCH one = (c:HarmonisedConcept {id: $concept})<-[:MEMBER_OF]-(member)
OPTIONAL MATCH around = (member)-[link:IS_A|BROADER_THAN]-(:Entity)
WHERE type(link) = 'IS_A' OR link.decision = 'accept'
RETURN one, around
LIMIT 45
