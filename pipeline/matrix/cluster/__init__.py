"""The matrix on many machines: a worker for a cell, what a head sees of them, and engines that start workers."""
