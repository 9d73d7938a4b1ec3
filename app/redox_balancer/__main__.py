"""`python -m redox_balancer` is `redox`, where that is not on the path."""

from redox_balancer.cli import main

main()
