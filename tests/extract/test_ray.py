from contextlib import closing
from dataclasses import replace

import pytest
from ray_clusters import left_open, ray_cluster
from several_runners import CLIP, NSS, assert_same_features, tasks_of, tiny_recipe, undisturbed
from small_videos import cut_in_half, encode

from extract.executors.base import NoPlace
from extract.tasks import Refused

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -c constraints.txt -e '.[ray]'")

from extract.executors.ray import places, ray_executor  # noqa: E402 - needs Ray

pytestmark = left_open


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster() as made:
        yield made


def extract_while_nodes_die(cluster, how, tasks):
    """Outcomes from two nodes that are killed, one after the fourth outcome and the other after the eighth,
    when a third one joins."""
    nodes = {4: cluster.add_node(num_cpus=1), 8: cluster.add_node(num_cpus=1)}
    got = []
    with closing(ray_executor(how, cluster.address, "auto")) as executor:
        for outcome in executor.run(tasks):
            got.append(outcome)
            if len(got) in nodes:
                cluster.remove_node(nodes[len(got)], allow_graceful=False)
            if len(got) == 8:
                last = cluster.add_node(num_cpus=1)
        assert executor.phases.seconds["run"] > 0
    cluster.remove_node(last)
    return got


@pytest.mark.slow
def test_a_cluster_without_a_cpu_is_refused_with_directions(tmp_path, cluster):
    how = tiny_recipe(tmp_path)
    with (
        closing(ray_executor(how, cluster.address, "auto")) as executor,
        pytest.raises(NoPlace, match="ray status"),
    ):
        list(executor.run([]))


def test_a_cluster_that_does_not_answer_is_said_at_once(tmp_path):
    with pytest.raises(NoPlace, match=r"--ray-address 127\.0\.0\.1:9: no Ray cluster answers there"):
        ray_executor(tiny_recipe(tmp_path), "127.0.0.1:9", "auto")


@pytest.mark.slow
def test_nodes_that_die_cost_nothing_but_time_and_new_ones_are_put_to_work(tmp_path, cluster, caplog):
    files = [encode(tmp_path / f"v{n:02}.mp4", frames=20 + 3 * n, rate=20) for n in range(16)]
    videos = {f"{file.stem}/{n}": file for file in files for n in range(4)}
    videos["half"] = cut_in_half(encode(tmp_path / "whole.mkv", frames=60, rate=20), tmp_path / "half.mkv")
    how = tiny_recipe(tmp_path / "alone")
    tasks = tasks_of(videos, how)
    undisturbed(how, tasks)
    elsewhere = replace(how, store=tmp_path / "cluster", commit_seconds=0.05)
    got = extract_while_nodes_die(cluster, elsewhere, tasks)
    assert sorted(outcome.task.video for outcome in got) == sorted(videos)
    assert [(one.task.video, one.kind) for one in got if isinstance(one, Refused)] == [("half", "truncated")]
    assert_same_features(how.store, elsewhere.store)
    assert not list(elsewhere.store.glob(".*"))
    assert caplog.text.count("its videos go to others") >= 2


@pytest.mark.soak
def test_real_videos_survive_the_death_of_nodes(tmp_path, cluster, shared_data):
    videos = {path.stem: path for path in sorted((shared_data / "videos").iterdir())}
    how = tiny_recipe(tmp_path / "alone", NSS, CLIP)
    tasks = tasks_of(videos, how)
    undisturbed(how, tasks)
    elsewhere = replace(how, store=tmp_path / "cluster")
    got = extract_while_nodes_die(cluster, elsewhere, tasks)
    assert sorted(outcome.task.video for outcome in got) == sorted(videos)
    assert_same_features(how.store, elsewhere.store)


def node(name, alive=True, **resources):
    return {"NodeID": name, "NodeManagerHostname": name, "Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "kind", "expected"),
    [
        ([node("a", CPU=16.0, GPU=2.0)], "auto", [("a", 0, 5, 1, 4), ("a", 1, 5, 1, 4)]),
        ([node("a", CPU=4.0, GPU=2.0)], "auto", [("a", 0, 2, 1, 1), ("a", 1, 2, 1, 1)]),
        ([node("a", CPU=4.0, GPU=2.0)], "cpu", [("a", 0, 4, 0, 3)]),
        ([node("a", CPU=64.0), node("b", CPU=8.0, GPU=1.0)], "auto", [("b", 0, 5, 1, 4)]),
        ([node("head"), node("a", CPU=1.0)], "auto", [("a", 0, 1, 0, 1)]),
        ([node("a", CPU=8.0), node("gone", alive=False, CPU=8.0)], "auto", [("a", 0, 5, 0, 4)]),
        ([node("a", CPU=8.0)], "cuda", []),
    ],
)
def test_a_cluster_has_a_place_for_each_gpu_or_else_for_each_node(nodes, kind, expected):
    found = places(nodes, workers=4, kind=kind)
    assert [(one.node, one.number, one.cpus, one.gpus, one.workers) for one in found] == expected
    assert all(one.device == ("cuda" if one.gpus else "cpu") for one in found)
