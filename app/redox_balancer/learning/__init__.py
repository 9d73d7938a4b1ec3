"""IMPALA on Ray: knows its environments only through Gymnasium."""
