// question: Which links does a concept have, accepted or for review, and how sure is each?
// parameter concept (concept): name, CURIE, or the id of anything merged into it
// parameter limit (int = 50): most links to give
// column member (string): the merged concept that has the link
// column member_name (string): its name
// column relation (string): same, broader (the other is broader) or narrower (the other is narrower)
// column other (string): id of the other concept
// column other_name (string): its name
// column vocabulary (string): its vocabulary
// column decision (string): accept or review
// column similarity (float): raw cosine; says little by itself
// column p_target (float): probability that a curator would file the one under the other
// column p_same (float): probability that they are the same thing
// column justification (string): how the link is known, as a term of semapv
// column calibration (string): which fit gave the probabilities
// example: kgbuild query links-of-concept --concept "type 2 diabetes"

MATCH (start:Entity {id: $concept})
OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
WITH coalesce(whole, start) AS home
OPTIONAL MATCH (home)<-[:MEMBER_OF]-(merged)
WITH home, collect(merged) AS members
UNWIND [home] + members AS member
MATCH (member)-[link:SAME_AS|BROADER_THAN]-(other)
WITH member, link, other,
     CASE WHEN type(link) = 'SAME_AS' THEN 'same' WHEN startNode(link).id = member.id THEN 'narrower' ELSE 'broader' END AS relation
RETURN member.id AS member, member.name AS member_name, relation, other.id AS other, other.name AS other_name,
       other.vocabulary AS vocabulary, link.decision AS decision, link.similarity AS similarity, link.p_target AS p_target,
       link.p_same AS p_same, link.justification AS justification, link.calibration AS calibration
ORDER BY coalesce(p_target, 0.0) DESC, member, other, relation
LIMIT $limit
