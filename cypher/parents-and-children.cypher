// question: What is directly above and below a concept, in its ontologies and by accepted links?
// parameter concept (concept): name, CURIE, or the id of anything merged into it
// parameter limit (int = 100): most rows to give
// column place (string): parent or child
// column through (string): is_a (the ontology says so) or link (an accepted link says so)
// column member (string): the merged concept that it is above or below
// column other (string): id of the parent or child
// column other_name (string): its name
// column n_associations (int): associations of the concept it is merged into
// example: kgbuild query parents-and-children --concept "diabetes mellitus"

MATCH (start:Entity {id: $concept})
OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
WITH coalesce(whole, start) AS home
OPTIONAL MATCH (home)<-[:MEMBER_OF]-(merged)
WITH home, collect(merged) AS members
UNWIND [home] + members AS member
MATCH (member)-[e:IS_A|BROADER_THAN]-(other)
WHERE type(e) = 'IS_A' OR e.decision = 'accept'
WITH DISTINCT member, other, CASE type(e) WHEN 'IS_A' THEN 'is_a' ELSE 'link' END AS through,
     CASE WHEN (type(e) = 'IS_A') = (startNode(e).id = member.id) THEN 'parent' ELSE 'child' END AS place
OPTIONAL MATCH (other)-[:MEMBER_OF]->(concept:HarmonisedConcept)
RETURN place, through, member.id AS member, other.id AS other, other.name AS other_name, coalesce(concept.n_associations, 0) AS n_associations
ORDER BY place DESC, through, member, other
LIMIT $limit
