"""The frameworks head to head: what `bench run` and `bench.run` plan, measure, show and store."""
