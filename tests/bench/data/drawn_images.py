"""Makers of images for tests: drawn pixels, in the forms that people have images in."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def draw(seed: int, width: int = 12, height: int = 9) -> Image.Image:
    """A smooth image of its own colour, which JPEG and WebP change little."""
    stream = np.random.default_rng(seed)
    corners = stream.integers(0, 256, (2, 2, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BILINEAR)


def encode(image: Image.Image, format: str = "PNG") -> bytes:
    """An image file's bytes."""
    content = io.BytesIO()
    image.save(content, format)
    return content.getvalue()


def write_class_folders(root: Path, counts: Mapping[str, int], endings: Sequence[str] = ("png",)) -> Path:
    """Write so many images into the folder of each class, with these endings in turn."""
    for seed, name in enumerate(counts):
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(counts[name]):
            draw(100 * seed + number).save(folder / f"{number:02}.{endings[number % len(endings)]}")
    return root


def write_parquet(file: Path, images: Sequence[bytes], labels: Sequence[int | None], names: Sequence[str] = ()) -> None:
    """Write a file as Hugging Face's `datasets` does."""
    import pyarrow
    from pyarrow import parquet

    feature = {"names": list(names), "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": feature, "image": {"_type": "Image"}}}})}
    rows = [{"bytes": image, "path": None} for image in images]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({"image": pyarrow.array(rows, kind), "label": pyarrow.array(labels, pyarrow.int64())})
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(metadata), file, row_group_size=3)
