"""Makes `tests/golden/labelled`: small made-up copies of the MATLAB files in the official archives of Stanford Cars,
Stanford Dogs and Oxford Flowers-102, with the same variables, classes and shapes. Needs scipy.
"""

import shutil
from pathlib import Path

import numpy
from scipy.io import loadmat, savemat

OUT = Path(__file__).resolve().parent.parent / "golden" / "labelled"
CARS = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Acura Integra Type R 2001"]
DOGS = {
    "train": ["n02085620-Chihuahua/n02085620_1.jpg", "n02085936-Maltese_dog/n02085936_2.jpg"],
    "test": ["n02085936-Maltese_dog/n02085936_3.jpg"],
}
# The number of a flower is its place in the list of names.
FLOWERS = {"labels": [1, 1, 7, 45, 102], "trnid": [1, 4], "valid": [3], "tstid": [2, 5]}


def save(name: str, variables: dict, compressed: bool) -> None:
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, variables, do_compression=compressed)
    # The header holds the time; the same text every time makes the same bytes.
    content = bytearray(path.read_bytes())
    content[:116] = b"MATLAB 5.0 MAT-file, made up for tests".ljust(116)
    path.write_bytes(content)
    assert set(variables) <= set(loadmat(path))


def texts(values: list[str]) -> numpy.ndarray:
    return numpy.array(values, dtype=object)


def annotations(rows: list[tuple[int, str]]) -> numpy.ndarray:
    kinds = [(name, object) for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
    made = numpy.empty((1, len(rows)), dtype=kinds)
    for index, (number, name) in enumerate(rows):
        box = [numpy.uint16(value) for value in (39, 116, 569, 375)]
        made[0, index] = (*box, numpy.uint8(number), name)
    return made


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    save("cars/devkit/cars_meta.mat", {"class_names": texts(CARS).reshape(1, -1)}, False)
    save("cars/devkit/cars_train_annos.mat", {"annotations": annotations([(3, "00001.jpg"), (1, "00002.jpg")])}, True)
    save("cars/cars_test_annos_withlabels.mat", {"annotations": annotations([(2, "00001.jpg")])}, True)
    whole = numpy.empty((1, 2), dtype=[(name, object) for name in ("relative_im_path", "class", "test")])
    whole[0, 0] = ("car_ims/000001.jpg", numpy.uint8(2), numpy.uint8(0))
    whole[0, 1] = ("car_ims/000002.jpg", numpy.uint8(1), numpy.uint8(1))
    save("cars-whole/cars_annos.mat", {"annotations": whole, "class_names": texts(CARS).reshape(1, -1)}, True)
    for part, names in DOGS.items():
        labels = numpy.array([[float(index + 1)] for index in range(len(names))])
        save(f"dogs/{part}_list.mat", {"file_list": texts(names).reshape(-1, 1), "labels": labels}, True)
    save("flowers/imagelabels.mat", {"labels": numpy.array([FLOWERS["labels"]], dtype=numpy.uint8)}, True)
    sets = {name: numpy.array([FLOWERS[name]], dtype=numpy.uint16) for name in ("trnid", "valid", "tstid")}
    save("flowers/setid.mat", sets, True)


if __name__ == "__main__":
    main()
