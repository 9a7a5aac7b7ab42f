"""Made numpy.npz and stored.npz, once, with NumPy 1.24.2 of Debian 12: /usr/bin/python3 make.py"""
import io
import zipfile

import numpy as np

arrays = {
    "f4": (np.arange(12, dtype="<f4").reshape(3, 4) / 8, (1, 0)),
    "f8": (np.arange(5, dtype="<f8") / 4 - 0.5, (1, 0)),
    "f2": (np.array([0, 1, -2.5, 65504, 2.0**-24, 2.0**-14], dtype="<f2"), (1, 0)),
    "version.2": (np.arange(6, dtype="<f4").reshape(1, 2, 3), (2, 0)),
    "scalar": (np.float32(0.75), (1, 0)),
    "empty": (np.zeros((0, 3), dtype="<f4"), (1, 0)),
}
with zipfile.ZipFile("numpy.npz", "w", zipfile.ZIP_DEFLATED) as archive:
    for name, (array, version) in arrays.items():
        data = io.BytesIO()
        np.lib.format.write_array(data, np.asarray(array), version=version)
        archive.writestr(name + ".npy", data.getvalue())
np.savez("stored.npz", f4=arrays["f4"][0], f8=arrays["f8"][0])
