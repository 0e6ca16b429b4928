"""A save point as it lies on the disk, without a model."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def make_save_point(folder: Path) -> int:
    """Files as a save point has them, listed in a manifest. Returns their size in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 400)
    config = {"peft_type": "LORA", "r": 16, "base_model_name_or_path": "/models/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    files = [
        {"name": p.name, "size": p.stat().st_size, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()}
        for p in sorted(folder.iterdir())
    ]
    (folder / "manifest.json").write_text(json.dumps({"files": files, "step": 40}), encoding="utf-8")
    return sum(p.stat().st_size for p in folder.iterdir())
