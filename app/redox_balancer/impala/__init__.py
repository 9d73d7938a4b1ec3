"""IMPALA on Ray: the algorithm, which knows its environments only through Gymnasium."""
