"""Maps with several kinds of subject: what each kind's map says, and a corpus of those that mix them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr

from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.certificates import map_store
from ops_platform.gdpr.data_map import kinds
from ops_platform.gdpr.data_map import parser as map_file
from ops_platform.gdpr.data_map.model import DataMap, Delete, Keep
from ops_platform.gdpr.erasure import objects as object_erasure
from ops_platform.gdpr.schema.relation_name import Name
from ops_platform.gdpr.transparency import processing_record
from ops_platform.settings import S3Identity, S3Settings, Settings

MAP = """\
version: 1
subjects:
  customer:
    table: customers
    key: id
    email: email
  employee:
    table: employees
    key: id
    email: mail
    known_by: [{table: badges, column: badge}]
tables:
  customers:
    purpose: Your account.
    retention: Until you close it.
    personal: [email]
    rows:
      - {role: account, of: customer, column: id, erase: delete, export: own}
  employees:
    purpose: Your employment.
    retention: Ten years.
    personal: [mail]
    rows:
      - {role: account, of: employee, column: id, erase: {keep: {basis: law, term: 10 y}}, export: own}
  badges:
    purpose: Doors.
    retention: A year.
    personal: [badge]
    rows:
      - {role: bearer, of: employee, column: employee, erase: delete, export: own}
  orders:
    purpose: Your orders.
    retention: Ten years.
    titles: {buyer: Bought by}
    rows:
      - {role: buyer, of: customer, column: buyer, erase: delete, export: own}
      - {role: packer, of: employee, column: packer, erase: {anonymise: {packer: null}}, export: none}
  lines:
    purpose: Their lines.
    retention: Ten years.
    rows:
      - {role: of, of: [customer, employee], column: nr, through: orders, to: id, erase: delete, export: own}
  files:
    purpose: Files of anybody.
    retention: A year.
    rows:
      - {role: mine, of: customer, column: owner, where: {type: Customer}, erase: delete, export: own}
      - {role: mine, of: employee, column: owner, where: {type: [Staff, null]}, erase: delete, export: own}
objects:
  - {bucket: media, of: customer, prefix: "customers/{id}/", purpose: Pictures., export: true}
  - {bucket: media, of: employee, prefix: "staff/{id}/", purpose: Contracts., export: true}
cache:
  - {pattern: "customer:{id}:*", of: customer, purpose: Copies.}
  - {pattern: "staff:{id}:*", of: employee, purpose: Copies.}
processors:
  - {name: Post, of: customer, purpose: Letters., email: post@example.org}
accepted:
  - {place: badges.badge, of: customer, because: Numbers of doors.}
"""


def load(directory: Path, text: str) -> DataMap:
    file = directory / "map.yaml"
    file.write_text(text, encoding="utf-8")
    return map_file.load(file)


def test_each_kind_has_a_map_of_its_own(tmp_path: Path) -> None:
    customers = load(tmp_path, MAP)
    employees = kinds.choose(customers, "employee")
    assert kinds.names(customers) == kinds.names(employees) == ["customer", "employee"]
    assert (customers.requestable, employees.requestable) == (True, False)
    assert customers.version == employees.version
    roles = [
        [f"{table.name} {one.role}" for table, one in each.belongings()] for each in (customers, employees)
    ]
    assert roles == [
        ["customers account", "orders buyer", "lines of", "files mine"],
        ["employees account", "badges bearer", "orders packer", "lines of", "files mine"],
    ]
    orders = Name("public", "orders")
    assert [one.role for one in customers.tables[orders].of_other_kinds] == ["packer"]
    # What one kind is found by classifies the column for all.
    assert customers.tables[orders].classified == employees.tables[orders].classified == {"buyer", "packer"}
    assert [one.prefix for one in customers.objects] == ["customers/{id}/"]
    assert [one.prefix for one in employees.objects] == ["staff/{id}/"]
    assert [len(each.cache) for each in (customers, employees)] == [1, 1]
    assert [len(each.processors) for each in (customers, employees)] == [1, 0]
    assert [len(each.accepted) for each in (customers, employees)] == [1, 0]
    assert kinds.choose(employees, "customer") == customers
    assert isinstance(customers.tables[Name("public", "customers")].belongings[0].erasure, Delete)
    assert isinstance(employees.tables[Name("public", "employees")].belongings[0].erasure, Keep)


def test_a_command_must_say_which_kind_it_means(tmp_path: Path) -> None:
    several = load(tmp_path, MAP)
    with pytest.raises(
        ConfigurationError, match="several kinds of subject, customer and employee: say --kind"
    ):
        kinds.choose(several, None)
    with pytest.raises(ConfigurationError, match="the kind owner, but customer and employee"):
        kinds.choose(several, "owner")


def test_the_api_serves_the_kind_whose_addresses_it_reads(tmp_path: Path) -> None:
    several = load(tmp_path, MAP)
    for table in ("customers", "public.customers", "creators"):
        assert kinds.of_requests(several, table) == several
    for table in ("employees", "public.employees"):
        with pytest.raises(ConfigurationError, match="the table of every employee, and requests are about"):
            kinds.of_requests(several, table)
        assert kinds.of_requests(replace(several, others=()), table).subject.kind == "customer"


def test_the_order_of_the_kinds_is_part_of_the_version(tmp_path: Path) -> None:
    """The first is whom the API serves."""
    customer, employee = MAP.index("  customer:\n"), MAP.index("  employee:\n")
    end = MAP.index("tables:\n")
    turned = MAP[:customer] + MAP[employee:end] + MAP[customer:employee] + MAP[end:]
    other = load(tmp_path, turned)
    assert kinds.names(other) == ["employee", "customer"]
    assert other.version != load(tmp_path, MAP).version


def test_the_record_of_processing_is_of_all_kinds(tmp_path: Path) -> None:
    record = processing_record.compose(load(tmp_path, MAP))
    assert record["categories_of_subjects"] == ["customer", "employee"]
    assert [one["place"] for one in record["files"]] == ["media/customers/{id}/", "media/staff/{id}/"]
    [orders] = [one for one in record["activities"] if one["table"] == "orders"]
    assert orders["roles"] == ["buyer", "packer"]
    assert orders["links_to_the_subject"] == ["buyer", "packer"]


def line_of(text: str, sought: str) -> int:
    return text[: text.index(sought)].count("\n") + 1


BUYER = "{role: buyer, of: customer,"
MAIL = "holds: [mail, id],"
STAFF_FILES = "{role: mine, of: employee, column: owner, where: {type: [Staff, null]},"


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        (
            "subjects:",
            "subject: {kind: a, table: b, key: c, email: d}\nsubjects:",
            "subjects:",
            "with subject",
        ),
        (MAP[MAP.index("subjects:") : MAP.index("tables:")], "", "version", "say whose data this is"),
        (MAP[MAP.index("  customer:\n") : MAP.index("tables:")], "  {}\n", "subjects:", "subjects"),
        ("  employee:\n", "  The Staff:\n", "  The Staff", "subjects.The Staff: string should match"),
        ("    key: id\n    email: mail\n", "    email: mail\n", "  employee:\n", "key: is missing"),
        (
            "    key: id\n    email: mail",
            "    kind: x\n    key: id\n    email: mail",
            "    kind",
            "not known",
        ),
        (
            "table: employees",
            "table: public.customers",
            "table: public.c",
            "people of one table are one kind",
        ),
        (BUYER, "{role: buyer,", "{role: buyer", "say of whom: of: customer or employee"),
        (BUYER, "{role: buyer, of: owner,", "{role: buyer", "no subjects of the kind owner, but"),
        (BUYER, "{role: buyer, of: [],", "{role: buyer", "tables.orders.rows.0.of"),
        (BUYER, "{role: buyer, of: [customer, owner],", "{role: buyer", "no subjects of the kind owner"),
        ("bucket: media, of: employee,", "bucket: media,", '"staff/', "say of whom"),
        ('"staff:{id}:*", of: employee,', '"staff:{id}:*",', '"staff:', "say of whom"),
        ("name: Post, of: customer,", "name: Post,", "name: Post", "say of whom"),
        ("place: badges.badge, of: customer,", "place: badges.badge,", "place: badges", "say of whom"),
        # One key would find what is another kind's.
        ("staff/{id}/", "customers/{id}/", '"customers/{id}/", purpose: Con', "may be the same as customers"),
        ("staff/{id}/", "customers/staff-{mail}/", '"customers/staff', "may be the same as customers"),
        ("staff/{id}/", "{id}/", '"{id}/', "may be the same as customers"),
        ("staff:{id}:*", "*:{id}:x", '"*:{id}', "may be the same as customer:"),
        ("staff:{id}:*", "cust{id}:*", '"cust{id}', "may be the same as customer:"),
        (
            STAFF_FILES,
            STAFF_FILES.replace(" where: {type: [Staff, null]},", ""),
            "{role: mine, of: e",
            "whose",
        ),
        (STAFF_FILES, STAFF_FILES.replace("null", "Customer"), "{role: mine, of: e", "say in where"),
        (STAFF_FILES, STAFF_FILES.replace("type:", "kind:"), "{role: mine, of: e", "say in where"),
        # A part of another's key, a name beside the key, constants that a column's type takes for equal.
        (
            STAFF_FILES,
            STAFF_FILES.replace(
                "column: owner, where: {type: [Staff, null]},", f"column: [t, owner], {MAIL}"
            ),
            "{role: mine, of: e",
            "t and owner may hold the key of a customer",
        ),
        (STAFF_FILES, STAFF_FILES.replace("[Staff, null]", "' Customer'"), "{role: mine, of: e", "in where"),
        (
            "of: employee, column: packer, erase: {anonymise",
            "of: employee, column: buyer, erase: {anonymise",
            "{role: packer",
            "buyer may hold the key of a customer",
        ),
        # What belongs to rows that are nobody's of this kind.
        (
            "of: [customer, employee], column: nr, through: orders",
            "of: customer, column: b, through: badges",
            "{role: of, of: customer",
            "no rows of badges are of a customer",
        ),
        (
            "column: nr, through: orders, to: id",
            "column: nr, through: orders, to: id, roles: [packer]",
            "{role: of, of: [",
            "has no role 'packer' of this kind",
        ),
        (
            STAFF_FILES,
            "{role: mine, of: customer, column: other,",
            "{role: mine, of: customer, column: other",
            "the role 'mine' is there twice",
        ),
        (
            "{table: badges, column: badge}",
            "{table: orders, column: note, roles: [buyer]}",
            "{table: orders",
            "no role 'buyer' of this kind",
        ),
        ("titles: {buyer: Bought by}", "titles: {carrier: Bought by}", "titles:", "has no column carrier"),
    ],
)
def test_what_would_mix_kinds_is_refused(tmp_path: Path, old: str, new: str, at: str, says: str) -> None:
    assert load(tmp_path, MAP)
    text = MAP.replace(old, new, 1)
    assert text != MAP
    with pytest.raises(ConfigurationError, match=says) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'map.yaml'}:{line_of(text, at)}: ")


TENANTS = MAP.replace(
    "    table: employees\n    key: id\n", "    table: employees\n    key: [tenant, id]\n"
).replace(", of: employee, column: id,", ", of: employee, column: [tenant, id],")


@pytest.mark.parametrize(
    ("customers", "employees", "refused"),
    [
        ("column: owner", "column: [tenant, owner]", True),
        ("column: owner", "column: [tenant, employee]", False),
        ("column: owner, where: {type: 1}", "column: [tenant, owner], where: {type: '1'}", True),
        ("column: owner, where: {type: 1}", "column: [tenant, owner], where: {type: '1.0'}", True),
        ("column: owner, where: {type: true}", "column: [tenant, owner], where: {type: 't'}", True),
        ("column: owner, where: {type: false}", "column: [tenant, owner], where: {type: 0}", True),
        ("column: owner, where: {type: 1}", "column: [tenant, owner], where: {type: [2, null]}", False),
        ("column: owner, where: {type: A}", "column: [tenant, owner], where: {type: a}", False),
    ],
)
def test_keys_of_several_columns_are_told_apart_too(
    tmp_path: Path, customers: str, employees: str, refused: bool
) -> None:
    text = TENANTS
    for old, new in (
        ("{role: bearer, of: employee, column: employee,", "{role: bearer, of: employee, column: [a, b],"),
        ("of: employee, column: packer,", "of: employee, column: [tenant, packer],"),
        ("column: owner, where: {type: Customer}", customers),
        ("column: owner, where: {type: [Staff, null]}", employees),
        ("staff/{id}/", "staff/{tenant}/{id}/"),
        ("staff:{id}:*", "staff:{tenant}:{id}:*"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    if refused:
        with pytest.raises(ConfigurationError, match="may hold the key of a customer"):
            load(tmp_path, text)
    else:
        assert load(tmp_path, text)


def test_two_names_of_one_bucket_are_one_place(tmp_path: Path) -> None:
    """Only the settings know that a role and a bucket's own name mean the same."""
    text = MAP.replace(
        'bucket: media, of: employee, prefix: "staff/', 'bucket: acme, of: employee, prefix: "'
    )
    data_map = load(tmp_path, text)

    def settings(media: str, exports: str) -> Settings:
        identities = {
            role: S3Identity(role=role, bucket=name, access_key_id="k", secret_access_key=SecretStr("s"))
            for role, name in (("media", media), ("exports", exports))
        }
        return Settings(environ={}, state_dir=tmp_path, s3=S3Settings(identities=identities))

    for of_kind in kinds.every(data_map):
        with pytest.raises(ConfigurationError, match="names of one bucket, and keys of different kinds"):
            object_erasure.stores(settings("acme", "x"), of_kind)
        assert object_erasure.stores(settings("media", "acme"), of_kind)


LINE = "      - {role: of, of: [customer, employee], column: nr, through: orders, to: id,"
BOTH = "of: [customer, employee]"


def test_roles_are_checked_in_the_rows_of_their_own_kind(tmp_path: Path) -> None:
    """Rows of a file are counted over all kinds, those of a kind's map are not."""
    line = next(line for line in MAP.splitlines(keepends=True) if line.startswith(LINE))
    customer, employee = (line.replace(BOTH, f"of: {kind}") for kind in ("customer", "employee"))
    assert load(tmp_path, MAP.replace(line, customer + employee))
    circle = employee.replace("through: orders, to: id", "through: lines, to: up, roles: [of]")
    last = employee.replace("role: of,", "role: last,")
    with pytest.raises(ConfigurationError, match="leads in a circle"):
        load(tmp_path, MAP.replace(line, customer + circle + last))


def test_one_kind_may_be_written_either_way(tmp_path: Path) -> None:
    """And `of` may be left out where there is nothing to tell apart."""
    subject = "{kind: user, table: users, key: id, email: email}"
    tables = """
tables:
  users:
    purpose: x
    retention: y
    personal: [email]
    rows: [{role: account, column: id, erase: delete, export: own}]
"""
    old = load(tmp_path, f"version: 1\nsubject: {subject}{tables}")
    new = load(
        tmp_path,
        f"version: 1\nsubjects: {subject.replace('kind: user, ', '').join(('{user: ', '}'))}{tables}",
    )
    said = load(tmp_path, f"version: 1\nsubject: {subject}{tables.replace('account,', 'account, of: user,')}")
    assert old.subject == new.subject == said.subject
    assert old.tables == new.tables == said.tables
    assert old.others == new.others == ()
    assert old.requestable
    # As it was before there were kinds.
    assert old.version == "5d623754a4bb3de1"


def test_a_stored_map_can_be_used_again(tmp_path: Path) -> None:
    """As 'gdpr map show' prints it, whatever order the kinds' names have."""
    renamed = load(
        tmp_path,
        MAP.replace("customer:\n", "visitor:\n")
        .replace("of: customer", "of: visitor")
        .replace("[customer,", "[visitor,"),
    )
    assert kinds.names(renamed) == ["visitor", "employee"]
    stored = map_store.StoredMap(renamed.sha256, renamed.document, datetime(2026, 1, 1, tzinfo=UTC))
    again = load(tmp_path, yaml.safe_dump(stored.value(), sort_keys=False))
    assert (again.version, again.document) == (renamed.version, renamed.document)
    # A certificate is compared with its text, as a file or as it is stored, whatever is refused by now.
    for text in (yaml.safe_dump(stored.value(), sort_keys=False), stored.document):
        (tmp_path / "shown").write_text(text)
        assert map_file.document_of(tmp_path / "shown") == renamed.document
    (tmp_path / "shown").write_text("{subjects: {b: 1, a: 2}}")
    assert '"kinds": ["b", "a"]' in map_file.document_of(tmp_path / "shown")
    assert kinds.names(again) == ["visitor", "employee"]
