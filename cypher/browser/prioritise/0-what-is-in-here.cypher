// 0 See what is in this graph
// Labels, and the edges that a prioritisation walks along. Hierarchies and cross-references are left out of this picture.
CALL db.schema.visualization() YIELD nodes, relationships
RETURN [n IN nodes WHERE NOT any(label IN labels(n) WHERE label IN ['Entity', 'Build'])] AS labels,
       [r IN relationships WHERE type(r) IN ['MEMBER_OF', 'ASSOCIATED_WITH', 'EQTL_OF', 'NEAREST_GENE', 'TARGETS', 'INDICATED_FOR',
                                             'PARTICIPATES_IN', 'GENE_ASSOCIATED_WITH']
        AND NOT any(end IN labels(startNode(r)) + labels(endNode(r)) WHERE end IN ['Entity', 'Build'])] AS edges
