"""Design methods behind one interface, and their comparison."""
