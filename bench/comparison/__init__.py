"""The comparison of the frameworks on one fine-tune: what `bench run` and `bench.run` measure, show and store."""
