"""A process that fills an index step by step from where it stands, says so, and may be killed meanwhile.

Arguments: the folder, faces a step, the number of steps.
"""

import sys
from pathlib import Path

from made_faces import made_faces

from storage.index import VectorIndex


def main(folder: str, step: int, steps: int) -> None:
    """Add, flush, erase every tenth face of the step, and compact now and then."""
    faces = made_faces(step * steps, 11)
    with VectorIndex.open(Path(folder), write=True) as index:
        done = int(index.position or 0)
        index.erase(faces.keys[: done * step : 10])  # as far as the writer before did not come to it
        print("open", flush=True)
        for number in range(done, steps):
            part = faces.part(number * step, (number + 1) * step)
            index.add(*part.columns())
            index.flush(str(number + 1))
            print("flushed", number + 1, flush=True)
            index.erase(part.keys[::10])
            print("erased", number + 1, flush=True)
            if number % 8 == 7:
                index.compact()
                print("compacted", number + 1, flush=True)
    print("finished", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
