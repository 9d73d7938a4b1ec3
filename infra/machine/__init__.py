"""What runs on the machines themselves, with their own Python; of this project only this package is there."""
