"""A model file of a user's, MJCF or URDF, as its compiler is given it: text and meshes in memory, no path.

A file may come from a stranger. Its compiler reads whatever path a file names and multiplies what a few
lines ask for; so all that is read is read here, within one folder and a budget, and what a robot's
kinematics, masses and shapes do not need is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import final
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, tostring

LARGEST_MIB = {"XML": 8, "meshes": 256}  # all that is read of either
DEEPEST = 200
TOO_DEEP = f"has elements more than {DEEPEST} within one another"
MESHES = (".obj", ".stl", ".msh")  # that MuJoCo reads
REFUSED = ("replicate", "composite", "flexcomp", "attach", "plugin")
ACTUATORS = ("general", "motor", "position", "velocity", "intvelocity", "damper")
OF_MJCF = {
    *("mujoco", "compiler", "default", "asset", "mesh", "material", "worldbody", "body", "frame"),
    *("joint", "freejoint", "geom", "inertial", "site", "equality", "connect", "weld"),
    *("actuator", "keyframe", "key", *ACTUATORS),
}
OF_URDF = {
    *("robot", "link", "inertial", "origin", "mass", "inertia", "visual", "collision", "geometry"),
    *("box", "cylinder", "sphere", "capsule", "mesh", "material", "color"),
    *("joint", "parent", "child", "axis", "limit", "mimic"),
}
# A robot of links without mass, or with tensors that no body has, is a robot nevertheless.
URDF_COMPILER = {
    **{"fusestatic": "false", "discardvisual": "false", "strippath": "false"},
    **{"boundmass": "1e-6", "boundinertia": "1e-9", "balanceinertia": "true"},
}


@final
@dataclass(frozen=True)
class ModelFile:
    """What a compiler is given."""

    text: str
    meshes: dict[str, bytes]  # by the names that the text has for them


def opened(path: Path, folder: Path | None = None) -> ModelFile:
    """Read a model and what it names within `folder`, else within its own.

    Raises FileNotFoundError where there is no file, and ValueError for what cannot or must not be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    files = _Files(path.resolve().parent, (folder or path.parent).resolve())
    root = files.xml(path.resolve())
    if root.tag == "mujoco":
        _include(root, files, {path.resolve()})
        _mjcf(root, files)
    elif root.tag == "robot":
        _urdf(root, files)
    else:
        raise ValueError(f"begins with <{root.tag}>; expected <mujoco> (MJCF) or <robot> (URDF)")
    return ModelFile(tostring(root, encoding="unicode"), files.meshes)


@final
@dataclass
class _Files:
    """Reads files within a folder, until there is too much of them."""

    beside: Path  # the model's folder
    folder: Path  # beyond which nothing is read
    meshes: dict[str, bytes] = field(default_factory=dict)
    _names: dict[Path, str] = field(default_factory=dict)  # of meshes
    _left: dict[str, int] = field(
        default_factory=lambda: {kind: most * 2**20 for kind, most in LARGEST_MIB.items()}
    )  # bytes

    def find(self, name: str, places: list[Path]) -> Path:
        """The first of places where there is a file; raises ValueError where it lies outside or is missing."""
        for place in places:
            file = place.resolve()
            if not file.is_relative_to(self.folder):
                raise ValueError(
                    f"names {name!r}, which lies outside {self.folder}: nothing is read from elsewhere; "
                    "give a folder that holds all of the robot's files with folder=..."
                )
            if file.is_file():
                return file
        raise ValueError(f"names {name!r}, but there is no {' and no '.join(map(str, places))}")

    def xml(self, file: Path) -> Element:
        """Parse a file that declares no entities; raises ValueError for any other."""
        try:
            text = self._read(file, "XML").decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{file.name} is not text in UTF-8: {error}") from error
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ValueError(f"{file.name} declares a document type, which a model does not need")
        try:
            root = fromstring(text)
        except ParseError as error:
            raise ValueError(f"{file.name} is not XML: {error}") from error
        level, depth = [root], 0
        while level:
            level, depth = [child for element in level for child in element], depth + 1
            if depth > DEEPEST:
                raise ValueError(TOO_DEEP)
        for element in root.iter():
            for name, value in element.items():
                words = {word.lstrip("+-") for word in value.lower().split()}
                is_bound = name.endswith("range") or name in (
                    "lower",
                    "upper",
                    "effort",
                    "velocity",
                )
                if words & ({"nan"} if is_bound else {"nan", "inf", "infinity"}):
                    raise ValueError(f"<{element.tag} {name}={value!r}>: expected a number")
        return root

    def mesh(self, file: Path) -> str:
        """Keep a mesh, once, and return its name; raises ValueError for a format that MuJoCo does not read."""
        if file.suffix.lower() not in MESHES:
            raise ValueError(
                f"names the mesh {file.name}; expected one of {', '.join(MESHES)}: convert it, or let the "
                "link collide with a simpler shape"
            )
        if file not in self._names:
            self._names[file] = f"{len(self._names)}{file.suffix.lower()}"
            self.meshes[self._names[file]] = self._read(file, "meshes")
        return self._names[file]

    def _read(self, file: Path, kind: str) -> bytes:
        with file.open("rb") as stream:
            found = stream.read(self._left[kind] + 1)
        self._left[kind] -= len(found)
        if self._left[kind] < 0:
            raise ValueError(
                f"{file.name}: {kind} above {LARGEST_MIB[kind]} MiB in all are not read"
            )
        return found


def _include(element: Element, files: _Files, seen: set[Path], depth: int = 0) -> None:
    """Put what included files hold in their places; each file once, as in MuJoCo."""
    if depth > DEEPEST:
        raise ValueError(TOO_DEEP)
    children: list[Element] = []
    for child in element:
        if child.tag == "include":
            name = child.get("file", "")
            file = files.find(name, [files.beside / name])
            if file in seen:
                raise ValueError(f"includes {name!r} twice; MuJoCo allows it once")
            seen.add(file)
            child = files.xml(file)
            _include(child, files, seen, depth + 1)
            children += child
        else:
            _include(child, files, seen, depth + 1)
            children.append(child)
    element[:] = children


def _prune(root: Element, is_kept: Callable[[Element], bool]) -> None:
    for element in list(root.iter()):
        for child in list(element):
            if not is_kept(child):
                element.remove(child)


def _mjcf(root: Element, files: _Files) -> None:
    for element in root.iter():
        if element.tag in REFUSED or (element.tag == "mesh" and "builtin" in element.attrib):
            raise ValueError(
                f"has <{element.tag}>, which makes more of a model than it says; save it with MuJoCo's "
                "mj_saveLastXML, where everything is written out"
            )
    _prune(root, _is_of_mjcf)
    folder, strips = files.beside, False
    for compiler in root.iter("compiler"):
        named = compiler.get("meshdir", compiler.get("assetdir"))
        folder = folder if named is None else files.beside / named
        strips = compiler.get("strippath", "false") == "true"
        for name in ("meshdir", "assetdir", "texturedir", "strippath"):
            compiler.attrib.pop(name, None)
    for element in root.iter():
        element.attrib.pop("texture", None)
        if element.tag == "key":  # what it says of actuators counts those left out
            for name in set(element.attrib) - {"name", "qpos"}:
                del element.attrib[name]
        if "file" in element.attrib:
            name = element.attrib["file"]
            element.attrib.setdefault("name", PurePosixPath(name).stem)
            element.attrib.pop("content_type", None)
            place = folder / (PurePosixPath(name).name if strips else name)
            element.set("file", files.mesh(files.find(name, [place])))
    SubElement(root, "compiler", fusestatic="false", discardvisual="false")


def _is_of_mjcf(element: Element) -> bool:
    if element.tag in ACTUATORS and len(element.attrib):
        return not {"tendon", "site", "body", "cranksite", "slidersite"} & set(element.attrib)
    is_field = element.get("type") in ("hfield", "sdf") or "hfield" in element.attrib
    return element.tag in OF_MJCF and not is_field


def _urdf(root: Element, files: _Files) -> None:
    if any(str(element.tag).startswith("{") for element in root.iter()):
        raise ValueError("is a template; make a URDF of it first: xacro FILE > robot.urdf")
    compiler = root.find("mujoco/compiler")
    meshes = compiler.get("meshdir") if compiler is not None else None
    _prune(root, lambda element: element.tag in OF_URDF)
    _require_one_root(root)
    for link in root.iter("link"):
        if link.find("collision") is not None:  # of what is seen only the colour is needed
            for visual in link.iter("visual"):
                for geometry in visual.iter("geometry"):
                    geometry[:] = []
                    SubElement(geometry, "sphere", radius="0.001")
    for mesh in root.iter("mesh"):
        name = mesh.get("filename", "")
        places = list(_places(name, files))
        if meshes is not None:
            places = [files.beside / meshes / PurePosixPath(name).name]
        mesh.set("filename", files.mesh(files.find(name, places)))
    SubElement(SubElement(root, "mujoco"), "compiler", URDF_COMPILER)


def _require_one_root(root: Element) -> None:
    """Raise ValueError unless all links hang from one."""
    names = [link.get("name", "") for link in root.iter("link")]
    children = Counter(child.get("link", "") for child in root.iter("child"))
    twice = [name for name, count in children.items() if count > 1]
    if twice:
        raise ValueError(f"has links with two parents: {', '.join(twice)}")
    roots = [name for name in names if name not in children]
    if len(roots) != 1:
        there = ", ".join(roots) or "none"
        raise ValueError(
            f"has {len(roots)} links without a parent ({there}); expected one, the base"
        )


def _places(name: str, files: _Files) -> Iterator[Path]:
    """Where a URDF's mesh may lie: beside it, or in a package that is a folder above it or beside it."""
    scheme = re.match(r"(\w+)://", name)
    if scheme is None or scheme[1] == "file":
        yield files.beside / (name if scheme is None else name[len(scheme[0]) :])
        return
    if scheme[1] not in ("package", "model"):
        raise ValueError(f"names {name!r}; expected a path, package://, model:// or file://")
    package, _, rest = name[len(scheme[0]) :].partition("/")
    above = [p for p in (files.beside, *files.beside.parents) if p.is_relative_to(files.folder)]
    yield from (place / rest for place in above if place.name == package)
    yield from (place / package / rest for place in above)
