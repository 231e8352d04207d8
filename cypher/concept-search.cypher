// question: Which harmonised concepts have these words in one of their names?
// Exact names come first, then exact synonyms, then whatever holds all the words.
// parameter text (words): words; each must occur in one of the names
// parameter limit (int = 10): most concepts to give
// column id (string): id, good for any template that asks for a trait or concept
// column name (string): name
// column matched (string): name, synonym, or words
// column concept_kind (string): Disease, Measurement, FreeText, ...
// column n_members (int): concepts that were merged into it
// column n_associations (int): associations of these
// column score (float): the full-text engine's score; comparable within one answer only
// example: kgbuild query concept-search --text "rheumatoid arthritis"

CALL db.index.fulltext.queryNodes('kg_names', $text_query) YIELD node, score
WITH node, score
WHERE node:HarmonisedConcept
WITH node, score, CASE
       WHEN toLower(node.name) = toLower($text) THEN 0
       WHEN any(s IN coalesce(node.synonyms, []) WHERE toLower(s) = toLower($text)) THEN 1
       ELSE 2 END AS how
RETURN node.id AS id, node.name AS name, ['name', 'synonym', 'words'][how] AS matched, node.concept_kind AS concept_kind,
       node.n_members AS n_members, node.n_associations AS n_associations, score
ORDER BY how, CASE WHEN how < 2 THEN n_associations ELSE 0 END DESC, score DESC, id
LIMIT $limit
