"""`make demo`: the workflow of a deployment on one machine, against simulated AWS and hosts."""
