"""The rights of a user, tested on the real engine for tests/deploy: ``as_user.py USER`` in a separate
folder.

In: users.d/*.xml of the working folder, and statements as a JSON list on standard input, where `init`, `ensure` and
`queries` stand for creating the schema, checking the schema, and every named query. Out: for each the rows, or the code
of its error. The embedded engine reads ``config.xml`` and ``users.xml`` of the working folder, and the files in
config.d and users.d, as a server does in /etc; its only user is `default` without a password, so that name gets the
rights of USER.
"""

from __future__ import annotations

import contextlib
import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SERVER = "<clickhouse><users_config>users.xml</users_config></clickhouse>"
USERS = """
<clickhouse>
    <profiles><default/></profiles>
    <quotas><default/></quotas>
</clickhouse>
"""


def take_rights(folder: Path, user: str) -> None:
    """Give `default` the rights of ``user``, in the working folder's users.d."""
    for path in (folder / "users.d").glob("*.xml"):
        tree = ET.parse(path)  # noqa: S314 - our own file
        users = tree.getroot().find("users")
        assert users is not None
        for default in [each for each in users if each.tag == "default"]:
            users.remove(default)
        element = users.find(user)
        assert element is not None
        taken = ET.fromstring(ET.tostring(element))  # noqa: S314
        taken.tag = "default"
        for secret in taken.findall("password_sha256_hex"):
            taken.remove(secret)
        if taken.find("profile") is not None:
            ET.SubElement(taken, "password")
        if (grants := taken.find("grants")) is not None:
            ET.SubElement(grants, "query").text = "GRANT SET DEFINER ON genesis"
        if len(taken):
            users.append(taken)
        # chDB lacks a default setting of the server, without which this type of constraint is refused.
        for profile in tree.getroot().findall("profiles/*"):
            for constraints in profile.findall("constraints"):
                profile.remove(constraints)
        tree.write(path)


def asked(client: Any, statement: str) -> Any:
    """The rows of a statement, or its error code."""
    from clickhouse_connect.driver.exceptions import Error

    from genesis_otel import queries
    from genesis_otel._store import errors, schema

    try:
        if statement == "init":
            return schema.init_schema(client)
        if statement == "ensure":
            return schema.ensure(client)
        if statement == "queries":
            return [len(queries.ask(client, name, **needed(queries.load(name)))) for name in queries.names()]
        return [[str(value) for value in row] for row in client.query(statement).result_rows]
    except errors.StoreError as error:
        return error.__cause__.code if isinstance(error.__cause__, Error) else str(error)
    except Error as error:
        return error.code


def needed(query: Any) -> dict[str, Any]:
    """A value for any parameter that a named query requires."""
    some: dict[str, Any] = {"String": "r", "Array(String)": ["i"]}
    return {each.name: some.get(each.type, "1") for each in query.parameters if each.default is None}


def main(arguments: Sequence[str]) -> None:
    """Run the statements, and answer on standard output."""
    (user,) = arguments
    folder = Path.cwd()
    (folder / "config.xml").write_text(SERVER)
    (folder / "users.xml").write_text(USERS)
    take_rights(folder, user)

    import clickhouse_connect

    with contextlib.closing(clickhouse_connect.get_client(interface="chdb", path=str(folder / "engine"))) as client:
        if user == "genesis":
            client.command("CREATE DATABASE IF NOT EXISTS genesis")
        client.database = "genesis"
        client.command("USE genesis")
        if user == "genesis":
            # The user who creates a view is its definer; the name differs here.
            client.command("SET default_view_definer = 'genesis'")
        print(json.dumps([asked(client, statement) for statement in json.load(sys.stdin)]))


if __name__ == "__main__":
    main(sys.argv[1:])
