-- The parents of a group of edges, each once, in the order of `edge_order`.
--
arrayDistinct(arrayMap(edge -> edge.3, arraySort(groupArray((@edge_order())))))
