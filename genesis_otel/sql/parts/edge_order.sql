-- The order of the edges of a child: its first parent first, and of an edge that was delivered again the oldest row.
--
position, timestamp, parent_id
