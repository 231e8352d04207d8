// question: How many nodes and edges of each kind does the graph hold?
// Read off the Build node, where the loader wrote what it had counted in the database.
// column what (string): node or edge
// column name (string): label or edge type
// column n (int): how many
// example: kgbuild query counts

MATCH (b:Build)
UNWIND range(0, size(b.counted) - 1) AS i
RETURN b.counted[i] AS what, b.counted_names[i] AS name, b.counted_numbers[i] AS n
ORDER BY what DESC, name
