"""All cameras' pictures on one sheet, for people to look at: a lens that was turned to the wall is seen at once."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image as Picture
from PIL import ImageDraw

from pipelines.probing import Seen

WIDTH, HEIGHT, LINE, GAP = 320, 240, 18, 6
"""Of a camera's place and of the name under it, pixels."""
ACROSS = 4
GREY, WHITE = (60, 60, 60), (240, 240, 240)


def write_sheet(folder: Path, cameras: Sequence[str], pictures: Sequence[Seen]) -> str:
    """A sentence that says where the sheet, one PNG, lies; cameras without a picture have an empty place on it.

    Raises OSError.
    """
    seen = {one.camera: one.picture for one in pictures}
    across = min(ACROSS, len(cameras))
    down = -(-len(cameras) // across)
    sheet = Picture.new("RGB", (across * (WIDTH + GAP) + GAP, down * (HEIGHT + LINE + GAP) + GAP), (0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, camera in enumerate(cameras):
        x = GAP + number % across * (WIDTH + GAP)
        y = GAP + number // across * (HEIGHT + LINE + GAP)
        if camera in seen:
            small = Picture.fromarray(seen[camera])
            small.thumbnail((WIDTH, HEIGHT))
            sheet.paste(small, (x + (WIDTH - small.width) // 2, y + (HEIGHT - small.height) // 2))
        else:
            pen.rectangle((x, y, x + WIDTH - 1, y + HEIGHT - 1), fill=GREY)
            pen.text((x + GAP, y + GAP), "no picture", fill=WHITE)
        pen.text((x, y + HEIGHT + 2), camera, fill=WHITE)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cameras.png"
    sheet.save(path)
    return f"{path} shows {len(seen)} of {len(cameras)} cameras."
