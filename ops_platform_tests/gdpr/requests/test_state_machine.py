"""Any sequence of what subjects, workers and time do to requests, against a model of a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ops_platform.gdpr.requests import lifecycle as requests
from ops_platform.gdpr.requests import token as tokens
from ops_platform.gdpr.requests.deadlines import MAIL_AGAIN_AFTER, VERIFY_WITHIN
from ops_platform.gdpr.requests.lifecycle import MAX_WRONG_TOKENS, RequestError
from ops_platform.gdpr.requests.mail_texts import RequestType
from ops_platform_tests.gdpr.requests_database import T0, Requests, requests_of
from ops_platform_tests.services import OpsDatabase, OpsDatabases

pytestmark = pytest.mark.services
PEOPLE, TYPES = st.integers(0, 1), st.sampled_from(requests.REQUEST_TYPES)
PICK = st.integers(0, 7)


@dataclass
class Model:
    """What is to be true of one request."""

    request_id: str
    subject: UUID
    request_type: RequestType
    expires_at: datetime
    mailed_at: datetime
    steps: list[str] = field(default_factory=lambda: ["pending"])
    tokens: list[str] = field(default_factory=list)
    wrong: int = 0

    @property
    def state(self) -> str:
        return self.steps[-1]


class Protocol(RuleBasedStateMachine):
    table: Requests

    @initialize()
    def begin(self) -> None:
        self.table.worker.execute("DELETE FROM gdpr_requests")  # of the example before
        self.now, self.people, self.all = T0, [uuid4(), uuid4()], list[Model]()

    def pick(self, number: int) -> Model | None:
        return self.all[number % len(self.all)] if self.all else None

    def open(self, subject: UUID, request_type: str) -> Model | None:
        self.sweep_model(subject)
        return next(
            (
                one
                for one in self.all
                if (one.subject, one.request_type) == (subject, request_type)
                and one.state in ("pending", "verified", "processing")
            ),
            None,
        )

    def sweep_model(self, subject: UUID | None) -> int:
        late = [
            one
            for one in self.all
            if one.state == "pending" and one.expires_at <= self.now and subject in (None, one.subject)
        ]
        for one in late:
            one.steps.append("expired")
        return len(late)

    @rule(seconds=st.sampled_from([1, 299, 300, 3600, 86399, 86400]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(person=PEOPLE, request_type=TYPES)
    def wish(self, person: int, request_type: RequestType) -> None:
        subject = self.people[person]
        model = self.open(subject, request_type)
        made = self.table.make(subject, request_type, self.now)
        assert made.created == (model is None)
        if model is None:
            model = Model(made.request.request_id, subject, request_type, self.now + VERIFY_WITHIN, self.now)
            self.all.append(model)
            assert made.mailed
        else:
            due = model.state == "pending" and self.now - model.mailed_at >= MAIL_AGAIN_AFTER
            assert (made.request.request_id, made.mailed) == (model.request_id, due)
        if made.mailed:
            model.tokens.append(self.table.token(model.request_id))
            model.expires_at, model.mailed_at, model.wrong = self.now + VERIFY_WITHIN, self.now, 0
            self.table.sent()

    @rule(number=PICK, which=PICK)
    def use_a_token(self, number: int, which: int) -> None:
        """The newest, an older one, or a guess."""
        model = self.pick(number)
        if model is None:
            return
        guess = which == 7
        token = tokens.new_token() if guess else model.tokens[which % len(model.tokens)]
        may = (
            token == model.tokens[-1]
            and model.state == "pending"
            and self.now < model.expires_at
            and model.wrong < MAX_WRONG_TOKENS
        )
        try:
            self.table.verify(model.request_id, token, self.now)
        except RequestError:
            assert not may
            model.wrong += model.state == "pending" and token != model.tokens[-1]
        else:
            assert may
            model.steps.append("verified")

    @rule(number=PICK, person=PEOPLE)
    def cancel(self, number: int, person: int) -> None:
        model, subject = self.pick(number), self.people[person]
        if model is None:
            return
        mine = model.subject == subject
        try:
            self.table.cancel(model.request_id, subject, self.now)
        except RequestError:
            assert not mine or model.state not in ("pending", "verified", "cancelled")
        else:
            assert mine
            if model.state != "cancelled":
                assert model.state in ("pending", "verified")
                model.steps.append("cancelled")

    @rule()
    def expire(self) -> None:
        assert self.table.expire(self.now) == self.sweep_model(None)

    @rule(number=PICK, end=st.sampled_from([("completed", "fulfilled"), ("failed", "error")]))
    def work(self, number: int, end: tuple[str, str]) -> None:
        model = self.pick(number)
        if model is not None and model.state == "verified":
            self.table.claim(model.request_id, "processing")
            model.steps.append("processing")
        elif model is not None and model.state == "processing":
            self.table.claim(model.request_id, *end)
            model.steps.append(end[0])

    @invariant()
    def the_database_agrees(self) -> None:
        for model in getattr(self, "all", []):
            assert self.table.steps(model.request_id) == model.steps
            row = self.table.row(model.request_id)
            assert row["wrong_tokens"] == model.wrong
            state = model.state
            assert row["status"] == {"verified": "pending", "cancelled": "failed", "expired": "failed"}.get(
                state, state
            )


@contextmanager
def fresh(databases: OpsDatabases) -> Iterator[OpsDatabase]:
    database = databases.create()
    yield database
    databases.drop(database)


@pytest.mark.parametrize(("examples", "steps"), [(12, 20), pytest.param(150, 40, marks=pytest.mark.full)])
def test_any_sequence(ops_databases: OpsDatabases, examples: int, steps: int) -> None:
    with fresh(ops_databases) as database, requests_of(database) as table:
        machine = type("Machine", (Protocol,), {"table": table})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
