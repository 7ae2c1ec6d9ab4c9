"""Asks Alembic what backstay was asked: a case a line on standard input, its answers a line on standard output.

The answers come from Alembic's own commands; only the files and the database are taken from under them. Where
backstay departs from Alembic on purpose, the answer has the name of the departure (`departs`) and what is right
instead, worked out with Alembic's own functions; no departure is a tolerance.
"""

import io
import json
import re
import sys
import tempfile
import warnings
from types import SimpleNamespace

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import HeadMaintainer, MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionMap
from sqlalchemy import Column, MetaData, String, Table

warnings.simplefilter("ignore")

BELOW_BASE = re.compile(r"(.+@)?base-[1-9]\d*")
COUNTED = re.compile(r"(.+@)?[+-]\d+")
FOLDER = tempfile.mkdtemp()
VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32)))


class Refused(Exception):
    """Alembic refused, or broke, before it changed anything."""


class Environment:
    """Stands where `EnvironmentContext` does: `env.py` and the database."""

    rows = ()

    def __init__(self, config, script, fn, as_sql=False, starting_rev=None, purge=False, **_):
        self.script, self.fn, self.as_sql, self.start, self.purge = script, fn, as_sql, starting_rev, purge

    def __enter__(self):
        self.script.run_env = self.run

    def __exit__(self, *_):
        del self.script.run_env

    def heads(self):
        if self.purge:
            return ()
        if not self.as_sql:
            return Environment.rows
        context = SimpleNamespace(as_sql=True, _start_from_rev=self.start, script=self.script)
        return MigrationContext.get_current_heads(context)

    def run(self):
        """`MigrationContext.run_migrations`, whose bookkeeping of the rows is told step by step."""
        heads = self.heads()
        context = SimpleNamespace(as_sql=True, impl=SimpleNamespace(_exec=lambda *_: None), _version=VERSION)
        maintainer = HeadMaintainer(context, heads)
        done = SimpleNamespace(start=set(heads), steps=[], rows=[], broke=None)
        for step in self.fn(heads, context):
            done.steps.append(step)
        for step in done.steps:
            try:
                maintainer.update_to_step(step)
            except Exception as error:
                done.broke = repr(error)
                break
            done.rows.append(set(maintainer.heads))
        Environment.done = done


class Case:
    def __init__(self, graph):
        def script(id, down, needs, labels):
            module = SimpleNamespace(
                down_revision=tuple(down) or None,
                depends_on=tuple(needs) or None,
                branch_labels=tuple(labels) or None,
                upgrade=lambda: None,
                downgrade=lambda: None,
            )
            module.__doc__ = ""
            return Script(module, id, id + ".py")

        self.directory = ScriptDirectory(FOLDER)
        self.map = RevisionMap(lambda: [script(*revision) for revision in graph])
        self.directory.revision_map = self.map
        self.lineage = {}
        self.give_sets_an_order([id for id, *_ in graph])

    def give_sets_an_order(self, ids):
        """Alembic keeps some things in sets of strings, whose order changes with every start of Python.

        They get the order of the files, which is one of those it may have.
        """
        place = {id: at for at, id in enumerate(ids)}
        for revision in filter(None, self.map._revision_map.values()):
            revision.nextrev = tuple(sorted(revision.nextrev, key=place.get))
            revision._all_nextrev = tuple(sorted(revision._all_nextrev, key=place.get))
            declared = list(revision._resolved_dependencies)
            revision._normalized_resolved_dependencies = tuple(
                sorted(revision._normalized_resolved_dependencies, key=declared.index)
            )
            revision.branch_labels = sorted(revision.branch_labels)

    def ask(self, verb, *arguments):
        for revision in filter(None, self.map._revision_map.values()):
            revision._db_current_indicator = None
        try:
            return getattr(self, verb)(*arguments)
        except Refused as error:
            return {"refused": str(error)}

    def run(self, verb, *arguments, **options):
        """Gives what an Alembic command printed."""
        output = io.StringIO()
        directory = self.directory
        real, command.EnvironmentContext = command.EnvironmentContext, Environment
        from_config, ScriptDirectory.from_config = ScriptDirectory.from_config, lambda config: directory
        try:
            getattr(command, verb)(Config(stdout=output), *arguments, **options)
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {error}") from error
        finally:
            command.EnvironmentContext = real
            ScriptDirectory.from_config = from_config
        return [line.removesuffix(", ") for line in output.getvalue().split("\n")[:-1]]

    # What is asked.

    def upgrade(self, rows, target):
        return self.move("upgrade", rows, target)

    def downgrade(self, rows, target):
        return self.move("downgrade", rows, target)

    def upgrade_sql(self, span):
        return self.move("upgrade", (), span, sql=True)

    def downgrade_sql(self, span):
        return self.move("downgrade", (), span, sql=True)

    def move(self, verb, rows, target, sql=False):
        Environment.rows = tuple(rows)
        self.run(verb, target, sql=sql)
        done = Environment.done
        target = target.split(":")[-1]
        if self.branch_is_unknown(target):
            return departs("a branch that does not exist", None)
        if BELOW_BASE.fullmatch(target):
            return departs("steps below base lead to the head", None)
        if verb == "downgrade" and re.fullmatch(r"-\d+", target) and len(done.start) > 1:
            return departs("-N from several rows", None)
        names = [step.revision.revision for step in done.steps]
        told = self.tell(done.steps, [done.start, *done.rows])
        applied = self.below(done.start)
        states = [self.highest(applied)]
        for name in names:
            applied = applied | {name} if verb == "upgrade" else applied - {name}
            states.append(self.highest(applied))
        right = self.tell(done.steps, states)
        if told == right:
            return {"lines": right}
        # Up to where it broke off, Alembic's rows must imply what is applied, though some of them are too many.
        if all(self.highest(self.below(rows)) == right for rows, right in zip([done.start, *done.rows], states)):
            reason = "Alembic's bookkeeping breaks off" if done.broke else "Alembic leaves rows that others imply"
            return departs(reason, right)
        return {"lines": told}

    def stamp(self, rows, target, purge):
        Environment.rows = tuple(rows)
        branch, at, symbol = target.partition("@")
        try:
            self.run("stamp", target, purge=purge)
        except Refused:
            if not at or symbol in self.map._revision_map or not (full := self.found(target)) or full == symbol:
                raise
            right = self.stamp(rows, f"{branch}@{full}", purge).get("lines")
            return departs("a stamp of an id shortened within its branch", right)
        done = Environment.done
        if self.branch_is_unknown(target):
            return departs("a branch that does not exist", None)
        if re.fullmatch(r"(.+@)?-\d+", target):
            return departs("a stamp of -N on an empty version table", None)
        targets = {revision.revision for revision in self.map.get_revisions(target)}
        if self.highest(targets) != targets:
            return departs("a stamp of heads of which one needs the other", None)
        stamped = done.rows[-1] if done.rows else done.start
        if not targets:
            return {"lines": sorted(stamped)}
        related = set().union(*(self.related(target) for target in targets))
        right = done.start - related | targets
        if done.broke:
            return departs("Alembic's bookkeeping breaks off", sorted(right))
        if stamped < right and right - stamped <= targets | done.start - related:
            return departs("a stamp that forgets a row that it has nothing to do with", sorted(right))
        return {"lines": sorted(stamped)}

    def history(self, rows, span, mark):
        Environment.rows = tuple(rows)
        theirs, broke_in = self.try_history(span, mark)
        start, end = span.split(":") if span and span.count(":") == 1 else ("", "")
        branch, at, symbol = start.partition("@")
        if self.branch_is_unknown(start) or self.branch_is_unknown(end):
            right, reason = None, "a branch that does not exist"
        elif BELOW_BASE.fullmatch(end):
            right, reason = None, "steps below base lead to the head"
        elif COUNTED.fullmatch(start) and COUNTED.fullmatch(end):
            right, reason = None, "a range of which both ends are counted"
        elif COUNTED.fullmatch(start):
            right, reason = self.counted(rows, start, end, mark), "a start of -N counts from the end of the range"
        elif at and branch not in self.map._revision_map:
            full = self.map._resolve_branch(branch).revision
            right = self.history(rows, f"{full}@{symbol}:{end}", mark).get("lines")
            reason = "a shortened branch at the start of a range"
        elif end == "current" and not rows:
            right = theirs.get("lines") and ([] if not start or start.endswith("base") else None)
            reason = "up to the current revision of an empty version table"
        elif broke_in == "_topological_sort":
            right = self.where_only_dependencies_lead(rows, start, end, mark)
            reason = "a range through a dependency"
        else:
            return theirs
        return theirs if right == theirs.get("lines") else departs(reason, right)

    def try_history(self, span, mark):
        """What Alembic lists; if it raises, also the function that did."""
        try:
            return {"lines": self.run("history", span, indicate_current=mark)}, None
        except Refused as refused:
            trace = refused.__cause__.__traceback__
            while trace.tb_next:
                trace = trace.tb_next
            return {"refused": str(refused)}, trace.tb_frame.f_code.co_name

    def current(self, rows):
        Environment.rows = tuple(rows)
        return {"lines": sorted(self.run("current"))}

    def heads(self):
        return {"lines": self.run("heads")}

    def branches(self):
        return {"lines": self.run("branches")}

    def bases(self):
        return {"lines": self.directory.get_bases()}

    def show(self, target):
        try:
            found = self.directory.get_revisions(target)
        except Exception as error:
            raise Refused(repr(error)) from error
        if re.fullmatch(r"(.+@)?-\d+", target):
            return departs("-N where nothing is counted", None)
        if self.branch_is_unknown(target):
            return departs("a branch that does not exist", None)
        return {"lines": [revision.revision for revision in found]}

    def found(self, target):
        """The one revision that a target names, if it names one."""
        try:
            return self.map.get_revision(target).revision
        except Exception:
            return None

    def revision(self, head, splice, needs):
        if any(map(self.branch_is_unknown, [head, *needs])):
            return departs("a branch that does not exist", None)
        return self.grown("revision", head=head, splice=splice, depends_on=needs, rev_id="new0")

    def merge(self, on):
        if any(map(self.branch_is_unknown, on)):
            return departs("a branch that does not exist", None)
        answer = self.grown("merge", on, rev_id="new0")
        if "lines" in answer and ", " not in answer["lines"][0]:
            return departs("a merge of fewer than two", None)
        return answer

    def grown(self, verb, *arguments, **options):
        class Written(Exception):
            pass

        def write(src, dest, **values):
            raise Written(values)

        self.directory._generate_template = write
        try:
            self.run(verb, *arguments, **options)
        except Refused as refused:
            if not isinstance(refused.__cause__, Written):
                raise
            values = refused.__cause__.args[0]
        comma = values["comma"]
        return {"lines": [f"revises {comma(values['down_revision'])}", f"needs {comma(values['depends_on'])}"]}

    # What is right instead, where Alembic is not.

    def counted(self, rows, start, end, mark):
        """As Alembic's manual has it: "starting from three revs ago up to current"."""
        try:
            branch, count = start.rpartition("@")[::2]
            if end == "current":
                ends = [self.map.get_revision(row) for row in rows]
            else:
                ends = self.map._parse_upgrade_target((), end or "heads", assert_relative_length=False)
            if branch:
                ends = self.map.filter_for_lineage(ends, branch)
            starts = {self.map._walk(end, int(count), no_overwalk=False) for end in ends}
            if "base" in starts or None in starts:
                starts = set()
            names = tuple(sorted({revision.revision for revision in starts}))
            return self.listed(tuple(end.revision for end in ends), names, rows, mark)
        except Exception:
            return None

    def where_only_dependencies_lead(self, rows, start, end, mark):
        """Alembic's sort finds nothing to begin with, or does not reach everything, and asserts."""
        try:
            lower = tuple(rows) if start == "current" else start or "base"
            upper = tuple(rows) if end == "current" else end or "heads"
            return self.listed(upper, lower, rows, mark)
        except Exception:
            return None

    def listed(self, upper, lower, rows, mark):
        """`walk_revisions`, whose sort begins at whatever is highest if it can't from the ends."""
        sort, iterate = self.map._topological_sort, self.map._collect_upgrade_revisions
        seen = {}

        def collect(*arguments, **options):
            wanted, heads = iterate(*arguments, **options)
            starts = self.map.get_revisions(lower)
            between = self.names(self.map._get_ancestor_nodes(heads))
            between -= self.names(self.map._get_ancestor_nodes(starts))
            seen["between"] = {self.map.get_revision(name) for name in between} | set(starts)
            return wanted, heads

        def from_the_highest(wanted, heads):
            try:
                return sort(wanted, heads)
            except AssertionError:
                between = seen["between"]
                top = [self.map.get_revision(name) for name in self.highest(self.names(between))]
                return [name for name in sort(between, top) if name in self.names(wanted)]

        self.map._collect_upgrade_revisions, self.map._topological_sort = collect, from_the_highest
        try:
            found = ()
            if upper:
                found = self.map.iterate_revisions(upper, lower, inclusive=True, assert_relative_length=False)
            lines = []
            for revision in found:
                revision._db_current_indicator = mark and revision.revision in rows
                line = revision.cmd_format(False, include_branches=True, include_parents=True)
                lines.append(line)
            return lines
        finally:
            del self.map._collect_upgrade_revisions, self.map._topological_sort

    # What a graph knows.

    def names(self, revisions):
        return {revision.revision for revision in revisions}

    def below(self, rows):
        return set().union(*(self.ancestors(row) for row in rows))

    def ancestors(self, name):
        if name not in self.lineage:
            self.lineage[name] = self.names(self.map._get_ancestor_nodes([self.map.get_revision(name)]))
        return self.lineage[name]

    def related(self, name):
        descendants = self.map._get_descendant_nodes([self.map.get_revision(name)])
        return self.ancestors(name) | self.names(descendants)

    def highest(self, names):
        """Those of these on which none of the others stands, at any distance."""
        covered = set()
        for name in names:
            covered |= self.ancestors(name) - {name}
        return names - covered

    def goes_in_a_circle(self):
        """Whether a revision stands on itself: Alembic asks only what can be reached from heads and from bases."""
        revisions = set(filter(None, self.map._revision_map.values()))
        while revisions:
            standing = {name for revision in revisions for name in revision._all_nextrev}
            free = {revision for revision in revisions if revision.revision not in standing}
            if not free:
                return True
            revisions -= free
        return False

    def branch_is_unknown(self, target):
        branch, at, _ = target.partition("@")
        if not at:
            return False
        try:
            self.map._resolve_branch(branch)
        except Exception:
            return True
        return False

    def tell(self, steps, states):
        return [tell(step, *moved) for step, moved in zip(steps, zip(states, states[1:]))]


def tell(step, before, after):
    comma = ", ".join
    changes = [f"-{row}" for row in sorted(before - after)] + [f"+{row}" for row in sorted(after - before)]
    return f"{comma(step.from_revisions_no_deps)} -> {comma(step.to_revisions_no_deps)}: {' '.join(changes)}"


def departs(reason, lines):
    answer = {"refused": reason} if lines is None else {"lines": lines}
    return {"departs": reason, **answer}


def answers(graph, questions):
    try:
        case = Case(graph)
    except Exception as error:
        return [{"refused": repr(error)}]
    if len({id for id, *_ in graph}) < len(graph):
        return [departs("two files with one id", None)]
    if case.goes_in_a_circle():
        return [departs("a circle through a dependency", None)]
    return [{"lines": []}] + [case.ask(*question) for question in questions]


# Alembic prints as it goes.
sys.stdout, output = sys.stderr, sys.stdout
for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(answers(case["graph"], case["questions"])), file=output, flush=True)
