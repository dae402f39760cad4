#!/usr/bin/env python3
"""Writes the files of this folder with pyarrow (tests/downstream/requirements.txt has the version).

    .venv/bin/python tests/golden/parquet/make.py
"""
import base64
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as encryption

HERE = pathlib.Path(__file__).resolve().parent
ROWS = 7


class PlainKeys(encryption.KmsClient):
    """Keys that wrap nothing: for tests."""

    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key, master_key_identifier):
        return base64.b64decode(wrapped_key)


def table():
    n = range(ROWS)
    columns = {
        "text": pa.array([f"text {i} é" if i != 4 else "" for i in n], pa.string()),
        "with_null": pa.array([f"row {i}" if i != 3 else None for i in n], pa.large_string()),
        "bytes": pa.array([b"plain" if i != 2 else b"caf\xe9" for i in n], pa.binary()),
        "count": pa.array([i * 10 if i != 5 else None for i in n], pa.int64()),
        "unsigned": pa.array([2**32 - 1 - i for i in n], pa.uint32()),
        "score": pa.array([i / 2 for i in n], pa.float32()),
        "good": pa.array([i % 2 == 0 for i in n], pa.bool_()),
        "language": pa.array(["en", "de", "en", "fr", "en", "de", None]).dictionary_encode(),
        "meta": pa.array([{"quality": i / 8, "source": {"name": f"s{i % 3}"}} if i != 1 else None for i in n],
                         pa.struct([("quality", pa.float64()), ("source", pa.struct([("name", pa.string())]))])),
        "tags": pa.array([[f"t{i}", "all"] for i in n], pa.list_(pa.string())),
        "day": pa.array([i for i in n], pa.date32()),
        "half": pa.array([i for i in n], pa.float16()),
    }
    return pa.table(columns)


def write(name, **options):
    options = {"row_group_size": 3, "compression": "zstd", "write_page_checksum": True} | options
    pq.write_table(table(), HERE / name, **options)


def write_encrypted(name, plaintext_footer):
    factory = encryption.CryptoFactory(lambda _: PlainKeys())
    keys = encryption.EncryptionConfiguration(footer_key="footer", column_keys={"column": ["text"]},
                                              plaintext_footer=plaintext_footer, double_wrapping=False)
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), keys)
    with pq.ParquetWriter(HERE / name, table().schema, encryption_properties=properties) as writer:
        writer.write_table(table())


write("rows.parquet")
write("encodings.parquet", compression="gzip", data_page_version="2.0", use_dictionary=["language"],
      column_encoding={"text": "DELTA_BYTE_ARRAY", "with_null": "DELTA_LENGTH_BYTE_ARRAY"})
write_encrypted("encrypted.parquet", plaintext_footer=False)
write_encrypted("encrypted_column.parquet", plaintext_footer=True)
