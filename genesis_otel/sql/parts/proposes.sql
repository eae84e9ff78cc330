-- Whether the answer of a call may be a program: an individual is credited to the model of the last of these.
--
operation != 'embeddings' AND status = 'ok' AND role IN ('mutation', '')
