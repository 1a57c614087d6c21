"""A folder as Hugging Face's save_to_disk writes it, made without that package."""

import json

import pyarrow as pa


def save(folder, table, features=None, parts=1):
    """As `datasets` lays out one split: streams, state and description."""
    folder.mkdir(parents=True)
    size = -(-len(table) // parts)
    names = [f"data-{i:05d}-of-{parts:05d}.arrow" for i in range(parts)]
    for i, name in enumerate(names):
        with (
            pa.OSFile(str(folder / name), "wb") as file,
            pa.ipc.new_stream(file, table.schema) as w,
        ):
            w.write_table(table.slice(i * size, size))
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features or {}}))
