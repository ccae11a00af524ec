# SPDX-License-Identifier: Apache-2.0
"""Tags of network resources: kept one by one and all at once, by their owner, and lists by tags."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from concurrent import futures

import pytest

from tests.support.api.network_cloud import NetworkCloud

COLLECTIONS = ("networks", "subnets", "ports", "security-groups", "routers", "floatingips")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkCloud]:
    network_cloud = NetworkCloud(tmp_path_factory.mktemp("tags"))
    yield network_cloud
    network_cloud.close()


@pytest.fixture(scope="module")
def ids(cloud: NetworkCloud) -> dict[str, str]:
    """One resource of each collection, alice's."""
    network_id, subnet_id = cloud.network(name="tagged")
    external, _ = cloud.network(cidr="172.24.7.0/24", user="admin", **{"router:external": True})
    return {
        "networks": network_id, "subnets": subnet_id, "ports": cloud.create("port", network_id=network_id).body["id"],
        "security-groups": cloud.create("security_group", name="g").body["id"], "routers": cloud.create("router").body["id"],
        "floatingips": cloud.create("floatingip", floating_network_id=external).body["id"]}


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_tags_are_added_replaced_and_removed(cloud: NetworkCloud, ids: dict[str, str], collection: str) -> None:
    one, plural = f"/{collection}/{ids[collection]}", collection.replace("-", "_")

    def shown() -> list[str]:
        (row,) = [row for row in cloud.get(f"/{collection}").body[plural] if row["id"] == ids[collection]]
        assert row["tags"] == cloud.get(one).body[plural.removesuffix("s")]["tags"] == cloud.get(f"{one}/tags").body["tags"]
        return list(row["tags"])

    assert shown() == []
    assert [cloud.request("PUT", f"{one}/tags/{tag}").status for tag in ("red", "blue", "red")] == [201, 201, 201]
    assert shown() == ["blue", "red"]
    assert [cloud.get(f"{one}/tags/{tag}").status for tag in ("red", "green")] == [204, 404]
    assert [cloud.delete(f"{one}/tags/red").status for _ in range(2)] == [204, 404]
    assert cloud.request("PUT", f"{one}/tags", {"tags": ["two", "one"]}).body == {"tags": ["one", "two"]}
    assert shown() == ["one", "two"]
    assert cloud.delete(f"{one}/tags").status == 204
    assert shown() == []


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_only_the_owner_and_admins_change_tags(cloud: NetworkCloud, ids: dict[str, str], collection: str) -> None:
    path = f"/{collection}/{ids[collection]}/tags"
    assert [cloud.request("PUT", path, {"tags": ["x"]}, user=user).status for user in ("bob", "admin")] == [404, 200]
    assert [cloud.request(method, f"{path}/x", user="bob").status for method in ("PUT", "GET", "DELETE")] == [404] * 3
    assert cloud.get(path).body == {"tags": ["x"]}
    assert cloud.delete(path).status == 204


def test_a_shared_networks_tags_are_read_by_others_and_changed_by_none_of_them(cloud: NetworkCloud) -> None:
    network_id, _ = cloud.network(cidr="10.50.0.0/24", user="admin", shared=True)
    path = f"/networks/{network_id}/tags"
    assert cloud.request("PUT", path, {"tags": ["a"]}, user="admin").status == 200
    assert cloud.get(path).body == {"tags": ["a"]}
    assert [cloud.request("PUT", path, {"tags": []}).status, cloud.delete(path).status, cloud.delete(f"{path}/a").status] == [403] * 3


@pytest.mark.parametrize("tags", [["a,b"], [""], ["x" * 256], ["same", "same"], [str(number) for number in range(51)], [1], "a"])
def test_wrong_tags_are_refused(cloud: NetworkCloud, ids: dict[str, str], tags: object) -> None:
    refused = cloud.request("PUT", f"/networks/{ids['networks']}/tags", {"tags": tags})
    assert (refused.status, "tags" in refused.fault) == (400, True)


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_tag_with_slashes_and_escapes_is_added_and_removed_alone(cloud: NetworkCloud, ids: dict[str, str], collection: str) -> None:
    path, tags = f"/{collection}/{ids[collection]}/tags", ["a", "a/b//c", "a%2Fb%2F%2Fc", "%25", "a/", "/"]
    assert cloud.request("PUT", path, {"tags": tags}).status == 200
    for tag in tags[1:]:
        escaped = urllib.parse.quote(tag, safe="")
        assert [cloud.get(f"{path}/{escaped}").status, cloud.delete(f"{path}/{escaped}").status, cloud.get(f"{path}/{escaped}").status] == [204, 204, 404]
    assert cloud.get(path).body["tags"] == ["a"]
    for tag in tags[1:]:
        assert cloud.request("PUT", f"{path}/{urllib.parse.quote(tag, safe='')}").status == 201
    assert sorted(cloud.get(path).body["tags"]) == sorted(tags)
    assert cloud.delete(path).status == 204


def test_tags_that_are_added_at_once_are_all_kept(cloud: NetworkCloud, ids: dict[str, str]) -> None:
    path = f"/networks/{ids['networks']}/tags"
    with futures.ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(lambda number: cloud.request("PUT", f"{path}/t{number}").status, range(16)))
    assert (statuses, set(cloud.get(path).body["tags"])) == ([201] * 16, {f"t{number}" for number in range(16)})
    assert cloud.delete(path).status == 204


def test_a_resource_has_so_many_tags(cloud: NetworkCloud, ids: dict[str, str]) -> None:
    path = f"/networks/{ids['networks']}/tags"
    assert cloud.request("PUT", path, {"tags": [f"t{number}" for number in range(50)]}).status == 200
    assert [cloud.request("PUT", f"{path}/{tag}").status for tag in ("t1", "one-more")] == [201, 400]
    assert cloud.delete(path).status == 204


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_lists_are_filtered_by_tags(cloud: NetworkCloud, ids: dict[str, str], collection: str) -> None:
    path, plural = f"/{collection}/{ids[collection]}/tags", collection.replace("-", "_")
    cloud.request("PUT", path, {"tags": ["web", 'q"%', "ü"]})

    def found(query: str) -> bool:
        return ids[collection] in {row["id"] for row in cloud.get(f"/{collection}?{query}").body[plural]}

    assert [found(query) for query in ("tags=web", "tags=web,%C3%BC", "tags=q%22%25", "tags-any=web,none", "not-tags=web,none", "not-tags-any=none")] == [True] * 6
    assert [found(query) for query in ("tags=we", "tags=WEB", "tags=web,none", "tags=q%25", "tags-any=none", "not-tags=web", "not-tags-any=web,none")] == [False] * 7
    cloud.delete(path)


def test_rules_have_no_tags(cloud: NetworkCloud) -> None:
    assert cloud.get("/security-group-rules?tags=a").status == 400
