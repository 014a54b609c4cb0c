"""Heavy work in subprocesses that read and write a run directory and never open the store."""
