// question: What is the thing with this id?
// parameter id (string): id, as written in any answer
// column id (string): its id
// column name (string): its name
// column kind (string): its label: HarmonisedConcept, Disease, Variant, Gene, Drug, ...
// column vocabulary (string): vocabulary it comes from
// column synonyms (list<string>): its other names
// column obsolete (bool): no longer live in its vocabulary
// column concept (string): the harmonised concept it belongs to
// column concept_id (string): that concept's id
// column source (string): key of the source that it was read from
// example: kgbuild query describe --id MONDO:0005148

MATCH (e:Entity {id: $id})
OPTIONAL MATCH (e)-[:MEMBER_OF]->(concept:HarmonisedConcept)
RETURN e.id AS id, e.name AS name, e.kind AS kind, e.vocabulary AS vocabulary, coalesce(e.synonyms, []) AS synonyms,
       coalesce(e.obsolete, false) AS obsolete, concept.name AS concept, concept.id AS concept_id, e.source AS source
ORDER BY id, concept_id
