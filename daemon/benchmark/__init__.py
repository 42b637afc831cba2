"""The benchmark: what each way of choosing rows is worth, on simulated streams of real text."""
