"""Stand-ins for AWS and for hosts on this machine, used by the demonstration and the tests."""
