"""What is read of a model file that may come from a stranger, and what is not."""

import re

import pytest

from tests.crooked import CORNERS, CROOKED, stl, write_crooked
from understudy.physics.load import load_arm
from understudy.physics.model_file import opened


def link(name, inside=""):
    return f'<link name="{name}"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>{inside}</link>'


def joint(name, parent, child, kind="revolute", inside='<limit lower="-1" upper="1" effort="9"/>'):
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<axis xyz="0 1 0"/>{inside}</joint>'
    )


def mesh(name):
    return f'<collision><geometry><mesh filename="{name}"/></geometry></collision>'


TWO = link("a") + link("b") + joint("one", "a", "b")
THREE = TWO + link("c") + joint("two", "b", "c")
FOLLOWING = TWO + link("c") + joint("two", "b", "c", inside='<mimic joint="one"/>')
RAIL = link("a") + link("b") + joint("rail", "a", "b", "prismatic", "")


@pytest.fixture
def crooked(tmp_path):
    return write_crooked(tmp_path)


@pytest.fixture
def folder(tmp_path):
    """A robot's package with a mesh, and a mesh beside the package that is not its own."""
    (tmp_path / "robot" / "urdf").mkdir(parents=True)
    (tmp_path / "robot" / "meshes").mkdir()
    (tmp_path / "robot" / "meshes" / "b.stl").write_bytes(stl(CORNERS))
    (tmp_path / "other.stl").write_bytes(stl(CORNERS))
    return tmp_path / "robot"


def written(folder, inside, name="urdf/robot.urdf", root="robot"):
    file = folder / name
    file.write_text(
        inside if inside.startswith("<") and root is None else f"<{root}>{inside}</{root}>"
    )
    return file


def with_mesh(name):
    return link("a") + link("b", mesh(name)) + joint("one", "a", "b")


@pytest.mark.parametrize(
    "name", ["package://robot/meshes/b.stl", "../meshes/b.stl", "file://../meshes/b.stl"]
)
def test_a_mesh_is_found_in_the_folder_that_was_named(name, folder):
    file = written(folder, with_mesh(name))
    assert len(opened(file, folder).meshes) == 1
    assert len(load_arm(file, folder=folder).joints[0].solids) == 1
    with pytest.raises(
        ValueError, match=r"robot.urdf: names .*b.stl', which lies outside|there is no"
    ):
        load_arm(file)


@pytest.mark.parametrize("name", ["../../other.stl", "{outside}/other.stl", "file://{outside}/other.stl",
                                  "package://../other.stl", "link.stl"])  # fmt: skip
def test_nothing_is_read_outside_the_folder(name, folder):
    (folder / "urdf" / "link.stl").symlink_to(folder.parent / "other.stl")
    file = written(folder, with_mesh(name.format(outside=folder.parent)))
    with pytest.raises(ValueError, match="outside .*: nothing is read from elsewhere; .*folder="):
        load_arm(file, folder=folder)


@pytest.mark.parametrize(
    "inside",
    ['<include file="../secret.xml"/>', '<compiler meshdir="/"/><asset><mesh file="etc/passwd"/></asset>',
     '<asset><mesh name="m" file="../robot/meshes/b.stl"/></asset>'],
)  # fmt: skip
def test_nothing_is_included_from_outside_the_folder(inside, folder):
    with pytest.raises(ValueError, match="lies outside"):
        load_arm(written(folder, inside, "urdf/robot.xml", "mujoco"))


def test_files_that_an_arm_does_not_need_are_not_looked_for(folder):
    inside = (
        '<asset><texture name="t" type="2d" file="/t.png"/><material name="m" texture="t"/>'
        '<hfield name="h" file="/h.png" size="1 1 1 1"/></asset><deformable><skin file="/s.skn"/></deformable>'
        '<worldbody><geom type="hfield" hfield="h"/><body><joint/><geom size="1" material="m"/></body>'
        '</worldbody><extension><plugin plugin="p"/></extension>'
    )
    found = opened(
        written(
            folder,
            inside.replace('<extension><plugin plugin="p"/></extension>', ""),
            "a.xml",
            "mujoco",
        )
    )
    assert "file=" not in found.text
    assert "texture" not in found.text


def test_every_file_that_the_compiler_is_told_of_is_in_memory(crooked):
    found = opened(crooked)
    assert re.findall(r'file="([^"]*)"', found.text) == list(found.meshes) == ["0.stl"]
    assert "meshdir" not in found.text


def test_included_files_are_read_in_their_places(crooked):
    body = re.search(r'<body name="wrist".*?</body>', CROOKED, re.DOTALL)[0]
    (crooked.parent / "parts").mkdir()
    (crooked.parent / "parts" / "wrist.xml").write_text(f"<mujocoinclude>{body}</mujocoinclude>")
    whole = load_arm(crooked, tool="point")
    crooked.write_text(CROOKED.replace(body, '<include file="parts/wrist.xml"/>'))
    assert load_arm(crooked, tool="point") == whole


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<sdf/>", "begins with <sdf>; expected <mujoco> .MJCF. or <robot> .URDF."),
        ("<robot", "robot.urdf is not XML: unclosed token"),
        (
            '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><robot>&b;</robot>',
            "declares a document type",
        ),
        (
            "<robot>" + "<link>" * 300 + "</link>" * 300 + "</robot>",
            "more than 200 within one another",
        ),
        ("<robot>" + " " * (8 * 2**20) + "</robot>", "XML above 8 MiB in all are not read"),
        (
            '<robot xmlns:xacro="http://ros.org/wiki/xacro"><xacro:arm/></robot>',
            "is a template; .* xacro FILE > robot.urdf",
        ),
        (
            f"<robot>{TWO}{link('lost')}</robot>",
            "has 2 links without a parent .a, lost.; expected one",
        ),
        (f"<robot>{TWO}{joint('again', 'a', 'b')}</robot>", "links with two parents: b"),
        (
            f"<robot>{link('a')}{link('b')}{joint('j', 'a', 'b', 'fixed')}</robot>",
            "no joint that moves",
        ),
        (
            f"<robot>{THREE}{link('d')}{joint('three', 'b', 'd')}</robot>",
            "2 chains of joints, which end at c, d; expected one.*tool=",
        ),
        (f"<robot>{with_mesh('b.dae')}</robot>", "there is no .*b.dae"),
        (f"<robot>{with_mesh('http://there/b.stl')}</robot>", "expected a path, package://"),
        (
            f"<robot>{with_mesh('robot.urdf')}</robot>",
            "names the mesh robot.urdf; expected one of .obj",
        ),
        (f"<robot>{with_mesh('broken.stl')}</robot>", "STL"),
        (
            f"<robot>{FOLLOWING}</robot>",
            "two follows another and cannot be commanded.*joints=",
        ),
        (
            f"<robot>{RAIL}</robot>",
            "rail slides without limits|range",
        ),
        ('<mujoco><include file="robot.urdf"/></mujoco>', "includes 'robot.urdf' twice"),
        (
            '<mujoco><include file="none.xml"/></mujoco>',
            "names 'none.xml', but there is no .*none.xml",
        ),
        (
            '<mujoco><worldbody><replicate count="9"><geom size="1"/></replicate></worldbody></mujoco>',
            "has <replicate>.*mj_saveLastXML",
        ),
        (
            '<mujoco><worldbody><body name="b"><joint name="j" type="ball"/><geom size="1"/></body></worldbody></mujoco>',
            "joint j is a ball; expected hinges and slides",
        ),
        (
            f"<robot>{TWO}</robot>".replace('"0 1 0"', '"0 NaN 0"'),
            "<axis xyz='0 NaN 0'>: expected a number",
        ),
        ("<mujoco><worldbody><body/><nonsense/></worldbody></mujoco>", "no joint that moves"),
        (
            '<mujoco><worldbody><body name="a"><joint/><geom size=".1"/><body name="b"><joint/>'
            '<geom size=".1"/></body></body></worldbody><equality><connect body1="b" anchor="0 0 0"/></equality>'
            "</mujoco>",
            "b and world close a loop; expected joints in series",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_the_file_and_the_remedy(text, complaint, folder):
    (folder / "urdf" / "broken.stl").write_bytes(stl(CORNERS)[:100])
    file = written(folder, text, root=None)
    with pytest.raises(ValueError, match=f"robot.urdf: .*({complaint})"):
        load_arm(file)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tool": "pont"}, "no link, body or site 'pont'. Did you mean 'point'?"),
        ({"tool": "base"}, "no joint moves base; name the arm's last link with tool="),
        (
            {"tool": "point", "joints": ["swin"]},
            "'swin'.* do not lead to the tool; there is: swing, nod",
        ),
        (
            {"tool": "point", "home_rad": [0, 0]},
            "home_rad has 2 values; expected one for each of swing",
        ),
        ({"tool": "point", "home_rad": [0, 0, 9, 0]}, "home of push is 9; expected 0.1 to 0.3"),
    ],
)
def test_what_is_not_in_the_model_is_said_with_what_is(options, complaint, crooked):
    with pytest.raises(ValueError, match=f"crooked.xml: .*{complaint}"):
        load_arm(crooked, **options)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"arm.xml: there is no such file"):
        load_arm(tmp_path / "arm.xml")
