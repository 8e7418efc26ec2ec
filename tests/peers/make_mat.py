"""Write tests/data/mat: small MATLAB files as scipy.io.savemat writes them, and some made by hand that it cannot write.

    /opt/peers/bin/python tests/peers/make_mat.py tests/data/mat
"""
import struct
import sys
import zlib

import numpy as np
import scipy.io

folder = sys.argv[1]
numbers = {
    "d": np.array([[1.5, -2.0, np.inf], [0.25, 4.0, -0.0]]),
    "s": np.array([[1.5, -2.5]], np.float32),
    "u8": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "i8": np.array([[-128, 127]], np.int8),
    "i16": np.array([[-32768], [32767]], np.int16),
    "u16": np.array([[0, 65535]], np.uint16),
    "i32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "u32": np.array([[0, 2**32 - 1]], np.uint32),
    "i64": np.array([[-(2**63), 2**63 - 1]], np.int64),
    "u64": np.array([[0, 2**63 - 1]], np.uint64),
    "b": np.array([[True, False, True]]),
    "c": np.array([[1 + 2j, 3 - 4j], [5j, 6 + 0j]]),
    "none": np.zeros((0, 3)),
    "one": 7.0,
}
scipy.io.savemat(f"{folder}/numbers.mat", numbers)
scipy.io.savemat(f"{folder}/compressed.mat", numbers, do_compression=True)
cell = np.empty((2, 2), object)
cell[:] = [["a", np.array([[1.0, 2.0]])], ["b", np.zeros((0, 0))]]
row = np.empty((1, 2), object)
row[0, 0], row[0, 1] = "one", np.array([[2.0]])
people = np.zeros((1, 2), [("name", object), ("age", object)])
people[0, 0], people[0, 1] = ("Ada", 36.0), ("Émile ∑", 41.0)
scipy.io.savemat(
    f"{folder}/nested.mat",
    {
        "text": "grüße ∑",
        "rows": np.array(["abc", "de "]),
        "empty": "",
        "cell": cell,
        "row": row,
        "point": {"x": np.array([[1.0]]), "deep": {"label": "in"}},
        "people": people,
    },
    do_compression=True,
)


def element(kind, data, order="<"):
    return struct.pack(order + "II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(name, cls, dims, rest, order="<", flags=0):
    return element(
        14,
        element(6, struct.pack(order + "II", cls | flags, 0), order)
        + element(5, struct.pack(f"{order}{len(dims)}i", *dims), order)
        + element(1, name, order)
        + rest,
        order,
    )


def header(order="<"):
    return b"by hand".ljust(116) + b"\0" * 8 + struct.pack(order + "H", 0x100) + (b"IM" if order == "<" else b"MI")


# The order of bytes of other machines; a double kept as int16; a short element; one compressed.
big = header(">") + matrix(b"x", 6, [2, 3], element(3, struct.pack(">6h", 1, 2, 3, -4, 5, 6), ">"), ">")
big += matrix(b"y", 11, [1, 2], struct.pack(">HH4s", 4, 4, struct.pack(">HH", 258, 3)), ">")[:]
inner = matrix(b"z", 9, [1, 3], element(2, b"\1\2\3", ">"), ">")
packed = zlib.compress(inner)
big += struct.pack(">II", 15, len(packed)) + packed
open(f"{folder}/big_endian.mat", "wb").write(big)

# What is no plain value beside one that is: a sparse matrix, a function.
sparse = matrix(b"s", 5, [2, 2], element(5, struct.pack("<i", 0)) + element(5, struct.pack("<3i", 0, 1, 1)) + element(9, struct.pack("<d", 3.0)))
plain = matrix(b"x", 6, [1, 1], element(9, struct.pack("<d", 3.0)))
open(f"{folder}/other.mat", "wb").write(header() + sparse + plain + matrix(b"f", 16, [1, 1], b""))

# Version 7.3: HDF5 behind 512 bytes of MATLAB's, as MATLAB writes it.
import h5py  # noqa: E402

p = f"{folder}/v73.mat"
with h5py.File(p,'w',userblock_size=512) as f:
    def var(name, a, cls, **k):
        d=f.create_dataset(name, data=np.asarray(a).T, **k)
        d.attrs['MATLAB_class']=np.bytes_(cls)
        return d
    var('d', np.array([[1.5,-2,np.inf],[.25,4,-0.0]]),'double')
    var('u8', np.arange(24,dtype=np.uint8).reshape(2,3,4),'uint8', chunks=(2,2,2), compression='gzip')
    var('i16', np.array([[-32768],[32767]],np.int16),'int16')
    var('text', np.array([[ord(c) for c in 'grüße']],np.uint16),'char')
    var('b', np.array([[1,0,1]],np.uint8),'logical')
    c=np.zeros((2,2),[('real','f8'),('imag','f8')]); c['real'] = [[1, 3], [0, 6]]; c['imag'] = [[2, -4], [5, 0]]
    var('c', c, 'double')
    d=f.create_dataset('none', data=np.array([0,3],np.uint64)); d.attrs['MATLAB_class']=np.bytes_('double'); d.attrs['MATLAB_empty']=np.uint8(1)
    g=f.create_group('s'); g.attrs['MATLAB_class']=np.bytes_('struct')
    f.create_group('#refs#')
b=bytearray(open(p,'rb').read())
h=b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(116)+b'\0'*8+b'\0\2IM'
b[:128]=h
open(p, 'wb').write(b)
