"""The fine-tune in Keras: `compile` and `fit`, as in Keras' transfer-learning guide, on three engines.

One model, one loop. What is an engine's is in `on_tensorflow`, `on_torch` and `on_jax`, each with a `BACKEND`.
"""
