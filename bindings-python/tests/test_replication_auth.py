"""Who may administer replication: the cases of ``ts/test/auth.test.ts``, and those of what only Python hosts have."""

import copy
import hmac
import pickle
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from kitedb.replication_auth import (
    AsgiMtlsMatcherOptions,
    ForwardedMtlsMatcherOptions,
    ReplicationAdminAuthConfig,
    ReplicationAdminAuthError,
    ReplicationAdminConfigError,
    authorize_replication_admin_request,
    create_asgi_tls_mtls_matcher,
    create_forwarded_tls_mtls_matcher,
    create_replication_admin_authorizer,
    is_asgi_tls_client_authorized,
    is_forwarded_tls_client_authorized,
    is_replication_admin_authorized,
)

TOKEN = "correct-horse"
CERT = "x-forwarded-client-cert"
PROXY = ("10.0.0.7", 40000)
BEHIND: dict[str, Any] = {"trusted_proxies": ["10.0.0.7"]}

Config = ReplicationAdminAuthConfig


def request(headers: object, peer: tuple[str, int] | None = PROXY) -> SimpleNamespace:
    """As Starlette has it: its headers, and the scope that says where it comes from."""
    return SimpleNamespace(headers=headers, scope={"type": "http", "client": peer})


def alone(headers: object) -> SimpleNamespace:
    """The word of the host itself."""
    return SimpleNamespace(headers=headers)


def status(config: Config, request: object) -> int:
    try:
        create_replication_admin_authorizer(config)(request)
    except ReplicationAdminAuthError as error:
        assert not is_replication_admin_authorized(request, config)
        with pytest.raises(PermissionError):
            authorize_replication_admin_request(request, config)
        assert re.fullmatch(r"Unauthorized: .*mode '.*' not satisfied.*", str(error))
        return error.status_code
    assert is_replication_admin_authorized(request, config)
    assert create_replication_admin_authorizer(config).admits(request)
    return 200


def refuses_config(config: Any, says: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: create_replication_admin_authorizer(config),
        lambda: is_replication_admin_authorized({}, config),
        lambda: authorize_replication_admin_request({}, config),
    ]
    for call in calls:
        with pytest.raises(ReplicationAdminConfigError, match=says):
            call()


class Pairs:
    """Headers that may come more than once, as frameworks have them."""

    def __init__(self, *pairs: tuple[Any, Any]) -> None:
        self.pairs = pairs

    def items(self) -> Any:
        return iter(self.pairs)


def test_each_mode_admits_by_what_it_asks_for_and_nothing_less() -> None:
    token = {"authorization": f"Bearer {TOKEN}"}
    wrong_token = {"authorization": "Bearer correct-horsf"}
    cert = {CERT: "CN=admin,O=KiteDB"}
    wrong_cert = {CERT: "CN=other,O=KiteDB"}
    shown: list[dict[str, str]] = [
        {},
        token,
        wrong_token,
        cert,
        wrong_cert,
        token | cert,
        token | wrong_cert,
        wrong_token | cert,
    ]
    expected: dict[Any, list[int]] = {
        "none": [200, 200, 200, 200, 200, 200, 200, 200],
        "token": [401, 200, 401, 401, 401, 200, 200, 401],
        "mtls": [401, 401, 401, 200, 403, 200, 403, 200],
        "token_or_mtls": [401, 200, 401, 200, 401, 200, 200, 200],
        "token_and_mtls": [401, 401, 401, 401, 401, 200, 401, 401],
    }
    for mode, of_each in expected.items():
        config = Config(mode=mode, token=TOKEN, mtls_subject_regex="CN=admin", **BEHIND)
        assert [status(config, request(headers)) for headers in shown] == of_each, mode


def test_an_authorizer_says_whether_it_asks_for_anything_and_shows_no_secret() -> None:
    authorizer = create_replication_admin_authorizer(Config(mode="token", token=TOKEN))
    assert (authorizer.mode, authorizer.auth_enabled) == ("token", True)
    assert not create_replication_admin_authorizer(Config(mode="none")).auth_enabled
    assert not create_replication_admin_authorizer(Config()).auth_enabled
    with pytest.raises(AttributeError):
        authorizer.auth_enabled = False  # type: ignore[misc]
    for config in (Config(mode="token", token=TOKEN), Config(mode="token_and_mtls", token=TOKEN, **BEHIND)):
        asked = create_replication_admin_authorizer(config)
        with pytest.raises(ReplicationAdminAuthError) as caught:
            asked(request({"authorization": "Bearer presented-secret", CERT: "CN=whoever"}))
        error = caught.value
        everything = repr([error, str(error), vars(error), error.args, asked, config])
        for secret in (TOKEN, "presented-secret", "whoever"):
            assert secret not in everything
        assert dict(error.headers) == {"www-authenticate": 'Bearer realm="kitedb replication"'}
        assert error.code == "UNAUTHORIZED"
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.status_code, again.mode) == (str(error), 401, config.mode)


def test_the_header_of_a_token_is_read_in_every_form_that_hosts_give_it() -> None:
    config = Config(mode="token", token=TOKEN)
    right = f"Bearer {TOKEN}"
    forms: list[object] = [
        {"authorization": right},
        {"Authorization": right},
        {"AUTHORIZATION": right},
        {"authorization": [right]},
        {"authorization": (right,)},
        {"authorization": right.encode()},
        {b"Authorization": right.encode()},
        {"authorization": [right.encode()]},
        {"authorization": f" \t{right} "},
        {"authorization": ["", right]},
        {"authorization": [None, right]},
        Pairs(("Authorization", right)),
        [("AuthorizatioN", right)],
        [[b"authorization", right.encode()]],
        SimpleNamespace(get=lambda name: right if name == "authorization" else None),
    ]
    for headers in forms:
        assert status(config, alone(headers)) == 200, headers
    others: list[object] = [
        None,
        {},
        "authorization",
        ["authorization", right],
        {"authorization": ""},
        {"authorization": None},
        {"authorization": 7},
        {"authorization": [right, right]},
        {"authorization": [right, "Bearer other"]},
        {"authorization": [right, 7]},
        {"authorization": right, "Authorization": right},
        {"authorization": right, b"authorization": right.encode()},
        {"x-authorization": right, "authorization2": right, " authorization": right},
        Pairs(("Authorization", right), ("authorization", right)),
    ]
    for headers in others:
        assert status(config, alone(headers)) == 401, headers
    for asked in (None, 7, right, object()):
        assert not is_replication_admin_authorized(asked, config)
    # What a mapping shows of two may not be what a proxy in between looked at.
    raw = [(b"host", b"x"), (b"authorization", b"Bearer other"), (b"Authorization", right.encode())]
    scope = {"type": "http", "client": None, "headers": raw}
    assert status(config, SimpleNamespace(headers={"authorization": right}, scope=scope)) == 401
    assert status(config, SimpleNamespace(headers={"authorization": right}, raw_headers=raw)) == 401
    assert status(config, SimpleNamespace(headers={"authorization": right}, raw_headers=raw[:1])) == 200
    # A scope by itself.
    assert status(config, {**scope, "headers": [(b"authorization", right.encode())]}) == 200
    assert status(config, scope) == 401


def test_a_token_is_the_whole_of_it_in_this_case_after_one_bearer_and_one_blank() -> None:
    config = Config(mode="token", token=f" {TOKEN}\n")
    assert status(config, alone({"authorization": f"Bearer {TOKEN}"})) == 200
    for authorization in (
        TOKEN,
        "Bearer",
        "Bearer ",
        f"bearer {TOKEN}",
        f"BEARER {TOKEN}",
        f"Bearer  {TOKEN}",
        f"Bearer\t{TOKEN}",
        f"Bearer {TOKEN[1:]}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN}{TOKEN}",
        f"Bearer {TOKEN}Bearer {TOKEN}",
        f"Bearer {TOKEN.upper()}",
        f"Bearer {TOKEN}\0",
        f"Bearer {TOKEN},Bearer {TOKEN}",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN.replace('o', chr(0x43E))}",
        f"Bearer {TOKEN.replace('h', chr(0xFF48))}",
        f"Bearer\u00a0{TOKEN}",
        f"Bearer {TOKEN}\u00a0",
        f"\ufeffBearer {TOKEN}",
        "Bearer \ud800",
        "x" * 100_000,
    ):
        assert status(config, alone({"authorization": authorization})) == 401, authorization[:60]


def test_what_is_compared_is_of_one_length_and_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    original = hmac.compare_digest

    def compare_digest(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return original(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    authorizer = create_replication_admin_authorizer(Config(mode="token", token=TOKEN))
    for presented in (None, "", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}", "x" * 5000):
        authorizer.admits(alone({"authorization": presented}))
    assert len(compared) == 6, "also where nothing was presented"
    assert len({length for pair in compared for length in pair}) == 1


def test_a_configuration_that_cannot_be_meant_is_refused() -> None:
    made: list[tuple[Any, str]] = [
        (None, "must be given as ReplicationAdminAuthConfig"),
        ({"mode": "token", "token": TOKEN}, "must be given as ReplicationAdminAuthConfig"),
        (Config(mode="tokens"), "Invalid replication admin auth mode 'tokens': give one of none, token"),  # type: ignore[arg-type]
        (Config(mode=1), "Invalid replication admin auth mode: give one of"),  # type: ignore[arg-type]
        (Config(mode=["none"]), "Invalid replication admin auth mode"),  # type: ignore[arg-type]
        # Nobody who gives a token means that it does not matter.
        (Config(token=TOKEN), "Invalid replication admin auth mode: none is given, though token is"),
        (Config(mode="", token=TOKEN), "none is given, though token is"),  # type: ignore[arg-type]
        (Config(mtls_subject_regex="x"), "though mtls_subject_regex is"),
        (Config(mtls_header="x-cert"), "though mtls_header is"),
        (Config(mode="token"), "mode 'token' requires a non-empty token"),
        (Config(mode="token", token=" \n"), "requires a non-empty token"),
        (Config(mode="token_or_mtls", **BEHIND), "requires a non-empty token"),
        (Config(mode="token_and_mtls", **BEHIND), "requires a non-empty token"),
        (Config(mode="token", token=7), "token must be a str"),  # type: ignore[arg-type]
        (Config(mode="token", token="пароль"), "a character that no header carries unchanged"),
        (Config(mode="token", token="a\nb"), "a character that no header carries unchanged"),
        (Config(mode="mtls", trusted_proxies=[]), "name at least one"),
        (Config(mode="mtls", trusted_proxies="loopback"), "must be 'any' or a list"),
        (Config(mode="mtls", trusted_proxies=["any"]), "no IP address.*: 'any'"),
        (Config(mode="mtls", trusted_proxies=["0.0.0.0/0"]), "every address, '0.0.0.0/0'"),
        (Config(mode="mtls", trusted_proxies=["10.0.0.7", "::/0"]), "every address, '::/0'"),
        (Config(mode="mtls", trusted_proxies=["proxy.example.com"]), "no IP address.*: 'proxy.example.com'"),
        (Config(mode="mtls", trusted_proxies=[7]), "no IP address"),  # type: ignore[list-item]
        (Config(mode="mtls", mtls_header="x client cert", **BEHIND), "mtls_header is no name of a header"),
        (Config(mode="mtls", mtls_header="Authorization", **BEHIND), "mtls_header is no name of a header"),
        (Config(mode="mtls", mtls_header="Host", **BEHIND), "'host' comes with every request"),
        (Config(mode="mtls", mtls_header="sec-fetch-site", **BEHIND), "'sec-fetch-site' comes with every request"),
        (Config(mode="mtls", mtls_subject_regex=7, **BEHIND), "mtls_subject_regex must be a str or a compiled"),  # type: ignore[arg-type]
        (Config(mode="mtls", mtls_subject_regex=re.compile(b"CN"), **BEHIND), "must be a str or a compiled"),  # type: ignore[arg-type]
        (Config(mode="mtls", mtls_subject_regex="(", **BEHIND), "mtls_subject_regex is no regular expression"),
        (Config(mode="mtls", mtls_subject_regex="", **BEHIND), "matches an empty subject, and so admits everybody"),
        (Config(mode="mtls", mtls_subject_regex=".*", **BEHIND), "admits everybody"),
        (Config(mode="mtls", mtls_subject_regex="CN=admin(?=,O=KiteDB)", **BEHIND), "beyond whole attributes"),
        (Config(mode="mtls", mtls_subject_regex="(?<=O=KiteDB,)CN=admin", **BEHIND), "beyond whole attributes"),
        (Config(mode="mtls", mtls_matcher=True), "mtls_matcher must be a function"),  # type: ignore[arg-type]
        # What a matcher overrules may count again tomorrow.
        (Config(mode="mtls", mtls_matcher=bool, mtls_subject_regex=".*"), "admits everybody"),
        (Config(mode="mtls", mtls_matcher=bool, mtls_header="x client cert"), "mtls_header is no name of a header"),
        (Config(mode="mtls", mtls_matcher=bool, trusted_proxies=[]), "name at least one"),
    ]
    for config, says in made:
        refuses_config(config, says)
    with pytest.raises(ValueError) as caught:
        create_replication_admin_authorizer(Config(mode="token", token="geheim-ü"))
    assert "geheim" not in repr(caught.value)
    with pytest.raises(TypeError):
        Config(tokens=TOKEN)  # type: ignore[call-arg]
    for spelled in (" Token ", "TOKEN"):
        assert create_replication_admin_authorizer(Config(mode=spelled, token=TOKEN)).mode == "token"  # type: ignore[arg-type]


def test_a_configuration_that_is_changed_later_changes_nothing() -> None:
    proxies = ["10.0.0.7"]
    config = Config(mode="token_and_mtls", token=TOKEN, trusted_proxies=proxies, mtls_subject_regex="CN=admin")
    authorizer = create_replication_admin_authorizer(config)
    proxies.append("0.0.0.0/0")
    headers = {"authorization": f"Bearer {TOKEN}", CERT: "CN=admin"}
    authorizer(request(headers))
    assert not authorizer.admits(request(headers, ("10.0.0.8", 1)))
    with pytest.raises(AttributeError):
        config.mode = "none"  # type: ignore[misc]


def test_the_certificate_header_is_believed_from_configured_proxies_by_the_connection() -> None:
    headers = {CERT: "CN=admin", "x-forwarded-for": "10.0.0.7", "x-real-ip": "10.0.0.7", "forwarded": "for=10.0.0.7"}
    config = Config(mode="mtls", **BEHIND)
    for peer in (None, ("10.0.0.8", 1), ("10.0.0.77", 1), ("", 1), ("localhost", 1), ("::ffff:a00:8", 1)):
        assert status(config, request(headers, peer)) == 401, peer
    assert status(config, SimpleNamespace(headers=headers, remote_addr="10.0.0.7", ip="10.0.0.7")) == 401
    tables: list[tuple[Any, list[str], list[str]]] = [
        (["10.0.0.7"], ["10.0.0.7", "::ffff:10.0.0.7", "::FFFF:a00:7"], ["010.0.0.7", "10.0.7", "10.0.0.7."]),
        (["10.0.0.0/8"], ["10.255.1.2", "::ffff:10.1.1.1"], ["11.0.0.1", "9.255.255.255", "::a00:1"]),
        (["10.1.2.3/8"], ["10.255.1.2"], ["11.0.0.1"]),
        (["192.168.4.0/22"], ["192.168.7.255", "192.168.4.0"], ["192.168.8.0", "192.168.3.255"]),
        (["loopback"], ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"], ["128.0.0.1", "::2", "::"]),
        (["fd00::/8", "fe80::1"], ["fd12:3456::1", "fe80::1%eth0"], ["fc00::1", "fe80::2", "253.0.0.1"]),
        (["2001:db8::/33"], ["2001:db8:7fff::1"], ["2001:db8:8000::1"]),
        (["::ffff:10.0.0.7"], ["10.0.0.7", "::ffff:10.0.0.7"], ["10.0.0.8"]),
        ("any", ["8.8.8.8", "2001:db8::1", ""], []),
    ]
    for proxies, believed, others in tables:
        for addresses, expected in ((believed, 200), (others, 401)):
            for address in addresses:
                got = status(Config(mode="mtls", trusted_proxies=proxies), request(headers, (address, 1)))
                assert got == expected, (proxies, address)
    # Where other hosts keep the peer.
    for asked in (
        {"type": "http", "client": ["10.0.0.7", 1], "headers": [(CERT.encode(), b"CN=admin")]},
        SimpleNamespace(headers=headers, client=SimpleNamespace(host="10.0.0.7")),
        SimpleNamespace(headers=headers, environ={"REMOTE_ADDR": "10.0.0.7"}),
        SimpleNamespace(headers=headers, META={"REMOTE_ADDR": "10.0.0.7"}),
        SimpleNamespace(headers=headers, client_address=("10.0.0.7", 1)),
        SimpleNamespace(headers=headers, remote="10.0.0.7"),
    ):
        assert status(config, asked) == 200, asked
    for bad in (
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "::/129",
        "1::2::3",
        "10.0.0",
        "0x7f.0.0.1",
        ":::",
        "1:2",
        "1:2:3:4::5:6:7:8",
        "",
    ):
        refuses_config(Config(mode="mtls", trusted_proxies=[bad]), "no IP address")


def test_the_call_of_the_runbook_admits_the_client_that_it_names() -> None:
    config = Config(mode="mtls", mtls_header="x-client-cert", mtls_subject_regex=re.compile("CN=allowed-client"))
    assert status(config, alone({"x-client-cert": "CN=allowed-client,O=RayDB"})) == 200
    assert status(config, alone({"x-client-cert": "CN=other-client,O=RayDB"})) == 403
    assert status(config, alone({CERT: "CN=allowed-client,O=RayDB"})) == 401
    assert status(config, alone({})) == 401
    assert status(config, SimpleNamespace()) == 401


class Made:
    """Made of headers by a host, in a class of its own."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers


class Connected(Made):
    """It has more, and not in the instance."""

    @property
    def peer(self) -> str:
        return "10.0.0.8"


class Slotted:
    """What a server made, perhaps: nobody sees what it has."""

    __slots__ = ("headers", "peer")

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers


def requests_with(headers: dict[str, str]) -> list[tuple[bool, object]]:
    """Requests with these headers, and whether they are believed where no proxies are named."""
    here, distant = ("127.0.0.1", 1), ("10.0.0.8", 1)
    return [
        # The host's own word.
        (True, alone(headers)),
        (True, {"headers": headers}),
        (True, Made(headers)),
        (True, SimpleNamespace(headers=headers, raw_headers=[])),
        # From this machine.
        *((True, request(headers, (peer, 1))) for peer in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1")),
        (True, SimpleNamespace(headers=headers, method="GET", client=here)),
        # From elsewhere, or nobody knows where from.
        (False, request(headers, distant)),
        (False, request(headers, ("2001:db8::1", 1))),
        (False, request(headers, None)),
        (False, SimpleNamespace(headers=headers, scope={})),
        (False, SimpleNamespace(headers=headers, client=None)),
        (False, SimpleNamespace(headers=headers, client=distant)),
        (False, SimpleNamespace(headers=headers, environ={})),
        (False, SimpleNamespace(headers=headers, environ={}, client=here)),
        (False, SimpleNamespace(headers=headers, method="GET")),
        (False, {"headers": headers, "method": "GET"}),
        (False, Connected(headers)),
        (False, Slotted(headers)),
    ]


def test_where_no_proxies_are_named_this_machine_is_believed_and_who_gives_nothing_but_headers() -> None:
    forwarded = create_forwarded_tls_mtls_matcher()
    subject = create_forwarded_tls_mtls_matcher(ForwardedMtlsMatcherOptions(subject_regex="CN=admin"))
    for believed, asked in requests_with({CERT: "CN=admin,O=KiteDB", "x-client-verify": "SUCCESS"}):
        expected = 200 if believed else 401
        assert status(Config(mode="mtls"), asked) == expected, asked
        assert status(Config(mode="mtls", mtls_subject_regex="CN=admin"), asked) == expected, asked
        assert status(Config(mode="token_or_mtls", token=TOKEN), asked) == expected, asked
        assert status(Config(mode="token_and_mtls", token=TOKEN), asked) == 401, asked
        assert status(Config(mode="mtls", mtls_subject_regex="CN=root"), asked) == (403 if believed else 401), asked
        assert forwarded(asked) == subject(asked) == is_forwarded_tls_client_authorized(asked) == believed, asked
        assert not is_forwarded_tls_client_authorized(asked, ForwardedMtlsMatcherOptions(verify_headers=["x-other"]))
    for believed, asked in requests_with({CERT: "CN=admin", "authorization": f"Bearer {TOKEN}"}):
        assert status(Config(mode="token_and_mtls", token=TOKEN), asked) == (200 if believed else 401), asked
        assert status(Config(mode="token_or_mtls", token=TOKEN), asked) == 200, asked


def test_where_proxies_are_named_headers_alone_are_nobodys_word() -> None:
    headers = {CERT: "CN=admin", "x-client-verify": "SUCCESS"}
    for proxies in (["10.0.0.7"], ["loopback"], ["0.0.0.0/1", "::/1"]):
        assert status(Config(mode="mtls", trusted_proxies=proxies), alone(headers)) == 401
        options = ForwardedMtlsMatcherOptions(trusted_proxies=proxies)
        assert not is_forwarded_tls_client_authorized(alone(headers), options)
    assert status(Config(mode="mtls", trusted_proxies="any"), alone(headers)) == 200


def test_the_certificate_header_is_the_configured_one_in_any_case_and_form_once() -> None:
    config = Config(mode="mtls", mtls_header=" X-Client-Cert ", **BEHIND)
    forms: list[object] = [
        {"x-client-cert": "CN=a"},
        {"X-Client-Cert": "CN=a"},
        {"x-client-cert": ["CN=a"]},
        {b"x-client-cert": b"CN=a"},
    ]
    for headers in forms:
        assert status(config, request(headers)) == 200, headers
    others: list[object] = [
        {CERT: "CN=a"},
        {"x-client-cert": ""},
        {"x-client-cert": " \t"},
        {"x-client-cert": ["CN=a", "CN=b"]},
        {"x-client-cert": "CN=a", "X-Client-Cert": "CN=b"},
        {"x-client-cert\0": "CN=a"},
    ]
    for headers in others:
        assert status(config, request(headers)) == 401, headers
    assert status(Config(mode="mtls", mtls_header=" ", **BEHIND), request({CERT: "CN=a"})) == 200
    # The Kelvin sign is a k in lower case, and in no header's name.
    assert status(Config(mode="mtls", mtls_header="x-key", **BEHIND), request({"x-\u212aey": "CN=a"})) == 401


ADMIN_IN = [
    "CN=admin",
    "CN=admin,O=KiteDB",
    "O=KiteDB,CN=admin",
    "O=KiteDB, CN=admin",
    "O=KiteDB;CN=admin",
    "CN=admin+OU=ops,O=KiteDB",
    "/O=KiteDB/CN=admin",
    'By=spiffe://a/b;Hash=0a1b;Subject="CN=admin,O=KiteDB";URI=spiffe://a/c',
    'Subject="O=KiteDB,CN=admin"',
]
ADMIN_NOT_IN = [
    "CN=administrator",
    "CN=admin-not",
    "CN=admin.evil.example",
    "CN=not admin",
    "XCN=admin",
    "xCN=admin,O=KiteDB",
    "CN=ADMIN",
    "O=CN=admin",
    "O=CN=admin,CN=evil",
    "O=x CN=admin",
    "O=x\\,CN=admin,CN=evil",
    "O=x\\,CN=admin",
    'O="x,CN=admin"',
    'O="x,CN=admin",CN=evil',
    'O=x",CN=evil,OU="y,CN=admin',
    'O=x\\",CN=admin\\"',
    # Joined by a proxy that adds its header to the client's; a value that is not escaped.
    "CN=admin, CN=evil",
    "CN=evil,CN=admin",
    "CN=admin,commonName=evil",
    "/O=x/CN=admin/CN=evil",
    "CN=admin,CN=evil\\",
    'CN=admin,O="x',
    "admin",
    '"CN=admin"',
    "CN=admin\0",
    "CN=evil\nCN=admin",
    'CN="admin"x',
    "Hash=0a;URI=spiffe://a/b?CN=admin",
    'Hash=0a;Subject="CN=evil";URI=x,Subject="CN=admin"',
    'Hash=0a;Subject="CN=admin",Hash=0b;Subject="CN=evil"',
    'Hash=0a;Subject="CN=evil";Subject="CN=admin"',
    'Hash=0a;Subject="CN=admin";Subject="CN=evil"',
    'Hash=0a;Subject="CN=admin";role=admin',
    'Hash=0a;Subject="CN=evil\\"";CN=admin',
    'Hash=0a;Subject="CN=evil";CN=admin',
    "URI=x;CN=admin",
    f"O={'x' * 5000},CN=admin",
    f"{'O=x,' * 40}CN=admin",
]


@pytest.mark.parametrize(
    ("regex", "admitted", "others"),
    [
        ("CN=admin", ADMIN_IN, ADMIN_NOT_IN),
        (
            "^CN=admin,O=KiteDB$",
            ["CN=admin,O=KiteDB"],
            ["CN=admin,O=KiteDB,C=DE", "C=DE,CN=admin,O=KiteDB", "CN=admin", "CN=admin,O=KiteDBs"],
        ),
        ("^CN=admin", ["CN=admin,O=x", "CN=admin"], ["O=x,CN=admin", "CN=admins"]),
        ("CN=admin$", ["O=x,CN=admin"], ["CN=admin,O=x"]),
        ("(?m)^CN=admin$", ["CN=admin"], ["CN=x\nCN=admin", "CN=admin,O=x"]),
        ("(?i)cn=ADMIN", ["CN=admin,O=x"], ["CN=admins"]),
        (re.compile("cn=ADMIN", re.IGNORECASE), ["CN=admin,O=x"], ["CN=admins"]),
        (re.compile("CN= admin  # the one\n | CN=root  # or that", re.VERBOSE), ["CN=admin", "CN=root"], ["CN=roots", "CN=x"]),
        ("CN=(a|admin)", ["CN=admin", "CN=a,O=x"], ["CN=ad"]),
        (r"CN=(a)(?P<more>d)min-\1(?P=more)", ["CN=admin-ad"], ["CN=admin-da", "CN=admin-ad1"]),
        (r"CN=admin-\d+", ["CN=admin-12,O=x"], ["CN=admin-12b", "CN=admin-"]),
        ("CN=admin|CN=root", ["CN=root"], ["CN=roots", "CN=xCN=root"]),
        (
            "admin",
            ["CN=admin", "admin", "O=admin,CN=x", 'CN="admin"'],
            ["CN=administrator", "CN=my admin", "O=CN=admin", "O=x=admin"],
        ),
        ("CN=Ünïcode 🪁", ["CN=Ünïcode 🪁,O=🪁🪁"], ["CN=Ünïcode 🪁s"]),
        ("CN = admin", ["C = US, CN = admin"], ["C = US, CN = administrator"]),
        ("CN=admin[^,]*", ["CN=admin anything"], ["CN=admin\0x", "CN=admin\r\nx", "CN=admin\u2028x", "CN=admin\u007f"]),
        ("0A:1B", ["0A:1B"], ["0A:1B:2C", "00:0A:1B"]),
        (
            "CN=admin,OU=(?:a|b)",
            ["CN=admin,OU=b,O=x", "C=DE,CN=admin,OU=a"],
            ["CN=admin,OU=ab", "OU=b,CN=admin"],
        ),
    ],
    ids=str,
)
def test_a_subject_is_admitted_by_whole_attributes(
    regex: str | re.Pattern[str], admitted: list[str], others: list[str]
) -> None:
    authorizer = create_replication_admin_authorizer(Config(mode="mtls", mtls_subject_regex=regex, **BEHIND))
    for subject in admitted:
        assert authorizer.admits(request({CERT: subject})), subject
    for subject in others:
        assert not authorizer.admits(request({CERT: subject})), subject


def test_whatever_the_other_attributes_of_a_subject_say_the_name_is_what_counts() -> None:
    # Values that try to be more than one value, written as RFC 4514 has it, by which nothing is left to guess.
    pieces = ["CN=admin", "admin", ",", ";", "+", '"', "\\", "=", " ", "/", "#", "x", "O=", "CN=", "é", "<", 'Subject="CN=admin"']
    chance = random.Random(42)

    def written(value: str) -> str:
        text = ""
        for at, character in enumerate(value):
            edge = (at == 0 and character in " #") or (at == len(value) - 1 and character == " ")
            text += f"\\{character}" if edge or character in ',;+"\\<>' else character
        return text

    by_header = create_replication_admin_authorizer(Config(mode="mtls", mtls_subject_regex="CN=admin", **BEHIND))
    native = create_asgi_tls_mtls_matcher(AsgiMtlsMatcherOptions(subject_regex="CN=admin"))
    admitted = 0
    for _ in range(20_000):
        attributes = [
            (
                chance.choice(["CN", "O", "OU", "C"]),
                "admin" if chance.randrange(3) == 0 else "".join(chance.choices(pieces, k=chance.randint(1, 4))),
            )
            for _ in range(chance.randint(1, 4))
        ]
        names = [value for kind, value in attributes if kind == "CN"]
        expected = names == ["admin"]
        text = chance.choice([",", ", ", ";", "+"]).join(f"{kind}={written(value)}" for kind, value in attributes)
        # HTTP takes the blank at the end away, and what is left ends within an escape.
        assert by_header.admits(request({CERT: text})) == (expected and not text.endswith(" ")), text
        tls = {"client_cert_chain": ["PEM"], "client_cert_error": None, "client_cert_name": text}
        assert native(SimpleNamespace(scope={"extensions": {"tls": tls}})) == expected, text
        admitted += expected
    assert admitted > 1000


def test_a_hostile_subject_is_refused_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # Counted, not timed: the pattern is asked no more often than a subject of the allowed size can make it.
    from kitedb.replication_auth import _subject

    asked = 0

    class Counted:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self.pattern = pattern

        def search(self, text: str) -> object:
            return self.pattern.search(text)

        def match(self, text: str, at: int) -> object:
            nonlocal asked
            asked += 1
            return self.pattern.match(text, at)

    real = re.compile
    monkeypatch.setattr(re, "compile", lambda source, flags=0: Counted(real(source, flags)))
    rule = _subject.subject_rule(real("CN=admin"), "regex")
    for subject in ('O="x",' * 500 + "C=D", 'O="x",' * 31 + "C=D"):
        assert not rule(subject)
    assert 0 < asked <= 3 * 3 * 32 * 32


def test_a_matcher_decides_alone_where_certificates_count_by_true() -> None:
    calls = 0

    def matcher(answer: object) -> Callable[[Any], Any]:
        def called(request: Any) -> Any:
            nonlocal calls
            calls += 1
            return answer

        return called

    modes: list[Any] = ["none", "token"]
    for mode in modes:
        config = Config(mode=mode, token=TOKEN, mtls_matcher=matcher(False))
        assert status(config, alone({"authorization": f"Bearer {TOKEN}"})) == 200
    assert calls == 0
    answers: list[object] = [False, None, 0, 1, "true", {}, [True]]
    for answer in answers:
        assert status(Config(mode="mtls", mtls_matcher=matcher(answer)), alone({CERT: "CN=admin"})) == 401, answer
    assert status(Config(mode="mtls", mtls_matcher=matcher(True)), {}) == 200
    # Header, pattern and proxies may stand beside it, and neither open nor close anything.
    beside = Config(mode="mtls", mtls_header="x-client-cert", mtls_subject_regex="CN=admin")
    for proxies in (None, ["10.0.0.7"]):
        config = replace(beside, trusted_proxies=proxies)
        admin = request({"x-client-cert": "CN=admin"})
        assert status(replace(config, mtls_matcher=matcher(False)), admin) == 401
        other = request({"x-client-cert": "CN=other"}, ("10.0.0.8", 1))
        assert status(replace(config, mtls_matcher=matcher(True)), other) == 200

    def throws(request: Any) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        is_replication_admin_authorized({}, Config(mode="mtls", mtls_matcher=throws))

    # A coroutine is true whatever it comes to, and one that nobody awaits warns, which is an error here.
    async def later(request: Any) -> bool:
        return True

    with pytest.raises(TypeError, match="returned an awaitable: it must answer at once"):
        is_replication_admin_authorized({}, Config(mode="mtls", mtls_matcher=later))  # type: ignore[arg-type]


def test_the_asgi_matcher_goes_by_what_the_server_verified() -> None:
    asked = AsgiMtlsMatcherOptions(require_peer_certificate=True)
    verified: list[dict[str, Any]] = [
        {"tls_client_authorized": True},
        {"client_cert_verified": 1},
        {"ssl_client_verify": "SUCCESS"},
        {"ssl_client_verify": "yes"},
        {"ssl_client_verify": "true"},
        {"extensions": {"tls": {"client_cert_verified": True}}},
        {"extensions": {"tls": {"client_cert_chain": ["PEM"], "client_cert_error": None}}},
    ]
    for scope in verified:
        assert is_asgi_tls_client_authorized(SimpleNamespace(scope=scope)), scope
        assert is_asgi_tls_client_authorized({"type": "http", **scope}), scope
        for name in ("client_cert", "peer_cert", "client_cert_chain"):
            assert is_asgi_tls_client_authorized(SimpleNamespace(scope={**scope, name: ["PEM"]}), asked), scope
    assert is_asgi_tls_client_authorized(SimpleNamespace(scope=verified[-1]), asked)
    assert not is_asgi_tls_client_authorized(SimpleNamespace(scope=verified[0]), asked)
    others: list[object] = [
        {},
        {"tls_client_authorized": False},
        {"tls_client_authorized": 0},
        {"ssl_client_verify": "NONE"},
        {"ssl_client_verify": ""},
        {"tls_client_authorized": [True]},
        {"client_cert": "PEM"},
        {"extensions": {"tls": {"client_cert_chain": [], "client_cert_error": None}}},
        {"extensions": {"tls": {"client_cert_chain": ["PEM"], "client_cert_error": "expired"}}},
        {"extensions": {"tls": {"client_cert_chain": ["PEM"]}}},
        {"extensions": None},
        None,
        "scope",
    ]
    for other in others:
        assert not is_asgi_tls_client_authorized(SimpleNamespace(scope=other)), other
    for nobody in (None, object(), {}, alone({"x-client-verify": "SUCCESS"})):
        assert not is_asgi_tls_client_authorized(nobody)

    tls = {"client_cert_chain": ["PEM"], "client_cert_error": None, "client_cert_name": "CN=admin,O=KiteDB"}
    asked_of = SimpleNamespace(scope={"extensions": {"tls": tls}})
    assert is_asgi_tls_client_authorized(asked_of, AsgiMtlsMatcherOptions(subject_regex="CN=admin"))
    root = create_asgi_tls_mtls_matcher(AsgiMtlsMatcherOptions(subject_regex="CN=root"))
    assert status(Config(mode="mtls", mtls_matcher=root), asked_of) == 403
    assert status(Config(mode="mtls", mtls_matcher=root), SimpleNamespace(scope={})) == 401
    del tls["client_cert_name"]
    assert not is_asgi_tls_client_authorized(asked_of, AsgiMtlsMatcherOptions(subject_regex="CN=admin"))
    wrong: list[Any] = [
        AsgiMtlsMatcherOptions(require_peer_certificate="yes"),  # type: ignore[arg-type]
        AsgiMtlsMatcherOptions(subject_regex="x*"),
        {"require_peer_certificate": True},
    ]
    for options in wrong:
        with pytest.raises(ReplicationAdminConfigError):
            create_asgi_tls_mtls_matcher(options)
        with pytest.raises(ReplicationAdminConfigError):
            is_asgi_tls_client_authorized({}, options)


def test_the_forwarded_matcher_believes_what_a_proxy_says_of_verification_and_certificate() -> None:
    def admits(headers: Mapping[str, object], peer: tuple[str, int] | None = PROXY, **options: Any) -> bool:
        return is_forwarded_tls_client_authorized(
            request(headers, peer), ForwardedMtlsMatcherOptions(**{**BEHIND, **options})
        )

    for value in ("SUCCESS", "success", "Successful", "true", "1", "yes", "verified", "ok", " OK "):
        assert admits({"x-client-verify": value}), value
        assert admits({"SSL-Client-Verify": [value]}), value
        assert admits({"ssl-client-verify": value.encode()}), value
    for value in ("NONE", "FAILED:expired", "SUCCESS, NONE", "not success", "", "0", "SUCCESSX"):
        assert not admits({"x-client-verify": value}), value
    assert not admits({})
    # One of them may be the client's own.
    assert not admits({"x-client-verify": "NONE", "ssl-client-verify": "SUCCESS"})
    assert not admits({"x-client-verify": ["SUCCESS", "SUCCESS"]})
    assert not admits({"x-client-verify": "SUCCESS", "X-Client-Verify": "NONE"})
    assert not admits({"x-client-verify": "SUCCESS"}, ("10.0.0.8", 1))
    assert not admits({"x-client-verify": "SUCCESS"}, None)
    assert admits({"x-mine": "fine"}, verify_headers=["X-Mine"], success_values=["Fine"])
    assert not admits({"x-client-verify": "SUCCESS"}, verify_headers=["x-mine"])
    assert admits({"x-client-verify": "SUCCESS"}, verify_headers=[], success_values=[" "])

    both = {"x-client-verify": "SUCCESS", "x-client-cert": "CN=admin"}
    assert admits(both, require_peer_certificate=True)
    assert not admits({**both, "x-client-cert": " "}, require_peer_certificate=True)
    assert not admits({**both, "x-client-cert": ["CN=a", "CN=b"]}, require_peer_certificate=True)
    assert admits(both, subject_regex="CN=admin")
    assert not admits(both, subject_regex="CN=adm")
    assert not admits({**both, CERT: "CN=evil"}, subject_regex="CN=admin")
    assert not admits({"x-client-verify": "SUCCESS"}, subject_regex="CN=admin")
    by_certificate: dict[str, Any] = {
        "require_verify_header": False,
        "require_peer_certificate": True,
        "cert_headers": ["x-client-cert"],
    }
    assert admits({"x-client-cert": "CN=admin"}, **by_certificate)
    assert not admits({CERT: "CN=admin"}, **by_certificate)
    assert not admits({"x-client-cert": "CN=admin", "x-client-verify": "FAILED"}, **by_certificate)

    wrong: list[tuple[dict[str, Any], str]] = [
        ({"trusted_proxies": []}, "name at least one"),
        ({"require_verify_header": False}, "asks for nothing that a client could not pass"),
        ({"require_verify_header": False, "require_peer_certificate": True}, "in cert_headers the one header"),
        ({"verify_headers": "x-client-verify"}, "verify_headers must be a list of str"),
        ({"verify_headers": ["x y"]}, "verify_headers is no name of a header"),
        ({"success_values": [True]}, "success_values must be a str"),
        ({"require_peer_certificate": 1}, "require_peer_certificate must be True or False"),
        ({"subject_regex": 7}, "subject_regex must be a str or a compiled"),
    ]
    for given, says in wrong:
        with pytest.raises(ReplicationAdminConfigError, match=says):
            create_forwarded_tls_mtls_matcher(ForwardedMtlsMatcherOptions(**given))
        with pytest.raises(ReplicationAdminConfigError, match=says):
            is_forwarded_tls_client_authorized({}, ForwardedMtlsMatcherOptions(**given))
    matcher = create_forwarded_tls_mtls_matcher(ForwardedMtlsMatcherOptions(**BEHIND, subject_regex="CN=root"))
    authorizer = create_replication_admin_authorizer(Config(mode="mtls", mtls_matcher=matcher))
    with pytest.raises(ReplicationAdminAuthError) as refused:
        authorizer(request(both))
    assert (refused.value.status_code, refused.value.code, dict(refused.value.headers)) == (403, "FORBIDDEN", {})
    with pytest.raises(ReplicationAdminAuthError) as unauthorized:
        authorizer(alone(both))
    assert (unauthorized.value.status_code, unauthorized.value.code) == (401, "UNAUTHORIZED")


def test_the_mode_reads_none_where_it_is_not_said_and_opens_no_door_beside_a_token() -> None:
    assert Config() == Config(mode="none") and str(Config().mode) == "none"
    assert not create_replication_admin_authorizer(Config()).auth_enabled
    unsaid = Config(token=TOKEN)
    ways = [unsaid, replace(unsaid), copy.copy(unsaid), copy.deepcopy(unsaid), pickle.loads(pickle.dumps(unsaid))]
    for config in ways:
        assert str(config.mode) == "none"
        with pytest.raises(ValueError, match="none is given, though token is"):
            create_replication_admin_authorizer(config)
    # Who says it means it.
    create_replication_admin_authorizer(Config(mode="none", token=TOKEN))
