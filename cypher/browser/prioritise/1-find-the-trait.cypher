// 1 Find the trait by any of its names
// Full text over every name and synonym. Each row is one harmonised concept: what several vocabularies, codes and texts mean.
// Copy the id of yours: `:param concept => 'harmonised:...'`. The next queries start there.
CALL db.index.fulltext.queryNodes('kg_names', $trait) YIELD node, score
WITH node, score
ORDER BY score DESC, node.id
LIMIT 50
OPTIONAL MATCH (node)-[:MEMBER_OF]->(whole:HarmonisedConcept)
WITH coalesce(whole, node) AS concept, max(score) AS score
WHERE concept:HarmonisedConcept
RETURN concept.name AS concept, concept.id AS id, concept.n_members AS members, concept.n_associations AS associations, round(score, 2) AS score
ORDER BY associations > 0 DESC, score DESC, id
LIMIT 15
