"""Image files as people have them: decoded as torchvision and Keras decode them, or named and counted."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import images
from bench.data.images import Framing, decoding
from bench.data.images.decoding import decode
from tests.bench.data.drawn_images import draw, encode, write_class_folders

WHOLE = Framing(9, 9)


def pixels_of(image: Image.Image, format: str = "PNG", **options: object) -> decoding.Decoded:
    content = io.BytesIO()
    image.save(content, format, **options)
    return decode(content.getvalue(), WHOLE)


@pytest.mark.parametrize(
    ("mode", "format", "remarks"),
    [
        ("RGB", "PNG", ()),
        ("L", "PNG", ()),
        ("1", "PNG", ()),
        ("P", "PNG", ()),
        ("CMYK", "JPEG", ()),
        ("L", "JPEG", ()),
        ("RGBA", "PNG", (decoding.TRANSPARENT,)),
        ("LA", "PNG", (decoding.TRANSPARENT,)),
        ("RGBA", "WEBP", (decoding.TRANSPARENT,)),
    ],
)
def test_every_mode_becomes_rgb_as_in_torchvision(mode, format, remarks):
    image = draw(1).convert(mode)
    if "A" in mode:
        image.putalpha(draw(2).convert("L"))
    content = encode(image, format)
    found = decode(content, WHOLE)
    with Image.open(io.BytesIO(content)) as image:
        assert (found.pixels == WHOLE.apply(image.convert("RGB"))).all()  # torchvision's `pil_loader`
    assert found.remarks == remarks


def test_of_16_bits_of_grey_the_upper_8_are_taken():
    deep = np.arange(81, dtype=np.uint16).reshape(9, 9) * 800
    found = pixels_of(Image.fromarray(deep))
    assert (found.pixels[..., 0] == deep >> 8).all()
    assert found.remarks == (decoding.DEEP,)


def test_an_orientation_is_not_applied_and_counted():
    exif = Image.Exif()
    exif[0x0112] = 6
    found = pixels_of(draw(1, 9, 9), "JPEG", exif=exif)
    assert (found.pixels == pixels_of(draw(1, 9, 9), "JPEG").pixels).all()
    assert found.remarks == (decoding.TURNED,)


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF"])
def test_of_an_animation_the_first_picture_is_taken(format):
    content = io.BytesIO()
    draw(1, 9, 9).save(content, format, save_all=True, append_images=[draw(2, 9, 9)])
    found = decode(content.getvalue(), WHOLE)
    with Image.open(content) as image:
        assert (found.pixels == np.asarray(image.convert("RGB"))).all()
        image.seek(1)
        assert (found.pixels != np.asarray(image.convert("RGB"))).any()
    assert decoding.ANIMATED in found.remarks


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no image"),
        (b"a text", "no image"),
        (encode(draw(1, 90, 90), "JPEG")[:-300], "image file is truncated"),
        (encode(draw(1, 90, 90), "PNG")[:-300], "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
        (encode(draw(1, 9, 9), "TIFF"), "no image"),
        (encode(Image.new("1", (20_000, 10_000))), "more than 178,956,970 pixels"),
        (encode(Image.new("1", (1, 1_200_000))), "its shorter side at 9 px, the longer one would have 10,800,000"),
    ],
)
def test_what_is_no_whole_image_is_a_problem_and_no_error(content, problem):
    found = decode(content, WHOLE)
    assert found.pixels is None
    assert problem in found.problem


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_data_do_not_lose_the_image():
    content = encode(draw(1, 9, 9), "JPEG")
    damaged = content[:2] + b"\xff\xe1\x00\x12Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff" + b"\x00\x00" + content[2:]
    assert (decode(damaged, WHOLE).pixels == decode(content, WHOLE).pixels).all()


def test_any_bytes_are_an_image_or_a_problem():
    stream = np.random.default_rng(0)
    for format in ("JPEG", "PNG", "WEBP"):
        content = encode(draw(1), format)
        for _ in range(60):
            damaged = bytearray(content)
            for at in stream.integers(0, len(content), 4):
                damaged[at] = stream.integers(0, 256)
            found = decode(bytes(damaged), WHOLE)
            assert (found.pixels is None) == bool(found.problem)


def test_the_centre_is_kept():
    lines = np.repeat(np.arange(12, dtype=np.uint8)[None, :, None], 9, axis=0).repeat(3, axis=2)
    across, along = (
        decode(encode(Image.fromarray(one)), Framing(9, 4)).pixels for one in (lines, lines.swapaxes(0, 1))
    )
    assert across[0, :, 0].tolist() == along[:, 0, 0].tolist() == [4, 5, 6, 7]


@pytest.mark.thorough
def test_resizing_and_cropping_are_torchvisions(tmp_path):
    pytest.importorskip("torchvision", reason="the extra `pytorch` is not installed")
    sizes = [(40, 30), (30, 40), (33, 33), (24, 24), (200, 25), (25, 200), (20, 20), (24, 31)]
    for number, size in enumerate(sizes):
        draw(number, *size).save(tmp_path / f"{number}.png")
    code = (
        "import sys, numpy as np; from PIL import Image; from torchvision import transforms as t\n"
        "change = t.Compose([t.Resize(24), t.CenterCrop(21)])\n"
        f"np.save('all.npy', [np.asarray(change(Image.open(f'{{n}}.png'))) for n in range({len(sizes)})])"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    ours = [decode(tmp_path / f"{number}.png", Framing(24, 21)).pixels for number in range(len(sizes))]
    assert (np.load(tmp_path / "all.npy") == np.stack(ours)).all()


@pytest.fixture
def odd(tmp_path, monkeypatch) -> Path:
    """Class folders with files that need a remark, and a home of their own."""
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    images._say_once.cache_clear()
    root = write_class_folders(tmp_path / "pets", {"cat": 6, "dog": 6})
    for number in range(4):
        (root / "cat" / f"cut {number}.jpg").write_bytes(encode(draw(1, 90, 90), "JPEG")[:-300])
    draw(1).convert("RGBA").save(root / "dog" / "alpha.png")
    (root / "dog" / "notes.txt").write_text("no image")
    (root / "loose.png").write_bytes(encode(draw(1)))
    return root


def test_what_is_left_out_is_counted_and_named_each_time(odd, capsys):
    for _ in range(2):
        images._say_once.cache_clear()
        found = images.load(odd, WHOLE, seed=0)
        assert len(found.train_images) + len(found.test_images) == 13
        cut = "image file is truncated (2"
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3
        assert lines[0].startswith(f"bench: images {odd}: 4 of 17 images cannot be read, and are left out: cat/cut ")
        assert lines[0].count(cut[:23]) == 3
        assert lines[0].endswith(", …")
        assert lines[1] == f"bench: images {odd}: {decoding.TRANSPARENT}: 1 image"
        assert lines[2] == f"bench: images {odd}: 2 other files are not read: loose.png, dog/notes.txt"
        assert "4 of 17 images cannot be read" in found.source
    assert capsys.readouterr().err == ""


def test_lines_are_said_once_for_all_tasks(odd, capsys):
    images.load(odd, WHOLE, seed=0)
    capsys.readouterr()
    images.load(odd, WHOLE, seed=0)
    assert capsys.readouterr().err == ""


def test_a_name_with_a_line_break_stays_one_line(odd, capsys):
    (odd / "cat" / "two\nlines.png").write_bytes(b"")
    images.load(odd, WHOLE, seed=0)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_link_that_leads_back_is_followed_once(odd):
    (odd / "dog" / "again").symlink_to(odd / "dog", target_is_directory=True)
    (odd / "dog" / "elsewhere").symlink_to(odd / "cat", target_is_directory=True)
    found = images.load(odd, WHOLE, seed=0)
    assert len(found.train_images) + len(found.test_images) == 13 + 6


def test_reading_images_imports_no_framework():
    code = (
        "import sys, bench.data.images;"
        "names = ('torch', 'torchvision', 'timm', 'tensorflow', 'keras', 'jax', 'pyarrow', 'pandas');"
        "print([name for name in names if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
