"""What `understudy VERB --help` says where the options depend on the word that comes next.

It waits for none of the libraries that the verbs need.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from understudy.names import known
from understudy.policies import GROUP, INTERCHANGE, POLICIES

DATA = {
    "info": "what a dataset holds, whether its files are intact, and what is odd about it",
    "import": "bring demonstrations in from another format",
    "export": "write demonstrations in another format",
    "view": "write a page with plots and videos of a dataset",
}
DAGGER = """usage: understudy dagger POLICY --task TASK --run FOLDER [OPTIONS]
       understudy dagger --resume RUN

Let a policy act, have an expert say what was right in the states that it came to, learn from all of
it, and again. Begins with the demonstrations in --data, or with --demonstrations of the task's expert.

understudy dagger POLICY --help lists the options; understudy train names the policies."""
EVALUATE = """usage: understudy evaluate ACTOR --task TASK [OPTIONS]

Measure how good an actor is on starts that nothing was chosen on, and write a report.

ACTOR is a run folder (its newest checkpoint), a checkpoint folder, `expert`, `random`, or a zip of
stable-baselines3.
`--against` measures a second actor on the same starts and tests the difference.

understudy evaluate ACTOR --help lists the options."""
GAIL = """usage: understudy gail POLICY --data DATASET --task TASK --run FOLDER [OPTIONS]
       understudy gail --resume RUN

Let a policy try, and pay it for what cannot be told from the demonstrations: GAIL, or AIRL. It needs no
expert to ask and no reward, but thousands of steps of the task.

understudy gail POLICY --help lists the options. POLICY is gaussian, or lstm, or mlp where the action is
one of several choices."""
SWEEP = """usage: understudy sweep POLICY --data DATASET --task TASK --run FOLDER --vary OPTION=VALUES... [OPTIONS]
       understudy sweep --resume FOLDER [--workers N ...]

Train a policy with many options, measure each on starts to choose by, and the best on starts that nothing was
chosen on.

  --vary width=128,256,512 learning-rate=1e-4..1e-2:log depth=2..4
  --search grid | random | optuna

understudy sweep POLICY --help lists the options; those of understudy train are among them."""
TRAIN = """usage: understudy train POLICY --data DATASET --run FOLDER [OPTIONS]
       understudy train POLICY --data DATASET --estimate | --dry-run
       understudy train --resume RUN

Learn a policy from demonstrations.

policies:
{policies}

understudy train POLICY --help lists the options of a policy and of training."""


def usage(verb: str) -> str:
    """The text of a verb; empty for one that has the same options whatever comes next."""
    if verb == "data":
        return "usage: understudy data VERB ...\n\nverbs:\n" + _listed(DATA)
    if verb == "train":
        places = sorted(known(POLICIES | INTERCHANGE, GROUP).items())
        return TRAIN.format(policies=_listed({name: _summary(at) for name, at in places}))
    texts = {"dagger": DAGGER, "evaluate": EVALUATE, "gail": GAIL, "sweep": SWEEP}
    return texts.get(verb, "")


def _listed(texts: dict[str, str]) -> str:
    width = max(map(len, texts)) + 2
    return "\n".join(f"  {name:<{width}}{text}" for name, text in texts.items())


def _summary(place: str) -> str:
    """First line of what a policy says of itself, from its source: to import it would bring torch.

    One that is not there is no reason to show none.
    """
    module, _, name = place.partition(":")
    try:
        found = find_spec(module)
        if found is None or found.origin is None:
            return f"does not load: there is no {module}"
        source = ast.parse(Path(found.origin).read_text("utf-8"))
    except (ImportError, OSError, ValueError, SyntaxError) as error:
        return f"does not load: {error}"
    classes = [node for node in source.body if isinstance(node, ast.ClassDef) and node.name == name]
    return next(((ast.get_docstring(node) or "").partition("\n")[0] for node in classes), "")
