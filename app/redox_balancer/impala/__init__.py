"""IMPALA on Ray: actors that collect rollouts, and a learner that corrects for their lag with V-trace.

Follows Espeholt et al. 2018, "IMPALA: Scalable distributed deep-RL with importance weighted actor-learner
architectures". Environments are seen through the Gymnasium interface only.
"""
