"""One seed drives the whole system on virtual time: services, broker, stores, surfaces, faults.

`make sim SEED=7` runs seed 7 again exactly; `make sim SEEDS=500` runs the seeds 1 to 500.
"""
