"""A small Hub on 127.0.0.1 for tests: repositories in memory, uploads by LFS or xet, and faults on demand.

    with HubServer(folder) as hub:
        hub.fail("POST .*/commit/", status=500, times=1)
        ...                                            # HF_ENDPOINT=hub.url, HF_TOKEN=WRITER

It answers what huggingface_hub, transformers and datasets ask when they create, fill and read repositories. With xet,
the client's own local store under `folder` takes the place of the content-addressed storage.
"""

import base64
import fnmatch
import hashlib
import json
import re
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

WRITER, READER, STRANGER = "hf_writerWRITERwriterWRITERwriterWR", "hf_readerREADERreader", "hf_strangerSTRANGER"
USERS = {WRITER: ("mara", "write"), READER: ("mara", "read"), STRANGER: ("otto", "write")}
LARGE = ("*.safetensors", "*.bin", "*.pt", "*.parquet", "*.tfevents.*")
NAME = r"[\w.-]+/[\w.-]+"


def is_ignored(path, pattern):
    """Whether a line of .gitignore is for `path`: a name, or with a slash at its end the name of a folder above."""
    *folders, name = path.split("/")
    parts = folders if pattern.endswith("/") else [*folders, name]
    return any(fnmatch.fnmatch(part, pattern.rstrip("/")) for part in parts)


@dataclass
class File:
    """One file of a commit: its bytes, or for a large one the sha256 that the storage knows it by, and its size."""

    oid: str
    size: int
    content: bytes | None = None

    @classmethod
    def regular(cls, content: bytes) -> "File":
        return cls(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), len(content), content)


@dataclass
class Repository:
    """Branches of commits; a commit is its message and all its files by path."""

    private: bool = False
    branches: dict[str, list[tuple[str, dict[str, File]]]] = field(default_factory=dict)

    def files(self, revision: str) -> dict[str, File]:
        return self.branches[revision][-1][1]

    def oid(self, revision: str) -> str:
        names = [
            (message, sorted((path, file.oid) for path, file in files.items()))
            for message, files in self.branches[revision]
        ]
        return hashlib.sha1(json.dumps(names).encode()).hexdigest()


@dataclass
class Fault:
    """What happens to requests that match: a status, or reset, hang, truncate, etag; `times` of them."""

    pattern: str
    status: int | None = None
    kind: str = "status"
    times: float = float("inf")
    headers: dict[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """An error answer: status, message, and the code that the client tells missing things apart by."""

    def __init__(self, status: int, message: str, code: str = ""):
        self.status, self.message, self.code = status, message, code


class HubServer:
    """The server and its state. `requests` lists "METHOD /path" of all that was asked."""

    def __init__(self, folder: Path):
        self.folder, self.lock, self.closing = Path(folder), threading.RLock(), threading.Event()
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.storage: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": self}))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> "HubServer":
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def fail(
        self, pattern: str, status: int | None = None, kind: str = "status", times: float = float("inf"), **headers
    ):
        """From now on, `times` requests whose "METHOD /path" matches `pattern` go wrong."""
        self.faults.append(Fault(pattern, status, kind, times, {k.replace("_", "-"): v for k, v in headers.items()}))

    def heal(self) -> None:
        self.faults.clear()

    def publish(self, kind: str, name: str, files: dict[str, bytes], revision: str = "main") -> None:
        """Put a repository with these files on the Hub. kind: models or datasets."""
        repository = self.repositories.setdefault((kind, name), Repository())
        stored = {path: self._store(path, content) for path, content in files.items()}
        repository.branches.setdefault(revision, []).append(("published", stored))

    def commits(self, name: str, revision: str = "main") -> list[tuple[str, dict[str, File]]]:
        """Commits of a model repository after the one that created it: message and files."""
        return self.repositories["models", name].branches[revision][1:]

    def read(self, name: str, path: str, revision: str = "main") -> bytes:
        return self.content(self.repositories["models", name].files(revision)[path])

    def content(self, file: File) -> bytes | None:
        return file.content if file.content is not None else self.storage.get(file.oid)

    def find_xet(self, sha256: str) -> str | None:
        """The xet hash under which the local store keeps the content of this sha256."""
        for shard in self.folder.glob("xet/xorbs/shards/*.mdb"):
            found = read_shard(shard.read_bytes())
            if sha256 in found:
                return found[sha256]
        return None

    def take_fault(self, request: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, request):
                fault.times -= 1
                return fault
        return None

    def _store(self, path: str, content: bytes) -> File:
        if not is_large(path):
            return File.regular(content)
        oid = hashlib.sha256(content).hexdigest()
        self.storage[oid] = content
        return File(oid, len(content))


def is_large(path: str) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in LARGE)


def read_shard(data: bytes) -> dict[str, str]:
    """sha256 -> xet hash of the files that a shard describes, in records of 48 bytes that end with one of 0xff."""

    def as_hex(start: int) -> str:
        return "".join(data[i : i + 8][::-1].hex() for i in range(start, start + 32, 8))

    found, offset = {}, 48
    while data[offset : offset + 32] != b"\xff" * 32:
        xet_hash = as_hex(offset)
        flags, entries = struct.unpack_from("<II", data, offset + 32)
        offset += 48 * (1 + entries * (2 if flags >> 31 else 1))  # segments, and their verification
        if flags >> 30 & 1:  # the record that holds the sha256
            found[as_hex(offset)] = xet_hash
            offset += 48
    return found


def check_metadata(readme: str) -> list[str]:
    """What the Hub would object to in a card's metadata."""
    match = re.match(r"---\n(.*?)\n---\n", readme, re.DOTALL)
    data = yaml.safe_load(match[1]) if match else None
    if not isinstance(data, dict):
        return ["no metadata"]
    errors = []
    for key, form in {"base_model": NAME, "datasets": NAME, "language": r"[a-z]{2,3}", "license": r"[\w.-]+"}.items():
        values = data.get(key) or []
        values = values if isinstance(values, list) else [values]
        errors += [f"{key}: {value}" for value in values if not re.fullmatch(form, value)]
    for model in data.get("model-index", []):
        for result in model["results"]:
            if not {"task", "dataset", "metrics"} <= result.keys() or not {"name", "type"} <= result["dataset"].keys():
                errors.append("model-index result without task, dataset or metrics")
            errors += [str(metric) for metric in result["metrics"] if not isinstance(metric["value"], int | float)]
    return errors


class Handler(BaseHTTPRequestHandler):
    """One connection. Routes are tried in order; groups of the pattern become arguments, unquoted."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        with suppress(ConnectionError, TimeoutError):  # a client that has given up
            super().handle_one_request()

    def answer(self):
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        self.body = self.read_body()
        request = f"{self.command} {url.path}"
        with self.hub.lock:
            self.hub.requests.append(request)
            self.fault = self.hub.take_fault(request)
        if self.fault and self.fault.kind == "hang":
            self.hub.closing.wait()
        if self.fault and self.fault.kind in ("hang", "reset"):
            self.close_connection = True
            self.connection.close()
            return
        try:
            if self.fault and self.fault.status:
                raise RefusalError(self.fault.status, f"fault {self.fault.status}")
            with self.hub.lock:
                self.route(request)
        except RefusalError as refusal:
            code = {"X-Error-Code": refusal.code} if refusal.code else {}
            code |= self.fault.headers if self.fault else {}
            self.send({"error": refusal.message}, refusal.status, code | {"X-Error-Message": refusal.message})

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def route(self, request: str) -> None:
        for pattern, handle in ROUTES:
            match = re.fullmatch(pattern, request)
            if match:
                handle(self, *(unquote(group) if group else group for group in match.groups()))
                return
        raise RefusalError(404, f"no such endpoint: {request}")

    def send(self, content, status: int = 200, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            cut = len(data) // 2 if self.fault and self.fault.kind == "truncate" else len(data)
            self.wfile.write(data[:cut])
            self.close_connection = self.close_connection or cut < len(data)

    # Who asks, and for what

    def user(self) -> tuple[str, str]:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in USERS:
            raise RefusalError(401, "Invalid username or password.")
        return USERS[token]

    def may_write(self, name: str) -> None:
        user, role = self.user()
        if role != "write" or name.split("/")[0] != user:
            raise RefusalError(403, "You don't have the required permissions to perform this action")

    def repository(self, kind: str, name: str, revision: str | None = None) -> Repository:
        repository = self.hub.repositories.get((kind, name))
        if repository is None or (repository.private and self.user()[0] != name.split("/")[0]):
            raise RefusalError(404, "Repository not found", "RepoNotFound")
        if revision is not None and revision not in repository.branches:
            commits = {repository.oid(branch): branch for branch in repository.branches}
            if revision not in commits:
                raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            repository = Repository(repository.private, {revision: repository.branches[commits[revision]]})
        return repository

    # Accounts and repositories

    def whoami(self):
        user, role = self.user()
        self.send({"type": "user", "name": user, "orgs": [], "auth": {"accessToken": {"role": role}}})

    def create(self):
        asked = json.loads(self.body)
        user, _ = self.user()
        name = f"{asked.get('organization') or user}/{asked['name']}"
        self.may_write(name)
        key, answer = (f"{asked.get('type') or 'model'}s", name), {"url": f"{self.hub.url}/{name}", "name": name}
        if key in self.hub.repositories:
            self.send(answer, 409)
            return
        attributes = File.regular(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
        branches = {"main": [("initial commit", {".gitattributes": attributes})]}
        self.hub.repositories[key] = Repository(asked.get("visibility") == "private", branches)
        self.send(answer)

    def check_access(self, kind, name, write):
        self.repository(kind, name)
        if write:
            self.may_write(name)
        self.send({})

    def create_branch(self, kind, name, branch):
        self.may_write(name)
        repository = self.repository(kind, name)
        if branch in repository.branches:
            raise RefusalError(409, "Reference already exists")
        repository.branches[branch] = list(repository.branches["main"])
        self.send({})

    def validate_yaml(self):
        errors = check_metadata(json.loads(self.body)["content"])
        self.send({"errors": [{"message": e} for e in errors], "warnings": []}, 400 if errors else 200)

    # Uploads

    def preupload(self, kind, name, revision):
        self.may_write(name)
        asked, files = json.loads(self.body), self.repository(kind, name, revision).files(revision)
        ignore = asked.get("gitIgnore")
        if ignore is None and ".gitignore" in files:
            ignore = files[".gitignore"].content.decode()
        patterns = [line for line in (ignore or "").splitlines() if line and not line.startswith("#")]
        answers = [
            {
                "path": path,
                "uploadMode": "lfs" if is_large(path) else "regular",
                "shouldIgnore": any(is_ignored(path, pattern) for pattern in patterns),
                "oid": files[path].oid if path in files else None,
            }
            for path in (file["path"] for file in asked["files"])
        ]
        self.send({"files": answers})

    def lfs_batch(self, name):
        self.may_write(name)
        objects = json.loads(self.body)["objects"]
        for thing in objects:
            if thing["oid"] not in self.hub.storage:
                actions = {"upload": f"lfs/{thing['oid']}", "verify": "lfs-verify"}
                thing["actions"] = {key: {"href": f"{self.hub.url}/{path}"} for key, path in actions.items()}
        self.send({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid):
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusalError(400, "content does not match its oid")
        self.hub.storage[oid] = self.body
        self.send({}, headers={"ETag": f'"{oid}"'})

    def lfs_verify(self):
        asked = json.loads(self.body)
        if len(self.hub.storage.get(asked["oid"], b"")) != asked["size"]:
            raise RefusalError(404, "no such object")
        self.send({})

    def xet_token(self, kind, name, right):
        self.repository(kind, name)
        if right == "write":
            self.may_write(name)
        self.hub.folder.mkdir(parents=True, exist_ok=True)
        token = {"casUrl": f"local://{self.hub.folder}", "accessToken": "xet", "exp": 4_000_000_000}
        headers = ("X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration")
        self.send(token, headers=dict(zip(headers, map(str, token.values()), strict=True)))

    def commit(self, kind, name, revision):
        self.may_write(name)
        repository = self.repository(kind, name, revision)
        lines = [json.loads(line) for line in self.body.splitlines()]
        files, message = dict(repository.files(revision)), ""
        for key, value in ((line["key"], line["value"]) for line in lines):
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = File.regular(base64.b64decode(value["content"]))
            elif key == "lfsFile":
                if value["oid"] not in self.hub.storage and not self.hub.find_xet(value["oid"]):
                    raise RefusalError(400, f"{value['path']}: its content was never uploaded")
                files[value["path"]] = File(value["oid"], value["size"])
            elif key == "deletedFile":
                del files[value["path"]]
        repository.branches[revision].append((message, files))
        oid = repository.oid(revision)
        self.send({"commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}"})

    # Reading

    def info(self, kind, name, revision):
        revision = revision or "main"
        repository = self.repository(kind, name, revision)
        siblings = [{"rfilename": path, "size": file.size} for path, file in repository.files(revision).items()]
        answer = {"id": name, "sha": repository.oid(revision), "private": repository.private, "siblings": siblings}
        self.send(answer | {"tags": [], "downloads": 0, "likes": 0})

    def tree(self, kind, name, revision, folder):
        files = self.repository(kind, name, revision).files(revision)
        inside = {path: file for path, file in files.items() if not folder or path.startswith(f"{folder}/")}
        if not inside and folder:
            raise RefusalError(404, "no such folder", "EntryNotFound")
        depth = len(folder.split("/")) if folder else 0
        if self.query.get("recursive", ["false"])[0].lower() == "true":
            shown, folders = inside, {str(p) for path in inside for p in Path(path).parents} - {".", folder}
        else:
            shown = {path: file for path, file in inside.items() if path.count("/") == depth}
            folders = {"/".join(path.split("/")[: depth + 1]) for path in inside.keys() - shown}
        entries = [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        self.send(entries + [describe(path, file) for path, file in shown.items()])

    def paths_info(self, kind, name, revision):
        form = parse_qs(self.body.decode())
        asked = form.get("paths") or json.loads(self.body)["paths"]
        files = self.repository(kind, name, revision).files(revision)
        self.send([describe(path, files[path]) for path in asked if path in files])

    def resolve(self, kind, name, revision, path):
        repository = self.repository((kind or "models/").rstrip("/"), name, revision)
        file = repository.files(revision).get(path)
        headers = {"X-Repo-Commit": repository.oid(revision), "Accept-Ranges": "bytes"}
        if file is None:
            raise RefusalError(404, "Entry not found", "EntryNotFound")
        wrong = self.fault and self.fault.kind == "etag"
        headers |= {"ETag": f'"{"0" * len(file.oid) if wrong else file.oid}"', "X-Linked-Size": str(file.size)}
        content = self.hub.content(file)
        if content is None:
            route = f"{self.hub.url}/api/{(kind or 'models/').rstrip('/')}/{name}/xet-read-token/{revision}"
            headers |= {"X-Xet-Hash": self.hub.find_xet(file.oid), "X-Xet-Refresh-Route": route}
            self.send(b"", headers=headers)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            start, stop = int(asked[1]), int(asked[2] or file.size - 1) + 1
            headers["Content-Range"] = f"bytes {start}-{min(stop, file.size) - 1}/{file.size}"
            self.send(content[start:stop], 206, headers)
        else:
            self.send(content, headers=headers)


def describe(path: str, file: File) -> dict:
    entry = {"type": "file", "path": path, "oid": file.oid, "size": file.size}
    return entry | ({"lfs": {"oid": file.oid, "size": file.size, "pointerSize": 134}} if is_large(path) else {})


REPO, REV = r"/(models|datasets)/([^/]+/[^/]+)", r"([^/]+)"
ROUTES = [
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate_yaml),
    (rf"GET /api{REPO}/auth-check(/write)?", Handler.check_access),
    (rf"POST /api{REPO}/branch/{REV}", Handler.create_branch),
    (rf"POST /api{REPO}/preupload/{REV}", Handler.preupload),
    (rf"POST /api{REPO}/commit/{REV}", Handler.commit),
    (rf"POST /api{REPO}/paths-info/{REV}", Handler.paths_info),
    (rf"GET /api{REPO}/xet-(read|write)-token/{REV}", lambda h, kind, name, right, _: h.xet_token(kind, name, right)),
    (rf"GET /api{REPO}/tree/{REV}(?:/(.+))?", Handler.tree),
    (rf"GET /api{REPO}(?:/revision/{REV})?", Handler.info),
    (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", Handler.lfs_batch),
    (r"PUT /lfs/(\w+)", Handler.lfs_put),
    (r"POST /lfs-verify", Handler.lfs_verify),
    (rf"(?:GET|HEAD) /(datasets/)?([^/]+/[^/]+)/resolve/{REV}/(.+)", Handler.resolve),
]
