"""The schemas that records have had, each upgraded to the next."""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMA", "upgraded"]

SCHEMA = 4


def _from_1(data: dict[str, Any]) -> dict[str, Any]:
    """Read schema 1, whose cells ran one at a time, and which did not store what a failed cell did not measure."""
    environment = data["environment"] and {"jobs": 1, **data["environment"]}
    return {"not_measured": {}, **data, "schema": 2, "environment": environment}


def _from_2(data: dict[str, Any]) -> dict[str, Any]:
    """Read schema 2, which lacked the versions of a cell's metrics, and named the training precision like a metric."""
    recipes = data["recipes"].values()
    cell = {"training_precision" if name == "precision" else name: value for name, value in data["cell"].items()}
    if isinstance(cell.get("metrics"), list):  # the versions are known from the recipes
        versions = {str(recipe.get("metric")): recipe.get("metric_version") for recipe in recipes}
        cell["metrics"] = {str(name): versions.get(str(name)) for name in cell["metrics"]}
    return {**data, "schema": 3, "cell": cell}


def _from_3(data: dict[str, Any]) -> dict[str, Any]:
    """Read schema 3, which supported only images, and named its costs and counts accordingly."""
    cell = {"role" if name == "kind" else name: value for name, value in data["cell"].items()}
    dataset = {"shape" if name == "image_shape" else name: value for name, value in cell["dataset"].items()}
    cell["dataset"] = {"kind": "image", **dataset}
    cost = {_COSTS_OF_3.get(name, name): value for name, value in data["cost"].items()}
    curve = [{"items" if name == "images" else name: value for name, value in row.items()} for row in data["curve"]]
    return {**data, "schema": 4, "cell": cell, "cost": cost, "curve": curve}


_COSTS_OF_3 = {
    "images": "items",
    "train_images_per_s": "train_items_per_s",
    "sample_images_per_s": "sample_items_per_s",
    "train_flops_per_image": "train_flops_per_item",
    "sample_flops_per_image": "sample_flops_per_item",
}
_UPGRADES = {1: _from_1, 2: _from_2, 3: _from_3}  # from each older schema to the next


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record's document upgraded to this version's schema."""
    while data["schema"] < SCHEMA:
        data = _UPGRADES[data["schema"]](data)
    return data
