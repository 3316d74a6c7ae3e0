"""Customers and employees in one database, with the same keys and one person who is both."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from click.testing import CliRunner, Result

from ops_platform.cli import cli
from ops_platform.clients.postgres import connection as postgres
from ops_platform.errors import CheckFailed, ConfigurationError
from ops_platform.gdpr.after_restore import replay
from ops_platform.gdpr.connections.open_database import OpenDatabase
from ops_platform.gdpr.data_map import kinds, parser
from ops_platform.gdpr.data_map.model import DataMap
from ops_platform.gdpr.erasure import inventory
from ops_platform.gdpr.erasure.context import DataStores
from ops_platform.gdpr.map_check import all_checks as map_check
from ops_platform.gdpr.map_check.draft import kinds_proposal
from ops_platform.gdpr.reports import data_audit
from ops_platform.gdpr.row_erasure import engine as row_erasure
from ops_platform.gdpr.schema import reader as catalogue
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.subject.identity import Identity
from ops_platform.gdpr.subject.subject_key import SubjectKey
from ops_platform.gdpr.tombstones import tombstone_store
from ops_platform.gdpr.tombstones.entry import Tombstone
from ops_platform.gdpr.tombstones.legal_holds import Held
from ops_platform.settings import Settings
from ops_platform_tests.clients.running_redis import RunningRedis
from ops_platform_tests.gdpr.erasing import Product, Products, erasing, map_of, outlook_of
from ops_platform_tests.gdpr.erasure_scene import settings_of
from ops_platform_tests.gdpr.other_stores import sealing_keys
from ops_platform_tests.gdpr.single_erasures import erase_without_tombstone
from ops_platform_tests.services import OpsDatabase, Services

pytestmark = pytest.mark.services

ANNA, BEN = "0f5b2c00-0000-4000-8000-00000000000a", "0f5b2c00-0000-4000-8000-00000000000b"
TABLES = """
CREATE TABLE customers (id uuid PRIMARY KEY, email text, created timestamptz);
CREATE TABLE employees (id uuid PRIMARY KEY, mail text, note text, created timestamptz);
CREATE TABLE orders (id int PRIMARY KEY, buyer uuid REFERENCES customers, packer uuid REFERENCES employees,
                     contact text, created timestamptz);
CREATE INDEX ON orders (buyer);
CREATE INDEX ON orders (packer);
CREATE TABLE payslips (id int PRIMARY KEY, employee uuid, mail text, created timestamptz);
CREATE INDEX ON payslips (employee);
CREATE TABLE files (id int PRIMARY KEY, type text, owner uuid, name text, created timestamptz);
CREATE INDEX ON files (owner);
"""
# Anna is both, under the same key, which is Ben's only as a customer: the employee of his key is Cleo.
ROWS = f"""
INSERT INTO customers VALUES ('{ANNA}', 'anna.k@example.org', '2020-01-01'),
    ('{BEN}', 'ben.m@example.org', '2020-01-01') ON CONFLICT DO NOTHING;
INSERT INTO employees VALUES ('{ANNA}', 'Anna.K@example.org', 'is anna.k@example.org', '2020-01-01'),
    ('{BEN}', 'cleo.p@example.org', NULL, '2020-01-01') ON CONFLICT DO NOTHING;
INSERT INTO orders VALUES (1, '{ANNA}', '{BEN}', 'anna.k@example.org', '2020-01-01'),
    (2, '{BEN}', '{ANNA}', 'ben.m@example.org', '2020-01-01') ON CONFLICT DO NOTHING;
INSERT INTO payslips VALUES (1, '{ANNA}', 'anna.k@example.org', '2020-01-01'),
    (2, '{BEN}', 'cleo.p@example.org', '2020-01-01') ON CONFLICT DO NOTHING;
INSERT INTO files VALUES (1, 'Customer', '{ANNA}', 'a', '2020-01-01'),
    (2, 'Staff', '{ANNA}', 'b', '2020-01-01'),
    (3, 'Customer', '{BEN}', 'c', '2020-01-01'), (4, 'Staff', '{BEN}', 'd', '2020-01-01')
    ON CONFLICT DO NOTHING;
"""
MAP = """
subjects:
  customer: {table: customers, key: id, email: email}
  employee: {table: employees, key: id, email: mail}
tables:
  customers:
    personal: [email]
    plain: [created]
    created: created
    rows: [{role: account, of: customer, column: id, erase: delete, export: own}]
  employees:
    personal: [mail, note]
    plain: [created]
    created: created
    rows: [{role: account, of: employee, column: id, erase: delete, export: own}]
  orders:
    personal: [contact]
    plain: [id, created]
    created: created
    rows:
      - {role: buyer, of: customer, column: buyer, erase: delete, export: own}
      - {role: packer, of: employee, column: packer, erase: {anonymise: {packer: null}}, export: [id]}
  payslips:
    personal: [mail]
    plain: [id, created]
    created: created
    rows: [{role: paid, of: employee, column: employee, erase: {keep: {basis: law, term: 10 y}}, export: own}]
  files:
    personal: [name]
    plain: [id, created]
    created: created
    rows:
      - {role: mine, of: customer, column: owner, where: {type: Customer}, erase: delete, export: own}
      - {role: mine, of: employee, column: owner, where: {type: Staff}, erase: delete, export: own}
"""
CUSTOMER = ["customers", "orders 1", "files 1"]
"""What is Anna's as a customer, in SQL by hand; and as an employee."""
EMPLOYEE = ["employees", "orders 2 packed", "files 2"]
EVERYTHING = {
    "customers": f"SELECT FROM customers WHERE id = '{ANNA}'",
    "employees": f"SELECT FROM employees WHERE id = '{ANNA}'",
    "orders 1": "SELECT FROM orders WHERE id = 1",
    "orders 2 packed": f"SELECT FROM orders WHERE id = 2 AND packer = '{ANNA}'",
    "payslips": f"SELECT FROM payslips WHERE employee = '{ANNA}' AND mail = 'anna.k@example.org'",
    "files 1": "SELECT FROM files WHERE id = 1",
    "files 2": "SELECT FROM files WHERE id = 2",
    # Of others, as a customer and as an employee of one key.
    "Ben": f"SELECT FROM customers WHERE id = '{BEN}' AND email = 'ben.m@example.org'",
    "Cleo": f"SELECT FROM employees WHERE id = '{BEN}' AND mail = 'cleo.p@example.org'",
    "orders 2": f"SELECT FROM orders WHERE id = 2 AND buyer = '{BEN}'",
    "payslips 2": f"SELECT FROM payslips WHERE id = 2 AND employee = '{BEN}'",
    "files 3, 4": "SELECT FROM files WHERE id IN (3, 4) HAVING count(*) = 2",
}


def there(product: Product) -> list[str]:
    with product.owner() as owner:
        return [name for name, query in EVERYTHING.items() if owner.execute(query).fetchone() is not None]


def but(*gone: str) -> list[str]:
    return [name for name in EVERYTHING if name not in gone]


def killed(work: Callable[[], object]) -> bool:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@dataclass(frozen=True)
class Place:
    settings: Settings
    product: Product
    ops: OpsDatabase

    def run(self, *command: str, key: str = ANNA) -> Result:
        environment = {name: value.get_secret_value() for name, value in self.settings.environ.items()}
        for name in os.environ:
            if name.startswith("OPS_"):
                environment.setdefault(name, "")
        return CliRunner().invoke(cli, ["gdpr", *command], input=f"{key}\n", env=environment)

    def erase(self, kind: str, *options: str, key: str = ANNA) -> dict[str, object]:
        done = self.run("erase", "--kind", kind, "--subject-file", "-", "--json", *options, key=key)
        assert done.exit_code == 0, (done.exception, done.stderr)
        assert "anna" not in (done.stdout + done.stderr).lower()
        [said] = json.loads(done.stdout)
        return dict(said)


@pytest.fixture
def place(
    services: Services,
    products: Products,
    ops_database: OpsDatabase,
    product_redis: RunningRedis,
    tmp_path: Path,
) -> Iterator[Place]:
    product = products.create()
    try:
        settings = settings_of(services, product, ops_database, product_redis)
        map_of(tmp_path, MAP)
        (settings.config_dir / "data_map.yaml").write_text((tmp_path / "data_map.yaml").read_text())
        with product.owner() as owner:
            owner.execute(TABLES)
            owner.execute(ROWS)
        yield Place(settings, product, ops_database)
    finally:
        products.drop(product)


def test_one_person_of_two_kinds_is_erased_by_each_alone(place: Place, tmp_path: Path) -> None:
    for command in (
        ("erase", "--subject-file", "-"),
        ("preview", "--subject-file", "-"),
        ("export", "--subject-file", "-", "--out", str(tmp_path / "none")),
        ("hold", "place", "--subject-file", "-", "--basis", "claim"),
    ):
        refused = place.run(*command)
        assert isinstance(refused.exception, ConfigurationError)
        assert "customer and employee: say --kind" in str(refused.exception)
    assert place.run("map", "check").exit_code == 0
    counted = place.run("preview", "--kind", "customer", "--subject-file", "-", "--json")
    assert counted.exit_code == 0, counted.stdout
    [outlook] = json.loads(counted.stdout)
    assert [(one["table"], one["rows"]) for one in outlook["shares"]] == [
        ("files", 1),
        ("orders", 1),
        ("customers", 1),
    ]
    # What she has as an employee is no part of her export as a customer, and neither are keys of employees.
    exported = place.run(
        "export", "--kind", "customer", "--subject-file", "-", "--out", str(tmp_path / "out")
    )
    assert exported.exit_code == 0, exported.exception
    with zipfile.ZipFile(tmp_path / "out" / "subject-1.zip") as archive:
        assert json.loads(archive.read("manifest.json"))["subject"] == "customer"
        names = archive.namelist()
        [order] = json.loads(archive.read("data/orders/buyer.json"))
    assert [name for name in names if "payslips" in name or "employees" in name] == []
    assert (order["buyer"], order["packer"][:7]) == (ANNA, "person-")
    # A hold on the employee does not hold the customer of the same key.
    held = place.run("hold", "place", "--kind", "employee", "--subject-file", "-", "--basis", "claim")
    assert held.exit_code == 0, held.exception
    first = place.erase("customer")
    assert there(place.product) == but(*CUSTOMER)
    refused = place.run("erase", "--kind", "employee", "--subject-file", "-")
    assert isinstance(refused.exception, Held)
    assert place.run("hold", "release", "1").exit_code == 0
    second = place.erase("employee")
    # The law keeps a payslip with her address, which was no residue of the customer either.
    assert there(place.product) == but(*CUSTOMER, *EMPLOYEE)
    with postgres.session(place.ops.url("ops_worker")) as ops:
        tombstones = tombstone_store.read(ops, place.product.cluster.name)
        rows = ops.execute("SELECT document FROM gdpr_certificates ORDER BY issued_at").fetchall()
        published = ops.execute("SELECT gdpr_request_id FROM data_erasure_tombstones").fetchall()
        lineage = ops.execute(
            "SELECT request_id, details FROM gdpr_lineage WHERE step = 'preflight' "
            "AND store IS NULL ORDER BY id"
        ).fetchall()
    certificates = [json.loads(row["document"]) for row in rows]
    assert [one["subject_type"] for one in certificates] == ["customer", "employee"]
    # Where her address stays, for she is an employee as well: the scan passes over it, and says so.
    left = {one["place"]: one["rows"] for one in certificates[0]["others_told_apart"]["left_to_other_kinds"]}
    assert left["employees.mail"] == left["payslips.mail"] == 1
    assert not [place for place in left if place.startswith(("customers.", "orders.contact"))]
    assert "left_to_other_kinds" not in certificates[1]["others_told_apart"]
    assert certificates[0]["commitment"] != certificates[1]["commitment"]
    assert [row["details"]["subject_type"] for row in lineage] == ["customer", "employee"]
    assert {
        (one.subject_key.kind, one.subject_key.key, one.subject_key.requestable) for one in tombstones
    } == {
        ("customer", ANNA, True),
        ("employee", ANNA, False),
    }
    # Requests of the API are about customers, and so is what is published of them.
    assert [row["gdpr_request_id"] for row in published] == [first["request_id"]]
    # The first kind is the one that requests are about, whose keys are in them: it must stay the first.
    file = place.settings.config_dir / "data_map.yaml"
    in_order, read = file.read_text(), yaml.safe_load(file.read_text())
    read["subjects"] = dict(reversed(read["subjects"].items()))
    file.write_text(yaml.safe_dump(read, sort_keys=False))
    refused = place.run("erase", "--kind", "employee", "--subject-file", "-", key=BEN)
    assert "put customer first" in str(refused.exception)
    file.write_text(in_order)
    # Yesterday comes back: each tombstone erases its own kind, and nobody with the other's key.
    data_map = parser.load(place.settings.config_dir / "data_map.yaml")
    by_kind = {one.subject_key.kind: one for one in tombstones}
    assert by_kind["employee"].request_id == second["request_id"]
    for done, gone in (("customer", CUSTOMER), ("employee", [*CUSTOMER, *EMPLOYEE])):
        if done == "customer":
            with place.product.owner() as owner:
                owner.execute(ROWS)
                owner.execute(f"UPDATE orders SET packer = '{ANNA}' WHERE id = 2")
        with place.product.eraser() as eraser:
            assert replay.replay(eraser, data_map, [by_kind[done]]).came_back == 1
        assert there(place.product) == but(*gone)
    alone = tmp_path / "customers"
    alone.mkdir()
    only = map_of(
        alone, MAP.replace("employee: {table", "worker: {table").replace("of: employee", "of: worker")
    )
    with (
        place.product.eraser() as eraser,
        pytest.raises(CheckFailed, match="but the data map has only the kind"),
    ):
        replay.replay(eraser, only, [by_kind["employee"]])


@pytest.fixture
def shop(bare_product: Product) -> Product:
    with bare_product.owner() as owner:
        owner.execute(TABLES)
        owner.execute(ROWS)
    return bare_product


def stores(product: Product, data_map: DataMap) -> DataStores:
    url = product.cluster.url("ops_eraser", product.name)
    return DataStores(data_map, lambda: postgres.connect(url, autocommit=True), {}, None)


@pytest.mark.parametrize("order", [("customer", "employee"), ("employee", "customer")])
def test_killed_between_kinds_and_within_each(shop: Product, tmp_path: Path, order: tuple[str, str]) -> None:
    """Each attempt is killed after a table, and that of the other kind goes on in between."""
    data_map = map_of(tmp_path, MAP)
    data = [stores(shop, kinds.choose(data_map, kind)) for kind in order]
    keys = sealing_keys()

    def attempt(of: DataStores) -> bool:
        def log(line: str) -> None:
            if "rows changed" in line:
                os.kill(os.getpid(), signal.SIGKILL)

        return killed(lambda: erase_without_tombstone(of, ANNA, log, keys))

    assert [attempt(one) for one in (*data, *data)] == [True] * 4
    finished = [erase_without_tombstone(one, ANNA, print, keys) for one in data]
    assert None not in finished
    assert there(shop) == but(*CUSTOMER, *EMPLOYEE)
    with shop.eraser() as eraser:
        assert eraser.execute("SELECT FROM ops_platform.erasures").fetchall() == []
    # Ben's key is Cleo's as an employee: neither attempt has known her.
    assert erase_without_tombstone(data[order.index("customer")], BEN, print) is not None
    assert [name for name in there(shop) if name in ("Ben", "Cleo", "payslips 2")] == ["Cleo", "payslips 2"]


def test_what_another_kind_has_is_no_residue_and_what_nobody_has_is(shop: Product, tmp_path: Path) -> None:
    with shop.owner() as owner:
        owner.execute("UPDATE orders SET contact = 'anna.k@example.org' WHERE id = 2")
        owner.execute("UPDATE employees SET note = 'knows anna.k@example.org' WHERE mail LIKE 'cleo%'")
    data_map = map_of(tmp_path, MAP)
    with pytest.raises(CheckFailed) as caught:
        erase_without_tombstone(stores(shop, data_map), ANNA, print)
    # Cleo's row is hers, and does not name a customer by right; the order that Anna packed is another's.
    assert "employees.note (1 rows;" in str(caught.value)
    assert "orders.contact (1 rows;" in str(caught.value)
    assert "of: customer" in str(caught.value)
    assert "payslips" not in str(caught.value)
    # A payslip is an employee's as long as it is of one who is there, or was erased; Cleo's is not Anna's.
    with shop.owner() as owner:
        owner.execute("UPDATE payslips SET mail = 'anna.k@example.org' WHERE id = 2")
    with pytest.raises(CheckFailed, match=r"payslips.mail \(1 rows;"):
        erase_without_tombstone(stores(shop, data_map), ANNA, print)
    assert there(shop) == list(EVERYTHING)


def test_a_replay_erases_by_the_key_where_the_kinds_table_is_not_there_yet(
    shop: Product, tmp_path: Path
) -> None:
    """Employees were split off later; what refers to them is older."""
    with shop.owner() as owner:
        owner.execute("ALTER TABLE orders DROP CONSTRAINT orders_packer_fkey")
        owner.execute("DROP TABLE employees")
        owner.execute("CREATE TABLE mentions (id int PRIMARY KEY, body text)")
        owner.execute(f"INSERT INTO mentions VALUES (1, 'of {ANNA}, anna.k@example.org')")
    text = (
        MAP
        + """
  mentions:
    personal: [body]
    plain: [id]
    rows: [{role: named, of: employee, mentions: body, erase: redact}]
"""
    )
    data_map, keys = map_of(tmp_path, text), sealing_keys()
    employees = kinds.choose(data_map, "employee")
    identity = Identity({"id": UUID(ANNA), "mail": "anna.k@example.org"})
    at = datetime(2026, 1, 1, tzinfo=UTC)
    key = SubjectKey("main", "employee", ANNA, "uuid", requestable=False)
    sealed = inventory.write(inventory.take(employees, identity), keys, "r1")
    tombstone = Tombstone(key, at, "r1", "m", bytes(32), at, sealed)
    with shop.eraser() as eraser:
        assert replay.replay(eraser, data_map, [tombstone], keys=keys).came_back == 1
    with shop.owner() as owner:
        [said] = owner.execute("SELECT body FROM mentions").fetchall()
        packed = owner.execute("SELECT id, packer::text FROM orders ORDER BY id").fetchall()
        files = owner.execute("SELECT id FROM files ORDER BY id").fetchall()
    assert said["body"] == "of [erased], [erased]"
    assert [(row["id"], row["packer"]) for row in packed] == [(1, BEN), (2, None)]
    assert [row["id"] for row in files] == [1, 3, 4]


def test_a_name_in_a_place_of_another_kind_is_residue_unless_somebody_there_has_it(
    shop: Product, tmp_path: Path
) -> None:
    """Nobody would ever erase it as theirs."""
    with shop.owner() as owner:
        owner.execute("UPDATE orders SET packer = NULL")
        owner.execute(f"DELETE FROM employees WHERE id = '{ANNA}'")
        owner.execute("CREATE TABLE visits (id int PRIMARY KEY, mail text)")
        owner.execute("CREATE INDEX ON visits (mail)")
        owner.execute("CREATE TABLE badges (id int PRIMARY KEY, mail text, employee uuid)")
        owner.execute("CREATE INDEX ON badges (employee)")
        owner.execute("DELETE FROM payslips WHERE id = 1")
        owner.execute("DELETE FROM files WHERE id = 2")
        owner.execute("INSERT INTO visits VALUES (1, 'anna.k@example.org')")
        owner.execute("INSERT INTO badges VALUES (1, 'Anna.K@example.org', gen_random_uuid())")
    text = (
        MAP.replace("email: mail}", "email: mail, known_by: [{table: badges, column: mail}]}")
        + """
  visits:
    plain: [id]
    rows: [{role: visitor, of: employee, column: mail, holds: badges.mail, erase: delete}]
  badges:
    personal: [mail]
    plain: [id]
    rows: [{role: bearer, of: employee, column: employee, erase: delete}]
"""
    )
    with pytest.raises(CheckFailed, match=r"visits.mail \(1 rows;"):
        erase_without_tombstone(stores(shop, map_of(tmp_path, text)), ANNA, print)
    # As soon as an employee has the address, by a side table, too, the visits are theirs.
    with shop.owner() as owner:
        owner.execute(f"UPDATE badges SET employee = '{BEN}'")
    assert erase_without_tombstone(stores(shop, map_of(tmp_path, text)), ANNA, print) is not None
    with shop.owner() as owner:
        assert owner.execute("SELECT FROM visits").fetchone() is not None


CONTRACTS = f"""
CREATE TABLE contracts (id int PRIMARY KEY, buyer uuid REFERENCES customers, seller uuid,
                        terms text);
CREATE INDEX ON contracts (buyer);
CREATE INDEX ON contracts (seller);
INSERT INTO contracts VALUES (1, '{ANNA}', '{BEN}', 'a'), (2, '{ANNA}', NULL, 'b'),
    (3, '{BEN}', '{ANNA}', 'c');
"""
SELLER = """
  contracts:
    personal: [terms]
    plain: [id]
    rows:
      - {role: buyer, of: customer, column: buyer, erase: delete}
      - {role: seller, of: employee, column: seller, erase: KEEP}
"""


def test_rows_of_one_kind_are_not_deleted_with_another(shop: Product, tmp_path: Path) -> None:
    """What the law keeps of an employee never is, what is an employee's, too, as the map decides."""
    with shop.owner() as owner:
        owner.execute(CONTRACTS)
    kept = MAP + SELLER.replace("KEEP", "{keep: {basis: law, term: 10 y}}")
    with shop.eraser() as eraser:
        seen = outlook_of(eraser, map_of(tmp_path, kept), ANNA)
    assert seen is not None
    assert seen.refused
    assert [(one.table, one.rows, dict(one.reached_by)) for one in seen.shared] == [
        ("contracts", 1, {"kept by law, of the kind employee (seller)": 1})
    ]
    for text, says in (
        (kept, "kept by law"),
        (
            kept.replace("column: buyer, erase: delete}", "column: buyer, erase: delete, shared: delete}"),
            "kept by law",
        ),
        (MAP + SELLER.replace("KEEP", "delete"), "somebody else's, too"),
    ):
        with pytest.raises(
            CheckFailed, match=rf"{says}.* contracts \(buyer\): 1 rows: 1 .*employee \(seller\)"
        ):
            erase_without_tombstone(stores(shop, map_of(tmp_path, text)), ANNA, print)
        assert there(shop) == list(EVERYTHING)
    # A replay asks nobody, but for what the law keeps.
    data_map = map_of(tmp_path, kept)
    with shop.eraser() as eraser:
        again, known = erasing(eraser, data_map, ANNA, replay=True), catalogue.read(eraser)
        with pytest.raises(CheckFailed, match="kept by law"):
            row_erasure.erase(eraser, data_map, known, again)
    decided = kept.replace(
        "column: buyer, erase: delete}",
        "column: buyer, erase: {delete_unless_referenced: {buyer: null}}, shared: stand_in}",
    )
    with shop.owner() as owner:
        assert map_check.check(owner, map_of(tmp_path, decided)) == []
    done = erase_without_tombstone(stores(shop, map_of(tmp_path, decided)), ANNA, print)
    assert done is not None
    assert there(shop) == but(*CUSTOMER)
    with shop.owner() as owner:
        rows = owner.execute("SELECT id, buyer, seller::text, terms FROM contracts ORDER BY id").fetchall()
    assert [tuple(row.values())[:2] for row in rows] == [(1, None), (3, UUID(BEN))]
    assert (rows[0]["seller"], rows[0]["terms"]) == (BEN, "a")


def test_a_map_is_checked_audited_and_drafted_for_all_kinds(shop: Product, tmp_path: Path) -> None:
    with shop.owner() as owner:
        assert map_check.check(owner, map_of(tmp_path, MAP)) == []
        unlinked = MAP.replace(
            "      - {role: packer, of: employee, column: packer,",
            "      - {role: x, of: employee, column: id,",
        )
        codes = {(one.where, one.code) for one in map_check.check(owner, map_of(tmp_path, unlinked))}
        assert ("orders.packer", "unlinked-reference") in codes
        assert ("orders.packer", "unclassified-column") in codes
        owner.execute("ALTER TABLE files ADD seen uuid")
        owner.execute(f"UPDATE files SET seen = '{BEN}'")
        seen = map_of(
            tmp_path,
            MAP.replace(
                "    personal: [name]\n    plain: [id,", "    personal: [name]\n    plain: [id, seen,"
            ),
        )
        assert {
            (one.where, one.message.split(": ")[0].split("hold ")[-1])
            for one in data_audit.audit([OpenDatabase(seen, owner, catalogue.read(owner))])
        } == {
            ("files.seen", "keys of a customer"),
            ("files.seen", "keys of a employee"),
        }
        drafted = kinds_proposal.draft_of_kinds(
            catalogue.read(owner), [Name("public", "customers"), Name("public", "employees")], ["id"], "email"
        )
        (tmp_path / "draft.yaml").write_text(drafted)
        # Each kind could own the files: only people know what the column beside says.
        with pytest.raises(ConfigurationError, match=r"owner may hold the key of a customer .* say in where"):
            parser.load(tmp_path / "draft.yaml")
    proposed = yaml.safe_load(drafted)
    assert list(proposed["subjects"]) == ["customer", "employee"]
    assert {
        ("customer", "customers", "account"),
        ("customer", "orders", "buyer"),
        ("employee", "employees", "account"),
        ("employee", "orders", "packer"),
    } <= {
        (row["of"], table, row["role"])
        for table, entry in proposed["tables"].items()
        for row in entry.get("rows", ())
    }
