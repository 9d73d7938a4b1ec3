"""The parts that command lines share: options, tables, progress of transfers, and the line that an error becomes."""
