"""What runs on a host of this machine in the place of systemd, cloud-init and Docker, and what makes it a host."""
