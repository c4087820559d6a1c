"""The same actions under several drivers: who saw them, with which parameters, and who said something else."""
