"""A customer whose invoices are in another database: erased in both, or in none, whatever ends an attempt."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.dr.verification import backup_expiry, erasure_replay, replay_places
from ops_platform.errors import CheckFailed, ConfigurationError, Unavailable
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import context as erasure_context
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.settings import Settings, load_settings
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr import single_erasures
from ops_platform_tests.gdpr.erasing import Product, Products, map_of
from ops_platform_tests.gdpr.erasure_scene import settings_of
from ops_platform_tests.gdpr.other_stores import sealing_keys
from ops_platform_tests.gdpr.single_erasures import erase_without_tombstone
from ops_platform_tests.services import OpsDatabase, Services

pytestmark = pytest.mark.services

ANNA, BEN = "0f5b2c00-0000-4000-8000-00000000000a", "0f5b2c00-0000-4000-8000-00000000000b"
HOME = f"""
CREATE TABLE customers (id uuid PRIMARY KEY, email text, created timestamptz DEFAULT '2020-01-01');
CREATE TABLE orders (id int PRIMARY KEY, buyer uuid REFERENCES customers, note text);
CREATE INDEX ON orders (buyer);
INSERT INTO customers VALUES ('{ANNA}', 'anna.k@example.org'), ('{BEN}', 'ben.m@example.org');
INSERT INTO orders VALUES (1, '{ANNA}', 'a'), (2, '{BEN}', 'b');
"""
# A table of the home table's name holds other things here, one of them with Anna's key.
BILLING = f"""
CREATE TABLE payers (id int PRIMARY KEY, customer uuid, mail text);
CREATE INDEX ON payers (customer);
CREATE TABLE invoices (id int PRIMARY KEY, payer int REFERENCES payers, total int);
CREATE INDEX ON invoices (payer);
CREATE TABLE reminders (id int PRIMARY KEY, mail text, text text);
CREATE INDEX ON reminders (mail);
CREATE TABLE customers (id int PRIMARY KEY, label text);
INSERT INTO payers VALUES (1, '{ANNA}', 'anna.k@example.org'), (2, '{BEN}', 'ben.m@example.org');
INSERT INTO invoices SELECT n, 1 + n % 2, n FROM generate_series(1, 8) AS n;
INSERT INTO reminders VALUES (1, 'anna.k@example.org', 'pay'), (2, 'ben.m@example.org', 'pay');
INSERT INTO customers VALUES (1, 'a label');
"""
MAP = """
subject: {kind: customer, table: customers, key: id, email: email}
databases:
  billing:
    url_env: BILLING_DATABASE_URL
    tables:
      payers:
        personal: [mail]
        plain: [id]
        rows: [{role: payer, column: customer, erase: delete, export: own}]
      invoices:
        plain: [id, total]
        rows: [{role: theirs, column: payer, through: payers, to: id, erase: delete, export: own}]
      reminders:
        personal: [text]
        plain: [id]
        rows: [{role: reminded, column: mail, holds: email, erase: delete, export: own}]
      customers: {plain: [id, label]}
tables:
  customers:
    personal: [email]
    plain: [created]
    created: created
    rows: [{role: account, column: id, erase: delete, export: own}]
  orders:
    personal: [note]
    plain: [id]
    rows: [{role: buyer, column: buyer, erase: delete, export: own}]
"""
GROUPS = f"""
CREATE TABLE members (id int PRIMARY KEY, grp int, customer uuid);
CREATE INDEX ON members (customer);
CREATE TABLE groups (id int PRIMARY KEY, label text);
INSERT INTO groups VALUES (1, 'of both'), (2, 'of one');
INSERT INTO members VALUES (1, 1, '{ANNA}'), (2, 1, '{BEN}'), (3, 2, '{ANNA}');
"""
_CUSTOMERS = "      customers: {plain: [id, label]}\n"
WITH_GROUPS = (
    _CUSTOMERS,
    _CUSTOMERS
    + """
      members:
        plain: [id, grp]
        rows: [{role: in, column: customer, erase: delete, export: own}]
      groups:
        personal: [label]
        rows: [{role: member, column: id, through: members, to: grp, erase: delete, export: own}]
""",
)
OF_BILLING = {"billing: payers", "billing: invoices", "billing: reminders"}


@dataclass(frozen=True)
class Shop:
    home: Product
    billing: Product
    data_map: DataMap

    @property
    def stores(self) -> DataStores:
        def connect(product: Product) -> Callable[[], postgres.Connection]:
            return lambda: postgres.connect(product.cluster.url("ops_eraser", product.name), autocommit=True)

        return DataStores(self.data_map, connect(self.home), {}, None, {"billing": connect(self.billing)})

    def erase(self, log: Callable[[str], None] = print, **more: Any) -> bool:
        return erase_without_tombstone(self.stores, ANNA, log, **more) is not None

    def left(self, key: str = ANNA, mail: str = "anna.k@example.org") -> list[int]:
        """Rows of a person at home and in billing by SQL of our own, and begun erasures."""
        there = {"key": key, "mail": mail}
        with self.home.owner() as home, self.billing.owner() as billing:
            [own] = home.execute(
                "SELECT (SELECT count(*) FROM customers WHERE id = %(key)s) "
                "+ (SELECT count(*) FROM orders WHERE buyer = %(key)s) AS n",
                there,
            )
            [bills] = billing.execute(
                "SELECT (SELECT count(*) FROM payers WHERE customer = %(key)s OR mail = %(mail)s) "
                "+ (SELECT count(*) FROM invoices WHERE payer = CASE %(mail)s "
                "WHEN 'anna.k@example.org' THEN 1 ELSE 2 END) "
                "+ (SELECT count(*) FROM reminders WHERE mail = %(mail)s) AS n",
                there,
            )
        begun = 0
        for product in (self.home, self.billing):
            with product.eraser() as eraser:
                begun += eraser.execute("SELECT FROM ops_platform.erasures").rowcount
        return [own["n"], bills["n"], begun]

    def ben(self) -> list[int]:
        return self.left(BEN, "ben.m@example.org")[:2]


@pytest.fixture
def shop(products: Products, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(products.create(), products.create(), map_of(tmp_path, MAP))
    with made.home.owner() as home, made.billing.owner() as billing:
        home.execute(HOME)
        billing.execute(BILLING)
    yield made
    for product in (made.home, made.billing):
        products.drop(product)


def test_erased_in_both_databases_and_nobody_else(shop: Shop) -> None:
    said = dict[str, Any]()
    assert (shop.left(), shop.ben()) == ([2, 6, 0], [2, 6])
    assert shop.erase(tell=said.update)
    assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])
    told = said["others_told_apart"]
    assert told["by_foreign_keys"] == ["customers", "orders"]
    assert set(told["by_data_map_only"]) == {f"billing: {one}" for one in ("invoices", "payers", "reminders")}
    assert not shop.erase()


def test_what_would_be_left_in_one_refuses_all(shop: Shop, tmp_path: Path) -> None:
    """Before anything is destroyed: of a place that no rule covers, a row of two people, a database away."""
    before, stores = [shop.left(), shop.ben()], shop.stores

    def refused(match: str, data: DataStores = stores, error: type[Exception] = CheckFailed) -> None:
        with pytest.raises(error, match=match) as caught:
            erase_without_tombstone(data, ANNA, print)
        assert "\n" not in str(caught.value)
        assert "anna" not in str(caught.value)

    with shop.billing.owner() as billing, shop.home.owner() as home:
        billing.execute("UPDATE customers SET label = 'of anna.k@example.org'")
        refused(r"^database billing: nothing was destroyed in this attempt: .* customers\.label")
        billing.execute("UPDATE customers SET label = 'a label'")
        # Her address is another's, too, as only the home database knows: whose is the reminder?
        home.execute("UPDATE customers SET email = 'anna.k@example.org' WHERE email LIKE 'ben%'")
        accepted = MAP + "accepted: [{place: customers.email, because: Couples share an address.}]\n"
        of_couples = replace(stores, data_map=map_of(tmp_path, accepted))
        reminded = (
            r"^database billing: .*reminders \(reminded\): 1 rows: 1 another customer's in the same role"
        )
        refused(reminded, of_couples)
        # To a column that ignores case theirs are one address.
        home.execute(f"UPDATE customers SET email = 'Anna.K@example.org' WHERE id = '{BEN}'")
        billing.execute("CREATE EXTENSION citext; ALTER TABLE reminders ALTER mail TYPE citext")
        billing.execute("UPDATE reminders SET mail = 'Anna.K@example.org' WHERE id = 2")
        refused(reminded.replace("1", "2"), of_couples)
        billing.execute("ALTER TABLE reminders ALTER mail TYPE text")
        billing.execute("UPDATE reminders SET mail = 'ben.m@example.org' WHERE id = 2")
        home.execute(f"UPDATE customers SET email = 'ben.m@example.org' WHERE id = '{BEN}'")
        # A group of two customers: here no foreign key and no table of customers says who Ben is.
        billing.execute(GROUPS)
        of_groups = replace(stores, data_map=map_of(tmp_path, MAP.replace(*WITH_GROUPS)))
        refused(
            r"^database billing: .*groups \(member\): 1 rows: 1 another customer's in the same", of_groups
        )
        billing.execute("DROP TABLE groups, members")
        billing.execute("ALTER TABLE payers RENAME mail TO email")
        refused("^database billing: the map does not fit the database")
        billing.execute("ALTER TABLE payers RENAME email TO mail")
    refused("^database billing", replace(stores, elsewhere={"billing": _away}), Unavailable)
    same = replace(stores, elsewhere={"billing": stores.product})
    refused("billing is the same as the product database", same, ConfigurationError)
    assert [shop.left(), shop.ben()] == before


def _away() -> postgres.Connection:
    raise Unavailable("database billing (BILLING_DATABASE_URL): cannot connect")


def killed(work: Callable[[], object]) -> bool:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.full
def test_a_kill_between_the_databases(shop: Shop) -> None:
    """Killed when billing is done, which is first: the next attempt does the rest, and knows as much."""
    keys = sealing_keys()

    def die_at_home(line: str) -> None:
        if "rows changed" in line and not line.startswith("billing"):
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(lambda: shop.erase(die_at_home, keys=keys))
    assert shop.left()[1] == 0
    # Written meanwhile, when the name alone says whose it is.
    with shop.billing.owner() as billing:
        billing.execute("INSERT INTO reminders VALUES (3, 'anna.k@example.org', 'pay')")
    assert shop.erase(keys=keys)
    assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])


@pytest.mark.full
def test_killed_after_each_table(shop: Shop) -> None:
    keys, attempts = sealing_keys(), 0

    def die(line: str) -> None:
        if "rows changed" in line:
            os.kill(os.getpid(), signal.SIGKILL)

    while killed(lambda: shop.erase(die, keys=keys)):
        attempts += 1
    assert attempts >= 5
    assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])


@pytest.mark.full
def test_somebody_has_the_address_by_now(shop: Shop) -> None:
    """The home database says whose a name is: rows by it that are not surely the subject's are left."""

    def register(line: str) -> None:
        if line.startswith("customers:"):
            with shop.home.owner() as home, shop.billing.owner() as billing:
                home.execute("INSERT INTO customers VALUES (gen_random_uuid(), 'anna.k@example.org', now())")
                billing.execute("INSERT INTO reminders VALUES (9, 'anna.k@example.org', 'new')")

    with pytest.raises(CheckFailed, match=r"billing: reminders\.mail"):
        shop.erase(register)
    with shop.billing.owner() as billing:
        assert billing.execute("SELECT FROM reminders WHERE id = 9").rowcount == 1


@dataclass(frozen=True)
class Place:
    settings: Settings
    shop: Shop

    @property
    def environment(self) -> dict[str, str]:
        billing = self.shop.billing
        return {
            **{name: value.get_secret_value() for name, value in self.settings.environ.items()},
            "BILLING_DATABASE_URL": billing.cluster.url("ops_eraser", billing.name),
        }

    @property
    def with_billing(self) -> Settings:
        return load_settings(self.environment)

    @property
    def stanza(self) -> str:
        """Of the cluster that both databases are in: tests before may have made one, too."""
        return self.shop.home.cluster.name

    @property
    def of_one_cluster(self) -> str:
        """The map that says so."""
        return MAP.replace("    tables:\n", f"    stanza: {self.stanza}\n    tables:\n", 1)

    def run(self, *command: str) -> Result:
        return CliRunner().invoke(cli, ["gdpr", *command], input=f"{ANNA}\n", env=self.environment)


@pytest.fixture
def place(
    services: Services, shop: Shop, ops_database: OpsDatabase, product_redis: RunningRedis, tmp_path: Path
) -> Place:
    settings = settings_of(services, shop.home, ops_database, product_redis)
    (settings.config_dir / "data_map.yaml").write_text((tmp_path / "data_map.yaml").read_text())
    return Place(settings, shop)


@dataclass(frozen=True)
class Restored:
    """As much of a restored server as a replay uses: databases of a cluster that runs."""

    shop: Shop

    def connect(self, database: str) -> postgres.Connection:
        return postgres.connect(self.shop.home.cluster.url("ops_eraser", database), autocommit=True)

    def url(self, database: str, role: str) -> str:
        return self.shop.home.cluster.url(role, database)

    def databases(self) -> list[str]:
        return [self.shop.home.name, self.shop.billing.name]


def _comes_back_with_either(place: Place) -> None:
    """One of the databases is restored, then both: whoever was erased goes again, also by the name."""
    settings, shop = place.with_billing, place.shop
    rows = BILLING[BILLING.index("INSERT INTO payers") :]
    tables = "TRUNCATE payers, invoices, reminders, customers;"
    with shop.billing.owner() as billing, shop.home.owner() as home:
        billing.execute(tables + rows)
        live = erasure_replay.replay_live(settings, print).rows
        assert (live.came_back, shop.left(), shop.ben()) == (1, [0, 0, 0], [2, 6])
        assert {effect.place for effect in live.effects if effect.changed} == OF_BILLING
        billing.execute(tables + rows)
        home.execute("TRUNCATE orders, customers;" + HOME[HOME.index("INSERT INTO customers") :])
        server: Any = Restored(shop)
        known = erasure_replay.from_ops_database(settings.require("database_url"), place.stanza)
        replayed = erasure_replay.replay(known, server, place.stanza, shop.home.name, settings, print)
        assert replayed.passed, replayed
        assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])
        # By another name than its own, as a pooler has it, which reaches nothing now.
        alias = shop.home.cluster.url("ops_eraser", "billing_rw")
        by_alias = load_settings({**place.environment, "BILLING_DATABASE_URL": alias})
        replayed = erasure_replay.replay(known, server, place.stanza, shop.home.name, by_alias, print)
        assert not replayed.passed
        assert "no database billing_rw in the restored moment, but" in replayed.summary
        assert shop.billing.name in replayed.summary
        # In an older moment she had another address, which only the restored row at home says.
        earlier = "anna.old@example.org"
        for identity in (known.tombstones[0].identity, None):
            billing.execute(tables + rows.replace("anna.k@example.org", earlier))
            home.execute("TRUNCATE orders, customers;" + HOME[HOME.index("INSERT INTO customers") :])
            home.execute("UPDATE customers SET email = %s WHERE id = %s", (earlier, ANNA))
            of_then = replace(known, tombstones=[replace(known.tombstones[0], identity=identity)])
            replayed = erasure_replay.replay(of_then, server, place.stanza, shop.home.name, settings, print)
            assert replayed.passed, replayed
            assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])
            assert not billing.execute("SELECT FROM reminders WHERE mail = %s", (earlier,)).rowcount
    assert replay_places.subjects_stanza(settings, "ops") == "ops"
    assert replay_places.further_stanzas(settings, place.stanza) == set()
    # As if billing were a cluster of its own, restored alone: whose a name is says the product that serves.
    map_of(settings.config_dir, MAP.replace("    tables:\n", "    stanza: money\n    tables:\n", 1))
    assert replay_places.subjects_stanza(settings, "money") == place.stanza
    assert replay_places.further_stanzas(settings, place.stanza) == {"money"}
    with shop.billing.owner() as billing:
        billing.execute(tables + rows)
    replayed = erasure_replay.replay(known, server, "money", shop.billing.name, settings, print)
    assert replayed.passed, replayed
    assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])


def _can_be_drafted(place: Place) -> None:
    database = ("--database", "billing", "BILLING_DATABASE_URL")
    drafted = place.run("map", "draft", "--subject", "customers", *database)
    assert drafted.exit_code == 0, drafted.output
    part = yaml.safe_load(drafted.stdout)["databases"]["billing"]
    assert part["url_env"] == "BILLING_DATABASE_URL"
    assert [*part["tables"]] == ["customers", "invoices", "payers", "reminders"]
    roles = {name: [row["column"] for row in table.get("rows", ())] for name, table in part["tables"].items()}
    assert roles == {
        "customers": [],
        "invoices": ["payer"],
        "payers": ["customer", "mail"],
        "reminders": ["mail"],
    }
    [by_name] = part["tables"]["reminders"]["rows"]
    assert by_name["holds"] == "email"
    assert "2 of 2 sampled values are email of customers" in by_name["undecided"]


def _is_exported(file: Path) -> None:
    """What billing has of her is beside what her account has; nothing of Ben's is."""
    with zipfile.ZipFile(file) as archive:
        read = {name: archive.read(name).decode() for name in archive.namelist()}
    [reminder] = json.loads(read["data/billing/reminders/reminded.json"])
    assert reminder["text"] == "pay"
    assert len(json.loads(read["data/billing/invoices/theirs.json"])) == 4
    assert json.loads(read["data/billing/payers/payer.json"])[0]["mail"] == "anna.k@example.org"
    assert len(json.loads(read["data/customers/account.json"])) == 1
    assert not any("ben.m" in text or BEN in text for text in read.values())
    places = {part["place"]: part["rows"] for part in json.loads(read["manifest.json"])["parts"]}
    assert places == {"customers": 1, "orders": 1, **dict(zip(sorted(OF_BILLING), (4, 1, 1), strict=True))}
    assert "billing: payers" in {item["place"] for item in json.loads(read["about.json"])["data"]}


@pytest.mark.full
def test_killed_at_each_step_with_a_tombstone(place: Place, ops_database: OpsDatabase) -> None:
    """Each attempt dies one line of its log later than the one before, until one ends."""
    settings, shop = place.with_billing, place.shop
    data_map, url = map_of(settings.config_dir, place.of_one_cluster), settings.require("database_url")

    def attempt(number: int) -> None:
        lines = itertools.count(1)

        def log(line: str) -> None:
            if next(lines) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        term = backup_expiry.product_backup_term(settings, data_map)
        context = erasure_context.open_context(settings, term, data_map)
        assert single_erasures.erase(url, context, ANNA, log) is not None

    attempts = next(number for number in itertools.count(1) if not killed(partial(attempt, number)))
    assert attempts > 8
    assert (shop.left(), shop.ben()) == ([0, 0, 0], [2, 6])
    with postgres.session(ops_database.url("ops_worker")) as ops:
        [stored] = ops.execute("SELECT document FROM gdpr_certificates").fetchall()
        assert ops.execute("SELECT FROM gdpr_inventories").rowcount == 0
    effects = json.loads(stored["document"])["effects"]
    changed = {one["place"]: one["changed"] for one in effects if one["place"] in OF_BILLING}
    assert changed == {"billing: payers": 1, "billing: invoices": 4, "billing: reminders": 1}


@pytest.mark.full
def test_one_tombstone_and_one_certificate(place: Place, ops_database: OpsDatabase, tmp_path: Path) -> None:
    _can_be_drafted(place)
    checked = place.run("map", "check")
    assert checked.exit_code == 0, checked.output
    assert "billing: 4 tables and 0 views are covered" in checked.output
    seen = place.run("preview", "--subject-file", "-", "--json")
    assert seen.exit_code == 0, seen.output
    [preview] = json.loads(seen.stdout)
    rows = {share["table"]: share["rows"] for share in preview["shares"]}
    of_billing = {"billing: payers": 1, "billing: invoices": 4, "billing: reminders": 1}
    assert rows == {"customers": 1, "orders": 1, **of_billing}
    exported = place.run("export", "--subject-file", "-", "--out", str(tmp_path / "out"), "--without-objects")
    assert exported.exit_code == 0, exported.output
    _is_exported(tmp_path / "out" / "subject-1.zip")
    # Both are of one cluster here, whose backups the map must know of.
    refused = place.run("erase", "--subject-file", "-")
    assert isinstance(refused.exception, CheckFailed)
    assert f"whose stanza is {place.stanza}, and the data map says of it no stanza" in str(refused.exception)
    assert place.shop.left() == [2, 6, 0]
    map_of(place.settings.config_dir, place.of_one_cluster)
    done = place.run("erase", "--subject-file", "-", "--json")
    assert done.exit_code == 0, (done.exception, done.stderr)
    assert "about to change the database billing " in done.stderr
    # The servers of the stanzas were asked, and are those of the databases.
    assert "could not be asked" not in done.stderr
    assert place.shop.left() == [0, 0, 0]
    assert place.shop.ben() == [2, 6]
    [said] = json.loads(done.stdout)
    with postgres.session(ops_database.url("ops_worker")) as ops:
        [stored] = ops.execute("SELECT document FROM gdpr_certificates").fetchall()
        assert ops.execute("SELECT FROM erasure_tombstones WHERE completed_at IS NOT NULL").rowcount == 1
    certificate = json.loads(stored["document"])
    home, billing = certificate["databases"]
    assert (home["name"], billing["name"], billing["stanza"]) == ("product", "billing", place.stanza)
    assert billing["database"] == place.shop.billing.name
    for database in (home, billing):
        assert database["last_backup_expires_at"] == certificate["last_backup_expires_at"]
    assert "mail" in certificate["searched"]["columns"]["billing: reminders"]
    assert {one["table"] for one in certificate["others_unchanged"]} >= {"billing: payers", "customers"}
    changed = {one["place"]: one["changed"] for one in certificate["effects"] if one["changed"]}
    assert changed == rows
    _comes_back_with_either(place)
    with postgres.session(ops_database.url("ops_owner"), autocommit=True) as ops:
        ops.execute("UPDATE erasure_tombstones SET subject_type = 'employee'")
        refused = place.run("map", "check")
    assert refused.exit_code == 1
    assert "erased-kind" in refused.output
    shown = place.run("certificate", said["request_id"])
    assert shown.exit_code == 0, shown.output
    (tmp_path / "certificate.json").write_text(shown.stdout)
    verified = place.run("verify-certificate", str(tmp_path / "certificate.json"))
    assert verified.exit_code == 0, verified.output
    assert "billing in the map; its last backup expires" in verified.output
