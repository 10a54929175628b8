"""A newcomer's fine-tune from the start of its process: `python -m tests.yardsticks.tutorial SCRIPT DATA EPOCHS`.

Import, read the images, build, train at a batch of 4, and test, with the idiomatic script of a framework and no code of
the project's. One line of JSON a stage tells what it took.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

from safetensors.numpy import load_file

BATCH = 4


def main(name: str, data: str, epochs: int) -> None:
    """Run it."""
    began = time.perf_counter()

    def report(stage: str, **more: float) -> None:
        nonlocal began
        now = time.perf_counter()
        print(json.dumps({"stage": stage, "seconds": now - began, **more}), flush=True)
        began = now

    script = importlib.import_module(f"tests.yardsticks.{name}")
    report("import")
    arrays = load_file(data)
    model = script.build()
    report("build")
    script.train(model, arrays["train_images"], arrays["train_labels"], BATCH, epochs, lambda: None)
    report("training")
    accuracy = script.evaluate(model, arrays["test_images"], arrays["test_labels"], BATCH)
    report("evaluation", accuracy=accuracy)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
