#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares docs/FIELDS.md with the code. Prints each difference, and exits with 1 if there is any:

- a field that only proto/ or only the document has, or that has another number there;
- a row that says that the field is read, although the rooms of xDS call no accessor of the field;
- a row that says "ignored", although the rooms of xDS call an accessor.

Accessor calls are followed through types, so that `name` of one message is not taken for `name` of another.
"""
import collections
import pathlib
import re
import sys

DOCUMENT = "docs/FIELDS.md"
# Every message of these files has to be in the document. Of other files only documented messages are checked.
COVERED = [
    "envoy/config/cluster/v3/cluster.proto",
    "envoy/config/endpoint/v3/endpoint.proto",
    "envoy/config/listener/v3/listener.proto",
    "envoy/config/route/v3/route.proto",
    "envoy/extensions/filters/network/http_connection_manager/",
    "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto",
    "envoy/extensions/filters/udp/udp_proxy/v3/udp_proxy.proto",
    "envoy/extensions/load_balancing_policies/",
]
COVERED_MESSAGES = ["envoy.type.v3.HashPolicy"]  # and the messages nested in them
LOOKED_AT = {"read", "to come", "checked", "listed", "refused", "left alone"}
STATES = LOOKED_AT | {"ignored"}

Field = collections.namedtuple("Field", "number type oneof")  # type: a message's full name or ""


# ---- .proto ----


class Protos:
    """messages: full name -> {field: Field}; files: full name -> path below proto/."""

    def __init__(self, root):
        self.messages, self.files = {}, {}
        for path in sorted(root.rglob("*.proto")):
            self.parse(path.read_text(), path.relative_to(root).as_posix())
        for name, fields in self.messages.items():
            for field, found in fields.items():
                fields[field] = found._replace(type=self.resolve(found.type, name))

    def parse(self, text, file):
        tokens = re.findall(r'"[^"]*"|[\w.]+|[^\s\w]', re.sub(r"//[^\n]*|/\*.*?\*/", "", text,
                                                               flags=re.S))
        package, at = "", 0
        scopes = []  # (kind, name)
        while at < len(tokens):
            word = tokens[at]
            if word == "package":
                package, at = tokens[at + 1], at + 3
            elif word in ("message", "oneof", "enum", "service") and tokens[at + 2] == "{":
                scopes.append((word, tokens[at + 1]))
                if word == "message":
                    self.messages[self.full(package, scopes)] = {}
                    self.files[self.full(package, scopes)] = file
                at += 3
            elif word == "}":
                scopes.pop()
                at += 1
            else:
                end = at
                while tokens[end] not in (";", "{"):
                    end += 1
                if tokens[end] == "{":  # an rpc's or option's body
                    scopes.append(("other", ""))
                elif scopes and scopes[-1][0] in ("message", "oneof"):
                    self.statement(tokens[at:end], self.full(package, scopes), scopes[-1])
                at = end + 1

    @staticmethod
    def full(package, scopes):
        return ".".join([package] + [name for kind, name in scopes if kind == "message"])

    def statement(self, tokens, message, scope):
        if tokens[0] in ("reserved", "option", "extensions") or "=" not in tokens:
            return
        equals = tokens.index("=")
        kind = tokens[equals - 2]
        if tokens[0] == "map":
            kind = tokens[tokens.index(",") + 1]
        self.messages[message][tokens[equals - 1]] = Field(
            int(tokens[equals + 1]), kind, scope[1] if scope[0] == "oneof" else "")

    def resolve(self, name, scope):
        """Resolves a name as protobuf does: the innermost scope that has the name."""
        while scope:
            if f"{scope}.{name}" in self.messages:
                return f"{scope}.{name}"
            scope = scope.rpartition(".")[0]
        return name if name in self.messages else ""

    def cpp(self, name):
        """The messages that a C++ name may mean: those whose full name ends in the name's parts."""
        parts = [part for part in re.sub(r"<.*", "", name).split("::") if part]
        tail = "." + ".".join(parts)
        return {full for full in self.messages if ("." + full).endswith(tail)}


# ---- C++ ----


def plain(text):
    """The source without comments, string literals and #include, with simple function-like macros expanded."""
    text = re.sub(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/',
                  lambda found: '""' if found[0][0] == '"' else " ", text, flags=re.S)
    for name, parameters, body in re.findall(
            r"^#define (\w+)\(([^)]*)\)((?:[^\n]*\\\n)*[^\n]*)", text, re.M):
        body = body.replace("\\\n", " ")
        parameters = [one.strip() for one in parameters.split(",")]

        def expand(call):
            one = body
            arguments = [argument.strip() for argument in call[1].split(",")]
            for parameter, argument in zip(parameters, arguments):
                one = re.sub(rf"(?:##)?\b{parameter}\b|##{parameter}\b", argument, one)
            return one.replace("##", "")

        text = re.sub(rf"(?<!#define )\b{name}\(([^()]*)\)", expand, text)
    return re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)


def matching(text, at):
    """The position behind the bracket that closes the bracket at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i + 1
    return len(text)


def arguments(text):
    parts, start, i = [], 0, 0
    while i < len(text):
        if text[i] in "([{":
            i = matching(text, i) - 1
        elif text[i] == ",":
            parts.append(text[start:i])
            start = i + 1
        i += 1
    return parts + [text[start:]]


class Accesses:
    """called: each (message, field) whose accessor a source calls."""

    # [const] TYPE [&*] NAME, before what ends a declaration.
    DECLARATION = re.compile(
        r"\b(?:const\s+)?((?:\w+::)*\w+(?:<[\w:\s]*>)?)\s*[&*]?\s+[&*]?\s*(\w+)\s*(?=[;,)=:{])"
        r"|\b(?:const\s+)?((?:\w+::)*\w+(?:<[\w:\s]*>)?)\s*[&*]\s*(\w+)\s*(?=[;,)=:{])")
    ALIAS = re.compile(r"\b(?:using|namespace)\s+(\w+)\s*=\s*([\w:\s]+?);")
    TEMPLATE = re.compile(r"template\s*<\s*typename\s+(\w+)[^>]*>\s*[\w:<>&*\s]*?\b(\w+)\s*\(")

    def __init__(self, protos, sources):
        self.protos, self.called = protos, set()
        self.unresolved = set()  # names of accessors on objects of unknown type
        # A source is read after its own header, because it uses the header's members.
        units = {}
        for path, text in sources.items():
            header = sources.get(path[:-4] + ".h", "") if path.endswith(".cpp") else ""
            units[path] = plain(header) + "\n" + plain(text)
        self.returns = {}  # function -> messages
        self.parameters = collections.defaultdict(set)  # (template function, T) -> messages
        for text in units.values():
            self.learn_returns(text)
        before = -1
        while before != self.size():  # templates learn their types from their calls
            before = self.size()
            for text in units.values():
                self.unit(text)

    def size(self):
        return len(self.called) + sum(len(types) for types in self.parameters.values())

    def learn_returns(self, text):
        aliases = dict(self.ALIAS.findall(text))
        for kind, name in re.findall(r"\bconst\s+((?:\w+::)*\w+)\s*[&*]\s*(\w+)\s*\(", text):
            if types := self.types(kind, aliases, {}):
                self.returns[name] = types

    def types(self, name, aliases, templates):
        if inner := re.search(r"RepeatedPtrField<(.*)>", name):
            name = inner[1].strip()
        head, _, rest = name.partition("::")
        if head in templates and not rest:
            return templates[head]
        for _ in range(8):
            if head not in aliases or aliases[head] == name:
                break
            name = re.sub(r"\s", "", aliases[head]) + ("::" + rest if rest else "")
            head, _, rest = name.partition("::")
        return self.protos.cpp(name)

    def unit(self, text):
        aliases = dict(self.ALIAS.findall(text))
        events = [(found.start(), "declare", found) for found in self.DECLARATION.finditer(text)]
        events += [(found.start(), "template", found) for found in self.TEMPLATE.finditer(text)]
        events += [(found.start(), "use", found)
                   for found in re.finditer(r"(?<![\w.:>])[A-Za-z_]\w*(?=\s*(?:\.|->|\())", text)]
        events.sort(key=lambda event: event[0])
        variables, templates, template_end = {}, {}, 0
        for at, kind, found in events:
            if at >= template_end:
                templates = {}
            if kind == "template":
                key = (found[2], found[1])
                templates = {found[1]: self.parameters[key]}
                template_end = matching(text, text.index("{", matching(text, found.end() - 1)))
            elif kind == "declare":
                self.declare(text, found, aliases, templates, variables)
            else:
                self.use(text, found, variables)

    def declare(self, text, found, aliases, templates, variables):
        kind, name = (found[1], found[2]) if found[1] else (found[3], found[4])
        if kind in ("return", "case", "using", "namespace", "typename", "const", "else"):
            return
        if kind == "auto":
            rest = re.match(r"\s*[=:]\s*(?!:)", text[found.end():])
            types = self.chain(text, found.end() + rest.end(), variables) if rest else set()
        else:
            types = self.types(kind, aliases, templates)
        variables[name] = types

    def use(self, text, found, variables):
        self.chain(text, found.start(), variables)
        # A call: a template is instantiated with the types of the arguments.
        open_at = found.end()
        if text[open_at] != "(":
            return
        first = arguments(text[open_at + 1:matching(text, open_at) - 1])[0].strip()
        types = self.chain(first, 0, variables) if re.match(r"\w", first) else set()
        for function, parameter in list(self.parameters):
            if function == found[0]:
                self.parameters[(function, parameter)] |= types

    def chain(self, text, at, variables):
        """Follows `a.b().c(i)` from `at`, notes its accessors, and returns the messages of the last part."""
        head = re.compile(r"\w+").match(text, at)
        if not head:
            return set()
        types, at = variables.get(head[0], set()), head.end()
        if at < len(text) and text[at] == "(":
            types, at = self.returns.get(head[0], set()), matching(text, at)
        while step := re.compile(r"\s*(?:\.|->)\s*(\w+)\s*(\()?").match(text, at):
            at = step.end()
            if not step[2]:
                return set()
            at = matching(text, at - 1)
            if step[1] not in ("Get", "begin", "rbegin", "front"):
                types = self.access(types, step[1])
        return types

    def access(self, types, method):
        if not types:
            self.unresolved.add(method)
        result = set()
        for message in types:
            fields = self.protos.messages[message]
            name = re.sub(r"^has_(?=\w)|_size$", "", method) if method not in fields else method
            if name in fields:
                self.called.add((message, name))
                if method == name and fields[name].type:
                    result.add(fields[name].type)
            elif method.endswith("_case"):
                self.called |= {(message, field) for field, found in fields.items()
                                if found.oneof == method[:-len("_case")]}
        return result

    def reads(self, message, field):
        if (message, field) in self.called:
            return True
        # An object of unknown type proves something only by a field name that no other message has.
        owners = [name for name, fields in self.protos.messages.items() if field in fields]
        return len(owners) == 1 and bool({field, f"has_{field}", f"{field}_size"} & self.unresolved)


# ---- the document ----


def rows(document):
    """(line number, message, field, number, state) of each row; (line number, message) of headings."""
    found, headings, message = [], {}, None
    for line_number, line in enumerate(document.splitlines(), 1):
        if heading := re.match(r"#+ .*?`([\w.]+)`", line):
            message = heading[1]
            headings[message] = line_number
        elif line.startswith("#"):
            message = None
        elif row := re.match(r"\|\s*`(\w+)`\s*\|\s*(\d+)\s*\|\s*([^|]*?)\s*\|", line):
            found.append((line_number, message, row[1], int(row[2]), row[3]))
    return found, headings


def covered(protos):
    for name, fields in protos.messages.items():
        nested = any((name + ".").startswith(one + ".") for one in COVERED_MESSAGES)
        if fields and (nested or protos.files[name].startswith(tuple(COVERED))):
            yield name


def violations(protos, accesses, document):
    found, headings = rows(document)
    seen = set()
    for line, message, field, number, state in found:
        where = f"{DOCUMENT}:{line}: {message}.{field}: "
        declared = protos.messages.get(message, {}).get(field)
        if declared is None:
            yield where + "proto/ has no such field"
            continue
        if (message, field) in seen:
            yield where + "is there twice"
        seen.add((message, field))
        if declared.number != number:
            yield where + f"has number {declared.number}, not {number}"
        looked_at = accesses.reads(message, field)
        if state not in STATES:
            yield where + f"'{state}' is none of: {', '.join(sorted(STATES))}"
        elif state in LOOKED_AT and not looked_at:
            yield where + f"'{state}', but the rooms of xDS call no accessor of it"
        elif state == "ignored" and looked_at:
            yield where + "'ignored', but the rooms of xDS call its accessor"
    for message, line in headings.items():
        if message not in protos.messages:
            yield f"{DOCUMENT}:{line}: proto/ has no message {message}"
    for message in sorted(set(covered(protos)) | (set(headings) & set(protos.messages))):
        for field in protos.messages[message]:
            if (message, field) not in seen:
                yield f"{DOCUMENT}: {message}.{field} is missing"


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    protos = Protos(root / "proto")
    sources = {path.as_posix(): path.read_text() for room in ("ads", "decode", "store")
               for path in sorted((root / "agent" / room).iterdir()) if path.suffix in (".h", ".cpp")}
    accesses = Accesses(protos, sources)
    found = list(violations(protos, accesses, (root / DOCUMENT).read_text()))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
