"""Patterns of secrets that are recognised by their beginning: providers' keys, web tokens, private keys.

In: nothing. Out: tables of regular expressions over bytes, which RE2 and ``re`` both accept, with the same meaning.
"""

from __future__ import annotations

import base64
import re

from genesis_otel._ship.redaction.names import SUFFIXES

LEAD = rb"(?:\\[nrtbf]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}|\[[0-9;]{1,12}m|[^0-9A-Za-z])"
"""What precedes a token: neither a letter nor a digit, or an escape that ends in one, such as that of a terminal's colour."""

SLASHES = rb":(?:/|\\{1,4}/){2}"
"""``://``, also with the slashes escaped, as PHP writes them in JSON."""

PROBE = rb"[A-Za-z0-9_.+/-]{8}"
"""What has to follow a prefix to warrant a closer look, unless the table says otherwise."""

# The prefix, what follows it, and, if the prefix is common in other texts, what has to follow to warrant a closer look. Each is a
# published format; fixed lengths are fixed here, too.
W = rb"[A-Za-z0-9_-]"
TOKENS: tuple[tuple[bytes, ...], ...] = (
    # Clouds
    (rb"(?:AKIA|ASIA|ABIA|ACCA)", rb"[0-9A-Z]{16}(?![0-9A-Za-z])"),
    (rb"ABSK", rb"[A-Za-z0-9+/]{40,}={0,2}"),
    (rb"bedrock-api-key-", rb"[A-Za-z0-9+/=_-]{20,}"),
    (rb"AIza", rb"[0-9A-Za-z_-]{35}"),
    (rb"ya29\.", rb"[0-9A-Za-z_.-]{20,}"),
    (rb"GOCSPX-", rb"[A-Za-z0-9_-]{20,}"),
    (rb"1//0", rb"[A-Za-z0-9_-]{30,}", rb"[A-Za-z0-9_-]{30}"),
    (rb"LTAI", rb"[A-Za-z0-9]{12,}", rb"[A-Za-z0-9]{12}"),
    (rb"AKID", rb"[A-Za-z0-9]{28,36}", rb"[A-Za-z0-9]{28}"),
    (rb"do[opr]_v1_", rb"[a-f0-9]{60,}"),
    (rb"HRKU-", rb"[A-Za-z0-9_-]{30,}"),
    (rb"dapi", rb"[a-f0-9]{32}(?:-\d)?", rb"[a-f0-9]{32}"),
    (rb"dose", rb"[a-f0-9]{32}(?:-\d)?", rb"[a-f0-9]{32}"),
    (rb"(?:AQVN|YCAJE|YCM|YCO)", rb"[A-Za-z0-9_-]{25,}", rb"[A-Za-z0-9_-]{25}"),
    (rb"t1\.", rb"[A-Z0-9a-z_-]+={0,2}\.[A-Z0-9a-z_-]{60,}={0,2}", rb"[A-Za-z0-9_-]{20}"),
    (rb"y[0-3]_", W + rb"{50,}", W + rb"{40}"),
    (rb"AVNS_", rb"[A-Za-z0-9_-]{15,}", rb"[A-Za-z0-9_-]{15}"),
    (rb"bce-v3/ALTAK-", rb"[A-Za-z0-9]{16,}/[a-f0-9]{40}"),
    (rb"AKLT", rb"[A-Za-z0-9_-]{40,}", rb"[A-Za-z0-9_-]{40}"),
    (rb"cf(?:ut|at|k)_", rb"[A-Za-z0-9]{40,}"),
    (rb"code=", W + rb"{50,}={1,2}", W + rb"{50}"),
    (rb"4b1d", rb"[A-Za-z0-9]{38}(?![A-Za-z0-9])", rb"[A-Za-z0-9]{38}"),
    # Models
    # Known ones apart from those below, which need a digit near their beginning: one key of thirty has none.
    (rb"sk-(?:proj|svcacct|admin|None|ant-[a-z]{2,8}[0-9]{2})-", W + rb"{40,}", W + rb"{16}"),
    (rb"sk-", rb"[A-Za-z0-9]{40,}", rb"[A-Za-z0-9]{40}"),
    (rb"hf_", rb"[A-Za-z0-9]{30,}"),
    (rb"api_org_", rb"[A-Za-z0-9]{30,}"),
    (rb"AQ\.", W + rb"{40,}", W + rb"{40}"),
    (rb"sk-(?:helicone-|[sp]k-lf-)", rb"[A-Za-z0-9-]{20,}"),
    (rb"[a-f0-9]{32}\.", rb"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16}(?![A-Za-z0-9_.(])", rb"[A-Za-z0-9]{16}"),
    (rb"(?:crsr|key|rc)_", rb"[a-f0-9]{64}(?![A-Za-z0-9])", rb"[a-f0-9]{64}"),
    (rb"secret_[a-z]{2,20}_", rb"[a-f0-9]{32}\.[A-Za-z0-9]{20,}", rb"[a-f0-9]{32}\."),
    (rb"(?:gsk_|pplx-|nvapi-|xai-|tgp_v1_|pcsk_|esecret_|lsv2_(?:pt|sk)_|wandb_v1_)", W + rb"{24,}"),
    # Forges, registries, CI
    (rb"gh[pousr]_", rb"[A-Za-z0-9]{36,}"),
    (rb"github_pat_", rb"[A-Za-z0-9_]{22,}"),
    (rb"gl(?:pat|dt|ft|soat|rt|cbt|ptt|agent|oas|imt|ffct|wt)-", rb"[A-Za-z0-9_.-]{18,}"),
    (rb"GR1348941", W + rb"{20}"),
    (rb"AT(?:ATT|CTT|STT)3", rb"[A-Za-z0-9_=-]{40,}"),
    (rb"ATBB", rb"[A-Za-z0-9]{20,}", rb"[A-Za-z0-9]{20}"),
    (rb"npm_", rb"[A-Za-z0-9]{36}"),
    (rb"pypi-A", rb"[A-Za-z0-9_-]{40,}"),
    (rb"rubygems_", rb"[a-f0-9]{48}"),
    (rb"oy2", rb"[a-z0-9]{43}(?![A-Za-z0-9])", rb"[a-z0-9]{43}"),
    (rb"CLOJARS_", rb"[A-Za-z0-9]{60}"),
    (rb"cio", rb"[A-Za-z0-9]{32}(?![A-Za-z0-9])", rb"[A-Za-z0-9]{32}"),
    (rb"dckr_[op]at_", W + rb"{20,}"),
    (rb"AKCp", rb"[A-Za-z0-9]{50,}"),
    (rb"cmVmdGtu", rb"[A-Za-z0-9]{50,}"),
    (rb"CCIP(?:AT|RT)_", W + rb"{30,}"),
    (rb"bkua_", rb"[a-z0-9]{30,}"),
    (rb"sq[upa]_", rb"[a-f0-9]{40}"),
    (rb"dp\.(?:pt|st|ct|sa|scim|audit)\.", rb"(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,}"),
    (rb"hv[sbr]\.", W + rb"{20,}"),
    (rb"s\.", rb"(?=[A-Za-z]*\d)[A-Za-z0-9]{24}(?![A-Za-z0-9_.(])", rb"[A-Za-z0-9]{24}"),
    (rb"pul-", rb"[a-f0-9]{40}"),
    (rb"tskey-", rb"[a-z]+-[A-Za-z0-9]+-[A-Za-z0-9]{16,}"),
    (rb"tfp_", rb"[A-Za-z0-9_.=-]{40,}"),
    (rb"sha256~", W + rb"{43}"),
    (rb"ops_eyJ", rb"[A-Za-z0-9+/_-]{60,}={0,3}"),
    (
        rb"A3-",
        rb"[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}",
        rb"[A-Z0-9]{6}-",
    ),
    (rb"AGE-SECRET-KEY-1", rb"[A-Z0-9]{50,}"),
    (rb"f[mo][12][a-z]?_", rb"[A-Za-z0-9+/=_,-]{40,}"),
    (rb"(?:nfp_|sb_secret_)", W + rb"{24,}"),
    (rb"pscale_(?:tkn|pw|oauth)_", rb"[A-Za-z0-9_.=-]{30,}"),
    (rb"mdb_sa_(?:sk|id)_", W + rb"{24,}"),
    # Chat, mail, telephony
    (rb"xox[abcdeprs]-", rb"[A-Za-z0-9-]{10,}"),
    (rb"xoxe\.", rb"[A-Za-z0-9.-]{20,}"),
    (rb"(?:xapp-|xwfp-)", rb"[A-Za-z0-9-]{16,}"),
    (rb"hooks\.slack\.com/(?:services|workflows|triggers)/", rb"[A-Za-z0-9/+]{20,}"),
    (rb"discord(?:app)?\.com/api/webhooks/", rb"\d{10,}/[A-Za-z0-9_-]{30,}"),
    (rb"webhook\.office\.com/", rb"webhookb2/[A-Za-z0-9@/-]{60,}"),
    (rb"SG\.", rb"[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    (rb"xkeysib-", rb"[a-f0-9]{60,}-[A-Za-z0-9]{16}"),
    (rb"(?:key|pubkey)-", rb"[a-f0-9]{32}(?![A-Za-z0-9])", rb"[a-f0-9]{32}"),
    (rb"(?:SK|AC)", rb"[a-fA-F0-9]{32}(?![A-Za-z0-9])", rb"[a-fA-F0-9]{32}"),
    (rb"[MNO][A-Za-z0-9_-]{23,27}\.", rb"[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}", rb"[A-Za-z0-9_-]{6}\."),
    (rb"(?:bot)?\d{8,10}:A", rb"[A-Za-z0-9_-]{34}(?![A-Za-z0-9_-])", W + rb"{8}"),
    (rb"open\.(?:feishu|larksuite)\.c(?:n|om)/open-apis/bot/v2/hook/", rb"[A-Za-z0-9-]{20,}"),
    (rb"hooks\.zapier\.com/hooks/catch/", rb"\d+/[A-Za-z0-9]{5,}"),
    (rb"maker\.ifttt\.com/(?:trigger|use)/", rb"(?:[^\s\"'<>\\]{0,80}/key/)?[A-Za-z0-9_-]{20,}"),
    (rb"AAAA[A-Za-z0-9_-]{7}:APA91b", W + rb"{60,}"),
    # Money and shops
    (rb"(?:sk|rk|pk)_(?:live|test|prod)_", rb"[A-Za-z0-9]{10,}"),
    (rb"whsec_", rb"[A-Za-z0-9+/=]{24,}"),
    (rb"sq0(?:atp|csp|idp)-", W + rb"{20,}"),
    (rb"EAAA", rb"[A-Za-z0-9_-]{58,}"),
    (rb"EAA", rb"[A-Za-z0-9]{80,}", rb"[A-Za-z0-9]{40}"),
    (rb"shp(?:at|ca|pa|ss|tka)_", rb"[A-Fa-f0-9]{32}"),
    (rb"rzp_(?:live|test)_", rb"[A-Za-z0-9]{14,}"),
    (rb"FLWSECK(?:_TEST)?-", rb"[A-Za-z0-9-]{12,}"),
    (rb"(?:EZ[AT]K)", rb"[A-Za-z0-9]{54}"),
    (rb"access_token\$(?:production|sandbox)\$", rb"[a-z0-9]{16}\$[a-f0-9]{32}"),
    (rb"(?:access|public|link)-(?:sandbox|development|production)-", rb"[a-f0-9]{8}-[a-f0-9-]{27}", rb"[a-f0-9]{8}"),
    (rb"(?:shippo|duffel|lob|paystack)_(?:live|test|pub)_", rb"[A-Za-z0-9_=-]{24,}"),
    (rb"A21AA", W + rb"{60,}", W + rb"{60}"),
    (rb"pk_", rb"[a-f0-9]{34}(?![A-Za-z0-9])", rb"[a-f0-9]{34}"),
    (rb"[xyzt]prv", rb"[A-Za-z0-9]{100,}", rb"[A-Za-z0-9]{60}"),
    (rb"(?:g\.alchemy\.com/v2|infura\.io/v3)/", W + rb"{30,}"),
    # Productivity and monitoring
    (rb"gl(?:c|sa)_", rb"[A-Za-z0-9+/_]{30,}={0,2}"),
    (rb"NR(?:AK|JS|II|AL|RA)-", W + rb"{19,}"),
    (rb"sntry[su]_", rb"[A-Za-z0-9+/_=]{40,}"),
    (rb"dt0[a-z]\d\d\.", rb"[A-Za-z0-9]{24}\.[A-Za-z0-9]{60,}"),
    (rb"npg_", rb"[A-Za-z0-9]{12}(?![A-Za-z0-9_])"),
    (rb"hc[a-z]ik_", rb"[a-z0-9]{50,}"),
    (rb"xa[ap]t-", rb"[a-f0-9]{8}-[a-f0-9-]{27}", rb"[a-f0-9]{8}"),
    (rb"phx_", rb"[A-Za-z0-9]{40,}"),
    (rb"[0-2]/[0-9]{10,20}(?:/[0-9]{10,20})?:", rb"[a-f0-9]{32}(?![A-Za-z0-9])", rb"[a-f0-9]{32}"),
    (rb"snyk_(?:uat|sat)\.", W + rb"{8}\.[A-Za-z0-9_.-]{40,}"),
    (rb"v[1-4]\.(?:local|public)\.", W + rb"{60,}(?:\.[A-Za-z0-9_-]*)?", W + rb"{60}"),
    (rb"st\.", rb"[a-f0-9]{8}-[a-f0-9-]{27}\.[a-f0-9]{32}\.[a-f0-9]{32}", rb"[a-f0-9]{8}-"),
    (rb"(?:token|kubeconfig)-[a-z0-9-]{5,20}:", rb"[a-z0-9]{54}", rb"[a-z0-9]{54}"),
    (rb"PMAK-", rb"[a-f0-9]{24}-[a-f0-9]{34}"),
    (rb"lin_(?:api|oauth)_", rb"[A-Za-z0-9]{32,}"),
    (rb"(?:ntn_|secret_)", rb"[A-Za-z0-9]{40,}", rb"[A-Za-z0-9]{40}"),
    (rb"pat", rb"[A-Za-z0-9]{14}\.[a-f0-9]{64}", rb"[A-Za-z0-9]{14}\."),
    (rb"fig[dou]r?_", W + rb"{36,}"),
    (rb"CFPAT-", W + rb"{40,}"),
    (rb"pat-(?:na|eu|ap)[1-9]-", rb"[a-f0-9]{8}-[a-f0-9-]{27}", rb"[a-f0-9]{8}"),
    (rb"[a-f0-9]{32}-us", rb"[0-9]{1,2}(?![0-9A-Za-z])", rb"[0-9]"),
    (rb"(?:live|test)_", rb"[a-f0-9]{35}(?![0-9A-Za-z])", rb"[a-f0-9]{35}"),
    (rb"ATTA", rb"[a-f0-9]{60,}"),
    (rb"(?:rdme_|dnkey-|zpka_|tk-us-|endr\+|s-s4t2(?:ud|af)-)", W + rb"{24,}"),
    (rb"(?:API-)", rb"[A-Z0-9]{25,}(?![A-Za-z0-9])", rb"[A-Z0-9]{25}"),
    (rb"[sp]k\.eyJ", rb"[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{16,}"),
    (
        rb"(?:sdk|api|mob)-",
        rb"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[a-f0-9]{4}-[a-f0-9]{12}",
        rb"[a-f0-9]{8}-[a-f0-9]{4}",
    ),
    (rb"sl\.", rb"(?:u\.)?[A-Za-z0-9_-]{100,}", rb"[A-Za-z0-9_-]{60}"),
    (rb"AAAAAAAAAAAAAAAAAAAAA", rb"(?=[A-Za-z0-9%]{0,40}[0-9])(?!A{12})[A-Za-z0-9%]{70,}"),
    (rb"BBFF-", rb"[A-Za-z0-9]{30}"),
    (rb"[A-Za-z0-9]{14}\.atlasv1\.", rb"[A-Za-z0-9_=-]{50,}"),
    (rb"[A-Za-z0-9_.~-]{3}\dQ~", rb"[A-Za-z0-9_.~-]{31,34}", rb"[A-Za-z0-9_.~-]{8}"),
    (rb"sm_(?:aat|pat|sat)_", rb"[A-Za-z0-9]{16,}"),
    (
        rb"(?:sc|ext|scauth|authress)_",
        rb"[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.acc[_-][a-z0-9-]{10,32}\.[A-Za-z0-9+/_=-]{30,120}",
        rb"[a-z0-9]{5,30}\.[a-z0-9]{4,6}\.",
    ),
    (rb"v1\.0-", rb"[a-f0-9]{24}-[a-f0-9]{146}", rb"[a-f0-9]{24}"),
    (rb"[0-9]{15,16}\|", W + rb"{27,40}", W + rb"{8}"),
    (rb"_gitlab_session=", rb"[0-9a-z]{32}"),
    (rb"eyJrIjoi", rb"[A-Za-z0-9+/]{60,}={0,2}"),
    (rb"[ps]at\.", rb"[A-Za-z0-9_-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}", rb"[A-Za-z0-9_-]{22}"),
    (rb"[A-Za-z0-9]{6}_", rb"[A-Za-z0-9]{29}_mmk", rb"[A-Za-z0-9]{29}"),
    (rb"sess-", rb"[A-Za-z0-9]{32,}", rb"[A-Za-z0-9]{32}"),
    # Web tokens: header.payload.signature, with an empty signature if unsigned; encrypted ones have five parts
    (rb"ey[IJ]", rb"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,3}", rb"[A-Za-z0-9_-]{10}"),
    (rb"e[yw]", rb"[A-Za-z0-9_-]{14,}\.e[yw][A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,3}", rb"[A-Za-z0-9_-]{14}"),
)

LOOSE = (
    rb"(?:sk-|sk_|ak-|as-|csk-|fw_|r8_|jina_|e2b_|rpa_|tvly-|fc-|pa-|sgp_|bb_(?:live|test)_|co_pat_|vc[pakir]_|sbp_|napi_|pnu_|rnd_|nf_"
    rb"|aio_|ak_|psk-|m0-|waka_|ico-|snyk_|fio-u-|pk-|rk-|railway_)"
)
"""Prefixes of keys that other names share: what follows has to look random."""
LOOSE_PROBE = rb"[A-Za-z_-]{0,40}[0-9]"

_OF_JSON = (b"eyJ", b"eyAi", b"ewog", b"ewoJ", b"ewoi", b"ew0K", b"W3si")
ENCODED = (
    *_OF_JSON,
    *(
        base64.b64encode(start).rstrip(b"=")[: len(start) * 8 // 6]
        for start in (
            *(
                b"sk-",
                b"ghp_",
                b"github_pat_",
                b"glpat-",
                b"AKIA",
                b"AIza",
                b"hf_",
                b"xox",
                b"gsk_",
                b"npm_",
                b"pypi-",
                b"eyJ",
                b"-----BEGIN",
            ),
            *(
                b"password",
                b"PASSWORD",
                b"api_key",
                b"API_KEY",
                b"OPENAI_",
                b"AWS_",
                b"secret",
                b"SECRET",
                b"token",
                b"TOKEN",
                b"export ",
                b"postgres",
                b"mysql",
                b"mongodb",
                b"redis://",
                b"amqp",
                b"http",
                b"apiVersion",
                b"[default]",
                b"machine ",
                b"DATABASE",
                b"DB_",
                b"//regist",
            ),
        )
    ),
)
"""Beginnings of base64-encoded secrets, and of JSON with whatever blanks: the decoded content decides."""

PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
PEM_CANDIDATE = rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"
PUTTY = rb"Private-Lines: "
JWK = rb"""["'](?:d|p|q|dp|dq|qi|k)\\*["'][ \t]*:[ \t]*\\*["']"""
"""The private members of a JSON web key."""
ESCAPED = rb"\\+u00(?:2[bdefBDEF]|3[0-9aA]|4[0-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])"
"""Escapes of letters, digits and other characters of keys: JSON never needs them."""

# --- names and what follows them --------------------------------------------------------------------------------------

SURE_NAME = (
    rb"(?i:pass(?:word|wd|wort|phrase|code)?s?|psw|pwd|secrets?|api[_. -]?keys?|authorization|cookies?|credentials?|creds|dsn|otp|mnemonic"
    rb"|(?:access|secret|private|signing|encryption|account|shared|master|license|hmac|storage|subscription|service|deploy|client"
    rb"|consumer|session|root|ssh)[_. -]?keys?|(?:auth|access|refresh|bearer|session|api|bot|user)[_. -]?tokens?|connection[_. -]?string|sess(?:ion)?[_. -]?id|webhook[_. -]?url|seed[_. -]?phrase|honeycomb[_-]team|(?:\b|_)(?:pw|psk))"
)
LIKELY_NAME = rb"(?i:tokens?|key|auth|sig|signature|bearer|jwt|webhook|(?:\b|_)pat)"
TRAILER = (
    # A number, or a word after a separator.
    rb"(?i:[_.-]?[0-9]{1,3}|[_.-](?:" + SUFFIXES.encode() + rb"))?"
)
_QUOTED = rb"&quot;|&#3[49];|%22"
_VALUE = rb"""[\s,\\"'n]{1,24}(?i:[a-z]{0,12}value)[\\"']*[ \t]*[:=](?:[ \t]*\{[\s\\"']{1,8}(?i:[a-z]{1,12}value)[\\"']{1,4}[ \t]*:)?"""
"""``"name": "DB_PASSWORD", "value": "..."``, and ``"value": {"stringValue": "..."}`` as in OTLP."""
BEHIND_NAME = (
    rb"""(?:[\\"'`)\]*]|"""
    + _QUOTED
    + rb""")*[ \t]*(?:"""
    + _VALUE
    + rb"""|=>|<-|:=|={1,3}|[?:]=|\??:{1,2}|\xef\xbc\x9a|\|\||\?\?|[ \t]or[ \t]|,|>|\(|[ \t](?:is|was)(?:[ \t]|:[ \t])|[ \t](?:provided|received|given|used):[ \t]"""
    + rb"""|\\u003[dD]|%3[aAdD])(?:[ \t]|\*\*|"""
    + _QUOTED
    + rb""")*"""
)
LOGS_IN = rb"(?:\bauth[ \t]*=[ \t]*\(|BasicAuth\(|\blogin\()[ \t]*\\{0,3}[\"']"
"""``auth=("user", "password")``, as in requests, ``server.login("user", "password")``."""
FOREIGN = (
    b"(?:"
    + b"|".join(
        word.encode()
        for word in (
            *("密码", "密碼", "口令", "密钥", "密鑰", "パスワード", "비밀번호", "пароль", "Пароль"),
            *("contraseña", "Contraseña", "mot de passe", "Mot de passe", "kennwort", "Kennwort", "senha", "Senha"),
        )
    )
    + rb")[^\S\r\n]{0,2}(?:[=:]|\xef\xbc\x9a)[ \t]{0,3}"
)
"""The word for a password in some other languages."""
INPUT = rb"\binput_value="
"""What pydantic quotes of a value that it refuses, below the name of the setting."""
COMMANDS = rb"(?:mysql(?:dump|admin|import|sh)?|mariadb(?:-dump)?|redis-cli)"
LOGINS = rb"(?:(?:docker|podman|nerdctl|buildah|oc|az|registry)[ \t]+login|mongo(?:sh|dump|restore|import|export)?|cqlsh|snowsql)"
IDENTIFIED = rb"""(?i:identified[ \t]+(?:with[ \t]+[a-z0-9_]{1,40}[ \t]+)?by)[ \t]+\\{0,3}["']"""
"""``CREATE USER x IDENTIFIED BY '...'``, as in ClickHouse, MySQL and Oracle."""

OPTIONS = (
    rb"(?:(?:(?:un)?zip|ipmitool|sqlcmd|mosquitto_[ps]ub|ldap(?:search|add|modify|delete|passwd|whoami)|plink|pscp|psftp|htpasswd|lftp"
    rb"|https?)[ \t]+-|(?:7z[azr]?|bcp|openssl|sqlplus|xfreerdp|mount|smbclient)[ \t]+[A-Za-z/-]|-(?:store|key|deststore|srcstore)pass[ \t])"
)
"""Commands that take a password as an option of their own."""
PIPED = rb"\|[ \t]{0,4}(?:sudo[ \t]+-[A-Za-z]{0,3}S|(?:sudo[ \t]+)?chpasswd|(?:docker|podman|nerdctl|helm|oras|crane)[ \t]+[a-z ]{0,20}login[ \t])"
"""``echo secret | sudo -S``."""
DOCKER = rb"""["']auth\\*["'][ \t]*:[ \t]*\\*["']"""
"""``"auth": "..."`` with user and password in Base64, as Docker and npm keep them."""
PGPASS = rb":(?:[0-9]{2,5}|\*):[^\s:]{1,64}:[A-Za-z_]"
"""``host:port:database:user:password``, after the host."""
ENCODED_URL = rb"(?i:%3a%2f%2f)[A-Za-z0-9_.~%+-]{0,80}%3[aA]"
"""A URL with a user, as a parameter of another one."""
COLUMN = (
    b"(?:"
    + SURE_NAME.replace(rb"|code)?s?", rb"|code)s?")
    + rb"|(?i:\btokens?))(?:[_ ][0-9])?\\{0,3}[\"'`*]{0,2}[ \t]{0,16}(?:[,;|\t\r\n]|\\{1,4}[nrt])"
)
"""A cell of a table's heading, up to the next cell or line; not Python's statement ``pass``."""

BEGINNINGS = (
    LEAD
    + b"(?:"
    + b"|".join(b"(?:" + entry[0] + b")" + (entry[2] if len(entry) > 2 else PROBE) for entry in TOKENS)
    + b"|"
    + LOOSE
    + LOOSE_PROBE
    + b"|(?:"
    + b"|".join(re.escape(start) for start in ENCODED)
    + rb")[A-Za-z0-9+/_-]{12})"
)
"""Where a key that is recognised by its beginning may begin."""

NAMES = b"|".join(
    (
        rb"[_-][A-Za-z0-9]{20}",
        PEM_CANDIDATE,
        PUTTY,
        SLASHES + rb"[^\s/\"@<>:`\\]{0,80}(?:@|:[0-9]{0,5}[^0-9\s/\"',;?#)\]}<>\\])",
        rb"(?i:bearer|basic)[ \t]{1,4}[A-Za-z0-9+/._~=-]{12}",
        SURE_NAME + TRAILER + BEHIND_NAME + rb"[^ \t\r\n,;)\]}]",
        SURE_NAME + TRAILER + rb"[ \t]+[^\s=:]",
        LIKELY_NAME + rb"""[ \t]+\\{0,3}["'`]?[A-Za-z0-9_-]{20}""",
        rb"[ \t]-p[ \t]+[A-Za-z0-9_-]{16}",
        rb"jdbc:oracle:thin:[A-Za-z0-9_]{1,30}/",
        LIKELY_NAME
        + TRAILER
        + BEHIND_NAME
        + rb"""[\\"'`]*(?:[A-Za-z+/_=.%~-]{0,40}[0-9][A-Za-z0-9+/=_.%~-]{7}|[A-Za-z+/_=.%~-]{20,40}[0-9])""",
        rb"""[\s"'](?:-u|--user|--proxy-user|--http-user)[\s=]*["'\\,\s]*[A-Za-z0-9_.@%+-]{0,64}:[^\s"'\\<>]""",
        rb"""--(?:[A-Za-z0-9]{1,16}[-_]){0,3}(?i:tokens?|key|auth)[ \t]+[\\"'A-Za-z0-9]""",
        rb"(?:sshpass|" + COMMANDS + b"|" + LOGINS + rb")[ \t]+-",
        IDENTIFIED,
        FOREIGN,
        INPUT,
        LOGS_IN,
        ENCODED_URL,
        rb"@(?:tcp6?|udp|unix)\(",
        OPTIONS,
        PIPED,
        DOCKER + rb"[A-Za-z0-9+/]{8}",
        PGPASS,
        COLUMN,
        JWK + rb"[A-Za-z0-9_-]{32}",
    )
)
"""Where anything else may be: names followed by values, URLs, private keys."""
