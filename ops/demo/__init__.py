"""What `make demo` and the tests have in place of an account: AWS on this machine, and hosts behind a real sshd."""
