"""Responses held against GitHub's own description of them."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import httpx
from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

_HOME = "urn:github"
# what the stand-in serves and the subset has no path for, by the schema that GitHub's whole description names
_BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("get", "/repos/{owner}/{repo}/pulls/{pull_number}/commits"): {
        "200": {"type": "array", "items": {"$ref": f"{_HOME}#/components/schemas/commit"}}
    },
    ("get", "/repos/{owner}/{repo}"): {"200": {"$ref": f"{_HOME}#/components/schemas/repository"}},
}


@functools.cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "openapi-subset.json").read_text())
    return found


@functools.cache
def _registry() -> Registry[Any]:
    resource = Resource.from_contents(document(), default_specification=DRAFT4)
    found: Registry[Any] = Registry().with_resource(_HOME, resource)
    return found


def operation(method: str, path: str) -> str:
    """The described path that an address belongs to."""
    templates = {*document()["paths"], *(template for _, template in _BESIDE)}
    fitting = [
        template
        for template in templates
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path)
        and (method in document()["paths"].get(template, {}) or (method, template) in _BESIDE)
    ]
    assert fitting, f"GitHub describes no {method} {path}"
    return str(min(fitting, key=lambda template: template.count("{")))


def mistakes(response: httpx.Response, path: str | None = None) -> list[str]:
    """What is wrong with a response; nothing when it is as described."""
    method = response.request.method.lower()
    template = operation(method, path or response.request.url.path)
    status = str(response.status_code)
    if (method, template) in _BESIDE:
        schema = _BESIDE[method, template].get(status)
    else:
        schema = _schema(method, template, status)
    if schema is None:
        # an error's body may be left undescribed; a success without one has none
        return [f"{status} has no body"] if response.content and response.is_success else []
    return check(response.json(), schema)


def check(body: Any, schema: dict[str, Any]) -> list[str]:
    validator = OAS30Validator(schema, registry=_registry(), format_checker=oas30_format_checker)
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(body)]


def _schema(method: str, template: str, status: str) -> dict[str, Any] | None:
    responses = document()["paths"][template][method]["responses"]
    assert status in responses, f"{method} {template} does not answer {status}"
    pointer = f"/paths/{template.replace('/', '~1')}/{method}/responses/{status}"
    told = responses[status]
    if "$ref" in told:
        pointer = told["$ref"].removeprefix("#")
        told = document()["components"]["responses"][pointer.rpartition("/")[2]]
    kinds = told.get("content") or {}
    if "application/json" not in kinds:
        return None
    return {"$ref": f"{_HOME}#{pointer}/content/application~1json/schema"}
