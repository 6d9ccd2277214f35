//! The rules of each field: what is taken, and what is said of the rest, at which place.

use std::collections::{BTreeMap, BTreeSet};

use osier::specs::app_spec::Isolation;
use osier::specs::facts::Capabilities;
use osier::specs::{AppFile, NodeFacts, read_app};

fn facts() -> NodeFacts {
    let labels = BTreeMap::from([("site".to_owned(), "ams".to_owned())]);
    NodeFacts {
        capabilities: Capabilities::ALL,
        runtimes: BTreeSet::from(["firecracker".to_owned()]),
        factories: BTreeSet::from(["clock".to_owned()]),
        target: "x86_64-unknown-linux-gnu".to_owned(),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        ..NodeFacts::of_this_machine("lab-a".parse().unwrap(), labels, "/data".to_owned())
    }
}

/// A whole spec with `lines` from line 3 on.
fn read(lines: &str) -> AppFile {
    let text = format!("version: 1.0.0\ncommand: [/bin/true]\n{lines}");
    read_app("app.yaml", text.as_bytes(), "web", &facts())
}

fn told(lines: &str) -> Vec<String> {
    let read = read(lines);
    read.errors
        .iter()
        .map(|error| {
            let code = error.code.trim_start_matches("osier::spec::");
            format!(
                "{}:{}+{} {code}: {} | {}",
                error.line, error.column, error.width, error.message, error.help
            )
        })
        .collect()
}

#[test]
fn each_mistake_is_told_with_its_place_and_one_fix() {
    let mut missing = Vec::new();
    for (lines, expected) in [
        (
            "heath: {}",
            "3:1+5 unknown_key: unknown key `heath` in an app | did you mean `health`?",
        ),
        (
            "limits: {memroy: 1GiB}",
            "3:10+6 unknown_key: unknown key `memroy` in `limits` | did you mean `memory`?",
        ),
        (
            "description: [1, x]",
            "3:14+6 wrong_type: `description` must be a text, found a list | write one text",
        ),
        (
            "description: \"\\e[31m\"",
            "3:14+8 bad_value: `description`: a control character stands in it | remove it",
        ),
        (
            "depends_on: db",
            "3:13+2 wrong_type: `depends_on` must be a list, found a text | write [db]",
        ),
        (
            "depends_on: [DB]",
            "3:14+2 bad_value: `depends_on`: `DB` is not a valid app name: it must begin with a lower-case letter or a digit | write the names of other apps",
        ),
        (
            "env: {1A: x}",
            "3:7+2 bad_value: `1A` is not a name for a variable | letters, digits and `_`, not beginning with a digit",
        ),
        (
            "env: {\"A=B\": x}",
            "3:7+5 bad_value: `A=B` is not a name for a variable | letters, digits and `_`, not beginning with a digit",
        ),
        (
            "env: [A]",
            "3:6+3 wrong_type: `env` must be a map, found a list | write keys with their values",
        ),
        (
            "env: {A: \"x ${node.nam} y\"}",
            "3:13+11 unknown_variable: `env.A`: nothing is named `node.nam` | did you mean `node.name`?; `$${` writes a plain `${`",
        ),
        (
            "env: {A: \"${env.B}\"}",
            "3:11+8 unknown_variable: `env.A`: nothing is named `env.B` | it must stand under `env` of the same app",
        ),
        (
            "env: {A: \"${node.labels.sites}\"}",
            "3:11+20 unknown_variable: `env.A`: nothing is named `node.labels.sites` | this node has no such label; did you mean `site`?",
        ),
        (
            "env: {A: \"${open\"}",
            "3:11+2 unknown_variable: `env.A`: `${` is never closed | add the `}`, or write `$${` for a plain `${`",
        ),
        (
            "working_dir: /etc",
            "3:14+4 bad_value: `working_dir`: it must not be absolute | write a path below the folder it is relative to",
        ),
        (
            "working_dir: a/../../b",
            "3:14+9 bad_value: `working_dir`: `..` must not stand in it | write a path below the folder it is relative to",
        ),
        (
            "config_files: {../x: a}",
            "3:16+4 bad_value: `config_files`: `..` must not stand in it | write a path below the folder it is relative to",
        ),
        (
            "config_files: {x: /etc/passwd}",
            "3:19+11 bad_value: `config_files.x`: it must not be absolute | write a path below the folder it is relative to",
        ),
        (
            "config_files: {x: {from: a, reload: sometimes}}",
            "3:37+9 bad_value: `config_files.x.reload`: `sometimes` is none of signal | known are: signal",
        ),
        (
            "secrets: {A: {file: true}}",
            "3:11+1 missing_key: `secrets.A.path` is missing | name an age file beside the spec",
        ),
        (
            "secrets: {A: ../x.age}",
            "3:14+8 bad_value: `secrets.A`: `..` must not stand in it | write a path below the folder it is relative to",
        ),
        (
            "sandbox: {read_only: true, writable: [/]}",
            "3:39+1 bad_value: `sandbox.writable`: it must not be absolute | write a path below the folder it is relative to",
        ),
        (
            "sandbox: {read_only: true, writable: [./logs]}",
            "3:39+6 bad_value: `sandbox.writable`: `logs` is where the app's output goes | list folders such as `data` or `data/uploads`; they are made where they are missing",
        ),
        (
            "sandbox: {read_only: true, writable: [.]}",
            "3:39+1 bad_value: `sandbox.writable`: it is the app's whole folder, with the log in it | list folders such as `data` or `data/uploads`; they are made where they are missing",
        ),
        (
            "sandbox: {read_only: true, writable: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]}",
            "3:38+35 bad_value: `sandbox.writable`: it lists more than 16 folders | list the folder that holds them",
        ),
        (
            "sandbox: {writable: [data]}",
            "3:11+8 combination: `sandbox.writable` without `sandbox.read_only` confines nothing | add `read_only: true`, or remove `writable`",
        ),
        (
            "isolation: embedded\nsandbox: {read_only: true}",
            "4:1+7 combination: an `embedded` app runs inside the node's process, which cannot be confined for it alone | remove `read_only` and `no_new_privileges`, or run it with `isolation: process`",
        ),
        (
            "sandbox: {user: \"a b\"}",
            "3:17+5 bad_value: `sandbox.user`: `a b` is not a user's name | letters, digits, `_`, `-` and `.`, beginning with a letter",
        ),
        (
            "sandbox: {no_new_privileges: yes}",
            "3:30+3 wrong_type: `sandbox.no_new_privileges` must be true or false, found a text | write true",
        ),
        (
            "health: {type: https}",
            "3:16+5 bad_value: `health.type`: `https` is none of http, tcp, command, notify, custom | did you mean `http`?",
        ),
        (
            "health: {port: 70000}",
            "3:16+5 bad_value: `health.port`: 70000 is out of range | write a number from 1 to 65535",
        ),
        (
            "health: {port: x}",
            "3:16+1 wrong_type: `health.port` must be a whole number, found a text | write a number from 1 to 65535, without quotes",
        ),
        (
            "health: {path: health}",
            "3:10+4 bad_value: `health.path`: `health` is not a path of a web server | write for example /health",
        ),
        (
            "health: {interval: soon}",
            "3:20+4 bad_value: `health.interval`: `soon` is not a duration: a number with `ms`, `s`, `m`, `h` or `d`, as in `30s`; at most ten years | write a duration such as 30s, 5m or 2h; a number alone is milliseconds",
        ),
        (
            "health: {type: command}",
            "3:1+6 missing_key: `health.command` is missing | add for example `command: [\"bin/check\"]`",
        ),
        (
            "health: {type: custom}",
            "3:1+6 missing_key: `health.module` is missing | name the function that the host registered",
        ),
        (
            "health: true",
            "3:9+4 wrong_type: `health` must be a map, found a boolean | write keys with their values",
        ),
        (
            "isolation: proces",
            "3:12+6 bad_value: `isolation`: `proces` is no way to run an app on this node | did you mean `process`?",
        ),
        (
            "isolation: embedded",
            "3:12+8 bad_value: `isolation`: this node's host has registered no factory for `web` | register one in the host app, or use `process`",
        ),
        (
            "limits: {memory: lots}",
            "3:18+4 bad_value: `limits.memory`: `lots` is not a size: a whole number with `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB` or `TB`, as in `512MiB` | write a size such as 512MiB or 2GiB; a number alone is bytes",
        ),
        (
            "limits: {memory: 0}",
            "3:10+6 bad_value: `limits.memory` is 0 | write a size such as 512MiB or 2GiB; a number alone is bytes",
        ),
        (
            "limits: {cpus: -1}",
            "3:16+2 bad_value: `limits.cpus`: it is out of range | write a number of cores such as 2 or 0.5",
        ),
        (
            "limits: {pids: 1.5}",
            "3:16+3 wrong_type: `limits.pids` must be a whole number, found a number | write a number from 1 to 4194304, without quotes",
        ),
        (
            "restart: {type: always}",
            "3:17+6 bad_value: `restart.type`: `always` is none of permanent, transient, temporary | known are: permanent, transient, temporary",
        ),
        (
            "restart: {backoff: {initial: 10m}}",
            "3:11+7 combination: `restart.backoff.initial` is longer than `restart.backoff.max` | the first wait is at most the longest one; defaults are 1s and 5m",
        ),
        (
            "stop: {signal: STOP}",
            "3:16+4 bad_value: `stop.signal`: `STOP` is not a signal: one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH | one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, WINCH",
        ),
        (
            "upgrade: {strategy: handover}",
            "3:1+7 combination: upgrade strategy `handover` needs `sockets` | add for example `sockets: [\"127.0.0.1:8080\"]`, or use `restart`",
        ),
        (
            "sockets: [localhost]",
            "3:11+9 bad_value: `sockets`: `localhost` is not an address | write 127.0.0.1:8080, [::1]:8080 or unix:/run/app.sock",
        ),
        (
            "sockets: [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
            "3:26+13 bad_value: `sockets`: `127.0.0.1:1` stands twice | remove one of them",
        ),
        (
            "placement: {nodes: [\"a b\"]}",
            "3:21+5 bad_value: `placement.nodes`: `a b` is not a valid node name: only letters, digits and `. _ -` may stand in it | write names of nodes",
        ),
        (
            "rollout: {max_unavailable: 0%}",
            "3:28+2 bad_value: `rollout.max_unavailable`: it is neither a count nor a share | write 2 or 10%",
        ),
        (
            "suspend: maybe",
            "3:10+5 wrong_type: `suspend` must be true or false, found a text | write true or false",
        ),
        (
            "source: {}",
            "3:1+6 missing_key: `source.type` is missing | one of none, path, release, git, crate, oci, mesh",
        ),
        (
            "source: {type: hex}",
            "3:16+3 unsupported_source: `hex` packages are run inside a BEAM, which Osier does not have | build a release of the app and name it: `source: {type: release, url: …, sha256: …}`",
        ),
        (
            "source: {type: relase}",
            "3:16+6 bad_value: `source.type`: `relase` is none of none, path, release, git, crate, oci, mesh | did you mean `release`?",
        ),
        (
            "source: {type: path, path: ../x}",
            "3:28+4 bad_value: `source.path`: `..` must not stand in it | write a plain path",
        ),
        (
            "source: {type: release, url: https://e.com/a}",
            "3:1+6 missing_key: `source.sha256` is missing | add the digest that `sha256sum FILE` prints",
        ),
        (
            "source: {type: release, url: -x, sha256: AB}",
            "3:30+2 bad_value: `source.url`: it begins with a dash | write for example https://example.com/app.tar.gz",
        ),
        (
            "source: {type: git, url: \"ext::sh -c id\", ref: main, build: [make]}",
            "3:26+15 bad_value: `source.url`: a space or control character stands in it | write for example https://example.com/app.tar.gz",
        ),
        (
            "source: {type: git, url: https://e.com/a, ref: --upload-pack=x, build: [make]}",
            "3:43+3 bad_value: `source.ref` is no commit, tag or branch | it must not be empty, begin with a dash or hold spaces",
        ),
        (
            "vm_config: {extra_args: [a]}",
            "3:13+10 unsupported: `vm_config.extra_args` has no equivalent | remove it, and put the app's arguments into `command`",
        ),
        (
            "overrides: {}",
            "3:12+2 wrong_type: `overrides` must be a list, found a map | write `- match: {…}` and `merge: {…}` for each",
        ),
        (
            "overrides: [{match: {site: x}}]",
            "3:13+1 missing_key: `merge` is missing in an override | name what differs there, as in `merge: {env: {PORT: 9090}}`",
        ),
    ] {
        let told = told(lines);
        if !told.iter().any(|told| told == expected) {
            missing.push(format!("{lines}\n  expected {expected}\n  got      {told:#?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_spec_needs_a_version_and_something_to_run() {
    let facts = facts();
    let messages = |text: &str| -> Vec<String> {
        let read = read_app("app.yaml", text.as_bytes(), "web", &facts);
        read.errors
            .iter()
            .map(|error| format!("{} | {}", error.message, error.help))
            .collect()
    };
    assert_eq!(
        messages("command: [x]\n"),
        ["`version` is missing | add for example `version: \"1.0.0\"`"]
    );
    assert_eq!(messages("version: 1\n").len(), 1);
    assert_eq!(messages("version: 1\nsource: {type: none}\n").len(), 1);
    assert_eq!(
        messages("version: 1\nisolation: wasm\nsource: {type: oci, image: a}\n"),
        Vec::<String>::new()
    );
    assert_eq!(
        messages("version: 1\nsource: {type: path, path: bin}\n"),
        Vec::<String>::new()
    );
    assert_eq!(
        messages("version: 1\ncommand: bin/web --port 80\n"),
        [
            "`command` must be a list of program and arguments, found a text | there is no shell in between: write [\"bin/web\", \"--port\", \"80\"]"
        ]
    );
    assert_eq!(
        messages("version: 1\ncommand: []\n"),
        ["`command`: no program is named | write [\"program\", \"argument\", …], or remove it"]
    );
    assert_eq!(messages("version: 1\ncommand: [\"\", a]\n").len(), 1);
    assert_eq!(messages("version: 1\ncommand: [a, \"\"]\n"), Vec::<String>::new());
    assert_eq!(
        messages("version: true\ncommand: [a]\n"),
        ["`version` must be a text, found a boolean | put it in quotes: \"true\""]
    );
    let json = read_app(
        "app.json",
        br#"{"version": 1.10, "command": ["a"]}"#,
        "web",
        &facts,
    );
    assert_eq!(json.errors[0].help, "put the version in quotes: \"1.10\"");
    let nameless = read_app("app.yaml", b"version: 1\ncommand: [a]\n", "My App", &facts);
    assert!(
        nameless.errors[0]
            .message
            .starts_with("the folder's name `My App` is not a valid app name")
    );
}

#[test]
fn all_mistakes_come_out_at_once() {
    let read = read(
        "heath: {}\nlimits: {pids: x, cpus: many}\nenv: {A: \"${nope}\"}\nsockets: [x, y]\nrestart: never\n",
    );
    assert_eq!(read.errors.len(), 7, "{:#?}", read.errors);
    let lines: Vec<u32> = read.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [3, 4, 4, 5, 6, 6, 7]);
    let spec = read.spec.unwrap();
    assert_eq!(spec.command, ["/bin/true"], "what is right is read all the same");
}

#[test]
fn what_the_node_knows_is_filled_in() {
    let read = read(
        "env:\n  A: ${node.name} ${node.labels.site} ${node.target} ${node.os} ${node.arch}\n  B: ${app.name}-${app.version} ${app.data}\n  \
         C: ${env.D}!\n  D: \"$${env.A} $HOME $(id)\"\n  E: {deep: [\"${env.C}\", 1, null]}\nhealth: {path: \"/${app.name}\"}\n",
    );
    assert_eq!(read.errors, []);
    let spec = read.spec.unwrap();
    let env: Vec<&str> = spec.env.values().map(String::as_str).collect();
    assert_eq!(
        env,
        [
            "lab-a ams x86_64-unknown-linux-gnu linux x86_64",
            "web-1.0.0 /data/apps/web/data",
            "${env.A} $HOME $(id)!",
            "${env.A} $HOME $(id)",
            "{\"deep\":[\"${env.A} $HOME $(id)!\",1,null]}",
        ]
    );
    assert_eq!(spec.health.unwrap().path.as_deref(), Some("/web"));
    // Nothing else expands.
    let plain = self::read("description: ${node.name}\nworking_dir: ${app.name}\n")
        .spec
        .unwrap();
    assert_eq!(
        (plain.description.as_deref(), plain.working_dir.as_deref()),
        (Some("${node.name}"), Some("${app.name}"))
    );
}

#[test]
fn isolation_is_what_the_node_has() {
    assert_eq!(
        read("isolation: vm").spec.unwrap().isolation(),
        Isolation::Process
    );
    assert_eq!(
        read("isolation: firecracker").spec.unwrap().isolation(),
        Isolation::Custom("firecracker".to_owned())
    );
    let clock = read_app(
        "app.yaml",
        b"version: 1\nisolation: embedded\n",
        "clock",
        &facts(),
    );
    assert_eq!(
        (clock.errors.len(), clock.spec.unwrap().isolation()),
        (0, Isolation::Embedded)
    );
    // For no node in particular a word that nobody built in is a warning, a typo is still a mistake.
    let nobody = NodeFacts::of_nobody();
    let read = |word: &str| {
        read_app(
            "app.yaml",
            format!("version: 1\ncommand: [a]\nisolation: {word}\n").as_bytes(),
            "a",
            &nobody,
        )
    };
    assert_eq!(
        (
            read("firecracker").errors.len(),
            read("firecracker").warnings.len()
        ),
        (0, 1)
    );
    assert_eq!(read("containr").errors[0].help, "did you mean `container`?");
}

#[test]
fn the_originals_limits_are_read_as_limits() {
    let limits = read("vm_config: {memory_limit: 512, scheduler_limit: 2}")
        .spec
        .unwrap()
        .limits;
    assert_eq!(
        (limits.memory.unwrap().bytes(), limits.cpus),
        (512 << 20, Some(2.0))
    );
    let both = read("vm_config: {memory_limit: 512}\nlimits: {memory: 1GiB}")
        .spec
        .unwrap()
        .limits;
    assert_eq!(both.memory.unwrap().bytes(), 1 << 30);
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (lines, says) in [
        (
            "health: {type: tcp, path: /x}",
            "`health.path` has no effect with this type of check",
        ),
        ("icon: x", "`icon` must be a map, found a text"),
        (
            "icon: {type: url, value: \"javascript:alert(1)\"}",
            "`icon.value` must be an http or https address",
        ),
        (
            "icon: {type: base64, value: \"<svg>\"}",
            "`icon.value` is not base64",
        ),
        ("env: {A: }", "`env.A` is null, so it is not set"),
    ] {
        let read = read(lines);
        assert_eq!(read.errors, [], "{lines}");
        assert_eq!(
            read.warnings
                .iter()
                .map(|warning| warning.message.as_str())
                .collect::<Vec<_>>(),
            [says],
            "{lines}"
        );
    }
}

#[test]
fn loader_variables_are_the_authors_choice() {
    let spec = read("env: {LD_PRELOAD: /lib/x.so, PATH: /bin}").spec.unwrap();
    assert_eq!(spec.env["LD_PRELOAD"], "/lib/x.so");
}

#[test]
fn values_are_bounded() {
    let long = "x".repeat(64 * 1024 + 1);
    assert!(
        told(&format!("env: {{A: {long}}}"))
            .iter()
            .any(|told| told.contains("limit: `env.A` has 65537 bytes")),
        "env"
    );
    let text: String = (0..17)
        .map(|n| format!("  V{n}: {}\n", "x".repeat(64 * 1024 - 10)))
        .collect();
    assert!(
        told(&format!("env:\n{text}"))
            .iter()
            .any(|told| told.contains("more than the 1048576")),
        "all of env"
    );
    let words = vec!["\"${env.A}\""; 20].join(", ");
    let many = format!("env: {{A: {}}}\ncommand: [x, {words}]\n", "x".repeat(60_000));
    let read = read_app(
        "app.yaml",
        format!("version: 1\n{many}").as_bytes(),
        "a",
        &facts(),
    );
    assert!(
        read.errors
            .iter()
            .any(|error| error.message.contains("`command` has more than")),
        "{:?}",
        read.errors
    );
}
