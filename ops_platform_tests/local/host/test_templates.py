from __future__ import annotations

import pytest
import yaml

from ops_platform import files
from ops_platform.errors import ConfigurationError
from ops_platform.local.host.templates import render


def test_references_are_replaced_and_comments_left() -> None:
    text = "# ${NAME} is replaced\nurl: ${NAME}/x\n"
    assert render(text, {"NAME": "http://a"}, "t") == "# ${NAME} is replaced\nurl: http://a/x\n"


def test_what_is_no_reference_of_ours_is_left_alone() -> None:
    assert render("v: {{ $value }} $1 ${lower}\n", {}, "t") == "v: {{ $value }} $1 ${lower}\n"


def test_an_unknown_reference_names_the_template() -> None:
    with pytest.raises(ConfigurationError, match=r"a\.yml refers to \$\{NEW\}"):
        render("x: ${NEW}\n", {}, "a.yml")


@pytest.mark.parametrize("name", ["prometheus/prometheus.yml", "alertmanager/alertmanager.yml"])
def test_the_carried_templates_are_yaml_once_rendered(name: str) -> None:
    text = (files.carried("dashboards") / name).read_text(encoding="utf-8")

    class Anything(dict[str, str]):
        def __contains__(self, key: object) -> bool:
            return True

        def __getitem__(self, key: str) -> str:
            return "true" if key.endswith("_TLS") else "http://127.0.0.1:1"

    assert yaml.safe_load(render(text, Anything(), name))
