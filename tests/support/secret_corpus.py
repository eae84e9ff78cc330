"""Made-up secrets of many kinds, and texts that look like secrets but are not.

In: nothing. Out: :data:`SECRETS`, each with the secret and a text that contains it, and :data:`HARMLESS`. Prefixes of
keys are assembled here, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import random
from typing import NamedTuple

LOWER = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"
ALNUM = LOWER + LOWER.upper() + DIGITS
HEX = DIGITS + "abcdef"
URL_SAFE = ALNUM + "-_"
UPPER = LOWER.upper() + DIGITS


class Secret(NamedTuple):
    """One secret in one text."""

    kind: str
    hidden: str
    """The part that must not remain."""
    text: str


_random = random.Random(20260701)


def made(length: int, alphabet: str = ALNUM) -> str:
    """A random text that contains a digit."""
    while True:
        text = "".join(_random.choices(alphabet, k=length))
        if any(char.isdigit() for char in text):
            return text


def tokens() -> dict[str, list[str]]:
    """Keys that are recognised by their prefix, three of each kind."""

    def three(begin: str, length: int, alphabet: str = ALNUM, end: str = "") -> list[str]:
        return [begin + made(length, alphabet) + end for _ in range(3)]

    return {
        "OpenAI": three("sk" + "-proj-", 80, URL_SAFE),
        "OpenAI, old": three("sk" + "-", 48),
        "Anthropic": three("sk" + "-ant-" + "api03-", 95, URL_SAFE),
        "OpenAI, with a late digit": [
            "sk" + "-proj-UOzgxsxRuojbInmsNAacHzyYXoi" + made(34),
            "sk" + f"-{LOWER}{made(22)}",
        ],
        "OpenRouter": three("sk" + "-or-v1-", 64, HEX),
        "DeepSeek": three("sk" + "-", 32, HEX),
        "Groq": three("gs" + "k_", 52),
        "xAI": three("xa" + "i-", 80),
        "Hugging Face": three("h" + "f_", 34),
        "Replicate": three("r" + "8_", 37),
        "Perplexity": three("pp" + "lx-", 48),
        "LangSmith": three("lsv2" + "_pt_", 32, HEX, "_" + made(10, HEX)),
        "AWS access key": three("AK" + "IA", 16, UPPER),
        "AWS temporary key": three("AS" + "IA", 16, UPPER),
        "Google API": three("AI" + "za", 35, URL_SAFE),
        "Google OAuth": three("ya" + "29.", 60, URL_SAFE),
        "Google client": three("GOC" + "SPX-", 28, URL_SAFE),
        "GitHub": three("gh" + "p_", 36),
        "GitHub, fine": three("github" + "_pat_", 22, ALNUM, "_" + made(59)),
        "GitHub app": three("gh" + "s_", 36),
        "GitLab": three("gl" + "pat-", 20, URL_SAFE),
        "Slack bot": three("xo" + "xb-", 12, DIGITS, "-" + made(13, DIGITS) + "-" + made(24)),
        "Slack app": three("xa" + "pp-1-", 11, UPPER, "-" + made(13, DIGITS) + "-" + made(64, HEX)),
        "Slack webhook": three(
            "https://hooks." + "slack.com/services/T", 10, UPPER, "/B" + made(10, UPPER) + "/" + made(24)
        ),
        "Stripe": three("sk" + "_live_", 24),
        "Stripe webhook": three("wh" + "sec_", 32),
        "SendGrid": three("S" + "G.", 22, URL_SAFE, "." + made(43, URL_SAFE)),
        "npm": three("np" + "m_", 36),
        "PyPI": three("py" + "pi-AgEIcHlwaS5vcmc", 120, URL_SAFE),
        "Grafana": three("gl" + "sa_", 32, ALNUM, "_" + made(8, HEX)),
        "Grafana Cloud": three("gl" + "c_", 80),
        "Databricks": three("da" + "pi", 32, HEX),
        "Vault": three("hv" + "s.", 90, URL_SAFE),
        "Docker": three("dc" + "kr_pat_", 27, URL_SAFE),
        "DigitalOcean": three("do" + "p_v1_", 64, HEX),
        "Shopify": three("sh" + "pat_", 32, HEX),
        "Twilio": three("S" + "K", 32, HEX),
        "Telegram": three(made(9, "123456789") + ":AA", 33, URL_SAFE),
        "New Relic": three("NR" + "AK-", 27, UPPER),
        "Linear": three("lin" + "_api_", 40),
        "Notion": three("nt" + "n_", 46),
        "Postman": three("PM" + "AK-", 24, HEX, "-" + made(34, HEX)),
        "Web token": [
            f"{'ey' + 'J'}{made(30, URL_SAFE)}.{'ey' + 'J'}{made(60, URL_SAFE)}.{made(43, URL_SAFE)}" for _ in range(3)
        ],
        "of a provider in no list": [f"{name}_{made(36)}" for name in ("zyx_pat", "qorv", "nimbus_live")],
        "Gemini": three("A" + "Q.", 50, URL_SAFE),
        "Helicone": ["sk" + "-helicone-" + "-".join(made(7) for _ in range(4))],
        "Zhipu": [made(32, HEX) + "." + made(15) + "7"],
        "Baidu": ["bce-v3/" + f"ALTAK-{made(21)}/{made(40, HEX)}"],
        "Volcengine": three("AK" + "LT", 43),
        "Cloudflare": three("cf" + "ut_", 48),
        "Honeycomb": ["hc" + "aik_" + made(58, LOWER + DIGITS)],
        "Axiom": [f"{'xa' + 'at-'}{made(8, HEX)}-{made(4, HEX)}-{made(4, HEX)}-{made(4, HEX)}-{made(12, HEX)}"],
        "PostHog": ["ph" + "x_" + made(43)],
        "Neon": ["np" + "g_" + made(12)],
        "Asana": [f"1/{made(16, DIGITS)}:{made(32, HEX)}"],
        "PASETO": ["v4." + f"public.{made(100, URL_SAFE)}"],
        "Infisical": [
            f"st.{made(8, HEX)}-{made(4, HEX)}-{made(4, HEX)}-{made(4, HEX)}-{made(12, HEX)}.{made(32, HEX)}.{made(32, HEX)}"
        ],
        "Rancher": [f"token-abcde:{made(54, LOWER + DIGITS)}"],
        "Klaviyo": ["pk" + "_" + made(34, HEX)],
        "Cursor": ["cr" + "sr_" + made(64, HEX)],
        "wallet": ["xp" + "rv9s21ZrQH143K" + made(95)],
        "Telegram, in a URL": ["https://api.telegram.org/bot" + made(9, "123456789") + ":AA" + made(33, URL_SAFE)],
        "Azure function": [f"https://f.azurewebsites.net/api/x?code={made(54, URL_SAFE)}=="],
        "HubSpot": [f"pat-na1-{made(8, HEX)}-{made(4, HEX)}-{made(4, HEX)}-{made(4, HEX)}-{made(12, HEX)}"],
        "Mailchimp": [f"{made(32, HEX)}-us12"],
        "Base64 of a key": [base64.b64encode(f"{'sk' + '-proj-'}{made(60)}".encode()).decode() for _ in range(3)],
    }


def named() -> dict[str, list[tuple[str, str]]]:
    """Secrets that are recognised by the text before them: the secret and its text."""
    secret = [made(n) for n in (12, 16, 20, 24, 28, 32, 36, 40)]
    word = ["hunter2", "Tr0ub4dor&3", "s3cr3t!pw", "korrekt.pferd9"]
    aws = [made(40, ALNUM + "+/") for _ in range(3)]
    basic = [base64.b64encode(f"user:{w}".encode()).decode() for w in word]
    body = "\n".join(made(64, ALNUM + "+/") for _ in range(6))
    dashes = "-" * 5

    def pem(kind: str) -> str:
        return f"{dashes}BEGIN {kind}{dashes}\n{body}\n{dashes}END {kind}{dashes}"

    rsa, plain_key, encrypted, pgp = (
        pem(f"{kind}PRIVATE KEY{end}") for kind, end in (("RSA ", ""), ("", ""), ("ENCRYPTED ", ""), ("PGP ", " BLOCK"))
    )
    line = body.split("\n")[2]
    return {
        "AWS secret key": [
            (aws[0], f"aws_secret_access_key = {aws[0]}"),
            (aws[1], f'{{"SecretAccessKey": "{aws[1]}"}}'),
            (aws[2], f"export AWS_SECRET_ACCESS_KEY={aws[2]}"),
        ],
        "AWS session token": [
            (secret[7] * 4, f"aws_session_token={secret[7] * 4}"),
            (secret[6] * 4, f'"SessionToken": "{secret[6] * 4}"'),
        ],
        "bearer": [
            (secret[4], f"Authorization: Bearer {secret[4]}"),
            (secret[5], f"curl -H 'authorization: bearer {secret[5]}' x"),
        ],
        "basic": [
            (basic[0], f"Authorization: Basic {basic[0]}"),
            (basic[1], f'{{"authorization": "Basic {basic[1]}"}}'),
            (basic[3], f"basic {basic[3]}"),
        ],
        "other schemes": [
            (secret[3], f"Authorization: Token {secret[3]}"),
            (secret[2], f"Proxy-Authorization: ApiKey {secret[2]}"),
            (secret[1], f"X-Api-Key: {secret[1]}"),
        ],
        "cookie": [
            (secret[5], f"Cookie: theme=dark; sid={secret[5]}"),
            (secret[6], f'"Set-Cookie": "sessionid={secret[6]}; Path=/"'),
        ],
        "password in YAML": [
            (w, f"db:\n  user: me\n  password: {w}\n")
            for w in (*word, "correcthorse", "ACWEWP9MlryN", "NqVwYS81", "vNRMYRxq")
        ],
        "password in JSON": [
            (w, json.dumps({"user": "me", "password": w})) for w in (*word, 'with"quote1', "back\\slash1")
        ],
        "password in nested JSON": [
            (w, json.dumps({"body": json.dumps({"password": w, "n": json.dumps({"secret": w})})})) for w in word
        ],
        "password in code": [
            ("hunter2", 'db = connect(host="h", password="hunter2")'),
            ("s3cr3t!pw", "password = 's3cr3t!pw'\n"),
            ("Tr0ub4dor&3", 'String password = "Tr0ub4dor&3";'),
            ("hunter2", 'password: str = "hunter2"'),
            ("hunter2", "define('DB_PASSWORD', 'hunter2');"),
            ("hunter2", 'config["password"] = "hunter2"'),
            ("hunter2", ':password => "hunter2"'),
        ],
        "password in the environment": [
            ("hunter2", "PGPASSWORD=hunter2 psql -h db"),
            ("s3cr3t!pw", "export DB_PASSWORD='s3cr3t!pw'"),
            ("correcthorse", "SMTP_PASS=correcthorse\n"),
            ("hunter2", "ENV MYSQL_ROOT_PASSWORD hunter2\n"),
            ("hunter2", "- name: DB_PASSWORD\n  value: hunter2\n"),
        ],
        "password in SQL": [
            ("hunter2", "ALTER ROLE me WITH PASSWORD 'hunter2'"),
            ("s3cr3t!pw", "CREATE USER u IDENTIFIED WITH x BY 'a' SETTINGS PASSWORD = 's3cr3t!pw'"),
            ("hunter2", "CREATE USER u IDENTIFIED BY 'hunter2' DEFAULT ROLE r"),
            ("s3cr3t!pw", "ALTER USER u IDENTIFIED WITH sha256_password BY 's3cr3t!pw'"),
        ],
        "password in XML": [
            ("hunter2", "<password>hunter2</password>"),
            ("hunter2", '<add key="Password" value="hunter2"/>'),
            ("s3cr3t!pw", "<password><![CDATA[s3cr3t!pw]]></password>"),
        ],
        "password in a URL": [
            (w, f"{scheme}://me:{w}@db.example.com:5432/x")
            for scheme, w in (
                ("postgresql", "hunter2"),
                ("mysql+pymysql", "pa/ss1"),
                ("https", "p'w9"),
                ("mongodb+srv", "p@ss1"),
                ("redis", "a#b?c1"),
                ("amqp", "%2Fenc0ded"),
                ("clickhouse", "s3cr3t"),
            )
        ],
        "token in a URL": [
            (secret[4], f"https://{secret[4]}@git.example.com/x.git"),
            (secret[5], f"https://{secret[5]}@o12.ingest.example.com/7"),
        ],
        "URL parameter": [
            (secret[3], f"GET /v1?api_key={secret[3]}&x=1"),
            (secret[2], f"https://h/x?a=1&access_token={secret[2]}"),
            (secret[5], f"https://h.example.com/c?sv=1&sig={secret[5]}%3D"),
        ],
        "ODBC": [
            ("hunter2", "Driver={X};Server=h;Uid=me;Pwd=hunter2;"),
            ("pw;9x", "Server=h;Pwd={pw;9x};Uid=me"),
            (aws[0], f"AccountName=a;AccountKey={aws[0]}==;EndpointSuffix=x"),
        ],
        "command line": [
            ("hunter2", "curl -u me:hunter2 https://h/x"),
            ("s3cr3t!pw", "curl --user 'me:s3cr3t!pw' https://h"),
            ("hunter2", "mysql -h db -u root -phunter2 x"),
            ("hunter2", "tool --password hunter2 --verbose"),
            (secret[4], f"tool --api-key={secret[4]}"),
            (secret[5], f"tool --token {secret[5]}"),
            ("hunter2", "sshpass -p hunter2 ssh me@h"),
            ("hunter2", "redis-cli -h db -a hunter2 ping"),
            ("hunter2", "docker login -u me -p hunter2 registry.example.com"),
        ],
        "netrc": [("hunter2", "machine h login me password hunter2\n")],
        "pgpass": [
            ("hunter2", "db.example.com:5432:main:me:hunter2\n"),
            ("s3cr3t!pw", "# hosts\nlocalhost:*:*:me:s3cr3t!pw\n*:5432:main:me:other9\n"),
        ],
        "Docker's configuration": [
            (basic[1], json.dumps({"auths": {"https://r.example.com/v1/": {"auth": basic[1]}}}))
        ],
        "options of their own": [
            ("hunter2", "zip -r -P hunter2 x.zip folder"),
            ("hunter2", "unzip -P hunter2 x.zip"),
            ("s3cr3t!pw", "7z a -ps3cr3t!pw x.7z folder"),
            ("hunter2", "openssl rsa -in k.pem -passin pass:hunter2"),
            ("hunter2", "openssl enc -aes-256-cbc -k hunter2 -in x"),
            ("hunter2", "ldapsearch -x -D cn=admin -w hunter2 -b dc=x"),
            ("hunter2", "sqlcmd -S h -U me -P hunter2"),
            ("hunter2", "plink -ssh me@h -pw hunter2"),
            ("s3cr3t!pw", "keytool -list -keystore k -storepass s3cr3t!pw"),
            ("hunter2", "htpasswd -bc file me hunter2"),
            ("hunter2", "smbclient //h/s -U me%hunter2"),
            ("hunter2", "mount -t cifs -o username=me,password=hunter2,ro //h/s /m"),
            ("hunter2", "http -a me:hunter2 h.example.com"),
            ("hunter2", "sqlplus scott/hunter2@db"),
            ("hunter2", "echo hunter2 | sudo -S ls"),
            ("s3cr3t!pw", "echo 'me:s3cr3t!pw' | chpasswd"),
        ],
        "in a column": [
            ("hunter2", "user,password\nyou,other9!x\nme,hunter2\n"),
            ("s3cr3t!pw", '"id";"api key"\r\n"1";"s3cr3t!pw"\r\n'),
            ("hunter2", "name\tdb_password\tage\nme\thunter2\t5\n"),
            (secret[6], f"name,token\nme,{secret[6]}\n"),
            ("hunter2", "| user | Password |\n|:-----|---------:|\n| me | `hunter2` |\n"),
            ("s3cr3t!pw", " user | secret \n------+--------\n me   | s3cr3t!pw\n(1 row)\n"),
            (
                "hunter2",
                "+----+----------+\n| u  | password |\n+----+----------+\n| me | hunter2  |\n+----+----------+\n",
            ),
            ("hunter2", json.dumps({"file": "user,password\nme,hunter2\n"})),
        ],
        "beside its id": [
            (aws[0], f"{'AK' + 'IAIOSFODNN7EXAMPLE'}:{aws[0]}"),
            (aws[1], f"boto3.client('s3', '{'AK' + 'IAIOSFODNN7EXAMPLE'}', '{aws[1]}')"),
        ],
        "behind a colon": [
            (f"{part}-{part}_{part}", f"{name}:sk" + f"-proj-{part}-{part}_{part}")
            for name, part in (("k", secret[2][:18] + "1"), ("gpt", secret[3][:18] + "2"))
        ],
        "arguments in a list": [
            ("hunter2", '["mysql", "-u", "root", "--password", "hunter2"]'),
            ("s3cr3t!pw", "subprocess.run(['tool', '--db-password', 's3cr3t!pw', '-v'])"),
            ("hunter2", json.dumps({"argv": ["redis-server", "--requirepass", "hunter2"]})),
        ],
        "escaped or encoded URL": [
            ("hunter2", "https:\\/\\/me:hunter2@h\\/x"),
            ("hunter2", "https://h/login?next=https%3A%2F%2Fme%3Ahunter2%40h%2Fx"),
            ("hunter2", "postgresql://me:hunter2@/db?host=/cloudsql/x"),
        ],
        "of Redis": [
            ("hunter2", "redis-server --requirepass hunter2"),
            ("hunter2", "port 6379\nrequirepass hunter2\n"),
            ("hunter2", "cache:6379,password=hunter2,ssl=True,abortConnect=False"),
        ],
        "after an underscore": [
            ("hunter2", "db_pw = 'hunter2'"),
            ("hunter2hunter2", "wifi_psk=hunter2hunter2\n"),
            (secret[6], f"GH_PAT={secret[6]}"),
        ],
        "words of a wallet": [
            (
                "legal winner thank",
                "mnemonic: legal winner thank year wave sausage worth useful legal winner thank yellow",
            ),
            (
                "wave sausage worth",
                json.dumps({"mnemonic": "legal winner thank year wave sausage worth useful legal winner thank yellow"}),
            ),
        ],
        "default of a setting": [
            ("hunter2", 'password = os.environ.get("DB_PASSWORD", "hunter2")'),
            ("s3cr3t!pw", 'const p = process.env.DB_PASSWORD || "s3cr3t!pw";'),
            ("hunter2", 'password = os.getenv("DB_PASSWORD") or "hunter2"'),
        ],
        "argument of a setter": [("hunter2", 'x.setPassword("hunter2");'), ("s3cr3t!pw", '.password("s3cr3t!pw")')],
        "member of a member": [
            ("hunter2", '{"password": {"value": "hunter2"}}'),
            ("hunter2", '{"Password":{"S":"hunter2"}}'),
        ],
        "refused by pydantic": [
            (
                "hunter2",
                "1 validation error for Settings\ndb.password\n  Input should be a valid integer, unable to parse "
                "[type=int_parsing, input_value='hunter2', input_type=str]",
            ),
        ],
        "in other languages": [
            ("hunter2", "password：hunter2"),
            ("hunter2", "用户名：me 密码：hunter2"),
            ("s3cr3t!pw", "пароль: s3cr3t!pw"),
            ("hunter2", "Mot de passe : hunter2"),
        ],
        "piped into a login": [("hunter2", "echo hunter2 | docker login -u me --password-stdin r.example.com")],
        "cookie by its value": [(secret[6], f"SESSION_COOKIE={secret[6]}")],
        "Base64 in lines": [
            (line, told)
            for wrapped in [base64.encodebytes(rsa.encode()).decode()]
            for line in wrapped.split("\n")[3:5]
            for told in (f"key.b64:\n{wrapped}\nafter", json.dumps({"output": wrapped}))
        ],
        "Base64 of a configuration": [
            (base64.b64encode(told.encode()).decode()[-24:], f"x: {base64.b64encode(told.encode()).decode()}")
            for told in (
                "postgres://me:hunter2@db.example.com/x",
                f"apiVersion: v1\nusers:\n- user:\n    token: {secret[7]}\n",
                json.dumps({"name": "Jürgen", "password": "hunter2"}, ensure_ascii=False),
            )
        ],
        "wireless network": [("hunter2hunter2", 'network={\n  ssid="home"\n  psk="hunter2hunter2"\n}')],
        "npmrc": [(secret[6], f"//registry.example.com/:_authToken={secret[6]}\n"), (basic[2], f"_auth = {basic[2]}")],
        "key in code": [
            (secret[3], f'api_key="{secret[3]}"'),
            (secret[4], f"client = Client(apiKey: '{secret[4]}')"),
            (secret[5], f'hf_token = "{secret[5]}"'),
            (secret[2], f"OPENAI_API_KEY={secret[2]}"),
            (secret[6], f'const clientSecret = "{secret[6]}";'),
            (secret[7], f"`private_key_passphrase`: `{secret[7]}`"),
        ],
        "private key": [
            (line, rsa),
            (line, plain_key),
            (line, encrypted),
            (line, pgp),
            (line, json.dumps({"key": rsa, "after": 1})),
            (line, json.dumps({"a": json.dumps({"key": plain_key})})),
            (line, "key = (\n" + "\n".join(f'    "{each}\\n"' for each in rsa.split("\n")) + "\n)"),
            (line, rsa[: rsa.index(dashes + "END")]),
            (line, "\n".join(f"    {each}" for each in plain_key.split("\n"))),
            (base64.b64encode(rsa.encode()).decode()[80:160], f"data: {base64.b64encode(rsa.encode()).decode()}"),
        ],
        "name and value as members": [
            ("hunter2", '{"name": "DB_PASSWORD", "value": "hunter2"}'),
            ("s3cr3t!pw", '{"ParameterKey": "DbPassword", "ParameterValue": "s3cr3t!pw"}'),
            (secret[4], json.dumps({"key": "http.request.header.x-api-key", "value": {"stringValue": secret[4]}})),
        ],
        "in a list": [
            (secret[5], json.dumps({"x-api-key": [secret[5]]})),
            ("hunter2", "User(name='x', password=SecretStr('hunter2'))"),
            ("s3cr3t!pw", json.dumps({"passwords": ["hunter2", "s3cr3t!pw"]})),
            ("correcthorse9", "passwords = ('hunter2', \"s3cr3t!pw\", 'correcthorse9')"),
        ],
        "as the next argument": [
            ("s3cr3t!pw", 'props.setProperty("password", "s3cr3t!pw");'),
            ("s3cr3t!pw", 'os.Setenv("DB_PASSWORD", "s3cr3t!pw")'),
            ("s3cr3t!pw", "os.environ.setdefault('DB_PASSWORD', 's3cr3t!pw')"),
        ],
        "a block, an anchor or a tag of YAML": [
            ("s3cr3t!pw", "database:\n  password: |\n    s3cr3t!pw\n"),
            ("s3cr3t!pw", json.dumps({"file": "database:\n  password: >-\n    s3cr3t!pw\n"})),
            ("s3cr3t!pw", "password: &db s3cr3t!pw\n"),
            ("s3cr3t!pw", "password: !!str s3cr3t!pw\n"),
        ],
        "pairs with blanks": [
            ("hunter2", "psql 'host=db user=me password=hunter2 dbname=x'"),
            ("correcthorse", "psql 'host=db user=me password=correcthorse'"),
            ("hunter2", "host1 ansible_user=me ssh_pass=hunter2 ansible_become_pass=other"),
        ],
        "environment, with what it is for": [
            ("hunter2", "DB_PASSWORD_PROD=hunter2\n"),
            (secret[6] * 4, f"SECRET_KEY_BASE={secret[6] * 4}"),
            ("hunter2", "set -gx DB_PASSWORD hunter2\n"),
        ],
        "user and password": [
            ("hunter2", "requests.get(url, auth=('me', 'hunter2'))"),
            ("hunter2", 'session.auth = HTTPBasicAuth("me", "hunter2")'),
            ("hunter2", 'server.login("me@example.com", "hunter2")'),
            ("hunter2", "me:hunter2@tcp(127.0.0.1:3306)/x?parseTime=true"),
            ("hunter2", "mongosh -u me -p hunter2 --authenticationDatabase admin"),
        ],
        "in words": [
            (secret[6], f"Incorrect API key provided: {secret[6]}. You can find it in your settings."),
            (secret[5], f"token '{secret[5]}' is expired"),
            ("hunter2", "**Password:** hunter2"),
            ("hunter2", "password is: hunter2"),
        ],
        "other escapes": [
            ("hunter2", "&quot;password&quot;:&quot;hunter2&quot;"),
            ("hunter2", "{%22password%22%3A%22hunter2%22}"),
            (secret[7], "\x1b[31m" + "sk" + "-" + secret[7] + "\x1b[0m"),
        ],
        "XML, with attributes": [
            ("hunter2", '<entry key="password">hunter2</entry>'),
            ("hunter2", "<wsse:Password>hunter2</wsse:Password>"),
        ],
        "JSON in Base64": [
            (base64.b64encode(told.encode()).decode()[20:60], f"data: {base64.b64encode(told.encode()).decode()}")
            for told in (
                json.dumps({"auths": {"h": {"auth": secret[7]}}}),
                json.dumps({"api_key": secret[7]}, indent=2),
            )
        ],
        "JSON web key": [
            (body[:40], json.dumps({"kty": "EC", "crv": "P-256", "d": body[:43].replace("+", "-").replace("/", "_")}))
        ],
        "escaped in JSON": [
            (secret[7], '{"k": "sk' + "\\u002dproj\\u002d" + secret[7] + '"}'),
            (secret[6], '{"k": "' + "".join(f"\\u{ord(char):04x}" for char in "gh" + "p_") + secret[6] + '"}'),
        ],
    }


CONTEXTS = (
    "{}",
    "Use the key {} for it.",
    'x = "{}"',
    '{{"text": "line\\n{}\\n"}}',
)


def _secrets() -> list[Secret]:
    found: list[Secret] = []
    for kind, values in tokens().items():
        for number, value in enumerate(values):
            hidden = value[-20:] if "/" not in value else value[-16:]
            found.append(Secret(kind, hidden, CONTEXTS[(number + len(found)) % len(CONTEXTS)].format(value)))
    for kind, pairs in named().items():
        found += [Secret(kind, hidden, text) for hidden, text in pairs]
    return found


SECRETS = _secrets()

HARMLESS = (
    # programs that handle private keys, and prose about them
    'return pem.replace("-----BEGIN PRIVATE KEY-----", "").replace("-----END PRIVATE KEY-----", "")',
    'if "-----BEGIN PRIVATE KEY-----" not in text:\n    raise ValueError("expected")\nbody = text.removesuffix("-----END PRIVATE KEY-----")',
    # names of an evolutionary search
    'best_program_key = "52a1850806116d13af96f0d4214d29a5"',
    'code_key="8103a65974cb398eb4f16c270ac9e5b997df7a0b"',
    "individual_key='7bb1d124-4d03-9b72-3d19-26aca7ef4f5d'",
    # an instruction of an assembler, and shares of tests
    'mnemonic = "LDA"',
    '{"mnemonic": "add8", "opcode": 1}',
    "pass: 1/10",
    "pass: 97.5%",
    "main.py:120:8:E501:line12",
    # options whose next item is none of theirs
    'parser.add_argument("--password", "-p", help="the password")',
    'parser.add_argument("--api-key", "--key2")',
    '@click.option("--db-password", "db_password_option")',
    "'NSHTTPCookie', 'NSHTTPCookieStorage'",
    "pat = re.compile(r'[a-z]+')",
    'password = config.get("password", "default")',
    'x = os.environ.get("API_TOKEN", "none") or "unset"',
    'password or "passwd"',
    'hash_password("password")',
    "token\n  Input should be a valid string [type=string_type, input_value='x', input_type=str]",
    "密码：请输入密码",
    "пароль: введите",
    "password?: string",
    '(e.g. "etc/passwd" or "a/../file.txt")',
    "https%3A%2F%2Fh%3A8080%2Fx%40y",
    "http:\\/\\/h:8080\\/x@2",
    # tables, and what looks like their headings or like options with passwords
    "| Field | Type | Token |\n|---|---|---|\n| a | int32 | yes |\n",
    "| Option | Password |\n|--------|----------|\n| x | required |\n| y | see below |\n",
    "| password | length |\n|---|---|\n| short | 8 |\n",
    "token,count\nhello,5\nworld2,7\n",
    "user,password\n",
    "from auth import (\n    user,\n    password,\n    token2,\n)\n",
    "call(\n    password,\n    code=500,\n)\n",
    'error(param="password",\n    code=401,\n    status=status.HTTP_401,\n)\n',
    "    user, password\n    name1, value2\n",
    "for pair in zip -x and y:\n",
    "unzip -o x.zip -d folder1\n",
    "7z x archive1.7z\n",
    "openssl rsa -in key1.pem -passin env:PASSWORD\n",
    "openssl req -passin pass:$PASSWORD -new\n",
    "http -a user h\n",
    "mount -t tmpfs -o size=64m,mode=0700 tmpfs /mnt1\n",
    "echo $PASSWORD | sudo -S ls\n",
    "00:11:22:aa33:bb44cc\n",
    "src/main.rs:120:13:error1:text2\n",
    "2026-01-01 10:30:45:user:value1\n",
    '{"auth": "bearerTokens", "other": 1}',
    '{"auth": "QUJDREVGR0hJSktM"}',
    # names of secrets in programs
    'password = getpass.getpass("Password: ")',
    "password = os.environ['DB_PASSWORD']",
    "api_key = os.getenv('OPENAI_API_KEY')",
    'api_key = os.environ.get("OPENAI_API_KEY", "")',
    "api_key=settings.openai.api_key,",
    "client = OpenAI(api_key=api_key)",
    "client = OpenAI(api_key=None)",
    "password: userPassword\n",
    "    password: loginForm2\n",
    "    password: userPwd2\n",
    "identified by 'id'",
    "docker login -u me --password-stdin",
    "def login(user: str, password: str) -> bool: ...",
    "def connect(host, password=None, token=None): pass",
    "    password: SecretStr\n    token: str | None = None\n",
    "    token: Optional[str] = None",
    "self._password = password",
    "self.token = self.tokens[self.position]",
    "token = next(tokens)",
    "while token := lexer.next_token():",
    "if token == 'end':\n    break",
    "token.type == TokenType.NUMBER",
    '{"token": "hello", "logprob": -0.31, "bytes": [104]}',
    'tokens = ["def", "solve", "(", ")"]',
    "max_tokens=4096, temperature=0.7",
    '{"max_tokens": 4096, "total_tokens": 1234567890123}',
    'pad_token="<pad>", eos_token="</s>", unk_token="[UNK]"',
    "tokenizer = Tokenizer.from_file('cl100k_base.json')",
    "key = (x, y)",
    "for key, value in items.items():",
    "sorted(rows, key=lambda row: row.score)",
    "key = jax.random.PRNGKey(42)",
    "key, subkey = jax.random.split(key)",
    'cache_key = f"user:{user_id}:profile"',
    'primary_key = "user_profile_id_2024"',
    '{"key": "settings.title.long_description_2"}',
    "sort_key='created_at_2024_01_01'",
    "KEY_LENGTH = 256",
    "SECRET_NAMES = re.compile('password|secret')",
    "secrets.token_hex(16)",
    "from secrets import token_urlsafe",
    "hmac.compare_digest(password.encode(), expected)",
    "hashlib.sha256(password.encode()).hexdigest()",
    'raise ValueError("password: must have at least 8 characters")',
    'raise HTTPException(401, "Invalid authentication credentials")',
    '"password": "Enter your password",',
    '<input type="password" name="password" placeholder="Password">',
    '<label for="password">Password</label>',
    'error: "The password is required"',
    'help="the password of the user"',
    'parser.add_argument("--password", help="password", default=None)',
    "usage: tool [--password PASSWORD] [--token TOKEN]",
    "password: string;",
    "  password?: string | null;",
    "const { password, token } = req.body;",
    "password: req.body.password,",
    "password: ${{ secrets.DB_PASSWORD }}",
    "    password: {{ .Values.db.password }}",
    "DB_PASSWORD=${DB_PASSWORD:?set it}",
    "DB_PASSWORD=$DB_PASSWORD",
    "export API_KEY=<your-api-key>",
    "API_KEY=your-api-key-here",
    'api_key = "YOUR_API_KEY"',
    'api_key = "sk-..."',
    'api_key: "xxxxxxxxxxxx"',
    "password: ********",
    'password = ""',
    "secret = None",
    "token = null;",
    "authorization: Optional[str] = Header(None)",
    'headers = {"Authorization": f"Bearer {token}"}',
    'headers["Authorization"] = "Bearer " + token',
    "Authorization: Bearer <token>",
    "Authorization: Bearer $TOKEN",
    "the bearer of these responsibilities",
    "cookie = request.cookies.get('session')",
    "cookies = requests.cookies.RequestsCookieJar()",
    "PWD=/home/me/project",
    "pwd = os.getcwd()",
    'SECRET_KEY_BASE_ENV = "SECRET_KEY_BASE"',
    'PASSWORD_FIELD = "password"',
    "credentials: 'include',",
    "credentials = service_account.Credentials.from_file(path)",
    "private_key: rsa.RSAPrivateKey,",
    "isinstance(key, (Ed25519PrivateKey, X25519PrivateKey))",
    "class Token(NamedTuple):\n    kind: str\n    text: str\n",
    "auth=(user, password)",
    'auth: "none"',
    "signature = inspect.signature(function)",
    "signature: (int, str) -> bool",
    # words that begin like keys
    "sk-slovakia-2024-population-by-municipality-data",
    "sk-learn-contrib/imbalanced-learn-0.12.3",
    '<div class="sk-circle-fade-dot sk-container-id-12">',
    "#sk-container-id-1 div.sk-toggleable__content {max-height: 0;}",
    "risk-assessment-of-the-task-force-2024-in-detail",
    "desk-and-disk-usage-2025-report-final",
    "hf_transfer==0.1.9",
    "hf_hub_download(repo_id='meta-llama/Llama-3.1-8B-Instruct')",
    "npm_config_registry=https://registry.example.org",
    "pypi-publish@release/v1",
    "gh_pages_branch_name_of_the_project",
    "SG.utils.format_number_with_commas(value)",
    "AKIA is the prefix of an AWS access key",
    "xoxo-hugs-and-kisses-2024",
    "pat_answer_to_everything = 42",
    "key-value-store-with-many-replicas-2",
    "live_test_results_of_the_benchmark_2024",
    "fw_update_version_2_of_the_device",
    "as-you-like-it-2023-edition-hardcover",
    "pa-system-for-halls-2022-overview",
    # URLs
    "https://example.com:8080/path?x=a@b",
    "mailto:someone@example.com https://example.com",
    "ssh://git:22@host",
    "ssh://git@github.com:22/owner/repo.git",
    "git@github.com:owner/repo.git",
    "https://user@example.com/path",
    'f"postgresql://{user}:{password}@{host}:{port}/{name}"',
    '"mongodb://%s:%s@%s/%s" % (user, password, host, name)',
    "postgres://$USER:$PASSWORD@localhost/db",
    "postgres://user:password@localhost:5432/db",
    "https://<user>:<password>@host/",
    "redis://localhost:6379/0",
    "http://[::1]:8080/@scope/package",
    "https://medium.com/@someone/a-title-of-1234567890ab",
    "https://registry.example.org/@types/node/-/node-20.11.5.tgz",
    "https://example.com/search?key=value&sort=asc",
    "https://example.com/?token=abc",
    "https://fonts.gstatic.com/s/inter/v13/UcCO3FwrK3iLTeHuS_fvQtMwCp50KnMw2boKoduKmMEVuLyfAZ9hiA.woff2",
    "http://127.0.0.1:4318/v1/traces",
    "def f(x):\n    return x @ y  # http://x",
    # hashes and identifiers
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    '"integrity": "sha512-BwGy+T0QZt8WlzDkHlUG5xSQfHC2cJqYQYsVvQmHPuh5bdDwfXUeTfMPG1bW8Q3w=="',
    "chatcmpl-9xYzAbCdEfGhIjKlMnOpQrStUv",
    "call_8kQ2mZ7vXr5LpT1nWc9bYd3H",
    "toolu_01A09q90qw90lq917835lq9A",
    "msg_013Zva2CMHLNnjNjJKqJ2EF9",
    "req_7f3kQ9mZ2vXr5LpT1nWc8bYd",
    "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b",
    "550e8400-e29b-41d4-a716-446655440000",
    "run_id=4bf92f3577b34da6a3ce929d0e0e4736",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    'etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "_ZNSt6vectorIiSaIiEE9push_backERKi",
    "test_HTTPServerHandlesUTF8ResponsesIn2024",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4",
    "eyJust a word that begins so",
    # lists, pairs and logins that hold none
    "secrets: ['DB_PASSWORD', 'API_KEY']",
    '"required": ["username", "password", "email"]',
    'form.setItem("password", "required")',
    "password: |\n    The password used for authentication\n",
    "token: >-\n  {{ vault_token }}\n",
    "password: !Ref DBPassword",
    "<password><![CDATA[${pw}]]></password>",
    'ADD_CREDENTIAL: ("POST", "/session/authenticator/credential"),',
    '{"name": "password", "value": ""}',
    '{"name": "password", "type": "string", "value": "required"}',
    'auth=("user", "password")',
    "client.login(username, password)",
    "f(password=password, user=user)",
    "password=$1 user=$2 ./run.sh",
    "API key provided: none",
    "foo@tcp(127.0.0.1:3306)",
    "`token` `settings.title.long_description_2024`",
    '{"d": "a-long-name-of-something-that-is-no-key-2024", "k": "v"}',
    "data: eyJoZWxsbyI6ICJ3b3JsZCIsICJudW1iZXIiOiAxMjN9",
    "**Password:** at least eight characters",
    # other languages and data
    "SELECT password FROM users WHERE id = {id:UInt64}",
    "ALTER TABLE users ADD COLUMN password VARCHAR(255) NOT NULL",
    "CREATE INDEX sort_key ON rows (score, key)",
    "func (s *Server) Token() string { return s.token }",
    "let token: &str = lexer.next().unwrap();",
    'private static final String PASSWORD = System.getenv("PASSWORD");',
    "fn key(&self) -> &Key { &self.key }",
    "public string Password { get; set; }",
    "$password = $_POST['password'];",
    "std::string token = parser.token();",
    "match token { Token::Plus => 1, _ => 0 }",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
    "a PRIVATE KEY----- is mentioned",
    "docker run --user 1000:1000 -p 8080:80 image",
    'curl -u "$USER:$PASSWORD" https://h',
    "grep -u file:line",
    "\\begin{key}\\label{key:one}\\end{key}",
    "Basic understanding of algorithms is required",
    "basic authentication-header/parsing",
    "the secret of success is: practice",
    "pass: every test, fail: none",
    "score: 0.8731, fitness: 1.2e-05, key: none",
    '{"name": "value", "value": "plain"}',
    "x = [0x9f86d081, 0x884c7d65, 0x9a2feaa0]",
    "seed = 20240611; key_size = 4096; token_count = 128000",
)
"""Texts of code and the like without a secret."""
