"""Costs of the parts of a training, for the model of its throughput."""

from redox_balancer.bench.scaling import Terms

# A step takes 1 ms. No part saturates below 300 actors.
TERMS = Terms(
    env_s=0.7e-3,
    act_s=0.2e-3,
    overhead_s=0.1e-3,
    learner_s=1e-6,
    loop_s=1e-5,
    ray_loop_s=1e-5,
    raylet_s=1e-5,
    rollout_bytes=100_000,
    weights_bytes=100_000,
    transitions=100,
    rollouts_per_batch=10,
    max_lag=100,
    actor_bytes=100_000_000,
)
