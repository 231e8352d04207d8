// question: What was merged into one concept, and why?
// parameter concept (concept): name, CURIE, or the id of anything merged into it
// parameter limit (int = 50): most members to give
// column concept (string): the harmonised concept
// column concept_id (string): its id
// column member (string): id of a member
// column vocabulary (string): vocabulary of the member
// column name (string): its name
// column synonyms (list<string>): its other names
// column obsolete (bool): no longer live in its vocabulary; the concept stands for what replaced it
// column p_same (float): probability that it is the same thing as the centre; 1 for the centre
// column justification (string): how that is known, as a term of semapv
// column n_associations (int): associations that end at the member
// example: kgbuild query why-merged --concept "Crohn's disease"

MATCH (start:Entity {id: $concept})
OPTIONAL MATCH (start)-[:MEMBER_OF]->(whole:HarmonisedConcept)
WITH coalesce(whole, start) AS home
MATCH (home)<-[m:MEMBER_OF]-(member)
WITH home, m, member
ORDER BY coalesce(member.obsolete, false), coalesce(m.p_same, 0.0) DESC, member.id
LIMIT $limit
OPTIONAL MATCH (member)<-[a:ASSOCIATED_WITH]-(:Variant)
RETURN home.name AS concept, home.id AS concept_id, member.id AS member, member.vocabulary AS vocabulary, member.name AS name,
       coalesce(member.synonyms, []) AS synonyms, coalesce(member.obsolete, false) AS obsolete, m.p_same AS p_same,
       m.justification AS justification, count(DISTINCT a.association_id) AS n_associations
ORDER BY obsolete, coalesce(p_same, 0.0) DESC, member
