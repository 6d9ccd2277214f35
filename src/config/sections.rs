//! Every setting of a node: its name, its type, its default and what it means. This is the one place that says so;
//! the reference page, the JSON Schema and the commented `osier.toml` are made from it.

use schemars::JsonSchema;
use serde::Serialize;

use super::Config;
use super::reader::{Reader, toml_text};
use super::surroundings::Surroundings;
use super::values::{
    AbsolutePath, AccountName, BootstrapNode, Depth, Enforce, HttpUrl, KeptFiles, Labels, Listen, LogFilter,
    LogFormat, MeshAddress, MeshExpose, Network, RealmName, RepoFolder, Share, TopicName, UrlPrefix,
    VerifyMode,
};
use crate::names::{BranchName, NodeName};
use crate::repo_url::{ProxyUrl, RepoUrl};
use crate::specs::values::{ByteSize, Span};

/// What is known about one setting without reading a configuration.
pub struct Setting {
    /// `repo.branch`.
    pub key: String,
    /// What it means, in sentences.
    pub doc: &'static str,
    /// Its default on the machine that was asked for, as TOML; none: unset, or required.
    pub default: Option<String>,
    /// It has no default and must be given.
    pub is_required: bool,
}

/// What is known about one section.
pub struct SectionFacts {
    /// `repo.auth`.
    pub path: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Its settings, in order.
    pub settings: Vec<Setting>,
}

macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $name:ident at $path:literal {
            $(required { $(#[doc = $needed_doc:literal])+ $needed:ident: $needed_type:ty })?
            $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $default:expr; )*
            $(nested { $( $(#[doc = $inner_doc:literal])+ $inner:ident: $inner_type:ty; )+ })?
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $needed_doc])+ pub $needed: $needed_type, )?
            $( $(#[doc = $doc])+ pub $field: $type, )*
            $($( $(#[doc = $inner_doc])+ pub $inner: $inner_type, )+)?
        }

        impl $name {
            /// Reads the section; none: a required setting is missing or wrong (the reader knows it).
            pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
                $( let $needed: Option<$needed_type> = reader.required(concat!($path, ".", stringify!($needed))); )?
                $(
                    let default: fn(&Reader<'_>) -> $type = $default;
                    let $field: $type = reader.optional(concat!($path, ".", stringify!($field)), default);
                )*
                $($( let $inner = <$inner_type>::read(reader); )+)?
                Some(Self {
                    $( $needed: $needed?, )?
                    $( $field, )*
                    $($( $inner: $inner?, )+)?
                })
            }

            fn show(&self, shown: &mut Vec<(String, Option<String>)>) {
                $( shown.push((concat!($path, ".", stringify!($needed)).to_owned(), toml_text(&self.$needed))); )?
                $( shown.push((concat!($path, ".", stringify!($field)).to_owned(), toml_text(&self.$field))); )*
                $($( self.$inner.show(shown); )+)?
            }

            fn facts(reader: &Reader<'_>, sections: &mut Vec<SectionFacts>) {
                let settings = vec![
                    $( Setting {
                        key: concat!($path, ".", stringify!($needed)).to_owned(),
                        doc: concat!($($needed_doc),+),
                        default: None,
                        is_required: true,
                    }, )?
                    $( Setting {
                        key: concat!($path, ".", stringify!($field)).to_owned(),
                        doc: concat!($($doc),+),
                        default: {
                            let default: fn(&Reader<'_>) -> $type = $default;
                            toml_text(&default(reader))
                        },
                        is_required: false,
                    }, )*
                ];
                sections.push(SectionFacts { path: $path, doc: concat!($($section_doc),+), settings });
                $($( <$inner_type>::facts(reader, sections); )+)?
            }
        }
    };
}

section! {
    /// This node.
    NodeConfig at "node" {
        /// Its name, for people and for `placement`. Default: the machine's name.
        name: NodeName = |reader| reader.surroundings().node_name();
        /// Where everything that it keeps lies. Default: `/var/lib/osier` for root; `$XDG_STATE_HOME/osier`, else `~/.local/state/osier`, for everybody else.
        data_dir: AbsolutePath = |reader| reader.default_data_dir();
        /// The control socket, made with mode 0660. Default: `osier.sock` in the data directory.
        socket: AbsolutePath = |reader| reader.data_dir().join("osier.sock");
        /// What `placement` in specs can ask for, such as `{ site = "ams" }`.
        labels: Labels = |_| Labels::default();
        /// The account that runs apps whose spec names none. Default: the one that runs the daemon.
        app_user: Option<AccountName> = |_| None;
        /// What happens when a limit or a sandbox rule cannot be put in force: `strict` fails the app, `best_effort` runs it and shows what is missing.
        enforce: Enforce = |_| Enforce::Strict;
    }
}

section! {
    /// The repository of specs.
    RepoConfig at "repo" {
        required {
            /// Where it is: file, https, http, ssh, git, `user@host:path` or an absolute path.
            url: RepoUrl
        }
        /// The branch that this node follows.
        branch: BranchName = |_| literal("main");
        /// The folder of apps in it.
        apps_dir: RepoFolder = |_| literal("apps");
        /// How often it is asked for news, give or take a tenth.
        reconcile_interval: Span = |_| Span::from_secs(60);
        /// How many commits are fetched; 0: all. With fewer, a fetch goes deeper until the accepted commit is found.
        depth: Depth = |_| Depth::ALL;
        nested {
            /// How to log in.
            auth: RepoAuth;
            /// Whose signatures count.
            verify: RepoVerify;
        }
    }
}

section! {
    /// How to log in to the repository. Files are read anew each time, so a rotated key or token needs no restart.
    RepoAuth at "repo.auth" {
        /// The private key for ssh. Default: what ssh itself would use.
        ssh_key: Option<AbsolutePath> = |_| None;
        /// The known hosts for ssh. A host that is not in it is refused. Default: what ssh itself would use.
        known_hosts: Option<AbsolutePath> = |_| None;
        /// A file with `token` or `user:token` for http and https.
        token_file: Option<AbsolutePath> = |_| None;
    }
}

section! {
    /// Whose signatures a commit must bear.
    RepoVerify at "repo.verify" {
        /// `off`, or `head`: the newest commit must be signed by a trusted key, else nothing of it is applied. `head` is not
        /// supported yet: a node that has it does not start.
        mode: VerifyMode = |_| VerifyMode::Off;
        /// Files of trusted keys, in the format of ssh's `allowed_signers`.
        trusted_keys: Vec<AbsolutePath> = |_| Vec::new();
    }
}

section! {
    /// The guard against removing too much at once.
    PruneConfig at "prune" {
        /// The largest share of the apps that one commit may remove without an operator's word. One or two always may go.
        max: Share = |_| Share::HALF;
    }
}

section! {
    /// Where artefacts may come from.
    SourcesConfig at "sources" {
        /// URL prefixes that are allowed; none: any.
        allow: Vec<UrlPrefix> = |_| Vec::new();
        /// Networks that are never asked. Default: link-local addresses, behind which clouds keep their metadata.
        deny: Vec<Network> = |_| vec![literal("169.254.0.0/16"), literal("fe80::/10")];
        /// Folders of this machine from which source `path` may take, beside the repository itself.
        paths: Vec<AbsolutePath> = |_| Vec::new();
        /// Certificates (PEM) that are trusted beside the system's, for git too.
        ca_file: Option<AbsolutePath> = |_| None;
        /// An HTTP proxy, for git too. Nothing is taken from `http_proxy` in the environment.
        proxy: Option<ProxyUrl> = |_| None;
        /// The most that artefacts may take of the disk.
        disk_max: ByteSize = |_| ByteSize::from_bytes(10 << 30);
        /// The largest artefact, unpacked.
        max_size: ByteSize = |_| ByteSize::from_bytes(2 << 30);
    }
}

section! {
    /// What is kept of the output of each app.
    LogsConfig at "logs" {
        /// A file of this size is closed and the next one begun.
        max_size: ByteSize = |_| ByteSize::from_bytes(10 << 20);
        /// How many files are kept.
        keep: KeptFiles = |_| KeptFiles::FIVE;
    }
}

section! {
    /// The mesh of nodes.
    MeshConfig at "mesh" {
        /// Does this node take part?
        enabled: bool = |_| false;
        /// The topic of its events.
        topic: TopicName = |_| literal("gitops.events");
        /// The realm's name, for people.
        realm: Option<RealmName> = |_| None;
        /// Whom to ask first: a multiaddr, or `host[:port]` (port 7421).
        bootstrap_nodes: Vec<BootstrapNode> = |_| Vec::new();
        /// The addresses it listens on.
        listen: Vec<MeshAddress> = |_| vec![literal("/ip4/0.0.0.0/udp/7421/quic-v1"), literal("/ip4/0.0.0.0/tcp/7421")];
        /// Look for other nodes on the local network?
        mdns: bool = |_| true;
        /// Of which procedures other members may be told that this node has them.
        expose: Vec<MeshExpose> = |_| vec![MeshExpose::App, MeshExpose::Health, MeshExpose::Rollback];
        /// Carry the traffic of nodes that cannot reach each other?
        relay: bool = |_| false;
    }
}

section! {
    /// The web console.
    ConsoleConfig at "console" {
        /// Where it listens; `""` turns it off.
        listen: Listen = |_| literal("127.0.0.1:7420");
        /// Its certificate (PEM); needs `tls_key`.
        tls_cert: Option<AbsolutePath> = |_| None;
        /// Its private key (PEM); needs `tls_cert`.
        tls_key: Option<AbsolutePath> = |_| None;
        /// A proxy ends TLS in front of it: cookies are marked secure, forwarded addresses are believed.
        behind_proxy: bool = |_| false;
        /// A file with a token for programs.
        token_file: Option<AbsolutePath> = |_| None;
    }
}

section! {
    /// The daemon's log, its events and its metrics.
    TelemetryConfig at "telemetry" {
        /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or by module as in `info,osier::git=debug`. Read anew at SIGHUP.
        log: LogFilter = |_| literal("info");
        /// `pretty` for people, `json` for programs.
        log_format: LogFormat = |_| LogFormat::Pretty;
        /// Where metrics can be fetched (OpenMetrics); `""`: nowhere. OTLP is set by the standard `OTEL_…` variables. Not
        /// supported yet.
        metrics_listen: Listen = |_| Listen::OFF;
        /// Where events are sent. Only scheme and host of such a URL are ever shown. Not supported yet.
        webhooks: Vec<HttpUrl> = |_| Vec::new();
        /// How long events are kept; never more than 100,000.
        retention: Span = |_| Span::from_secs(30 * 86_400);
    }
}

section! {
    /// A webhook by which the repository's server says that there is news.
    WebhookConfig at "webhook" {
        /// Where it listens; `""`: nowhere. Not supported yet.
        listen: Listen = |_| Listen::OFF;
        /// A file with the secret that signs its calls; needed with `listen`.
        secret_file: Option<AbsolutePath> = |_| None;
    }
}

/// A default that is written as text.
fn literal<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    #[expect(
        clippy::expect_used,
        reason = "defaults are literals; a test reads each of them"
    )]
    text.parse().expect("a default is valid")
}

/// Every section, in the order of the reference. Defaults that depend on the machine are those of `surroundings`.
#[must_use]
pub fn all(surroundings: &Surroundings) -> Vec<SectionFacts> {
    let reader = Reader::blank(surroundings);
    let mut sections = Vec::new();
    NodeConfig::facts(&reader, &mut sections);
    RepoConfig::facts(&reader, &mut sections);
    PruneConfig::facts(&reader, &mut sections);
    SourcesConfig::facts(&reader, &mut sections);
    LogsConfig::facts(&reader, &mut sections);
    MeshConfig::facts(&reader, &mut sections);
    ConsoleConfig::facts(&reader, &mut sections);
    TelemetryConfig::facts(&reader, &mut sections);
    WebhookConfig::facts(&reader, &mut sections);
    sections
}

/// Every setting's value as TOML; none: unset.
pub(super) fn shown(config: &Config) -> Vec<(String, Option<String>)> {
    let mut shown = Vec::new();
    config.node.show(&mut shown);
    config.repo.show(&mut shown);
    config.prune.show(&mut shown);
    config.sources.show(&mut shown);
    config.logs.show(&mut shown);
    config.mesh.show(&mut shown);
    config.console.show(&mut shown);
    config.telemetry.show(&mut shown);
    config.webhook.show(&mut shown);
    shown
}

/// All sections of a configuration; none: something required is missing or wrong (the reader knows what).
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Config> {
    let node = NodeConfig::read(reader);
    let repo = RepoConfig::read(reader);
    let prune = PruneConfig::read(reader);
    let sources = SourcesConfig::read(reader);
    let logs = LogsConfig::read(reader);
    let mesh = MeshConfig::read(reader);
    let console = ConsoleConfig::read(reader);
    let telemetry = TelemetryConfig::read(reader);
    let webhook = WebhookConfig::read(reader);
    check_combinations(reader);
    Some(Config {
        node: node?,
        repo: repo?,
        prune: prune?,
        sources: sources?,
        logs: logs?,
        mesh: mesh?,
        console: console?,
        telemetry: telemetry?,
        webhook: webhook?,
        origins: reader.origins(),
    })
}

/// What no single setting can be blamed for. Asked of the layers, not of a configuration: one that lacks something has
/// these mistakes as well.
fn check_combinations(reader: &mut Reader<'_>) {
    let [cert, key] = ["console.tls_cert", "console.tls_key"];
    let (has_cert, has_key) = (
        reader.is_given::<AbsolutePath>(cert),
        reader.is_given::<AbsolutePath>(key),
    );
    if has_cert != has_key {
        let (given, lacking) = if has_cert {
            (cert, "tls_key")
        } else {
            (key, "tls_cert")
        };
        reader.combination(
            given,
            format!("`{given}` needs `{lacking}` beside it"),
            format!("add `{lacking}`"),
        );
    }
    let listens = matches!(reader.given::<Listen>("webhook.listen"), Some(Ok(listen)) if !listen.is_off());
    if listens && !reader.is_given::<AbsolutePath>("webhook.secret_file") {
        let why = "a webhook without a secret would let anybody wake this node";
        reader.combination(
            "webhook.listen",
            why.to_owned(),
            "add `secret_file` to [webhook]".to_owned(),
        );
    }
    if matches!(reader.given("repo.verify.mode"), Some(Ok(VerifyMode::Head))) {
        let why = "not supported yet: signatures are not verified by this release";
        let fix = "without the setting every commit of the branch is applied";
        reader.combination("repo.verify.mode", why.to_owned(), fix.to_owned());
    }
    if matches!(reader.given::<Span>("repo.reconcile_interval"), Some(Ok(span)) if span < RECONCILE_INTERVAL_MIN)
    {
        let why = format!("an interval below {RECONCILE_INTERVAL_MIN} would do nothing but poll");
        reader.combination(
            "repo.reconcile_interval",
            why,
            format!("take at least `{RECONCILE_INTERVAL_MIN}`"),
        );
    }
}

/// The settings that are given and that this release does not carry out, by name.
#[must_use]
pub fn not_supported_yet(config: &Config) -> Vec<&'static str> {
    let given = [
        (
            "telemetry.metrics_listen",
            !config.telemetry.metrics_listen.is_off(),
        ),
        ("telemetry.webhooks", !config.telemetry.webhooks.is_empty()),
        ("webhook.listen", !config.webhook.listen.is_off()),
    ];
    given
        .into_iter()
        .filter_map(|(name, is_given)| is_given.then_some(name))
        .collect()
}

/// The shortest pause between two polls of a repository.
pub const RECONCILE_INTERVAL_MIN: Span = Span::from_millis(100);

/// The defaults for a repository.
#[expect(
    clippy::expect_used,
    reason = "without a layer nothing can be wrong; a test reads the defaults"
)]
pub(super) fn defaults(url: &RepoUrl, surroundings: &Surroundings) -> Config {
    let mut reader = Reader::blank(surroundings);
    reader.assume_repo_url(url);
    read(&mut reader).expect("defaults are valid")
}
