// question: Which concepts lie nearest to a concept in the model's space?
// Near is not the same: look at `why-merged` and `links-of-concept` for what was concluded.
// parameter concept (concept): name, CURIE, or the id of anything merged into it; it must have a vector
// parameter limit (int = 10): most neighbours to give
// column concept (string): neighbouring concept
// column concept_id (string): its id
// column concept_kind (string): Disease, Measurement, FreeText, ...
// column similarity (float): raw cosine
// column n_members (int): concepts that were merged into it
// column n_associations (int): associations of these
// example: kgbuild query neighbours-by-vector --concept asthma --limit 5

MATCH (start:Entity {id: $concept})
OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
WITH coalesce(whole, start) AS home
WHERE home.embedding IS NOT NULL
CALL db.index.vector.queryNodes('kg_concept_vectors', $limit + 1, home.embedding) YIELD node, score
WITH home, node, score
WHERE node.id <> home.id
RETURN node.name AS concept, node.id AS concept_id, node.concept_kind AS concept_kind, 2 * score - 1 AS similarity,
       node.n_members AS n_members, node.n_associations AS n_associations
ORDER BY similarity DESC, concept_id
LIMIT $limit
